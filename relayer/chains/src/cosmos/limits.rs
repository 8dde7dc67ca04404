//! Every bound of the reading half, each with its reason.

use std::time::Duration;

/// Largest transaction decoded to find the messages in it: CometBFT's default `max_tx_bytes` is 1 MiB.
pub const TX_BYTES: usize = 1024 * 1024;
/// Transactions of one block: more are not read; at 100 bytes each they fill CometBFT's largest default block (4 MiB, 21 MiB at most).
pub const TXS_PER_BLOCK: usize = 50_000;
/// Events of one transaction or block phase that are looked at: 100 packets with 12 events each, eight times.
pub const EVENTS: usize = 10_000;
/// Attributes of one event that are looked at: IBC events have at most 14.
pub const ATTRIBUTES: usize = 64;
/// Sequences in one unreceived or acknowledgement query: 20 kB of request, about 1 ms of the node's time.
pub const SEQUENCES_PER_QUERY: usize = 1_000;
/// Entries in one page of a state query: 5,000 commitments are about 500 kB.
pub const PAGE: u64 = 5_000;
/// Pages read at most: 250,000 open packets.
pub const PAGES: usize = 50;
/// Block look-ups at once while history is searched: half of a JSON-RPC batch, one HTTP request.
pub const LOOKUPS: usize = 5;
/// Blocks scanned backwards at most when a node has no transaction index: about a day of 6-second blocks.
pub const SCAN_BLOCKS: u64 = 15_000;
/// Blocks of one scanning step: five HTTP requests of the default batch.
pub const SCAN_STEP: u64 = 25;
/// Values read with one `query` call.
pub const PATHS_PER_QUERY: usize = 2_000;
/// Largest value of the IBC store accepted, bytes: client states of other chains are the largest, wasm ones below 100 kB.
pub const VALUE_BYTES: usize = 512 * 1024;
/// Operations in one proof: two trees, and one spare.
pub const PROOF_OPS: usize = 4;
/// Validators of a page of `/validators`: CometBFT's own maximum.
pub const VALIDATORS_PAGE: usize = 100;
/// Verified light blocks kept: half an hour of 6-second blocks and the clients' trusted ones; 100 kB each at 150 validators.
pub const LIGHT_BLOCKS: usize = 256;
/// Bisection steps, each with a header fetched, for one target: a bisection over 2^63 heights needs 63 a set change.
pub const BISECTION_STEPS: usize = 200;
/// Headers walked backwards below the lowest verified one: 2,000 in one request of ten pages of twenty, five times.
pub const BACKWARD_HEADERS: u64 = 10_000;
/// Headers of one page of `/blockchain`: CometBFT's own maximum.
pub const BLOCKCHAIN_PAGE: u64 = 20;
/// Headers in one update of a client: bisection of a set that changed wholly, many times over.
pub const UPDATE_HEADERS: usize = 64;
/// Between polls of the head while the event stream is silent: a fast block.
pub const POLL: Duration = Duration::from_millis(500);
/// Between polls of the head while the event stream wakes us: the watchdog of a stream that stalls.
pub const POLL_WATCHDOG: Duration = Duration::from_secs(3);
/// Polls of the head between two questions for the heights of the other endpoints: ten seconds by default.
pub const COMPARE_POLLS: u32 = 20;
/// How long an endpoint that lied is not asked.
pub const QUARANTINE: Duration = Duration::from_secs(300);
/// How long an endpoint that is catching up, or whose answer can't be decoded, is not asked.
pub const QUARANTINE_CATCHING_UP: Duration = Duration::from_secs(20);
/// A missing result this far below the head is pruned, not late.
pub const LATE_BLOCKS: u64 = 5;
/// Waits for a height that an endpoint has not got yet though another had it.
pub const NOT_YET_TRIES: usize = 20;
/// Between them.
pub const NOT_YET_WAIT: Duration = Duration::from_millis(100);
