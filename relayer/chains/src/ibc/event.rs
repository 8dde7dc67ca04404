//! Events of IBC modules to facts (ICS-04 packets and channels, ICS-03 connections, ICS-02 clients), by their names and attributes.
//!
//! Names are those of ibc-go and ibc-rs (`packet_data_hex` before `packet_data`). Identifiers, heights and times go through
//! ibc-relayer-types' checked types. An event of ours that breaks a rule becomes [`Fact::Unusable`] with a stable reason; it never
//! fails its block. Packets of IBC v2 (between clients) are not ours. How a chain writes attributes is its adapter's to know.
//! Bounds: sizes are compared before anything is decoded, see [`Caps`] and [`super::limits`].

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use ibc_relayer_types::core::ics02_client::height::Height as IbcHeight;
use ibc_relayer_types::core::ics04_channel::timeout::TimeoutHeight;
use ibc_relayer_types::core::ics24_host::identifier as ics24;
use ibc_relayer_types::timestamp::Timestamp as IbcTimestamp;
use relayer_core::fact::{Fact, Opened};
use relayer_core::id::{ChannelId, ClientId, ConnectionId, Height, PortId, Sequence, Timestamp, TxHash};
use relayer_core::packet::{Packet, PacketError, PortChannel};

use super::limits::{CONSENSUS_HEIGHTS, SHORT_TEXT_BYTES};

/// Largest packet parts taken, bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caps {
    pub(crate) data: usize,
    pub(crate) ack: usize,
}

/// Reasons of [`Fact::Unusable`]: the labels of a metric.
pub(crate) mod reason {
    pub(crate) const ATTRIBUTES: &str = "event_undecodable";
    pub(crate) const MISSING: &str = "event_attribute_missing";
    pub(crate) const IDENTIFIER: &str = "event_identifier";
    pub(crate) const NUMBER: &str = "event_number";
    pub(crate) const HEX: &str = "event_hex";
    pub(crate) const NO_TIMEOUT: &str = "packet_without_timeout";
    pub(crate) const ZERO_SEQUENCE: &str = "packet_sequence_zero";
    pub(crate) const DATA_TOO_LARGE: &str = "packet_too_large";
    pub(crate) const ACK_TOO_LARGE: &str = "ack_too_large";
}

pub(crate) const KEYS: [&str; 21] = [
    "packet_sequence",
    "packet_src_port",
    "packet_src_channel",
    "packet_dst_port",
    "packet_dst_channel",
    "packet_timeout_height",
    "packet_timeout_timestamp",
    "packet_data_hex",
    "packet_data",
    "packet_ack_hex",
    "packet_ack",
    "packet_source_client",
    "client_id",
    "consensus_heights",
    "consensus_height",
    "port_id",
    "channel_id",
    "connection_id",
    "counterparty_connection_id",
    "counterparty_port_id",
    "counterparty_channel_id",
];

/// The attributes of one event that mean something to us.
pub(crate) struct Attributes<'a> {
    values: [Option<Value<'a>>; KEYS.len()],
}

