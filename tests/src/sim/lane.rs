//! The wallet's lane as `relayer/src/lane.rs` drives [`relayer_core::lane::Lane`]: one call to the node at a time, an attempt in the journal
//! before its broadcast, outcomes from blocks, attempts of an earlier life resolved first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use relayer_core::engine::{AttemptId, AttemptOutcome, Blame};
use relayer_core::error::{ChainErrorKind, Remedy, TxFailure};
use relayer_core::fact::{BlockFacts, Fact};
use relayer_core::id::{AccountSequence, Height, TxHash};
use relayer_core::lane::{Flight, Lane as Account, Turn};
use relayer_core::message::Message;
use relayer_core::packet::{PacketKey, PortChannel, Side};
use relayer_core::record::Action;

use super::chain::{Signer, Tx};
use super::ledger::OurTx;
use super::relayer::chain_error;
use super::scenario::SECOND;
use super::world::{Event, World, name, short};

/// `relayer::limits`: transactions in flight, waiting, in one request, signed anew; blocks remembered.
const IN_FLIGHT: usize = 48;
const QUEUE: usize = 128;
const BATCH: usize = 10;
const SIGNATURES: u32 = 6;
const MEMORY: usize = 32;

/// A transaction to be.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) id: AttemptId,
    pub(super) updates: usize,
    pub(super) messages: Vec<Message>,
    pub(super) packets: Vec<(Action, PacketKey)>,
    pub(super) trimmed: bool,
}

#[derive(Debug, Clone)]
struct Waiting {
    request: Request,
    signatures: u32,
}

type Done = (bool, PortChannel, u64);

/// What the task waits for.
#[derive(Debug)]
enum Call {
    None,
    Sequence,
    Broadcast(Vec<(Waiting, Tx)>),
}

/// See the module.
pub(super) struct Lane {
    side: Side,
    account: Account,
    waiting: VecDeque<Waiting>,
    flying: BTreeMap<TxHash, Request>,
    orphans: Vec<OurTx>,
    next_block: u64,
    head: u64,
    done: VecDeque<BTreeSet<Done>>,
    not_before: u64,
    woken: Option<u64>,
    failures: u32,
    call: Call,
}

impl Lane {
    pub(super) fn new(side: Side, orphans: Vec<OurTx>, head: u64) -> Self {
        Self {
            side,
            account: Account::new(IN_FLIGHT),
            waiting: VecDeque::new(),
            flying: BTreeMap::new(),
            orphans,
            next_block: head,
            head: 0,
            done: VecDeque::new(),
            not_before: 0,
            woken: None,
            failures: 0,
            call: Call::None,
        }
    }

    /// Takes a request; [`Lane::room`] says whether it may.
    pub(super) fn ask(&mut self, request: Request) {
        self.waiting.push_back(Waiting { request, signatures: 0 });
    }

    pub(super) fn room(&self) -> bool {
        self.waiting.len() < QUEUE
    }

    /// Looks at new blocks and signs what may go. Nothing happens while a call is under way.
    pub(super) fn turn(&mut self, w: &mut World, head: Option<u64>) {
        self.head = head.unwrap_or(self.head).max(self.head);
        if matches!(self.call, Call::None) && !w.crashed {
            self.blocks(w);
            self.work(w);
        }
        if self.account.in_flight() > IN_FLIGHT || self.waiting.len() > QUEUE + SIGNATURES as usize {
            w.never(format!(
                "{} lane: {} in flight, {} waiting",
                self.side,
                self.account.in_flight(),
                self.waiting.len()
            ));
        }
    }

    fn blocks(&mut self, w: &mut World) {
        if self.next_block > self.head {
            return;
        }
        while self.next_block <= self.head {
            if w.missing.contains(&(self.side, self.next_block)) {
                self.ask_outcomes(w);
            } else if let Some(block) = w.chain(self.side).blocks.get(self.next_block as usize).cloned() {
                self.block(w, &block);
            }
            self.next_block += 1;
        }
        self.orphans(w);
        for hash in self.account.expired(Height::new(1, self.head)) {
            w.say(|| format!("{} lane: {} can't be included any more", self.side, short(hash)));
            self.resolve(w, hash, Err(TxFailure::Expired));
        }
    }

