//! The bucket of one level of a decision: a leaky backlog in 64 bits, for paths that ask five of them at once.
//!
//! [`crate::bucket::Bucket`] and this are the same law (at most `burst + rate * W` in ANY window `W`). A cell keeps what was
//! taken as a *backlog* that drains with time, so that no product of absolute time can overflow and one decision is a
//! subtraction, a multiplication and a comparison. Clause: limiter page, *Token bucket / GCRA*; A8, X1.
//!
//! Shapes: the rate is a reduced fraction `tokens / period_ns`; a *tick* is `1 / tokens` ns, a token costs `period_ns` ticks.
//! 1,125 a second is 9 / 8,000,000 and exact. A fraction that does not fit is rounded down, never up. Bounds:
//! [`crate::limits::CELL_TICKS`], [`crate::limits::CELL_TOKENS`].

use core::time::Duration;

use crate::Time;
use crate::limits::{CELL_TICKS, CELL_TOKENS};
use crate::time::span_nanos;

/// A rate and a burst, in the units of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speed {
    /// Ticks that drain in a nanosecond.
    tokens: u64,
    /// Ticks a token costs.
    period: u64,
    /// Ticks of a full burst.
    room: u64,
}

impl Speed {
    /// `tokens / scale` every `period`, at most `burst` at once. A scale or period of zero counts as one.
    pub fn new(tokens: u128, scale: u128, period: Duration, burst: u64) -> Self {
        let mut num = tokens;
        let mut den = u128::from(span_nanos(period).max(1)).saturating_mul(scale.max(1));
        let divisor = gcd(num, den).max(1);
        num = num.checked_div(divisor).unwrap_or(num);
        den = den.checked_div(divisor).unwrap_or(den);
        let most = u128::from(burst.max(1));
        while num > u128::from(CELL_TOKENS) || den.saturating_mul(most) > u128::from(CELL_TICKS) {
            num >>= 1;
            den = den.div_ceil(2);
            if den <= 1 {
                num = num.min(u128::from(CELL_TOKENS));
                break;
            }
        }
        let narrow = |wide: u128| u64::try_from(wide).unwrap_or(u64::MAX);
        Self { tokens: narrow(num), period: narrow(den), room: narrow(den.saturating_mul(u128::from(burst))) }
    }

    /// `tokens` a second.
    pub fn per_second(tokens: u64, burst: u64) -> Self {
        Self::new(u128::from(tokens), 1, Duration::from_secs(1), burst)
    }

    /// The threshold in force, thousandths of a token a second (for refusals and metrics).
    pub fn per_second_milli(&self) -> u64 {
        let scaled = u128::from(self.tokens).saturating_mul(1_000_000_000_000);
        u64::try_from(scaled.checked_div(u128::from(self.period)).unwrap_or(0)).unwrap_or(u64::MAX)
    }
}

/// Why a cell says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// Nanoseconds until it will do.
    Wait(u64),
    /// More than the burst, or a rate of zero: no wait helps.
    Never,
}

/// Added to the tokens taken when the rate changes: marks of the old rate are recognized by the distance.
const RETUNED: u32 = 1 << 31;

/// What a cell was before tokens were taken: the key to giving them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    before: u64,
    taken: u32,
    /// Tokens taken; none, and there is nothing to give back.
    n: u32,
}

impl Mark {
    /// Gives nothing back.
    pub(crate) const NOTHING: Self = Self { before: u64::MAX, taken: 0, n: 0 };
}

/// The cell. See the module's text.
#[derive(Debug, Clone)]
pub struct Cell {
    backlog: u64,
    last: u64,
    speed: Speed,
    /// Tokens taken, wrapping: what others took while a reservation was out.
    taken: u32,
}

impl Cell {
    /// Empty backlog: the whole burst is there.
    pub fn new(speed: Speed) -> Self {
        Self { backlog: 0, last: 0, speed, taken: 0 }
    }

    /// The rate and burst in force.
    pub fn speed(&self) -> Speed {
        self.speed
    }

    /// The backlog at `now`, ticks.
    #[inline]
    pub fn drained(&self, now: Time) -> u64 {
        let drops = now.as_nanos().saturating_sub(self.last).saturating_mul(self.speed.tokens);
        self.backlog.saturating_sub(drops)
    }

    /// May `n` tokens go, given the backlog of [`Self::drained`]?
    #[inline]
    pub fn fits(&self, drained: u64, n: u32) -> bool {
        drained.saturating_add(u64::from(n).saturating_mul(self.speed.period)) <= self.speed.room
    }

    /// After `fits` said no: how long until it will say yes.
    pub fn shortfall(&self, drained: u64, n: u32) -> Short {
        let cost = u64::from(n).saturating_mul(self.speed.period);
        if cost > self.speed.room || self.speed.tokens == 0 {
            return Short::Never;
        }
        let excess = drained.saturating_add(cost).saturating_sub(self.speed.room);
        Short::Wait(excess.div_ceil(self.speed.tokens.max(1)))
    }

