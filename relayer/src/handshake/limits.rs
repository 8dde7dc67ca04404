//! Bounds of `path create`, each with its reason.

use std::time::Duration;

/// Rounds that fail in a row before giving up: with [`PAUSE_MOST`] about half a minute of an unreachable node or of bad proofs.
pub const TROUBLES: u32 = 12;
/// Longest pause between two tries, unless the chain asks for more.
pub const PAUSE_MOST: Duration = Duration::from_secs(5);
/// Times a step that the chain refuses on its own, outside a batch, is tried: a rival may have been faster the first time.
pub const REFUSALS: u32 = 2;
/// Times one signed transaction is handed to the node when answers are missing; the same bytes again are harmless.
pub const BROADCASTS: u32 = 4;
/// Times a transaction is signed anew for a wrong account sequence or too little gas.
pub const SIGNATURES: u32 = 4;
/// A chain without a new block for so long has stopped: 100 blocks of a fast chain, 10 of a slow one.
pub const STALL: Duration = Duration::from_secs(60);
/// Largest client or consensus state read from a store: Tendermint's take less than 1 KiB, a wasm client's some tens of KiB.
pub const STATE_BYTES: usize = 256 * 1024;
/// Attempts of an earlier run that are looked up: a run leaves at most one a chain.
pub const ATTEMPTS: usize = 64;
