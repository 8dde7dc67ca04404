//! Justifications: the votes that finalize a block.
//!
//! In a round of GRANDPA each authority precommits to the highest block it wants final, which also counts for every
//! ancestor of that block. A block is final once precommits that weigh more than two thirds of the set are for it or for
//! its descendants. A justification shows them: a target, signed precommits, and the headers that lead from each
//! precommit's block back to the target.
//!
//! **Spec**: GRANDPA, section 2 (Stewart, Kokoris-Kogia 2020), as Substrate encodes it in SCALE; the strict rules of
//! bridges: one vote an authority, no vote and no header that is not needed.
//!
//! **What is stricter than a node.** A node counts an authority that voted twice for everything, and includes both votes.
//! Here a second vote is refused: [`Justification::trim`] leaves such votes out, and others beyond the threshold, too.
//!
//! **Signatures** are ed25519 by the ZIP-215 rule, which is Substrate's (ed25519-zebra) and CosmWasm's, over the SCALE of
//! (precommit, round, set id). Every vote given is verified, after everything else was checked.

use super::header::SubstrateHeader;
use super::{AuthoritySet, Fault, Hash};
use crate::limits::{MAX_JUSTIFICATION_BYTES, MAX_VOTE_ANCESTRIES};
use crate::wire::within;
use crate::{Part, Reason};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use parity_scale_codec::{Decode, DecodeAll, Encode};

/// Whether this key signed this message so.
pub type VerifySignature<'a> = &'a dyn Fn(&[u8; 32], &[u8], &[u8; 64]) -> bool;

/// A vote for a block and all its ancestors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Precommit {
    /// Hash of the block.
    pub target_hash: Hash,
    /// Number of the block.
    pub target_number: u32,
}

/// A vote with its signature and voter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SignedPrecommit {
    /// The vote.
    pub precommit: Precommit,
    /// ed25519 over the SCALE of (precommit, round, set id).
    pub signature: [u8; 64],
    /// The voter's key.
    pub id: [u8; 32],
}

/// The block that is final, and the votes for it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Commit {
    /// Hash of the final block.
    pub target_hash: Hash,
    /// Number of the final block.
    pub target_number: u32,
    /// Votes for it or its descendants.
    pub precommits: Vec<SignedPrecommit>,
}

/// Substrate's `GrandpaJustification`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Justification {
    /// Round in which the votes were cast.
    pub round: u64,
    /// The final block and its votes.
    pub commit: Commit,
    /// Headers from the blocks of the votes back to the target, without the target's.
    pub votes_ancestries: Vec<SubstrateHeader>,
}

impl Justification {
    /// Decodes all of the bytes.
    pub fn decode_bytes(bytes: &[u8]) -> Result<Self, Reason> {
        within(bytes.len(), MAX_JUSTIFICATION_BYTES, Part::Justification)?;
        let justification = Self::decode_all(&mut { bytes });
        let justification = justification.map_err(|_| Reason::Undecodable { part: Part::Justification })?;
        within(justification.votes_ancestries.len(), MAX_VOTE_ANCESTRIES, Part::VoteAncestries)?;
        Ok(justification)
    }

    /// Verifies that the set finalized the target.
    pub fn verify(&self, set: &AuthoritySet) -> Result<(), Reason> {
        self.verify_with(set, &ed25519)
    }

    /// The same, with signatures verified by the host.
    pub fn verify_with(&self, set: &AuthoritySet, signed: VerifySignature<'_>) -> Result<(), Reason> {
        // More votes than authorities can't be without a second or a stranger's; so this bounds the signatures.
        within(self.commit.precommits.len(), set.len(), Part::Precommits)?;
        let tallied = self.tally(set)?;
        if tallied < set.threshold() {
            return Err(Reason::TooFewSigned { tallied, total: set.total() });
        }
        self.check_ancestries()?;
        for vote in &self.commit.precommits {
            if !signed(&vote.id, &signed_bytes(&vote.precommit, self.round, set.id()), &vote.signature) {
                return Err(Reason::Signature);
            }
        }
        Ok(())
    }

    /// Weight of the voters, none of them unknown or there twice.
    fn tally(&self, set: &AuthoritySet) -> Result<u64, Reason> {
        let mut voted: BTreeMap<&[u8; 32], &Precommit> = BTreeMap::new();
        let mut tallied = 0_u64;
        for (index, vote) in (0..).zip(&self.commit.precommits) {
            let weight = set.weight(&vote.id).ok_or(Fault::UnknownVoter { index })?;
            match voted.insert(&vote.id, &vote.precommit) {
                Some(first) if *first == vote.precommit => return Err(Fault::DuplicateVote { index }.into()),
                Some(_) => return Err(Fault::Equivocation { index }.into()),
                // Below the sum of all weights, which fits.
                None => tallied = tallied.saturating_add(weight),
            }
        }
        Ok(tallied)
    }

