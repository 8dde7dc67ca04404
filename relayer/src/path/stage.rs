//! The stages of each packet's way, for the trace and the stage histogram.
//!
//! `observe` ends when the block's facts are taken in; `prove` when the node's proof is there; `verify` when our light client has the
//! header and the proof is checked; `limit` when the wallet's turn has come; `submit` when the node has the transaction; `confirm` when its
//! block is taken in. Each begins where the one before ended, so they add up to the whole of a packet that needed no second try.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use relayer_core::packet::{PacketKey, Side};
use relayer_core::record::Action;

use super::Path;
use crate::telemetry::metrics::Stage;
use crate::telemetry::trace::{PacketTrace, Role, SpanDetails};

/// Packets whose trace is open at most; further ones go without.
const TRACES: usize = 50_000;

/// Wall clock, ns since the Unix epoch: spans of several machines must fit together.
pub(crate) fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

#[derive(Default)]
pub(crate) struct Stages(Mutex<HashMap<PacketKey, Open>>);

struct Open {
    trace: PacketTrace,
    /// Where the last stage ended, ns.
    upto: u64,
    /// Submissions without a reply yet: the blocks may tell of their effect first.
    flights: u32,
    /// How and when the packet ended, while submissions are out.
    ended: Option<(&'static str, u64)>,
}

impl Stages {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<PacketKey, Open>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn begin(&self, key: PacketKey, trace: PacketTrace, upto: u64) {
        self.with(|open| {
            if open.len() < TRACES {
                open.insert(key, Open { trace, upto, flights: 0, ended: None });
            }
        });
    }

    /// The packet ended; its root span closes when no submission of it is out any more.
    pub(super) fn end(&self, key: &PacketKey, status: &'static str, at_ns: u64) {
        self.with(|open| {
            if let Some(packet) = open.get_mut(key) {
                packet.ended = Some((status, at_ns));
                close(open, key);
            }
        });
    }

    /// These packets are in a submission.
    pub(super) fn flight(&self, keys: &[PacketKey]) {
        self.with(|open| {
            for key in keys {
                if let Some(packet) = open.get_mut(key) {
                    packet.flights += 1;
                }
            }
        });
    }

    /// The submission has its reply.
    pub(super) fn landed(&self, keys: &[PacketKey]) {
        self.with(|open| {
            for key in keys {
                if let Some(packet) = open.get_mut(key) {
                    packet.flights = packet.flights.saturating_sub(1);
                    close(open, key);
                }
            }
        });
    }
}

fn close(open: &mut HashMap<PacketKey, Open>, key: &PacketKey) {
    if let Some((status, at_ns)) = open.get(key).filter(|p| p.flights == 0).and_then(|p| p.ended)
        && let Some(packet) = open.remove(key)
    {
        packet.trace.end(status, at_ns);
    }
}

/// The role of the chain that a stage works on.
fn role(key: &PacketKey, on: Side) -> Role {
    if key.from == on { Role::Source } else { Role::Target }
}

impl Path {
    /// A stage of these packets ended at `end_ns`, on chain `on`.
    pub(crate) fn stage(&self, keys: &[PacketKey], stage: Stage, on: Side, end_ns: u64, details: &SpanDetails) {
        self.stages.with(|open| {
            for key in keys {
                let Some(packet) = open.get_mut(key) else { continue };
                let start = packet.upto.min(end_ns);
                self.shared.metrics.stage(stage, (end_ns - start) as f64 / 1e6);
                packet.trace.stage(stage, role(key, on), start, end_ns, details.clone());
                packet.upto = end_ns;
            }
        });
    }

    /// Waiting that belongs to no stage (a chain's own progress, a backoff) is left out: the next stage begins now.
    pub(crate) fn stage_begins(&self, keys: &[PacketKey], at_ns: u64) {
        self.stages.with(|open| {
            for key in keys {
                if let Some(packet) = open.get_mut(key) {
                    packet.upto = at_ns;
                }
            }
        });
    }
}

/// The name of a message's purpose in spans.
pub(crate) fn action_name(action: Action) -> &'static str {
    match action {
        Action::Recv => "recv",
        Action::Ack => "ack",
        Action::Timeout => "timeout",
    }
}
