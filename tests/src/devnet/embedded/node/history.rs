//! The blocks made so far, and an index of their transactions.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Block;
use crate::limits;

/// A transaction: its block's height, and its place in the block.
pub(crate) type Place = (u64, usize);

/// Blocks of consecutive heights, bounded by [`limits::EMBEDDED_HEIGHTS`].
#[derive(Default)]
pub(super) struct History {
    blocks: VecDeque<Arc<Block>>,
    by_hash: HashMap<[u8; 32], Place>,
    /// By a hash of event and attribute, ascending; what is found is compared, since hashes may collide.
    by_attribute: HashMap<u64, VecDeque<Place>>,
}

impl History {
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
            let place = (block.height(), index);
            self.by_hash.insert(Sha256::digest(tx).into(), place);
            for attribute in block.attributes(index) {
                let places = self.by_attribute.entry(fingerprint(&attribute)).or_default();
                if places.back() != Some(&place) {
                    places.push_back(place);
                }
            }
        }
        self.blocks.push_back(block);
        if self.blocks.len() > limits::EMBEDDED_HEIGHTS
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
            for attribute in block.attributes(index) {
                let print = fingerprint(&attribute);
                if let Some(places) = self.by_attribute.get_mut(&print) {
                    places.retain(|known| *known != place);
                    if places.is_empty() {
                        self.by_attribute.remove(&print);
                    }
                }
            }
        }
    }

    pub(super) fn tx(&self, hash: &[u8; 32]) -> Option<Place> {
        self.by_hash.get(hash).copied()
    }

    /// Transactions with all of these (`type.key`, value) pairs, in the order of the chain.
    pub(super) fn find(&self, pairs: &[(String, String)]) -> Vec<Place> {
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
