//! A chain's nodes as one thing to call.

use std::sync::Arc;
use std::time::Duration;

use limiter::{CallKind, Urgency};
use relayer_core::error::{ChainError, ChainErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::batch;
use super::classify;
use super::endpoint_url::EndpointId;
use super::endpoints::{EndpointHealth, Endpoints, Route};
use super::error::{InvalidCall, Malformed, RpcError, RpcErrorKind, SetupError};
use super::flight::Flights;
use super::limits::{CALL_DEADLINE, CALLS_AT_ONCE};
use super::retry::Stack;
use super::ruled::RuleGate;
use super::settings::RpcSettings;
use super::traced::CallReport;
use super::urgency;
use super::view::LimitView;

/// One JSON-RPC call.
#[derive(Debug, Clone)]
pub struct Call {
    pub(crate) method: &'static str,
    pub(crate) params: Box<RawValue>,
    pub(crate) kind: CallKind,
    pub(crate) weight: u32,
    pub(crate) channel: Option<Arc<str>>,
}

impl Call {
    /// A read: idempotent, may be retried and sent to another endpoint.
    pub fn read(method: &'static str, params: impl Serialize) -> Result<Self, RpcError> {
        Self::new(method, params, CallKind::Read)
    }
    /// A broadcast: repeated only while it certainly never left.
    pub fn broadcast(method: &'static str, params: impl Serialize) -> Result<Self, RpcError> {
        Self::new(method, params, CallKind::Broadcast)
    }
    /// What it costs, in tokens of the endpoint's limiter; 1 unless said otherwise.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// For which channel's packets it is asked: rules may limit them.
    #[must_use]
    pub fn channel(mut self, channel: Option<Arc<str>>) -> Self {
        self.channel = channel;
        self
    }

    fn new(method: &'static str, params: impl Serialize, kind: CallKind) -> Result<Self, RpcError> {
        let params = serde_json::value::to_raw_value(&params)
            .map_err(|_| RpcError::new(RpcErrorKind::Invalid(InvalidCall::Params), method, None))?;
        Ok(Self { method, params, kind, weight: 1, channel: None })
    }
}

/// A result, and who gave it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The JSON of `result`, undecoded.
    pub result: Box<RawValue>,
    /// The endpoint that answered: whom to put into quarantine if it lies.
    pub endpoint: EndpointId,
}

impl Answer {
    /// Decodes the result; `method` names the call in the error.
    pub fn decode<T: DeserializeOwned>(&self, method: &'static str) -> Result<T, RpcError> {
        serde_json::from_str(self.result.get()).map_err(|error| {
            let shape = Malformed::Shape { line: error.line(), column: error.column() };
            RpcError::new(RpcErrorKind::Malformed(shape), method, Some(&self.endpoint))
        })
    }
}

/// What belongs to a caller and not to the chain.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    pub(crate) route: Route,
    pub(crate) deadline: Option<Instant>,
    pub(crate) traceparent: Option<Arc<str>>,
    pub(crate) urgency: Option<Urgency>,
}

/// The client of one chain. Clones share connections and limits; `with_…` gives a clone that calls differently.
#[derive(Clone)]
pub struct RpcClient {
    stack: Arc<Stack>,
    scope: Scope,
}

impl RpcClient {
    /// Sets up the endpoints; nothing is called yet. Needs a Tokio runtime from the first call on.
    pub fn new(settings: RpcSettings) -> Result<Self, SetupError> {
        let endpoints = Endpoints::new(&settings)?;
        Ok(Self { stack: Arc::new(Stack::new(settings, endpoints)), scope: Scope::default() })
    }

