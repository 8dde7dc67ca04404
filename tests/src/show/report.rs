//! The numbers of a run. Times are milliseconds and seconds, counts are packets of both directions together.

use serde::Serialize;

use crate::latency::percentile;
use crate::timeline::Timeline;

#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Every packet is acknowledged and every voucher counted.
    #[serde(skip)]
    pub(crate) complete: bool,
    pub(crate) ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    pub(crate) sent: usize,
    pub(crate) received: usize,
    pub(crate) acknowledged: usize,
    pub(crate) timed_out: usize,
    /// Send's block to receive's block.
    pub(crate) p50_ms: Option<u64>,
    pub(crate) p95_ms: Option<u64>,
    /// Send's block to acknowledgement's block.
    pub(crate) ack_p50_ms: Option<u64>,
    pub(crate) ack_p95_ms: Option<u64>,
    /// From the first transfer's hand-over to a node until nothing was open on either chain.
    pub(crate) seconds: f64,
    /// Acknowledged packets in that time.
    pub(crate) packets_per_second: f64,
    /// Processor time in that time.
    pub(crate) relayer_cpu_seconds: f64,
    pub(crate) chains_cpu_seconds: f64,
    /// Requests to nodes, a batch counted as one; since the relayer's start.
    pub(crate) rpc_requests: u64,
    /// Set-up: chains, then `path create`, then until the relayer said it is ready.
    pub(crate) chains_start_seconds: f64,
    pub(crate) path_create_seconds: f64,
    pub(crate) relayer_start_seconds: f64,
}

impl Report {
    /// Takes over what the chains' blocks say.
    pub(crate) fn packets(&mut self, timeline: &Timeline) {
        let counts = timeline.counts();
        (self.sent, self.received) = (counts.sent, counts.received);
        (self.acknowledged, self.timed_out) = (counts.acknowledged, counts.timed_out);
        let (receive, ack) = (timeline.receive_ms(), timeline.acknowledge_ms());
        (self.p50_ms, self.p95_ms) = (percentile(&receive, 50), percentile(&receive, 95));
        (self.ack_p50_ms, self.ack_p95_ms) = (percentile(&ack, 50), percentile(&ack, 95));
    }

    /// Milliseconds and hundredths of a packet are what can be told.
    pub(crate) fn round(&mut self) {
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
    pub(crate) fn summary(&self) -> String {
        let ms = |value: Option<u64>| value.map_or("-".to_owned(), |v| format!("{v} ms"));
        format!(
            "\n  sent {}   received {}   acknowledged {}   timed out {}\n\
             \x20 send to receive          p50 {:>8}   p95 {:>8}\n\
             \x20 send to acknowledgement  p50 {:>8}   p95 {:>8}\n\
             \x20 {:.1} s, {:.1} packets/s   processor: relayer {:.2} s, chains {:.2} s   requests to nodes: {}\n",
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
