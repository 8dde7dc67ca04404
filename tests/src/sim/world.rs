//! Everything around the relayer: virtual time, two chains, users, a rival, the wires to the nodes, the journal's disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use relayer_core::chain::Path;
use relayer_core::engine::{AttemptId, AttemptOutcome, ProveItem};
use relayer_core::error::TxFailure;
use relayer_core::fact::{BlockFacts, Fact};
use relayer_core::id::{Height, Sequence, Timestamp, TxHash};
use relayer_core::message::Message;
use relayer_core::packet::{At, Packet, Side};
use relayer_core::record::Action;

use super::chain::{self, BlockFaults, Chain, POISON, Signer, Tx};
use super::ledger::{Ledger, OurTx};
use super::rng::Rng;
use super::scenario::{Faults, SECOND, Scenario};

/// What happens at some time.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A chain makes a block.
    Block(Side),
    /// Transactions reach a node; the answer goes back if there is to be one.
    Arrive { side: Side, txs: Vec<Tx>, answer: Option<u64> },
    /// The relayer starts.
    Start,
    /// It learns of a block.
    Head(Side, u64),
    /// A feeder hands a block to the engine.
    Deliver(Side, u64),
    /// The wallet's turn.
    Lane(Side),
    /// The engine's deadline.
    Wake,
    /// Proofs are there.
    Proved { id: u64, side: Side, at: Height, items: Vec<ProveItem> },
    /// Headers of a client update are there.
    Updated(Side),
    /// A broadcast's answer.
    Answer { side: Side, results: Vec<Result<(), TxFailure>> },
    /// The account sequence, or no answer.
    Synced(Side, Option<u64>),
    /// What became of a submission.
    Outcome(AttemptId, AttemptOutcome),
    /// A scan asks for the head, the commitments, the receipts of one channel and direction.
    Scan(ScanStep),
    /// Packets of the past.
    Past { side: Side, facts: Vec<(At, Fact)> },
    /// They could not be had.
    Gap,
}

/// Where a scan stands.
#[derive(Debug, Clone)]
pub(super) struct ScanStep {
    pub(super) n: usize,
    pub(super) at: Option<At>,
    pub(super) open: Option<Vec<Sequence>>,
    pub(super) failed: bool,
}

/// A proof request that waits for its header.
#[derive(Debug, Clone)]
struct Awaited {
    run: u64,
    id: u64,
    at: Height,
    items: Vec<ProveItem>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: u64,
    pub(super) scenario: Scenario,
    pub(super) rng: Rng,
    pub(super) chains: [Chain; 2],
    /// Number of the relayer's life; events of earlier ones are void.
    pub(super) run: u64,
    pub(super) crashed: bool,
    pub(super) crashes: u64,
    /// Attempts without an outcome on A and B, as the disk has them.
    pub(super) journal: [BTreeMap<TxHash, OurTx>; 2],
    pub(super) ledger: Ledger,
    pub(super) missing: BTreeSet<(Side, u64)>,
    pub(super) phantoms: BTreeSet<(Side, usize, u64)>,
    pub(super) trace: bool,
    pub(super) violation: Option<String>,
    queue: BTreeMap<(u64, u64), (u64, Event)>,
    serial: u64,
    steps: u64,
    awaited: [Vec<Awaited>; 2],
    hashes: u64,
}

/// Time at which both chains have their first block: not 0, so that "no time" stands out.
const GENESIS: u64 = 1_000_000 * SECOND;

impl World {
    pub(super) fn new(scenario: Scenario, trace: bool) -> Self {
        let chain = |side| Chain::new(side, scenario.channels, GENESIS, scenario.trusting_ns, scenario.names_fault);
        let mut world = Self {
            now: 0,
            rng: Rng::new(scenario.seed),
            chains: [chain(Side::A), chain(Side::B)],
            run: 0,
            crashed: false,
            crashes: 0,
            journal: Default::default(),
            ledger: Ledger::default(),
            missing: BTreeSet::new(),
            phantoms: BTreeSet::new(),
            trace,
            violation: None,
            queue: BTreeMap::new(),
            serial: 0,
            steps: 0,
            awaited: Default::default(),
            hashes: 0,
            scenario,
        };
        for side in Side::BOTH {
            let first = world.rng.within(1, world.scenario.interval_ns[side.index()]);
            world.at(first, 0, Event::Block(side));
        }
        world.at(4 * SECOND, 0, Event::Start);
        world
    }

