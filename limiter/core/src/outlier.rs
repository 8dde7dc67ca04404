//! Which endpoints of a chain are left alone for a while.
//!
//! An endpoint is ejected for errors in a row, answers much slower than its peers', a height that lags, a wrong chain id or a
//! bad proof. It comes back on probation after an interval that doubles with each ejection; a sound call clears it, a fault
//! ejects it again. At most `max_ejected_percent` are out at once, and never the last one: a bad endpoint is better than none,
//! for whatever it says is verified. Clauses: B21 and *Endpoints* of the limiter page; Y6 is the fault beaten (spans are 64-bit
//! ns and saturate). Units: `Time` in ns. Bounds: [`ENDPOINTS`]. Errors: an index that does not exist is never usable.
//!
//! ```
//! use limiter_core::{Time, outlier::{Fault, Outliers, Settings}};
//! let mut endpoints = Outliers::new(2, Settings::default());
//! assert!(endpoints.fault(Time::ZERO, 0, Fault::WrongChain));
//! assert!(!endpoints.usable(Time::ZERO, 0));
//! assert!(!endpoints.fault(Time::ZERO, 1, Fault::WrongChain), "the last one stays");
//! ```

use core::time::Duration;

use crate::Time;
use crate::limits::{EJECT_DOUBLINGS, EJECT_MAX, ENDPOINTS};

/// What an endpoint did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No connection, no answer in time, garbage, 5xx. Only several in a row eject.
    Error,
    /// Its p95 is far above its peers' (see [`Outliers::slow`]).
    Slow,
    /// Its height lags behind its peers' (see [`Outliers::lagging`]).
    Lagging,
    /// It serves another chain.
    WrongChain,
    /// A proof or header of it did not verify.
    BadProof,
}

/// When to eject and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// So many errors in a row eject.
    pub consecutive_errors: u32,
    /// A p95 above so many percent of the peers' median is slow.
    pub slow_percent: u32,
    /// A p95 up to this is never slow: the preferred endpoint is asked for more than its peers, and that alone may take a few times as long.
    pub slow_floor: Duration,
    /// Blocks behind the highest peer that are still no lag.
    pub max_lag: u64,
    /// At most this share is ejected at once.
    pub max_ejected_percent: u32,
    /// How long the first ejection lasts.
    pub interval: Duration,
    /// The longest one, at most [`EJECT_MAX`].
    pub interval_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consecutive_errors: 5,
            slow_floor: Duration::from_millis(50),
            slow_percent: 300,
            max_lag: 5,
            max_ejected_percent: 50,
            interval: Duration::from_secs(10),
            interval_max: EJECT_MAX,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Endpoint {
    errors_in_a_row: u32,
    ejected: Option<(Time, Fault)>,
    /// Ejections since it was last sound for good.
    ejections: u32,
    /// Back, and not yet cleared by a sound call.
    probation: bool,
}

/// The endpoints of one chain, by index.
#[derive(Debug, Clone)]
pub struct Outliers {
    settings: Settings,
    endpoints: [Endpoint; ENDPOINTS],
    count: usize,
}

impl Outliers {
    /// `count` endpoints, at most [`ENDPOINTS`], all usable.
    pub fn new(count: usize, settings: Settings) -> Self {
        let settings = Settings { interval_max: settings.interval_max.min(EJECT_MAX), ..settings };
        Self { settings, endpoints: [Endpoint::default(); ENDPOINTS], count: count.min(ENDPOINTS) }
    }

    /// May it be called?
    pub fn usable(&self, now: Time, index: usize) -> bool {
        self.get(index).is_some_and(|endpoint| endpoint.ejected.is_none_or(|(until, _)| until <= now))
    }

    /// Until when it is left alone, and why.
    pub fn ejected(&self, now: Time, index: usize) -> Option<(Time, Fault)> {
        self.get(index)?.ejected.filter(|(until, _)| *until > now)
    }

