//! The account sequence of one wallet on one chain, with several transactions in flight.
//!
//! ```text
//!            synced(n)                reserve / accepted
//!  Resync ------------> Ready(next) <--------------------.
//!    ^                    |  |__________________________|
//!    |  mismatch without an expected number, unknown outcome
//!    '--------------------'
//! ```
//!
//! A sequence is taken by [`Lane::accepted`] only: a failed broadcast steps nothing. A mismatch that names the expected sequence is
//! followed at once; one that does not, and a broadcast whose outcome is unknown, lead to `Resync`, which waits for the chain's committed state.
//! Reusing the sequence of a transaction whose fate is unknown is safe: a chain includes at most one of the two. Both stay in flight until
//! their own outcome or timeout height, so neither is forgotten.

use std::collections::BTreeMap;

use crate::error::TxFailure;
use crate::id::{AccountSequence, Height, TxHash};

/// What a lane may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Sign with this sequence.
    Sign(AccountSequence),
    /// Ask the chain for the account's sequence first.
    Sync,
    /// As many transactions in flight as allowed: wait for outcomes.
    Full,
}

/// A transaction in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flight {
    /// Its hash.
    pub hash: TxHash,
    /// It can't be included above this height.
    pub timeout_height: Height,
}

/// The state machine.
#[derive(Debug, Clone)]
pub struct Lane {
    next: Option<AccountSequence>,
    flights: BTreeMap<(AccountSequence, TxHash), Height>,
    /// Their account sequence was used by another one: they can't be included any more.
    overtaken: Vec<TxHash>,
    most: usize,
    resyncs: u64,
}

impl Lane {
    /// A lane that starts in `Resync`, with at most `most` transactions in flight.
    pub fn new(most: usize) -> Self {
        Self { next: None, flights: BTreeMap::new(), overtaken: Vec::new(), most: most.max(1), resyncs: 0 }
    }

    /// What may be done now.
    pub fn turn(&self) -> Turn {
        match self.next {
            _ if self.flights.len() >= self.most => Turn::Full,
            Some(next) => Turn::Sign(next),
            None => Turn::Sync,
        }
    }

    /// The chain's committed sequence. What is below it has been decided; what is in flight above it still counts. A gap that a lost one left
    /// between them is filled first: chains that keep transactions of later sequences waiting include none of them before that.
    pub fn synced(&mut self, committed: AccountSequence) {
        self.next = Some(self.free(committed));
    }

    /// The lowest sequence from this on that nothing in flight has.
    fn free(&self, from: AccountSequence) -> AccountSequence {
        let taken = self.flights.keys().map(|(sequence, _)| *sequence).filter(|sequence| *sequence >= from);
        taken.fold(from, |free, taken| if taken == free { AccountSequence(free.0.saturating_add(1)) } else { free })
    }

    /// The node took the transaction that was signed with `sequence`.
    pub fn accepted(&mut self, sequence: AccountSequence, flight: Flight) {
        self.flights.insert((sequence, flight.hash), flight.timeout_height);
        if self.next == Some(sequence) {
            self.next = Some(self.free(AccountSequence(sequence.0.saturating_add(1))));
        }
    }

    /// The node refused a broadcast, or its answer is unknown.
    pub fn refused(&mut self, failure: &TxFailure) {
        match failure {
            TxFailure::SequenceMismatch { expected: Some(expected) } => {
                self.resyncs = self.resyncs.saturating_add(1);
                self.next = Some(*expected);
            }
            TxFailure::SequenceMismatch { expected: None } | TxFailure::Chain(_) | TxFailure::AlreadyKnown => {
                self.resyncs = self.resyncs.saturating_add(1);
                self.next = None;
            }
            _ => {}
        }
    }

    /// The transaction is in a block: no other one with its account sequence, or an earlier one, can be any more.
    pub fn resolved(&mut self, hash: TxHash) -> bool {
        let Some((used, _)) = self.flights.keys().find(|(_, flying)| *flying == hash).copied() else {
            return false;
        };
        let later = self.flights.split_off(&(AccountSequence(used.0.saturating_add(1)), TxHash([0; 32])));
        let decided = std::mem::replace(&mut self.flights, later);
        self.overtaken.extend(decided.into_keys().map(|(_, flying)| flying).filter(|flying| *flying != hash));
        true
    }

    /// Transactions which a chain at `height` can't include any more, whose blocks up to there have been told: overtaken ones, and those past
    /// their timeout height. They leave the lane; after a timeout it reads the chain's sequence anew.
    pub fn expired(&mut self, height: Height) -> Vec<TxHash> {
        let late = self.flights.iter().filter(|(_, timeout)| **timeout < height);
        let mut gone: Vec<TxHash> = late.map(|((_, hash), _)| *hash).collect();
        if !gone.is_empty() {
            self.flights.retain(|_, timeout| *timeout >= height);
            self.next = None;
            self.resyncs = self.resyncs.saturating_add(1);
        }
        gone.append(&mut self.overtaken);
        gone
    }

