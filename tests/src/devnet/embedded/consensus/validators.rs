//! Validators: their keys, their powers, and what they sign.

use ed25519_consensus::SigningKey;
use sha2::{Digest, Sha256};
use tendermint::block::{CommitSig, Header, Id};
use tendermint::validator::Info;
use tendermint::vote::{self, Vote};
use tendermint::{Error, PublicKey, Signature, Time, account, chain};

/// A validator with its key.
pub(super) struct Validator {
    key: SigningKey,
    public: PublicKey,
    pub(super) address: account::Id,
}

/// What a validator does with a block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ballot {
    Commit,
    Nil,
    Absent,
}

impl Validator {
    /// The validator at a place of the chain's list; the same in every run.
    pub(super) fn new(chain_id: &str, place: usize) -> Result<Self, Error> {
        let seed = Sha256::digest(format!("validator {place} of {chain_id}"));
        let key = SigningKey::from(<[u8; 32]>::from(seed));
        let public = PublicKey::from_raw_ed25519(key.verification_key().as_bytes())
            .ok_or_else(|| Error::invalid_key("no ed25519 key".to_owned()))?;
        Ok(Self { address: account::Id::from(public), key, public })
    }

    pub(super) fn info(&self, power: u64) -> Result<Info, Error> {
        Ok(Info::new(self.public, power.try_into()?))
    }

    /// Its vote on the block with this header, at a time of its own.
    pub(super) fn vote(
        &self,
        chain_id: &chain::Id,
        header: &Header,
        block_id: Id,
        (place, ballot, timestamp): (usize, Ballot, Time),
    ) -> Result<CommitSig, Error> {
        if ballot == Ballot::Absent {
            return Ok(CommitSig::BlockIdFlagAbsent);
        }
        let validator_address = self.address;
        let vote = Vote {
            vote_type: vote::Type::Precommit,
            height: header.height,
            round: 0_u16.into(),
            block_id: (ballot == Ballot::Commit).then_some(block_id),
            timestamp: Some(timestamp),
            validator_address,
            validator_index: place.try_into()?,
            signature: None,
            extension: Vec::new(),
            extension_signature: None,
        };
        let signed = self.key.sign(&vote.into_signable_vec(chain_id.clone()));
        let signature = Signature::new(signed.to_bytes())?;
        Ok(match ballot {
            Ballot::Commit => CommitSig::BlockIdFlagCommit { validator_address, timestamp, signature },
            _ => CommitSig::BlockIdFlagNil { validator_address, timestamp, signature },
        })
    }
}
