//! CometBFT's simple Merkle tree (RFC 6962): leaves hash as `0, leaf`, pairs as `1, left, right`, the left side a power of two.

use ics23::InnerOp;
use tendermint::merkle::simple_hash_from_byte_vectors;

use super::proof;

/// The root over these leaves.
pub(super) fn root(leaves: &[Vec<u8>]) -> [u8; 32] {
    simple_hash_from_byte_vectors::<sha2::Sha256>(leaves)
}

/// The way from a leaf to the root, the lowest step first.
pub(super) fn path(leaves: &[Vec<u8>], place: usize) -> Vec<InnerOp> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    match place.checked_sub(left.len()) {
        None => {
            let mut steps = path(left, place);
            steps.push(proof::inner(vec![1], root(right).to_vec()));
            steps
        }
        Some(place) => {
            let mut steps = path(right, place);
            steps.push(proof::inner([&[1], root(left).as_slice()].concat(), Vec::new()));
            steps
        }
    }
}
