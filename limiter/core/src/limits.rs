//! Every bound of this crate, each with its reason.

use core::time::Duration;

/// Most half-open probes of a breaker: their leases live in a fixed array, so a breaker needs no allocation.
pub const PROBES: usize = 8;
/// Highest rate of a bucket, tokens a period: keeps `time * rate` far inside 128 bits.
pub const RATE_TOKENS: u64 = 1_000_000_000;
/// Longest period of a rate: a day, the coarsest quota a provider sells.
pub const RATE_PERIOD: Duration = Duration::from_secs(86_400);
/// Largest burst: a thousand seconds of the fastest endpoint seen.
pub const BURST: u64 = 1_000_000_000;
/// Largest doubling of a breaker's open time: 2^6, after which `open_max` has long taken over.
pub const OPEN_DOUBLINGS: u32 = 6;
