//! One embedded chain: a mempool, a block every so often, and the blocks so far.
//!
//! A [`Node`] is what a CometBFT node is to its clients, without the network: transactions are checked and wait, a task makes blocks of
//! them, has them executed and remembers the results. A block is visible once its state can be queried, with its commit.
//!
//! **Spec**: CometBFT 0.38 (ABCI: CheckTx, FinalizeBlock, Commit, recheck). The header of height h carries the application hash after h - 1.
//!
//! **Bounds.** [`limits`](crate::limits): mempool, block size, kept heights. Calls of [`Node::broadcast`] and [`Node::query`] take as long
//! as the application does and wait while a block is executed: call them where blocking is allowed.
//!
//! **Errors.** A block that can't be made, and a panic of the application, stop the chain for good; [`Node::failure`] says why.

#[cfg(test)]
mod blank;
mod history;
mod mempool;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use tendermint::block::signed_header::SignedHeader;
use tendermint::block::{Commit, Header, Id};
use tendermint::validator::Set;
use tendermint::{AppHash, Error, Time};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::history::History;
pub(crate) use self::history::Place;
use self::mempool::Mempool;
pub(crate) use self::mempool::Refusal;
use super::app::App;
use super::consensus::Consensus;
use super::{BlockContext, EmbeddedSpec, Executed, QueryAnswer, TxResult};
use crate::{DevnetError, limits};

/// What a node asks of the state machine it replicates (ABCI).
pub(crate) trait Application: Send + Sync + 'static {
    /// Whether a transaction may wait: checked on a state of its own, which starts anew with every block.
    fn check(&mut self, tx: &[u8]) -> TxResult;
    /// Executes a block and commits.
    fn execute(&mut self, block: &BlockContext, txs: &[Vec<u8>]) -> Executed;
    /// Reads the state after a height; 0 for the newest.
    fn query(&self, path: &str, data: &[u8], height: u64, prove: bool) -> QueryAnswer;
}

/// A block with all that came of it.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) header: Header,
    /// The votes for this block.
    pub(crate) commit: Commit,
    pub(crate) block_id: Id,
    /// Its validators, the proposer among them.
    pub(crate) validators: Set,
    pub(crate) txs: Vec<Vec<u8>>,
    pub(crate) executed: Executed,
    /// Of the encoded block.
    pub(crate) bytes: usize,
}

impl Block {
    /// Its height.
    pub(crate) fn height(&self) -> u64 {
        self.header.height.value()
    }

    /// Header and commit.
    #[cfg(test)]
    pub(crate) fn signed_header(&self) -> Result<SignedHeader, Error> {
        SignedHeader::new(self.header.clone(), self.commit.clone())
    }

    /// Type, key and value of every attribute of a transaction's events.
    fn attributes(&self, index: usize) -> impl Iterator<Item = (&str, &str, &str)> {
        let events = self.executed.results.get(index).into_iter().flat_map(|result| &result.events);
        events.flat_map(|event| {
            event.attributes.iter().map(|(key, value)| (event.kind.as_str(), key.as_str(), value.as_str()))
        })
    }
}

/// A running chain; it ends when dropped. See the module.
pub(crate) struct Node {
    state: Arc<State>,
    control: watch::Sender<Control>,
    blocks: JoinHandle<()>,
}

#[derive(Clone, Copy)]
struct Control {
    interval: Duration,
    halted: bool,
    stopped: bool,
}

/// What the task of blocks and the callers share. Locks are taken in this order: application, consensus, mempool, history.
struct State {
    spec: EmbeddedSpec,
    application: RwLock<Box<dyn Application>>,
    consensus: Mutex<Consensus>,
    mempool: Mutex<Mempool>,
    history: RwLock<History>,
    heights: watch::Sender<u64>,
    failure: Mutex<Option<String>>,
}

