//! A read that is late gets a copy at the next endpoint; the first answer counts.
//!
//! Late is past the p95 that this chain's nodes showed for the method in the last minute ([`limits::HEDGE_SAMPLES`] answers at
//! least). A copy is charged to the other endpoint's limits and spends from a budget of a twentieth of the reads; broadcasts have
//! none. Clause: *hedging of idempotent reads only, budgeted and charged* of the limiter page.
//!
//! [`limits::HEDGE_SAMPLES`]: super::limits::HEDGE_SAMPLES

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{Either, select};
use limiter::Time;
use limiter::hedge::{Decision, Hedger};
use limiter::percentile::Latencies;
use tokio::time::{Instant, sleep};

use super::error::{ErrorClass, RpcErrorKind};
use super::limits::{HEDGE_METHODS, HEDGE_SAMPLES, HEDGE_WINDOW};

/// What was learned about a chain's reads.
#[derive(Default)]
pub(crate) struct Hedges(Mutex<State>);

#[derive(Default)]
struct State {
    hedger: Hedger,
    /// By method, single calls and batches apart.
    latencies: HashMap<(&'static str, bool), Latencies>,
    hedged: u64,
}

/// The class of a request whose latency is compared.
pub(crate) type Shape = (&'static str, bool);

impl Hedges {
    /// A read of this shape was answered.
    pub(crate) fn answered(&self, now: Time, shape: Shape, took: Duration) {
        let mut state = self.lock();
        if state.latencies.len() < HEDGE_METHODS || state.latencies.contains_key(&shape) {
            state.latencies.entry(shape).or_insert_with(|| Latencies::new(HEDGE_WINDOW)).record(now, took);
        }
    }

    /// Copies sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.lock().hedged
    }

    /// A read leaves: how long to wait for its answer before a copy may go.
    fn patience(&self, now: Time, shape: Shape) -> Option<Duration> {
        let mut state = self.lock();
        state.hedger.called();
        let latencies = state.latencies.get_mut(&shape)?;
        if latencies.count(now) < HEDGE_SAMPLES {
            return None;
        }
        let p95 = latencies.quantile(now, 950)?;
        match state.hedger.decide(now, now, Some(p95), true, true) {
            Decision::At(at) => Some(at.since(now)),
            Decision::Now | Decision::No(_) => None,
        }
    }

    fn may_copy(&self, now: Time, sent: Time, late: Duration) -> bool {
        let mut state = self.lock();
        let may = state.hedger.decide(now, sent, Some(late), true, true) == Decision::Now;
        state.hedged = state.hedged.saturating_add(u64::from(may));
        may
    }

    fn copy_never_left(&self) {
        let mut state = self.lock();
        state.hedged = state.hedged.saturating_sub(1);
        state.hedger.give_back();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `first`, and `copy` when it is late. Answers with who answered: `false` is the first.
    pub(crate) async fn race<T>(
        &self,
        shape: Shape,
        now: impl Fn() -> Time,
        first: impl Future<Output = Result<T, RpcErrorKind>>,
        copy: impl Future<Output = Result<T, RpcErrorKind>>,
    ) -> (bool, Result<T, RpcErrorKind>) {
        let sent = now();
        let started = Instant::now();
        let Some(late) = self.patience(sent, shape) else { return (false, first.await) };
        let first = std::pin::pin!(first);
        let first = match select(first, std::pin::pin!(sleep(late))).await {
            Either::Left((result, _)) => return (false, result),
            Either::Right(((), first)) => first,
        };
        if !self.may_copy(sent.after(started.elapsed()), sent, late) {
            return (false, first.await);
        }
        let copy = std::pin::pin!(copy);
        match select(first, copy).await {
            Either::Left((Ok(answer), _)) => (false, Ok(answer)),
            Either::Right((Ok(answer), _)) => (true, Ok(answer)),
            // The first's failure is the one to tell: the copy was only asked for speed.
            Either::Left((Err(error), copy)) => match copy.await {
                Ok(answer) => (true, Ok(answer)),
                Err(_) => (false, Err(error)),
            },
            Either::Right((Err(error), first)) => {
                if error.never_executed() && error.class() != ErrorClass::Unavailable {
                    self.copy_never_left();
                }
                (false, first.await)
            }
        }
    }
}
