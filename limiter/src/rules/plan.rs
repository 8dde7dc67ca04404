//! A quota that members share: its buckets in the store, and what a call costs of them.
//!
//! Clause: *Three-level quota*, *Distributed budget*. Locally a weight scales the limit. In the store it can't: weights differ between members
//! (a method's is learned by each for itself, a set arrives here sooner than there), and a bucket that one member holds for larger than
//! another would be refilled by the smaller view of it. So all define the bucket alike, by the rule alone, and a call costs `1 / weight` of it: at
//! weight 2.5 two and a half times as many calls come out. Whoever holds a call for cheaper than the others only charges less for its own.
//!
//! A call is [`units`](Plan::units) tokens, so that a cost is a whole number; it is rounded up. The name of a bucket holds its definition: a changed
//! base, interval or burst is another bucket, and for one burst both are there. Errors: numbers that a store can't keep exactly.

use std::time::Duration;

use limiter_core::weight::Weight;
use sha2::{Digest, Sha256};

use super::form::{Quota, Shared};
use super::limits::{UNITS_LEAST, UNITS_MOST};
use crate::store::{Budget, StoreError};

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    id: String,
    /// Calls in `period_us`, in lowest terms.
    calls: u64,
    period_us: u64,
    burst: u64,
    units: u64,
    pub(super) leased: bool,
}

impl Plan {
    /// Of a checked quota that is shared.
    pub(super) fn of(rule: &Quota) -> Option<Self> {
        Self::made(rule)?.ok()
    }

    /// `None` of a quota that is kept here.
    pub(super) fn made(rule: &Quota) -> Option<Result<Self, StoreError>> {
        let leased = match rule.shared {
            Shared::Local => return None,
            Shared::Strong => false,
            Shared::Leased => true,
        };
        let number = |value: i64| u64::try_from(value).unwrap_or(0).max(1);
        let (base, period_us) = (number(rule.base), number(rule.interval_ms).saturating_mul(1_000));
        let common = gcd(base, period_us);
        let in_lowest_terms = |n: u64| n.checked_div(common).unwrap_or(n);
        let mut plan = Self {
            id: rule.id.clone(),
            calls: in_lowest_terms(base),
            period_us: in_lowest_terms(period_us),
            burst: number(rule.burst.unwrap_or(rule.base)),
            units: UNITS_MOST,
            leased,
        };
        loop {
            match plan.bucket("checked") {
                Ok(_) => return Some(Ok(plan)),
                Err(_) if plan.units > UNITS_LEAST => plan.units /= 10,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The bucket of one chain, channel and method.
    pub(super) fn budget(&self, chain: &str, channel: &str, method: &str) -> Option<Budget> {
        let definition = [self.calls, self.period_us, self.burst, self.units].map(|n| n.to_string());
        let mut hash = Sha256::new();
        let names = [self.id.as_str(), chain, channel, method];
        for part in names.into_iter().chain(definition.iter().map(String::as_str)) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let good = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '~' };
        let id: String = self.id.chars().take(32).map(good).collect();
        let hash: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        self.bucket(&format!("quota:{id}:{hash}")).ok()
    }

    /// Tokens that a call of these weights takes; one that would take more than the bucket ever holds takes all of it.
    pub(super) fn cost(&self, weights: &[Weight; 3], room: u64) -> u64 {
        let product: u128 = weights.iter().map(|weight| u128::from(weight.milli())).product();
        let cost = u128::from(self.units).saturating_mul(1_000_000_000).div_ceil(product.max(1));
        u64::try_from(cost).unwrap_or(u64::MAX).clamp(1, room.max(1))
    }

    /// Whole calls of weight 1 that it ever holds.
    pub(super) fn calls_at_once(&self) -> u128 {
        let room = self.bucket("checked").map_or(0, |budget| budget.room());
        u128::from(room.checked_div(self.units).unwrap_or(0))
    }

    fn bucket(&self, key: &str) -> Result<Budget, StoreError> {
        let (tokens, burst) = (self.calls.saturating_mul(self.units), self.burst.saturating_mul(self.units));
        let make = if self.leased { Budget::leased } else { Budget::strong };
        Ok(make(key, tokens, Duration::from_micros(self.period_us), burst)?.in_units(self.units))
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a.checked_rem(b).unwrap_or(0));
    }
    a.max(1)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    fn plan(base: i64, interval_ms: i64, burst: i64) -> Result<Plan, StoreError> {
        let (id, on, shared) = ("plan é".to_owned(), super::super::form::On::default(), Shared::Strong);
        let rule = Quota { id, shadow: false, stage: 100, on, base, interval_ms, burst: Some(burst), shared };
        Plan::made(&rule).unwrap()
    }

    #[test]
    fn a_weight_is_what_a_call_costs_of_one_bucket() {
        let plan = plan(1_000, 1_000, 100).unwrap();
        let weights = |milli: [u32; 3]| milli.map(Weight::clamped);
        let room = plan.budget("a-1", "", "status").unwrap().room();
        assert_eq!(room, 100 * plan.units);
        assert_eq!(plan.cost(&weights([1_000, 1_000, 1_000]), room), plan.units);
        // 2.5 * 1.5 * 0.3 = 1.125: of 1,000 units a second 1,125 calls.
        assert_eq!(plan.cost(&weights([2_500, 1_500, 300]), room), (plan.units * 8).div_ceil(9));
        assert_eq!(plan.cost(&weights([100, 1_000, 1_000]), room), plan.units * 10);
        assert_eq!(plan.cost(&weights([100, 100, 100]), room), room);
    }

    #[test]
    fn a_bucket_s_name_is_the_same_everywhere_and_another_for_another_definition() {
        let named =
            |plan: &Plan, chain: &str, channel: &str| plan.budget(chain, channel, "status").unwrap().key().to_owned();
        let one = plan(100, 1_000, 10).unwrap();
        assert_eq!(named(&one, "a-1", "channel-0"), "quota:plan~~:4364116a20930136d517117d4864e051");
        let keys = [
            named(&one, "a-1", "channel-0"),
            named(&one, "a-1c", "hannel-0"),
            named(&one, "a-1", "channel-1"),
            named(&plan(101, 1_000, 10).unwrap(), "a-1", "channel-0"),
            named(&plan(100, 1_000, 11).unwrap(), "a-1", "channel-0"),
        ];
        assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), keys.len());
        // The same rate, otherwise written.
        assert_eq!(named(&one, "a-1", ""), named(&plan(1_000, 10_000, 10).unwrap(), "a-1", ""));
    }

    #[test]
    fn what_the_store_can_t_keep_exactly_is_refused() {
        assert!(plan(10_000, 3_600_000, 10_000).is_ok());
        assert!(plan(7, 86_400_000, 7).is_ok());
        assert!(plan(99_991, 86_400_000, 99_991).is_err());
    }
}
