//! Headers and proofs of a real chain, as the light clients' own tests read them.

use std::sync::OnceLock;
use std::time::Duration;

use ibc_proto::ibc::core::commitment::v1::MerkleProof;
use ibc_proto::ibc::lightclients::tendermint::v1::Header as RawHeader;
use ibc_proto::ics23::CommitmentProof;
use light_clients::Height;
use light_clients::tendermint::{ClientParameters, ClientState, ConsensusState, revision};
use prost::Message as _;
use serde_json::Value;
use tendermint::block::signed_header::SignedHeader;
use tendermint::validator::{Info, Set};

const VECTORS: &str = include_str!("../../../light-clients/tests/vectors/simd-v10.json");

/// A block's header with its one validator.
#[derive(Debug)]
pub struct Block {
    /// Header and commit.
    pub signed: SignedHeader,
    /// Its validators, and the next ones.
    pub validators: Set,
}

/// A key of the IBC store and its proof against the last block.
#[derive(Debug)]
pub struct Proof {
    /// The key.
    pub key: String,
    /// What the chain holds there.
    pub value: Option<Vec<u8>>,
    /// The proof.
    pub proof: MerkleProof,
}

impl Block {
    /// Its height.
    pub fn height(&self) -> Height {
        let header = &self.signed.header;
        Height::new(revision(header.chain_id.as_str()).unwrap_or_default(), header.height.value())
    }
    /// What a client trusts after it.
    pub fn consensus_state(&self) -> ConsensusState {
        let header = &self.signed.header;
        ConsensusState::new(header.time, header.app_hash.as_bytes().to_vec(), header.next_validators_hash)
            .expect("a recorded header")
    }
    /// A client that knows it.
    pub fn client(&self) -> ClientState {
        let (trusting, unbonding) = (Duration::from_secs(14 * 86_400), Duration::from_secs(21 * 86_400));
        let chain_id = self.signed.header.chain_id.as_str();
        let parameters =
            ClientParameters::cosmos(chain_id, self.height(), trusting, unbonding, Duration::from_secs(10));
        ClientState::new(parameters).expect("recorded parameters")
    }
    /// The ICS-07 header that leads here from another block.
    pub fn update_from(&self, trusted: &Self) -> RawHeader {
        RawHeader {
            signed_header: Some(self.signed.clone().into()),
            validator_set: Some(self.validators.clone().into()),
            trusted_height: Some(trusted.height().into()),
            trusted_validators: Some(trusted.validators.clone().into()),
        }
    }
}

/// All of them: blocks in their order, proofs against the last one.
pub fn recorded() -> &'static (Vec<Block>, Vec<Proof>) {
    static ALL: OnceLock<(Vec<Block>, Vec<Proof>)> = OnceLock::new();
    ALL.get_or_init(|| {
        let all: Value = serde_json::from_str(VECTORS).expect("the vectors");
        let blocks = all["blocks"].as_array().expect("blocks").iter().map(|block| {
            let validators: Vec<Info> = serde_json::from_value(block["validators"].clone()).expect("validators");
            let proposer = validators.first().cloned();
            let signed = serde_json::from_value(block["signed_header"].clone()).expect("a header");
            Block { signed, validators: Set::new(validators, proposer) }
        });
        let bytes = |value: &Value| hex::decode(value.as_str().unwrap_or_default()).expect("hex");
        let proofs = all["proofs"].as_array().expect("proofs").iter().map(|proof| {
            let operations = proof["operations"].as_array().expect("operations").iter();
            let operations = operations.map(|o| CommitmentProof::decode(bytes(o).as_slice()).expect("a proof"));
            Proof {
                key: proof["key"].as_str().expect("a key").to_owned(),
                value: proof["value"].is_string().then(|| bytes(&proof["value"])),
                proof: MerkleProof { proofs: operations.collect() },
            }
        });
        (blocks.collect(), proofs.collect())
    })
}
