//! Rate limiting and circuit breaking as pure functions of requests and time.
