//! The verified light blocks that are kept: bounded, the longest unused one goes first, the highest one never.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tendermint_light_client::verifier::types::LightBlock;

use super::limits::LIGHT_BLOCKS;

#[derive(Debug, Default)]
struct Kept {
    blocks: BTreeMap<u64, (Arc<LightBlock>, u64)>,
    /// Counts uses.
    clock: u64,
}

/// Verified blocks by height.
#[derive(Debug, Default)]
pub(crate) struct Blocks(Mutex<Kept>);

impl Blocks {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, height: u64) -> Option<Arc<LightBlock>> {
        let mut kept = self.lock();
        kept.clock += 1;
        let clock = kept.clock;
        let (block, used) = kept.blocks.get_mut(&height)?;
        *used = clock;
        Some(block.clone())
    }

    /// The nearest one at or below.
    pub(crate) fn at_or_below(&self, height: u64) -> Option<Arc<LightBlock>> {
        let found = self.lock().blocks.range(..=height).next_back().map(|(at, _)| *at)?;
        self.get(found)
    }
    /// The nearest one above.
    pub(crate) fn above(&self, height: u64) -> Option<Arc<LightBlock>> {
        let found = self.lock().blocks.range(height.saturating_add(1)..).next().map(|(at, _)| *at)?;
        self.get(found)
    }
    pub(crate) fn highest(&self) -> Option<Arc<LightBlock>> {
        self.at_or_below(u64::MAX)
    }

    pub(crate) fn put(&self, block: LightBlock) -> Arc<LightBlock> {
        let mut kept = self.lock();
        kept.clock += 1;
        let clock = kept.clock;
        let block = Arc::new(block);
        kept.blocks.insert(block.height().value(), (block.clone(), clock));
        while kept.blocks.len() > LIGHT_BLOCKS {
            let highest = kept.blocks.last_key_value().map(|(height, _)| *height);
            let others = kept.blocks.iter().filter(|(height, _)| Some(**height) != highest);
            let Some(oldest) = others.min_by_key(|(_, (_, used))| *used).map(|(height, _)| *height) else { break };
            kept.blocks.remove(&oldest);
        }
        block
    }
}
