//! Prometheus metrics of the relayer, in a registry of their own.
//!
//! Spec: "Metrics" of the observability specification. Latencies are in milliseconds from the time of the send's block; heights in
//! blocks, balances and fees in the denomination's smallest unit, expiry in seconds.
//!
//! Bounds: a channel has a label value of its own only after [`Metrics::allow_channel`] (the configured ones); other channels, and
//! values of any other label beyond `limits::LABEL_VALUES`, share [`OTHER`]. So an attacker who opens
//! channels or invents denominations adds no series (attack 53).
//!
//! Errors: none after [`Metrics::new`]; observing never fails.
//!
//! ```
//! use relayer::telemetry::metrics::{Metrics, Stage};
//! let metrics = Metrics::new().unwrap();
//! metrics.stage(Stage::Prove, 12.5);
//! assert!(metrics.encode().contains("relay_stage_latency_ms"));
//! ```

use prometheus::{
    CounterVec, Error, Gauge, GaugeVec, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use relayer_core::packet::PortChannel;

pub use super::label::OTHER;
use super::label::Values;
use super::limiter::LimiterMetrics;
pub use super::maker::Description;
use super::maker::Maker;
use super::rules::RuleMetrics;
use super::xcm::XcmMetrics;
use crate::journal::JournalStatus;
use crate::limits;

/// Buckets of latencies that include blocks, ms.
const BLOCK_BUCKETS: [f64; 11] =
    [10.0, 50.0, 200.0, 500.0, 1_000.0, 3_000.0, 5_000.0, 10_000.0, 30_000.0, 60_000.0, 120_000.0];
/// Buckets of verification, ms.
const VERIFY_BUCKETS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 20.0, 100.0, 500.0, 2_000.0];

/// How a packet's delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Received.
    Success,
    /// Timed out.
    Timeout,
    /// Received, and the application refused it (error acknowledgement), or the message failed for good.
    Reverted,
}

impl Status {
    /// The label value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Timeout => "timeout",
            Self::Reverted => "reverted",
        }
    }
}

/// A stage of a packet's way; the spans' names, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// From the block's time to its facts being taken in.
    Observe,
    /// Fetching proofs.
    Prove,
    /// Verifying headers and proofs.
    Verify,
    /// Waiting for limits and for the wallet's turn.
    Limit,
    /// Signing and broadcasting.
    Submit,
    /// From the broadcast to the block.
    Confirm,
}

impl Stage {
    /// All, in their order.
    pub const ALL: [Self; 6] = [Self::Observe, Self::Prove, Self::Verify, Self::Limit, Self::Submit, Self::Confirm];
    /// The label value and the span's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Prove => "prove",
            Self::Verify => "verify",
            Self::Limit => "limit",
            Self::Submit => "submit",
            Self::Confirm => "confirm",
        }
    }
}

/// Whether a redundant message cost a fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redundant {
    /// Dropped before signing.
    Avoided,
    /// Paid for: a rival was quicker inside the block.
    Paid,
}

/// The backlog of one channel of a path, in one direction.
#[derive(Debug, Clone, Copy)]
pub struct Backlog<'a> {
    /// Path.
    pub path: &'a str,
    /// The chain the packets were sent on.
    pub source_chain: &'a str,
    /// The channel end there.
    pub source: &'a PortChannel,
    /// Packets that have not ended.
    pub packets: u64,
    /// Age of the oldest, seconds; 0 without one.
    pub oldest_age_s: f64,
}

/// All metrics. Shared as `Arc<Metrics>`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    described: Vec<Description>,
    channels: Values,
    values: [Values; 8],
    transaction_latency: HistogramVec,
    ack_latency: HistogramVec,
    stage_latency: HistogramVec,
    backlog: IntGaugeVec,
    backlog_age: GaugeVec,
    packets: IntCounterVec,
    client_expiry: GaugeVec,
    trusting_period: GaugeVec,
    chain_height: IntGaugeVec,
    chain_lag: GaugeVec,
    wallet_balance: GaugeVec,
    rpc_requests: IntCounterVec,
    rpc_calls: IntCounterVec,
    fees: CounterVec,
    redundant: IntCounterVec,
    gas: IntCounterVec,
    resyncs: IntCounterVec,
    verifier_latency: HistogramVec,
    verifier_queue: IntGaugeVec,
    verifier_panics: IntCounterVec,
    verification_failures: IntCounterVec,
    journal_bytes: IntGauge,
    journal_failures: IntGauge,
    journal_degraded: IntGaugeVec,
    spans_dropped: IntCounter,
    spans_exported: IntCounter,
    uptime_start: Gauge,
    pub(super) limiter: LimiterMetrics,
    pub(super) rules: RuleMetrics,
    pub(super) xcm: XcmMetrics,
}

