//! Our own light client of a chain: every header that anything is based on comes from here.
//!
//! It starts from one trusted block (configured, stored, a client's consensus state, or first use) and goes forward by skipping
//! verification ([`super::verify`]) and backward by hashes. Verification runs on the CPU threads given ([`crate::Cpu`]); no
//! I/O there. One flight a height, shared by all who wait for it. Spec: ICS-07, CometBFT's light client. Bounds:
//! [`super::limits`]. A header that does not verify puts its endpoint into quarantine.
//!
//! A fork whose blocks the same validators signed verifies, too. So each endpoint must show once that it has the header we trust
//! before a header of its own is believed, and one whose head lies below what an earlier run verified is asked later.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, WeakShared};
use ibc_proto::cosmos::staking::v1beta1::{QueryParamsRequest, QueryParamsResponse};
use ibc_proto::google::protobuf::Any;
use light_clients::Reason;
use light_clients::tendermint::ConsensusState;
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::id::{Height, Timestamp};
use serde_json::json;
use tendermint_light_client::verifier::types::LightBlock;
use tokio::sync::OnceCell;

use super::blocks::Blocks;
use super::header::{Fetched, Sets, consensus_state, fetch, from_bytes, to_bytes};
use super::heads::Heads;
use super::limits::{BACKWARD_HEADERS, BISECTION_STEPS, BLOCKCHAIN_PAGE, LATE_BLOCKS, QUARANTINE_CATCHING_UP};
use super::node::{Node, Said, chain_error};
use super::verify::{self, Rules, Step};
use super::wire::BlockchainAnswer;
use crate::rpc::{Call, EndpointId};
use crate::{Cpu, Trust};

type Flight = BoxFuture<'static, Result<Arc<LightBlock>, ChainError>>;

/// What the light client is told.
#[derive(Debug, Clone)]
pub(crate) struct LightSettings {
    pub(crate) trust: Trust,
    pub(crate) threshold: (u64, u64),
    pub(crate) trusting: Option<Duration>,
    pub(crate) drift: Duration,
}

#[derive(Debug)]
struct Inner {
    node: Node,
    heads: Arc<Heads>,
    cpu: Cpu,
    settings: LightSettings,
    rules: OnceCell<Arc<Rules>>,
    sets: Sets,
    blocks: Blocks,
    /// Trusted heights of clients elsewhere that lie too far below our own trust to be verified: good for updates of those clients only.
    anchors: Blocks,
    /// One first trusted block, whoever comes first.
    rooting: tokio::sync::Mutex<()>,
    /// Endpoints that have shown the trusted header, or can't.
    vetted: Mutex<HashSet<EndpointId>>,
    flights: Mutex<HashMap<u64, WeakShared<Flight>>>,
}

/// The light client of one chain. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Light(Arc<Inner>);

impl Light {
    pub(crate) fn new(node: Node, heads: Arc<Heads>, cpu: Cpu, settings: LightSettings) -> Self {
        Self(Arc::new(Inner {
            node,
            heads,
            cpu,
            settings,
            rules: OnceCell::new(),
            sets: Sets::default(),
            blocks: Blocks::default(),
            anchors: Blocks::default(),
            rooting: tokio::sync::Mutex::new(()),
            vetted: Mutex::new(HashSet::new()),
            flights: Mutex::new(HashMap::new()),
        }))
    }

    /// The verified block of a height; waits until it exists.
    pub(crate) async fn block(&self, height: u64) -> Result<Arc<LightBlock>, ChainError> {
        if let Some(block) = self.0.blocks.get(height) {
            return Ok(block);
        }
        let flight = {
            let mut flights = self.0.flights.lock().unwrap_or_else(PoisonError::into_inner);
            flights.retain(|_, flight| flight.upgrade().is_some());
            match flights.get(&height).and_then(WeakShared::upgrade) {
                Some(flight) => flight,
                None => {
                    let inner = self.0.clone();
                    let flight: Flight = async move { inner.verified(height).await }.boxed();
                    let flight = flight.shared();
                    if let Some(weak) = flight.downgrade() {
                        flights.insert(height, weak);
                    }
                    flight
                }
            }
        };
        flight.await
    }

