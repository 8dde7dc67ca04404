//! The retry budget: retries are a share of the calls, so a failing node is not struck by a multiple of its load.
//!
//! Each call deposits a fifth of a retry, and ten a second drip in for those who call rarely. Clause: *retry budget (20 % +
//! 10/s)* of the limiter page. In any span of `t` seconds with `n` calls, at most `n / 5 + 10 t +` [`RETRY_BUDGET`] retries.
//! Retries are calls to a limit, too: they are charged like any other. Units: thousandths of a retry inside. Bounds: the balance.
//!
//! ```
//! use limiter_core::{Time, retry::Budget};
//! let mut budget = Budget::new(200, 10);
//! (0..10).for_each(|_| budget.called());
//! assert!(budget.take(Time::ZERO) && budget.take(Time::ZERO) && !budget.take(Time::ZERO));
//! ```

use crate::Time;
use crate::limits::RETRY_BUDGET;

/// Retries that may still be made. See the module's text.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Deposit of a call, thousandths of a retry.
    per_call: u64,
    per_second: u64,
    milli: u64,
    /// ns times retries a second that did not make a thousandth yet.
    rest: u64,
    at: Option<Time>,
}

impl Budget {
    /// Empty: a start with a dead node must not begin with a burst of retries.
    pub fn new(per_call_permille: u64, per_second: u64) -> Self {
        let (per_call, per_second) = (per_call_permille.min(1_000), per_second.min(RETRY_BUDGET));
        Self { per_call, per_second, milli: 0, rest: 0, at: None }
    }

    /// A first try was made.
    pub fn called(&mut self) {
        self.milli = self.milli.saturating_add(self.per_call).min(RETRY_BUDGET.saturating_mul(1_000));
    }

    /// May a retry be made now? It is spent then.
    #[must_use]
    pub fn take(&mut self, now: Time) -> bool {
        self.drip(now);
        let may = self.milli >= 1_000;
        if may {
            self.milli = self.milli.saturating_sub(1_000);
        }
        may
    }

    /// The retry was not made: it is there again.
    pub fn give_back(&mut self) {
        self.milli = self.milli.saturating_add(1_000).min(RETRY_BUDGET.saturating_mul(1_000));
    }

    /// Whole retries there now.
    pub fn balance(&mut self, now: Time) -> u64 {
        self.drip(now);
        self.milli / 1_000
    }

    fn drip(&mut self, now: Time) {
        const MILLI_NS: u64 = 1_000_000;
        let span = now.as_nanos().saturating_sub(self.at.unwrap_or(now).as_nanos());
        self.at = Some(self.at.unwrap_or(now).max(now));
        let due = self.rest.saturating_add(span.saturating_mul(self.per_second));
        self.rest = due.checked_rem(MILLI_NS).unwrap_or(0);
        self.milli = self.milli.saturating_add(due / MILLI_NS).min(RETRY_BUDGET.saturating_mul(1_000));
    }
}

impl Default for Budget {
    /// A fifth of the calls and ten a second.
    fn default() -> Self {
        Self::new(200, 10)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_node_that_fails_every_call_gets_a_fifth_more_and_ten_a_second() {
        let mut budget = Budget::default();
        let mut retries = 0;
        for ms in 0..10_000 {
            budget.called(); // 1,000 calls a second for 10 s
            retries += u64::from(budget.take(Time::from_nanos(ms * 1_000_000)));
        }
        assert_eq!(retries, 2_000 + 99);
    }

    #[test]
    fn a_rare_caller_has_ten_a_second_and_no_fraction_is_lost() {
        let mut budget = Budget::default();
        let taken = (0..1_000_000u64).filter(|us| budget.take(Time::from_nanos(us * 10_007))).count();
        assert_eq!(taken, 100); // 10.007 s
    }

    proptest! {
        #[test]
        fn never_more_than_a_fifth_of_the_calls_ten_a_second_and_the_balance(
            steps in prop::collection::vec((0u64..500_000_000, 0u64..40, 0u64..200), 1..100),
        ) {
            let mut budget = Budget::default();
            let (mut now, mut calls, mut log) = (0u64, 0u64, vec![(0u64, 0u64, 0u64)]);
            let mut retries = 0;
            for (wait, called, wanted) in steps {
                now += wait;
                (0..called).for_each(|_| budget.called());
                calls += called;
                retries += (0..wanted).filter(|_| budget.take(Time::from_nanos(now))).count() as u64;
                log.push((now, calls, retries));
            }
            for (i, a) in log.iter().enumerate() {
                for b in &log[i..] {
                    let allowed = (b.1 - a.1) * 200 + (b.0 - a.0) / 100_000 + RETRY_BUDGET * 1_000 + 1;
                    prop_assert!((b.2 - a.2) * 1_000 <= allowed);
                }
            }
        }
    }
}
