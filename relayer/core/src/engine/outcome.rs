//! Answers to effects: proofs had or refused, submissions committed or failed.

use super::{Attempt, AttemptId, AttemptOutcome, Blame, Engine, Key, Notice, ProveFailure, Stage, class, proving_side};
use crate::error::{Remedy, TxFailure};
use crate::message::Proof;
use crate::record::Action;

impl Engine {
    pub(super) fn proved(&mut self, now: u64, id: u64, results: Vec<(Key, Result<Proof, ProveFailure>)>) {
        let Some(asked) = self.close_prove(id) else { return };
        for (key, result) in results {
            let work = self.packets.get(&key).and_then(|e| e.work.as_ref());
            let Some(work) = work.filter(|w| w.stage == Stage::Proving { id }) else {
                continue;
            };
            let proving = proving_side(key, work.action);
            match result {
                Ok(proof) => {
                    if let Some(entry) = self.packets.get_mut(&key) {
                        entry.proven = true;
                    }
                    self.set_stage(key, Stage::Ready { proof, since: now });
                }
                Err(failure) => {
                    let reason = match failure {
                        ProveFailure::Refused(reason) | ProveFailure::Later { reason, .. } => reason,
                    };
                    // The source's own state has refuted what was said of it, whatever was to be proven.
                    let of_source = matches!(reason, "phantom_event" | "commitment_mismatch");
                    let side = if of_source { key.from } else { proving };
                    if let Some(name) = self.name(key) {
                        self.notice(Notice::ProofRefused { key: name, side, reason });
                    }
                    match failure {
                        ProveFailure::Refused(reason) => self.refuse(now, key, reason),
                        ProveFailure::Later { after_ms, .. } => self.again(now, key, false, after_ms, None),
                    }
                }
            }
        }
        // A key without an answer is asked for again.
        for key in asked {
            if self.packets.get(&key).and_then(|e| e.work.as_ref()).is_some_and(|w| w.stage == Stage::Proving { id }) {
                self.again(now, key, false, 0, None);
            }
        }
    }

    fn close_prove(&mut self, id: u64) -> Option<Vec<Key>> {
        let (side, backlog, keys) = self.proves.remove(&id)?;
        let end = self.end_mut(side);
        if let Some(n) = end.proving.get_mut(class(backlog)) {
            *n = n.saturating_sub(1);
        }
        Some(keys)
    }

    pub(super) fn outcome(&mut self, now: u64, id: AttemptId, outcome: AttemptOutcome) {
        match outcome {
            AttemptOutcome::Committed { height } => {
                let Some(attempt) = self.attempts.get_mut(&id) else {
                    return;
                };
                attempt.committed = Some(height);
                let side = attempt.side;
                if let Some(updated) = attempt.update {
                    let time = self.end(side.other()).time_of(updated);
                    if let Some(client) = self.end_mut(side).client.as_mut() {
                        client.holds(updated, time);
                    }
                }
                if self.end(side).seen.is_some_and(|s| s.height >= height) {
                    self.landed(now, id);
                }
            }
            AttemptOutcome::Failed { failure, blame } => self.failed(now, id, &failure, &blame),
        }
    }

    fn close_attempt(&mut self, id: AttemptId) -> Option<Attempt> {
        let attempt = self.attempts.remove(&id)?;
        let end = self.end_mut(attempt.side);
        if let Some(n) = end.submitting.get_mut(class(attempt.backlog)) {
            *n = n.saturating_sub(1);
        }
        if let Some(client) = end.client.as_mut().filter(|c| c.pending.is_some_and(|(_, p)| p == id)) {
            client.pending = None;
        }
        Some(attempt)
    }

    fn flying(&self, key: Key, id: AttemptId) -> Option<Action> {
        let work = self.packets.get(&key)?.work.as_ref()?;
        (work.stage == Stage::InFlight { id }).then_some(work.action)
    }

    /// A successful transaction's block has been taken in: what its facts did not settle did nothing.
    pub(super) fn landed(&mut self, now: u64, id: AttemptId) {
        let Some(attempt) = self.close_attempt(id) else { return };
        for key in attempt.keys {
            if let Some(action) = self.flying(key, id) {
                if let Some(name) = self.name(key) {
                    self.notice(Notice::Redundant { key: name, action });
                }
                // Alone from now on: a node refuses a transaction whose only packet was relayed already, for nothing.
                self.again(now, key, true, 1_000, Some(1));
            }
        }
    }

    fn failed(&mut self, now: u64, id: AttemptId, failure: &TxFailure, blame: &Blame) {
        let Some(attempt) = self.close_attempt(id) else { return };
        let remedy = failure.remedy();
        if remedy == Remedy::Halt {
            self.notice(Notice::Halted { side: attempt.side, reason: failure.label() });
        }
        if attempt.keys.is_empty()
            && let Some(client) = self.end_mut(attempt.side).client.as_mut()
        {
            client.upkeep_not_before = now.saturating_add(10_000_000_000);
        }
        let half = attempt.keys.len().div_ceil(2);
        for (n, key) in attempt.keys.iter().enumerate() {
            if self.flying(*key, id).is_none() {
                continue;
            }
            match remedy {
                Remedy::Drop => match blame {
                    // What ails all of them is hardly each one's own.
                    Blame::Messages(bad) if bad.len() > 1 && bad.len() == attempt.keys.len() => {
                        self.again_spread_by(id.0, now, *key, true, 1_000, Some(half));
                    }
                    Blame::Messages(bad) if bad.contains(&n) => self.again(now, *key, true, 0, Some(1)),
                    Blame::Messages(_) => self.again(now, *key, false, 0, None),
                    // No packet's fault, but each time may have cost a fee: counted, or it would go on for ever; and tried for all together.
                    Blame::Update => self.again_spread_by(id.0, now, *key, true, 1_000, None),
                    Blame::Unknown => self.again(now, *key, half == 1, 0, Some(half)),
                },
                Remedy::Halt => self.again(now, *key, false, 10_000, None),
                Remedy::Refresh => self.again(now, *key, false, 1_000, None),
                Remedy::Retry { after_ms } => self.again(now, *key, false, after_ms, None),
            }
        }
    }
}
