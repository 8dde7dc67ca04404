//! What an operator sees of the engine: counts per channel, single packets, clients.

use std::collections::BTreeMap;

use super::{ChannelPair, ClientRead, Engine, Stage};
use crate::id::{Sequence, Timestamp};
use crate::packet::{At, PacketKey, PortChannel, Side};
use crate::record::{Action, Phase};

/// Counts of one channel and direction, for status and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Packets not yet received.
    pub unreceived: usize,
    /// Received, not yet acknowledged.
    pub unacknowledged: usize,
    /// Send time of the oldest open one.
    pub oldest: Option<Timestamp>,
}

/// One packet, for `packets pending`.
#[derive(Debug, Clone, PartialEq)]
pub struct PacketView {
    /// Its name.
    pub key: PacketKey,
    /// Phase.
    pub phase: Phase,
    /// Action under way or waiting.
    pub action: Option<Action>,
    /// Where that stands: queued, proving, ready, in_flight.
    pub stage: Option<&'static str>,
    /// Failures so far.
    pub tries: u32,
    /// Why it FAILED.
    pub reason: Option<&'static str>,
    /// Send block.
    pub sent: Option<At>,
}

impl Engine {
    /// Open packets of each channel and direction.
    pub fn backlog(&self) -> BTreeMap<(Side, u16), Backlog> {
        let mut out: BTreeMap<(Side, u16), Backlog> = BTreeMap::new();
        for side in Side::BOTH {
            for (_, n) in self.channels.iter().zip(0u16..) {
                out.insert((side, n), Backlog::default());
            }
        }
        for (key, entry) in &self.packets {
            if entry.record.phase(false).ended() || entry.record.packet.is_none() {
                continue;
            }
            let b = out.entry((key.from, key.channel)).or_default();
            let n = if entry.record.received.is_some() { &mut b.unacknowledged } else { &mut b.unreceived };
            *n = n.saturating_add(1);
            if let Some(sent) = entry.record.sent {
                b.oldest = Some(b.oldest.map_or(sent.time, |o| o.min(sent.time)));
            }
        }
        out
    }

    /// Open packets, and ended ones when asked for, in order, at most `most`.
    pub fn packets(&self, ended: bool, most: usize) -> Vec<PacketView> {
        self.packets
            .iter()
            .filter(|(_, e)| ended || !e.record.phase(false).ended())
            .take(most)
            .filter_map(|(key, e)| {
                let work = e.work.as_ref();
                Some(PacketView {
                    key: self.name(*key)?,
                    phase: e.record.phase(work.is_some_and(|w| !matches!(w.stage, Stage::Queued { .. }))),
                    action: work.map(|w| w.action),
                    stage: work.map(|w| match w.stage {
                        Stage::Queued { .. } => "queued",
                        Stage::Proving { .. } => "proving",
                        Stage::Ready { .. } => "ready",
                        Stage::InFlight { .. } => "in_flight",
                    }),
                    tries: work.map_or(0, |w| w.waits),
                    reason: e.record.refused,
                    sent: e.record.sent,
                })
            })
            .collect()
    }

    /// Of these sequences, the ones of which a channel's packets are already known and open or ended here.
    pub fn knows(&self, from: Side, source: &PortChannel, sequence: Sequence) -> bool {
        self.key_of(from, source, sequence)
            .is_some_and(|k| self.packets.get(&k).is_some_and(|e| e.record.packet.is_some()))
    }

    /// The same of a packet whose acknowledgement is known, too, or of no use any more.
    pub fn knows_ack(&self, from: Side, source: &PortChannel, sequence: Sequence) -> bool {
        self.key_of(from, source, sequence)
            .and_then(|k| self.packets.get(&k))
            .is_some_and(|e| e.record.packet.is_some() && (e.record.ack.is_some() || e.record.phase(false).ended()))
    }

    /// The channels, in the order of their numbers.
    pub fn channels(&self) -> &[ChannelPair] {
        &self.channels
    }

    /// The newest block taken in from a side.
    pub fn seen(&self, side: Side) -> Option<At> {
        self.end(side).seen
    }

    /// The client on a side, as last known.
    pub fn client(&self, side: Side) -> Option<&ClientRead> {
        self.end(side).client.as_ref().map(|c| &c.read)
    }

    /// Packets in submissions without an outcome.
    pub fn in_flight(&self) -> usize {
        self.attempts.values().map(|a| a.keys.len()).sum()
    }

    /// Open packets in all.
    pub fn open(&self) -> usize {
        self.open
    }
}
