//! The engine of one path: facts of both chains in, proofs to fetch and messages to submit out.
//!
//! Sans-IO: [`Engine::handle`] takes an [`Input`] and the time, [`Engine::poll`] gives the next [`Effect`], [`Engine::deadline`] says
//! when to poll again without an input. `now` is any monotonic clock in nanoseconds; chain times come with the facts. Planning is a
//! function of records, attempts in flight, client heights, policy and time: level-triggered, so nothing is done "because an event
//! arrived", and a duplicate, late or missing fact does no harm.
//!
//! A packet's work for its current action goes Queued -> Proving -> Ready -> InFlight; a fact that makes the action needless drops
//! the work at any stage. A submission whose outcome is unknown keeps its packets: they are not submitted again before it is resolved.
//!
//! Bounds: [`crate::limits`]; at most [`Policy::prove_in_flight`] proof requests and [`Policy::submit_in_flight`] submissions a side for fresh
//! packets, and half as many for the backlog: each has its own, so that neither delays the other.

mod ends;
mod intake;
mod io;
#[cfg(test)]
mod lie_tests;
mod outcome;
mod plan;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use io::{
    AttemptId, AttemptOutcome, Blame, ChannelPair, ClientRead, Effect, Input, Key, Notice, ProveFailure, ProveItem,
    SourceCheck,
};

pub use view::{Backlog, PacketView};

use crate::fact::Head;
use crate::filter::Filter;
use crate::id::{Height, Timestamp};
use crate::limits;
use crate::message::Proof;
use crate::packet::{PacketKey, PortChannel, Side};
use crate::record::{Action, Phase, Record};
use ends::{Client, End};

/// What an operator decides about a path.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Messages in one transaction at most.
    pub batch_messages: usize,
    /// Their encoded size at most, bytes.
    pub batch_bytes: usize,
    /// How long a batch that is not full waits for more proofs under way, ns.
    pub linger_ns: u64,
    /// Backoff of a failed action: first and largest wait, ns.
    pub backoff_ns: (u64, u64),
    /// Proof requests under way per side for fresh packets; the backlog has half as many beside them.
    pub prove_in_flight: usize,
    /// Submissions under way per side for fresh packets; the backlog has half as many beside them.
    pub submit_in_flight: usize,
    /// A client is refreshed when this share of its trusting period is spent: numerator, denominator.
    pub refresh: (u64, u64),
    /// Packet filters by the side they are sent from.
    pub filters: [Filter; 2],
}

