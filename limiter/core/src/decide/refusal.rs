//! A refusal that explains itself: level, rule, threshold in force, when to come back. Plain data, no text, no allocation.

use crate::Time;

/// The rule that decided, as its set numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RuleId(pub u32);

/// Where in the chain of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// This machine: load, CPU, answer time, calls in flight.
    System,
    /// All chains together.
    Global,
    /// One endpoint's rate.
    Endpoint,
    /// One chain's rate.
    Chain,
    /// One channel's rate.
    Channel,
    /// One method's rate.
    Method,
    /// The spacing of a method's calls.
    Throttle,
    /// Another resource is busy, to which this one yields.
    Associated,
    /// Calls in flight at one endpoint.
    Isolation,
    /// One value of a parameter.
    HotParameter,
    /// The endpoint's breaker.
    Breaker,
    /// The endpoint asked for quiet.
    HoldOff,
    /// The endpoint is ejected.
    Ejected,
    /// An id that nobody gave out.
    Unknown,
}

/// When it makes sense to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComeBack {
    /// At this instant.
    At(Time),
    /// When a call that is out has ended.
    WhenOneEnds,
    /// When the machine was measured again.
    WhenSampled,
    /// Not with this call: it asks for more than the rule ever gives.
    Never,
}

/// The refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Where.
    pub level: Level,
    /// Which rule.
    pub rule: RuleId,
    /// Its threshold, in thousandths of its unit (calls a second, calls in flight); answer times in ns.
    pub threshold_milli: u64,
    /// When to come back.
    pub come_back: ComeBack,
}