    /// The block that vouches for the consensus state a client holds at `height`.
    pub(crate) async fn trusted_by_client(&self, height: u64) -> Result<Arc<LightBlock>, ChainError> {
        match self.0.anchors.get(height) {
            Some(block) => Ok(block),
            None => self.block(height).await,
        }
    }

    /// How headers of this chain are trusted.
    pub(crate) async fn rules(&self) -> Result<Arc<Rules>, ChainError> {
        self.0.rules().await
    }

    /// Runs a computation on the verification threads.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ChainError> {
        self.0.compute(work).await
    }

    /// Whether there is a header to verify others from.
    pub(crate) fn trusts(&self) -> bool {
        self.0.blocks.highest().is_some()
    }

    /// The same, after adopting the configured or stored header if there is one and it can be had.
    pub(crate) async fn root_if_given(&self) -> bool {
        if self.trusts() {
            return true;
        }
        let _one = self.0.rooting.lock().await;
        self.trusts() || self.0.root_given(0).await.unwrap_or(false)
    }

    /// The newest verified block, for the journal.
    pub(crate) fn export(&self) -> Option<Vec<u8>> {
        self.0.blocks.highest().and_then(|block| to_bytes(&block))
    }

    /// Adopts or checks the consensus state that a client elsewhere holds for our `height`.
    pub(crate) async fn anchor(&self, height: u64, state: &Any) -> Result<(), ChainError> {
        let inner = &self.0;
        let claimed = ConsensusState::decode(state)
            .map_err(|reason| inner.node.error(ChainErrorKind::Setup(NOT_TENDERMINT), reason.to_string()))?;
        if inner.anchors.get(height).is_some_and(|block| is_of(&claimed, &block)) {
            return Ok(());
        }
        if inner.blocks.highest().is_none() {
            let rooted = inner.rooting.lock().await;
            if inner.blocks.highest().is_none() && !inner.root_given(height).await? {
                // No trust of our own yet: the client's is as good as any, and better than first use.
                let fetched = inner.fetch_claimed(height, &claimed).await?;
                tracing::info!(chain = %inner.node.chain(), height, "trusting the consensus state of a client on the other chain");
                inner.root_in(fetched);
                return Ok(());
            }
            drop(rooted);
        }
        match self.block(height).await {
            Ok(block) if is_of(&claimed, &block) => Ok(()),
            Ok(_) => Err(inner.node.error(ChainErrorKind::Setup(OTHER_CHAIN), format!("at height {height}"))),
            Err(error) if is_out_of_reach(&error) => inner.adopt_old(height, &claimed).await,
            Err(error) => Err(error),
        }
    }
}

const NOT_TENDERMINT: &str = "the client's consensus state is not of a Tendermint client";
const OTHER_CHAIN: &str =
    "the client holds a consensus state that this chain never had: it tracks another chain or a fork";
const EXPIRED: &str =
    "the trusted header is older than the trusting period; configure `trusted` with a newer height and hash";
const OUT_OF_REACH: &str = "the height lies too far below the trusted header";

fn is_out_of_reach(error: &ChainError) -> bool {
    error.kind == ChainErrorKind::Setup(OUT_OF_REACH)
}

fn is_of(claimed: &ConsensusState, block: &LightBlock) -> bool {
    consensus_state(block).is_ok_and(|own| own == *claimed)
}

impl Inner {
    async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ChainError> {
        let done = self.cpu.run(work).await;
        done.ok_or_else(|| self.node.error(ChainErrorKind::Unavailable, "the verification threads are gone"))
    }

