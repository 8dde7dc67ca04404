//! The IBC relayer: the effectful shell around relayer-core, and its command line.
pub mod journal;
pub mod limits;
pub mod telemetry;
pub mod verify;
