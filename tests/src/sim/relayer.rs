//! One life of the relayer: the engine under test, driven as `relayer/src/path` drives it.
//!
//! Feeders hand it each side's blocks in order; proof requests are answered when their header exists; one submitter a side brings the client
//! up to date and hands batches to the wallet's lane in the engine's order; scans read the chains' state at start, at an interval and
//! after a gap. Every place where the real program could be killed is a [`World::dies`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use relayer_core::engine::{
    AttemptId, AttemptOutcome, Blame, ChannelPair, ClientRead, Effect, Engine, Input, Key, Notice, ProveFailure,
    ProveItem, SourceCheck,
};
use relayer_core::error::{ChainError, ChainErrorKind, TxFailure};
use relayer_core::fact::Fact;
use relayer_core::id::{ChainId, Height, Sequence};
use relayer_core::message::Message;
use relayer_core::packet::{At, PacketKey, Side};
use relayer_core::record::{Action, Phase};

use super::chain;
use super::lane::{Lane, Request};
use super::scenario::SECOND;
use super::world::{Event, ScanStep, World, name};

/// Submissions waiting for a side's submitter (`relayer::limits::SUBMIT_QUEUE`).
const SUBMIT_QUEUE: usize = 64;
/// Polls in one second of virtual time that show a loop which does nothing: a thousand inputs and their effects are far below.
const POLLS: u64 = 50_000;

struct Job {
    id: AttemptId,
    update: Option<Height>,
    messages: Vec<Message>,
    packets: Vec<(Action, PacketKey)>,
}

/// See the module.
pub(super) struct Relayer {
    pub(super) engine: Engine,
    pub(super) lanes: [Lane; 2],
    born: u64,
    held: [VecDeque<Job>; 2],
    queue: [VecDeque<Job>; 2],
    updating: [Option<Job>; 2],
    /// Heights that the clients on A and B hold, as seen in blocks.
    cache: [BTreeSet<u64>; 2],
    heads: [u64; 2],
    fed: [u64; 2],
    first_fed: [u64; 2],
    next_feed: [u64; 2],
    proves: BTreeMap<u64, Side>,
    submits: BTreeMap<AttemptId, (Side, Vec<(Action, Key)>)>,
    scanning: bool,
    scan_again: bool,
    scan_next: u64,
    scan_pauses: u32,
    /// Times at which the loop wakes up by itself.
    wakes: BTreeSet<u64>,
    /// Committed submissions whose block the engine has not taken in.
    landing: Vec<(Side, Height)>,
    polls: (u64, u64),
    told: BTreeMap<PacketKey, (Phase, Option<&'static str>)>,
}

pub(super) fn chain_error(side: Side, kind: ChainErrorKind) -> Option<TxFailure> {
    let id = ChainId::new(format!("model-{side}-1")).ok()?;
    Some(TxFailure::Chain(ChainError::new(&id, kind, "")))
}

fn action(message: &Message) -> Action {
    match message {
        Message::Acknowledge { .. } => Action::Ack,
        Message::Timeout { .. } => Action::Timeout,
        _ => Action::Recv,
    }
}

pub(super) fn pairs(channels: usize) -> Vec<ChannelPair> {
    (0..channels).filter_map(|n| Some(ChannelPair { a: chain::end(Side::A, n)?, b: chain::end(Side::B, n)? })).collect()
}

impl Relayer {
    /// Starts as a path does: clients and heads read, feeders from the heads on, a scan. `None`: a client is expired.
    pub(super) fn start(w: &mut World) -> Option<Self> {
        let mut engine = Engine::new(w.scenario.policy.clone(), pairs(w.scenario.channels));
        let mut cache: [BTreeSet<u64>; 2] = Default::default();
        for side in Side::BOTH {
            let (here, there) = (w.chain(side), w.chain(side.other()));
            if !here.active(there, there.at(there.height).time.0) {
                return None;
            }
            let latest = here.client.last().copied()?;
            cache[side.index()].insert(latest);
            let client = ClientRead {
                id: chain::client_id()?,
                latest: Height::new(1, latest),
                latest_time: there.at(latest).time,
                trusting_period_ns: here.trusting_ns,
                frozen: false,
            };
            engine.handle(0, Input::Client { side, client });
        }
        let heads = Side::BOTH.map(|side| w.chain(side).height);
        let lanes = Side::BOTH
            .map(|side| Lane::new(side, w.journal[side.index()].values().cloned().collect(), heads[side.index()]));
        let mut relayer = Self {
            engine,
            lanes,
            born: w.now,
            held: Default::default(),
            queue: Default::default(),
            updating: Default::default(),
            cache,
            heads: heads.map(|h| h - 1),
            fed: [0, 0],
            first_fed: heads,
            next_feed: heads,
            proves: BTreeMap::new(),
            submits: BTreeMap::new(),
            scanning: false,
            scan_again: false,
            scan_next: w.now,
            scan_pauses: 0,
            wakes: BTreeSet::new(),
            landing: Vec::new(),
            polls: (0, 0),
            told: BTreeMap::new(),
        };
        for side in Side::BOTH {
            w.after(0, Event::Head(side, heads[side.index()]));
        }
        relayer.pump(w);
        Some(relayer)
    }