    async fn rules(&self) -> Result<Arc<Rules>, ChainError> {
        let rules = self.rules.get_or_try_init(|| async {
            let unbonding = match (self.unbonding().await, self.settings.trusting) {
                (Ok(unbonding), _) => unbonding,
                // Chains without a staking module: the operator's figure stands for 2/3 of the whole.
                (Err(_), Some(trusting)) => trusting.saturating_mul(3) / 2,
                (Err(error), None) => return Err(error),
            };
            let most = unbonding.saturating_mul(2) / 3;
            let trusting = self.settings.trusting.map_or(most, |configured| configured.min(most));
            Ok(Arc::new(Rules {
                chain: self.node.chain().to_string(),
                revision: self.node.chain().revision(),
                threshold: self.settings.threshold,
                trusting,
                unbonding,
                drift: self.settings.drift,
            }))
        });
        rules.await.cloned()
    }

    /// The staking module's unbonding period.
    async fn unbonding(&self) -> Result<Duration, ChainError> {
        let path = "/cosmos.staking.v1beta1.Query/Params";
        let (answer, _): (QueryParamsResponse, u64) = self.node.grpc(path, &QueryParamsRequest {}, None).await?;
        let period = answer.params.and_then(|params| params.unbonding_time).unwrap_or_default();
        let seconds = u64::try_from(period.seconds).unwrap_or_default();
        let nanos = u32::try_from(period.nanos).unwrap_or_default().min(999_999_999);
        let period = Duration::new(seconds, nanos);
        // A year bounds what a lying node could make of it.
        if period.is_zero() || period > Duration::from_secs(366 * 86_400) {
            return Err(self.node.error(ChainErrorKind::Malformed, "unbonding period; set `trusting_period`"));
        }
        Ok(period)
    }

    async fn verified(&self, height: u64) -> Result<Arc<LightBlock>, ChainError> {
        if height == 0 {
            return Err(self.node.error(ChainErrorKind::NotFound, "height 0"));
        }
        if self.heads.newest().is_none_or(|newest| newest < height) {
            self.heads.next(self.node.height(height.saturating_sub(1))).await?;
        }
        self.root(height).await?;
        if let Some(block) = self.blocks.get(height) {
            return Ok(block);
        }
        self.not_behind()?;
        match self.blocks.at_or_below(height) {
            Some(trusted) => self.forward(trusted, height).await,
            None => self.backward(height).await,
        }
    }

    /// The node that told the head has what an earlier run verified; otherwise others are asked for a while.
    fn not_behind(&self) -> Result<(), ChainError> {
        let (Some(newest), Some(top)) = (self.heads.newest(), self.blocks.highest()) else { return Ok(()) };
        let top = top.height().value();
        if newest.saturating_add(LATE_BLOCKS) >= top {
            return Ok(());
        }
        let Some(endpoint) = self.heads.refute(self.node.height(newest)) else { return Ok(()) };
        self.node.rpc().quarantine(&endpoint, "behind", QUARANTINE_CATCHING_UP);
        let detail = format!("the newest block of {endpoint} is {newest}, and {top} was verified in an earlier run");
        Err(self.node.error(ChainErrorKind::Lying("behind"), detail))
    }

    /// The endpoint has the header that we trust: a fork that the same validators signed is told apart by nothing else.
    async fn vet(&self, endpoint: &EndpointId, trusted: &LightBlock) -> Result<(), ChainError> {
        if self.vetted().contains(endpoint) {
            return Ok(());
        }
        let height = trusted.height().value();
        match fetch(&self.node.only(endpoint), &self.sets, height).await {
            Ok(shown) if shown.block.signed_header.header.hash() == trusted.signed_header.header.hash() => {}
            Ok(_) => {
                let detail = format!(
                    "{endpoint} shows another header at {height} than the one we trust: a fork, or another chain"
                );
                return Err(self.node.lying(endpoint, "fork", detail));
            }
            // It can't be compared, and what it says is still signed.
            Err(error) if matches!(error.kind, ChainErrorKind::Pruned(_)) => {
                tracing::debug!(chain = %self.node.chain(), %endpoint, height, "the trusted header is pruned there");
            }
            Err(error) => return Err(error),
        }
        self.vetted().insert(endpoint.clone());
        Ok(())
    }

