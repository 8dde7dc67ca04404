//! Two applications driven block by block, each with a light client of the other.

use std::time::Duration;

use ibc_proto::cosmos::auth::v1beta1::{BaseAccount, QueryAccountRequest, QueryAccountResponse};
use ibc_proto::cosmos::bank::v1beta1::{MsgSend, QueryBalanceRequest, QueryBalanceResponse};
use ibc_proto::cosmos::base::v1beta1::Coin;
use ibc_proto::cosmos::tx::v1beta1::{SimulateRequest, SimulateResponse};
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::applications::transfer::v1::MsgTransfer;
use ibc_proto::ibc::core::channel::v1::{
    Channel, Counterparty as ChannelCounterparty, MsgAcknowledgement, MsgChannelOpenAck, MsgChannelOpenConfirm,
    MsgChannelOpenInit, MsgChannelOpenTry, MsgRecvPacket, MsgTimeout, Packet,
};
use ibc_proto::ibc::core::client::v1::{Height, MsgCreateClient, MsgUpdateClient};
use ibc_proto::ibc::core::commitment::v1::{MerklePrefix, MerkleProof};
use ibc_proto::ibc::core::connection::v1::{
    Counterparty, MsgConnectionOpenAck, MsgConnectionOpenConfirm, MsgConnectionOpenInit, MsgConnectionOpenTry, Version,
};
use ibc_proto::ibc::lightclients::tendermint::v1::Header as RawHeader;
use ibc_proto::ics23::CommitmentProof;
use light_clients::tendermint::{ClientParameters, ClientState, ConsensusState};
use prost::{Message, Name};
use tendermint::Time;
use tendermint::block::signed_header::SignedHeader;

use super::App;
use crate::devnet::Wallet;
use crate::devnet::embedded::consensus::{Consensus, Decided};
use crate::devnet::embedded::{BlockContext, EmbeddedSpec, Event, TxResult};
use crate::devnet::tx::{Signing, sign};

const START: i64 = 1_800_000_000;
const GAS: u64 = 5_000_000;

struct Side {
    spec: EmbeddedSpec,
    app: App,
    consensus: Consensus,
    blocks: Vec<Decided>,
    wallet: Wallet,
    sequence: u64,
    /// Of the other chain, on this one.
    trusted: u64,
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

fn events<'a>(result: &'a TxResult, kind: &str) -> Vec<&'a Event> {
    result.events.iter().filter(|event| event.kind == kind).collect()
}

fn value<'a>(event: &'a Event, key: &str) -> &'a str {
    event.attributes.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
}

impl Side {
    fn new(id: &str) -> Self {
        let wallet = Wallet::named("relayer").unwrap();
        let spec = EmbeddedSpec::new(id).wallet(&wallet, &[("stake", 1_000_000), ("atom", 500)]);
        let (app, consensus) = (App::genesis(&spec), Consensus::genesis(&spec).unwrap());
        Self { spec, app, consensus, blocks: Vec::new(), wallet, sequence: 0, trusted: 0 }
    }

    fn latest(&self) -> u64 {
        self.blocks.len() as u64
    }

    fn height(&self, number: u64) -> Height {
        Height { revision_number: self.spec.revision(), revision_height: number }
    }

    fn block(&mut self, txs: &[Vec<u8>]) -> Vec<TxResult> {
        let now = Time::from_unix_timestamp(START + self.blocks.len() as i64, 0).unwrap();
        let block = self.consensus.decide(now, txs).unwrap();
        let context = BlockContext {
            height: block.header.height.value(),
            time: block.header.time,
            app_hash: block.header.app_hash.as_bytes().try_into().unwrap(),
            next_validators_hash: block.header.next_validators_hash,
        };
        let executed = self.app.execute(&context, txs);
        self.consensus.executed(&block, &executed.results, executed.app_hash);
        self.blocks.push(block);
        executed.results
    }

