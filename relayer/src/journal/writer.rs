//! The thread that owns the connection: takes jobs from a bounded queue, runs many in one transaction, replies after the commit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use relayer_core::error::Detail;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::error::JournalError;
use super::file::{Store, pragma};
use super::table::{self, Keep};
use crate::limits;

/// When a write is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Survives the end of the process at any instant.
    Process,
    /// Survives a power failure, too: the reply comes after the disk's synchronisation.
    Power,
}

/// A job in the queue. `run` may be called again when the transaction it shared with others failed because of another.
pub(super) trait Job: Send {
    fn durability(&self) -> Durability;
    fn run(&mut self, db: &Connection) -> rusqlite::Result<()>;
    fn reply(self: Box<Self>, result: Result<(), JournalError>);
}

/// The job made of a closure over the connection.
pub(super) struct Task<T, F> {
    pub(super) durability: Durability,
    pub(super) statements: F,
    pub(super) value: Option<T>,
    pub(super) answer: oneshot::Sender<Result<T, JournalError>>,
}

impl<T: Send, F: FnMut(&Connection) -> rusqlite::Result<T> + Send> Job for Task<T, F> {
    fn durability(&self) -> Durability {
        self.durability
    }
    fn run(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.value = Some((self.statements)(db)?);
        Ok(())
    }
    fn reply(self: Box<Self>, result: Result<(), JournalError>) {
        let Self { value, answer, .. } = *self;
        // The caller may have gone away; the write stands.
        answer.send(result.and_then(|()| value.ok_or(JournalError::Closed))).ok();
    }
}

pub(super) enum Order {
    Do(Box<dyn Job>),
    Stop,
}

/// Counters and the last error, for `status` and metrics.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) commits: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) degraded: Mutex<Option<JournalError>>,
}

pub(super) fn work(mut store: Store, mut queue: mpsc::Receiver<Order>, gauges: &Arc<Gauges>, keep: Keep) {
    let mut groups = 0u64;
    prune(&mut store, keep);
    measure(&store, gauges);
    let mut stop = false;
    while !stop {
        let Some(first) = queue.blocking_recv() else { break };
        let mut group: Vec<Box<dyn Job>> = Vec::new();
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                Order::Do(job) => group.push(job),
                Order::Stop => {
                    stop = true;
                    queue.close();
                }
            }
            next = if group.len() < limits::JOURNAL_GROUP { queue.try_recv().ok() } else { None };
        }
        commit(&mut store, group, gauges);
        groups = groups.wrapping_add(1);
        if groups.is_multiple_of(limits::JOURNAL_PRUNE_EVERY) {
            prune(&mut store, keep);
        }
        measure(&store, gauges);
    }
    // Jobs that were queued behind the stop: their senders see a closed journal.
}

/// Runs the group in one transaction. If it fails, each job runs in one of its own, so that a bad one takes no other with it.
fn commit(store: &mut Store, mut group: Vec<Box<dyn Job>>, gauges: &Gauges) {
    match transaction(store, &mut group) {
        Ok(()) => {
            recovered(store, gauges);
            for job in group {
                job.reply(Ok(()));
            }
        }
        Err(e) if group.len() == 1 => {
            failed(&e, gauges);
            for job in group {
                job.reply(Err(e.clone()));
            }
        }
        Err(_) => {
            for job in group {
                commit(store, vec![job], gauges);
            }
        }
    }
}

fn transaction(store: &mut Store, group: &mut [Box<dyn Job>]) -> Result<(), JournalError> {
    let power = group.iter().any(|j| j.durability() == Durability::Power);
    let mut run = || -> rusqlite::Result<()> {
        // 2 = FULL: the commit waits for the disk. Earlier commits of the log become safe with it.
        pragma(&store.connection, "synchronous", if power { 2 } else { 1 })?;
        let tx = store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for job in group.iter_mut() {
            job.run(&tx)?;
        }
        tx.commit()
    };
    run().map_err(|e| JournalError::from_sqlite(&store.file, &e))
}

fn failed(e: &JournalError, gauges: &Gauges) {
    gauges.failures.fetch_add(1, Ordering::Relaxed);
    let mut degraded = gauges.degraded.lock().unwrap_or_else(PoisonError::into_inner);
    if degraded.as_ref().map(JournalError::label) != Some(e.label()) {
        warn!(error = %e, reason = e.label(), "the journal can't write");
    }
    *degraded = Some(e.clone());
}

fn recovered(store: &Store, gauges: &Gauges) {
    gauges.commits.fetch_add(1, Ordering::Relaxed);
    let mut degraded = gauges.degraded.lock().unwrap_or_else(PoisonError::into_inner);
    if degraded.take().is_some() {
        info!(journal = %store.file.display(), "the journal writes again");
    }
}

fn prune(store: &mut Store, keep: Keep) {
    let mut run = || {
        let tx = store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let gone = table::prune(&tx, keep)?;
        tx.commit().map(|()| gone)
    };
    if let Err(e) = run() {
        warn!(error = %Detail::new(e.to_string()), "can't prune the journal");
    }
}

fn measure(store: &Store, gauges: &Gauges) {
    let size = |suffix: &str| {
        let mut name = store.file.as_os_str().to_owned();
        name.push(suffix);
        std::fs::metadata(name).map_or(0, |m| m.len())
    };
    gauges.bytes.store(size("").saturating_add(size("-wal")), Ordering::Relaxed);
}