    /// It answered soundly.
    pub fn sound(&mut self, now: Time, index: usize) {
        let usable = self.usable(now, index);
        let Some(endpoint) = self.get_mut(index) else { return };
        endpoint.errors_in_a_row = 0;
        // An answer that was under way when it was ejected clears nothing.
        if !usable {
            return;
        }
        if endpoint.probation || endpoint.ejected.is_some() {
            (endpoint.ejected, endpoint.probation) = (None, false);
        } else {
            endpoint.ejections = 0;
        }
    }

    /// It did something wrong; is it ejected by that?
    pub fn fault(&mut self, now: Time, index: usize, fault: Fault) -> bool {
        let (settings, usable) = (self.settings, self.usable(now, index));
        let Some(endpoint) = self.get_mut(index) else { return false };
        if !usable {
            return false;
        }
        let back = endpoint.ejected.is_some();
        if fault == Fault::Error {
            endpoint.errors_in_a_row = endpoint.errors_in_a_row.saturating_add(1);
            if !back && endpoint.errors_in_a_row < settings.consecutive_errors {
                return false;
            }
        }
        if !self.room(now, index) {
            return false;
        }
        let Some(endpoint) = self.get_mut(index) else { return false };
        let factor = 1u32.checked_shl(endpoint.ejections.min(EJECT_DOUBLINGS)).unwrap_or(1);
        let span = settings.interval.saturating_mul(factor).min(settings.interval_max);
        endpoint.ejections = endpoint.ejections.saturating_add(1);
        endpoint.ejected = Some((now.after(span), fault));
        endpoint.probation = true;
        endpoint.errors_in_a_row = 0;
        true
    }

    /// Is this p95 far above the median of the others'? Needs two others that are known; `None` is unknown.
    pub fn slow(&self, index: usize, p95: &[Option<Duration>]) -> bool {
        let mut others = [Duration::MAX; ENDPOINTS];
        let known = p95.iter().enumerate().take(ENDPOINTS).filter(|(at, _)| *at != index).filter_map(|(_, p95)| *p95);
        let count = others.iter_mut().zip(known).map(|(slot, p95)| *slot = p95).count();
        others.sort_unstable();
        let median = others.get(count.saturating_sub(1) / 2).copied().unwrap_or(Duration::MAX);
        let own = p95.get(index).copied().flatten().filter(|own| *own > self.settings.slow_floor);
        count >= 2 && own.is_some_and(|own| own.saturating_mul(100) > median.saturating_mul(self.settings.slow_percent))
    }

    /// Does this height lag behind the second highest? (One liar can't make all others lag.)
    pub fn lagging(&self, index: usize, heights: &[Option<u64>]) -> bool {
        let (mut first, mut second) = (0, 0);
        for height in heights.iter().take(ENDPOINTS).flatten().copied() {
            (first, second) = if height > first { (height, first) } else { (first, second.max(height)) };
        }
        let known = heights.iter().take(ENDPOINTS).flatten().count();
        let highest = if known > 2 { second } else { first };
        let own = heights.get(index).copied().flatten();
        own.is_some_and(|own| highest.saturating_sub(own) > self.settings.max_lag)
    }

    /// May one more be ejected?
    fn room(&self, now: Time, index: usize) -> bool {
        let out = (0..self.count).filter(|&other| other != index && !self.usable(now, other)).count();
        let after = out.saturating_add(1);
        let percent = usize::try_from(self.settings.max_ejected_percent).unwrap_or(100);
        // The share is rounded up: of two endpoints at 50 %, or three at 30 %, one may go.
        let allowed = self.count.saturating_mul(percent).div_ceil(100);
        after <= allowed && after < self.count
    }

    fn get(&self, index: usize) -> Option<&Endpoint> {
        self.endpoints.get(index).filter(|_| index < self.count)
    }
    fn get_mut(&mut self, index: usize) -> Option<&mut Endpoint> {
        let count = self.count;
        self.endpoints.get_mut(index).filter(|_| index < count)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO.after(Duration::from_secs(seconds))
    }

