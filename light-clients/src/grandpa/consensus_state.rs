//! Consensus state: what is trusted at one height.

use super::header::PendingChange;
use super::{Finality, Hash, schema};
use crate::limits::MAX_CONSENSUS_STATE_BYTES;
use crate::wire::{decode, decode_any, encode_any, required};
use crate::{Height, Parameter, Part, Reason, Timestamp};
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::lightclients::wasm::v1::ConsensusState as WasmConsensusState;
use prost::Message;

/// Time and state of a final block, and who finalizes the next one.
///
/// The authorities are kept by hash: a message brings their list, as ICS-07's brings the trusted validators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsensusState {
    timestamp: Timestamp,
    root: Hash,
    finality: Finality,
}

impl ConsensusState {
    /// Of a final block with this state; checks that there is a time.
    ///
    /// Whoever creates a client says what is final: with a change that is announced and not yet effective, if there is.
    pub fn new(timestamp: Timestamp, root: Hash, finality: Finality) -> Result<Self, Reason> {
        if timestamp.as_nanos() == 0 {
            return Err(Reason::Parameter { parameter: Parameter::Timestamp });
        }
        Ok(Self { timestamp, root, finality })
    }

    /// Decodes and checks the `ibc.lightclients.wasm.v1.ConsensusState` that stands at this height.
    pub fn decode(any: &Any, height: Height) -> Result<Self, Reason> {
        let wrapper: WasmConsensusState = decode_any(any, Part::ConsensusState, MAX_CONSENSUS_STATE_BYTES)?;
        Self::from_data(&wrapper.data, height)
    }

    /// Decodes and checks what the wrapper holds.
    pub fn from_data(data: &[u8], height: Height) -> Result<Self, Reason> {
        let raw: schema::ConsensusState = decode(data, Part::ConsensusState, MAX_CONSENSUS_STATE_BYTES)?;
        let number = u32::try_from(height.number).map_err(|_| Reason::Undecodable { part: Part::TrustedHeight })?;
        let pending = |change: schema::PendingChange| {
            let authorities_hash = hash(&change.authorities_hash)?;
            Ok::<_, Reason>(PendingChange { effective: change.effective, authorities_hash })
        };
        let finality = Finality {
            number,
            hash: hash(&raw.block_hash)?,
            set_id: raw.set_id,
            authorities_hash: hash(&raw.authorities_hash)?,
            change: raw.change.map(pending).transpose()?,
        };
        Self::new(Timestamp::from_nanos(raw.timestamp_nanos), hash(&raw.state_root)?, finality)
    }

    /// Only time and root, which need no height.
    pub(super) fn decode_root(any: &Any) -> Result<Hash, Reason> {
        Self::decode(any, Height::new(0, 0)).map(|state| state.root)
    }

    /// The `ibc.lightclients.wasm.v1.ConsensusState`.
    pub fn encode(&self) -> Any {
        let f = &self.finality;
        let change = f.change.map(|change| schema::PendingChange {
            effective: change.effective,
            authorities_hash: change.authorities_hash.into(),
        });
        let raw = schema::ConsensusState {
            timestamp_nanos: self.timestamp.as_nanos(),
            state_root: self.root.into(),
            block_hash: f.hash.into(),
            set_id: f.set_id,
            authorities_hash: f.authorities_hash.into(),
            change,
        };
        encode_any(&WasmConsensusState { data: raw.encode_to_vec() })
    }

    /// Time of the block, as its state says.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// State root of the block.
    pub fn root(&self) -> &Hash {
        &self.root
    }

    /// The block, and the authorities of the next one.
    pub fn finality(&self) -> &Finality {
        &self.finality
    }
}

fn hash(bytes: &[u8]) -> Result<Hash, Reason> {
    let bytes = required((!bytes.is_empty()).then_some(bytes), Part::ConsensusState)?;
    bytes.try_into().map_err(|_| Reason::Undecodable { part: Part::ConsensusState })
}
