//! The circuit breaker of one endpoint.
//!
//! ```text
//!                 N consecutive errors, or with enough requests
//!                 error share, error count or slow share reached,
//!                 or forced open
//!      +--------+ ------------------------------------> +------+ <--+ <--+
//!      | CLOSED |                                       | OPEN |    |    | the only probe is refused by another
//!      +--------+                                       +------+    |    | rule: open until that rule lets it go,
//!          ^                                                |       |    | no longer than `open_for`, not doubled
//!          |   all of `probes` succeed       open time over |       |    |
//!          |   (or forced closed)                           v       |    |
//!          |                                         +-----------+  |    |
//!          +---------------------------------------- | HALF-OPEN | -+ ---+
//!                                                    +-----------+  any probe fails or is slow: open again,
//!                                                                   twice as long, up to open_max
//! ```
//!
//! Half-open lets exactly `probes` calls through: successes so far plus probes out never exceed it. A probe that is cancelled
//! frees its slot at once, one that never returns frees it when its lease runs out, so half-open can't wedge. A late answer of
//! a probe whose lease ran out, or of an earlier period, counts for nothing.
//!
//! Clauses: B12 to B17 of the project's limiter details; Y2, Y3 and Y6 are the faults beaten. A share trips when it reaches its
//! threshold (B13), on completion of a call (B15). Statistics are a ring of `buckets` over `interval`: with one bucket the
//! interval is fixed, with ten a count is a tenth of the interval old at most when it is forgotten. Each change of state is
//! queued for listeners ([`Breaker::take_transition`]). While open, and on a ramp of `warm_up` after it closes, the limits it
//! guards are cut ([`Breaker::limit_permille`]).
//!
//! Units: `Time` in ns, shares in percent. Refusals carry the instant to come back.

mod split;
mod stats;
mod transition;

#[cfg(test)]
mod tests;

pub use split::{Class, Split};
pub use stats::Counts;
pub use transition::{Cause, Transition};

use core::time::Duration;

use self::stats::Stats;
use self::transition::Log;
use crate::Time;
use crate::limits::{OPEN_DOUBLINGS, PROBES};
use crate::time::span_nanos;

/// When it opens, how it recovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// So many errors in a row open it; 0 turns the rule off.
    pub consecutive_errors: u32,
    /// A share of errors of at least this opens it; above 100 turns the rule off.
    pub error_percent: u32,
    /// So many errors in the interval open it; 0 turns the rule off.
    pub error_count: u32,
    /// Calls longer than this are slow.
    pub slow_after: Duration,
    /// A share of slow calls of at least this opens it; above 100 turns the rule off.
    pub slow_percent: u32,
    /// Fewer calls in the interval than this say nothing about a share or a count.
    pub min_requests: u32,
    /// Over what time shares and counts are measured.
    pub interval: Duration,
    /// Buckets of the interval; 0, or a number that does not divide it, is one.
    pub buckets: u32,
    /// How long it stays open the first time; doubles with each failed recovery.
    pub open_for: Duration,
    /// The longest it stays open.
    pub open_max: Duration,
    /// Probes let through half-open, 1..=[`PROBES`].
    pub probes: usize,
    /// After this a probe without answer no longer holds its slot.
    pub probe_lease: Duration,
    /// By how much the limits are cut while it is not closed, thousandths (A47: 30 %).
    pub cut_permille: u32,
    /// How long the limits take back to full after it closes.
    pub warm_up: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consecutive_errors: 5,
            error_percent: 50,
            error_count: 0,
            slow_after: Duration::from_secs(5),
            slow_percent: 101,
            min_requests: 20,
            interval: Duration::from_secs(10),
            buckets: 10,
            open_for: Duration::from_secs(1),
            open_max: Duration::from_secs(30),
            probes: 1,
            probe_lease: Duration::from_secs(30),
            cut_permille: 300,
            warm_up: Duration::from_secs(10),
        }
    }
}

/// The state, as metrics show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
#[must_use = "hand the ticket back by `completed`, `refused` or `cancelled`"]
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

#[derive(Debug, Clone, Copy)]
struct Lease {
    id: u64,
    until: Time,
}

#[derive(Debug, Clone)]
enum Inner {
    Closed { in_a_row: u32, since: Time, warm: bool },
    Open { until: Time },
    HalfOpen { leases: [Option<Lease>; PROBES], passed: usize },
}

/// The breaker. See the module's diagram.
#[derive(Debug, Clone)]
pub struct Breaker {
    settings: Settings,
    inner: Inner,
    stats: Stats,
    log: Log,
    period: u64,
    next_lease: u64,
    /// Failed recoveries in a row.
    relapses: u32,
    /// Until then nothing trips it: closed by hand.
    held_closed_until: Time,
    /// The latest instant it was told.
    seen: Time,
}

