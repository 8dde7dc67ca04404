//! What happened lately: a ring of counters that time turns (LeapArray).
//!
//! Clause: limiter page, *Sliding window*; A10-A14, B9-B11, B25. Windows observe, [`crate::cell`] enforces. A ring covers its interval in
//! steps; a step that has expired is reset when an event lands on it. Reading covers the whole steps nearest to the interval
//! asked for, so a count is off by what happens in half a step at most: 5 ms at a step of 10 ms, 50 ms at 100 ms with a tenth of the
//! memory. Rules may share a ring ([`Ring::shares`]) or own one ([`geometry`]).
//!
//! Bounds: [`crate::limits::WINDOW_STEPS`]. A clock that goes back by more than a step is refused with [`ClockWentBack`]; by less
//! (threads that read it before they got the lock) the event counts in the step at hand.

use alloc::boxed::Box;
use alloc::vec;
use core::time::Duration;

use thiserror::Error;

use crate::Time;
use crate::limits::{MIN_RT_UNKNOWN, WINDOW_STEPS};
use crate::time::span_nanos;

/// Interval and number of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Time covered.
    pub interval: Duration,
    /// Steps it is cut into.
    pub steps: u32,
}

/// Kept by default: 10 s in 20 steps.
pub const KEPT: Geometry = Geometry { interval: Duration::from_secs(10), steps: 20 };
/// Read by default: 1 s in 2 steps.
pub const READ: Geometry = Geometry { interval: Duration::from_secs(1), steps: 2 };

/// The geometry of a rule that counts over `interval`: `steps` of half a second, or one (B10).
pub fn geometry(interval: Duration) -> Geometry {
    let interval = if interval.is_zero() { Duration::from_secs(1) } else { interval };
    let (ns, half) = (span_nanos(interval), 500_000_000);
    let whole = ns >= half && interval <= KEPT.interval && ns.is_multiple_of(half);
    let steps = if whole { u32::try_from(ns.checked_div(half).unwrap_or(1)).unwrap_or(1) } else { 1 };
    Geometry { interval, steps }
}

/// The sums of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Calls let through.
    pub pass: u64,
    /// Calls refused.
    pub block: u64,
    /// Calls answered.
    pub complete: u64,
    /// Of these, errors.
    pub error: u64,
    /// Sum of the answers' times.
    pub rt: Duration,
    /// The shortest of them; [`MIN_RT_UNKNOWN`] without any.
    pub min_rt: Duration,
    /// Most calls in flight at once.
    pub max_concurrency: u32,
    /// Most answers in one step, for the BBR test.
    pub max_complete: u64,
}

impl Counts {
    const NONE: Self = Self {
        pass: 0,
        block: 0,
        complete: 0,
        error: 0,
        rt: Duration::ZERO,
        min_rt: MIN_RT_UNKNOWN,
        max_concurrency: 0,
        max_complete: 0,
    };
    /// Mean time of an answer; zero without any.
    pub fn average_rt(&self) -> Duration {
        let calls = u128::from(self.complete.max(1));
        Duration::from_nanos(u64::try_from(self.rt.as_nanos().div_ceil(calls)).unwrap_or(u64::MAX))
    }
}

/// The clock is a step or more behind what was noted already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the clock went back by {by:?}")]
pub struct ClockWentBack {
    /// How far.
    pub by: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    /// Number of the step since the origin of time, plus one; zero: never used.
    number: u64,
    rt_ns: u64,
    min_rt_ns: u64,
    pass: u32,
    block: u32,
    complete: u32,
    error: u32,
    max_concurrency: u32,
}

const UNUSED: Step =
    Step { number: 0, rt_ns: 0, min_rt_ns: u64::MAX, pass: 0, block: 0, complete: 0, error: 0, max_concurrency: 0 };

/// The ring. See the module's text.
#[derive(Debug, Clone)]
pub struct Ring {
    /// One more than the interval has: the oldest is read by half.
    steps: Box<[Step]>,
    step_ns: u64,
    interval_ns: u64,
    /// The step at hand: start, and index in the ring.
    start: u64,
    at: usize,
}

impl Ring {
    /// An empty ring; steps are clamped to 1..=[`WINDOW_STEPS`] and to whole nanoseconds.
    pub fn new(geometry: Geometry) -> Self {
        let steps = geometry.steps.clamp(1, WINDOW_STEPS);
        let step_ns = span_nanos(geometry.interval).checked_div(u64::from(steps)).unwrap_or(1).max(1);
        let slots = usize::try_from(steps).unwrap_or(1).saturating_add(1);
        let interval_ns = step_ns.saturating_mul(u64::from(steps));
        let mut ring = Self { steps: vec![UNUSED; slots].into_boxed_slice(), step_ns, interval_ns, start: 0, at: 0 };
        ring.steps.iter_mut().take(1).for_each(|step| step.number = 1);
        ring
    }