    /// Takes `n` tokens, unconditionally.
    #[inline]
    pub fn take(&mut self, now: Time, drained: u64, n: u32) -> Mark {
        // A clock that went back: no instant to measure the refund from, so there will be none.
        let before = if now.as_nanos() < self.last { u64::MAX } else { drained };
        self.backlog = drained.saturating_add(u64::from(n).saturating_mul(self.speed.period));
        self.last = self.last.max(now.as_nanos());
        self.taken = self.taken.wrapping_add(n);
        Mark { before, taken: self.taken, n }
    }

    /// Gives back what `mark` took at `at`. Never fuller than had the call not asked: what dripped in meanwhile is not kept twice.
    ///
    /// Two bounds hold, and the better one counts: the backlog before the call plus what others took since (exact while the bucket is
    /// busy), and the backlog now less what of the call's cost has not drained yet (exact when reservations overlap).
    pub fn refund(&mut self, at: Time, mark: Mark) {
        let others = self.taken.wrapping_sub(mark.taken);
        if mark.n == 0 || others >= RETUNED {
            return;
        }
        let drops = self.last.saturating_sub(at.as_nanos()).saturating_mul(self.speed.tokens);
        let since = u64::from(others).saturating_mul(self.speed.period);
        let left = u64::from(mark.n).saturating_mul(self.speed.period).saturating_sub(drops);
        let by_mark = mark.before.saturating_sub(drops).saturating_add(since);
        self.backlog = self.backlog.saturating_sub(left).min(by_mark);
    }

    /// Gives `n` tokens back without a mark, less what dripped in since `at`.
    pub fn give_back(&mut self, now: Time, at: Time, n: u32) {
        let drained = self.drained(now);
        let dripped = now.as_nanos().saturating_sub(at.as_nanos()).saturating_mul(self.speed.tokens);
        let back = u64::from(n).saturating_mul(self.speed.period).saturating_sub(dripped);
        self.backlog = drained.saturating_sub(back);
        self.last = self.last.max(now.as_nanos());
    }

    /// Another rate or burst from `now` on; what was taken stays taken. Reservations that are out are no longer refunded.
    pub fn retune(&mut self, now: Time, speed: Speed) {
        if speed == self.speed {
            return;
        }
        let owed = u128::from(self.drained(now)).saturating_mul(u128::from(speed.period));
        let owed = owed.div_ceil(u128::from(self.speed.period.max(1)));
        self.backlog = u64::try_from(owed).unwrap_or(u64::MAX);
        self.last = self.last.max(now.as_nanos());
        self.speed = speed;
        self.taken = self.taken.wrapping_add(RETUNED);
    }

    /// Takes `n` tokens as far as they fit, never more than the burst: for meters that observe and do not refuse.
    pub fn meter(&mut self, now: Time, n: u32) {
        let drained = self.drained(now);
        let more = drained.saturating_add(u64::from(n).saturating_mul(self.speed.period));
        self.backlog = more.min(self.speed.room.max(drained));
        self.last = self.last.max(now.as_nanos());
    }

    /// When the backlog will be empty.
    pub fn empty_at(&self) -> Time {
        let span = match self.speed.tokens {
            0 if self.backlog > 0 => u64::MAX,
            tokens => self.backlog.div_ceil(tokens.max(1)),
        };
        Time::from_nanos(self.last.saturating_add(span))
    }

    /// A cell that will be empty at `until`, at the soonest: for a state that was forgotten.
    pub fn owing_until(speed: Speed, now: Time, until: Time) -> Self {
        let span = until.as_nanos().saturating_sub(now.as_nanos());
        let backlog = span.saturating_mul(speed.tokens.max(1)).min(speed.room);
        Self { backlog, last: now.as_nanos(), speed, taken: 0 }
    }

    /// Whole tokens there at `now`.
    pub fn available(&self, now: Time) -> u64 {
        let free = self.speed.room.saturating_sub(self.drained(now));
        free.checked_div(self.speed.period).unwrap_or(0)
    }
}

