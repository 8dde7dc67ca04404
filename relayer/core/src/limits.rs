//! Every bound of this crate, each with its reason.

/// Longest chain id in bytes: CometBFT's own limit (`MaxChainIDLen`).
pub const CHAIN_ID_BYTES: usize = 50;
/// Largest packet data in bytes accepted from a chain: 64 KiB is twice ibc-go's largest memo (32 KiB) plus the rest of an ICS-20 packet.
pub const PACKET_DATA_BYTES: usize = 64 * 1024;
/// Largest acknowledgement in bytes: ibc-go's are tens of bytes; contracts may write more.
pub const ACK_BYTES: usize = 64 * 1024;
/// Facts taken from one block: 100 transactions of 100 packets, twice.
pub const FACTS_PER_BLOCK: usize = 20_000;
/// XCM messages taken from one block beside its packets: they are for logs and metrics only.
pub const XCM_PER_BLOCK: usize = 256;
/// Packets one path keeps at once: five times the backlog seen in the field (23,757), about 1 KiB each.
pub const OPEN_PACKETS: usize = 120_000;
/// Ended packets kept for `status` and for late facts that would reopen them.
pub const ENDED_PACKETS: usize = 4_096;
/// Proof requests one effect asks for: ten JSON-RPC batches of the default size (10).
pub const PROOFS_PER_EFFECT: usize = 100;
/// Messages in one batch at most, whatever the configuration says.
pub const BATCH_MESSAGES: usize = 100;
/// Tries of one packet's action before it is given up as FAILED.
pub const TRIES: u32 = 12;
/// Longest text from a node kept in an error.
pub const DETAIL_BYTES: usize = 512;
