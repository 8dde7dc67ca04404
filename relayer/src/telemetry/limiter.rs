//! The limiter's metrics: what limits calls to each node, and what was held back.
//!
//! Spec: "What it reports" of the limiter specification. A `key` is a chain and the label of one of its endpoints, with a space between,
//! as in `/status`; a `rule` is the word that refusals, spans and `/limits` use. Both come from the configuration, so they are bounded.
//!
//! Counts come from the RPC stack, which counts since its start; they are brought up to date with each snapshot, twice a second.

use std::time::Duration;

use prometheus::{Error, GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec};

use super::maker::Maker;
use super::metrics::{Label, Metrics};
use crate::admin::{BreakerStatus, ChainLimits, EndpointLimits};

/// Buckets of waits, seconds: from a token that comes at once to a hold-off.
const WAIT_BUCKETS: [f64; 11] = [0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

#[derive(Debug)]
pub(super) struct LimiterMetrics {
    rejected: IntCounterVec,
    reject_ratio: GaugeVec,
    tokens: IntGaugeVec,
    qps: GaugeVec,
    threshold: GaugeVec,
    wait: HistogramVec,
    queue: IntGaugeVec,
    in_flight: IntGaugeVec,
    health: GaugeVec,
    breaker: IntGaugeVec,
    transitions: IntCounterVec,
}

impl LimiterMetrics {
    pub(super) fn new(m: &Maker) -> Result<Self, Error> {
        let endpoint = &["chain", "endpoint"];
        let rule = &["chain", "endpoint", "rule"];
        Ok(Self {
            rejected: m.counters(
                "limiter_rejected_total",
                "Requests that our own limits refused, by rule and why it did not just wait: too_long, open, full.",
                &["chain", "endpoint", "rule", "reason"],
            )?,
            reject_ratio: m.gauges(
                "limiter_reject_ratio",
                "Of the requests of the last ten seconds, the share that our own limits refused, 0 to 1.",
                endpoint,
            )?,
            tokens: m.int_gauges("limiter_tokens_remaining", "Calls that may leave at once now.", &["key"])?,
            qps: m.gauges(
                "limiter_qps",
                "Requests a second, of the last second: asked (with those waiting), admitted, throttled by the node, refused by us.",
                &["key", "phase"],
            )?,
            threshold: m.gauges(
                "limiter_threshold",
                "In force, calls a second: rate (configured, cut by health and breaker), pace (learned from throttles); concurrency in requests.",
                rule,
            )?,
            wait: m.histogram(
                "limiter_wait_seconds",
                "Time a request waited for its limits, refused ones as well.",
                endpoint,
                &WAIT_BUCKETS,
            )?,
            queue: m.int_gauges("limiter_queue_depth", "Requests waiting for their limits.", endpoint)?,
            in_flight: m.int_gauges("limiter_in_flight", "Requests under way.", endpoint)?,
            health: m.gauges(
                "limiter_health",
                "Of the last ten seconds with calls, from errors and latency, 0 to 1.",
                endpoint,
            )?,
            breaker: m.int_gauges(
                "breaker_state",
                "0 closed, 1 half-open, 2 open; reads and broadcasts have one each.",
                &["chain", "endpoint", "class"],
            )?,
            transitions: m.counters(
                "breaker_transitions_total",
                "Changes of a breaker's state.",
                &["chain", "endpoint", "class", "from", "to"],
            )?,
        })
    }
}

/// Why a refusal was one, and no wait.
fn reason(rule: &str) -> &'static str {
    match rule {
        "breaker" => "open",
        "concurrency" => "full",
        _ => "too_long",
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Metrics {
    /// A request waited so long for its limits.
    pub fn limiter_waited(&self, chain: &str, endpoint: &str, waited: Duration) {
        let labels = [self.of(Label::Chain, chain), self.of(Label::Endpoint, endpoint)];
        self.limiter.wait.with_label_values(&labels).observe(waited.as_secs_f64());
    }

    /// What limits a chain's calls now.
    pub fn limits(&self, chain: &ChainLimits) {
        for endpoint in &chain.endpoints {
            self.endpoint_limits(self.of(Label::Chain, &chain.id), endpoint);
        }
    }

    fn endpoint_limits(&self, chain: &str, e: &EndpointLimits) {
        let m = &self.limiter;
        let endpoint = self.of(Label::Endpoint, &e.endpoint);
        let (key, labels) = (format!("{chain} {endpoint}"), [chain, endpoint]);
        for (rule, count) in &e.refused_by {
            raise(&m.rejected, &[chain, endpoint, rule, reason(rule)], *count);
        }
        m.reject_ratio.with_label_values(&labels).set(e.reject_ratio);
        m.tokens.with_label_values(&[&key]).set(gauge(e.tokens));
        let s = &e.per_second;
        for (phase, rate) in
            [("asked", s.asked), ("admitted", s.admitted), ("throttled", s.throttled), ("refused", s.refused)]
        {
            m.qps.with_label_values(&[key.as_str(), phase]).set(rate);
        }
        let limit = e.in_flight_limit as f64;
        m.threshold.with_label_values(&[chain, endpoint, "rate"]).set(e.rate * e.rate_share);
        m.threshold.with_label_values(&[chain, endpoint, "concurrency"]).set(limit);
        match e.learned_rate {
            Some(rate) => m.threshold.with_label_values(&[chain, endpoint, "pace"]).set(rate),
            // It may not have been there.
            None => m.threshold.remove_label_values(&[chain, endpoint, "pace"]).unwrap_or_default(),
        }
        m.queue.with_label_values(&labels).set(gauge(e.queue));
        m.in_flight.with_label_values(&labels).set(gauge(e.in_flight));
        m.health.with_label_values(&labels).set(e.health);
        for (class, breaker) in [("reads", &e.reads), ("broadcasts", &e.broadcasts)] {
            self.breaker(&labels, class, breaker);
        }
    }

    fn breaker(&self, [chain, endpoint]: &[&str; 2], class: &str, breaker: &BreakerStatus) {
        let state = match breaker.state.as_str() {
            "closed" => 0,
            "half_open" => 1,
            _ => 2,
        };
        self.limiter.breaker.with_label_values(&[chain, endpoint, class]).set(state);
        for change in &breaker.changes {
            let labels = [*chain, *endpoint, class, change.from.as_str(), change.to.as_str()];
            raise(&self.limiter.transitions, &labels, change.count);
        }
    }
}

/// Brings a counter up to what was counted elsewhere.
pub(super) fn raise(counters: &IntCounterVec, labels: &[&str], total: u64) {
    let counter = counters.with_label_values(labels);
    counter.inc_by(total.saturating_sub(counter.get()));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::admin::{BreakerChange, PerSecond};

    fn chain(refused: u64, learned_rate: Option<f64>) -> ChainLimits {
        let change = |from: &str, to: &str, count| BreakerChange { from: from.into(), to: to.into(), count };
        let endpoint = EndpointLimits {
            endpoint: "http://127.0.0.1:1".into(),
            rate: 200.0,
            rate_share: 0.7,
            learned_rate,
            tokens: 17,
            in_flight_limit: 16,
            refused_by: BTreeMap::from([("breaker".into(), refused), ("pace".into(), 1)]),
            reads: BreakerStatus {
                state: "open".into(),
                changes: vec![change("closed", "open", 2), change("open", "half_open", 1)],
                ..Default::default()
            },
            broadcasts: BreakerStatus { state: "closed".into(), ..Default::default() },
            per_second: PerSecond { asked: 9.0, ..PerSecond::default() },
            health: 0.5,
            ..EndpointLimits::default()
        };
        ChainLimits { id: "sim-a-1".into(), endpoints: vec![endpoint], ..ChainLimits::default() }
    }

    #[test]
    fn what_limits_a_node_is_told_as_it_is_and_counts_never_fall() {
        let metrics = Metrics::new().unwrap();
        metrics.limits(&chain(3, Some(12.5)));
        let text = metrics.encode();
        let of = |more: &str| format!(r#"{{chain="sim-a-1",{more}}}"#);
        let node = r#"endpoint="http://127.0.0.1:1""#;
        for line in [
            format!("limiter_rejected_total{} 3", of(&format!(r#"{node},reason="open",rule="breaker""#))),
            format!("limiter_rejected_total{} 1", of(&format!(r#"{node},reason="too_long",rule="pace""#))),
            format!("limiter_threshold{} 140", of(&format!(r#"{node},rule="rate""#))),
            format!("limiter_threshold{} 12.5", of(&format!(r#"{node},rule="pace""#))),
            format!("breaker_state{} 2", of(&format!(r#"class="reads",{node}"#))),
            r#"limiter_tokens_remaining{key="sim-a-1 http://127.0.0.1:1"} 17"#.to_owned(),
            r#"limiter_qps{key="sim-a-1 http://127.0.0.1:1",phase="asked"} 9"#.to_owned(),
        ] {
            assert!(text.contains(&line), "{line}\n{text}");
        }
        let sum = |text: &str, name: &str| -> u64 {
            let series = text.lines().filter(|line| line.starts_with(name));
            series.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
        };
        assert_eq!(sum(&text, "breaker_transitions_total{"), 3);
        metrics.limits(&chain(5, None));
        metrics.limits(&chain(4, None));
        let text = metrics.encode();
        assert_eq!(sum(&text, "limiter_rejected_total{"), 6);
        assert!(!text.contains(r#"rule="pace"} 12.5"#), "the learned rate binds no more\n{text}");
    }

    #[test]
    fn waits_are_counted_by_node() {
        let metrics = Metrics::new().unwrap();
        metrics.limiter_waited("sim-a-1", "http://127.0.0.1:1", Duration::from_millis(300));
        let text = metrics.encode();
        let bucket = |le: &str| {
            format!(r#"limiter_wait_seconds_bucket{{chain="sim-a-1",endpoint="http://127.0.0.1:1",le="{le}"}}"#)
        };
        assert!(
            text.contains(&format!("{} 0", bucket("0.25"))) && text.contains(&format!("{} 1", bucket("0.5"))),
            "{text}"
        );
    }
}
