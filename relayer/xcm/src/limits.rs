//! Every bound of this crate, each with its reason.

/// Longest encoded message in bytes: the relayer's largest packet data, and more than what relay chains pass on (51,200 bytes down,
/// 65,531 up).
pub const MESSAGE_BYTES: usize = 64 * 1024;
/// Longest memo in bytes that is looked into: a message as hex, and room for what else a JSON memo says.
pub const MEMO_BYTES: usize = 3 * MESSAGE_BYTES;
/// Instructions of one message with all programs in it, as every Polkadot chain counts them.
pub const INSTRUCTIONS: usize = 100;
/// Programs inside one another, the message's own being the first: the depth to which Polkadot chains decode (8).
pub const NESTING: usize = 8;
/// Junctions of one location: the format has no form for more.
pub const JUNCTIONS: u8 = 8;
/// Assets of one list, as every Polkadot chain counts them.
pub const ASSETS: usize = 20;
/// Transfer filters of one `InitiateTransfer`, as the format bounds them.
pub const TRANSFERS: usize = 6;
/// Hints of one `SetHints`: the format allows one of each kind, and knows one kind.
pub const HINTS: usize = 1;
/// Pallets of one response, as the format bounds them.
pub const PALLETS: usize = 64;
/// Name of a pallet in a response, bytes, as the format bounds it.
pub const PALLET_NAME_BYTES: usize = 48;
/// Encoded dispatch error, bytes, as the format bounds it.
pub const DISPATCH_ERROR_BYTES: usize = 128;
/// Bytes of a call that are shown; the whole is kept.
pub const CALL_BYTES_SHOWN: usize = 8;
/// Longest summary in bytes, so that it stays a line of a log.
pub const SUMMARY_BYTES: usize = 1024;
