//! What happens to packets, told to metrics, traces, journal and log.
//!
//! Latencies are chain time: from the block of the send to that of the receive, and to that of the acknowledgement. The journal is told in
//! batches; if it can't write, relaying goes on and a metric says so.

use std::collections::VecDeque;
use std::sync::Arc;

use relayer_core::engine::Notice;
use relayer_core::fact::XcmPlace;
use relayer_core::packet::{At, PacketKey, Side};
use relayer_core::record::{Action, Phase, is_disproof};
use relayer_xcm::VersionedXcm;

use super::Path;
use super::stage::unix_ns;
use super::xcm::{Seen, XcmMessage, XcmPacket};
use crate::journal::{PacketNews, Sighting};
use crate::telemetry::metrics::{Redundant, Stage, Status};
use crate::telemetry::trace::{PacketStart, SpanDetails};

/// Latencies kept for `status`.
const RECENT: usize = 1_000;
/// Why a proof can't be had that are no failed verifications.
const AWAY: [&str; 5] = ["unavailable", "throttled", "timeout", "not_yet", "received_meanwhile"];
/// News written together at most.
const NEWS: usize = 2_000;

/// Recent latencies of a path, ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latencies {
    /// How many receives they are of.
    pub count: u64,
    /// Send to receive, median.
    pub receive_p50: Option<u64>,
    /// Send to receive, 95th percentile.
    pub receive_p95: Option<u64>,
    /// Send to acknowledgement, median.
    pub ack_p50: Option<u64>,
    /// Send to acknowledgement, 95th percentile.
    pub ack_p95: Option<u64>,
}

pub(super) struct Notices {
    path: Arc<Path>,
    news: Vec<PacketNews>,
    seen: Vec<Sighting>,
    xcm: Seen,
    receive: VecDeque<u64>,
    ack: VecDeque<u64>,
    trouble: Option<String>,
    /// The last halt logged.
    said: Option<String>,
    ended: [u64; 3],
    doubt: bool,
}

fn ms(from: At, to: At) -> u64 {
    to.time.since(from.time) / 1_000_000
}

fn percentile(values: &VecDeque<u64>, percent: usize) -> Option<u64> {
    let mut sorted: Vec<u64> = values.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get((sorted.len().saturating_sub(1)) * percent / 100).copied()
}

fn push(values: &mut VecDeque<u64>, value: u64) {
    values.push_back(value);
    if values.len() > RECENT {
        values.pop_front();
    }
}

impl Notices {
    pub(super) fn new(path: Arc<Path>) -> Self {
        Self {
            path,
            news: Vec::new(),
            seen: Vec::new(),
            xcm: Seen::default(),
            receive: VecDeque::new(),
            ack: VecDeque::new(),
            trouble: None,
            said: None,
            ended: [0; 3],
            doubt: false,
        }
    }

    /// Whether an event turned out to be a lie or unreadable since the last question: what it hid stands in the chain's state.
    pub(super) fn take_doubt(&mut self) -> bool {
        std::mem::take(&mut self.doubt)
    }

    pub(super) fn latencies(&self) -> Latencies {
        Latencies {
            count: self.receive.len() as u64,
            receive_p50: percentile(&self.receive, 50),
            receive_p95: percentile(&self.receive, 95),
            ack_p50: percentile(&self.ack, 50),
            ack_p95: percentile(&self.ack, 95),
        }
    }

    /// The last thing that keeps a whole side from working.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }

    /// Packets ended since the start: acknowledged, timed out, failed.
    pub(super) fn ended(&self) -> [u64; 3] {
        self.ended
    }

    /// Packets that carry XCM, bounded.
    pub(super) fn xcm(&self) -> Vec<Arc<XcmPacket>> {
        self.xcm.all()
    }

    fn chains(&self, from: Side) -> (String, String) {
        (self.path.chain(from).id().to_string(), self.path.chain(from.other()).id().to_string())
    }

