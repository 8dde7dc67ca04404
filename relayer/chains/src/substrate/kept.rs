//! The verified blocks that are kept, and the lists of authorities they name: bounded, the oldest go first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use light_clients::grandpa::{
    Authority, ConsensusLog, Digest, DigestItem, Finality, Hash, HeaderChain, SubstrateHeader, blake2_256,
};
use light_clients::{Part, Reason, Timestamp};
use parity_scale_codec::{DecodeAll, Encode};
use tokio::sync::OnceCell;

use super::limits::{LIGHT_BLOCKS, OLD_BLOCKS};

/// Lists of authorities kept: each block of a chain names one of few.
const LISTS: usize = 64;

/// A block that is final, and who finalizes the next one.
#[derive(Debug)]
pub(crate) struct Block {
    /// Its header in SCALE.
    pub(crate) bytes: Vec<u8>,
    pub(crate) header: SubstrateHeader,
    pub(crate) finality: Finality,
    /// Its time, once asked for.
    pub(crate) timed: OnceCell<Timed>,
}

/// The time of a block, and the nodes of the trie that prove it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Timed {
    pub(crate) time: Timestamp,
    pub(crate) proof: Vec<Vec<u8>>,
}

impl Block {
    /// Of its parts; the hash must be that of the bytes.
    pub(crate) fn new(bytes: Vec<u8>, header: SubstrateHeader, finality: Finality) -> Self {
        Self { bytes, header, finality, timed: OnceCell::new() }
    }
    pub(crate) fn number(&self) -> u32 {
        self.header.number
    }
    pub(crate) fn hash(&self) -> Hash {
        self.finality.hash
    }

    /// The same with another number of the set.
    pub(crate) fn in_set(&self, set_id: u64) -> Self {
        let finality = Finality { set_id, ..self.finality };
        Self { bytes: self.bytes.clone(), header: self.header.clone(), finality, timed: self.timed.clone() }
    }

    /// The next block, with what its header says of the authorities to come.
    pub(crate) fn child(&self, bytes: Vec<u8>, lists: &Lists) -> Result<Self, Reason> {
        let chain = HeaderChain::decode(&[&bytes])?;
        let finality = self.finality.advance(&chain)?;
        let header = chain.last().cloned().ok_or(Reason::Missing { part: Part::SubstrateHeader })?;
        for list in announced(&header.digest) {
            lists.put(list);
        }
        Ok(Self::new(bytes, header, finality))
    }
}

/// The lists of authorities that a header announces, in SCALE.
fn announced(digest: &Digest) -> impl Iterator<Item = Vec<u8>> + '_ {
    digest.0.iter().filter_map(|item| match item {
        DigestItem::Consensus([b'F', b'R', b'N', b'K'], log) => {
            match ConsensusLog::decode_all(&mut log.as_slice()).ok()? {
                ConsensusLog::ScheduledChange(next) => Some(next.authorities.encode()),
                _ => None,
            }
        }
        _ => None,
    })
}

/// Lists of authorities in SCALE, by their hash.
#[derive(Debug, Default)]
pub(crate) struct Lists(Mutex<Vec<(Hash, Arc<[u8]>)>>);

impl Lists {
    fn lock(&self) -> MutexGuard<'_, Vec<(Hash, Arc<[u8]>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn put(&self, list: Vec<u8>) -> Arc<[u8]> {
        let hash = blake2_256(&list);
        let mut lists = self.lock();
        if let Some((_, known)) = lists.iter().find(|(known, _)| *known == hash) {
            return known.clone();
        }
        let list: Arc<[u8]> = list.into();
        lists.push((hash, list.clone()));
        if lists.len() > LISTS {
            lists.remove(0);
        }
        list
    }
    pub(crate) fn get(&self, hash: &Hash) -> Option<Arc<[u8]>> {
        self.lock().iter().find(|(known, _)| known == hash).map(|(_, list)| list.clone())
    }
}

/// Blocks by number: the newest ones, and of older ones those that were read last.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Numbered>);

