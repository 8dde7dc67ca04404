//! A chain of any family as one type: the port, and what commands ask beside it.

use std::sync::Arc;

use async_trait::async_trait;
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::channel::v1::IdentifiedChannel;
use ibc_proto::ibc::core::connection::v1::IdentifiedConnection;
use ibc_proto::ibc::lightclients::wasm::v1::{ClientState as WasmClientState, ConsensusState as WasmConsensusState};
use light_clients::{GrandpaClient, TendermintClient, Verifier};
use prost::Name;
use relayer_core::chain::{
    Chain, ClientInfo, ClientUpdate, Draft, History, NewClient, Outcome, PastFact, Path, Pending, Proven, Signed,
    Verified,
};
use relayer_core::error::{ChainError, ChainErrorKind, TxFailure};
use relayer_core::fact::{BlockFacts, Head, TxReport};
use relayer_core::id::{AccountSequence, ChainId, ClientId, ConnectionId, Height, Sequence, Timestamp, TxHash};
use relayer_core::packet::PortChannel;

use crate::cosmos::CosmosChain;
use crate::rpc::RpcClient;
use crate::substrate::SubstrateChain;

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// The node's program and its version.
    pub software: String,
    /// The newest block.
    pub latest: u64,
    /// The oldest block it keeps, where it says so.
    pub earliest: Option<u64>,
    /// Which endpoint: a label without secrets.
    pub endpoint: String,
}

/// A chain of any family.
#[derive(Debug)]
pub enum AnyChain {
    /// CometBFT with ibc-go.
    Cosmos(Box<CosmosChain>),
    /// Substrate with GRANDPA.
    Substrate(Box<SubstrateChain>),
}

impl From<CosmosChain> for AnyChain {
    fn from(chain: CosmosChain) -> Self {
        Self::Cosmos(Box::new(chain))
    }
}
impl From<SubstrateChain> for AnyChain {
    fn from(chain: SubstrateChain) -> Self {
        Self::Substrate(Box::new(chain))
    }
}

/// The same of whichever it is.
macro_rules! each {
    ($any:expr, $chain:ident => $do:expr) => {
        match $any {
            AnyChain::Cosmos($chain) => $do,
            AnyChain::Substrate($chain) => $do,
        }
    };
}

impl AnyChain {
    fn port(&self) -> &dyn Chain {
        each!(self, chain => chain.as_ref())
    }

    /// The RPC stack: endpoints' health for `status` and metrics.
    pub fn rpc(&self) -> &RpcClient {
        each!(self, chain => chain.rpc())
    }
    /// The newest verified header, to be given as [`crate::Trust::Stored`] in the next run; `None` before the first one.
    pub fn export_trust(&self) -> Option<Vec<u8>> {
        each!(self, chain => chain.export_trust())
    }
    /// Verifies what clients of this chain are shown.
    pub fn verifier(&self) -> Arc<dyn Verifier> {
        match self {
            Self::Cosmos(_) => Arc::new(TendermintClient),
            Self::Substrate(_) => Arc::new(GrandpaClient),
        }
    }
    /// The node's version and blocks.
    pub async fn node_status(&self) -> Result<NodeStatus, ChainError> {
        each!(self, chain => chain.node_status().await)
    }
    /// Balance of one denomination.
    pub async fn balance_of(&self, address: &str, denom: &str) -> Result<u128, ChainError> {
        match self {
            Self::Cosmos(chain) => chain.balance_of(address, denom).await,
            Self::Substrate(_) => {
                let coins = self.balances(address).await?;
                Ok(coins.into_iter().find(|(coin, _)| coin == denom).map_or(0, |(_, amount)| amount))
            }
        }
    }
    /// All balances: denomination and amount. Of a Substrate chain that of the configured wallet's own coin, which is all that its nodes tell.
    pub async fn balances(&self, address: &str) -> Result<Vec<(String, u128)>, ChainError> {
        match self {
            Self::Cosmos(chain) => chain.balances(address).await,
            Self::Substrate(chain) if address == chain.signer() => {
                let (amount, denom) = chain.balance().await?;
                Ok(vec![(denom, amount)])
            }
            Self::Substrate(chain) => {
                let what = "only the configured wallet's balance can be asked of this chain";
                Err(ChainError::new(chain.id(), ChainErrorKind::Setup(what), ""))
            }
        }
    }
    /// All clients on this chain with their states.
    pub async fn clients(&self) -> Result<Vec<(ClientId, Any)>, ChainError> {
        each!(self, chain => chain.clients().await)
    }
    /// One client's state.
    pub async fn client_state(&self, client: &ClientId) -> Result<Any, ChainError> {
        each!(self, chain => chain.client_state(client).await)
    }
    /// What the chain itself says of a client: `Active`, `Expired`, `Frozen`; `None` where it is not asked that.
    pub async fn client_status(&self, client: &ClientId) -> Result<Option<String>, ChainError> {
        match self {
            Self::Cosmos(chain) => chain.client_status(client).await.map(Some),
            Self::Substrate(_) => Ok(None),
        }
    }
    /// Heights for which a client holds a consensus state, ascending.
    pub async fn consensus_heights(&self, client: &ClientId) -> Result<Vec<Height>, ChainError> {
        each!(self, chain => chain.consensus_heights(client).await)
    }
    /// All connections.
    pub async fn connections(&self) -> Result<Vec<IdentifiedConnection>, ChainError> {
        each!(self, chain => chain.connections().await)
    }
    /// All channels, or those of one connection.
    pub async fn channels(&self, connection: Option<&ConnectionId>) -> Result<Vec<IdentifiedChannel>, ChainError> {
        each!(self, chain => chain.channels(connection).await)
    }
    /// The client below a channel end, with its state.
    pub async fn channel_client(&self, end: &PortChannel) -> Result<(ClientId, Any), ChainError> {
        each!(self, chain => chain.channel_client(end).await)
    }
}

