//! What an operator sees: metrics, traces, logs.
//!
//! Spec: observability specification. Bounds: `crate::limits` (label values, span queue, spans of a packet).

mod export;
mod label;
mod limiter;
pub mod log;
mod maker;
pub mod metrics;
pub mod panic;
mod rules;
pub mod trace;
mod xcm;