#[derive(Debug, Default)]
struct Numbered {
    newest: BTreeMap<u32, Arc<Block>>,
    older: BTreeMap<u32, Arc<Block>>,
    /// The numbers of the older ones, as they came.
    order: VecDeque<u32>,
}

impl Numbered {
    fn put(&mut self, block: Arc<Block>) {
        let lowest = self.newest.first_key_value().map_or(0, |(number, _)| *number);
        if self.newest.len() >= LIGHT_BLOCKS && block.number() < lowest {
            self.put_older(block);
            return;
        }
        self.newest.insert(block.number(), block);
        while self.newest.len() > LIGHT_BLOCKS {
            self.newest.pop_first();
        }
    }

    fn put_older(&mut self, block: Arc<Block>) {
        let number = block.number();
        if self.older.insert(number, block).is_none() {
            self.order.push_back(number);
        }
        while self.order.len() > OLD_BLOCKS {
            if let Some(first) = self.order.pop_front() {
                self.older.remove(&first);
            }
        }
    }
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Numbered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn get(&self, number: u32) -> Option<Arc<Block>> {
        let blocks = self.lock();
        blocks.newest.get(&number).or_else(|| blocks.older.get(&number)).cloned()
    }
    pub(crate) fn highest(&self) -> Option<Arc<Block>> {
        self.lock().newest.last_key_value().map(|(_, block)| block.clone())
    }
    /// The highest one whose time is known.
    pub(crate) fn newest_timed(&self) -> Option<Arc<Block>> {
        self.lock().newest.values().rev().find(|block| block.timed.initialized()).cloned()
    }
    /// The nearest one above.
    pub(crate) fn above(&self, number: u32) -> Option<Arc<Block>> {
        let (blocks, above) = (self.lock(), number.saturating_add(1)..);
        let nearest = |all: &BTreeMap<u32, Arc<Block>>| all.range(above.clone()).next().map(|(_, block)| block.clone());
        let (newest, older) = (nearest(&blocks.newest), nearest(&blocks.older));
        [newest, older].into_iter().flatten().min_by_key(|block| block.number())
    }
    pub(crate) fn put(&self, block: Arc<Block>) {
        self.lock().put(block);
    }
}

/// What a trusted block is in the journal.
#[derive(parity_scale_codec::Encode, parity_scale_codec::Decode)]
struct Stored {
    version: u8,
    header: Vec<u8>,
    set_id: u64,
    authorities: Vec<Authority>,
    change: Option<(u32, Vec<Authority>)>,
    time_ns: u64,
}

const STORED_VERSION: u8 = 1;

/// A trusted block as bytes, if its authorities are known; with its time.
pub(crate) fn to_bytes(block: &Block, lists: &Lists) -> Option<Vec<u8>> {
    let list = |hash: &Hash| Vec::<Authority>::decode_all(&mut &*lists.get(hash)?).ok();
    let f = &block.finality;
    let change = match &f.change {
        Some(change) => Some((change.effective, list(&change.authorities_hash)?)),
        None => None,
    };
    let stored = Stored {
        version: STORED_VERSION,
        header: block.bytes.clone(),
        set_id: f.set_id,
        authorities: list(&f.authorities_hash)?,
        change,
        time_ns: block.timed.get()?.time.as_nanos(),
    };
    Some(stored.encode())
}

/// A trusted block from the journal, and its time.
pub(crate) fn from_bytes(bytes: &[u8], lists: &Lists) -> Option<(Block, Timestamp)> {
    let stored = Stored::decode_all(&mut { bytes }).ok().filter(|stored| stored.version == STORED_VERSION)?;
    let header = SubstrateHeader::decode_bytes(&stored.header).ok()?;
    let authorities_hash = blake2_256(&lists.put(stored.authorities.encode()));
    let change = stored.change.map(|(effective, next)| light_clients::grandpa::PendingChange {
        effective,
        authorities_hash: blake2_256(&lists.put(next.encode())),
    });
    let finality = Finality {
        number: header.number,
        hash: blake2_256(&stored.header),
        set_id: stored.set_id,
        authorities_hash,
        change,
    };
    Some((Block::new(stored.header, header, finality), Timestamp::from_nanos(stored.time_ns)))
}
