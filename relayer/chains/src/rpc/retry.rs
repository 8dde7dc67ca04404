//! One request, tried on the endpoints that may serve it and again a little later, as far as its calls allow.
//!
//! A round asks each endpoint at most once, best first. Between rounds backon waits: 250 ms plus jitter, growing. Hold-offs and
//! breakers are the limiter's, so no round calls inside a Retry-After. A broadcast goes on only while it certainly never left.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use limiter::CallKind;
use limiter::retry::Budget;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Instrument;

use super::classify;
use super::client::{Call, Scope};
use super::endpoint_url::EndpointId;
use super::endpoints::{Endpoint, Endpoints, Route};
use super::error::{InvalidCall, RpcError, RpcErrorKind, Unavailable};
use super::flight::Flights;
use super::hedged::Hedges;
use super::limited;
use super::limits::{FAILOVER_WAIT, REQUEST_BYTES, RETRY_MAX, RETRY_MIN};
use super::ruled::{Lines, Ruled};
use super::settings::RpcSettings;
use super::timeout::timeout;
use super::traced::Traced;
use super::wire::{Reply, Request};

/// What every request of a chain shares.
pub(crate) struct Stack {
    pub(crate) settings: RpcSettings,
    pub(crate) endpoints: Endpoints,
    pub(crate) flights: Flights,
    pub(crate) hedges: Hedges,
    lines: Lines,
    retries: Mutex<Budget>,
    next_id: AtomicU64,
}

/// The answers to a request's calls, and who gave them.
#[derive(Clone)]
pub(crate) struct Answers {
    pub(crate) replies: Vec<Reply>,
    pub(crate) endpoint: EndpointId,
}

impl Stack {
    pub(crate) fn new(settings: RpcSettings, endpoints: Endpoints) -> Self {
        // Ten a second drip in from now on, not from the first failure.
        let mut retries = Budget::default();
        retries.balance(endpoints.now());
        Self {
            settings,
            endpoints,
            flights: Flights::default(),
            hedges: Hedges::default(),
            lines: Lines::default(),
            retries: Mutex::new(retries),
            next_id: AtomicU64::new(1),
        }
    }

    fn retries(&self) -> MutexGuard<'_, Budget> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Retries that may be made now.
    pub(crate) fn retries_left(&self) -> u64 {
        self.retries().balance(self.endpoints.now())
    }

    /// Sends `calls` as one request until it is answered, hopeless or `deadline` has passed.
    pub(crate) async fn request(&self, calls: &[&Call], scope: &Scope, deadline: Instant) -> Result<Answers, RpcError> {
        let started = Instant::now();
        let kind = kind(calls);
        let backoff = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(RETRY_MIN)
            .with_max_delay(RETRY_MAX)
            .with_max_times(self.settings.attempts.saturating_sub(1));
        self.retries().called();
        let rounds = async {
            let mut pauses = backoff.build();
            loop {
                let error = match self.round(calls, kind, scope, deadline).await {
                    Ok(answers) => return Ok(answers),
                    Err(error) => error,
                };
                let told = match &error.kind {
                    RpcErrorKind::Unavailable { why: Unavailable::BreakerOpen, retry_after } => *retry_after,
                    // The limiter holds the next round off by itself.
                    _ => None,
                };
                let again = error.kind.later_helps() && may_repeat(kind, &error.kind);
                let pause = pauses.next().filter(|_| again).map(|pause| pause.max(told.unwrap_or_default()));
                let Some(pause) = pause.filter(|pause| Instant::now() + *pause < deadline) else { return Err(error) };
                sleep(pause).await;
                // What a breaker kept back was no call yet, and needs no retry's place.
                let left = !matches!(&error.kind, RpcErrorKind::Unavailable { why: Unavailable::BreakerOpen, .. });
                if left && !self.retries().take(self.endpoints.now()) {
                    tracing::debug!(%error, "no retry: the chain's retry budget is spent");
                    return Err(error);
                }
            }
        };
        // Rounds end by themselves before the deadline unless a request or a queue takes longer.
        timeout_at(deadline, rounds).await.unwrap_or_else(|_| {
            let after = deadline.saturating_duration_since(started);
            Err(RpcError::new(RpcErrorKind::Timeout { after }, method(calls), None))
        })
    }

    async fn round(
        &self,
        calls: &[&Call],
        kind: CallKind,
        scope: &Scope,
        deadline: Instant,
    ) -> Result<Answers, RpcError> {
        let order = self.endpoints.order(&scope.route, kind);
        let none = RpcErrorKind::Unavailable { why: Unavailable::NoArchive, retry_after: None };
        let mut first_error = RpcError::new(none, method(calls), None);
        for (i, endpoint) in order.iter().enumerate() {
            // All make us wait: the first has the shortest wait. Else the next one is better than a wait.
            let alone = order.len() == 1;
            let patience = if alone || i == 0 && endpoint.wait(endpoint.limited.clock.now(), kind) > FAILOVER_WAIT {
                deadline
            } else {
                deadline.min(Instant::now() + FAILOVER_WAIT)
            };
            let peer = order.get(i.saturating_add(1)).filter(|_| kind == CallKind::Read && scope.route == Route::Any);
            let (by, result) = match peer {
                None => (*endpoint, self.exchange(endpoint, calls, kind, scope, patience).await),
                Some(peer) => {
                    let first = self.exchange(endpoint, calls, kind, scope, patience);
                    // A copy that would have to wait is of no use.
                    let copy = async { self.exchange(peer, calls, kind, scope, Instant::now()).await };
                    let shape = (method(calls), calls.len() > 1);
                    let (copied, result) = self.hedges.race(shape, || self.endpoints.now(), first, copy).await;
                    (if copied { *peer } else { *endpoint }, result)
                }
            };
            match result {
                Ok(replies) => {
                    return Ok(Answers { replies, endpoint: by.id.clone() });
                }
                Err(error) => {
                    let go_on = error.elsewhere_helps() && may_repeat(kind, &error);
                    let error = RpcError::new(error, method(calls), Some(&endpoint.id));
                    if !go_on {
                        return Err(error);
                    }
                    tracing::debug!(%error, "trying the next endpoint");
                    // What the preferred endpoint said explains most; a later "yes, but later" beats its "no".
                    if i == 0 || !first_error.kind.later_helps() && error.kind.later_helps() {
                        first_error = error;
                    }
                }
            }
        }
        Err(first_error)
    }