    pub(super) async fn take(&mut self, notice: Notice) {
        let metrics = self.path.shared.metrics.clone();
        match notice {
            Notice::Seen { key, sent, backlog } => {
                if let Some(at) = sent {
                    self.saw(&key, at, backlog);
                }
            }
            Notice::Xcm { key, found } => self.carries(key, &found),
            Notice::Received { key, sent, received } => {
                let (source, target) = self.chains(key.from);
                if let Some(sent) = sent {
                    let latency = ms(sent, received);
                    push(&mut self.receive, latency);
                    metrics.transaction_latency(&source, &target, Status::Success, latency as f64);
                }
                self.trouble = None;
                self.news(key, Phase::Committed, sent, Some(received), None, None);
            }
            Notice::Ended { key, sent, phase, at, reason } => {
                let (source, target) = self.chains(key.from);
                let latency = sent.zip(at).map(|(s, e)| ms(s, e));
                let (n, outcome, status) = match phase {
                    Phase::Acked => (0, "acked", "success"),
                    Phase::TimedOut => (1, "timed_out", "timeout"),
                    _ => (2, "failed", reason.unwrap_or("failed")),
                };
                self.ended[n] += 1;
                self.xcm.ended(&key, phase, reason);
                self.path.stages.end(&key, status, unix_ns());
                match (phase, latency) {
                    (Phase::Acked, Some(latency)) => {
                        push(&mut self.ack, latency);
                        metrics.ack_latency(&source, &target, Status::Success, latency as f64);
                    }
                    (Phase::TimedOut, Some(latency)) => {
                        metrics.transaction_latency(&source, &target, Status::Timeout, latency as f64);
                        metrics.ack_latency(&source, &target, Status::Timeout, latency as f64);
                    }
                    _ => {}
                }
                metrics.packet_ended(&source, &target, &key.source, outcome, reason.unwrap_or(""));
                if let Some(reason) = reason {
                    tracing::warn!(path = %self.path.spec.name, packet = %key, reason, "packet refused for good");
                } else {
                    tracing::debug!(path = %self.path.spec.name, packet = %key, phase = phase.name(), latency_ms = latency, "packet ended");
                }
                self.news(key, phase, sent, None, at, reason);
            }
            Notice::ProofRefused { key, side, reason } => {
                self.doubt |= is_disproof(reason);
                let chain = self.path.chain(side).id().to_string();
                // A node that is away or behind has proven nothing wrong.
                if !AWAY.contains(&reason) {
                    metrics.verification_failed(&chain, reason);
                }
                tracing::debug!(path = %self.path.spec.name, packet = %key, reason, "proof not had");
            }
            Notice::Unusable { side, reason } => {
                self.doubt = true;
                metrics.verification_failed(self.path.chain(side).id().as_str(), reason);
                tracing::warn!(path = %self.path.spec.name, chain = %self.path.chain(side).id(), reason, "event not usable");
            }
            Notice::Halted { side, reason } => {
                let chain = self.path.chain(side).id();
                let text = self.path.halt(side).unwrap_or_else(|| format!("{chain}: {reason}"));
                if self.said.as_ref() != Some(&text) {
                    tracing::error!(path = %self.path.spec.name, %chain, reason, "nothing can be submitted until somebody acts: {text}");
                    self.said = Some(text.clone());
                }
                // What a wallet lacks is the path's own to tell, and to take back once a transaction is in a block.
                if matches!(reason, "client_frozen" | "channel_closed") {
                    self.trouble = Some(text);
                }
            }
            Notice::Avoided { key, action } => self.redundant(&key, action, Redundant::Avoided),
            Notice::Redundant { key, action } => self.redundant(&key, action, Redundant::Paid),
        }
        if self.news.len() >= NEWS {
            self.flush().await;
        }
    }

    fn redundant(&self, key: &PacketKey, action: Action, result: Redundant) {
        let (on, kind) = match action {
            Action::Recv => (key.from.other(), "recv_packet"),
            Action::Ack => (key.from, "acknowledge_packet"),
            Action::Timeout => (key.from, "timeout_packet"),
        };
        self.path.shared.metrics.redundant(self.path.chain(on).id().as_str(), kind, result, 1);
    }

    fn saw(&mut self, key: &PacketKey, at: At, backlog: bool) {
        let sighting = Sighting { key: key.clone(), source_chain: self.path.chain(key.from).id().clone(), at };
        let tx_id = sighting.tx_id();
        tracing::debug!(path = %self.path.spec.name, packet = %key, crosschain.tx_id = %tx_id, backlog, "packet seen");
        let (source, target) = (self.path.chain(key.from).id(), self.path.chain(key.from.other()).id());
        let start = PacketStart { tx_id, key, source, target, sent: at.time };
        let trace = self.path.shared.tracer.begin(&start);
        self.path.stages.begin(key.clone(), trace, at.time.0);
        // A packet found in state was sent before we looked: observing it took no time of ours.
        if backlog {
            self.path.stage_begins(std::slice::from_ref(key), unix_ns());
        } else {
            self.path.stage(std::slice::from_ref(key), Stage::Observe, key.from, unix_ns(), &SpanDetails::default());
        }
        self.seen.push(sighting);
    }

    fn carries(&mut self, key: PacketKey, found: &Result<VersionedXcm, relayer_xcm::Error>) {
        let (path, chain) = (&self.path.spec.name, self.path.chain(key.from).id());
        self.path.shared.metrics.xcm(chain.as_str(), XcmPlace::Memo, found);
        let message = found.as_ref().map(XcmMessage::from).map_err(|error| *error);
        match &message {
            Ok(XcmMessage { version, instructions, summary }) => {
                tracing::info!(%path, packet = %key, %chain, %version, instructions, "packet carries XCM: {summary}");
            }
            Err(error) => {
                let (reason, offset) = (error.problem.label(), error.offset);
                tracing::warn!(%path, packet = %key, %chain, reason, offset, "packet carries XCM that can't be decoded: {error}");
            }
        }
        self.xcm.add(XcmPacket { key, message, refused: None });
    }

    fn news(
        &mut self,
        key: PacketKey,
        phase: Phase,
        sent: Option<At>,
        received: Option<At>,
        ended: Option<At>,
        reason: Option<&'static str>,
    ) {
        let time = |at: Option<At>| at.map(|a| a.time);
        self.news.push(PacketNews {
            key,
            phase,
            sent: time(sent),
            received: time(received),
            ended: time(ended),
            reason,
        });
    }

    /// Writes what has come together.
    pub(super) async fn flush(&mut self) {
        let name = self.path.spec.name.clone();
        if !self.seen.is_empty() {
            self.path.shared.journal.packets_seen(&name, std::mem::take(&mut self.seen)).await;
        }
        if !self.news.is_empty() {
            let result = self.path.shared.journal.packets_news(&name, std::mem::take(&mut self.news)).await;
            if let Err(error) = result {
                tracing::debug!("packets not recorded: {error}");
            }
            self.path.shared.metrics.journal(&self.path.shared.journal.status());
        }
    }
}
