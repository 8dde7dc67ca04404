//! What a transaction pays: gas times price, rounded up, never above a cap.
//!
//! Units: whole coins of one denomination, as `u128`; the price is the exact fraction that stands in the configuration.

use thiserror::Error;

/// Price of one unit of gas, exact: `numerator / denominator` of `denom`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// Coins times `denominator`.
    pub numerator: u128,
    /// Not 0.
    pub denominator: u128,
    /// The coin.
    pub denom: String,
}

impl Price {
    /// The fee for `gas`, rounded up to whole coins; `None` beyond `u128`.
    pub fn fee(&self, gas: u64) -> Option<u128> {
        let product = self.numerator.checked_mul(gas.into())?;
        Some(product.div_ceil(self.denominator.max(1)))
    }
}

/// Where the price comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PriceSource {
    /// The configuration.
    Static(Price),
}

impl PriceSource {
    /// The price now.
    pub(crate) fn price(&self) -> &Price {
        match self {
            Self::Static(price) => price,
        }
    }
    /// The coin that fees are paid in.
    pub fn denom(&self) -> &str {
        &self.price().denom
    }
}

/// The fee is above what one transaction may pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the fee is above `gas.max_fee`")]
pub(crate) struct AboveMaxFee;

/// The fee for `gas`.
pub(crate) fn fee(price: &Price, gas: u64, max_fee: Option<u128>) -> Result<u128, AboveMaxFee> {
    let fee = price.fee(gas).ok_or(AboveMaxFee)?;
    match max_fee {
        Some(most) if fee > most => Err(AboveMaxFee),
        _ => Ok(fee),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(numerator: u128, denominator: u128) -> Price {
        Price { numerator, denominator, denom: "stake".into() }
    }

    #[test]
    fn fees_round_up_and_stop_at_the_cap() {
        let cheap = price(25, 1_000);
        assert_eq!(fee(&cheap, 100_000, None), Ok(2_500));
        assert_eq!(fee(&cheap, 100_001, None), Ok(2_501));
        assert_eq!(fee(&cheap, 100_000, Some(2_500)), Ok(2_500));
        assert_eq!(fee(&cheap, 100_001, Some(2_500)), Err(AboveMaxFee));
        assert_eq!(fee(&price(0, 1), 100_000, None), Ok(0));
        assert_eq!(fee(&price(u128::MAX, 1), 2, None), Err(AboveMaxFee));
    }
}
