//! What all tasks of one process know of the store: whether it answers, how many members there are, what was counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use limiter_core::Time;
use tokio::sync::watch;

use super::budget::Budget;
use super::engine::Engine;
use super::lease::Level;
use super::limits::{LOCAL_KEYS, REFUSAL_MEMORY, SHORTEST_WAIT};
use super::local::{Local, Shares};

/// The store as metrics and `/status` show it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Decisions are taken by the local share.
    pub degraded: bool,
    /// Why, while degraded.
    pub reason: Option<String>,
    /// Members that share the budgets, this one included.
    pub members: u32,
    /// Who counts, as the members last agreed.
    pub engine: Engine,
    /// Times that the store was lost.
    pub losses: u64,
    /// Calls of the store.
    pub calls: u64,
    /// Their latencies' sum.
    pub latency: Duration,
    /// The last one's.
    pub last_latency: Duration,
    /// Admitted by the local share.
    pub local: u64,
}

/// Shared by handles and worker.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) domain: Arc<str>,
    origin: Instant,
    degraded: AtomicBool,
    /// The store is being told that this member is back: nothing is given locally meanwhile.
    frozen: AtomicBool,
    shares: Mutex<Shares>,
    /// Admitted by the share since the store was lost.
    local_since: AtomicU64,
    members: AtomicU32,
    /// The members decide by redis-cell.
    by_cell: AtomicBool,
    /// This member could.
    cell_here: AtomicBool,
    counts: Counts,
    status: watch::Sender<Status>,
    /// Levels that may be leased.
    levels: Mutex<HashMap<Arc<str>, Weak<Level>>>,
    /// Refusals in force: not before, for so many tokens or more.
    refusals: Mutex<HashMap<Arc<str>, Refused>>,
}

/// A refusal of the store: in force until `until`, believed until `asked_again`.
#[derive(Debug, Clone, Copy)]
struct Refused {
    until: Time,
    asked_again: Time,
    least: u64,
}

#[derive(Debug, Default)]
struct Counts {
    losses: AtomicU64,
    calls: AtomicU64,
    latency_ns: AtomicU64,
    last_ns: AtomicU64,
    local: AtomicU64,
}

