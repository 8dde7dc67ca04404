//! The way of spans to the collector: a bounded queue and one task that sends batches. Nobody ever waits for it.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use relayer_core::error::Detail;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

use super::metrics::Metrics;
use super::trace::TraceError;
use crate::limits;

/// Tries of one batch before it is dropped: a collector's restart is bridged, a batch it refuses does not block the rest.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// `/v1/traces` below the configured address, unless it ends so already.
pub(super) fn traces_url(endpoint: &Url) -> Url {
    let mut url = endpoint.clone();
    let path = url.path().trim_end_matches('/');
    if !path.ends_with("/v1/traces") {
        let path = format!("{path}/v1/traces");
        url.set_path(&path);
    }
    url
}

pub(super) fn exporter(endpoint: &Url, service: &str) -> Result<SpanExporter, TraceError> {
    let error = |e: String| TraceError::Exporter { detail: Detail::new(e) };
    // Fails when another part of the process chose a provider already, which is as good.
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::builder()
        .timeout(limits::SPAN_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|e| error(e.without_url().to_string()))?;
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(traces_url(endpoint))
        .with_timeout(limits::SPAN_TIMEOUT)
        // Retries are below, where a stop can interrupt them.
        .with_retry_policy(RetryPolicy::disabled())
        .build()
        .map_err(|e| error(e.to_string()))?;
    let resource = Resource::builder_empty()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    exporter.set_resource(&resource);
    Ok(exporter)
}

pub(super) async fn run(
    exporter: SpanExporter,
    mut spans: mpsc::Receiver<SpanData>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let mut away = false;
    let mut pause = FIRST_PAUSE;
    loop {
        let mut batch = Vec::with_capacity(limits::SPAN_BATCH);
        tokio::select! {
            biased;
            got = spans.recv_many(&mut batch, limits::SPAN_BATCH) => if got == 0 { return },
            () = stop.cancelled(), if !spans.is_closed() => { spans.close(); continue }
        }
        let fill = async {
            while batch.len() < limits::SPAN_BATCH {
                let room = limits::SPAN_BATCH - batch.len();
                if spans.recv_many(&mut batch, room).await == 0 {
                    return;
                }
            }
        };
        tokio::select! {
            () = fill => {}
            () = sleep(limits::SPAN_LINGER) => {}
            () = stop.cancelled() => spans.close(),
        }
        let count = batch.len() as u64;
        for tried in 1..=TRIES {
            // The exporter's own timeout covers the request only.
            let sent = timeout(limits::SPAN_TIMEOUT, exporter.export(batch.clone())).await;
            let failure = match sent {
                Ok(Ok(())) => {
                    metrics.spans_exported(count);
                    if std::mem::take(&mut away) {
                        info!("the trace collector takes spans again");
                    }
                    pause = FIRST_PAUSE;
                    break;
                }
                Ok(Err(e)) => Detail::new(e.to_string()),
                Err(_) => Detail::new("no answer in time"),
            };
            if !std::mem::replace(&mut away, true) {
                warn!(error = %failure, "the trace collector takes no spans; relaying goes on without them");
            }
            if tried == TRIES || stop.is_cancelled() {
                metrics.spans_dropped(count);
                break;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled() => {}
            }
            pause = (pause * 2).min(limits::SPAN_BACKOFF);
        }
    }
}
