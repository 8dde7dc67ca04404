//! Throttling: calls leave one by one, evenly spaced; a caller is told how long to wait.
//!
//! Clause: limiter page, *Throttling*; B4, B5. `n` calls take `ceil(n / threshold * interval)` ns. A call that is due goes; one
//! that is not waits, if its wait is at most `max_queueing`; else it is refused. Nothing sleeps here: the wait is returned, and the
//! place in the queue is taken with it.
//!
//! Y5: a queue that counts from the instant of the last call loses what a caller comes late, 15-30 % with `max_queueing` 0.
//! Here lateness of up to half a spacing is credited to the next call: in any window `W` at most `1 + (W + spacing / 2) / spacing`.

use core::time::Duration;

use crate::Time;
use crate::time::span_nanos;

/// How fast, how long a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Calls an interval; zero refuses all.
    pub threshold: u64,
    /// The interval; zero counts as 1 s.
    pub interval: Duration,
    /// The longest wait; zero: now or not at all.
    pub max_queueing: Duration,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spaced {
    /// The place is taken: leave after this wait (zero: now).
    After(Duration),
    /// The queue is too long; nothing was taken. Ask again not before this.
    NotBefore(Time),
    /// More at once than an interval's threshold, or a threshold of zero.
    Never,
}

/// The queue. See the module's text.
#[derive(Debug, Clone)]
pub struct Throttle {
    settings: Settings,
    interval_ns: u64,
    /// When the last call left, or will.
    last: Option<u64>,
}

impl Throttle {
    /// An idle queue.
    pub fn new(settings: Settings) -> Self {
        let interval_ns = match span_nanos(settings.interval) {
            0 => 1_000_000_000,
            ns => ns,
        };
        Self { settings, interval_ns, last: None }
    }

    /// Nanoseconds `n` calls take.
    pub fn spacing_ns(&self, n: u32) -> u64 {
        let span = u128::from(n).saturating_mul(u128::from(self.interval_ns));
        u64::try_from(span.div_ceil(u128::from(self.settings.threshold.max(1)))).unwrap_or(u64::MAX)
    }

    /// What [`Self::ask`] would say, and the instant it would note, taking nothing.
    fn look(&self, now: Time, n: u32) -> Result<(u64, Duration), Spaced> {
        if self.settings.threshold == 0 || u64::from(n) > self.settings.threshold {
            return Err(Spaced::Never);
        }
        let (now_ns, spacing) = (now.as_nanos(), self.spacing_ns(n));
        let due = self.last.map_or(now_ns, |last| last.saturating_add(spacing));
        if due <= now_ns {
            let credit = spacing.saturating_sub(1) >> 1;
            return Ok((due.max(now_ns.saturating_sub(credit)), Duration::ZERO));
        }
        let wait = Duration::from_nanos(due.saturating_sub(now_ns));
        if wait <= self.settings.max_queueing {
            return Ok((due, wait));
        }
        Err(Spaced::NotBefore(Time::from_nanos(due.saturating_sub(span_nanos(self.settings.max_queueing)))))
    }

    /// The answer to `n` calls, taking nothing.
    pub fn peek(&self, now: Time, n: u32) -> Spaced {
        self.look(now, n).map_or_else(|no| no, |(_, wait)| Spaced::After(wait))
    }

    /// A place for `n` calls.
    pub fn ask(&mut self, now: Time, n: u32) -> Spaced {
        match self.look(now, n) {
            Ok((leaves, wait)) => {
                self.last = Some(leaves);
                Spaced::After(wait)
            }
            Err(no) => no,
        }
    }

    /// Gives the place of `n` calls back, if nobody queued behind it: `leaves` is when they would have left.
    pub fn refund(&mut self, leaves: Time, n: u32) {
        if self.last == Some(leaves.as_nanos()) {
            self.last = Some(leaves.as_nanos().saturating_sub(self.spacing_ns(n)));
        }
    }

