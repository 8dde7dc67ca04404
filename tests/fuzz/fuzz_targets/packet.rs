//! Packets and acknowledgements written as events in each of CometBFT's and ibc-go's dialects are read back as they were, and a
//! packet's commitment is ICS-04's.
#![no_main]

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use relayer_chains::cosmos::fuzz;
use relayer_core::fact::Fact;
use relayer_core::filter::Filter;
use relayer_core::id::{ChannelId, Height, PortId, Sequence, Timestamp};
use relayer_core::packet::{Packet, PortChannel, ack_commitment};
use relayer_fuzz::Input;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let dialect = input.byte();
    let sequence = Sequence(input.number());
    // ibc-go's heights start at 1; 0-0 is none, and 0 in another revision is no height.
    let timeout_height = Height::new(u64::from(input.byte()), input.number());
    let timeout_timestamp = Timestamp(input.number());
    let Some((source, destination)) = end(&mut input).zip(end(&mut input)) else { return };
    let ack: Arc<[u8]> = input.part().into();
    let packet = Packet { sequence, source, destination, data: input.0.into(), timeout_height, timeout_timestamp };

    let mut bytes = packet.timeout_timestamp.0.to_be_bytes().to_vec();
    bytes.extend(packet.timeout_height.revision.to_be_bytes());
    bytes.extend(packet.timeout_height.number.to_be_bytes());
    bytes.extend(Sha256::digest(&packet.data));
    assert_eq!(packet.commitment()[..], Sha256::digest(bytes)[..]);
    assert_eq!(ack_commitment(&ack)[..], Sha256::digest(&ack)[..]);
    let filter = Filter { max_memo_bytes: 10, max_receiver_bytes: 10, ..Filter::default() };
    assert_eq!(filter.refuses(&packet), filter.refuses(&packet.clone()));

    let Some(event) = event(&packet, &ack, dialect) else { return };
    let read = fuzz::fact(&event.to_string());
    let usable = packet.validate().is_ok()
        && (timeout_height.number > 0 || timeout_height.is_zero())
        && ack.len() <= fuzz::CAP_BYTES
        // What ibc-go itself takes for a time: half of the range of 64 bits.
        && timeout_timestamp.0 <= i64::MAX as u64;
    if usable {
        assert_eq!(read, Some(Fact::AckWritten(packet, ack)), "{event}");
    } else if packet.validate().is_err() {
        assert!(matches!(read, Some(Fact::Unusable { .. })), "{event} {read:?}");
    }
});

fn end(input: &mut Input<'_>) -> Option<PortChannel> {
    let (port, channel) = (PortId::new(input.text()), ChannelId::new(input.text()));
    // ICS-24's least length of a channel id.
    Some(PortChannel { port: port.ok()?, channel: channel.ok().filter(|channel| channel.as_str().len() >= 8)? })
}

/// `write_acknowledgement` as ibc-go v8 on writes it (hex), as older ones do (text), each plain or in CometBFT 0.34's base64.
fn event(packet: &Packet, ack: &[u8], dialect: u8) -> Option<Value> {
    let in_hex = dialect & 1 == 0;
    let mut attributes = vec![
        ("packet_sequence", packet.sequence.to_string()),
        ("packet_src_port", packet.source.port.to_string()),
        ("packet_src_channel", packet.source.channel.to_string()),
        ("packet_dst_port", packet.destination.port.to_string()),
        ("packet_dst_channel", packet.destination.channel.to_string()),
        ("packet_timeout_height", packet.timeout_height.to_string()),
        ("packet_timeout_timestamp", packet.timeout_timestamp.to_string()),
    ];
    if in_hex {
        attributes.push(("packet_data_hex", hex::encode(&packet.data)));
        attributes.push(("packet_ack_hex", hex::encode(ack)));
    } else {
        attributes.push(("packet_data", String::from_utf8(packet.data.to_vec()).ok()?));
        attributes.push(("packet_ack", String::from_utf8(ack.to_vec()).ok()?));
    }
    let attributes = attributes.into_iter().map(|(key, value)| match dialect & 2 {
        0 => json!({ "key": key, "value": value, "index": true }),
        _ => json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(value) }),
    });
    Some(json!({ "type": "write_acknowledgement", "attributes": attributes.collect::<Vec<_>>() }))
}
