//! How calls are limited, by chain and endpoint: the JSON of `/limits`, and `limits` in `/status`.
//!
//! Spec: "What it reports" of the limiter specification. Rates are in calls a second, times in milliseconds, shares between 0 and 1.
//! Counts are since the relayer's start. A rule is named by the same word as in refusals, spans and metrics: `rate`, `reserve`, `pace`,
//! `hold_off`, `mempool`, `breaker`, `concurrency`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The answer of `/limits`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Unix milliseconds of this state.
    pub at_unix_ms: u64,
    /// Chains.
    pub chains: Vec<ChainLimits>,
    /// Rules beyond the nodes' own limits, of all chains.
    pub rules: Vec<RuleLimits>,
}

/// A rule that calls have met, of the configuration or of a set that is fed while the relayer runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleLimits {
    /// Its id.
    pub rule: String,
    /// Its kind: `flow`, `quota`, `isolation` and so on.
    pub kind: String,
    /// It reports only.
    pub shadow: bool,
    /// In force, in its unit: calls a second, calls in flight.
    pub threshold: f64,
    /// Calls that may leave at once now, where it has one bucket.
    pub tokens: Option<u64>,
    /// Calls let through.
    pub passed: u64,
    /// Calls held back for a while or refused, or that a shadow rule would have.
    pub blocked: u64,
}

/// A chain.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChainLimits {
    /// Its id.
    pub id: String,
    /// Its nodes, in the order of the configuration.
    pub endpoints: Vec<EndpointLimits>,
    /// Late reads that were copied to a second node.
    pub copied_reads: u64,
    /// Retries that may be made now.
    pub retries_left: u64,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointLimits {
    /// Redacted label.
    pub endpoint: String,
    /// Keeps history, and is asked for it only.
    pub archive: bool,
    /// Configured.
    pub rate: f64,
    /// Of the configured rate, the share in force: health, open breaker, recovery.
    pub rate_share: f64,
    /// Learned from throttles; none while the configured rate alone binds.
    pub learned_rate: Option<f64>,
    /// Calls it takes at once.
    pub burst: u64,
    /// Of these, left now.
    pub tokens: u64,
    /// Requests waiting to leave.
    pub queue: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// How many may be.
    pub in_flight_limit: u64,
    /// The breaker of reads.
    pub reads: BreakerStatus,
    /// The breaker of broadcasts.
    pub broadcasts: BreakerStatus,
    /// How much longer Retry-After, or a pause after throttles in a row, holds all calls off.
    pub held_off_ms: Option<u64>,
    /// Why it is left alone, if it is.
    pub out: Option<Out>,
    /// The rule that binds next.
    pub rule: String,
    /// How long a read would have to wait now.
    pub wait_ms: u64,
    /// Of the last ten seconds with calls: errors and latency; 1 is well.
    pub health: f64,
    /// Requests let through.
    pub admitted: u64,
    /// Requests that came back.
    pub completed: u64,
    /// Thereof throttled by the node.
    pub throttled: u64,
    /// Requests refused by our own limits.
    pub refused: u64,
    /// Thereof by each rule that refused any.
    pub refused_by: BTreeMap<String, u64>,
    /// Of all requests in the last ten seconds, the share that our own limits refused.
    pub reject_ratio: f64,
    /// Of the last second.
    pub per_second: PerSecond,
}

/// A breaker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BreakerStatus {
    /// `closed`, `open` or `half_open`.
    pub state: String,
    /// How much longer none of its calls leaves.
    pub until_ms: Option<u64>,
    /// How often it went from one state to another.
    pub changes: Vec<BreakerChange>,
}

/// Changes of a breaker's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BreakerChange {
    /// The state before.
    pub from: String,
    /// The state after.
    pub to: String,
    /// How often.
    pub count: u64,
}

/// A node that is left alone for a while.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Out {
    /// Why.
    pub reason: String,
    /// How much longer.
    pub left_ms: u64,
}

/// Requests a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PerSecond {
    /// That wanted to leave, with those still waiting.
    pub asked: f64,
    /// Let through.
    pub admitted: f64,
    /// Throttled by the node.
    pub throttled: f64,
    /// Refused by our own limits.
    pub refused: f64,
}
