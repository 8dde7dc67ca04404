//! What goes into the engine and what comes out of it.

use std::sync::Arc;

use crate::chain::{PastFact, Path};
use crate::error::TxFailure;
use crate::fact::BlockFacts;
use crate::id::{ChannelId, ClientId, Height, Sequence, Timestamp};
use crate::message::{Message, Proof};
use crate::packet::{At, PacketKey, PortChannel, Side};
use crate::record::Action;

/// A packet's compact name inside one engine: the side it was sent from, the channel's number on the path, the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Sent from.
    pub from: Side,
    /// Which of the path's channels.
    pub channel: u16,
    /// Sequence.
    pub sequence: Sequence,
}

/// The two ends of one of the path's channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelPair {
    /// End on A.
    pub a: PortChannel,
    /// End on B.
    pub b: PortChannel,
}

impl ChannelPair {
    /// The end on a side.
    pub fn end(&self, side: Side) -> &PortChannel {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }
    /// The channel id on a side.
    pub fn id(&self, side: Side) -> &ChannelId {
        &self.end(side).channel
    }
}

/// The client on one side that tracks the other, as read from the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRead {
    /// Its id.
    pub id: ClientId,
    /// Newest consensus height.
    pub latest: Height,
    /// Time of that consensus state (the tracked chain's).
    pub latest_time: Timestamp,
    /// Trusting period, ns.
    pub trusting_period_ns: u64,
    /// Frozen.
    pub frozen: bool,
}

/// Identifies one submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub u64);

/// What became of a submission.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptOutcome {
    /// In a block and successful.
    Committed {
        /// That block.
        height: Height,
    },
    /// In a block and failed, or never sent.
    Failed {
        /// Why.
        failure: TxFailure,
        /// What was at fault.
        blame: Blame,
    },
}

/// What was at fault in a transaction that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blame {
    /// The chain does not say which message.
    Unknown,
    /// A client update before the effect's messages: none of those was tried.
    Update,
    /// The messages at these positions among the effect's own.
    Messages(Vec<usize>),
}

impl Blame {
    /// Of a transaction in which so many client updates stood before the effect's messages.
    pub fn of(failure: &TxFailure, updates: usize) -> Self {
        let TxFailure::Message { index: Some(first), others, .. } = failure else { return Self::Unknown };
        let own: Option<Vec<usize>> =
            std::iter::once(first).chain(others).map(|position| position.checked_sub(updates)).collect();
        own.map_or(Self::Update, Self::Messages)
    }
}

/// Why a proof is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProveFailure {
    /// Verified: the packet can't be relayed. A stable reason (phantom event, other data than committed to).
    Refused(&'static str),
    /// Not now: a node is away, slow or lying.
    Later {
        /// Least wait, ms.
        after_ms: u64,
        /// Stable reason.
        reason: &'static str,
    },
}

/// Into the engine.
#[derive(Debug, Clone)]
pub enum Input {
    /// One block of a side, in order of height.
    Block {
        /// Which chain.
        side: Side,
        /// What it says.
        block: Arc<BlockFacts>,
    },
    /// Facts of the past, found in state (recovery); also moves nothing but packets.
    Past {
        /// Which chain.
        side: Side,
        /// The facts.
        facts: Vec<PastFact>,
    },
    /// All open commitments of a channel end, read from the state after `at`: what we hold open and is not among them has been settled.
    Commitments {
        /// Source side.
        side: Side,
        /// Source end.
        source: PortChannel,
        /// The block whose state was read.
        at: At,
        /// Sequences that still have a commitment.
        open: std::collections::BTreeSet<Sequence>,
    },
    /// Of the open commitments, those that the destination's state after `at` has no receipt of: an event that said otherwise lied.
    Unreceived {
        /// Source side.
        side: Side,
        /// Source end.
        source: PortChannel,
        /// The destination's block whose state, or a later one, was read.
        at: At,
        /// The sequences.
        sequences: Vec<Sequence>,
    },
    /// The client on a side, read from the chain.
    Client {
        /// Which chain holds it.
        side: Side,
        /// What it says.
        client: ClientRead,
    },
    /// The answer to [`Effect::Prove`]: every key of the effect once.
    Proved {
        /// The effect's number.
        id: u64,
        /// A verified proof, or why not.
        results: Vec<(Key, Result<Proof, ProveFailure>)>,
    },
    /// The answer to [`Effect::Submit`].
    Attempt {
        /// The effect's number.
        id: AttemptId,
        /// What became of it.
        outcome: AttemptOutcome,
    },
}

