//! ICS-07 consensus state: what is trusted at one height.

use crate::limits::{MAX_CONSENSUS_STATE_BYTES, MAX_ROOT_BYTES};
use crate::wire::{decode_any, encode_any, hash};
use crate::{Height, Parameter, Part, Reason, Timestamp};
use alloc::vec::Vec;
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::commitment::v1::MerkleRoot;
use ibc_proto::ibc::lightclients::tendermint::v1::ConsensusState as RawConsensusState;
use tendermint::{Hash, Time, block, validator};

/// Time, Merkle root and next validators of a verified header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsensusState {
    time: Time,
    root: Vec<u8>,
    next_validators_hash: Hash,
}

impl ConsensusState {
    /// Checks that there is a root, a hash and a time after 1970.
    pub fn new(time: Time, root: Vec<u8>, next_validators_hash: Hash) -> Result<Self, Reason> {
        let refuse = |parameter| Err(Reason::Parameter { parameter });
        if time.unix_timestamp() <= 0 {
            return refuse(Parameter::Timestamp);
        }
        if root.is_empty() || root.len() > MAX_ROOT_BYTES {
            return refuse(Parameter::Root);
        }
        if next_validators_hash.is_empty() {
            return refuse(Parameter::NextValidatorsHash);
        }
        Ok(Self { time, root, next_validators_hash })
    }

    /// Decodes and checks the protobuf of ibc-go.
    pub fn decode(any: &Any) -> Result<Self, Reason> {
        let raw: RawConsensusState = decode_any(any, Part::ConsensusState, MAX_CONSENSUS_STATE_BYTES)?;
        let refuse = |parameter| Reason::Parameter { parameter };
        let time = raw.timestamp.and_then(|time| Time::try_from(time).ok()).ok_or(refuse(Parameter::Timestamp))?;
        let next = hash(&raw.next_validators_hash).ok_or(refuse(Parameter::NextValidatorsHash))?;
        Self::new(time, raw.root.unwrap_or_default().hash, next)
    }

    /// The protobuf of ibc-go.
    pub fn encode(&self) -> Any {
        encode_any(&RawConsensusState {
            timestamp: Some(self.time.into()),
            root: Some(MerkleRoot { hash: self.root.clone() }),
            next_validators_hash: self.next_validators_hash.into(),
        })
    }

    /// Time of the block.
    pub fn time(&self) -> Time {
        self.time
    }

    /// Time of the block in nanoseconds, the form ICS-02 gives it; 0 beyond what 64 bits hold.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_nanos(u64::try_from(self.time.unix_timestamp_nanos()).unwrap_or_default())
    }

    /// Root of the chain's store (the header's app hash).
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// Hash of the validators of the next block.
    pub fn next_validators_hash(&self) -> Hash {
        self.next_validators_hash
    }
}

/// A consensus state with the validators it vouches for: the only starting point of a verification.
#[derive(Debug, Clone, Copy)]
pub struct TrustedState<'a> {
    pub(super) height: block::Height,
    pub(super) consensus: &'a ConsensusState,
    pub(super) next_validators: &'a validator::Set,
}

impl<'a> TrustedState<'a> {
    /// Checks that the validators, which come from outside, hash to what the consensus state names.
    pub fn new(
        height: Height,
        consensus: &'a ConsensusState,
        next_validators: &'a validator::Set,
    ) -> Result<Self, Reason> {
        let height =
            block::Height::try_from(height.number).map_err(|_| Reason::Undecodable { part: Part::TrustedHeight })?;
        if next_validators.hash() != consensus.next_validators_hash {
            return Err(Reason::TrustedValidatorsHash);
        }
        Ok(Self { height, consensus, next_validators })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_gives_back_what_encode_wrote_and_rules_refuse() {
        let time = Time::from_unix_timestamp(1_700_000_000, 5).unwrap();
        let state = ConsensusState::new(time, vec![1; 32], Hash::Sha256([2; 32])).unwrap();
        assert_eq!(ConsensusState::decode(&state.encode()).unwrap(), state);
        assert_eq!(state.timestamp().as_nanos(), 1_700_000_000_000_000_005);

        let refused = |parameter| Err(Reason::Parameter { parameter });
        let hash = Hash::Sha256([2; 32]);
        assert_eq!(ConsensusState::new(Time::unix_epoch(), vec![1], hash), refused(Parameter::Timestamp));
        assert_eq!(ConsensusState::new(time, vec![], hash), refused(Parameter::Root));
        assert_eq!(ConsensusState::new(time, vec![1; 65], hash), refused(Parameter::Root));
        assert_eq!(ConsensusState::new(time, vec![1], Hash::None), refused(Parameter::NextValidatorsHash));
    }
}