    /// Tokens of an endpoint's limits.
    pub(crate) fn weight(&self, call: &Call) -> u64 {
        u64::from(call.weight).saturating_mul(self.settings.weight(call.method).into())
    }

    /// Traced(Limited + Breaker(Timeout(Transport))) at one endpoint.
    async fn exchange(
        &self,
        endpoint: &Endpoint,
        calls: &[&Call],
        kind: CallKind,
        scope: &Scope,
        patience: Instant,
    ) -> Result<Vec<Reply>, RpcErrorKind> {
        let count = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        if count > endpoint.batch_calls() && count > 1 {
            return Err(RpcErrorKind::BatchTooLarge { max: Some(endpoint.batch_calls()) });
        }
        let first_id = self.next_id.fetch_add(u64::from(count), Ordering::Relaxed);
        let body = encode(calls, first_id)?;
        let chain: &Arc<str> = &self.settings.chain;
        let observer = self.settings.observer.as_ref();
        let traced = Traced::start(observer, chain, method(calls), &endpoint.id, count, body.len());
        let weight = calls.iter().map(|call| self.weight(call)).fold(0, u64::saturating_add);
        // A lone call dearer than this endpoint's burst takes all of it.
        let weight = if count == 1 { weight.min(endpoint.limited.burst()) } else { weight };
        let ruled = self.settings.rules.as_ref().map(|gate| Ruled {
            gate,
            lines: &self.lines,
            chain,
            endpoint: endpoint.id.label(),
            index: endpoint.id.index(),
            broadcast: kind == CallKind::Broadcast,
            calls,
        });
        let ruled = ruled.filter(Ruled::is_named);
        let (mut waited, mut bytes_in) = (Duration::ZERO, 0);
        let request = timeout(self.settings.timeout, async {
            let http = endpoint.transport.post(body, scope.traceparent.as_deref()).await?;
            bytes_in = http.body.len();
            let replies = classify::replies(http, first_id, calls.len())?;
            throttled_or_full(&replies, kind).map_or(Ok(replies), Err)
        });
        let call = limited::call(kind, weight, scope.urgency);
        let span = traced.span.clone();
        // What our own limits kept back says nothing of the endpoint.
        let judge = |result: &Result<Vec<Reply>, RpcErrorKind>, took| {
            let outcome = classify::outcome(result);
            self.endpoints.judge(endpoint, kind, took, outcome);
            if kind == CallKind::Read && result.is_ok() {
                self.hedges.answered(self.endpoints.now(), (method(calls), calls.len() > 1), took);
            }
            outcome
        };
        let limited = endpoint.limited.run_by(ruled, call, patience, &mut waited, request, judge);
        // On the heap: futures many levels deep hold this one, and a build without optimization moves each over the stack.
        let result = Box::pin(limited.instrument(span)).await;
        if let Err(RpcErrorKind::BatchTooLarge { max }) = &result {
            endpoint.learn_batch_calls(count, *max);
        }
        traced.end(&result, waited, bytes_in, &endpoint.limited.limiter.snapshot(endpoint.limited.clock.now()));
        result
    }
}

/// A read with a throttled call inside is asked again as a whole. Of broadcasts, a lone one is: several have each their fate.
fn throttled_or_full(replies: &[Reply], kind: CallKind) -> Option<RpcErrorKind> {
    if kind == CallKind::Broadcast && replies.len() > 1 {
        return None;
    }
    replies
        .iter()
        .filter_map(|reply| reply.as_ref().err())
        .map(|error| classify::one(error.clone(), kind))
        .find(|error| matches!(error, RpcErrorKind::Throttled { .. } | RpcErrorKind::MempoolFull))
}

fn may_repeat(kind: CallKind, error: &RpcErrorKind) -> bool {
    kind == CallKind::Read || error.never_executed()
}

/// A request with one broadcast in it is a broadcast.
pub(crate) fn kind(calls: &[&Call]) -> CallKind {
    let broadcast = calls.iter().any(|call| call.kind == CallKind::Broadcast);
    if broadcast { CallKind::Broadcast } else { CallKind::Read }
}

/// The method all calls share, else `batch`.
pub(crate) fn method(calls: &[&Call]) -> &'static str {
    let Some(first) = calls.first() else { return "batch" };
    if calls.iter().all(|call| call.method == first.method) { first.method } else { "batch" }
}

fn encode(calls: &[&Call], first_id: u64) -> Result<Vec<u8>, RpcErrorKind> {
    let requests: Vec<_> = calls
        .iter()
        .zip(first_id..)
        .map(|(call, id)| Request { jsonrpc: "2.0", id, method: call.method, params: &call.params })
        .collect();
    let body = match requests.as_slice() {
        [one] => serde_json::to_vec(one),
        many => serde_json::to_vec(many),
    };
    let body = body.map_err(|_| RpcErrorKind::Invalid(InvalidCall::Params))?;
    if body.len() > REQUEST_BYTES {
        return Err(RpcErrorKind::Invalid(InvalidCall::TooLarge { bytes: body.len(), limit: REQUEST_BYTES }));
    }
    Ok(body)
}
