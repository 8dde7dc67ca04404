//! What blocks say: packets, failures, headers that others submitted; recovery from state.

use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::channel::v1::Channel;
use ibc_proto::ibc::core::client::v1::MsgUpdateClient;
use light_clients::grandpa::blake2_256;
use parity_scale_codec::Encode;
use prost::{Message as _, Name};
use relayer_core::chain::{Chain as _, History, Pending};
use relayer_core::error::TxFailure;
use relayer_core::fact::{Fact, Opened};
use relayer_core::id::{ChannelId, Height, PortId, Sequence, TxHash};
use relayer_core::packet::{At, PortChannel};
use secrecy::SecretString;

use super::chain::Chain;
use super::runtime::{
    DeliverError, DispatchError, IbcEvent, Kind, ModuleError, OtherEvent, RuntimeEvent, SystemEvent, VERSION, emitted,
    events, info, metadata, misshapen_runtime, record, runtime,
};
use crate::ibc::event::Caps;
use crate::substrate::runtime::Runtime;
use crate::substrate::tx::Key;
use crate::substrate::{block, event, extrinsic};

const CAPS: Caps = Caps { data: 65_536, ack: 65_536 };

fn end(channel: &str) -> PortChannel {
    PortChannel { port: PortId::new("transfer").unwrap(), channel: ChannelId::new(channel).unwrap() }
}

fn packet(kind: &str, sequence: u64) -> RuntimeEvent {
    let sequence = sequence.to_string();
    let attributes = [
        ("packet_data_hex", "7b7d"),
        ("packet_timeout_height", "1-700"),
        ("packet_timeout_timestamp", "0"),
        ("packet_sequence", &sequence),
        ("packet_src_port", "transfer"),
        ("packet_src_channel", "channel-0"),
        ("packet_dst_port", "transfer"),
        ("packet_dst_channel", "channel-7"),
        ("packet_ack_hex", "7b22726573756c74223a2241513d3d227d"),
    ];
    emitted(kind, &attributes)
}

fn success(ref_time: u64) -> RuntimeEvent {
    RuntimeEvent::System(SystemEvent::ExtrinsicSuccess { dispatch_info: info(ref_time) })
}

fn noise() -> RuntimeEvent {
    let nested = Some(Box::new(OtherEvent::Noise { list: vec![], nested: None }));
    RuntimeEvent::Other(OtherEvent::Noise { list: vec![(1, None), (2, Some("text".into()))], nested })
}

fn facts(records: &[Vec<u8>], extrinsics: &[Vec<u8>]) -> relayer_core::fact::BlockFacts {
    let runtime = runtime();
    let told = event::read(&runtime.metadata, &runtime.xcm, &events(records)).unwrap();
    let at = At { height: Height::new(0, 5), time: relayer_core::id::Timestamp(1) };
    block::facts(&runtime, at, extrinsics, told, CAPS)
}

/// A signed extrinsic with these messages.
fn signed(messages: Vec<Any>) -> Vec<u8> {
    signed_by(&runtime(), messages).unwrap()
}

fn signed_by(runtime: &Runtime, messages: Vec<Any>) -> Result<Vec<u8>, String> {
    use crate::substrate::tx::encode::{Era, signed};
    let key = Key::from_secret(&SecretString::from("//Alice")).unwrap();
    signed(&runtime.offline, &key, messages, 3, &Era::new(100, [8; 32], 64), 0)
}

#[test]
fn attack_42_metadata_that_is_none_is_refused() {
    // With the length of all in front, subxt's own decoder never ends; "meta" read as a length is 6,491.
    for bytes in [vec![], vec![0x10, 0, 0, 0], [&b"meta"[..], &[0; 6_487]].concat(), metadata()[..999].to_vec()] {
        assert!(Runtime::new(VERSION, [7; 32], &bytes).is_err());
    }
    assert!(Runtime::new(VERSION, [7; 32], &metadata()).is_ok());
}

