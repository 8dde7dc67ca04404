//! How one chain's nodes are called.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::endpoint_url::EndpointUrl;
use super::limits;
use super::ruled::RuleGate;
use super::traced::CallReport;

/// Told about every request: the metrics' hook. Called on the I/O threads: it must not block.
pub type Observer = Arc<dyn Fn(&CallReport) + Send + Sync>;

/// One node.
#[derive(Debug, Clone)]
pub struct EndpointSettings {
    /// Its http(s) address.
    pub url: EndpointUrl,
    /// Keeps history: asked only with [`super::Route::Archive`].
    pub archive: bool,
    /// Its limits.
    pub limiter: limiter::Settings,
}

impl EndpointSettings {
    /// A full node with the default limits.
    pub fn new(url: EndpointUrl) -> Self {
        Self { url, archive: false, limiter: limiter::Settings::default() }
    }
}

/// All of a chain's nodes, in order of preference.
#[derive(Clone)]
pub struct RpcSettings {
    /// The chain's name in spans and metrics.
    pub chain: Arc<str>,
    /// Nodes, preferred first.
    pub endpoints: Vec<EndpointSettings>,
    /// One HTTP request from connect to last byte.
    pub timeout: Duration,
    /// Requests at most for one call.
    pub attempts: usize,
    /// Largest answer after decompression, bytes.
    pub body_bytes: usize,
    /// Calls in one batch at first; a node that says less is believed.
    pub batch_calls: u32,
    /// Batches of one `batch` call in flight at once.
    pub batches_in_flight: usize,
    /// Rules beyond the endpoints' own limits.
    pub rules: Option<RuleGate>,
    /// The endpoints' rates as budgets shared with other relayers.
    #[cfg(feature = "redis")]
    pub shared: Option<super::shared::SharedRates>,
    /// Tokens of an endpoint's limits that a call of a method costs; a `*` at the end is for all that begin so. The first that fits counts;
    /// 1 where none does.
    pub weights: Vec<(Box<str>, u32)>,
    /// Where metrics go.
    pub observer: Option<Observer>,
}

impl RpcSettings {
    /// Defaults from [`limits`].
    pub fn new(chain: impl Into<Arc<str>>, endpoints: Vec<EndpointSettings>) -> Self {
        Self {
            chain: chain.into(),
            endpoints,
            timeout: limits::REQUEST_TIMEOUT,
            attempts: limits::ATTEMPTS,
            body_bytes: limits::BODY_BYTES,
            batch_calls: limits::BATCH_CALLS,
            batches_in_flight: 4,
            rules: None,
            #[cfg(feature = "redis")]
            shared: None,
            weights: Vec::new(),
            observer: None,
        }
    }
}

impl RpcSettings {
    /// What a call of this method costs.
    pub(crate) fn weight(&self, method: &str) -> u32 {
        let fits = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => method.starts_with(start),
            None => pattern == method,
        };
        self.weights.iter().find(|(pattern, _)| fits(pattern)).map_or(1, |(_, weight)| *weight)
    }
}

impl fmt::Debug for RpcSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcSettings")
            .field("chain", &self.chain)
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}
