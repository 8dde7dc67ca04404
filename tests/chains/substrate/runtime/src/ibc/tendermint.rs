//! Clients of chains that run CometBFT: ibc-rs' states and rules with the host's cryptography.
//!
//! ibc-rs' own client state names its verifier; this one wraps the same state and passes ours. Spec: ICS-07.

use alloc::string::ToString;
use alloc::vec::Vec;
use ibc_client_tendermint::client_state::{self as rules, ClientState as Plain};
use ibc_client_tendermint::consensus_state::ConsensusState as TendermintConsensusState;
use ibc_client_tendermint::types::{ClientState, ConsensusState};
use ibc_core::client::context::client_state::{ClientStateCommon, ClientStateExecution, ClientStateValidation};
use ibc_core::client::types::error::ClientError;
use ibc_core::client::types::{Height, Status};
use ibc_core::commitment_types::commitment::{CommitmentPrefix, CommitmentProofBytes, CommitmentRoot};
use ibc_core::derive::{ClientState as ClientStateDerive, ConsensusState as ConsensusStateDerive};
use ibc_core::host::types::error::DecodingError;
use ibc_core::host::types::identifiers::{ClientId, ClientType};
use ibc_core::host::types::path::{Path, PathBytes};
use ibc_core::primitives::Timestamp;
use ibc_core::primitives::proto::Any;

use super::Config;
use super::context::Context;
use super::crypto::{HostCrypto, HostVerifier};

/// A Tendermint client's state.
#[derive(Clone, Debug, PartialEq)]
pub struct TendermintClient(pub ClientState);

impl TryFrom<Any> for TendermintClient {
    type Error = DecodingError;
    fn try_from(any: Any) -> Result<Self, DecodingError> {
        ClientState::try_from(any).map(Self)
    }
}

impl From<TendermintClient> for Any {
    fn from(client: TendermintClient) -> Self {
        client.0.into()
    }
}

impl ClientStateCommon for TendermintClient {
    fn verify_consensus_state(&self, state: Any, now: &Timestamp) -> Result<(), ClientError> {
        rules::verify_consensus_state(state, now, self.0.trusting_period)
    }
    fn client_type(&self) -> ClientType {
        ibc_client_tendermint::types::client_type()
    }
    fn latest_height(&self) -> Height {
        self.0.latest_height
    }
    fn validate_proof_height(&self, height: Height) -> Result<(), ClientError> {
        rules::validate_proof_height(&self.0, height)
    }
    fn verify_upgrade_client(
        &self,
        client: Any,
        consensus: Any,
        client_proof: CommitmentProofBytes,
        consensus_proof: CommitmentProofBytes,
        root: &CommitmentRoot,
    ) -> Result<(), ClientError> {
        Plain::from(self.0.clone()).verify_upgrade_client(client, consensus, client_proof, consensus_proof, root)
    }
    fn serialize_path(&self, path: Path) -> Result<PathBytes, ClientError> {
        Ok(path.to_string().into_bytes().into())
    }
    fn verify_membership_raw(
        &self,
        prefix: &CommitmentPrefix,
        proof: &CommitmentProofBytes,
        root: &CommitmentRoot,
        path: PathBytes,
        value: Vec<u8>,
    ) -> Result<(), ClientError> {
        rules::verify_membership::<HostCrypto>(&self.0.proof_specs, prefix, proof, root, path, value)
    }
    fn verify_non_membership_raw(
        &self,
        prefix: &CommitmentPrefix,
        proof: &CommitmentProofBytes,
        root: &CommitmentRoot,
        path: PathBytes,
    ) -> Result<(), ClientError> {
        rules::verify_non_membership::<HostCrypto>(&self.0.proof_specs, prefix, proof, root, path)
    }
}

