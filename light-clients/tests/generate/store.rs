//! Stores of a Cosmos chain: IAVL trees under one simple Merkle tree, with the proofs a node gives.

use ibc_proto::ibc::core::commitment::v1::MerkleProof;
use ics23::commitment_proof::Proof;
use ics23::{CommitmentProof, ExistenceProof, HashOp, InnerOp, LeafOp, LengthOp, NonExistenceProof};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// A zigzag varint, as IAVL writes heights, sizes and versions.
pub(crate) fn varint(value: u64) -> Vec<u8> {
    unsigned(value << 1)
}

fn unsigned(value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(value, &mut bytes);
    bytes
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [unsigned(bytes.len() as u64), bytes.to_vec()].concat()
}

pub(crate) fn leaf_op(prefix: Vec<u8>) -> LeafOp {
    LeafOp {
        hash: HashOp::Sha256.into(),
        prehash_key: HashOp::NoHash.into(),
        prehash_value: HashOp::Sha256.into(),
        length: LengthOp::VarProto.into(),
        prefix,
    }
}

pub(crate) fn inner_op(prefix: Vec<u8>, suffix: Vec<u8>) -> InnerOp {
    InnerOp { hash: HashOp::Sha256.into(), prefix, suffix }
}

pub(crate) fn exist(proof: ExistenceProof) -> CommitmentProof {
    CommitmentProof { proof: Some(Proof::Exist(proof)) }
}

pub(crate) fn nonexist(proof: NonExistenceProof) -> CommitmentProof {
    CommitmentProof { proof: Some(Proof::Nonexist(proof)) }
}

/// One module's IAVL tree, balanced; every node of one version.
#[derive(Clone, Default)]
pub(crate) struct Store {
    pub(crate) entries: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) version: u64,
}

struct Node {
    /// What is hashed.
    image: Vec<u8>,
    height: u64,
    /// Inner nodes above the leaf asked for, the lowest first.
    path: Vec<InnerOp>,
}

impl Store {
    pub(crate) fn new(version: u64, entries: impl IntoIterator<Item = (&'static str, &'static str)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Self { entries, version }
    }

    fn leaf_prefix(&self) -> Vec<u8> {
        [varint(0), varint(1), varint(self.version)].concat()
    }

    fn build(&self, entries: &[(&Vec<u8>, &Vec<u8>)], wanted: Option<usize>) -> Node {
        if let [(key, value)] = entries {
            let image = [self.leaf_prefix(), with_length(key), with_length(&sha256(value))].concat();
            return Node { image, height: 0, path: Vec::new() };
        }
        let middle = entries.len().div_ceil(2);
        let (left, right) = entries.split_at(middle);
        let left = self.build(left, wanted.filter(|index| *index < middle));
        let right = self.build(right, wanted.and_then(|index| index.checked_sub(middle)));
        let height = left.height.max(right.height) + 1;
        let header = [varint(height), varint(entries.len() as u64), varint(self.version)].concat();
        let (left_hash, right_hash) = (with_length(&sha256(&left.image)), with_length(&sha256(&right.image)));
        let image = [header.clone(), left_hash.clone(), right_hash.clone()].concat();
        let mut path = Vec::new();
        match wanted {
            Some(index) if index < middle => {
                path = left.path;
                path.push(inner_op([header, vec![32]].concat(), right_hash));
            }
            Some(_) => {
                path = right.path;
                path.push(inner_op([header, left_hash, vec![32]].concat(), Vec::new()));
            }
            None => {}
        }
        Node { image, height, path }
    }

    fn sorted(&self) -> Vec<(&Vec<u8>, &Vec<u8>)> {
        self.entries.iter().collect()
    }

    pub(crate) fn root(&self) -> Vec<u8> {
        sha256(&self.build(&self.sorted(), None).image)
    }

    /// What is hashed into the root, and into the root's right child: for proofs that pass one node for another.
    pub(crate) fn root_images(&self) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let entries = self.sorted();
        let (left, right) = entries.split_at(entries.len().div_ceil(2));
        let image = |entries: &[(&Vec<u8>, &Vec<u8>)]| self.build(entries, None).image;
        (image(&entries), image(left), image(right))
    }

    /// Proof of the leaf at a place in key order.
    pub(crate) fn leaf_at(&self, index: usize) -> ExistenceProof {
        let entries = self.sorted();
        let (key, value) = entries[index];
        ExistenceProof {
            key: key.clone(),
            value: value.clone(),
            leaf: Some(leaf_op(self.leaf_prefix())),
            path: self.build(&entries, Some(index)).path,
        }
    }

    pub(crate) fn existence(&self, key: &[u8]) -> ExistenceProof {
        self.leaf_at(self.entries.keys().position(|other| other == key).expect("the key is in the store"))
    }

    pub(crate) fn absence(&self, key: &[u8]) -> NonExistenceProof {
        assert!(!self.entries.contains_key(key), "the key is not in the store");
        let before = self.entries.keys().filter(|other| other.as_slice() < key).count();
        NonExistenceProof {
            key: key.to_vec(),
            left: before.checked_sub(1).map(|index| self.leaf_at(index)),
            right: (before < self.entries.len()).then(|| self.leaf_at(before)),
        }
    }
}

