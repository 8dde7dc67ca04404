//! The limiter and breaker of one endpoint, awaited: callers leave by urgency and then in the order they came, reads and
//! broadcasts apart.
//!
//! Each class of urgency has a line, of either kind. One caller of each line stands at the front and asks, unless somebody waits in
//! a more urgent class of either kind; the others queue on a fair semaphore, so a refusal wakes one and not all. A broadcast that a
//! full mempool holds back stands in nobody's way. A caller that goes away (dropped future) leaves its place to the next, and its
//! permit gives back what it held.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use limiter::rules::enforce::Pass;
use limiter::{Admission, Call, CallKind, Level, Limiter, Outcome, Permit, Refusal, Time, Urgency};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::error::{InvalidCall, RpcErrorKind, ThrottledBy, Unavailable};
use super::ruled::Ruled;
#[cfg(feature = "redis")]
use super::shared::{self, EndpointBudget, SharedPass};

/// Tokio's clock (which tests can pause) as the limiter's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
    pub(crate) fn now(self) -> Time {
        Time::ZERO.after(self.0.elapsed())
    }
    fn instant(self, at: Time) -> Instant {
        let span = at.since(Time::ZERO);
        self.0.checked_add(span).unwrap_or_else(Instant::now)
    }
}

/// A request as the limiter sees it.
pub(crate) fn call(kind: CallKind, weight: u64, urgency: Option<Urgency>) -> Call {
    let call = match kind {
        CallKind::Read => Call::read(weight),
        CallKind::Broadcast => Call::broadcast(weight),
    };
    urgency.map_or(call, |class| call.urgent(class))
}

/// An endpoint's limiter and the lines before it.
pub(crate) struct Limited {
    pub(crate) limiter: Limiter,
    pub(crate) clock: Clock,
    lines: Lines,
    freed: Notify,
    #[cfg(feature = "redis")]
    shared: Option<EndpointBudget>,
    /// Requests waiting for admission.
    pub(crate) queued: AtomicU32,
}

/// The lines before an endpoint, the most urgent first.
#[derive(Default)]
struct Lines {
    classes: [Line; Urgency::COUNT],
    /// Somebody left one of them.
    left: Notify,
}

/// Callers of the same urgency: reads, and broadcasts.
#[derive(Default)]
struct Line {
    reads: Queue,
    broadcasts: Queue,
}

struct Queue {
    front: Semaphore,
    waiting: AtomicU32,
}

impl Default for Queue {
    fn default() -> Self {
        Self { front: Semaphore::new(1), waiting: AtomicU32::new(0) }
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }
}

impl Lines {
    /// A place among the callers of its kind and urgency, before all less urgent ones.
    fn enter(&self, call: &Call) -> Option<Place<'_>> {
        let (before, rest) = self.classes.split_at_checked(call.class as usize)?;
        let line = rest.first()?;
        let queue = match call.kind {
            CallKind::Read => &line.reads,
            CallKind::Broadcast => &line.broadcasts,
        };
        queue.waiting.fetch_add(1, Ordering::Relaxed);
        Some(Place { queue, before, left: &self.left })
    }
}

struct Place<'a> {
    queue: &'a Queue,
    before: &'a [Line],
    left: &'a Notify,
}

impl Place<'_> {
    /// Until nobody more urgent waits who could leave: broadcasts can't while the mempool is full.
    async fn turn(&self, full: impl Fn() -> bool) {
        loop {
            // Made before the question: who leaves between the two still wakes us.
            let left = self.left.notified();
            let mut before = self.before.iter();
            if before.all(|line| line.reads.is_empty() && (line.broadcasts.is_empty() || full())) {
                return;
            }
            left.await;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.waiting.fetch_sub(1, Ordering::Relaxed);
        self.left.notify_waiters();
    }
}

/// One more in the line, until dropped.
struct Queued<'a>(&'a AtomicU32);

impl<'a> Queued<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Wakes whoever waits for a place, after the permit is gone.
struct Leave<'a> {
    permit: Option<Permit>,
    freed: &'a Notify,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.permit = None;
        self.freed.notify_waiters();
    }
}

/// What a request needs to leave; dropped, all of it is given back.
struct Admitted<'a> {
    leave: Leave<'a>,
    pass: Option<Pass>,
    #[cfg(feature = "redis")]
    shared: Option<SharedPass<'a>>,
}

