//! CometBFT chains that run ibc-go.
//!
//! [`CosmosChain`] implements `relayer_core::chain::Chain` over CometBFT's RPC alone: JSON-RPC batches, `abci_query` for the store
//! and for gRPC queries, a WebSocket that only wakes. What a node says of packets are facts to be proven; what it says of headers
//! is verified by our own light client before anything is based on it.
//!
//! ```text
//! source   heads.rs  block.rs <- event.rs <- wire.rs     newest block; facts of a block
//!          pending.rs  history.rs                        recovery: state, then the blocks that hold it
//! prover   store.rs                                      ICS-24 values and proofs
//!          light.rs <- verify.rs, header.rs, blocks.rs   our own light client
//!          client.rs                                     ICS-07 headers, new clients, misbehaviour
//! sink     tx/                                           keys, messages, gas, broadcasts
//!          node.rs                                       the one place where a node's words become codes
//! ```

mod block;
mod blocks;
mod client;
mod config;
mod event;
#[cfg(fuzzing)]
pub mod fuzz;
mod header;
mod heads;
mod history;
mod light;
#[cfg(test)]
mod light_tests;
pub mod limits;
mod node;
mod pending;
mod query;
mod store;
pub mod tx;
mod verify;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use ibc_proto::google::protobuf::Any;
use relayer_core::chain::{
    Chain, ClientInfo, ClientUpdate, Draft, History, NewClient, Outcome, PastFact, Path, Pending, Proven, Signed,
    Verified,
};
use relayer_core::error::{ChainError, ChainErrorKind, TxFailure};
use relayer_core::fact::{BlockFacts, Head, TxReport};
use relayer_core::id::{AccountSequence, ChainId, ClientId, Height, Sequence, Timestamp, TxHash};

pub use client::{consensus_time, info as client_info};
pub use config::CosmosConfig;

use crate::Cpu;
use crate::rpc::{RpcClient, SetupError};
use event::Caps;
use heads::Heads;
use light::{Light, LightSettings};
use node::Node;
use tx::{Key, KeyError, Wallet, WalletSettings};