    fn sign_at(&self, messages: Vec<Any>, sequence: u64, gas: u64, fee: Option<Coin>) -> Vec<u8> {
        let signing = Signing { chain_id: &self.spec.id, account_number: 0, sequence, gas, fee };
        sign(&self.wallet, messages, signing).encode_to_vec()
    }

    fn sign(&mut self, messages: Vec<Any>) -> Vec<u8> {
        self.sign_with(messages, GAS)
    }

    fn sign_with(&mut self, messages: Vec<Any>, gas: u64) -> Vec<u8> {
        self.sequence += 1;
        self.sign_at(messages, self.sequence - 1, gas, None)
    }

    /// A block with these messages, which must succeed, and an empty one that proves their state.
    fn run(&mut self, messages: Vec<Any>) -> TxResult {
        let tx = self.sign(messages);
        let result = self.block(&[tx]).remove(0);
        assert_eq!((result.code, result.log.as_str()), (0, ""));
        self.block(&[]);
        result
    }

    fn signer(&self) -> String {
        self.wallet.address().to_owned()
    }

    fn get(&self, path: &str) -> Vec<u8> {
        self.app.query("store/ibc/key", path.as_bytes(), 0, false).value
    }

    /// Proven by the newest header.
    fn prove(&self, path: &str) -> Vec<u8> {
        let answer = self.app.query("store/ibc/key", path.as_bytes(), self.latest() - 1, true);
        assert_eq!(answer.code, 0, "{}", answer.log);
        let proofs = answer.proof.iter().map(|op| CommitmentProof::decode(op.data.as_slice()).unwrap()).collect();
        MerkleProof { proofs }.encode_to_vec()
    }

    fn header(&self, trusted: u64) -> Any {
        let block = self.blocks.last().unwrap();
        let next = &self.blocks[trusted as usize];
        let raw = RawHeader {
            signed_header: Some(SignedHeader::new(block.header.clone(), block.commit.clone()).unwrap().into()),
            validator_set: Some(block.validators.clone().into()),
            trusted_height: Some(self.height(trusted)),
            trusted_validators: Some(next.validators.clone().into()),
        };
        any(&raw)
    }

    fn create_client(&self, signer: String) -> Any {
        let header = &self.blocks.last().unwrap().header;
        let height = light_clients::Height::new(self.spec.revision(), self.latest());
        let unbonding = self.spec.unbonding;
        let parameters =
            ClientParameters::cosmos(&self.spec.id, height, unbonding / 3 * 2, unbonding, Duration::from_secs(10));
        let root = header.app_hash.as_bytes().to_vec();
        let state = ConsensusState::new(header.time, root, header.next_validators_hash).unwrap();
        any(&MsgCreateClient {
            client_state: Some(ClientState::new(parameters).unwrap().encode()),
            consensus_state: Some(state.encode()),
            signer,
        })
    }

    fn balance(&self, address: &str, denom: &str) -> u128 {
        let request = QueryBalanceRequest { address: address.to_owned(), denom: denom.to_owned() };
        let answer = self.app.query("/cosmos.bank.v1beta1.Query/Balance", &request.encode_to_vec(), 0, false);
        let answer = QueryBalanceResponse::decode(answer.value.as_slice()).unwrap();
        answer.balance.unwrap().amount.parse().unwrap()
    }

    fn account(&self) -> BaseAccount {
        let request = QueryAccountRequest { address: self.signer() };
        let answer = self.app.query("/cosmos.auth.v1beta1.Query/Account", &request.encode_to_vec(), 0, false);
        let answer = QueryAccountResponse::decode(answer.value.as_slice()).unwrap();
        BaseAccount::decode(answer.account.unwrap().value.as_slice()).unwrap()
    }

