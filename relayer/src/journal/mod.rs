//! The journal: what the relayer has sent and seen, so that it restarts quickly and submits nothing twice.
//!
//! The chains are the truth. Deleting the journal loses nothing but time: packets are read from chain state again. What it must
//! hold is the *attempt*: the hash of a transaction, written before the transaction is broadcast, so that after `kill -9` at any
//! instant no packet is submitted again while an earlier attempt's outcome is unknown.
//!
//! Spec: "Journal" of the relaying specification; attack 52 (crash between broadcast and record).
//!
//! One SQLite file `journal.sqlite` in the store directory, write-ahead log, owned by one thread. Callers queue jobs (bounded, a full
//! queue makes them wait) and get their answer after the commit that holds their job; all jobs that wait are committed together.
//! Every commit survives the end of the process at any instant (`synchronous=NORMAL`). A commit that holds an attempt also waits for the
//! disk (`synchronous=FULL`), because a power failure that forgot an attempt would let the packet be paid for again; that is one
//! disk synchronisation for a whole group of transactions. Cursors, packets, fees and trust can be read from the chains again.
//!
//! Times are chain times in nanoseconds, amounts the denomination's smallest unit.
//!
//! Bounds (`crate::limits`): queue, group, rows of each table (the oldest ended ones go first; attempts without an outcome stay), size
//! of a chain's trusted state.
//!
//! Errors: [`JournalError`]. A damaged file is set aside as `journal.sqlite.corrupt-<unix time>` and a new one made
//! ([`Opened::recovered`]). On a full disk [`Journal::attempt_begin`] fails, so nothing is broadcast unrecorded; everything else
//! goes on without its record, and [`Journal::status`] says so. A file in use by another process is refused by name.
//!
//! ```no_run
//! # async fn example(attempt: relayer::journal::Attempt) -> Result<(), relayer::journal::JournalError> {
//! use relayer::journal::{AttemptEnd, Journal};
//! let journal = Journal::open(std::path::Path::new("store"))?.journal;
//! let hash = attempt.hash;
//! journal.attempt_begin(vec![attempt]).await?; // fails: don't broadcast
//! // ... broadcast, wait for the block ...
//! journal.attempt_end(hash, AttemptEnd::Expired).await?;
//! # Ok(())
//! # }
//! ```

mod error;
mod file;
#[cfg(fuzzing)]
pub mod fuzz;
mod record;
mod table;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use relayer_core::id::{ChainId, Height, TxHash};
use relayer_core::packet::Side;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub use error::JournalError;
pub use record::{Attempt, AttemptEnd, AttemptKind, Fee, FeeTotal, JournalPacket, PacketNews, Sighting};

use crate::limits;
use file::Store;
use table::Keep;
use writer::{Durability, Gauges, Order, Task};

const KEEP: Keep = Keep {
    ended: limits::JOURNAL_ENDED_PACKETS,
    open: limits::JOURNAL_OPEN_PACKETS,
    attempts: limits::JOURNAL_ATTEMPTS,
};

/// A handle to the journal; clones share it. When the last one goes, the queue is written out and the file closed.
#[derive(Debug, Clone)]
pub struct Journal {
    queue: mpsc::Sender<Order>,
    gauges: Arc<Gauges>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// What [`Journal::open`] found.
#[derive(Debug)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// The old file was damaged and set aside: treat every wallet's account sequence and every packet as unknown.
    pub recovered: bool,
}

/// How the journal is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalStatus {
    /// Size of the database and its log, bytes.
    pub bytes: u64,
    /// Transactions written.
    pub commits: u64,
    /// Jobs that failed.
    pub failures: u64,
    /// Jobs waiting.
    pub queued: usize,
    /// The error that keeps it from writing, if any.
    pub degraded: Option<JournalError>,
}

impl Journal {
    /// Opens `journal.sqlite` in `dir`, making both if need be. Blocking, a few milliseconds (a whole check of the file).
    pub fn open(dir: &Path) -> Result<Opened, JournalError> {
        let store = Store::open(dir)?;
        Self::start(store, KEEP)
    }

    fn start(store: Store, keep: Keep) -> Result<Opened, JournalError> {
        let (queue, orders) = mpsc::channel(limits::JOURNAL_QUEUE);
        let gauges = Arc::new(Gauges::default());
        let (recovered, file) = (store.recovered, store.file.clone());
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn({
                let gauges = gauges.clone();
                move || writer::work(store, orders, &gauges, keep)
            })
            .map_err(|e| JournalError::from_io(&file, &e))?;
        let thread = Arc::new(Mutex::new(Some(thread)));
        Ok(Opened { journal: Self { queue, gauges, thread }, recovered })
    }

