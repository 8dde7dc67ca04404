//! Bounds of what events say, each with its reason.

/// Longest number or identifier in an event, bytes: ICS-24 ports have 128, times in ns 20 digits.
pub const SHORT_TEXT_BYTES: usize = 256;
/// Heights named by one `update_client` event: Tendermint clients name one.
pub const CONSENSUS_HEIGHTS: usize = 64;
