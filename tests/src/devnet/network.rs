//! Two chains, the wallets every scenario uses, and a relayer's configuration for them.

use std::path::{Path, PathBuf};

use super::home::free_port;
use super::spec::{ChainSpec, SAMOLEANS, STAKE};
use super::wallet::ACCOUNT_PREFIX;
use super::{Node, SimdChain, Wallet};
use crate::DevnetError;

/// What each funded wallet owns of each denomination on each chain.
pub(super) const FUNDS: u128 = 1_000_000_000_000;

/// The wallets of a scenario. All but `empty` are funded on both chains.
#[derive(Clone, Debug)]
pub struct Wallets {
    /// Pays for the relayer's transactions.
    pub relayer: Wallet,
    /// Pays for a second relayer's.
    pub rival: Wallet,
    /// A user.
    pub user_a: Wallet,
    /// Another user.
    pub user_b: Wallet,
    /// Owns nothing on either chain.
    pub empty: Wallet,
}

impl Wallets {
    /// The usual wallets.
    ///
    /// # Errors
    /// [`DevnetError::Wallet`] if derivation fails.
    pub fn usual() -> Result<Self, DevnetError> {
        Ok(Self {
            relayer: Wallet::named("relayer")?,
            rival: Wallet::named("rival")?,
            user_a: Wallet::named("user-a")?,
            user_b: Wallet::named("user-b")?,
            empty: Wallet::named("empty")?,
        })
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> [&Wallet; 5] {
        [&self.relayer, &self.rival, &self.user_a, &self.user_b, &self.empty]
    }
}

/// A running chain, whatever it is made of.
pub trait TestChain {
    /// The chain id.
    fn id(&self) -> &str;
    /// A client of its node.
    fn node(&self) -> &Node;
    /// Its least gas price as a relayer's settings write it: `0.01stake`.
    fn gas_price(&self) -> String;
    /// From one block to the next, about.
    fn block_time_ms(&self) -> u64;
}

/// Two running chains and the usual wallets.
pub trait Network {
    /// The chains.
    fn ends(&self) -> [&dyn TestChain; 2];
    /// Wallets known on both.
    fn wallets(&self) -> &Wallets;
}

impl TestChain for SimdChain {
    fn id(&self) -> &str {
        Self::id(self)
    }

    fn node(&self) -> &Node {
        Self::node(self)
    }

    fn gas_price(&self) -> String {
        self.spec().min_gas_prices.clone()
    }

    fn block_time_ms(&self) -> u64 {
        self.spec().timeout_commit_ms + 50
    }
}

/// Two running chains, `sim-a-1` and `sim-b-1`.
#[derive(Debug)]
pub struct Devnet {
    /// The first chain.
    pub a: SimdChain,
    /// The second chain.
    pub b: SimdChain,
    /// Wallets known on both.
    pub wallets: Wallets,
}

/// What a relayer's configuration says about one chain, where it differs from the truth or the default.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// Endpoints instead of the node's own, for instance a proxy.
    pub rpc: Option<Vec<String>>,
    /// A chain id instead of the true one.
    pub id: Option<String>,
    /// An account prefix instead of the true one.
    pub account_prefix: Option<String>,
    /// The name of the wallet that pays, instead of `relayer`.
    pub key: Option<String>,
    /// A gas price instead of the node's own minimum.
    pub gas_price: Option<String>,
    /// More lines of this `[[chains]]` entry, for instance `client = { trusting_period_s = 60 }`.
    pub more: String,
}

/// A relayer's configuration for the two chains, where it differs from the default.
#[derive(Clone, Debug)]
pub struct ConfigOptions {
    /// The first chain.
    pub a: End,
    /// The second chain.
    pub b: End,
    /// The path's name.
    pub path: String,
    /// How many transfer channels the path has.
    pub channels: usize,
    /// More lines of `[global]`, whose admin address is set already.
    pub global: String,
    /// The lines of `[limits]`. By default so wide that a test's own nodes are asked as fast as they answer.
    pub limits: String,
    /// More tables, for instance a `[telemetry]`; `[store]` is set already.
    pub tables: String,
}

impl Default for ConfigOptions {
    fn default() -> Self {
        Self {
            a: End::default(),
            b: End::default(),
            path: "a-b".to_owned(),
            channels: 1,
            global: String::new(),
            limits: "requests_per_second = 2000\nburst = 2000\n".to_owned(),
            tables: String::new(),
        }
    }
}

/// A relayer's configuration, written.
#[derive(Clone, Debug)]
pub struct RelayerConfig {
    /// The TOML file.
    pub file: PathBuf,
    /// Where its admin port will be: `127.0.0.1:<port>`.
    pub admin: String,
    /// The folder of its journal and keys.
    pub store: PathBuf,
}

