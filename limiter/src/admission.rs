//! What is asked, what is answered, what came of it.

use std::time::Duration;

use limiter_core::Time;
use limiter_core::breaker::State;
use limiter_core::bucket::Never;
use limiter_core::priority::Class;

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
    /// How deep into the reserve of tokens it may reach.
    pub class: Class,
}

impl Call {
    /// A read of this weight.
    pub const fn read(weight: u64) -> Self {
        Self { weight, kind: CallKind::Read, class: Class::Normal }
    }
    /// A broadcast of this weight. What it costs to get that far is lost if it has to wait for reads.
    pub const fn broadcast(weight: u64) -> Self {
        Self { weight, kind: CallKind::Broadcast, class: Class::Packet }
    }
    /// The same for more urgent work; less urgent is ignored.
    #[must_use]
    pub fn urgent(self, class: Class) -> Self {
        Self { class: self.class.min(class), ..self }
    }
}

/// Which part refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// No tokens.
    Rate,
    /// The tokens left are for more urgent calls.
    Reserve,
    /// The rate learned from this endpoint's throttles.
    Pace,
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
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Rate, Self::Reserve, Self::Pace, Self::HoldOff, Self::Mempool, Self::Breaker, Self::Concurrency];

    /// A stable short word for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Reserve => "reserve",
            Self::Pace => "pace",
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
    /// The threshold in force, in thousandths: of calls a second, or of calls in flight for [`Level::Concurrency`]; 0 where nothing
    /// is allowed before then.
    pub limit_milli: u64,
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

/// Refusals by level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refusals([u64; Level::ALL.len()]);

impl Refusals {
    /// Those of one level.
    pub fn of(&self, level: Level) -> u64 {
        self.0.get(level as usize).copied().unwrap_or_default()
    }
    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.iter().copied().fold(0, u64::saturating_add)
    }
    pub(crate) fn count(&mut self, level: Level) {
        if let Some(counted) = self.0.get_mut(level as usize) {
            *counted = counted.saturating_add(1);
        }
    }
}

/// How often a breaker went from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes([[u64; Changes::STATES.len()]; Changes::STATES.len()]);

impl Changes {
    const STATES: [State; 3] = [State::Closed, State::Open, State::HalfOpen];

    /// How often from the one to the other.
    pub fn of(&self, from: State, to: State) -> u64 {
        self.0.get(from as usize).and_then(|row| row.get(to as usize)).copied().unwrap_or_default()
    }
    /// From, to and how often, of those that happened.
    pub fn happened(&self) -> impl Iterator<Item = (State, State, u64)> {
        let pairs = Self::STATES.into_iter().flat_map(|from| Self::STATES.into_iter().map(move |to| (from, to)));
        let counted = *self;
        pairs.map(move |(from, to)| (from, to, counted.of(from, to))).filter(|(_, _, count)| *count > 0)
    }
    pub(crate) fn count(&mut self, from: State, to: State) {
        if let Some(counted) = self.0.get_mut(from as usize).and_then(|row| row.get_mut(to as usize)) {
            *counted = counted.saturating_add(1);
        }
    }
}

/// For metrics and `/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Whole tokens there now.
    pub tokens: u64,
    /// Capacity.
    pub burst: u64,
    /// Configured, thousandths of a call a second.
    pub rate_milli: u64,
    /// What of it is in force because of the endpoint's health, and while its breaker is open or it recovers, thousandths.
    pub limit_permille: u32,
    /// Learned from throttles, thousandths of a call a second; none while it binds nothing.
    pub learned_milli: Option<u64>,
    /// Calls in flight.
    pub in_flight: u32,
    /// How many may be.
    pub in_flight_limit: u32,
    /// The state of the breaker of reads.
    pub breaker: State,
    /// The state of the breaker of broadcasts.
    pub broadcast_breaker: State,
    /// Of the last period with calls, thousandths.
    pub health_permille: u32,
    /// A hold-off in force.
    pub held_until: Option<Time>,
    /// When reads, or probes of them, may leave again; none while they may.
    pub reads_from: Option<Time>,
    /// The same for broadcasts: their breaker, or a full mempool.
    pub broadcasts_from: Option<Time>,
    /// Calls admitted, since the start.
    pub admitted: u64,
    /// Calls whose callers gave up, since the start, by what held them back.
    pub refusals: Refusals,
    /// Changes of the state of the breaker of reads, since the start.
    pub read_changes: Changes,
    /// Changes of the state of the breaker of broadcasts, since the start.
    pub broadcast_changes: Changes,
    /// Requests that the node throttled, since the start.
    pub throttled: u64,
    /// Requests that came back, since the start.
    pub completed: u64,
}
