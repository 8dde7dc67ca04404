//! A span and a report for every request that wanted to leave, also for one whose caller went away.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use limiter::Snapshot;
use tokio::time::Instant;
use tracing::Span;
use tracing::field::Empty;

use super::endpoint_url::EndpointId;
use super::error::{RpcErrorKind, ThrottledBy, Unavailable};
use super::settings::Observer;

/// One request, for metrics. Nothing in it is secret; every text is from a bounded set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallReport {
    /// The chain's name.
    pub chain: Arc<str>,
    /// The method; `batch` for a batch of several.
    pub method: &'static str,
    /// Which endpoint.
    pub endpoint: Arc<str>,
    /// `ok`, an [`super::ErrorClass`]'s label, `refused` (our own limiter or breaker) or `cancelled`.
    pub status: &'static str,
    /// How many calls the request holds.
    pub calls: u32,
    /// Request bytes.
    pub bytes_out: usize,
    /// Answer bytes after decompression.
    pub bytes_in: usize,
    /// Waiting for the limiter and for the answer.
    pub duration: Duration,
    /// Thereof for the limiter.
    pub waited: Duration,
}

impl CallReport {
    pub(crate) fn stream(chain: &Arc<str>, endpoint: Arc<str>, status: &'static str) -> Self {
        let (chain, method) = (chain.clone(), "subscribe");
        let (duration, waited) = (Duration::ZERO, Duration::ZERO);
        Self { chain, method, endpoint, status, calls: 0, bytes_out: 0, bytes_in: 0, duration, waited }
    }
}

/// Reports when dropped, so that a cancelled request is counted, too.
pub(crate) struct Traced<'a> {
    observer: Option<&'a Observer>,
    from: Instant,
    report: CallReport,
    pub(crate) span: Span,
}

impl<'a> Traced<'a> {
    pub(crate) fn start(
        observer: Option<&'a Observer>,
        chain: &Arc<str>,
        method: &'static str,
        endpoint: &EndpointId,
        calls: u32,
        bytes_out: usize,
    ) -> Self {
        let span = tracing::debug_span!(
            "rpc",
            chain = &**chain,
            method,
            "net.peer.name" = &**endpoint.label(),
            calls,
            status = Empty,
            "rate_limit.decision" = Empty,
            "rate_limit.rule" = Empty,
            "rate_limit.qps" = Empty,
            waited_ms = Empty,
        );
        let report = CallReport {
            chain: chain.clone(),
            method,
            endpoint: endpoint.label().clone(),
            status: "cancelled",
            calls,
            bytes_out,
            bytes_in: 0,
            duration: Duration::ZERO,
            waited: Duration::ZERO,
        };
        Self { observer, from: Instant::now(), report, span }
    }

    /// `limiter` is as it was when the request ended.
    pub(crate) fn end<T>(
        mut self,
        result: &Result<T, RpcErrorKind>,
        waited: Duration,
        bytes_in: usize,
        limiter: &Snapshot,
    ) {
        // What the call had to keep to; the rule that refused it says its own threshold.
        let configured = limiter.rate_milli.saturating_mul(u64::from(limiter.limit_permille)) / 1_000;
        let (in_force, by) = match limiter.learned_milli {
            Some(learned) if learned < configured => (learned, "pace"),
            _ => (configured, "rate"),
        };
        let (status, rule, milli) = match result {
            Ok(_) => ("ok", by, in_force),
            Err(RpcErrorKind::Throttled { by: ThrottledBy::Ourselves { level, limit_milli }, .. }) => {
                ("refused", level.label(), *limit_milli)
            }
            Err(RpcErrorKind::Throttled { by: ThrottledBy::Rule { rule, limit_milli, .. }, .. }) => {
                ("refused", &**rule, *limit_milli)
            }
            Err(RpcErrorKind::Unavailable { why: Unavailable::BreakerOpen, .. }) => ("refused", "breaker", 0),
            Err(error) => (error.class().label(), by, in_force),
        };
        self.span.record("rate_limit.qps", Qps(milli).to_string());
        self.report.status = status;
        self.report.waited = waited;
        self.report.bytes_in = bytes_in;
        self.span.record("rate_limit.decision", if status == "refused" { "blocked" } else { "allowed" });
        self.span.record("rate_limit.rule", rule);
        self.span.record("waited_ms", u64::try_from(waited.as_millis()).unwrap_or(u64::MAX));
    }
}

/// A rate in thousandths as a decimal number.
struct Qps(u64);
impl fmt::Display for Qps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

impl Drop for Traced<'_> {
    fn drop(&mut self) {
        self.report.duration = self.from.elapsed();
        self.span.record("status", self.report.status);
        if let Some(observer) = self.observer {
            observer(&self.report);
        }
    }
}