    /// Can a rule with this geometry read this ring? Interval and steps must divide (B10).
    pub fn shares(&self, rule: Geometry) -> bool {
        let (interval, steps) = (span_nanos(rule.interval), u64::from(rule.steps.max(1)));
        let step = interval.checked_div(steps).unwrap_or(0);
        interval > 0
            && interval.is_multiple_of(steps)
            && self.interval_ns.is_multiple_of(interval)
            && step.is_multiple_of(self.step_ns)
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>().saturating_add(size_of_val(&*self.steps))
    }

    /// `n` calls let through, with so many in flight now.
    #[inline]
    pub fn pass(&mut self, now: Time, n: u32, in_flight: u32) -> Result<(), ClockWentBack> {
        let step = self.step(now)?;
        step.pass = step.pass.saturating_add(n);
        step.max_concurrency = step.max_concurrency.max(in_flight);
        Ok(())
    }
    /// `n` calls refused.
    #[inline]
    pub fn block(&mut self, now: Time, n: u32) -> Result<(), ClockWentBack> {
        let step = self.step(now)?;
        step.block = step.block.saturating_add(n);
        Ok(())
    }
    /// A call answered after `rt`.
    pub fn complete(&mut self, now: Time, rt: Duration, error: bool) -> Result<(), ClockWentBack> {
        let step = self.step(now)?;
        let rt_ns = span_nanos(rt);
        step.complete = step.complete.saturating_add(1);
        step.error = step.error.saturating_add(u32::from(error));
        step.rt_ns = step.rt_ns.saturating_add(rt_ns);
        step.min_rt_ns = step.min_rt_ns.min(rt_ns);
        Ok(())
    }

    #[inline]
    fn step(&mut self, now: Time) -> Result<&mut Step, ClockWentBack> {
        let ns = now.as_nanos();
        if ns.wrapping_sub(self.start) >= self.step_ns {
            self.turn(ns)?;
        }
        // Never missing: `turn` keeps `at` inside the ring.
        self.steps.get_mut(self.at).ok_or(ClockWentBack { by: Duration::ZERO })
    }

    #[cold]
    fn turn(&mut self, ns: u64) -> Result<(), ClockWentBack> {
        if let Some(by) = self.start.checked_sub(ns).filter(|by| *by > 0) {
            if by < self.step_ns {
                return Ok(());
            }
            return Err(ClockWentBack { by: Duration::from_nanos(by) });
        }
        let number = ns.checked_div(self.step_ns).unwrap_or(0);
        self.start = number.saturating_mul(self.step_ns);
        let slots = u64::try_from(self.steps.len()).unwrap_or(1);
        self.at = usize::try_from(number.checked_rem(slots).unwrap_or(0)).unwrap_or(0);
        if let Some(step) = self.steps.get_mut(self.at) {
            *step = Step { number: number.saturating_add(1), ..UNUSED };
        }
        Ok(())
    }

    /// The sums over the last `interval` (of what is kept), off by half a step at most.
    pub fn read(&self, now: Time, interval: Duration) -> Counts {
        let ns = now.as_nanos().max(self.start);
        let number = ns.checked_div(self.step_ns).unwrap_or(0);
        let into = ns.checked_rem(self.step_ns).unwrap_or(0);
        let whole = span_nanos(interval).min(self.interval_ns).div_ceil(self.step_ns).max(1);
        // The step at hand and so many before it: their time is the interval, give or take half a step.
        let before = if into.saturating_mul(2) < self.step_ns { whole } else { whole.saturating_sub(1) };
        let oldest = number.saturating_add(1).saturating_sub(before).max(1);
        let mut sum = Counts::NONE;
        for step in self.steps.iter().filter(|step| step.number >= oldest) {
            sum.pass = sum.pass.saturating_add(u64::from(step.pass));
            sum.block = sum.block.saturating_add(u64::from(step.block));
            sum.complete = sum.complete.saturating_add(u64::from(step.complete));
            sum.error = sum.error.saturating_add(u64::from(step.error));
            sum.rt = sum.rt.saturating_add(Duration::from_nanos(step.rt_ns));
            sum.min_rt = sum.min_rt.min(Duration::from_nanos(step.min_rt_ns));
            sum.max_concurrency = sum.max_concurrency.max(step.max_concurrency);
            sum.max_complete = sum.max_complete.max(u64::from(step.complete));
        }
        sum
    }

