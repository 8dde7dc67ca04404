//! The shared state of one endpoint: the pure parts behind a mutex.
//!
//! Each limit has one owner: the bucket the configured rate and its burst, [`Learned`] what throttles, latency and errors say below
//! it, a breaker for reads and one for broadcasts. While a breaker is not closed, or the health is low, a call costs more tokens
//! in proportion (the lower of the two shares counts, so nothing is cut twice).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use limiter_core::Time;
use limiter_core::breaker::{Class, Settings as BreakerSettings, Split, State as BreakerState, Ticket};
use limiter_core::bucket::{Bucket, Decision, Rate};
use limiter_core::concurrency::Concurrency;

use crate::admission::{Admission, Call, CallKind, Changes, Level, Outcome, Refusal, Refusals, Snapshot};
use crate::learned::Learned;
use crate::limits::{MEMPOOL_PAUSE, RETRY_AFTER_MAX};
use crate::permit::{Hold, Permit};

/// How one endpoint may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Calls a second in the long run.
    pub rate_per_second: u64,
    /// Calls at once; a larger batch must be split.
    pub burst: u64,
    /// HTTP requests in flight.
    pub in_flight: u32,
    /// When calls stop because the endpoint fails.
    pub breaker: BreakerSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rate_per_second: 200, burst: 400, in_flight: 16, breaker: BreakerSettings::default() }
    }
}

#[derive(Debug)]
struct State {
    settings: Settings,
    bucket: Bucket,
    /// Parts of a token that calls cost beyond whole ones, while they cost more.
    carry: u64,
    breakers: Split,
    concurrency: Concurrency,
    learned: Learned,
    broadcasts_held_until: Time,
    throttled: u64,
    completed: u64,
    admitted: u64,
    refusals: Refusals,
    read_changes: Changes,
    broadcast_changes: Changes,
}

#[derive(Debug)]
pub(crate) struct Shared(Mutex<State>);

/// The limiter of one endpoint. Clones share their state.
#[derive(Debug, Clone)]
pub struct Limiter(Arc<Shared>);

