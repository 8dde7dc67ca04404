//! Every bound of this crate, each with its reason.

use std::time::Duration;

// Threads

/// Stack of a worker thread: without optimization a deep future takes most of the usual 2 MiB. Address space; what is used counts.
pub const STACK_BYTES: usize = 8 * 1024 * 1024;

// Journal

/// Jobs waiting for the journal's writer: a burst of 1,000 packets in batches, four times; then callers wait.
pub const JOURNAL_QUEUE: usize = 1_024;
/// Jobs committed together: one disk synchronisation for all of them, and a reply within a few milliseconds.
pub const JOURNAL_GROUP: usize = 256;
/// Groups between two prunings.
pub const JOURNAL_PRUNE_EVERY: u64 = 512;
/// Rows one pruning deletes from one table at most, so that it never holds up an attempt for long.
pub const JOURNAL_PRUNE_ROWS: u64 = 5_000;
/// Ended packets kept for the latency history.
pub const JOURNAL_ENDED_PACKETS: u64 = 100_000;
/// Open packets kept: twice what one path holds in memory (`relayer_core::limits::OPEN_PACKETS`).
pub const JOURNAL_OPEN_PACKETS: u64 = 240_000;
/// Resolved attempts kept, for questions about what was sent lately.
pub const JOURNAL_ATTEMPTS: u64 = 50_000;
/// Attempts without an outcome read for one chain: more than all wallets can have in flight.
pub const JOURNAL_OPEN_ATTEMPTS: u64 = 10_000;
/// Pairs of chain, path, message kind and denomination in the fee account: configured things only, this many at most.
pub const JOURNAL_FEE_ROWS: u64 = 10_000;
/// Rows one question for history may return.
pub const JOURNAL_HISTORY_ROWS: u64 = 10_000;
/// One chain's trusted state: a header and two validator sets of 500 take about 150 KiB.
pub const TRUST_BYTES: usize = 4 * 1024 * 1024;
/// The write-ahead log is cut to this size after a checkpoint, bytes.
pub const JOURNAL_WAL_BYTES: u64 = 16 * 1024 * 1024;

// Verification pool

/// Jobs waiting per verification thread (relaying specification: 1024 each).
pub const VERIFY_QUEUE: usize = 1_024;
/// Verification threads at most (relaying specification).
pub const VERIFY_WORKERS_MOST: usize = 32;
/// Clients whose last worker is remembered; beyond it the memory starts anew, which costs a warm cache only.
pub const VERIFY_AFFINITIES: usize = 4_096;

// Telemetry

/// Channels with a label value of their own; all others share `other`.
pub const LABEL_CHANNELS: usize = 1_000;
/// Distinct values of any other label; further ones share `other`.
pub const LABEL_VALUES: usize = 256;
/// Longest label value, bytes.
pub const LABEL_BYTES: usize = 128;
/// Spans waiting for the exporter; further ones are dropped and counted. About 1 KiB each.
pub const SPAN_QUEUE: usize = 8_192;
/// Spans in one export request.
pub const SPAN_BATCH: usize = 512;
/// Longest wait for a fuller export request.
pub const SPAN_LINGER: Duration = Duration::from_millis(500);
/// One export request's time.
pub const SPAN_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest pause after failed exports.
pub const SPAN_BACKOFF: Duration = Duration::from_secs(30);
/// Spans of one packet's trace: six stages, three deliveries, and their retries.
pub const SPANS_PER_PACKET: u32 = 128;

// Admin

/// Admin connections at once: a scraper, a browser, a few scripts.
pub const ADMIN_CONNECTIONS: usize = 32;
/// A client sends its request's head within this time.
pub const ADMIN_HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection lives this long at most, so that idle ones can't use up [`ADMIN_CONNECTIONS`].
pub const ADMIN_CONNECTION_TIME: Duration = Duration::from_secs(60);
/// The admin client waits this long for an answer.
pub const ADMIN_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer the admin client reads: 1,000 channels and 100 paths take less than 1 MiB.
pub const ADMIN_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// Packets with XCM messages that a path shows, the newest: at 1.3 KiB each, those of 100 paths are 4 MiB of an answer.
pub const XCM_PACKETS: usize = 32;
/// Open connections get this long to finish when the relayer stops.
pub const ADMIN_DRAIN: Duration = Duration::from_secs(2);

