//! This chain as its counterparties' clients see it.
//!
//! ICS-03 lets a chain check the client that a counterparty runs of it: that its state fits this chain, and that what it trusts is a
//! block of this chain. ibc-rs 0.57 asks for both at ConnOpenTry and ConnOpenAck. The client is our GRANDPA contract's, inside
//! `ibc.lightclients.wasm.v1`.
//!
//! A block can't know its own hash and state root. So each block keeps the rest ([`OwnState`]), and whoever submits the message
//! brings the SCALE header in `host_consensus_state_proof`: its hash must be the one that the system pallet holds for the height.
//!
//! Bounds: heights of the last [`super::OWN_BLOCKS`] blocks; a header is hashed before it is decoded.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use codec::{Decode, DecodeAll, Encode};
use ibc_core::client::context::client_state::{ClientStateCommon, ClientStateValidation};
use ibc_core::client::context::consensus_state::ConsensusState as ConsensusStateOf;
use ibc_core::client::types::error::ClientError;
use ibc_core::client::types::{Height, Status};
use ibc_core::commitment_types::commitment::{CommitmentPrefix, CommitmentProofBytes, CommitmentRoot};
use ibc_core::host::types::error::{DecodingError, HostError};
use ibc_core::host::types::identifiers::{ClientId, ClientType};
use ibc_core::host::types::path::{Path, PathBytes};
use ibc_core::primitives::Timestamp;
use ibc_core::primitives::proto::Any;
use light_clients::grandpa::{ClientState, ConsensusState, Finality, PendingChange};
use scale_info::TypeInfo;
use sp_io::hashing::blake2_256;
use sp_runtime::generic;
use sp_runtime::traits::BlakeTwo256;

use super::context::Context;
use super::{Config, OwnBlocks, OwnSet};

/// A change of authorities that is announced and not yet effective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct OwnChange {
    /// Last block of the old authorities.
    pub effective: u32,
    /// BLAKE2b-256 of the SCALE list of the new ones.
    pub authorities_hash: [u8; 32],
}

/// Who finalizes the next block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct OwnAuthorities {
    /// Number of the set.
    pub set_id: u64,
    /// BLAKE2b-256 of the SCALE list of its authorities.
    pub authorities_hash: [u8; 32],
    /// What comes next.
    pub change: Option<OwnChange>,
}

impl OwnAuthorities {
    /// After the block of this number: its authorities hand over in their change's effective block.
    pub fn after(self, number: u32) -> Self {
        match self.change {
            Some(change) if change.effective == number => {
                let set_id = self.set_id.saturating_add(1);
                Self { set_id, authorities_hash: change.authorities_hash, change: None }
            }
            _ => self,
        }
    }
}

/// What a block knows of itself that a client of this chain holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct OwnState {
    /// Its time, milliseconds since 1970.
    pub time_ms: u64,
    /// Who finalizes the next block.
    pub authorities: OwnAuthorities,
}

/// At the end of a block: keeps its state, forgets one that is too old.
pub(super) fn keep<T: Config>(number: u32) {
    let Some(authorities) = OwnSet::<T>::get().map(|set| set.after(number)) else { return };
    OwnSet::<T>::put(authorities);
    OwnBlocks::<T>::insert(number, OwnState { time_ms: pallet_timestamp::Now::<T>::get(), authorities });
    if let Some(old) = number.checked_sub(super::OWN_BLOCKS) {
        OwnBlocks::<T>::remove(old);
    }
}

/// The consensus state that a client of this chain must hold for a height, by the header that was brought.
pub(super) fn consensus_state<T: Config>(height: &Height, header: Option<&[u8]>) -> Result<OwnConsensus, HostError> {
    let missing = |what: &str| HostError::missing_state(format!("own consensus state at {height}: {what}"));
    let header = header.ok_or_else(|| missing("bring the SCALE header in host_consensus_state_proof"))?;
    let number = u32::try_from(height.revision_height()).map_err(|_| missing("no height of this chain"))?;
    let known = frame_system::Pallet::<T>::block_hash(frame_system::pallet_prelude::BlockNumberFor::<T>::from(number));
    let hash = blake2_256(header);
    if height.revision_number() != 0 || known.as_ref() != hash {
        return Err(missing("the header brought is not that of the block"));
    }
    let header = generic::Header::<u32, BlakeTwo256>::decode_all(&mut &header[..]).map_err(|_| missing("no header"))?;
    let own = OwnBlocks::<T>::get(number).ok_or_else(|| missing("too old"))?;
    let OwnAuthorities { set_id, authorities_hash, change } = own.authorities;
    let change =
        change.map(|change| PendingChange { effective: change.effective, authorities_hash: change.authorities_hash });
    let finality = Finality { number, hash, set_id, authorities_hash, change };
    let time = light_clients::Timestamp::from_nanos(own.time_ms.saturating_mul(1_000_000));
    let state = ConsensusState::new(time, header.state_root.0, finality).map_err(|why| missing(&why.to_string()))?;
    Ok(OwnConsensus::from(state))
}