    fn transfer(&self, amount: u64, denom: &str, timeout_height: Option<Height>) -> Any {
        any(&MsgTransfer {
            source_port: "transfer".into(),
            source_channel: "channel-0".into(),
            token: Some(Coin { denom: denom.into(), amount: amount.to_string() }),
            sender: self.signer(),
            receiver: self.signer(),
            timeout_height: timeout_height.or(Some(Height::default())),
            timeout_timestamp: (START as u64 + 100_000) * 1_000_000_000,
            memo: String::new(),
        })
    }
}

/// The client's update on `to` to the newest header of `of`.
fn update(to: &mut Side, of: &Side) -> Any {
    let trusted = std::mem::replace(&mut to.trusted, of.latest());
    any(&MsgUpdateClient {
        client_id: "07-tendermint-0".into(),
        client_message: Some(of.header(trusted)),
        signer: to.signer(),
    })
}

/// Keeps both clocks together, then messages on `to` with what `of` proves.
fn relay(to: &mut Side, of: &mut Side, messages: impl FnOnce(&Side, Height) -> Vec<Any>) -> TxResult {
    let tx = relayed(to, of, messages);
    let result = to.block(&[tx]).remove(0);
    to.block(&[]);
    assert_eq!((result.code, result.log.as_str()), (0, ""));
    result
}

fn relayed(to: &mut Side, of: &mut Side, messages: impl FnOnce(&Side, Height) -> Vec<Any>) -> Vec<u8> {
    while of.latest() < to.latest() + 1 {
        of.block(&[]);
    }
    while to.latest() + 3 < of.latest() {
        to.block(&[]);
    }
    let mut all = vec![update(to, of)];
    all.extend(messages(of, of.height(of.latest())));
    to.sign(all)
}

fn version() -> Version {
    Version { identifier: "1".into(), features: vec!["ORDER_ORDERED".into(), "ORDER_UNORDERED".into()] }
}

fn counterparty(connection: &str) -> Option<Counterparty> {
    Some(Counterparty {
        client_id: "07-tendermint-0".into(),
        connection_id: connection.into(),
        prefix: Some(MerklePrefix { key_prefix: b"ibc".to_vec() }),
    })
}

/// What `of`'s client of this chain is, with proofs.
struct Proven {
    state: Option<Any>,
    proof_client: Vec<u8>,
    proof_consensus: Vec<u8>,
    consensus_height: Height,
}

fn proven(of: &Side, to_revision: u64) -> Proven {
    let state = Any::decode(of.get("clients/07-tendermint-0/clientState").as_slice()).unwrap();
    let consensus_height = Height { revision_number: to_revision, revision_height: of.trusted };
    let path = format!("clients/07-tendermint-0/consensusStates/{to_revision}-{}", of.trusted);
    Proven {
        state: Some(state),
        proof_client: of.prove("clients/07-tendermint-0/clientState"),
        proof_consensus: of.prove(&path),
        consensus_height,
    }
}