/// A panic elsewhere leaves counters, not broken invariants: go on with them.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Not connected yet: degraded, with `members` as the first guess.
    pub(super) fn new(domain: Arc<str>, members: u32) -> Self {
        let mut shares = Shares::default();
        shares.begin(Time::ZERO, members);
        let status = Status { degraded: true, reason: Some("not connected yet".into()), members, ..Status::default() };
        Self {
            domain,
            origin: Instant::now(),
            degraded: AtomicBool::new(true),
            frozen: AtomicBool::new(false),
            shares: Mutex::new(shares),
            local_since: AtomicU64::new(0),
            members: AtomicU32::new(members),
            by_cell: AtomicBool::new(false),
            cell_here: AtomicBool::new(false),
            counts: Counts::default(),
            status: watch::Sender::new(status),
            levels: Mutex::default(),
            refusals: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> Time {
        Time::ZERO.after(self.origin.elapsed())
    }
    pub(super) fn degraded(&self) -> bool {
        self.degraded.load(Relaxed)
    }
    pub(super) fn members(&self) -> u32 {
        self.members.load(Relaxed).max(1)
    }

    /// Who counts.
    pub(super) fn engine(&self) -> Engine {
        if self.by_cell.load(Relaxed) { Engine::Cell } else { Engine::Script }
    }
    pub(super) fn agreed(&self, engine: Engine) {
        if self.by_cell.swap(engine == Engine::Cell, Relaxed) != (engine == Engine::Cell) {
            self.status.send_modify(|status| status.engine = engine);
        }
    }
    /// Could this member decide by redis-cell?
    pub(super) fn cell_here(&self) -> bool {
        self.cell_here.load(Relaxed)
    }
    pub(super) fn cell_is_here(&self, here: bool) {
        self.cell_here.store(here, Relaxed);
    }

    /// The store is lost: the local share decides from now on.
    pub(super) fn lost(&self, reason: &str) {
        {
            let mut shares = lock(&self.shares);
            if self.degraded() {
                // Away for another reason than was told: the newest is the one to mend.
                self.status.send_if_modified(|status| {
                    let other = status.reason.as_deref() != Some(reason);
                    if other {
                        status.reason = Some(reason.to_owned());
                    }
                    other
                });
                return;
            }
            shares.begin(self.now(), self.members());
            self.local_since.store(0, Relaxed);
            self.degraded.store(true, Relaxed);
        }
        self.counts.losses.fetch_add(1, Relaxed);
        self.status.send_modify(|status| {
            status.degraded = true;
            status.reason = Some(reason.to_owned());
        });
    }

    /// Holds the local share still, and says whether it gave anything that the store must be charged for.
    pub(super) fn freeze(&self) -> bool {
        let _shares = lock(&self.shares);
        self.frozen.store(true, Relaxed);
        self.local_since.load(Relaxed) > 0
    }
    /// The store did not answer: the share goes on.
    pub(super) fn thaw(&self) {
        self.frozen.store(false, Relaxed);
    }
    /// The store knows that we are back.
    pub(super) fn back(&self, members: u32) {
        self.seen(members);
        {
            let _shares = lock(&self.shares);
            self.degraded.store(false, Relaxed);
            self.frozen.store(false, Relaxed);
        }
        self.status.send_modify(|status| {
            status.degraded = false;
            status.reason = None;
        });
    }
    /// So many members said they are there.
    pub(super) fn seen(&self, members: u32) {
        let members = members.max(1);
        if self.members.swap(members, Relaxed) != members {
            self.status.send_modify(|status| status.members = members);
        }
    }

    /// What the share says.
    pub(super) fn local(&self, levels: &[(Budget, u64)]) -> Local {
        let mut shares = lock(&self.shares);
        if self.frozen.load(Relaxed) {
            return Local::Wait(SHORTEST_WAIT, 0);
        }
        let said = shares.decide(self.now(), levels);
        if matches!(said, Local::Now) {
            self.local_since.fetch_add(1, Relaxed);
            self.counts.local.fetch_add(1, Relaxed);
        }
        said
    }

    /// A call of the store was answered.
    pub(super) fn called(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts.calls.fetch_add(1, Relaxed);
        self.counts.latency_ns.fetch_add(nanos, Relaxed);
        self.counts.last_ns.store(nanos, Relaxed);
    }

    /// Everything, now.
    pub(super) fn status(&self) -> Status {
        Status {
            losses: self.counts.losses.load(Relaxed),
            calls: self.counts.calls.load(Relaxed),
            latency: Duration::from_nanos(self.counts.latency_ns.load(Relaxed)),
            last_latency: Duration::from_nanos(self.counts.last_ns.load(Relaxed)),
            local: self.counts.local.load(Relaxed),
            ..self.status.borrow().clone()
        }
    }
    pub(super) fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// The level of this budget, one for all its users.
    pub(super) fn level(&self, budget: &Budget) -> Arc<Level> {
        let mut levels = lock(&self.levels);
        if levels.len() >= LOCAL_KEYS {
            levels.retain(|_, level| level.strong_count() > 0);
        }
        if let Some(level) = levels.get(&budget.key).and_then(Weak::upgrade).filter(|level| level.budget == *budget) {
            return level;
        }
        let level = Arc::new(Level::new(budget.clone()));
        levels.insert(budget.key.clone(), Arc::downgrade(&level));
        level
    }

    /// Until when the store has refused, if it has.
    pub(super) fn refused(&self, now: Time, levels: &[(Budget, u64)]) -> Option<(usize, Duration)> {
        let refusals = lock(&self.refusals);
        levels.iter().enumerate().find_map(|(level, (budget, n))| {
            let refused = refusals.get(&budget.key)?;
            (refused.until.min(refused.asked_again) > now && *n >= refused.least)
                .then(|| (level, refused.until.since(now)))
        })
    }
    /// The store refused `least` of this budget.
    pub(super) fn refuse(&self, budget: &Budget, least: u64, after: Duration) {
        let now = self.now();
        let mut refusals = lock(&self.refusals);
        if refusals.len() >= LOCAL_KEYS {
            refusals.retain(|_, refused| refused.asked_again > now);
            if refusals.len() >= LOCAL_KEYS {
                return; // remembering is a saving, not a duty
            }
        }
        let (until, asked_again) = (now.after(after), now.after(REFUSAL_MEMORY));
        refusals.insert(budget.key.clone(), Refused { until, asked_again, least });
    }
    /// Tokens came back: what was refused may be there now.
    pub(super) fn forget_refusal(&self, budget: &Budget) {
        lock(&self.refusals).remove(&budget.key);
    }
}
