//! What the fuzz targets share: how an input's bytes are taken apart, a real chain's recorded headers and proofs, and a Substrate chain made up.
//!
//! An input is untrusted bytes, as long as the fuzzer likes. [`Input`] takes numbers and texts off its front and never fails: what is not
//! there is 0 or empty, so every input is worth running. `src/bin/seeds.rs` writes the first inputs in the same forms.

pub mod made;
mod recorded;

pub use recorded::{Block, Proof, recorded};

/// Bytes not read yet.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next so many bytes, or what is left.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }
    /// The next eight bytes, least first.
    pub fn number(&mut self) -> u64 {
        self.bytes(8).iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
    /// The next eight bytes as SQLite counts.
    pub fn signed(&mut self) -> i64 {
        i64::from_le_bytes(self.number().to_le_bytes())
    }
    /// Bytes up to a 0xff, which no text holds, or all that is left.
    pub fn part(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0xff).unwrap_or(self.0.len());
        let part = self.bytes(end);
        self.bytes(1);
        part
    }
    /// The same as text; empty when it is none.
    pub fn text(&mut self) -> &'a str {
        std::str::from_utf8(self.part()).unwrap_or_default()
    }
    /// All that is left, as text.
    pub fn rest(&self) -> &'a str {
        std::str::from_utf8(self.0).unwrap_or_default()
    }
}
