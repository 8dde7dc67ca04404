//! Two embedded chains and the usual wallets: what [`crate::devnet::Devnet`] is of real chains.

use std::path::Path;

use super::{EmbeddedChain, EmbeddedSpec};
use crate::DevnetError;
use crate::devnet::network::{self, FUNDS};
use crate::devnet::{ConfigOptions, Network, RelayerConfig, SAMOLEANS, STAKE, TestChain, Wallets};

/// Two running chains, `emb-a-1` and `emb-b-1`.
#[derive(Debug)]
pub struct EmbeddedNet {
    /// The first chain.
    pub a: EmbeddedChain,
    /// The second chain.
    pub b: EmbeddedChain,
    /// Wallets known on both.
    pub wallets: Wallets,
}

impl EmbeddedNet {
    /// Two chains that make four blocks a second and ask no fee.
    ///
    /// # Errors
    /// As [`EmbeddedChain::start`].
    pub async fn two_chains() -> Result<Self, DevnetError> {
        Self::with(|spec| spec).await
    }

    /// Two chains that differ from the usual ones as `change` says.
    ///
    /// # Errors
    /// As [`EmbeddedChain::start`].
    pub async fn with(change: impl Fn(EmbeddedSpec) -> EmbeddedSpec) -> Result<Self, DevnetError> {
        let wallets = Wallets::usual()?;
        let spec =
            |id: &str| {
                let funded = wallets.all().into_iter().filter(|wallet| wallet.name() != "empty");
                change(funded.fold(EmbeddedSpec::new(id), |spec, wallet| {
                    spec.wallet(wallet, &[(STAKE, FUNDS), (SAMOLEANS, FUNDS)])
                }))
            };
        let (a, b) = tokio::try_join!(EmbeddedChain::start(spec("emb-a-1")), EmbeddedChain::start(spec("emb-b-1")))?;
        Ok(Self { a, b, wallets })
    }

    /// The environment in which the keys of [`EmbeddedNet::write_config`] are found.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        network::environment(&self.wallets)
    }

    /// Writes `relayer.toml` for these chains into a folder, with an admin port of its own and its store beside it.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it can't be written.
    pub fn write_config(&self, dir: &Path, options: &ConfigOptions) -> Result<RelayerConfig, DevnetError> {
        network::write_config(self.ends(), dir, options)
    }
}

impl Network for EmbeddedNet {
    fn ends(&self) -> [&dyn TestChain; 2] {
        [&self.a, &self.b]
    }

    fn wallets(&self) -> &Wallets {
        &self.wallets
    }
}
