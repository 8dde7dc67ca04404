//! A chain's nodes in order of preference: which one a call goes to, and what was learned about each.
//!
//! The first usable one serves; one whose breaker is open, that holds us off or that is in quarantine comes later. Recovery needs
//! no task: a breaker lets its probe through when its time is over, since the preferred endpoint is asked first again. The last
//! endpoint is never given up: if all are in quarantine, the one whose quarantine ends first serves. One that fails often, answers
//! much slower than its peers or lags behind them is ejected for a while, longer each time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use limiter::outlier::{self, Fault, Outliers};
use limiter::percentile::Latencies;
use limiter::{BreakerState, CallKind, Outcome, Snapshot, Time};
#[cfg(feature = "redis")]
use relayer_core::error::Detail;

use super::endpoint_url::{EndpointId, EndpointUrl};
use super::error::SetupError;
use super::limited::{self, Clock, Limited};
use super::limits::{EJECT_ERRORS, ENDPOINTS, FAILOVER_WAIT, QUARANTINE_MAX, SLOW_CHECK, SLOW_WINDOW};
use super::settings::RpcSettings;
use super::transport::Transport;
use super::view::{self, LimitView};

/// Which endpoints may serve a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Route {
    /// The full nodes, or the archive nodes where there are no others.
    #[default]
    Any,
    /// Archive nodes only.
    Archive,
    /// This one only: a witness, a check of its chain id.
    Only(EndpointId),
}

/// One endpoint as `/status` and metrics show it.
#[derive(Debug, Clone)]
pub struct EndpointHealth {
    /// Which.
    pub id: EndpointId,
    /// Keeps history.
    pub archive: bool,
    /// Why and how much longer it is in quarantine.
    pub quarantine: Option<(&'static str, Duration)>,
    /// Tokens, breaker, hold-off, calls in flight.
    pub limiter: Snapshot,
    /// Calls it takes in one batch, as learned.
    pub batch_calls: u32,
}

struct Quarantine {
    reason: &'static str,
    until: Time,
}

pub(crate) struct Endpoint {
    pub(crate) id: EndpointId,
    pub(crate) archive: bool,
    pub(crate) transport: Transport,
    pub(crate) limited: Limited,
    batch_calls: AtomicU32,
    quarantine: Mutex<Option<Quarantine>>,
    seen: Mutex<Seen>,
}

/// What an endpoint showed, to be compared with its peers.
struct Seen {
    latencies: Latencies,
    height: Option<u64>,
}

fn label(fault: Fault) -> &'static str {
    match fault {
        Fault::Error => "errors in a row",
        Fault::Slow => "much slower than its peers",
        Fault::Lagging => "lags behind its peers",
        Fault::WrongChain => "of another chain",
        Fault::BadProof => "does not verify",
    }
}

impl Endpoint {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls it takes in one request: what it said, and never more than its burst admits.
    pub(crate) fn batch_calls(&self) -> u32 {
        let burst = u32::try_from(self.limited.burst()).unwrap_or(u32::MAX);
        self.batch_calls.load(Ordering::Relaxed).min(burst).max(1)
    }

    /// It refused a batch of `sent`; `said` is what it takes. Shrinks always, so that learning ends.
    pub(crate) fn learn_batch_calls(&self, sent: u32, said: Option<u32>) {
        let learned = said.filter(|said| *said < sent).unwrap_or(sent / 2).max(1);
        self.batch_calls.fetch_min(learned, Ordering::Relaxed);
    }

    fn quarantine(&self) -> MutexGuard<'_, Option<Quarantine>> {
        self.quarantine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn quarantined(&self, now: Time) -> Option<(&'static str, Duration)> {
        let quarantine = self.quarantine();
        quarantine.as_ref().filter(|q| q.until > now).map(|q| (q.reason, q.until.since(now)))
    }

    fn health(&self, now: Time) -> EndpointHealth {
        EndpointHealth {
            id: self.id.clone(),
            archive: self.archive,
            quarantine: self.quarantined(now),
            limiter: self.limited.limiter.snapshot(now),
            batch_calls: self.batch_calls(),
        }
    }
}

