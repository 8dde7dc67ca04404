//! The handle: settings in, verdicts out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use limiter_core::bucket::Never;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::budget::{Budget, Charge, name};
use super::error::StoreError;
use super::hlc::Stamp;
use super::lease::{Leased, Level};
use super::limits::{
    DECISION_TIMEOUT, KEY_CHARS, LEVELS, NAME_CHARS, QUEUE, RESPONSE_TIMEOUT, SHORTEST_WAIT, VALUE_BYTES,
};
use super::link::Target;
use super::local::Local;
use super::portion::merged;
use super::status::{Shared, Status};
use super::wire::{Answer, Ask, Receipt};
use super::worker::{Job, Worker};

/// How the store is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub target: Target,
    /// What is shared: one API key of one provider. Its keys live in one cluster slot.
    pub domain: String,
    /// This process, unlike every other.
    pub member: String,
    /// How many members to reckon with before the store has said.
    pub members: u32,
    /// Choose redis-cell's `CL.THROTTLE` where it is loaded ([`super::Engine`]). A member that may not keeps all others from it.
    pub redis_cell: bool,
    /// Of `rediss://`: the only authorities that are trusted, in PEM; none given: the public ones.
    pub ca: Option<Vec<u8>>,
}

impl Settings {
    /// Two members until the store has said; the script, not redis-cell.
    pub fn new(target: Target, domain: &str, member: &str) -> Self {
        Self { target, domain: domain.to_owned(), member: member.to_owned(), members: 2, redis_cell: false, ca: None }
    }
}

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// The store, for this decision.
    Store,
    /// A lease held here.
    Lease,
    /// The local share: the store is away.
    Share,
    /// A refusal that the store gave before and that is still in force.
    Known,
}

/// The answer to one decision.
#[derive(Debug)]
pub enum Verdict {
    /// Go.
    Now(Pass),
    /// Not before `after` from now.
    Wait(Refusal),
    /// No wait helps: split the call.
    Never(Never),
}

/// Why not now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The budget that refused.
    pub key: Arc<str>,
    /// Come back after.
    pub after: Duration,
    /// Who refused.
    pub by: By,
}

/// Tokens taken. Say [`sent`](Self::sent) when the call leaves, or give it to [`SharedBudgets::refund`].
#[derive(Debug)]
#[must_use = "say sent, or refund it"]
pub struct Pass {
    by: By,
    receipts: Vec<Receipt>,
}

impl Pass {
    pub(super) fn leased() -> Self {
        Self { by: By::Lease, receipts: Vec::new() }
    }
    /// Who decided.
    pub fn by(&self) -> By {
        self.by
    }
    /// The call leaves: its tokens are spent.
    pub fn sent(self) {}
}

/// What came of a versioned write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// It stands.
    Written,
    /// An equal or newer one stood there already.
    Older,
}

/// Budgets shared with other processes. Clones are the same member; the worker ends with the last.
#[derive(Debug, Clone)]
pub struct SharedBudgets {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
}

impl SharedBudgets {
    /// Checks the settings; nothing is connected until the worker runs. A store that is away is no error.
    pub fn new(settings: Settings) -> Result<(Self, Worker), StoreError> {
        settings.target.check(settings.ca.as_deref())?;
        let domain = name("domain", &settings.domain, NAME_CHARS)?;
        let member = name("member", &settings.member, NAME_CHARS)?;
        let shared = Arc::new(Shared::new(domain, settings.members.max(1)));
        let (jobs, queue) = mpsc::channel(QUEUE);
        let worker = Worker::new(shared.clone(), queue, (settings.target, settings.ca), member, settings.redis_cell);
        Ok((Self { shared, jobs }, worker))
    }

