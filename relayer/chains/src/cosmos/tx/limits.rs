//! Every bound of the paying half, each with its reason.

use std::time::Duration;

/// Longest secret text, bytes: 24 words of 8 letters with spaces have 215.
pub(crate) const SECRET_BYTES: usize = 512;
/// Message kinds the gas model tells apart: ibc-go's 14 and the types of users' own messages; others are simulated always.
pub(crate) const GAS_KINDS: usize = 64;
/// Samples of a kind and size before its gas is predicted: a simulation, and the block that confirms it.
pub(crate) const GAS_SAMPLES: u32 = 2;
/// Gas of one byte of a transaction: the SDK's default `tx_size_cost_per_byte`. Another value only shifts what is learned a message.
pub(crate) const GAS_PER_BYTE: u64 = 10;
/// Gas of a transaction beside its messages: fee deduction, signature and account cost 40,000 to 60,000; the messages' figures take up the rest.
pub(crate) const GAS_BASE: u64 = 50_000;
/// A transaction beside its messages, bytes: signature, key, fee, memo.
pub(crate) const ENVELOPE_BYTES: u64 = 320;
/// Transactions whose shape is kept for a refusal at the mempool's door: more than are ever in flight.
pub(crate) const RECENT_SHAPES: usize = 128;
/// Transactions in one broadcast request even if the node takes more: one that is lost leaves few in doubt.
pub(crate) const BROADCAST_CALLS: usize = 32;
/// A seen head older than this is asked anew before it dates a transaction.
pub(crate) const HEAD_AGE: Duration = Duration::from_secs(5);
/// Longest memo prefix kept, bytes: the SDK's default `max_memo_characters`.
pub(crate) const MEMO_BYTES: usize = 256;
/// Simulations repeated with the sequence that the node expects while ours is ahead of it: a block may come between two.
pub(crate) const SIMULATIONS_AHEAD: usize = 3;
