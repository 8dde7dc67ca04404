//! One OpenTelemetry trace a packet: from the send's block on A to the acknowledgement's commit on A.
//!
//! Spec: "Traces" of the observability specification. The trace id *is* the packet's UUIDv7 (`crosschain.tx_id`), and the id of its root
//! span follows from it, so a relayer that restarts in the middle goes on with the same trace, and so does a rival of ours. The root span
//! `packet` is sent when the packet ends; its children are the stages `observe`, `prove`, `verify`, `limit`, `submit`, `confirm`
//! with the times they really began and ended, in nanoseconds since the Unix epoch.
//!
//! Off unless configured: then every call here returns at once. A packet is sampled or not by its id alone, so all relayers decide alike.
//!
//! Bounds (`crate::limits`): spans waiting (further ones are dropped and counted), spans of a packet, size and time of an export.
//! A collector that is away costs nothing: nobody waits for the export task.
//!
//! Errors: [`TraceError`], at the start only.
//!
//! ```
//! # let tx_id = uuid::Uuid::now_v7();
//! use relayer::telemetry::metrics::Stage;
//! use relayer::telemetry::trace::{PacketStart, Role, SpanDetails, Tracer};
//! # use relayer_core::{id::*, packet::*};
//! # let (a, b) = (ChainId::new("sim-a-1").unwrap(), ChainId::new("sim-b-1").unwrap());
//! # let end = PortChannel { port: PortId::new("transfer").unwrap(), channel: ChannelId::new("channel-0").unwrap() };
//! # let key = PacketKey { from: Side::A, source: end, sequence: Sequence(1) };
//! let tracer = Tracer::off();
//! let trace = tracer.begin(&PacketStart { tx_id, key: &key, source: &a, target: &b, sent: Timestamp(1) });
//! trace.stage(Stage::Prove, Role::Target, 10, 20, SpanDetails::default());
//! trace.end("success", 30);
//! ```

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks};
use relayer_core::error::Detail;
use relayer_core::id::{ChainId, Timestamp, TxHash};
use relayer_core::packet::PacketKey;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use super::export;
use super::metrics::{Metrics, Stage};
use crate::limits;

/// Why traces can't be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TraceError {
    /// The exporter can't be made.
    #[error("can't send traces ({detail}): correct `[telemetry] otlp_endpoint`, like http://127.0.0.1:4318")]
    Exporter {
        /// What is wrong.
        detail: Detail,
    },
}

/// Where spans go and how many.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// The OTLP/HTTP collector; `/v1/traces` is added.
    pub endpoint: Url,
    /// Share of packets traced, 0 to 1.
    pub sample_ratio: f64,
    /// `service.name`.
    pub service_name: String,
}

struct Pipeline {
    spans: mpsc::Sender<SpanData>,
    scope: InstrumentationScope,
    sample_ratio: f64,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Begins packets' traces; clones share it.
#[derive(Clone)]
pub struct Tracer(Option<Arc<Pipeline>>);

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Tracer(on)" } else { "Tracer(off)" })
    }
}

/// A packet whose trace begins, or goes on after a restart.
#[derive(Debug, Clone, Copy)]
pub struct PacketStart<'a> {
    /// Its id.
    pub tx_id: Uuid,
    /// Its name.
    pub key: &'a PacketKey,
    /// Sent on.
    pub source: &'a ChainId,
    /// Goes to.
    pub target: &'a ChainId,
    /// Block time of the send.
    pub sent: Timestamp,
}

/// At which end of the packet's way a stage works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The chain that sent the packet: PRODUCER.
    Source,
    /// The chain it goes to: CONSUMER.
    Target,
}

/// What else a span says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpanDetails {
    /// Node asked: a redacted label.
    pub peer: Option<String>,
    /// Transaction.
    pub tx_hash: Option<TxHash>,
    /// Why it failed: a stable word.
    pub error: Option<&'static str>,
    /// Others, like `rate_limit.rule`.
    pub more: Vec<(&'static str, String)>,
}

impl Tracer {
    /// Traces nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Starts the export task. Needs a tokio runtime; does not ask the collector.
    pub fn start(settings: &TraceSettings, metrics: Arc<Metrics>) -> Result<Self, TraceError> {
        let exporter = export::exporter(&settings.endpoint, &settings.service_name)?;
        let (spans, queue) = mpsc::channel(limits::SPAN_QUEUE);
        let stop = CancellationToken::new();
        let task = tokio::spawn(export::run(exporter, queue, metrics.clone(), stop.clone()));
        Ok(Self(Some(Arc::new(Pipeline {
            spans,
            scope: InstrumentationScope::builder("relayer").with_version(env!("CARGO_PKG_VERSION")).build(),
            sample_ratio: settings.sample_ratio,
            metrics,
            stop,
            task: Mutex::new(Some(task)),
        }))))
    }

    /// A packet's trace.
    pub fn begin(&self, start: &PacketStart<'_>) -> PacketTrace {
        let Some(pipeline) = &self.0 else { return PacketTrace(None) };
        let sampled = sampled(start.tx_id, pipeline.sample_ratio);
        PacketTrace(Some(Arc::new(Packet {
            pipeline: pipeline.clone(),
            root: root(start.tx_id, sampled),
            key: start.key.clone(),
            source: start.source.clone(),
            target: start.target.clone(),
            tx_id: start.tx_id,
            sent: start.sent,
            spans: AtomicU32::new(0),
        })))
    }