#[test]
fn nothing_is_signed_whose_arguments_are_not_the_messages() {
    let messages = || vec![Any { type_url: "/a".into(), value: vec![1; 9] }; 2];
    assert!(signed_by(&runtime(), messages()).is_ok());
    let error = signed_by(&misshapen_runtime(), messages()).unwrap_err();
    assert!(error.contains("two byte strings"), "{error}");
}

#[tokio::test]
async fn attack_33_events_that_the_state_does_not_hold_are_no_facts() {
    let made = Chain::new();
    let number = made.happens(events(&[record(0, packet("send_packet", 4))]), vec![vec![0]]);
    made.grow(1);
    made.finalize();
    let height = Height::new(0, number.into());
    assert_eq!(made.open(|_| {}).await.facts(height).await.unwrap().facts.len(), 1);
    for made_up in [vec![], vec![record(0, packet("send_packet", 4)), record(0, packet("send_packet", 5))]] {
        made.lock().made_up_events = Some(events(&made_up));
        let error = made.open(|_| {}).await.facts(height).await.unwrap_err();
        assert_eq!(error.label(), "proof_root", "{error}");
    }
    made.lock().made_up_events = None;
    // An extrinsic that no block holds would count as done.
    made.lock().made_up_extrinsics = Some(vec![vec![0], vec![1]]);
    let error = made.open(|_| {}).await.facts(height).await.unwrap_err();
    assert_eq!(error.label(), "extrinsics_root", "{error}");
    made.lock().made_up_extrinsics = None;
    // Junk that is too much to be hashed is no reason to leave a block out.
    made.lock().padding = 200;
    assert_eq!(made.open(|_| {}).await.facts(height).await.unwrap_err().label(), "proof_nodes");
    made.lock().padding = 0;
    let none = made.happens(Vec::new(), Vec::new());
    made.grow(1);
    made.finalize();
    assert_eq!(made.open(|_| {}).await.facts(Height::new(0, none.into())).await.unwrap().facts, []);
}

