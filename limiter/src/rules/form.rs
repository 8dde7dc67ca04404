//! The written form of rules, the same in TOML and JSON. Unknown keys are refused.
//!
//! Numbers are signed here so that a negative one is refused with its rule and field, not as a parse error.
//!
//! ```toml
//! version = { ms = 1700000000000, counter = 0, node = "ops-1" }   # optional; an older set never replaces a newer one
//!
//! [[flow]]
//! id = "hub-reads"
//! on = { chain = "cosmoshub-4", method = "abci_*" }   # left out: any
//! threshold = 100          # tokens each interval
//! interval_ms = 1000
//! control = "throttling"   # or "reject"
//! max_queueing_ms = 500
//!
//! [[quota]]
//! id = "plan"
//! base = 1000              # calls each interval of every chain, channel and method, times their weights
//! shared = "leased"        # one quota of all members; "strong": decided call by call; left out: of this process
//!
//! [[weight]]
//! id = "hub-tier"
//! chain = "cosmoshub-4"
//! weight = 2.5
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::store::hlc::Stamp;

/// A set as written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Form {
    /// When it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Stamp>,
    /// Rates.
    pub flow: Vec<Flow>,
    /// Rates for each value of a parameter.
    pub hot: Vec<Hot>,
    /// Calls in flight.
    pub isolation: Vec<Isolation>,
    /// The machine's load.
    pub system: Vec<System>,
    /// Breakers.
    pub breaker: Vec<Breaker>,
    /// Base quotas, which weights multiply.
    pub quota: Vec<Quota>,
    /// Weights.
    pub weight: Vec<Weight>,
}

/// What a rule applies to: names, or a pattern that ends in `*`; left out is any.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct On {
    /// Chain id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// Channel id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// RPC method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Endpoint label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// How a flow rule's threshold is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// As it stands.
    #[default]
    Direct,
    /// Grows from a third while cold.
    WarmUp,
    /// Between two thresholds, by used memory.
    MemoryAdaptive,
}

/// What happens above the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// Refused.
    #[default]
    Reject,
    /// Queued at even distances.
    Throttling,
}

/// One of a call's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dimension {
    /// Chain id.
    Chain,
    /// Channel id.
    Channel,
    /// RPC method.
    Method,
    /// Endpoint label.
    Endpoint,
}

macro_rules! rule {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Unique in the set.
            pub id: String,
            /// Decide and report, but let pass.
            #[serde(default)]
            pub shadow: bool,
            /// Share of keys it is enforced for, percent: 5, 30 or 100.
            #[serde(default = "all")]
            pub stage: i64,
            $($(#[$field_doc])* pub $field: $type,)*
        }
    };
}