    /// What was last said of a packet's end.
    pub(super) fn ends(&self) -> &BTreeMap<PacketKey, (Phase, Option<&'static str>)> {
        &self.told
    }

    /// Takes one event in.
    pub(super) fn event(&mut self, w: &mut World, event: Event) {
        if w.dies() {
            return;
        }
        match event {
            Event::Head(side, height) => {
                let known = &mut self.heads[side.index()];
                *known = height.max(*known);
                // A feeder fetches what it has not fetched yet, in order; the wallet looks at the same blocks by itself.
                while self.next_feed[side.index()] <= self.heads[side.index()] {
                    let next = self.next_feed[side.index()];
                    self.next_feed[side.index()] += 1;
                    let at = (w.now + w.latency()).max(self.fed[side.index()]);
                    self.fed[side.index()] = at;
                    w.after(at - w.now, Event::Deliver(side, next));
                }
                let ns = w.latency();
                w.after(ns, Event::Lane(side));
                return;
            }
            Event::Deliver(side, height) => self.deliver(w, side, height),
            Event::Lane(side) => {
                let head = self.heads[side.index()];
                self.lanes[side.index()].turn(w, Some(head));
            }
            Event::Wake => self.wakes.retain(|t| *t > w.now),
            Event::Proved { id, side, at, items } => self.proved(w, id, side, at, items),
            Event::Updated(side) => self.updated(w, side),
            Event::Answer { side, results } => self.lanes[side.index()].answered(w, results),
            Event::Synced(side, sequence) => self.lanes[side.index()].synced(w, sequence),
            Event::Outcome(id, outcome) => {
                w.say(|| format!("outcome of attempt {}: {outcome:?}", id.0));
                match (self.submits.remove(&id), &outcome) {
                    (None, _) => w.never(format!("attempt {} has two outcomes", id.0)),
                    (Some((side, _)), AttemptOutcome::Committed { height }) => self.landing.push((side, *height)),
                    _ => {}
                }
                self.input(w, Input::Attempt { id, outcome });
            }
            Event::Scan(step) => self.scan(w, step),
            Event::Past { side, facts } => {
                w.say(|| format!("{side} history: {} facts", facts.len()));
                self.input(w, Input::Past { side, facts });
            }
            Event::Gap => self.scan_wanted(w),
            Event::Block(_) | Event::Arrive { .. } | Event::Start => {}
        }
        if !w.crashed {
            self.pump(w);
        }
    }

    fn wake(&mut self, w: &mut World, at: u64) {
        if self.wakes.first().is_none_or(|t| *t > at) {
            self.wakes.insert(at);
            w.after(at - w.now, Event::Wake);
        }
    }

    fn input(&mut self, w: &World, input: Input) {
        self.engine.handle(w.now - self.born, input);
    }

    fn deliver(&mut self, w: &mut World, side: Side, height: u64) {
        let Some(block) = w.told(side, height) else {
            return self.scan_wanted(w);
        };
        for fact in &block.facts {
            if let Fact::ClientUpdated { heights, .. } = fact {
                self.cache[side.index()].extend(heights.iter().map(|h| h.number));
            }
        }
        w.say(|| format!("{side} block {height} taken in"));
        self.input(w, Input::Block { side, block });
        if w.strikes(|f| f.duplicate_block) {
            // Of this life: a feeder that starts anew begins at the head.
            let back = w.rng.within(0, 5).min(height - self.first_fed[side.index()]);
            if let Some(block) = w.told(side, height - back) {
                w.say(|| format!("{side} block {} taken in again", height - back));
                self.input(w, Input::Block { side, block });
            }
        }
    }

