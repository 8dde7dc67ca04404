//! What a test wants its chain to be.

use serde_json::{Value, json};

use super::Wallet;

/// The denomination of fees and of staking.
pub const STAKE: &str = "stake";

/// A second denomination, for transfers.
pub const SAMOLEANS: &str = "samoleans";

/// A single-validator chain, described before it starts.
///
/// The default makes a block about every 0.55 s, asks no fee, and funds nobody.
///
/// ```
/// # fn main() -> Result<(), relayer_tests::DevnetError> {
/// use relayer_tests::devnet::{ChainSpec, STAKE, Wallet};
/// let spec = ChainSpec::new("sim-a-1")
///     .wallet(Wallet::named("relayer")?, &[(STAKE, 1_000_000)])
///     .min_gas_prices("0.01stake")
///     .unbonding_seconds(120)
///     .node_setting("rpc.max_request_batch_size", 5);
/// assert_eq!(spec.id, "sim-a-1");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ChainSpec {
    /// The chain id. With a number at its end (`sim-a-1`) that number is the revision of its heights.
    pub id: String,
    /// Accounts and their coins at genesis.
    pub wallets: Vec<(Wallet, Vec<(String, u128)>)>,
    /// The node's `minimum-gas-prices`, for instance `0stake` or `0.01stake`.
    pub min_gas_prices: String,
    /// Pause between a commit and the next proposal, ms: the block time is about 50 ms more.
    pub timeout_commit_ms: u64,
    /// Changes to the genesis document: JSON pointer and new value.
    pub genesis: Vec<(String, Value)>,
    /// Changes to the node's `config.toml`: dotted key and new value.
    pub node_settings: Vec<(String, Setting)>,
    /// Changes to the application's `app.toml`: dotted key and new value.
    pub app_settings: Vec<(String, Setting)>,
}

/// A value of a TOML setting.
#[derive(Clone, Debug)]
pub enum Setting {
    /// A whole number.
    Int(i64),
    /// Text; CometBFT's durations are text, too (`500ms`).
    Text(String),
    /// A switch.
    Bool(bool),
}

impl From<i64> for Setting {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Setting {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Setting {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<bool> for Setting {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl ChainSpec {
    /// The default chain of this id.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            wallets: Vec::new(),
            min_gas_prices: format!("0{STAKE}"),
            timeout_commit_ms: 500,
            // An inflating supply would move balances a test compares.
            genesis: [
                ("/app_state/mint/minter/inflation", json!("0.000000000000000000")),
                ("/app_state/mint/params/inflation_max", json!("0.000000000000000000")),
                ("/app_state/mint/params/inflation_min", json!("0.000000000000000000")),
                ("/app_state/mint/params/inflation_rate_change", json!("0.000000000000000000")),
            ]
            .map(|(pointer, value)| (pointer.to_owned(), value))
            .to_vec(),
            node_settings: Vec::new(),
            app_settings: Vec::new(),
        }
    }

    /// Funds an account at genesis.
    #[must_use]
    pub fn wallet(mut self, wallet: Wallet, coins: &[(&str, u128)]) -> Self {
        let coins = coins.iter().map(|(denom, amount)| ((*denom).to_owned(), *amount)).collect();
        self.wallets.push((wallet, coins));
        self
    }

    /// Makes the node refuse transactions that pay less, for instance `0.01stake`.
    #[must_use]
    pub fn min_gas_prices(mut self, prices: &str) -> Self {
        prices.clone_into(&mut self.min_gas_prices);
        self
    }

    /// Makes blocks about this often (plus 50 ms).
    #[must_use]
    pub fn timeout_commit_ms(mut self, ms: u64) -> Self {
        self.timeout_commit_ms = ms;
        self
    }

    /// The unbonding time, from which a client's trusting period follows.
    #[must_use]
    pub fn unbonding_seconds(self, seconds: u64) -> Self {
        self.genesis("/app_state/staking/params/unbonding_time", json!(format!("{seconds}s")))
    }

    /// The time a governance proposal is open (needed to store a wasm light client).
    #[must_use]
    pub fn voting_seconds(self, seconds: u64) -> Self {
        self.genesis("/app_state/gov/params/voting_period", json!(format!("{seconds}s")))
            .genesis("/app_state/gov/params/expedited_voting_period", json!(format!("{}s", (seconds / 2).max(1))))
    }

    /// The most calls the node takes in one JSON-RPC batch.
    #[must_use]
    pub fn max_request_batch_size(self, calls: i64) -> Self {
        self.node_setting("rpc.max_request_batch_size", calls)
    }

    /// The largest request body the node takes, bytes.
    #[must_use]
    pub fn max_body_bytes(self, bytes: i64) -> Self {
        self.node_setting("rpc.max_body_bytes", bytes)
    }

    /// Any change to the genesis document. The pointer must exist in the default one.
    #[must_use]
    pub fn genesis(mut self, pointer: &str, value: Value) -> Self {
        self.genesis.push((pointer.to_owned(), value));
        self
    }

    /// Any change to the node's `config.toml`. The key must exist there.
    #[must_use]
    pub fn node_setting(mut self, key: &str, value: impl Into<Setting>) -> Self {
        self.node_settings.push((key.to_owned(), value.into()));
        self
    }

    /// Any change to the application's `app.toml`. The key must exist there.
    #[must_use]
    pub fn app_setting(mut self, key: &str, value: impl Into<Setting>) -> Self {
        self.app_settings.push((key.to_owned(), value.into()));
        self
    }
}
