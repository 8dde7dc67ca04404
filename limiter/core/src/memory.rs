//! A threshold that falls as memory fills.
//!
//! Clause: limiter page, *Memory-adaptive*; B7. At or below the low mark the high threshold holds, at or above the high mark the low
//! one, a straight line between. Memory that could not be read counts as low. Calls a second, bytes. Sampled by the shell every 150 ms.

use thiserror::Error;

/// The line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Calls a second with memory at ease.
    pub roomy: u64,
    /// Calls a second with memory short; less than `roomy`.
    pub tight: u64,
    /// Bytes up to which memory is at ease.
    pub low_mark: u64,
    /// Bytes from which it is short.
    pub high_mark: u64,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Invalid {
    /// A mark of zero, or the low one not below the high one.
    #[error("marks must be above zero, the low one ({low}) below the high one ({high})")]
    Marks {
        /// The low mark.
        low: u64,
        /// The high mark.
        high: u64,
    },
    /// More calls with less memory.
    #[error("the threshold at the low mark ({roomy}) must be above that at the high mark ({tight})")]
    Thresholds {
        /// At the low mark.
        roomy: u64,
        /// At the high mark.
        tight: u64,
    },
}

/// A line that holds water.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryAdaptive(Settings);

impl MemoryAdaptive {
    /// Checks the line.
    pub fn new(settings: Settings) -> Result<Self, Invalid> {
        let Settings { roomy, tight, low_mark, high_mark } = settings;
        if low_mark == 0 || low_mark >= high_mark {
            return Err(Invalid::Marks { low: low_mark, high: high_mark });
        }
        if roomy <= tight {
            return Err(Invalid::Thresholds { roomy, tight });
        }
        Ok(Self(settings))
    }

    /// The threshold with so many bytes used; `None`: they could not be read.
    pub fn threshold(&self, used: Option<u64>) -> u64 {
        let Settings { roomy, tight, low_mark, high_mark } = self.0;
        let Some(used) = used.filter(|used| *used > low_mark) else { return roomy };
        if used >= high_mark {
            return tight;
        }
        let fall = u128::from(roomy.saturating_sub(tight)).saturating_mul(u128::from(used.saturating_sub(low_mark)));
        let fall = fall.div_ceil(u128::from(high_mark.saturating_sub(low_mark).max(1)));
        roomy.saturating_sub(u64::try_from(fall).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Settings = Settings { roomy: 1_000, tight: 100, low_mark: 1_000, high_mark: 2_000 };

    #[test]
    fn the_threshold_falls_in_a_straight_line_between_the_marks() {
        let memory = MemoryAdaptive::new(LINE).unwrap();
        let got = [None, Some(0), Some(1_000), Some(1_500), Some(1_999), Some(2_000), Some(u64::MAX)];
        assert_eq!(got.map(|used| memory.threshold(used)), [1_000, 1_000, 1_000, 550, 100, 100, 100]);
    }

    #[test]
    fn a_line_that_rises_or_has_no_length_is_refused() {
        let rises = Settings { roomy: 100, tight: 100, ..LINE };
        assert_eq!(MemoryAdaptive::new(rises), Err(Invalid::Thresholds { roomy: 100, tight: 100 }));
        let flat = Settings { low_mark: 2_000, ..LINE };
        assert!(matches!(MemoryAdaptive::new(flat), Err(Invalid::Marks { .. })));
        assert!(MemoryAdaptive::new(Settings { low_mark: 0, ..LINE }).is_err());
    }
}
