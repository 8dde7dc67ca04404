//! Nodes of a Substrate trie, read in place.
//!
//! A node is a header (its kind and the number of nibbles of its partial), the partial (padded in front to whole bytes),
//! for a branch a bitmap of its children, then its value, then its children, each with its length before it.
//!
//! | header | node |
//! |---|---|
//! | `00000000` | the empty trie |
//! | `01nnnnnn` | leaf |
//! | `10nnnnnn` | branch without value |
//! | `11nnnnnn` | branch with value |
//! | `001nnnnn` | leaf, its value behind a hash |
//! | `0001nnnn` | branch, its value behind a hash |

use parity_scale_codec::{Compact, Decode};

/// Nibbles of a key or of a part of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nibbles<'a> {
    bytes: &'a [u8],
    /// Nibbles of the bytes that don't belong to it, in front.
    skip: usize,
}

impl<'a> Nibbles<'a> {
    /// All of a key.
    pub(super) fn of_key(key: &'a [u8]) -> Self {
        Self { bytes: key, skip: 0 }
    }

    /// The first nibble and those after it.
    pub(super) fn split_first(self) -> Option<(u8, Self)> {
        let byte = *self.bytes.get(self.skip / 2)?;
        let nibble = if self.skip.is_multiple_of(2) { byte >> 4 } else { byte & 15 };
        Some((nibble, Self { skip: self.skip.saturating_add(1), ..self }))
    }

    /// What is left after a prefix; `None` if it does not begin with it.
    pub(super) fn after(mut self, mut prefix: Nibbles<'_>) -> Option<Self> {
        while let Some((nibble, rest)) = prefix.split_first() {
            let (own, own_rest) = self.split_first()?;
            if own != nibble {
                return None;
            }
            (self, prefix) = (own_rest, rest);
        }
        Some(self)
    }
}

/// A value of a node.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// In the node.
    Inline(&'a [u8]),
    /// Behind its hash.
    Hashed(&'a [u8]),
}

/// A child of a branch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Child<'a> {
    /// In the node.
    Inline(&'a [u8]),
    /// Behind its hash.
    Hashed(&'a [u8]),
}

/// A node of which the children are still bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    /// The nibbles it adds to the key; `None` for the empty trie, which holds no key.
    pub(super) partial: Option<Nibbles<'a>>,
    /// What the key that ends here holds.
    pub(super) value: Option<Value<'a>>,
    bitmap: u16,
    children: &'a [u8],
    /// All of them are hashes.
    hashed: bool,
}

impl<'a> Node<'a> {
    /// Decodes all of the bytes; `None` if they are no node.
    pub(super) fn decode(mut bytes: &'a [u8]) -> Option<Self> {
        let input = &mut bytes;
        let first = *take(input, 1)?.first()?;
        // Kind, and how many bits of the first byte tell it.
        let (branch, valued, hashed, bits) = match first {
            0 => {
                let empty = Self { partial: None, value: None, bitmap: 0, children: &[], hashed: false };
                return input.is_empty().then_some(empty);
            }
            0x40..0x80 => (false, true, false, 2),
            0x80..0xc0 => (true, false, false, 2),
            0xc0.. => (true, true, false, 2),
            0x20..0x40 => (false, true, true, 3),
            0x10..0x20 => (true, true, true, 4),
            1..0x10 => return None,
        };
        let nibbles = partial_length(first, bits, input)?;
        let partial = partial(nibbles, input)?;
        let bitmap = match branch {
            true => u16::from_le_bytes(take(input, 2)?.try_into().ok()?),
            false => 0,
        };
        if branch && bitmap == 0 {
            return None;
        }
        let value = match (valued, hashed) {
            (false, _) => None,
            (true, true) => Some(Value::Hashed(take(input, 32)?)),
            (true, false) => Some(Value::Inline(string(input)?)),
        };
        let node = Self { partial: Some(partial), value, bitmap, children: input, hashed: all_hashed(bitmap, input) };
        if !node.hashed {
            // Nothing after the last child.
            (0..node.bitmap.count_ones()).try_for_each(|_| string(input).map(drop))?;
        }
        (node.hashed || input.is_empty()).then_some(node)
    }

    /// The child a nibble leads to, if there is one; `None` if it can't be read.
    pub(super) fn child(&self, nibble: u8) -> Option<Option<Child<'a>>> {
        let bit = 1_u16.checked_shl(nibble.into())?;
        if self.bitmap & bit == 0 {
            return Some(None);
        }
        let before = (self.bitmap & bit.saturating_sub(1)).count_ones();
        if self.hashed {
            let (_, hash) = self.children.chunks_exact(HASHED_CHILD).nth(before.try_into().ok()?)?.split_first()?;
            return Some(Some(Child::Hashed(hash)));
        }
        let mut input = self.children;
        (0..before).try_for_each(|_| string(&mut input).map(drop))?;
        let child = string(&mut input)?;
        Some(Some(if child.len() == 32 { Child::Hashed(child) } else { Child::Inline(child) }))
    }
}

/// Bytes of a child by hash, with its length before it.
const HASHED_CHILD: usize = 33;
/// That length: 32, compact.
const HASH_LENGTH: u8 = 32 << 2;

/// Whether all children are hashes, as in most branches of a large trie: each is found without reading those before it.
fn all_hashed(bitmap: u16, children: &[u8]) -> bool {
    let count = usize::try_from(bitmap.count_ones()).unwrap_or_default();
    count.checked_mul(HASHED_CHILD) == Some(children.len())
        && children.chunks_exact(HASHED_CHILD).all(|child| child.first() == Some(&HASH_LENGTH))
}

/// Number of nibbles: in the rest of the first byte and, once that is full, in bytes of which all but the last are full.
fn partial_length(first: u8, kind_bits: u32, input: &mut &[u8]) -> Option<usize> {
    let full = u8::MAX.checked_shr(kind_bits)?;
    let mut length = usize::from(first & full);
    if length < usize::from(full) {
        return Some(length);
    }
    loop {
        let byte = *take(input, 1)?.first()?;
        length = length.checked_add(byte.into())?;
        if byte < u8::MAX {
            return Some(length);
        }
    }
}

/// So many nibbles, with a zero in front if they are odd.
fn partial<'a>(nibbles: usize, input: &mut &'a [u8]) -> Option<Nibbles<'a>> {
    let bytes = take(input, nibbles.div_ceil(2))?;
    let skip = nibbles % 2;
    if skip == 1 && bytes.first()? >> 4 != 0 {
        return None;
    }
    Some(Nibbles { bytes, skip })
}

/// Bytes with their length before them.
fn string<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    // Lengths below 64 are one byte: those of all children, of which a branch has up to 16.
    let length = match input.split_first() {
        Some((first, rest)) if first.trailing_zeros() >= 2 => {
            *input = rest;
            u32::from(*first) >> 2
        }
        _ => Compact::<u32>::decode(input).ok()?.0,
    };
    take(input, length.try_into().ok()?)
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(count)?;
    *input = rest;
    Some(taken)
}
