//! Our own light client of a chain: every header that anything is based on comes from here.
//!
//! It starts from one trusted block (configured, stored, a client's consensus state, or first use) and follows the headers from there,
//! each named by the next, to a block that a justification finalizes: a *hop*. A hop ends where the authorities change at the latest,
//! so whoever is some changes behind makes one hop for each of them. Below the lowest verified block headers are followed backward by their hashes.
//! Votes are verified on the CPU threads given ([`crate::Cpu`]). Spec: ICS-10, the rules of light-clients' `grandpa`. Bounds:
//! [`super::limits`]. An endpoint whose header or justification does not verify rests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ibc_proto::google::protobuf::Any;
use light_clients::Height as ClientHeight;
use light_clients::commitment::trie::TrieProof;
use light_clients::grandpa::{ConsensusState, Finality, Hash, Justification, blake2_256};
use relayer_core::chain::Verified;
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::id::Timestamp;
use relayer_core::packet::At;

use super::finality::Justified;
use super::heads::Heads;
use super::kept::{Block, Kept, Lists, Timed, from_bytes, to_bytes};
use super::node::{Node, Said, now};
use super::walk::Hop;
use super::{keys, root};
use crate::{Cpu, Trust};

const NOT_GRANDPA: &str = "the client's consensus state is not of a GRANDPA client";
const OTHER_CHAIN: &str =
    "the client holds a consensus state that this chain never had: it tracks another chain or a fork";
const EXPIRED: &str =
    "the trusted block is older than the trusting period; configure `trusted` with a newer height and hash";
pub(super) const OUT_OF_REACH: &str = "the height lies too far below the trusted block";

/// What the light client is told.
#[derive(Debug, Clone)]
pub(crate) struct LightSettings {
    pub(crate) trust: Trust,
    pub(crate) trusting: Duration,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) node: Node,
    pub(super) heads: Arc<Heads>,
    pub(super) justified: Arc<Justified>,
    pub(super) cpu: Cpu,
    pub(super) settings: LightSettings,
    pub(super) lists: Lists,
    pub(super) kept: Kept,
    /// Trusted blocks of clients elsewhere that lie below our own.
    pub(super) anchors: Kept,
    /// Verified votes, trimmed, by block.
    pub(super) votes: Mutex<BTreeMap<u32, Arc<Justification>>>,
    /// One first trusted block, whoever comes first.
    pub(super) rooting: tokio::sync::Mutex<()>,
    /// One way forward or backward at a time: others wait and find what it brought.
    pub(super) walking: tokio::sync::Mutex<()>,
}

/// The light client of one chain. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Light(Arc<Inner>);

impl Light {
    pub(crate) fn new(
        node: Node,
        heads: Arc<Heads>,
        justified: Arc<Justified>,
        cpu: Cpu,
        settings: LightSettings,
    ) -> Self {
        Self(Arc::new(Inner {
            node,
            heads,
            justified,
            cpu,
            settings,
            lists: Lists::default(),
            kept: Kept::default(),
            anchors: Kept::default(),
            votes: Mutex::new(BTreeMap::new()),
            rooting: tokio::sync::Mutex::new(()),
            walking: tokio::sync::Mutex::new(()),
        }))
    }

    /// The verified block of a number; waits until one from there on is shown to be final.
    pub(crate) async fn block(&self, number: u32) -> Result<Arc<Block>, ChainError> {
        let inner = &self.0;
        if let Some(block) = inner.known(number) {
            return Ok(block);
        }
        // Whoever waits for a block to come holds up nobody.
        let goal = inner.shown_from(number).await?;
        inner.root().await?;
        let _one = inner.walking.lock().await;
        if let Some(block) = inner.known(number) {
            return Ok(block);
        }
        let top = inner.top()?;
        if number < top.number() {
            return inner.backward(number).await;
        }
        inner.forward(top, goal).await?;
        let missing = || inner.node.error(ChainErrorKind::NotFound, format!("block {number}"));
        inner.kept.get(number).ok_or_else(missing)
    }

    /// The block that vouches for the consensus state a client holds at a number.
    pub(crate) async fn trusted_by_client(&self, number: u32) -> Result<Arc<Block>, ChainError> {
        match self.0.anchors.get(number) {
            Some(block) => Ok(block),
            None => self.block(number).await,
        }
    }

    /// The lowest block from this number on that is shown to be final; waits for it.
    pub(crate) async fn updatable(&self, number: u32) -> Result<u32, ChainError> {
        if self.0.votes().contains_key(&number) {
            return Ok(number);
        }
        self.0.shown_from(number).await
    }

    /// The next hop from a trusted block towards a block that is shown to be final, verified.
    pub(crate) async fn hop(&self, from: Arc<Block>, goal: u32) -> Result<Hop, ChainError> {
        self.0.hop(from, goal).await
    }

