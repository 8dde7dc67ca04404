//! A packet (ICS-04), its commitment, and its life cycle derived from facts.
//!
//! The life cycle is never stored: [`Record`](crate::record::Record) holds what finalized blocks said, `Record::phase` and `Record::due` read it.
//! Times are chain times in nanoseconds. Bounds: packet data and acknowledgements are capped in [`crate::limits`].

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::id::{ChannelId, Height, PortId, Sequence, Timestamp};
use crate::limits;

/// One end of a channel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortChannel {
    /// ICS-05 port.
    pub port: PortId,
    /// ICS-04 channel.
    pub channel: ChannelId,
}

impl fmt::Display for PortChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.channel)
    }
}

/// ICS-04 channel ordering.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Packets may arrive in any order; absence is proven by a missing receipt.
    #[default]
    Unordered,
    /// Strictly in sequence; absence is proven by the next sequence to receive.
    Ordered,
}

/// An ICS-04 packet as its source chain committed to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Sequence on the source channel.
    pub sequence: Sequence,
    /// Where it was sent.
    pub source: PortChannel,
    /// Where it goes.
    pub destination: PortChannel,
    /// The application's bytes, relayed verbatim.
    pub data: Arc<[u8]>,
    /// Destination height at which it times out; 0-0 for none.
    pub timeout_height: Height,
    /// Destination time (ns) at which it times out; 0 for none.
    pub timeout_timestamp: Timestamp,
}

/// Why a packet can't be taken from a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PacketError {
    /// Sequences start at 1.
    #[error("sequence 0")]
    ZeroSequence,
    /// No timeout at all (ICS-04 forbids it).
    #[error("neither a timeout height nor a timeout timestamp")]
    NoTimeout,
    /// Data over the cap.
    #[error("data of {0} bytes is over the limit")]
    TooLarge(usize),
}

impl Packet {
    /// Checks what every ICS-04 packet satisfies and our own size cap.
    pub fn validate(&self) -> Result<(), PacketError> {
        if self.sequence.0 == 0 {
            return Err(PacketError::ZeroSequence);
        }
        if self.timeout_height.is_zero() && self.timeout_timestamp.0 == 0 {
            return Err(PacketError::NoTimeout);
        }
        if self.data.len() > limits::PACKET_DATA_BYTES {
            return Err(PacketError::TooLarge(self.data.len()));
        }
        Ok(())
    }

    /// ICS-04 v1 commitment: sha256(timeout timestamp ‖ revision ‖ height, each 8 bytes big-endian ‖ sha256(data)).
    pub fn commitment(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.timeout_timestamp.0.to_be_bytes());
        hash.update(self.timeout_height.revision.to_be_bytes());
        hash.update(self.timeout_height.number.to_be_bytes());
        hash.update(Sha256::digest(&self.data));
        hash.finalize().into()
    }

    /// Whether a destination block of this height and time refuses the packet (ibc-go `Timeout.Elapsed`: at or past).
    pub fn timed_out_at(&self, height: Height, time: Timestamp) -> bool {
        let by_height = !self.timeout_height.is_zero() && height >= self.timeout_height;
        let by_time = self.timeout_timestamp.0 != 0 && time >= self.timeout_timestamp;
        by_height || by_time
    }
}

/// ICS-04 v1 acknowledgement commitment: sha256 of the bytes.
pub fn ack_commitment(ack: &[u8]) -> [u8; 32] {
    Sha256::digest(ack).into()
}

/// Which of a path's two chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The path's `a`.
    A,
    /// The path's `b`.
    B,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];
    /// The opposite one.
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
    /// 0 for A, 1 for B.
    pub const fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "a",
            Self::B => "b",
        })
    }
}

/// A packet's name on a path: the side it was sent from, the source end, the sequence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PacketKey {
    /// Sent from.
    pub from: Side,
    /// Source port and channel.
    pub source: PortChannel,
    /// Sequence.
    pub sequence: Sequence,
}

impl fmt::Display for PacketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.from, self.source, self.sequence)
    }
}

/// A block in which a fact became visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct At {
    /// Its height.
    pub height: Height,
    /// Its time.
    pub time: Timestamp,
}