    /// Carries out what the engine asks for until it asks for nothing.
    fn pump(&mut self, w: &mut World) {
        self.scan_due(w);
        let now = w.now - self.born;
        let mut any = 0u64;
        loop {
            let second = w.now / SECOND;
            self.polls = if self.polls.0 == second { (second, self.polls.1 + 1) } else { (second, 1) };
            let Some(effect) = self.engine.poll(now) else { break };
            any += 1;
            if w.dies() {
                return;
            }
            self.effect(w, effect);
            if any > 1_000_000 {
                return w.never("poll never ends".into());
            }
        }
        if self.polls.1 > POLLS {
            w.never(format!("{} polls within a second", self.polls.1));
        }
        for side in Side::BOTH {
            let (held, queue) = (&mut self.held[side.index()], &mut self.queue[side.index()]);
            while queue.len() < SUBMIT_QUEUE
                && let Some(job) = held.pop_front()
            {
                queue.push_back(job);
            }
            self.submitter(w, side);
            self.lanes[side.index()].turn(w, None);
        }
        if !w.crashed {
            self.check(w, now);
        }
    }

    /// What holds whenever the engine has nothing to ask for.
    fn check(&mut self, w: &mut World, now: u64) {
        let due = self.engine.deadline();
        match due {
            Some(due) if due <= now => {
                w.never(format!("the deadline {due} is not after now ({now}), though there is nothing to do"))
            }
            Some(due) => {
                self.wake(w, self.born + due);
            }
            None => {}
        }
        let limits = &w.scenario.policy;
        for side in Side::BOTH {
            let proves = self.proves.values().filter(|s| **s == side).count();
            let submits = self.submits.values().filter(|(s, _)| *s == side).count();
            let with_backlog = |slots: usize| slots + (slots / 2).max(1);
            let (most_proves, most_submits) =
                (with_backlog(limits.prove_in_flight), with_backlog(limits.submit_in_flight));
            // A refresh of the client is beside the slots.
            if proves > most_proves || submits > most_submits + 1 {
                return w.never(format!(
                    "{side}: {proves} proof requests of {most_proves}, {submits} submissions of {most_submits}"
                ));
            }
        }
        let seen = Side::BOTH.map(|side| self.engine.seen(side));
        self.landing.retain(|(side, height)| seen[side.index()].is_none_or(|seen| seen.height < *height));
        if self.proves.is_empty() && self.submits.is_empty() && self.landing.is_empty() && due.is_none() {
            let [Some(_), Some(_)] = seen else { return };
            let stuck = self.engine.packets(false, 50).into_iter().find(|p| {
                let ahead = p.sent.is_some_and(|s| seen[p.key.from.index()].is_some_and(|seen| s.height > seen.height));
                matches!(p.stage, Some("queued" | "ready")) && p.action == Some(Action::Recv) && !ahead
            });
            if let Some(p) = stuck {
                w.never(format!("{} is {:?}, nothing is under way and there is no deadline", p.key, p.stage));
            }
        }
    }

    fn effect(&mut self, w: &mut World, effect: Effect) {
        match effect {
            Effect::Prove { id, side, at, items } => {
                w.say(|| {
                    let names: Vec<_> =
                        items.iter().filter_map(|i| Some(name(i.action, &self.engine.name(i.key)?))).collect();
                    format!("{side} prove {id} at {at}: {}", names.join(", "))
                });
                if items.is_empty() || items.len() > relayer_core::limits::PROOFS_PER_EFFECT {
                    w.never(format!("a proof request of {} items", items.len()));
                }
                self.proves.insert(id, side);
                w.prove(id, side, at, items);
            }
            Effect::Submit { id, side, update, keys, messages } => {
                let names: Vec<PacketKey> = keys.iter().filter_map(|k| self.engine.name(*k)).collect();
                let packets: Vec<_> = messages.iter().map(action).zip(names).collect();
                w.say(|| {
                    let names: Vec<_> = packets.iter().map(|(a, k)| name(*a, k)).collect();
                    format!("{side} submit {} update {update:?}: {}", id.0, names.join(", "))
                });
                if keys.len() != messages.len()
                    || keys.len() > w.scenario.policy.batch_messages
                    || (keys.is_empty() && update.is_none())
                {
                    w.never(format!("a submission of {} packets with {} messages", keys.len(), messages.len()));
                }
                let works: Vec<(Action, Key)> = messages.iter().map(action).zip(keys).collect();
                let open = self.submits.values().flat_map(|(_, k)| k).find(|k| works.contains(k)).copied();
                if let Some((action, key)) = open {
                    w.never(format!("{action:?} of {key:?} is submitted while it is in flight"));
                }
                self.submits.insert(id, (side, works));
                self.held[side.index()].push_back(Job { id, update, messages, packets });
            }
            Effect::Notice(notice) => {
                w.say(|| format!("notice {notice:?}"));
                if let Notice::Ended { key, phase, reason, .. } = notice {
                    self.told.insert(key, (phase, reason));
                }
            }
        }
    }

