//! Light clients where ibc-go keeps them (ICS-02, ICS-07): states, consensus states, and when each was stored.

use ibc_client_tendermint::client_state::ClientState;
use ibc_client_tendermint::consensus_state::ConsensusState;
use ibc_core::client::context::{ClientExecutionContext, ClientValidationContext, ExtClientValidationContext};
use ibc_core::client::types::Height;
use ibc_core::host::types::error::HostError;
use ibc_core::host::types::identifiers::ClientId;
use ibc_core::host::types::path::{ClientConsensusStatePath, ClientStatePath};
use ibc_core::primitives::Timestamp;
use ibc_proto::google::protobuf::Any;
use prost::Message as _;

use super::{Context, IBC};

/// Keys of this prefix end with revision and height, big-endian, so that they stand in the heights' order.
pub(in super::super) fn heights_prefix(client: &str) -> Vec<u8> {
    format!("clients/{client}/iterateConsensusStates").into_bytes()
}

pub(in super::super) fn height_of(key: &[u8]) -> Option<(u64, u64)> {
    let (rest, height) = key.split_last_chunk::<8>()?;
    let (_, revision) = rest.split_last_chunk::<8>()?;
    Some((u64::from_be_bytes(*revision), u64::from_be_bytes(*height)))
}

fn height_key(client: &ClientId, height: Height) -> Vec<u8> {
    let mut key = heights_prefix(client.as_str());
    key.extend(height.revision_number().to_be_bytes());
    key.extend(height.revision_height().to_be_bytes());
    key
}

fn decode<T: TryFrom<Any>>(bytes: &[u8]) -> Result<T, HostError>
where
    T::Error: std::fmt::Display,
{
    let any = Any::decode(bytes).map_err(HostError::invalid_state)?;
    T::try_from(any).map_err(HostError::invalid_state)
}

fn state_path(client: &ClientId, height: Height) -> ClientConsensusStatePath {
    ClientConsensusStatePath::new(client.clone(), height.revision_number(), height.revision_height())
}

impl Context<'_> {
    fn at(&self, client: &ClientId, height: Height) -> Result<ConsensusState, HostError> {
        decode(&self.need(&state_path(client, height))?)
    }
}

impl ClientValidationContext for Context<'_> {
    type ClientStateRef = ClientState;
    type ConsensusStateRef = ConsensusState;

    fn client_state(&self, client: &ClientId) -> Result<ClientState, HostError> {
        decode(&self.need(&ClientStatePath::new(client.clone()))?)
    }

    fn consensus_state(&self, path: &ClientConsensusStatePath) -> Result<ConsensusState, HostError> {
        decode(&self.need(path)?)
    }

    fn client_update_meta(&self, client: &ClientId, height: &Height) -> Result<(Timestamp, Height), HostError> {
        let path = state_path(client, *height);
        let time = self.need(&format!("{path}/processedTime"))?;
        let time = time.try_into().map_err(|_| HostError::invalid_state("processed time"))?;
        let host = String::from_utf8(self.need(&format!("{path}/processedHeight"))?);
        let host = host.map_err(HostError::invalid_state)?.parse().map_err(HostError::invalid_state)?;
        Ok((Timestamp::from_nanoseconds(u64::from_be_bytes(time)), host))
    }
}

impl ClientExecutionContext for Context<'_> {
    type ClientStateMut = ClientState;

    fn store_client_state(&mut self, path: ClientStatePath, state: ClientState) -> Result<(), HostError> {
        self.write(&path, Any::from(state).encode_to_vec());
        Ok(())
    }

    fn store_consensus_state(
        &mut self,
        path: ClientConsensusStatePath,
        state: ConsensusState,
    ) -> Result<(), HostError> {
        self.write(&path, Any::from(state).encode_to_vec());
        Ok(())
    }

    fn delete_consensus_state(&mut self, path: ClientConsensusStatePath) -> Result<(), HostError> {
        self.remove(&path);
        Ok(())
    }

    fn store_update_meta(
        &mut self,
        client: ClientId,
        height: Height,
        time: Timestamp,
        host: Height,
    ) -> Result<(), HostError> {
        let path = state_path(&client, height);
        self.write(&format!("{path}/processedTime"), time.nanoseconds().to_be_bytes().to_vec());
        self.write(&format!("{path}/processedHeight"), host.to_string().into_bytes());
        let value = format!("consensusStates/{height}").into_bytes();
        self.work.borrow_mut().store.set(IBC, height_key(&client, height), value);
        Ok(())
    }

    fn delete_update_meta(&mut self, client: ClientId, height: Height) -> Result<(), HostError> {
        let path = state_path(&client, height);
        self.remove(&format!("{path}/processedTime"));
        self.remove(&format!("{path}/processedHeight"));
        self.work.borrow_mut().store.delete(IBC, &height_key(&client, height));
        Ok(())
    }
}

impl ExtClientValidationContext for Context<'_> {
    fn host_timestamp(&self) -> Result<Timestamp, HostError> {
        self.time()
    }

    fn host_height(&self) -> Result<Height, HostError> {
        self.height()
    }

    fn consensus_state_heights(&self, client: &ClientId) -> Result<Vec<Height>, HostError> {
        let work = self.work.borrow();
        let keys = work.store.prefix(IBC, &heights_prefix(client.as_str()), None);
        let heights = keys.filter_map(|(key, _)| height_of(key));
        heights.map(|(revision, height)| Height::new(revision, height).map_err(HostError::invalid_state)).collect()
    }

    fn next_consensus_state(&self, client: &ClientId, height: &Height) -> Result<Option<ConsensusState>, HostError> {
        let next = self.consensus_state_heights(client)?.into_iter().find(|other| other > height);
        next.map(|height| self.at(client, height)).transpose()
    }

    fn prev_consensus_state(&self, client: &ClientId, height: &Height) -> Result<Option<ConsensusState>, HostError> {
        let before = self.consensus_state_heights(client)?.into_iter().rev().find(|other| other < height);
        before.map(|height| self.at(client, height)).transpose()
    }
}