impl Default for Policy {
    fn default() -> Self {
        let filter = Filter { max_memo_bytes: 32 * 1024, max_receiver_bytes: 2_048, ..Filter::default() };
        Self {
            batch_messages: 30,
            batch_bytes: 180_000,
            linger_ns: 50_000_000,
            backoff_ns: (300_000_000, 30_000_000_000),
            prove_in_flight: 16,
            submit_in_flight: 40,
            refresh: (1, 3),
            filters: [filter.clone(), filter],
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Queued { not_before: u64 },
    Proving { id: u64 },
    Ready { proof: Proof, since: u64 },
    InFlight { id: AttemptId },
}

#[derive(Debug, Clone)]
struct Work {
    action: Action,
    stage: Stage,
    /// Failures of this very packet's message.
    tries: u32,
    /// Failures of any kind in a row, for the backoff.
    waits: u32,
    /// Largest batch it may be part of.
    cap: usize,
}

#[derive(Debug, Clone, Default)]
struct Entry {
    record: Record,
    work: Option<Work>,
    /// A verified proof has shown that the source committed to this very packet.
    proven: bool,
    backlog: bool,
    told: Option<Phase>,
    /// Its send is not known, and the source's state after this block held no commitment for it.
    absent: Option<Height>,
}

#[derive(Debug, Clone)]
struct Attempt {
    side: Side,
    backlog: bool,
    keys: Vec<Key>,
    update: Option<Height>,
    committed: Option<Height>,
}

/// See the module.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    channels: Vec<ChannelPair>,
    by_end: [BTreeMap<PortChannel, u16>; 2],
    closed: BTreeSet<(Side, u16)>,
    ends: [End; 2],
    packets: BTreeMap<Key, Entry>,
    ended: VecDeque<Key>,
    open: usize,
    /// Sends not yet received, by the destination's time and height at which they time out.
    timeouts: [BTreeSet<(Timestamp, Key)>; 2],
    timeout_heights: [BTreeSet<(Height, Key)>; 2],
    /// By proving side and class (0 live, 1 backlog).
    queued: [[BTreeSet<(u64, Key)>; 2]; 2],
    /// By target side: class, proof height, packet.
    ready: [BTreeSet<(u8, Height, Key)>; 2],
    proves: BTreeMap<u64, (Side, bool, Vec<Key>)>,
    attempts: BTreeMap<AttemptId, Attempt>,
    effects: VecDeque<Effect>,
    next_id: u64,
    /// When [`Engine::poll`] last had nothing to give, unless something came in since.
    idle: Option<u64>,
}

/// Longest wait of a packet whose chain, not itself, is at fault, ns.
const OUTAGE_BACKOFF_NS: u64 = 5_000_000_000;

fn class(backlog: bool) -> usize {
    usize::from(backlog)
}

/// The side whose state proves what the action needs; its message goes to the other.
fn proving_side(key: Key, action: Action) -> Side {
    match action {
        Action::Recv => key.from,
        Action::Ack | Action::Timeout => key.from.other(),
    }
}

impl Engine {
    /// An engine for a pair of chains and their channels.
    pub fn new(policy: Policy, channels: Vec<ChannelPair>) -> Self {
        let index =
            |side: Side| channels.iter().zip(0u16..).map(|(c, n)| (c.end(side).clone(), n)).collect::<BTreeMap<_, _>>();
        Self {
            by_end: [index(Side::A), index(Side::B)],
            policy,
            channels,
            closed: BTreeSet::new(),
            ends: Default::default(),
            packets: BTreeMap::new(),
            ended: VecDeque::new(),
            open: 0,
            timeouts: Default::default(),
            timeout_heights: Default::default(),
            queued: Default::default(),
            ready: Default::default(),
            proves: BTreeMap::new(),
            attempts: BTreeMap::new(),
            effects: VecDeque::new(),
            next_id: 0,
            idle: None,
        }
    }

    fn end(&self, side: Side) -> &End {
        let [a, b] = &self.ends;
        match side {
            Side::A => a,
            Side::B => b,
        }
    }

    fn end_mut(&mut self, side: Side) -> &mut End {
        let [a, b] = &mut self.ends;
        match side {
            Side::A => a,
            Side::B => b,
        }
    }

    /// A packet's full name.
    pub fn name(&self, key: Key) -> Option<PacketKey> {
        let pair = self.channels.get(usize::from(key.channel))?;
        Some(PacketKey { from: key.from, source: pair.end(key.from).clone(), sequence: key.sequence })
    }

    fn notice(&mut self, notice: Notice) {
        self.effects.push_back(Effect::Notice(notice));
    }

    /// Takes an input in.
    pub fn handle(&mut self, now: u64, input: Input) {
        self.idle = None;
        match input {
            Input::Block { side, block } => self.block(now, side, &block),
            Input::Past { side, facts } => {
                for (at, fact) in facts {
                    self.fact(now, side, at, fact, true);
                }
            }
            Input::Unreceived { side, source, at, sequences } => self.unreceive(now, side, &source, at, &sequences),
            Input::Commitments { side, source, at, open } => self.settle(now, side, &source, at, &open),
            Input::Client { side, client } => {
                let end = self.end_mut(side);
                match &mut end.client {
                    Some(known) if known.read.id == client.id => {
                        known.holds(client.latest, Some(client.latest_time));
                        known.read.frozen = client.frozen;
                        known.read.trusting_period_ns = client.trusting_period_ns;
                    }
                    slot => *slot = Some(Client::new(client)),
                }
            }
            Input::Proved { id, results } => self.proved(now, id, results),
            Input::Attempt { id, outcome } => self.outcome(now, id, outcome),
        }
    }

