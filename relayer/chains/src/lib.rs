//! Chain adapters and the one RPC stack through which every call to a node goes.
//!
//! [`cosmos`] implements `relayer_core::chain::Chain` for CometBFT chains that run ibc-go; [`rpc`] is how it reaches nodes.

pub mod cosmos;
mod cpu;
pub mod ibc;
pub mod rpc;

pub use cpu::{Cpu, Job};
