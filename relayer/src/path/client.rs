//! The clients of a path as they stand on chain, cached: client states, and the consensus states that updates are checked against.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ibc_proto::google::protobuf::Any;
use prost::Message as _;
use relayer_core::chain::Path as StorePath;
use relayer_core::engine::ClientRead;
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::fact::{BlockFacts, Fact};
use relayer_core::id::{ClientId, Height, Timestamp};
use relayer_core::packet::Side;

use super::Path;

/// Consensus states remembered per client.
const REMEMBERED: usize = 64;
/// Largest client or consensus state taken from a node, bytes.
const STATE_BYTES: usize = 64 * 1024;

/// A client as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientView {
    /// Its id.
    pub id: ClientId,
    /// Newest height it holds.
    pub latest: Height,
    /// Time until it expires without an update, ns; 0 = expired.
    pub expires_in_ns: u64,
    /// Frozen by misbehaviour.
    pub frozen: bool,
}

impl ClientView {
    /// A client judged at the tracked chain's time.
    pub fn of(read: &ClientRead, tracked: Timestamp) -> Self {
        Self {
            id: read.id.clone(),
            latest: read.latest,
            expires_in_ns: read.latest_time.plus(read.trusting_period_ns).since(tracked),
            frozen: read.frozen,
        }
    }
}

#[derive(Default)]
struct Cached {
    client: Option<ClientId>,
    state: Option<Any>,
    heights: Vec<Height>,
    consensus: BTreeMap<Height, Any>,
    prefix: Vec<u8>,
}

/// The client on one side, tracking the other.
#[derive(Default)]
pub(crate) struct ClientCache(Mutex<Cached>);

impl ClientCache {
    fn with<T>(&self, f: impl FnOnce(&mut Cached) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set(&self, client: ClientId, state: Any, latest: Height, consensus: Any, prefix: Vec<u8>) {
        self.with(|c| {
            *c = Cached {
                client: Some(client),
                state: Some(state),
                heights: vec![latest],
                consensus: BTreeMap::from([(latest, consensus)]),
                prefix,
            };
        });
    }

    /// Heights that a block adds, by whomever.
    pub(crate) fn note(&self, block: &BlockFacts) {
        for fact in &block.facts {
            let Fact::ClientUpdated { client, heights, .. } = fact else { continue };
            self.with(|c| {
                if c.client.as_ref() == Some(client) {
                    c.heights.extend(heights);
                    c.heights.sort_unstable();
                    c.heights.dedup();
                    let surplus = c.heights.len().saturating_sub(REMEMBERED);
                    c.heights.drain(..surplus);
                }
            });
        }
    }

    /// A consensus state that our own update has created or will create.
    pub(super) fn learn(&self, height: Height, consensus: Any) {
        self.with(|c| {
            c.consensus.insert(height, consensus);
            while c.consensus.len() > REMEMBERED {
                c.consensus.pop_first();
            }
        });
    }

    /// A height that the chain does not hold after all: an event lied, or the state was pruned. The last one left stays.
    fn forget(&self, height: Height) {
        self.with(|c| {
            if c.heights.len() > 1 {
                c.heights.retain(|h| *h != height);
            }
        });
    }

    /// The highest known height below `target`.
    pub(super) fn trusted_below(&self, target: Height) -> Option<Height> {
        self.with(|c| c.heights.iter().copied().filter(|h| *h < target).max())
    }

    pub(super) fn known(&self, height: Height) -> Option<Any> {
        self.with(|c| c.consensus.get(&height).cloned())
    }

    /// The client state.
    pub(super) fn state(&self) -> Option<Any> {
        self.with(|c| c.state.clone())
    }

    /// Prefix of the tracked chain's IBC store.
    pub(super) fn prefix(&self) -> Vec<u8> {
        self.with(|c| c.prefix.clone())
    }
}

/// Decodes an `Any` from a store, size first.
pub(super) fn any(value: &[u8]) -> Option<Any> {
    if value.len() > STATE_BYTES {
        return None;
    }
    Any::decode(value).ok()
}

impl Path {
    /// The consensus state that the client on `side` holds at `height`.
    pub(super) async fn consensus(&self, side: Side, height: Height) -> Result<Any, ChainError> {
        let cache = &self.clients[side.index()];
        if let Some(known) = cache.known(height) {
            return Ok(known);
        }
        let chain = self.chain(side);
        let path = StorePath::ConsensusState(self.spec.ends[side.index()].client.clone(), height);
        let found = chain.query(&[path], None, false).await?.into_iter().next().and_then(|p| p.value);
        let Some(value) = found else {
            cache.forget(height);
            return Err(ChainError::new(chain.id(), ChainErrorKind::NotFound, format!("consensus state at {height}")));
        };
        let state =
            any(&value).ok_or_else(|| ChainError::new(chain.id(), ChainErrorKind::Malformed, "consensus state"))?;
        cache.learn(height, state.clone());
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use relayer_core::id::Timestamp;
    use relayer_core::packet::At;

    use super::*;

    #[test]
    fn a_height_that_the_chain_does_not_hold_is_no_base_for_updates() {
        let (client, at) = (ClientId::new("07-tendermint-0").unwrap(), |n| Height::new(1, n));
        let cache = ClientCache::default();
        cache.set(client.clone(), Any::default(), at(10), Any::default(), Vec::new());
        let told = Fact::ClientUpdated { client, heights: vec![at(20)], header: None };
        cache.note(&BlockFacts {
            at: At { height: at(5), time: Timestamp(0) },
            facts: vec![told],
            txs: Vec::new(),
            xcm: Vec::new(),
        });
        assert_eq!(cache.trusted_below(at(30)), Some(at(20)));
        cache.forget(at(20));
        assert_eq!(cache.trusted_below(at(30)), Some(at(10)));
        cache.forget(at(10));
        assert_eq!(cache.trusted_below(at(30)), Some(at(10)));
    }
}
