//! A real Cosmos chain and a real Substrate chain with an open path between them, and a relayer for it.
//!
//! The Cosmos chain verifies GRANDPA in the contract that governance stored there; the Substrate chain verifies Tendermint headers in its
//! runtime. The first end of the path is on the Cosmos chain.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::{End, PathIds, Relayer, channels, config, until};
use crate::DevnetError;
use crate::devnet::substrate::{SubstrateChain, SubstrateNode, SubstrateSpec, SubstrateUser};
use crate::devnet::{ChainSpec, Contract, RelayerConfig, STAKE, SimdChain, User, Wallet};

/// What each account of the Cosmos chain has of [`STAKE`] at first.
pub const FUNDS: u128 = 1_000_000_000;

/// The path's name.
const PATH: &str = "simd-substrate";

/// The id of the Substrate chain.
pub const SUBSTRATE: &str = "substrate-test";

const SIMD: &str = "sim-a-1";
/// Whose key the relayer has on the Substrate chain.
const RELAYER: &str = "//Charlie";

/// Both chains, without a path.
#[derive(Debug)]
pub struct Families {
    /// The Cosmos chain; the contract is stored there.
    pub simd: SimdChain,
    /// The Substrate chain.
    pub substrate: SubstrateChain,
    contract: Contract,
    relayer: Wallet,
    user: Wallet,
}

/// What differs from test to test in the relayer's configuration.
#[derive(Clone, Debug)]
pub struct AcrossOptions {
    /// Addresses of the Cosmos chain's nodes.
    pub simd_rpc: Vec<String>,
    /// Addresses of the Substrate chain's nodes.
    pub substrate_rpc: Vec<String>,
    /// More lines of the Cosmos chain's table.
    pub simd: String,
    /// More lines of the table `[global]`.
    pub global: String,
    /// More lines of the path's table.
    pub path: String,
}

/// The end of the channel on the Substrate chain.
#[derive(Clone, Debug)]
pub struct SubstrateEnd {
    /// Its chain, asked at the first validator.
    pub node: SubstrateNode,
    /// Its id.
    pub channel: String,
}

/// See the module.
#[derive(Debug)]
pub struct Across {
    /// Not running until started. Before the chains, so that it ends first.
    pub relayer: Relayer,
    /// The chains.
    pub chains: Families,
    /// The path's ids.
    pub ids: PathIds,
    /// The channel on the Cosmos chain.
    pub on_simd: End,
    /// The channel on the Substrate chain.
    pub on_substrate: SubstrateEnd,
    /// Someone on the Cosmos chain.
    pub alice: User,
    /// Someone on the Substrate chain.
    pub bob: SubstrateUser,
    /// The Substrate chain's root.
    pub root: SubstrateUser,
    /// The relayer's account on the Substrate chain: its id.
    pub relayer_account: [u8; 32],
    dir: TempDir,
}

impl Families {
    /// Starts both, and has governance store the contract.
    ///
    /// # Errors
    /// As [`SimdChain::start`], [`SubstrateChain::start`] and [`SimdChain::store_code`].
    pub async fn start(spec: SubstrateSpec) -> Result<Self, DevnetError> {
        let contract = tokio::task::spawn_blocking(Contract::build_or_find).await;
        let contract = contract.map_err(|e| DevnetError::Contract { reason: e.to_string() })??;
        let (relayer, user) = (Wallet::named("relayer")?, Wallet::named("user-a")?);
        let simd = ChainSpec::new(SIMD).voting_seconds(2);
        let simd = simd.wallet(relayer.clone(), &[(STAKE, FUNDS)]).wallet(user.clone(), &[(STAKE, FUNDS)]);
        let simd = SimdChain::start(simd).await?;
        let substrate = SubstrateChain::start(spec).await?;
        simd.store_code(&contract).await?;
        Ok(Self { simd, substrate, contract, relayer, user })
    }

    /// The relayer's address on the Cosmos chain.
    #[must_use]
    pub fn relayer_address(&self) -> &str {
        self.relayer.address()
    }

    /// All nodes' own addresses, and nothing else.
    #[must_use]
    pub fn options(&self) -> AcrossOptions {
        let (simd_rpc, substrate_rpc) = (vec![self.simd.rpc_url().to_owned()], self.substrate.rpc_urls());
        AcrossOptions { simd_rpc, substrate_rpc, simd: String::new(), global: String::new(), path: String::new() }
    }

    fn configure(&self, dir: &Path, admin: &str, options: &AcrossOptions) -> Result<RelayerConfig, DevnetError> {
        let (file, store) = (dir.join("relayer.toml"), dir.join("store"));
        let checksum = hex::encode(self.contract.checksum());
        let AcrossOptions { simd_rpc, substrate_rpc, simd, global, path } = options;
        let text = format!(
            r#"[global]
admin = {admin:?}
{global}

[store]
dir = {store:?}

[limits]
requests_per_second = 2000
burst = 2000

[[chains]]
id = {SIMD:?}
rpc = {simd_rpc:?}
account_prefix = "cosmos"
block_time_ms = 550
key = {{ source = "env", env = "RELAYER_TEST_RELAYER" }}
gas = {{ price = "0.01stake" }}
{simd}

[[chains]]
id = {SUBSTRATE:?}
type = "substrate"
rpc = {substrate_rpc:?}
block_time_ms = 1000
key = {{ source = "env", env = "RELAYER_TEST_SURI" }}
gas = {{ tip = "0unit" }}
client = {{ checksum = {checksum:?} }}

[[paths]]
name = {PATH:?}
a = {{ chain = {SIMD:?} }}
b = {{ chain = {SUBSTRATE:?} }}
{path}

[[paths.channels]]
a = {{ port = "transfer" }}
b = {{ port = "transfer" }}
"#
        );
        std::fs::write(&file, text).map_err(DevnetError::io(file.display().to_string()))?;
        Ok(RelayerConfig { file, admin: admin.to_owned(), store })
    }
}

