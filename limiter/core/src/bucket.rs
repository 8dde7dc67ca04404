//! The exact token bucket, kept as GCRA (the theoretical arrival time of the next token).
//!
//! A bucket of capacity `burst` refills at `rate` and is asked for `n` tokens. In ANY window of length `W` it admits at most
//! `burst + rate * W` tokens, and at saturation it loses none: time is counted in *ticks* of `1 / rate.tokens` ns, so that one
//! token is exactly `rate.period` ticks and nothing is ever rounded. Only the instant told to the caller is (up, to whole ns).
//!
//! Shapes: `Time` in ns, tokens in `u64`, ticks in `u128` (`u64::MAX * RATE_TOKENS` fits). Bounds: [`crate::limits`].
//! A refusal is data: [`Decision::NotBefore`] says when, [`Decision::Never`] why no wait will help.

use core::time::Duration;

use thiserror::Error;

use crate::Time;
use crate::limits;
use crate::time::span_nanos;

/// Tokens in a period, kept as the fraction it is (3 a second is not 333,333,333 ns).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    tokens: u64,
    period_ns: u64,
}

impl Rate {
    /// `tokens` every `period`; clamped to [`limits::RATE_TOKENS`] and [`limits::RATE_PERIOD`], a zero period counts as 1 ns.
    pub fn new(tokens: u64, period: Duration) -> Self {
        Self { tokens: tokens.min(limits::RATE_TOKENS), period_ns: span_nanos(period.min(limits::RATE_PERIOD)).max(1) }
    }
    /// `tokens` a second.
    pub fn per_second(tokens: u64) -> Self {
        Self::new(tokens, Duration::from_secs(1))
    }
}

/// Why no wait will help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Never {
    /// More than the bucket ever holds: split the call.
    #[error("{asked} tokens asked at once, the burst is {burst}")]
    LargerThanBurst {
        /// Tokens asked for.
        asked: u64,
        /// The bucket's capacity.
        burst: u64,
    },
    /// A rate of zero admits nothing once the burst is spent.
    #[error("the rate is zero")]
    NoRate,
}

/// The answer to a request for tokens.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go: the tokens are taken. [`Reservation::commit`] it, or give it back by [`Bucket::refund`] if the call never left.
    Now(Reservation),
    /// Not before this instant; nothing was taken.
    NotBefore(Time),
    /// Not ever; nothing was taken.
    Never(Never),
}

/// Tokens taken and not yet spent. Neither `Clone` nor `Copy`: it can be refunded once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "commit the reservation when the call leaves, or refund it"]
pub struct Reservation {
    tokens: u64,
    tat_before: u128,
    taken_after: u64,
}

impl Reservation {
    /// How many tokens.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }
    /// The call leaves: the tokens are spent for good.
    pub fn commit(self) {}
}