/// All stores of a chain at one height.
#[derive(Clone, Default)]
pub(crate) struct MultiStore {
    pub(crate) stores: BTreeMap<String, Store>,
}

impl MultiStore {
    fn build(leaves: &[Vec<u8>], wanted: Option<usize>) -> (Vec<u8>, Vec<InnerOp>) {
        if let [leaf] = leaves {
            return (sha256(leaf), Vec::new());
        }
        let middle = leaves.len().next_power_of_two() / 2;
        let (left, right) = leaves.split_at(middle);
        let (left_hash, left_path) = Self::build(left, wanted.filter(|index| *index < middle));
        let (right_hash, right_path) = Self::build(right, wanted.and_then(|index| index.checked_sub(middle)));
        let hash = sha256(&[&[1], left_hash.as_slice(), &right_hash].concat());
        let mut path = Vec::new();
        match wanted {
            Some(index) if index < middle => {
                path = left_path;
                path.push(inner_op(vec![1], right_hash));
            }
            Some(_) => {
                path = right_path;
                path.push(inner_op([vec![1], left_hash].concat(), Vec::new()));
            }
            None => {}
        }
        (hash, path)
    }

    fn leaves(&self) -> Vec<Vec<u8>> {
        let leaf = |(name, store): (&String, &Store)| {
            [vec![0], with_length(name.as_bytes()), with_length(&sha256(&store.root()))].concat()
        };
        self.stores.iter().map(leaf).collect()
    }

    pub(crate) fn app_hash(&self) -> Vec<u8> {
        Self::build(&self.leaves(), None).0
    }

    /// Proof that a store is one of these.
    pub(crate) fn store_proof(&self, name: &str) -> ExistenceProof {
        let index = self.stores.keys().position(|other| other == name).expect("the store is there");
        ExistenceProof {
            key: name.into(),
            value: self.stores[name].root(),
            leaf: Some(leaf_op(vec![0])),
            path: Self::build(&self.leaves(), Some(index)).1,
        }
    }

    /// What a node answers for a key of a store: proof of its value, or of its absence.
    pub(crate) fn prove(&self, name: &str, key: &[u8]) -> MerkleProof {
        let store = &self.stores[name];
        let lowest = match store.entries.contains_key(key) {
            true => exist(store.existence(key)),
            false => nonexist(store.absence(key)),
        };
        MerkleProof { proofs: vec![lowest, exist(self.store_proof(name))] }
    }
}

/// A proof of any depth in an IAVL tree too large to build, with its root: siblings are made up.
pub(crate) fn deep(depth: usize) -> (ExistenceProof, Vec<u8>) {
    let inner = |level: u64| {
        let header = [varint(level), varint(1 << level.min(40)), varint(9)].concat();
        let sibling = [vec![32], sha256(&level.to_be_bytes())].concat();
        match level % 2 {
            0 => inner_op([header, vec![32]].concat(), sibling),
            _ => inner_op([header, sibling, vec![32]].concat(), Vec::new()),
        }
    };
    let proof = ExistenceProof {
        key: b"commitments/ports/transfer/channels/channel-0/sequences/1".to_vec(),
        value: sha256(b"packet"),
        leaf: Some(leaf_op([varint(0), varint(1), varint(9)].concat())),
        path: (1..=depth as u64).map(inner).collect(),
    };
    let root = ics23::calculate_existence_root::<ics23::HostFunctionsManager>(&proof).unwrap();
    (proof, root)
}

/// A proof of one store that stands alone, under a made-up app hash: what [`deep`] is in a whole chain.
pub(crate) fn alone(name: &str, lowest: CommitmentProof, subroot: Vec<u8>) -> (MerkleProof, Vec<u8>) {
    let above = ExistenceProof {
        key: name.into(),
        value: subroot,
        leaf: Some(leaf_op(vec![0])),
        path: (1..=5).map(|level: u8| inner_op(vec![1], sha256(&[level]))).collect(),
    };
    let root = ics23::calculate_existence_root::<ics23::HostFunctionsManager>(&above).unwrap();
    (MerkleProof { proofs: vec![lowest, exist(above)] }, root)
}
