//! Light clients as contracts: ibc-go's 08-wasm module on a test chain.
//!
//! Governance stores a contract's code ([`SimdChain::store_code`]) and gives a client other code
//! ([`SimdChain::migrate_contract`]); everybody may create and update clients ([`User::create_client`],
//! [`User::update_client`]). States and messages are `Any`s of `ibc.lightclients.wasm.v1`; what they hold is the contract's.

use std::path::{Path, PathBuf};
use std::process::Command;

use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::client::v1::{
    Height, MsgCreateClient, MsgRecoverClient, MsgUpdateClient, QueryClientStateRequest, QueryClientStateResponse,
    QueryConsensusStateHeightsRequest, QueryConsensusStateHeightsResponse,
};
use ibc_proto::ibc::lightclients::wasm::v1::{
    ClientState, MsgMigrateContract, MsgStoreCode, QueryChecksumsRequest, QueryChecksumsResponse, QueryCodeRequest,
    QueryCodeResponse,
};
use prost::Message;
use sha2::{Digest, Sha256};

use super::governance::authority;
use super::node::{CommittedTx, Node};
use super::simd::SimdChain;
use super::tx::any;
use super::user::User;
use crate::{DevnetError, limits};

/// A contract's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    code: Vec<u8>,
}

/// What a chain is asked to prove of another with a client.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The client.
    pub client_id: String,
    /// Height of the state it is proven against: revision and number.
    pub height: (u64, u64),
    /// The proof, in the client's own form.
    pub proof: Vec<u8>,
    /// The keys of the path.
    pub path: Vec<Vec<u8>>,
    /// What is said to stand there.
    pub value: Vec<u8>,
}

// The query of ibc-go v10, which the protobuf library does not know yet.

#[derive(Clone, PartialEq, Message)]
struct MerklePath {
    #[prost(bytes = "vec", repeated, tag = "1")]
    key_path: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct QueryVerifyMembershipRequest {
    #[prost(string, tag = "1")]
    client_id: String,
    #[prost(bytes = "vec", tag = "2")]
    proof: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    proof_height: Option<Height>,
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
    #[prost(message, optional, tag = "8")]
    merkle_path: Option<MerklePath>,
}

#[derive(Clone, PartialEq, Message)]
struct QueryVerifyMembershipResponse {
    #[prost(bool, tag = "1")]
    success: bool,
}

impl Contract {
    /// The GRANDPA client, built unless the cache has it (`RELAYER_TEST_CACHE`). Blocks; the first build takes minutes.
    ///
    /// # Errors
    /// [`DevnetError::Contract`] with what the build printed.
    pub fn build_or_find() -> Result<Self, DevnetError> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/chains/contract");
        let output = Command::new("bash").arg(script).output().map_err(DevnetError::io(script))?;
        let refused = |reason: String| DevnetError::Contract { reason };
        if !output.status.success() {
            return Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let printed = String::from_utf8_lossy(&output.stdout);
        let (checksum, path) = printed.lines().last().and_then(|line| line.split_once("  ")).unwrap_or_default();
        let contract = Self::read(&PathBuf::from(path))?;
        if hex::encode(contract.checksum()) != checksum {
            return Err(refused(format!("{path} has not the checksum {checksum:?} that the build printed")));
        }
        Ok(contract)
    }

    fn read(path: &Path) -> Result<Self, DevnetError> {
        let code = std::fs::read(path).map_err(DevnetError::io(path.display().to_string()))?;
        Ok(Self { code })
    }

    /// SHA-256 of the code, by which chains know it.
    #[must_use]
    pub fn checksum(&self) -> [u8; 32] {
        Sha256::digest(&self.code).into()
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &[u8] {
        &self.code
    }

    /// Other code that does the same: with a custom section of wasm, which nothing reads, that holds this byte.
    #[must_use]
    pub fn marked(&self, mark: u8) -> Self {
        const CUSTOM: u8 = 0;
        // Section, its length, the length of its name, its name, its content.
        let section = [&[CUSTOM, 6, 4], b"mark".as_slice(), &[mark]].concat();
        Self { code: [self.code.as_slice(), &section].concat() }
    }
}

impl SimdChain {
    /// Stores a contract's code by governance.
    ///
    /// # Errors
    /// As [`SimdChain::govern`].
    pub async fn store_code(&self, contract: &Contract) -> Result<(), DevnetError> {
        let store = MsgStoreCode { signer: authority()?, wasm_byte_code: contract.code.clone() };
        self.govern("store a light client", vec![any("/ibc.lightclients.wasm.v1.MsgStoreCode", &store)]).await
    }

    /// Gives a client other code, which was stored before, by governance.
    ///
    /// # Errors
    /// As [`SimdChain::govern`].
    pub async fn migrate_contract(&self, client_id: &str, checksum: [u8; 32]) -> Result<(), DevnetError> {
        let migrate = MsgMigrateContract {
            signer: authority()?,
            client_id: client_id.to_owned(),
            checksum: checksum.to_vec(),
            msg: b"{}".to_vec(),
        };
        let migrate = any("/ibc.lightclients.wasm.v1.MsgMigrateContract", &migrate);
        self.govern("migrate a light client", vec![migrate]).await
    }

