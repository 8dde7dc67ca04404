//! Why `path create` stopped.

use light_clients::Reason;
use relayer_core::error::{ChainError, Remedy, TxFailure};
use relayer_core::handshake::{HandshakeError, Phase, What};
use relayer_core::id::{ChainId, Height, TxHash};
use thiserror::Error;

use super::limits;

/// Why `path create` stopped. What was opened before stays known: running it again goes on from there.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum HandshakeFailure {
    /// What the chains hold can't become what is wanted.
    #[error(transparent)]
    Rules(#[from] HandshakeError),
    /// A chain can't be asked.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A transaction was refused or failed.
    #[error("{chain}: {}: {failure}", words(.does))]
    Tx {
        /// Which chain.
        chain: ChainId,
        /// What it would have done.
        does: Vec<What>,
        /// Why not.
        failure: Box<TxFailure>,
    },
    /// A proof does not verify; the node is set aside, nothing was sent.
    #[error("{chain}: the proof of `{path}` from {endpoint} is bad ({}); nothing was sent", .reason.label())]
    Proof {
        /// Whose state.
        chain: ChainId,
        /// Which path.
        path: String,
        /// Redacted label of the node.
        endpoint: String,
        /// What is wrong.
        reason: Reason,
    },
    /// The node answered another height, or another number of values, than asked.
    #[error("{chain}: the node's answer is not what was asked for ({what}); nothing was sent")]
    Answer {
        /// Whose node.
        chain: ChainId,
        /// What is wrong.
        what: &'static str,
    },
    /// Our transaction is in a block whose events don't say which ids it made.
    #[error(
        "{chain}: transaction {hash} is in block {height}, but the block's events don't tell the ids it made; look them up and write them into the path"
    )]
    Events {
        /// Which chain.
        chain: ChainId,
        /// The transaction.
        hash: TxHash,
        /// Its block.
        height: Height,
    },
    /// No new block for a long time.
    #[error("{chain} has made no block for {} s", limits::STALL.as_secs())]
    Stalled {
        /// Which chain.
        chain: ChainId,
    },
    /// The verification threads have stopped.
    #[error("verification has stopped")]
    Verification,
}

impl HandshakeFailure {
    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Rules(e) => e.remedy(),
            Self::Chain(e) => e.remedy(),
            Self::Tx { failure, .. } => failure.remedy(),
            Self::Proof { .. } | Self::Answer { .. } => Remedy::Retry { after_ms: 200 },
            Self::Events { .. } | Self::Stalled { .. } | Self::Verification => Remedy::Halt,
        }
    }

    /// A stable short word for metrics and `--json`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Rules(e) => e.label(),
            Self::Chain(e) => e.label(),
            Self::Tx { failure, .. } => failure.label(),
            Self::Proof { reason, .. } => reason.label(),
            Self::Answer { .. } => "wrong_answer",
            Self::Events { .. } => "events_missing",
            Self::Stalled { .. } => "chain_stalled",
            Self::Verification => "verification_stopped",
        }
    }
}

/// What a transaction does, in ICS words.
pub(super) fn words(does: &[What]) -> String {
    does.iter().map(|what| word(*what)).collect::<Vec<_>>().join(", ")
}

const fn word(what: What) -> &'static str {
    match what {
        What::CreateClient => "CreateClient",
        What::Connection(Phase::Init) => "ConnOpenInit",
        What::Connection(Phase::Try) => "ConnOpenTry",
        What::Connection(Phase::Ack) => "ConnOpenAck",
        What::Connection(Phase::Confirm) => "ConnOpenConfirm",
        What::Channel(_, Phase::Init) => "ChanOpenInit",
        What::Channel(_, Phase::Try) => "ChanOpenTry",
        What::Channel(_, Phase::Ack) => "ChanOpenAck",
        What::Channel(_, Phase::Confirm) => "ChanOpenConfirm",
    }
}