const fn gcd(mut a: u128, mut b: u128) -> u128 {
    while let Some(rest) = a.checked_rem(b) {
        a = b;
        b = rest;
    }
    a
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ns: u64) -> Time {
        Time::from_nanos(ns)
    }
    fn ask(cell: &mut Cell, now: Time, n: u32) -> Option<Mark> {
        let drained = cell.drained(now);
        cell.fits(drained, n).then(|| cell.take(now, drained, n))
    }

    #[test]
    fn at_100_a_second_asked_every_millisecond_no_fraction_is_lost() {
        let mut cell = Cell::new(Speed::per_second(100, 50));
        let admitted = (0..3_000u64).filter(|ms| ask(&mut cell, at(ms * 1_000_000), 1).is_some()).count();
        assert_eq!(admitted, 50 + 299);
    }

    #[test]
    fn the_wait_named_is_the_first_that_works() {
        let mut cell = Cell::new(Speed::per_second(7, 10));
        assert!(ask(&mut cell, at(5), 10).is_some());
        let Short::Wait(ns) = cell.shortfall(cell.drained(at(6)), 3) else { panic!("never") };
        assert!(ask(&mut cell, at(6 + ns - 1), 3).is_none());
        assert!(ask(&mut cell, at(6 + ns), 3).is_some());
        assert_eq!(cell.shortfall(0, 11), Short::Never);
    }

    #[test]
    fn a_retune_keeps_what_was_taken() {
        let mut cell = Cell::new(Speed::per_second(10, 10));
        assert!(ask(&mut cell, at(0), 8).is_some());
        cell.retune(at(0), Speed::per_second(333, 10));
        assert_eq!(cell.available(at(0)), 2);
        cell.retune(at(0), Speed::per_second(1, 10));
        assert_eq!(cell.available(at(0)), 2);
    }

    #[test]
    fn a_late_refund_does_not_keep_what_dripped_in_meanwhile() {
        let mut cell = Cell::new(Speed::new(1, 1, Duration::from_nanos(1), 10));
        let a = ask(&mut cell, at(0), 10).unwrap();
        assert!(ask(&mut cell, at(5), 5).is_some());
        cell.refund(at(0), a);
        assert_eq!(cell.available(at(5)), 5);
    }

    #[test]
    fn overlapping_reservations_given_back_in_any_order_leave_nothing_behind() {
        let mut cell = Cell::new(Speed::per_second(0, 2));
        let a = ask(&mut cell, at(0), 1).unwrap();
        let b = ask(&mut cell, at(0), 1).unwrap();
        cell.refund(at(0), a);
        assert!(ask(&mut cell, at(0), 1).is_some());
        cell.refund(at(0), b);
        assert_eq!(cell.available(at(0)), 1);
    }

    #[test]
    fn a_rate_that_does_not_fit_is_rounded_down_by_less_than_half_a_percent() {
        let speed = Speed::new(999_983, 1, Duration::from_secs(86_400), 999_983);
        let want = 999_983u64 * 1_000 / 86_400;
        assert!(speed.per_second_milli() <= want && speed.per_second_milli() * 1_000 >= want * 995);
    }

    proptest! {
        /// Random schedules with refunds, jumps ahead and a clock that goes back: kept <= burst + rate * W in every window.
        #[test]
        fn never_more_than_burst_plus_rate_times_window(
            tokens in 1u64..50, period in 1u64..100, burst in 1u64..20,
            steps in prop::collection::vec((-10i64..60, 1u32..12, any::<bool>(), 0usize..8), 1..200),
        ) {
            let mut cell = Cell::new(Speed::new(u128::from(tokens), 1, Duration::from_nanos(period), burst));
            let (mut clock, mut latest, mut kept, mut open) = (100i64, 0u64, Vec::new(), Vec::new());
            for (wait, n, refund_later, give_back) in steps {
                clock = (clock + wait).max(0);
                let now = u64::try_from(clock).unwrap();
                if let Some(mark) = ask(&mut cell, at(now), n) {
                    // As the cell sees time: a clock that went back stands still.
                    latest = latest.max(now);
                    if refund_later { open.push((now, mark)) } else { kept.push((latest, u64::from(n))) }
                }
                if give_back < open.len() {
                    let (then, mark) = open.swap_remove(give_back);
                    cell.refund(at(then), mark);
                }
            }
            for (i, (start, _)) in kept.iter().enumerate() {
                let mut sum = 0u64;
                for (end, n) in kept.iter().skip(i) {
                    sum += n;
                    prop_assert!(sum * period <= burst * period + (end - start) * tokens);
                }
            }
        }

        /// It agrees with the 128-bit bucket, call by call.
        #[test]
        fn it_decides_as_the_exact_bucket(
            tokens in 1u64..5_000, period in 1u64..5_000, burst in 1u64..50,
            steps in prop::collection::vec((0u64..300, 1u32..20), 1..200),
        ) {
            use crate::bucket::{Bucket, Decision, Rate};
            let mut exact = Bucket::new(Rate::new(tokens, Duration::from_nanos(period)), burst);
            let mut cell = Cell::new(Speed::new(u128::from(tokens), 1, Duration::from_nanos(period), burst));
            let mut now = 0;
            for (wait, n) in steps {
                now += wait;
                let want = matches!(exact.decide(at(now), u64::from(n)), Decision::Now(_));
                prop_assert_eq!(ask(&mut cell, at(now), n).is_some(), want);
            }
        }
    }
}
