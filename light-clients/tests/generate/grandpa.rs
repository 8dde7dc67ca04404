//! Substrate chains with real votes.

use ed25519_consensus::SigningKey;
use light_clients::grandpa::{
    Authority, AuthoritySet, Commit, ConsensusLog, Digest, DigestItem, Finality, HeaderChain, Justification,
    NextAuthorities, Precommit, SignedPrecommit, SubstrateHeader, authorities_hash, signed_bytes,
};
use parity_scale_codec::Encode;

/// An authority with its key.
#[derive(Clone)]
pub(crate) struct Voter {
    pub(crate) key: SigningKey,
    pub(crate) weight: u64,
}

/// Authorities with these weights; the first has this seed, the next the one after it.
pub(crate) fn voters(seed: u16, weights: &[u64]) -> Vec<Voter> {
    let voter = |(seed, weight): (u16, &u64)| {
        let mut bytes = [9; 32];
        bytes[..2].copy_from_slice(&seed.to_be_bytes());
        Voter { key: SigningKey::from(bytes), weight: *weight }
    };
    (seed..).zip(weights).map(voter).collect()
}

pub(crate) fn authorities(voters: &[Voter]) -> Vec<Authority> {
    voters
        .iter()
        .map(|voter| Authority { key: *voter.key.verification_key().as_bytes(), weight: voter.weight })
        .collect()
}

pub(crate) fn set(id: u64, voters: &[Voter]) -> AuthoritySet {
    AuthoritySet::new(id, &authorities(voters)).unwrap()
}

/// A header on top of another; `salt` tells forks apart.
pub(crate) fn child(parent: &SubstrateHeader, salt: u8) -> SubstrateHeader {
    SubstrateHeader {
        parent_hash: parent.hash(),
        number: parent.number + 1,
        state_root: [salt; 32],
        extrinsics_root: [salt; 32],
        digest: Digest(vec![
            DigestItem::PreRuntime(*b"aura", vec![salt; 8]),
            DigestItem::Seal(*b"aura", vec![salt; 64]),
        ]),
    }
}

/// The first header of a chain.
pub(crate) fn genesis() -> SubstrateHeader {
    let digest = Digest(Vec::new());
    SubstrateHeader { parent_hash: [0; 32], number: 0, state_root: [1; 32], extrinsics_root: [2; 32], digest }
}

/// So many headers on top of another, which is not among them.
pub(crate) fn chain(on: &SubstrateHeader, count: usize, salt: u8) -> Vec<SubstrateHeader> {
    let mut headers: Vec<SubstrateHeader> = Vec::new();
    for _ in 0..count {
        let next = child(headers.last().unwrap_or(on), salt);
        headers.push(next);
    }
    headers
}

/// Announces something to GRANDPA in a header.
pub(crate) fn announce(header: &mut SubstrateHeader, log: ConsensusLog) {
    header.digest.0.push(DigestItem::Consensus(*b"FRNK", log.encode()));
}

pub(crate) fn scheduled(voters: &[Voter], delay: u32) -> ConsensusLog {
    ConsensusLog::ScheduledChange(NextAuthorities { authorities: authorities(voters), delay })
}

/// Hashes the headers anew after one was changed: each becomes the child of the one before.
pub(crate) fn relink(on: &SubstrateHeader, headers: &mut [SubstrateHeader]) {
    let mut parent = on.hash();
    for header in headers {
        header.parent_hash = parent;
        parent = header.hash();
    }
}

pub(crate) fn decoded(headers: &[SubstrateHeader]) -> HeaderChain {
    HeaderChain::decode(&headers.iter().map(Encode::encode).collect::<Vec<_>>()).unwrap()
}

/// The block is final; these vote next.
pub(crate) fn finality(block: &SubstrateHeader, set_id: u64, voters: &[Voter]) -> Finality {
    let authorities_hash = authorities_hash(&authorities(voters));
    Finality { number: block.number, hash: block.hash(), set_id, authorities_hash, change: None }
}

pub(crate) fn precommit(block: &SubstrateHeader) -> Precommit {
    Precommit { target_hash: block.hash(), target_number: block.number }
}

pub(crate) fn vote(voter: &Voter, precommit: Precommit, round: u64, set_id: u64) -> SignedPrecommit {
    let signature = voter.key.sign(&signed_bytes(&precommit, round, set_id)).to_bytes();
    SignedPrecommit { precommit, signature, id: *voter.key.verification_key().as_bytes() }
}

pub(crate) const ROUND: u64 = 31;

/// All of these vote for the target.
pub(crate) fn justify(target: &SubstrateHeader, voters: &[Voter], set_id: u64) -> Justification {
    let precommits = voters.iter().map(|voter| vote(voter, precommit(target), ROUND, set_id)).collect();
    let commit = Commit { target_hash: target.hash(), target_number: target.number, precommits };
    Justification { round: ROUND, commit, votes_ancestries: Vec::new() }
}
