//! Where [`Time`] comes from: the monotonic clock, or a copy of it that costs a load.
//!
//! Clause: B26. A decision reads no clock itself. [`Clock`] reads the machine's (about 10 to 25 ns); [`CachedClock`] gives the instant of
//! its last [`CachedClock::refresh`], which its owner calls about each millisecond. A cached clock runs behind, never ahead, so a
//! bucket admits later, not more: at a refresh its tokens drip in at once, bounded by its burst as ever.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use limiter_core::Time;

/// The monotonic clock since its creation.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Its origin is now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }
    /// Now.
    #[must_use]
    #[inline]
    pub fn now(&self) -> Time {
        let since = self.0.elapsed();
        Time::from_nanos(since.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(since.subsec_nanos())))
    }
}

/// A copy of the clock, as old as its last refresh.
#[derive(Debug)]
pub struct CachedClock {
    clock: Clock,
    nanos: AtomicU64,
}

impl CachedClock {
    /// Its origin is now.
    #[must_use]
    pub fn start() -> Self {
        Self { clock: Clock::start(), nanos: AtomicU64::new(0) }
    }
    /// Copies the clock.
    pub fn refresh(&self) {
        self.nanos.store(self.clock.now().as_nanos(), Ordering::Relaxed);
    }
    /// The instant copied last.
    #[must_use]
    #[inline]
    pub fn now(&self) -> Time {
        Time::from_nanos(self.nanos.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_clock_stands_still_between_refreshes_and_never_runs_ahead() {
        let clock = CachedClock::start();
        assert_eq!(clock.now(), Time::ZERO);
        clock.refresh();
        let copied = clock.now();
        assert!(copied > Time::ZERO && copied == clock.now() && clock.clock.now() >= copied);
    }
}
