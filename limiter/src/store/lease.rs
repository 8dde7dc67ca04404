//! Leased mode: tokens taken from the store in blocks and spent here.
//!
//! Clause: *leased mode for reads (tokens leased in blocks with fencing)*. A lease ends `lease_ttl` after it was *asked* for, so
//! never later here than there; what is left is given back a little before. Its fence is the receipt: the count of tokens ever
//! taken from the bucket and the bucket's birth, which the refund script checks, so a lease of a bucket that was lost since gives
//! nothing back. The next block is asked for when half of one is gone; a block that lasts less than 5 ms is doubled. Bounds:
//! 50 tokens or more a block where the budget allows it, never more than the member's part of half the room.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::budget::Budget;
use super::limits::{DECISION_TIMEOUT, LEASE_GOAL, LEASE_RETURN, LONGEST_WAIT, RESPONSE_TIMEOUT, SHORTEST_WAIT};
use super::shared::{By, Pass, Refusal, SharedBudgets, Verdict};
use super::status::lock;
use super::wire::Receipt;

/// `span` after `at`; a store may name spans that no clock reaches.
pub(super) fn later(at: Instant, span: Duration) -> Instant {
    at.checked_add(span.min(LONGEST_WAIT)).unwrap_or(at)
}

/// What is held of one budget.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) budget: Budget,
    held: Mutex<Held>,
    asked: AtomicBool,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    /// Oldest first.
    leases: VecDeque<Lease>,
    block: u64,
    last_credit: Option<Instant>,
    refused_until: Option<Instant>,
}

#[derive(Debug)]
struct Lease {
    left: u64,
    ends: Instant,
    receipt: Receipt,
}

impl Held {
    fn there(&self, now: Instant) -> u64 {
        self.leases.iter().filter(|lease| lease.ends > now).fold(0, |sum, lease| sum.saturating_add(lease.left))
    }
    /// Only what [`Self::there`] counted.
    fn spend(&mut self, now: Instant, mut n: u64) {
        for lease in self.leases.iter_mut().filter(|lease| lease.ends > now) {
            let part = n.min(lease.left);
            lease.left = lease.left.saturating_sub(part);
            n = n.saturating_sub(part);
        }
        self.leases.retain(|lease| lease.left > 0);
    }
}