/// All endpoints of a chain.
pub(crate) struct Endpoints {
    all: Vec<Endpoint>,
    clock: Clock,
    /// And when their latencies were last compared.
    outliers: Mutex<(Outliers, Time)>,
}

impl Endpoints {
    pub(crate) fn new(settings: &RpcSettings) -> Result<Self, SetupError> {
        let count = settings.endpoints.len();
        if count == 0 || count > ENDPOINTS {
            return Err(SetupError::Endpoints { count, max: ENDPOINTS });
        }
        let clock = Clock::start();
        let mut all = Vec::<Endpoint>::with_capacity(count);
        for (index, endpoint) in settings.endpoints.iter().enumerate() {
            let mut label = endpoint.url.label();
            // Same host, other path or key: the label must tell them apart without showing either.
            if all.iter().any(|known| **known.id.label() == *label) {
                label = format!("{label}#{}", index.saturating_add(1));
            }
            #[cfg(not(feature = "redis"))]
            let limited = Limited::new(endpoint.limiter, clock);
            #[cfg(feature = "redis")]
            let limited = {
                let shared = settings
                    .shared
                    .as_ref()
                    .map(|rates| rates.endpoint(&settings.chain, &endpoint.url, &endpoint.limiter));
                let shared = shared.transpose().map_err(|why| SetupError::Shared(Detail::new(why.to_string())))?;
                Limited::new(endpoint.limiter, clock).with_shared(shared)
            };
            all.push(Endpoint {
                id: EndpointId::new(index, label),
                archive: endpoint.archive,
                transport: Transport::new(endpoint.url.clone(), settings.body_bytes)?,
                limited,
                batch_calls: AtomicU32::new(settings.batch_calls.max(1)),
                quarantine: Mutex::new(None),
                seen: Mutex::new(Seen { latencies: Latencies::new(SLOW_WINDOW), height: None }),
            });
        }
        let rules = outlier::Settings { consecutive_errors: EJECT_ERRORS, ..outlier::Settings::default() };
        let outliers = Mutex::new((Outliers::new(all.len(), rules), clock.now()));
        Ok(Self { all, clock, outliers })
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    fn outliers(&self) -> MutexGuard<'_, (Outliers, Time)> {
        self.outliers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a request showed about its endpoint.
    pub(crate) fn judge(&self, endpoint: &Endpoint, kind: CallKind, took: Duration, outcome: Outcome) {
        let (now, index) = (self.now(), endpoint.id.index());
        let ejected = match outcome {
            // Throttles are the limiter's, refusals of our own limits nobody's.
            Outcome::Throttled { .. } | Outcome::MempoolFull => false,
            Outcome::Failed => self.outliers().0.fault(now, index, Fault::Error),
            Outcome::Answered => {
                if kind == CallKind::Read {
                    endpoint.seen().latencies.record(now, took);
                }
                self.outliers().0.sound(now, index);
                self.slow(now, index)
            }
        };
        if ejected {
            tracing::warn!(endpoint = %endpoint.id, ?outcome, "endpoint ejected for a while");
        }
    }

    /// Once a second: is this endpoint much slower than its peers?
    fn slow(&self, now: Time, index: usize) -> bool {
        let mut outliers = self.outliers();
        if now.since(outliers.1) < SLOW_CHECK {
            return false;
        }
        outliers.1 = now;
        let p95 = |endpoint: &Endpoint| endpoint.seen().latencies.quantile(now, 950);
        let p95: Vec<_> = self.all.iter().map(p95).collect();
        outliers.0.slow(index, &p95) && outliers.0.fault(now, index, Fault::Slow)
    }

    pub(crate) fn saw_height(&self, id: &EndpointId, height: u64) {
        let Some(endpoint) = self.by_id(id) else { return };
        endpoint.seen().height = Some(height);
        let heights: Vec<_> = self.all.iter().map(|endpoint| endpoint.seen().height).collect();
        let (now, mut outliers) = (self.now(), self.outliers());
        if outliers.0.lagging(id.index(), &heights) && outliers.0.fault(now, id.index(), Fault::Lagging) {
            tracing::warn!(endpoint = %id, height, "endpoint ejected for a while: it lags behind its peers");
        }
    }

    pub(crate) fn limits(&self) -> Vec<LimitView> {
        let now = self.now();
        self.all.iter().map(|endpoint| view::of(endpoint, now)).collect()
    }

    /// Those that may serve the call, best first; empty only when there is no archive node.
    pub(crate) fn order(&self, route: &Route, kind: CallKind) -> Vec<&Endpoint> {
        let now = self.clock.now();
        let only_archives = self.all.iter().all(|endpoint| endpoint.archive);
        let fits = |endpoint: &&Endpoint| match route {
            Route::Any => !endpoint.archive || only_archives,
            Route::Archive => endpoint.archive,
            Route::Only(id) => endpoint.id == *id,
        };
        let mut order: Vec<_> = self.all.iter().filter(fits).map(|e| (e.quarantined(now), e)).collect();
        if order.iter().any(|(quarantine, _)| quarantine.is_none()) {
            order.retain(|(quarantine, _)| quarantine.is_none());
        } else {
            order.sort_by_key(|(quarantine, _)| quarantine.map(|(_, left)| left));
            order.truncate(1);
        }
        // Those ejected come into question only when no other is left for this route.
        let outliers = self.outliers();
        let usable = |endpoint: &Endpoint| outliers.0.usable(now, endpoint.id.index());
        if matches!(route, Route::Any) && order.iter().any(|(_, endpoint)| usable(endpoint)) {
            order.retain(|(_, endpoint)| usable(endpoint));
        }
        drop(outliers);
        order.sort_by_key(|(_, endpoint)| endpoint.wait(now, kind));
        order.into_iter().map(|(_, endpoint)| endpoint).collect()
    }

    /// The endpoint at the host and port of `url`, whatever its path is.
    pub(crate) fn at(&self, url: &EndpointUrl) -> Option<&Endpoint> {
        self.all.iter().find(|endpoint| endpoint.transport.url().same_host(url))
    }

    pub(crate) fn by_id(&self, id: &EndpointId) -> Option<&Endpoint> {
        self.all.get(id.index()).filter(|endpoint| endpoint.id == *id)
    }

    pub(crate) fn ids(&self) -> Vec<EndpointId> {
        self.all.iter().map(|endpoint| endpoint.id.clone()).collect()
    }

    pub(crate) fn health(&self) -> Vec<EndpointHealth> {
        let now = self.clock.now();
        let outliers = self.outliers();
        let mut all: Vec<_> = self.all.iter().map(|endpoint| endpoint.health(now)).collect();
        for health in all.iter_mut().filter(|health| health.quarantine.is_none()) {
            let ejected = outliers.0.ejected(now, health.id.index());
            health.quarantine = ejected.map(|(until, fault)| (label(fault), until.since(now)));
        }
        all
    }

    /// `false` when the id is of another client.
    pub(crate) fn quarantine(&self, id: &EndpointId, reason: &'static str, span: Duration) -> bool {
        let until = self.clock.now().after(span.min(QUARANTINE_MAX));
        let Some(endpoint) = self.by_id(id) else { return false };
        // One that does it again is out longer than the caller says.
        let fault = if reason.contains("chain") { Fault::WrongChain } else { Fault::BadProof };
        self.outliers().0.fault(self.clock.now(), id.index(), fault);
        let mut quarantine = endpoint.quarantine();
        if quarantine.as_ref().is_none_or(|known| known.until < until) {
            *quarantine = Some(Quarantine { reason, until });
        }
        true
    }
}

impl Endpoint {
    /// How long a call would wait here; short waits count as none, so that pacing alone does not spread calls.
    pub(crate) fn wait(&self, now: Time, kind: CallKind) -> Duration {
        let limiter = &self.limited.limiter;
        let call = limited::call(kind, 1, None);
        let wait = limiter.peek(now, &call).map_or(Duration::ZERO, |refusal| refusal.not_before.since(now));
        match (limiter.snapshot(now).breaker, kind) {
            (BreakerState::Closed, _) | (BreakerState::HalfOpen, CallKind::Read) if wait <= FAILOVER_WAIT => {
                Duration::ZERO
            }
            // A broadcast is no probe where another endpoint is well: its fate would be unknown. What reads met tells.
            (BreakerState::Open | BreakerState::HalfOpen, CallKind::Broadcast) => wait.max(FAILOVER_WAIT),
            _ => wait,
        }
    }
}
