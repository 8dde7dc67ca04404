//! Following one chain: its newest block, and the facts of each block fetched once for every path and wallet that wants them.
//!
//! A follower never pushes: paths and lanes watch [`Follower::heads`] and pull blocks by height at their own pace, so a slow one stops its
//! own cursor and nobody else's, and a gap can't arise. Blocks kept: [`crate::limits::FOLLOW_BLOCKS`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use relayer_core::chain::Chain;
use relayer_core::error::{ChainError, ChainErrorKind, Remedy};
use relayer_core::fact::{BlockFacts, Head, XcmMet};
use relayer_core::id::Height;
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::telemetry::metrics::Metrics;

type Slot = Arc<OnceCell<Arc<BlockFacts>>>;

/// See the module.
pub struct Follower {
    chain: Arc<dyn Chain>,
    head: watch::Sender<Option<Head>>,
    trouble: watch::Sender<Option<ChainError>>,
    metrics: Arc<Metrics>,
    blocks: Mutex<BTreeMap<Height, Slot>>,
}

impl Follower {
    /// A follower that has not asked the chain for anything yet.
    pub fn new(chain: Arc<dyn Chain>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            chain,
            metrics,
            head: watch::Sender::new(None),
            trouble: watch::Sender::new(None),
            blocks: Mutex::new(BTreeMap::new()),
        })
    }

    /// The chain.
    pub fn chain(&self) -> &Arc<dyn Chain> {
        &self.chain
    }

    /// The newest block, as it becomes known.
    pub fn heads(&self) -> watch::Receiver<Option<Head>> {
        self.head.subscribe()
    }

    /// The newest block known.
    pub fn head(&self) -> Option<Head> {
        *self.head.borrow()
    }

    /// Why the chain can't be followed at the moment.
    pub fn trouble(&self) -> Option<ChainError> {
        self.trouble.borrow().clone()
    }

    /// Follows until stopped; a chain that is away is asked again for ever, at a growing pace.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut failures = 0u32;
        loop {
            let after = self.head().map_or(Height::default(), |h| h.height);
            let answer = tokio::select! {
                () = stop.cancelled() => return,
                answer = self.chain.next_head(after) => answer,
            };
            let answer = match answer {
                Ok(head) if head.height > after => {
                    let judged = tokio::select! {
                        () = stop.cancelled() => return,
                        judged = self.judge(head) => judged,
                    };
                    judged.map(Some)
                }
                Ok(_) => Ok(None),
                Err(error) => Err(error),
            };
            match answer {
                Ok(Some(head)) => {
                    failures = 0;
                    self.trouble.send_if_modified(|t| t.take().is_some());
                    self.head.send_replace(Some(head));
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    self.count(&error);
                    // An open breaker only puts off the next question: why there was no answer has been said before.
                    let repeats =
                        matches!(error.kind, ChainErrorKind::Throttled { .. }) && self.trouble.borrow().is_some();
                    if !repeats && self.trouble.borrow().as_ref() != Some(&error) {
                        tracing::warn!(chain = %self.chain.id(), reason = error.label(), "{error}");
                        self.trouble.send_replace(Some(error));
                    }
                }
            }
            failures = failures.saturating_add(1);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause(failures)) => {}
            }
        }
    }

    /// Believes a head only with its block at hand and its header verified: outcomes, timeouts and the age of clients depend on it. What
    /// takes the head asks for that block next, so nothing waits longer for this.
    async fn judge(&self, head: Head) -> Result<Head, ChainError> {
        while !self.chain.trusts().await {
            tokio::time::sleep(limits::HEAD_WAIT).await;
        }
        let mut tries = 0;
        loop {
            let error = match self.block(head.height).await {
                Ok(block) => return Ok(Head { height: head.height, time: block.at.time }),
                Err(error) => error,
            };
            match error.kind {
                // It is there, though it can't be read.
                ChainErrorKind::TooLarge | ChainErrorKind::Malformed => {
                    let verified = self.chain.verified(head.height).await?;
                    return Ok(Head { height: head.height, time: verified.at.time });
                }
                ChainErrorKind::NotYet(_) if tries < limits::HEAD_TRIES => tokio::time::sleep(limits::HEAD_WAIT).await,
                ChainErrorKind::NotYet(_) => {
                    self.chain.refute(head.height);
                    return Err(ChainError { kind: ChainErrorKind::Lying("lying_height"), ..error });
                }
                _ => return Err(error),
            }
            tries += 1;
        }
    }

    fn count(&self, error: &ChainError) {
        if matches!(error.kind, ChainErrorKind::Lying(_) | ChainErrorKind::Malformed) {
            self.metrics.verification_failed(self.chain.id().as_str(), error.label());
        }
    }

    /// The facts of a block, fetched once however many ask.
    pub async fn block(&self, height: Height) -> Result<Arc<BlockFacts>, ChainError> {
        let slot = {
            let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
            let slot = blocks.entry(height).or_default().clone();
            while blocks.len() > limits::FOLLOW_BLOCKS {
                blocks.pop_first();
            }
            slot
        };
        let fetch = || async {
            let block = self.chain.facts(height).await?;
            block.xcm.iter().for_each(|met| self.met(height, met));
            Ok(Arc::new(block))
        };
        slot.get_or_try_init(fetch).await.cloned()
    }

    /// An XCM message beside the packets: told once, with its block.
    fn met(&self, height: Height, met: &XcmMet) {
        let (chain, place, within) = (self.chain.id(), met.place.label(), &met.name);
        let transaction = met.transaction;
        self.metrics.xcm(chain.as_str(), met.place, &met.found);
        match &met.found {
            Ok(message) => {
                let (version, summary) = (message.version.label(), message.summary());
                tracing::info!(%chain, %height, place, transaction, %within, version, "XCM: {summary}");
            }
            Err(error) => {
                let (reason, offset) = (error.problem.label(), error.offset);
                tracing::warn!(%chain, %height, place, transaction, %within, reason, offset, "XCM that can't be decoded: {error}");
            }
        }
    }

    /// The facts of a block, however often it has to be asked for. `None`: the block can't be had (pruned, or larger than the limit).
    pub async fn block_for_sure(&self, height: Height) -> Option<Arc<BlockFacts>> {
        let mut failures = 0u32;
        loop {
            match self.block(height).await {
                Ok(block) => return Some(block),
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::debug!(chain = %self.chain.id(), %height, reason = error.label(), "block: {error}");
                    self.count(&error);
                    let unreadable = error.kind == ChainErrorKind::TooLarge && failures >= limits::UNREADABLE_TRIES;
                    if unreadable || error.remedy() == Remedy::Drop {
                        tracing::warn!(chain = %self.chain.id(), %height, "block skipped, its packets are found in state: {error}");
                        return None;
                    }
                    tokio::time::sleep(pause(failures)).await;
                }
            }
        }
    }
}

/// 200 ms, doubled per failure, at most 5 s.
pub(crate) fn pause(failures: u32) -> Duration {
    Duration::from_millis(200u64.saturating_mul(1 << failures.min(6).saturating_sub(1)).min(5_000))
}
