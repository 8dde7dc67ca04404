//! The metrics of rules: what came of the sets that were read, and what each rule let through.
//!
//! Spec: "What it reports" of the limiter specification. Rules are named by the sets' authors: [`RULES`] of them are shown at most.

use std::time::Duration;

use limiter::rules::enforce::RuleView;
use limiter::rules::source::Health;
use prometheus::{Error, GaugeVec, IntCounterVec, IntGaugeVec};

use super::limiter::raise;
use super::maker::Maker;
use super::metrics::Metrics;

/// Rules that are shown: those that calls met first.
const RULES: usize = 256;

#[derive(Debug)]
pub(super) struct RuleMetrics {
    sets: IntCounterVec,
    calls: IntCounterVec,
    threshold: GaugeVec,
    degraded: IntGaugeVec,
    members: IntGaugeVec,
    latency: GaugeVec,
}

impl RuleMetrics {
    pub(super) fn new(m: &Maker) -> Result<Self, Error> {
        Ok(Self {
            sets: m.counters(
                "limiter_rules_sets_total",
                "Sets of rules that were read: applied, unchanged, refused (they change nothing), and failed attempts to read one.",
                &["result"],
            )?,
            calls: m.counters(
                "limiter_rule_calls_total",
                "Calls that a rule let through, and those it held back for a while or refused; those of shadow rules went on.",
                &["rule", "kind", "result"],
            )?,
            threshold: m.gauges(
                "limiter_rule_threshold",
                "A rule's threshold in force, in its unit: calls a second, calls in flight.",
                &["rule", "kind"],
            )?,
            degraded: m.int_gauges("limiter_store_degraded", "1 while Redis is away and the local share limits calls.", &[])?,
            members: m.int_gauges("limiter_store_members", "Relayers that share their limits, this one included.", &[])?,
            latency: m.gauges("limiter_store_latency_seconds", "Time that Redis took for its last answer.", &[])?,
        })
    }
}

impl Metrics {
    /// What came of the sets that were read.
    pub fn rule_sets(&self, health: &Health) {
        let results = [
            ("applied", health.applied),
            ("unchanged", health.unchanged),
            ("refused", health.refused),
            ("failed", health.failed),
        ];
        for (result, count) in results {
            raise(&self.rules.sets, &[result], count);
        }
    }

    /// How the store of shared limits does.
    pub fn store(&self, degraded: bool, members: u32, latency: Duration) {
        let none: &[&str] = &[];
        self.rules.degraded.with_label_values(none).set(degraded.into());
        self.rules.members.with_label_values(none).set(members.into());
        self.rules.latency.with_label_values(none).set(latency.as_secs_f64());
    }

    /// The rules that calls have met.
    pub fn rules(&self, rules: &[RuleView]) {
        let m = &self.rules;
        // Rules that are gone are shown no more.
        m.threshold.reset();
        m.calls.reset();
        for view in rules.iter().take(RULES) {
            let result = if view.shadow { "shadow" } else { "blocked" };
            raise(&m.calls, &[&view.rule, view.kind, "passed"], view.passed);
            raise(&m.calls, &[&view.rule, view.kind, result], view.blocked);
            m.threshold.with_label_values(&[&*view.rule, view.kind]).set(view.threshold_milli as f64 / 1e3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_sets_are_told() {
        let metrics = Metrics::new().unwrap();
        let view = |rule: &str, blocked| RuleView {
            rule: rule.into(),
            kind: "flow",
            shadow: false,
            threshold_milli: 2_500,
            tokens: Some(1),
            passed: 7,
            blocked,
        };
        metrics.rules(&[view("a", 1), view("b", 0)]);
        metrics.rules(&[view("a", 3)]);
        metrics.rule_sets(&Health { applied: 2, refused: 1, ..Health::default() });
        let text = metrics.encode();
        for line in [
            r#"limiter_rule_calls_total{kind="flow",result="blocked",rule="a"} 3"#,
            r#"limiter_rule_threshold{kind="flow",rule="a"} 2.5"#,
            r#"limiter_rules_sets_total{result="refused"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains(r#"rule="b""#), "{text}");
    }
}
