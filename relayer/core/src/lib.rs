//! The relayer's decisions, sans-IO: facts in, effects out.
//!
//! A packet is a set of facts read from finalized blocks ([`fact`]); its phase is derived from them ([`packet`]). The ports through
//! which the shell reaches chains are in [`chain`]. Nothing here knows a clock, a runtime or a chain family.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::float_arithmetic)]

pub mod chain;
pub mod engine;
pub mod error;
pub mod fact;
pub mod filter;
pub mod handshake;
pub mod id;
pub mod lane;
pub mod limits;
pub mod message;
pub mod packet;
pub mod record;
