//! What can go wrong at a chain's edge, as data: the adapter reads a node's text once and turns it into a code; every decision
//! above it is made on the code and its [`Remedy`].

use std::fmt;

use thiserror::Error;

use crate::id::{AccountSequence, ChainId, Height};
use crate::limits::DETAIL_BYTES;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The same again, not before so many milliseconds have passed.
    Retry {
        /// Least wait, ms.
        after_ms: u64,
    },
    /// Our picture of the chain is old: read it again, then decide anew.
    Refresh,
    /// This one thing will never work: drop it, go on with the others.
    Drop,
    /// Nothing of this kind can work until an operator acts; keep looking at a slow pace.
    Halt,
}

/// Bounded, printable text of a foreign party: control characters are escaped, the rest cut at [`DETAIL_BYTES`].
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Detail(String);

impl Detail {
    /// Escapes and cuts.
    pub fn new(text: impl AsRef<str>) -> Self {
        let mut out = String::new();
        for c in text.as_ref().chars() {
            if out.len() >= DETAIL_BYTES {
                out.push('…');
                break;
            }
            if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
                out.extend(c.escape_unicode());
            } else {
                out.push(c);
            }
        }
        Self(out)
    }
    /// The safe text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A call to a chain that gave nothing usable.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{chain}: {kind}{}{detail}", if detail.as_str().is_empty() { "" } else { ": " })]
pub struct ChainError {
    /// Which chain.
    pub chain: ChainId,
    /// What happened.
    pub kind: ChainErrorKind,
    /// The node's words, safe to print.
    pub detail: Detail,
}

/// What happened in a call to a chain.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChainErrorKind {
    /// No endpoint answers.
    #[error("no endpoint answers")]
    Unavailable,
    /// The node or our own limiter says: later.
    #[error("throttled, come back in {after_ms} ms")]
    Throttled {
        /// Least wait, ms.
        after_ms: u64,
    },
    /// No answer within the request's time.
    #[error("no answer in time")]
    Timeout,
    /// Larger than the cap.
    #[error("the answer is larger than the limit")]
    TooLarge,
    /// Not what the protocol says.
    #[error("the answer can't be decoded")]
    Malformed,
    /// The height is not there yet.
    #[error("height {0} is not there yet")]
    NotYet(Height),
    /// The height has been pruned.
    #[error("height {0} is pruned on every endpoint; add an `archive_rpc`")]
    Pruned(Height),
    /// Another chain answers at this address.
    #[error("the node answers for chain `{0}`; correct `id` or `rpc`")]
    WrongChain(Detail),
    /// The node contradicts verified data. The label is a stable reason for metrics.
    #[error("the node's answer does not verify ({0})")]
    Lying(&'static str),
    /// The thing asked for does not exist on the chain.
    #[error("not found")]
    NotFound,
    /// The application refused the query.
    #[error("refused with code {code}")]
    Refused {
        /// ABCI or JSON-RPC code.
        code: i64,
    },
    /// Our own set-up is at fault (key, prefix, client).
    #[error("{0}")]
    Setup(&'static str),
}

impl ChainError {
    /// With the node's words.
    pub fn new(chain: &ChainId, kind: ChainErrorKind, detail: impl AsRef<str>) -> Self {
        Self { chain: chain.clone(), kind, detail: Detail::new(detail) }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        use ChainErrorKind::*;
        match &self.kind {
            Unavailable | Timeout => Remedy::Retry { after_ms: 500 },
            Throttled { after_ms } => Remedy::Retry { after_ms: *after_ms },
            NotYet(_) => Remedy::Retry { after_ms: 100 },
            Malformed | TooLarge | Lying(_) | Refused { .. } => Remedy::Retry { after_ms: 1_000 },
            NotFound => Remedy::Refresh,
            Pruned(_) => Remedy::Drop,
            WrongChain(_) | Setup(_) => Remedy::Halt,
        }
    }

    /// A stable short word for metrics and `--json`.
    pub fn label(&self) -> &'static str {
        use ChainErrorKind::*;
        match &self.kind {
            Unavailable => "unavailable",
            Throttled { .. } => "throttled",
            Timeout => "timeout",
            TooLarge => "too_large",
            Malformed => "malformed",
            NotYet(_) => "not_yet",
            Pruned(_) => "pruned",
            WrongChain(_) => "wrong_chain",
            Lying(label) => label,
            NotFound => "not_found",
            Refused { .. } => "refused",
            Setup(_) => "setup",
        }
    }
}

