//! What the journal keeps: attempts, packets, fees.

use std::sync::Arc;

use relayer_core::id::{AccountSequence, ChainId, Height, Timestamp, TxHash};
use relayer_core::packet::{At, PacketKey};
use relayer_core::record::{Action, Phase};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// A transaction that is about to be broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Hash of the signed bytes.
    pub hash: TxHash,
    /// The chain it goes to.
    pub chain: ChainId,
    /// The path it serves.
    pub path: Arc<str>,
    /// The wallet's address.
    pub signer: Arc<str>,
    /// The wallet's account sequence in it.
    pub account_sequence: AccountSequence,
    /// It can't be included above this height.
    pub timeout_height: Height,
    /// What it is for.
    pub kind: AttemptKind,
    /// The packets in it and what it does for each.
    pub packets: Vec<(Action, PacketKey)>,
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptKind {
    /// Receives, acknowledgements, timeouts.
    Packets,
    /// A client's creation, update or misbehaviour.
    Client,
    /// A connection's or channel's handshake.
    Handshake,
    /// A message of the user's own.
    Other,
}

impl AttemptKind {
    /// The name in the database, text and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packets => "packets",
            Self::Client => "client",
            Self::Handshake => "handshake",
            Self::Other => "other",
        }
    }
    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Packets, Self::Client, Self::Handshake, Self::Other].into_iter().find(|k| k.name() == name)
    }
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// In a block, and it succeeded.
    Committed(Height),
    /// In a block, and it failed; a stable reason (`TxFailure::label`).
    Failed(Height, &'static str),
    /// The node refused it; a stable reason.
    Refused(&'static str),
    /// It is not in a block and can't get into one any more.
    Expired,
}

impl AttemptEnd {
    pub(super) fn columns(&self) -> (&'static str, Option<Height>, Option<&'static str>) {
        match self {
            Self::Committed(h) => ("committed", Some(*h), None),
            Self::Failed(h, why) => ("failed", Some(*h), Some(why)),
            Self::Refused(why) => ("refused", None, Some(why)),
            Self::Expired => ("expired", None, None),
        }
    }
}

/// A packet met for the first time (or again).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Its name on the path.
    pub key: PacketKey,
    /// The chain it was sent on.
    pub source_chain: ChainId,
    /// The block that told of it; the send's where it is known.
    pub at: At,
}

impl Sighting {
    /// The packet's id (`crosschain.tx_id`): a UUIDv7 whose time is the block's and whose other bits come from the packet's name. It is
    /// the same after a lost journal and in every relayer that met the packet in the same block.
    pub fn tx_id(&self) -> Uuid {
        let mut hash = Sha256::new();
        hash.update(b"crosschain.tx_id");
        let source = &self.key.source;
        for part in [self.source_chain.as_str(), source.port.as_str(), source.channel.as_str()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(self.key.sequence.0.to_be_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let mut name = [0u8; 10];
        name.copy_from_slice(&digest[..10]);
        Builder::from_unix_timestamp_millis(self.at.time.0 / 1_000_000, &name).into_uuid()
    }
}

/// News of a packet: its phase and the chain times known so far. Times once written stay; `None` changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketNews {
    /// Its name on the path.
    pub key: PacketKey,
    /// The operator's view.
    pub phase: Phase,
    /// Block time of the send.
    pub sent: Option<Timestamp>,
    /// Block time of the receive.
    pub received: Option<Timestamp>,
    /// Block time of the acknowledgement or timeout on the source.
    pub ended: Option<Timestamp>,
    /// Why it FAILED.
    pub reason: Option<&'static str>,
}

/// A packet as the journal remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalPacket {
    /// Its name on the path.
    pub key: PacketKey,
    /// Its UUIDv7.
    pub tx_id: Uuid,
    /// The operator's view.
    pub phase: Phase,
    /// Block time of the send.
    pub sent: Option<Timestamp>,
    /// Block time of the receive.
    pub received: Option<Timestamp>,
    /// Block time of the acknowledgement or timeout on the source.
    pub ended: Option<Timestamp>,
    /// Why it FAILED.
    pub reason: Option<String>,
}

impl JournalPacket {
    /// From the send's block to the receive's, ms.
    pub fn receive_ms(&self) -> Option<u64> {
        Some(self.received?.since(self.sent?) / 1_000_000)
    }
    /// From the send's block to the acknowledgement's or timeout's, ms.
    pub fn whole_ms(&self) -> Option<u64> {
        Some(self.ended?.since(self.sent?) / 1_000_000)
    }
}

/// A fee that was paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fee {
    /// On which chain.
    pub chain: ChainId,
    /// For which path.
    pub path: Arc<str>,
    /// For which message kind (`Message::kind`).
    pub kind: Arc<str>,
    /// Denomination.
    pub denom: Arc<str>,
    /// Amount.
    pub amount: u128,
}

/// Fees paid so far for one chain, path, message kind and denomination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeTotal {
    /// On which chain.
    pub chain: ChainId,
    /// For which path.
    pub path: String,
    /// For which message kind.
    pub kind: String,
    /// Denomination.
    pub denom: String,
    /// Sum.
    pub amount: u128,
    /// How many payments.
    pub payments: u64,
}

pub(super) fn phase_from_name(name: &str) -> Option<Phase> {
    [Phase::Uninitialized, Phase::Validating, Phase::Committed, Phase::Acked, Phase::TimedOut, Phase::Failed]
        .into_iter()
        .find(|p| p.name() == name)
}
