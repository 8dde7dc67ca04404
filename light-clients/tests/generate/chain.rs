//! Validators and the blocks they sign.

use super::any;
use ed25519_consensus::SigningKey;
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::lightclients::tendermint::v1::{Header as RawHeader, Misbehaviour as RawMisbehaviour};
use light_clients::tendermint::{ClientParameters, ClientState, ConsensusState, revision};
use light_clients::{Height, Timestamp};
use std::time::Duration;
use tendermint::block::header::Version;
use tendermint::block::signed_header::SignedHeader;
use tendermint::block::{Commit, CommitSig, Header, Id, parts};
use tendermint::validator::{Info, Set};
use tendermint::vote::{SignedVote, Vote};
use tendermint::{AppHash, Hash, PublicKey, Signature, Time};

/// Seconds since 1970 at which generated chains begin.
pub(crate) const GENESIS: i64 = 1_700_000_000;

/// A validator with its key.
#[derive(Clone)]
pub(crate) struct Validator {
    pub(crate) key: SigningKey,
    pub(crate) power: u64,
}

impl Validator {
    pub(crate) fn new(seed: u16, power: u64) -> Self {
        let mut bytes = [7; 32];
        bytes[..2].copy_from_slice(&seed.to_be_bytes());
        Self { key: SigningKey::from(bytes), power }
    }

    pub(crate) fn info(&self) -> Info {
        let key = PublicKey::from_raw_ed25519(self.key.verification_key().as_bytes()).unwrap();
        Info::new(key, self.power.try_into().unwrap())
    }
}

/// Validators of equal power, in the order of their set.
pub(crate) fn validators(seeds: std::ops::Range<u16>, power: u64) -> Vec<Validator> {
    ordered(seeds.map(|seed| Validator::new(seed, power)).collect())
}

/// The same validators in the order of their set: by power, then address.
pub(crate) fn ordered(mut validators: Vec<Validator>) -> Vec<Validator> {
    validators.sort_by_key(|validator| (std::cmp::Reverse(validator.power), validator.info().address));
    validators
}

/// The set of these validators; the first proposes.
pub(crate) fn set(validators: &[Validator]) -> Set {
    let infos: Vec<_> = validators.iter().map(Validator::info).collect();
    let proposer = infos.first().cloned();
    Set::new(infos, proposer)
}

/// What a validator does with a block.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Ballot {
    Commit,
    Nil,
    Absent,
}

/// A block to be signed.
#[derive(Clone)]
pub(crate) struct Block {
    pub(crate) chain_id: String,
    pub(crate) height: u32,
    pub(crate) time: Time,
    pub(crate) round: u16,
    pub(crate) validators: Vec<Validator>,
    pub(crate) next_validators: Vec<Validator>,
    pub(crate) app_hash: Vec<u8>,
    /// Stands for the transactions: two blocks of different ones differ in it.
    pub(crate) data: u8,
    /// One per validator, in the order of the set.
    pub(crate) ballots: Vec<Ballot>,
}

