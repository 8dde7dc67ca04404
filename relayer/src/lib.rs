//! The IBC relayer: the effectful shell around relayer-core, and its command line.
//!
//! ```text
//! cli -> start -> follow (one a chain), lane (one a wallet), path (one engine each)
//!                 path -> verify (threads), journal, telemetry;  admin shows all of it
//! ```

pub mod admin;
pub mod cli;
pub mod follow;
pub mod handshake;
pub mod journal;
pub mod keys;
pub mod lane;
pub mod limits;
mod limits_view;
pub mod open;
pub mod path;
pub mod program;
pub mod remedy;
pub mod rules;
pub mod shared;
pub mod spec;
pub mod start;
pub mod status;
pub mod telemetry;
pub mod updates;
pub mod verify;
