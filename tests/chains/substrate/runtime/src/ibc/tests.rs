//! The pallet inside its runtime, natively: blocks are begun and ended as the node does.

use codec::Encode;
use frame_support::traits::{OnFinalize, OnInitialize};
use ibc_client_tendermint::types::ConsensusState as TendermintConsensusState;
use ibc_core::client::types::Height;
use ibc_core::commitment_types::specs::ProofSpecs;
use ibc_proto::cosmos::base::v1beta1::Coin;
use ibc_proto::google::protobuf::{Any, Duration};
use ibc_proto::ibc::applications::transfer::v1::MsgTransfer;
use ibc_proto::ibc::core::client::v1::{Height as RawHeight, MsgCreateClient, MsgUpdateClient};
use ibc_proto::ibc::lightclients::tendermint::v1::{ClientState as RawClientState, Fraction};
use light_clients::grandpa::{Finality, HeaderChain};
use prost::Message as _;
use sp_consensus_grandpa::{AuthorityId, AuthorityList};
use sp_core::crypto::{Ss58Codec, UncheckedFrom};
use sp_io::TestExternalities;
use sp_io::hashing::blake2_256;
use sp_runtime::traits::Header as _;
use sp_runtime::{BuildStorage, Digest, DigestItem};

use super::*;
use crate::{
    AllPalletsWithSystem, Grandpa, Header, Ibc, Runtime, RuntimeEvent, RuntimeOrigin, SLOT_MS, System, Timestamp,
};

const ALICE: AccountId32 = AccountId32::new([1; 32]);
const BOB: AccountId32 = AccountId32::new([2; 32]);

fn authorities(names: &[u8]) -> AuthorityList {
    let id = |name: &u8| AuthorityId::from(sp_core::ed25519::Public::unchecked_from([*name; 32]));
    names.iter().map(|name| (id(name), 1)).collect()
}

fn chain() -> TestExternalities {
    let mut genesis = frame_system::GenesisConfig::<Runtime>::default().build_storage().unwrap();
    let aura = vec![sp_consensus_aura::sr25519::AuthorityId::from(sp_core::sr25519::Public::unchecked_from([9; 32]))];
    pallet_aura::GenesisConfig::<Runtime> { authorities: aura }.assimilate_storage(&mut genesis).unwrap();
    let finality = pallet_grandpa::GenesisConfig::<Runtime> { authorities: authorities(&[1, 2]), ..Default::default() };
    finality.assimilate_storage(&mut genesis).unwrap();
    let balances = vec![(ALICE, 1_000), (BOB, 1_000)];
    let balances = pallet_balances::GenesisConfig::<Runtime> { balances, ..Default::default() };
    balances.assimilate_storage(&mut genesis).unwrap();
    genesis.into()
}

/// The next block, with this work in it; its header.
fn block(work: impl FnOnce()) -> Header {
    let number = System::block_number() + 1;
    // The hash of the block before is known once the next one begins.
    let parent = PARENT.with(|parent| *parent.borrow());
    let slot = sp_consensus_aura::Slot::from(u64::from(number));
    let digest = Digest { logs: vec![DigestItem::PreRuntime(sp_consensus_aura::AURA_ENGINE_ID, slot.encode())] };
    System::initialize(&number, &parent, &digest);
    AllPalletsWithSystem::on_initialize(number);
    Timestamp::set_timestamp(u64::from(number) * SLOT_MS);
    work();
    AllPalletsWithSystem::on_finalize(number);
    let header = System::finalize();
    PARENT.with(|parent| *parent.borrow_mut() = header.hash());
    header
}

std::thread_local! {
    static PARENT: std::cell::RefCell<sp_core::H256> = std::cell::RefCell::default();
}

fn deliver(messages: Vec<Message>) -> Vec<Result<(), Failure>> {
    let before = System::event_count();
    Ibc::deliver(RuntimeOrigin::signed(ALICE), messages).unwrap();
    let events = System::events().into_iter().skip(before as usize);
    let delivered = events.filter_map(|record| match record.event {
        RuntimeEvent::Ibc(Event::Delivered { index, result }) => Some((index, result.map_err(|why| why.failure))),
        _ => None,
    });
    let delivered: Vec<_> = delivered.collect();
    assert!(delivered.iter().map(|(index, _)| *index).eq(0..delivered.len() as u32));
    delivered.into_iter().map(|(_, result)| result).collect()
}

