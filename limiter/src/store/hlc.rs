//! Hybrid logical clock: stamps that follow wall time and never run backwards, over all processes that see each other's writes.
//!
//! Clause: *Versioned writes by hybrid logical clock*. A stamp is milliseconds since 1970, a counter for what happens within one
//! of them, and the writer's name, which makes it unique. A stamp from further in the future than
//! [`CLOCK_AHEAD_MS`] is refused: it would outlive every honest write.
//!
//! ```
//! use limiter::store::hlc::{Clock, Stamp};
//! let mut clock = Clock::new("relayer-1");
//! let first = clock.tick(1_000);
//! assert!(clock.tick(990) > first); // the wall clock was set back
//! assert!(clock.observe(1_000, &Stamp::new(2_000, 7, "relayer-2")));
//! assert!(clock.tick(1_001) > Stamp::new(2_000, 7, "relayer-2"));
//! ```

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::limits::CLOCK_AHEAD_MS;

/// When something was written, and by whom. Ordered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// Milliseconds since 1970.
    pub ms: u64,
    /// Order within one of them.
    #[serde(default)]
    pub counter: u64,
    /// The writer.
    #[serde(default = "nobody")]
    pub node: Arc<str>,
}

fn nobody() -> Arc<str> {
    Arc::from("")
}

impl Stamp {
    /// A stamp of these parts.
    pub fn new(ms: u64, counter: u64, node: &str) -> Self {
        Self { ms, counter, node: Arc::from(node) }
    }
}

/// The clock of one process.
#[derive(Debug, Clone)]
pub struct Clock {
    ms: u64,
    counter: u64,
    node: Arc<str>,
}

impl Clock {
    /// For a writer of this name.
    pub fn new(node: &str) -> Self {
        Self { ms: 0, counter: 0, node: Arc::from(node) }
    }

    /// A stamp later than each given or observed so far.
    pub fn tick(&mut self, wall_ms: u64) -> Stamp {
        if wall_ms > self.ms {
            (self.ms, self.counter) = (wall_ms, 0);
        } else {
            self.counter = self.counter.saturating_add(1);
        }
        Stamp { ms: self.ms, counter: self.counter, node: self.node.clone() }
    }

    /// Takes another's stamp into account; `false` when it lies too far ahead to be believed.
    #[must_use]
    pub fn observe(&mut self, wall_ms: u64, other: &Stamp) -> bool {
        if other.ms > wall_ms.saturating_add(CLOCK_AHEAD_MS) {
            return false;
        }
        (self.ms, self.counter) = (self.ms, self.counter).max((other.ms, other.counter));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_grow_while_the_wall_clock_stands_or_runs_backwards() {
        let mut clock = Clock::new("a");
        let stamps: Vec<_> = [5, 5, 3, 6, 6].into_iter().map(|ms| clock.tick(ms)).collect();
        assert!(stamps.windows(2).all(|pair| pair[0] < pair[1]), "{stamps:?}");
    }

    #[test]
    fn a_stamp_from_the_far_future_is_not_believed() {
        let mut clock = Clock::new("a");
        assert!(!clock.observe(1_000, &Stamp::new(1_001 + CLOCK_AHEAD_MS, 0, "b")));
        assert_eq!(clock.tick(1_000), Stamp::new(1_000, 0, "a"));
    }
}