/// Why a chain could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its endpoints.
    #[error(transparent)]
    Rpc(#[from] SetupError),
    /// Its key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// One Cosmos chain: its nodes, our light client of it, our wallet on it.
#[derive(Debug)]
pub struct CosmosChain {
    id: ChainId,
    node: Node,
    heads: Arc<Heads>,
    light: Light,
    caps: Caps,
    store_prefix: Vec<u8>,
    account_prefix: String,
    wallet: Option<Wallet>,
}

impl CosmosChain {
    /// Sets up the chain; nothing is called yet. Without a wallet it can be read only. `cpu` runs the verification.
    pub fn new(config: CosmosConfig, wallet: Option<(Key, WalletSettings)>, cpu: Cpu) -> Result<Self, OpenError> {
        let first = config.rpc.endpoints.iter().find(|endpoint| !endpoint.archive);
        let stream = config.stream.or_else(|| first.map(|endpoint| endpoint.url.clone()));
        let rpc = RpcClient::new(config.rpc)?;
        let wallet = match wallet {
            Some((key, settings)) => Some(Wallet::new(rpc.clone(), config.id.clone(), key, settings)?),
            None => None,
        };
        let node = Node::new(rpc, config.id.clone());
        let heads = Arc::new(Heads::new(node.clone(), config.poll, stream.filter(|_| config.websocket)));
        let settings = LightSettings {
            trust: config.trust,
            threshold: config.trust_threshold,
            trusting: config.trusting_period,
            drift: config.clock_drift,
        };
        Ok(Self {
            light: Light::new(node.clone(), heads.clone(), cpu, settings),
            caps: Caps {
                data: config.packet_data_bytes.min(relayer_core::limits::PACKET_DATA_BYTES),
                ack: config.ack_bytes.min(relayer_core::limits::ACK_BYTES),
            },
            id: config.id,
            node,
            heads,
            store_prefix: config.store_prefix,
            account_prefix: config.account_prefix,
            wallet,
        })
    }

    /// The RPC stack: endpoints' health for `status` and metrics.
    pub fn rpc(&self) -> &RpcClient {
        self.node.rpc()
    }

    /// The newest verified header, to be given as [`crate::Trust::Stored`] in the next run; `None` before the first one.
    pub fn export_trust(&self) -> Option<Vec<u8>> {
        self.light.export()
    }

    /// Bech32 prefix of the chain's accounts.
    pub fn account_prefix(&self) -> &str {
        &self.account_prefix
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    fn wallet(&self) -> Result<&Wallet, ChainError> {
        let none = || self.node.error(ChainErrorKind::Setup("no key is configured for this chain"), "");
        self.wallet.as_ref().ok_or_else(none)
    }

    /// The wallet dates its transactions by the head.
    fn saw(&self, head: Head) -> Head {
        if let Some(wallet) = &self.wallet {
            wallet.saw_head(head.height);
        }
        head
    }

    /// The verified header of a height, once there is a header to verify it from.
    async fn verified_if_trusting(&self, number: u64) -> Result<Option<Verified>, ChainError> {
        if !self.light.trusts() {
            return Ok(None);
        }
        let block = self.light.block(number).await?;
        light::verified(&self.node, &block).map(Some)
    }

    fn number(&self, height: Height) -> Result<u64, ChainError> {
        if height.revision == self.id.revision() {
            return Ok(height.number);
        }
        let detail = format!("height {height}, chain at revision {}", self.id.revision());
        Err(self.node.error(ChainErrorKind::Setup("a height of another revision was asked"), detail))
    }
}

#[async_trait]
impl Chain for CosmosChain {
    fn id(&self) -> &ChainId {
        &self.id
    }

    fn max_tx_bytes(&self) -> usize {
        self.wallet.as_ref().map_or(usize::MAX, Wallet::max_tx_bytes)
    }

    async fn head(&self) -> Result<Head, ChainError> {
        Ok(self.saw(self.heads.head().await?))
    }

    async fn next_head(&self, after: Height) -> Result<Head, ChainError> {
        Ok(self.saw(self.heads.next(after).await?))
    }

    async fn facts(&self, height: Height) -> Result<BlockFacts, ChainError> {
        let number = self.number(height)?;
        let heights = [number];
        let told = block::told(&self.node, &heights, self.caps, self.heads.newest());
        let (mut told, verified) = tokio::try_join!(told, self.verified_if_trusting(number))?;
        let said = told.pop().unwrap_or_else(|| Err(self.node.error(ChainErrorKind::Malformed, "block")))?;
        // Timeouts and the age of clients are judged by this time.
        if verified.is_some_and(|block| block.at.time != said.value.at.time) {
            return Err(self.node.lying(&said.endpoint, "block_time", format!("block {number} of {}", said.endpoint)));
        }
        Ok(said.value)
    }

    async fn pending(&self, what: &Pending) -> Result<Vec<Sequence>, ChainError> {
        pending::pending(&self.node, what).await
    }

    async fn history(&self, what: &History) -> Result<Vec<PastFact>, ChainError> {
        let newest = match self.heads.newest() {
            Some(newest) => newest,
            None => self.heads.head().await?.height.number,
        };
        history::history(&self.node, what, self.caps, newest).await
    }

    async fn query(&self, paths: &[Path], at: Option<Height>, prove: bool) -> Result<Vec<Proven>, ChainError> {
        store::query(&self.node, &self.store_prefix, paths, at, prove, self.heads.newest()).await
    }

    async fn verified(&self, height: Height) -> Result<Verified, ChainError> {
        let block = self.light.block(self.number(height)?).await?;
        light::verified(&self.node, &block)
    }

    async fn trusts(&self) -> bool {
        self.light.root_if_given().await
    }

    fn refute(&self, head: Height) {
        if let Some(endpoint) = self.heads.refute(head) {
            self.node.rpc().quarantine(&endpoint, "lying_height", limits::QUARANTINE);
            // Its peers don't lag behind what is not there.
            self.node.rpc().saw_height(&endpoint, 0);
        }
    }

    async fn anchor(&self, height: Height, consensus_state: &Any) -> Result<(), ChainError> {
        self.light.anchor(self.number(height)?, consensus_state).await
    }

    async fn client_message(
        &self,
        client_state: &Any,
        trusted: Height,
        target: Height,
    ) -> Result<ClientUpdate, ChainError> {
        client::update(&self.node, &self.light, client_state, trusted, target).await
    }

    async fn new_client(&self) -> Result<NewClient, ChainError> {
        client::new_client(&self.node, &self.heads, &self.light).await
    }

    fn client_info(&self, client_state: &Any) -> Result<ClientInfo, ChainError> {
        client_info(&self.id, client_state)
    }

    fn consensus_time(&self, consensus_state: &Any) -> Result<Timestamp, ChainError> {
        consensus_time(&self.id, consensus_state)
    }

    async fn check_header(
        &self,
        client: &ClientId,
        client_state: &Any,
        header: &Any,
    ) -> Result<Option<Any>, ChainError> {
        client::check_header(&self.node, &self.heads, &self.light, client, client_state, header).await
    }

    fn quarantine(&self, endpoint: &str, reason: &'static str) {
        store::quarantine(&self.node, endpoint, reason);
    }

    fn signer(&self) -> &str {
        self.wallet.as_ref().map_or("", Wallet::address)
    }

    async fn account_sequence(&self) -> Result<AccountSequence, ChainError> {
        self.wallet()?.account_sequence().await
    }

    async fn balance(&self) -> Result<(u128, String), ChainError> {
        self.wallet()?.balance().await
    }

    async fn prepare(&self, draft: &Draft, account_sequence: AccountSequence) -> Result<Signed, TxFailure> {
        self.wallet()?.prepare(draft, account_sequence).await
    }

    async fn submit(&self, signed: &[Signed]) -> Vec<Result<(), TxFailure>> {
        match self.wallet() {
            Ok(wallet) => wallet.submit(signed).await,
            Err(error) => signed.iter().map(|_| Err(TxFailure::Chain(error.clone()))).collect(),
        }
    }

    async fn outcome(&self, hash: TxHash, _last: Height) -> Result<Outcome, ChainError> {
        self.wallet()?.outcome(hash).await
    }

    fn learn(&self, draft: &Draft, report: &TxReport) {
        if let Some(wallet) = &self.wallet {
            wallet.learn(draft, report);
        }
    }
}
