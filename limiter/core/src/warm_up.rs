//! Warm-up: a cold resource gets a third of its threshold, and more as it proves itself.
//!
//! Clause: limiter page, *Warm-up*; B6. A store of tokens stands for coldness: full it is cold, below the warning line warm. Once a
//! second it fills up by what was not used and drains by what passed. With `period` in seconds and `threshold` calls a second:
//!
//! ```text
//! warning = period * threshold / (cold - 1)        slope = (cold - 1) / threshold / (max - warning)
//! max     = warning + 2 * period * threshold / (1 + cold)
//! above the warning line: qps = nextafter(1 / ((tokens - warning) * slope + 1 / threshold)), else the threshold
//! ```
//!
//! The limit in force goes to a [`crate::cell::Cell`], which enforces it exactly; the formulas run once a second, not on the decision path.

use core::time::Duration;

use crate::Time;
use crate::cell::Speed;
use crate::limits::{WARM_UP_PERIOD, WARM_UP_THRESHOLD};

/// Threshold and how to reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Calls a second when warm.
    pub threshold: u64,
    /// Calls at once.
    pub burst: u64,
    /// How long warming up takes.
    pub period: Duration,
    /// The cold threshold is this part of the warm one; 1 or less counts as 3.
    pub cold_factor: u32,
}

/// The state. See the module's text.
#[derive(Debug, Clone)]
pub struct WarmUp {
    settings: Settings,
    warning: u64,
    max: u64,
    tokens: u64,
    synced_second: u64,
    /// Passed since the second that was synced.
    passed: u64,
}

impl WarmUp {
    /// Cold.
    pub fn new(settings: Settings) -> Self {
        let cold_factor = if settings.cold_factor <= 1 { 3 } else { settings.cold_factor };
        let threshold = settings.threshold.min(WARM_UP_THRESHOLD);
        let period = settings.period.min(WARM_UP_PERIOD);
        let cold = u64::from(cold_factor);
        let area = u64::try_from(u128::from(threshold).saturating_mul(period.as_millis()).div_euclid(1_000));
        let area = area.unwrap_or(u64::MAX);
        let warning = area.checked_div(cold.saturating_sub(1)).unwrap_or(0);
        let more = area.saturating_mul(2).checked_div(cold.saturating_add(1)).unwrap_or(0);
        let max = warning.saturating_add(more);
        let settings = Settings { threshold, period, cold_factor, ..settings };
        Self { settings, warning, max, tokens: max, synced_second: 0, passed: 0 }
    }

    /// `n` calls passed.
    #[inline]
    pub fn passed(&mut self, n: u32) {
        self.passed = self.passed.saturating_add(u64::from(n));
    }

    /// Once a second: the limit from now on.
    pub fn sync(&mut self, now: Time) -> Speed {
        let second = now.as_nanos().div_euclid(1_000_000_000);
        let elapsed = second.saturating_sub(self.synced_second);
        if elapsed > 0 {
            let passed = core::mem::take(&mut self.passed);
            let a_second = passed.div_ceil(elapsed);
            let cold_qps = self.settings.threshold.div_euclid(u64::from(self.settings.cold_factor.max(1)));
            // Above the line it gets colder only while hardly used; else it would never warm up.
            if self.tokens < self.warning || (self.tokens > self.warning && a_second < cold_qps) {
                let fill = elapsed.saturating_mul(self.settings.threshold);
                self.tokens = self.tokens.saturating_add(fill).min(self.max);
            }
            self.tokens = self.tokens.saturating_sub(passed);
            self.synced_second = second;
        }
        self.speed()
    }

    /// Back to cold: what a breaker that closes asks for.
    pub fn cool(&mut self) {
        self.tokens = self.max;
    }

    /// The stored tokens, and where the warning line is.
    pub fn tokens(&self) -> (u64, u64) {
        (self.tokens, self.warning)
    }

