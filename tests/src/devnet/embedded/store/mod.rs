//! What an embedded chain remembers, with proofs: named stores of keys and values, as in the Cosmos SDK.
//!
//! Every store is an IAVL-like tree; a simple Merkle tree over their names and roots has the application hash as its root. A [`Store`] is
//! a value: a clone shares everything with its origin and costs nothing, so one is kept per height, and a failed transaction's is dropped.
//!
//! **Spec**: ICS-23 (`ics23:iavl` below `ics23:simple`), ICS-24 leaves the paths to the application.
//!
//! **Shapes.** Keys and values are bytes, neither of them empty (ICS-23 can't prove an empty one). A store exists from its first write on;
//! write one key to each at genesis, since a store that was never written has nothing to prove absence with.
//!
//! ```ignore
//! let mut store = Store::default();
//! store.set("ibc", b"k".to_vec(), b"v".to_vec());
//! let app_hash = store.commit();
//! let (value, proof) = store.prove("ibc", b"k");
//! ```

mod proof;
mod simple;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use ics23::{ExistenceProof, NonExistenceProof};
use sha2::{Digest, Sha256};

use self::tree::{Ascend, Node, Removed};
use super::ProofOp;

/// All stores of a chain at one height. See the module.
#[derive(Clone, Default)]
pub(crate) struct Store {
    /// An emptied store keeps its name.
    trees: BTreeMap<Arc<str>, Option<Arc<Node>>>,
    /// Of the last commit; writes belong to the next.
    version: u64,
}

impl Store {
    fn tree(&self, store: &str) -> Option<&Arc<Node>> {
        self.trees.get(store).and_then(Option::as_ref)
    }

    /// A key's value.
    pub(crate) fn get(&self, store: &str, key: &[u8]) -> Option<&[u8]> {
        self.tree(store)?.get(key)
    }

    /// Writes a key.
    pub(crate) fn set(&mut self, store: &str, key: Vec<u8>, value: Vec<u8>) {
        let next = self.version + 1;
        let root = tree::set(self.tree(store), key, value, next);
        match self.trees.get_mut(store) {
            Some(tree) => *tree = Some(root),
            None => drop(self.trees.insert(store.into(), Some(root))),
        }
    }

    /// Removes a key; `false` if it was not there.
    pub(crate) fn delete(&mut self, store: &str, key: &[u8]) -> bool {
        let next = self.version + 1;
        let Some(tree) = self.trees.get_mut(store) else { return false };
        let Some(root) = tree.as_ref() else { return false };
        match tree::remove(root, key, next) {
            Removed::Nothing => return false,
            Removed::All => *tree = None,
            Removed::Rest(root) => *tree = Some(root),
        }
        true
    }

    /// Keys with this prefix and their values, ascending; with `from`, those not less than that whole key.
    pub(crate) fn prefix<'a>(
        &'a self,
        store: &str,
        prefix: &[u8],
        from: Option<&[u8]>,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let start = from.map_or(prefix, |from| from.max(prefix));
        let prefix = prefix.to_vec();
        Ascend::new(self.tree(store), start).take_while(move |(key, _)| key.starts_with(&prefix))
    }

    /// Ends a version: the application hash of all that was written. What is written next carries the next version.
    pub(crate) fn commit(&mut self) -> [u8; 32] {
        self.version += 1;
        simple::root(&self.leaves())
    }

    /// A key's value, or its absence, with the proof as a node gives it: within the store, then of the store.
    ///
    /// Prove on the state of a commit: what was written since has no application hash yet. No steps for a store without keys.
    pub(crate) fn prove(&self, store: &str, key: &[u8]) -> (Option<Vec<u8>>, Vec<ProofOp>) {
        let Some(root) = self.tree(store) else { return (None, Vec::new()) };
        let value = root.get(key).map(<[u8]>::to_vec);
        let place = root.rank(key);
        let leaf = |place| root.path(place).map(proof::iavl);
        let inner = match &value {
            Some(_) => leaf(place).map(proof::exist),
            None => Some(proof::nonexist(NonExistenceProof {
                key: key.to_vec(),
                left: place.checked_sub(1).and_then(leaf),
                right: leaf(place),
            })),
        };
        let outer = proof::exist(self.store_proof(store, root));
        let inner = inner.map(|inner| proof::op("ics23:iavl", key, &inner));
        (value, inner.into_iter().chain([proof::op("ics23:simple", store.as_bytes(), &outer)]).collect())
    }

    fn store_proof(&self, store: &str, root: &Node) -> ExistenceProof {
        let place = self.trees.keys().take_while(|name| &***name < store).count();
        ExistenceProof {
            key: store.into(),
            value: root.hash().to_vec(),
            leaf: Some(proof::leaf(vec![0])),
            path: simple::path(&self.leaves(), place),
        }
    }

    /// What the simple tree hashes of each store: its name, and the hash of its root.
    fn leaves(&self) -> Vec<Vec<u8>> {
        let leaf = |(name, tree): (&Arc<str>, &Option<Arc<Node>>)| {
            let root: [u8; 32] = tree.as_ref().map_or_else(|| Sha256::digest([]).into(), |node| node.hash());
            let root: [u8; 32] = Sha256::digest(root).into();
            [tree::with_length(name.as_bytes()), tree::with_length(&root)].concat()
        };
        self.trees.iter().map(leaf).collect()
    }
}