impl Limited {
    pub(crate) fn new(settings: limiter::Settings, clock: Clock) -> Self {
        let limiter = Limiter::new(settings);
        Self {
            limiter,
            clock,
            lines: Lines::default(),
            freed: Notify::new(),
            #[cfg(feature = "redis")]
            shared: None,
            queued: AtomicU32::new(0),
        }
    }

    /// Without rules beyond this endpoint's own.
    #[cfg(test)]
    pub(crate) async fn run<T>(
        &self,
        call: Call,
        patience: Instant,
        waited: &mut Duration,
        request: impl Future<Output = Result<T, RpcErrorKind>>,
        outcome: impl FnOnce(&Result<T, RpcErrorKind>) -> Outcome,
    ) -> Result<T, RpcErrorKind> {
        self.run_by(None, call, patience, waited, request, |result, _| outcome(result)).await
    }

    /// Waits for admission, not past `patience`, then runs `request` and tells the limiter what came of it: `outcome` is asked only
    /// about a request that left, and is given the time it took.
    pub(crate) async fn run_by<T>(
        &self,
        ruled: Option<Ruled<'_>>,
        call: Call,
        patience: Instant,
        waited: &mut Duration,
        request: impl Future<Output = Result<T, RpcErrorKind>>,
        outcome: impl FnOnce(&Result<T, RpcErrorKind>, Duration) -> Outcome,
    ) -> Result<T, RpcErrorKind> {
        let from = Instant::now();
        let admitted = self.admit_by(ruled.as_ref(), call, patience).await;
        *waited = from.elapsed();
        let admitted = admitted?;
        let (mut leave, mut pass) = (admitted.leave, admitted.pass);
        #[cfg(feature = "redis")]
        if let Some(mut shared) = admitted.shared {
            shared.sent();
        }
        if let Some(permit) = &mut leave.permit {
            permit.sent();
        }
        if let Some(pass) = &mut pass {
            pass.sent();
        }
        let sent = Instant::now();
        let result = request.await;
        if let Some(permit) = leave.permit.take() {
            let outcome = outcome(&result, sent.elapsed());
            if let (Some(ruled), Some(pass)) = (ruled, pass) {
                ruled.finish(pass, outcome != Outcome::Failed);
            }
            permit.outcome(self.clock.now(), outcome);
        }
        result
    }

