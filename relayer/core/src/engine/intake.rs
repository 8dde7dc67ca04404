//! Blocks and facts taken in: checked, merged into records, indexed by their timeouts.

use std::collections::BTreeSet;

use super::{AttemptId, Engine, Entry, Key, Notice, Stage};
use crate::fact::{BlockFacts, Fact};
use crate::filter;
use crate::id::Sequence;
use crate::limits;
use crate::packet::{At, Packet, PortChannel, Side};
use crate::record::{Record, is_disproof};

impl Engine {
    pub(super) fn block(&mut self, now: u64, side: Side, block: &BlockFacts) {
        self.end_mut(side).saw(block.at);
        for fact in block.facts.iter().take(limits::FACTS_PER_BLOCK) {
            self.fact(now, side, block.at, fact.clone(), false);
        }
        self.expire(now, side, block.at);
        let landed: Vec<AttemptId> = self
            .attempts
            .iter()
            .filter(|(_, a)| a.side == side && a.committed.is_some_and(|h| h <= block.at.height))
            .map(|(id, _)| *id)
            .collect();
        for id in landed {
            self.landed(now, id);
        }
    }

    /// Ends packets whose commitment is gone: acknowledged if they were received, timed out otherwise (ICS-04 deletes it for no other reason).
    pub(super) fn settle(&mut self, now: u64, side: Side, source: &PortChannel, at: At, open: &BTreeSet<Sequence>) {
        let Some(channel) = self.by_end.get(side.index()).and_then(|m| m.get(source)).copied() else {
            return;
        };
        let first = Key { from: side, channel, sequence: Sequence(0) };
        let last = Key { from: side, channel, sequence: Sequence(u64::MAX) };
        // The chain holds something under the key of an event that was disproven, or that claimed an end which the state does not show:
        // what that is has to be read anew.
        let ended = |r: &Record| r.acked.into_iter().chain(r.timed_out).any(|end| end.height <= at.height);
        let disproven = |e: &Entry| e.record.refused.is_some_and(is_disproof) || ended(&e.record);
        let doubtful: Vec<Key> = self
            .packets
            .range(first..=last)
            .filter(|(k, e)| open.contains(&k.sequence) && disproven(e))
            .map(|(k, _)| *k)
            .collect();
        for key in doubtful {
            self.unindex_timeout(key);
            self.packets.remove(&key);
        }
        let mut gone: Vec<(Key, bool)> = Vec::new();
        for (key, entry) in self.packets.range_mut(first..=last) {
            if open.contains(&key.sequence) || entry.record.phase(false).ended() {
                entry.absent = None;
                continue;
            }
            let absent = match entry.record.sent {
                Some(sent) => sent.height <= at.height,
                // Received, so it was sent, but perhaps after this block. By the next reading, which begins after this one, it was.
                None => match entry.absent {
                    Some(before) => before < at.height,
                    None => {
                        entry.absent = entry.record.received.map(|_| at.height);
                        false
                    }
                },
            };
            if absent {
                gone.push((*key, entry.record.received.is_some()));
            }
        }
        for (key, received) in gone {
            let mut said = Record::default();
            if received {
                said.acked = Some(at);
            } else {
                said.timed_out = Some(at);
            }
            self.merge(now, key, said, true);
        }
    }

    /// Takes back receives which the destination's state refutes. One whose acknowledgement is known is refuted by that one's proof.
    pub(super) fn unreceive(&mut self, now: u64, side: Side, source: &PortChannel, at: At, sequences: &[Sequence]) {
        for sequence in sequences {
            let Some(key) = self.key_of(side, source, *sequence) else { continue };
            let Some(entry) = self.packets.get_mut(&key) else { continue };
            let record = &mut entry.record;
            let claimed = record.received.is_some_and(|r| r.height <= at.height) && record.ack.is_none();
            if !claimed || record.phase(false).ended() {
                continue;
            }
            record.received = None;
            let record = record.clone();
            self.index_timeout(key, &record);
            self.refresh(now, key);
        }
    }

    /// Packets that the destination's new block times out.
    fn expire(&mut self, now: u64, side: Side, at: At) {
        let mut gone = Vec::new();
        let i = side.index();
        if let Some(set) = self.timeouts.get_mut(i) {
            while set.first().is_some_and(|(t, _)| *t <= at.time) {
                gone.extend(set.pop_first().map(|(_, k)| k));
            }
        }
        if let Some(set) = self.timeout_heights.get_mut(i) {
            while set.first().is_some_and(|(h, _)| *h <= at.height) {
                gone.extend(set.pop_first().map(|(_, k)| k));
            }
        }
        for key in gone {
            self.refresh(now, key);
        }
    }

    pub(super) fn key_of(&self, from: Side, source: &PortChannel, sequence: Sequence) -> Option<Key> {
        let channel = *self.by_end.get(from.index())?.get(source)?;
        Some(Key { from, channel, sequence })
    }

    /// A packet's key if both its ends are those of one of our channels. It is found by the end on the chain that told of it: only there
    /// are ids unique, `channel-0` of another path's chain is not ours. A packet that names ours and another counterparty is misrouted.
    fn packet_key(&mut self, side: Side, from: Side, packet: &Packet) -> Option<Key> {
        let local = if side == from { &packet.source } else { &packet.destination };
        let channel = *self.by_end.get(side.index())?.get(local)?;
        let pair = self.channels.get(usize::from(channel))?;
        if *pair.end(from) != packet.source || *pair.end(from.other()) != packet.destination {
            self.notice(Notice::Unusable { side, reason: "misrouted" });
            return None;
        }
        if let Err(_why) = packet.validate() {
            self.notice(Notice::Unusable { side, reason: "invalid_packet" });
            return None;
        }
        Some(Key { from, channel, sequence: packet.sequence })
    }