    fn vetted(&self) -> MutexGuard<'_, HashSet<EndpointId>> {
        self.vetted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Trusts a fetched block; who gave it has it.
    fn root_in(&self, fetched: Fetched) {
        self.vetted().insert(fetched.endpoint);
        self.blocks.put(fetched.block);
    }

    /// Makes sure that there is a trusted block.
    async fn root(&self, height: u64) -> Result<(), ChainError> {
        if self.blocks.highest().is_some() {
            return Ok(());
        }
        let _one = self.rooting.lock().await;
        if self.blocks.highest().is_some() || self.root_given(height).await? {
            return Ok(());
        }
        let rules = self.rules().await?;
        let fetched = self.fetch(height).await?;
        let block = fetched.block.clone();
        let checked = self.compute(move || verify::self_signed(&rules, &block)).await?;
        checked.map_err(|reason| self.refused(&fetched.endpoint, height, &reason))?;
        tracing::warn!(
            chain = %self.node.chain(), height, hash = %fetched.block.signed_header.header.hash(), endpoint = %fetched.endpoint,
            "trusting a node's header on first use; configure `trusted = {{ height, hash }}` to choose it yourself"
        );
        self.root_in(fetched);
        Ok(())
    }

    /// Adopts the configured or stored trusted block; `false` when there is none.
    async fn root_given(&self, near: u64) -> Result<bool, ChainError> {
        match &self.settings.trust {
            Trust::FirstUse => Ok(false),
            Trust::Configured { height, hash, later } => {
                let fetched = match (self.fetch(*height).await, later) {
                    (Ok(fetched), _) => fetched,
                    (Err(error), Some(bytes)) if matches!(error.kind, ChainErrorKind::Pruned(_)) => {
                        let Some(block) = self.fresh(bytes).await? else { return Err(error) };
                        self.blocks.put(block);
                        return Ok(true);
                    }
                    (Err(error), _) => return Err(error),
                };
                let found = fetched.block.signed_header.header.hash();
                if found.as_bytes() != hash {
                    let detail = format!("height {height} has {found} at {}", fetched.endpoint);
                    let kind = ChainErrorKind::Setup("the configured trusted header has another hash on this node");
                    return Err(self.node.error(kind, detail));
                }
                let block = match later {
                    Some(bytes) if self.expired(&fetched.block).await? => self.fresh(bytes).await?,
                    _ => None,
                };
                match block {
                    Some(block) => drop(self.blocks.put(block)),
                    None => self.root_in(fetched),
                }
                Ok(true)
            }
            Trust::Stored(bytes) => {
                let Some(block) = self.fresh(bytes).await? else {
                    tracing::warn!(chain = %self.node.chain(), near, "the stored trusted header is damaged or has expired: not used");
                    return Ok(false);
                };
                self.blocks.put(block);
                Ok(true)
            }
        }
    }

    /// Whether a block is older than the trusting period.
    async fn expired(&self, block: &LightBlock) -> Result<bool, ChainError> {
        let time = u64::try_from(block.time().unix_timestamp_nanos()).unwrap_or_default();
        let age = verify::now().as_nanos().saturating_sub(time);
        Ok(u128::from(age) >= self.rules().await?.trusting.as_nanos())
    }

    /// What an earlier run exported, if it is whole and not too old.
    async fn fresh(&self, bytes: &[u8]) -> Result<Option<LightBlock>, ChainError> {
        let Some(block) = from_bytes(bytes, self.node.chain().as_str()) else { return Ok(None) };
        Ok(if self.expired(&block).await? { None } else { Some(block) })
    }

