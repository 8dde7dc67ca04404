//! What can be wrong with a node's answers, switched on and off while it runs.
//!
//! Faults of a whole request (refused, late, cut, garbage) are drawn anew for each request from a seeded generator; lies change results
//! whenever they are asked for. Times are durations, shares are permille of the requests. Bounds:
//! [`limits::FAULT_HISTORY`](crate::limits::FAULT_HISTORY); the counts go on. No errors.
//!
//! ```no_run
//! # async fn run(chain: relayer_tests::devnet::embedded::EmbeddedChain) {
//! use relayer_tests::devnet::embedded::Fault;
//! chain.faults().set(Fault::TooManyRequests { permille: 200, retry_after_s: Some(1) });
//! chain.faults().chaos(100, 7);
//! // ... a load ...
//! assert!(chain.faults().injected("too_many_requests") > 0);
//! chain.faults().clear();
//! # }
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::limits;
use crate::sim::rng::Rng;

/// One thing that is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Commits of a well-formed header that its validators have not signed.
    ForgedHeader,
    /// Headers with another application hash than the one signed.
    ForgedAppHash,
    /// A bit of each proof is another.
    ForgedProof,
    /// The data of sent packets is not what was committed to.
    ForgedEvents,
    /// The node says it is so many blocks ahead, or behind.
    WrongHeight(i64),
    /// The node says it is catching up.
    CatchingUp,
    /// Transactions are taken and lost: CheckTx lets them pass, and no block will have them.
    LostTransactions,
    /// So many of 1,000 requests get status 429.
    TooManyRequests {
        /// The share.
        permille: u64,
        /// The `Retry-After` of the answer, seconds.
        retry_after_s: Option<u64>,
    },
    /// Every request comes so much later.
    Slow(Duration),
    /// HTTP requests are read and never answered.
    StalledHttp,
    /// Answers break off in their middle.
    Cut,
    /// Answers are no JSON.
    Garbage,
    /// Status 502, as from a gateway whose node is gone.
    BadGateway,
    /// The event socket stays open and says nothing but pongs and acknowledgements.
    StalledWebSocket,
}

impl Fault {
    /// Its name in [`Injected`] and [`Faults::injected`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ForgedHeader => "forged_header",
            Self::ForgedAppHash => "forged_app_hash",
            Self::ForgedProof => "forged_proof",
            Self::ForgedEvents => "forged_events",
            Self::WrongHeight(_) => "wrong_height",
            Self::CatchingUp => "catching_up",
            Self::LostTransactions => "lost_transactions",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::Slow(_) => "slow",
            Self::StalledHttp => "stalled_http",
            Self::Cut => "cut",
            Self::Garbage => "garbage",
            Self::BadGateway => "bad_gateway",
            Self::StalledWebSocket => "stalled_websocket",
        }
    }
}

/// A fault that was injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injected {
    /// Since the node's start.
    pub at: Duration,
    /// [`Fault::name`].
    pub fault: &'static str,
    /// The method of the first call it struck.
    pub method: String,
}

/// The switches of one node's faults; clones are the same switches.
#[derive(Clone, Debug)]
pub struct Faults {
    inner: Arc<Mutex<Inner>>,
    stalled: watch::Sender<bool>,
    /// Grows when open sockets are to be closed.
    generation: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    since: Instant,
    active: Vec<Fault>,
    chaos_permille: u64,
    rng: Rng,
    throttle: Option<Throttle>,
    history: VecDeque<Injected>,
    counts: BTreeMap<&'static str, u64>,
    requests: u64,
    calls: u64,
    sockets: u64,
}

/// A token bucket of one second, as a provider counts.
#[derive(Debug)]
struct Throttle {
    per_second: f64,
    retry_after_s: Option<u64>,
    tokens: f64,
    last: Instant,
}

/// What becomes of a whole request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoil {
    Refuse { retry_after_s: Option<u64> },
    Late(Duration),
    Never,
    Cut,
    Garbage,
    BadGateway,
}