    /// Each vote's block descends from the target through headers that are there once and all needed.
    fn check_ancestries(&self) -> Result<(), Reason> {
        let headers = Ancestries::new(&self.votes_ancestries)?;
        let mut used = BTreeSet::new();
        for (index, vote) in (0..).zip(&self.commit.precommits) {
            let leads = headers.walk(&vote.precommit, &self.commit, &mut used);
            leads.ok_or(Fault::VoteAncestry { index })?;
        }
        let unused = self.votes_ancestries.len().saturating_sub(used.len());
        match u32::try_from(unused).unwrap_or(u32::MAX) {
            0 => Ok(()),
            count => Err(Fault::UnusedAncestry { count }.into()),
        }
    }

    /// Leaves out what [`verify`](Self::verify) refuses or does not need: votes of strangers, second votes, votes for
    /// blocks that don't descend from the target, votes beyond the threshold, and headers that no vote needs.
    ///
    /// Heavy voters are kept first, so that as few signatures as possible are paid for. Signatures are not verified here.
    pub fn trim(mut self, set: &AuthoritySet) -> Self {
        let Ok(headers) = Ancestries::new(&self.votes_ancestries) else { return self };
        let mut voters = BTreeSet::new();
        let mut votes: Vec<(u64, SignedPrecommit)> = Vec::new();
        for vote in &self.commit.precommits {
            let Some(weight) = set.weight(&vote.id) else { continue };
            let leads = headers.walk(&vote.precommit, &self.commit, &mut BTreeSet::new()).is_some();
            if leads && voters.insert(vote.id) {
                votes.push((weight, *vote));
            }
        }
        // Stable, and votes for the target itself need no headers.
        votes.sort_by_key(|(weight, vote)| {
            (core::cmp::Reverse(*weight), vote.precommit.target_number, vote.precommit.target_hash)
        });
        let mut tallied = 0_u64;
        votes.retain(|(weight, _)| {
            let needed = tallied < set.threshold();
            tallied = tallied.saturating_add(*weight);
            needed
        });
        let mut used = BTreeSet::new();
        for (_, vote) in &votes {
            headers.walk(&vote.precommit, &self.commit, &mut used);
        }
        self.commit.precommits = votes.into_iter().map(|(_, vote)| vote).collect();
        self.votes_ancestries.retain(|header| used.remove(&header.hash()));
        self
    }
}

/// Headers by their hash.
struct Ancestries(BTreeMap<Hash, (Hash, u32)>);

impl Ancestries {
    fn new(headers: &[SubstrateHeader]) -> Result<Self, Reason> {
        let mut all = BTreeMap::new();
        for (index, header) in (0..).zip(headers) {
            if all.insert(header.hash(), (header.parent_hash, header.number)).is_some() {
                return Err(Fault::DuplicateAncestry { index }.into());
            }
        }
        Ok(Self(all))
    }

    /// Walks from a vote's block back to the target or to a header that is known to lead there; `None` if it does not.
    fn walk(&self, vote: &Precommit, target: &Commit, used: &mut BTreeSet<Hash>) -> Option<()> {
        let (mut hash, mut number) = (vote.target_hash, vote.target_number);
        while hash != target.target_hash {
            let (parent, own_number) = self.0.get(&hash)?;
            if *own_number != number || number <= target.target_number {
                return None;
            }
            if !used.insert(hash) {
                return Some(());
            }
            (hash, number) = (*parent, number.checked_sub(1)?);
        }
        (number == target.target_number).then_some(())
    }
}

/// What a voter signs.
pub fn signed_bytes(precommit: &Precommit, round: u64, set_id: u64) -> Vec<u8> {
    /// Precommits are the second of GRANDPA's three messages.
    const PRECOMMIT: u8 = 1;
    (PRECOMMIT, precommit, round, set_id).encode()
}

/// ed25519 by the ZIP-215 rule.
pub(super) fn ed25519(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let key = ed25519_consensus::VerificationKey::try_from(*key);
    key.is_ok_and(|key| key.verify(&ed25519_consensus::Signature::from(*signature), message).is_ok())
}