    #[test]
    fn errors_in_a_row_eject_and_a_sound_answer_between_does_not() {
        let mut all = Outliers::new(3, Settings::default());
        for _ in 0..3 {
            (0..4).for_each(|_| assert!(!all.fault(at(0), 0, Fault::Error)));
            all.sound(at(0), 0);
        }
        (0..4).for_each(|_| assert!(!all.fault(at(0), 0, Fault::Error)));
        assert!(all.fault(at(0), 0, Fault::Error));
        assert_eq!(all.ejected(at(9), 0), Some((at(10), Fault::Error)));
        assert!(all.usable(at(10), 0) && !all.usable(at(0), 7));
    }

    #[test]
    fn recovery_intervals_grow_and_a_day_does_not_overflow() {
        let settings = Settings {
            interval: Duration::from_secs(86_400 * 365),
            interval_max: Duration::MAX,
            ..Settings::default()
        };
        assert_eq!(eject_spans(settings), [EJECT_MAX.as_secs(); 8]);
        assert_eq!(eject_spans(Settings::default()), [10, 20, 40, 80, 160, 320, 600, 600]);
    }
    fn eject_spans(settings: Settings) -> Vec<u64> {
        let (mut all, mut now, mut spans) = (Outliers::new(2, settings), at(0), Vec::new());
        for _ in 0..8 {
            assert!(all.fault(now, 0, Fault::BadProof));
            let (until, _) = all.ejected(now, 0).unwrap();
            spans.push(until.since(now).as_secs());
            now = until;
        }
        spans
    }

    #[test]
    fn back_on_probation_one_error_ejects_again_and_two_sound_answers_forget() {
        let mut all = Outliers::new(2, Settings::default());
        all.fault(at(0), 0, Fault::Lagging);
        all.sound(at(5), 0); // under way when it was ejected
        assert!(!all.usable(at(9), 0));
        assert!(all.fault(at(10), 0, Fault::Error));
        assert_eq!(all.ejected(at(10), 0).unwrap().0, at(30));
        all.sound(at(30), 0);
        all.sound(at(30), 0);
        assert!(all.fault(at(31), 0, Fault::BadProof));
        assert_eq!(all.ejected(at(31), 0).unwrap().0, at(41));
    }

    #[test]
    fn slow_and_lagging_are_measured_against_the_others() {
        let all = Outliers::new(4, Settings::default());
        let ms = |n| Some(Duration::from_millis(n));
        let p95 = [ms(301), ms(100), ms(90), ms(100)];
        assert!(all.slow(0, &p95) && !all.slow(1, &p95) && !all.slow(0, &[ms(900), ms(1), None, None]));
        let floor = |own| all.slow(0, &[ms(own), ms(1), ms(2), ms(1)]);
        assert!(floor(51) && !floor(50));
        let heights = [Some(100), Some(94), Some(100), None];
        assert!(all.lagging(1, &heights) && !all.lagging(0, &heights) && !all.lagging(3, &heights));
        // One that claims a height far ahead ejects nobody.
        let liar = [Some(100), Some(99), Some(1_000_000), None];
        assert!((0..4).all(|index| !all.lagging(index, &liar)));
    }

    proptest! {
        /// Whatever they do: never the last one, never more than the share.
        #[test]
        fn never_the_last_one_and_never_more_than_the_share(
            count in 1usize..10,
            percent in 0u32..=100,
            events in prop::collection::vec((0u64..20, 0usize..10, 0u8..6), 0..200),
        ) {
            let mut all = Outliers::new(count, Settings { max_ejected_percent: percent, ..Settings::default() });
            let mut now = 0;
            for (wait, index, what) in events {
                now += wait;
                match what {
                    0 => all.sound(at(now), index),
                    1 => drop((0..5).map(|_| all.fault(at(now), index, Fault::Error)).collect::<Vec<_>>()),
                    2 => drop([all.fault(at(now), index, Fault::Slow)]),
                    3 => drop([all.fault(at(now), index, Fault::Lagging)]),
                    4 => drop([all.fault(at(now), index, Fault::WrongChain)]),
                    _ => drop([all.fault(at(now), index, Fault::BadProof)]),
                }
                let out = (0..count).filter(|&index| !all.usable(at(now), index)).count();
                prop_assert!(out < count);
                prop_assert!(out <= (count * percent as usize).div_ceil(100));
            }
        }
    }
}
