//! What an endpoint taught us: how often it lets us call, how many calls at once do it good, how well it is.
//!
//! | seen | learned | by |
//! |---|---|---|
//! | throttles, Retry-After | the rate below the configured one; a first throttle starts it, a quiet minute at the ceiling ends it | [`Pacer`] |
//! | throttles in a row | a pause that doubles: the provider is slower than any rate that still finds it | here |
//! | latency of reads | calls in flight | [`Gradient`] |
//! | errors and p95 of reads, every ten seconds | health, the share of the rate it is worth, and when to open the breaker | [`Adaptive`] |
//!
//! Clauses: *Upstream-aware pacing* and *Adaptive threshold* of the limiter page; A43 to A48. Units: rates in thousandths of a call
//! a second. Bounds: [`crate::limits`]. Errors: none.

use std::time::Duration;

use limiter_core::Time;
use limiter_core::gradient::Gradient;
use limiter_core::health::{Adaptive, Period, Settings as HealthSettings};
use limiter_core::pacing::{Pacer, Settings as PaceSettings};
use limiter_core::percentile::Latencies;

use crate::limits::{
    GRADIENT_CALLS, GRADIENT_WINDOW, HEALTH_PERIOD, IN_FLIGHT_SHARE, PACE_BURST, PACE_FORGET, PACE_MIN, THROTTLE_PAUSE,
    THROTTLE_PAUSE_MAX,
};
use crate::state::Settings;

/// See the module.
#[derive(Debug)]
pub(crate) struct Learned {
    pacer: Pacer,
    ceiling: u64,
    /// When a throttle last said something new; none while the learned rate binds nothing.
    throttled_at: Option<Time>,
    in_a_row: u32,
    gradient: Gradient,
    window: Window,
    health: Adaptive,
    latencies: Latencies,
    period: Counted,
}

/// Answers to reads since `since`.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    since: Time,
    total: Duration,
    answers: u32,
    most_in_flight: u32,
}

/// Reads since `since`.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    since: Time,
    calls: u32,
    errors: u32,
    most_in_flight: u32,
}

impl Learned {
    pub(crate) fn new(settings: &Settings) -> Self {
        let ceiling = settings.rate_per_second.saturating_mul(1_000);
        let pace = PaceSettings { initial: ceiling, min: PACE_MIN.min(ceiling), max: ceiling, burst: PACE_BURST };
        let in_flight = settings.in_flight.max(1);
        Self {
            pacer: Pacer::new(pace),
            ceiling,
            throttled_at: None,
            in_a_row: 0,
            gradient: Gradient::new(in_flight, in_flight.div_ceil(IN_FLIGHT_SHARE), in_flight),
            window: Window::default(),
            // A base of 1,000 makes the threshold a share in thousandths.
            health: Adaptive::new(HealthSettings { base: 1_000, period: HEALTH_PERIOD, ..HealthSettings::default() }),
            latencies: Latencies::new(HEALTH_PERIOD),
            period: Counted::default(),
        }
    }

    /// The learned rate while it binds.
    pub(crate) fn rate(&self) -> Option<u64> {
        self.throttled_at.map(|_| self.pacer.rate())
    }
    /// When the learned rate lets a call leave, if not now.
    pub(crate) fn pace(&self, now: Time) -> Option<Time> {
        self.throttled_at.and_then(|_| self.pacer.peek(now))
    }
    pub(crate) fn in_flight_limit(&self) -> u32 {
        self.gradient.limit()
    }
    pub(crate) fn health_permille(&self) -> u32 {
        self.health.health() / 1_000
    }
    /// The share of the configured rate that the health is worth.
    pub(crate) fn limit_permille(&self) -> u32 {
        u32::try_from(self.health.threshold()).unwrap_or(1_000)
    }

    /// A call leaves; [`Self::pace`] said that it may.
    pub(crate) fn leaves(&mut self, now: Time, weight: u64, in_flight: u32) {
        self.window.most_in_flight = self.window.most_in_flight.max(in_flight);
        self.period.most_in_flight = self.period.most_in_flight.max(in_flight);
        if self.throttled_at.is_some() {
            // Refused only if it asked twice at one instant: then it leaves all the same, it has its tokens.
            self.pacer.admit(now, weight).unwrap_or_default();
        }
    }

    /// The node took a call.
    pub(crate) fn accepted(&mut self, now: Time, weight: u64) {
        self.in_a_row = 0;
        self.pacer.accepted(now, weight);
        let quiet = self.throttled_at.is_some_and(|at| now.since(at) >= PACE_FORGET);
        if quiet && self.pacer.rate() >= self.ceiling {
            self.throttled_at = None;
        }
    }

    /// The node throttled a call that left at `sent`; answers with the pause for all calls, if there is one.
    pub(crate) fn throttled(&mut self, now: Time, sent: Time, retry_after: Option<Duration>) -> Option<Duration> {
        self.pacer.throttled(now, sent, retry_after);
        // Those that left together with one that was throttled say the same once more.
        let news = self.throttled_at.is_none_or(|at| sent > at);
        if news {
            self.throttled_at = Some(now);
            self.in_a_row = self.in_a_row.saturating_add(1);
        }
        if retry_after.is_some() {
            return retry_after;
        }
        let doublings = self.in_a_row.checked_sub(2).filter(|_| news)?;
        let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
        Some(THROTTLE_PAUSE.saturating_mul(factor).min(THROTTLE_PAUSE_MAX))
    }

    /// A read ended, not throttled; should the breaker open for the endpoint's health?
    pub(crate) fn read_ended(&mut self, now: Time, took: Duration, sound: bool) -> bool {
        self.latencies.record(now, took);
        self.period.calls = self.period.calls.saturating_add(1);
        self.period.errors = self.period.errors.saturating_add(u32::from(!sound));
        if sound {
            self.window.answers = self.window.answers.saturating_add(1);
            self.window.total = self.window.total.saturating_add(took);
        }
        if now.since(self.window.since) >= GRADIENT_WINDOW && self.window.answers >= GRADIENT_CALLS {
            let mean = self.window.total.checked_div(self.window.answers).unwrap_or_default();
            self.gradient.update(mean, self.window.most_in_flight);
            self.window = Window { since: now, ..Window::default() };
        }
        if now.since(self.period.since) < HEALTH_PERIOD {
            return false;
        }
        let Counted { calls, errors, most_in_flight, .. } = self.period;
        self.period = Counted { since: now, ..Counted::default() };
        let p95 = self.latencies.quantile(now, 950).unwrap_or_default();
        let unloaded = most_in_flight.saturating_mul(2) < self.gradient.limit();
        self.health.update(Period { calls, errors, p95, unloaded }).opens()
    }
}
