//! Every bound of rules and their sources, each with its reason.

use std::time::Duration;

/// Rules of a set: ten times what the figure asks for.
pub const RULES: usize = 100_000;
/// Bytes of a set: 100,000 rules of 300 bytes.
pub const TEXT_BYTES: usize = 32 << 20;
/// Characters of a rule id.
pub const ID_CHARS: usize = 128;
/// Characters of what a parser says of a set: a line of a log.
pub const SAID_CHARS: usize = 300;
/// Characters of a pattern.
pub const PATTERN_CHARS: usize = 128;
/// Least and most of a weight (the spec's), thousandths.
pub const WEIGHT_MILLI: (u64, u64) = (100, 5_000);
/// Longest interval: a day.
pub const INTERVAL_MS: u64 = 86_400_000;
/// Highest threshold, tokens an interval: what the core's buckets hold.
pub const THRESHOLD: u64 = 1_000_000_000;
/// Values that a hot-parameter rule remembers.
pub const HOT_VALUES: u64 = 100_000;
/// Overrides of a hot-parameter rule.
pub const HOT_OVERRIDES: usize = 1_000;
/// Most half-open probes: the core's fixed array.
pub const PROBES: u64 = limiter_core::limits::PROBES as u64;
/// Buckets of a breaker's statistic window.
pub const STAT_BUCKETS: u64 = 100;
/// Names of calls (chain, endpoint, channel, method) whose rules are remembered: past them all are looked up anew.
pub const PATHS: usize = 10_000;
/// Methods whose worth in quotas is learned: a node has some thirty.
pub const METHODS: usize = 64;
/// How often that is done (the spec's).
pub const METHOD_PERIOD: Duration = Duration::from_secs(60);
/// Tokens of a call in a shared quota: costs of weighted calls are off by less than a ten-thousandth up to weight 100.
pub const UNITS_MOST: u64 = 1_000_000;
/// Where a store can't keep so many exactly, fewer; with less than this a weight of 5 would cost half a percent.
pub const UNITS_LEAST: u64 = 1_000;
/// Cells of a quota past which those that owe nothing are forgotten.
pub const CELLS: usize = 10_000;
/// How often a watched file is looked at.
pub const FILE_POLL: Duration = Duration::from_millis(500);
/// A file is read once it stood still for so long: no half-written set.
pub const FILE_SETTLE: Duration = Duration::from_millis(100);
/// How often an HTTP endpoint is asked.
pub const HTTP_POLL: Duration = Duration::from_secs(5);
/// An answer that takes longer is a failure.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(5);
/// First pause after a failure; doubles up to [`RETRY_MAX`].
pub const RETRY: Duration = Duration::from_millis(200);
/// Longest pause after failures.
pub const RETRY_MAX: Duration = Duration::from_secs(30);
/// etcd says nothing on a watch while nothing changes: after so long the key is read again.
pub const WATCH_QUIET: Duration = Duration::from_secs(60);
/// One line of etcd's watch stream: a set in base64, and its frame.
pub const WATCH_LINE: usize = TEXT_BYTES / 3 * 4 + 65_536;