    /// Transactions in flight.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// How often the sequence had to be read anew.
    pub fn resyncs(&self) -> u64 {
        self.resyncs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(n: u8) -> Flight {
        Flight { hash: TxHash([n; 32]), timeout_height: Height::new(1, 100) }
    }

    #[test]
    fn a_failed_broadcast_steps_nothing() {
        let mut lane = Lane::new(4);
        assert_eq!(lane.turn(), Turn::Sync);
        lane.synced(AccountSequence(7));
        assert_eq!(lane.turn(), Turn::Sign(AccountSequence(7)));
        lane.refused(&TxFailure::InsufficientFunds);
        assert_eq!(lane.turn(), Turn::Sign(AccountSequence(7)));
        lane.accepted(AccountSequence(7), flight(1));
        assert_eq!(lane.turn(), Turn::Sign(AccountSequence(8)));
    }

    #[test]
    fn a_mismatch_is_followed_and_an_unknown_answer_is_read_from_the_chain() {
        let mut lane = Lane::new(4);
        lane.synced(AccountSequence(1));
        lane.refused(&TxFailure::SequenceMismatch { expected: Some(AccountSequence(5)) });
        assert_eq!(lane.turn(), Turn::Sign(AccountSequence(5)));
        lane.refused(&TxFailure::SequenceMismatch { expected: None });
        assert_eq!(lane.turn(), Turn::Sync);
        assert_eq!(lane.resyncs(), 2);
    }

    #[test]
    fn flights_are_bounded_and_leave_when_resolved_or_expired() {
        let mut lane = Lane::new(2);
        lane.synced(AccountSequence(1));
        lane.accepted(AccountSequence(1), flight(1));
        lane.accepted(AccountSequence(2), flight(2));
        assert_eq!(lane.turn(), Turn::Full);
        assert!(lane.resolved(TxHash([1; 32])));
        assert!(!lane.resolved(TxHash([1; 32])));
        assert_eq!(lane.turn(), Turn::Sign(AccountSequence(3)));
        assert!(lane.expired(Height::new(1, 100)).is_empty());
        assert_eq!(lane.expired(Height::new(1, 101)), vec![TxHash([2; 32])]);
        assert_eq!(lane.turn(), Turn::Sync);
    }

    #[test]
    fn of_two_transactions_with_one_sequence_neither_is_forgotten() {
        let mut lane = Lane::new(4);
        lane.synced(AccountSequence(1));
        // No answer to the first; the node never had it and asks for its sequence again.
        lane.accepted(AccountSequence(1), flight(1));
        lane.refused(&TxFailure::SequenceMismatch { expected: Some(AccountSequence(1)) });
        lane.accepted(AccountSequence(1), Flight { timeout_height: Height::new(1, 200), ..flight(2) });
        assert_eq!(lane.in_flight(), 2);
        assert_eq!(lane.turn(), Turn::Sign(AccountSequence(2)));
        assert!(lane.resolved(TxHash([2; 32])));
        assert_eq!(lane.expired(Height::new(1, 101)), vec![TxHash([1; 32])]);
        assert_eq!(lane.in_flight(), 0);
    }

    #[test]
    fn a_gap_that_a_lost_transaction_left_is_filled_first() {
        let mut lane = Lane::new(8);
        lane.synced(AccountSequence(5));
        for n in 5..=7 {
            let timeout_height = Height::new(1, if n == 5 { 100 } else { 200 });
            lane.accepted(AccountSequence(n), Flight { timeout_height, ..flight(u8::try_from(n).unwrap()) });
        }
        // The node dropped the first one and keeps the others waiting for it.
        assert_eq!(lane.expired(Height::new(1, 101)), vec![TxHash([5; 32])]);
        lane.synced(AccountSequence(5));
        assert_eq!(lane.turn(), Turn::Sign(AccountSequence(5)));
        lane.accepted(AccountSequence(5), Flight { timeout_height: Height::new(1, 300), ..flight(9) });
        assert_eq!(lane.turn(), Turn::Sign(AccountSequence(8)));
    }

    #[test]
    fn a_sync_counts_what_is_still_in_flight() {
        let mut lane = Lane::new(4);
        lane.synced(AccountSequence(1));
        lane.accepted(AccountSequence(1), flight(1));
        lane.refused(&TxFailure::SequenceMismatch { expected: None });
        lane.synced(AccountSequence(1));
        assert_eq!(lane.turn(), Turn::Sign(AccountSequence(2)));
    }

    #[test]
    fn a_transaction_whose_account_sequence_another_one_used_is_given_back() {
        let mut lane = Lane::new(4);
        lane.synced(AccountSequence(1));
        // The node's answer got lost, and so did the transaction.
        lane.accepted(AccountSequence(1), flight(1));
        lane.refused(&TxFailure::SequenceMismatch { expected: Some(AccountSequence(1)) });
        assert_eq!(lane.turn(), Turn::Sign(AccountSequence(1)));
        lane.accepted(AccountSequence(1), flight(2));
        lane.accepted(AccountSequence(2), flight(3));
        assert_eq!(lane.in_flight(), 3);
        assert!(lane.expired(Height::new(1, 50)).is_empty());
        assert!(lane.resolved(TxHash([2; 32])));
        assert_eq!(lane.expired(Height::new(1, 50)), vec![TxHash([1; 32])]);
        assert_eq!((lane.in_flight(), lane.turn()), (1, Turn::Sign(AccountSequence(3))));
    }
}
