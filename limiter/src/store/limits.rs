//! Every bound of the shared store, each with its reason.

use std::time::Duration;

/// A decision waits for the store no longer; then the local share decides. The goal is 50 ms, the timer's grain and a busy
/// machine take some of it.
pub const DECISION_TIMEOUT: Duration = Duration::from_millis(30);
/// A command without an answer for this long: the connection is given up.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_millis(1_000);
/// Opening a connection, for a machine on another continent.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(2_000);
/// How often a lost store is tried again.
pub const PROBE_INTERVAL: Duration = Duration::from_millis(200);
/// Longest time on the local share after a loss: a return empties the buckets of all members, so one whose losses come often, for it
/// alone is slow, must not return often.
pub const RETURN_HOLD_MAX: Duration = Duration::from_secs(10);
/// A member connected for so long counts as steady: its next return waits for nothing.
pub const STEADY: Duration = Duration::from_secs(30);
/// How often a member says it is there.
pub const HEARTBEAT: Duration = Duration::from_millis(1_000);
/// A member that was silent for so long counts no more: three heartbeats.
pub const MEMBER_LIFETIME: Duration = Duration::from_millis(3_000);
/// Whoever was heard within this is there: a heartbeat, and half of one for a slow machine.
pub const MEMBER_FRESH: Duration = Duration::from_millis(1_500);
/// Members that are back wait for each other, and look so often whether all are: those that look later add their shares for as long.
pub const GATHER: Duration = Duration::from_millis(20);
/// Topology is asked for anew: a Sentinel's master, a cluster's slots (DNS caches live as long).
pub const TOPOLOGY_REFRESH: Duration = Duration::from_secs(30);
/// Decisions in one script call: a script blocks the server, 64 of five levels run about half a millisecond.
pub const BATCH: usize = 64;
/// Batches under way at once: the next is made while one is on the wire.
pub const BATCHES_IN_FLIGHT: usize = 4;
/// Scripts asked for one batch: the wrong engine's, the right one's, and once more if the members changed it in between.
pub const ENGINE_TRIES: usize = 3;
/// Decisions waiting for a batch: as many as 40 ms hold at 100,000 a second.
pub const QUEUE: usize = 4_096;
/// Levels of one decision: global, endpoint, chain, channel, method, and three to spare.
pub const LEVELS: usize = 8;
/// Tokens in a leased block when the budget is large enough.
pub const LEASE_BLOCK: u64 = 50;
/// Largest leased block, which a fast consumer grows to.
pub const LEASE_BLOCK_MAX: u64 = 10_000;
/// A block that lasts less is doubled, so that the round trip is hidden.
pub const LEASE_GOAL: Duration = Duration::from_millis(5);
/// At saturation a lease waits for what drips in meanwhile: fewer calls, no longer waits than a person notices.
pub const LEASE_PATIENCE: Duration = Duration::from_millis(50);
/// A refusal is remembered no longer: another member's refund may have undone it.
pub const REFUSAL_MEMORY: Duration = Duration::from_millis(100);
/// Longest lease: what a process that dies takes with it.
pub const LEASE_TTL_MAX: Duration = Duration::from_millis(1_000);
/// What is left of a lease is given back this long before its end.
pub const LEASE_RETURN: Duration = Duration::from_millis(10);
/// How often leases are looked through.
pub const LEASE_SWEEP: Duration = Duration::from_millis(5);
/// Characters of a key.
pub const KEY_CHARS: usize = 128;
/// Characters of a domain or member name.
pub const NAME_CHARS: usize = 64;
/// Bytes of a versioned value.
pub const VALUE_BYTES: usize = 1 << 20;
/// `burst * period_us` stays below: products of the script are exact to 2^53, and two of them are added.
pub const BURST_PERIOD: u64 = 1 << 51;
/// Longest period: a day, the coarsest quota a provider sells.
pub const PERIOD_US: u64 = 86_400_000_000;
/// Keys of the local share or of known refusals in one process; the spec's idle keys.
pub const LOCAL_KEYS: usize = 100_000;
/// How far a wall clock may lie ahead of ours before its stamp is refused (hybrid logical clock).
pub const CLOCK_AHEAD_MS: u64 = 60_000;
/// Longest wait that is believed: asking again after an hour costs nothing.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// Local clock grain of waits without a better answer.
pub const SHORTEST_WAIT: Duration = Duration::from_millis(1);