fn message(type_url: &str, value: Vec<u8>) -> Message {
    Message { type_url: type_url.into(), value }
}

fn new_client() -> Message {
    let seconds = |seconds| Some(Duration { seconds, nanos: 0 });
    let client = RawClientState {
        chain_id: "sim-a-1".into(),
        trust_level: Some(Fraction { numerator: 1, denominator: 3 }),
        trusting_period: seconds(1_000),
        unbonding_period: seconds(2_000),
        max_clock_drift: seconds(10),
        frozen_height: Some(RawHeight::default()),
        latest_height: Some(RawHeight { revision_number: 1, revision_height: 7 }),
        proof_specs: ProofSpecs::cosmos().into(),
        upgrade_path: vec!["upgrade".into(), "upgradedIBCState".into()],
        ..Default::default()
    };
    let trusted = TendermintConsensusState::new(
        vec![3; 32].into(),
        ::tendermint::Time::from_unix_timestamp(1, 0).unwrap(),
        ::tendermint::Hash::Sha256([4; 32]),
    );
    let client = Any { type_url: "/ibc.lightclients.tendermint.v1.ClientState".into(), value: client.encode_to_vec() };
    let create = MsgCreateClient {
        client_state: Some(client),
        consensus_state: Some(Any::from(trusted)),
        signer: ALICE.to_ss58check(),
    };
    message("/ibc.core.client.v1.MsgCreateClient", create.encode_to_vec())
}

fn bad_update() -> Message {
    let header = Any { type_url: "/ibc.lightclients.tendermint.v1.Header".into(), value: vec![1, 2, 3] };
    let client_id = "07-tendermint-0".to_owned();
    let update = MsgUpdateClient { client_id, client_message: Some(header), signer: ALICE.to_ss58check() };
    message("/ibc.core.client.v1.MsgUpdateClient", update.encode_to_vec())
}

#[test]
fn each_message_has_its_result_and_a_failed_one_leaves_nothing() {
    chain().execute_with(|| {
        block(|| {
            let results = deliver(vec![message("/unknown", vec![]), new_client(), message("\u{fffd}", vec![0xff])]);
            assert_eq!(results, [Err(Failure::Undecodable), Ok(()), Err(Failure::Undecodable)]);
            let stored = |key: &[u8]| frame_support::storage::unhashed::get_raw(key);
            let client = stored(b"ibc/clients/07-tendermint-0/clientState").unwrap();
            let client = Any::decode(client.as_slice()).unwrap();
            assert_eq!(client.type_url, "/ibc.lightclients.tendermint.v1.ClientState");
            assert!(stored(b"ibc/clients/07-tendermint-0/consensusStates/1-7").is_some());
            assert_eq!(stored(b"ibc/nextClientSequence"), Some(1_u64.to_be_bytes().to_vec()));
            let created = |record: &frame_system::EventRecord<RuntimeEvent, _>| match &record.event {
                RuntimeEvent::Ibc(Event::Emitted { index: 1, kind, attributes }) => {
                    kind == b"create_client" && attributes.contains(&(b"client_id".into(), b"07-tendermint-0".into()))
                }
                _ => false,
            };
            assert!(System::events().iter().any(created));
        });
    });
}

#[test]
fn what_rests_on_a_failed_update_is_left_out() {
    chain().execute_with(|| {
        block(|| {
            let results = deliver(vec![new_client(), bad_update(), new_client()]);
            assert_eq!(results, [Ok(()), Err(Failure::Client), Err(Failure::Skipped)]);
            assert!(!frame_support::storage::unhashed::exists(b"ibc/clients/07-tendermint-1/clientState"));
        });
    });
}