impl Block {
    /// A block signed by all its validators, ten seconds a height after genesis.
    pub(crate) fn new(height: u32, validators: &[Validator]) -> Self {
        Self {
            chain_id: "ibc-1".into(),
            height,
            time: Time::from_unix_timestamp(GENESIS + 10 * i64::from(height), 500).unwrap(),
            round: 0,
            validators: validators.to_vec(),
            next_validators: validators.to_vec(),
            app_hash: vec![height as u8; 32],
            data: 1,
            ballots: vec![Ballot::Commit; validators.len()],
        }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn header(&self) -> Header {
        let hash = |byte| Hash::Sha256([byte; 32]);
        let parts = parts::Header::new(1, hash(9)).unwrap();
        Header {
            version: Version { block: 11, app: 0 },
            chain_id: self.chain_id.clone().try_into().unwrap(),
            height: self.height.into(),
            time: self.time,
            last_block_id: (self.height > 1).then_some(Id { hash: hash(8), part_set_header: parts }),
            last_commit_hash: Some(hash(2)),
            data_hash: Some(hash(self.data)),
            validators_hash: set(&self.validators).hash(),
            next_validators_hash: set(&self.next_validators).hash(),
            consensus_hash: hash(3),
            app_hash: AppHash::try_from(self.app_hash.clone()).unwrap(),
            last_results_hash: Some(hash(4)),
            evidence_hash: Some(hash(5)),
            proposer_address: self.validators[0].info().address,
        }
    }

    pub(crate) fn sign(&self) -> SignedHeader {
        let header = self.header();
        let part_set_header = parts::Header::new(1, Hash::Sha256([6; 32])).unwrap();
        let block_id = Id { hash: header.hash(), part_set_header };
        let signatures = self.validators.iter().zip(&self.ballots).enumerate();
        let signatures = signatures.map(|(index, (validator, ballot))| self.vote(index, validator, *ballot, block_id));
        let commit =
            Commit { height: header.height, round: self.round.into(), block_id, signatures: signatures.collect() };
        SignedHeader::new(header, commit).unwrap()
    }

    fn vote(&self, index: usize, validator: &Validator, ballot: Ballot, block_id: Id) -> CommitSig {
        let validator_address = validator.info().address;
        let timestamp = self.time;
        let vote = Vote {
            vote_type: tendermint::vote::Type::Precommit,
            height: self.height.into(),
            round: self.round.into(),
            block_id: (ballot == Ballot::Commit).then_some(block_id),
            timestamp: Some(timestamp),
            validator_address,
            validator_index: u32::try_from(index).unwrap().try_into().unwrap(),
            signature: Signature::new([0; 64]).unwrap(),
            extension: Vec::new(),
            extension_signature: None,
        };
        let chain_id = self.chain_id.clone().try_into().unwrap();
        let bytes = SignedVote::from_vote(vote, chain_id).unwrap().sign_bytes();
        let signature = Signature::new(validator.key.sign(&bytes).to_bytes()).unwrap();
        match ballot {
            Ballot::Commit => CommitSig::BlockIdFlagCommit { validator_address, timestamp, signature },
            Ballot::Nil => CommitSig::BlockIdFlagNil { validator_address, timestamp, signature },
            Ballot::Absent => CommitSig::BlockIdFlagAbsent,
        }
    }

    /// The ICS-07 header of this block, to be verified against an earlier one.
    pub(crate) fn update_from(&self, trusted: &Self) -> RawHeader {
        RawHeader {
            signed_header: Some(self.sign().into()),
            validator_set: Some(set(&self.validators).into()),
            trusted_height: Some(trusted.ics_height().into()),
            trusted_validators: Some(set(&trusted.next_validators).into()),
        }
    }

    pub(crate) fn ics_height(&self) -> Height {
        Height::new(revision(&self.chain_id).unwrap(), self.height.into())
    }

    pub(crate) fn consensus_state(&self) -> ConsensusState {
        ConsensusState::new(self.time, self.app_hash.clone(), set(&self.next_validators).hash()).unwrap()
    }

    /// So many seconds after this block.
    pub(crate) fn seconds_later(&self, seconds: u64) -> Timestamp {
        Timestamp::from_nanos(self.consensus_state().timestamp().as_nanos() + seconds * 1_000_000_000)
    }
}

pub(crate) const TRUSTING_PERIOD: Duration = Duration::from_secs(14 * 86_400);
pub(crate) const CLOCK_DRIFT: Duration = Duration::from_secs(10);

/// Parameters of a client of any chain.
pub(crate) fn parameters_for(chain_id: &str, latest_height: Height) -> ClientParameters {
    let unbonding = Duration::from_secs(21 * 86_400);
    ClientParameters::cosmos(chain_id, latest_height, TRUSTING_PERIOD, unbonding, CLOCK_DRIFT)
}

/// Parameters of a client that trusts this block.
pub(crate) fn parameters(trusted: &Block) -> ClientParameters {
    parameters_for(&trusted.chain_id, trusted.ics_height())
}

/// A client that trusts this block.
pub(crate) fn client(trusted: &Block) -> Any {
    ClientState::new(parameters(trusted)).unwrap().encode()
}

/// A misbehaviour of two headers.
pub(crate) fn misbehaviour(header_1: RawHeader, header_2: RawHeader) -> Any {
    #[allow(deprecated)]
    let raw =
        RawMisbehaviour { client_id: "07-tendermint-0".into(), header_1: Some(header_1), header_2: Some(header_2) };
    any(&raw)
}