    fn block(&mut self, w: &mut World, block: &BlockFacts) {
        let mut done = BTreeSet::new();
        for fact in &block.facts {
            match fact {
                Fact::Received(p) => done.insert((true, p.destination.clone(), p.sequence.0)),
                Fact::Acked { source, sequence } | Fact::TimedOut { source, sequence } => {
                    done.insert((false, source.clone(), sequence.0))
                }
                _ => false,
            };
        }
        self.done.push_back(done);
        if self.done.len() > MEMORY {
            self.done.pop_front();
        }
        self.reports(w, block);
    }

    fn reports(&mut self, w: &mut World, block: &BlockFacts) {
        for report in &block.txs {
            if self.flying.contains_key(&report.hash) {
                self.account.resolved(report.hash);
                let result = report.failure.clone().map_or(Ok(block.at.height), Err);
                self.resolve(w, report.hash, result);
            }
        }
    }

    /// A block can't be read: the node's index knows what became of our transactions.
    fn ask_outcomes(&mut self, w: &mut World) {
        for block in w.chain(self.side).blocks.clone() {
            self.reports(w, &block);
        }
    }

    fn resolve(&mut self, w: &mut World, hash: TxHash, result: Result<Height, TxFailure>) {
        w.journal[self.side.index()].remove(&hash);
        if let Some(request) = self.flying.remove(&hash) {
            reply(w, request, result);
        }
    }

    fn orphans(&mut self, w: &mut World) {
        let side = self.side;
        if self.orphans.is_empty() || w.strikes(|f| f.query_away) {
            return;
        }
        let chain = w.chain(side);
        let (account, head) = (chain.accounts.first().copied().unwrap_or_default(), self.head);
        let included = |hash| chain.blocks.iter().rev().any(|b| b.txs.iter().any(|t| t.hash == hash));
        let over = |o: &OurTx| included(o.hash) || head > o.timeout_height || account > o.sequence;
        let (ended, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.orphans).into_iter().partition(over);
        self.orphans = open;
        for orphan in ended {
            w.say(|| format!("{side} lane: {} of an earlier life is over", short(orphan.hash)));
            w.journal[side.index()].remove(&orphan.hash);
        }
    }

    fn later(&mut self, w: &mut World, ms: u64) {
        self.not_before = w.now + ms * 1_000_000;
    }

    fn work(&mut self, w: &mut World) {
        while !self.waiting.is_empty() && !w.crashed {
            if self.not_before > w.now {
                if self.woken.is_none_or(|t| t < w.now || t > self.not_before) {
                    self.woken = Some(self.not_before);
                    w.after(self.not_before - w.now, Event::Lane(self.side));
                }
                return;
            }
            match self.account.turn() {
                Turn::Full => return,
                Turn::Sync => {
                    self.call = Call::Sequence;
                    let ns = w.latency();
                    let known = w.chain(self.side).accounts.first().copied();
                    let known = known.filter(|_| !w.strikes(|f| f.query_away));
                    return w.after(ns, Event::Synced(self.side, known));
                }
                Turn::Sign(next) => {
                    self.broadcast(w, next.0);
                    if !matches!(self.call, Call::None) {
                        return;
                    }
                }
            }
        }
    }

    /// The chain's answer about the account.
    pub(super) fn synced(&mut self, w: &mut World, sequence: Option<u64>) {
        self.call = Call::None;
        match sequence {
            Some(n) => self.account.synced(AccountSequence(n)),
            None => {
                if let Some(failure) = chain_error(self.side, ChainErrorKind::Unavailable) {
                    self.trouble(w, &failure);
                }
            }
        }
        self.turn(w, None);
    }

    fn trouble(&mut self, w: &mut World, failure: &TxFailure) {
        self.failures += 1;
        let after = match failure.remedy() {
            Remedy::Retry { after_ms } => after_ms.max(100),
            Remedy::Halt => 5_000,
            _ => 200,
        };
        let pause = 200u64.saturating_mul(1 << self.failures.min(6).saturating_sub(1)).min(5_000);
        self.later(w, after.max(pause));
        for waiting in std::mem::take(&mut self.waiting) {
            reply(w, waiting.request, Err(failure.clone()));
        }
    }

