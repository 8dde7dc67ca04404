//! The blocks made so far, and an index of their transactions.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Block;

/// A transaction: its block's height, and its place in the block.
pub(crate) type Place = (u64, usize);

/// Blocks of consecutive heights, the newest so many.
pub(super) struct History {
    kept: usize,
    blocks: VecDeque<Arc<Block>>,
    by_hash: HashMap<[u8; 32], Place>,
    /// By a hash of event and attribute, ascending; what is found is compared, since hashes may collide.
    by_attribute: HashMap<u64, VecDeque<Place>>,
    /// Height up to which attributes are indexed: only a search pays for that, and few tests search.
    indexed: u64,
}

impl History {
    pub(super) fn new(kept: usize) -> Self {
        let (blocks, by_hash, by_attribute) = Default::default();
        Self { kept, blocks, by_hash, by_attribute, indexed: 0 }
    }

    pub(super) fn earliest(&self) -> u64 {
        self.blocks.front().map_or(0, |block| block.height())
    }

    pub(super) fn latest(&self) -> u64 {
        self.blocks.back().map_or(0, |block| block.height())
    }

    pub(super) fn block(&self, height: u64) -> Option<&Arc<Block>> {
        let place = height.checked_sub(self.earliest())?;
        self.blocks.get(usize::try_from(place).ok()?)
    }

    pub(super) fn push(&mut self, block: Arc<Block>) {
        for (index, tx) in block.txs.iter().enumerate() {
            self.by_hash.insert(Sha256::digest(tx).into(), (block.height(), index));
        }
        self.blocks.push_back(block);
        if self.blocks.len() > self.kept
            && let Some(oldest) = self.blocks.pop_front()
        {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, block: &Block) {
        for (index, tx) in block.txs.iter().enumerate() {
            let place = (block.height(), index);
            let hash: [u8; 32] = Sha256::digest(tx).into();
            // The same bytes may be in a later block once more.
            if self.by_hash.get(&hash) == Some(&place) {
                self.by_hash.remove(&hash);
            }
            if block.height() > self.indexed {
                continue;
            }
            for attribute in block.attributes(index) {
                let print = fingerprint(&attribute);
                let Some(places) = self.by_attribute.get_mut(&print) else { continue };
                // The oldest block's are the first.
                if places.front() == Some(&place) {
                    places.pop_front();
                }
                if places.is_empty() {
                    self.by_attribute.remove(&print);
                }
            }
        }
    }

    fn index_attributes(&mut self) {
        for block in self.blocks.iter().filter(|block| block.height() > self.indexed) {
            for index in 0..block.txs.len() {
                let place = (block.height(), index);
                for attribute in block.attributes(index) {
                    let places = self.by_attribute.entry(fingerprint(&attribute)).or_default();
                    if places.back() != Some(&place) {
                        places.push_back(place);
                    }
                }
            }
        }
        self.indexed = self.latest();
    }

    pub(super) fn tx(&self, hash: &[u8; 32]) -> Option<Place> {
        self.by_hash.get(hash).copied()
    }

    /// Transactions with all of these (`type.key`, value) pairs, in the order of the chain.
    pub(super) fn find(&mut self, pairs: &[(String, String)]) -> Vec<Place> {
        if self.indexed < self.latest() {
            self.index_attributes();
        }
        let mut narrowest: Option<&VecDeque<Place>> = None;
        let mut wanted = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let Some((kind, key)) = name.split_once('.') else { return Vec::new() };
            let attribute = (kind, key, value.as_str());
            let Some(places) = self.by_attribute.get(&fingerprint(&attribute)) else { return Vec::new() };
            narrowest = Some(narrowest.filter(|best| best.len() <= places.len()).unwrap_or(places));
            wanted.push(attribute);
        }
        let matches = |(height, index): &&Place| {
            self.block(*height).is_some_and(|block| {
                wanted.iter().all(|wanted| block.attributes(*index).any(|attribute| attribute == *wanted))
            })
        };
        narrowest.into_iter().flatten().filter(matches).copied().collect()
    }
}

fn fingerprint(attribute: &(&str, &str, &str)) -> u64 {
    let mut hasher = DefaultHasher::new();
    attribute.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devnet::embedded::consensus::Consensus;
    use crate::devnet::embedded::{EmbeddedSpec, Event, Executed, TxResult};

    /// A block of each height, whose only transaction is `tx` and says so in an event.
    fn block(consensus: &mut Consensus, tx: &[u8]) -> Arc<Block> {
        let decided = consensus.decide(tendermint::Time::unix_epoch(), &[tx.to_vec()]).unwrap();
        let attributes = vec![("name".to_owned(), String::from_utf8(tx.to_vec()).unwrap())];
        let events = vec![Event { kind: "tx".into(), attributes }];
        let results = vec![TxResult { events, ..TxResult::default() }];
        consensus.executed(&decided, &results, [0; 32]);
        Arc::new(Block {
            header: decided.header,
            commit: decided.commit,
            block_id: decided.block_id,
            validators: decided.validators,
            bytes: decided.bytes,
            txs: vec![tx.to_vec()],
            executed: Executed { results, events: Vec::new(), app_hash: [0; 32] },
        })
    }

    #[test]
    fn old_blocks_go_with_their_transactions_and_attributes() {
        let mut consensus = Consensus::genesis(&EmbeddedSpec::new("demo-1")).unwrap();
        let mut history = History::new(3);
        let named = |name: &str| [("tx.name".to_owned(), name.to_owned())];
        let place = |history: &History, tx: &[u8]| history.tx(&Sha256::digest(tx).into());
        for tx in ["a", "b", "a"] {
            history.push(block(&mut consensus, tx.as_bytes()));
        }
        assert_eq!(history.find(&named("a")), [(1, 0), (3, 0)]);
        // Two go: one of the indexed, and the other bearer of its name stays.
        for tx in ["c", "d"] {
            history.push(block(&mut consensus, tx.as_bytes()));
        }
        assert_eq!((history.earliest(), history.latest()), (3, 5));
        assert!(history.block(2).is_none() && history.block(3).is_some());
        assert_eq!((place(&history, b"a"), place(&history, b"b")), (Some((3, 0)), None));
        assert_eq!(history.find(&named("a")), [(3, 0)]);
        assert!(history.find(&named("b")).is_empty());
        for _ in 0..3 {
            history.push(block(&mut consensus, b"e"));
        }
        assert_eq!(history.find(&named("e")).len(), 3);
        assert_eq!((history.by_hash.len(), history.by_attribute.len()), (1, 1), "nothing of the past is kept");
    }
}
