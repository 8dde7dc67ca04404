//! What the engine knows of each of the path's two chains and of the client there.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::io::{AttemptId, ClientRead};
use crate::id::{Height, Timestamp};
use crate::packet::At;

/// Consensus heights of a client and block times remembered; older ones are only good for proofs nobody asks for any more.
const REMEMBERED: usize = 256;

/// The client on one side, tracking the other.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) read: ClientRead,
    pub(super) heights: BTreeSet<Height>,
    pub(super) pending: Option<(Height, AttemptId)>,
    pub(super) upkeep_not_before: u64,
}

impl Client {
    pub(super) fn new(read: ClientRead) -> Self {
        Self { heights: BTreeSet::from([read.latest]), read, pending: None, upkeep_not_before: 0 }
    }

    pub(super) fn holds(&mut self, height: Height, time: Option<Timestamp>) {
        self.heights.insert(height);
        while self.heights.len() > REMEMBERED {
            self.heights.pop_first();
        }
        if height > self.read.latest {
            self.read.latest = height;
            if let Some(time) = time {
                self.read.latest_time = self.read.latest_time.max(time);
            }
        }
    }

    /// Whether a batch with proofs at `height` needs an update first.
    pub(super) fn needs(&self, height: Height) -> bool {
        !self.heights.contains(&height) && self.pending.is_none_or(|(pending, _)| pending != height)
    }
}

/// One chain of the path.
#[derive(Debug, Clone, Default)]
pub(super) struct End {
    /// The newest block taken in.
    pub(super) seen: Option<At>,
    pub(super) times: BTreeMap<Height, Timestamp>,
    pub(super) client: Option<Client>,
    /// Prove effects under way on this side's state, live and backlog.
    pub(super) proving: [usize; 2],
    /// Submissions under way to this side, live and backlog.
    pub(super) submitting: [usize; 2],
}

impl End {
    pub(super) fn saw(&mut self, at: At) {
        if self.seen.is_none_or(|s| s.height < at.height) {
            self.seen = Some(at);
        }
        self.times.insert(at.height, at.time);
        while self.times.len() > REMEMBERED {
            self.times.pop_first();
        }
    }

    /// The time of a block, or of the newest one known when it is not remembered.
    pub(super) fn time_of(&self, height: Height) -> Option<Timestamp> {
        self.times.get(&height).copied().or_else(|| self.seen.map(|s| s.time))
    }
}
