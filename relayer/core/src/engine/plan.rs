//! What to prove, what to submit and which client to refresh, decided from the engine's state.

use super::{Attempt, AttemptId, Effect, Engine, Key, ProveItem, SourceCheck, Stage, class};
use crate::chain::Path;
use crate::id::Height;
use crate::limits;
use crate::message::{MESSAGE_OVERHEAD, Message, Proof};
use crate::packet::{Side, ack_commitment};
use crate::record::Action;

impl Engine {
    pub(super) fn plan(&mut self, now: u64) {
        for side in Side::BOTH {
            for backlog in [false, true] {
                while let Some(effect) = self.next_prove(now, side, backlog) {
                    self.effects.push_back(effect);
                }
            }
            for backlog in [false, true] {
                while let Some(effect) = self.next_submit(now, side, backlog) {
                    self.effects.push_back(effect);
                }
            }
            if let Some(effect) = self.upkeep(now, side) {
                self.effects.push_back(effect);
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next_id = self.next_id.saturating_add(1);
        self.next_id
    }

    /// The backlog has slots of its own, half as many as fresh packets have.
    fn slots(total: usize, backlog: bool) -> usize {
        if backlog { (total / 2).max(1) } else { total.max(1) }
    }

    fn next_prove(&mut self, now: u64, side: Side, backlog: bool) -> Option<Effect> {
        let busy = *self.end(side).proving.get(class(backlog))?;
        if busy >= Self::slots(self.policy.prove_in_flight, backlog) {
            return None;
        }
        let seen = self.end(side).seen?;
        // Without a client there, or with a frozen one, a proof could not be used.
        self.end(side.other()).client.as_ref().filter(|c| !c.read.frozen)?;
        let queue = self.queued.get(side.index())?.get(class(backlog))?;
        let mut keys = Vec::new();
        let mut all_older = true;
        let mut timeouts = None;
        for (not_before, key) in queue {
            if *not_before > now || keys.len() >= limits::PROOFS_PER_EFFECT {
                break;
            }
            let Some(entry) = self.packets.get(key) else { continue };
            let Some(work) = &entry.work else { continue };
            let is_timeout = work.action == Action::Timeout;
            if timeouts.is_some_and(|t| t != is_timeout) {
                continue;
            }
            // Whether it is late already, its destination's first block tells.
            if work.action == Action::Recv && self.end(side.other()).seen.is_none() {
                continue;
            }
            let written = match work.action {
                Action::Recv => entry.record.sent,
                Action::Ack => entry.record.ack_written,
                Action::Timeout => None,
            };
            // Found in state ahead of the blocks taken in: its block is on the way.
            if written.is_some_and(|at| at.height > seen.height) {
                continue;
            }
            timeouts = Some(is_timeout);
            all_older &= written.is_none_or(|at| at.height < seen.height);
            keys.push((*not_before, *key));
        }
        if keys.is_empty() {
            return None;
        }
        // The state before the newest block is provable now, the state after it with the next header only.
        let at = if timeouts == Some(true) || all_older { seen.height.prev() } else { seen.height };
        let id = self.number();
        let mut items = Vec::with_capacity(keys.len());
        for (not_before, key) in &keys {
            if let Some(queue) = self.queued.get_mut(side.index()).and_then(|q| q.get_mut(class(backlog))) {
                queue.remove(&(*not_before, *key));
            }
            let item = self.prove_item(*key);
            if let (Some(item), Some(work)) = (item, self.packets.get_mut(key).and_then(|e| e.work.as_mut())) {
                work.stage = Stage::Proving { id };
                items.push(item);
            }
        }
        if let Some(n) = self.end_mut(side).proving.get_mut(class(backlog)) {
            *n = n.saturating_add(1);
        }
        self.proves.insert(id, (side, backlog, keys.into_iter().map(|(_, k)| k).collect()));
        Some(Effect::Prove { id, side, at, items })
    }

    fn prove_item(&self, key: Key) -> Option<ProveItem> {
        let entry = self.packets.get(&key)?;
        let work = entry.work.as_ref()?;
        let packet = entry.record.packet.as_ref()?;
        let (path, expect) = match work.action {
            Action::Recv => (Path::Commitment(packet.source.clone(), key.sequence), Some(packet.commitment())),
            Action::Ack => {
                (Path::Ack(packet.destination.clone(), key.sequence), Some(ack_commitment(entry.record.ack.as_ref()?)))
            }
            Action::Timeout => (Path::Receipt(packet.destination.clone(), key.sequence), None),
        };
        let source = (!entry.proven && work.action != Action::Recv).then(|| SourceCheck {
            path: Path::Commitment(packet.source.clone(), key.sequence),
            commitment: packet.commitment(),
            sent: entry.record.sent.map(|at| at.height),
        });
        Some(ProveItem { key, action: work.action, path, expect, source })
    }

    /// The lowest proof height of what is ready for a side in one class: the next batch is made of it.
    pub(super) fn first_ready(&self, side: Side, backlog: bool) -> Option<Height> {
        let first = (u8::from(backlog), Height::default(), LOWEST);
        let (found, height, _) = *self.ready.get(side.index())?.range(first..).next()?;
        (found == u8::from(backlog)).then_some(height)
    }

    fn next_submit(&mut self, now: u64, side: Side, backlog: bool) -> Option<Effect> {
        let end = self.end(side);
        let client = end.client.as_ref().filter(|c| !c.read.frozen)?;
        let height = self.first_ready(side, backlog)?;
        if *end.submitting.get(class(backlog))? >= Self::slots(self.policy.submit_in_flight, backlog) {
            return None;
        }
        let needs_update = client.needs(height);
        let group = (u8::from(backlog), height, LOWEST)..=(u8::from(backlog), height, HIGHEST);
        let mut keys = Vec::new();
        let mut bytes = 0usize;
        let mut oldest = u64::MAX;
        let mut full = false;
        let mut cap = self.policy.batch_messages.clamp(1, limits::BATCH_MESSAGES);
        for (_, _, key) in self.ready.get(side.index())?.range(group) {
            let Some(work) = self.packets.get(key).and_then(|e| e.work.as_ref()) else {
                continue;
            };
            let Stage::Ready { proof, since } = &work.stage else {
                continue;
            };
            let size = self.message_bytes(*key, proof);
            let fits = bytes.saturating_add(size) <= self.policy.batch_bytes && keys.len() < cap.min(work.cap);
            if !keys.is_empty() && !fits {
                full = true;
                break;
            }
            cap = cap.min(work.cap);
            bytes = bytes.saturating_add(size);
            oldest = oldest.min(*since);
            keys.push(*key);
        }
        full |= keys.len() >= cap;
        // More proofs of this kind are under way: a batch that is not full waits for them, but not long.
        let coming = self.end(side.other()).proving.get(class(backlog)).is_some_and(|n| *n > 0);
        if keys.is_empty() || (!full && coming && now < oldest.saturating_add(self.policy.linger_ns)) {
            return None;
        }
        let id = AttemptId(self.number());
        let mut messages = Vec::with_capacity(keys.len());
        let mut sent = Vec::with_capacity(keys.len());
        for key in keys {
            let message = self.message(key);
            self.set_stage(key, Stage::InFlight { id });
            messages.extend(message.inspect(|_| sent.push(key)));
        }
        Some(self.submit(id, side, backlog, needs_update.then_some(height), sent, messages))
    }

    fn submit(
        &mut self,
        id: AttemptId,
        side: Side,
        backlog: bool,
        update: Option<Height>,
        keys: Vec<Key>,
        messages: Vec<Message>,
    ) -> Effect {
        let end = self.end_mut(side);
        if let Some(n) = end.submitting.get_mut(class(backlog)) {
            *n = n.saturating_add(1);
        }
        if let (Some(height), Some(client)) = (update, end.client.as_mut()) {
            client.pending = Some((height, id));
        }
        self.attempts.insert(id, Attempt { side, backlog, keys: keys.clone(), update, committed: None });
        Effect::Submit { id, side, update, keys, messages }
    }

    fn message_bytes(&self, key: Key, proof: &Proof) -> usize {
        let record = self.packets.get(&key).map(|e| &e.record);
        let data = record.and_then(|r| r.packet.as_ref()).map_or(0, |p| p.data.len());
        let ack = record.and_then(|r| r.ack.as_ref()).map_or(0, |a| a.len());
        data.saturating_add(ack).saturating_add(proof.bytes.len()).saturating_add(MESSAGE_OVERHEAD)
    }

    fn message(&self, key: Key) -> Option<Message> {
        let entry = self.packets.get(&key)?;
        let work = entry.work.as_ref()?;
        let packet = entry.record.packet.clone()?;
        let Stage::Ready { proof, .. } = &work.stage else {
            return None;
        };
        let proof = proof.clone();
        Some(match work.action {
            Action::Recv => Message::RecvPacket { packet, proof },
            Action::Ack => Message::Acknowledge { packet, ack: entry.record.ack.clone()?, proof },
            Action::Timeout => Message::Timeout { next_sequence_recv: packet.sequence, packet, proof },
        })
    }

    /// Refreshes the client on `side` when its share of the trusting period is spent, by the tracked chain's time.
    fn upkeep(&mut self, now: u64, side: Side) -> Option<Effect> {
        let tracked = self.end(side.other()).seen?;
        let (numerator, denominator) = self.policy.refresh;
        let client = self.end(side).client.as_ref()?;
        let read = &client.read;
        if read.frozen || read.trusting_period_ns == 0 || client.pending.is_some() || client.upkeep_not_before > now {
            return None;
        }
        let allowed = read.trusting_period_ns.checked_div(denominator)?.saturating_mul(numerator);
        let age = tracked.time.since(read.latest_time);
        // An expired client can't be updated by anybody: `start` says so, governance has to act.
        if age <= allowed || age >= read.trusting_period_ns || !client.needs(tracked.height) {
            return None;
        }
        let id = AttemptId(self.number());
        Some(self.submit(id, side, false, Some(tracked.height), Vec::new(), Vec::new()))
    }
}

pub(super) const LOWEST: Key = Key { from: Side::A, channel: 0, sequence: crate::id::Sequence(0) };
pub(super) const HIGHEST: Key = Key { from: Side::B, channel: u16::MAX, sequence: crate::id::Sequence(u64::MAX) };
