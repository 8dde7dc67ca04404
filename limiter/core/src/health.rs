//! The adaptive threshold: how well a method of an endpoint does, and how much of its base limit it gets.
//!
//! Once a period (10 s) the caller hands in the period's calls, errors and p95. From them come
//! `health = (1 - min(err, .99)) * max(.1, 1 - min(p95 / reference, .99))` and
//! `threshold = base * health * (1 + a * (1 - health))`, towards which the threshold in force moves by a quarter of the way
//! (EWMA). Clauses: A43 to A48, and the reference of each method: [`REFERENCE_MIN`] or four times its learned unloaded p95,
//! so that a node which is slow by nature does not trip for ever.
//!
//! | seen | what follows |
//! |---|---|
//! | more than half of the calls fail, three periods in a row | open the breaker, cut the threshold by 30 % |
//! | health < 0.4, errors > 10 %, enough requests | open the breaker, the threshold falls to the formula's at once |
//! | p95 > 1.6 x the reference for 2 min | the threshold falls to a third of the base and rises by steps once p95 is sound |
//! | p95 > 1.2 x the reference | at most a tenth of the threshold is lost in a period |
//!
//! Units: shares in millionths ([`MILLION`]), spans in ns. A period without a call changes nothing. Errors: none.
//!
//! ```
//! use core::time::Duration;
//! use limiter_core::health;
//! let reference = Duration::from_millis(500);
//! let health = health::of(100_000, Duration::from_millis(200), reference);
//! assert_eq!(health::threshold(1_000, health, 300_000), 614);
//! ```

use core::time::Duration;

use crate::Time;
use crate::limits::{
    ADAPT_MIN_REQUESTS, REFERENCE_MAX, REFERENCE_MIN, THRESHOLD_BASE, WEIGHT_MAX_PERMILLE, WEIGHT_MIN_PERMILLE,
};
use crate::time::span_nanos;

/// One, as a share.
pub const MILLION: u32 = 1_000_000;
/// `a` of the formula (A45).
pub const ALPHA: u32 = 300_000;
const NEARLY_ONE: u64 = 990_000;

/// `part` of `whole` in millionths; 0 of nothing.
pub fn share(part: u64, whole: u64) -> u32 {
    let scaled = u128::from(part).saturating_mul(u128::from(MILLION)).checked_div(u128::from(whole)).unwrap_or(0);
    u32::try_from(scaled.min(u128::from(MILLION))).unwrap_or(MILLION)
}

/// A44, in millionths.
pub fn of(errors: u32, p95: Duration, reference: Duration) -> u32 {
    let million = u64::from(MILLION);
    let answered = million.saturating_sub(u64::from(errors).min(NEARLY_ONE));
    let late = u64::from(share(span_nanos(p95), span_nanos(reference).max(1))).min(NEARLY_ONE);
    let speed = million.saturating_sub(late).max(100_000);
    u32::try_from(answered.saturating_mul(speed) / 1_000_000).unwrap_or(MILLION)
}

/// A45: whole calls, rounded down.
pub fn threshold(base: u64, health: u32, alpha: u32) -> u64 {
    let million = u128::from(MILLION);
    let health = u128::from(health.min(MILLION));
    let lift = million
        .saturating_mul(million)
        .saturating_add(u128::from(alpha).saturating_mul(million.saturating_sub(health)));
    let scaled = u128::from(base).saturating_mul(health).saturating_mul(lift);
    u64::try_from(scaled / 1_000_000_000_000_000_000).unwrap_or(u64::MAX)
}

/// What one period showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Completed calls.
    pub calls: u32,
    /// Those in which the endpoint was at fault. Throttles, reverts and sequence mismatches are not among them.
    pub errors: u32,
    /// Of the completed calls.
    pub p95: Duration,
    /// Less than half of the limit was used: the p95 tells how fast the method is by nature.
    pub unloaded: bool,
}

/// What the breaker should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Advice {
    /// Nothing: the threshold follows the formula.
    Hold,
    /// Nothing: the threshold sinks slowly, the answers are late.
    Gradual,
    /// Nothing: the threshold fell to a third and rises by steps.
    WarmUp,
    /// Open: three periods of mostly errors.
    OpenErrors,
    /// Open: health is low.
    OpenHealth,
}

impl Advice {
    /// Should the breaker open?
    pub const fn opens(self) -> bool {
        matches!(self, Self::OpenErrors | Self::OpenHealth)
    }
}