    /// Time and consensus state of a block, as the ports give them.
    pub(crate) async fn verified(&self, block: &Block) -> Result<Verified, ChainError> {
        let state = self.consensus_state(block).await?;
        let time = Timestamp(state.timestamp().as_nanos());
        Ok(Verified { at: At { height: self.0.node.height(block.number()), time }, consensus_state: state.encode() })
    }

    /// What a client stores for a block.
    pub(crate) async fn consensus_state(&self, block: &Block) -> Result<ConsensusState, ChainError> {
        let time = self.timed(block).await?.time;
        ConsensusState::new(time, block.header.state_root, block.finality)
            .map_err(|reason| self.0.node.error(ChainErrorKind::Malformed, reason.to_string()))
    }

    /// The time of a block, proven from its state.
    pub(crate) async fn timed<'a>(&self, block: &'a Block) -> Result<&'a Timed, ChainError> {
        let node = &self.0.node;
        let asked = block.timed.get_or_try_init(|| async {
            let key = [keys::TIMESTAMP_NOW.to_vec()];
            let hash = block.hash();
            let said = node.patient(|| root::read_proof(node, &key, &hash)).await?;
            let root = &block.header.state_root;
            let time = TrieProof::new(&said.value).and_then(|trie| trie.timestamp(root));
            let time = time.map_err(|reason| node.lying(&said.endpoint, reason.label(), reason.to_string()))?;
            Ok(Timed { time, proof: time_nodes(&said.value, root) })
        });
        asked.await
    }

    /// Runs a computation on the verification threads.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ChainError> {
        self.0.compute(work).await
    }

    /// Whether there is a block to verify others from.
    pub(crate) fn trusts(&self) -> bool {
        self.0.kept.highest().is_some()
    }

    /// The same, after adopting the configured or stored block if there is one and it can be had.
    pub(crate) async fn root_if_given(&self) -> bool {
        if self.trusts() {
            return true;
        }
        let _one = self.0.rooting.lock().await;
        self.trusts() || self.0.root_given().await.unwrap_or(false)
    }

    /// The newest verified block whose time is known, for the journal.
    pub(crate) fn export(&self) -> Option<Vec<u8>> {
        let block = self.0.kept.newest_timed()?;
        to_bytes(&block, &self.0.lists)
    }

    /// Adopts or checks the consensus state that a client elsewhere holds for our block.
    pub(crate) async fn anchor(&self, number: u32, state: &Any) -> Result<(), ChainError> {
        let inner = &self.0;
        let claimed = ConsensusState::decode(state, ClientHeight::new(0, number.into()))
            .map_err(|reason| inner.node.error(ChainErrorKind::Setup(NOT_GRANDPA), reason.to_string()))?;
        if inner.anchors.get(number).is_some_and(|block| is_of(&claimed, &block)) {
            return Ok(());
        }
        if !self.trusts() {
            let _one = inner.rooting.lock().await;
            if !self.trusts() && !inner.root_given().await? {
                // No trust of our own yet: the client's is as good as any, and better than first use.
                let block = inner.claimed(&claimed).await?;
                tracing::info!(chain = %inner.node.chain(), number, "trusting the consensus state of a client on the other chain");
                inner.kept.put(Arc::new(block));
                return Ok(());
            }
        }
        if number > inner.top()?.number() {
            self.block(number).await?;
        }
        let known = match inner.kept.get(number) {
            Some(block) => block.hash(),
            None => {
                let _one = inner.walking.lock().await;
                inner.linked(number).await?.0.first().map(|bytes| blake2_256(bytes)).unwrap_or_default()
            }
        };
        let same = match inner.kept.get(number) {
            Some(block) => is_of(&claimed, &block),
            None => claimed.finality().hash == known,
        };
        if !same {
            return Err(inner.node.error(ChainErrorKind::Setup(OTHER_CHAIN), format!("at block {number}")));
        }
        let block = inner.claimed(&claimed).await?;
        inner.anchors.put(Arc::new(block));
        Ok(())
    }

    pub(crate) fn node(&self) -> &Node {
        &self.0.node
    }
}

fn is_of(claimed: &ConsensusState, block: &Block) -> bool {
    *claimed.root() == block.header.state_root && *claimed.finality() == block.finality
}

/// Of a proof's nodes, those that show the time: read proofs of several keys hold others.
pub(crate) fn time_nodes(proof: &[Vec<u8>], root: &Hash) -> Vec<Vec<u8>> {
    needed(proof, |trie| trie.timestamp(root).is_ok())
}