impl Across {
    /// Starts chains with so many validators and creates the path.
    ///
    /// # Errors
    /// As [`Families::start`] and [`Across::open`].
    pub async fn start(validators: usize) -> Result<Self, DevnetError> {
        let chains = Families::start(SubstrateSpec::validators(validators)).await?;
        let options = chains.options();
        Self::open(chains, &options).await
    }

    /// Writes the configuration and runs `relayer path create`.
    ///
    /// # Errors
    /// [`DevnetError::Command`] if it fails; [`DevnetError::Io`].
    pub async fn open(chains: Families, options: &AcrossOptions) -> Result<Self, DevnetError> {
        let dir = tempfile::tempdir().map_err(DevnetError::io("a temporary folder"))?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let admin = format!("127.0.0.1:{}", port.map_err(DevnetError::io("a free port"))?.port());
        let config = chains.configure(dir.path(), &admin, options)?;
        let environment = [("RELAYER_TEST_RELAYER", chains.relayer.mnemonic()), ("RELAYER_TEST_SURI", RELAYER)];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let relayer = Relayer::new(config, environment)?;
        relayer.succeed(&["path", "create", PATH]).await?;
        let ids = channels(&relayer.config.file, PATH)?;
        let (on_simd, on_substrate) = ids.channels.first().cloned().unwrap_or_default();
        let node = chains.substrate.node(0)?.clone();
        let account = |uri| SubstrateUser::new(node.clone(), uri);
        Ok(Self {
            relayer,
            ids,
            on_simd: End { node: chains.simd.node().clone(), channel: on_simd },
            on_substrate: SubstrateEnd { node: node.clone(), channel: on_substrate },
            alice: chains.simd.user(&chains.user),
            bob: account("//Bob")?,
            root: account("//Alice")?,
            relayer_account: account(RELAYER)?.account(),
            chains,
            dir,
        })
    }

    /// Writes the configuration anew with other settings; ids, admin port and store stay.
    ///
    /// # Errors
    /// [`DevnetError::Io`] and [`DevnetError::Template`].
    pub fn rewrite(&mut self, options: &AcrossOptions) -> Result<(), DevnetError> {
        self.relayer.config = self.chains.configure(self.dir.path(), &self.relayer.config.admin, options)?;
        config::write_ids(&self.relayer.config.file, PATH, &self.ids)
    }

    /// Waits until nothing is open in either direction: every packet is acknowledged or timed out.
    ///
    /// # Errors
    /// [`DevnetError::Timeout`] with what is open.
    pub async fn settled(&self, within: Duration) -> Result<(), DevnetError> {
        until("no open packet on either chain", within, async || {
            let (a, b) = (self.on_simd.open().await?, self.on_substrate.open().await?);
            if a.is_empty() && b.is_empty() {
                return Ok(Some(()));
            }
            Err(DevnetError::decode("open packets", format!("{a:?} from simd, {b:?} from Substrate")))
        })
        .await
    }

    /// What `denom` of the Substrate chain is called on the Cosmos chain.
    #[must_use]
    pub fn voucher_on_simd(&self, denom: &str) -> String {
        super::voucher(&self.on_simd.channel, denom)
    }

    /// What `denom` of the Cosmos chain is called on the Substrate chain.
    #[must_use]
    pub fn voucher_on_substrate(&self, denom: &str) -> String {
        format!("transfer/{}/{denom}", self.on_substrate.channel)
    }

    /// What `bob` has of a coin of the Cosmos chain.
    ///
    /// # Errors
    /// As [`SubstrateNode::vouchers`].
    pub async fn bob_has(&self, denom: &str) -> Result<u128, DevnetError> {
        self.on_substrate.node.vouchers(&self.bob.account(), &self.voucher_on_substrate(denom)).await
    }
}

impl SubstrateEnd {
    /// Sequences sent here and neither acknowledged nor timed out.
    ///
    /// # Errors
    /// As [`SubstrateNode::keys`].
    pub async fn open(&self) -> Result<Vec<u64>, DevnetError> {
        self.sequences("commitments").await
    }

    /// Sequences received here.
    ///
    /// # Errors
    /// As [`SubstrateNode::keys`].
    pub async fn received(&self) -> Result<Vec<u64>, DevnetError> {
        self.sequences("receipts").await
    }

    /// Whether the state after the block of this number has an entry of a packet: `commitments`, `receipts` or `acks`.
    ///
    /// # Errors
    /// As [`SubstrateNode::storage_at`].
    pub async fn has(&self, kind: &str, sequence: u64, number: u64) -> Result<bool, DevnetError> {
        let key = format!("{}{sequence}", self.prefix(kind));
        Ok(self.node.storage_at(key.as_bytes(), number).await?.is_some())
    }

    fn prefix(&self, kind: &str) -> String {
        format!("ibc/{kind}/ports/transfer/channels/{}/sequences/", self.channel)
    }

    async fn sequences(&self, kind: &str) -> Result<Vec<u64>, DevnetError> {
        let prefix = self.prefix(kind);
        let keys = self.node.keys(prefix.as_bytes()).await?;
        let sequence = |key: &Vec<u8>| {
            let digits = key.get(prefix.len()..).and_then(|digits| std::str::from_utf8(digits).ok());
            digits
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| DevnetError::decode("a sequence", hex::encode(key)))
        };
        let mut sequences = keys.iter().map(sequence).collect::<Result<Vec<u64>, _>>()?;
        sequences.sort_unstable();
        Ok(sequences)
    }
}
