//! Commitments: what a chain stored under a path, proven against the root a light client trusts.
//!
//! **Spec**: ICS-23 (vector commitments), ICS-24 (paths). [`ics23`] verifies the trees of Cosmos chains, [`batch`]
//! unfolds several proofs of one tree; [`trie`] reads storage proofs of Substrate chains.

pub mod batch;
mod fold;
pub mod ics23;
mod shape;
pub mod trie;
mod trie_node;

use alloc::vec::Vec;

/// The keys that lead from the root to a value, the root's first: the name of a store, then the key in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MerklePath(Vec<Vec<u8>>);

impl MerklePath {
    /// Of the store's prefix (`ibc`) and a key in it (an ICS-24 path).
    pub fn new(prefix: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self([prefix.into(), key.into()].into())
    }

    /// Of any number of keys.
    pub fn from_keys(keys: Vec<Vec<u8>>) -> Self {
        Self(keys)
    }

    /// The keys, the root's first.
    pub fn keys(&self) -> &[Vec<u8>] {
        &self.0
    }
}
