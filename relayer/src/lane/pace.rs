//! When a lane may sign next: a pause after what went wrong, and the wake-up at its end.

use std::time::Duration;

use tokio::time::Instant;

/// A pause, or none.
#[derive(Debug, Default)]
pub(super) struct Pace(Option<Instant>);

impl Pace {
    /// Nothing is signed for `span` from `now` on.
    pub(super) fn pause(&mut self, now: Instant, span: Duration) {
        self.0 = Some(now + span);
    }

    /// Whether it may go on. A pause that has ended is forgotten: it must wake nobody again, or a lane whose places in flight are all
    /// taken would spin.
    pub(super) fn over(&mut self, now: Instant) -> bool {
        self.0 = self.0.filter(|until| *until > now);
        self.0.is_none()
    }

    /// When to wake up for it.
    pub(super) const fn wake(&self) -> Option<Instant> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_wakes_once() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert!(pace.over(start) && pace.wake().is_none());
        pace.pause(start, Duration::from_millis(300));
        assert!(!pace.over(start));
        assert_eq!(pace.wake(), Some(start + Duration::from_millis(300)));
        // Its end comes while nothing may be signed for another reason.
        assert!(pace.over(start + Duration::from_millis(300)));
        assert_eq!(pace.wake(), None);
    }
}
