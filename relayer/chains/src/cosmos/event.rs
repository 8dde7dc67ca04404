//! ABCI events as the facts that [`crate::ibc::event`] reads from them.
//!
//! Tolerant of how CometBFT writes attributes: plain text, or base64 in 0.34. Bounds: [`super::limits`].

use relayer_core::fact::Fact;
use relayer_core::id::TxHash;

use super::limits::ATTRIBUTES;
use super::node::base64;
use super::wire::{Attribute, Event};
use crate::ibc::event::{self, Attributes, Value};
pub(crate) use crate::ibc::event::{Caps, reason};

/// What an event says, if it is one of ours.
pub(crate) fn fact(event: &Event<'_>, caps: Caps) -> Option<Fact> {
    event::fact(&event.kind.0, || read(event), caps)
}

/// What an event of a transaction says about a handshake, if it made an id.
pub(crate) fn opened(event: &Event<'_>, tx: TxHash) -> Option<Fact> {
    event::opened(&event.kind.0, || read(event), tx)
}

fn read<'a>(event: &Event<'a>) -> Result<Attributes<'a>, &'static str> {
    let Some(raw) = event.attributes else { return Ok(Attributes::new::<&str>([])) };
    let list: Option<Vec<Attribute<'a>>> = serde_json::from_str(raw.get()).map_err(|_| reason::ATTRIBUTES)?;
    let mut values = Vec::new();
    for Attribute { key, value } in list.unwrap_or_default().into_iter().take(ATTRIBUTES) {
        if let Some(name) = event::key(key.0.as_bytes()) {
            values.push((name, Value::Text(value.0)));
        } else if let Some(name) = encoded_key(&key.0) {
            values.push((name, Value::Bytes(base64(&value.0).ok_or(reason::ATTRIBUTES)?)));
        }
    }
    Ok(Attributes::new(values))
}

fn encoded_key(key: &str) -> Option<&'static str> {
    if key.len() > 40 {
        return None;
    }
    event::key(&base64(key)?)
}

#[cfg(test)]
mod tests {
    use relayer_core::fact::Opened;
    use relayer_core::id::{ChannelId, ClientId, ConnectionId, PortId};
    use relayer_core::packet::PortChannel;

    use super::*;

    const TX: TxHash = TxHash([7; 32]);

    fn read(json: &str) -> Option<Fact> {
        opened(&serde_json::from_str::<Event<'_>>(json).unwrap(), TX)
    }

    /// Events as ibc-go v10.7.0 writes them.
    #[test]
    fn ids_made_by_a_handshake_are_read_from_its_events() {
        let made = |json| match read(json) {
            Some(Fact::Opened { tx: TX, what }) => what,
            other => panic!("{other:?}"),
        };
        let client = ClientId::new("07-tendermint-3").unwrap();
        let connection = |n: u8| ConnectionId::new(format!("connection-{n}")).unwrap();
        let transfer = PortId::new("transfer").unwrap();
        let channel = |n: u8| ChannelId::new(format!("channel-{n}")).unwrap();
        assert_eq!(
            made(
                r#"{"type":"create_client","attributes":[{"key":"client_id","value":"07-tendermint-3","index":true},{"key":"client_type","value":"07-tendermint","index":true},{"key":"consensus_height","value":"1-5","index":true}]}"#
            ),
            Opened::Client { client: client.clone() }
        );
        assert_eq!(
            made(
                r#"{"type":"connection_open_init","attributes":[{"key":"connection_id","value":"connection-1","index":true},{"key":"client_id","value":"07-tendermint-3","index":true},{"key":"counterparty_client_id","value":"07-tendermint-0","index":true}]}"#
            ),
            Opened::Connection { connection: connection(1), client: client.clone(), counterparty: None }
        );
        assert_eq!(
            made(
                r#"{"type":"connection_open_try","attributes":[{"key":"connection_id","value":"connection-2","index":true},{"key":"client_id","value":"07-tendermint-3","index":true},{"key":"counterparty_client_id","value":"07-tendermint-0","index":true},{"key":"counterparty_connection_id","value":"connection-1","index":true}]}"#
            ),
            Opened::Connection { connection: connection(2), client, counterparty: Some(connection(1)) }
        );
        // Older versions write the counterparty's channel as an empty text at INIT.
        assert_eq!(
            made(
                r#"{"type":"channel_open_init","attributes":[{"key":"port_id","value":"transfer"},{"key":"channel_id","value":"channel-4"},{"key":"counterparty_port_id","value":"transfer"},{"key":"counterparty_channel_id","value":""},{"key":"connection_id","value":"connection-1"},{"key":"version","value":"ics20-1"}]}"#
            ),
            Opened::Channel {
                end: PortChannel { port: transfer.clone(), channel: channel(4) },
                connection: connection(1),
                counterparty_port: transfer.clone(),
                counterparty: None,
            }
        );
        assert_eq!(
            made(
                r#"{"type":"channel_open_try","attributes":[{"key":"port_id","value":"transfer"},{"key":"channel_id","value":"channel-5"},{"key":"counterparty_port_id","value":"transfer"},{"key":"counterparty_channel_id","value":"channel-4"},{"key":"connection_id","value":"connection-2"},{"key":"version","value":"ics20-1"}]}"#
            ),
            Opened::Channel {
                end: PortChannel { port: transfer.clone(), channel: channel(5) },
                connection: connection(2),
                counterparty_port: transfer,
                counterparty: Some(channel(4)),
            }
        );
    }

    #[test]
    fn malformed_ids_are_unusable_and_other_events_are_none_of_ours() {
        let bad = r#"{"type":"create_client","attributes":[{"key":"client_id","value":"../x"}]}"#;
        assert!(matches!(read(bad), Some(Fact::Unusable { reason: reason::IDENTIFIER, .. })));
        let without = r#"{"type":"channel_open_init","attributes":[{"key":"port_id","value":"transfer"}]}"#;
        assert!(matches!(read(without), Some(Fact::Unusable { reason: reason::MISSING, .. })));
        assert_eq!(read(r#"{"type":"channel_open_ack","attributes":[]}"#), None);
    }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod event_tests;
