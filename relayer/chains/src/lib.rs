//! Chain adapters and the one RPC stack through which every call to a node goes.
//!
//! [`cosmos`] implements `relayer_core::chain::Chain` for CometBFT chains that run ibc-go, [`substrate`] for Substrate chains that GRANDPA
//! finalizes; [`ibc`] is what both say alike, [`rpc`] is how they reach nodes.

mod any;
pub mod cosmos;
mod cpu;
pub mod ibc;
pub mod rpc;
pub mod substrate;
mod trust;

pub use any::{AnyChain, NodeStatus, client_info, consensus_time};
pub use cpu::{Cpu, Job};
pub use trust::Trust;
