//! Weights of a quota: `limit = base * w_chain * w_channel * w_method`, exact.
//!
//! Clause: limiter page, *Three-level quota*; A18-A22. A weight is a whole number of thousandths in [0.1, 5.0], so that a product
//! of three is a whole number of billionths and the limit a fraction: 1000 * 2.5 * 1.5 * 0.3 is 1125, not 1124.999.
//! Whoever sets them (plan tier daily, standing at once, p99 and errors each minute) hands over a new [`Weights`].

use core::time::Duration;

use thiserror::Error;

use crate::cell::Speed;
use crate::limits::{WEIGHT_MAX_MILLI, WEIGHT_MIN_MILLI};

/// A weight, thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u32);

/// A weight outside [0.1, 5.0].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("weight {milli}/1000 is outside 0.1 to 5.0")]
pub struct OutOfRange {
    /// The weight given, thousandths.
    pub milli: u32,
}

impl Weight {
    /// 1.0, which changes nothing.
    pub const ONE: Self = Self(1_000);

    /// `milli` thousandths: 2,500 is 2.5.
    pub const fn from_milli(milli: u32) -> Result<Self, OutOfRange> {
        if milli < WEIGHT_MIN_MILLI || milli > WEIGHT_MAX_MILLI { Err(OutOfRange { milli }) } else { Ok(Self(milli)) }
    }
    /// The nearest weight allowed.
    pub fn clamped(milli: u32) -> Self {
        Self(milli.clamp(WEIGHT_MIN_MILLI, WEIGHT_MAX_MILLI))
    }
    /// Thousandths.
    pub const fn milli(self) -> u32 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::ONE
    }
}

/// The three weights of one quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weights {
    /// By plan tier.
    pub chain: Weight,
    /// By standing.
    pub channel: Weight,
    /// By the method's p99 and errors.
    pub method: Weight,
}

/// What the weights multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// Calls a period.
    pub calls: u64,
    /// The period.
    pub period: Duration,
    /// Calls at once, before weights.
    pub burst: u64,
}

impl Base {
    /// `calls` a second, a tenth of them at once.
    pub fn per_second(calls: u64) -> Self {
        Self { calls, period: Duration::from_secs(1), burst: calls.div_ceil(10).max(1) }
    }

    /// The limit under these weights: of the chain with one, of a channel with two, of a method with three.
    ///
    /// The burst is weighted, too, rounded down, and at least 1.
    pub fn weighted(&self, weights: &[Weight]) -> Speed {
        let (mut product, mut scale) = (1u128, 1u128);
        for weight in weights {
            product = product.saturating_mul(u128::from(weight.0));
            scale = scale.saturating_mul(1_000);
        }
        let burst = u128::from(self.burst).saturating_mul(product).checked_div(scale).unwrap_or(0).max(1);
        let tokens = u128::from(self.calls).saturating_mul(product);
        Speed::new(tokens, scale, self.period, u64::try_from(burst).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    fn weight(milli: u32) -> Weight {
        Weight::from_milli(milli).unwrap()
    }

    #[test]
    fn a_thousand_by_2_5_by_1_5_by_0_3_is_exactly_1125() {
        let speed = Base::per_second(1_000).weighted(&[weight(2_500), weight(1_500), weight(300)]);
        assert_eq!(speed.per_second_milli(), 1_125_000);
        assert_eq!(speed, Speed::per_second(1_125, 112));
    }

    #[test]
    fn a_weight_outside_its_range_is_refused() {
        assert_eq!(Weight::from_milli(99), Err(OutOfRange { milli: 99 }));
        assert_eq!(Weight::from_milli(5_001), Err(OutOfRange { milli: 5_001 }));
        assert!(Weight::from_milli(100).is_ok() && Weight::from_milli(5_000).is_ok());
        assert_eq!(Weight::clamped(0), weight(100));
    }

    proptest::proptest! {
        /// Whatever the weights, nothing is lost that thousandths of a call a second could show.
        #[test]
        fn the_product_is_exact(base in 1u64..100_000, a in 100u32..=5_000, b in 100u32..=5_000, c in 100u32..=5_000) {
            let speed = Base { calls: base, period: Duration::from_secs(1), burst: 1 }
                .weighted(&[weight(a), weight(b), weight(c)]);
            let exact = u128::from(base) * u128::from(a) * u128::from(b) * u128::from(c) / 1_000_000;
            let got = u128::from(speed.per_second_milli());
            // Past 2^32 in the reduced fraction it is rounded down, by less than a millionth.
            proptest::prop_assert!(got <= exact && exact - got <= exact / 1_000_000 + 1, "{} {}", got, exact);
        }
    }
}