    async fn call<T: Send + 'static>(
        &self,
        durability: Durability,
        statements: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (answer, reply) = oneshot::channel();
        let task = Task { durability, statements, value: None, answer };
        self.queue.send(Order::Do(Box::new(task))).await.map_err(|_| JournalError::Closed)?;
        reply.await.map_err(|_| JournalError::Closed)?
    }

    /// Records transactions before they are broadcast. On an error none is recorded: broadcast none.
    pub async fn attempt_begin(&self, attempts: Vec<Attempt>) -> Result<(), JournalError> {
        self.call(Durability::Power, move |db| table::attempt_begin(db, &attempts)).await
    }

    /// Records what became of a transaction; `false` when it is not known here.
    pub async fn attempt_end(&self, hash: TxHash, end: AttemptEnd) -> Result<bool, JournalError> {
        self.call(Durability::Process, move |db| table::attempt_end(db, hash, &end)).await
    }

    /// Transactions to this chain without an outcome, oldest first.
    pub async fn open_attempts(&self, chain: &ChainId) -> Result<Vec<Attempt>, JournalError> {
        let chain = chain.clone();
        self.call(Durability::Process, move |db| table::open_attempts(db, &chain)).await
    }

    /// How many transactions without an outcome each chain has.
    pub async fn open_attempt_count(&self) -> Result<Vec<(Arc<str>, u64)>, JournalError> {
        self.call(Durability::Process, table::open_attempt_count).await
    }

    /// The last block of a path's side whose facts have been taken in.
    pub async fn cursor(&self, path: &str, side: Side) -> Result<Option<Height>, JournalError> {
        let path = path.to_owned();
        self.call(Durability::Process, move |db| table::cursor(db, &path, side)).await
    }

    /// Moves that cursor.
    pub async fn set_cursor(&self, path: &str, side: Side, height: Height) -> Result<(), JournalError> {
        let path = path.to_owned();
        self.call(Durability::Process, move |db| table::set_cursor(db, &path, side, height)).await
    }

    /// Takes packets in and gives their ids, in the order asked: those given before, however often they are seen. When the
    /// journal can't write, the ids are those it would have given ([`Sighting::tx_id`]).
    pub async fn packets_seen(&self, path: &str, seen: Vec<Sighting>) -> Vec<Uuid> {
        let path = path.to_owned();
        let computed: Vec<Uuid> = seen.iter().map(Sighting::tx_id).collect();
        let stored = self.call(Durability::Process, move |db| table::packets_seen(db, &path, &seen)).await;
        stored.unwrap_or(computed)
    }

    /// Updates packets that have been seen; others are ignored.
    pub async fn packets_news(&self, path: &str, news: Vec<PacketNews>) -> Result<(), JournalError> {
        let path = path.to_owned();
        self.call(Durability::Process, move |db| table::packets_news(db, &path, &news)).await
    }

    /// Packets of a path that have not ended, oldest first.
    pub async fn open_packets(&self, path: &str) -> Result<Vec<JournalPacket>, JournalError> {
        let path = path.to_owned();
        self.call(Durability::Process, move |db| table::open_packets(db, &path)).await
    }

    /// Ended packets of a path, at most `most`, those seen last first.
    pub async fn history(&self, path: &str, most: u64) -> Result<Vec<JournalPacket>, JournalError> {
        let path = path.to_owned();
        self.call(Durability::Process, move |db| table::history(db, &path, most)).await
    }

    /// Packets with this id and their paths (two paths may see one packet).
    pub async fn find_packet(&self, tx_id: Uuid) -> Result<Vec<(String, JournalPacket)>, JournalError> {
        self.call(Durability::Process, move |db| table::find_packet(db, tx_id)).await
    }

    /// The trusted state kept for a chain: the light client's own bytes.
    pub async fn trust(&self, chain: &ChainId) -> Result<Option<Vec<u8>>, JournalError> {
        let chain = chain.clone();
        self.call(Durability::Process, move |db| table::trust(db, &chain)).await
    }

    /// Keeps a chain's trusted state.
    pub async fn set_trust(&self, chain: &ChainId, state: Vec<u8>) -> Result<(), JournalError> {
        if state.len() > limits::TRUST_BYTES {
            return Err(JournalError::TooLarge {
                what: "trusted state",
                bytes: state.len(),
                limit: limits::TRUST_BYTES,
            });
        }
        let chain = chain.clone();
        self.call(Durability::Process, move |db| table::set_trust(db, &chain, &state)).await
    }

    /// Adds fees to the account.
    pub async fn fees_paid(&self, fees: Vec<Fee>) -> Result<(), JournalError> {
        self.call(Durability::Process, move |db| table::fees_paid(db, &fees)).await
    }

    /// All fees paid so far.
    pub async fn fees(&self) -> Result<Vec<FeeTotal>, JournalError> {
        self.call(Durability::Process, table::fees).await
    }

    /// How the journal is.
    pub fn status(&self) -> JournalStatus {
        JournalStatus {
            bytes: self.gauges.bytes.load(Ordering::Relaxed),
            commits: self.gauges.commits.load(Ordering::Relaxed),
            failures: self.gauges.failures.load(Ordering::Relaxed),
            queued: self.queue.max_capacity().saturating_sub(self.queue.capacity()),
            degraded: self.gauges.degraded.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Writes out what is queued and closes the file; other handles get [`JournalError::Closed`] from then on.
    pub async fn close(self) {
        self.queue.send(Order::Stop).await.ok();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            tokio::task::spawn_blocking(move || thread.join().ok()).await.ok();
        }
    }
}