/// One value to prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProveItem {
    /// For which packet.
    pub key: Key,
    /// For which action.
    pub action: Action,
    /// Where it stands.
    pub path: Path,
    /// What must stand there; `None` = nothing must.
    pub expect: Option<[u8; 32]>,
    /// What the packet's source must have committed to, where no proof has shown that before: an acknowledgement and a timeout carry the
    /// packet, and events alone vouch for it.
    pub source: Option<SourceCheck>,
}

/// A packet that only events vouch for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceCheck {
    /// Where its commitment stands on the source.
    pub path: Path,
    /// The commitment.
    pub commitment: [u8; 32],
    /// The block of its send, where known.
    pub sent: Option<Height>,
}

/// Out of the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Fetch proofs of the state after block `at` of `side`, or of the next that can be proven, and verify them against the verified header
    /// that holds its root.
    Prove {
        /// Number to answer with.
        id: u64,
        /// Which chain's state.
        side: Side,
        /// Which state.
        at: Height,
        /// What.
        items: Vec<ProveItem>,
    },
    /// Submit messages to `side`, in order of the effects.
    Submit {
        /// Number to answer with.
        id: AttemptId,
        /// Which chain.
        side: Side,
        /// Bring the client to this height first, in the same transaction.
        update: Option<Height>,
        /// The packets, in the order of the messages.
        keys: Vec<Key>,
        /// The messages.
        messages: Vec<Message>,
    },
    /// Something to record: metrics, traces, journal, log.
    Notice(Notice),
}

/// News about packets and clients.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// A packet became known.
    Seen {
        /// Its name.
        key: PacketKey,
        /// The block of its send, where known.
        sent: Option<At>,
        /// Found in recovery, not live.
        backlog: bool,
    },
    /// Its memo carries an XCM message; told once, with [`Notice::Seen`].
    Xcm {
        /// Its name.
        key: PacketKey,
        /// The message, or what is wrong with it.
        found: Box<Result<relayer_xcm::VersionedXcm, relayer_xcm::Error>>,
    },
    /// It was received on the destination.
    Received {
        /// Its name.
        key: PacketKey,
        /// The block of its send, where known.
        sent: Option<At>,
        /// The block of its receive.
        received: At,
    },
    /// It is over.
    Ended {
        /// Its name.
        key: PacketKey,
        /// The block of its send, where known.
        sent: Option<At>,
        /// How: ACKED, TIMED_OUT or FAILED.
        phase: crate::record::Phase,
        /// The last block, unless FAILED.
        at: Option<At>,
        /// Why it FAILED.
        reason: Option<&'static str>,
    },
    /// Its proof did not verify or could not be had; it is tried again.
    ProofRefused {
        /// Its name.
        key: PacketKey,
        /// Chain whose state was to prove it.
        side: Side,
        /// Stable reason.
        reason: &'static str,
    },
    /// An event that can't be used.
    Unusable {
        /// Chain that says it.
        side: Side,
        /// Stable reason.
        reason: &'static str,
    },
    /// Nothing can be submitted to a side until somebody acts.
    Halted {
        /// Which chain.
        side: Side,
        /// Why.
        reason: &'static str,
    },
    /// A message that was due became needless before it was signed (a rival was quicker).
    Avoided {
        /// Its name.
        key: PacketKey,
        /// Which message.
        action: Action,
    },
    /// A message we paid for did nothing (a rival was quicker inside one block).
    Redundant {
        /// Its name.
        key: PacketKey,
        /// Which message.
        action: Action,
    },
}