impl Limiter {
    /// Full of tokens, closed, idle.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Shared(Mutex::new(State {
            settings,
            bucket: Bucket::new(Rate::per_second(settings.rate_per_second), settings.burst),
            carry: 0,
            breakers: Split::new(settings.breaker),
            concurrency: Concurrency::new(settings.in_flight),
            learned: Learned::new(&settings),
            broadcasts_held_until: Time::ZERO,
            throttled: 0,
            completed: 0,
            admitted: 0,
            refusals: Refusals::default(),
            read_changes: Changes::default(),
            broadcast_changes: Changes::default(),
        }))))
    }

    /// May this call leave now? Takes everything it needs, or nothing.
    pub fn check(&self, now: Time, call: &Call) -> Admission {
        let mut state = self.0.lock();
        let class = class(call.kind);
        if let Some(refusal) = state.refusal(now, call) {
            // Half-open, all probes out: their permits' end is the time to come back, not the lease of one that got lost.
            let probing =
                refusal.level == Level::Breaker && state.breakers.of(class).state(now) == BreakerState::HalfOpen;
            return if probing { Admission::Busy } else { Admission::NotBefore(refusal) };
        }
        if !state.has_room() {
            return Admission::Busy;
        }
        if let Some(refusal) = state.shortage(now, call) {
            return Admission::NotBefore(refusal);
        }
        let permille = state.permille(now, call.kind);
        let (cost, carry) = state.cost(call.weight, permille);
        let reservation = match state.bucket.decide(now, cost) {
            Decision::Now(reservation) => reservation,
            Decision::NotBefore(at) => return Admission::NotBefore(state.refuse(now, call.kind, Level::Rate, at)),
            Decision::Never(why) => return Admission::Never(why),
        };
        match state.breakers.of_mut(class).admit(now) {
            Ok(ticket) if state.concurrency.take() => {
                state.carry = carry;
                state.admitted = state.admitted.saturating_add(1);
                let in_flight = state.concurrency.in_flight();
                state.learned.leaves(now, call.weight, in_flight);
                drop(state);
                Admission::Now(Permit::new(self.0.clone(), *call, now, reservation, ticket))
            }
            Ok(ticket) => {
                state.breakers.of_mut(class).cancelled(ticket);
                state.bucket.refund(reservation);
                Admission::Busy
            }
            Err(at) => {
                state.bucket.refund(reservation);
                Admission::NotBefore(state.refuse(now, call.kind, Level::Breaker, at))
            }
        }
    }

    /// What would be said now to this call, without taking anything; `None`: go, or wait for a place.
    pub fn peek(&self, now: Time, call: &Call) -> Option<Refusal> {
        let state = self.0.lock();
        state.refusal(now, call).or_else(|| state.shortage(now, call))
    }

    /// Opens both breakers until `until`: the caller knows that this endpoint can't be used.
    pub fn force_open(&self, until: Time) {
        let mut state = self.0.lock();
        for class in [Class::Read, Class::Broadcast] {
            state.breakers.of_mut(class).force_open(until);
        }
        state.note_changes();
    }

    /// Capacity: the largest weight a call may have.
    pub fn burst(&self) -> u64 {
        self.0.lock().bucket.burst()
    }

    /// The refusal of a caller who waited too long for a place in flight.
    pub fn no_place(&self, now: Time) -> Refusal {
        self.0.lock().refuse(now, CallKind::Read, Level::Concurrency, now)
    }

    /// Whether broadcasts wait for room in the mempool.
    pub fn is_mempool_full(&self, now: Time) -> bool {
        self.0.lock().broadcasts_held_until > now
    }

    /// The refusal of a caller who waited too long behind others: what held them back, if it still does.
    pub fn behind_others(&self, now: Time, call: &Call) -> Refusal {
        self.peek(now, call).unwrap_or_else(|| self.no_place(now))
    }

    /// A caller gave up because of this, for metrics: it would have waited too long.
    pub fn gave_up(&self, level: Level) {
        self.0.lock().refusals.count(level);
    }

    /// For metrics.
    pub fn snapshot(&self, now: Time) -> Snapshot {
        let mut state = self.0.lock();
        state.note_changes();
        let (reads, broadcasts) = (state.breakers.of(Class::Read), state.breakers.of(Class::Broadcast));
        let full_until = Some(state.broadcasts_held_until).filter(|until| *until > now);
        Snapshot {
            tokens: state.bucket.tokens(now),
            burst: state.bucket.burst(),
            rate_milli: state.settings.rate_per_second.saturating_mul(1_000),
            limit_permille: state.permille(now, CallKind::Read),
            learned_milli: state.learned.rate(),
            in_flight: state.concurrency.in_flight(),
            in_flight_limit: state.learned.in_flight_limit(),
            breaker: reads.state(now),
            broadcast_breaker: broadcasts.state(now),
            reads_from: reads.peek(now),
            broadcasts_from: broadcasts.peek(now).max(full_until),
            health_permille: state.learned.health_permille(),
            held_until: state.bucket.held_until(now),
            throttled: state.throttled,
            completed: state.completed,
            admitted: state.admitted,
            refusals: state.refusals,
            read_changes: state.read_changes,
            broadcast_changes: state.broadcast_changes,
        }
    }
}

impl State {
    /// Counts what the breakers tell of themselves. They remember a few changes: asked after each outcome, none is lost.
    fn note_changes(&mut self) {
        while let Some(change) = self.breakers.of_mut(Class::Read).take_transition() {
            self.read_changes.count(change.from, change.to);
        }
        while let Some(change) = self.breakers.of_mut(Class::Broadcast).take_transition() {
            self.broadcast_changes.count(change.from, change.to);
        }
    }

    /// Everything but tokens and places, cheapest and longest-lasting first.
    fn refusal(&self, now: Time, call: &Call) -> Option<Refusal> {
        let refuse = |level, at| Some(self.refuse(now, call.kind, level, at));
        if let Some(at) = self.breakers.of(class(call.kind)).peek(now) {
            return refuse(Level::Breaker, at);
        }
        if let Some(at) = self.bucket.held_until(now) {
            return refuse(Level::HoldOff, at);
        }
        let held = self.broadcasts_held_until;
        if call.kind == CallKind::Broadcast && held > now { refuse(Level::Mempool, held) } else { None }
    }