impl Devnet {
    /// Two chains that make a block about every 0.55 s and ask no fee.
    ///
    /// # Errors
    /// As [`SimdChain::start`].
    pub async fn two_chains() -> Result<Self, DevnetError> {
        Self::with(|spec| spec).await
    }

    /// Two chains that differ from the usual ones as `change` says.
    ///
    /// # Errors
    /// As [`SimdChain::start`].
    pub async fn with(change: impl Fn(ChainSpec) -> ChainSpec) -> Result<Self, DevnetError> {
        let wallets = Wallets::usual()?;
        let spec = |id: &str| {
            let funded = wallets.all().into_iter().filter(|wallet| wallet.name() != "empty");
            change(funded.fold(ChainSpec::new(id), |spec, wallet| {
                spec.wallet(wallet.clone(), &[(STAKE, FUNDS), (SAMOLEANS, FUNDS)])
            }))
        };
        let (a, b) = tokio::try_join!(SimdChain::start(spec("sim-a-1")), SimdChain::start(spec("sim-b-1")))?;
        Ok(Self { a, b, wallets })
    }

    /// The environment in which the keys of [`Devnet::write_config`] are found.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(&self.wallets)
    }

    /// Writes `relayer.toml` for these chains into a folder, with an admin port of its own and its store beside it.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it can't be written.
    pub fn write_config(&self, dir: &Path, options: &ConfigOptions) -> Result<RelayerConfig, DevnetError> {
        write_config(self.ends(), dir, options)
    }
}

impl Network for Devnet {
    fn ends(&self) -> [&dyn TestChain; 2] {
        [&self.a, &self.b]
    }

    fn wallets(&self) -> &Wallets {
        &self.wallets
    }
}

/// The environment in which the keys of a written configuration are found.
pub(crate) fn environment(wallets: &Wallets) -> Vec<(String, String)> {
    wallets.all().map(|w| (variable(w.name()), w.mnemonic().to_owned())).to_vec()
}

/// Writes `relayer.toml` for two chains into a folder, with an admin port of its own and its store beside it.
pub(crate) fn write_config(
    [a, b]: [&dyn TestChain; 2],
    dir: &Path,
    options: &ConfigOptions,
) -> Result<RelayerConfig, DevnetError> {
    let (file, store) = (dir.join("relayer.toml"), dir.join("store"));
    let admin = format!("127.0.0.1:{}", free_port()?);
    let mut text = format!(
        "[global]\nadmin = {admin:?}\n{}\n[store]\ndir = {store:?}\n\n[limits]\n{}\n{}",
        options.global, options.limits, options.tables
    );
    let a = chain_entry(&mut text, a, &options.a);
    let b = chain_entry(&mut text, b, &options.b);
    text += &format!("\n[[paths]]\nname = {:?}\na = {{ chain = {a:?} }}\nb = {{ chain = {b:?} }}\n", options.path);
    text +=
        &"\n[[paths.channels]]\na = { port = \"transfer\" }\nb = { port = \"transfer\" }\n".repeat(options.channels);
    std::fs::write(&file, text).map_err(DevnetError::io(file.display().to_string()))?;
    Ok(RelayerConfig { file, admin, store })
}

/// Appends a `[[chains]]` entry; the id it names.
fn chain_entry(text: &mut String, chain: &dyn TestChain, end: &End) -> String {
    let id = end.id.clone().unwrap_or_else(|| chain.id().to_owned());
    let rpc = end.rpc.clone().unwrap_or_else(|| vec![chain.node().url().to_owned()]);
    let prefix = end.account_prefix.as_deref().unwrap_or(ACCOUNT_PREFIX);
    let key = end.key.as_deref().unwrap_or("relayer");
    let price = end.gas_price.clone().unwrap_or_else(|| chain.gas_price());
    let block_time_ms = chain.block_time_ms();
    *text += &format!(
        "\n[[chains]]\nid = {id:?}\ntype = \"cosmos\"\nrpc = {rpc:?}\naccount_prefix = {prefix:?}\n\
         block_time_ms = {block_time_ms}\nkey = {{ name = {key:?}, source = \"env\", env = {:?} }}\n\
         gas = {{ price = {price:?} }}\n{}\n",
        variable(key),
        end.more
    );
    id
}

/// The environment variable that holds a wallet's words.
fn variable(wallet: &str) -> String {
    format!("RELAYER_TEST_{}", wallet.to_uppercase().replace('-', "_"))
}