/// Why a transaction was not accepted, or failed in its block.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TxFailure {
    /// The account is at another sequence; `expected` is what the node wants, where it says so.
    #[error("account sequence mismatch")]
    SequenceMismatch {
        /// The sequence the node expects.
        expected: Option<AccountSequence>,
    },
    /// The gas limit was too low.
    #[error("out of gas: wanted {wanted}, used {used}")]
    OutOfGas {
        /// Limit.
        wanted: u64,
        /// Used when it stopped.
        used: u64,
    },
    /// The wallet can't pay.
    #[error("the wallet can't pay the fee")]
    InsufficientFunds,
    /// The fee is below what the node asks.
    #[error("the fee is too low; raise `gas.price`")]
    InsufficientFee,
    /// Every message was already relayed (ibc-go's redundant-relay check).
    #[error("all messages were already relayed")]
    Redundant,
    /// The mempool is full: back-pressure of this chain's broadcasts.
    #[error("the mempool is full")]
    MempoolFull,
    /// The node already has this very transaction.
    #[error("already in the mempool")]
    AlreadyKnown,
    /// Larger than the node takes.
    #[error("the transaction is too large")]
    TooLarge,
    /// The key's account does not exist on chain.
    #[error("the account does not exist; fund it first")]
    NoAccount,
    /// A message failed. `index` where the chain says which.
    #[error("message{} failed with {codespace} code {code}: {detail}{}", index.map_or_else(String::new, |n| format!(" {n}")), further(others))]
    Message {
        /// Position in the batch.
        index: Option<usize>,
        /// Positions of further ones that failed, ascending, on chains that deliver each message by itself; those that were not tried
        /// are not among them.
        others: Vec<usize>,
        /// ABCI code.
        code: u32,
        /// ABCI codespace.
        codespace: Detail,
        /// The log.
        detail: Detail,
    },
    /// The client does not hold the proofs' height: the update that should have come first did not.
    #[error("the client has not been updated to the proofs' height")]
    ClientBehind,
    /// It can't be included any more: its timeout height has passed.
    #[error("not included before its timeout height")]
    Expired,
    /// The node could not be asked.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl TxFailure {
    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::SequenceMismatch { .. } | Self::AlreadyKnown | Self::Expired => Remedy::Retry { after_ms: 0 },
            Self::OutOfGas { .. } => Remedy::Retry { after_ms: 0 },
            Self::ClientBehind => Remedy::Retry { after_ms: 300 },
            Self::MempoolFull => Remedy::Retry { after_ms: 1_000 },
            Self::Redundant => Remedy::Refresh,
            Self::TooLarge | Self::Message { .. } => Remedy::Drop,
            Self::InsufficientFunds | Self::InsufficientFee | Self::NoAccount => Remedy::Halt,
            Self::Chain(e) => e.remedy(),
        }
    }

    /// A stable short word for metrics and `--json`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::SequenceMismatch { .. } => "sequence_mismatch",
            Self::OutOfGas { .. } => "out_of_gas",
            Self::InsufficientFunds => "insufficient_funds",
            Self::InsufficientFee => "insufficient_fee",
            Self::Redundant => "redundant",
            Self::MempoolFull => "mempool_full",
            Self::AlreadyKnown => "already_known",
            Self::TooLarge => "tx_too_large",
            Self::NoAccount => "no_account",
            Self::Message { .. } => "message_failed",
            Self::ClientBehind => "client_behind",
            Self::Expired => "tx_expired",
            Self::Chain(e) => e.label(),
        }
    }
}

fn further(others: &[usize]) -> String {
    match others.len() {
        0 => String::new(),
        count => format!(" (and {count} further messages)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_escaped_and_cut() {
        let d = Detail::new(format!("a\u{1b}[2J\n{}", "x".repeat(10_000)));
        assert!(!d.as_str().chars().any(char::is_control));
        assert!(d.as_str().len() <= DETAIL_BYTES + 8);
    }
}
