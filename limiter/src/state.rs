//! The shared state of one endpoint: the pure parts behind a mutex.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use limiter_core::Time;
use limiter_core::breaker::{Breaker, Settings as BreakerSettings, State as BreakerState, Ticket};
use limiter_core::bucket::{Bucket, Decision, Rate};
use limiter_core::concurrency::Concurrency;

use crate::admission::{Admission, Call, CallKind, Level, Outcome, Refusal, Snapshot};
use crate::limits::{MEMPOOL_PAUSE, RETRY_AFTER_MAX, THROTTLE_PAUSE, THROTTLE_PAUSE_MAX};
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
    bucket: Bucket,
    breaker: Breaker,
    concurrency: Concurrency,
    broadcasts_held_until: Time,
    throttles_in_a_row: u32,
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
            bucket: Bucket::new(Rate::per_second(settings.rate_per_second), settings.burst),
            breaker: Breaker::new(settings.breaker),
            concurrency: Concurrency::new(settings.in_flight),
            broadcasts_held_until: Time::ZERO,
            throttles_in_a_row: 0,
        }))))
    }

    /// May this call leave now? Takes everything it needs, or nothing.
    pub fn check(&self, now: Time, call: &Call) -> Admission {
        let mut state = self.0.lock();
        if let Some(refusal) = state.refusal(now, call) {
            // Half-open, all probes out: their permits' end is the time to come back, not the lease of one that got lost.
            let probing = refusal.level == Level::Breaker && state.breaker.state(now) == BreakerState::HalfOpen;
            return if probing { Admission::Busy } else { Admission::NotBefore(refusal) };
        }
        if !state.concurrency.has_room() {
            return Admission::Busy;
        }
        let reservation = match state.bucket.decide(now, call.weight) {
            Decision::Now(reservation) => reservation,
            Decision::NotBefore(not_before) => {
                return Admission::NotBefore(Refusal { level: Level::Rate, not_before });
            }
            Decision::Never(why) => return Admission::Never(why),
        };
        match state.breaker.admit(now) {
            Ok(ticket) if state.concurrency.take() => {
                drop(state);
                Admission::Now(Permit::new(self.0.clone(), call.kind, reservation, ticket))
            }
            Ok(ticket) => {
                state.breaker.cancelled(ticket);
                state.bucket.refund(reservation);
                Admission::Busy
            }
            Err(not_before) => {
                state.bucket.refund(reservation);
                Admission::NotBefore(Refusal { level: Level::Breaker, not_before })
            }
        }
    }

    /// What would be said now to a call of this kind and one token, without taking anything; `None`: go, or wait for a place.
    pub fn peek(&self, now: Time, kind: CallKind) -> Option<Refusal> {
        let state = self.0.lock();
        state.refusal(now, &Call { weight: 1, kind }).or_else(|| {
            let not_before = state.bucket.peek(now, 1).ok().flatten()?;
            Some(Refusal { level: Level::Rate, not_before })
        })
    }

    /// Opens the breaker until `until`: the caller knows that this endpoint can't be used.
    pub fn force_open(&self, until: Time) {
        self.0.lock().breaker.force_open(until);
    }

    /// Capacity: the largest weight a call may have.
    pub fn burst(&self) -> u64 {
        self.0.lock().bucket.burst()
    }

    /// For metrics.
    pub fn snapshot(&self, now: Time) -> Snapshot {
        let state = self.0.lock();
        Snapshot {
            tokens: state.bucket.tokens(now),
            burst: state.bucket.burst(),
            in_flight: state.concurrency.in_flight(),
            breaker: state.breaker.state(now),
            held_until: state.bucket.held_until(now),
        }
    }
}

impl State {
    /// Everything but tokens and places, cheapest and longest-lasting first.
    fn refusal(&self, now: Time, call: &Call) -> Option<Refusal> {
        if let Some(not_before) = self.breaker.peek(now) {
            return Some(Refusal { level: Level::Breaker, not_before });
        }
        if let Some(not_before) = self.bucket.held_until(now) {
            return Some(Refusal { level: Level::HoldOff, not_before });
        }
        let held = self.broadcasts_held_until;
        (call.kind == CallKind::Broadcast && held > now).then_some(Refusal { level: Level::Mempool, not_before: held })
    }
}

