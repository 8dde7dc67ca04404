//! Substrate chains that GRANDPA finalizes and that keep IBC in a module of their runtime.
//!
//! [`SubstrateChain`] implements `relayer_core::chain::Chain` over the JSON-RPC that every node has: batches over HTTP for all that
//! counts, a WebSocket that hands over justifications. Metadata, events and extrinsics go by subxt's reading of a runtime; its own RPC is not
//! used, so that each call passes the limiter. What a node says of blocks is verified by our own light client before anything is based on it,
//! and the events of a block are proven from its state; packets are proven once more from the state they are in.
//!
//! ```text
//! source   heads.rs <- finality.rs, streams.rs         newest block that is shown to be final
//!          block.rs <- event.rs, extrinsic.rs, skip.rs  facts of a block, by runtime.rs; body.rs: that they are all of it
//!          pending.rs  history.rs                      recovery: state, then the blocks that the chain names
//! prover   store.rs                                    ICS-24 values and proofs of the trie
//!          light.rs <- walk.rs, root.rs, kept.rs       our own light client
//!          client.rs                                   GRANDPA clients elsewhere: headers, new clients, misbehaviour
//! sink     tx/                                         keys, extrinsics, submission
//!          node.rs, wire.rs                            the one place where a node's words become codes
//! ```
//!
//! A state is proven by the header of its own block, and clients can be brought to justified blocks only: that is how this family answers
//! `proof_lag` and `updatable`.

mod block;
mod body;
mod client;
mod config;
mod event;
mod extrinsic;
mod finality;
#[cfg(fuzzing)]
pub mod fuzz;
mod heads;
mod history;
mod kept;
mod keys;
mod light;
pub mod limits;
mod node;
mod pending;
mod query;
mod root;
mod runtime;
mod skip;
mod store;
mod streams;
#[cfg(test)]
mod tests;
pub mod tx;
mod walk;
mod wire;
mod xcm;

use std::sync::Arc;

use async_trait::async_trait;
use ibc_proto::google::protobuf::Any;
use light_clients::grandpa::Hash;
use relayer_core::chain::{
    Chain, ClientInfo, ClientUpdate, Draft, History, NewClient, Outcome, PastFact, Path, Pending, Proven, Signed,
    Verified,
};
use relayer_core::error::{ChainError, ChainErrorKind, TxFailure};
use relayer_core::fact::{BlockFacts, Head, TxReport};
use relayer_core::id::{AccountSequence, ChainId, ClientId, Height, Sequence, Timestamp, TxHash};

pub use client::{consensus_time, info as client_info};
pub use config::SubstrateConfig;

use crate::Cpu;
use crate::ibc::event::Caps;
use crate::rpc::{RpcClient, SetupError};
use block::Reader;
use client::Terms;
use finality::Justified;
use heads::Heads;
use light::{Light, LightSettings};
use node::Node;
use runtime::Runtimes;
use streams::{Stream, Streams};
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

/// One Substrate chain: its nodes, our light client of it, our wallet on it.
#[derive(Debug)]
pub struct SubstrateChain {
    id: ChainId,
    node: Node,
    heads: Arc<Heads>,
    light: Light,
    reader: Arc<Reader>,
    store_prefix: Vec<u8>,
    ss58_prefix: u16,
    terms: Terms,
    wallet: Option<Wallet>,
}

impl SubstrateChain {
    /// Sets up the chain; nothing is called yet. Without a wallet it can be read only. `cpu` runs the verification.
    pub fn new(config: SubstrateConfig, wallet: Option<(Key, WalletSettings)>, cpu: Cpu) -> Result<Self, OpenError> {
        let terms = Terms::of(&config);
        let nodes: Vec<_> = config.rpc.endpoints.iter().map(|node| (!node.archive).then(|| node.url.clone())).collect();
        let rpc = RpcClient::new(config.rpc)?;
        let streams = rpc.endpoints().into_iter().zip(nodes);
        let mut streams: Vec<_> = streams.filter_map(|(endpoint, url)| Some(Stream { endpoint, url: url? })).collect();
        if let (Some(first), Some(own)) = (streams.first_mut(), config.stream) {
            first.url = own;
        }
        if !config.websocket {
            streams.clear();
        }
        let node = Node::new(rpc, config.id.clone());
        let justified = Arc::new(Justified::default());
        let heads = Arc::new(Heads::new(node.clone(), justified.clone(), config.poll, Streams::new(streams)));
        let settings = LightSettings { trust: config.trust, trusting: config.trusting_period };
        let light = Light::new(node.clone(), heads.clone(), justified, cpu, settings);
        let caps = Caps {
            data: config.packet_data_bytes.min(relayer_core::limits::PACKET_DATA_BYTES),
            ack: config.ack_bytes.min(relayer_core::limits::ACK_BYTES),
        };
        let runtimes = Runtimes::new(node.clone());
        let reader = Arc::new(Reader { node: node.clone(), light: light.clone(), runtimes, caps });
        let wallet = match wallet {
            Some((key, settings)) => {
                Some(Wallet::new(reader.clone(), heads.clone(), config.ss58_prefix, key, settings)?)
            }
            None => None,
        };
        Ok(Self {
            id: config.id,
            node,
            heads,
            light,
            reader,
            store_prefix: config.store_prefix,
            ss58_prefix: config.ss58_prefix,
            terms,
            wallet,
        })
    }

