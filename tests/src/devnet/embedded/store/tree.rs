//! One store: a balanced search tree that hashes as the SDK's IAVL does.
//!
//! Nodes never change: a write builds the nodes from the leaf to the root anew and shares all others, so that a copy of the tree is a
//! pointer and an old copy keeps its root. A node carries the version that made it, and hashes itself when first asked.
//!
//! Hashed are, as in IAVL: a leaf's `height 0, size 1, version, key, SHA-256(value)`, an inner node's `height, size, version, left hash,
//! right hash`, numbers as zigzag varints and bytes with their length in front.

use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

/// A node and all below it.
pub(super) struct Node {
    /// A leaf's key; an inner node's least key of its right side.
    key: Arc<[u8]>,
    body: Body,
    height: u64,
    size: u64,
    version: u64,
    hash: OnceLock<[u8; 32]>,
}

enum Body {
    Leaf { value: Vec<u8> },
    Inner { left: Arc<Node>, right: Arc<Node> },
}

/// One step from a leaf to the root.
pub(super) struct Step {
    /// Height, size and version of the inner node, as hashed.
    pub(super) header: Vec<u8>,
    /// The hash of the side not taken.
    pub(super) sibling: [u8; 32],
    /// The proven leaf is on the left.
    pub(super) left: bool,
}

/// A leaf and the way from it to the root, the lowest step first.
pub(super) struct Path {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// Height, size and version of the leaf, as hashed.
    pub(super) header: Vec<u8>,
    pub(super) steps: Vec<Step>,
}

impl Node {
    fn leaf(key: Arc<[u8]>, value: Vec<u8>, version: u64) -> Arc<Self> {
        Arc::new(Self { key, body: Body::Leaf { value }, height: 0, size: 1, version, hash: OnceLock::new() })
    }

    fn inner(key: Arc<[u8]>, left: Arc<Self>, right: Arc<Self>, version: u64) -> Arc<Self> {
        let (height, size) = (left.height.max(right.height) + 1, left.size + right.size);
        Arc::new(Self { key, body: Body::Inner { left, right }, height, size, version, hash: OnceLock::new() })
    }

    /// The root hash.
    pub(super) fn hash(&self) -> [u8; 32] {
        *self.hash.get_or_init(|| {
            let mut image = self.header();
            match &self.body {
                Body::Leaf { value } => {
                    put(&mut image, &self.key);
                    put(&mut image, &Sha256::digest(value));
                }
                Body::Inner { left, right } => {
                    put(&mut image, &left.hash());
                    put(&mut image, &right.hash());
                }
            }
            Sha256::digest(image).into()
        })
    }

    fn header(&self) -> Vec<u8> {
        let mut header = Vec::with_capacity(96);
        for number in [self.height, self.size, self.version] {
            prost::encoding::encode_varint(number << 1, &mut header);
        }
        header
    }

