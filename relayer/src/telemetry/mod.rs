//! What an operator sees: metrics, traces, logs.
//!
//! Spec: observability specification. Bounds: `crate::limits` (label values, span queue, spans of a packet).

mod label;
pub mod metrics;