    /// The RPC stack: endpoints' health for `status` and metrics.
    pub fn rpc(&self) -> &RpcClient {
        self.node.rpc()
    }

    /// The newest verified block, to be given as [`crate::Trust::Stored`] in the next run; `None` before the first one.
    pub fn export_trust(&self) -> Option<Vec<u8>> {
        self.light.export()
    }

    /// The network's number in addresses.
    pub fn ss58_prefix(&self) -> u16 {
        self.ss58_prefix
    }

    fn wallet(&self) -> Result<&Wallet, ChainError> {
        let none = || self.node.error(ChainErrorKind::Setup("no key is configured for this chain"), "");
        self.wallet.as_ref().ok_or_else(none)
    }

    /// The block of a height, or the newest one that is shown to be final: its height and hash, verified once there is trust.
    async fn block_at(&self, at: Option<Height>) -> Result<(Height, Hash), ChainError> {
        let height = match (at, self.heads.newest()) {
            (Some(at), _) => at,
            (None, Some(newest)) => self.node.height(newest),
            (None, None) => self.heads.head().await?.height,
        };
        let number = self.node.number(height)?;
        let hash = match self.light.trusts() {
            true => self.light.block(number).await?.hash(),
            false => self.node.hash(number).await?.value,
        };
        Ok((height, hash))
    }
}

#[async_trait]
impl Chain for SubstrateChain {
    fn id(&self) -> &ChainId {
        &self.id
    }

    fn max_tx_bytes(&self) -> usize {
        self.wallet.as_ref().map_or(usize::MAX, Wallet::max_tx_bytes)
    }

    async fn head(&self) -> Result<Head, ChainError> {
        self.heads.head().await
    }

    async fn next_head(&self, after: Height) -> Result<Head, ChainError> {
        self.heads.next(after).await
    }

    async fn facts(&self, height: Height) -> Result<BlockFacts, ChainError> {
        self.reader.facts(self.node.number(height)?).await
    }

    async fn pending(&self, what: &Pending) -> Result<Vec<Sequence>, ChainError> {
        let (_, hash) = self.block_at(None).await?;
        pending::pending(&self.node, &self.store_prefix, what, &hash).await
    }

    async fn history(&self, what: &History) -> Result<Vec<PastFact>, ChainError> {
        let (height, hash) = self.block_at(None).await?;
        history::history(&self.reader, what, (self.node.number(height)?, &hash)).await
    }

    async fn query(&self, paths: &[Path], at: Option<Height>, prove: bool) -> Result<Vec<Proven>, ChainError> {
        let (height, hash) = self.block_at(at).await?;
        // What decides over a whole path, a client's state or a channel's end, is no node's word once there is a verified block to prove it from.
        let prove = prove || (paths.len() <= limits::PROVEN_ALWAYS && self.light.trusts());
        store::query(&self.node, &self.store_prefix, paths, height, &hash, prove).await
    }

    fn proof_lag(&self) -> u64 {
        0
    }

    async fn updatable(&self, height: Height) -> Result<Height, ChainError> {
        let number = self.light.updatable(self.node.number(height)?).await?;
        Ok(self.node.height(number))
    }

    async fn verified(&self, height: Height) -> Result<Verified, ChainError> {
        let block = self.light.block(self.node.number(height)?).await?;
        self.light.verified(&block).await
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
        self.light.anchor(self.node.number(height)?, consensus_state).await
    }

    async fn client_message(
        &self,
        client_state: &Any,
        trusted: Height,
        target: Height,
    ) -> Result<ClientUpdate, ChainError> {
        client::update(&self.light, client_state, trusted, target).await
    }

    async fn new_client(&self) -> Result<NewClient, ChainError> {
        client::new_client(&self.node, &self.heads, &self.light, &self.terms).await
    }

    fn client_info(&self, client_state: &Any) -> Result<ClientInfo, ChainError> {
        client_info(&self.id, client_state)
    }

    fn consensus_time(&self, consensus_state: &Any) -> Result<Timestamp, ChainError> {
        consensus_time(&self.id, consensus_state)
    }

    async fn check_header(
        &self,
        _client: &ClientId,
        client_state: &Any,
        header: &Any,
    ) -> Result<Option<Any>, ChainError> {
        client::check_header(&self.light, &self.heads, client_state, header).await
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

    async fn outcome(&self, hash: TxHash, last: Height) -> Result<Outcome, ChainError> {
        self.wallet()?.outcome(hash, last).await
    }

    /// The runtime reckons what an extrinsic costs before it leaves: nothing is to be learned.
    fn learn(&self, _draft: &Draft, _report: &TxReport) {}
}