    fn least_key(&self) -> &Arc<[u8]> {
        match &self.body {
            Body::Leaf { .. } => &self.key,
            Body::Inner { left, .. } => left.least_key(),
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        match &self.body {
            Body::Leaf { value } => (*self.key == *key).then_some(value),
            Body::Inner { left, right } => if key < &*self.key { left } else { right }.get(key),
        }
    }

    /// How many keys are less than this one.
    pub(super) fn rank(&self, key: &[u8]) -> u64 {
        match &self.body {
            Body::Leaf { .. } => u64::from(&*self.key < key),
            Body::Inner { left, .. } if key < &*self.key => left.rank(key),
            Body::Inner { left, right } => left.size + right.rank(key),
        }
    }

    /// The leaf at a place in key order, and its way up; none past the last.
    pub(super) fn path(&self, place: u64) -> Option<Path> {
        match &self.body {
            Body::Leaf { value } => (place == 0).then(|| Path {
                key: self.key.to_vec(),
                value: value.clone(),
                header: self.header(),
                steps: Vec::new(),
            }),
            Body::Inner { left, right } => {
                let is_left = place < left.size;
                let (taken, other) = if is_left { (left, right) } else { (right, left) };
                let mut path = taken.path(if is_left { place } else { place - left.size })?;
                path.steps.push(Step { header: self.header(), sibling: other.hash(), left: is_left });
                Some(path)
            }
        }
    }
}

/// The tree with a key set, its new nodes of this version.
pub(super) fn set(root: Option<&Arc<Node>>, key: Vec<u8>, value: Vec<u8>, version: u64) -> Arc<Node> {
    match root {
        None => Node::leaf(key.into(), value, version),
        Some(node) => set_below(node, key.into(), value, version),
    }
}

fn set_below(node: &Arc<Node>, key: Arc<[u8]>, value: Vec<u8>, version: u64) -> Arc<Node> {
    match &node.body {
        Body::Leaf { .. } => {
            let order = key.cmp(&node.key);
            let leaf = Node::leaf(key.clone(), value, version);
            match order {
                Ordering::Equal => leaf,
                Ordering::Less => Node::inner(node.key.clone(), leaf, node.clone(), version),
                Ordering::Greater => Node::inner(key, node.clone(), leaf, version),
            }
        }
        Body::Inner { left, right } => {
            let (left, right) = match key < node.key {
                true => (set_below(left, key, value, version), right.clone()),
                false => (left.clone(), set_below(right, key, value, version)),
            };
            balanced(node.key.clone(), left, right, version)
        }
    }
}

/// What a removal leaves.
pub(super) enum Removed {
    /// The key was not there.
    Nothing,
    /// It was the last one.
    All,
    /// The tree without it.
    Rest(Arc<Node>),
}

/// The tree without a key.
pub(super) fn remove(node: &Arc<Node>, key: &[u8], version: u64) -> Removed {
    match &node.body {
        Body::Leaf { .. } if *node.key == *key => Removed::All,
        Body::Leaf { .. } => Removed::Nothing,
        Body::Inner { left, right } if key < &*node.key => match remove(left, key, version) {
            Removed::Nothing => Removed::Nothing,
            Removed::All => Removed::Rest(right.clone()),
            Removed::Rest(left) => Removed::Rest(balanced(node.key.clone(), left, right.clone(), version)),
        },
        Body::Inner { left, right } => match remove(right, key, version) {
            Removed::Nothing => Removed::Nothing,
            Removed::All => Removed::Rest(left.clone()),
            Removed::Rest(right) => {
                let least = right.least_key().clone();
                Removed::Rest(balanced(least, left.clone(), right, version))
            }
        },
    }
}

/// An inner node whose sides differ by at most one in height: one write can have made that two.
fn balanced(key: Arc<[u8]>, left: Arc<Node>, right: Arc<Node>, version: u64) -> Arc<Node> {
    match &left.body {
        Body::Inner { left: outer, right: middle } if left.height > right.height + 1 => {
            if let Body::Inner { left: lower, right: upper } = &middle.body
                && middle.height > outer.height
            {
                let left = Node::inner(left.key.clone(), outer.clone(), lower.clone(), version);
                let right = Node::inner(key, upper.clone(), right, version);
                return Node::inner(middle.key.clone(), left, right, version);
            }
            let right = Node::inner(key, middle.clone(), right, version);
            return Node::inner(left.key.clone(), outer.clone(), right, version);
        }
        _ => {}
    }
    match &right.body {
        Body::Inner { left: middle, right: outer } if right.height > left.height + 1 => {
            if let Body::Inner { left: lower, right: upper } = &middle.body
                && middle.height > outer.height
            {
                let left = Node::inner(key, left, lower.clone(), version);
                let right = Node::inner(right.key.clone(), upper.clone(), outer.clone(), version);
                return Node::inner(middle.key.clone(), left, right, version);
            }
            let left = Node::inner(key, left, middle.clone(), version);
            Node::inner(right.key.clone(), left, outer.clone(), version)
        }
        _ => Node::inner(key, left, right, version),
    }
}

/// Keys and values in ascending order.
pub(super) struct Ascend<'a> {
    /// What is still to be visited; the last is next.
    stack: Vec<&'a Node>,
}

impl<'a> Ascend<'a> {
    /// From the first key that is not less than this one.
    pub(super) fn new(root: Option<&'a Arc<Node>>, from: &[u8]) -> Self {
        let mut stack = Vec::new();
        let mut node = root.map(|root| &**root);
        while let Some(here) = node.take() {
            match &here.body {
                Body::Leaf { .. } if &*here.key >= from => stack.push(here),
                Body::Leaf { .. } => {}
                Body::Inner { left, right } if from < &*here.key => {
                    stack.push(right);
                    node = Some(left);
                }
                Body::Inner { right, .. } => node = Some(right),
            }
        }
        Self { stack }
    }
}

impl<'a> Iterator for Ascend<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let node = self.stack.pop()?;
            match &node.body {
                Body::Leaf { value } => return Some((&node.key, value)),
                Body::Inner { left, right } => self.stack.extend([&**right, &**left]),
            }
        }
    }
}

fn put(image: &mut Vec<u8>, bytes: &[u8]) {
    prost::encoding::encode_varint(bytes.len() as u64, image);
    image.extend_from_slice(bytes);
}

/// Bytes with their length in front.
pub(super) fn with_length(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 2);
    put(&mut out, bytes);
    out
}
