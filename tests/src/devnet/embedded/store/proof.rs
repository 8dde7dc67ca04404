//! A tree's paths as ICS-23 proofs.

use ics23::commitment_proof::Proof;
use ics23::{CommitmentProof, ExistenceProof, HashOp, InnerOp, LeafOp, LengthOp, NonExistenceProof};
use prost::Message as _;

use super::tree::{self, Path, Step};
use crate::devnet::embedded::ProofOp;

/// One step of a node's answer.
pub(super) fn op(kind: &str, key: &[u8], proof: &CommitmentProof) -> ProofOp {
    ProofOp { kind: kind.to_owned(), key: key.to_vec(), data: proof.encode_to_vec() }
}

pub(super) fn exist(proof: ExistenceProof) -> CommitmentProof {
    CommitmentProof { proof: Some(Proof::Exist(proof)) }
}

pub(super) fn nonexist(proof: NonExistenceProof) -> CommitmentProof {
    CommitmentProof { proof: Some(Proof::Nonexist(proof)) }
}

/// Keys as they are, values hashed, both with their length: so in either tree.
pub(super) fn leaf(prefix: Vec<u8>) -> LeafOp {
    LeafOp {
        hash: HashOp::Sha256.into(),
        prehash_key: HashOp::NoHash.into(),
        prehash_value: HashOp::Sha256.into(),
        length: LengthOp::VarProto.into(),
        prefix,
    }
}

pub(super) fn inner(prefix: Vec<u8>, suffix: Vec<u8>) -> InnerOp {
    InnerOp { hash: HashOp::Sha256.into(), prefix, suffix }
}

/// A leaf's way to its store's root.
pub(super) fn iavl(path: Path) -> ExistenceProof {
    let step = |Step { header, sibling, left }: Step| {
        let sibling = tree::with_length(&sibling);
        // The hash of the proven side stands between the two, its length already in the prefix.
        match left {
            true => inner([header, vec![32]].concat(), sibling),
            false => inner([header, sibling, vec![32]].concat(), Vec::new()),
        }
    };
    ExistenceProof {
        key: path.key,
        value: path.value,
        leaf: Some(leaf(path.header)),
        path: path.steps.into_iter().map(step).collect(),
    }
}