/// The knobs; all of them may change while running ([`Adaptive::set`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Calls a second of a healthy method, at most [`THRESHOLD_BASE`].
    pub base: u64,
    /// `a`, millionths.
    pub alpha: u32,
    /// Length of a period; only the 2 minutes of slowness are measured with it.
    pub period: Duration,
    /// So many calls in a period are enough to open the breaker.
    pub min_requests: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { base: 1_000, alpha: ALPHA, period: Duration::from_secs(10), min_requests: ADAPT_MIN_REQUESTS }
    }
}

/// The threshold of one method at one endpoint.
#[derive(Debug, Clone)]
pub struct Adaptive {
    settings: Settings,
    health: u32,
    /// Thousandths of a call.
    smoothed: u64,
    reference: Reference,
    failing_periods: u32,
    slow_for: Duration,
    warming: bool,
}

/// A48: two minutes.
const SLOW_FOR: Duration = Duration::from_secs(120);

impl Adaptive {
    /// Healthy, with the whole base.
    pub fn new(settings: Settings) -> Self {
        let settings = sane(settings);
        Self {
            settings,
            health: MILLION,
            smoothed: settings.base.saturating_mul(1_000),
            reference: Reference::default(),
            failing_periods: 0,
            slow_for: Duration::ZERO,
            warming: false,
        }
    }

    /// New knobs; what was learned stays, and the threshold in force keeps its share of the base.
    pub fn set(&mut self, settings: Settings) {
        let settings = sane(settings);
        let scaled = u128::from(self.smoothed).saturating_mul(u128::from(settings.base));
        let scaled = scaled.checked_div(u128::from(self.settings.base)).and_then(|now| u64::try_from(now).ok());
        self.smoothed = scaled.unwrap_or_else(|| settings.base.saturating_mul(1_000));
        self.settings = settings;
    }

    /// Calls a second allowed now; never 0, or nothing would show that the endpoint is back.
    pub fn threshold(&self) -> u64 {
        (self.smoothed / 1_000).max(1)
    }
    /// The last period's health, millionths.
    pub fn health(&self) -> u32 {
        self.health
    }
    /// The latency that counts as slow.
    pub fn reference(&self) -> Duration {
        self.reference.get()
    }

    /// One period is over.
    pub fn update(&mut self, period: Period) -> Advice {
        if period.calls == 0 {
            return Advice::Hold;
        }
        let reference = self.reference.get();
        let errors = share(u64::from(period.errors), u64::from(period.calls));
        self.health = of(errors, period.p95, reference);
        if period.unloaded && period.errors == 0 && period.calls >= self.settings.min_requests {
            self.reference.learn(period.p95);
        }
        let base = self.settings.base.saturating_mul(1_000);
        let target = threshold(base, self.health, self.settings.alpha);
        let late = |tenths: u32| period.p95.saturating_mul(10) > reference.saturating_mul(tenths);
        let enough = period.calls >= self.settings.min_requests;

        self.failing_periods = if enough && errors > MILLION / 2 { self.failing_periods.saturating_add(1) } else { 0 };
        self.slow_for = if late(16) { self.slow_for.saturating_add(self.settings.period) } else { Duration::ZERO };
        if self.failing_periods >= 3 {
            self.failing_periods = 0;
            self.smoothed = self.smoothed.saturating_mul(7) / 10;
            return Advice::OpenErrors;
        }
        if enough && self.health < 400_000 && errors > 100_000 {
            self.smoothed = self.smoothed.min(target);
            return Advice::OpenHealth;
        }
        if self.slow_for >= SLOW_FOR || self.warming {
            return self.warm_up(base, target, late(12));
        }
        let step = self.smoothed.abs_diff(target).div_ceil(4);
        if target >= self.smoothed {
            self.smoothed = self.smoothed.saturating_add(step);
        } else if late(12) {
            self.smoothed = self.smoothed.saturating_sub(step.min(self.smoothed / 10));
            return Advice::Gradual;
        } else {
            self.smoothed = self.smoothed.saturating_sub(step);
        }
        Advice::Hold
    }

    /// A48: a third of the base (the cold factor 3), then a twelfth of it for each sound period until the formula's is reached.
    fn warm_up(&mut self, base: u64, target: u64, late: bool) -> Advice {
        if !self.warming || late {
            self.warming = true;
            self.smoothed = self.smoothed.min(base / 3);
            return Advice::WarmUp;
        }
        self.smoothed = self.smoothed.saturating_add(base / 12).min(target);
        self.warming = self.smoothed < target;
        Advice::WarmUp
    }
}

fn sane(settings: Settings) -> Settings {
    Settings { base: settings.base.clamp(1, THRESHOLD_BASE), alpha: settings.alpha.min(MILLION), ..settings }
}

/// How slow a method may be: four times its p95 without load, within [`REFERENCE_MIN`], [`REFERENCE_MAX`].
#[derive(Debug, Clone, Copy, Default)]
struct Reference {
    unloaded: Option<Duration>,
}

