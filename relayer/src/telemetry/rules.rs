//! The metrics of rules: what came of the sets that were read, and what each rule let through.
//!
//! Spec: "What it reports" of the limiter specification. Rules are named by the sets' authors: [`RULES`] of them are shown at most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use limiter::rules::enforce::RuleView;
use limiter::rules::source::Health;
use prometheus::{Error, GaugeVec, IntCounterVec, IntGaugeVec};

use super::limiter::raise;
use super::maker::Maker;
use super::metrics::Metrics;

/// Rules that are shown: those that calls met first.
const RULES: usize = 256;

/// A rule's id, its kind, and what came of its calls.
type Series = (Arc<str>, &'static str, &'static str);

#[derive(Debug)]
pub(super) struct RuleMetrics {
    sets: IntCounterVec,
    calls: IntCounterVec,
    /// What is there of `calls`.
    shown: Mutex<HashMap<Series, u64>>,
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
            shown: Mutex::default(),
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
        let mut counted: HashMap<Series, u64> = HashMap::new();
        for view in rules.iter().take(RULES) {
            let result = if view.shadow { "shadow" } else { "blocked" };
            for (result, total) in [("passed", view.passed), (result, view.blocked)] {
                let count = counted.entry((view.rule.clone(), view.kind, result)).or_default();
                *count = total.max(*count);
            }
            m.threshold.with_label_values(&[&*view.rule, view.kind]).set(view.threshold_milli as f64 / 1e3);
        }
        let mut shown = m.shown.lock().unwrap_or_else(PoisonError::into_inner);
        // Only series that are gone, or began anew, are removed: one removed and made again would be read as a restart, and all its
        // calls counted twice.
        for ((rule, kind, result), before) in &*shown {
            let now = counted.get(&(rule.clone(), *kind, *result));
            if now.is_none_or(|now| now < before) {
                m.calls.remove_label_values(&[&**rule, *kind, *result]).ok();
            }
            if now.is_none() && *result == "passed" {
                m.threshold.remove_label_values(&[&**rule, *kind]).ok();
            }
        }
        for ((rule, kind, result), total) in &counted {
            raise(&m.calls, &[&**rule, *kind, *result], *total);
        }
        *shown = counted;
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
        let shown = metrics.rules.calls.with_label_values(&["a", "flow", "blocked"]);
        metrics.rules(&[view("a", 3)]);
        // The same series all along: one made anew would be 0 to who reads just then.
        assert_eq!(shown.get(), 3);
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
        // A rule that went and came back between two looks counts from its start.
        metrics.rules(&[view("a", 2)]);
        let text = metrics.encode();
        assert!(text.contains(r#"limiter_rule_calls_total{kind="flow",result="blocked",rule="a"} 2"#), "{text}");
    }
}
