//! The paying half of a Cosmos chain: keys, messages, gas, fees, signatures, broadcasts and what became of them.
//!
//! ```text
//! Draft -> encode -> gas (learned, else simulated) -> fee -> sign -> broadcast_tx_sync -> block results -> gas learns
//! ```
//!
//! Only `failure` reads a node's words. Everything a wallet may spend on one transaction is bounded by its [`WalletSettings`]:
//! a node that lies in a simulation costs at most `max_gas` times the price, and never more than `max_fee`.

mod account;
mod broadcast;

pub(crate) mod failure;
mod fee;
#[cfg(fuzzing)]
pub mod fuzz;
mod gas;
mod key;
mod limits;
mod sign;
#[cfg(test)]
mod tests;
mod wallet;

pub use crate::ibc::message::{Transfer, transfer};
pub use failure::NO_ACCOUNT;
pub use fee::{Price, PriceSource};
pub use key::{Key, KeyError};
pub use wallet::{Wallet, WalletSettings};
