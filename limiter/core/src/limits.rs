//! Every bound of this crate, each with its reason.

use core::time::Duration;

/// Most half-open probes of a breaker: their leases live in a fixed array, so a breaker needs no allocation.
pub const PROBES: usize = 8;
/// Highest rate of a bucket, tokens a period: keeps `time * rate` far inside 128 bits.
pub const RATE_TOKENS: u64 = 1_000_000_000;
/// Longest period of a rate: a day, the coarsest quota a provider sells.
pub const RATE_PERIOD: Duration = Duration::from_secs(86_400);
/// Largest burst: a thousand seconds of the fastest endpoint seen.
pub const BURST: u64 = 1_000_000_000;
/// Largest doubling of a breaker's open time: 2^6, after which `open_max` has long taken over.
pub const OPEN_DOUBLINGS: u32 = 6;
/// Most buckets of a breaker's statistics: the spec's default geometry, 500 ms of 10 s; a breaker stays below half a KiB.
pub const BREAKER_BUCKETS: usize = 20;
/// Changes of a breaker's state that wait for a listener: a whole cycle (open, half-open, closed) and one more.
pub const BREAKER_TRANSITIONS: usize = 4;
/// Cells of a latency histogram: eight to a doubling from 131 us reach 137 s, longer than any node's timeout.
pub const CELLS: usize = 168;
/// Highest base of an adaptive threshold, calls a second: keeps the formula's product inside 128 bits.
pub const THRESHOLD_BASE: u64 = 1_000_000_000;
/// Fewer calls in a period are too few to open a breaker by, or to judge a method by.
pub const ADAPT_MIN_REQUESTS: u32 = 20;
/// The latency reference of the spec's formula; no method gets a lower one.
pub const REFERENCE_MIN: Duration = Duration::from_millis(500);
/// No method gets a higher one: a node that learned us to wait would never look slow.
pub const REFERENCE_MAX: Duration = Duration::from_secs(10);
/// Smallest weight, thousandths (A18).
pub const WEIGHT_MIN_PERMILLE: u32 = 100;
/// Largest weight, thousandths (A18).
pub const WEIGHT_MAX_PERMILLE: u32 = 5_000;
/// Highest rate of a pacer, thousandths of a call a second: a million calls a second, 1 us apart, keeps ns exact enough (0.1 %).
pub const PACE_MAX: u64 = 1_000_000_000;
/// Calls of a pacer's climb, and as many of its probe: a throttle or two for each pair stays near a hundredth of the replies.
pub const PACE_PROBE_CALLS: u64 = 110;
/// Longest Retry-After obeyed: a hostile one would silence an endpoint for good; ten minutes is the longest cool-down that a
/// public provider documents.
pub const HOLD_OFF_MAX: Duration = Duration::from_secs(600);
/// Most calls in flight that a gradient allows: more than any node's connection limit seen.
pub const IN_FLIGHT_MAX: u32 = 100_000;
/// Most ticks of a full cell: a quarter of 64 bits, so that a backlog and a cost can't overflow.
pub const CELL_TICKS: u64 = 1 << 62;
/// Most ticks that drain in a nanosecond: thousandth weights of any rate fit with a millionth to spare.
pub const CELL_TOKENS: u64 = 1 << 32;
/// Smallest weight of a quota, thousandths: a heavy method keeps a tenth.
pub const WEIGHT_MIN_MILLI: u32 = 100;
/// Largest weight of a quota, thousandths.
pub const WEIGHT_MAX_MILLI: u32 = 5_000;
/// Most steps of a window: 10 s in steps of 10 ms, 57 KiB.
pub const WINDOW_STEPS: u32 = 1_000;
/// The shortest answer before there was one (as B25 has it): 60 s, so that a minimum is always a number.
pub const MIN_RT_UNKNOWN: Duration = Duration::from_secs(60);
/// Highest threshold that warms up, calls a second: keeps its store of tokens inside 64 bits.
pub const WARM_UP_THRESHOLD: u64 = 1_000_000_000;
/// Longest warm-up: an hour; longer is another limit, not a warm-up.
pub const WARM_UP_PERIOD: Duration = Duration::from_secs(3_600);
/// Most values of a hot parameter: about 12 MiB.
pub const HOT_VALUES: usize = 100_000;
/// So many of the least recently used values are looked at for one without calls in flight.
pub const HOT_SCAN: usize = 16;
/// Longest limit key, characters.
pub const KEY_CHARS: usize = 128;
/// Most keys interned at once: ten chains of ten thousand channels.
pub const KEYS: usize = 100_000;
/// Most endpoints, channels or methods of one chain: 10,000 rules, with room.
pub const RESOURCES: u16 = 20_000;
/// Most retries saved up: ten seconds of the drip.
pub const RETRY_BUDGET: u64 = 100;
/// Most hedges saved up: more at once would double a burst of reads when a node stalls.
pub const HEDGE_BUDGET: u64 = 10;
/// No hedge sooner than this after the first try: below it lies the noise of one host.
pub const HEDGE_MIN: Duration = Duration::from_millis(5);
/// Most flows of a fair queue: channels of one chain that a relayer serves.
pub const FLOWS: usize = 4_096;
/// Most items of one flow: ten blocks of a spammed channel.
pub const FLOW_ITEMS: usize = 10_000;
/// Most items of a priority queue: what a relayer has planned for one chain.
pub const QUEUE_ITEMS: usize = 10_000;
/// A client this near its expiry goes before packets: time for a dozen failed updates.
pub const CLIENT_URGENT: Duration = Duration::from_secs(3_600);
/// A packet this near its timeout goes before others: a few blocks of a slow chain and its finality.
pub const PACKET_URGENT: Duration = Duration::from_secs(120);
/// Endpoints of one chain: more than any configuration seen; they live in a fixed array.
pub const ENDPOINTS: usize = 16;
/// Longest ejection: an endpoint that was repaired is found within ten minutes.
pub const EJECT_MAX: Duration = Duration::from_secs(600);
/// Largest doubling of an ejection: 2^10, after which the longest one has long taken over.
pub const EJECT_DOUBLINGS: u32 = 10;
/// Endpoint faults that end a roll-out (A49: 5xx > 50).
pub const ROLL_OUT_FAULTS: u64 = 50;
