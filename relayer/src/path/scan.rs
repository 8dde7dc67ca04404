//! Recovery: open packets read from the chains' state, then their data from the blocks that hold it.
//!
//! Runs at start, at an interval, after a gap and on command, per channel and direction: commitments on the source, which of them the
//! destination has not received, which it has acknowledged. State is complete whatever happened to events, so a relayer that was down, or
//! whose journal is gone, starts here and misses nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use relayer_core::chain::{History, Pending};
use relayer_core::engine::{ChannelPair, Input};
use relayer_core::error::ChainError;
use relayer_core::fact::Fact;
use relayer_core::id::Sequence;
use relayer_core::packet::{At, Side};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Event, Path};
use crate::limits;

/// From an event that lied to the first reading of state, doubled while it is so again: a lying node has a moment to be quarantined or
/// mended.
const DOUBT: Duration = Duration::from_secs(1);

/// What one direction of a channel holds open.
pub(crate) struct Found {
    pub(super) side: Side,
    pub(super) pair: ChannelPair,
    pub(super) at: At,
    /// The destination's block before `unreceived` was read.
    pub(super) there: Option<At>,
    pub(super) open: Vec<Sequence>,
    pub(super) unreceived: Vec<Sequence>,
    pub(super) acknowledged: Vec<Sequence>,
}

/// Packets whose data is wanted.
pub(super) struct Wanted {
    pub(super) side: Side,
    pub(super) pair: ChannelPair,
    pub(super) sent: Vec<Sequence>,
    pub(super) acks: Vec<Sequence>,
}

/// When to scan: one at a time, at least one after each request for it.
pub(super) struct Scans {
    interval: Option<Duration>,
    next: Option<Instant>,
    parts: usize,
    again: bool,
    finished: u64,
    failed: bool,
    pauses: u32,
    doubted: bool,
    doubts: u32,
}

impl Scans {
    pub(super) fn new(interval: Option<Duration>) -> Self {
        let interval = interval.filter(|i| !i.is_zero());
        let next = interval.map(|i| Instant::now() + i);
        Self {
            interval,
            next,
            parts: 0,
            again: false,
            finished: 0,
            failed: false,
            pauses: 0,
            doubted: false,
            doubts: 0,
        }
    }
    pub(super) fn wanted(&mut self) {
        self.again = true;
        if self.parts == 0 {
            self.next = Some(Instant::now());
        }
    }
    /// An event lied or was unreadable. State is read soon, and while every reading finds such an event again, ever more rarely: a node
    /// that goes on lying, or a packet that is too large for good, costs little.
    pub(super) fn doubt(&mut self) {
        if self.doubted {
            return;
        }
        self.doubted = true;
        self.doubts = self.doubts.saturating_add(1);
        let at = Instant::now() + DOUBT.saturating_mul(1 << self.doubts.min(9).saturating_sub(1));
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
    pub(super) fn due(&self) -> bool {
        self.parts == 0 && self.next.is_some_and(|t| t <= Instant::now())
    }
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.next.filter(|_| self.parts == 0)
    }
    pub(super) fn begin(&mut self) {
        self.parts = 1;
        self.again = false;
        self.failed = false;
        if !std::mem::take(&mut self.doubted) {
            self.doubts = 0;
        }
        self.next = self.interval.map(|i| Instant::now() + i);
    }
    /// One part (the state of all channels) is over.
    pub(super) fn ended(&mut self, failed: bool) {
        self.parts = 0;
        self.failed |= failed;
        if self.failed {
            self.pauses = self.pauses.saturating_add(1);
            self.next = Some(Instant::now() + crate::follow::pause(self.pauses));
        } else {
            self.pauses = 0;
            self.finished = self.finished.saturating_add(1);
            if self.again {
                self.next = Some(Instant::now());
            }
        }
    }
    pub(super) fn finished(&self) -> u64 {
        self.finished
    }
}

/// The packet of which a fact tells what was looked for.
fn settles(fact: &Fact) -> Option<Sequence> {
    match fact {
        Fact::Sent(packet) | Fact::AckWritten(packet, _) => Some(packet.sequence),
        _ => None,
    }
}

impl Path {
    /// Reads what is open in all channels and both directions.
    pub(super) async fn scan(self: Arc<Self>, events: mpsc::Sender<Event>) {
        let mut result = Ok(());
        for pair in &self.spec.channels {
            for side in Side::BOTH {
                match self.scan_direction(side, pair).await {
                    Ok(found) => {
                        if !found.open.is_empty() {
                            tracing::info!(
                                path = %self.spec.name, channel = %pair.end(side), chain = %self.chain(side).id(),
                                open = found.open.len(), unreceived = found.unreceived.len(), acknowledged = found.acknowledged.len(),
                                "open packets in state"
                            );
                        }
                        if events.send(Event::Pending(found)).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => result = Err(error),
                }
            }
        }
        events.send(Event::Scanned(result)).await.ok();
    }

    async fn scan_direction(&self, side: Side, pair: &ChannelPair) -> Result<Found, ChainError> {
        let (source, destination) = (self.chain(side), self.chain(side.other()));
        // Read before the commitments: what they say is at least as new.
        let head = source.head().await?;
        let open = source.pending(&Pending::Commitments(pair.end(side).clone())).await?;
        let end = pair.end(side.other()).clone();
        let (there, unreceived, acknowledged) = if open.is_empty() {
            (None, Vec::new(), Vec::new())
        } else {
            let there = destination.head().await?;
            let unreceived = Pending::Unreceived(end.clone(), open.clone());
            let acknowledged = Pending::Acknowledged(end, open.clone());
            let (unreceived, acknowledged) =
                tokio::try_join!(destination.pending(&unreceived), destination.pending(&acknowledged))?;
            (Some(At { height: there.height, time: there.time }), unreceived, acknowledged)
        };
        let at = At { height: head.height, time: head.time };
        Ok(Found { side, pair: pair.clone(), at, there, open, unreceived, acknowledged })
    }

    /// Fetches the data of packets found in state.
    pub(super) async fn past(self: Arc<Self>, wanted: Wanted, events: mpsc::Sender<Event>) {
        let sent = wanted
            .sent
            .chunks(limits::SCAN_SEQUENCES)
            .map(|s| (wanted.side, History::Sent(wanted.pair.end(wanted.side).clone(), s.to_vec())));
        let other = wanted.side.other();
        let acks = wanted
            .acks
            .chunks(limits::SCAN_SEQUENCES)
            .map(|s| (other, History::AckWritten(wanted.pair.end(other).clone(), s.to_vec())));
        for (side, what) in sent.chain(acks) {
            match self.chain(side).history(&what).await {
                Ok(facts) => {
                    let found: BTreeSet<Sequence> = facts.iter().filter_map(|(_, fact)| settles(fact)).collect();
                    let (History::Sent(_, asked) | History::AckWritten(_, asked)) = &what;
                    if asked.iter().any(|sequence| !found.contains(sequence))
                        && events.send(Event::Missing).await.is_err()
                    {
                        return;
                    }
                    if events.send(Event::Input(Input::Past { side, facts })).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(path = %self.spec.name, chain = %self.chain(side).id(), reason = error.label(), "packet history: {error}");
                    // The next scan finds them again.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    if events.send(Event::Gap).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
