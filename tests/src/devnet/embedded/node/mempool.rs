//! Transactions that passed CheckTx and wait for a block.

use std::collections::{HashSet, VecDeque};

use crate::limits;

/// Why a transaction was not even checked; worded as CometBFT does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It was sent before.
    #[error("tx already exists in cache")]
    AlreadyInCache,
    /// Too many wait.
    #[error(
        "mempool is full: number of txs {txs} (max: {}), total txs bytes {bytes} (max: 1073741824)",
        limits::MEMPOOL_TXS
    )]
    MempoolFull {
        /// How many wait.
        txs: usize,
        /// Their size.
        bytes: usize,
    },
    /// It is too large for a block.
    #[error("Tx too large. Max size is {}, but got {bytes}", limits::TX_BYTES)]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// A waiting transaction.
pub(super) struct Pending {
    pub(super) hash: [u8; 32],
    pub(super) tx: Vec<u8>,
    gas_wanted: u64,
}

/// Waiting transactions in the order of their arrival.
#[derive(Default)]
pub(super) struct Mempool {
    pending: VecDeque<Pending>,
    bytes: usize,
    seen: HashSet<[u8; 32]>,
    /// Those seen, the oldest first.
    order: VecDeque<[u8; 32]>,
    /// How many more are taken and lost.
    pub(super) to_lose: usize,
}

impl Mempool {
    /// Whether this transaction may be checked.
    pub(super) fn admits(&self, hash: &[u8; 32], bytes: usize) -> Result<(), Refusal> {
        if bytes > limits::TX_BYTES {
            return Err(Refusal::TooLarge { bytes });
        }
        if self.pending.len() >= limits::MEMPOOL_TXS {
            return Err(Refusal::MempoolFull { txs: self.pending.len(), bytes: self.bytes });
        }
        if self.seen.contains(hash) { Err(Refusal::AlreadyInCache) } else { Ok(()) }
    }

    /// Takes a transaction that was checked.
    pub(super) fn push(&mut self, hash: [u8; 32], tx: Vec<u8>, gas_wanted: u64) {
        if self.to_lose > 0 {
            // As if evicted, or lost with a restart of the node: the same bytes may be sent again.
            self.to_lose -= 1;
            return;
        }
        self.bytes += tx.len();
        self.pending.push_back(Pending { hash, tx, gas_wanted });
        self.seen.insert(hash);
        self.order.push_back(hash);
        if self.order.len() > limits::MEMPOOL_CACHE
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }

    /// Those that fit the next block, in order; they stay until [`Self::settle`].
    pub(super) fn reap(&self, block_gas: u64) -> Vec<Vec<u8>> {
        let (mut gas, mut bytes) = (0_u64, 0);
        let fits = |pending: &&Pending| {
            gas = gas.saturating_add(pending.gas_wanted);
            bytes += pending.tx.len();
            // Header and votes need room, too.
            gas <= block_gas && bytes <= limits::BLOCK_BYTES - limits::TX_BYTES
        };
        self.pending.iter().take_while(fits).map(|pending| pending.tx.clone()).collect()
    }

    /// After a block: its transactions leave, which are the first, and of the rest those that fail `recheck`. What failed may be sent
    /// again.
    pub(super) fn settle(&mut self, failed: &[bool], mut recheck: impl FnMut(&[u8]) -> bool) {
        let included = failed.len().min(self.pending.len());
        for (pending, failed) in self.pending.drain(..included).zip(failed) {
            if *failed {
                self.seen.remove(&pending.hash);
            }
        }
        let seen = &mut self.seen;
        self.pending.retain(|pending| {
            let good = recheck(&pending.tx);
            if !good {
                seen.remove(&pending.hash);
            }
            good
        });
        self.bytes = self.pending.iter().map(|pending| pending.tx.len()).sum();
    }

    /// How many wait, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.pending.len(), self.bytes)
    }
}