impl Reference {
    fn get(&self) -> Duration {
        let learned = self.unloaded.map_or(REFERENCE_MIN, |p95| p95.saturating_mul(4));
        learned.clamp(REFERENCE_MIN, REFERENCE_MAX)
    }
    /// A quarter of the way down, a sixty-fourth up: a node that gets worse must not raise its own reference quickly.
    fn learn(&mut self, p95: Duration) {
        let known = self.unloaded.unwrap_or(p95);
        let moved = if p95 < known {
            known.saturating_sub(part(known.saturating_sub(p95), 4))
        } else {
            known.saturating_add(part(p95.saturating_sub(known).min(known), 64))
        };
        self.unloaded = Some(moved);
    }
}

fn part(span: Duration, of: u32) -> Duration {
    span.checked_div(of).unwrap_or_default()
}

/// The weight of a method (A21): recomputed once a minute from its p99 and error ratio.
///
/// `weight = answered share * typical p99 / own p99`, moved halfway each minute, in [0.1, 5] thousandths. A method three times
/// slower than usual weighs 0.33, a quick one up to 5.
#[derive(Debug, Clone)]
pub struct MethodWeight {
    permille: u32,
    next: Time,
}

impl MethodWeight {
    /// Weight 1.
    pub const fn new() -> Self {
        Self { permille: 1_000, next: Time::ZERO }
    }
    /// Thousandths.
    pub fn permille(&self) -> u32 {
        self.permille
    }
    /// Takes a minute's statistics; asked earlier, or about too few calls, it changes nothing. `typical` is the p99 of all
    /// methods of that endpoint.
    pub fn update(&mut self, now: Time, period: Period, p99: Duration, typical: Duration) {
        if now < self.next || period.calls < ADAPT_MIN_REQUESTS {
            return;
        }
        self.next = now.after(Duration::from_secs(60));
        let errors = u64::from(share(u64::from(period.errors), u64::from(period.calls))).min(NEARLY_ONE);
        let answered = u128::from(u64::from(MILLION).saturating_sub(errors));
        let scaled = answered.saturating_mul(typical.as_nanos()).saturating_mul(1_000) / 1_000_000;
        let wanted = scaled.checked_div(p99.as_nanos()).unwrap_or(u128::from(WEIGHT_MAX_PERMILLE));
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).clamp(WEIGHT_MIN_PERMILLE, WEIGHT_MAX_PERMILLE);
        // Rounded towards what is wanted, so that it gets there.
        let sum = self.permille.saturating_add(wanted);
        self.permille = if wanted > self.permille { sum.div_ceil(2) } else { sum / 2 };
    }
}