    async fn fetch(&self, height: u64) -> Result<Fetched, ChainError> {
        fetch(&self.node, &self.sets, height).await
    }

    /// The block of a height, if its consensus state is the one claimed.
    async fn fetch_claimed(&self, height: u64, claimed: &ConsensusState) -> Result<Fetched, ChainError> {
        let fetched = self.fetch(height).await?;
        let rules = self.rules().await?;
        let (block, checked) = (fetched.block.clone(), rules.clone());
        let signed = self.compute(move || verify::self_signed(&checked, &block)).await?;
        signed.map_err(|reason| self.refused(&fetched.endpoint, height, &reason))?;
        if is_of(claimed, &fetched.block) {
            return Ok(fetched);
        }
        // Either the node or the client is of another chain: without trust of our own nobody can say which. Another node may.
        if self.node.rpc().endpoints().len() > 1 {
            let detail = format!(
                "{} shows another header at {height} than the client holds: one of them is of another chain or a fork",
                fetched.endpoint
            );
            return Err(self.node.lying(&fetched.endpoint, "other_chain_or_fork", detail));
        }
        let detail = format!("{} shows another header at {height} than the client holds", fetched.endpoint);
        Err(self.node.error(ChainErrorKind::Setup(OTHER_CHAIN), detail))
    }

    /// A client's consensus state far below our trust: taken for that client's updates if our own trust follows from it.
    async fn adopt_old(&self, height: u64, claimed: &ConsensusState) -> Result<(), ChainError> {
        let fetched = self.fetch_claimed(height, claimed).await?;
        let Some(above) = self.blocks.above(height) else { return Ok(()) };
        let found = self.bisect(fetched.block.clone(), above.height().value()).await?;
        let same = found.iter().find(|block| block.height() == above.height());
        if same.is_none_or(|block| block.signed_header.header.hash() != above.signed_header.header.hash()) {
            return Err(self.node.error(ChainErrorKind::Setup(OTHER_CHAIN), format!("at height {height}")));
        }
        self.anchors.put(fetched.block);
        Ok(())
    }

    async fn forward(&self, trusted: Arc<LightBlock>, height: u64) -> Result<Arc<LightBlock>, ChainError> {
        let verified = self.bisect(LightBlock::clone(&trusted), height).await?;
        for block in verified {
            self.blocks.put(block);
        }
        let found = self.blocks.get(height);
        found.ok_or_else(|| self.node.error(ChainErrorKind::Unavailable, "the verified header was dropped again"))
    }

    /// Verifies `height` from a trusted block; all blocks verified on the way.
    async fn bisect(&self, trusted: LightBlock, height: u64) -> Result<Vec<LightBlock>, ChainError> {
        let rules = self.rules().await?;
        let mut endpoints: HashMap<u64, EndpointId> = HashMap::new();
        let mut fetched = BTreeMap::new();
        let mut known = BTreeMap::from([(trusted.height().value(), trusted.clone())]);
        let mut needed = height;
        for _ in 0..BISECTION_STEPS {
            let got = self.fetch(needed).await?;
            self.vet(&got.endpoint, &trusted).await?;
            endpoints.insert(needed, got.endpoint);
            fetched.insert(needed, got.block);
            let (rules, trusted, fetched) = (rules.clone(), known.values().cloned().collect(), fetched.clone());
            match self.compute(move || verify::forward(&rules, trusted, fetched, height)).await? {
                Step::Verified(blocks) => {
                    known.extend(blocks.into_iter().map(|block| (block.height().value(), block)));
                    return Ok(known.into_values().collect());
                }
                Step::Needs(missing, blocks) => {
                    tracing::debug!(chain = %self.node.chain(), height, missing, "validators changed: a header in between is needed");
                    known.extend(blocks.into_iter().map(|block| (block.height().value(), block)));
                    needed = missing;
                }
                Step::Refused(at, reason) => {
                    return Err(match endpoints.get(&at) {
                        Some(endpoint) => self.refused(endpoint, at, &reason),
                        None => self.node.error(ChainErrorKind::Lying(reason.label()), reason.to_string()),
                    });
                }
                Step::Expired => return Err(self.node.error(ChainErrorKind::Setup(EXPIRED), "")),
                Step::Failed(why) => return Err(self.node.error(ChainErrorKind::Malformed, why)),
            }
        }
        Err(self.node.error(ChainErrorKind::TooLarge, format!("bisection to {height} takes too many headers")))
    }