    /// Most answers a second, by the busiest step (BBR).
    pub fn max_complete_per_second(&self, counts: &Counts) -> u64 {
        let wide = u128::from(counts.max_complete).saturating_mul(1_000_000_000);
        u64::try_from(wide.checked_div(u128::from(self.step_ns)).unwrap_or(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(ns: u64) -> Time {
        Time::from_nanos(ns)
    }
    fn ring(interval_ms: u64, steps: u32) -> Ring {
        Ring::new(Geometry { interval: Duration::from_millis(interval_ms), steps })
    }

    /// Largest deviation from the true count, in ms of arrivals (one every 0.1 ms), over many instants of reading.
    fn worst_error_ms(steps: u32) -> u64 {
        let (mut ring, mut worst) = (ring(1_000, steps), 0u64);
        for k in 0..40_000u64 {
            let now = at(k * MS / 10);
            ring.pass(now, 1, 0).unwrap();
            if k >= 20_000 {
                worst = worst.max(ring.read(now, Duration::from_secs(1)).pass.abs_diff(10_000));
            }
        }
        worst / 10
    }

    #[test]
    fn a_step_of_10_ms_is_off_by_5_ms_at_most_and_one_of_100_ms_by_50() {
        let (fine, coarse) = (worst_error_ms(100), worst_error_ms(10));
        assert!(fine <= 5, "{fine}");
        assert!((40..=50).contains(&coarse), "{coarse}");
    }

    #[test]
    fn ten_times_coarser_steps_take_a_tenth_of_the_memory() {
        let (fine, coarse) = (ring(10_000, 1_000), ring(10_000, 100));
        let slots = |ring: &Ring| ring.bytes() - size_of::<Ring>();
        assert_eq!((slots(&fine) + slots(&coarse) / 2) / slots(&coarse), 10);
        assert!(Ring::new(KEPT).bytes() <= 2_048, "{}", Ring::new(KEPT).bytes());
    }

    #[test]
    fn time_turns_the_ring_and_not_calls() {
        let mut ring = ring(1_000, 10);
        ring.pass(at(0), 3, 2).unwrap();
        ring.block(at(0), 1).unwrap();
        ring.complete(at(50 * MS), Duration::from_millis(40), true).unwrap();
        ring.complete(at(150 * MS), Duration::from_millis(20), false).unwrap();
        let counts = ring.read(at(900 * MS), Duration::from_secs(1));
        assert_eq!((counts.pass, counts.block, counts.complete, counts.error), (3, 1, 2, 1));
        assert_eq!((counts.max_concurrency, counts.min_rt), (2, Duration::from_millis(20)));
        assert_eq!(counts.average_rt(), Duration::from_millis(30));
        assert_eq!(ring.read(at(1_140 * MS), Duration::from_secs(1)).complete, 1);
        assert_eq!(ring.read(at(60_000 * MS), Duration::from_secs(1)).min_rt, MIN_RT_UNKNOWN);
        // A lap later the same slots are used anew.
        ring.pass(at(11_000 * MS), 1, 0).unwrap();
        assert_eq!(ring.read(at(11_000 * MS), Duration::from_secs(1)).pass, 1);
    }

    #[test]
    fn a_clock_that_goes_back_is_an_error_past_a_step_and_loses_nothing_within_one() {
        let mut ring = ring(1_000, 10);
        ring.pass(at(2_000 * MS), 1, 0).unwrap();
        ring.pass(at(1_999 * MS), 1, 0).unwrap();
        assert_eq!(ring.pass(at(1_800 * MS), 1, 0), Err(ClockWentBack { by: Duration::from_millis(200) }));
        assert_eq!(ring.read(at(2_000 * MS), Duration::from_secs(1)).pass, 2);
    }

    #[test]
    fn rules_share_the_default_ring_when_interval_and_steps_divide() {
        let kept = Ring::new(KEPT);
        assert!(kept.shares(READ) && kept.shares(geometry(Duration::from_secs(5))));
        assert!(kept.shares(geometry(Duration::from_millis(2_500))));
        assert!(!kept.shares(geometry(Duration::from_secs(3)))); // 10 s is no multiple
        assert!(!kept.shares(geometry(Duration::from_millis(200))));
        assert_eq!(geometry(Duration::from_millis(700)).steps, 1);
        assert_eq!(geometry(Duration::from_secs(20)).steps, 1);
        assert_eq!(geometry(Duration::ZERO), READ);
    }

    #[test]
    fn the_busiest_step_gives_answers_a_second() {
        let mut ring = ring(1_000, 10);
        (0..7).for_each(|_| ring.complete(at(5), Duration::from_millis(1), false).unwrap());
        let counts = ring.read(at(5), Duration::from_secs(1));
        assert_eq!(ring.max_complete_per_second(&counts), 70);
    }
}