/// The bucket. See the module's text.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: Rate,
    burst: u64,
    /// Theoretical arrival time, ticks: when the bucket will be full again.
    tat: u128,
    /// No call before this instant, whatever the tokens say (Retry-After).
    held_until: Time,
    /// Instant of the last admission, for refunds.
    last: Time,
    /// Tokens taken since the start, wrapping.
    taken: u64,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: Rate, burst: u64) -> Self {
        Self { rate, burst: burst.min(limits::BURST), tat: 0, held_until: Time::ZERO, last: Time::ZERO, taken: 0 }
    }

    /// Capacity.
    pub fn burst(&self) -> u64 {
        self.burst
    }

    /// When `n` tokens can be had, without taking them: `Ok(None)` is now.
    pub fn peek(&self, now: Time, n: u64) -> Result<Option<Time>, Never> {
        if n > self.burst {
            return Err(Never::LargerThanBurst { asked: n, burst: self.burst });
        }
        let reach = self.ticks(now).saturating_add(self.cost(self.burst));
        let wanted = self.tat.max(self.ticks(now)).saturating_add(self.cost(n));
        let mut at = now.max(self.held_until);
        if wanted > reach {
            // First ns at which ticks(t) + burst reaches tat + n.
            let ticks = self.tat.saturating_add(self.cost(n)).saturating_sub(self.cost(self.burst));
            let nanos = match u128::from(self.rate.tokens) {
                0 => return Err(Never::NoRate),
                tokens => ticks.div_ceil(tokens),
            };
            at = at.max(Time::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
        }
        Ok((at > now).then_some(at))
    }

    /// Takes `n` tokens if they are there now.
    pub fn decide(&mut self, now: Time, n: u64) -> Decision {
        match self.peek(now, n) {
            Err(why) => Decision::Never(why),
            Ok(Some(at)) => Decision::NotBefore(at),
            Ok(None) => {
                let tat_before = self.tat;
                self.tat = self.tat.max(self.ticks(now)).saturating_add(self.cost(n));
                self.last = self.last.max(now);
                self.taken = self.taken.wrapping_add(n);
                Decision::Now(Reservation { tokens: n, tat_before, taken_after: self.taken })
            }
        }
    }

    /// Gives a reservation back whose call never left.
    ///
    /// Adding the tokens blindly would be wrong: those that dripped in while the reservation was out would be kept *and* the
    /// bucket filled up, more than `burst` at once. The bucket returns to a state no fuller than if the call had never asked.
    pub fn refund(&mut self, reservation: Reservation) {
        let taken_since = self.taken.wrapping_sub(reservation.taken_after);
        let without = match taken_since {
            0 => reservation.tat_before,
            since => reservation.tat_before.max(self.ticks(self.last)).saturating_add(self.cost(since)),
        };
        self.tat = self.tat.min(without);
    }

    /// Nothing before `until`: a node said Retry-After. An earlier instant than the one in force changes nothing.
    pub fn hold_off(&mut self, until: Time) {
        self.held_until = self.held_until.max(until);
    }

    /// The hold-off in force, if it lies ahead.
    pub fn held_until(&self, now: Time) -> Option<Time> {
        (self.held_until > now).then_some(self.held_until)
    }

    /// Whole tokens there now (a hold-off aside).
    pub fn tokens(&self, now: Time) -> u64 {
        let reach = self.ticks(now).saturating_add(self.cost(self.burst));
        let free = reach.saturating_sub(self.tat.max(self.ticks(now)));
        let whole = free.checked_div(u128::from(self.rate.period_ns)).unwrap_or(0);
        u64::try_from(whole).unwrap_or(u64::MAX)
    }

    fn ticks(&self, at: Time) -> u128 {
        u128::from(at.as_nanos()).saturating_mul(u128::from(self.rate.tokens))
    }
    fn cost(&self, n: u64) -> u128 {
        u128::from(n).saturating_mul(u128::from(self.rate.period_ns))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    #[test]
    fn at_100_a_second_asked_every_millisecond_no_fraction_is_lost() {
        // A refill that truncates rate * elapsed admitted 72 of 350 here.
        let mut bucket = Bucket::new(Rate::per_second(100), 50);
        let admitted =
            (0..3_000u64).filter(|ms| matches!(bucket.decide(at(ms * 1_000_000), 1), Decision::Now(_))).count();
        assert_eq!(admitted, 50 + 299); // t = 2.999 s: 299.9 tokens dripped in
    }

    #[test]
    fn three_a_second_is_exact_after_a_thousand_seconds() {
        let mut bucket = Bucket::new(Rate::per_second(3), 2);
        let (mut now, mut admitted) = (Time::ZERO, 0u64);
        while admitted < 3_002 {
            match bucket.decide(now, 1) {
                Decision::Now(_) => admitted += 1,
                Decision::NotBefore(t) => now = t,
                Decision::Never(why) => panic!("{why}"),
            }
        }
        assert_eq!(now, at(1_000_000_000_000)); // two at the start, then 3,000 in exactly 1,000 s
    }

    #[test]
    fn a_refusal_says_the_first_instant_that_works() {
        let mut bucket = Bucket::new(Rate::per_second(7), 10);
        assert!(matches!(bucket.decide(at(5), 10), Decision::Now(_)));
        let Decision::NotBefore(t) = bucket.decide(at(6), 3) else { panic!("admitted") };
        assert_eq!(bucket.decide(at(t.as_nanos() - 1), 3), Decision::NotBefore(t));
        assert!(matches!(bucket.decide(t, 3), Decision::Now(_)));
    }

    #[test]
    fn more_than_the_burst_and_a_zero_rate_are_never() {
        let mut bucket = Bucket::new(Rate::per_second(5), 4);
        assert_eq!(bucket.decide(at(0), 5), Decision::Never(Never::LargerThanBurst { asked: 5, burst: 4 }));
        let mut dry = Bucket::new(Rate::per_second(0), 1);
        assert!(matches!(dry.decide(at(0), 1), Decision::Now(_)));
        assert_eq!(dry.decide(at(u64::MAX), 1), Decision::Never(Never::NoRate));
    }

    #[test]
    fn a_hold_off_refuses_while_tokens_are_there_and_only_grows() {
        let mut bucket = Bucket::new(Rate::per_second(100), 10);
        bucket.hold_off(at(5_000));
        bucket.hold_off(at(3_000));
        assert_eq!(bucket.decide(at(4_999), 1), Decision::NotBefore(at(5_000)));
        assert!(matches!(bucket.decide(at(5_000), 1), Decision::Now(_)));
    }

    #[test]
    fn a_late_refund_does_not_keep_what_dripped_in_meanwhile() {
        // Full bucket of 10 at 1 a ns; A takes 10 at 0, B takes 5 at 5, then A is refunded: 5 are left, not 10.
        let mut bucket = Bucket::new(Rate::new(1, Duration::from_nanos(1)), 10);
        let Decision::Now(a) = bucket.decide(at(0), 10) else { panic!("refused") };
        assert!(matches!(bucket.decide(at(5), 5), Decision::Now(_)));
        bucket.refund(a);
        assert_eq!(bucket.tokens(at(5)), 5);
    }

    #[test]
    fn an_immediate_refund_restores_everything() {
        let mut bucket = Bucket::new(Rate::per_second(1), 10);
        assert!(matches!(bucket.decide(at(7), 3), Decision::Now(_)));
        let before = bucket.tokens(at(7));
        let Decision::Now(taken) = bucket.decide(at(7), 4) else { panic!("refused") };
        assert_eq!(bucket.tokens(at(7)), before - 4);
        bucket.refund(taken);
        assert_eq!(bucket.tokens(at(7)), before);
    }

    proptest! {
        /// In any window, whatever is asked, refunded and held: kept admissions <= burst + rate * W.
        #[test]
        fn never_more_than_burst_plus_rate_times_window(
            tokens in 1u64..50,
            period in 1u64..100,
            burst in 1u64..20,
            steps in prop::collection::vec((0u64..40, 1u64..12, any::<bool>(), 0usize..8), 1..200),
        ) {
            let mut bucket = Bucket::new(Rate::new(tokens, Duration::from_nanos(period)), burst);
            let (mut now, mut kept, mut open) = (0u64, Vec::new(), Vec::new());
            for (wait, n, refund_later, give_back) in steps {
                now += wait;
                if let Decision::Now(r) = bucket.decide(at(now), n) {
                    if refund_later { open.push(r) } else { kept.push((now, n)); r.commit() }
                }
                if give_back < open.len() {
                    let reservation = open.swap_remove(give_back);
                    bucket.refund(reservation);
                }
            }
            for (i, (start, _)) in kept.iter().enumerate() {
                let mut sum = 0u64;
                for (end, n) in kept.iter().skip(i) {
                    sum += n;
                    // sum <= burst + (end - start) * tokens / period, without division
                    prop_assert!(sum * period <= burst * period + (end - start) * tokens);
                }
            }
        }

        /// At saturation nothing is lost: asked at every instant it names, the bucket gives floor(rate * t) + burst.
        #[test]
        fn saturated_it_admits_all_it_may(tokens in 1u64..1_000, period in 1u64..1_000, burst in 2u64..10, end in 1u64..3_000) {
            let mut bucket = Bucket::new(Rate::new(tokens, Duration::from_nanos(period)), burst);
            let (mut now, mut admitted) = (Time::ZERO, 0u64);
            while now <= at(end) {
                match bucket.decide(now, 1) {
                    Decision::Now(r) => { r.commit(); admitted += 1 }
                    Decision::NotBefore(t) => now = t,
                    Decision::Never(why) => panic!("{why}"),
                }
            }
            let may = burst + end * tokens / period;
            prop_assert!(admitted <= may);
            // Instants are whole ns: a burst of 1, or several tokens a ns, overflow between two of them; nothing else is lost.
            if tokens <= period { prop_assert_eq!(admitted, may) }
        }
    }
}
