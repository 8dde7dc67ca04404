//! What a test wants its embedded chain to be.

use std::time::Duration;

use crate::devnet::{ACCOUNT_PREFIX, STAKE, Wallet};

/// An embedded chain, described before it starts.
///
/// The default has four validators of equal power, a block every 250 ms, and asks no fee.
#[derive(Clone, Debug)]
pub struct EmbeddedSpec {
    /// The chain id; a number at its end (`demo-a-1`) is the revision of its heights.
    pub id: String,
    /// Prefix of its account addresses.
    pub account_prefix: String,
    /// Accounts and their coins at genesis: address, and amounts by denomination.
    pub accounts: Vec<(String, Vec<(String, u128)>)>,
    /// Voting power of each validator.
    pub validators: Vec<u64>,
    /// From one block to the next.
    pub block_interval: Duration,
    /// How long stake is bonded: light clients derive their trusting period from it.
    pub unbonding: Duration,
    /// The least price of one gas, in millionths of [`STAKE`].
    pub min_gas_price_millionths: u128,
    /// The most calls in one JSON-RPC batch.
    pub batch_calls: usize,
    /// The most gas in one block.
    pub block_gas: u64,
    /// The port to listen on; `None` for a free one.
    pub port: Option<u16>,
}

impl EmbeddedSpec {
    /// The default chain of this id.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            account_prefix: ACCOUNT_PREFIX.to_owned(),
            accounts: Vec::new(),
            validators: vec![10; 4],
            block_interval: Duration::from_millis(250),
            unbonding: Duration::from_secs(21 * 86_400),
            min_gas_price_millionths: 0,
            batch_calls: 10,
            block_gas: 200_000_000,
            port: None,
        }
    }

    /// Funds an account at genesis.
    #[must_use]
    pub fn wallet(mut self, wallet: &Wallet, coins: &[(&str, u128)]) -> Self {
        let coins = coins.iter().map(|(denom, amount)| ((*denom).to_owned(), *amount)).collect();
        self.accounts.push((wallet.address().to_owned(), coins));
        self
    }

    /// Makes a block so often.
    #[must_use]
    pub fn block_interval(mut self, interval: Duration) -> Self {
        self.block_interval = interval;
        self
    }

    /// Makes the chain refuse transactions that pay less for one gas, in millionths of [`STAKE`].
    #[must_use]
    pub fn min_gas_price_millionths(mut self, price: u128) -> Self {
        self.min_gas_price_millionths = price;
        self
    }

    /// The number at the end of the chain id, as in the heights of light clients.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.id.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
    }

    /// The denomination of fees.
    #[must_use]
    pub fn fee_denom(&self) -> &'static str {
        STAKE
    }
}