/// What a client state says, of whichever family the chain is that it tracks. `host` is named in errors.
pub fn client_info(host: &ChainId, client_state: &Any) -> Result<ClientInfo, ChainError> {
    match client_state.type_url == WasmClientState::type_url() {
        true => crate::substrate::client_info(host, client_state),
        false => crate::cosmos::client_info(host, client_state),
    }
}

/// The time of a consensus state, of whichever family the chain is that it stems from.
pub fn consensus_time(host: &ChainId, consensus_state: &Any) -> Result<Timestamp, ChainError> {
    match consensus_state.type_url == WasmConsensusState::type_url() {
        true => crate::substrate::consensus_time(host, consensus_state),
        false => crate::cosmos::consensus_time(host, consensus_state),
    }
}

#[async_trait]
impl Chain for AnyChain {
    fn id(&self) -> &ChainId {
        self.port().id()
    }
    fn max_tx_bytes(&self) -> usize {
        self.port().max_tx_bytes()
    }
    async fn head(&self) -> Result<Head, ChainError> {
        self.port().head().await
    }
    async fn next_head(&self, after: Height) -> Result<Head, ChainError> {
        self.port().next_head(after).await
    }
    async fn facts(&self, height: Height) -> Result<BlockFacts, ChainError> {
        self.port().facts(height).await
    }
    async fn pending(&self, what: &Pending) -> Result<Vec<Sequence>, ChainError> {
        self.port().pending(what).await
    }
    async fn history(&self, what: &History) -> Result<Vec<PastFact>, ChainError> {
        self.port().history(what).await
    }
    async fn query(&self, paths: &[Path], at: Option<Height>, prove: bool) -> Result<Vec<Proven>, ChainError> {
        self.port().query(paths, at, prove).await
    }
    fn proof_lag(&self) -> u64 {
        self.port().proof_lag()
    }
    async fn updatable(&self, height: Height) -> Result<Height, ChainError> {
        self.port().updatable(height).await
    }
    async fn verified(&self, height: Height) -> Result<Verified, ChainError> {
        self.port().verified(height).await
    }
    async fn trusts(&self) -> bool {
        self.port().trusts().await
    }
    fn refute(&self, head: Height) {
        self.port().refute(head);
    }
    async fn anchor(&self, height: Height, consensus_state: &Any) -> Result<(), ChainError> {
        self.port().anchor(height, consensus_state).await
    }
    async fn client_message(
        &self,
        client_state: &Any,
        trusted: Height,
        target: Height,
    ) -> Result<ClientUpdate, ChainError> {
        self.port().client_message(client_state, trusted, target).await
    }
    async fn new_client(&self) -> Result<NewClient, ChainError> {
        self.port().new_client().await
    }
    fn client_info(&self, client_state: &Any) -> Result<ClientInfo, ChainError> {
        self.port().client_info(client_state)
    }
    fn consensus_time(&self, consensus_state: &Any) -> Result<Timestamp, ChainError> {
        self.port().consensus_time(consensus_state)
    }
    async fn check_header(
        &self,
        client: &ClientId,
        client_state: &Any,
        header: &Any,
    ) -> Result<Option<Any>, ChainError> {
        self.port().check_header(client, client_state, header).await
    }
    fn quarantine(&self, endpoint: &str, reason: &'static str) {
        self.port().quarantine(endpoint, reason);
    }
    fn signer(&self) -> &str {
        self.port().signer()
    }
    async fn account_sequence(&self) -> Result<AccountSequence, ChainError> {
        self.port().account_sequence().await
    }
    async fn balance(&self) -> Result<(u128, String), ChainError> {
        self.port().balance().await
    }
    async fn prepare(&self, draft: &Draft, account_sequence: AccountSequence) -> Result<Signed, TxFailure> {
        self.port().prepare(draft, account_sequence).await
    }
    async fn submit(&self, signed: &[Signed]) -> Vec<Result<(), TxFailure>> {
        self.port().submit(signed).await
    }
    async fn outcome(&self, hash: TxHash, last: Height) -> Result<Outcome, ChainError> {
        self.port().outcome(hash, last).await
    }
    fn learn(&self, draft: &Draft, report: &TxReport) {
        self.port().learn(draft, report);
    }
}