impl<T: Config> ClientStateValidation<Context<T>> for TendermintClient {
    fn verify_client_message(&self, host: &Context<T>, id: &ClientId, message: Any) -> Result<(), ClientError> {
        let verifier = HostVerifier::default();
        rules::verify_client_message::<Context<T>, HostCrypto>(&self.0, host, id, message, &verifier)
    }
    fn check_for_misbehaviour(&self, host: &Context<T>, id: &ClientId, message: Any) -> Result<bool, ClientError> {
        rules::check_for_misbehaviour(&self.0, host, id, message)
    }
    fn status(&self, host: &Context<T>, id: &ClientId) -> Result<Status, ClientError> {
        rules::status(&self.0, host, id)
    }
    fn check_substitute(&self, _: &Context<T>, substitute: Any) -> Result<(), ClientError> {
        rules::check_substitute::<Context<T>>(&self.0, substitute)
    }
}

impl<T: Config> ClientStateExecution<Context<T>> for TendermintClient {
    fn initialise(&self, host: &mut Context<T>, id: &ClientId, state: Any) -> Result<(), ClientError> {
        rules::initialise(&self.0, host, id, state)
    }
    fn update_state(&self, host: &mut Context<T>, id: &ClientId, header: Any) -> Result<Vec<Height>, ClientError> {
        rules::update_state(&self.0, host, id, header)
    }
    fn update_state_on_misbehaviour(
        &self,
        host: &mut Context<T>,
        id: &ClientId,
        message: Any,
    ) -> Result<(), ClientError> {
        rules::update_on_misbehaviour(&self.0, host, id, message)
    }
    fn update_state_on_upgrade(
        &self,
        host: &mut Context<T>,
        id: &ClientId,
        client: Any,
        consensus: Any,
    ) -> Result<Height, ClientError> {
        rules::update_on_upgrade(&self.0, host, id, client, consensus)
    }
    fn update_on_recovery(
        &self,
        host: &mut Context<T>,
        id: &ClientId,
        client: Any,
        consensus: Any,
    ) -> Result<(), ClientError> {
        rules::update_on_recovery(self.0.clone(), host, id, client, consensus)
    }
}

/// The states of every kind of client that this chain runs.
#[derive(Clone, Debug, PartialEq, ClientStateDerive)]
#[validation(Context<T: Config>)]
#[execution(Context<T: Config>)]
pub enum AnyClientState {
    /// ICS-07.
    Tendermint(TendermintClient),
}

/// What they trust.
#[derive(Clone, Debug, PartialEq, ConsensusStateDerive)]
pub enum AnyConsensusState {
    /// ICS-07.
    Tendermint(TendermintConsensusState),
}

impl TryFrom<Any> for AnyClientState {
    type Error = DecodingError;
    fn try_from(any: Any) -> Result<Self, DecodingError> {
        any.try_into().map(Self::Tendermint)
    }
}

impl From<AnyClientState> for Any {
    fn from(AnyClientState::Tendermint(client): AnyClientState) -> Self {
        client.into()
    }
}

impl From<ClientState> for AnyClientState {
    fn from(client: ClientState) -> Self {
        Self::Tendermint(TendermintClient(client))
    }
}

impl TryFrom<AnyClientState> for ClientState {
    type Error = DecodingError;
    fn try_from(AnyClientState::Tendermint(client): AnyClientState) -> Result<Self, DecodingError> {
        Ok(client.0)
    }
}

impl TryFrom<Any> for AnyConsensusState {
    type Error = DecodingError;
    fn try_from(any: Any) -> Result<Self, DecodingError> {
        any.try_into().map(Self::Tendermint)
    }
}

impl From<AnyConsensusState> for Any {
    fn from(AnyConsensusState::Tendermint(state): AnyConsensusState) -> Self {
        state.into()
    }
}

impl From<ConsensusState> for AnyConsensusState {
    fn from(state: ConsensusState) -> Self {
        Self::Tendermint(state.into())
    }
}

impl TryFrom<AnyConsensusState> for ConsensusState {
    type Error = DecodingError;
    fn try_from(AnyConsensusState::Tendermint(state): AnyConsensusState) -> Result<Self, DecodingError> {
        Ok(state.into_inner())
    }
}
