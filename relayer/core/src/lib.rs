//! The relayer's decisions, sans-IO: facts, packets, handshakes, planning, lanes. No clock, no runtime.