    fn refused(&self, endpoint: &EndpointId, height: u64, reason: &Reason) -> ChainError {
        self.node.lying(endpoint, reason.label(), format!("header {height} of {endpoint}: {reason}"))
    }

    /// A block below the lowest verified one: each header is named by the hash in the next.
    async fn backward(&self, height: u64) -> Result<Arc<LightBlock>, ChainError> {
        let Some(above) = self.blocks.above(height) else {
            return Err(self.node.error(ChainErrorKind::NotFound, "no trusted header"));
        };
        let top = above.height().value();
        if top.saturating_sub(height) > BACKWARD_HEADERS {
            return Err(self.node.error(ChainErrorKind::Setup(OUT_OF_REACH), format!("{height} below {top}")));
        }
        let mut expected = above.signed_header.header.last_block_id.map(|id| id.hash);
        let mut next = top.saturating_sub(1);
        while next > height {
            let (headers, endpoint) = self.headers(height.saturating_add(1), next).await?;
            for header in headers {
                if header.height.value() != next || Some(header.hash()) != expected {
                    return Err(self.node.lying(&endpoint, "hash_chain", format!("header {next}")));
                }
                expected = header.last_block_id.map(|id| id.hash);
                next = next.saturating_sub(1);
            }
        }
        let fetched = self.fetch(height).await?;
        if Some(fetched.block.signed_header.header.hash()) != expected {
            return Err(self.node.lying(&fetched.endpoint, "hash_chain", format!("header {height}")));
        }
        Ok(self.blocks.put(fetched.block))
    }

    /// Headers from `high` down to `low` or to the bound of one batch, descending.
    async fn headers(&self, low: u64, high: u64) -> Result<(Vec<tendermint::block::Header>, EndpointId), ChainError> {
        let mut calls = Vec::new();
        let mut top = high;
        while calls.len() < 10 && top >= low {
            let bottom = top.saturating_sub(BLOCKCHAIN_PAGE - 1).max(low);
            let params = json!({ "minHeight": bottom.to_string(), "maxHeight": top.to_string() });
            calls.push(Call::read("blockchain", params).map_err(|e| chain_error(self.node.chain(), e))?);
            top = bottom.saturating_sub(1);
        }
        let mut headers = Vec::new();
        let mut by = None;
        for answer in self.node.batch(calls).await? {
            let said: Said<BlockchainAnswer> = self.node.decode(&answer?, "blockchain")?;
            let metas = said.value.block_metas.unwrap_or_default();
            headers.extend(metas.into_iter().map(|meta| meta.header));
            by = Some(said.endpoint);
        }
        match by {
            Some(by) if !headers.is_empty() => Ok((headers, by)),
            _ => Err(self.node.error(ChainErrorKind::Pruned(self.node.height(high)), "blockchain")),
        }
    }
}

/// Time and consensus state of a block, as the ports give them.
pub(crate) fn verified(node: &Node, block: &LightBlock) -> Result<relayer_core::chain::Verified, ChainError> {
    let state = consensus_state(block).map_err(|reason| node.error(ChainErrorKind::Malformed, reason.to_string()))?;
    let height = Height::new(node.chain().revision(), block.height().value());
    let time = Timestamp(state.timestamp().as_nanos());
    Ok(relayer_core::chain::Verified { at: relayer_core::packet::At { height, time }, consensus_state: state.encode() })
}