rule! {
    /// A rate.
    Flow {
        /// What it applies to.
        #[serde(default)]
        on: On,
        /// Tokens each interval.
        threshold: i64,
        /// The interval, milliseconds.
        #[serde(default = "second")]
        interval_ms: i64,
        /// Tokens at once; left out: the threshold.
        #[serde(default)]
        burst: Option<i64>,
        /// How the threshold is computed.
        #[serde(default)]
        strategy: Strategy,
        /// What happens above it.
        #[serde(default)]
        control: Control,
        /// Longest queue, milliseconds.
        #[serde(default)]
        max_queueing_ms: i64,
        /// Time to warm up, milliseconds.
        #[serde(default)]
        warm_up_period_ms: i64,
        /// How cold is cold: 3 is a third.
        #[serde(default = "three")]
        cold_factor: i64,
        /// Threshold while little memory is used.
        #[serde(default)]
        low_memory_threshold: i64,
        /// Threshold while much is used.
        #[serde(default)]
        high_memory_threshold: i64,
        /// Little, MiB.
        #[serde(default)]
        low_water_mib: i64,
        /// Much, MiB.
        #[serde(default)]
        high_water_mib: i64,
        /// The threshold is measured on the calls of this flow rule.
        #[serde(default)]
        associated: Option<String>,
    }
}
rule! {
    /// A rate for each value of a parameter.
    Hot {
        /// What it applies to.
        #[serde(default)]
        on: On,
        /// Whose values.
        parameter: Dimension,
        /// Tokens each interval for one value.
        threshold: i64,
        /// The interval, milliseconds.
        #[serde(default = "second")]
        interval_ms: i64,
        /// Tokens on top at once.
        #[serde(default)]
        burst: i64,
        /// Values remembered, the least used is forgotten.
        #[serde(default = "thousand")]
        capacity: i64,
        /// Other thresholds for some values.
        #[serde(default)]
        overrides: BTreeMap<String, i64>,
    }
}
rule! {
    /// A cap on calls in flight.
    Isolation {
        /// What it applies to.
        #[serde(default)]
        on: On,
        /// Calls in flight.
        in_flight: i64,
    }
}
/// What a system rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Load average of a minute, thousandths.
    LoadMilli,
    /// CPU use, thousandths.
    CpuMilli,
    /// Average response time, milliseconds.
    AverageRtMs,
    /// Calls in flight.
    Concurrency,
    /// Calls a second.
    InboundQps,
}
rule! {
    /// Protection of this machine.
    System {
        /// What is looked at.
        metric: Metric,
        /// Above it calls are refused.
        threshold: i64,
        /// Only when more is in flight than the machine completes (BBR).
        #[serde(default)]
        bbr: bool,
    }
}
/// What opens a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trip {
    /// Share of slow calls, thousandths.
    SlowCallRatio,
    /// Share of errors, thousandths.
    ErrorRatio,
    /// Number of errors.
    ErrorCount,
}
/// Which calls a breaker counts and stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Reads and broadcasts.
    #[default]
    All,
    /// Reads only.
    Read,
    /// Broadcasts only.
    Broadcast,
}
rule! {
    /// A circuit breaker.
    Breaker {
        /// What it applies to.
        #[serde(default)]
        on: On,
        /// What opens it.
        strategy: Trip,
        /// From where on: thousandths of a ratio, or a count.
        threshold: i64,
        /// Slower than this is slow, milliseconds.
        #[serde(default)]
        max_rt_ms: i64,
        /// Fewer calls than this open nothing.
        #[serde(default = "five")]
        min_requests: i64,
        /// Time open, milliseconds.
        #[serde(default = "five_seconds")]
        open_ms: i64,
        /// Window of the statistics, milliseconds.
        #[serde(default = "second")]
        interval_ms: i64,
        /// Its buckets; 0 or a non-divisor is 1.
        #[serde(default)]
        buckets: i64,
        /// Half-open probes; 0 is one.
        #[serde(default)]
        probes: i64,
        /// Which calls.
        #[serde(default)]
        class: Class,
    }
}
/// Where a quota is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shared {
    /// Here.
    #[default]
    Local,
    /// In the store, each decision: one quota of all members.
    Strong,
    /// In the store, reads in leased blocks; the same quota.
    Leased,
}
rule! {
    /// A base quota.
    Quota {
        /// What it applies to.
        #[serde(default)]
        on: On,
        /// Tokens each interval, before weights.
        base: i64,
        /// The interval, milliseconds.
        #[serde(default = "second")]
        interval_ms: i64,
        /// Tokens at once; left out: the base.
        #[serde(default)]
        burst: Option<i64>,
        /// Where it is kept.
        #[serde(default)]
        shared: Shared,
    }
}
rule! {
    /// A weight of one name.
    Weight {
        /// Of this chain,
        #[serde(default)]
        chain: Option<String>,
        /// or of this channel,
        #[serde(default)]
        channel: Option<String>,
        /// or of this method.
        #[serde(default)]
        method: Option<String>,
        /// In [0.1, 5].
        weight: f64,
    }
}

fn all() -> i64 {
    100
}
fn second() -> i64 {
    1_000
}
fn three() -> i64 {
    3
}
fn thousand() -> i64 {
    1_000
}
fn five() -> i64 {
    5
}
fn five_seconds() -> i64 {
    5_000
}
