//! Several proofs of one tree in one message: ICS-23's batch, and its compressed form that shares inner nodes.
//!
//! A chain accepts neither for a single path ([`super::ics23`] refuses them likewise), but a prover may hand many keys of
//! one store in this form. Unfolding is bounded: a compressed batch names an inner node in a byte or two, so its size
//! says little about what it becomes. A reference to a node that is not there is an error (the `ics23` crate takes it for an
//! empty path).

use super::ics23::{Tree, verify_absent, verify_present};
use crate::limits::{MAX_BATCH_ENTRIES, MAX_BATCH_INNER_NODES, MAX_INNER_NODE_BYTES, MAX_PROOF_DEPTH};
use crate::wire::within;
use crate::{Part, Reason};
use alloc::vec::Vec;
use ics23::commitment_proof::Proof;
use ics23::{
    CommitmentProof, CompressedExistenceProof, ExistenceProof, InnerOp, NonExistenceProof, batch_entry,
    compressed_batch_entry,
};

/// Verifies every item against one tree: `Some(value)` is there, `None` is absent.
pub fn verify_batch(
    tree: Tree,
    root: &[u8],
    proof: &CommitmentProof,
    items: &[(&[u8], Option<&[u8]>)],
) -> Result<(), Reason> {
    let proofs = unfold(proof)?;
    for (key, value) in items {
        let fits = |proof: &&CommitmentProof| match (&proof.proof, value) {
            (Some(Proof::Exist(exist)), Some(_)) => exist.key == *key,
            (Some(Proof::Nonexist(absence)), None) => absence.key == *key,
            _ => false,
        };
        let proof = proofs.iter().find(fits).ok_or(Reason::ProofKey { tree: 0 })?;
        match value {
            Some([]) => return Err(Reason::EmptyValue),
            Some(value) => verify_present(tree, 0, proof, root, key, value)?,
            None => verify_absent(tree, 0, proof, root, key)?,
        }
    }
    Ok(())
}

/// The single proofs of a batch, a compressed batch or a single proof, within the limits.
pub fn unfold(proof: &CommitmentProof) -> Result<Vec<CommitmentProof>, Reason> {
    let single = |proof| CommitmentProof { proof: Some(proof) };
    match &proof.proof {
        None => Err(Reason::Missing { part: Part::BatchProof }),
        Some(Proof::Exist(_) | Proof::Nonexist(_)) => Ok([proof.clone()].into()),
        Some(Proof::Batch(batch)) => {
            within(batch.entries.len(), MAX_BATCH_ENTRIES, Part::BatchProof)?;
            let proofs = batch.entries.iter().map(|entry| match &entry.proof {
                Some(batch_entry::Proof::Exist(exist)) => Ok(single(Proof::Exist(exist.clone()))),
                Some(batch_entry::Proof::Nonexist(absence)) => Ok(single(Proof::Nonexist(absence.clone()))),
                None => Err(Reason::Missing { part: Part::BatchProof }),
            });
            proofs.collect()
        }
        Some(Proof::Compressed(batch)) => {
            within(batch.entries.len(), MAX_BATCH_ENTRIES, Part::BatchProof)?;
            for inner in &batch.lookup_inners {
                let bytes = inner.prefix.len().saturating_add(inner.suffix.len());
                within(bytes, MAX_INNER_NODE_BYTES, Part::InnerNodes)?;
            }
            let mut room = MAX_BATCH_INNER_NODES;
            let mut leaf = |leaf: &CompressedExistenceProof| decompress(leaf, &batch.lookup_inners, &mut room);
            let proofs = batch.entries.iter().map(|entry| match &entry.proof {
                Some(compressed_batch_entry::Proof::Exist(exist)) => Ok(single(Proof::Exist(leaf(exist)?))),
                Some(compressed_batch_entry::Proof::Nonexist(absence)) => {
                    Ok(single(Proof::Nonexist(NonExistenceProof {
                        key: absence.key.clone(),
                        left: absence.left.as_ref().map(&mut leaf).transpose()?,
                        right: absence.right.as_ref().map(&mut leaf).transpose()?,
                    })))
                }
                None => Err(Reason::Missing { part: Part::BatchProof }),
            });
            proofs.collect()
        }
    }
}

fn decompress(
    proof: &CompressedExistenceProof,
    lookup: &[InnerOp],
    room: &mut usize,
) -> Result<ExistenceProof, Reason> {
    let depth = proof.path.len();
    within(depth, MAX_PROOF_DEPTH, Part::InnerNodes)?;
    let all = MAX_BATCH_INNER_NODES.saturating_sub(*room).saturating_add(depth);
    within(all, MAX_BATCH_INNER_NODES, Part::BatchProof)?;
    *room = room.saturating_sub(depth);
    let inner = |index: &i32| {
        let found = usize::try_from(*index).ok().and_then(|index| lookup.get(index));
        found.cloned().ok_or(Reason::ProofLookup { index: *index })
    };
    Ok(ExistenceProof {
        key: proof.key.clone(),
        value: proof.value.clone(),
        leaf: proof.leaf.clone(),
        path: proof.path.iter().map(inner).collect::<Result<_, _>>()?,
    })
}
