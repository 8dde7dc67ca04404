//! Pacing against a limit nobody told us: how fast a provider lets us call, learned from its throttled replies.
//!
//! The rate follows a cubic: a throttle cuts it to nine tenths of what the provider gave, from there it climbs back to that
//! within `K`, rests there, and then probes upwards faster and faster (X7: the gateway's formula never did); past 2.25 `K` it
//! grows by e in 1.4 s, before the first throttle by e in half a second. `K` is 1.5 s, or the time of [`PACE_PROBE_CALLS`] calls: a throttle for
//! each probe is then less than a hundredth of the replies. What the provider gave is known exactly between two throttles, for
//! its bucket is empty at both. Throttles of calls that left before the last cut say nothing new and do not cut again. Clauses: *Upstream-aware pacing* of the limiter page, A44/X7.
//!
//! Some providers refuse a small share of calls at any rate (one of several machines behind an address is full). Obeyed as above, such
//! throttles lead down to the floor. They are told by coming alone, again and again, before a limit could be met: after five in a
//! row below what the provider gave, or twenty soon after, the rate is restored, and lone ones are ignored until a climb passes without one.
//! Clusters always count, so that more than one refusal in twenty is obeyed in part.
//!
//! Retry-After is a hard hold-off: no call is admitted inside it, whatever the rate.
//!
//! Units: rates in thousandths of a call a second, `Time` in ns. Bounds: rates within `min` and `max`, a hold-off at most
//! [`HOLD_OFF_MAX`]. A refusal is the instant to come back. The cubic is computed when a reply comes, not when a call asks.
//!
//! ```
//! use core::time::Duration;
//! use limiter_core::{Time, pacing::{Pacer, Settings}};
//! let mut pacer = Pacer::new(Settings::default());
//! let t0 = Time::ZERO;
//! assert_eq!(pacer.admit(t0, 1), Ok(()));
//! pacer.throttled(t0, t0, Some(Duration::from_secs(2)));
//! assert_eq!(pacer.admit(t0, 1), Err(Time::from_nanos(2_000_000_000)));
//! ```

use core::time::Duration;

use crate::Time;
use crate::limits::{HOLD_OFF_MAX, PACE_MAX, PACE_PROBE_CALLS};

const SECOND: u64 = 1_000_000_000;
/// The rate is computed anew no oftener than this.
const UPDATE: u64 = 10_000_000;
/// Shortest climb back, and longest: slower providers are probed with more than one throttle in a hundred.
const CLIMB: (u64, u64) = (3 * SECOND / 2, 30 * SECOND);
/// Shortest and longest window in which the delivered rate is measured, and the accepted calls that end it in between.
const WINDOW: (u64, u64) = (SECOND / 2, 10 * SECOND);
const WINDOW_CALLS: u64 = 20;
/// The climb starts a tenth below what was delivered, thousandths.
const SWING: u64 = 100;
/// The rate grows by e in so many ns: before the first throttle, and when a probe is not answered by one.
const GROWTH: (u64, u64) = (SECOND / 2, 7 * SECOND / 5);
/// Calls not made after a throttle.
const PAUSE_CALLS: u64 = 5;
/// So many throttles among the newest 16 replies are a cluster.
const CLUSTER: u32 = 3;
/// A lone throttle before a limit could be met again is a suspect: it counts so much while the rate is below what the provider
/// gave, 1 from there until what the climb saved is spent; so much in all, and the provider refuses at any rate.
const SUSPECT: u8 = 4;
const SUSPECTS: u8 = 20;
/// So many calls accepted between two throttles tell the provider's rate.
const ENOUGH: u64 = 10;

/// Where to start and how far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The first rate, thousandths of a call a second.
    pub initial: u64,
    /// Never slower: something must show that the provider is back.
    pub min: u64,
    /// Never faster: the configured rate, at most [`PACE_MAX`].
    pub max: u64,
    /// So many calls may leave at once after a pause.
    pub burst: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { initial: 10_000, min: 100, max: 10_000_000, burst: 4 }
    }
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// No throttle yet.
    Start,
    /// Climbing to `target`, reached `climb` ns after `since`, and beyond.
    Cubic { target: u64, since: u64, climb: u64 },
}