    /// To other endpoints.
    #[must_use]
    pub fn with_route(&self, route: Route) -> Self {
        Self { stack: self.stack.clone(), scope: Scope { route, ..self.scope.clone() } }
    }
    /// With a deadline for waits, retries and answer together, in place of [`CALL_DEADLINE`] from the call on.
    #[must_use]
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        Self { stack: self.stack.clone(), scope: Scope { deadline: Some(deadline), ..self.scope.clone() } }
    }
    /// With a W3C `traceparent` header.
    #[must_use]
    pub fn with_traceparent(&self, parent: impl Into<Arc<str>>) -> Self {
        Self { stack: self.stack.clone(), scope: Scope { traceparent: Some(parent.into()), ..self.scope.clone() } }
    }

    /// For urgent work: it may use tokens that other calls leave (a packet near its timeout, a client near its expiry, evidence).
    #[must_use]
    pub fn with_urgency(&self, urgency: Urgency) -> Self {
        Self { stack: self.stack.clone(), scope: Scope { urgency: Some(urgency), ..self.scope.clone() } }
    }

    /// Reads.
    pub async fn call(&self, method: &'static str, params: impl Serialize) -> Result<Answer, RpcError> {
        self.send(&Call::read(method, params)?).await
    }

    /// Broadcasts; never blindly repeated: see [`RpcErrorKind::never_executed`].
    pub async fn broadcast(&self, method: &'static str, params: impl Serialize) -> Result<Answer, RpcError> {
        self.send(&Call::broadcast(method, params)?).await
    }

    /// One prepared call.
    pub async fn send(&self, call: &Call) -> Result<Answer, RpcError> {
        let scope = self.scope();
        let answers = match call.kind {
            CallKind::Read => Flights::read(&self.stack, call, &scope, self.deadline()).await?,
            CallKind::Broadcast => self.stack.request(&[call], &scope, self.deadline()).await?,
        };
        let endpoint = answers.endpoint;
        match answers.replies.into_iter().next() {
            Some(Ok(result)) => Ok(Answer { result, endpoint }),
            Some(Err(no)) => Err(RpcError::new(classify::one(no, call.kind), call.method, Some(&endpoint))),
            None => {
                let missing = RpcErrorKind::Malformed(Malformed::MissingAnswers(1));
                Err(RpcError::new(missing, call.method, Some(&endpoint)))
            }
        }
    }

    /// Many calls in as few requests as the node takes, answers in the order of the calls. `Err` only when nothing was sent.
    pub async fn batch(&self, calls: Vec<Call>) -> Result<Vec<Result<Answer, RpcError>>, RpcError> {
        if calls.len() > CALLS_AT_ONCE {
            let too_many = InvalidCall::TooMany { calls: calls.len(), limit: CALLS_AT_ONCE };
            return Err(RpcError::new(RpcErrorKind::Invalid(too_many), "batch", None));
        }
        Ok(batch::batch(&self.stack, &calls, &self.scope(), self.deadline()).await)
    }

    /// As [`RpcClient::batch`], errors in the adapter's words. Calls whose state is pruned are asked of the archives, once, together; where these
    /// have no answer either, the first one stands: it says what to do about it.
    pub(crate) async fn batch_with_archives(
        &self,
        calls: Vec<Call>,
        error: impl Fn(RpcError) -> ChainError,
    ) -> Result<Vec<Result<Answer, ChainError>>, ChainError> {
        let first = self.batch(calls.clone()).await.map_err(&error)?;
        let mut answers: Vec<_> = first.into_iter().map(|answer| answer.map_err(&error)).collect();
        let pruned: Vec<usize> = answers.iter().enumerate().filter(|(_, a)| is_pruned(a)).map(|(i, _)| i).collect();
        if pruned.is_empty() {
            return Ok(answers);
        }
        let again = pruned.iter().filter_map(|i| calls.get(*i).cloned()).collect();
        if let Ok(found) = self.with_route(Route::Archive).batch(again).await {
            for (slot, answer) in pruned.into_iter().zip(found) {
                if let (Some(place), Ok(answer)) = (answers.get_mut(slot), answer) {
                    *place = Ok(answer);
                }
            }
        }
        Ok(answers)
    }

    /// The chain's name as configured.
    pub fn chain(&self) -> &Arc<str> {
        &self.stack.settings.chain
    }
    /// All endpoints in configured order.
    pub fn endpoints(&self) -> Vec<EndpointId> {
        self.stack.endpoints.ids()
    }
    /// What limits calls to each endpoint now: for `relayer limits` and the metrics.
    pub fn limits(&self) -> Vec<LimitView> {
        self.stack.endpoints.limits()
    }
    /// The rules beyond the endpoints' limits, if there are any; those of all chains that share them.
    pub fn rules(&self) -> Option<&RuleGate> {
        self.stack.settings.rules.as_ref()
    }
    /// Reads that were copied to a second endpoint because the first was late, and retries that may be made now.
    pub fn extra_calls(&self) -> (u64, u64) {
        (self.stack.hedges.sent(), self.stack.retries_left())
    }
    /// An endpoint said that its chain is at this height: one that lags behind its peers is left alone for a while.
    pub fn saw_height(&self, id: &EndpointId, height: u64) {
        self.stack.endpoints.saw_height(id, height);
    }
    /// All endpoints as they are now.
    pub fn health(&self) -> Vec<EndpointHealth> {
        self.stack.endpoints.health()
    }
    /// Takes an endpoint out of service: it lied, or it is of another chain. The last one left serves on.
    /// `false` when `id` is not of this client.
    pub fn quarantine(&self, id: &EndpointId, reason: &'static str, span: Duration) -> bool {
        tracing::warn!(chain = &**self.chain(), endpoint = %id, reason, "endpoint in quarantine");
        self.stack.endpoints.quarantine(id, reason, span)
    }

    /// Counts the loss of an endpoint's event stream as a request `subscribe` with this status.
    pub(crate) fn stream_lost(&self, endpoint: &EndpointId, why: &'static str) {
        if let Some(observer) = &self.stack.settings.observer {
            observer(&CallReport::stream(self.chain(), endpoint.label().clone(), why));
        }
    }

    pub(crate) fn stack(&self) -> &Stack {
        &self.stack
    }

    fn scope(&self) -> Scope {
        Scope { urgency: urgency::of_work(self.scope.urgency), ..self.scope.clone() }
    }

    fn deadline(&self) -> Instant {
        self.scope.deadline.unwrap_or_else(|| Instant::now() + CALL_DEADLINE)
    }
}

impl std::fmt::Debug for RpcClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RpcClient").field("chain", self.chain()).finish_non_exhaustive()
    }
}

/// Whether a node has dropped the state that was asked for.
pub(crate) fn is_pruned<T>(answer: &Result<T, ChainError>) -> bool {
    matches!(answer, Err(ChainError { kind: ChainErrorKind::Pruned(_), .. }))
}
