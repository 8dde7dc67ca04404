//! ICS-23 proofs of Cosmos chains: presence and absence, through an IAVL tree and the simple Merkle tree above it.
//!
//! Each module of the chain stores its keys in an IAVL tree; the roots of these trees are the leaves of a simple Merkle
//! tree, whose root is the app hash in a block's header. A [`MerkleProof`] holds one proof a tree, the lowest first.
//! Absence is proven by two neighbouring leaves around the key, in the lowest tree only.
//!
//! The rules are those of the `ics23` crate. It verifies absence itself; presence is hashed in `fold` after its
//! checks, which are part of those in `shape`. What it leaves open is closed here:
//!
//! - depth (it ignores `max_depth` when `min_depth` is 0) and sizes;
//! - the exact shape of leaves and inner nodes, so that no node passes for another (Dragonberry, a child
//!   on both sides);
//! - absence proofs whose two paths never part: it unwraps where they should;
//! - the kind of proof: batches are for [`super::batch`], since a chain accepts none for a single path.
//!
//! An empty value is no member, as in ibc-go. Every tree is hashed once: the value of the proof above is the root asked
//! of the proof below.

use super::MerklePath;
use super::fold::root_of;
use super::shape::{check_existence, part_ways};
use crate::limits::{MAX_KEY_BYTES, MAX_PROOF_BYTES};
use crate::wire::{decode, within};
use crate::{Part, Reason};
use ibc_proto::ibc::core::commitment::v1::MerkleProof;
use ics23::commitment_proof::Proof;
use ics23::{CommitmentProof, ExistenceProof, HostFunctionsManager, NonExistenceProof, ProofSpec};

/// A kind of Merkle tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tree {
    /// The Cosmos SDK's IAVL+ tree: one store.
    Iavl,
    /// CometBFT's simple Merkle tree (RFC 6962): all stores.
    Simple,
}

impl Tree {
    /// Its ICS-23 spec.
    pub fn spec(self) -> ProofSpec {
        match self {
            Self::Iavl => ics23::iavl_spec(),
            Self::Simple => ics23::tendermint_spec(),
        }
    }
}

/// The trees of a Cosmos chain, lowest first.
pub const COSMOS_TREES: [Tree; 2] = [Tree::Iavl, Tree::Simple];

/// The proof specs of a Cosmos chain, as its clients hold them.
pub fn specs() -> [ProofSpec; 2] {
    COSMOS_TREES.map(Tree::spec)
}

/// Decodes a Merkle proof after measuring it.
pub fn decode_proof(bytes: &[u8]) -> Result<MerkleProof, Reason> {
    decode(bytes, Part::MerkleProof, MAX_PROOF_BYTES)
}

/// Verifies that `path` holds `value` under `root`.
pub fn verify_membership(
    trees: &[Tree],
    root: &[u8],
    proof: &MerkleProof,
    path: &MerklePath,
    value: &[u8],
) -> Result<(), Reason> {
    check_counts(trees, root, proof, path)?;
    if value.is_empty() {
        return Err(Reason::EmptyValue);
    }
    climb(trees, root, proof, path, value, 0)
}

/// Verifies that `path` holds nothing under `root`: its key is absent from the lowest tree, which is a member of the
/// trees above.
pub fn verify_absence(trees: &[Tree], root: &[u8], proof: &MerkleProof, path: &MerklePath) -> Result<(), Reason> {
    check_counts(trees, root, proof, path)?;
    let (Some(tree), Some(lowest), Some(key)) = (trees.first(), proof.proofs.first(), path.keys().last()) else {
        return Err(Reason::Missing { part: Part::MerkleProof });
    };
    let subroot = root_below(root, proof, 0)?;
    verify_absent(*tree, 0, lowest, subroot, key)?;
    climb(trees, root, proof, path, subroot, 1)
}

/// Verifies the trees from `start` up: each holds the root of the one below, the first of them `value`.
fn climb(
    trees: &[Tree],
    root: &[u8],
    proof: &MerkleProof,
    path: &MerklePath,
    value: &[u8],
    start: usize,
) -> Result<(), Reason> {
    let mut value = value;
    // Keys come root first, trees and proofs lowest first.
    let levels = trees.iter().zip(&proof.proofs).zip(path.keys().iter().rev()).enumerate().skip(start);
    for (level, ((tree, proof_here), key)) in levels {
        let root_here = root_below(root, proof, level)?;
        verify_present(*tree, number(level), proof_here, root_here, key, value)?;
        value = root_here;
    }
    Ok(())
}