impl Level {
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget, held: Mutex::default(), asked: AtomicBool::new(false), changed: Notify::new() }
    }

    /// The store granted a lease that was asked for at `asked`.
    pub(super) fn credit(&self, asked: Instant, receipt: Receipt, members: u32) {
        let mut held = lock(&self.held);
        let quick =
            held.last_credit.replace(asked).is_some_and(|last| asked.saturating_duration_since(last) < LEASE_GOAL);
        let (least, most) = (self.budget.block(members), self.budget.block_max(members).min(self.budget.block_top()));
        held.block = if quick { held.block.saturating_mul(2) } else { held.block / 2 }.clamp(least, most.max(least));
        held.refused_until = None;
        let ends = later(asked, self.budget.lease_ttl.unwrap_or_default());
        held.leases.push_back(Lease { left: receipt.n, ends, receipt });
        drop(held);
        self.answered();
    }
    /// The store refused.
    pub(super) fn refuse(&self, until: Instant) {
        lock(&self.held).refused_until = Some(until);
        self.answered();
    }
    /// The request is over, whatever came of it.
    pub(super) fn answered(&self) {
        self.asked.store(false, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// What is to be given back by `now`: each lease that ends soon (or each, at the end), with the tokens that were spent of it.
    pub(super) fn expiring(&self, now: Instant, all: bool) -> (Vec<(Receipt, u64)>, bool) {
        let mut held = lock(&self.held);
        let mut over = Vec::new();
        let margin = LEASE_RETURN.min(self.budget.lease_ttl.unwrap_or_default().checked_div(4).unwrap_or_default());
        held.leases.retain_mut(|lease| {
            let ending = all || lease.ends <= later(now, margin);
            if ending && lease.left > 0 {
                over.push((lease.receipt.clone(), lease.receipt.n.saturating_sub(lease.left)));
            }
            !ending
        });
        (over, !held.leases.is_empty())
    }

    /// How many to ask for, at least `n`; `None` while a request is under way or a refusal in force.
    fn want(&self, members: u32, n: u64) -> Option<u64> {
        let block = lock(&self.held).block.max(self.budget.block(members));
        (!self.asked.swap(true, Ordering::AcqRel)).then(|| block.max(n))
    }
}

/// Levels that a decision takes leased tokens from, all or nothing. Clones share what is held.
#[derive(Debug, Clone)]
pub struct Leased {
    budgets: SharedBudgets,
    /// In key order: whoever locks several does so in one order.
    levels: Arc<[Arc<Level>]>,
}

/// What stands in the way of taking from what is held.
enum Lack {
    Tokens { level: usize, held: u64 },
    Refused { level: usize, after: Duration },
}

impl Leased {
    pub(super) fn new(budgets: SharedBudgets, mut levels: Vec<Arc<Level>>) -> Self {
        levels.sort_by(|a, b| a.budget.key.cmp(&b.budget.key));
        levels.dedup_by(|a, b| a.budget.key == b.budget.key);
        Self { budgets, levels: levels.into() }
    }

    /// Takes `n` of each level from what is held, without the store; asks for the next block when half of one is gone.
    pub fn try_take(&self, n: u64) -> bool {
        self.take(Instant::now(), &|_| n).is_ok()
    }

    /// Takes `n` of each level: from what is held, else from the store, else from the local share.
    pub async fn acquire(&self, n: u64) -> Verdict {
        self.acquire_each(&|_| n).await
    }

    /// The same with a number for each level.
    pub(super) async fn acquire_each(&self, of: &(impl Fn(usize) -> u64 + Sync)) -> Verdict {
        let members = self.budgets.shared().members();
        let small = |(index, level): (usize, &Arc<Level>)| {
            level.budget.lease_ttl.is_some() && of(index) <= level.budget.block_max(members)
        };
        if !self.levels.iter().enumerate().all(small) {
            return self.strong(of).await;
        }
        let started = Instant::now();
        let mut deadline = later(started, DECISION_TIMEOUT);
        loop {
            let now = Instant::now();
            let (level, held) = match self.take(now, of) {
                Ok(()) => return Verdict::Now(Pass::leased()),
                Err(Lack::Refused { level, after }) => return self.wait(level, after),
                Err(Lack::Tokens { level, held }) => (level, held),
            };
            if self.budgets.shared().degraded() {
                return self.strong(of).await; // which asks the local share
            }
            let Some(lacking) = self.levels.get(level) else { return self.wait(0, SHORTEST_WAIT) };
            let n = of(level);
            let changed = lacking.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            self.ask(lacking, n.saturating_sub(held));
            // Answered between the look and the wait?
            if lock(&lacking.held).there(now) >= n {
                continue;
            }
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() || tokio::time::timeout(left, changed).await.is_err() {
                self.budgets.shared().lost("no lease in time");
                return self.strong(of).await;
            }
            // It answers; others were quicker to spend what it gave.
            deadline = later(Instant::now(), DECISION_TIMEOUT);
            if started.elapsed() > RESPONSE_TIMEOUT {
                return self.wait(level, SHORTEST_WAIT);
            }
        }
    }

    fn take(&self, now: Instant, of: &impl Fn(usize) -> u64) -> Result<(), Lack> {
        let mut guards = [const { None }; super::limits::LEVELS];
        for ((index, level), guard) in self.levels.iter().enumerate().zip(guards.iter_mut()) {
            let held = lock(&level.held);
            let there = held.there(now);
            if there < of(index) {
                let refused = held.refused_until.filter(|until| *until > now);
                return Err(match refused {
                    Some(until) => Lack::Refused { level: index, after: until.saturating_duration_since(now) },
                    None => Lack::Tokens { level: index, held: there },
                });
            }
            *guard = Some((held, there));
        }
        let members = self.budgets.shared().members();
        let mut low = 0u32;
        for (((index, level), guard), bit) in self.levels.iter().enumerate().zip(guards.iter_mut()).zip(0u32..) {
            if let Some((held, there)) = guard.as_mut() {
                let n = of(index);
                held.spend(now, n);
                let quiet = held.refused_until.is_none_or(|until| until <= now);
                if quiet && there.saturating_sub(n) < held.block.max(level.budget.block(members)) / 2 {
                    low |= 1u32 << bit;
                }
            }
        }
        drop(guards);
        if low != 0 && !self.budgets.shared().degraded() {
            for (level, bit) in self.levels.iter().zip(0u32..) {
                if low & (1u32 << bit) != 0 {
                    self.ask(level, 1);
                }
            }
        }
        Ok(())
    }

    fn ask(&self, level: &Arc<Level>, least: u64) {
        let members = self.budgets.shared().members();
        if let Some(n) = level.want(members, least) {
            let least = level
                .budget
                .worth_a_call()
                .min(level.budget.block_max(members))
                .min(level.budget.block_top())
                .max(least);
            if !self.budgets.ask_lease(level.clone(), least, n.max(least)) {
                level.answered();
            }
        }
    }

    async fn strong(&self, of: &impl Fn(usize) -> u64) -> Verdict {
        let levels = self.levels.iter().enumerate().map(|(index, level)| (level.budget.clone(), of(index))).collect();
        self.budgets.take(levels).await
    }

    fn wait(&self, level: usize, after: Duration) -> Verdict {
        let key = self.levels.get(level).map(|level| level.budget.key.clone()).unwrap_or_default();
        Verdict::Wait(Refusal { key, after: after.max(SHORTEST_WAIT), by: By::Lease })
    }
}
