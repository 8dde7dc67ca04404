//! Validators and the blocks they sign.
//!
//! A chain has a list of validators whose powers a test may change. Each block names its validators and those of the next block by hash;
//! more than two thirds of the power sign it. Everything a light client checks is as CometBFT makes it, and so is the rest of the header:
//! the hashes of transactions, results, the last commit and the parts. Only the votes' rounds are left out: every block is decided in
//! round 0, and proposers take turns regardless of their power.
//!
//! **Spec**: CometBFT 0.38, `spec/core/data_structures.md` and `state/execution.go`: a change made while block h is executed stands in
//! the `next_validators_hash` of h + 1 and signs from h + 2.
//!
//! **Shapes.** Header times are wall-clock nanoseconds, every one later than the last. Each vote has its own time, after the header's.
//! Now and then a validator is absent or votes for nothing, as long as the rest suffices: a seed of the chain's id decides when.

mod hashing;
#[cfg(test)]
mod tests;
mod validators;

use sha2::{Digest, Sha256};
use tendermint::block::header::Version;
use tendermint::block::signed_header::SignedHeader;
use tendermint::block::{Commit, CommitSig, Header, Id};
use tendermint::validator::{Info, Set};
use tendermint::{AppHash, Error, Hash, Time, account, chain};

use self::validators::{Ballot, Validator};
use super::{EmbeddedSpec, TxResult};
use crate::sim::rng::Rng;

/// How many of 1,000 blocks lack a vote.
const LACKING_PERMILLE: u64 = 100;

/// A block that the validators have agreed on and the application has yet to execute.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) header: Header,
    /// The votes for this very block.
    pub(crate) commit: Commit,
    pub(crate) block_id: Id,
    /// Those of this block, the proposer among them.
    pub(crate) validators: Set,
    /// Of the encoded block.
    pub(crate) bytes: usize,
}

/// The state of consensus before a height. See the module.
pub(crate) struct Consensus {
    chain_id: chain::Id,
    parameters: Hash,
    /// By place in the list; those without power now are kept, since tests may want their signatures for old heights.
    validators: Vec<Validator>,
    /// Of the next block.
    current: Vec<Info>,
    /// Of the block after.
    next: Vec<Info>,
    change: Option<Vec<Info>>,
    /// Of the next block.
    height: u64,
    last: Option<Last>,
    app_hash: [u8; 32],
    results: Hash,
    rng: Rng,
}

struct Last {
    block_id: Id,
    commit: Commit,
    time: Time,
}

impl Consensus {
    /// Before the first block.
    pub(crate) fn genesis(spec: &EmbeddedSpec) -> Result<Self, Error> {
        let seed = Sha256::digest(spec.id.as_bytes()).first_chunk().copied().map_or(0, u64::from_be_bytes);
        let mut consensus = Self {
            chain_id: spec.id.as_str().try_into()?,
            parameters: hashing::parameters(spec.block_gas),
            validators: Vec::new(),
            current: Vec::new(),
            next: Vec::new(),
            change: None,
            height: 1,
            last: None,
            // The SDK's answer to InitChain: it has committed nothing yet.
            app_hash: Sha256::digest([]).into(),
            results: hashing::nothing(),
            rng: Rng::new(seed),
        };
        consensus.current = consensus.infos(&spec.validators)?;
        consensus.next.clone_from(&consensus.current);
        Ok(consensus)
    }

    /// Validators of these powers by place; a power of 0 is no validator.
    fn infos(&mut self, powers: &[u64]) -> Result<Vec<Info>, Error> {
        for place in self.validators.len()..powers.len() {
            self.validators.push(Validator::new(self.chain_id.as_str(), place)?);
        }
        let powers = self.validators.iter().zip(powers).filter(|(_, power)| **power > 0);
        let infos: Vec<Info> = powers.map(|(validator, power)| validator.info(*power)).collect::<Result<_, _>>()?;
        if infos.is_empty() {
            return Err(Error::invalid_validator_params());
        }
        // Sorted as in the set, so that votes stand at their places.
        Ok(Set::without_proposer(infos).validators)
    }

    /// Gives the validators these powers by place in the list, two blocks after the next. New places are new validators.
    pub(crate) fn change_powers(&mut self, powers: &[u64]) -> Result<(), Error> {
        self.change = Some(self.infos(powers)?);
        Ok(())
    }

    /// The hash of the validators of the block after the next.
    pub(crate) fn next_validators_hash(&self) -> Hash {
        Set::without_proposer(self.next.clone()).hash_with::<tendermint::crypto::default::Sha256>()
    }