    /// Gives a frozen or expired client the states of another one, by governance.
    ///
    /// # Errors
    /// As [`SimdChain::govern`].
    pub async fn recover_client(&self, subject: &str, substitute: &str) -> Result<(), DevnetError> {
        let recover = MsgRecoverClient {
            subject_client_id: subject.to_owned(),
            substitute_client_id: substitute.to_owned(),
            signer: authority()?,
        };
        self.govern("recover a light client", vec![any("/ibc.core.client.v1.MsgRecoverClient", &recover)]).await
    }
}

impl User {
    /// Creates a client; its id.
    ///
    /// # Errors
    /// As [`User::execute`]; [`DevnetError::Decode`] if the chain names no client.
    pub async fn create_client(&self, client_state: Any, consensus_state: Any) -> Result<String, DevnetError> {
        let create = MsgCreateClient {
            client_state: Some(client_state),
            consensus_state: Some(consensus_state),
            signer: self.address().to_owned(),
        };
        let messages = vec![any("/ibc.core.client.v1.MsgCreateClient", &create)];
        let created = self.execute_with_gas(messages, limits::CONTRACT_GAS).await?;
        let id =
            created.events.iter().filter(|event| event.kind == "create_client").find_map(|e| e.attribute("client_id"));
        id.map(str::to_owned).ok_or_else(|| DevnetError::decode("create_client", "no client_id"))
    }

    /// Shows a client a header or misbehaviour.
    ///
    /// # Errors
    /// As [`User::execute`].
    pub async fn update_client(&self, client_id: &str, message: Any) -> Result<CommittedTx, DevnetError> {
        let update = MsgUpdateClient {
            client_id: client_id.to_owned(),
            client_message: Some(message),
            signer: self.address().to_owned(),
        };
        self.execute_with_gas(vec![any("/ibc.core.client.v1.MsgUpdateClient", &update)], limits::CONTRACT_GAS).await
    }
}

impl Node {
    /// The checksums of all light client contracts, hex.
    ///
    /// # Errors
    /// As [`Node::query`].
    pub async fn contract_checksums(&self) -> Result<Vec<String>, DevnetError> {
        let request = QueryChecksumsRequest { pagination: None };
        let answer: QueryChecksumsResponse = self.query("/ibc.lightclients.wasm.v1.Query/Checksums", &request).await?;
        Ok(answer.checksums)
    }

    /// The code of a light client contract.
    ///
    /// # Errors
    /// As [`Node::query`].
    pub async fn contract_code(&self, checksum: [u8; 32]) -> Result<Vec<u8>, DevnetError> {
        let request = QueryCodeRequest { checksum: hex::encode(checksum) };
        let answer: QueryCodeResponse = self.query("/ibc.lightclients.wasm.v1.Query/Code", &request).await?;
        Ok(answer.data)
    }

    /// The state of a client that is a contract.
    ///
    /// # Errors
    /// As [`Node::query`]; [`DevnetError::Decode`] if it is another client.
    pub async fn wasm_client_state(&self, client_id: &str) -> Result<ClientState, DevnetError> {
        let path = "/ibc.core.client.v1.Query/ClientState";
        let request = QueryClientStateRequest { client_id: client_id.to_owned() };
        let answer: QueryClientStateResponse = self.query(path, &request).await?;
        let state = answer.client_state.unwrap_or_default();
        if state.type_url != "/ibc.lightclients.wasm.v1.ClientState" {
            return Err(DevnetError::decode(path, format!("a client state of type {:?}", state.type_url)));
        }
        ClientState::decode(state.value.as_slice()).map_err(|e| DevnetError::decode(path, e))
    }

    /// The heights of the states that a client holds: revision and number, in order.
    ///
    /// # Errors
    /// As [`Node::query`].
    pub async fn consensus_heights(&self, client_id: &str) -> Result<Vec<(u64, u64)>, DevnetError> {
        let request = QueryConsensusStateHeightsRequest { client_id: client_id.to_owned(), pagination: None };
        let path = "/ibc.core.client.v1.Query/ConsensusStateHeights";
        let answer: QueryConsensusStateHeightsResponse = self.query(path, &request).await?;
        let height = |height: &Height| (height.revision_number, height.revision_height);
        let mut heights: Vec<_> = answer.consensus_state_heights.iter().map(height).collect();
        heights.sort_unstable();
        Ok(heights)
    }

    /// Whether a client takes a value for proven.
    ///
    /// # Errors
    /// As [`Node::query`]; a client that is not active is asked in vain.
    pub async fn verify_membership(&self, proof: Proof) -> Result<bool, DevnetError> {
        let (revision_number, revision_height) = proof.height;
        let request = QueryVerifyMembershipRequest {
            client_id: proof.client_id,
            proof: proof.proof,
            proof_height: Some(Height { revision_number, revision_height }),
            value: proof.value,
            merkle_path: Some(MerklePath { key_path: proof.path }),
        };
        let path = "/ibc.core.client.v1.Query/VerifyMembership";
        let answer: QueryVerifyMembershipResponse = self.query(path, &request).await?;
        Ok(answer.success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_changes_the_checksum_and_leaves_the_code_before_it() {
        // The empty module.
        let contract = Contract { code: b"\0asm\x01\0\0\0".to_vec() };
        let marked = contract.marked(7);
        assert_eq!(marked.code(), b"\0asm\x01\0\0\0\0\x06\x04mark\x07");
        assert_ne!(marked.checksum(), contract.checksum());
        assert_ne!(marked.checksum(), contract.marked(8).checksum());
    }
}
