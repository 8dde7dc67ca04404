//! Packet, client and channel events: shapes, rules, and that nothing makes the reader panic.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use relayer_core::id::{ChannelId, ClientId, Height, PortId, Sequence, Timestamp};
use relayer_core::packet::PortChannel;

use super::*;
use crate::ibc::event::{KEYS, is_ours};

const CAPS: Caps = Caps { data: 64, ack: 16 };

fn read(event: &Json) -> Option<Fact> {
    let text = event.to_string();
    fact(&serde_json::from_str(&text).unwrap(), CAPS)
}

fn packet_event(kind: &str) -> Json {
    let pairs = [
        ("packet_data_hex", "7b7d"),
        ("packet_timeout_height", "1-99"),
        ("packet_timeout_timestamp", "1700000000000000001"),
        ("packet_sequence", "7"),
        ("packet_src_port", "transfer"),
        ("packet_src_channel", "channel-1"),
        ("packet_dst_port", "transfer"),
        ("packet_dst_channel", "channel-2"),
        ("packet_ack_hex", "0a01"),
    ];
    let attributes: Vec<_> = pairs.iter().map(|(k, v)| json!({"key": k, "value": v, "index": true})).collect();
    json!({"type": kind, "attributes": attributes})
}

fn with(mut event: Json, key: &str, value: Json) -> Json {
    for attribute in event["attributes"].as_array_mut().unwrap() {
        if attribute["key"] == key {
            attribute["value"] = value.clone();
        }
    }
    event
}

fn without(mut event: Json, key: &str) -> Json {
    event["attributes"].as_array_mut().unwrap().retain(|attribute| attribute["key"] != key);
    event
}

fn reason_of(event: &Json) -> &'static str {
    match read(event) {
        Some(Fact::Unusable { reason, .. }) => reason,
        other => panic!("expected an unusable fact, got {other:?}"),
    }
}

#[test]
fn attributes_in_base64_say_the_same_as_plain_ones() {
    use base64::Engine;
    let plain = packet_event("write_acknowledgement");
    let mut encoded = plain.clone();
    for attribute in encoded["attributes"].as_array_mut().unwrap() {
        for part in ["key", "value"] {
            let text = attribute[part].as_str().unwrap().to_owned();
            attribute[part] = base64::engine::general_purpose::STANDARD.encode(text).into();
        }
    }
    let Some(Fact::AckWritten(packet, ack)) = read(&plain) else { panic!("no acknowledgement") };
    assert_eq!((packet.sequence, &*packet.data, &*ack), (Sequence(7), &b"{}"[..], &[0x0a, 1][..]));
    assert_eq!(packet.timeout_height, Height::new(1, 99));
    assert_eq!(packet.timeout_timestamp, Timestamp(1_700_000_000_000_000_001));
    assert_eq!(read(&encoded), Some(Fact::AckWritten(packet, ack)));
}

#[test]
fn plain_data_serves_where_there_is_no_hex() {
    let mut event = without(packet_event("send_packet"), "packet_data_hex");
    event["attributes"].as_array_mut().unwrap().push(json!({"key": "packet_data", "value": "{}"}));
    assert!(matches!(read(&event), Some(Fact::Sent(packet)) if &*packet.data == b"{}"));
}

#[test]
fn numbers_may_come_as_numbers_and_the_timeout_height_as_nothing() {
    let event = with(packet_event("send_packet"), "packet_sequence", json!(7));
    let event = with(event, "packet_timeout_height", Json::Null);
    let Some(Fact::Sent(packet)) = read(&event) else { panic!("no packet") };
    assert_eq!((packet.sequence, packet.timeout_height), (Sequence(7), Height::default()));
}

#[test]
fn each_broken_rule_has_its_reason_and_never_fails_the_block() {
    let sent = || packet_event("send_packet");
    let cases = [
        (without(sent(), "packet_sequence"), reason::MISSING),
        (with(sent(), "packet_sequence", json!("0")), reason::ZERO_SEQUENCE),
        (with(sent(), "packet_sequence", json!("-1")), reason::NUMBER),
        (with(sent(), "packet_sequence", json!("18446744073709551616")), reason::NUMBER),
        (with(sent(), "packet_src_channel", json!("channel/1")), reason::IDENTIFIER),
        (with(sent(), "packet_src_port", json!("a\u{1b}[31m")), reason::IDENTIFIER),
        (with(sent(), "packet_src_port", json!("p".repeat(10_000))), reason::IDENTIFIER),
        (with(sent(), "packet_data_hex", json!("zz")), reason::HEX),
        (with(sent(), "packet_data_hex", json!("00".repeat(65))), reason::DATA_TOO_LARGE),
        (with(sent(), "packet_timeout_height", json!("1-2-3")), reason::NUMBER),
        (
            with(with(sent(), "packet_timeout_height", json!("0-0")), "packet_timeout_timestamp", json!("0")),
            reason::NO_TIMEOUT,
        ),
        (with(packet_event("write_acknowledgement"), "packet_ack_hex", json!("00".repeat(17))), reason::ACK_TOO_LARGE),
        (json!({"type": "send_packet", "attributes": [1, 2]}), reason::ATTRIBUTES),
        (json!({"type": "send_packet"}), reason::MISSING),
    ];
    for (event, want) in cases {
        assert_eq!(reason_of(&event), want, "{event}");
    }
    assert!(read(&sent()).is_some_and(|fact| matches!(fact, Fact::Sent(_))));
}