    fn proved(&mut self, w: &mut World, id: u64, side: Side, at: Height, items: Vec<ProveItem>) {
        if self.proves.remove(&id).is_none() {
            w.never(format!("proof request {id} answered twice"));
        }
        let away = w.strikes(|f| f.proof_away);
        let results = items
            .into_iter()
            .map(|item| {
                let later = |reason| Err(ProveFailure::Later { after_ms: 500, reason });
                let doubt = item.source.as_ref().and_then(|check| self.doubt(w, item.key.from, check));
                let result = if let Some(reason) = doubt.filter(|_| !away) {
                    Err(ProveFailure::Refused(reason))
                } else if away {
                    later("unavailable")
                } else if w.strikes(|f| f.proof_forged) {
                    later("forged")
                } else {
                    let value = w.chain(side).value(&item.path, at.number);
                    match (item.action, item.expect, value) {
                        (_, Some(want), Some(got)) if want == got => Ok(chain::proof(side, &item.path, at.next())),
                        (Action::Timeout, None, None) => Ok(chain::proof(side, &item.path, at.next())),
                        (Action::Timeout, _, _) => {
                            Err(ProveFailure::Later { after_ms: 1_000, reason: "received_meanwhile" })
                        }
                        (Action::Recv, _, None) => Err(ProveFailure::Refused("phantom_event")),
                        (Action::Recv, _, Some(_)) => Err(ProveFailure::Refused("commitment_mismatch")),
                        (Action::Ack, _, None) => Err(ProveFailure::Refused("phantom_ack")),
                        (Action::Ack, _, Some(_)) => Err(ProveFailure::Refused("ack_mismatch")),
                    }
                };
                (item.key, result)
            })
            .collect::<Vec<_>>();
        w.say(|| {
            let bad = results.iter().filter_map(|(_, r)| r.as_ref().err()).next();
            format!("{side} prove {id} answered, first failure {bad:?}")
        });
        self.input(w, Input::Proved { id, results });
    }

    /// What the source's newest provable state says against a packet that only events vouch for.
    fn doubt(&self, w: &World, source: Side, check: &SourceCheck) -> Option<&'static str> {
        let head = self.heads[source.index()];
        let after = if check.sent.is_some_and(|sent| sent.number >= head) { head } else { head.saturating_sub(1) };
        match w.chain(source).value(&check.path, after) {
            Some(value) if value == check.commitment => None,
            Some(_) => Some("commitment_mismatch"),
            None => Some("phantom_event"),
        }
    }

    /// Works off one side's submissions, one client update at a time.
    fn submitter(&mut self, w: &mut World, side: Side) {
        let i = side.index();
        while self.updating[i].is_none()
            && self.lanes[i].room()
            && let Some(job) = self.queue[i].pop_front()
        {
            if job.update.is_some() {
                self.updating[i] = Some(job);
                let ns = w.latency();
                w.after(ns, Event::Updated(side));
            } else {
                self.hand_over(w, side, job, Vec::new());
            }
        }
    }

    fn updated(&mut self, w: &mut World, side: Side) {
        let i = side.index();
        let Some(job) = self.updating[i].take() else { return };
        let target = job.update.map_or(0, |h| h.number);
        let trusted = self.cache[i].range(..target).next_back().copied();
        let tracked = w.chain(side.other());
        let fresh = trusted.filter(|t| {
            let head = w.chain(side).at(self.heads[i]).time.0;
            tracked.at(*t).time.0 + w.scenario.trusting_ns > head
        });
        let kind = match (trusted, fresh) {
            _ if w.strikes(|f| f.header_away) => Some(ChainErrorKind::Unavailable),
            (None, _) => Some(ChainErrorKind::NotFound),
            (_, None) => Some(ChainErrorKind::Lying("expired")),
            _ => None,
        };
        if let Some(failure) = kind.and_then(|k| chain_error(side, k)) {
            let id = job.id;
            w.after(0, Event::Outcome(id, AttemptOutcome::Failed { failure, blame: Blame::Unknown }));
        } else if let (Some(client), Some(trusted)) = (chain::client_id(), fresh) {
            let updates = vec![chain::update(&client, trusted, target)];
            self.hand_over(w, side, job, updates);
        }
        self.submitter(w, side);
    }

    fn hand_over(&mut self, w: &mut World, side: Side, job: Job, updates: Vec<Message>) {
        let before = updates.len();
        let messages = updates.into_iter().chain(job.messages).collect();
        let request = Request { id: job.id, updates: before, messages, packets: job.packets, trimmed: false };
        self.lanes[side.index()].ask(request);
        self.lanes[side.index()].turn(w, None);
    }