/// The rate at which one provider lets us call. See the module's text.
#[derive(Debug, Clone)]
pub struct Pacer {
    settings: Settings,
    rate: u64,
    phase: Phase,
    /// ns between two calls at `rate`.
    spacing: u64,
    /// When the next call would leave if calls were evenly spaced.
    next: u64,
    held_until: Time,
    cut_at: Time,
    /// Calls accepted since then.
    since_cut: u64,
    /// The newest replies, a bit each, the newest lowest: 1 for a throttle.
    replies: u16,
    /// How much lone throttles speak for a provider that refuses at any rate: see [`SUSPECTS`].
    suspects: u8,
    /// The rate before the first of them.
    unsuspected: u64,
    /// The provider refuses calls at any rate: lone throttles count no more.
    random: bool,
    /// There was a throttle since the last cut that did not cut.
    tainted: bool,
    updated: u64,
    window: Window,
    /// The last window used less than half of the rate.
    idle: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    since: u64,
    accepted: u64,
    /// Of the last complete window, thousandths of a call a second.
    delivered: Option<u64>,
}

impl Pacer {
    /// At its initial rate.
    pub fn new(settings: Settings) -> Self {
        let max = settings.max.clamp(1, PACE_MAX);
        let min = settings.min.clamp(1, max);
        let settings = Settings { min, max, initial: settings.initial.clamp(min, max), burst: settings.burst.max(1) };
        let mut pacer = Self {
            settings,
            rate: 0,
            phase: Phase::Start,
            spacing: 0,
            next: 0,
            held_until: Time::ZERO,
            cut_at: Time::ZERO,
            since_cut: 0,
            replies: 0,
            suspects: 0,
            unsuspected: settings.initial,
            random: false,
            tainted: false,
            updated: 0,
            window: Window::default(),
            idle: false,
        };
        pacer.set_rate(settings.initial);
        pacer
    }

    /// The rate in force, thousandths of a call a second.
    pub fn rate(&self) -> u64 {
        self.rate
    }
    /// The hold-off in force, if it lies ahead.
    pub fn held_until(&self, now: Time) -> Option<Time> {
        (self.held_until > now).then_some(self.held_until)
    }

    /// When a call may leave, without taking anything; `None` is now.
    pub fn peek(&self, now: Time) -> Option<Time> {
        let slack = self.spacing.saturating_mul(self.settings.burst.saturating_sub(1));
        let at = Time::from_nanos(self.next.saturating_sub(slack)).max(self.held_until);
        (at > now).then_some(at)
    }

    /// A call of this weight leaves now, or not before the instant given. A call heavier than the burst leaves and is paid for
    /// by those behind it.
    pub fn admit(&mut self, now: Time, weight: u64) -> Result<(), Time> {
        if let Some(at) = self.peek(now) {
            return Err(at);
        }
        self.next = self.next.max(now.as_nanos()).saturating_add(self.spacing.saturating_mul(weight));
        Ok(())
    }

    /// The provider took `weight` calls.
    pub fn accepted(&mut self, now: Time, weight: u64) {
        self.window.accepted = self.window.accepted.saturating_add(weight);
        self.since_cut = self.since_cut.saturating_add(weight);
        self.replies <<= 1;
        let now = now.as_nanos();
        let span = now.saturating_sub(self.window.since);
        let full = span >= WINDOW.0 && self.window.accepted >= WINDOW_CALLS;
        if full || span >= WINDOW.1 {
            let delivered = rate_of(self.window.accepted, span);
            self.window = Window { since: now, accepted: 0, delivered: Some(delivered) };
            self.idle = delivered < self.rate / 2;
        }
        if self.idle {
            self.rest(now);
        } else if now.saturating_sub(self.updated) >= UPDATE {
            self.grow(now);
        }
    }

    /// The provider refused a call that left at `sent` because we call too often.
    pub fn throttled(&mut self, now: Time, sent: Time, retry_after: Option<Duration>) {
        if let Some(span) = retry_after {
            self.held_until = self.held_until.max(now.after(span.min(HOLD_OFF_MAX)));
        }
        if sent < self.cut_at {
            return;
        }
        self.replies = self.replies << 1 | 1;
        if self.at_random(now.as_nanos()) {
            return;
        }
        let target =
            self.provider_rate(now.as_nanos(), retry_after.is_some()).clamp(self.settings.min, self.settings.max);
        let climb = PACE_PROBE_CALLS.saturating_mul(1_000).saturating_mul(SECOND);
        let climb = climb.checked_div(target).unwrap_or(CLIMB.1).clamp(CLIMB.0, CLIMB.1);
        self.cut_at = now;
        let since = self.held_until.max(now).as_nanos();
        self.phase = Phase::Cubic { target, since, climb };
        self.updated = since;
        self.window = Window { since, ..Window::default() };
        self.since_cut = 0;
        self.tainted = false;
        self.set_rate(target.saturating_sub(scale(target, SWING, 1_000)));
        // The provider's bucket is empty: a few calls' time lets jitter pass without another throttle, and loses nothing.
        if self.held_until <= now {
            self.next = self.next.max(since).saturating_add(self.spacing.saturating_mul(PAUSE_CALLS));
        }
    }