#[test]
fn packets_of_a_block_are_read_between_events_of_other_modules() {
    let records = [
        record(0, noise()),
        record(1, packet("send_packet", 4)),
        record(1, noise()),
        record(1, packet("recv_packet", 9)),
        record(1, packet("write_acknowledgement", 9)),
        record(1, success(2_000_000)),
        record(2, emitted("create_client", &[("client_id", "07-tendermint-3"), ("client_type", "07-tendermint")])),
    ];
    let extrinsics = [vec![4, 0], vec![8, 1, 2], vec![4, 3]];
    let block = facts(&records, &extrinsics);
    assert!(matches!(&block.facts[0], Fact::Sent(p) if p.sequence == Sequence(4) && &*p.data == b"{}"));
    assert!(matches!(&block.facts[1], Fact::Received(p) if p.destination == end("channel-7")));
    assert!(matches!(&block.facts[2], Fact::AckWritten(_, ack) if &**ack == br#"{"result":"AQ=="}"#));
    let tx = TxHash(blake2_256(&extrinsics[2]));
    assert!(matches!(&block.facts[3], Fact::Opened { tx: made, what: Opened::Client { .. } } if *made == tx));
    let report = &block.txs[1];
    assert_eq!((report.hash, report.gas_used), (TxHash(blake2_256(&extrinsics[1])), 2_000));
    assert!(report.failure.is_none());
}

#[test]
fn a_message_that_failed_is_named_and_the_others_count() {
    let failed = |index: u32, kind| {
        let error = DeliverError { kind, text: b"no\x1b[2J commitment".to_vec() };
        RuntimeEvent::Ibc(IbcEvent::Delivered { index, result: Err(error) })
    };
    let fine = |index: u32| RuntimeEvent::Ibc(IbcEvent::Delivered { index, result: Ok(()) });
    let records = [
        record(0, fine(0)),
        record(0, packet("recv_packet", 9)),
        record(0, failed(1, Kind::Handler)),
        record(0, failed(2, Kind::Handler)),
        record(0, failed(3, Kind::Skipped)),
        record(0, fine(4)),
        record(0, failed(5, Kind::Handler)),
        record(0, success(1)),
        record(
            1,
            RuntimeEvent::System(SystemEvent::ExtrinsicFailed {
                dispatch_error: DispatchError::Module(ModuleError { index: 7, error: [1, 0, 0, 0] }),
                dispatch_info: info(7_000),
            }),
        ),
        record(
            2,
            RuntimeEvent::System(SystemEvent::ExtrinsicFailed {
                dispatch_error: DispatchError::BadOrigin,
                dispatch_info: info(7_000),
            }),
        ),
    ];
    let block = facts(&records, &[vec![0], vec![1], vec![2]]);
    assert_eq!(block.facts.len(), 1);
    let told = |n: usize| block.txs[n].failure.clone().unwrap();
    let TxFailure::Message { index: Some(1), others, code: 1, detail, .. } = told(0) else { panic!("{:?}", told(0)) };
    assert_eq!(others, [2, 5], "the third was not tried");
    assert!(detail.as_str().starts_with("Handler: no") && !detail.as_str().contains('\u{1b}'));
    assert_eq!(told(1).to_string(), "message failed with Ibc code 1: Handler");
    assert_eq!(told(2).to_string(), "message failed with dispatch code 2: BadOrigin");
}

#[test]
fn attack_42_events_cut_short_or_of_unknown_types_are_not_guessed_at() {
    let runtime = runtime();
    let whole = events(&[record(0, packet("send_packet", 4)), record(0, noise())]);
    assert!(event::read(&runtime.metadata, &runtime.xcm, &whole).is_some());
    for end in 1..whole.len() {
        assert_eq!(event::read(&runtime.metadata, &runtime.xcm, &whole[..end]), None, "{end}");
    }
    let mut unknown = whole.clone();
    unknown[6] = 99;
    assert_eq!(event::read(&runtime.metadata, &runtime.xcm, &unknown), None);
    let deep = (0..100).fold(OtherEvent::Noise { list: vec![], nested: None }, |nested, _| OtherEvent::Noise {
        list: vec![],
        nested: Some(Box::new(nested)),
    });
    assert_eq!(event::read(&runtime.metadata, &runtime.xcm, &events(&[record(0, RuntimeEvent::Other(deep))])), None);
}

#[test]
fn a_header_that_somebody_submitted_is_found_in_its_extrinsic() {
    let header = Any { type_url: "/header".into(), value: vec![1, 2, 3] };
    let update = MsgUpdateClient {
        client_id: "07-tendermint-0".into(),
        client_message: Some(header.clone()),
        signer: "5Grw".into(),
    };
    let other = Any { type_url: "/other".into(), value: vec![9; 300] };
    let update = Any { type_url: MsgUpdateClient::type_url(), value: update.encode_to_vec() };
    let extrinsic = signed(vec![other.clone(), update.clone()]);
    assert_eq!(extrinsic::messages(&runtime().metadata, &extrinsic), Some(vec![other, update]));
    let told = emitted("update_client", &[("client_id", "07-tendermint-0"), ("consensus_heights", "1-40")]);
    let block = facts(&[record(0, told)], std::slice::from_ref(&extrinsic));
    let Fact::ClientUpdated { heights, header: found, .. } = &block.facts[0] else { panic!("{:?}", block.facts) };
    assert_eq!((heights.as_slice(), found.as_ref()), ([Height::new(1, 40)].as_slice(), Some(&header)));
    for end in 0..extrinsic.len() {
        assert_eq!(extrinsic::messages(&runtime().metadata, &extrinsic[..end]), None, "{end}");
    }
}

#[tokio::test]
async fn a_block_is_read_from_its_node_and_dated_by_its_proven_time() {
    let made = Chain::new();
    let number = made.happens(events(&[record(0, packet("send_packet", 4)), record(0, success(1))]), vec![vec![4, 7]]);
    made.grow(3);
    made.finalize();
    let chain = made.open(|_| {}).await;
    let verified = chain.verified(Height::new(0, number.into())).await.unwrap();
    let facts = chain.facts(Height::new(0, number.into())).await.unwrap();
    assert_eq!(facts.at, verified.at);
    assert!(matches!(&facts.facts[0], Fact::Sent(p) if p.sequence == Sequence(4)));
    assert_eq!(facts.txs[0].hash, TxHash(blake2_256(&[4, 7])));
    let empty = chain.facts(Height::new(0, u64::from(number) + 1)).await.unwrap();
    assert!(empty.facts.is_empty() && empty.txs.is_empty());
}

#[tokio::test]
async fn open_packets_are_found_in_the_state() {
    let made = Chain::new();
    let path = |kind: &str, n: u64| format!("{kind}/ports/transfer/channels/channel-0/sequences/{n}");
    let channel = Channel { state: 3, ordering: 1, ..Channel::default() }.encode_to_vec();
    let mut entries: Vec<(String, Vec<u8>)> = (1..=2_345u64).map(|n| (path("commitments", n), vec![7; 32])).collect();
    entries.push(("commitments/ports/transfer/channels/channel-01/sequences/1".into(), vec![1; 32]));
    entries.push((path("receipts", 3), vec![1]));
    entries.push((path("acks", 3), vec![1; 32]));
    entries.push(("channelEnds/ports/transfer/channels/channel-0".into(), channel));
    let entries: Vec<(&str, &[u8])> = entries.iter().map(|(k, v)| (k.as_str(), v.as_slice())).collect();
    made.store(&entries);
    made.finalize();
    let chain = made.open(|_| {}).await;
    let open = chain.pending(&Pending::Commitments(end("channel-0"))).await.unwrap();
    assert_eq!(open, (1..=2_345).map(Sequence).collect::<Vec<_>>());
    let asked: Vec<Sequence> = [2, 3, 4].map(Sequence).into();
    let unreceived = chain.pending(&Pending::Unreceived(end("channel-0"), asked.clone())).await.unwrap();
    assert_eq!(unreceived, [Sequence(2), Sequence(4)]);
    let acknowledged = chain.pending(&Pending::Acknowledged(end("channel-0"), asked)).await.unwrap();
    assert_eq!(acknowledged, [Sequence(3)]);
}

#[tokio::test]
async fn packets_of_the_past_are_found_by_the_blocks_that_the_chain_names() {
    let made = Chain::new();
    let number = made
        .happens(events(&[record(0, packet("send_packet", 4)), record(0, packet("send_packet", 5))]), vec![vec![4, 7]]);
    let key = |sequence: u64| {
        let parts = Encode::encode(&(b"transfer".to_vec(), b"channel-0".to_vec(), 0u8, sequence));
        let prefix = crate::substrate::keys::value("Ibc", "PacketBlocks");
        [prefix, sp_crypto_hashing::blake2_128(&parts).to_vec(), parts].concat()
    };
    {
        let mut made = made.lock();
        let last = made.blocks.last_mut().unwrap();
        last.state.entries.insert(key(4), number.to_le_bytes().to_vec());
        last.state.entries.insert(key(5), number.to_le_bytes().to_vec());
        let millis = last.millis();
        last.at(millis);
    }
    made.grow(2);
    made.finalize();
    let chain = made.open(|_| {}).await;
    let sequences = vec![Sequence(4), Sequence(6)];
    let found = chain.history(&History::Sent(end("channel-0"), sequences)).await.unwrap();
    assert_eq!(found.len(), 1);
    assert!(
        matches!(&found[0], (at, Fact::Sent(p)) if p.sequence == Sequence(4) && at.height == Height::new(0, number.into()))
    );
}
