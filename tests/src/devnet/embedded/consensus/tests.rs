//! Blocks against a light client, and against a block of a real chain.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::lightclients::tendermint::v1::Header as RawHeader;
use light_clients::tendermint::{ClientParameters, ClientState, ConsensusState};
use light_clients::{Height, TendermintClient, Timestamp, Verdict, Verifier};
use prost::{Message, Name};
use serde_json::Value;
use tendermint::block::CommitSig;
use tendermint::block::signed_header::SignedHeader;
use tendermint::{AppHash, Hash, Time};

use super::{Consensus, Decided, hashing};
use crate::devnet::embedded::{EmbeddedSpec, TxResult};

const START: i64 = 1_800_000_000;

/// So many blocks of empty transactions, a second each; `between` acts before each height.
fn blocks(spec: &EmbeddedSpec, count: u64, mut between: impl FnMut(u64, &mut Consensus)) -> (Vec<Decided>, Consensus) {
    let mut consensus = Consensus::genesis(spec).unwrap();
    let mut blocks = Vec::new();
    for height in 1..=count {
        between(height, &mut consensus);
        let now = Time::from_unix_timestamp(START + height as i64, 0).unwrap();
        let block = consensus.decide(now, &[vec![height as u8]]).unwrap();
        consensus.executed(&block, &[TxResult::default()], [height as u8; 32]);
        blocks.push(block);
    }
    (blocks, consensus)
}

fn client(block: &Decided) -> (Any, Any) {
    let period = Duration::from_secs(86_400);
    let height = Height::new(1, block.header.height.value());
    let parameters =
        ClientParameters::cosmos(block.header.chain_id.as_str(), height, period, period * 2, Duration::from_secs(10));
    let header = &block.header;
    let root = header.app_hash.as_bytes().to_vec();
    let state = ConsensusState::new(header.time, root, header.next_validators_hash).unwrap();
    (ClientState::new(parameters).unwrap().encode(), state.encode())
}

/// The verdict on a header, by a client that trusts a block whose successor is known.
fn verdict(trusted: &Decided, after: &Decided, new: &Decided, header: SignedHeader) -> Verdict<light_clients::Updated> {
    let (client, state) = client(trusted);
    let raw = RawHeader {
        signed_header: Some(header.into()),
        validator_set: Some(new.validators.clone().into()),
        trusted_height: Some(Height::new(1, trusted.header.height.value()).into()),
        trusted_validators: Some(after.validators.clone().into()),
    };
    let header = Any { type_url: RawHeader::type_url(), value: raw.encode_to_vec() };
    let now = Timestamp::from_nanos(new.header.time.unix_timestamp_nanos() as u64 + 1_000_000_000);
    TendermintClient.update(&client, &state, &header, now)
}

fn signed(block: &Decided) -> SignedHeader {
    SignedHeader::new(block.header.clone(), block.commit.clone()).unwrap()
}

fn update(blocks: &[Decided], from: usize, to: usize) -> Verdict<light_clients::Updated> {
    verdict(&blocks[from - 1], &blocks[from], &blocks[to - 1], signed(&blocks[to - 1]))
}

#[test]
fn a_light_client_follows_every_block_near_and_far() {
    let (blocks, _) = blocks(&EmbeddedSpec::new("demo-1"), 60, |_, _| {});
    let mut lacking = 0;
    for to in 2..=60 {
        assert!(update(&blocks, to - 1, to).is_trusted(), "block {to} from the one before");
        assert!(update(&blocks, 1, to).is_trusted(), "block {to} from the first");
        lacking += usize::from(blocks[to - 1].commit.signatures.iter().any(|vote| !vote.is_commit()));
    }
    assert!((1..30).contains(&lacking), "{lacking} blocks of 60 lack a vote");
}

#[test]
fn every_block_names_the_one_before() {
    let (blocks, _) = blocks(&EmbeddedSpec::new("demo-1"), 20, |_, _| {});
    assert_eq!(blocks[0].header.last_block_id, None);
    for pair in blocks.windows(2) {
        let [before, after] = pair else { unreachable!() };
        assert_eq!(after.header.last_block_id, Some(before.block_id));
        assert_eq!(before.block_id.hash, before.header.hash());
        assert_eq!(after.header.last_commit_hash, Some(hashing::commit(&before.commit)));
        assert_eq!(after.header.validators_hash, before.header.next_validators_hash);
        assert_eq!(after.header.app_hash.as_bytes(), [before.header.height.value() as u8; 32]);
        assert!(after.header.time > before.header.time);
        let times = after.commit.signatures.iter().filter_map(|vote| match vote {
            CommitSig::BlockIdFlagAbsent => None,
            CommitSig::BlockIdFlagCommit { timestamp, .. } | CommitSig::BlockIdFlagNil { timestamp, .. } => {
                Some(timestamp)
            }
        });
        let times: Vec<_> = times.collect();
        assert!(times.windows(2).all(|pair| pair[0] != pair[1]), "every vote has a time of its own");
    }
    let turns: std::collections::HashSet<_> = blocks.iter().map(|block| block.header.proposer_address).collect();
    assert_eq!(turns.len(), 4);
}