    /// The next block of these transactions, signed.
    pub(crate) fn decide(&mut self, now: Time, txs: &[Vec<u8>]) -> Result<Decided, Error> {
        let proposer = self.proposer()?;
        let validators = Set::with_proposer(self.current.clone(), proposer)?;
        let header = Header {
            version: Version { block: 11, app: 0 },
            chain_id: self.chain_id.clone(),
            height: self.height.try_into()?,
            time: self.time(now),
            last_block_id: self.last.as_ref().map(|last| last.block_id),
            last_commit_hash: Some(
                self.last.as_ref().map_or_else(hashing::nothing, |last| hashing::commit(&last.commit)),
            ),
            data_hash: Some(hashing::data(txs)),
            validators_hash: validators.hash_with::<tendermint::crypto::default::Sha256>(),
            next_validators_hash: self.next_validators_hash(),
            consensus_hash: self.parameters,
            app_hash: AppHash::try_from(self.app_hash.to_vec())?,
            last_results_hash: Some(self.results),
            evidence_hash: Some(hashing::nothing()),
            proposer_address: proposer,
        };
        let (block_id, bytes) = hashing::block(&header, txs, self.last.as_ref().map(|last| &last.commit))?;
        let ballots = self.ballots();
        let commit = self.commit(&header, block_id, &self.current, &ballots)?;
        Ok(Decided { header, commit, block_id, validators, bytes })
    }

    fn proposer(&self) -> Result<account::Id, Error> {
        let turn = self.height.checked_rem(self.current.len() as u64).unwrap_or(0);
        let proposer = self.current.iter().cycle().nth(usize::try_from(turn).unwrap_or(0));
        proposer.map(|info| info.address).ok_or_else(Error::invalid_validator_params)
    }

    /// Now, but later than the block before.
    fn time(&self, now: Time) -> Time {
        let earliest = self.last.as_ref().and_then(|last| last.time.checked_add(std::time::Duration::from_millis(1)));
        earliest.map_or(now, |earliest| earliest.max(now))
    }

    /// One per validator of the next block, in the order of the set.
    fn ballots(&mut self) -> Vec<Ballot> {
        let mut ballots = vec![Ballot::Commit; self.current.len()];
        if self.rng.chance(LACKING_PERMILLE) {
            let place = self.rng.place(ballots.len());
            let ballot = if self.rng.chance(250) { Ballot::Nil } else { Ballot::Absent };
            let total: u64 = self.current.iter().map(Info::power).sum();
            let lacking = self.current.get(place).map_or(total, Info::power);
            if (total - lacking).saturating_mul(3) > total.saturating_mul(2) {
                ballots[place] = ballot;
            }
        }
        ballots
    }

    fn commit(&self, header: &Header, block_id: Id, set: &[Info], ballots: &[Ballot]) -> Result<Commit, Error> {
        let mut signatures = Vec::with_capacity(set.len());
        for (place, (info, ballot)) in set.iter().zip(ballots).enumerate() {
            let spread = std::time::Duration::from_micros(1_000 + 137 * place as u64);
            let timestamp = header.time.checked_add(spread).unwrap_or(header.time);
            let known = self.validators.iter().find(|known| known.address == info.address);
            signatures.push(match known {
                Some(known) => known.vote(&self.chain_id, header, block_id, (place, *ballot, timestamp))?,
                None => CommitSig::BlockIdFlagAbsent,
            });
        }
        Ok(Commit { height: header.height, round: 0_u16.into(), block_id, signatures })
    }

    /// Any header signed by all of these validators: what they would do who try to fool a light client.
    pub(crate) fn sign(&self, header: Header, validators: &Set) -> Result<SignedHeader, Error> {
        let (block_id, _) = hashing::block(&header, &[], None)?;
        let ballots = vec![Ballot::Commit; validators.validators.len()];
        let commit = self.commit(&header, block_id, &validators.validators, &ballots)?;
        SignedHeader::new(header, commit)
    }

    /// Goes on to the next height, once the application has executed the block.
    pub(crate) fn executed(&mut self, block: &Decided, results: &[TxResult], app_hash: [u8; 32]) {
        self.current.clone_from(&self.next);
        if let Some(change) = self.change.take() {
            self.next = change;
        }
        self.last = Some(Last { block_id: block.block_id, commit: block.commit.clone(), time: block.header.time });
        self.results = hashing::results(results);
        self.app_hash = app_hash;
        self.height += 1;
    }
}
