//! What one member takes of a budget at once: blocks that it leases, its share while the store is away, all levels of a decision.

use std::time::Duration;

use limiter_core::Time;
use limiter_core::bucket::{Bucket, Decision, Rate};

use super::budget::{Budget, Charge};
use super::limits::{LEASE_BLOCK, LEASE_BLOCK_MAX, LEASE_PATIENCE, LEVELS, PERIOD_US};

impl Budget {
    /// The smallest block worth leasing: 50, or less where that would be most of the budget.
    pub(super) fn block(&self, members: u32) -> u64 {
        LEASE_BLOCK.saturating_mul(self.unit).min(self.block_max(members))
    }

    /// The largest block that a fast consumer grows to.
    pub(super) fn block_top(&self) -> u64 {
        LEASE_BLOCK_MAX.saturating_mul(self.unit)
    }

    /// What drips in within [`LEASE_PATIENCE`]: at saturation a lease waits so long rather than fetch tokens one by one.
    pub(super) fn worth_a_call(&self) -> u64 {
        let tokens = u128::from(self.tokens).saturating_mul(LEASE_PATIENCE.as_micros());
        u64::try_from(tokens.checked_div(u128::from(self.period_us)).unwrap_or(0)).unwrap_or(u64::MAX)
    }

    /// The largest block: no member holds more than its share of half the room.
    pub(super) fn block_max(&self, members: u32) -> u64 {
        self.room.checked_div(u64::from(members.max(1)).saturating_mul(2)).unwrap_or(1).max(1)
    }

    /// The share of one of `members`, empty at `now`: what was spent before is not known, so no burst is given.
    pub(super) fn share(&self, now: Time, members: u32) -> Bucket {
        let members = members.max(1);
        let period = Duration::from_micros(self.period_us);
        let long = period.saturating_mul(members);
        // The core's periods end at a day: beyond it the tokens are divided instead, rounded down.
        let rate = if long <= Duration::from_micros(PERIOD_US) {
            Rate::new(self.tokens, long)
        } else {
            Rate::new(self.tokens.checked_div(u64::from(members)).unwrap_or(0), period)
        };
        let burst = self.room.checked_div(u64::from(members)).unwrap_or(1).max(1);
        let mut bucket = Bucket::new(rate, burst);
        if let Decision::Now(all) = bucket.decide(now, burst) {
            all.commit();
        }
        bucket
    }
}

/// Merges equal keys (a check per level would otherwise miss the other's tokens); `None` when there are too many levels.
pub(super) fn merged(charges: &[Charge<'_>]) -> Option<Vec<(Budget, u64)>> {
    let mut levels: Vec<(Budget, u64)> = Vec::with_capacity(charges.len().min(LEVELS));
    for charge in charges.iter().filter(|charge| charge.n > 0) {
        if let Some((_, n)) = levels.iter_mut().find(|(budget, _)| budget.key == charge.budget.key) {
            *n = n.saturating_add(charge.n);
        } else if levels.len() == LEVELS {
            return None;
        } else {
            levels.push((charge.budget.clone(), charge.n));
        }
    }
    Some(levels)
}

#[cfg(test)]
mod tests {
    use super::super::error::StoreError;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn equal_keys_of_one_decision_are_charged_together() -> Result<(), StoreError> {
        let budget = Budget::strong("k", 1, SECOND, 5)?;
        let charge = Charge { budget: &budget, n: 3 };
        let levels = merged(&[charge, charge]).ok_or(StoreError::NoAddress)?;
        assert_eq!(levels.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [6]);
        Ok(())
    }

    #[test]
    fn blocks_grow_with_what_a_usual_call_takes() -> Result<(), StoreError> {
        let budget = Budget::leased("k", 1_000_000, SECOND, 1_000_000)?;
        assert_eq!((budget.block(2), budget.block_top()), (50, 10_000));
        let budget = budget.in_units(1_000);
        assert_eq!((budget.block(2), budget.block(20), budget.block_top()), (50_000, 12_500, 10_000_000));
        Ok(())
    }
}
