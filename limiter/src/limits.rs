//! Every bound of this crate, each with its reason.

use std::time::Duration;

/// First pause after a second throttle in a row without Retry-After: public nodes count in windows of a second.
pub const THROTTLE_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause after throttles without Retry-After; doubles from [`THROTTLE_PAUSE`].
pub const THROTTLE_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Longest Retry-After obeyed: beyond it a hostile answer would silence an endpoint for good; ten minutes is the longest
/// cool-down that a public provider documents.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);
/// Pause of a chain's broadcasts after "mempool is full": about one block.
pub const MEMPOOL_PAUSE: Duration = Duration::from_millis(1_000);
/// Most tokens of the global level that a chain holds: one visit to the global lock in so many calls.
pub const LEASE: u32 = 64;
/// All leases together hold at most the burst's part by this: three quarters stay common.
pub const LEASE_SHARE: u64 = 4;
/// The learned rate never falls below this, thousandths of a call a second: a poll and an answer a second still show what the
/// node is worth. Slower nodes are held by the pauses between throttles in a row.
pub const PACE_MIN: u64 = 2_000;
/// So many calls may leave at once at the learned rate: a batch, or what a poll asks for together.
pub const PACE_BURST: u64 = 4;
/// A node that throttled no call for so long, at the configured rate, is paced by that one alone again.
pub const PACE_FORGET: Duration = Duration::from_secs(60);
/// The learned concurrency is at least the configured one divided by this: one method's slow answers must not stop the others.
pub const IN_FLIGHT_SHARE: u32 = 4;
/// Window of the latency gradient, and the answers it needs: a poll's share of a burst is then no longer the whole.
pub const GRADIENT_WINDOW: Duration = Duration::from_secs(1);
/// See [`GRADIENT_WINDOW`].
pub const GRADIENT_CALLS: u32 = 10;
/// Period of the health: the spec's outer loop.
pub const HEALTH_PERIOD: Duration = Duration::from_secs(10);