    pub(super) fn fact(&mut self, now: u64, side: Side, at: At, fact: Fact, backlog: bool) {
        let mut said = Record::default();
        let key = match fact {
            Fact::Sent(packet) => {
                let Some(key) = self.packet_key(side, side, &packet) else {
                    return;
                };
                said.refused = self.policy.filters.get(side.index()).and_then(|f| f.refuses(&packet));
                said.sent = Some(at);
                said.packet = Some(packet);
                key
            }
            Fact::Received(packet) => {
                let Some(key) = self.packet_key(side, side.other(), &packet) else {
                    return;
                };
                said.received = Some(at);
                said.packet = Some(packet);
                key
            }
            Fact::AckWritten(packet, ack) => {
                let Some(key) = self.packet_key(side, side.other(), &packet) else {
                    return;
                };
                if ack.is_empty() || ack.len() > limits::ACK_BYTES {
                    self.notice(Notice::Unusable { side, reason: "ack_size" });
                    return;
                }
                said.ack = Some(ack);
                said.ack_written = Some(at);
                said.received = Some(at);
                said.packet = Some(packet);
                key
            }
            Fact::Acked { source, sequence } => {
                let Some(key) = self.key_of(side, &source, sequence) else {
                    return;
                };
                said.acked = Some(at);
                key
            }
            Fact::TimedOut { source, sequence } => {
                let Some(key) = self.key_of(side, &source, sequence) else {
                    return;
                };
                said.timed_out = Some(at);
                key
            }
            Fact::ClientUpdated { client, heights, .. } => {
                let times: Vec<_> = heights.iter().map(|h| (*h, self.end(side.other()).time_of(*h))).collect();
                if let Some(known) = self.end_mut(side).client.as_mut().filter(|c| c.read.id == client) {
                    for (height, time) in times {
                        known.holds(height, time);
                    }
                }
                return;
            }
            Fact::ClientFrozen { client } => {
                if let Some(known) = self.end_mut(side).client.as_mut().filter(|c| c.read.id == client) {
                    known.read.frozen = true;
                    self.notice(Notice::Halted { side, reason: "client_frozen" });
                }
                return;
            }
            Fact::ChannelClosed { end } => {
                if let Some(n) = self.by_end.get(side.index()).and_then(|m| m.get(&end)) {
                    self.closed.insert((side, *n));
                    self.notice(Notice::Halted { side, reason: "channel_closed" });
                }
                return;
            }
            Fact::Unusable { reason, .. } => return self.notice(Notice::Unusable { side, reason }),
            // A handshake's ids: `path create` reads them.
            Fact::Opened { .. } => return,
        };
        self.merge(now, key, said, backlog);
    }

    fn merge(&mut self, now: u64, key: Key, said: Record, backlog: bool) {
        let known = self.packets.contains_key(&key);
        if !known && self.open >= limits::OPEN_PACKETS {
            // The clear scan finds it again in the chain's state when there is room.
            return self.notice(Notice::Unusable { side: key.from, reason: "too_many_open_packets" });
        }
        let entry = self.packets.entry(key).or_insert_with(|| Entry { backlog, ..Entry::default() });
        // What the source has proven to have committed to is not up for discussion.
        let other = |theirs: &Packet| entry.record.packet.as_ref().is_some_and(|mine| mine != theirs);
        let contradicts = entry.proven && said.packet.as_ref().is_some_and(other);
        if contradicts {
            return self.notice(Notice::Unusable { side: key.from.other(), reason: "packet_differs" });
        }
        let texts = |record: &Record| (record.packet.clone(), record.ack.clone());
        let told = texts(&entry.record);
        let before = (entry.record.sent.is_some(), entry.record.received);
        entry.record.merge(said);
        let record = entry.record.clone();
        // A proof of the other text is good for nothing.
        let stale = told != texts(&record)
            && entry.work.as_ref().is_some_and(|w| matches!(w.stage, Stage::Proving { .. } | Stage::Ready { .. }));
        if !known {
            self.open = self.open.saturating_add(1);
        }
        if stale {
            self.set_stage(key, Stage::Queued { not_before: now });
        }
        let Some(name) = self.name(key) else { return };
        if !before.0 && record.sent.is_some() {
            self.notice(Notice::Seen { key: name.clone(), sent: record.sent, backlog });
            if let Some(found) = record.packet.as_ref().and_then(filter::xcm) {
                self.notice(Notice::Xcm { key: name.clone(), found: Box::new(found) });
            }
        }
        if let (None, Some(received)) = (before.1, record.received) {
            self.notice(Notice::Received { key: name, sent: record.sent, received });
        }
        self.index_timeout(key, &record);
        self.refresh(now, key);
    }

    fn index_timeout(&mut self, key: Key, record: &Record) {
        let (Some(packet), None) = (&record.packet, record.received) else {
            return;
        };
        let i = key.from.other().index();
        if packet.timeout_timestamp.0 != 0
            && let Some(set) = self.timeouts.get_mut(i)
        {
            set.insert((packet.timeout_timestamp, key));
        }
        if !packet.timeout_height.is_zero()
            && let Some(set) = self.timeout_heights.get_mut(i)
        {
            set.insert((packet.timeout_height, key));
        }
    }

    pub(super) fn unindex_timeout(&mut self, key: Key) {
        let Some(packet) = self.packets.get(&key).and_then(|e| e.record.packet.clone()) else {
            return;
        };
        let i = key.from.other().index();
        if let Some(set) = self.timeouts.get_mut(i) {
            set.remove(&(packet.timeout_timestamp, key));
        }
        if let Some(set) = self.timeout_heights.get_mut(i) {
            set.remove(&(packet.timeout_height, key));
        }
    }
}