impl Shared {
    /// A panic elsewhere leaves counters, not broken invariants: go on with them.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn settle(&self, now: Time, ticket: Ticket, outcome: Outcome) {
        let mut state = self.lock();
        state.concurrency.give_back();
        match outcome {
            Outcome::Failed => state.breaker.failed(now, ticket),
            // A throttle shows that the endpoint lives; the hold-off paces it.
            Outcome::Answered | Outcome::Throttled { .. } | Outcome::MempoolFull => {
                state.breaker.succeeded(now, ticket);
            }
        }
        match outcome {
            Outcome::Throttled { retry_after } => {
                let doubled = THROTTLE_PAUSE.saturating_mul(1 << state.throttles_in_a_row.min(10));
                let pause = retry_after.unwrap_or(doubled.min(THROTTLE_PAUSE_MAX)).min(RETRY_AFTER_MAX);
                state.throttles_in_a_row = state.throttles_in_a_row.saturating_add(1);
                state.bucket.hold_off(now.after(pause));
            }
            Outcome::MempoolFull => state.broadcasts_held_until = now.after(MEMPOOL_PAUSE),
            Outcome::Answered => state.throttles_in_a_row = 0,
            Outcome::Failed => {}
        }
    }

    pub(crate) fn release(&self, hold: Hold) {
        let mut state = self.lock();
        match hold {
            Hold::Settled => return,
            Hold::Reserved(reservation, ticket) => {
                state.bucket.refund(reservation);
                state.breaker.cancelled(ticket);
            }
            Hold::Sent(ticket) => state.breaker.cancelled(ticket),
        }
        state.concurrency.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limiter(rate_per_second: u64, burst: u64, in_flight: u32) -> Limiter {
        Limiter::new(Settings { rate_per_second, burst, in_flight, ..Settings::default() })
    }
    fn ms(n: u64) -> Time {
        Time::ZERO.after(Duration::from_millis(n))
    }
    fn go(limiter: &Limiter, now: Time, call: &Call) -> Permit {
        match limiter.check(now, call) {
            Admission::Now(permit) => permit,
            other => panic!("refused: {other:?}"),
        }
    }
    fn refused(limiter: &Limiter, now: Time, call: &Call) -> Refusal {
        match limiter.check(now, call) {
            Admission::NotBefore(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_permit_dropped_before_the_call_left_is_a_refund_and_after_it_is_not() {
        let limiter = limiter(1, 10, 1);
        drop(go(&limiter, ms(0), &Call::read(10)));
        assert_eq!(limiter.snapshot(ms(0)).tokens, 10);
        let mut permit = go(&limiter, ms(0), &Call::read(10));
        permit.sent();
        assert!(matches!(limiter.check(ms(0), &Call::read(1)), Admission::Busy));
        drop(permit);
        assert_eq!(limiter.snapshot(ms(0)).tokens, 0);
        assert_eq!(limiter.snapshot(ms(0)).in_flight, 0);
    }

    #[test]
    fn retry_after_is_a_hard_hold_off_for_all_and_bounded() {
        let limiter = limiter(100, 10, 4);
        let retry_after = Some(Duration::from_secs(2));
        go(&limiter, ms(0), &Call::read(1)).outcome(ms(0), Outcome::Throttled { retry_after });
        let refusal = refused(&limiter, ms(1_999), &Call::broadcast(1));
        assert_eq!(refusal, Refusal { level: Level::HoldOff, not_before: ms(2_000) });
        let for_ever = Some(Duration::MAX);
        go(&limiter, ms(2_000), &Call::read(1)).outcome(ms(2_000), Outcome::Throttled { retry_after: for_ever });
        assert_eq!(refused(&limiter, ms(2_001), &Call::read(1)).not_before, ms(602_000));
    }

    #[test]
    fn throttles_without_retry_after_pause_twice_as_long_each_time() {
        let limiter = limiter(100, 10, 4);
        let (mut now, mut pauses) = (ms(0), Vec::new());
        for _ in 0..8 {
            go(&limiter, now, &Call::read(1)).outcome(now, Outcome::Throttled { retry_after: None });
            let until = refused(&limiter, now, &Call::read(1)).not_before;
            pauses.push(until.since(now).as_millis());
            now = until;
        }
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    }

    #[test]
    fn a_full_mempool_holds_broadcasts_and_no_reads() {
        let limiter = limiter(100, 10, 4);
        go(&limiter, ms(0), &Call::broadcast(1)).outcome(ms(0), Outcome::MempoolFull);
        assert_eq!(refused(&limiter, ms(1), &Call::broadcast(1)).level, Level::Mempool);
        go(&limiter, ms(1), &Call::read(1)).outcome(ms(1), Outcome::Answered);
        go(&limiter, ms(1_000), &Call::broadcast(1)).outcome(ms(1_000), Outcome::Answered);
    }

    #[test]
    fn failures_open_the_breaker_and_a_dropped_probe_does_not_wedge_it() {
        let limiter = limiter(100, 100, 4);
        for _ in 0..5 {
            go(&limiter, ms(0), &Call::read(1)).outcome(ms(0), Outcome::Failed);
        }
        assert_eq!(refused(&limiter, ms(0), &Call::read(1)), Refusal { level: Level::Breaker, not_before: ms(1_000) });
        let mut probe = go(&limiter, ms(1_000), &Call::read(1));
        probe.sent();
        assert!(matches!(limiter.check(ms(1_000), &Call::read(1)), Admission::Busy));
        drop(probe);
        go(&limiter, ms(1_000), &Call::read(1)).outcome(ms(1_000), Outcome::Answered);
        assert_eq!(limiter.snapshot(ms(1_000)).breaker, BreakerState::Closed);
    }

    #[test]
    fn a_refusal_takes_nothing() {
        let limiter = limiter(1, 2, 1);
        let held = go(&limiter, ms(0), &Call::read(1));
        assert!(matches!(limiter.check(ms(0), &Call::read(1)), Admission::Busy));
        assert_eq!(limiter.snapshot(ms(0)).tokens, 1);
        assert!(matches!(limiter.check(ms(0), &Call::read(3)), Admission::Busy));
        drop(held);
        assert!(matches!(limiter.check(ms(0), &Call::read(3)), Admission::Never(_)));
    }
}