impl Node {
    /// Starts the chain of a description, from its genesis. Needs a tokio runtime.
    pub(crate) fn start(spec: EmbeddedSpec) -> Result<Arc<Self>, DevnetError> {
        let application = Box::new(App::genesis(&spec));
        Self::start_with(spec, application)
    }

    fn start_with(spec: EmbeddedSpec, application: Box<dyn Application>) -> Result<Arc<Self>, DevnetError> {
        let consensus = Consensus::genesis(&spec).map_err(|reason| DevnetError::Start {
            chain: spec.id.clone(),
            reason: reason.to_string(),
            log: String::new(),
        })?;
        let (control, changes) =
            watch::channel(Control { interval: spec.block_interval, halted: false, stopped: false });
        let state = Arc::new(State {
            spec,
            application: RwLock::new(application),
            consensus: Mutex::new(consensus),
            mempool: Mutex::default(),
            history: RwLock::new(History::new(limits::EMBEDDED_HEIGHTS)),
            heights: watch::Sender::new(0),
            failure: Mutex::default(),
        });
        let blocks = tokio::spawn(make_blocks(state.clone(), changes));
        Ok(Arc::new(Self { state, control, blocks }))
    }

    /// What the chain was started from.
    pub(crate) fn spec(&self) -> &EmbeddedSpec {
        &self.state.spec
    }

    /// The newest height; 0 before the first block.
    pub(crate) fn latest(&self) -> u64 {
        read(&self.state.history).latest()
    }

    /// The oldest height still kept; 0 before the first block.
    pub(crate) fn earliest(&self) -> u64 {
        read(&self.state.history).earliest()
    }

    /// The block of a height, if it was made and is kept.
    pub(crate) fn block(&self, height: u64) -> Option<Arc<Block>> {
        read(&self.state.history).block(height).cloned()
    }

    /// Changes with every block; its value is the newest height.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.state.heights.subscribe()
    }

    /// Checks a transaction and keeps it for a block; its hash either way.
    pub(crate) fn broadcast(&self, tx: Vec<u8>) -> ([u8; 32], Result<TxResult, Refusal>) {
        self.take(tx, true)
    }

    /// Answers as [`broadcast`](Self::broadcast) does and forgets the transaction.
    pub(crate) fn lose(&self, tx: Vec<u8>) -> ([u8; 32], Result<TxResult, Refusal>) {
        self.take(tx, false)
    }

    fn take(&self, tx: Vec<u8>, keep: bool) -> ([u8; 32], Result<TxResult, Refusal>) {
        let hash = Sha256::digest(&tx).into();
        let mut application = write(&self.state.application);
        if let Err(refusal) = lock(&self.state.mempool).admits(&hash, tx.len()) {
            return (hash, Err(refusal));
        }
        let result = application.check(&tx);
        if result.code == 0 && keep {
            lock(&self.state.mempool).push(hash, tx, result.gas_wanted);
        }
        (hash, Ok(result))
    }

    /// Where a transaction was included.
    pub(crate) fn tx(&self, hash: &[u8; 32]) -> Option<Place> {
        read(&self.state.history).tx(hash)
    }

    /// Transactions whose events have all of these (`type.key`, value) pairs, the oldest first.
    pub(crate) fn find_txs(&self, pairs: &[(String, String)]) -> Vec<Place> {
        write(&self.state.history).find(pairs)
    }

    /// How many transactions wait, and their bytes.
    pub(crate) fn unconfirmed(&self) -> (usize, usize) {
        lock(&self.state.mempool).size()
    }

    /// Reads the application's state after a height; 0 for the newest.
    pub(crate) fn query(&self, path: &str, data: &[u8], height: u64, prove: bool) -> QueryAnswer {
        read(&self.state.application).query(path, data, height, prove)
    }

    /// Makes no more blocks; the node answers and takes transactions.
    pub(crate) fn halt(&self) {
        self.control.send_modify(|control| control.halted = true);
    }

    /// Makes blocks again.
    pub(crate) fn resume(&self) {
        self.control.send_modify(|control| control.halted = false);
    }

    /// From one block to the next, from now on.
    pub(crate) fn set_block_interval(&self, interval: Duration) {
        self.control.send_modify(|control| control.interval = interval);
    }

    /// Loses the next so many transactions: they pass CheckTx, and no block will have them.
    pub(crate) fn drop_transactions(&self, count: usize) {
        lock(&self.state.mempool).to_lose = count;
    }

    /// Gives the validators these powers by place in the list; 0 removes one, a new place adds one. As in CometBFT, this block's
    /// change stands in the next header and signs the one after it.
    pub(crate) fn change_powers(&self, powers: &[u64]) -> Result<(), Error> {
        lock(&self.state.consensus).change_powers(powers)
    }

    /// A second block of a height, with another application hash, signed by all its validators: equivocation. With it, the validators.
    pub(crate) fn equivocate(&self, height: u64, app_hash: [u8; 32]) -> Option<(SignedHeader, Set)> {
        let block = self.block(height)?;
        let header = Header { app_hash: AppHash::try_from(app_hash.to_vec()).ok()?, ..block.header.clone() };
        let signed = lock(&self.state.consensus).sign(header, &block.validators).ok()?;
        Some((signed, block.validators.clone()))
    }

    /// Why the chain stopped by itself.
    pub(crate) fn failure(&self) -> Option<String> {
        lock(&self.state.failure).clone()
    }

    /// Ends the chain after the block in work; the past can still be read.
    pub(crate) fn stop(&self) {
        self.control.send_modify(|control| control.stopped = true);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.blocks.abort();
    }
}

