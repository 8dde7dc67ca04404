//! A running embedded chain: its node and its RPC, on loopback, in this process. Both end with the value.

use std::sync::Arc;

use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::client::v1::Height;
use ibc_proto::ibc::lightclients::tendermint::v1::Header;

use super::node;
use super::rpc::{Faults, Server};
use super::{EmbeddedSpec, Fault};
use crate::devnet::tx::any;
use crate::devnet::{Node, TestChain, User, Wallet};
use crate::{DevnetError, limits};

/// See the module.
///
/// ```no_run
/// # async fn run() -> Result<(), relayer_tests::DevnetError> {
/// use relayer_tests::devnet::embedded::{EmbeddedChain, EmbeddedSpec, Fault};
/// let chain = EmbeddedChain::start(EmbeddedSpec::new("emb-1")).await?;
/// chain.wait_blocks(3).await?;
/// chain.faults().set(Fault::Garbage);
/// assert!(chain.height().await.is_err());
/// # Ok(())
/// # }
/// ```
pub struct EmbeddedChain {
    // Before the node that it serves.
    server: Server,
    _window: Server,
    inner: Arc<node::Node>,
    faults: Faults,
    node: Node,
    observer: Node,
}

impl std::fmt::Debug for EmbeddedChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedChain").field("spec", self.spec()).field("server", &self.server).finish_non_exhaustive()
    }
}

impl EmbeddedChain {
    /// Starts a chain and waits for its second block: from then on a light client can follow it.
    ///
    /// # Errors
    /// [`DevnetError::Start`] if it makes none, [`DevnetError::Io`] if its port is taken.
    pub async fn start(spec: EmbeddedSpec) -> Result<Self, DevnetError> {
        let inner = node::Node::start(spec)?;
        let faults = Faults::default();
        let server = Server::start(Arc::clone(&inner), faults.clone(), inner.spec().port.unwrap_or(0)).await?;
        let window = Server::start(Arc::clone(&inner), Faults::default(), 0).await?;
        let node = Node::new(&format!("http://{}", server.address()))?;
        let observer = Node::new(&format!("http://{}", window.address()))?;
        let chain = Self { server, _window: window, inner, faults, node, observer };
        match chain.node.wait_for_height(2, limits::START_TIMEOUT).await {
            Ok(_) => Ok(chain),
            Err(error) => {
                let reason = chain.failure().unwrap_or_else(|| error.to_string());
                Err(DevnetError::Start { chain: chain.id().to_owned(), reason, log: String::new() })
            }
        }
    }

    /// The chain id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.spec().id
    }

    /// The description it was started from.
    #[must_use]
    pub fn spec(&self) -> &EmbeddedSpec {
        self.inner.spec()
    }

    /// The number at the end of the chain id, as in the heights of light clients.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.spec().revision()
    }

    /// A client of its node.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn rpc_url(&self) -> &str {
        self.node.url()
    }

    /// `ws://127.0.0.1:<port>/websocket`.
    #[must_use]
    pub fn ws_url(&self) -> String {
        format!("ws://{}/websocket", self.server.address())
    }

    /// A client of a second port that has no faults: to look at the chain while the relayer's port misbehaves.
    #[must_use]
    pub fn observer(&self) -> &Node {
        &self.observer
    }

    /// What is wrong with its answers. They are wrong for a test's own client, too: look before or after, or at the other chain.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Someone who acts on this chain, paying its least price.
    #[must_use]
    pub fn user(&self, wallet: &Wallet) -> User {
        User::new(self.node.clone(), self.id(), wallet.clone(), &self.gas_price())
    }

    /// The newest height.
    ///
    /// # Errors
    /// As [`Node::height`].
    pub async fn height(&self) -> Result<u64, DevnetError> {
        self.node.height().await
    }

    /// An account's balance in one denomination.
    ///
    /// # Errors
    /// As [`Node::query`].
    pub async fn balance(&self, address: &str, denom: &str) -> Result<u128, DevnetError> {
        self.node.balance(address, denom).await
    }

    /// Waits for so many more blocks; the height then.
    ///
    /// # Errors
    /// [`DevnetError::Timeout`] if they don't come.
    pub async fn wait_blocks(&self, blocks: u64) -> Result<u64, DevnetError> {
        let now = self.height().await?;
        self.node.wait_for_height(now + blocks, limits::START_TIMEOUT).await
    }

    /// Makes no more blocks; the node answers and takes transactions.
    pub fn halt(&self) {
        self.inner.halt();
    }

    /// Makes blocks again.
    pub fn resume(&self) {
        self.inner.resume();
    }

    /// Takes the next so many transactions and loses them: they are answered with code 0, and no block will have them.
    pub fn drop_transactions(&self, count: usize) {
        self.inner.drop_transactions(count);
    }

    /// From one block to the next, from now on.
    pub fn set_block_interval(&self, interval: std::time::Duration) {
        self.inner.set_block_interval(interval);
    }

    /// Gives the validators these powers by place; see `EmbeddedSpec::validators`.
    ///
    /// # Errors
    /// [`DevnetError::Start`] if no validator would be left.
    pub fn change_powers(&self, powers: &[u64]) -> Result<(), DevnetError> {
        let refused = |e: tendermint::Error| DevnetError::Start {
            chain: self.id().to_owned(),
            reason: e.to_string(),
            log: String::new(),
        };
        self.inner.change_powers(powers).map_err(refused)
    }

    /// A header of a block that this chain never had, at the height of one that it has, signed by its validators (ICS-07): what a client that
    /// trusts `trusted` would believe. `None` if there are no such blocks.
    #[must_use]
    pub fn equivocate(&self, height: u64, trusted: u64) -> Option<Any> {
        let (signed, validators) = self.inner.equivocate(height, [7; 32])?;
        let trusted_validators = self.inner.block(trusted.checked_add(1)?)?.validators.clone();
        let header = Header {
            signed_header: Some(signed.into()),
            validator_set: Some(validators.into()),
            trusted_height: Some(Height { revision_number: self.revision(), revision_height: trusted }),
            trusted_validators: Some(trusted_validators.into()),
        };
        Some(any("/ibc.lightclients.tendermint.v1.Header", &header))
    }

    /// Why the chain stopped by itself.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.inner.failure()
    }

    /// Ends the chain; what was made can still be asked for.
    pub fn stop(&self) {
        self.inner.stop();
    }
}

impl TestChain for EmbeddedChain {
    fn id(&self) -> &str {
        Self::id(self)
    }

    fn node(&self) -> &Node {
        Self::node(self)
    }

    fn gas_price(&self) -> String {
        let price = self.spec().min_gas_price_millionths;
        format!("{}.{:06}{}", price / 1_000_000, price % 1_000_000, self.spec().fee_denom())
    }

    fn block_time_ms(&self) -> u64 {
        u64::try_from(self.spec().block_interval.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

impl Drop for EmbeddedChain {
    fn drop(&mut self) {
        // Nobody should wait for what a stalled answer hides.
        self.faults.lift(Fault::StalledHttp);
        self.faults.cut_websockets();
        self.inner.stop();
        if std::thread::panicking()
            && let Some(failure) = self.failure()
        {
            eprintln!("--- chain {} stopped by itself: {failure}", self.id());
        }
    }
}
