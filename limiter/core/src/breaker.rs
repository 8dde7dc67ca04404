//! The circuit breaker of one endpoint.
//!
//! ```text
//!                 consecutive errors >= N, or
//!                 error share > max with enough requests,
//!                 or forced open
//!      +--------+ ------------------------------------> +------+ <--+
//!      | CLOSED |                                       | OPEN |    | any probe fails:
//!      +--------+                                       +------+    | open again, twice as
//!          ^                                                |       | long, up to open_max
//!          |   `probes` successes            open time over |       |
//!          |                                                v       |
//!          |                                         +-----------+  |
//!          +---------------------------------------- | HALF-OPEN | -+
//!                                                    +-----------+
//! ```
//!
//! Half-open lets exactly `probes` calls through: successes so far plus probes out never exceed it. A probe that is cancelled
//! frees its slot at once, one that never returns frees it when its lease runs out, so half-open can't wedge. A late answer of
//! a probe whose lease ran out, or of an earlier period, counts for nothing.
//!
//! Statistics are two rotating halves of `interval`: a share is measured over the last half to whole interval.
//! Units: `Time` in ns, shares in percent. Refusals carry the instant to come back.

use core::time::Duration;

use crate::Time;
use crate::limits::{OPEN_DOUBLINGS, PROBES};
use crate::time::span_nanos;

/// When it opens, how it recovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// So many errors in a row open it; 0 turns the rule off.
    pub consecutive_errors: u32,
    /// A share of errors above this opens it; 100 turns the rule off.
    pub error_percent: u32,
    /// Fewer calls in the interval than this say nothing about the share.
    pub min_requests: u32,
    /// Over what time the share is measured.
    pub interval: Duration,
    /// How long it stays open the first time; doubles with each failed recovery.
    pub open_for: Duration,
    /// The longest it stays open.
    pub open_max: Duration,
    /// Probes let through half-open, 1..=[`PROBES`].
    pub probes: usize,
    /// After this a probe without answer no longer holds its slot.
    pub probe_lease: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consecutive_errors: 5,
            error_percent: 50,
            min_requests: 20,
            interval: Duration::from_secs(10),
            open_for: Duration::from_secs(1),
            open_max: Duration::from_secs(30),
            probes: 1,
            probe_lease: Duration::from_secs(30),
        }
    }
}

/// The state, as metrics show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls pass and are counted.
    Closed,
    /// No call passes.
    Open,
    /// Probes pass.
    HalfOpen,
}

/// The right to make one call; hand it back with the outcome.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "hand the ticket back by `succeeded`, `failed` or `cancelled`"]
pub struct Ticket {
    /// Which stay in which state it belongs to.
    period: u64,
    probe: Option<(usize, u64)>,
}