    /// The limit in force.
    pub fn speed(&self) -> Speed {
        let Settings { threshold, burst, .. } = self.settings;
        if self.tokens <= self.warning {
            return Speed::per_second(threshold, burst);
        }
        Speed::new(u128::from(self.qps_milli()), 1_000, Duration::from_secs(1), burst)
    }

    // The page's formula as it stands, once a second: fixed point would hide it.
    #[allow(clippy::float_arithmetic, clippy::as_conversions)]
    fn qps_milli(&self) -> u64 {
        let (threshold, cold) = (self.settings.threshold as f64, f64::from(self.settings.cold_factor));
        let slope = (cold - 1.0) / threshold / (self.max.saturating_sub(self.warning) as f64);
        let above = self.tokens.saturating_sub(self.warning) as f64;
        let qps = (1.0 / (above * slope + 1.0 / threshold)).next_up();
        // A float that is no number becomes 0 here: nothing passes, which the threshold 0 means.
        ((qps * 1_000.0) as u64).min(self.settings.threshold.saturating_mul(1_000))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use crate::cell::Cell;

    const SECOND: u64 = 1_000_000_000;

    fn warm_up(threshold: u64) -> WarmUp {
        let period = Duration::from_secs(10);
        WarmUp::new(Settings { threshold, burst: 10, period, cold_factor: 3 })
    }

    #[test]
    fn the_lines_and_the_cold_threshold_are_the_formulas() {
        let warm = warm_up(1_000);
        // 10 * 1000 / 2; that + 2 * 10 * 1000 / 4; cold: 1 / (5000 * slope + .001) with slope 2 / 1000 / 5000.
        assert_eq!((warm.warning, warm.max), (5_000, 10_000));
        assert_eq!(warm.speed().per_second_milli(), 333_333);
        let half = WarmUp { tokens: 7_500, ..warm };
        assert_eq!(half.speed().per_second_milli(), 500_000);
        let factor_one = WarmUp::new(Settings { cold_factor: 1, ..half.settings });
        assert_eq!(factor_one.settings.cold_factor, 3);
    }

    /// Second by second, what a caller gets who always asks.
    fn admitted(threshold: u64, seconds: u64) -> Vec<u64> {
        let mut warm = warm_up(threshold);
        let mut cell = Cell::new(warm.speed());
        let (mut got, step) = (Vec::new(), SECOND / 10_000);
        for second in 0..seconds {
            let mut sum = 0;
            for k in 0..10_000 {
                let now = Time::from_nanos(second * SECOND + k * step);
                if k == 0 {
                    let speed = warm.sync(now);
                    cell.retune(now, speed);
                }
                let drained = cell.drained(now);
                if cell.fits(drained, 1) {
                    cell.take(now, drained, 1);
                    warm.passed(1);
                    sum += 1;
                }
            }
            got.push(sum);
        }
        got
    }

    #[test]
    fn it_starts_at_a_third_grows_and_delivers_all_when_warm() {
        let got = admitted(1_000, 40);
        assert!((333..=344).contains(&got[0]), "{got:?}");
        assert!(got.windows(2).skip(1).all(|pair| pair[1] + 1 >= pair[0]), "{got:?}");
        let steady: u64 = got[30..].iter().sum();
        assert!((9_950..=10_000).contains(&steady), "{got:?}");
        assert!(got.iter().all(|n| *n <= 1_010));
    }

    #[test]
    fn idle_it_cools_down_again() {
        let mut warm = warm_up(1_000);
        warm.tokens = 0;
        warm.sync(Time::from_nanos(SECOND));
        warm.sync(Time::from_nanos(30 * SECOND));
        assert_eq!(warm.tokens(), (10_000, 5_000));
    }

    #[test]
    fn a_threshold_of_zero_lets_nothing_through() {
        let zero = warm_up(0);
        assert_eq!(zero.speed().per_second_milli(), 0);
    }
}