    /// Too few tokens, by the learned rate, for this call's urgency or at all; [`Bucket::decide`] says what no wait can help.
    fn shortage(&self, now: Time, call: &Call) -> Option<Refusal> {
        if let Some(at) = self.learned.pace(now) {
            return Some(self.refuse(now, call.kind, Level::Pace, at));
        }
        let (cost, _) = self.cost(call.weight, self.permille(now, call.kind));
        let burst = self.bucket.burst();
        let floor = burst.saturating_mul(call.class.floor_permille()) / 1_000;
        let floor = floor.min(burst.saturating_sub(cost));
        let at = self.bucket.peek(now, cost.saturating_add(floor)).ok().flatten()?;
        let level = if self.bucket.tokens(now) >= cost { Level::Reserve } else { Level::Rate };
        Some(self.refuse(now, call.kind, level, at))
    }

    fn has_room(&self) -> bool {
        self.concurrency.has_room() && self.concurrency.in_flight() < self.learned.in_flight_limit()
    }

    /// The share of the configured rate that is in force for this kind of call.
    fn permille(&self, now: Time, kind: CallKind) -> u32 {
        self.breakers.of(class(kind)).limit_permille(now).min(self.learned.limit_permille()).clamp(1, 1_000)
    }

    /// Tokens of a call when its limit is cut to `permille`, and the part of a token carried over to the next.
    fn cost(&self, weight: u64, permille: u32) -> (u64, u64) {
        let permille = u64::from(permille.max(1));
        if permille >= 1_000 {
            return (weight, self.carry);
        }
        let owed = weight.saturating_mul(1_000).saturating_add(self.carry);
        let cost = owed.checked_div(permille).unwrap_or(weight);
        // A batch as large as the burst still fits.
        let cost = cost.min(self.bucket.burst()).max(weight);
        (cost, owed.saturating_sub(cost.saturating_mul(permille)).min(1_000))
    }

    fn refuse(&self, now: Time, kind: CallKind, level: Level, not_before: Time) -> Refusal {
        let rate = || self.settings.rate_per_second.saturating_mul(u64::from(self.permille(now, kind)));
        let limit_milli = match level {
            Level::Rate | Level::Reserve => rate(),
            Level::Pace => self.learned.rate().unwrap_or_else(rate),
            Level::Concurrency => u64::from(self.learned.in_flight_limit()).saturating_mul(1_000),
            Level::HoldOff | Level::Mempool | Level::Breaker => 0,
        };
        Refusal { level, limit_milli, not_before }
    }
}

fn class(kind: CallKind) -> Class {
    match kind {
        CallKind::Read => Class::Read,
        CallKind::Broadcast => Class::Broadcast,
    }
}

impl Shared {
    /// A panic elsewhere leaves counters, not broken invariants: go on with them.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn settle(&self, now: Time, at: Time, call: &Call, ticket: Ticket, outcome: Outcome) {
        let mut state = self.lock();
        let (class, took) = (class(call.kind), now.since(at));
        state.concurrency.give_back();
        state.completed = state.completed.saturating_add(1);
        // A throttle shows that the endpoint lives; the hold-off paces it.
        let sound = outcome != Outcome::Failed;
        state.breakers.of_mut(class).completed(now, ticket, took, sound);
        match outcome {
            Outcome::Throttled { retry_after } => {
                state.throttled = state.throttled.saturating_add(1);
                let retry_after = retry_after.map(|span| span.min(RETRY_AFTER_MAX));
                if let Some(pause) = state.learned.throttled(now, at, retry_after) {
                    state.bucket.hold_off(now.after(pause));
                }
            }
            Outcome::MempoolFull => {
                state.broadcasts_held_until = now.after(MEMPOOL_PAUSE);
                state.learned.accepted(now, call.weight);
            }
            Outcome::Answered => state.learned.accepted(now, call.weight),
            Outcome::Failed => {}
        }
        let throttled = matches!(outcome, Outcome::Throttled { .. });
        if class == Class::Read && !throttled && state.learned.read_ended(now, took, sound) {
            let until = now.after(state.settings.breaker.open_for);
            state.breakers.of_mut(Class::Read).force_open(until);
        }
        state.note_changes();
    }

    pub(crate) fn release(&self, kind: CallKind, hold: Hold) {
        let mut state = self.lock();
        let class = class(kind);
        match hold {
            Hold::Settled => return,
            Hold::Reserved(reservation, ticket) => {
                state.bucket.refund(reservation);
                state.breakers.of_mut(class).cancelled(ticket);
            }
            Hold::Sent(ticket) => state.breakers.of_mut(class).cancelled(ticket),
        }
        state.concurrency.give_back();
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