/// Which of [`Metrics::values`] bounds a label.
#[derive(Clone, Copy)]
pub(super) enum Label {
    Chain,
    Path,
    Method,
    Endpoint,
    Denom,
    Reason,
    Client,
    Account,
}

impl Metrics {
    /// Fresh metrics. Fails only if two of our own names clash.
    pub fn new() -> Result<Self, Error> {
        let m = Maker::default();
        let ends = &["source_chain", "target_chain", "status"];
        let channel = &["path", "source_chain", "channel"];
        let build = m.int_gauges("relayer_build_info", "Always 1; the labels tell the build.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            transaction_latency: m.histogram(
                "crosschain_transaction_latency_ms",
                "From the block time of a packet's send to that of its receive (or timeout), ms.",
                ends,
                &BLOCK_BUCKETS,
            )?,
            ack_latency: m.histogram(
                "relay_ack_latency_ms",
                "From the block time of a packet's send to that of its acknowledgement on the source, ms.",
                ends,
                &BLOCK_BUCKETS,
            )?,
            stage_latency: m.histogram(
                "relay_stage_latency_ms",
                "Time a packet spent in a stage, ms.",
                &["stage"],
                &BLOCK_BUCKETS,
            )?,
            backlog: m.int_gauges("relay_backlog_packets", "Packets that have not ended.", channel)?,
            backlog_age: m.gauges(
                "relay_backlog_oldest_age_seconds",
                "Age of the oldest packet that has not ended.",
                channel,
            )?,
            packets: m.counters(
                "relay_packets_total",
                "Packets by how they ended.",
                &["source_chain", "target_chain", "channel", "outcome", "reason"],
            )?,
            client_expiry: m.gauges(
                "relay_client_expiry_seconds",
                "Time until the client expires.",
                &["chain", "client"],
            )?,
            trusting_period: m.gauges(
                "relay_client_trusting_period_seconds",
                "The client's trusting period.",
                &["chain", "client"],
            )?,
            chain_height: m.int_gauges("relay_chain_height", "Newest finalized height.", &["chain", "endpoint"])?,
            chain_lag: m.gauges(
                "relay_chain_lag_seconds",
                "Age of the newest finalized block.",
                &["chain", "endpoint"],
            )?,
            wallet_balance: m.gauges(
                "relay_wallet_balance",
                "Balance of the fee denomination.",
                &["chain", "account", "denom"],
            )?,
            rpc_requests: m.counters(
                "relay_rpc_requests_total",
                "Requests to nodes; a batch counts as one.",
                &["chain", "method", "endpoint", "status"],
            )?,
            rpc_calls: m.counters(
                "relay_rpc_calls_total",
                "Calls to nodes; a batch counts as many as it holds.",
                &["chain"],
            )?,
            fees: m.keep(CounterVec::new(
                Opts::new("relay_fees_spent_total", "Fees spent."),
                &["chain", "path", "kind", "denom"],
            )?)?,
            redundant: m.counters(
                "relay_redundant_messages_total",
                "Messages another relayer had delivered already: avoided before signing, or paid for.",
                &["chain", "kind", "result"],
            )?,
            gas: m.counters("relay_gas_total", "Gas limits asked for and gas used.", &["chain", "sort"])?,
            resyncs: m.counters(
                "relay_account_sequence_resyncs_total",
                "Times an account sequence had to be read anew.",
                &["chain"],
            )?,
            verifier_latency: m.histogram(
                "relay_verifier_latency_ms",
                "Time of one verification, ms; headers (tendermint, grandpa) and proofs (ics23, trie) apart.",
                &["protocol"],
                &VERIFY_BUCKETS,
            )?,
            verifier_queue: m.int_gauges("relay_verifier_queue", "Verifications waiting or running.", &["protocol"])?,
            verifier_panics: m.counters(
                "relay_verifier_panics_total",
                "Verifications that panicked: a defect, and a refusal.",
                &["protocol"],
            )?,
            verification_failures: m.counters(
                "relay_verification_failures_total",
                "Headers, proofs and events that did not verify; nothing was broadcast for them.",
                &["chain", "reason"],
            )?,
            journal_bytes: m.keep(IntGauge::new("relay_journal_bytes", "Size of the journal and its log.")?)?,
            journal_failures: m
                .keep(IntGauge::new("relay_journal_failures", "Journal writes that failed since the start.")?)?,
            journal_degraded: m.int_gauges(
                "relay_journal_degraded",
                "1 while the journal can't write.",
                &["reason"],
            )?,
            spans_dropped: m
                .counter("relay_trace_spans_dropped_total", "Spans dropped because the exporter is away or slow.")?,
            spans_exported: m.counter("relay_trace_spans_exported_total", "Spans the collector took.")?,
            uptime_start: m.keep(Gauge::new("relayer_start_time_seconds", "Unix time of the start.")?)?,
            limiter: LimiterMetrics::new(&m)?,
            rules: RuleMetrics::new(&m)?,
            xcm: XcmMetrics::new(&m)?,
            channels: Values::listed(limits::LABEL_CHANNELS),
            values: std::array::from_fn(|_| Values::first(limits::LABEL_VALUES)),
            registry: m.registry,
            described: m.described.into_inner(),
        };
        Ok(metrics)
    }

    pub(super) fn of<'v>(&self, label: Label, value: &'v str) -> &'v str {
        self.values.get(label as usize).map_or(OTHER, |v| v.of(value))
    }

    fn channel(&self, chain: &str, end: &PortChannel) -> String {
        let own = end.to_string();
        if self.channels.of(&format!("{chain}|{own}")) == OTHER { OTHER.to_owned() } else { own }
    }

    /// Gives a configured channel end of a chain a label value of its own.
    pub fn allow_channel(&self, chain: &str, end: &PortChannel) {
        self.channels.allow(&format!("{chain}|{end}"));
    }

    /// A packet was received (or timed out, or reverted) so long after its send.
    pub fn transaction_latency(&self, source: &str, target: &str, status: Status, ms: f64) {
        let (source, target) = (self.of(Label::Chain, source), self.of(Label::Chain, target));
        self.transaction_latency.with_label_values(&[source, target, status.name()]).observe(ms);
    }

    /// A packet was acknowledged (or its timeout proven) on the source so long after its send.
    pub fn ack_latency(&self, source: &str, target: &str, status: Status, ms: f64) {
        let (source, target) = (self.of(Label::Chain, source), self.of(Label::Chain, target));
        self.ack_latency.with_label_values(&[source, target, status.name()]).observe(ms);
    }

    /// A packet spent so long in a stage.
    pub fn stage(&self, stage: Stage, ms: f64) {
        self.stage_latency.with_label_values(&[stage.name()]).observe(ms);
    }

    /// All backlogs of all paths as they are now; one that is not named is shown no more. Unlisted channels of a chain are added up in
    /// one series. Meant to be called just before [`Metrics::encode`].
    pub fn backlogs(&self, all: &[Backlog<'_>]) {
        let mut sums = std::collections::BTreeMap::<(&str, &str, String), (u64, f64)>::new();
        for b in all {
            let channel = self.channel(b.source_chain, b.source);
            let key = (self.of(Label::Path, b.path), self.of(Label::Chain, b.source_chain), channel);
            let sum = sums.entry(key).or_default();
            *sum = (sum.0.saturating_add(b.packets), sum.1.max(b.oldest_age_s));
        }
        self.backlog.reset();
        self.backlog_age.reset();
        for ((path, chain, channel), (packets, age)) in sums {
            let labels = [path, chain, channel.as_str()];
            self.backlog.with_label_values(&labels).set(i64::try_from(packets).unwrap_or(i64::MAX));
            self.backlog_age.with_label_values(&labels).set(age);
        }
    }

    /// A packet ended: `outcome` as `acked`, `timed_out`, `failed`; a stable `reason`, or empty.
    pub fn packet_ended(
        &self,
        source_chain: &str,
        target_chain: &str,
        source: &PortChannel,
        outcome: &str,
        reason: &str,
    ) {
        let channel = self.channel(source_chain, source);
        let (s, t) = (self.of(Label::Chain, source_chain), self.of(Label::Chain, target_chain));
        let (o, r) = (self.of(Label::Reason, outcome), self.of(Label::Reason, reason));
        self.packets.with_label_values(&[s, t, channel.as_str(), o, r]).inc();
    }

    /// A client of `chain` expires so many seconds from now (negative: it has).
    pub fn client(&self, chain: &str, client: &str, expiry_s: f64, trusting_period_s: f64) {
        let labels = [self.of(Label::Chain, chain), self.of(Label::Client, client)];
        self.client_expiry.with_label_values(&labels).set(expiry_s);
        self.trusting_period.with_label_values(&labels).set(trusting_period_s);
    }

    /// The newest block an endpoint knows and its age.
    pub fn chain(&self, chain: &str, endpoint: &str, height: u64, lag_s: f64) {
        let labels = [self.of(Label::Chain, chain), self.of(Label::Endpoint, endpoint)];
        self.chain_height.with_label_values(&labels).set(i64::try_from(height).unwrap_or(i64::MAX));
        self.chain_lag.with_label_values(&labels).set(lag_s);
    }

    /// A wallet's balance.
    pub fn wallet(&self, chain: &str, account: &str, denom: &str, balance: u128) {
        let labels = [self.of(Label::Chain, chain), self.of(Label::Account, account), self.of(Label::Denom, denom)];
        self.wallet_balance.with_label_values(&labels).set(balance as f64);
    }

    /// A request of so many calls to a node. `endpoint` is a redacted label, `status` a stable word.
    pub fn rpc_request(&self, chain: &str, method: &str, endpoint: &str, status: &str, calls: u32) {
        let labels = [
            self.of(Label::Chain, chain),
            self.of(Label::Method, method),
            self.of(Label::Endpoint, endpoint),
            self.of(Label::Reason, status),
        ];
        self.rpc_requests.with_label_values(&labels).inc();
        self.rpc_calls.with_label_values(&[self.of(Label::Chain, chain)]).inc_by(calls.into());
    }

    /// A fee was paid for messages of a kind.
    pub fn fee(&self, chain: &str, path: &str, kind: &'static str, denom: &str, amount: u128) {
        let labels = [self.of(Label::Chain, chain), self.of(Label::Path, path), kind, self.of(Label::Denom, denom)];
        self.fees.with_label_values(&labels).inc_by(amount as f64);
    }

    /// Messages that another relayer had delivered already.
    pub fn redundant(&self, chain: &str, kind: &'static str, result: Redundant, count: u64) {
        let result = match result {
            Redundant::Avoided => "avoided",
            Redundant::Paid => "paid",
        };
        self.redundant.with_label_values(&[self.of(Label::Chain, chain), kind, result]).inc_by(count);
    }

    /// The gas limit of a transaction and what it used.
    pub fn gas(&self, chain: &str, estimated: u64, used: u64) {
        let chain = self.of(Label::Chain, chain);
        self.gas.with_label_values(&[chain, "estimated"]).inc_by(estimated);
        self.gas.with_label_values(&[chain, "used"]).inc_by(used);
    }

    /// A wallet's account sequence had to be read anew.
    pub fn resync(&self, chain: &str) {
        self.resyncs.with_label_values(&[self.of(Label::Chain, chain)]).inc();
    }

    /// A verification took so long.
    pub fn verified(&self, protocol: &'static str, ms: f64) {
        self.verifier_latency.with_label_values(&[protocol]).observe(ms);
    }

    /// Verifications of a protocol that wait or run, changed by `by`.
    pub fn verifier_queue(&self, protocol: &'static str, by: i64) {
        self.verifier_queue.with_label_values(&[protocol]).add(by);
    }

    /// A verification panicked.
    pub fn verifier_panicked(&self, protocol: &'static str) {
        self.verifier_panics.with_label_values(&[protocol]).inc();
    }

    /// Something of a chain did not verify; a stable reason.
    pub fn verification_failed(&self, chain: &str, reason: &str) {
        let labels = [self.of(Label::Chain, chain), self.of(Label::Reason, reason)];
        self.verification_failures.with_label_values(&labels).inc();
    }

    /// The journal's state, set before each scrape.
    pub fn journal(&self, status: &JournalStatus) {
        self.journal_bytes.set(i64::try_from(status.bytes).unwrap_or(i64::MAX));
        self.journal_failures.set(i64::try_from(status.failures).unwrap_or(i64::MAX));
        self.journal_degraded.reset();
        match &status.degraded {
            Some(e) => self.journal_degraded.with_label_values(&[e.label()]).set(1),
            None => self.journal_degraded.with_label_values(&["none"]).set(0),
        }
    }

    /// When the relayer started, Unix seconds.
    pub fn started(&self, unix_s: f64) {
        self.uptime_start.set(unix_s);
    }

    pub(super) fn spans_dropped(&self, count: u64) {
        self.spans_dropped.inc_by(count);
    }

    pub(super) fn spans_exported(&self, count: u64) {
        self.spans_exported.inc_by(count);
    }

    /// Spans dropped so far because the exporter is away or slow.
    pub fn dropped_spans(&self) -> u64 {
        self.spans_dropped.get()
    }

    /// Every metric there is.
    pub fn described(&self) -> &[Description] {
        &self.described
    }

    /// The registry, for metrics of other crates.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The Prometheus text format.
    pub fn encode(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use relayer_core::id::{ChannelId, PortId};

    use super::*;

    fn end(n: usize) -> PortChannel {
        PortChannel { port: PortId::new("transfer").unwrap(), channel: ChannelId::new(format!("channel-{n}")).unwrap() }
    }

    fn lines(metrics: &Metrics, name: &str) -> Vec<String> {
        metrics.encode().lines().filter(|l| l.starts_with(name)).map(str::to_owned).collect()
    }

    #[test]
    fn two_hundred_thousand_channels_of_a_stranger_add_one_series_attack_53() {
        let metrics = Metrics::new().unwrap();
        metrics.allow_channel("sim-a-1", &end(0));
        for n in 0..205_662 {
            metrics.packet_ended("sim-a-1", "sim-b-1", &end(n), "failed", "filtered");
        }
        let series = lines(&metrics, "relay_packets_total{");
        assert_eq!(series.len(), 2, "{series:?}");
        assert!(series.iter().any(|l| l.contains(r#"channel="transfer/channel-0""#) && l.ends_with(" 1")));
        assert!(series.iter().any(|l| l.contains(r#"channel="other""#) && l.ends_with(" 205661")));
    }

    #[test]
    fn unlisted_channels_share_one_backlog_with_the_sum_and_the_oldest_age() {
        let metrics = Metrics::new().unwrap();
        let ends = [end(1), end(2)];
        let b = |i: usize, packets, oldest_age_s| Backlog {
            path: "a-b",
            source_chain: "sim-a-1",
            source: &ends[i],
            packets,
            oldest_age_s,
        };
        metrics.backlogs(&[b(0, 3, 10.0), b(1, 4, 5.0)]);
        assert!(lines(&metrics, "relay_backlog_packets{")[0].ends_with(" 7"));
        assert!(lines(&metrics, "relay_backlog_oldest_age_seconds{")[0].ends_with(" 10"));
        metrics.backlogs(&[]);
        assert!(lines(&metrics, "relay_backlog").is_empty());
    }

    #[test]
    fn invented_denominations_are_bounded() {
        let metrics = Metrics::new().unwrap();
        for n in 0..limits::LABEL_VALUES * 3 {
            metrics.wallet("sim-a-1", "cosmos1abc", &format!("ibc/{n}"), 1);
        }
        assert_eq!(lines(&metrics, "relay_wallet_balance{").len(), limits::LABEL_VALUES + 1);
    }

    #[test]
    fn latency_has_the_specified_name_labels_and_buckets() {
        let metrics = Metrics::new().unwrap();
        metrics.transaction_latency("sim-a-1", "sim-b-1", Status::Success, 700.0);
        let text = metrics.encode();
        for bucket in ["10", "50", "200", "500", "1000", "3000", "5000", "10000", "30000", "60000", "120000", "+Inf"] {
            let le = format!(
                r#"crosschain_transaction_latency_ms_bucket{{source_chain="sim-a-1",status="success",target_chain="sim-b-1",le="{bucket}"}}"#
            );
            assert!(text.contains(&le), "{le}\n{text}");
        }
        assert!(text.contains(r#"le="500"} 0"#) && text.contains(r#"le="1000"} 1"#));
    }

    #[test]
    fn a_degraded_journal_shows_its_reason_until_it_heals() {
        let metrics = Metrics::new().unwrap();
        let full = crate::journal::JournalError::Full { file: "j".into() };
        metrics.journal(&JournalStatus { degraded: Some(full), ..JournalStatus::default() });
        assert_eq!(lines(&metrics, "relay_journal_degraded{"), [r#"relay_journal_degraded{reason="disk_full"} 1"#]);
        metrics.journal(&JournalStatus::default());
        assert_eq!(lines(&metrics, "relay_journal_degraded{"), [r#"relay_journal_degraded{reason="none"} 0"#]);
    }
}
