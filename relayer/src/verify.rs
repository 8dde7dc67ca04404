//! The verification pool: headers and proofs are checked on threads of their own, so that signatures never delay I/O.
//!
//! Spec: "Engine and concurrency" of the relaying specification. One bounded queue per thread; a job goes to the thread with the least
//! outstanding work, measured as cost (signatures, proof bytes: any unit, the same for one protocol) times the time that protocol has
//! needed per unit of cost so far. A client's jobs prefer the thread that ran its last one, whose caches hold the client's
//! validator set, unless that thread has clearly more to do.
//!
//! Bounds: `limits::VERIFY_QUEUE` jobs per thread, then callers wait (nothing is refused, nothing grows); one client may hold
//! half of all places, so that a flood on one never shuts out another.
//!
//! Errors: [`PoolError`]. A job that panics is that job's error, counted; the thread lives on. A job whose caller has gone away is
//! skipped.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use relayer::telemetry::metrics::Metrics;
//! use relayer::verify::Pool;
//! let pool = Pool::new(2, std::sync::Arc::new(Metrics::new().unwrap())).unwrap();
//! assert_eq!(pool.run("ics23", 1, "sim-a-1", || 6 * 7).await, Ok(42));
//! pool.close().await;
//! # });
//! ```

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use relayer_core::error::Detail;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::error;

use crate::limits;
use crate::telemetry::metrics::Metrics;

/// Why a job has no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PoolError {
    /// The pool is shutting down.
    #[error("the verification pool is closed: the relayer is stopping")]
    Closed,
    /// The job panicked: a defect of ours. What it was to verify counts as not verified.
    #[error("verification of {protocol} panicked: {message}; please report it")]
    Panicked {
        /// Which protocol.
        protocol: &'static str,
        /// The panic's message.
        message: Detail,
    },
}

/// What the names of the verification threads begin with.
pub(crate) const THREADS: &str = "verify-";
/// A number of nanoseconds per unit of cost for a protocol not yet seen: an ICS-23 proof's 5 us.
const FIRST_NS_PER_COST: u64 = 5_000;
/// A client stays with its thread while that has at most this much more to do than the idlest, ns: a header of 100 signatures.
const AFFINITY_SLACK_NS: u64 = 2_000_000;

struct Job {
    work: Box<dyn FnOnce() + Send>,
    estimate_ns: u64,
    /// Given back when the job leaves the queue.
    places: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

struct Worker {
    queue: Sender<Job>,
    outstanding_ns: Arc<AtomicU64>,
}

struct Client {
    worker: usize,
    places: Arc<Semaphore>,
}

struct Choice {
    workers: Vec<Worker>,
    clients: HashMap<Arc<str>, Client>,
    ns_per_cost: HashMap<&'static str, Arc<AtomicU64>>,
}

struct Shared {
    choice: Mutex<Choice>,
    places: Arc<Semaphore>,
    client_places: usize,
    closed: AtomicBool,
    metrics: Arc<Metrics>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The pool; clones share it.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("free_places", &self.0.places.available_permits()).finish_non_exhaustive()
    }
}

impl Pool {
    /// Starts so many threads (`relayer_config::settings::Global::workers`), at least one.
    pub fn new(workers: usize, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        Self::with(workers.clamp(1, limits::VERIFY_WORKERS_MOST), limits::VERIFY_QUEUE, metrics)
    }

    fn with(count: usize, queue: usize, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let mut workers = Vec::with_capacity(count);
        let mut threads = Vec::with_capacity(count);
        for n in 0..count {
            let (sender, receiver) = bounded(queue);
            let outstanding_ns = Arc::<AtomicU64>::default();
            let name = format!("{THREADS}{n}");
            let outstanding = outstanding_ns.clone();
            threads.push(std::thread::Builder::new().name(name).spawn(move || work(&receiver, &outstanding))?);
            workers.push(Worker { queue: sender, outstanding_ns });
        }
        let all = count.saturating_mul(queue);
        Ok(Self(Arc::new(Shared {
            choice: Mutex::new(Choice { workers, clients: HashMap::new(), ns_per_cost: HashMap::new() }),
            places: Arc::new(Semaphore::new(all)),
            client_places: (all / 2).max(1),
            closed: AtomicBool::new(false),
            metrics,
            threads: Mutex::new(threads),
        })))
    }

