//! What a listener is told: each change of state, as bounded data that the shell drains.

use super::State;
use super::stats::Counts;
use crate::Time;
use crate::limits::BREAKER_TRANSITIONS;

/// Why the state changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Too many errors in a row.
    ConsecutiveErrors,
    /// The share of errors reached its threshold.
    ErrorRatio,
    /// The number of errors reached its threshold.
    ErrorCount,
    /// The share of slow calls reached its threshold.
    SlowRatio,
    /// By hand, or by the health of the endpoint.
    Forced,
    /// The open time is over.
    OpenTimeOver,
    /// A probe failed, or was too slow.
    ProbeFailed,
    /// The only probe was refused by another rule before it left.
    ProbeRefused,
    /// All probes succeeded.
    ProbesSucceeded,
}

impl Cause {
    /// A stable short word for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ConsecutiveErrors => "consecutive_errors",
            Self::ErrorRatio => "error_ratio",
            Self::ErrorCount => "error_count",
            Self::SlowRatio => "slow_ratio",
            Self::Forced => "forced",
            Self::OpenTimeOver => "open_time_over",
            Self::ProbeFailed => "probe_failed",
            Self::ProbeRefused => "probe_refused",
            Self::ProbesSucceeded => "probes_succeeded",
        }
    }
}

/// One change of state (B12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// When; for a change by hand, the last instant the breaker was told.
    pub at: Time,
    /// The statistics at that moment, before they were reset.
    pub counts: Counts,
    /// For an opening: when probes may go.
    pub until: Option<Time>,
}

/// The newest transitions that nobody has read yet, oldest first; older ones give way and are counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    ring: [Option<Transition>; BREAKER_TRANSITIONS],
    lost: u64,
}

impl Log {
    pub(crate) fn push(&mut self, transition: Transition) {
        if let Some(free) = self.ring.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(transition);
            return;
        }
        self.lost = self.lost.saturating_add(1);
        self.ring.rotate_left(1);
        if let Some(last) = self.ring.last_mut() {
            *last = Some(transition);
        }
    }
    pub(crate) fn pop(&mut self) -> Option<Transition> {
        let first = self.ring.first_mut()?.take();
        self.ring.rotate_left(1);
        first
    }
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }
}