    /// Whether this throttle says nothing about the rate. Too high a rate meets throttles in clusters, and none far below it.
    fn at_random(&mut self, now: u64) -> bool {
        let earlier = core::mem::replace(&mut self.tainted, true);
        if self.replies.count_ones() >= CLUSTER {
            self.suspects = self.suspects.saturating_sub(SUSPECT);
            return false;
        }
        let (mut climbs, mut early) = (false, self.idle);
        if let Phase::Cubic { since, climb, .. } = self.phase {
            let span = now.saturating_sub(since);
            climbs = span < climb || self.idle;
            early |= span < steady(climb);
        }
        // A whole climb passed without one, as below a limit it does.
        self.random &= climbs || earlier;
        if !early {
            self.suspects = 0;
            self.unsuspected = self.rate;
            return self.random;
        }
        if self.random {
            return true;
        }
        if self.suspects == 0 {
            self.unsuspected = self.unsuspected.max(self.rate);
        }
        self.suspects = self.suspects.saturating_add(if climbs { SUSPECT } else { 1 });
        self.random = self.suspects >= SUSPECTS;
        if self.random {
            self.set_rate(self.unsuspected);
            if let Phase::Cubic { climb, .. } = self.phase {
                self.phase = Phase::Cubic { target: self.rate, since: now.saturating_sub(climb), climb };
            }
        }
        self.random
    }

    /// What the provider gave. Its bucket is empty at a throttle, so between two of them it gave exactly its rate; after a long
    /// climb the newest window is nearer to the truth, and with few calls there is only a guess.
    fn provider_rate(&self, now: u64, told: bool) -> u64 {
        let newest = || {
            let span = now.saturating_sub(self.window.since);
            let part = if self.window.accepted >= ENOUGH { rate_of(self.window.accepted, span) } else { 0 };
            let known = self.window.delivered.map_or(self.rate, |last| last.max(part));
            known.clamp(scale(self.rate, 60, 100), self.rate)
        };
        let Phase::Cubic { since, climb, .. } = self.phase else { return newest() };
        let span = now.saturating_sub(since);
        if self.idle && !told {
            // What the caller asked for says little of what the provider gives.
            scale(self.rate, 85, 100)
        } else if span > steady(climb) || self.random {
            newest()
        } else if self.since_cut >= ENOUGH {
            // Its bucket filled up again in a hold-off, which is part of the time it gave these calls in.
            self.rate.min(rate_of(self.since_cut, now.saturating_sub(self.cut_at.as_nanos())))
        } else {
            scale(self.rate, 85, 100)
        }
    }

    /// The caller does not use what it may: stay, for growth without calls learns nothing.
    fn rest(&mut self, now: u64) {
        if let Phase::Cubic { climb, .. } = self.phase {
            self.phase = Phase::Cubic { target: self.rate, since: now.saturating_sub(climb), climb };
        }
        self.updated = now;
    }

    fn grow(&mut self, now: u64) {
        let passed = now.saturating_sub(self.updated).min(SECOND / 10);
        self.updated = now;
        let rate = match self.phase {
            Phase::Start => self.rate.saturating_add(scale(self.rate, passed, GROWTH.0)),
            Phase::Cubic { since, climb, .. } if now.saturating_sub(since) > steady(climb) => {
                self.rate.saturating_add(scale(self.rate, passed, GROWTH.1))
            }
            Phase::Cubic { target, since, climb } => {
                let t = now.saturating_sub(since);
                let swing = scale(target, SWING, 1_000);
                let part = cube(t.abs_diff(climb), climb);
                let offset = scale(swing, part, 1_000_000);
                if t < climb { target.saturating_sub(offset) } else { target.saturating_add(offset) }
            }
        };
        self.set_rate(rate);
    }

    fn set_rate(&mut self, rate: u64) {
        self.rate = rate.clamp(self.settings.min, self.settings.max);
        self.spacing = (1_000 * SECOND).div_ceil(self.rate.max(1));
    }
}

/// How long a provider with an unchanged rate needs to throttle again: what the climb saved is spent as long after it.
fn steady(climb: u64) -> u64 {
    climb.saturating_mul(9) / 4
}