impl Ticket {
    /// Is this call a half-open probe?
    pub fn is_probe(&self) -> bool {
        self.probe.is_some()
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Half {
    calls: u32,
    errors: u32,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    id: u64,
    until: Time,
}

#[derive(Debug, Clone)]
enum Inner {
    Closed { current: Half, previous: Half, half_ends: Time, in_a_row: u32 },
    Open { until: Time },
    HalfOpen { leases: [Option<Lease>; PROBES], passed: usize },
}

/// The breaker. See the module's diagram.
#[derive(Debug, Clone)]
pub struct Breaker {
    settings: Settings,
    inner: Inner,
    period: u64,
    next_lease: u64,
    /// Failed recoveries in a row.
    relapses: u32,
}

impl Breaker {
    /// Closed, with `probes` clamped to 1..=[`PROBES`].
    pub fn new(settings: Settings) -> Self {
        let settings = Settings { probes: settings.probes.clamp(1, PROBES), ..settings };
        Self { settings, inner: closed(), period: 0, next_lease: 0, relapses: 0 }
    }

    /// The state at `now`; an open breaker whose time is over counts as half-open.
    pub fn state(&self, now: Time) -> State {
        match &self.inner {
            Inner::Closed { .. } => State::Closed,
            Inner::Open { until } if *until > now => State::Open,
            Inner::Open { .. } | Inner::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// When a call may pass, without taking anything: `None` is now.
    pub fn peek(&self, now: Time) -> Option<Time> {
        match &self.inner {
            Inner::Closed { .. } => None,
            Inner::Open { until } => (*until > now).then_some(*until),
            Inner::HalfOpen { leases, passed } => {
                let out = leases.iter().flatten().filter(|lease| lease.until > now);
                if out.clone().count().saturating_add(*passed) < self.settings.probes {
                    return None;
                }
                // Its last probe may answer sooner; its lease is the latest.
                Some(out.map(|lease| lease.until).min().unwrap_or(now))
            }
        }
    }

    /// A ticket if a call may pass now, else when to ask again.
    pub fn admit(&mut self, now: Time) -> Result<Ticket, Time> {
        if let Some(at) = self.peek(now) {
            return Err(at);
        }
        if matches!(self.inner, Inner::Open { .. }) {
            self.enter(Inner::HalfOpen { leases: [None; PROBES], passed: 0 });
        }
        let (period, id) = (self.period, self.next_lease);
        let Inner::HalfOpen { leases, .. } = &mut self.inner else {
            return Ok(Ticket { period, probe: None });
        };
        self.next_lease = self.next_lease.wrapping_add(1);
        let until = now.after(self.settings.probe_lease);
        for (slot, lease) in leases.iter_mut().enumerate() {
            if lease.is_none_or(|lease| lease.until <= now) {
                *lease = Some(Lease { id, until });
                return Ok(Ticket { period, probe: Some((slot, id)) });
            }
        }
        // Not reached: peek saw fewer leases than `probes`, and `probes` slots fit the array.
        Err(until)
    }

    /// The endpoint answered as an endpoint should (an application's "no" is such an answer).
    pub fn succeeded(&mut self, now: Time, ticket: Ticket) {
        if ticket.period != self.period {
            return;
        }
        let probes = self.settings.probes;
        match &mut self.inner {
            Inner::Closed { in_a_row, .. } => {
                *in_a_row = 0;
                self.count(now, 0);
            }
            Inner::HalfOpen { leases, passed } => {
                if release(leases, &ticket) {
                    *passed = passed.saturating_add(1);
                    if *passed >= probes {
                        self.relapses = 0;
                        self.enter(closed());
                    }
                }
            }
            Inner::Open { .. } => {}
        }
    }

    /// The endpoint failed: no connection, no answer in time, garbage, 5xx.
    pub fn failed(&mut self, now: Time, ticket: Ticket) {
        if ticket.period != self.period {
            return;
        }
        let settings = self.settings;
        match &mut self.inner {
            Inner::Closed { in_a_row, .. } => {
                *in_a_row = in_a_row.saturating_add(1);
                let row = *in_a_row;
                let Half { calls, errors } = self.count(now, 1);
                let by_row = settings.consecutive_errors > 0 && row >= settings.consecutive_errors;
                let by_share = settings.error_percent < 100
                    && calls >= settings.min_requests
                    && u64::from(errors).saturating_mul(100)
                        > u64::from(calls).saturating_mul(u64::from(settings.error_percent));
                if by_row || by_share {
                    self.open(now);
                }
            }
            Inner::HalfOpen { leases, .. } => {
                if release(leases, &ticket) {
                    self.relapses = self.relapses.saturating_add(1);
                    self.open(now);
                }
            }
            Inner::Open { .. } => {}
        }
    }

    /// The call was not made, or its answer will never be known: a probe's slot is free again.
    pub fn cancelled(&mut self, ticket: Ticket) {
        if let (true, Inner::HalfOpen { leases, .. }) = (ticket.period == self.period, &mut self.inner) {
            release(leases, &ticket);
        }
    }

    /// Opens it by hand until `until`; then it recovers by probes as usual.
    pub fn force_open(&mut self, until: Time) {
        self.enter(Inner::Open { until });
    }

    fn open(&mut self, now: Time) {
        let factor = 1u32.checked_shl(self.relapses.min(OPEN_DOUBLINGS)).unwrap_or(1);
        let span = self.settings.open_for.saturating_mul(factor).min(self.settings.open_max);
        self.enter(Inner::Open { until: now.after(span) });
    }

    fn enter(&mut self, inner: Inner) {
        self.inner = inner;
        self.period = self.period.wrapping_add(1);
    }

    /// Counts one call and answers with the sums of the interval.
    fn count(&mut self, now: Time, errors_more: u32) -> Half {
        let half_span = Duration::from_nanos(span_nanos(self.settings.interval).div_ceil(2).max(1));
        let Inner::Closed { current, previous, half_ends, .. } = &mut self.inner else {
            return Half::default();
        };
        if now >= *half_ends {
            // Longer ago than a half: nothing of it is within the interval.
            let stale = now >= half_ends.after(half_span);
            *previous = if stale { Half::default() } else { *current };
            *current = Half::default();
            *half_ends = if stale { now.after(half_span) } else { half_ends.after(half_span) };
        }
        current.calls = current.calls.saturating_add(1);
        current.errors = current.errors.saturating_add(errors_more);
        Half {
            calls: current.calls.saturating_add(previous.calls),
            errors: current.errors.saturating_add(previous.errors),
        }
    }
}

fn closed() -> Inner {
    Inner::Closed { current: Half::default(), previous: Half::default(), half_ends: Time::ZERO, in_a_row: 0 }
}

/// Frees the ticket's slot if it still holds it.
fn release(leases: &mut [Option<Lease>; PROBES], ticket: &Ticket) -> bool {
    let Some((slot, id)) = ticket.probe else { return false };
    match leases.get_mut(slot) {
        Some(lease) if lease.is_some_and(|lease| lease.id == id) => {
            *lease = None;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * SECOND)
    }
    fn breaker(probes: usize) -> Breaker {
        Breaker::new(Settings { probes, ..Settings::default() })
    }
    fn fail(breaker: &mut Breaker, now: Time) {
        let ticket = breaker.admit(now).unwrap();
        breaker.failed(now, ticket);
    }
    fn succeed(breaker: &mut Breaker, now: Time) {
        let ticket = breaker.admit(now).unwrap();
        breaker.succeeded(now, ticket);
    }
    fn opened(probes: usize) -> Breaker {
        let mut breaker = breaker(probes);
        (0..5).for_each(|_| fail(&mut breaker, at(0)));
        assert_eq!(breaker.state(at(0)), State::Open);
        breaker
    }

    #[test]
    fn five_errors_in_a_row_open_it_and_a_success_between_does_not() {
        let mut breaker = breaker(1);
        for _ in 0..3 {
            (0..4).for_each(|_| fail(&mut breaker, at(0)));
            succeed(&mut breaker, at(0));
        }
        assert_eq!(breaker.state(at(0)), State::Closed);
        (0..5).for_each(|_| fail(&mut breaker, at(0)));
        assert_eq!(breaker.admit(at(0)), Err(at(1)));
    }

    #[test]
    fn a_share_of_errors_opens_it_only_with_enough_requests() {
        let settings = Settings { consecutive_errors: 0, ..Settings::default() };
        let mut breaker = Breaker::new(settings);
        (0..19).for_each(|_| fail(&mut breaker, at(0)));
        assert_eq!(breaker.state(at(0)), State::Closed);
        fail(&mut breaker, at(0));
        assert_eq!(breaker.state(at(0)), State::Open);
    }

    #[test]
    fn errors_older_than_the_interval_are_forgotten() {
        let mut breaker = Breaker::new(Settings { consecutive_errors: 0, ..Settings::default() });
        (0..19).for_each(|_| fail(&mut breaker, at(0)));
        (0..19).for_each(|_| succeed(&mut breaker, at(11)));
        fail(&mut breaker, at(11));
        assert_eq!(breaker.state(at(11)), State::Closed);
    }

    #[test]
    fn exactly_three_of_two_hundred_pass_half_open_and_three_successes_close() {
        let mut breaker = opened(3);
        let tickets: Vec<_> = (0..200).filter_map(|_| breaker.admit(at(1)).ok()).collect();
        assert_eq!(tickets.len(), 3);
        for ticket in tickets {
            assert_eq!(breaker.state(at(1)), State::HalfOpen);
            breaker.succeeded(at(1), ticket);
        }
        assert_eq!(breaker.state(at(1)), State::Closed);
    }

    #[test]
    fn a_failed_probe_opens_it_for_twice_as_long_up_to_the_maximum() {
        let mut breaker = opened(1);
        let (mut now, mut spans) = (at(1), Vec::new());
        for _ in 0..7 {
            fail(&mut breaker, now);
            let until = breaker.admit(now).unwrap_err();
            spans.push(until.since(now).as_secs());
            now = until;
        }
        assert_eq!(spans, [2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn a_cancelled_probe_frees_its_slot_and_a_lost_one_frees_it_by_lease() {
        let mut breaker = opened(1);
        let ticket = breaker.admit(at(1)).unwrap();
        assert_eq!(breaker.admit(at(1)), Err(at(31)));
        breaker.cancelled(ticket);
        let lost = breaker.admit(at(1)).unwrap();
        assert!(breaker.admit(at(30)).is_err());
        let second = breaker.admit(at(31)).unwrap();
        breaker.failed(at(31), lost); // too late to count
        assert_eq!(breaker.state(at(31)), State::HalfOpen);
        breaker.succeeded(at(31), second);
        assert_eq!(breaker.state(at(31)), State::Closed);
    }

    #[test]
    fn an_answer_from_before_it_opened_counts_for_nothing() {
        let mut breaker = breaker(1);
        let old = breaker.admit(at(0)).unwrap();
        (0..5).for_each(|_| fail(&mut breaker, at(0)));
        let probe = breaker.admit(at(1)).unwrap();
        breaker.succeeded(at(1), old);
        assert_eq!(breaker.state(at(1)), State::HalfOpen);
        breaker.cancelled(probe);
    }

    #[test]
    fn forced_open_it_refuses_and_then_recovers() {
        let mut breaker = breaker(1);
        breaker.force_open(at(60));
        assert_eq!(breaker.admit(at(59)), Err(at(60)));
        succeed(&mut breaker, at(60));
        assert_eq!(breaker.state(at(60)), State::Closed);
    }

    proptest! {
        /// Whatever happens to its tickets, it is never wedged: after the longest open time and lease a call passes.
        #[test]
        fn it_never_wedges(probes in 1usize..5, steps in prop::collection::vec((0u64..3, 0u8..4, 0usize..6), 1..200)) {
            let mut breaker = breaker(probes);
            let (mut now, mut out) = (0, Vec::new());
            for (wait, what, which) in steps {
                now += wait;
                if let Ok(ticket) = breaker.admit(at(now)) { out.push(ticket) }
                let probes_out = out.iter().filter(|t| t.is_probe() && t.period == breaker.period).count();
                if breaker.settings.probe_lease.as_secs() > now { prop_assert!(probes_out <= probes) }
                if which < out.len() {
                    let ticket = out.swap_remove(which);
                    match what {
                        0 => breaker.succeeded(at(now), ticket),
                        1 | 2 => breaker.failed(at(now), ticket),
                        _ => breaker.cancelled(ticket),
                    }
                }
            }
            prop_assert!(breaker.admit(at(now + 61)).is_ok());
        }
    }
}
