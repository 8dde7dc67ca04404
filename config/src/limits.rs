//! Every bound of this crate, each with its reason. [`Bound`]s are the ranges of numbers in the file; their reason is shown to the user.

/// Largest configuration file in bytes: a thousand chains fit in it; more is some other file.
pub const FILE_BYTES: usize = 1024 * 1024;
/// Problems reported at once: more don't fit on a screen.
pub const PROBLEMS: usize = 50;
/// Characters of a value quoted in a message: enough to find it, too few to flood a terminal.
pub const QUOTED_CHARS: usize = 60;
/// Chains in one file: each costs a socket, a follower and a share of the queues.
pub const CHAINS: usize = 256;
/// Paths in one file: each costs an engine with bounded queues.
pub const PATHS: usize = 1024;
/// Channels of one path: each is watched on both ends.
pub const CHANNELS: usize = 256;
/// RPC addresses of one chain: failover among more only hides that all are bad.
pub const RPC_ADDRESSES: usize = 16;
/// Patterns in one allow or deny list: each packet is held against all of them.
pub const PATTERNS: usize = 256;
/// Excluded sequences of one channel and direction: exclusion is for single packets; a filter stops a flood.
pub const EXCLUDED_SEQUENCES: usize = 10_000;
/// Entries of `methods`, `endpoints` or `channels` in one table of limits: every call of the chain is held against all of them.
pub const NARROW_LIMITS: usize = 256;
/// Longest name of an RPC method or of a key in etcd.
pub const RULE_NAME_BYTES: usize = 128;
/// Longest name of a path or key: it becomes a file name and a metric label.
pub const NAME_BYTES: usize = 64;
/// Longest memo prefix in bytes: a part of the Cosmos SDK's default `max_memo_characters` (256), the rest is the relayer's.
pub const MEMO_PREFIX_BYTES: usize = 128;
/// Longest account prefix: BIP-173 allows 83 characters of human readable part in 90.
pub const ACCOUNT_PREFIX_BYTES: usize = 83;
/// Longest bech32 text: 90 by BIP-173.
pub const ADDRESS_BYTES: usize = 90;
/// Longest IBC store prefix in bytes: it opens every proof path; ibc-go's is `ibc`.
pub const STORE_PREFIX_BYTES: usize = 64;
/// Longest denomination: the Cosmos SDK's own limit.
pub const DENOM_BYTES: usize = 128;
/// Digits of a price or amount, leading zeros apart: with them gas times price stays below 2^128.
pub const DECIMAL_DIGITS: usize = 18;
/// Longest service name: it labels every span.
pub const SERVICE_NAME_BYTES: usize = 64;
/// Longest channel version: ibc-go refuses more than a few KiB; ICS-27 versions are a few hundred bytes.
pub const VERSION_BYTES: usize = 4096;
/// Worker threads at most when the file names a number: `min(32, 2 x CPU)`.
pub const VERIFY_WORKERS_MOST: usize = 32;
/// Worker threads at most by default: `min(16, 2 x CPU)`.
pub const VERIFY_WORKERS_DEFAULT: usize = 16;

/// Range of a number in the file.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Least allowed.
    pub min: u64,
    /// Most allowed.
    pub max: u64,
    /// Taken when the file names none.
    pub default: u64,
    /// Why the range ends there.
    pub reason: &'static str,
}

const fn bound(min: u64, max: u64, default: u64, reason: &'static str) -> Bound {
    Bound { min, max, default, reason }
}

/// `global.verify_workers`.
pub const VERIFY_WORKERS: Bound =
    bound(0, 32, 0, "0 means min(16, 2 x CPU); more threads than that only wait for each other");
/// `global.shutdown_timeout_ms`. The default leaves 2 s of the promised 10 s for the last journal writes.
pub const SHUTDOWN_TIMEOUT_MS: Bound = bound(100, 600_000, 8_000, "service managers kill what takes longer");
/// `limits.requests_per_second`.
pub const REQUESTS_PER_SECOND: Bound = bound(1, 100_000, 50, "0 would stop the chain, and no node answers more");
/// `limits.burst`.
pub const BURST: Bound = bound(1, 100_000, 100, "0 would stop the chain, and no node answers more at once");
/// `limits.in_flight`.
pub const IN_FLIGHT: Bound = bound(1, 1_024, 32, "0 would stop the chain; CometBFT serves 900 connections by default");
/// `limits.request_timeout_ms`.
pub const REQUEST_TIMEOUT_MS: Bound =
    bound(100, 300_000, 10_000, "shorter fails on healthy nodes, longer hides dead ones");