/// Clients, connection and channel between two chains.
fn connected() -> (Side, Side) {
    let (mut a, mut b) = (Side::new("emb-a-1"), Side::new("emb-b-2"));
    for side in [&mut a, &mut b] {
        (0..3).for_each(|_| drop(side.block(&[])));
    }
    (a.trusted, b.trusted) = (b.latest(), a.latest());
    let (on_a, on_b) = (b.create_client(a.signer()), a.create_client(b.signer()));
    let made = a.run(vec![on_a]);
    assert_eq!(value(events(&made, "create_client")[0], "client_id"), "07-tendermint-0");
    b.run(vec![on_b]);
    let signer = a.signer();
    a.run(vec![any(&MsgConnectionOpenInit {
        client_id: "07-tendermint-0".into(),
        counterparty: counterparty(""),
        version: Some(version()),
        delay_period: 0,
        signer: signer.clone(),
    })]);
    #[allow(deprecated)]
    let open_try = |of: &Side, at| {
        let client = proven(of, 2);
        vec![any(&MsgConnectionOpenTry {
            client_id: "07-tendermint-0".into(),
            previous_connection_id: String::new(),
            client_state: client.state,
            counterparty: counterparty("connection-0"),
            delay_period: 0,
            counterparty_versions: vec![version()],
            proof_height: Some(at),
            proof_init: of.prove("connections/connection-0"),
            proof_client: client.proof_client,
            proof_consensus: client.proof_consensus,
            consensus_height: Some(client.consensus_height),
            signer: signer.clone(),
            host_consensus_state_proof: Vec::new(),
        })]
    };
    relay(&mut b, &mut a, open_try);
    #[allow(deprecated)]
    let open_ack = |of: &Side, at| {
        let client = proven(of, 1);
        vec![any(&MsgConnectionOpenAck {
            connection_id: "connection-0".into(),
            counterparty_connection_id: "connection-0".into(),
            version: Some(version()),
            client_state: client.state,
            proof_height: Some(at),
            proof_try: of.prove("connections/connection-0"),
            proof_client: client.proof_client,
            proof_consensus: client.proof_consensus,
            consensus_height: Some(client.consensus_height),
            signer: signer.clone(),
            host_consensus_state_proof: Vec::new(),
        })]
    };
    relay(&mut a, &mut b, open_ack);
    relay(&mut b, &mut a, |of, at| {
        vec![any(&MsgConnectionOpenConfirm {
            connection_id: "connection-0".into(),
            proof_ack: of.prove("connections/connection-0"),
            proof_height: Some(at),
            signer: signer.clone(),
        })]
    });
    let channel = |id: &str, state: i32| {
        Some(Channel {
            state,
            ordering: 1,
            counterparty: Some(ChannelCounterparty { port_id: "transfer".into(), channel_id: id.into() }),
            connection_hops: vec!["connection-0".into()],
            version: "ics20-1".into(),
            upgrade_sequence: 0,
        })
    };
    let end = "channelEnds/ports/transfer/channels/channel-0";
    a.run(vec![any(&MsgChannelOpenInit {
        port_id: "transfer".into(),
        channel: channel("", 1),
        signer: signer.clone(),
    })]);
    #[allow(deprecated)]
    relay(&mut b, &mut a, |of, at| {
        vec![any(&MsgChannelOpenTry {
            port_id: "transfer".into(),
            previous_channel_id: String::new(),
            channel: channel("channel-0", 2),
            counterparty_version: "ics20-1".into(),
            proof_init: of.prove(end),
            proof_height: Some(at),
            signer: signer.clone(),
        })]
    });
    relay(&mut a, &mut b, |of, at| {
        vec![any(&MsgChannelOpenAck {
            port_id: "transfer".into(),
            channel_id: "channel-0".into(),
            counterparty_channel_id: "channel-0".into(),
            counterparty_version: "ics20-1".into(),
            proof_try: of.prove(end),
            proof_height: Some(at),
            signer: signer.clone(),
        })]
    });
    relay(&mut b, &mut a, |of, at| {
        vec![any(&MsgChannelOpenConfirm {
            port_id: "transfer".into(),
            channel_id: "channel-0".into(),
            proof_ack: of.prove(end),
            proof_height: Some(at),
            signer: signer.clone(),
        })]
    });
    (a, b)
}

fn packet(said: &Event) -> Packet {
    let (revision, height) = value(said, "packet_timeout_height").split_once('-').unwrap();
    Packet {
        sequence: value(said, "packet_sequence").parse().unwrap(),
        source_port: value(said, "packet_src_port").into(),
        source_channel: value(said, "packet_src_channel").into(),
        destination_port: value(said, "packet_dst_port").into(),
        destination_channel: value(said, "packet_dst_channel").into(),
        data: hex::decode(value(said, "packet_data_hex")).unwrap(),
        timeout_height: Some(Height {
            revision_number: revision.parse().unwrap(),
            revision_height: height.parse().unwrap(),
        }),
        timeout_timestamp: value(said, "packet_timeout_timestamp").parse().unwrap(),
    }
}