impl Breaker {
    /// Closed, with `probes` clamped to 1..=[`PROBES`].
    pub fn new(settings: Settings) -> Self {
        let settings = Settings { probes: settings.probes.clamp(1, PROBES), ..settings };
        Self {
            settings,
            inner: Inner::Closed { in_a_row: 0, since: Time::ZERO, warm: true },
            stats: Stats::new(settings.interval, settings.buckets),
            log: Log::default(),
            period: 0,
            next_lease: 0,
            relapses: 0,
            held_closed_until: Time::ZERO,
            seen: Time::ZERO,
        }
    }

    /// The state at `now`; an open breaker whose time is over counts as half-open.
    pub fn state(&self, now: Time) -> State {
        match &self.inner {
            Inner::Closed { .. } => State::Closed,
            Inner::Open { until } if *until > now => State::Open,
            Inner::Open { .. } | Inner::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// Completed calls of the interval in force.
    pub fn counts(&self) -> Counts {
        self.stats.sums()
    }

    /// The oldest change of state that was not read yet. At most [`crate::limits::BREAKER_TRANSITIONS`] wait.
    pub fn take_transition(&mut self) -> Option<Transition> {
        self.log.pop()
    }

    /// Changes of state that gave way to newer ones before they were read.
    pub fn lost_transitions(&self) -> u64 {
        self.log.lost()
    }

    /// Thousandths of the limits in force (A47, A48): cut while it is not closed, then rising to 1,000 over `warm_up`.
    pub fn limit_permille(&self, now: Time) -> u32 {
        let cut = self.settings.cut_permille.min(1_000);
        let low = 1_000u32.saturating_sub(cut);
        let Inner::Closed { since, warm, .. } = &self.inner else { return low };
        if *warm {
            return 1_000;
        }
        let (passed, whole) = (span_nanos(now.since(*since)), span_nanos(self.settings.warm_up));
        let regained = u128::from(cut).saturating_mul(u128::from(passed.min(whole))).checked_div(u128::from(whole));
        low.saturating_add(regained.and_then(|part| u32::try_from(part).ok()).unwrap_or(cut)).min(1_000)
    }

    /// When a call may pass, without taking anything: `None` is now.
    #[inline]
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
    #[inline]
    pub fn admit(&mut self, now: Time) -> Result<Ticket, Time> {
        if let Inner::Closed { .. } = self.inner {
            return Ok(Ticket { period: self.period, probe: None });
        }
        self.probe(now)
    }

    #[cold]
    fn probe(&mut self, now: Time) -> Result<Ticket, Time> {
        if let Some(at) = self.peek(now) {
            return Err(at);
        }
        self.seen = self.seen.max(now);
        if matches!(self.inner, Inner::Open { .. }) {
            self.enter(Cause::OpenTimeOver, Inner::HalfOpen { leases: [None; PROBES], passed: 0 });
        }
        let (period, id, until) = (self.period, self.next_lease, now.after(self.settings.probe_lease));
        self.next_lease = self.next_lease.wrapping_add(1);
        if let Inner::HalfOpen { leases, .. } = &mut self.inner {
            for (slot, lease) in leases.iter_mut().enumerate() {
                if lease.is_none_or(|lease| lease.until <= now) {
                    *lease = Some(Lease { id, until });
                    return Ok(Ticket { period, probe: Some((slot, id)) });
                }
            }
        }
        // Not reached: peek saw fewer leases than `probes`, and `probes` slots fit the array.
        Err(until)
    }

    /// The endpoint answered as an endpoint should (an application's "no" is such an answer), and in time.
    pub fn succeeded(&mut self, now: Time, ticket: Ticket) {
        self.completed(now, ticket, Duration::ZERO, true);
    }

    /// The endpoint failed: no connection, no answer in time, garbage, 5xx.
    pub fn failed(&mut self, now: Time, ticket: Ticket) {
        self.completed(now, ticket, Duration::ZERO, false);
    }

    /// The call is over: it took `took`, and the endpoint was at fault unless `ok`.
    pub fn completed(&mut self, now: Time, ticket: Ticket, took: Duration, ok: bool) {
        self.seen = self.seen.max(now);
        if ticket.period != self.period {
            return;
        }
        let Settings { slow_after, slow_percent, probes, .. } = self.settings;
        let slow = took > slow_after;
        let sound = ok && !(slow && slow_percent <= 100);
        match &mut self.inner {
            Inner::Closed { in_a_row, .. } => {
                *in_a_row = if ok { 0 } else { in_a_row.saturating_add(1) };
                let row = *in_a_row;
                let one = Counts { calls: 1, errors: u32::from(!ok), slow: u32::from(slow) };
                let sums = self.stats.count(now, one);
                if !sound
                    && now >= self.held_closed_until
                    && let Some(cause) = self.trips(row, sums)
                {
                    self.open(now, cause);
                }
            }
            Inner::HalfOpen { leases, passed } => {
                if release(leases, &ticket).is_none_or(|lease| lease.until <= now) {
                    return;
                }
                if !sound {
                    self.relapses = self.relapses.saturating_add(1);
                    self.open(now, Cause::ProbeFailed);
                    return;
                }
                *passed = passed.saturating_add(1);
                if *passed >= probes {
                    self.relapses = 0;
                    self.enter(Cause::ProbesSucceeded, Inner::Closed { in_a_row: 0, since: now, warm: false });
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

    /// Another rule refused the call, until `not_before` if it said so (B17). A probe's slot is free again; was it the only one
    /// of this half-open stay, the breaker is open again until `not_before`, no longer than `open_for`. It did not fail: the open
    /// time does not double.
    pub fn refused(&mut self, now: Time, ticket: Ticket, not_before: Option<Time>) {
        self.seen = self.seen.max(now);
        let Inner::HalfOpen { leases, passed } = &mut self.inner else { return };
        if ticket.period != self.period || release(leases, &ticket).is_none() {
            return;
        }
        if *passed == 0 && leases.iter().flatten().all(|lease| lease.until <= now) {
            let latest = now.after(self.settings.open_for);
            let until = not_before.map_or(latest, |at| at.clamp(now, latest));
            self.enter(Cause::ProbeRefused, Inner::Open { until });
        }
    }

    /// Opens it by hand until `until`; then it recovers by probes as usual.
    pub fn force_open(&mut self, until: Time) {
        self.held_closed_until = Time::ZERO;
        self.enter(Cause::Forced, Inner::Open { until });
    }

    /// Closes it by hand: nothing trips it before `until`, and its limits are full at once.
    pub fn force_closed(&mut self, now: Time, until: Time) {
        self.seen = self.seen.max(now);
        self.held_closed_until = until;
        self.relapses = 0;
        self.enter(Cause::Forced, Inner::Closed { in_a_row: 0, since: now, warm: true });
    }

    /// Which rule says open, the cheapest first.
    fn trips(&self, row: u32, sums: Counts) -> Option<Cause> {
        let rule = &self.settings;
        let reaches = |part: u32, percent: u32| {
            percent <= 100
                && part > 0
                && u64::from(part).saturating_mul(100) >= u64::from(sums.calls).saturating_mul(u64::from(percent))
        };
        if rule.consecutive_errors > 0 && row >= rule.consecutive_errors {
            return Some(Cause::ConsecutiveErrors);
        }
        if sums.calls < rule.min_requests {
            return None;
        }
        if reaches(sums.errors, rule.error_percent) {
            return Some(Cause::ErrorRatio);
        }
        if rule.error_count > 0 && sums.errors >= rule.error_count {
            return Some(Cause::ErrorCount);
        }
        reaches(sums.slow, rule.slow_percent).then_some(Cause::SlowRatio)
    }

    fn open(&mut self, now: Time, cause: Cause) {
        let factor = 1u32.checked_shl(self.relapses.min(OPEN_DOUBLINGS)).unwrap_or(1);
        let span = self.settings.open_for.saturating_mul(factor).min(self.settings.open_max);
        self.enter(cause, Inner::Open { until: now.after(span) });
    }

    fn enter(&mut self, cause: Cause, inner: Inner) {
        let until = match &inner {
            Inner::Open { until } => Some(*until),
            _ => None,
        };
        let from = kind(&self.inner);
        self.inner = inner;
        self.period = self.period.wrapping_add(1);
        let to = kind(&self.inner);
        self.log.push(Transition { from, to, cause, at: self.seen, counts: self.stats.sums(), until });
        if to == State::Closed {
            self.stats.clear();
        }
    }
}

fn kind(inner: &Inner) -> State {
    match inner {
        Inner::Closed { .. } => State::Closed,
        Inner::Open { .. } => State::Open,
        Inner::HalfOpen { .. } => State::HalfOpen,
    }
}

/// Frees the ticket's slot if it still holds it, and answers with its lease.
fn release(leases: &mut [Option<Lease>; PROBES], ticket: &Ticket) -> Option<Lease> {
    let (slot, id) = ticket.probe?;
    leases.get_mut(slot)?.take_if(|lease| lease.id == id)
}