    /// The wait of a call that came now: the length of the queue.
    pub fn queued(&self, now: Time) -> Duration {
        Duration::from_nanos(self.last.unwrap_or(0).saturating_sub(now.as_nanos()))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    fn throttle(threshold: u64, max_ms: u64) -> Throttle {
        let max_queueing = Duration::from_millis(max_ms);
        Throttle::new(Settings { threshold, interval: Duration::from_secs(1), max_queueing })
    }
    fn at(ns: u64) -> Time {
        Time::from_nanos(ns)
    }

    #[test]
    fn five_a_second_leave_200_ms_apart_and_never_at_once() {
        let mut queue = throttle(5, 500);
        let answers: Vec<_> = (0..5).map(|_| queue.ask(at(0), 1)).collect();
        let ms = |n| Spaced::After(Duration::from_millis(n));
        assert_eq!(
            answers,
            [ms(0), ms(200), ms(400), Spaced::NotBefore(at(100 * MS)), Spaced::NotBefore(at(100 * MS))]
        );
        assert_eq!(queue.ask(at(100 * MS), 1), ms(500));
    }

    #[test]
    fn three_a_second_are_spaced_by_the_ceiling() {
        assert_eq!(throttle(3, 0).spacing_ns(1), 333_333_334);
        assert_eq!(throttle(3, 0).spacing_ns(2), 666_666_667);
    }

    #[test]
    fn a_batch_above_the_threshold_and_a_threshold_of_zero_are_never() {
        assert_eq!(throttle(5, 1_000).ask(at(0), 6), Spaced::Never);
        assert_eq!(throttle(0, 1_000).ask(at(0), 1), Spaced::Never);
    }

    #[test]
    fn a_place_given_back_is_the_next_callers() {
        let mut queue = throttle(10, 1_000);
        assert_eq!(queue.ask(at(0), 1), Spaced::After(Duration::ZERO));
        assert_eq!(queue.ask(at(0), 1), Spaced::After(Duration::from_millis(100)));
        queue.refund(at(100 * MS), 1);
        assert_eq!(queue.ask(at(0), 1), Spaced::After(Duration::from_millis(100)));
    }

    #[test]
    fn polled_at_odd_instants_without_a_queue_it_delivers_within_half_a_percent() {
        // sentinel-golang here: 2,746 to 3,405 of 4,000.
        let mut queue = throttle(1_000, 0);
        let (mut now, mut passed, mut step) = (0u64, 0u64, 7u64);
        while now < 4_000 * MS {
            passed += u64::from(queue.ask(at(now), 1) == Spaced::After(Duration::ZERO));
            step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            now += 1_000 + (step >> 33) % 450_000; // up to 0.45 ms late
        }
        assert!((3_980..=4_001).contains(&passed), "{passed}");
    }

    proptest! {
        #[test]
        fn never_more_in_a_window_than_the_spacing_allows(
            threshold in 1u64..200, max_ms in 0u64..300, steps in prop::collection::vec((0u64..40 * MS, 1u32..4), 1..200),
        ) {
            let mut queue = throttle(threshold, max_ms);
            let (mut now, mut left) = (0u64, Vec::new());
            for (wait, n) in steps {
                now += wait;
                if let Spaced::After(wait) = queue.ask(at(now), n) {
                    prop_assert!(wait <= Duration::from_millis(max_ms));
                    left.push((now + span_nanos(wait), u64::from(n)));
                }
            }
            for (i, (start, first)) in left.iter().enumerate() {
                let mut sum = 0u64;
                for (end, n) in left.iter().skip(i) {
                    sum += n;
                    // Those after the first took their spacing, less one credit of half of the last one's.
                    let most = (end - start) * threshold + first * 1_000 * MS + 2 * 1_000 * MS;
                    prop_assert!(sum * 1_000 * MS <= most, "{} in {}", sum, end - start);
                }
            }
        }
    }
}
