//! What limits calls to one endpoint, as plain data: for `relayer limits`, `/status` and the metrics.

use std::sync::atomic::Ordering;
use std::time::Duration;

use limiter::{Call, Changes, Level, Refusals, Time};

use super::endpoint_url::EndpointId;
use super::endpoints::Endpoint;

pub use limiter::BreakerState;

/// One endpoint's limits now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitView {
    /// Which endpoint.
    pub endpoint: EndpointId,
    /// The level that binds next: what a read of one token would be refused by now, else the rate that is in force.
    pub level: Level,
    /// Its rule's name: the level's label, the same word as in refusals and spans.
    pub rule: &'static str,
    /// Would a read have to wait now, and how long?
    pub wait: Option<Duration>,
    /// Configured, thousandths of a call a second.
    pub rate_milli: u64,
    /// Learned from throttles, thousandths of a call a second; none while the configured rate alone binds.
    pub learned_milli: Option<u64>,
    /// The share of the configured rate in force: health, open breaker, recovery.
    pub limit_permille: u32,
    /// Whole tokens there now.
    pub tokens: u64,
    /// Most tokens.
    pub burst: u64,
    /// Requests waiting for admission.
    pub queue_depth: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// How many may be.
    pub in_flight_limit: u32,
    /// The breaker of reads.
    pub reads: BreakerState,
    /// How much longer no read, or no probe, may leave.
    pub reads_from: Option<Duration>,
    /// How its state changed, since the start.
    pub read_changes: Changes,
    /// The breaker of broadcasts.
    pub broadcasts: BreakerState,
    /// How much longer no broadcast, or no probe, may leave: this breaker, or a full mempool.
    pub broadcasts_from: Option<Duration>,
    /// How its state changed, since the start.
    pub broadcast_changes: Changes,
    /// How much longer the node's Retry-After, or the pause after throttles in a row, holds all calls off.
    pub held_off: Option<Duration>,
    /// Health of the last ten seconds with calls, thousandths.
    pub health_permille: u32,
    /// Requests that were let through.
    pub admitted: u64,
    /// Requests that came back.
    pub completed: u64,
    /// Thereof throttled by the node.
    pub throttled: u64,
    /// Requests that our own limits refused.
    pub refused: u64,
    /// Thereof by what refused them.
    pub refusals: Refusals,
}

pub(crate) fn of(endpoint: &Endpoint, now: Time) -> LimitView {
    let limited = &endpoint.limited;
    let snapshot = limited.limiter.snapshot(now);
    let refusal = limited.limiter.peek(now, &Call::read(1));
    let left = |until: Option<Time>| until.map(|until| until.since(now));
    let level = match (refusal, snapshot.learned_milli) {
        (Some(refusal), _) => refusal.level,
        (None, Some(_)) => Level::Pace,
        (None, None) => Level::Rate,
    };
    LimitView {
        endpoint: endpoint.id.clone(),
        level,
        rule: level.label(),
        wait: refusal.map(|refusal| refusal.not_before.since(now)),
        rate_milli: snapshot.rate_milli,
        learned_milli: snapshot.learned_milli,
        limit_permille: snapshot.limit_permille,
        tokens: snapshot.tokens,
        burst: snapshot.burst,
        queue_depth: limited.queued.load(Ordering::Relaxed),
        in_flight: snapshot.in_flight,
        in_flight_limit: snapshot.in_flight_limit,
        reads: snapshot.breaker,
        reads_from: left(snapshot.reads_from),
        read_changes: snapshot.read_changes,
        broadcasts: snapshot.broadcast_breaker,
        broadcasts_from: left(snapshot.broadcasts_from),
        broadcast_changes: snapshot.broadcast_changes,
        held_off: left(snapshot.held_until),
        health_permille: snapshot.health_permille,
        admitted: snapshot.admitted,
        completed: snapshot.completed,
        throttled: snapshot.throttled,
        refused: snapshot.refusals.total(),
        refusals: snapshot.refusals,
    }
}
