//! Validator sets from outside: each rule that decides whose votes count, checked before they do.

use crate::limits::{MAX_TOTAL_VOTING_POWER, MAX_VALIDATORS};
use crate::wire::within;
use crate::{Part, Reason};
use alloc::vec::Vec;
use core::cmp::Reverse;
use tendermint::block::CommitSig;
use tendermint::validator::{Info, Set};
use tendermint_proto::v0_38::types::{Validator as RawValidator, ValidatorSet as RawValidatorSet};

/// Decodes a validator set as CometBFT's `ValidatorSetFromProto` does, and refuses what could be counted twice.
///
/// The set has to come ordered: the verifier below sorts silently, while the chain hashes the set as it came.
pub(super) fn decode_set(raw: RawValidatorSet, part: Part) -> Result<Set, Reason> {
    if raw.validators.is_empty() {
        return Err(Reason::Missing { part });
    }
    within(raw.validators.len(), MAX_VALIDATORS, part)?;
    check_powers(&raw.validators, part)?;
    let validators = raw
        .validators
        .into_iter()
        .map(|validator| Info::try_from(validator).map_err(|_| Reason::Undecodable { part }))
        .collect::<Result<Vec<_>, _>>()?;
    let proposer = raw.proposer.and_then(|proposer| Info::try_from(proposer).ok()).ok_or(Reason::Proposer { part })?;
    if validators.iter().all(|validator| validator.address != proposer.address) {
        return Err(Reason::Proposer { part });
    }
    if let Some(index) = first_duplicate(validators.iter().map(|validator| validator.address)) {
        return Err(Reason::DuplicateValidator { part, index });
    }
    let order = |validator: &Info| (Reverse(validator.power), validator.address);
    let sorted = validators.iter().zip(validators.iter().skip(1)).position(|(a, b)| order(a) > order(b));
    if let Some(index) = sorted {
        return Err(Reason::ValidatorOrder { part, index: index_of(index).saturating_add(1) });
    }
    // The sum is counted here; a total from outside is worth nothing, and CometBFT ignores it, too.
    Ok(Set::new(validators, Some(proposer)))
}

fn check_powers(validators: &[RawValidator], part: Part) -> Result<(), Reason> {
    let mut total: u64 = 0;
    for (index, validator) in validators.iter().enumerate() {
        let power = u64::try_from(validator.voting_power)
            .map_err(|_| Reason::NegativeVotingPower { part, index: index_of(index) })?;
        total = total
            .checked_add(power)
            .filter(|total| *total <= MAX_TOTAL_VOTING_POWER)
            .ok_or(Reason::VotingPowerOverflow { part })?;
    }
    Ok(())
}

/// Checks that the votes are those of the validators, in their order: one each, under its own name.
///
/// CometBFT finds the voter by place and the verifier below by address. Where both agree, nobody is counted twice or
/// under another's name.
pub(super) fn check_votes(votes: &[CommitSig], set: &Set) -> Result<(), Reason> {
    let validators = set.validators();
    if votes.len() != validators.len() {
        return Err(Reason::VoteCount { votes: index_of(votes.len()), validators: index_of(validators.len()) });
    }
    if votes.iter().all(CommitSig::is_absent) {
        return Err(Reason::NoVotes);
    }
    if let Some(index) = first_duplicate(votes.iter().filter_map(CommitSig::validator_address)) {
        return Err(Reason::DuplicateVote { index });
    }
    let misplaced = votes
        .iter()
        .zip(validators)
        .position(|(vote, validator)| vote.validator_address().is_some_and(|address| address != validator.address));
    match misplaced {
        Some(index) => Err(Reason::MisplacedVote { index: index_of(index) }),
        None => Ok(()),
    }
}

/// Place of the first item that came before.
fn first_duplicate<T: Ord>(items: impl Iterator<Item = T>) -> Option<u32> {
    let mut seen = alloc::collections::BTreeSet::new();
    items.enumerate().find_map(|(index, item)| (!seen.insert(item)).then(|| index_of(index)))
}

fn index_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