/// Refuses a client that is not one of this chain.
pub(super) fn validate<T: Config>(client: &OwnClient, now: Height) -> Result<(), HostError> {
    let found = client.0.parameters();
    let problem = if found.chain_id.as_bytes() != T::CHAIN_ID {
        "it tracks another chain"
    } else if found.frozen_height.is_some() {
        "it is frozen"
    } else if found.latest_height.revision != 0 || found.latest_height.number >= now.revision_height() {
        "its height is not below this chain's"
    } else if !found.child_trie.is_empty() {
        "this chain keeps its IBC state in the main trie"
    } else {
        return Ok(());
    };
    Err(HostError::invalid_state(format!("the counterparty's client of this chain: {problem}")))
}

/// State of a client of this chain.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnClient(ClientState);

/// Consensus state of a client of this chain.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnConsensus {
    root: CommitmentRoot,
    time: u64,
    any: Any,
}

impl From<ConsensusState> for OwnConsensus {
    fn from(state: ConsensusState) -> Self {
        Self { root: state.root().to_vec().into(), time: state.timestamp().as_nanos(), any: state.encode() }
    }
}

fn undecodable(why: impl ToString) -> DecodingError {
    DecodingError::invalid_raw_data(why.to_string())
}

/// Clients of this chain live elsewhere.
fn elsewhere() -> ClientError {
    ClientError::FailedToVerifyHeader { description: "this chain runs no client of itself".to_string() }
}

impl TryFrom<Any> for OwnClient {
    type Error = DecodingError;
    fn try_from(any: Any) -> Result<Self, DecodingError> {
        ClientState::decode(&any).map(Self).map_err(undecodable)
    }
}

impl From<OwnClient> for Any {
    fn from(client: OwnClient) -> Self {
        client.0.encode()
    }
}

impl TryFrom<Any> for OwnConsensus {
    type Error = DecodingError;
    fn try_from(any: Any) -> Result<Self, DecodingError> {
        let state = ConsensusState::decode(&any, light_clients::Height::new(0, 1)).map_err(undecodable)?;
        Ok(Self { any, ..state.into() })
    }
}

impl From<OwnConsensus> for Any {
    fn from(state: OwnConsensus) -> Self {
        state.any
    }
}

impl ConsensusStateOf for OwnConsensus {
    fn root(&self) -> &CommitmentRoot {
        &self.root
    }
    fn timestamp(&self) -> Result<Timestamp, ClientError> {
        Ok(Timestamp::from_nanoseconds(self.time))
    }
}

impl ClientStateCommon for OwnClient {
    fn verify_consensus_state(&self, _: Any, _: &Timestamp) -> Result<(), ClientError> {
        Err(elsewhere())
    }
    fn client_type(&self) -> ClientType {
        ibc_client_tendermint::types::client_type()
    }
    fn latest_height(&self) -> Height {
        // A client state has no height of zero: it was checked when it was decoded.
        Height::new(0, self.0.latest_height().number).unwrap_or(Height::min(0))
    }
    fn validate_proof_height(&self, _: Height) -> Result<(), ClientError> {
        Err(elsewhere())
    }
    fn verify_upgrade_client(
        &self,
        _: Any,
        _: Any,
        _: CommitmentProofBytes,
        _: CommitmentProofBytes,
        _: &CommitmentRoot,
    ) -> Result<(), ClientError> {
        Err(elsewhere())
    }
    fn serialize_path(&self, _: Path) -> Result<PathBytes, ClientError> {
        Err(elsewhere())
    }
    fn verify_membership_raw(
        &self,
        _: &CommitmentPrefix,
        _: &CommitmentProofBytes,
        _: &CommitmentRoot,
        _: PathBytes,
        _: Vec<u8>,
    ) -> Result<(), ClientError> {
        Err(elsewhere())
    }
    fn verify_non_membership_raw(
        &self,
        _: &CommitmentPrefix,
        _: &CommitmentProofBytes,
        _: &CommitmentRoot,
        _: PathBytes,
    ) -> Result<(), ClientError> {
        Err(elsewhere())
    }
}

impl<T: Config> ClientStateValidation<Context<T>> for OwnClient {
    fn verify_client_message(&self, _: &Context<T>, _: &ClientId, _: Any) -> Result<(), ClientError> {
        Err(elsewhere())
    }
    fn check_for_misbehaviour(&self, _: &Context<T>, _: &ClientId, _: Any) -> Result<bool, ClientError> {
        Err(elsewhere())
    }
    fn status(&self, _: &Context<T>, _: &ClientId) -> Result<Status, ClientError> {
        Err(elsewhere())
    }
    fn check_substitute(&self, _: &Context<T>, _: Any) -> Result<(), ClientError> {
        Err(elsewhere())
    }
}
