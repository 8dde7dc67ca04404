//! Storage proofs of Substrate chains: what a key holds under a state root, shown by the trie's nodes on the way to it.
//!
//! The state is a Merkle-Patricia trie of base 16 over BLAKE2b-256. A key is a row of nibbles; each node holds a piece of
//! it (the *partial*), perhaps a value, and a branch up to 16 children, by hash or, when short, in place. With state
//! version 1 a value of more than 32 bytes stands behind its hash, with version 0 in the node; both are read here, since
//! a state that was migrated holds both. A *child trie* is a trie whose root the main trie holds as a value.
//!
//! **Spec**: Polkadot specification, "State storage"; the proof of `state_getReadProof`: nodes and values in any order.
//!
//! **Shapes.** [`TrieProof::read`] answers with the value, or with `None` if the trie has none there. What is not shown, cut
//! short or undecodable is an error and never absence.
//!
//! **Bounds.** Bytes and nodes are counted before they are hashed, each once; a walk takes a nibble a step at least.
//!
//! **Errors.** [`Reason::ProofRoot`] if the root's node is missing, [`Reason::TrieNode`] if another one is,
//! [`Reason::Undecodable`] for a node that is none.

use super::trie_node::{Child, Nibbles, Node, Value};
use crate::grandpa::{Hash, blake2_256};
use crate::limits::{MAX_KEY_BYTES, MAX_PROOF_BYTES, MAX_TRIE_NODES};
use crate::wire::{within, within_sum};
use crate::{Part, Reason, Timestamp};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use parity_scale_codec::{DecodeAll, Encode};

/// Where FRAME's timestamp pallet keeps the time of the block: `twox_128("Timestamp") ++ twox_128("Now")`.
pub const TIMESTAMP_NOW: [u8; 32] = [
    0xf0, 0xc3, 0x65, 0xc3, 0xcf, 0x59, 0xd6, 0x71, 0xeb, 0x72, 0xda, 0x0e, 0x7a, 0x41, 0x13, 0xc4, 0x9f, 0x1f, 0x05,
    0x15, 0xf4, 0x62, 0xcd, 0xcf, 0x84, 0xe0, 0xf1, 0xd6, 0x04, 0x5d, 0xfc, 0xbb,
];

/// What stands before a child trie's name in the key of its root.
pub const CHILD_TRIE_PREFIX: &[u8] = b":child_storage:default:";

/// Nodes and values by their hash.
#[derive(Debug, Clone)]
pub struct TrieProof<'a>(BTreeMap<Hash, &'a [u8]>);

/// The nodes of a proof in SCALE: a list of byte strings.
pub fn decode_nodes(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Reason> {
    within(bytes.len(), MAX_PROOF_BYTES, Part::TrieProof)?;
    Vec::<Vec<u8>>::decode_all(&mut { bytes }).map_err(|_| Reason::Undecodable { part: Part::TrieProof })
}

/// The SCALE of a proof's nodes.
pub fn encode_nodes(nodes: &[Vec<u8>]) -> Vec<u8> {
    nodes.encode()
}

impl<'a> TrieProof<'a> {
    /// Hashes the nodes.
    pub fn new(nodes: &'a [Vec<u8>]) -> Result<Self, Reason> {
        Self::bounded(nodes, MAX_PROOF_BYTES)
    }

    /// The same, for values that are larger than what clients prove to each other: a block's events. `most` bytes are taken.
    pub fn bounded(nodes: &'a [Vec<u8>], most: usize) -> Result<Self, Reason> {
        within(nodes.len(), MAX_TRIE_NODES, Part::TrieProof)?;
        within_sum(nodes, most, Part::TrieProof)?;
        Ok(Self(nodes.iter().map(|node| (blake2_256(node), node.as_slice())).collect()))
    }

    /// What the key holds under this root: a value, or nothing.
    pub fn read(&self, root: &Hash, key: &[u8]) -> Result<Option<&'a [u8]>, Reason> {
        within(key.len(), MAX_KEY_BYTES, Part::Key)?;
        let mut bytes = *self.0.get(root).ok_or(Reason::ProofRoot { tree: 0 })?;
        let mut rest = Nibbles::of_key(key);
        loop {
            let node = Node::decode(bytes).ok_or(Reason::Undecodable { part: Part::TrieNode })?;
            let Some(after) = node.partial.and_then(|partial| rest.after(partial)) else { return Ok(None) };
            let Some((nibble, below)) = after.split_first() else {
                return match node.value {
                    None => Ok(None),
                    Some(Value::Inline(value)) => Ok(Some(value)),
                    Some(Value::Hashed(hash)) => self.node(hash).map(Some),
                };
            };
            bytes = match node.child(nibble).ok_or(Reason::Undecodable { part: Part::TrieNode })? {
                None => return Ok(None),
                Some(Child::Inline(bytes)) => bytes,
                Some(Child::Hashed(hash)) => self.node(hash)?,
            };
            rest = below;
        }
    }

    /// What the key holds in the child trie of this name.
    pub fn read_child(&self, root: &Hash, name: &[u8], key: &[u8]) -> Result<Option<&'a [u8]>, Reason> {
        match self.read(root, &[CHILD_TRIE_PREFIX, name].concat())? {
            None => Ok(None),
            Some(root) => {
                let root = root.try_into().map_err(|_| Reason::Undecodable { part: Part::TrieProof })?;
                self.read(root, key)
            }
        }
    }

    /// The time of the block with this state: never claimed, always proven.
    pub fn timestamp(&self, root: &Hash) -> Result<Timestamp, Reason> {
        const NANOS_PER_MILLI: u64 = 1_000_000;
        let value = self.read(root, &TIMESTAMP_NOW)?.ok_or(Reason::Missing { part: Part::Timestamp })?;
        let millis = value.try_into().map_err(|_| Reason::Undecodable { part: Part::Timestamp })?;
        let nanos = u64::from_le_bytes(millis).checked_mul(NANOS_PER_MILLI).ok_or(Reason::TimeOutOfRange)?;
        Ok(Timestamp::from_nanos(nanos))
    }

    fn node(&self, hash: &[u8]) -> Result<&'a [u8], Reason> {
        self.0.get(hash).copied().ok_or(Reason::TrieNode)
    }
}