    /// The next effect, if any is due.
    pub fn poll(&mut self, now: u64) -> Option<Effect> {
        if self.effects.is_empty() {
            self.plan(now);
        }
        let effect = self.effects.pop_front();
        self.idle = effect.is_none().then_some(now);
        effect
    }

    /// Brings the packet's work in line with what its record says is due.
    fn refresh(&mut self, now: u64, key: Key) {
        let destination = self.end(key.from.other()).seen.map(|s| Head { height: s.height, time: s.time });
        let closed = self.closed.contains(&(key.from.other(), key.channel));
        let Some(entry) = self.packets.get_mut(&key) else {
            return;
        };
        let due = entry.record.due(destination).filter(|a| !(closed && *a == Action::Recv));
        let old = entry.work.clone();
        match (&old, due) {
            (Some(work), Some(action)) if work.action == action => return,
            // A receive under way decides whether there is anything to time out.
            (Some(Work { stage: Stage::InFlight { .. }, action: Action::Recv, .. }), Some(Action::Timeout)) => return,
            _ => {}
        }
        if let Some(work) = &old {
            self.unlink(key, work);
            if matches!(work.stage, Stage::Ready { .. } | Stage::Queued { .. } | Stage::Proving { .. })
                && let Some(name) = self.name(key)
                && due != Some(Action::Timeout)
            {
                self.notice(Notice::Avoided { key: name, action: work.action });
            }
        }
        let work = due.map(|action| Work {
            action,
            stage: Stage::Queued { not_before: now },
            tries: 0,
            waits: 0,
            cap: usize::MAX,
        });
        if let Some(work) = &work {
            self.link(key, work);
        }
        if let Some(entry) = self.packets.get_mut(&key) {
            entry.work = work;
        }
        self.tell_end(key);
    }

    fn tell_end(&mut self, key: Key) {
        let Some(name) = self.name(key) else { return };
        let Some(entry) = self.packets.get_mut(&key) else {
            return;
        };
        let phase = entry.record.phase(entry.work.is_some());
        if !phase.ended() || entry.told == Some(phase) {
            return;
        }
        let first = entry.told.replace(phase).is_none();
        let record = &entry.record;
        let notice = Notice::Ended {
            key: name,
            sent: record.sent,
            phase,
            at: record.acked.or(record.timed_out),
            reason: record.refused.filter(|_| phase == Phase::Failed),
        };
        // A packet that was over before its send became known is a late fact, not news.
        if record.packet.is_some() {
            self.notice(notice);
        }
        self.unindex_timeout(key);
        if first {
            self.open = self.open.saturating_sub(1);
            self.ended.push_back(key);
        }
        while self.ended.len() > limits::ENDED_PACKETS {
            if let Some(old) = self.ended.pop_front()
                && self.packets.get(&old).is_some_and(|e| e.told.is_some() && e.work.is_none())
            {
                self.packets.remove(&old);
            }
        }
    }

    fn link(&mut self, key: Key, work: &Work) {
        let side = proving_side(key, work.action);
        let backlog = self.packets.get(&key).is_some_and(|e| e.backlog);
        match &work.stage {
            Stage::Queued { not_before } => {
                if let Some(set) = self.queued.get_mut(side.index()).and_then(|s| s.get_mut(class(backlog))) {
                    set.insert((*not_before, key));
                }
            }
            Stage::Ready { proof, .. } => {
                if let Some(set) = self.ready.get_mut(side.other().index()) {
                    set.insert((u8::from(backlog), proof.height, key));
                }
            }
            Stage::Proving { .. } | Stage::InFlight { .. } => {}
        }
    }

    fn unlink(&mut self, key: Key, work: &Work) {
        let side = proving_side(key, work.action);
        let backlog = self.packets.get(&key).is_some_and(|e| e.backlog);
        match &work.stage {
            Stage::Queued { not_before } => {
                if let Some(set) = self.queued.get_mut(side.index()).and_then(|s| s.get_mut(class(backlog))) {
                    set.remove(&(*not_before, key));
                }
            }
            Stage::Ready { proof, .. } => {
                if let Some(set) = self.ready.get_mut(side.other().index()) {
                    set.remove(&(u8::from(backlog), proof.height, key));
                }
            }
            Stage::Proving { .. } | Stage::InFlight { .. } => {}
        }
    }