    /// Sends what waits (for a bounded time) and ends the task.
    pub async fn close(&self) {
        let Some(pipeline) = &self.0 else { return };
        pipeline.stop.cancel();
        let task = pipeline.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && tokio::time::timeout(limits::SPAN_TIMEOUT, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

fn root(tx_id: Uuid, sampled: bool) -> SpanContext {
    let digest: [u8; 32] = Sha256::new().chain_update(b"root span").chain_update(tx_id.as_bytes()).finalize().into();
    let mut span = [0u8; 8];
    span.copy_from_slice(&digest[..8]);
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let trace = TraceId::from_bytes(*tx_id.as_bytes());
    SpanContext::new(trace, SpanId::from_bytes(span), flags, false, TraceState::NONE)
}

/// A UUIDv7 has fixed and time bits: its hash decides.
fn sampled(tx_id: Uuid, ratio: f64) -> bool {
    let digest: [u8; 32] = Sha256::new().chain_update(b"sampling").chain_update(tx_id.as_bytes()).finalize().into();
    let mut first = [0u8; 4];
    first.copy_from_slice(&digest[..4]);
    f64::from(u32::from_be_bytes(first)) < ratio * (f64::from(u32::MAX) + 1.0)
}

struct Packet {
    pipeline: Arc<Pipeline>,
    root: SpanContext,
    key: PacketKey,
    source: ChainId,
    target: ChainId,
    tx_id: Uuid,
    sent: Timestamp,
    spans: AtomicU32,
}

/// A packet's trace: cheap to clone, carried through queues with the packet.
#[derive(Clone)]
pub struct PacketTrace(Option<Arc<Packet>>);

impl std::fmt::Debug for PacketTrace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(p) => write!(f, "PacketTrace({})", p.tx_id),
            None => f.write_str("PacketTrace(off)"),
        }
    }
}

impl PacketTrace {
    /// The root span's context.
    pub fn context(&self) -> Option<&SpanContext> {
        self.0.as_ref().map(|p| &p.root)
    }

    /// W3C `traceparent` for requests made for this packet.
    pub fn traceparent(&self) -> Option<String> {
        let c = self.context()?;
        Some(format!("00-{}-{}-{:02x}", c.trace_id(), c.span_id(), c.trace_flags().to_u8()))
    }

    /// A stage that ran from `start_ns` to `end_ns`.
    pub fn stage(&self, stage: Stage, role: Role, start_ns: u64, end_ns: u64, details: SpanDetails) {
        let Some(packet) = self.recording() else { return };
        let (kind, name, chain) = match role {
            Role::Source => (SpanKind::Producer, "PRODUCER", &packet.source),
            Role::Target => (SpanKind::Consumer, "CONSUMER", &packet.target),
        };
        let id = RandomIdGenerator::default().new_span_id();
        let context = SpanContext::new(packet.root.trace_id(), id, packet.root.trace_flags(), false, TraceState::NONE);
        let mut attributes = packet.attributes(chain);
        attributes.push(KeyValue::new("span.kind", name));
        attributes.extend(details.peer.map(|p| KeyValue::new("net.peer.name", p)));
        attributes.extend(details.tx_hash.map(|h| KeyValue::new("tx_hash", h.to_string())));
        attributes.extend(details.more.into_iter().map(|(k, v)| KeyValue::new(k, v)));
        let status = details.error.map_or(Status::Ok, Status::error);
        packet.send(context, packet.root.span_id(), kind, stage.name(), (start_ns, end_ns), attributes, status);
    }

    /// The packet ended: `success`, `timeout`, `reverted`, or why it was given up.
    pub fn end(&self, status: &'static str, end_ns: u64) {
        let Some(packet) = self.recording() else { return };
        let mut attributes = packet.attributes(&packet.source);
        attributes.push(KeyValue::new("crosschain.target_chain", packet.target.to_string()));
        attributes.push(KeyValue::new("crosschain.status", status));
        let ok = if matches!(status, "success" | "timeout") { Status::Ok } else { Status::error(status) };
        let times = (packet.sent.0, end_ns);
        packet.send(packet.root.clone(), SpanId::INVALID, SpanKind::Internal, "packet", times, attributes, ok);
    }

    fn recording(&self) -> Option<&Packet> {
        let packet = self.0.as_deref().filter(|p| p.root.is_sampled())?;
        let sent = packet.spans.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
            (n < limits::SPANS_PER_PACKET).then_some(n.saturating_add(1))
        });
        if sent.is_err() {
            packet.pipeline.metrics.spans_dropped(1);
            return None;
        }
        Some(packet)
    }
}

fn time(ns: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_nanos(ns)).unwrap_or(UNIX_EPOCH)
}

impl Packet {
    fn attributes(&self, chain: &ChainId) -> Vec<KeyValue> {
        vec![
            KeyValue::new("crosschain.tx_id", self.tx_id.to_string()),
            KeyValue::new("chain", chain.to_string()),
            KeyValue::new("channel", self.key.source.to_string()),
            // OTLP's whole numbers are signed.
            KeyValue::new("sequence", i64::try_from(self.key.sequence.0).unwrap_or(i64::MAX)),
        ]
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a span, each given once")]
    fn send(
        &self,
        span_context: SpanContext,
        parent_span_id: SpanId,
        span_kind: SpanKind,
        name: &'static str,
        (start_ns, end_ns): (u64, u64),
        attributes: Vec<KeyValue>,
        status: Status,
    ) {
        let span = SpanData {
            span_context,
            parent_span_id,
            parent_span_is_remote: false,
            span_kind,
            name: name.into(),
            start_time: time(start_ns),
            // Chain clocks and ours may differ; a span does not end before it starts.
            end_time: time(end_ns.max(start_ns)),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: self.pipeline.scope.clone(),
        };
        if self.pipeline.spans.try_send(span).is_err() {
            self.pipeline.metrics.spans_dropped(1);
        }
    }
}

#[cfg(test)]
mod tests;
