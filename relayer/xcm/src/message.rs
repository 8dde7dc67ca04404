//! A message: its version and its program.

use std::fmt;

use crate::error::{Error, Problem};
use crate::instruction::Instruction;
use crate::limits::MESSAGE_BYTES;
use crate::reader::{Read, Reader};

/// A version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Version 3.
    V3,
    /// Version 4.
    V4,
    /// Version 5.
    V5,
}

impl Version {
    /// As logs and metrics show it.
    pub fn label(self) -> &'static str {
        match self {
            Self::V3 => "v3",
            Self::V4 => "v4",
            Self::V5 => "v5",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A program: instructions that run in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xcm(Vec<Instruction>);

/// A message as it travels: a program and the version that encoded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedXcm {
    /// The version.
    pub version: Version,
    /// The program.
    pub xcm: Xcm,
}

impl VersionedXcm {
    /// Reads a message that takes up all the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MESSAGE_BYTES {
            return Err(Problem::TooLong { bytes: bytes.len(), most: MESSAGE_BYTES }.at(MESSAGE_BYTES));
        }
        let (first, rest) = bytes.split_first().ok_or(Problem::Ended("a version").at(0))?;
        let version = match first {
            3 => Version::V3,
            4 => Version::V4,
            5 => Version::V5,
            other => return Err(Problem::Version(*other).at(0)),
        };
        let mut from = Reader::new(rest, bytes.len(), version);
        let xcm = from.read()?;
        from.end()?;
        Ok(Self { version, xcm })
    }
}

impl Xcm {
    /// The program's own instructions.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// Its instructions and those of the programs in them, in the order in which they are written.
    pub fn instructions_deep(&self) -> impl Iterator<Item = &Instruction> {
        Deep { open: vec![self.0.iter()] }
    }
}

/// Programs that are being gone through, the innermost last: as many as a message nests.
struct Deep<'a> {
    open: Vec<std::slice::Iter<'a, Instruction>>,
}

impl<'a> Iterator for Deep<'a> {
    type Item = &'a Instruction;
    fn next(&mut self) -> Option<&'a Instruction> {
        loop {
            match self.open.last_mut()?.next() {
                Some(instruction) => {
                    self.open.extend(instruction.nested().map(|xcm| xcm.0.iter()));
                    return Some(instruction);
                }
                None => drop(self.open.pop()),
            }
        }
    }
}

impl Read for Xcm {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        from.program().map(Self)
    }
}