    /// Strong mode: all charges or none, decided by the store, or by the local share within 50 ms.
    pub async fn acquire(&self, charges: &[Charge<'_>]) -> Verdict {
        match merged(charges) {
            Some(levels) => self.take(levels).await,
            None => Verdict::Never(Never::LargerThanBurst { asked: charges.len() as u64, burst: LEVELS as u64 }),
        }
    }

    /// Leased mode for these levels; at most [`LEVELS`] of them count.
    pub fn leased(&self, budgets: &[&Budget]) -> Leased {
        let levels = budgets.iter().take(LEVELS).map(|budget| self.shared.level(budget)).collect();
        Leased::new(self.clone(), levels)
    }

    /// Leased mode with a number for each level: all charges or none, from what is held, else from the store, else from the share.
    pub async fn acquire_leased(&self, charges: &[Charge<'_>]) -> Verdict {
        let Some(mut levels) = merged(charges) else {
            return Verdict::Never(Never::LargerThanBurst { asked: charges.len() as u64, burst: LEVELS as u64 });
        };
        levels.sort_by(|(a, _), (b, _)| a.key.cmp(&b.key));
        let held = levels.iter().map(|(budget, _)| self.shared.level(budget)).collect();
        Leased::new(self.clone(), held).acquire_each(&|index| levels.get(index).map_or(0, |(_, n)| *n)).await
    }

    /// The call never left: its tokens go back, if the store's script took them. Leased and local ones stay spent: they are few and
    /// giving them back late could admit too much; redis-cell takes nothing back.
    pub fn refund(&self, pass: Pass) {
        let receipts = pass.receipts.into_iter().filter(Receipt::refundable);
        let receipts: Vec<_> = receipts.map(|receipt| (receipt, 0)).collect();
        if !receipts.is_empty() {
            for (receipt, _) in &receipts {
                self.shared.forget_refusal(&receipt.budget);
            }
            // A full queue loses the refund: tokens stay spent, which is safe.
            self.jobs.try_send(Job::Refund(receipts)).ok();
        }
    }

    /// Writes `value` unless an equal or newer stamp stands there.
    pub async fn write(&self, key: &str, stamp: &Stamp, value: &[u8]) -> Result<Write, StoreError> {
        let key = name("key", key, KEY_CHARS)?;
        let stamp = Stamp { node: name("node", &stamp.node, NAME_CHARS)?, ..stamp.clone() };
        if value.len() > VALUE_BYTES {
            let (value, max) = (value.len() as u64, VALUE_BYTES as u64);
            return Err(StoreError::Budget { key: key.to_string(), field: "bytes of the value", value, min: 0, max });
        }
        let (reply, answer) = oneshot::channel();
        let job = Job::Write { key, stamp, value: value.to_vec(), reply };
        let away = || StoreError::Unavailable("its worker has stopped".into());
        let sent = timeout(RESPONSE_TIMEOUT, async {
            self.jobs.send(job).await.map_err(|_| away())?;
            answer.await.map_err(|_| away())?
        });
        sent.await.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".into())))
    }

    /// Everything, now.
    pub fn status(&self) -> Status {
        self.shared.status()
    }
    /// Tells of every change between store and local share (counters are those of [`Self::status`]).
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.shared.watch()
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn ask_lease(&self, level: Arc<Level>, least: u64, n: u64) -> bool {
        self.jobs.try_send(Job::Lease { level, least, n, asked: Instant::now() }).is_ok()
    }

    pub(super) async fn take(&self, levels: Vec<(Budget, u64)>) -> Verdict {
        if let Some((budget, n)) = levels.iter().find(|(budget, n)| *n > budget.room) {
            return Verdict::Never(Never::LargerThanBurst { asked: *n, burst: budget.room });
        }
        if levels.is_empty() {
            return Verdict::Now(Pass { by: By::Known, receipts: Vec::new() });
        }
        if self.shared.degraded() {
            return self.local(&levels);
        }
        let key = |level: usize| levels.get(level).map(|(budget, _)| budget.key.clone()).unwrap_or_default();
        if let Some((level, after)) = self.shared.refused(self.shared.now(), &levels) {
            return Verdict::Wait(Refusal { key: key(level), after, by: By::Known });
        }
        let (reply, answer) = oneshot::channel();
        let ask = Ask { least: 0, levels: levels.clone() };
        if self.jobs.try_send(Job::Take { ask, reply }).is_err() {
            self.shared.lost("more decisions wait for it than it takes");
            return self.local(&levels);
        }
        match timeout(DECISION_TIMEOUT, answer).await {
            Ok(Ok(Answer::Granted(receipts))) => Verdict::Now(Pass { by: By::Store, receipts }),
            Ok(Ok(Answer::Wait { micros, level })) => {
                let after = Duration::from_micros(micros);
                if let Some((budget, n)) = levels.get(level) {
                    self.shared.refuse(budget, *n, after);
                }
                Verdict::Wait(Refusal { key: key(level), after, by: By::Store })
            }
            Ok(Err(_)) => {
                self.shared.lost("it failed to decide");
                self.local(&levels)
            }
            Err(_) => {
                self.shared.lost("no answer in time");
                self.local(&levels)
            }
        }
    }

    fn local(&self, levels: &[(Budget, u64)]) -> Verdict {
        match self.shared.local(levels) {
            Local::Now => Verdict::Now(Pass { by: By::Share, receipts: Vec::new() }),
            Local::Wait(after, level) => {
                let key = levels.get(level).map(|(budget, _)| budget.key.clone()).unwrap_or_default();
                Verdict::Wait(Refusal { key, after: after.max(SHORTEST_WAIT), by: By::Share })
            }
        }
    }
}