    pub(super) fn chain(&self, side: Side) -> &Chain {
        let [a, b] = &self.chains;
        match side {
            Side::A => a,
            Side::B => b,
        }
    }

    /// A chain to change and the other one to look at.
    pub(super) fn pair(&mut self, side: Side) -> (&mut Chain, &mut Chain) {
        let [a, b] = &mut self.chains;
        match side {
            Side::A => (a, b),
            Side::B => (b, a),
        }
    }

    /// Prints a line if a trace is wanted.
    pub(super) fn say(&self, line: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>9.3} {}", self.now as f64 / SECOND as f64, line());
        }
    }

    /// Something that must never be.
    pub(super) fn never(&mut self, what: String) {
        self.say(|| format!("NEVER: {what}"));
        self.violation.get_or_insert(format!("at {:.3} s: {what}", self.now as f64 / SECOND as f64));
    }

    fn at(&mut self, time: u64, run: u64, event: Event) {
        self.serial += 1;
        self.queue.insert((time, self.serial), (run, event));
    }

    /// Something that happens to this life of the relayer after `ns`.
    pub(super) fn after(&mut self, ns: u64, event: Event) {
        self.at(self.now + ns, self.run, event);
    }

    /// Something that happens whatever becomes of the relayer.
    pub(super) fn surely_after(&mut self, ns: u64, event: Event) {
        self.at(self.now + ns, 0, event);
    }

    /// The next event of the world or of this life.
    pub(super) fn next(&mut self) -> Option<Event> {
        while let Some(((time, _), (run, event))) = self.queue.pop_first() {
            self.now = time;
            if run == 0 || run == self.run {
                return Some(event);
            }
        }
        None
    }

    /// One answer of a node.
    pub(super) fn latency(&mut self) -> u64 {
        let (low, high) = self.scenario.latency_ns;
        let usual = self.rng.within(low, high);
        if self.strikes(|f| f.stall) { usual + self.rng.within(1, 8) * SECOND } else { usual }
    }

    /// Whether a fault strikes now.
    pub(super) fn strikes(&mut self, which: impl Fn(&Faults) -> u64) -> bool {
        let permille = if self.now < self.scenario.calm_from { which(&self.scenario.faults) } else { 0 };
        self.rng.chance(permille)
    }

    /// The relayer takes a step; `true`: and dies of it.
    pub(super) fn dies(&mut self) -> bool {
        self.steps += 1;
        if self.scenario.crashes.contains(&self.steps) && self.now < self.scenario.calm_from {
            self.crashed = true;
        }
        self.crashed
    }

    /// A hash nobody had.
    pub(super) fn hash(&mut self) -> TxHash {
        self.hashes += 1;
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&self.hashes.to_be_bytes());
        TxHash(hash)
    }

    /// Asks for proofs: answered when the header that proves them is there.
    pub(super) fn prove(&mut self, id: u64, side: Side, at: Height, items: Vec<ProveItem>) {
        if self.chain(side).height > at.number {
            let ns = self.latency();
            self.after(ns, Event::Proved { id, side, at, items });
        } else {
            let run = self.run;
            self.awaited[side.index()].push(Awaited { run, id, at, items });
        }
    }

    /// A chain makes its block; users and rivals act.
    pub(super) fn block(&mut self, side: Side) {
        let sends = self.sends(side);
        let f = if self.now < self.scenario.calm_from { self.scenario.faults.clone() } else { Faults::default() };
        let faults = BlockFaults { forgotten: f.forgotten, partial: f.partial_block, out_of_gas: f.out_of_gas };
        let time = GENESIS + self.now;
        let mut rng = self.rng.clone();
        let (chain, other) = self.pair(side);
        let included = chain.make_block(other, time, sends, &mut rng, faults);
        let height = chain.height;
        self.rng = rng;
        let facts = self.chain(side).blocks.last().map_or(0, |b| b.facts.len());
        let ours = included.iter().filter(|i| i.signer == Signer::Ours).count();
        self.say(|| format!("{side} block {height}: {facts} facts, {} transactions, {ours} ours", included.len()));
        for tx in included.iter().filter(|i| i.signer == Signer::Ours) {
            let waste = self.ledger.included(tx, height);
            if waste > 0 {
                self.say(|| format!("{side} transaction {} paid for {waste} idle messages", short(tx.hash)));
                if !self.scenario.may_waste() {
                    let names = self.ledger.describe(tx);
                    self.never(format!("{side} block {height}: paid in vain for {names}"));
                }
            }
        }
        if self.strikes(|f| f.rival) {
            self.rival(side);
        }
        let interval = self.scenario.interval_ns[side.index()];
        let mut next = self.rng.within(interval * 9 / 10, interval * 11 / 10);
        if self.strikes(|f| f.halt) {
            next += self.rng.within(5, 20) * SECOND;
            self.say(|| format!("{side} stands still for {} s", next / SECOND));
        }
        self.surely_after(next, Event::Block(side));
        let (ready, wait) = std::mem::take(&mut self.awaited[side.index()])
            .into_iter()
            .filter(|w| w.run == self.run)
            .partition(|w: &Awaited| w.at.number < height);
        self.awaited[side.index()] = wait;
        for Awaited { id, at, items, .. } in ready {
            let ns = self.latency();
            self.after(ns, Event::Proved { id, side, at, items });
        }
        if self.strikes(|f| f.missing_block) {
            self.say(|| format!("{side} block {height} can't be read"));
            self.missing.insert((side, height));
        }
    }

    fn sends(&mut self, side: Side) -> Vec<Packet> {
        let early = self.now < 4 * SECOND;
        let mut count = 0;
        if early && self.chain(side).height == 1 && side == Side::A {
            count += self.scenario.backlog;
        }
        if self.now < self.scenario.sends_until && self.rng.chance(self.scenario.traffic) {
            count += self.rng.within(1, self.scenario.burst);
        }
        (0..count).filter_map(|_| self.send(side, early)).collect()
    }

    fn send(&mut self, side: Side, early: bool) -> Option<Packet> {
        let there = self.chain(side.other()).height;
        let channel = self.rng.place(self.scenario.channels);
        let (blocks, ns) = if !early && self.rng.chance(self.scenario.near_timeouts) {
            (self.rng.within(1, 10), self.rng.within(1, 12) * SECOND)
        } else {
            (1_000_000, 10_000_000 * SECOND)
        };
        let timeout = match self.rng.within(0, 2) {
            0 => (there + blocks, 0),
            1 => (0, GENESIS + self.now + ns),
            _ => (there + blocks, GENESIS + self.now + ns),
        };
        let data: Arc<[u8]> = if self.rng.chance(self.scenario.filtered) {
            Arc::from(format!("{{\"memo\":\"{}\"}}", "x".repeat(100)).as_bytes())
        } else if self.strikes(|f| f.poison) {
            Arc::from(POISON)
        } else {
            Arc::from(format!("{{\"memo\":\"{}\"}}", self.rng.within(0, 999)).as_bytes())
        };
        let now = self.now;
        let (chain, _) = self.pair(side);
        let packet = chain.send(channel, data, timeout)?;
        let heights = [self.chain(Side::A).height, self.chain(Side::B).height];
        self.ledger.sent(side, channel, packet.sequence.0, now, heights);
        self.say(|| format!("{side} sends {channel}/{} timeout {timeout:?}", packet.sequence));
        Some(packet)
    }

    /// A rival relays a few packets to `side` with an update of its own.
    fn rival(&mut self, side: Side) {
        let (chain, other) = (self.chain(side), self.chain(side.other()));
        let height = Height::new(1, other.height);
        let (Some(client), Some(trusted)) = (chain::client_id(), chain.client.range(..other.height).next_back()) else {
            return;
        };
        let after = other.height - 1;
        let mut found: Vec<Message> = Vec::new();
        let here = chain.at(chain.height);
        for c in &other.channels {
            for s in c.sent.iter().rev().take(60) {
                let p = &s.packet;
                let path = Path::Commitment(p.source.clone(), p.sequence);
                let fresh = !p.timed_out_at(here.height.next(), Timestamp(here.time.0 + SECOND));
                let poison = p.data.starts_with(POISON);
                if fresh
                    && !poison
                    && chain.receipt(&p.destination, p.sequence.0).is_none()
                    && other.value(&path, after).is_some()
                {
                    let proof = chain::proof(other.side, &path, height);
                    found.push(Message::RecvPacket { packet: p.clone(), proof });
                }
            }
        }
        for c in &chain.channels {
            for s in c.sent.iter().rev().take(60).filter(|s| s.gone.is_none()) {
                let p = &s.packet;
                let receipt = Path::Receipt(p.destination.clone(), p.sequence);
                let ack = Path::Ack(p.destination.clone(), p.sequence);
                if other.value(&ack, after).is_some() {
                    let proof = chain::proof(other.side, &ack, height);
                    found.push(Message::Acknowledge { packet: p.clone(), ack: chain::ack_of(p), proof });
                } else if p.timed_out_at(height, other.at(other.height).time)
                    && other.receipt(&p.destination, p.sequence.0).is_none()
                {
                    let proof = chain::proof(other.side, &receipt, height);
                    found.push(Message::Timeout { packet: p.clone(), next_sequence_recv: p.sequence, proof });
                }
            }
        }
        if found.is_empty() {
            return;
        }
        let mut messages = vec![chain::update(&client, *trusted, other.height)];
        self.rng.shuffle(&mut found);
        let some = self.rng.place(found.len()) + 1;
        messages.extend(found.into_iter().take(some));
        let (chain, hash) = (self.chain(side), TxHash([0xff; 32]));
        let (sequence, timeout_height) = (chain.expected(Signer::Rival), chain.height + 3);
        let mut hash = hash;
        hash.0[..8].copy_from_slice(&(self.serial + 1).to_be_bytes());
        let tx = Tx { hash, signer: Signer::Rival, sequence, timeout_height, messages };
        self.say(|| format!("{side} rival sends {some} messages"));
        let ns = self.rng.within(0, self.scenario.interval_ns[side.index()]);
        self.surely_after(ns, Event::Arrive { side, txs: vec![tx], answer: None });
    }

    /// Transactions reach a node.
    pub(super) fn arrive(&mut self, side: Side, txs: Vec<Tx>, answer: Option<u64>) {
        let full = answer.is_some() && self.strikes(|f| f.mempool_full);
        let mut results = Vec::with_capacity(txs.len());
        for tx in txs {
            let hash = tx.hash;
            let (chain, other) = self.pair(side);
            let result = if full { Err(TxFailure::MempoolFull) } else { chain.broadcast(other, tx) };
            let sizes = self.chain(side).waiting();
            self.say(|| match &result {
                Ok(()) => format!("{side} node takes {} ({sizes} in its mempool)", short(hash)),
                Err(e) => format!("{side} node refuses {}: {e}", short(hash)),
            });
            if result.is_err() {
                // A refusal that nobody hears of leaves the outcome open.
                self.ledger.refused(hash, answer == Some(self.run));
            }
            results.push(result);
        }
        if let Some(run) = answer
            && run == self.run
        {
            let ns = self.latency();
            self.after(ns, Event::Answer { side, results });
        }
    }

    /// A block as a node tells it.
    pub(super) fn told(&mut self, side: Side, height: u64) -> Option<Arc<BlockFacts>> {
        if self.missing.contains(&(side, height)) {
            return None;
        }
        let block = self.chain(side).blocks.get(height as usize)?.clone();
        let (shuffled, phantom) = (self.strikes(|f| f.shuffled), self.strikes(|f| f.phantom));
        if !shuffled && !phantom {
            return Some(block);
        }
        let mut block = BlockFacts::clone(&block);
        if phantom {
            let channel = self.rng.place(self.scenario.channels);
            let sequence = 1_000_000 + self.rng.within(0, 1_000);
            let there = self.chain(side.other()).height;
            if let (Some(source), Some(destination)) = (chain::end(side, channel), chain::end(side.other(), channel)) {
                self.phantoms.insert((side, channel, sequence));
                block.facts.push(Fact::Sent(Packet {
                    sequence: Sequence(sequence),
                    source,
                    destination,
                    data: Arc::from(b"never sent".as_slice()),
                    timeout_height: Height::new(1, there + self.rng.within(1, 100)),
                    timeout_timestamp: Timestamp(0),
                }));
            }
        }
        if shuffled {
            self.rng.shuffle(&mut block.facts);
        }
        Some(Arc::new(block))
    }
}

/// A hash's first digits.
pub(super) fn short(hash: TxHash) -> String {
    let n = hash.0.iter().take(8).fold(0u64, |n, b| n << 8 | u64::from(*b));
    format!("#{n}")
}

/// An action's first letter and a packet's place.
pub(super) fn name(action: Action, key: &relayer_core::packet::PacketKey) -> String {
    let action = match action {
        Action::Recv => "recv",
        Action::Ack => "ack",
        Action::Timeout => "timeout",
    };
    format!("{action} {}:{}/{}", key.from, key.source.channel, key.sequence)
}