// Stopping

/// What is left to close after `shutdown_timeout`: with its default of 8 s a stop takes less than the promised 10 s.
pub const CLOSING: Duration = Duration::from_millis(1_800);

// Keys

/// Longest secret: a 24-word mnemonic has about 200 bytes, a hexadecimal key 64.
pub const SECRET_BYTES: usize = 4 * 1024;
/// Largest key file.
pub const KEY_FILE_BYTES: u64 = 64 * 1024;
/// Longest name of a key: it becomes a file name.
pub const KEY_NAME_BYTES: usize = 64;
/// scrypt work factor of new key files, log2: 128 MiB and about half a second a guess.
pub const SCRYPT_LOG_N: u8 = 17;
/// Largest scrypt work factor accepted: 2^20 takes 1 GiB and a few seconds; a planted file can't ask for more.
pub const SCRYPT_LOG_N_MOST: u8 = 20;
/// Keys listed at most.
pub const KEYS_LISTED: usize = 10_000;

// Following, paths, lanes

/// A chain's only node is asked again after this at the latest: a path must come back with it.
pub const ONLY_NODE_OPEN: Duration = Duration::from_secs(5);
/// A header above its chain's head is compared when the chain gets there; one that it does not reach in this time is an alarm.
pub const COMPARE_WAIT: Duration = Duration::from_secs(600);
/// Headers of one path that wait so, together, KiB: 16 of the largest, hundreds of the usual ones. One more is an alarm at once.
pub const COMPARE_KIB: usize = 8 * 1024;
/// Blocks of one chain kept for the paths that have not taken them in yet; the largest (1,000 packets) take about 2 MiB.
pub const FOLLOW_BLOCKS: usize = 24;
/// Waits for the block of a head that a node told, before the head is called a lie: nodes behind one address differ by a block or two.
pub const HEAD_TRIES: u32 = 20;
/// Between them.
pub const HEAD_WAIT: Duration = Duration::from_millis(100);
/// How often a block larger than `max_response_bytes` is asked for, of whichever endpoint serves, before its packets are looked for in state.
pub const UNREADABLE_TRIES: u32 = 5;
/// Blocks fetched ahead of the one being taken in while a path catches up.
pub const FOLLOW_AHEAD: usize = 4;
/// A path further behind than this reads the chain's state instead of every block.
pub const CATCH_UP_BLOCKS: u64 = 300;
/// Inputs waiting for one path's engine; its feeders wait when it is full.
pub const PATH_QUEUE: usize = 256;
/// A packet that times out by height is urgent so many blocks before: two minutes of 6-second blocks, as with time.
pub const URGENT_BLOCKS: u64 = 20;
/// Submissions of one path waiting for one wallet.
pub const SUBMIT_QUEUE: usize = 64;
/// Transactions of one wallet waiting to be signed.
pub const LANE_QUEUE: usize = 128;
/// Transactions of one wallet in flight at most: CometBFT's mempool holds 5,000, and a block of ours is 34 for 1,000 packets.
pub const LANE_IN_FLIGHT: usize = 48;
/// Transactions handed to a node in one request (CometBFT's default batch limit).
pub const LANE_BATCH: usize = 10;
/// How often one transaction is signed anew after an account-sequence mismatch before its path decides again.
pub const LANE_SIGNATURES: u32 = 6;
/// Blocks whose deliveries a wallet remembers, to drop needless messages just before signing.
pub const LANE_MEMORY_BLOCKS: usize = 32;
/// Sequences asked for in one recovery request.
pub const SCAN_SEQUENCES: usize = 500;
