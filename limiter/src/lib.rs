//! Pacing of calls: limiter-core behind shared state, rule sources and stores.
