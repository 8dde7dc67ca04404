//! Names and numbers of the IBC protocol, as types that can't be mixed up.
//!
//! Spec: ICS-24 (identifiers), ICS-02 (`Height`). Identifiers are checked when they are made: 1..=64 printable ASCII characters
//! of the ICS-24 set, so text from a node or a file can't smuggle path separators, control characters or escape sequences
//! into logs, SQL, metrics or file names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// Shorter or longer than ICS-24 allows.
    #[error("{kind} has {len} characters; allowed are {min} to {max}")]
    Length {
        /// Which identifier.
        kind: &'static str,
        /// Its length in bytes.
        len: usize,
        /// Least allowed.
        min: usize,
        /// Most allowed.
        max: usize,
    },
    /// A character outside the ICS-24 set.
    #[error("{kind} holds a character that is not allowed at byte {at}; use letters, digits and . _ + - # [ ] < >")]
    Character {
        /// Which identifier.
        kind: &'static str,
        /// Byte offset of the first such character.
        at: usize,
    },
    /// Not of the form `07-tendermint-0`, `connection-0`, `channel-0`, `1-23` ...
    #[error("{kind} is malformed; write it like `{example}`")]
    Form {
        /// Which identifier.
        kind: &'static str,
        /// A valid one.
        example: &'static str,
    },
}

fn check(kind: &'static str, text: &str, min: usize, max: usize) -> Result<(), IdError> {
    if text.len() < min || text.len() > max {
        return Err(IdError::Length { kind, len: text.len(), min, max });
    }
    match text.bytes().position(|b| !(b.is_ascii_alphanumeric() || b".+_-#[]<>".contains(&b))) {
        Some(at) => Err(IdError::Character { kind, at }),
        None => Ok(()),
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $min:expr, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                check($kind, text.as_ref(), $min, $max)?;
                Ok(Self(Arc::from(text.as_ref())))
            }
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

identifier!(
    /// A chain's id, like `cosmoshub-4`.
    ChainId, "chain id", 1, limits::CHAIN_ID_BYTES
);
identifier!(
    /// An ICS-02 client on some chain, like `07-tendermint-0`.
    ClientId, "client id", 4, 64
);
identifier!(
    /// An ICS-03 connection end, like `connection-0`.
    ConnectionId, "connection id", 4, 64
);
identifier!(
    /// An ICS-04 channel end, like `channel-0`.
    ChannelId, "channel id", 4, 64
);
identifier!(
    /// An ICS-05 port, like `transfer`.
    PortId, "port id", 2, 128
);

impl ChainId {
    /// The revision number: `N` of an id like `name-N`, otherwise 0 (ICS-02 / ibc-go `ParseChainID`).
    pub fn revision(&self) -> u64 {
        match self.0.rsplit_once('-') {
            Some((name, number)) if !name.is_empty() && !name.ends_with('-') && !number.starts_with('0') => {
                digits(number).unwrap_or(0)
            }
            _ => 0,
        }
    }
}

/// A number in digits alone: `parse` would take a sign, too.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// An ICS-04 packet sequence on one channel.
    Sequence
);
number!(
    /// The next transaction number of an account (Cosmos "sequence", Substrate "nonce").
    AccountSequence
);
number!(
    /// Gas units.
    Gas
);
number!(
    /// Nanoseconds since the Unix epoch, in a chain's own time.
    Timestamp
);

impl Timestamp {
    /// From milliseconds.
    pub fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }
    /// Nanoseconds from `earlier` to this one; 0 when it is not later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
    /// This time moved on by `ns`.
    pub fn plus(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }
}

/// An ICS-02 height: a revision (chain restart count) and a block number within it. Ordered by revision first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Height {
    /// Revision number.
    pub revision: u64,
    /// Block height.
    pub number: u64,
}

impl Height {
    /// Both parts.
    pub const fn new(revision: u64, number: u64) -> Self {
        Self { revision, number }
    }
    /// 0-0 means "none" in a packet's timeout.
    pub const fn is_zero(self) -> bool {
        self.revision == 0 && self.number == 0
    }
    /// The next block.
    pub const fn next(self) -> Self {
        self.later(1)
    }
    /// The block before.
    pub const fn prev(self) -> Self {
        self.earlier(1)
    }
    /// So many blocks on.
    pub const fn later(self, blocks: u64) -> Self {
        Self { revision: self.revision, number: self.number.saturating_add(blocks) }
    }
    /// So many blocks back.
    pub const fn earlier(self, blocks: u64) -> Self {
        Self { revision: self.revision, number: self.number.saturating_sub(blocks) }
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.revision, self.number)
    }
}

impl FromStr for Height {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let form = || IdError::Form { kind: "height", example: "1-1234" };
        let (revision, number) = text.split_once('-').ok_or_else(form)?;
        Ok(Self { revision: digits(revision).ok_or_else(form)?, number: digits(number).ok_or_else(form)? })
    }
}

/// Hash of a transaction, 32 bytes, known before it is broadcast.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TxHash(pub [u8; 32]);

impl fmt::Display for TxHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_upper(self.0))
    }
}
impl fmt::Debug for TxHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_refuse_separators_control_characters_and_wrong_lengths() {
        assert!(ChannelId::new("channel-0").is_ok());
        assert_eq!(ChannelId::new("channel/0"), Err(IdError::Character { kind: "channel id", at: 7 }));
        assert!(PortId::new("x\u{1b}[31m").is_err());
        assert!(PortId::new("p").is_err());
        assert!(ClientId::new("c".repeat(65)).is_err());
    }

    #[test]
    fn revision_is_the_number_after_the_last_dash() {
        for (id, revision) in
            [("cosmoshub-4", 4), ("sim-a-1", 1), ("plain", 0), ("x-04", 0), ("x-y", 0), ("x-+40", 0), ("x--4", 0)]
        {
            assert_eq!(ChainId::new(id).unwrap().revision(), revision, "{id}");
        }
    }

    #[test]
    fn heights_order_by_revision_first() {
        assert!(Height::new(2, 1) > Height::new(1, 100));
        assert_eq!("1-7".parse::<Height>().unwrap(), Height::new(1, 7));
        for malformed in ["7", "1-+7", "+1-7", "1-", "-7", "1--7"] {
            assert!(malformed.parse::<Height>().is_err(), "{malformed}");
        }
    }
}