/// `limits.max_response_bytes`. Big blocks have results of tens of megabytes.
pub const MAX_RESPONSE_BYTES: Bound = bound(
    65_536,
    268_435_456,
    33_554_432,
    "a smaller cap refuses ordinary blocks, a larger one lets a node fill the memory",
);
/// `limits.retry_attempts`.
pub const RETRY_ATTEMPTS: Bound = bound(0, 20, 5, "retries are charged, too; more only load a sick node");
/// `limits.methods.weight`.
pub const METHOD_WEIGHT: Bound = bound(1, 1_000, 1, "a call costs at least one token, and no call a thousand others");
/// `limits.rules.interval_ms` of a file, in which half a second passes between two looks by default.
pub const RULES_FILE_MS: Bound = bound(100, 3_600_000, 500, "more often only warms the machine");
/// `limits.rules.interval_ms` of an address.
pub const RULES_HTTP_MS: Bound =
    bound(1_000, 3_600_000, 5_000, "more often loads the server, and rules are no emergency brake");
/// `chains.coin_type`: a hardened BIP-44 index has 31 bits.
pub const COIN_TYPE: Bound = bound(0, 2_147_483_647, 118, "a BIP-44 coin type has 31 bits");
/// `chains.ss58_prefix`: 42 stands for any Substrate network.
pub const SS58_PREFIX: Bound = bound(0, 16_383, 42, "an SS58 prefix has 14 bits");
/// `chains.gas.max_per_tx`.
pub const GAS_MAX_PER_TX: Bound =
    bound(100_000, 1_000_000_000_000, 25_000_000, "one client update alone needs about 100000");
/// `chains.gas.default_per_message`. A receive needs 76,000 in batches, 87,000 in small ones.
pub const GAS_DEFAULT_PER_MESSAGE: Bound = bound(10_000, 1_000_000_000, 150_000, "no IBC message costs less");
/// `chains.trusted.height`.
pub const TRUSTED_HEIGHT: Bound =
    bound(1, 9_223_372_036_854_775_807, 1, "the first block is 1 and CometBFT heights have 63 bits");
/// `chains.client.trusting_period_s`.
pub const TRUSTING_PERIOD_S: Bound =
    bound(60, 31_536_000, 0, "a client must live longer than its next refresh and shorter than the unbonding period");
/// `chains.client.max_clock_drift_ms`.
pub const MAX_CLOCK_DRIFT_MS: Bound =
    bound(100, 600_000, 15_000, "less refuses honest headers, more accepts headers from the future");
/// `chains.tx_timeout_blocks`.
pub const TX_TIMEOUT_BLOCKS: Bound =
    bound(1, 10_000, 20, "a transaction that is not in a block by then is signed anew");
/// `chains.max_tx_bytes`.
pub const MAX_TX_BYTES: Bound =
    bound(10_000, 4_194_304, 180_000, "a header of 100 validators needs 10 kB or more, a block seldom takes 4 MiB");
/// `chains.block_time_ms`.
pub const BLOCK_TIME_MS: Bound = bound(50, 600_000, 6_000, "it paces the watchdog of silent sockets");
/// `paths.batch.messages`.
pub const BATCH_MESSAGES: Bound =
    bound(1, relayer_core::limits::BATCH_MESSAGES as u64, 30, "larger batches outgrow a block's gas");
/// `paths.batch.bytes`. Its default is 9/10 of the smaller `max_tx_bytes` of the two chains.
pub const BATCH_BYTES: Bound = bound(1_000, 4_194_304, 162_000, "a batch must fit one transaction");
/// `paths.batch.linger_ms`.
pub const BATCH_LINGER_MS: Bound = bound(0, 60_000, 100, "a packet waits that long for company");
/// `paths.clear.interval_s`.
pub const CLEAR_INTERVAL_S: Bound =
    bound(0, 86_400, 300, "0 means never; a packet missed for more than a day has timed out");
/// `paths.max_memo_bytes`: ibc-go's MaximumMemoLength.
pub const MAX_MEMO_BYTES: Bound = bound(0, 32_768, 32_768, "ibc-go refuses memos above 32768 bytes");
/// `paths.max_receiver_bytes`: ibc-go's MaximumReceiverLength.
pub const MAX_RECEIVER_BYTES: Bound = bound(1, 2_048, 2_048, "ibc-go refuses receivers above 2048 bytes");
/// `excluded_sequences`.
pub const SEQUENCE: Bound = bound(1, 9_223_372_036_854_775_807, 1, "the first packet of a channel is 1");