    fn set_stage(&mut self, key: Key, stage: Stage) {
        let Some(old) = self.packets.get(&key).and_then(|e| e.work.clone()) else {
            return;
        };
        self.unlink(key, &old);
        let new = Work { stage, ..old };
        self.link(key, &new);
        if let Some(entry) = self.packets.get_mut(&key) {
            entry.work = Some(new);
        }
    }

    /// Puts a packet back into its queue after a failure. `own` = the failure was of this very packet.
    fn again(&mut self, now: u64, key: Key, own: bool, at_least_ms: u64, cap: Option<usize>) {
        // From the packet's own number: neighbours spread without a random source.
        self.again_spread_by(key.sequence.0, now, key, own, at_least_ms, cap);
    }

    /// The same; those that share `seed`, and have waited as often, come back together.
    fn again_spread_by(&mut self, seed: u64, now: u64, key: Key, own: bool, at_least_ms: u64, cap: Option<usize>) {
        let (first, most) = self.policy.backoff_ns;
        // What is no fault of the packet (a chain that is away) ends at any time: the breakers pace the nodes, not this wait.
        let most = if own { most } else { most.min(OUTAGE_BACKOFF_NS) };
        let Some(work) = self.packets.get_mut(&key).and_then(|e| e.work.as_mut()) else {
            return;
        };
        work.waits = work.waits.saturating_add(1);
        if own {
            work.tries = work.tries.saturating_add(1);
        }
        if let Some(cap) = cap {
            work.cap = cap.max(1);
        }
        let doubled =
            first.saturating_mul(1u64.checked_shl(work.waits.saturating_sub(1).min(16)).unwrap_or(1)).min(most);
        // Up to two thirds on top.
        let spread = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(work.waits)) >> 40;
        let jitter = (doubled / 3).saturating_mul(spread & 0xff) / 128;
        let wait = doubled.saturating_add(jitter).max(at_least_ms.saturating_mul(1_000_000));
        let given_up = work.tries >= limits::TRIES;
        if given_up {
            return self.refuse(now, key, "gave_up");
        }
        self.set_stage(key, Stage::Queued { not_before: now.saturating_add(wait) });
        self.refresh(now, key);
    }

    fn refuse(&mut self, now: u64, key: Key, reason: &'static str) {
        if let Some(entry) = self.packets.get_mut(&key) {
            entry.record.refused = Some(reason);
        }
        self.refresh(now, key);
        self.tell_end(key);
    }

    /// When to poll again if nothing else happens, in `now`'s clock. Work whose time had come when there was nothing to do waits for an input
    /// (an answer that frees a slot, a block): it asks for no poll.
    pub fn deadline(&self) -> Option<u64> {
        let from = self.idle.map_or(0, |t| t.saturating_add(1));
        let queued =
            self.queued.iter().flatten().filter_map(|s| s.range((from, plan::LOWEST)..).next()).map(|(t, _)| *t);
        // The lowest height of each class is what is submitted next.
        let linger =
            Side::BOTH.into_iter().flat_map(|side| [(side, false), (side, true)]).filter_map(|(side, backlog)| {
                let (height, of) = (self.first_ready(side, backlog)?, u8::from(backlog));
                let group = (of, height, plan::LOWEST)..=(of, height, plan::HIGHEST);
                let next = self.ready.get(side.index())?.range(group).take(limits::BATCH_MESSAGES);
                next.filter_map(|(_, _, key)| self.lingers(*key)).filter(|t| *t >= from).min()
            });
        queued.chain(linger).min()
    }

    /// Until when a batch waits for company of this packet's sake.
    fn lingers(&self, key: Key) -> Option<u64> {
        match self.packets.get(&key)?.work.as_ref()?.stage {
            Stage::Ready { since, .. } => Some(since.saturating_add(self.policy.linger_ns)),
            _ => None,
        }
    }
}
