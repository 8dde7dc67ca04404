//! One level of the quota: a cell, the rule it obeys, and what moves its threshold.

use alloc::boxed::Box;

use crate::Time;
use crate::cell::{Cell, Mark, Short, Speed};
use crate::decide::refusal::{ComeBack, Level as Where, Refusal, RuleId};
use crate::memory::MemoryAdaptive;
use crate::warm_up::WarmUp;

/// What moves a threshold.
#[derive(Debug, Clone)]
pub enum Tuner {
    /// Use and idleness, each second.
    WarmUp(WarmUp),
    /// Memory in use, when a sample arrives; with the burst to keep.
    Memory(MemoryAdaptive, u64),
}

/// How a level limits.
#[derive(Debug, Clone)]
pub struct LevelRule {
    /// Named in refusals.
    pub rule: RuleId,
    /// Rate and burst.
    pub speed: Speed,
    /// Decide and report, don't enforce.
    pub shadow: bool,
    /// What moves the threshold.
    pub tuner: Option<Tuner>,
}

impl LevelRule {
    /// An enforced, fixed limit.
    pub fn fixed(rule: RuleId, speed: Speed) -> Self {
        Self { rule, speed, shadow: false, tuner: None }
    }
    /// An enforced limit that warms up.
    pub fn warm_up(rule: RuleId, warm_up: WarmUp) -> Self {
        Self { rule, speed: warm_up.speed(), shadow: false, tuner: Some(Tuner::WarmUp(warm_up)) }
    }
}

/// What a level has let through and refused since its start, wrapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Calls let through.
    pub passed: u64,
    /// Calls refused here, or that shadow mode would have refused.
    pub blocked: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Level {
    pub(super) cell: Cell,
    pub(super) rule: RuleId,
    pub(super) shadow: bool,
    pub(super) tally: Tally,
    /// Apart: what few levels have is not between what all of them use.
    tuned: Option<Box<Tuned>>,
}

#[derive(Debug, Clone)]
struct Tuned {
    tuner: Tuner,
    /// When it wants to be asked.
    sync_at: u64,
}

impl Level {
    pub(super) fn new(rule: LevelRule) -> Self {
        let tuned = |tuner| {
            let sync_at = if matches!(tuner, Tuner::WarmUp(_)) { 0 } else { u64::MAX };
            Box::new(Tuned { tuner, sync_at })
        };
        Self {
            cell: Cell::new(rule.speed),
            rule: rule.rule,
            shadow: rule.shadow,
            tally: Tally::default(),
            tuned: rule.tuner.map(tuned),
        }
    }

    /// The same counters under a rule that changed.
    pub(super) fn replace(&mut self, now: Time, rule: LevelRule) {
        let (cell, tally) = (self.cell.clone(), self.tally);
        let speed = rule.speed;
        *self = Self { cell, tally, ..Self::new(rule) };
        self.cell.retune(now, speed);
    }

    /// The backlog, and whether `n` fit.
    #[inline(always)]
    pub(super) fn look(&mut self, now: Time, n: u32) -> (u64, bool) {
        if self.tuned.is_some() {
            self.sync(now);
        }
        let drained = self.cell.drained(now);
        (drained, self.cell.fits(drained, n))
    }

    /// Takes, unless this is a shadow level that would have said no.
    #[inline(always)]
    pub(super) fn take(&mut self, now: Time, (drained, fits): (u64, bool), n: u32) -> Mark {
        self.tally.passed = self.tally.passed.wrapping_add(u64::from(n));
        if !fits {
            return NOTHING_TAKEN;
        }
        if self.tuned.is_some() {
            self.used(n);
        }
        self.cell.take(now, drained, n)
    }

    #[cold]
    fn used(&mut self, n: u32) {
        if let Some(Tuned { tuner: Tuner::WarmUp(warm_up), .. }) = self.tuned.as_deref_mut() {
            warm_up.passed(n);
        }
    }

    #[cold]
    pub(super) fn refusal(&mut self, level: Where, now: Time, drained: u64, n: u32) -> Refusal {
        self.tally.blocked = self.tally.blocked.wrapping_add(u64::from(n));
        let come_back = match self.cell.shortfall(drained, n) {
            Short::Wait(ns) => ComeBack::At(Time::from_nanos(now.as_nanos().saturating_add(ns))),
            Short::Never => ComeBack::Never,
        };
        let threshold_milli = self.cell.speed().per_second_milli();
        Refusal { level, rule: self.rule, threshold_milli, come_back }
    }

    #[cold]
    fn sync(&mut self, now: Time) {
        let Some(Tuned { tuner: Tuner::WarmUp(warm_up), sync_at }) = self.tuned.as_deref_mut() else { return };
        if now.as_nanos() < *sync_at {
            return;
        }
        let speed = warm_up.sync(now);
        self.cell.retune(now, speed);
        let second = now.as_nanos().div_euclid(1_000_000_000).saturating_add(1);
        *sync_at = second.saturating_mul(1_000_000_000);
    }

    pub(super) fn memory(&mut self, now: Time, used: Option<u64>) {
        if let Some(Tuned { tuner: Tuner::Memory(line, burst), .. }) = self.tuned.as_deref() {
            let speed = Speed::per_second(line.threshold(used), *burst);
            self.cell.retune(now, speed);
        }
    }

    pub(super) fn cool(&mut self) {
        if let Some(Tuned { tuner: Tuner::WarmUp(warm_up), .. }) = self.tuned.as_deref_mut() {
            warm_up.cool();
        }
    }
}

/// The mark of a level that took nothing: its refund gives nothing back.
const NOTHING_TAKEN: Mark = Mark::NOTHING;