/// The root of the tree at `level`: what the proof above claims as its value, or the root itself at the top.
fn root_below<'a>(root: &'a [u8], proof: &'a MerkleProof, level: usize) -> Result<&'a [u8], Reason> {
    let above = level.saturating_add(1);
    match proof.proofs.get(above) {
        Some(proof) => Ok(&existence(proof, number(above))?.value),
        None => Ok(root),
    }
}

fn check_counts(trees: &[Tree], root: &[u8], proof: &MerkleProof, path: &MerklePath) -> Result<(), Reason> {
    for got in [proof.proofs.len(), path.keys().len()] {
        if got != trees.len() || got == 0 {
            return Err(Reason::TreeCount { got: number(got), want: number(trees.len()) });
        }
    }
    for key in path.keys() {
        within(key.len(), MAX_KEY_BYTES, Part::Key)?;
        if key.is_empty() {
            return Err(Reason::Missing { part: Part::Key });
        }
    }
    if root.is_empty() {
        return Err(Reason::ProofRoot { tree: number(trees.len().saturating_sub(1)) });
    }
    Ok(())
}

/// Verifies that one tree with this root holds `value` under `key`.
pub(super) fn verify_present(
    tree: Tree,
    level: u32,
    proof: &CommitmentProof,
    root: &[u8],
    key: &[u8],
    value: &[u8],
) -> Result<(), Reason> {
    let exist = existence(proof, level)?;
    if exist.key != key {
        return Err(Reason::ProofKey { tree: level });
    }
    if exist.value != value {
        return Err(Reason::ProofValue { tree: level });
    }
    check_existence(tree, level, exist)?;
    if root_of(exist).is_some_and(|calculated| calculated == root) {
        Ok(())
    } else {
        Err(Reason::ProofRoot { tree: level })
    }
}

/// Verifies that one tree with this root holds nothing under `key`.
pub(super) fn verify_absent(
    tree: Tree,
    level: u32,
    proof: &CommitmentProof,
    root: &[u8],
    key: &[u8],
) -> Result<(), Reason> {
    let absence = absence(proof, level)?;
    if absence.key != key {
        return Err(Reason::ProofKey { tree: level });
    }
    for leaf in [&absence.left, &absence.right].into_iter().flatten() {
        check_existence(tree, level, leaf)?;
    }
    let before = absence.left.as_ref().is_none_or(|left| left.key.as_slice() < key);
    let after = absence.right.as_ref().is_none_or(|right| right.key.as_slice() > key);
    let apart = match (&absence.left, &absence.right) {
        (Some(left), Some(right)) => part_ways(&left.path, &right.path),
        (None, None) => false,
        _ => true,
    };
    if !(before && after && apart) {
        return Err(Reason::ProofNeighbours { tree: level });
    }
    if ics23::verify_non_membership::<HostFunctionsManager>(proof, &tree.spec(), &root.into(), key) {
        return Ok(());
    }
    // Refused: say whether the leaves belong to another tree or are no neighbours in this one.
    let leaves = [&absence.left, &absence.right];
    let elsewhere = leaves.into_iter().flatten().any(|leaf| {
        !ics23::calculate_existence_root::<HostFunctionsManager>(leaf).is_ok_and(|calculated| calculated == root)
    });
    Err(if elsewhere { Reason::ProofRoot { tree: level } } else { Reason::ProofNeighbours { tree: level } })
}

fn existence(proof: &CommitmentProof, level: u32) -> Result<&ExistenceProof, Reason> {
    match &proof.proof {
        Some(Proof::Exist(exist)) => Ok(exist),
        Some(Proof::Batch(_) | Proof::Compressed(_)) => Err(Reason::BatchedProof { tree: level }),
        Some(Proof::Nonexist(_)) | None => Err(Reason::ProofKind { tree: level }),
    }
}

fn absence(proof: &CommitmentProof, level: u32) -> Result<&NonExistenceProof, Reason> {
    match &proof.proof {
        Some(Proof::Nonexist(absence)) => Ok(absence),
        Some(Proof::Batch(_) | Proof::Compressed(_)) => Err(Reason::BatchedProof { tree: level }),
        Some(Proof::Exist(_)) | None => Err(Reason::ProofKind { tree: level }),
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
