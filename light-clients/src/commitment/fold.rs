//! From a leaf to its tree's root: one hash a node, nothing else.
//!
//! ICS-23's `calculate_existence_root` for the two trees known here, whose nodes are all SHA-256 of
//! `prefix || child || suffix` and whose leaves are `prefix || length || key || 32 || SHA-256(value)`. The `ics23` crate reads
//! these operations from the proof and builds each image on the heap, which costs a third of the hashing. A property
//! test holds both against each other.
//!
//! Only for proofs that [`super::shape::check_existence`] has passed: it is what fixes the operations.

use ics23::ExistenceProof;
use sha2::{Digest, Sha256};

/// No inner node is longer: a prefix has up to 45 bytes, a child 32, a suffix up to 33.
const IMAGE: usize = 110;

/// The root of the tree that holds this leaf by this path; none for an empty key or value, which is no leaf.
pub(super) fn root_of(proof: &ExistenceProof) -> Option<[u8; 32]> {
    let leaf = proof.leaf.as_ref()?;
    if proof.key.is_empty() || proof.value.is_empty() {
        return None;
    }
    let value = Sha256::digest(&proof.value);
    let mut image = Sha256::new_with_prefix(&leaf.prefix);
    add_length(&mut image, proof.key.len());
    image.update(&proof.key);
    add_length(&mut image, value.len());
    image.update(value);
    let mut hash = image.finalize();
    // In one piece: three updates of a hasher cost as much as a third of a node's hashing.
    let mut image = [0; IMAGE];
    for inner in &proof.path {
        let (before, rest) = image.split_at_mut_checked(inner.prefix.len())?;
        let (child, rest) = rest.split_at_mut_checked(hash.len())?;
        let (after, rest) = rest.split_at_mut_checked(inner.suffix.len())?;
        before.copy_from_slice(&inner.prefix);
        child.copy_from_slice(&hash);
        after.copy_from_slice(&inner.suffix);
        let length = IMAGE.checked_sub(rest.len())?;
        hash = Sha256::digest(image.get(..length)?);
    }
    Some(hash.into())
}

/// A length as an unsigned varint, as protobuf writes it.
fn add_length(image: &mut Sha256, length: usize) {
    let mut rest = length;
    while rest >= 0x80 {
        image.update([(rest & 0x7f) as u8 | 0x80]);
        rest >>= 7;
    }
    image.update([rest as u8]);
}