/// `(part / whole)^3` in millionths.
fn cube(part: u64, whole: u64) -> u64 {
    let thousandths = scale(1_000, part.min(whole.saturating_mul(100)), whole);
    thousandths.saturating_mul(thousandths).saturating_mul(thousandths) / 1_000
}

fn scale(value: u64, part: u64, whole: u64) -> u64 {
    let scaled = u128::from(value).saturating_mul(u128::from(part)).checked_div(u128::from(whole)).unwrap_or(0);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

fn rate_of(calls: u64, span: u64) -> u64 {
    scale(calls.saturating_mul(1_000), SECOND, span.max(1))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(n: u64) -> Time {
        Time::from_nanos(n * 1_000_000)
    }

    #[test]
    fn no_call_inside_a_retry_after_and_a_hostile_one_is_bounded() {
        let mut pacer = Pacer::new(Settings::default());
        pacer.throttled(ms(0), ms(0), Some(Duration::from_secs(5)));
        pacer.throttled(ms(1), ms(0), Some(Duration::from_secs(1)));
        assert_eq!((0..5_000).filter(|&t| pacer.admit(ms(t), 1).is_ok()).count(), 0);
        assert_eq!(pacer.admit(ms(5_000), 1), Ok(()));
        pacer.throttled(ms(5_000), ms(5_000), Some(Duration::MAX));
        assert_eq!(pacer.held_until(ms(5_000)), Some(ms(5_000).after(HOLD_OFF_MAX)));
    }

    #[test]
    fn throttles_of_calls_that_left_before_the_cut_do_not_cut_again() {
        let mut pacer = Pacer::new(Settings { initial: 100_000, ..Settings::default() });
        pacer.throttled(ms(50), ms(0), None);
        assert_eq!(pacer.rate(), 90_000);
        (1..20).for_each(|n| pacer.throttled(ms(50 + n), ms(n), None));
        assert_eq!(pacer.rate(), 90_000);
        pacer.throttled(ms(150), ms(100), None);
        assert_eq!(pacer.rate(), 68_850); // too few calls since to know better: 85 % of it, and a tenth below
    }

    #[test]
    fn it_climbs_to_the_old_rate_rests_there_and_then_probes_beyond() {
        let mut pacer = Pacer::new(Settings { initial: 100_000, ..Settings::default() });
        pacer.throttled(ms(0), ms(0), None);
        let mut at = |t: u64| {
            // 100 calls a second are accepted
            ((t - 500) / 10..t / 10).for_each(|n| pacer.accepted(ms(n * 10), 1));
            pacer.accepted(ms(t), 1);
            pacer.rate()
        };
        let rates: Vec<_> = (1..=16).map(|n| at(n * 500)).collect();
        assert!(rates.windows(2).all(|pair| pair[0] <= pair[1]), "{rates:?}");
        assert!(rates[0] < 100_000 && rates[2].abs_diff(100_000) < 100 && rates[15] > 200_000, "{rates:?}");
    }

    #[test]
    fn a_caller_that_asks_for_little_learns_no_higher_rate() {
        let mut pacer = Pacer::new(Settings { initial: 100_000, ..Settings::default() });
        pacer.throttled(ms(0), ms(0), None);
        (0..600).for_each(|n| pacer.accepted(ms(n * 100), 1)); // 10 a second for a minute
        assert!(pacer.rate() < 103_000, "{}", pacer.rate());
    }

    proptest! {
        /// Whatever the provider answers, the rate stays in its bounds, and calls are no closer than rate and burst allow.
        #[test]
        fn the_rate_stays_in_its_bounds(
            max in 1u64..1_000_000_000_000,
            replies in prop::collection::vec((0u64..3_000, any::<bool>(), 0u64..4_000, 0u64..50), 0..200),
        ) {
            let mut pacer = Pacer::new(Settings { max, ..Settings::default() });
            let mut now = 0;
            for (wait, ok, ago, weight) in replies {
                now += wait;
                match ok {
                    true => pacer.accepted(ms(now), weight),
                    false => pacer.throttled(ms(now), ms(now.saturating_sub(ago)), None),
                }
                prop_assert!(pacer.rate() >= 1 && pacer.rate() <= max.min(PACE_MAX));
                if pacer.admit(ms(now), 1).is_ok() {
                    (0..8).for_each(|_| assert!(pacer.admit(ms(now), 1) != Err(Time::ZERO)));
                    prop_assert!(pacer.admit(ms(now), 1).is_err());
                }
            }
        }
    }
}
