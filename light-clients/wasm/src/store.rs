//! States where ibc-go looks for them, each an `Any`.

use crate::ContractError;
use cosmwasm_std::Storage;
use ibc_proto::google::protobuf::Any;
use light_clients::Height;
use light_clients::grandpa::{ClientState, ConsensusState};
use prost::Message;

const CLIENT: &str = "clientState";
const VERSION: &str = "grandpaVersion";

/// Version of what this contract writes.
pub(crate) const KNOWN_VERSION: u64 = 1;

/// The client's own states; while a client is recovered, those of one of the two.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Own,
    Subject,
    Substitute,
}

impl Place {
    fn key(self, name: &str) -> Vec<u8> {
        let prefix = match self {
            Self::Own => "",
            Self::Subject => "subject/",
            Self::Substitute => "substitute/",
        };
        [prefix, name].concat().into_bytes()
    }

    fn any(self, storage: &dyn Storage, name: &str) -> Result<Option<Any>, ContractError> {
        let bytes = storage.get(&self.key(name));
        bytes.map(|bytes| Any::decode(bytes.as_slice()).map_err(|_| ContractError::Store)).transpose()
    }

    pub(crate) fn client(self, storage: &dyn Storage) -> Result<ClientState, ContractError> {
        let any = self.any(storage, CLIENT)?.ok_or(ContractError::NoClient)?;
        Ok(ClientState::decode(&any)?)
    }

    pub(crate) fn find(self, storage: &dyn Storage, height: Height) -> Result<Option<ConsensusState>, ContractError> {
        let any = self.any(storage, &consensus_name(height))?;
        Ok(any.map(|any| ConsensusState::decode(&any, height)).transpose()?)
    }

    pub(crate) fn consensus(self, storage: &dyn Storage, height: Height) -> Result<ConsensusState, ContractError> {
        self.find(storage, height)?.ok_or(ContractError::NoConsensus { height })
    }

    pub(crate) fn set_client(self, storage: &mut dyn Storage, client: &ClientState) {
        storage.set(&self.key(CLIENT), &client.encode().encode_to_vec());
    }

    pub(crate) fn set_consensus(self, storage: &mut dyn Storage, height: Height, state: &ConsensusState) {
        storage.set(&self.key(&consensus_name(height)), &state.encode().encode_to_vec());
    }

    pub(crate) fn version(self, storage: &dyn Storage) -> u64 {
        let bytes = storage.get(&self.key(VERSION)).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_be_bytes)
    }

    pub(crate) fn set_version(self, storage: &mut dyn Storage) {
        storage.set(&self.key(VERSION), &KNOWN_VERSION.to_be_bytes());
    }
}

fn consensus_name(height: Height) -> String {
    format!("consensusStates/{height}")
}
