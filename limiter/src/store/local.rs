//! This member's share of every budget while the shared store is away: budget / members.
//!
//! Clause: *When Redis is away: fall back to the local share, no over-admission on return*. A share starts empty, since the
//! shared bucket may just have been emptied by anyone: before the loss at most `burst + rate * W` was admitted, after it all
//! shares together drip at `rate`. On return the store's buckets are emptied (the epoch moves), which pays for what the shares
//! gave, so the same bound holds over that seam. Bound: [`LOCAL_KEYS`] buckets, a further key is refused for a while.

use std::collections::HashMap;
use std::time::Duration;

use limiter_core::Time;
use limiter_core::bucket::{Bucket, Decision, Reservation};

use super::budget::Budget;
use super::limits::{LOCAL_KEYS, PROBE_INTERVAL};

/// The shares of one outage.
#[derive(Debug, Default)]
pub(super) struct Shares {
    buckets: HashMap<std::sync::Arc<str>, Bucket>,
    /// Since when the store is away: a share that is first asked for later has dripped since then.
    since: Time,
    members: u32,
}

/// What a share says.
#[derive(Debug)]
pub(super) enum Local {
    Now,
    /// For so long, of the level at this place.
    Wait(Duration, usize),
}

impl Shares {
    /// The store is away from now on.
    pub(super) fn begin(&mut self, now: Time, members: u32) {
        self.buckets.clear();
        self.since = now;
        self.members = members.max(1);
    }

    /// All levels or none.
    pub(super) fn decide(&mut self, now: Time, levels: &[(Budget, u64)]) -> Local {
        let mut taken: Vec<(&Budget, Reservation)> = Vec::with_capacity(levels.len());
        let mut refused = None;
        for (level, (budget, n)) in levels.iter().enumerate() {
            if self.buckets.len() >= LOCAL_KEYS && !self.buckets.contains_key(&budget.key) {
                refused = Some(Local::Wait(PROBE_INTERVAL, level));
                break;
            }
            let (since, members) = (self.since, self.members);
            let bucket = self.buckets.entry(budget.key.clone()).or_insert_with(|| budget.share(since, members));
            match bucket.decide(now, *n) {
                Decision::Now(reservation) => taken.push((budget, reservation)),
                Decision::NotBefore(at) => {
                    refused = Some(Local::Wait(at.since(now), level));
                    break;
                }
                // A share of less than one token a day, or more tokens than the share ever holds: only the store can give them.
                Decision::Never(_) => {
                    refused = Some(Local::Wait(PROBE_INTERVAL, level));
                    break;
                }
            }
        }
        match refused {
            None => {
                taken.into_iter().for_each(|(_, reservation)| reservation.commit());
                Local::Now
            }
            Some(why) => {
                for (budget, reservation) in taken {
                    if let Some(bucket) = self.buckets.get_mut(&budget.key) {
                        bucket.refund(reservation);
                    }
                }
                why
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_share_starts_empty_and_drips_at_its_part_of_the_rate() {
        let Ok(budget) = Budget::strong("k", 100, Duration::from_secs(1), 20) else { panic!("refused") };
        let levels = [(budget, 1)];
        let mut shares = Shares::default();
        shares.begin(at(1_000), 2);
        assert!(matches!(shares.decide(at(1_000), &levels), Local::Wait(t, 0) if t == Duration::from_millis(20)));
        let admitted = (1_000..2_000).filter(|ms| matches!(shares.decide(at(*ms), &levels), Local::Now)).count();
        assert_eq!(admitted, 49); // 50 a second; the fiftieth falls on 2,000 ms
    }

    #[test]
    fn what_only_the_whole_budget_holds_waits_for_the_store() {
        let Ok(budget) = Budget::strong("k", 100, Duration::from_secs(1), 20) else { panic!("refused") };
        let mut shares = Shares::default();
        shares.begin(at(0), 2);
        assert!(matches!(shares.decide(at(1_000), &[(budget.clone(), 11)]), Local::Wait(t, 0) if t == PROBE_INTERVAL));
        assert!(matches!(shares.decide(at(1_000), &[(budget, 10)]), Local::Now));
    }

    #[test]
    fn a_level_that_refuses_takes_nothing_from_the_others() {
        let second = Duration::from_secs(1);
        let (Ok(wide), Ok(narrow)) = (Budget::strong("w", 10, second, 10), Budget::strong("n", 1, second, 1)) else {
            panic!("refused")
        };
        let mut shares = Shares::default();
        shares.begin(at(0), 1);
        let both = [(wide.clone(), 1), (narrow, 1)];
        assert!(matches!(shares.decide(at(1_000), &both), Local::Now));
        assert!(matches!(shares.decide(at(1_000), &both), Local::Wait(_, 1)));
        assert!(matches!(shares.decide(at(1_000), &[(wide, 9)]), Local::Now));
    }
}