#[test]
fn changed_powers_stand_in_the_next_header_and_sign_the_one_after() {
    let change = |height, consensus: &mut Consensus| {
        if height == 5 {
            consensus.change_powers(&[10, 0, 30, 10, 25]).unwrap();
        }
    };
    let (blocks, _) = blocks(&EmbeddedSpec::new("demo-1"), 12, change);
    let of = |height: usize| &blocks[height - 1].header;
    assert_eq!(of(5).next_validators_hash, of(1).validators_hash);
    assert_ne!(of(6).next_validators_hash, of(1).validators_hash);
    assert_eq!(of(6).validators_hash, of(1).validators_hash);
    assert_eq!(of(7).validators_hash, of(6).next_validators_hash);
    let powers: Vec<_> = blocks[6].validators.validators.iter().map(|info| info.power()).collect();
    assert_eq!(powers, [30, 25, 10, 10]);
    for to in 2..=12 {
        assert!(update(&blocks, to - 1, to).is_trusted(), "block {to} from the one before");
    }
    assert!(update(&blocks, 3, 8).is_trusted(), "three of the four old ones still sign");
}

#[test]
fn a_chain_of_all_new_validators_needs_a_header_in_between() {
    let change = |height, consensus: &mut Consensus| {
        if height == 5 {
            consensus.change_powers(&[0, 0, 0, 0, 7, 7, 7]).unwrap();
        }
    };
    let (blocks, _) = blocks(&EmbeddedSpec::new("demo-1"), 10, change);
    let direct = update(&blocks, 2, 9);
    assert!(matches!(direct, Verdict::NotEnoughTrust { .. }), "{direct:?}");
    assert!(update(&blocks, 2, 6).is_trusted());
    assert!(update(&blocks, 6, 7).is_trusted());
    assert!(update(&blocks, 7, 9).is_trusted());
}

#[test]
fn an_equivocation_fools_a_client_and_a_changed_header_does_not() {
    let (blocks, consensus) = blocks(&EmbeddedSpec::new("demo-1"), 4, |_, _| {});
    let mut header = blocks[3].header.clone();
    header.app_hash = AppHash::try_from(vec![66; 32]).unwrap();
    let lie = consensus.sign(header.clone(), &blocks[3].validators).unwrap();
    assert!(verdict(&blocks[0], &blocks[1], &blocks[3], lie).is_trusted());
    let unsigned = SignedHeader::new(header, blocks[3].commit.clone()).unwrap();
    assert!(verdict(&blocks[0], &blocks[1], &blocks[3], unsigned).reason().is_some());
}

#[test]
fn time_never_stands_still_even_if_the_clock_goes_back() {
    let mut consensus = Consensus::genesis(&EmbeddedSpec::new("demo-1")).unwrap();
    let first = consensus.decide(Time::from_unix_timestamp(START, 0).unwrap(), &[]).unwrap();
    consensus.executed(&first, &[], [1; 32]);
    let second = consensus.decide(Time::from_unix_timestamp(START - 60, 0).unwrap(), &[]).unwrap();
    assert!(second.header.time > first.header.time);
}

#[test]
fn no_validators_at_all_are_refused() {
    let mut spec = EmbeddedSpec::new("demo-1");
    spec.validators = vec![0, 0];
    assert!(Consensus::genesis(&spec).is_err());
    let mut consensus = Consensus::genesis(&EmbeddedSpec::new("demo-1")).unwrap();
    assert!(consensus.change_powers(&[]).is_err());
    assert!(consensus.change_powers(&[u64::MAX]).is_err());
}

/// Two consecutive blocks of ibc-go v10.7.0's simd on CometBFT v0.38.17, without transactions.
#[test]
fn hashes_are_those_of_a_real_chain() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../../light-clients/tests/vectors/simd-v10.json")).unwrap();
    let block = |place: usize| {
        serde_json::from_value::<SignedHeader>(vectors["blocks"][place]["signed_header"].clone()).unwrap()
    };
    let (before, after) = (block(0), block(1));
    assert_eq!(after.header.last_commit_hash, Some(hashing::commit(&before.commit)));
    assert_eq!(after.header.data_hash, Some(hashing::data(&[])));
    assert_eq!(after.header.last_results_hash, Some(hashing::results(&[])));
    // The real chain has no limit of gas, which is written as -1.
    assert_eq!(after.header.consensus_hash, hashing::parameters(u64::MAX));
    let (block_id, _) = hashing::block(&after.header, &[], Some(&before.commit)).unwrap();
    assert_eq!(block_id, after.commit.block_id, "hash of the header, and of the block's parts");
}

/// The same software's block of one transaction.
#[test]
fn transactions_hash_as_in_a_real_block() {
    let block: Value =
        serde_json::from_str(include_str!("../../../../../relayer/chains/tests/data/recv.json")).unwrap();
    let block = &block["block"]["block"];
    let txs = block["data"]["txs"].as_array().unwrap().iter();
    let txs: Vec<Vec<u8>> = txs.map(|tx| STANDARD.decode(tx.as_str().unwrap()).unwrap()).collect();
    let wanted: Hash = block["header"]["data_hash"].as_str().unwrap().parse().unwrap();
    assert_eq!(hashing::data(&txs), wanted);
    assert_ne!(hashing::data(&[txs.clone(), txs].concat()), wanted);
}
