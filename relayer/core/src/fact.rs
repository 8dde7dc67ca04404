//! Facts: what finalized blocks say about packets, clients and transactions. Facts about one thing merge commutatively and
//! idempotently, so order, duplicates, restarts and rival relayers do no harm.

use ibc_proto::google::protobuf::Any;
use relayer_xcm::VersionedXcm;
use std::sync::Arc;

use crate::error::{Detail, TxFailure};
use crate::id::{ChannelId, ClientId, ConnectionId, Height, PortId, Sequence, Timestamp, TxHash};
use crate::packet::{At, Packet, PortChannel};

/// One thing a block says. Identifiers are those of the chain that says it.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// `send_packet`, on the source.
    Sent(Packet),
    /// `recv_packet`, on the destination.
    Received(Packet),
    /// `write_acknowledgement`, on the destination; the bytes verbatim.
    AckWritten(Packet, Arc<[u8]>),
    /// `acknowledge_packet`, on the source.
    Acked {
        /// Source end.
        source: PortChannel,
        /// Sequence.
        sequence: Sequence,
    },
    /// `timeout_packet`, on the source.
    TimedOut {
        /// Source end.
        source: PortChannel,
        /// Sequence.
        sequence: Sequence,
    },
    /// `update_client`: the client now holds consensus states at these heights.
    ClientUpdated {
        /// Which client of this chain.
        client: ClientId,
        /// Heights of the counterparty.
        heights: Vec<Height>,
        /// The message as submitted, where the transaction's body shows it; for misbehaviour checks.
        header: Option<Any>,
    },
    /// The client is frozen (`client_misbehaviour`).
    ClientFrozen {
        /// Which client of this chain.
        client: ClientId,
    },
    /// A client, connection or channel end came into being, by this transaction.
    Opened {
        /// The transaction: ids are learned from our own ones.
        tx: TxHash,
        /// What.
        what: Opened,
    },
    /// A channel end is closed.
    ChannelClosed {
        /// Which end of this chain.
        end: PortChannel,
    },
    /// An event of ours that can't be used: counted, never relayed.
    Unusable {
        /// Stable reason for metrics.
        reason: &'static str,
        /// The channel end it names, where it could be read.
        end: Option<PortChannel>,
        /// The sequence it names, where it could be read.
        sequence: Option<Sequence>,
    },
}

/// A thing that a handshake made. Facts of one transaction are in the order of its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// `create_client`.
    Client {
        /// Its id.
        client: ClientId,
    },
    /// `connection_open_init` or `connection_open_try`.
    Connection {
        /// Its id.
        connection: ConnectionId,
        /// The client it runs over.
        client: ClientId,
        /// The other end; none at INIT.
        counterparty: Option<ConnectionId>,
    },
    /// `channel_open_init` or `channel_open_try`.
    Channel {
        /// Port and id.
        end: PortChannel,
        /// The connection it runs over.
        connection: ConnectionId,
        /// The other end's port.
        counterparty_port: PortId,
        /// The other end; none at INIT.
        counterparty: Option<ChannelId>,
    },
}

/// The result of one transaction of a block.
#[derive(Debug, Clone, PartialEq)]
pub struct TxReport {
    /// Its hash.
    pub hash: TxHash,
    /// Why it failed, if it did.
    pub failure: Option<TxFailure>,
    /// Gas used.
    pub gas_used: u64,
    /// Gas limit.
    pub gas_wanted: u64,
}

/// All a block says, in its order, bounded by [`crate::limits::FACTS_PER_BLOCK`].
#[derive(Debug, Clone, PartialEq)]
pub struct BlockFacts {
    /// Height and time of the block.
    pub at: At,
    /// Packets, clients, channels.
    pub facts: Vec<Fact>,
    /// Transactions.
    pub txs: Vec<TxReport>,
    /// XCM messages beside the packets, at most [`crate::limits::XCM_PER_BLOCK`].
    pub xcm: Vec<XcmMet>,
}

/// An XCM message that a block holds beside its packets.
#[derive(Debug, Clone, PartialEq)]
pub struct XcmMet {
    /// In what.
    pub place: XcmPlace,
    /// The transaction's place in the block, from 0; `None` for what the chain did by itself.
    pub transaction: Option<u32>,
    /// The call or the event, as `Module.name`.
    pub name: Detail,
    /// The message, or why it is none.
    pub found: Result<VersionedXcm, relayer_xcm::Error>,
}

/// Where an XCM message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XcmPlace {
    /// The memo of a packet.
    Memo,
    /// An argument of a transaction's call, or of a call within it.
    Transaction,
    /// A field of an event.
    Event,
}

impl XcmPlace {
    /// For metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Memo => "memo",
            Self::Transaction => "transaction",
            Self::Event => "event",
        }
    }
}

/// The newest finalized block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its height; its results (state after it) can be queried.
    pub height: Height,
    /// Its time.
    pub time: Timestamp,
}
