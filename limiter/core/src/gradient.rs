//! How many calls a node should have in flight, from the gradient of its latency.
//!
//! Once a window the caller hands in the mean latency and the most calls in flight. `limit' = limit * g + sqrt(limit)` with
//! `g = clamp(1.5 * long-term latency / latency, 0.5, 1)`, moved a fifth of the way: answers slower than usual shrink the
//! limit, as queues grow in the node; the root keeps probing upwards. It governs concurrency only: rates follow throttles.
//! Clause: *latency gradient on concurrency only* of the limiter page. Units: calls in thousandths inside, spans in ns. Bounds:
//! `min` and `max`. A window that used less than half of the limit changes it not.
//!
//! ```
//! use core::time::Duration;
//! use limiter_core::gradient::Gradient;
//! let mut gradient = Gradient::new(10, 1, 100);
//! gradient.update(Duration::from_millis(50), 10);
//! assert!(gradient.limit() >= 10);
//! ```

use core::time::Duration;

use crate::limits::IN_FLIGHT_MAX;
use crate::time::span_nanos;

/// So few calls (thousandths) do not queue: their latency is the node's own. More of them must not teach a longer one, or the
/// queue that we cause would become normal.
const FEW: u64 = 8_000;

/// The limit of calls in flight. See the module's text.
#[derive(Debug, Clone)]
pub struct Gradient {
    milli: u64,
    min: u64,
    max: u64,
    /// Long-term mean latency, ns.
    usual: Option<u64>,
}

impl Gradient {
    /// Starts at `initial`, within `min` (at least 1) and `max` (at most [`IN_FLIGHT_MAX`]).
    pub fn new(initial: u32, min: u32, max: u32) -> Self {
        let max = max.clamp(1, IN_FLIGHT_MAX);
        let min = min.clamp(1, max);
        let milli = |calls: u32| u64::from(calls).saturating_mul(1_000);
        Self { milli: milli(initial.clamp(min, max)), min: milli(min), max: milli(max), usual: None }
    }

    /// Calls that may be in flight.
    pub fn limit(&self) -> u32 {
        u32::try_from(self.milli / 1_000).unwrap_or(u32::MAX)
    }

    /// One window is over: its mean latency, and the most calls that were in flight.
    pub fn update(&mut self, latency: Duration, most_in_flight: u32) {
        let latency = span_nanos(latency).max(1);
        let usual = self.usual.unwrap_or(latency);
        let idle = u64::from(most_in_flight).saturating_mul(2_000) < self.milli;
        let usual = if latency < usual {
            usual.saturating_sub(usual.saturating_sub(latency) / 16)
        } else if idle || self.milli <= FEW.max(self.min.saturating_mul(2)) {
            usual.saturating_add(latency.saturating_sub(usual) / 32)
        } else {
            usual
        };
        self.usual = Some(usual);
        if idle {
            return;
        }
        let gradient = u128::from(usual).saturating_mul(1_500).checked_div(u128::from(latency)).unwrap_or(1_000);
        let gradient = u64::try_from(gradient).unwrap_or(1_000).clamp(500, 1_000);
        let room = self.milli.saturating_mul(1_000).isqrt(); // sqrt(limit) in thousandths
        let wanted = (self.milli.saturating_mul(gradient) / 1_000).saturating_add(room);
        let moved = self.milli.saturating_mul(4).saturating_add(wanted) / 5;
        self.milli = moved.clamp(self.min, self.max);
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn against_a_node_with_ten_workers_it_settles_near_ten_in_flight() {
        let mut gradient = Gradient::new(1, 1, 1_000);
        for _ in 0..300 {
            // 20 ms of work, ten at a time: more only queue.
            let in_flight = gradient.limit();
            gradient.update(ms(20 * u64::from(in_flight.max(10)) / 10), in_flight);
        }
        assert!((10..=40).contains(&gradient.limit()), "{}", gradient.limit());
    }

    #[test]
    fn a_node_that_turns_slow_gets_fewer_and_gets_them_back() {
        let mut gradient = Gradient::new(64, 1, 64);
        (0..50).for_each(|_| gradient.update(ms(20), gradient.limit()));
        assert_eq!(gradient.limit(), 64);
        (0..20).for_each(|_| gradient.update(ms(200), gradient.limit()));
        assert!(gradient.limit() < 32, "{}", gradient.limit());
        (0..100).for_each(|_| gradient.update(ms(20), gradient.limit()));
        assert_eq!(gradient.limit(), 64);
    }

    #[test]
    fn an_idle_window_changes_no_limit() {
        let mut gradient = Gradient::new(64, 1, 1_000);
        (0..50).for_each(|_| gradient.update(ms(20), 31));
        assert_eq!(gradient.limit(), 64);
    }

    proptest! {
        #[test]
        fn it_stays_in_its_bounds(min in 0u32..100, max in 0u32..100, windows in prop::collection::vec((any::<u64>(), any::<u32>()), 0..100)) {
            let mut gradient = Gradient::new(10, min, max);
            for (ns, most) in windows {
                gradient.update(Duration::from_nanos(ns), most);
                prop_assert!(gradient.limit() >= 1 && gradient.limit() <= max.max(1));
            }
        }
    }
}