    fn broadcast(&mut self, w: &mut World, first: u64) {
        let room = IN_FLIGHT.saturating_sub(self.account.in_flight()).min(BATCH);
        let room = if self.orphans.is_empty() { room } else { 1 };
        let mut batch: Vec<(Waiting, Tx)> = Vec::new();
        while batch.len() < room
            && let Some(mut waiting) = self.waiting.pop_front()
        {
            if self.drop_needless(&mut waiting.request) && waiting.request.packets.is_empty() {
                reply(w, waiting.request, Err(TxFailure::Redundant));
                continue;
            }
            let sequence = first + batch.len() as u64;
            if self.in_doubt(&waiting.request, sequence) {
                reply(w, waiting.request, Err(TxFailure::SequenceMismatch { expected: None }));
                continue;
            }
            let tx = Tx {
                hash: w.hash(),
                signer: Signer::Ours,
                sequence,
                timeout_height: self.head + w.scenario.tx_blocks,
                messages: waiting.request.messages.clone(),
            };
            batch.push((waiting, tx));
        }
        if batch.is_empty() || w.dies() {
            return;
        }
        for (waiting, tx) in &batch {
            let r = &waiting.request;
            let ours = OurTx {
                side: self.side,
                hash: tx.hash,
                sequence: tx.sequence,
                timeout_height: tx.timeout_height,
                updates: r.updates,
                packets: r.packets.clone(),
            };
            w.say(|| {
                let names: Vec<_> = r.packets.iter().map(|(a, k)| name(*a, k)).collect();
                format!(
                    "{} lane: {} with account sequence {} for attempt {}: {}",
                    self.side,
                    short(tx.hash),
                    tx.sequence,
                    r.id.0,
                    names.join(", ")
                )
            });
            w.journal[self.side.index()].insert(tx.hash, ours.clone());
            let (account, height) = w.chain(self.side).committed();
            if let Some(twice) = w.ledger.signed(ours, account, height) {
                w.never(twice);
            }
        }
        if w.dies() {
            return;
        }
        self.send(w, batch);
    }

    /// An attempt of an earlier life may still bring one of these packets, under another account sequence.
    fn in_doubt(&self, request: &Request, sequence: u64) -> bool {
        let others = self.orphans.iter().filter(|o| o.sequence != sequence);
        others.flat_map(|o| &o.packets).any(|p| request.packets.contains(p))
    }

    fn send(&mut self, w: &mut World, batch: Vec<(Waiting, Tx)>) {
        let side = self.side;
        let txs: Vec<Tx> = batch.iter().map(|(_, tx)| tx.clone()).collect();
        let all = |kind: ChainErrorKind| -> Vec<Result<(), TxFailure>> {
            txs.iter().filter_map(|_| Some(Err(chain_error(side, kind.clone())?))).collect()
        };
        let ns = w.latency();
        if w.strikes(|f| f.not_sent) {
            for tx in &txs {
                w.ledger.refused(tx.hash, true);
            }
            w.after(ns, Event::Answer { side, results: all(ChainErrorKind::Unavailable) });
        } else if w.strikes(|f| f.lost_request) {
            w.say(|| format!("{side} broadcast is lost"));
            w.after(2 * SECOND, Event::Answer { side, results: all(ChainErrorKind::Timeout) });
        } else if w.strikes(|f| f.lost_answer) {
            w.say(|| format!("{side} broadcast's answer is lost"));
            let late = if w.rng.chance(300) { w.rng.within(1, 6) * SECOND } else { ns };
            w.surely_after(late, Event::Arrive { side, txs: txs.clone(), answer: None });
            w.after(2 * SECOND, Event::Answer { side, results: all(ChainErrorKind::Timeout) });
        } else {
            w.surely_after(ns, Event::Arrive { side, txs: txs.clone(), answer: Some(w.run) });
        }
        self.call = Call::Broadcast(batch);
    }

