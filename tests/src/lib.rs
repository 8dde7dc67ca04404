//! Test chains, fault injection and end-to-end scenarios.
