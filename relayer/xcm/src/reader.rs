//! Reads SCALE from front to back and knows at which byte it is.

use parity_scale_codec::{Compact, Decode};

use crate::error::{Error, Problem};
use crate::limits::{INSTRUCTIONS, NESTING};
use crate::message::Version;

/// What can be read off the front of a message.
pub(crate) trait Read: Sized {
    /// Reads one.
    fn read(from: &mut Reader<'_>) -> Result<Self, Error>;
}

/// Bytes not read yet, and what the message has shown so far.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
    version: Version,
    instructions: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// From after the version byte.
    pub(crate) fn new(rest: &'a [u8], total: usize, version: Version) -> Self {
        Self { rest, total, version, instructions: 0, depth: 0 }
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn offset(&self) -> usize {
        self.total.saturating_sub(self.rest.len())
    }

    pub(crate) fn read<T: Read>(&mut self) -> Result<T, Error> {
        T::read(self)
    }

    /// The next so many bytes.
    fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(Problem::Ended(what).at(self.offset()));
        };
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, what)?);
        Ok(out)
    }

    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8, Error> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, Error> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A number in SCALE's compact form, of which only the shortest is good.
    pub(crate) fn compact<T: TryFrom<u128>>(&mut self, what: &'static str) -> Result<T, Error> {
        let mut rest = self.rest;
        let problem = match Compact::<u128>::decode(&mut rest).map(|Compact(number)| T::try_from(number)) {
            Ok(Ok(number)) => {
                self.rest = rest;
                return Ok(number);
            }
            Err(_) if self.rest.len() < self.compact_length() => Problem::Ended(what),
            Ok(Err(_)) | Err(_) => Problem::Number(what),
        };
        Err(problem.at(self.offset()))
    }

    /// Bytes that the compact number here takes, as its first byte says.
    fn compact_length(&self) -> usize {
        match self.rest.first() {
            None => 1,
            Some(first) => match first & 3 {
                0 => 1,
                1 => 2,
                2 => 4,
                _ => usize::from(first >> 2).saturating_add(5),
            },
        }
    }

    /// Bytes with their number before them.
    pub(crate) fn bytes(&mut self, what: &'static str, most: usize) -> Result<Vec<u8>, Error> {
        let count = self.count(what, most)?;
        self.take(count, what).map(<[u8]>::to_vec)
    }

    /// The number of things that follow.
    fn count(&mut self, what: &'static str, most: usize) -> Result<usize, Error> {
        let offset = self.offset();
        let count = usize::try_from(self.compact::<u32>(what)?).unwrap_or(usize::MAX);
        if count > most {
            return Err(Problem::TooMany { what, count, most }.at(offset));
        }
        Ok(count)
    }

    /// Things with their number before them.
    pub(crate) fn list<T: Read>(&mut self, what: &'static str, most: usize) -> Result<Vec<T>, Error> {
        let count = self.count(what, most)?;
        (0..count).map(|_| self.read()).collect()
    }

    pub(crate) fn flag(&mut self, what: &'static str) -> Result<bool, Error> {
        match self.variant(what)? {
            (_, 0) => Ok(false),
            (_, 1) => Ok(true),
            (offset, index) => Err(Problem::Variant { what, index }.at(offset)),
        }
    }

    pub(crate) fn option<T: Read>(&mut self, what: &'static str) -> Result<Option<T>, Error> {
        if self.flag(what)? { self.read().map(Some) } else { Ok(None) }
    }

    /// Which of several kinds follows, and the offset of the byte that says it.
    pub(crate) fn variant(&mut self, what: &'static str) -> Result<(usize, u8), Error> {
        let offset = self.offset();
        Ok((offset, self.byte(what)?))
    }

    /// The instructions of a program, counted over the whole message.
    pub(crate) fn program<T: Read>(&mut self) -> Result<Vec<T>, Error> {
        let offset = self.offset();
        if self.depth >= NESTING {
            return Err(Problem::TooDeep(NESTING).at(offset));
        }
        let count = self.count("instructions", INSTRUCTIONS)?;
        self.instructions = self.instructions.saturating_add(count);
        if self.instructions > INSTRUCTIONS {
            let count = self.instructions;
            return Err(Problem::TooMany { what: "instructions", count, most: INSTRUCTIONS }.at(offset));
        }
        self.depth = self.depth.saturating_add(1);
        let program = (0..count).map(|_| self.read()).collect();
        self.depth = self.depth.saturating_sub(1);
        program
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(Problem::Trailing(self.rest.len()).at(self.offset())) }
    }
}
