//! Latency quantiles of the last interval, in fixed memory.
//!
//! Two halves of log-linear cells: eight cells to each doubling, from 131 us to 137 s, so a quantile is at most one eighth too
//! high and never too low. Samples live between a half and a whole interval. Clause: A43 (the outer loop's p95 and p99).
//! Units: `Time` and spans in ns, quantiles in thousandths. Memory: 2 * [`CELLS`] counters. Errors: none; a quantile of no
//! sample is `None`.
//!
//! ```
//! use core::time::Duration;
//! use limiter_core::{Time, percentile::Latencies};
//! let mut seen = Latencies::new(Duration::from_secs(10));
//! (1..=100).for_each(|ms| seen.record(Time::ZERO, Duration::from_millis(ms)));
//! let p95 = seen.quantile(Time::ZERO, 950).unwrap();
//! assert!(p95 >= Duration::from_millis(95) && p95 <= Duration::from_millis(107));
//! ```

use core::time::Duration;

use crate::Time;
use crate::limits::CELLS;
use crate::time::span_nanos;

/// Cells to a doubling, as a power of two.
const FINE: u32 = 3;
/// The unit, as a power of two of ns: 2^14 ns = 16 us, so the first linear run of eight cells ends at 131 us.
const UNIT: u32 = 14;

#[derive(Debug, Clone)]
struct Half {
    cells: [u32; CELLS],
    count: u32,
}

impl Half {
    const EMPTY: Self = Self { cells: [0; CELLS], count: 0 };
}

/// The samples of the last interval.
#[derive(Debug, Clone)]
pub struct Latencies {
    halves: [Half; 2],
    /// Number of the half being filled, counted from the clock's origin.
    head: u64,
    half_ns: u64,
}

impl Latencies {
    /// No samples yet.
    pub fn new(interval: Duration) -> Self {
        Self { halves: [Half::EMPTY; 2], head: 0, half_ns: span_nanos(interval).div_ceil(2).max(1) }
    }

    /// One call took so long.
    pub fn record(&mut self, now: Time, took: Duration) {
        self.turn(now);
        let half = self.half(self.head);
        half.count = half.count.saturating_add(1);
        if let Some(cell) = half.cells.get_mut(cell_of(span_nanos(took))) {
            *cell = cell.saturating_add(1);
        }
    }

    /// How many samples there are.
    pub fn count(&mut self, now: Time) -> u32 {
        self.turn(now);
        let [one, two] = &self.halves;
        one.count.saturating_add(two.count)
    }

    /// The upper edge of the cell in which the quantile lies.
    pub fn quantile(&mut self, now: Time, permille: u32) -> Option<Duration> {
        let count = u64::from(self.count(now));
        let rank = count.saturating_mul(u64::from(permille.min(1_000))).div_ceil(1_000).max(1);
        let [one, two] = &self.halves;
        let mut below = 0u64;
        for (index, (a, b)) in one.cells.iter().zip(&two.cells).enumerate() {
            below = below.saturating_add(u64::from(*a)).saturating_add(u64::from(*b));
            if below >= rank {
                return Some(Duration::from_nanos(upper_edge(index)));
            }
        }
        None
    }

    fn half(&mut self, number: u64) -> &mut Half {
        let [even, odd] = &mut self.halves;
        if number & 1 == 0 { even } else { odd }
    }

    /// Drops what is too old; a clock that went back changes nothing.
    fn turn(&mut self, now: Time) {
        let number = now.as_nanos().checked_div(self.half_ns).unwrap_or(0);
        let steps = number.saturating_sub(self.head);
        if steps == 0 {
            return;
        }
        self.head = number;
        *self.half(number) = Half::EMPTY;
        if steps > 1 {
            *self.half(number.wrapping_add(1)) = Half::EMPTY;
        }
    }
}

fn cell_of(nanos: u64) -> usize {
    let units = nanos >> UNIT;
    // `exponent`: how often eight cells' worth were doubled.
    let exponent = units.checked_ilog2().unwrap_or(0).saturating_sub(FINE);
    let fine = units.checked_shr(exponent).unwrap_or(0); // 0..16, and 8..16 once doubled
    let cell = u64::from(exponent).saturating_mul(8).saturating_add(fine);
    usize::try_from(cell).unwrap_or(usize::MAX).min(CELLS.saturating_sub(1))
}

fn upper_edge(cell: usize) -> u64 {
    let cell = cell as u64;
    let (exponent, fine) = if cell < 16 { (0, cell) } else { ((cell >> 3).saturating_sub(1), (cell & 7) | 8) };
    let exponent = u32::try_from(exponent).unwrap_or(0);
    fine.saturating_add(1).checked_shl(exponent.saturating_add(UNIT)).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn samples_are_forgotten_after_the_interval() {
        let mut seen = Latencies::new(Duration::from_secs(10));
        let at = |s| Time::ZERO.after(Duration::from_secs(s));
        seen.record(at(0), Duration::from_secs(1));
        assert_eq!((seen.count(at(9)), seen.count(at(10))), (1, 0));
        assert_eq!(seen.quantile(at(10), 500), None);
        seen.record(at(10), Duration::from_millis(1));
        seen.record(at(9), Duration::from_millis(1)); // the clock went back
        assert_eq!((seen.count(at(14)), seen.count(at(1_000))), (2, 0));
    }

    proptest! {
        /// Against the sorted samples: never too low, at most an eighth and one unit too high.
        #[test]
        fn a_quantile_lies_within_an_eighth_above_the_exact_one(
            samples in prop::collection::vec(1u64..100_000_000_000, 1..200),
            permille in 0u32..=1_000,
        ) {
            let mut seen = Latencies::new(Duration::from_secs(10));
            samples.iter().for_each(|&ns| seen.record(Time::ZERO, Duration::from_nanos(ns)));
            let mut sorted = samples.clone();
            sorted.sort_unstable();
            let rank = (sorted.len() as u64 * u64::from(permille)).div_ceil(1_000).max(1);
            let exact = sorted[usize::try_from(rank).unwrap() - 1];
            let got = u64::try_from(seen.quantile(Time::ZERO, permille).unwrap().as_nanos()).unwrap();
            prop_assert!(got >= exact, "{got} < {exact}");
            prop_assert!(got <= exact + exact / 8 + (1 << UNIT), "{got} > {exact}");
        }
    }
}