    /// A broadcast's answers.
    pub(super) fn answered(&mut self, w: &mut World, results: Vec<Result<(), TxFailure>>) {
        let Call::Broadcast(batch) = std::mem::replace(&mut self.call, Call::None) else { return };
        let mut results = results.into_iter();
        let mut again = Vec::new();
        for (waiting, tx) in batch {
            let result = results.next().unwrap_or(Err(TxFailure::SequenceMismatch { expected: None }));
            again.extend(self.submitted(w, waiting, &tx, result));
            if w.dies() {
                return;
            }
        }
        for waiting in again.into_iter().rev() {
            self.waiting.push_front(waiting);
        }
        self.turn(w, None);
    }

    fn submitted(
        &mut self,
        w: &mut World,
        mut waiting: Waiting,
        tx: &Tx,
        result: Result<(), TxFailure>,
    ) -> Option<Waiting> {
        let flight = Flight { hash: tx.hash, timeout_height: Height::new(1, tx.timeout_height) };
        let sequence = AccountSequence(tx.sequence);
        let failure = match result {
            Ok(()) | Err(TxFailure::AlreadyKnown) => {
                self.failures = 0;
                self.account.accepted(sequence, flight);
                self.flying.insert(tx.hash, waiting.request);
                return None;
            }
            Err(TxFailure::Chain(e)) if matches!(e.kind, ChainErrorKind::Timeout) => {
                self.account.accepted(sequence, flight);
                self.account.refused(&TxFailure::Chain(e));
                self.flying.insert(tx.hash, waiting.request);
                return None;
            }
            Err(failure) => failure,
        };
        match &failure {
            // The node has attempts of an earlier life: ours go below or after them, never beside.
            TxFailure::SequenceMismatch { .. } if !self.orphans.is_empty() => {
                self.account.refused(&TxFailure::SequenceMismatch { expected: None });
            }
            _ => self.account.refused(&failure),
        }
        w.journal[self.side.index()].remove(&tx.hash);
        waiting.signatures += 1;
        let behind = failure == TxFailure::ClientBehind;
        let anew = behind || matches!(failure, TxFailure::SequenceMismatch { .. } | TxFailure::OutOfGas { .. });
        if anew && waiting.signatures < SIGNATURES {
            if behind || waiting.signatures > 2 || !self.orphans.is_empty() {
                self.later(w, 300);
            }
            return Some(waiting);
        }
        if failure.remedy() == Remedy::Halt {
            self.later(w, 2_000);
        }
        reply(w, waiting.request, Err(failure));
        None
    }

    fn drop_needless(&self, request: &mut Request) -> bool {
        let is_done = |done: Done| self.done.iter().any(|block| block.contains(&done));
        let needless = |message: &Message| {
            match message {
                Message::RecvPacket { packet: p, .. } => Some((true, p.destination.clone(), p.sequence.0)),
                Message::Acknowledge { packet: p, .. } | Message::Timeout { packet: p, .. } => {
                    Some((false, p.source.clone(), p.sequence.0))
                }
                _ => None,
            }
            .is_some_and(is_done)
        };
        let keep: Vec<bool> = request.messages.iter().map(|m| !needless(m)).collect();
        if keep.iter().all(|k| *k) {
            return false;
        }
        request.trimmed = true;
        let mut of_packets = keep.iter().skip(keep.len().saturating_sub(request.packets.len()));
        request.packets.retain(|_| *of_packets.next().unwrap_or(&true));
        let mut of_messages = keep.iter();
        request.messages.retain(|_| *of_messages.next().unwrap_or(&true));
        true
    }
}

fn reply(w: &mut World, request: Request, result: Result<Height, TxFailure>) {
    let outcome = match result {
        Ok(height) => AttemptOutcome::Committed { height },
        Err(failure) => {
            let blame = match request.trimmed {
                true => Blame::Unknown,
                false => Blame::of(&failure, request.updates),
            };
            AttemptOutcome::Failed { failure, blame }
        }
    };
    w.after(0, Event::Outcome(request.id, outcome));
}