impl Default for Faults {
    fn default() -> Self {
        let inner = Inner {
            since: Instant::now(),
            active: Vec::new(),
            chaos_permille: 0,
            rng: Rng::new(0),
            throttle: None,
            history: VecDeque::new(),
            counts: BTreeMap::new(),
            requests: 0,
            calls: 0,
            sockets: 0,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            stalled: watch::Sender::new(false),
            generation: watch::Sender::new(0),
        }
    }
}

impl Faults {
    /// Switches a fault on; one of the same kind is replaced.
    pub fn set(&self, fault: Fault) {
        let mut inner = self.inner();
        inner.active.retain(|active| active.name() != fault.name());
        inner.active.push(fault);
        drop(inner);
        if fault == Fault::StalledWebSocket {
            self.stalled.send_replace(true);
        }
    }

    /// Ends one kind of fault; the value is of no interest.
    pub fn lift(&self, fault: Fault) {
        self.inner().active.retain(|active| active.name() != fault.name());
        if fault.name() == Fault::StalledWebSocket.name() {
            self.stalled.send_replace(false);
        }
    }

    /// Ends them all. Counts and history stay.
    pub fn clear(&self) {
        let mut inner = self.inner();
        inner.active.clear();
        inner.chaos_permille = 0;
        inner.throttle = None;
        drop(inner);
        self.stalled.send_replace(false);
    }

    /// So many of 1,000 answers are late, cut, garbage or 429, drawn from this seed.
    pub fn chaos(&self, permille: u64, seed: u64) {
        let mut inner = self.inner();
        inner.chaos_permille = permille;
        inner.rng = Rng::new(seed);
    }

    /// Refuses HTTP requests above this rate with status 429, as a provider of nodes does; a second's worth may come at once.
    pub fn throttle_above(&self, requests_per_second: u32, retry_after_s: Option<u64>) {
        let per_second = f64::from(requests_per_second);
        let throttle = Throttle { per_second, retry_after_s, tokens: per_second, last: Instant::now() };
        self.inner().throttle = Some(throttle);
    }

    /// Closes the event sockets that are open now.
    pub fn cut_websockets(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// How often a fault of this name struck.
    #[must_use]
    pub fn injected(&self, name: &str) -> u64 {
        self.inner().counts.get(name).copied().unwrap_or(0)
    }

    /// How often any fault struck.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.inner().counts.values().sum()
    }

