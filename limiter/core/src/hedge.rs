//! Hedging: a second copy of a read to another endpoint when the first is late.
//!
//! Only idempotent reads, only past the p95 of the method, once, and within a budget of a twentieth of the reads. The copy is a
//! call like any other: the caller charges it to the other endpoint's limits and tells that endpoint's breaker its outcome.
//! Broadcasts are never hedged. Clause: *hedging of idempotent reads only, budgeted and charged* of the limiter page.
//! Errors: none; a refusal says which condition failed.
//!
//! ```
//! use core::time::Duration;
//! use limiter_core::{Time, hedge::{Decision, Hedger}};
//! let mut hedger = Hedger::new(50);
//! (0..20).for_each(|_| hedger.called());
//! let p95 = Some(Duration::from_millis(100));
//! let at = Time::from_nanos(100_000_000);
//! assert_eq!(hedger.decide(Time::ZERO, Time::ZERO, p95, true, true), Decision::At(at));
//! assert_eq!(hedger.decide(at, Time::ZERO, p95, true, true), Decision::Now);
//! ```

use core::time::Duration;

use crate::Time;
use crate::limits::{HEDGE_BUDGET, HEDGE_MIN};

/// Why no copy goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// A broadcast, or a read that is not idempotent.
    NotIdempotent,
    /// The method's p95 is not known yet.
    NoLatency,
    /// No other endpoint may be asked.
    NoOther,
    /// The budget is spent.
    NoBudget,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Send the copy; it is spent from the budget.
    Now,
    /// Ask again then, if the first has not answered.
    At(Time),
    /// Wait for the first.
    No(Why),
}

/// The budget of hedges of one chain.
#[derive(Debug, Clone)]
pub struct Hedger {
    per_call: u64,
    milli: u64,
}

impl Hedger {
    /// So many thousandths of the reads may be hedged.
    pub fn new(permille: u64) -> Self {
        Self { per_call: permille.min(1_000), milli: 0 }
    }
    /// A read was made.
    pub fn called(&mut self) {
        self.milli = self.milli.saturating_add(self.per_call).min(HEDGE_BUDGET.saturating_mul(1_000));
    }
    /// Should a call that left at `sent` and has no answer at `now` be hedged?
    pub fn decide(&mut self, now: Time, sent: Time, p95: Option<Duration>, idempotent: bool, other: bool) -> Decision {
        let Some(p95) = p95 else { return Decision::No(if idempotent { Why::NoLatency } else { Why::NotIdempotent }) };
        let at = sent.after(p95.max(HEDGE_MIN));
        match (idempotent, other, at > now) {
            (false, ..) => Decision::No(Why::NotIdempotent),
            (_, false, _) => Decision::No(Why::NoOther),
            (.., true) => Decision::At(at),
            _ if self.milli < 1_000 => Decision::No(Why::NoBudget),
            _ => {
                self.milli = self.milli.saturating_sub(1_000);
                Decision::Now
            }
        }
    }
    /// The other endpoint's limits refused the copy: it is not spent.
    pub fn give_back(&mut self) {
        self.milli = self.milli.saturating_add(1_000).min(HEDGE_BUDGET.saturating_mul(1_000));
    }
}

impl Default for Hedger {
    /// A twentieth: about what lies past the p95.
    fn default() -> Self {
        Self::new(50)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Time = Time::from_nanos(10_000_000_000);
    const P95: Option<Duration> = Some(Duration::from_millis(80));

    #[test]
    fn when_all_are_late_a_twentieth_is_hedged() {
        let mut hedger = Hedger::default();
        let hedged = (0..1_000).filter(|_| {
            hedger.called();
            hedger.decide(LATE, Time::ZERO, P95, true, true) == Decision::Now
        });
        assert_eq!(hedged.count(), 50);
    }

    #[test]
    fn broadcasts_unknown_methods_and_lonely_endpoints_are_not_hedged_and_cost_nothing() {
        let mut hedger = Hedger::new(1_000);
        hedger.called();
        assert_eq!(hedger.decide(LATE, Time::ZERO, P95, false, true), Decision::No(Why::NotIdempotent));
        assert_eq!(hedger.decide(LATE, Time::ZERO, None, true, true), Decision::No(Why::NoLatency));
        assert_eq!(hedger.decide(LATE, Time::ZERO, P95, true, false), Decision::No(Why::NoOther));
        assert_eq!(hedger.decide(LATE, Time::ZERO, P95, true, true), Decision::Now);
        assert_eq!(hedger.decide(LATE, Time::ZERO, P95, true, true), Decision::No(Why::NoBudget));
        hedger.give_back();
        assert_eq!(hedger.decide(LATE, Time::ZERO, P95, true, true), Decision::Now);
    }

    #[test]
    fn a_very_fast_method_is_not_hedged_for_noise() {
        let fast = Some(Duration::from_micros(300));
        assert_eq!(
            Hedger::default().decide(Time::ZERO, Time::ZERO, fast, true, true),
            Decision::At(Time::ZERO.after(HEDGE_MIN))
        );
    }
}
