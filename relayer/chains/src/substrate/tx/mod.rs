//! The paying half of a Substrate chain: keys, extrinsics, fees, submission and what became of them.
//!
//! ```text
//! Draft -> encode -> sign (nonce, era, tip) -> what it costs -> author_submitExtrinsic -> events of its block
//! ```
//!
//! Only `failure` reads a node's words. What a wallet may spend on one extrinsic is bounded by its [`WalletSettings`].

pub(super) mod encode;
mod failure;
#[cfg(fuzzing)]
pub mod fuzz;
mod key;
pub mod limits;
mod ss58;
mod submit;
mod wallet;

pub use key::{Key, KeyError};
pub use ss58::address;
pub(crate) use wallet::Wallet;
pub use wallet::WalletSettings;
