//! The exact shape of the nodes of each tree.
//!
//! A Merkle proof shows nodes as bytes around a hash: `hash(prefix || child || suffix)`. A proof is forged by moving the
//! line between these parts, so that a node, or a piece of one, passes for another. ICS-23's specs bound lengths; here
//! every byte but versions, sizes and sibling hashes is fixed:
//!
//! ```text
//! IAVL leaf     height 0, size 1, version                       || key, hash of value (each with its length)
//! IAVL inner    height, size, version, 32,  [child]  32, right  (32 is the length of the hash that follows)
//!               height, size, version, 32, left, 32, [child]
//! simple leaf   0                                               || key, hash of value (each with its length)
//! simple inner  1, [child], right    or    1, left, [child]
//! ```
//!
//! Heights, sizes and versions are zigzag varints, their length within [`IAVL_PREFIX`]. Exactly one sibling stands beside
//! the child.

use super::ics23::Tree;
use crate::limits::{MAX_KEY_BYTES, MAX_PROOF_DEPTH};
use crate::wire::within;
use crate::{Part, Reason};
use core::ops::RangeInclusive;
use ics23::{ExistenceProof, HashOp, InnerOp, LeafOp, LengthOp};

/// Length of a SHA-256 hash, and the byte that announces one.
const HASH: usize = 32;
const HASH_LENGTH: u8 = 32;

/// How long an IAVL inner node's prefix is in ICS-23's spec of the tree: 4 to 12 bytes, and a sibling's 33.
const IAVL_PREFIX: RangeInclusive<usize> = 4..=45;

/// Checks depth, leaf and inner nodes of a leaf's proof.
pub(super) fn check_existence(tree: Tree, level: u32, proof: &ExistenceProof) -> Result<(), Reason> {
    let depth = proof.path.len();
    if depth > MAX_PROOF_DEPTH {
        return Err(Reason::ProofDepth { tree: level, depth: depth as u64, max: MAX_PROOF_DEPTH as u64 });
    }
    within(proof.key.len(), MAX_KEY_BYTES, Part::Key)?;
    if !proof.leaf.as_ref().is_some_and(|leaf| is_leaf(tree, leaf)) {
        return Err(Reason::ProofLeaf { tree: level });
    }
    for (index, inner) in (1_u32..).zip(&proof.path) {
        if !is_inner(tree, inner, index) {
            return Err(Reason::ProofInner { tree: level, index: index.saturating_sub(1) });
        }
    }
    Ok(())
}

/// Whether two paths, seen from the root, part before either ends.
pub(super) fn part_ways(left: &[InnerOp], right: &[InnerOp]) -> bool {
    left.iter().rev().zip(right.iter().rev()).any(|(a, b)| a.prefix != b.prefix || a.suffix != b.suffix)
}

fn is_leaf(tree: Tree, leaf: &LeafOp) -> bool {
    let operations = leaf.hash == HashOp::Sha256 as i32
        && leaf.prehash_key == HashOp::NoHash as i32
        && leaf.prehash_value == HashOp::Sha256 as i32
        && leaf.length == LengthOp::VarProto as i32;
    operations
        && match tree {
            // The first byte is 0 and not a longer spelling of it: no inner node begins with it.
            Tree::Iavl => leaf.prefix.first() == Some(&0) && matches!(node_header(&leaf.prefix), Some((0, 1, []))),
            Tree::Simple => leaf.prefix == [0],
        }
}

/// Whether an inner node `above` steps over the leaf is one of this tree.
fn is_inner(tree: Tree, inner: &InnerOp, above: u32) -> bool {
    if inner.hash != HashOp::Sha256 as i32 {
        return false;
    }
    match tree {
        Tree::Iavl => {
            let Some((height, size, rest)) = node_header(&inner.prefix) else {
                return false;
            };
            let fits = IAVL_PREFIX.contains(&inner.prefix.len());
            // Each node is higher than its child, and holds two leaves or more.
            fits && height >= i64::from(above) && size >= 2 && iavl_siblings(rest, &inner.suffix)
        }
        Tree::Simple => match inner.prefix.split_first() {
            Some((1, [])) => inner.suffix.len() == HASH,
            Some((1, left)) => left.len() == HASH && inner.suffix.is_empty(),
            _ => false,
        },
    }
}

fn iavl_siblings(before: &[u8], after: &[u8]) -> bool {
    let is_hash = |bytes: &[u8]| matches!(bytes.split_first(), Some((&HASH_LENGTH, hash)) if hash.len() == HASH);
    match before.split_last() {
        Some((&HASH_LENGTH, [])) => is_hash(after),
        Some((&HASH_LENGTH, left)) => is_hash(left) && after.is_empty(),
        _ => false,
    }
}

/// Height, size and what follows them and the version; none of the three is negative.
fn node_header(bytes: &[u8]) -> Option<(i64, i64, &[u8])> {
    let (height, rest) = varint(bytes)?;
    let (size, rest) = varint(rest)?;
    let (_version, rest) = varint(rest)?;
    Some((height, size, rest))
}

/// A zigzag varint that is not negative, and what follows it.
fn varint(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut rest = bytes;
    let raw = prost::encoding::decode_varint(&mut rest).ok()?;
    (raw & 1 == 0).then(|| i64::try_from(raw >> 1).ok()).flatten().map(|value| (value, rest))
}