#[test]
fn an_unusable_event_still_names_its_end_and_sequence() {
    let event = with(packet_event("write_acknowledgement"), "packet_ack_hex", json!("00".repeat(17)));
    let Some(Fact::Unusable { end: Some(end), sequence: Some(sequence), .. }) = read(&event) else {
        panic!("no end or sequence")
    };
    assert_eq!((end.to_string(), sequence), ("transfer/channel-2".to_owned(), Sequence(7)));
}

#[test]
fn a_key_written_twice_counts_once() {
    let mut event = packet_event("send_packet");
    event["attributes"].as_array_mut().unwrap().push(json!({"key": "packet_sequence", "value": "8"}));
    assert!(matches!(read(&event), Some(Fact::Sent(packet)) if packet.sequence == Sequence(7)));
}

#[test]
fn packets_between_clients_and_foreign_events_are_not_ours() {
    let mut event = packet_event("send_packet");
    event["attributes"]
        .as_array_mut()
        .unwrap()
        .push(json!({"key": "packet_source_client", "value": "07-tendermint-0"}));
    assert_eq!(read(&event), None);
    assert_eq!(read(&json!({"type": "transfer", "attributes": [{"key": "sender", "value": "x"}]})), None);
}

#[test]
fn client_and_channel_events_are_read_in_both_spellings() {
    let event = |kind: &str, pairs: &[(&str, &str)]| {
        let attributes: Vec<_> = pairs.iter().map(|(k, v)| json!({"key": k, "value": v})).collect();
        read(&json!({"type": kind, "attributes": attributes}))
    };
    let client = ClientId::new("07-tendermint-3").unwrap();
    let update = |key| event("update_client", &[("client_id", "07-tendermint-3"), (key, "1-5,1-6")]);
    let heights = vec![Height::new(1, 5), Height::new(1, 6)];
    let want = Some(Fact::ClientUpdated { client: client.clone(), heights, header: None });
    assert_eq!(update("consensus_heights"), want);
    assert_eq!(update("consensus_height"), want);
    for kind in ["client_misbehaviour", "client_misbehavior"] {
        let frozen = event(kind, &[("client_id", "07-tendermint-3")]);
        assert_eq!(frozen, Some(Fact::ClientFrozen { client: client.clone() }));
    }
    let end = PortChannel { port: PortId::new("transfer").unwrap(), channel: ChannelId::new("channel-4").unwrap() };
    for kind in ["channel_close", "channel_closed", "channel_close_init", "channel_close_confirm"] {
        let closed = event(kind, &[("port_id", "transfer"), ("channel_id", "channel-4")]);
        assert_eq!(closed, Some(Fact::ChannelClosed { end: end.clone() }));
    }
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
        proptest::sample::select(KEYS.to_vec()).prop_map(Json::from),
        proptest::sample::select(vec!["1", "0-0", "1-5", "transfer", "channel-0", "7b7d", "07-tendermint-0"])
            .prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            (inner.clone(), inner.clone()).prop_map(|(k, v)| json!({"key": k, "value": v})),
            proptest::collection::hash_map("[a-z_]{1,8}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_the_reader_panic(kind in 0usize..12, attributes in any_json(), list in proptest::collection::vec((any_json(), any_json()), 0..12)) {
        let kinds = ["send_packet", "recv_packet", "write_acknowledgement", "acknowledge_packet", "timeout_packet", "update_client",
            "client_misbehaviour", "channel_close", "channel_close_init", "x", "channel_close_confirm", "client_misbehavior"];
        let list: Vec<_> = list.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        for attributes in [attributes, Json::from(list)] {
            let text = json!({"type": kinds[kind], "attributes": attributes}).to_string();
            let event: Event<'_> = serde_json::from_str(&text).unwrap();
            // One of ours is a fact or unusable, never silently gone, unless it is of IBC v2.
            if !text.contains("packet_source_client") {
                prop_assert_eq!(fact(&event, CAPS).is_some(), is_ours(kinds[kind]));
            }
        }
    }

    #[test]
    fn a_packet_survives_the_way_through_its_event(sequence in 1u64.., data in proptest::collection::vec(any::<u8>(), 0..64), height in 1u64.., time in any::<u64>()) {
        let event = with(packet_event("recv_packet"), "packet_sequence", json!(sequence.to_string()));
        let event = with(event, "packet_data_hex", json!(hex::encode(&data)));
        let event = with(event, "packet_timeout_height", json!(format!("3-{height}")));
        let event = with(event, "packet_timeout_timestamp", json!(time.to_string()));
        let Some(Fact::Received(packet)) = read(&event) else { return Err(TestCaseError::fail("no packet")) };
        prop_assert_eq!((packet.sequence.0, &*packet.data), (sequence, &data[..]));
        prop_assert_eq!((packet.timeout_height, packet.timeout_timestamp), (Height::new(3, height), Timestamp(time)));
    }
}