/// The task of a chain: a block each interval, until it is stopped or fails.
async fn make_blocks(state: Arc<State>, mut changes: watch::Receiver<Control>) {
    let mut last = Instant::now();
    loop {
        let wanted = *changes.borrow_and_update();
        if wanted.stopped {
            return;
        }
        let due = async {
            match wanted.halted {
                true => std::future::pending().await,
                false => tokio::time::sleep_until(last + wanted.interval).await,
            }
        };
        tokio::select! {
            () = due => {}
            changed = changes.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        }
        last = Instant::now();
        let work = state.clone();
        let failure = match tokio::task::spawn_blocking(move || work.make_block()).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(ended) => ended.to_string(),
        };
        eprintln!("{} ended: {failure}", state.spec.id);
        *lock(&state.failure) = Some(failure);
        return;
    }
}

impl State {
    fn make_block(&self) -> Result<(), Error> {
        let txs = lock(&self.mempool).reap(self.spec.block_gas);
        let decided = lock(&self.consensus).decide(now()?, &txs)?;
        let header = &decided.header;
        let mut app_hash = [0; 32];
        app_hash.copy_from_slice(header.app_hash.as_bytes());
        let context = BlockContext {
            height: header.height.value(),
            time: header.time,
            app_hash,
            next_validators_hash: header.next_validators_hash,
        };
        let executed = self.execute(&context, &txs);
        lock(&self.consensus).executed(&decided, &executed.results, executed.app_hash);
        let block = Block {
            header: decided.header,
            commit: decided.commit,
            block_id: decided.block_id,
            validators: decided.validators,
            bytes: decided.bytes,
            txs,
            executed,
        };
        write(&self.history).push(Arc::new(block));
        self.heights.send_replace(context.height);
        Ok(())
    }

    /// Executes a block; no transaction is checked before those that wait were checked again.
    fn execute(&self, context: &BlockContext, txs: &[Vec<u8>]) -> Executed {
        let mut application = write(&self.application);
        let executed = application.execute(context, txs);
        let failed: Vec<bool> = executed.results.iter().map(|result| result.code != 0).collect();
        lock(&self.mempool).settle(&failed, |tx| application.check(tx).code == 0);
        executed
    }
}

fn now() -> Result<Time, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_unix_timestamp(now.as_secs().cast_signed(), now.subsec_nanos())
}

/// A panic of another holder ends the chain, and is told there.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