    /// Runs `f` on a verification thread. `cost` is the job's size in units of its protocol, `client` whose trusted state it needs.
    pub async fn run<T, F>(&self, protocol: &'static str, cost: u64, client: &str, f: F) -> Result<T, PoolError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let of_client = self.0.client_places(client);
        // The client's own place first: a flood waits here and holds none of the places all share.
        let mine = of_client.acquire_owned().await.map_err(|_| PoolError::Closed)?;
        let shared = self.0.places.clone().acquire_owned().await.map_err(|_| PoolError::Closed)?;
        let (answer, result) = oneshot::channel();
        self.0.enqueue(protocol, cost.max(1), client, (mine, shared), answer, f)?;
        result.await.map_err(|_| PoolError::Closed)?
    }

    /// Jobs waiting or about to.
    pub fn queued(&self) -> usize {
        let choice = self.0.choice.lock().unwrap_or_else(PoisonError::into_inner);
        choice.workers.iter().map(|w| w.queue.len()).sum()
    }

    /// Stops: jobs that run finish, those that wait get [`PoolError::Closed`].
    pub async fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.places.close();
        {
            let mut choice = self.0.choice.lock().unwrap_or_else(PoisonError::into_inner);
            choice.workers.clear();
            choice.clients.values().for_each(|c| c.places.close());
        }
        let threads = std::mem::take(&mut *self.0.threads.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(move || threads.into_iter().for_each(|t| drop(t.join()))).await.ok();
    }
}

impl Shared {
    fn client_places(&self, client: &str) -> Arc<Semaphore> {
        let mut choice = self.choice.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = choice.clients.get(client) {
            return known.places.clone();
        }
        if choice.clients.len() >= limits::VERIFY_AFFINITIES {
            choice.clients.clear();
        }
        let places = Arc::new(Semaphore::new(self.client_places));
        if self.closed.load(Ordering::Acquire) {
            places.close();
        }
        choice.clients.insert(client.into(), Client { worker: usize::MAX, places: places.clone() });
        places
    }

    fn enqueue<T, F>(
        self: &Arc<Self>,
        protocol: &'static str,
        cost: u64,
        client: &str,
        places: (OwnedSemaphorePermit, OwnedSemaphorePermit),
        answer: oneshot::Sender<Result<T, PoolError>>,
        f: F,
    ) -> Result<(), PoolError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let mut choice = self.choice.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = choice.ns_per_cost.entry(protocol).or_insert_with(|| Arc::new(AtomicU64::new(FIRST_NS_PER_COST)));
        let pace = pace.clone();
        let estimate_ns = cost.saturating_mul(pace.load(Ordering::Relaxed)).max(1);
        let order = choice.order(client);
        self.metrics.verifier_queue(protocol, 1);
        let queued = Queued { metrics: self.metrics.clone(), protocol };
        let shared = self.clone();
        let work = move || {
            let _queued = queued;
            if !answer.is_closed() && !shared.closed.load(Ordering::Acquire) {
                let result = shared.execute(protocol, cost, &pace, f);
                answer.send(result).ok();
            }
        };
        let mut job = Job { work: Box::new(work), estimate_ns, places };
        for n in order {
            let Some(worker) = choice.workers.get(n) else { continue };
            worker.outstanding_ns.fetch_add(estimate_ns, Ordering::Relaxed);
            match worker.queue.try_send(job) {
                Ok(()) => {
                    if let Some(c) = choice.clients.get_mut(client) {
                        c.worker = n;
                    }
                    return Ok(());
                }
                Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => {
                    worker.outstanding_ns.fetch_sub(estimate_ns, Ordering::Relaxed);
                    job = back;
                }
            }
        }
        // Unreachable while open: a permit stands for a free place, and only the holder of this lock takes places.
        Err(PoolError::Closed)
    }

    fn execute<T>(
        &self,
        protocol: &'static str,
        cost: u64,
        pace: &AtomicU64,
        f: impl FnOnce() -> T,
    ) -> Result<T, PoolError> {
        let start = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(f));
        let took = start.elapsed();
        self.metrics.verified(protocol, took.as_secs_f64() * 1_000.0);
        let now = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / cost;
        let before = pace.load(Ordering::Relaxed);
        // An average that forgets: an eighth of what is new. Lost updates between threads do no harm.
        pace.store((before - before / 8).saturating_add(now / 8).max(1), Ordering::Relaxed);
        result.map_err(|panic| {
            let text =
                panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            let message = Detail::new(text.unwrap_or("no message"));
            self.metrics.verifier_panicked(protocol);
            error!(protocol, %message, "a verification panicked; what it was to verify is refused");
            PoolError::Panicked { protocol, message }
        })
    }
}

