//! What the end-to-end tests stand on: real chains, and a way to make their nodes lie.
//!
//! [`devnet`] starts single-validator Cosmos chains on loopback and acts on them as a user would, with code that shares
//! nothing with the relayer. [`proxy`] stands in front of a node and injects faults at run time. [`relay`] runs the real
//! relayer between the chains and counts what it did where it did it.
//!
//! Everything listens on loopback only, and ends with the test process.

pub mod devnet;
mod error;
pub mod limits;
pub mod proxy;
pub mod relay;
pub mod show;
pub mod sim;

pub use error::DevnetError;
