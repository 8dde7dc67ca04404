//! Connection and channel ends as a chain stores them.

use ibc_proto::ibc::core::channel::v1::{Channel, Order as RawOrder, State as ChannelState};
use ibc_proto::ibc::core::connection::v1::{ConnectionEnd as RawConnection, State as ConnectionState, Version};
use prost::Message as _;

use super::limits;
use crate::id::{ChannelId, ClientId, ConnectionId, PortId};
use crate::packet::Order;

/// State of a connection or channel end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndState {
    /// INIT.
    Init,
    /// TRYOPEN.
    TryOpen,
    /// OPEN.
    Open,
    /// CLOSED (channels only).
    Closed,
}

impl std::fmt::Display for EndState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Init => "INIT",
            Self::TryOpen => "TRYOPEN",
            Self::Open => "OPEN",
            Self::Closed => "CLOSED",
        })
    }
}

/// An ICS-03 connection end, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionEnd {
    /// State; never CLOSED.
    pub state: EndState,
    /// Client on the chain that stores this.
    pub client: ClientId,
    /// Client on the other chain.
    pub counterparty_client: ClientId,
    /// The other end; unknown at INIT.
    pub counterparty: Option<ConnectionId>,
    /// Store prefix of the other chain.
    pub counterparty_prefix: Vec<u8>,
    /// Versions: those offered at INIT, then the one chosen.
    pub versions: Vec<Version>,
    /// Delay period, ns.
    pub delay_ns: u64,
}

impl ConnectionEnd {
    /// Decodes the store's value. The error says what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() > limits::END_BYTES {
            return Err("the connection end is larger than the limit");
        }
        let raw = RawConnection::decode(bytes).map_err(|_| "the connection end can't be decoded")?;
        let state = match raw.state() {
            ConnectionState::Init => EndState::Init,
            ConnectionState::Tryopen => EndState::TryOpen,
            ConnectionState::Open => EndState::Open,
            ConnectionState::UninitializedUnspecified => return Err("the connection end has no state"),
        };
        let versions = raw.versions;
        if versions.is_empty() || versions.len() > limits::VERSIONS {
            return Err("the connection end has no version or too many");
        }
        if versions.iter().any(|v| v.features.len() > limits::FEATURES) {
            return Err("a version of the connection end has too many features");
        }
        if state != EndState::Init && versions.len() != 1 {
            return Err("the connection end is past INIT and has no single version");
        }
        let other = raw.counterparty.ok_or("the connection end has no counterparty")?;
        let counterparty = match other.connection_id.as_str() {
            "" if state == EndState::Init => None,
            "" => return Err("the connection end is past INIT and names no counterparty"),
            id => Some(ConnectionId::new(id).map_err(|_| "the counterparty's connection id is malformed")?),
        };
        Ok(Self {
            state,
            client: ClientId::new(raw.client_id).map_err(|_| "the connection end's client id is malformed")?,
            counterparty_client: ClientId::new(other.client_id)
                .map_err(|_| "the counterparty's client id is malformed")?,
            counterparty,
            counterparty_prefix: other.prefix.map(|p| p.key_prefix).unwrap_or_default(),
            versions,
            delay_ns: raw.delay_period,
        })
    }
}

/// An ICS-04 channel end, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelEnd {
    /// State.
    pub state: EndState,
    /// Ordering.
    pub order: Order,
    /// The other end's port.
    pub counterparty_port: PortId,
    /// The other end's channel; unknown at INIT.
    pub counterparty: Option<ChannelId>,
    /// The one connection it runs over, on the chain that stores this.
    pub connection: ConnectionId,
    /// Version.
    pub version: String,
}

impl ChannelEnd {
    /// Decodes the store's value. The error says what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() > limits::END_BYTES {
            return Err("the channel end is larger than the limit");
        }
        let raw = Channel::decode(bytes).map_err(|_| "the channel end can't be decoded")?;
        let state = match raw.state() {
            ChannelState::Init => EndState::Init,
            ChannelState::Tryopen => EndState::TryOpen,
            ChannelState::Open => EndState::Open,
            ChannelState::Closed => EndState::Closed,
            ChannelState::Flushing | ChannelState::Flushcomplete => return Err("the channel is being upgraded"),
            ChannelState::UninitializedUnspecified => return Err("the channel end has no state"),
        };
        let order = match raw.ordering() {
            RawOrder::Unordered => Order::Unordered,
            RawOrder::Ordered => Order::Ordered,
            RawOrder::NoneUnspecified => return Err("the channel end has no ordering"),
        };
        let [hop] = raw.connection_hops.as_slice() else {
            return Err("the channel runs over several connections; only one hop is supported");
        };
        let other = raw.counterparty.ok_or("the channel end has no counterparty")?;
        let counterparty = match other.channel_id.as_str() {
            "" if matches!(state, EndState::Init | EndState::Closed) => None,
            "" => return Err("the channel end is past INIT and names no counterparty"),
            id => Some(ChannelId::new(id).map_err(|_| "the counterparty's channel id is malformed")?),
        };
        Ok(Self {
            state,
            order,
            counterparty_port: PortId::new(other.port_id).map_err(|_| "the counterparty's port is malformed")?,
            counterparty,
            connection: ConnectionId::new(hop).map_err(|_| "the channel end's connection id is malformed")?,
            version: raw.version,
        })
    }
}
