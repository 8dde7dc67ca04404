//! What limits each chain's calls now, read from its RPC stack for `/limits`, `/status` and the metrics.
//!
//! The stack counts since its start; what happens a second, and the share that is refused, come from two readings some time apart.
//! Bounds: readings of the last ten seconds, [`READINGS`] of each endpoint. Errors: none.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use limiter::{BreakerState, Changes, Level};
use relayer_chains::AnyChain;
use relayer_chains::rpc::{EndpointHealth, LimitView};
use relayer_core::chain::Chain;

use crate::admin::{BreakerChange, BreakerStatus, ChainLimits, EndpointLimits, Out, PerSecond, RuleLimits};

/// What is called "a second" is at least this long.
const SECOND: Duration = Duration::from_secs(1);
/// Over what time the share of refused requests is measured.
const WINDOW: Duration = Duration::from_secs(10);
/// Readings kept of an endpoint: two a second, with some to spare.
const READINGS: usize = 32;

/// Reads one chain's limits again and again.
pub(crate) struct Watch {
    chain: Arc<AnyChain>,
    meters: Vec<Meter>,
}

impl Watch {
    pub(crate) fn new(chain: Arc<AnyChain>) -> Self {
        Self { chain, meters: Vec::new() }
    }

    pub(crate) fn read(&mut self, now: Instant) -> ChainLimits {
        let rpc = self.chain.rpc();
        let (views, health) = (rpc.limits(), rpc.health());
        self.meters.resize_with(views.len(), Meter::default);
        let endpoints = views
            .iter()
            .zip(&health)
            .zip(&mut self.meters)
            .map(|((view, health), meter)| endpoint(view, health, meter.read(now, Counts::of(view))));
        let (copied_reads, retries_left) = rpc.extra_calls();
        ChainLimits { id: self.chain.id().to_string(), endpoints: endpoints.collect(), copied_reads, retries_left }
    }
}

/// The rules that calls have met. All chains of a program share them.
pub(crate) fn rules(chain: &AnyChain) -> Vec<RuleLimits> {
    let views = chain.rpc().rules().map(|gate| gate.view()).unwrap_or_default();
    let rules = views.into_iter().map(|view| RuleLimits {
        rule: view.rule.to_string(),
        kind: view.kind.to_owned(),
        shadow: view.shadow,
        threshold: thousandths(view.threshold_milli),
        tokens: view.tokens,
        passed: view.passed,
        blocked: view.blocked,
    });
    rules.collect()
}

fn endpoint(view: &LimitView, health: &EndpointHealth, rates: (PerSecond, f64)) -> EndpointLimits {
    let refused_by = Level::ALL.into_iter().map(|level| (level.label().to_owned(), view.refusals.of(level)));
    EndpointLimits {
        endpoint: view.endpoint.label().to_string(),
        archive: health.archive,
        rate: thousandths(view.rate_milli),
        rate_share: thousandths(view.limit_permille.into()),
        learned_rate: view.learned_milli.map(thousandths),
        burst: view.burst,
        tokens: view.tokens,
        queue: view.queue_depth.into(),
        in_flight: view.in_flight.into(),
        in_flight_limit: view.in_flight_limit.into(),
        reads: breaker(view.reads, view.reads_from, &view.read_changes),
        broadcasts: breaker(view.broadcasts, view.broadcasts_from, &view.broadcast_changes),
        held_off_ms: view.held_off.map(ms),
        out: health.quarantine.map(|(reason, left)| Out { reason: reason.to_owned(), left_ms: ms(left) }),
        rule: view.rule.to_owned(),
        wait_ms: view.wait.map_or(0, ms),
        health: thousandths(view.health_permille.into()),
        admitted: view.admitted,
        completed: view.completed,
        throttled: view.throttled,
        refused: view.refused,
        refused_by: refused_by.filter(|(_, count)| *count > 0).collect(),
        per_second: rates.0,
        reject_ratio: rates.1,
    }
}

fn breaker(state: BreakerState, until: Option<Duration>, changes: &Changes) -> BreakerStatus {
    let changes = changes.happened().map(|(from, to, count)| BreakerChange {
        from: word(from).to_owned(),
        to: word(to).to_owned(),
        count,
    });
    BreakerStatus { state: word(state).to_owned(), until_ms: until.map(ms), changes: changes.collect() }
}

const fn word(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::Open => "open",
        BreakerState::HalfOpen => "half_open",
    }
}

fn thousandths(milli: u64) -> f64 {
    milli as f64 / 1e3
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Counted since the start; the queue is what it is.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    admitted: u64,
    throttled: u64,
    refused: u64,
    queue: u64,
}

impl Counts {
    fn of(view: &LimitView) -> Self {
        let (admitted, throttled, refused) = (view.admitted, view.throttled, view.refused);
        Self { admitted, throttled, refused, queue: view.queue_depth.into() }
    }
}

/// Readings of one endpoint, oldest first.
#[derive(Debug, Default)]
struct Meter(VecDeque<(Instant, Counts)>);

impl Meter {
    /// Requests of the last second, and the share of refused ones in the last ten.
    fn read(&mut self, now: Instant, counts: Counts) -> (PerSecond, f64) {
        let age = |at: Instant| now.saturating_duration_since(at);
        while self.0.len() >= READINGS || self.0.front().is_some_and(|(at, _)| age(*at) > WINDOW) {
            self.0.pop_front();
        }
        let second = self.0.iter().rev().find(|(at, _)| age(*at) >= SECOND).or(self.0.front()).copied();
        let window = self.0.front().copied();
        self.0.push_back((now, counts));
        let (Some((at, then)), Some((_, first))) = (second, window) else { return Default::default() };
        let span = age(at).as_secs_f64();
        let rate = |now: u64, then: u64| if span > 0.0 { now.saturating_sub(then) as f64 / span } else { 0.0 };
        let asked = |c: Counts| c.admitted.saturating_add(c.refused).saturating_add(c.queue);
        let per_second = PerSecond {
            asked: rate(asked(counts), asked(then)),
            admitted: rate(counts.admitted, then.admitted),
            throttled: rate(counts.throttled, then.throttled),
            refused: rate(counts.refused, then.refused),
        };
        let refused = counts.refused.saturating_sub(first.refused);
        let admitted = counts.admitted.saturating_sub(first.admitted);
        let all = refused.saturating_add(admitted);
        (per_second, if all > 0 { refused as f64 / all as f64 } else { 0.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(admitted: u64, refused: u64, queue: u64) -> Counts {
        Counts { admitted, throttled: 0, refused, queue }
    }

    #[test]
    fn rates_are_of_the_last_second_and_the_refused_share_of_the_last_ten() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(meter.read(at(0), counts(100, 50, 0)), (PerSecond::default(), 0.0));
        let (early, share) = meter.read(at(500), counts(110, 60, 0));
        assert_eq!((early.admitted, early.refused, early.asked, share), (20.0, 20.0, 40.0, 0.5));
        let (later, share) = meter.read(at(1_500), counts(140, 60, 5));
        assert_eq!((later.admitted, later.refused, later.asked, share), (30.0, 0.0, 35.0, 0.2));
        // The refusals are ten seconds ago and more.
        let (idle, share) = meter.read(at(11_000), counts(150, 60, 0));
        assert_eq!((idle.refused, share), (0.0, 0.0));
        assert_eq!(meter.0.len(), 2);
    }

    #[test]
    fn readings_are_bounded_however_often_they_come() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        for n in 0..1_000 {
            meter.read(start, counts(n, 0, 0));
        }
        assert_eq!(meter.0.len(), READINGS);
    }
}
