//! Substrate states and their proofs, built from scratch: checked against recorded ones before anything relies on them.

use light_clients::grandpa::{Hash, blake2_256};
use parity_scale_codec::{Compact, Encode};
use std::collections::BTreeMap;

/// A state. Values of more than 32 bytes stand behind their hash if `hashed` (state version 1).
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) entries: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) hashed: bool,
}

impl State {
    pub(crate) fn new(hashed: bool, entries: &[(&[u8], &[u8])]) -> Self {
        let entries = entries.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        Self { entries, hashed }
    }

    pub(crate) fn root(&self) -> Hash {
        self.prove(&[]).0
    }

    /// The root, and the nodes and values on the way to each key.
    pub(crate) fn prove(&self, keys: &[&[u8]]) -> (Hash, Vec<Vec<u8>>) {
        let keys: Vec<_> = keys.iter().map(|key| nibbles(key)).collect();
        let entries: Vec<_> = self.entries.iter().map(|(key, value)| (nibbles(key), value.as_slice())).collect();
        let mut builder = Builder { hashed: self.hashed, keys: &keys, proof: Vec::new() };
        let root = builder.node(&entries, 0);
        if !builder.proof.contains(&root) {
            builder.proof.push(root.clone());
        }
        (blake2_256(&root), builder.proof)
    }
}

fn nibbles(key: &[u8]) -> Vec<u8> {
    key.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect()
}

struct Builder<'a> {
    hashed: bool,
    keys: &'a [Vec<u8>],
    proof: Vec<Vec<u8>>,
}

impl Builder<'_> {
    /// The node of entries that share their first `depth` nibbles.
    fn node(&mut self, entries: &[(Vec<u8>, &[u8])], depth: usize) -> Vec<u8> {
        let Some((first, _)) = entries.first() else { return vec![0] };
        let last = &entries.last().unwrap().0;
        let shared = first.iter().zip(last).take_while(|(left, right)| left == right).count();
        let value = (first.len() == shared).then(|| entries[0].1);
        let behind = value.filter(|value| self.hashed && value.len() > 32);
        let below = &entries[usize::from(value.is_some())..];
        let (kind, bits) = match (below.is_empty(), value.is_some(), behind.is_some()) {
            (true, _, false) => (0x40, 2),
            (true, _, true) => (0x20, 3),
            (false, false, _) => (0x80, 2),
            (false, true, false) => (0xc0, 2),
            (false, true, true) => (0x10, 4),
        };
        let mut node = header(kind, bits, shared - depth);
        let mut partial = first[depth..shared].to_vec();
        if partial.len() % 2 == 1 {
            partial.insert(0, 0);
        }
        node.extend(partial.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
        let children: Vec<_> = (0..16)
            .map(|nibble| below.iter().filter(|(key, _)| key[shared] == nibble).cloned().collect::<Vec<_>>())
            .collect();
        if !below.is_empty() {
            let bitmap = (0..16).filter(|at| !children[*at].is_empty()).fold(0_u16, |bitmap, at| bitmap | 1 << at);
            node.extend(bitmap.to_le_bytes());
        }
        match (value, behind) {
            (_, Some(value)) => {
                node.extend(blake2_256(value));
                if self.keys.contains(first) {
                    self.proof.push(value.to_vec());
                }
            }
            (Some(value), None) => node.extend(value.encode()),
            (None, None) => {}
        }
        for child in children.iter().filter(|child| !child.is_empty()) {
            let child = self.node(child, shared + 1);
            node.extend(if child.len() < 32 { child.encode() } else { blake2_256(&child).to_vec().encode() });
        }
        let on_the_way = self.keys.iter().any(|key| key.len() >= depth && key[..depth] == first[..depth]);
        if on_the_way && (depth == 0 || node.len() >= 32) {
            self.proof.push(node.clone());
        }
        node
    }
}

fn header(kind: u8, bits: u32, nibbles: usize) -> Vec<u8> {
    let full = usize::from(u8::MAX >> bits);
    if nibbles < full {
        return vec![kind | nibbles as u8];
    }
    let mut bytes = vec![kind | full as u8];
    let mut rest = nibbles - full;
    while rest >= 255 {
        bytes.push(255);
        rest -= 255;
    }
    bytes.push(rest as u8);
    bytes
}

/// A string's length as it stands before it, for nodes made up by hand.
pub(crate) fn length(count: u32) -> Vec<u8> {
    Compact(count).encode()
}
