//! A block's extrinsics beside the root of them that its header names.
//!
//! They stand in a trie by their place, in compact SCALE. The runtime says of which state version: with 1, values of more than 32 bytes stand
//! behind their hash. Both are tried: no two lists have one root. Spec: Polkadot specification, "Block header" and "Merkle proofs".

use light_clients::grandpa::{Hash, blake2_256};
use parity_scale_codec::{Compact, Encode};

/// Whether these are the extrinsics, in their order. Every byte is hashed, twice at most.
pub(crate) fn is_of(extrinsics: &[Vec<u8>], root: &Hash) -> bool {
    let nibbles = |index: u32| -> Vec<u8> {
        Compact(index).encode().into_iter().flat_map(|byte| [byte >> 4, byte & 15]).collect()
    };
    let mut entries: Vec<Entry<'_>> =
        (0u32..).zip(extrinsics).map(|(index, bytes)| (nibbles(index), bytes.as_slice())).collect();
    entries.sort_unstable();
    [false, true].into_iter().any(|hashed| blake2_256(&node(&entries, 0, hashed)) == *root)
}

/// A key's nibbles, and the value.
type Entry<'a> = (Vec<u8>, &'a [u8]);

/// The node of ascending entries that share their first `depth` nibbles; as deep as keys are long, ten at most.
fn node(entries: &[Entry<'_>], depth: usize, hashed: bool) -> Vec<u8> {
    let (Some((first, own)), Some((last, _))) = (entries.first(), entries.last()) else { return vec![0] };
    let shared = first.iter().zip(last).take_while(|(left, right)| left == right).count();
    let value = (first.len() == shared).then_some(*own);
    let behind = value.filter(|value| hashed && value.len() > 32);
    let below = entries.get(usize::from(value.is_some())..).unwrap_or_default();
    let (kind, bits) = match (below.is_empty(), value.is_some(), behind.is_some()) {
        (true, _, false) => (0x40, 2),
        (true, _, true) => (0x20, 3),
        (false, false, _) => (0x80, 2),
        (false, true, false) => (0xc0, 2),
        (false, true, true) => (0x10, 4),
    };
    let partial = first.get(depth..shared).unwrap_or_default();
    let mut node = header(kind, bits, partial.len());
    let (odd, pairs) = partial.split_at(partial.len() % 2);
    node.extend(odd);
    node.extend(pairs.chunks(2).map(|pair| pair.iter().fold(0, |byte, nibble| byte << 4 | nibble)));
    let nibble = |entry: &Entry<'_>| entry.0.get(shared).copied().unwrap_or_default();
    let children = || below.chunk_by(|left, right| nibble(left) == nibble(right));
    if !below.is_empty() {
        let bitmap = children().filter_map(<[_]>::first).fold(0_u16, |bitmap, entry| bitmap | 1 << nibble(entry));
        node.extend(bitmap.to_le_bytes());
    }
    match (value, behind) {
        (_, Some(value)) => node.extend(blake2_256(value)),
        (Some(value), None) => value.encode_to(&mut node),
        (None, None) => {}
    }
    for child in children() {
        let child = self::node(child, shared.saturating_add(1), hashed);
        if child.len() < 32 { child.encode_to(&mut node) } else { blake2_256(&child)[..].encode_to(&mut node) }
    }
    node
}

/// Kind and number of nibbles: what the first byte does not hold stands in further ones.
fn header(kind: u8, bits: u32, nibbles: usize) -> Vec<u8> {
    let full = u8::MAX >> bits;
    let Some(mut rest) = nibbles.checked_sub(full.into()) else {
        return vec![kind | u8::try_from(nibbles).unwrap_or(full)];
    };
    let mut bytes = vec![kind | full];
    while let Some(less) = rest.checked_sub(255) {
        bytes.push(255);
        rest = less;
    }
    bytes.push(u8::try_from(rest).unwrap_or(u8::MAX));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::substrate::tests::generate::grandpa_trie::State;

    fn root(extrinsics: &[Vec<u8>], hashed: bool) -> Hash {
        let keys: Vec<Vec<u8>> = (0u32..).zip(extrinsics).map(|(index, _)| Compact(index).encode()).collect();
        let entries: Vec<_> = keys.iter().zip(extrinsics).map(|(key, value)| (&key[..], &value[..])).collect();
        State::new(hashed, &entries).root()
    }

    #[test]
    fn the_root_is_that_of_the_extrinsics_and_of_no_others() {
        for count in [0, 1, 2, 3, 17, 63, 64, 65, 300, 16_500] {
            let all: Vec<Vec<u8>> = (0..count).map(|n| vec![(n % 251) as u8; n % 70]).collect();
            for hashed in [false, true] {
                let root = root(&all, hashed);
                assert!(is_of(&all, &root), "{count}");
                if count > 300 {
                    continue;
                }
                let mut more = all.clone();
                more.push(vec![1, 2, 3]);
                assert!(!is_of(&more, &root));
                if count > 1 {
                    let mut swapped = all.clone();
                    swapped.swap(0, 1);
                    assert!(!is_of(&swapped, &root));
                    assert!(!is_of(&all[1..], &root));
                }
            }
        }
    }
}
