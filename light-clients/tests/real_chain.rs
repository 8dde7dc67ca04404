//! Headers and proofs of a real chain (ibc-go v10.7.0 on CometBFT v0.38.17), recorded in `vectors/simd-v10.json`: what
//! the generator makes up, a node really gives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generate;

use generate::any;
use generate::chain::parameters_for;
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::commitment::v1::MerkleProof;
use ibc_proto::ibc::lightclients::tendermint::v1::Header as RawHeader;
use light_clients::tendermint::{ClientState, ConsensusState, revision};
use light_clients::{Height, MerklePath, Reason, TendermintClient, Timestamp, Verdict, Verifier};
use prost::Message;
use serde_json::Value;
use tendermint::block::signed_header::SignedHeader;
use tendermint::validator::{Info, Set};

struct Recorded {
    signed: SignedHeader,
    validators: Set,
}

impl Recorded {
    fn height(&self) -> Height {
        let header = &self.signed.header;
        Height::new(revision(header.chain_id.as_str()).unwrap(), header.height.value())
    }

    /// One validator all along: it is its own successor.
    fn consensus_state(&self) -> ConsensusState {
        let header = &self.signed.header;
        ConsensusState::new(header.time, header.app_hash.as_bytes().to_vec(), header.next_validators_hash).unwrap()
    }

    fn client(&self) -> Any {
        let parameters = parameters_for(self.signed.header.chain_id.as_str(), self.height());
        ClientState::new(parameters).unwrap().encode()
    }

    fn update_from(&self, trusted: &Self) -> RawHeader {
        RawHeader {
            signed_header: Some(self.signed.clone().into()),
            validator_set: Some(self.validators.clone().into()),
            trusted_height: Some(trusted.height().into()),
            trusted_validators: Some(trusted.validators.clone().into()),
        }
    }
}

fn vectors() -> (Value, Vec<Recorded>) {
    let all: Value = serde_json::from_str(include_str!("vectors/simd-v10.json")).unwrap();
    let blocks = all["blocks"].as_array().unwrap().iter().map(|block| {
        let validators: Vec<Info> = serde_json::from_value(block["validators"].clone()).unwrap();
        let proposer = validators.first().cloned();
        Recorded {
            signed: serde_json::from_value(block["signed_header"].clone()).unwrap(),
            validators: Set::new(validators, proposer),
        }
    });
    let blocks = blocks.collect();
    (all, blocks)
}

fn now(block: &Recorded) -> Timestamp {
    block.consensus_state().timestamp()
}

#[test]
fn headers_of_a_real_chain_verify_and_a_flipped_bit_does_not() {
    let (_, blocks) = vectors();
    let trusted = &blocks[0];
    let (client, state) = (trusted.client(), trusted.consensus_state().encode());
    for block in &blocks[1..] {
        let mut header = block.update_from(trusted);
        let verdict = TendermintClient.update(&client, &state, &any(&header), now(block));
        let Verdict::Trusted(updated) = verdict else { panic!("{verdict:?}") };
        assert_eq!(updated.height, block.height());
        assert_eq!(updated.consensus_state, block.consensus_state().encode());

        let commit = header.signed_header.as_mut().unwrap().commit.as_mut().unwrap();
        commit.signatures[0].signature[7] ^= 1;
        let verdict = TendermintClient.update(&client, &state, &any(&header), now(block));
        assert_eq!(verdict, Verdict::Invalid(Reason::Signature));
    }
}

#[test]
fn proofs_of_a_real_chain_verify_and_only_for_what_they_prove() {
    let (all, blocks) = vectors();
    let block = blocks.last().unwrap();
    let (client, state) = (block.client(), block.consensus_state().encode());
    let mut kinds = [0, 0];
    for recorded in all["proofs"].as_array().unwrap() {
        let operations = recorded["operations"].as_array().unwrap().iter();
        let proof = MerkleProof {
            proofs: operations.map(|operation| Message::decode(bytes(operation).as_slice()).unwrap()).collect(),
        };
        let path = MerklePath::new("ibc", recorded["key"].as_str().unwrap());
        let value = recorded["value"].is_string().then(|| bytes(&recorded["value"]));
        let check = |state: &Any, value: Option<&[u8]>| {
            TendermintClient.membership(&client, state, &proof.encode_to_vec(), &path, value)
        };
        kinds[usize::from(value.is_some())] += 1;
        assert_eq!(check(&state, value.as_deref()), Ok(()), "{recorded}");
        let other = if value.is_some() { None } else { Some(b"forged".as_slice()) };
        assert_eq!(check(&state, other), Err(Reason::ProofKind { tree: 0 }));
        // The app hash of a block commits to the state before it: another block's does not do.
        let earlier = blocks[0].consensus_state().encode();
        assert_eq!(check(&earlier, value.as_deref()), Err(Reason::ProofRoot { tree: 1 }));
    }
    assert_eq!(kinds, [3, 3], "absent and present");
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