fn receive(of: &Side, at: Height, packet: &Packet) -> Any {
    any(&MsgRecvPacket {
        packet: Some(packet.clone()),
        proof_commitment: of
            .prove(&format!("commitments/ports/transfer/channels/channel-0/sequences/{}", packet.sequence)),
        proof_height: Some(at),
        signer: of.signer(),
    })
}

fn voucher_hash(denom: &str) -> String {
    use sha2::Digest;
    hex::encode_upper(sha2::Sha256::digest(format!("transfer/channel-0/{denom}")))
}

fn voucher() -> String {
    format!("ibc/{}", voucher_hash("atom"))
}

#[test]
fn a_transfer_goes_there_is_acknowledged_and_comes_back() {
    let (mut a, mut b) = connected();
    let me = a.signer();
    let message = a.transfer(200, "atom", None);
    let sent = packet(events(&a.run(vec![message]), "send_packet")[0]);
    assert_eq!(a.balance(&me, "atom"), 300);

    let received = relay(&mut b, &mut a, |of, at| vec![receive(of, at, &sent)]);
    assert_eq!(b.balance(&me, &voucher()), 200);
    let kinds: Vec<&str> = received.events.iter().map(|event| event.kind.as_str()).collect();
    let place = |kind| kinds.iter().position(|found| *found == kind).unwrap();
    assert!(place("recv_packet") < place("fungible_token_packet"));
    assert!(place("fungible_token_packet") < place("write_acknowledgement"), "{kinds:?}");
    let written = events(&received, "write_acknowledgement")[0];
    assert_eq!(value(written, "msg_index"), "1");
    let acknowledgement = hex::decode(value(written, "packet_ack_hex")).unwrap();
    assert_eq!(acknowledgement, br#"{"result":"AQ=="}"#);

    let acked = relay(&mut a, &mut b, |of, at| {
        vec![any(&MsgAcknowledgement {
            packet: Some(sent.clone()),
            acknowledgement,
            proof_acked: of.prove("acks/ports/transfer/channels/channel-0/sequences/1"),
            proof_height: Some(at),
            signer: of.signer(),
        })]
    });
    assert_eq!(events(&acked, "acknowledge_packet").len(), 1);
    assert_eq!(a.get("commitments/ports/transfer/channels/channel-0/sequences/1"), b"");

    let message = b.transfer(150, &voucher(), None);
    let back = packet(events(&b.run(vec![message]), "send_packet")[0]);
    assert!(String::from_utf8_lossy(&back.data).contains("transfer/channel-0/atom"));
    relay(&mut a, &mut b, |of, at| vec![receive(of, at, &back)]);
    assert_eq!((a.balance(&me, "atom"), b.balance(&me, &voucher())), (450, 50));
}

#[test]
fn a_packet_not_received_in_time_is_refunded_and_can_no_longer_be_received() {
    let (mut a, mut b) = connected();
    let me = a.signer();
    let timeout = b.height(b.latest() + 2);
    let message = a.transfer(200, "atom", Some(timeout));
    let sent = packet(events(&a.run(vec![message]), "send_packet")[0]);
    (0..4).for_each(|_| drop(b.block(&[])));
    let late = relayed(&mut b, &mut a, |of, at| vec![receive(of, at, &sent)]);
    let refused = b.block(&[late]).remove(0);
    assert!(refused.log.starts_with("failed to execute message; message index: 1:"), "{}", refused.log);
    b.block(&[]);
    // The refused transaction undid its update.
    b.trusted = 0;

    let done = relay(&mut a, &mut b, |of, at| {
        vec![any(&MsgTimeout {
            packet: Some(sent.clone()),
            proof_unreceived: of.prove("receipts/ports/transfer/channels/channel-0/sequences/1"),
            proof_height: Some(at),
            next_sequence_recv: 1,
            signer: of.signer(),
        })]
    });
    assert_eq!(events(&done, "timeout_packet").len(), 1);
    assert_eq!(value(events(&done, "timeout_packet")[0], "connection_id"), "connection-0");
    assert_eq!(a.balance(&me, "atom"), 500);
}

#[test]
fn a_packet_of_another_relayer_is_refused_in_checktx_and_without_effect_in_a_block() {
    let (mut a, mut b) = connected();
    let message = a.transfer(200, "atom", None);
    let sent = packet(events(&a.run(vec![message]), "send_packet")[0]);
    let first = relayed(&mut b, &mut a, |of, at| vec![receive(of, at, &sent)]);
    assert_eq!(b.app.check(&first).code, 0);
    let at = a.height(a.latest());
    let second = vec![receive(&a, at, &sent)];
    let second = b.sign(second);
    let refused = b.app.check(&second);
    assert_eq!((refused.codespace.as_str(), refused.code), ("channel", 22));
    let results = b.block(&[first, second]);
    assert_eq!((results[0].code, results[1].code), (0, 0), "{}", results[1].log);
    assert_eq!((events(&results[0], "recv_packet").len(), events(&results[1], "recv_packet").len()), (1, 0));
    assert_eq!(b.balance(&b.signer(), &voucher()), 200);
}

#[test]
fn a_proof_of_a_height_the_client_does_not_have_is_told_from_a_wrong_one() {
    let (mut a, mut b) = connected();
    let message = a.transfer(200, "atom", None);
    let sent = packet(events(&a.run(vec![message]), "send_packet")[0]);
    a.block(&[]);
    let at = a.height(a.latest());
    let ahead = b.sign(vec![receive(&a, at, &sent)]);
    let result = b.block(&[ahead]).remove(0);
    assert!(result.log.contains("client state height < proof height"), "{}", result.log);

    let mut forged = sent;
    forged.data[20] ^= 1;
    let wrong = relayed(&mut b, &mut a, |of, at| vec![receive(of, at, &forged)]);
    let result = b.block(&[wrong]).remove(0);
    assert_ne!(result.code, 0);
    assert!(!result.log.contains("client state height"), "{}", result.log);
}

#[test]
fn a_failed_message_undoes_the_others_and_keeps_fee_and_sequence() {
    let mut a = Side::new("emb-a-1");
    a.block(&[]);
    let send = |amount: u128| {
        any(&MsgSend {
            from_address: a.signer(),
            to_address: Wallet::named("other").unwrap().address().into(),
            amount: vec![Coin { denom: "atom".into(), amount: amount.to_string() }],
        })
    };
    let fee = Some(Coin { denom: "stake".into(), amount: "7".into() });
    let tx = a.sign_at(vec![send(100), send(1_000)], 0, GAS, fee);
    let result = a.block(&[tx]).remove(0);
    let log = "failed to execute message; message index: 1: spendable balance 400atom is smaller than 1000atom: \
               insufficient funds";
    assert_eq!((result.codespace.as_str(), result.code, result.log.as_str()), ("sdk", 5, log));
    assert_eq!((a.balance(&a.signer(), "atom"), a.balance(&a.signer(), "stake")), (500, 999_993));
    assert_eq!(a.account().sequence, 1);
    assert_eq!(value(events(&result, "tx")[0], "fee"), "7stake");
}

#[test]
fn sequences_count_on_in_checktx_and_wrong_ones_signatures_and_gas_are_refused_as_the_sdk_does() {
    let mut a = Side::new("emb-a-1");
    a.block(&[]);
    let other = Wallet::named("other").unwrap();
    let message = || {
        any(&MsgSend {
            from_address: Wallet::named("relayer").unwrap().address().into(),
            to_address: other.address().into(),
            amount: vec![Coin { denom: "atom".into(), amount: "1".into() }],
        })
    };
    let at = |sequence, gas| a.sign_at(vec![message()], sequence, gas, None);
    let (first, second, third, poor) = (at(0, GAS), at(1, GAS), at(7, GAS), at(2, 1_000));
    let mut broken = a.sign_at(vec![message()], 2, GAS, None);
    *broken.last_mut().unwrap() ^= 1;
    let simulated = SimulateRequest { tx_bytes: at(1, 0), ..Default::default() };

    assert_eq!(a.app.check(&first).code, 0);
    let answer = a.app.query("/cosmos.tx.v1beta1.Service/Simulate", &simulated.encode_to_vec(), 0, false);
    let gas = SimulateResponse::decode(answer.value.as_slice()).unwrap().gas_info.unwrap().gas_used;
    assert!((90_000..110_000).contains(&gas), "{gas}");
    assert_eq!(a.app.check(&second).code, 0);
    let stale = a.app.query("/cosmos.tx.v1beta1.Service/Simulate", &simulated.encode_to_vec(), 0, false);
    let log =
        "rpc error: code = Unknown desc = account sequence mismatch, expected 2, got 1: incorrect account sequence";
    assert!(stale.code == 6 && stale.log.starts_with(log), "{}", stale.log);
    let refused = a.app.check(&third);
    let log = "account sequence mismatch, expected 2, got 7: incorrect account sequence";
    assert_eq!((refused.codespace.as_str(), refused.code, refused.log.as_str()), ("sdk", 32, log));
    let refused = a.app.check(&poor);
    assert_eq!(refused.code, 11);
    assert!(refused.log.starts_with("out of gas in location: txSize; gasWanted: 1000, gasUsed: "), "{}", refused.log);
    let refused = a.app.check(&broken);
    assert_eq!(refused.code, 4, "{}", refused.log);

    let results = a.block(&[first, second]);
    assert!(results.iter().all(|result| result.code == 0));
    assert_eq!(a.balance(other.address(), "atom"), 2);
}

#[test]
fn queries_of_heights_and_paths_that_are_not_there_say_so() {
    let mut a = Side::new("emb-a-1");
    (0..2).for_each(|_| drop(a.block(&[])));
    let status = |path: &str, height| a.app.query(path, b"", height, false);
    assert!(status("/cosmos.staking.v1beta1.Query/Params", 9).log.contains("height in the future"));
    assert!(status("store/ibc/key", 9).log.contains("pruned"));
    let unknown = status("/cosmos.gov.v1.Query/Params", 0);
    assert_eq!((unknown.code, unknown.log.as_str()), (6, "unknown query path: unknown request"));
    let answer = a.app.query("store/ibc/key", b"connections/connection-0", 1, true);
    assert_eq!((answer.code, answer.value.len(), answer.proof.len(), answer.height), (0, 0, 2, 1));
}

#[test]
fn a_burst_of_a_thousand_packets_in_one_block_is_received_in_batches() {
    let (mut a, mut b) = connected();
    let message = a.transfer(1, "stake", None);
    let txs: Vec<_> = (0..10).map(|_| vec![message.clone(); 100]).map(|all| a.sign_with(all, 20_000_000)).collect();
    assert!(txs.iter().all(|tx| a.app.check(tx).code == 0));
    let results = a.block(&txs);
    let said = results.iter().flat_map(|result| events(result, "send_packet"));
    let sent: Vec<Packet> = said.map(packet).collect();
    assert_eq!(sent.len(), 1_000);
    a.block(&[]);
    for batch in sent.chunks(50) {
        let done = relay(&mut b, &mut a, |of, at| batch.iter().map(|packet| receive(of, at, packet)).collect());
        assert_eq!(events(&done, "write_acknowledgement").len(), batch.len());
    }
    let denom = format!("ibc/{}", voucher_hash("stake"));
    assert_eq!(b.balance(&b.signer(), &denom), 1_000);
}
