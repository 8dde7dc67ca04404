//! Every bound of this crate, each with its reason.

use std::time::Duration;

/// First pause after a throttle without Retry-After: public nodes count in windows of a second.
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
