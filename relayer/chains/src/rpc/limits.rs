//! Every bound of the RPC stack, each with its reason.

use std::time::Duration;

/// Largest answer, bytes after decompression: `block_results` of a block with 5,000 transfers is about 20 MB.
pub const BODY_BYTES: usize = 32 * 1024 * 1024;
/// Largest body read beside an HTTP error status: JSON-RPC errors are hundreds of bytes, proxies' pages a few KB.
pub const ERROR_BODY_BYTES: usize = 64 * 1024;
/// Memory reserved at most on a node's word (Content-Length); the rest grows with what really comes.
pub const RESERVED_BYTES: usize = 1024 * 1024;
/// Largest request, bytes: CometBFT's `max_body_bytes` is 1,000,000 and the envelope needs a little.
pub const REQUEST_BYTES: usize = 950_000;
/// Calls in one JSON-RPC batch until a node says less: CometBFT's default `max_request_batch_size`.
pub const BATCH_CALLS: u32 = 10;
/// Calls given to one `batch`: a hundred requests of the default size; more is a caller's fault, not a queue.
pub const CALLS_AT_ONCE: usize = 10_000;
/// Text kept of a node's error, bytes: an SDK error with its stack of wraps is below 2 KiB.
pub const ERROR_TEXT_BYTES: usize = 4 * 1024;
/// One HTTP request from connect to the last byte.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// To reach the node: loopback and continents are far below; beyond it the address is wrong or filtered.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A whole call with its waits and retries, where the caller names no deadline.
pub const CALL_DEADLINE: Duration = Duration::from_secs(60);
/// Requests sent at most for one call to the same set of endpoints.
pub const ATTEMPTS: usize = 4;
/// First pause between attempts; jitter adds up to as much again.
pub const RETRY_MIN: Duration = Duration::from_millis(250);
/// Longest pause between attempts.
pub const RETRY_MAX: Duration = Duration::from_secs(5);
/// A wait at one endpoint longer than this sends the call to the next one.
pub const FAILOVER_WAIT: Duration = Duration::from_millis(500);
/// Endpoints of one chain: more is a list of guesses.
pub const ENDPOINTS: usize = 16;
/// Longest quarantine of an endpoint: an hour, then it may prove itself again.
pub const QUARANTINE_MAX: Duration = Duration::from_secs(3_600);
/// Idle connections kept an endpoint: as many as its calls in flight by default.
pub const IDLE_CONNECTIONS: usize = 16;
/// One WebSocket message, bytes: a `NewBlock` event of a full 4 MB block in base64.
pub const WS_MESSAGE_BYTES: usize = 8 * 1024 * 1024;
/// Wake-ups waiting for their reader: more tell it nothing new, it pulls up to the head anyway.
pub const WAKES: usize = 16;
/// First pause before a new WebSocket connection; jitter adds up to as much again.
pub const WS_RETRY_MIN: Duration = Duration::from_millis(250);
/// Longest pause before a new WebSocket connection: a node restarts in less.
pub const WS_RETRY_MAX: Duration = Duration::from_secs(10);
/// Between pings: proxies drop connections idle for a minute.
pub const WS_PING: Duration = Duration::from_secs(20);
/// Different reads in flight that equal ones may join: ten times what one chain's places in flight admit.
pub const FLIGHTS: usize = 1_024;
/// Answers that tell a method's p95.
pub const HEDGE_SAMPLES: u32 = 20;
/// Over what time a method's p95 is measured: a few blocks, so that a quiet chain knows it, too.
pub const HEDGE_WINDOW: Duration = Duration::from_secs(60);
/// Methods whose latency is kept: more than a relayer calls.
pub const HEDGE_METHODS: usize = 64;
/// Failures in a row that eject an endpoint: a breaker's five, and its first three probes.
pub const EJECT_ERRORS: u32 = 8;
/// Over what time an endpoint's p95 is compared with its peers'.
pub const SLOW_WINDOW: Duration = Duration::from_secs(30);
/// How often endpoints' p95 are compared.
pub const SLOW_CHECK: Duration = Duration::from_secs(1);

/// Lines before the rules that are kept although nobody stands in them: methods times channels of a busy chain.
pub const RULE_LINES: usize = 1_024;
/// How long a caller sleeps at most while a rule holds it back: a replaced set is felt so soon.
pub const RULE_LOOK: Duration = Duration::from_millis(500);
/// How often a caller asks that waits for a call's end or for this machine: an answer takes about as long.
pub const RULE_POLL: Duration = Duration::from_millis(20);
/// A result from this size on is not copied out of its body: the results of a block of 1,000 packets take 4 MB, and two copies of them
/// were a tenth of the memory of a burst.
pub const IN_PLACE_BYTES: usize = 256 * 1024;
/// Characters of a chain's id and of a host in the key of a shared budget, and of its address' hash: together fewer than a key may have.
pub const KEY_PART: usize = 48;
/// See [`KEY_PART`]: 64 bits.
pub const KEY_HASH: usize = 16;