/// A value.
pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    Bytes(Vec<u8>),
}
impl Value<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl<'a> Attributes<'a> {
    /// Of names and values; names that mean nothing to us are passed over. The module writes each name once: whatever comes later under the
    /// same one is not the module's.
    pub(crate) fn new<K: AsRef<str>>(list: impl IntoIterator<Item = (K, Value<'a>)>) -> Self {
        let mut values = [const { None }; KEYS.len()];
        for (key, value) in list {
            if let Some(slot @ None) = index(key.as_ref()).and_then(|index| values.get_mut(index)) {
                *slot = Some(value);
            }
        }
        Self { values }
    }

    fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.values.get(index(key)?)?.as_ref()
    }
    fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
    /// A short text.
    fn text(&self, key: &str) -> Result<&str, &'static str> {
        let bytes = self.get(key).ok_or(reason::MISSING)?.bytes();
        if bytes.len() > SHORT_TEXT_BYTES {
            return Err(reason::IDENTIFIER);
        }
        std::str::from_utf8(bytes).map_err(|_| reason::IDENTIFIER)
    }
    fn number(&self, key: &str) -> Result<u64, &'static str> {
        self.text(key)?.parse().map_err(|_| reason::NUMBER)
    }
    /// Bytes in hex under one name, or verbatim under the older one. Measured before they are decoded.
    fn blob(&self, hex_key: &str, plain_key: &str, cap: usize, over: &'static str) -> Result<Arc<[u8]>, &'static str> {
        if let Some(value) = self.get(hex_key) {
            let text = value.bytes();
            if text.len() / 2 > cap {
                return Err(over);
            }
            return hex::decode(text).map(Arc::from).map_err(|_| reason::HEX);
        }
        let bytes = self.get(plain_key).ok_or(reason::MISSING)?.bytes();
        if bytes.len() > cap { Err(over) } else { Ok(Arc::from(bytes)) }
    }

    fn end(&self, port: &str, channel: &str) -> Result<PortChannel, &'static str> {
        let port = ics24::PortId::from_str(self.text(port)?).map_err(|_| reason::IDENTIFIER)?;
        let channel = ics24::ChannelId::from_str(self.text(channel)?).map_err(|_| reason::IDENTIFIER)?;
        Ok(PortChannel {
            port: PortId::new(port.as_str()).map_err(|_| reason::IDENTIFIER)?,
            channel: ChannelId::new(channel.as_str()).map_err(|_| reason::IDENTIFIER)?,
        })
    }
    fn source(&self) -> Result<PortChannel, &'static str> {
        self.end("packet_src_port", "packet_src_channel")
    }
    fn destination(&self) -> Result<PortChannel, &'static str> {
        self.end("packet_dst_port", "packet_dst_channel")
    }
    fn sequence(&self) -> Result<Sequence, &'static str> {
        match self.number("packet_sequence")? {
            0 => Err(reason::ZERO_SEQUENCE),
            n => Ok(Sequence(n)),
        }
    }
    fn client(&self) -> Result<ClientId, &'static str> {
        let client = ics24::ClientId::from_str(self.text("client_id")?).map_err(|_| reason::IDENTIFIER)?;
        ClientId::new(client.as_str()).map_err(|_| reason::IDENTIFIER)
    }

    fn connection(&self, key: &str) -> Result<ConnectionId, &'static str> {
        let connection = ics24::ConnectionId::from_str(self.text(key)?).map_err(|_| reason::IDENTIFIER)?;
        ConnectionId::new(connection.as_str()).map_err(|_| reason::IDENTIFIER)
    }
    /// An id that is absent, or empty, where it is not known yet.
    fn known<T>(
        &self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Result<Option<T>, &'static str> {
        match self.get(key) {
            Some(value) if !value.bytes().is_empty() => read(key).map(Some),
            _ => Ok(None),
        }
    }

    fn packet(&self, caps: Caps) -> Result<Packet, &'static str> {
        let timeout_height = match self.text("packet_timeout_height")? {
            // ibc-go writes "none" as 0-0; some chains leave it empty.
            "" | "0-0" => TimeoutHeight::Never,
            text => TimeoutHeight::At(IbcHeight::from_str(text).map_err(|_| reason::NUMBER)?),
        };
        let timeout_timestamp = IbcTimestamp::from_nanoseconds(self.number("packet_timeout_timestamp")?);
        let packet = Packet {
            sequence: self.sequence()?,
            source: self.source()?,
            destination: self.destination()?,
            data: self.blob("packet_data_hex", "packet_data", caps.data, reason::DATA_TOO_LARGE)?,
            timeout_height: match timeout_height {
                TimeoutHeight::Never => Height::default(),
                TimeoutHeight::At(h) => Height::new(h.revision_number(), h.revision_height()),
            },
            timeout_timestamp: Timestamp(timeout_timestamp.map_err(|_| reason::NUMBER)?.nanoseconds()),
        };
        packet.validate().map_err(|broken| match broken {
            PacketError::ZeroSequence => reason::ZERO_SEQUENCE,
            PacketError::NoTimeout => reason::NO_TIMEOUT,
            PacketError::TooLarge(_) => reason::DATA_TOO_LARGE,
        })?;
        Ok(packet)
    }

    fn consensus_heights(&self) -> Result<Vec<Height>, &'static str> {
        let value = self.get("consensus_heights").filter(|value| !value.bytes().is_empty());
        let Some(value) = value.or_else(|| self.get("consensus_height")) else { return Ok(Vec::new()) };
        let text = std::str::from_utf8(value.bytes()).map_err(|_| reason::NUMBER)?;
        if text.len() > CONSENSUS_HEIGHTS * 42 {
            return Err(reason::NUMBER);
        }
        let heights = text.split(',').filter(|part| !part.is_empty()).take(CONSENSUS_HEIGHTS);
        heights
            .map(|part| {
                let height = IbcHeight::from_str(part).map_err(|_| reason::NUMBER)?;
                Ok(Height::new(height.revision_number(), height.revision_height()))
            })
            .collect()
    }
}

/// The place of a name that means something to us.
fn index(key: &str) -> Option<usize> {
    KEYS.iter().position(|name| *name == key)
}