    /// HTTP requests seen; a batch is one.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.inner().requests
    }

    /// Calls in them, each of a batch.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.inner().calls
    }

    /// Event sockets opened so far: a client that gives up on a silent one opens another.
    #[must_use]
    pub fn sockets(&self) -> u64 {
        self.inner().sockets
    }

    /// The newest that struck, in order.
    #[must_use]
    pub fn history(&self) -> Vec<Injected> {
        self.inner().history.iter().cloned().collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether sockets are silent, and a word when that changes.
    pub(super) fn stalls(&self) -> watch::Receiver<bool> {
        self.stalled.subscribe()
    }

    pub(super) fn cuts(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    pub(super) fn socket(&self) {
        self.inner().sockets += 1;
    }

    /// Counts a request and says what becomes of it.
    pub(super) fn draw(&self, method: &str, calls: usize) -> Option<Spoil> {
        let mut inner = self.inner();
        inner.requests += 1;
        inner.calls += calls as u64;
        let (spoil, name) = inner.draw()?;
        inner.note(name, method);
        Some(spoil)
    }

    /// The lies in force.
    pub(super) fn lies(&self) -> Vec<Fault> {
        let lie = |fault: &&Fault| {
            use Fault::{CatchingUp, ForgedAppHash, ForgedEvents, ForgedHeader, ForgedProof, WrongHeight};
            matches!(fault, ForgedHeader | ForgedAppHash | ForgedProof | ForgedEvents | WrongHeight(_) | CatchingUp)
        };
        self.inner().active.iter().filter(lie).copied().collect()
    }

    /// Whether transactions are lost.
    pub(super) fn loses(&self) -> bool {
        self.inner().active.contains(&Fault::LostTransactions)
    }

    /// Remembers that a fault struck.
    pub(super) fn note(&self, name: &'static str, method: &str) {
        self.inner().note(name, method);
    }
}

impl Inner {
    fn note(&mut self, fault: &'static str, method: &str) {
        *self.counts.entry(fault).or_default() += 1;
        if self.history.len() == limits::FAULT_HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Injected { at: self.since.elapsed(), fault, method: method.to_owned() });
    }

    fn draw(&mut self) -> Option<(Spoil, &'static str)> {
        if let Some(throttle) = &mut self.throttle
            && !throttle.admits(Instant::now())
        {
            return Some((Spoil::Refuse { retry_after_s: throttle.retry_after_s }, "throttled"));
        }
        for fault in self.active.clone() {
            let spoil = match fault {
                Fault::TooManyRequests { permille, retry_after_s } if self.rng.chance(permille) => {
                    Spoil::Refuse { retry_after_s }
                }
                Fault::Slow(delay) => Spoil::Late(delay),
                Fault::StalledHttp => Spoil::Never,
                Fault::Cut => Spoil::Cut,
                Fault::Garbage => Spoil::Garbage,
                Fault::BadGateway => Spoil::BadGateway,
                _ => continue,
            };
            return Some((spoil, fault.name()));
        }
        if !self.rng.chance(self.chaos_permille) {
            return None;
        }
        Some(match self.rng.place(4) {
            0 => (Spoil::Late(Duration::from_millis(self.rng.within(200, 2_000))), "late"),
            1 => (Spoil::Cut, "cut"),
            2 => (Spoil::Garbage, "garbage"),
            _ => (Spoil::Refuse { retry_after_s: self.rng.chance(500).then_some(1) }, "too_many_requests"),
        })
    }
}

impl Throttle {
    fn admits(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
        self.tokens = (self.tokens + passed * self.per_second).min(self.per_second);
        let admitted = self.tokens >= 1.0;
        if admitted {
            self.tokens -= 1.0;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(faults: &Faults, times: usize) -> Vec<Option<Spoil>> {
        (0..times).map(|_| faults.draw("status", 1)).collect()
    }

    #[test]
    fn chaos_is_the_same_for_a_seed_and_of_all_four_kinds() {
        let (one, two) = (Faults::default(), Faults::default());
        one.chaos(100, 11);
        two.chaos(100, 11);
        let drawn_one = drawn(&one, 2_000);
        assert_eq!(drawn_one, drawn(&two, 2_000));
        let hit = drawn_one.iter().flatten().count();
        assert!((150..250).contains(&hit), "{hit} of 2000 at 10 %");
        for name in ["late", "cut", "garbage", "too_many_requests"] {
            assert!(one.injected(name) > 0, "{name}");
        }
        assert_eq!((one.total(), one.requests()), (hit as u64, 2_000));
        one.clear();
        assert!(drawn(&one, 100).iter().all(Option::is_none));
    }

    #[test]
    fn a_provider_refuses_what_comes_above_its_rate() {
        let mut throttle = Throttle { per_second: 10.0, retry_after_s: None, tokens: 10.0, last: Instant::now() };
        let start = throttle.last;
        assert_eq!((0..15).filter(|_| throttle.admits(start)).count(), 10);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..15).filter(|_| throttle.admits(later)).count(), 5);
    }

    #[test]
    fn the_history_is_bounded_and_the_counts_are_not() {
        let faults = Faults::default();
        faults.set(Fault::Garbage);
        let times = limits::FAULT_HISTORY + 5;
        drawn(&faults, times);
        assert_eq!((faults.history().len(), faults.injected("garbage")), (limits::FAULT_HISTORY, times as u64));
        faults.lift(Fault::Garbage);
        assert_eq!(faults.draw("status", 1), None);
    }
}