/// Of a proof's nodes, those without which it does not show what it has to. Quadratic in their number, which [`super::limits`] keeps low.
pub(crate) fn needed(proof: &[Vec<u8>], shows: impl Fn(TrieProof<'_>) -> bool) -> Vec<Vec<u8>> {
    let mut needed = proof.to_vec();
    let mut index = 0;
    while index < needed.len() {
        let node = needed.remove(index);
        if !TrieProof::new(&needed).is_ok_and(&shows) {
            needed.insert(index, node);
            index += 1;
        }
    }
    needed
}

impl Inner {
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ChainError> {
        let done = self.cpu.run(work).await;
        done.ok_or_else(|| self.node.error(ChainErrorKind::Unavailable, "the verification threads are gone"))
    }

    pub(super) fn votes(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Arc<Justification>>> {
        self.votes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn known(&self, number: u32) -> Option<Arc<Block>> {
        self.kept.get(number).or_else(|| self.anchors.get(number))
    }

    pub(super) fn top(&self) -> Result<Arc<Block>, ChainError> {
        self.kept.highest().ok_or_else(|| self.node.error(ChainErrorKind::NotFound, "no trusted block"))
    }

    /// The lowest block from a number on that is shown to be final; waits for one. What is verified already needs none.
    pub(super) async fn shown_from(&self, number: u32) -> Result<u32, ChainError> {
        loop {
            if let Some(shown) = self.justified.from(number) {
                return Ok(shown.number);
            }
            self.heads.next(self.node.height(number.saturating_sub(1))).await?;
        }
    }

    /// Makes sure that there is a trusted block.
    async fn root(&self) -> Result<(), ChainError> {
        if self.kept.highest().is_some() {
            return Ok(());
        }
        let _one = self.rooting.lock().await;
        if self.kept.highest().is_some() || self.root_given().await? {
            return Ok(());
        }
        let head = self.heads.head().await?;
        let number = self.node.number(head.height)?;
        // The block before the one that is justified: its votes are then checked as any others.
        let hash = self.node.hash(number.saturating_sub(1)).await?.value;
        let said = root::block(&self.node, &hash, &self.lists).await?;
        tracing::warn!(
            chain = %self.node.chain(), number = said.value.number(), hash = %hex::encode(hash), endpoint = %said.endpoint,
            "trusting a node's block on first use; configure `trusted = {{ height, hash }}` to choose it yourself"
        );
        self.take_root(said.value).await
    }

    /// Adopts the configured or stored trusted block; `false` when there is none.
    async fn root_given(&self) -> Result<bool, ChainError> {
        let (found, later) = match &self.settings.trust {
            Trust::FirstUse => return Ok(false),
            Trust::Stored(bytes) => (None, Some(bytes)),
            Trust::Configured { height, hash, later } => {
                let found = root::block(&self.node, hash, &self.lists).await;
                (Some(self.configured(*height, found)), later.as_ref())
            }
        };
        let error = match found {
            Some(Ok(block)) => {
                self.take_root(block).await?;
                return Ok(true);
            }
            Some(Err(error)) => Some(error),
            None => None,
        };
        if let Some(block) = later.and_then(|bytes| self.fresh(bytes)) {
            self.kept.put(Arc::new(block));
            return Ok(true);
        }
        match error {
            Some(error) => Err(error),
            None => {
                tracing::warn!(chain = %self.node.chain(), "the block that an earlier run verified is too old to be trusted");
                Ok(false)
            }
        }
    }

    fn configured(&self, height: u64, found: Result<Said<Block>, ChainError>) -> Result<Block, ChainError> {
        let block = found?.value;
        if u64::from(block.number()) != height {
            let what = "`trusted` names a hash that is of another height";
            return Err(self.node.error(ChainErrorKind::Setup(what), format!("block {}", block.number())));
        }
        match block.timed.get() {
            Some(timed) if self.is_old(timed.time) => Err(self.node.error(ChainErrorKind::Setup(EXPIRED), "")),
            _ => Ok(block),
        }
    }

    /// A stored block that is still to be trusted.
    fn fresh(&self, bytes: &[u8]) -> Option<Block> {
        let (block, time) = from_bytes(bytes, &self.lists)?;
        (!self.is_old(time)).then_some(block)
    }

    fn is_old(&self, time: light_clients::Timestamp) -> bool {
        let age = now().as_nanos().saturating_sub(time.as_nanos());
        u128::from(age) >= self.settings.trusting.as_nanos()
    }

    /// The block that a client's consensus state is of, with its word for who votes next.
    async fn claimed(&self, claimed: &ConsensusState) -> Result<Block, ChainError> {
        let finality: Finality = *claimed.finality();
        let said = self.node.patient(|| root::header(&self.node, &finality.hash)).await;
        let (bytes, header) = match said {
            Ok(said) => said.value,
            Err(ChainError { kind: ChainErrorKind::NotYet(_), .. }) => {
                return Err(self.node.error(ChainErrorKind::Setup(OTHER_CHAIN), format!("block {}", finality.number)));
            }
            Err(error) => return Err(error),
        };
        if header.number != finality.number || header.state_root != *claimed.root() {
            return Err(self.node.error(ChainErrorKind::Setup(OTHER_CHAIN), format!("block {}", finality.number)));
        }
        Ok(Block::new(bytes, header, finality))
    }
}