    fn scan_wanted(&mut self, w: &World) {
        self.scan_again = true;
        if !self.scanning {
            self.scan_next = w.now;
        }
    }

    fn scan_due(&mut self, w: &mut World) {
        if self.scanning {
            return;
        }
        if self.scan_next <= w.now {
            self.scanning = true;
            self.scan_again = false;
            self.scan_next = w.now + w.scenario.scan_ns;
            w.say(|| "scan".into());
            let ns = w.latency();
            w.after(ns, Event::Scan(ScanStep { n: 0, at: None, open: None, failed: false }));
        } else {
            self.wake(w, self.scan_next);
        }
    }

    /// One answer of a scan: the head, then the commitments, then what the other side knows of them, direction by direction.
    fn scan(&mut self, w: &mut World, mut step: ScanStep) {
        let (channel, side) = (step.n / 2, if step.n.is_multiple_of(2) { Side::A } else { Side::B });
        let failed = w.strikes(|f| f.query_away);
        let chain = w.chain(side);
        let Some(end) = chain.channels.get(channel).map(|c| c.end.clone()) else {
            return self.scanned(w, step.failed);
        };
        if failed {
            step = ScanStep { n: step.n + 1, at: None, open: None, failed: true };
        } else if step.at.is_none() {
            step.at = Some(chain.at(chain.height));
        } else if step.open.is_none() {
            let sent = chain.channels.get(channel).map(|c| c.sent.iter()).into_iter().flatten();
            // State of the newest block: what the block under way will hold is not in it.
            let open = sent.filter(|s| s.gone.is_none() && s.at <= chain.height).map(|s| s.packet.sequence).collect();
            step.open = Some(open);
        } else if let (Some(at), Some(open)) = (step.at, &step.open) {
            self.found(w, side, channel, &end, at, open);
            step = ScanStep { n: step.n + 1, at: None, open: None, failed: step.failed };
        }
        let ns = w.latency();
        w.after(ns, Event::Scan(step));
    }

    fn found(
        &mut self,
        w: &mut World,
        side: Side,
        channel: usize,
        end: &relayer_core::packet::PortChannel,
        at: At,
        open: &[Sequence],
    ) {
        let there = w.chain(side.other());
        let received = |s: &Sequence| there.channels.get(channel).is_some_and(|c| c.received.contains_key(&s.0));
        let (acks, sent): (Vec<Sequence>, Vec<Sequence>) = open.iter().copied().partition(|s| received(s));
        w.say(|| format!("{side} scan of {}: {} open, {} received", end.channel, open.len(), acks.len()));
        let input = Input::Commitments { side, source: end.clone(), at, open: open.iter().copied().collect() };
        self.input(w, input);
        let unknown = |s: &Sequence| !self.engine.knows(side, end, *s);
        let sent: Vec<Sequence> = sent.into_iter().filter(unknown).collect();
        let acks: Vec<Sequence> = acks.into_iter().filter(|s| !self.engine.knows_ack(side, end, *s)).collect();
        let mut wait = 0;
        for (s, of, list) in [(side, true, sent), (side.other(), false, acks)] {
            for chunk in list.chunks(500) {
                wait += w.latency();
                if w.strikes(|f| f.query_away) {
                    wait += SECOND;
                    w.after(wait, Event::Gap);
                    continue;
                }
                let facts = chunk.iter().filter_map(|q| self.past(w, side, channel, of, *q)).collect();
                w.after(wait, Event::Past { side: s, facts });
            }
        }
    }

    fn past(&self, w: &World, side: Side, channel: usize, send: bool, q: Sequence) -> Option<(At, Fact)> {
        if send {
            let sent = w.chain(side).channels.get(channel)?.sent.get((q.0 as usize).checked_sub(1)?)?;
            Some((w.chain(side).at(sent.at), Fact::Sent(sent.packet.clone())))
        } else {
            let there = w.chain(side.other());
            let received = there.channels.get(channel)?.received.get(&q.0)?;
            Some((there.at(received.at), Fact::AckWritten(received.packet.clone(), received.ack.clone())))
        }
    }

    fn scanned(&mut self, w: &mut World, failed: bool) {
        self.scanning = false;
        if failed {
            self.scan_pauses += 1;
            let ms = 200u64.saturating_mul(1 << self.scan_pauses.min(6).saturating_sub(1)).min(5_000);
            self.scan_next = w.now + ms * 1_000_000;
        } else {
            self.scan_pauses = 0;
            if self.scan_again {
                self.scan_next = w.now;
            }
        }
    }
}
