//! What is asked, what is answered, what came of it.

use std::time::Duration;

use limiter_core::Time;
use limiter_core::breaker::State;
use limiter_core::bucket::Never;

use crate::permit::Permit;

/// What a call does: a full mempool holds only broadcasts back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// Reads; may be repeated.
    Read,
    /// Puts a transaction into the mempool.
    Broadcast,
}

/// A call as the limiter sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Tokens: a batch costs as many as it has calls.
    pub weight: u64,
    /// What it does.
    pub kind: CallKind,
}

impl Call {
    /// A read of this weight.
    pub const fn read(weight: u64) -> Self {
        Self { weight, kind: CallKind::Read }
    }
    /// A broadcast of this weight.
    pub const fn broadcast(weight: u64) -> Self {
        Self { weight, kind: CallKind::Broadcast }
    }
}

/// Which part refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// No tokens.
    Rate,
    /// The node said Retry-After, or throttled us.
    HoldOff,
    /// The chain's mempool is full.
    Mempool,
    /// The breaker is open.
    Breaker,
    /// All places in flight are taken.
    Concurrency,
}

impl Level {
    /// A stable short word for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::HoldOff => "hold_off",
            Self::Mempool => "mempool",
            Self::Breaker => "breaker",
            Self::Concurrency => "concurrency",
        }
    }
}

/// A refusal that explains itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Which part refused.
    pub level: Level,
    /// Not before this instant.
    pub not_before: Time,
}

/// The answer.
#[derive(Debug)]
pub enum Admission {
    /// Go.
    Now(Permit),
    /// Not before `refusal.not_before`.
    NotBefore(Refusal),
    /// All places in flight, or all half-open probes, are taken: ask again when a permit of this limiter is dropped.
    Busy,
    /// No wait will help: split the call.
    Never(Never),
}

/// What came of a call that left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The node answered as a node should, be it with an application's "no".
    Answered,
    /// The endpoint is at fault: no connection, no answer in time, garbage, 5xx.
    Failed,
    /// The node says we call too often; `retry_after` is a hard hold-off.
    Throttled {
        /// What it asked for, if it said.
        retry_after: Option<Duration>,
    },
    /// The mempool is full: only broadcasts wait.
    MempoolFull,
}

/// For metrics and `/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Whole tokens there now.
    pub tokens: u64,
    /// Capacity.
    pub burst: u64,
    /// Calls in flight.
    pub in_flight: u32,
    /// The breaker's state.
    pub breaker: State,
    /// A hold-off in force.
    pub held_until: Option<Time>,
}
