//! The numbers of a run. Times are milliseconds and seconds, counts are packets of both directions together.

use serde::Serialize;

use super::latency::percentile;
use super::timeline::Timeline;
use crate::relay::Metrics;

/// The stages of a packet's way, in their order, as the relayer's metrics name them.
const STAGES: [&str; 6] = ["observe", "prove", "verify", "limit", "submit", "confirm"];

/// How long packets spent in one stage.
#[derive(Debug, Serialize)]
pub(super) struct StageLatency {
    stage: &'static str,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Every packet is acknowledged and every voucher counted.
    #[serde(skip)]
    pub(super) complete: bool,
    pub(super) ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    pub(super) sent: usize,
    pub(super) received: usize,
    pub(super) acknowledged: usize,
    pub(super) timed_out: usize,
    /// Send's block to receive's block.
    pub(super) p50_ms: Option<u64>,
    pub(super) p95_ms: Option<u64>,
    /// Send's block to acknowledgement's block.
    pub(super) ack_p50_ms: Option<u64>,
    pub(super) ack_p95_ms: Option<u64>,
    /// From the first transfer's hand-over to a node until nothing was open on either chain.
    pub(super) seconds: f64,
    /// Acknowledged packets in that time.
    pub(super) packets_per_second: f64,
    /// Processor time in that time.
    pub(super) relayer_cpu_seconds: f64,
    pub(super) chains_cpu_seconds: f64,
    /// Requests to nodes, a batch counted as one; since the relayer's start.
    pub(super) rpc_requests: u64,
    /// Headers, proofs and events that did not verify: refused before anything was paid for.
    pub(super) refused: u64,
    /// Send's block to acknowledgement's block, divided into the relayer's stages; receives and acknowledgements together.
    pub(super) stages: Vec<StageLatency>,
    /// Set-up: chains, then `path create`, then until the relayer said it is ready.
    pub(super) chains_start_seconds: f64,
    pub(super) path_create_seconds: f64,
    pub(super) relayer_start_seconds: f64,
}

impl Report {
    /// Takes over what the chains' blocks say.
    pub(super) fn packets(&mut self, timeline: &Timeline) {
        let counts = timeline.counts();
        (self.sent, self.received) = (counts.sent, counts.received);
        (self.acknowledged, self.timed_out) = (counts.acknowledged, counts.timed_out);
        let (receive, ack) = (timeline.receive_ms(), timeline.acknowledge_ms());
        (self.p50_ms, self.p95_ms) = (percentile(&receive, 50), percentile(&receive, 95));
        (self.ack_p50_ms, self.ack_p95_ms) = (percentile(&ack, 50), percentile(&ack, 95));
    }

    /// Takes over what the relayer measures itself.
    pub(super) fn relayer_says(&mut self, metrics: &Metrics) {
        self.rpc_requests = metrics.sum("relay_rpc_requests_total", &[]) as u64;
        self.refused = metrics.sum("relay_verification_failures_total", &[]) as u64;
        let quantile = |stage, q| {
            let ms = metrics.quantile("relay_stage_latency_ms", &[("stage", stage)], q)?;
            Some((ms * 10.0).round() / 10.0)
        };
        let latency = |stage| StageLatency { stage, p50_ms: quantile(stage, 0.5), p95_ms: quantile(stage, 0.95) };
        self.stages = STAGES.map(latency).into();
    }

    /// Milliseconds and hundredths of a packet are what can be told.
    pub(super) fn round(&mut self) {
        for value in [
            &mut self.seconds,
            &mut self.packets_per_second,
            &mut self.relayer_cpu_seconds,
            &mut self.chains_cpu_seconds,
            &mut self.chains_start_seconds,
            &mut self.path_create_seconds,
            &mut self.relayer_start_seconds,
        ] {
            *value = (*value * 1_000.0).round() / 1_000.0;
        }
    }

    /// What a person wants to know.
    pub(super) fn summary(&self) -> String {
        let ms = |value: Option<u64>| value.map_or("-".to_owned(), |v| format!("{v} ms"));
        let about = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.0} ms"));
        let stage =
            |s: &StageLatency| format!("    {:<22} p50 {:>8}   p95 {:>8}\n", s.stage, about(s.p50_ms), about(s.p95_ms));
        let stages: String = self.stages.iter().map(stage).collect();
        let refused = match self.refused {
            0 => String::new(),
            n => format!("  refused before anything was paid for, as a header, proof or event did not verify: {n}\n"),
        };
        format!(
            "\n  sent {}   received {}   acknowledged {}   timed out {}\n\
             \x20 send to receive          p50 {:>8}   p95 {:>8}\n\
             \x20 send to acknowledgement  p50 {:>8}   p95 {:>8}\n\
{stages}\
             \x20 {:.1} s, {:.1} packets/s   processor: relayer {:.2} s, chains {:.2} s   requests to nodes: {}\n{refused}",
            self.sent,
            self.received,
            self.acknowledged,
            self.timed_out,
            ms(self.p50_ms),
            ms(self.p95_ms),
            ms(self.ack_p50_ms),
            ms(self.ack_p95_ms),
            self.seconds,
            self.packets_per_second,
            self.relayer_cpu_seconds,
            self.chains_cpu_seconds,
            self.rpc_requests,
        )
    }
}
