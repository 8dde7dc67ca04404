//! Heights and times as ICS-02 writes them.

use core::fmt;
use ibc_proto::ibc::core::client::v1::Height as RawHeight;

/// Height of a block: the chain's revision, then the block's number in it. Ordered by revision first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Height {
    /// Counts the restarts of a chain from height 1; the number that ends its chain id.
    pub revision: u64,
    /// Number of the block.
    pub number: u64,
}

impl Height {
    /// A height of its two numbers.
    pub const fn new(revision: u64, number: u64) -> Self {
        Self { revision, number }
    }

    /// Zero stands for "no height" in protobuf.
    pub const fn is_zero(self) -> bool {
        self.revision == 0 && self.number == 0
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.revision, self.number)
    }
}

impl From<RawHeight> for Height {
    fn from(raw: RawHeight) -> Self {
        Self::new(raw.revision_number, raw.revision_height)
    }
}

impl From<Height> for RawHeight {
    fn from(height: Height) -> Self {
        Self { revision_number: height.revision, revision_height: height.number }
    }
}

/// A moment, in nanoseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From nanoseconds since 1970.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since 1970.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ns", self.0)
    }
}
