//! Two chains with an open path between them, and a relayer for it.

use tempfile::TempDir;

use super::{End, Link, PathIds, Relayer, config};
use crate::DevnetError;
use crate::devnet::{self, ConfigOptions, Devnet, Network, TestChain};

/// See the module. The chains are real ones, or any other [`Network`].
#[derive(Debug)]
pub struct Line<N = Devnet> {
    /// The relayer; not running until started. Before the chains, so that it ends first.
    pub relayer: Relayer,
    /// The chains.
    pub net: N,
    /// The path's ids.
    pub ids: PathIds,
    /// The path's name.
    pub path: String,
    dir: TempDir,
}

impl<N: Network> Line<N> {
    /// Writes the configuration and runs `relayer path create`.
    ///
    /// # Errors
    /// [`DevnetError::Command`] if it fails, otherwise as [`Devnet::write_config`].
    pub async fn open(net: N, options: &ConfigOptions) -> Result<Self, DevnetError> {
        let dir = tempfile::tempdir().map_err(DevnetError::io("a temporary folder"))?;
        let config = devnet::write_config(net.ends(), dir.path(), options)?;
        let relayer = Relayer::new(config, devnet::environment(net.wallets()))?;
        relayer.succeed(&["path", "create", &options.path]).await?;
        let ids = config::channels(&relayer.config.file, &options.path)?;
        Ok(Self { relayer, net, ids, path: options.path.clone(), dir })
    }

    /// The path's channel number `n`.
    ///
    /// # Errors
    /// [`DevnetError::Decode`] if it has no such channel.
    pub fn link(&self, n: usize) -> Result<Link, DevnetError> {
        let [a, b] = self.net.ends();
        link(&self.ids, n, a, b)
    }

    /// The first channel of another path of the configuration, between these chains.
    ///
    /// # Errors
    /// As [`config::channels`].
    pub fn link_to(&self, path: &str, a: &dyn TestChain, b: &dyn TestChain) -> Result<Link, DevnetError> {
        link(&config::channels(&self.relayer.config.file, path)?, 0, a, b)
    }

    /// Another relayer for the same path: the same ids, its own store, admin port and settings.
    ///
    /// # Errors
    /// As [`Devnet::write_config`].
    pub fn another(&self, name: &str, options: &ConfigOptions) -> Result<Relayer, DevnetError> {
        let dir = self.dir.path().join(name);
        std::fs::create_dir(&dir).map_err(DevnetError::io(dir.display().to_string()))?;
        let config = devnet::write_config(self.net.ends(), &dir, options)?;
        config::write_ids(&config.file, &options.path, &self.ids)?;
        Relayer::new(config, devnet::environment(self.net.wallets()))
    }

    /// Writes the configuration anew with other settings; ids, admin port and store stay.
    ///
    /// # Errors
    /// As [`Devnet::write_config`].
    pub fn rewrite(&mut self, options: &ConfigOptions) -> Result<(), DevnetError> {
        self.relayer.config = devnet::write_config(self.net.ends(), self.dir.path(), options)?;
        self.relayer.admin = super::Admin::new(&self.relayer.config.admin)?;
        config::write_ids(&self.relayer.config.file, &options.path, &self.ids)
    }
}

fn link(ids: &PathIds, n: usize, a: &dyn TestChain, b: &dyn TestChain) -> Result<Link, DevnetError> {
    let channels = ids.channels.get(n).ok_or_else(|| DevnetError::decode("channels", format!("no {n}")))?;
    let end = |chain: &dyn TestChain, channel: &str| End { node: chain.node().clone(), channel: channel.to_owned() };
    Ok(Link { a: end(a, &channels.0), b: end(b, &channels.1) })
}