impl Default for MethodWeight {
    fn default() -> Self {
        Self::new()
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
    fn period(errors: u32, p95: Duration) -> Period {
        Period { calls: 100, errors, p95, unloaded: false }
    }

    #[test]
    fn the_vectors_at_base_1000() {
        for (errors, p95, expected) in [(100_000, 200, 614), (0, 0, 1_000), (500_000, 600, 64)] {
            assert_eq!(threshold(1_000, of(errors, ms(p95), ms(500)), ALPHA), expected);
        }
    }

    #[test]
    fn a_method_slow_by_nature_is_healthy_once_its_unloaded_p95_is_known() {
        let mut adaptive = Adaptive::new(Settings::default());
        let slow = Period { unloaded: true, ..period(0, ms(1_000)) };
        adaptive.update(slow);
        assert_eq!(adaptive.reference(), ms(4_000));
        for _ in 0..50 {
            assert_eq!(adaptive.update(slow), Advice::Hold);
        }
        assert_eq!(adaptive.health(), 750_000);
        assert_eq!(adaptive.threshold(), threshold(1_000, 750_000, ALPHA));
        // Fast ones keep the 500 ms of the formula; none goes beyond the bound.
        let mut fast = Adaptive::new(Settings::default());
        fast.update(Period { unloaded: true, ..period(0, ms(5)) });
        assert_eq!(fast.reference(), REFERENCE_MIN);
        fast.update(Period { unloaded: true, ..period(0, Duration::MAX) });
        assert!(fast.reference() <= REFERENCE_MAX);
    }

    #[test]
    fn a_loaded_or_failing_period_teaches_no_reference() {
        let mut adaptive = Adaptive::new(Settings::default());
        adaptive.update(period(0, ms(2_000)));
        adaptive.update(Period { unloaded: true, ..period(1, ms(2_000)) });
        assert_eq!(adaptive.reference(), REFERENCE_MIN);
    }

    #[test]
    fn three_failing_periods_in_a_row_open_and_cut_by_30_percent() {
        let lenient = Settings { base: 1_000, ..Settings::default() };
        let mut adaptive = Adaptive::new(lenient);
        assert_eq!(adaptive.update(period(51, ms(0))), Advice::Hold);
        assert_eq!(adaptive.update(period(51, ms(0))), Advice::Hold);
        let before = adaptive.threshold();
        assert_eq!(adaptive.update(period(51, ms(0))), Advice::OpenErrors);
        assert!(adaptive.threshold().abs_diff(before * 7 / 10) <= 1);
        // A sound one between them starts the count again.
        for errors in [51, 51, 50, 51, 51] {
            assert_eq!(adaptive.update(period(errors, ms(0))), Advice::Hold);
        }
    }

    #[test]
    fn low_health_opens_only_with_errors_and_enough_requests() {
        let mut adaptive = Adaptive::new(Settings::default());
        assert_eq!(adaptive.update(period(0, ms(10_000))), Advice::Gradual);
        assert_eq!(adaptive.update(period(10, ms(500))), Advice::Hold);
        assert_eq!(adaptive.update(Period { calls: 19, ..period(19, ms(10)) }), Advice::Hold);
        assert!(adaptive.health() < 400_000);
        assert_eq!(adaptive.update(period(11, ms(500))), Advice::OpenHealth);
        assert_eq!(adaptive.threshold(), threshold(1_000, adaptive.health(), ALPHA));
    }

    #[test]
    fn late_answers_lose_at_most_a_tenth_of_the_threshold_in_a_period() {
        let mut adaptive = Adaptive::new(Settings::default());
        assert_eq!(adaptive.update(period(0, ms(601))), Advice::Gradual);
        assert_eq!(adaptive.threshold(), 900);
        assert_eq!(adaptive.update(period(0, ms(600))), Advice::Hold);
        assert!(adaptive.threshold() < 810);
    }

    #[test]
    fn two_slow_minutes_mean_a_third_of_the_base_and_a_rise_by_steps() {
        let mut adaptive = Adaptive::new(Settings::default());
        (0..11).for_each(|_| assert_eq!(adaptive.update(period(0, ms(801))), Advice::Gradual));
        assert_eq!(adaptive.update(period(0, ms(801))), Advice::WarmUp);
        assert!(adaptive.threshold() <= 333);
        let mut steps = Vec::new();
        loop {
            let advice = adaptive.update(period(0, ms(0)));
            steps.push(adaptive.threshold());
            if adaptive.threshold() == 1_000 {
                assert_eq!(advice, Advice::WarmUp);
                break;
            }
        }
        assert!(steps.windows(2).all(|pair| pair[1] - pair[0] <= 84), "{steps:?}");
        assert_eq!(adaptive.update(period(0, ms(0))), Advice::Hold);
    }

    #[test]
    fn a_new_base_keeps_the_share_that_was_learned() {
        let mut adaptive = Adaptive::new(Settings::default());
        adaptive.update(period(0, ms(601)));
        adaptive.set(Settings { base: 200, ..Settings::default() });
        assert_eq!(adaptive.threshold(), 180);
    }

    #[test]
    fn a_methods_weight_follows_its_p99_and_errors_once_a_minute() {
        let at = |s| Time::ZERO.after(Duration::from_secs(s));
        let settle = |p99, errors| {
            let mut weight = MethodWeight::new();
            (0..30).for_each(|minute| weight.update(at(minute * 60), period(errors, ms(0)), ms(p99), ms(120)));
            weight.permille()
        };
        assert_eq!((settle(400, 0), settle(100, 0), settle(100, 50)), (300, 1_200, 600));
        assert_eq!((settle(0, 0), settle(100_000, 0), settle(100, 100)), (5_000, 100, 100));
        let mut weight = MethodWeight::new();
        weight.update(at(0), period(0, ms(0)), ms(400), ms(120));
        weight.update(at(59), period(0, ms(0)), ms(400), ms(120));
        assert_eq!(weight.permille(), 650); // half of the way, once
    }

    proptest! {
        /// X7 aside, the formula and the smoothing stay within 1 and the base whatever a node shows.
        #[test]
        fn the_threshold_stays_within_one_and_the_base(
            base in 1u64..2_000_000_000,
            periods in prop::collection::vec((0u32..50, 0u32..60, any::<u64>(), any::<bool>()), 0..100),
        ) {
            let mut adaptive = Adaptive::new(Settings { base, ..Settings::default() });
            for (calls, errors, p95, unloaded) in periods {
                adaptive.update(Period { calls, errors, p95: Duration::from_nanos(p95), unloaded });
                prop_assert!(adaptive.threshold() >= 1 && adaptive.threshold() <= base);
            }
        }
    }
}