/// The name that these bytes are.
pub(crate) fn key(bytes: &[u8]) -> Option<&'static str> {
    KEYS.into_iter().find(|name| name.as_bytes() == bytes)
}

/// Whether an event's type is one of ours.
pub(crate) fn is_ours(kind: &str) -> bool {
    matches!(
        kind,
        "send_packet"
            | "recv_packet"
            | "write_acknowledgement"
            | "acknowledge_packet"
            | "timeout_packet"
            | "update_client"
            | "client_misbehaviour"
            | "client_misbehavior"
            | "channel_close"
            | "channel_closed"
            | "channel_close_init"
            | "channel_close_confirm"
    )
}

/// What an event says, if it is one of ours. Its attributes are read only then; an error is a stable reason.
pub(crate) fn fact<'a>(
    kind: &str,
    attributes: impl FnOnce() -> Result<Attributes<'a>, &'static str>,
    caps: Caps,
) -> Option<Fact> {
    if !is_ours(kind) {
        return None;
    }
    let attributes = match attributes() {
        Ok(attributes) => attributes,
        Err(reason) => return Some(Fact::Unusable { reason, end: None, sequence: None }),
    };
    if attributes.has("packet_source_client") {
        return None;
    }
    let read = match kind {
        "send_packet" => attributes.packet(caps).map(Fact::Sent),
        "recv_packet" => attributes.packet(caps).map(Fact::Received),
        "write_acknowledgement" => attributes.packet(caps).and_then(|packet| {
            let ack = attributes.blob("packet_ack_hex", "packet_ack", caps.ack, reason::ACK_TOO_LARGE)?;
            Ok(Fact::AckWritten(packet, ack))
        }),
        "acknowledge_packet" => source(&attributes).map(|(source, sequence)| Fact::Acked { source, sequence }),
        "timeout_packet" => source(&attributes).map(|(source, sequence)| Fact::TimedOut { source, sequence }),
        "update_client" => attributes.client().and_then(|client| {
            Ok(Fact::ClientUpdated { client, heights: attributes.consensus_heights()?, header: None })
        }),
        "client_misbehaviour" | "client_misbehavior" => attributes.client().map(|client| Fact::ClientFrozen { client }),
        _ => attributes.end("port_id", "channel_id").map(|end| Fact::ChannelClosed { end }),
    };
    Some(read.unwrap_or_else(|reason| Fact::Unusable {
        reason,
        // The end on the chain that says it, so that the filter and the metrics can place it.
        end: match kind {
            "recv_packet" | "write_acknowledgement" => attributes.destination().ok(),
            "channel_close" | "channel_closed" | "channel_close_init" | "channel_close_confirm" => {
                attributes.end("port_id", "channel_id").ok()
            }
            _ => attributes.source().ok(),
        },
        sequence: attributes.sequence().ok(),
    }))
}

/// What an event of a transaction says about a handshake, if it made an id.
pub(crate) fn opened<'a>(
    kind: &str,
    attributes: impl FnOnce() -> Result<Attributes<'a>, &'static str>,
    tx: TxHash,
) -> Option<Fact> {
    let read: fn(&Attributes<'_>) -> Result<Opened, &'static str> = match kind {
        "create_client" => |said| Ok(Opened::Client { client: said.client()? }),
        "connection_open_init" | "connection_open_try" => |said| {
            Ok(Opened::Connection {
                connection: said.connection("connection_id")?,
                client: said.client()?,
                counterparty: said.known("counterparty_connection_id", |key| said.connection(key))?,
            })
        },
        "channel_open_init" | "channel_open_try" => |said| {
            let port = ics24::PortId::from_str(said.text("counterparty_port_id")?).map_err(|_| reason::IDENTIFIER)?;
            let other = |_: &str| said.end("counterparty_port_id", "counterparty_channel_id");
            Ok(Opened::Channel {
                end: said.end("port_id", "channel_id")?,
                connection: said.connection("connection_id")?,
                counterparty_port: PortId::new(port.as_str()).map_err(|_| reason::IDENTIFIER)?,
                counterparty: said.known("counterparty_channel_id", other)?.map(|end| end.channel),
            })
        },
        _ => return None,
    };
    let what = attributes().and_then(|attributes| read(&attributes));
    Some(match what {
        Ok(what) => Fact::Opened { tx, what },
        Err(reason) => Fact::Unusable { reason, end: None, sequence: None },
    })
}

fn source(attributes: &Attributes<'_>) -> Result<(PortChannel, Sequence), &'static str> {
    Ok((attributes.source()?, attributes.sequence()?))
}