#[test]
fn who_signs_is_who_sends() {
    chain().execute_with(|| {
        block(|| {
            let send = |sender: &AccountId32| {
                let token = Some(Coin { denom: "unit".into(), amount: "5".into() });
                let transfer = MsgTransfer {
                    source_port: "transfer".into(),
                    source_channel: "channel-0".into(),
                    token,
                    sender: sender.to_ss58check(),
                    receiver: "cosmos1receiver".into(),
                    timeout_height: None,
                    timeout_timestamp: u64::MAX,
                    memo: String::new(),
                };
                message("/ibc.applications.transfer.v1.MsgTransfer", transfer.encode_to_vec())
            };
            assert_eq!(deliver(vec![send(&BOB), send(&ALICE)]), [Err(Failure::Unauthorized), Err(Failure::Transfer)]);
        });
    });
}

#[test]
fn too_many_or_too_large_messages_are_refused_as_a_whole() {
    chain().execute_with(|| {
        block(|| {
            let large = message("/x", vec![0; MESSAGE_BYTES + 1]);
            for refused in [vec![], vec![message("/x", vec![]); MESSAGES + 1], vec![large]] {
                assert_eq!(Ibc::deliver(RuntimeOrigin::signed(ALICE), refused), Err(Error::<Runtime>::Messages.into()));
            }
            assert!(Ibc::deliver(RuntimeOrigin::none(), vec![message("/x", vec![])]).is_err());
        });
    });
}

#[test]
fn the_set_that_is_kept_is_the_one_a_light_client_follows() {
    chain().execute_with(|| {
        let first = block(|| {});
        let start = OwnBlocks::<Runtime>::get(1).unwrap();
        let mut finality = Finality {
            number: 1,
            hash: first.hash().0,
            set_id: start.authorities.set_id,
            authorities_hash: start.authorities.authorities_hash,
            change: None,
        };
        assert_eq!(finality.authorities_hash, blake2_256(&authorities(&[1, 2]).encode()));
        let schedule = |names: &'static [u8], delay| {
            move || Ibc::schedule_authorities(RuntimeOrigin::root(), authorities(names), delay, None).unwrap()
        };
        let mut sets = Vec::new();
        for number in 2..=12_u32 {
            let header = match number {
                3 => block(schedule(&[3], 2)),
                8 => block(schedule(&[4, 5], 0)),
                _ => block(|| {}),
            };
            finality = finality.advance(&HeaderChain::decode(&[header.encode()]).unwrap()).unwrap();
            let kept = OwnBlocks::<Runtime>::get(number).unwrap();
            let change = finality.change.map(|c| (c.effective, c.authorities_hash));
            assert_eq!(kept.authorities.change.map(|c| (c.effective, c.authorities_hash)), change, "{number}");
            assert_eq!(
                (kept.authorities.set_id, kept.authorities.authorities_hash, kept.time_ms),
                (finality.set_id, finality.authorities_hash, u64::from(number) * SLOT_MS),
                "{number}"
            );
            sets.push(finality.set_id);
        }
        assert_eq!(sets, [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2]);
        assert_eq!(Grandpa::grandpa_authorities(), authorities(&[4, 5]));
    });
}

#[test]
fn our_own_consensus_state_is_shown_by_the_header_of_its_block_and_by_no_other() {
    chain().execute_with(|| {
        let headers: Vec<Header> = (0..4).map(|_| block(|| {})).collect();
        System::initialize(&5, &headers[3].hash(), &Digest::default());
        let at = |number| Height::new(0, number).unwrap();
        let shown = |number, header: Option<&Header>| {
            let header = header.map(Encode::encode);
            own::consensus_state::<Runtime>(&at(number), header.as_deref())
        };
        let state = Any::from(shown(2, Some(&headers[1])).unwrap());
        let height = light_clients::Height::new(0, 2);
        let state = light_clients::grandpa::ConsensusState::decode(&state, height).unwrap();
        assert_eq!((state.root(), state.timestamp().as_nanos()), (&headers[1].state_root.0, 2 * SLOT_MS * 1_000_000));
        assert_eq!((state.finality().hash, state.finality().set_id), (headers[1].hash().0, 0));
        let mut forged = headers[1].clone();
        forged.set_state_root(sp_core::H256::repeat_byte(7));
        for refused in
            [shown(2, Some(&headers[2])), shown(2, Some(&forged)), shown(2, None), shown(5, Some(&headers[3]))]
        {
            assert!(refused.is_err());
        }
        assert!(own::consensus_state::<Runtime>(&Height::new(1, 2).unwrap(), Some(&headers[1].encode())).is_err());
    });
}