impl Choice {
    /// Workers by outstanding time, the client's own first unless it has clearly more to do than the idlest.
    fn order(&self, client: &str) -> Vec<usize> {
        let load = |n: usize| self.workers.get(n).map_or(u64::MAX, |w| w.outstanding_ns.load(Ordering::Relaxed));
        let mut order: Vec<usize> = (0..self.workers.len()).collect();
        order.sort_by_cached_key(|&n| load(n));
        let least = order.first().map_or(0, |&n| load(n));
        if let Some(own) = self.clients.get(client).map(|c| c.worker).filter(|&n| n < self.workers.len())
            && load(own) <= least.saturating_add(AFFINITY_SLACK_NS)
        {
            order.retain(|&n| n != own);
            order.insert(0, own);
        }
        order
    }
}

/// Counts a job in the queue metric for as long as it exists.
struct Queued {
    metrics: Arc<Metrics>,
    protocol: &'static str,
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.metrics.verifier_queue(self.protocol, -1);
    }
}

fn work(queue: &Receiver<Job>, outstanding_ns: &AtomicU64) {
    while let Ok(Job { work, estimate_ns, places }) = queue.recv() {
        drop(places);
        work();
        outstanding_ns.fetch_sub(estimate_ns, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::ThreadId;

    use super::*;

    fn pool(workers: usize, queue: usize) -> Pool {
        Pool::with(workers, queue, Arc::new(Metrics::new().unwrap())).unwrap()
    }

    /// Occupies one thread until the sender goes away.
    async fn block(pool: &Pool, client: &'static str) -> mpsc::Sender<()> {
        let (hold, held) = mpsc::channel::<()>();
        let (started, running) = oneshot::channel();
        let pool = pool.clone();
        tokio::spawn(async move {
            pool.run("block", 1_000_000, client, move || {
                started.send(()).unwrap();
                held.recv().ok()
            })
            .await
        });
        running.await.unwrap();
        hold
    }

    async fn until(mut done: impl FnMut() -> bool) {
        while !done() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_panic_is_the_error_of_its_job_and_the_thread_lives_on() {
        let pool = pool(1, 4);
        let refused = pool.run("ics23", 1, "a", || -> u8 { panic!("bad\u{1b}[2J proof") }).await.unwrap_err();
        assert!(matches!(&refused, PoolError::Panicked { protocol: "ics23", .. }));
        assert!(!refused.to_string().contains('\u{1b}'));
        assert_eq!(pool.run("ics23", 1, "a", || 1).await, Ok(1));
        assert!(pool.0.metrics.encode().contains(r#"relay_verifier_panics_total{protocol="ics23"} 1"#));
    }

    #[tokio::test]
    async fn a_flood_of_one_client_waits_and_shuts_out_no_other() {
        let pool = pool(1, 8);
        let hold = block(&pool, "flood").await;
        let (log, order) = mpsc::channel();
        let mut all = Vec::new();
        let job = |client: &'static str| {
            let (pool, log) = (pool.clone(), log.clone());
            tokio::spawn(async move { pool.run("p", 1, client, move || log.send(client).unwrap()).await })
        };
        for _ in 0..100 {
            all.push(job("flood"));
        }
        until(|| pool.queued() == 4).await;
        all.push(job("small"));
        until(|| pool.queued() == 5).await;
        drop(hold);
        for j in all {
            j.await.unwrap().unwrap();
        }
        let order: Vec<&str> = order.try_iter().collect();
        assert_eq!(order.len(), 101);
        assert_eq!(order.iter().position(|c| *c == "small"), Some(4), "right behind the half that the flood may hold");
    }

    #[tokio::test]
    async fn a_full_pool_makes_callers_wait_and_loses_none() {
        let pool = pool(2, 2);
        let holds = [block(&pool, "a").await, block(&pool, "b").await];
        let all: Vec<_> = (0..50u64)
            .map(|n| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.run("p", n, ["a", "b", "c", "d"][n as usize % 4], move || n).await })
            })
            .collect();
        until(|| pool.queued() == 4).await;
        assert_eq!(pool.queued(), 4);
        drop(holds);
        let mut sum = 0;
        for j in all {
            sum += j.await.unwrap().unwrap();
        }
        assert_eq!(sum, (0..50).sum::<u64>());
        assert_eq!(pool.0.places.available_permits(), 4);
    }

    #[tokio::test]
    async fn work_goes_to_the_idlest_thread() {
        let pool = pool(2, 64);
        let id = || std::thread::current().id();
        let _hold = block(&pool, "x").await;
        let mut ids: Vec<ThreadId> = Vec::new();
        for client in ["a", "b", "c", "d"] {
            ids.push(pool.run("p", 1, client, id).await.unwrap());
        }
        // None of them landed behind the blocked thread, or this would not have come to an end.
        assert!(ids.iter().all(|i| *i == ids[0]));
    }

    #[test]
    fn a_client_stays_with_its_thread_until_that_is_clearly_busier() {
        let workers = [9, 5, 7].map(|ns| {
            let (queue, _) = bounded(1);
            Worker { queue, outstanding_ns: Arc::new(AtomicU64::new(ns)) }
        });
        let mut choice = Choice { workers: workers.into(), clients: HashMap::new(), ns_per_cost: HashMap::new() };
        assert_eq!(choice.order("a"), [1, 2, 0]);
        choice.clients.insert("a".into(), Client { worker: 0, places: Arc::new(Semaphore::new(1)) });
        assert_eq!(choice.order("a"), [0, 1, 2]);
        choice.workers[0].outstanding_ns.store(6 + AFFINITY_SLACK_NS, Ordering::Relaxed);
        assert_eq!(choice.order("a"), [1, 2, 0]);
    }

    #[tokio::test]
    async fn closing_finishes_what_runs_and_refuses_what_waits() {
        let pool = pool(1, 8);
        let (hold, held) = mpsc::channel::<()>();
        let (started, running) = oneshot::channel();
        let job = {
            let pool = pool.clone();
            tokio::spawn(async move {
                pool.run("p", 1, "a", move || {
                    started.send(()).unwrap();
                    held.recv().ok();
                    7
                })
                .await
            })
        };
        running.await.unwrap();
        let waiting = {
            let pool = pool.clone();
            tokio::spawn(async move { pool.run("p", 1, "a", || 8).await })
        };
        until(|| pool.queued() == 1).await;
        let closing = {
            let pool = pool.clone();
            tokio::spawn(async move { pool.close().await })
        };
        until(|| pool.0.closed.load(Ordering::Acquire)).await;
        hold.send(()).unwrap();
        closing.await.unwrap();
        assert_eq!(job.await.unwrap(), Ok(7));
        assert_eq!(waiting.await.unwrap(), Err(PoolError::Closed));
        assert_eq!(pool.run("p", 1, "b", || 9).await, Err(PoolError::Closed));
    }

    #[tokio::test]
    async fn a_job_nobody_waits_for_is_skipped() {
        let pool = pool(1, 8);
        let hold = block(&pool, "a").await;
        let ran = Arc::new(AtomicBool::new(false));
        let job = {
            let (pool, ran) = (pool.clone(), ran.clone());
            tokio::spawn(async move { pool.run("p", 1, "b", move || ran.store(true, Ordering::SeqCst)).await })
        };
        until(|| pool.queued() == 1).await;
        job.abort();
        assert!(job.await.unwrap_err().is_cancelled());
        drop(hold);
        pool.run("p", 1, "c", || ()).await.unwrap();
        assert!(!ran.load(Ordering::SeqCst));
    }
}
