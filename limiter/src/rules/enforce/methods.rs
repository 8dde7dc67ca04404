//! What a method is worth in quotas where no rule says it: recomputed each minute from its p99 and its errors.
//!
//! Clause: *Three-level quota* (A21) of the limiter page. A method three times slower than usual gets a third of the quota, one that fails
//! half the time the half. Counted are calls that a quota names. Bounds: [`METHODS`]; others weigh 1.

use std::collections::HashMap;
use std::time::Duration;

use limiter_core::Time;
use limiter_core::health::{MethodWeight, Period};
use limiter_core::percentile::Latencies;
use limiter_core::weight::Weight;

use crate::rules::limits::{METHOD_PERIOD, METHODS};

/// The methods that quotas have met.
#[derive(Debug)]
pub(super) struct Methods {
    each: HashMap<Box<str>, Method>,
    /// Of all of them.
    latencies: Latencies,
}

#[derive(Debug)]
struct Method {
    latencies: Latencies,
    since: Time,
    calls: u32,
    errors: u32,
    weight: MethodWeight,
}

impl Methods {
    pub(super) fn new() -> Self {
        Self { each: HashMap::new(), latencies: Latencies::new(METHOD_PERIOD) }
    }

    pub(super) fn weight(&self, method: &str) -> Weight {
        self.each.get(method).map_or(Weight::default(), |method| Weight::clamped(method.weight.permille()))
    }

    /// A call ended. Whether the method's weight is another one now.
    pub(super) fn ended(&mut self, now: Time, name: &str, took: Duration, sound: bool) -> bool {
        if !self.each.contains_key(name) && self.each.len() < METHODS {
            let new = Method {
                latencies: Latencies::new(METHOD_PERIOD),
                since: now,
                calls: 0,
                errors: 0,
                weight: MethodWeight::new(),
            };
            self.each.insert(name.into(), new);
        }
        self.latencies.record(now, took);
        let Some(method) = self.each.get_mut(name) else { return false };
        method.latencies.record(now, took);
        method.calls = method.calls.saturating_add(1);
        method.errors = method.errors.saturating_add(u32::from(!sound));
        if now.since(method.since) < METHOD_PERIOD {
            return false;
        }
        let own = method.latencies.quantile(now, 990).unwrap_or_default();
        let typical = self.latencies.quantile(now, 990).unwrap_or_default();
        let before = method.weight.permille();
        let period = Period { calls: method.calls, errors: method.errors, p95: own, unloaded: false };
        method.weight.update(now, period, own, typical);
        (method.since, method.calls, method.errors) = (now, 0, 0);
        method.weight.permille() != before
    }
}