    /// The rules first, then this endpoint's limits, then what rules and other relayers leave: all or nothing.
    async fn admit_by(
        &self,
        ruled: Option<&Ruled<'_>>,
        call: Call,
        patience: Instant,
    ) -> Result<Admitted<'_>, RpcErrorKind> {
        let since = Instant::now();
        let queued = Queued::new(&self.queued);
        let _front = match ruled {
            Some(ruled) => ruled.front(patience).await?,
            None => None,
        };
        drop(queued);
        loop {
            let queued = Queued::new(&self.queued);
            let mut turn = match ruled {
                Some(ruled) => ruled.ready(since, patience).await?,
                None => None,
            };
            // After the rules: who waits for them holds nobody up here.
            let _sharing = self.sharing(call.kind, patience).await?;
            drop(queued);
            if let Some(admitted) = self.admit_once(ruled, &mut turn, call, patience).await? {
                return Ok(admitted);
            }
        }
    }

    /// At the front of those who share; `None`: the rules have changed their mind, or a quota of all members is spent.
    #[cfg_attr(not(feature = "redis"), expect(clippy::never_loop, reason = "only a shared budget asks again"))]
    async fn admit_once<T>(
        &self,
        ruled: Option<&Ruled<'_>>,
        turn: &mut Option<T>,
        call: Call,
        patience: Instant,
    ) -> Result<Option<Admitted<'_>>, RpcErrorKind> {
        loop {
            let leave = Leave { permit: Some(self.admit(call, patience).await?), freed: &self.freed };
            let pass = ruled.and_then(Ruled::take);
            *turn = None;
            if ruled.is_some() && pass.is_none() {
                return Ok(None);
            }
            #[cfg(feature = "redis")]
            {
                let Some(budget) = &self.shared else { return Ok(Some(Admitted { leave, pass, shared: None })) };
                let quotas = pass.as_ref().map_or(&[][..], Pass::shared);
                match (budget.take(call.kind, call.weight, quotas).await, ruled) {
                    (Ok(shared), _) => return Ok(Some(Admitted { leave, pass, shared: Some(shared) })),
                    (Err(shared::Refused::Quota(index, after)), Some(ruled)) => {
                        quotas.get(index).into_iter().for_each(|quota| ruled.hold(quota, after));
                        return Ok(None);
                    }
                    (Err(refused), _) => {
                        drop((leave, pass));
                        self.wait_for_others(refused, &call, patience).await?;
                    }
                }
            }
            #[cfg(not(feature = "redis"))]
            return Ok(Some(Admitted { leave, pass }));
        }
    }

    /// The place of those who wait for a budget that others spend, too.
    async fn sharing(&self, kind: CallKind, patience: Instant) -> Result<Option<SemaphorePermit<'_>>, RpcErrorKind> {
        #[cfg(feature = "redis")]
        if let Some(budget) = &self.shared {
            let front = timeout_at(patience, budget.line(kind).acquire()).await;
            return front.map(Result::ok).map_err(|_| self.shared_refusal(None));
        }
        let _ = (kind, patience);
        Ok(None)
    }

    #[cfg(feature = "redis")]
    async fn wait_for_others(&self, why: shared::Refused, call: &Call, patience: Instant) -> Result<(), RpcErrorKind> {
        let (shared::Refused::After(after) | shared::Refused::Quota(_, after)) = why else {
            return Err(RpcErrorKind::Invalid(InvalidCall::Weight { weight: call.weight }));
        };
        let at = Instant::now() + after;
        if at > patience {
            return Err(self.shared_refusal(Some(after)));
        }
        let _queued = Queued::new(&self.queued);
        sleep_until(at).await;
        Ok(())
    }

    #[cfg(feature = "redis")]
    fn shared_refusal(&self, retry_after: Option<Duration>) -> RpcErrorKind {
        let limit_milli = self.limiter.snapshot(self.clock.now()).rate_milli;
        let by = ThrottledBy::Rule { rule: "limits.redis".into(), kind: "shared", limit_milli };
        RpcErrorKind::Throttled { by, retry_after }
    }

    #[cfg(feature = "redis")]
    pub(crate) fn with_shared(self, shared: Option<EndpointBudget>) -> Self {
        Self { shared, ..self }
    }

    /// The largest weight a request may have.
    pub(crate) fn burst(&self) -> u64 {
        let burst = self.limiter.burst();
        #[cfg(feature = "redis")]
        let burst = self.shared.as_ref().map_or(burst, |budget| budget.burst().min(burst));
        burst
    }

    async fn admit(&self, call: Call, patience: Instant) -> Result<Permit, RpcErrorKind> {
        let _queued = Queued::new(&self.queued);
        let late = || self.refused(self.limiter.behind_others(self.clock.now(), &call));
        let full = || self.limiter.is_mempool_full(self.clock.now());
        let place = self.lines.enter(&call).ok_or_else(late)?;
        let _front = timeout_at(patience, place.queue.front.acquire()).await.map_err(|_| late())?;
        loop {
            timeout_at(patience, place.turn(full)).await.map_err(|_| late())?;
            // Made before the question: a place freed between the two still wakes us.
            let freed = self.freed.notified();
            match self.limiter.check(self.clock.now(), &call) {
                Admission::Now(permit) => return Ok(permit),
                Admission::Busy => {
                    if timeout_at(patience, freed).await.is_err() {
                        return Err(self.refused(self.limiter.no_place(self.clock.now())));
                    }
                }
                Admission::NotBefore(refusal) => {
                    let at = self.clock.instant(refusal.not_before);
                    if refusal.level == Level::Breaker || at > patience {
                        return Err(self.refused(refusal));
                    }
                    if refusal.level == Level::Mempool {
                        // Less urgent reads need not wait for this one.
                        self.lines.left.notify_waiters();
                    }
                    sleep_until(at).await;
                }
                Admission::Never(_) => {
                    return Err(RpcErrorKind::Invalid(InvalidCall::Weight { weight: call.weight }));
                }
            }
        }
    }

    fn refused(&self, refusal: Refusal) -> RpcErrorKind {
        self.limiter.gave_up(refusal.level);
        let retry_after = Some(refusal.not_before.since(self.clock.now()));
        match refusal.level {
            Level::Breaker => RpcErrorKind::Unavailable { why: Unavailable::BreakerOpen, retry_after },
            Level::Mempool => RpcErrorKind::MempoolFull,
            level => {
                let by = ThrottledBy::Ourselves { level, limit_milli: refusal.limit_milli };
                RpcErrorKind::Throttled { by, retry_after }
            }
        }
    }
}
