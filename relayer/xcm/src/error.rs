//! What is wrong with a message, and where.

use thiserror::Error;

/// Why bytes are no message: nothing of them is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("byte {offset}: {problem}")]
pub struct Error {
    /// Offset of what is wrong, bytes of the encoded message; where that is hex in a memo, of what the hex stands for.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Problem {
    /// More bytes than any message has.
    #[error("the message has {bytes} bytes; at most {most} are read")]
    TooLong {
        /// How many.
        bytes: usize,
        /// The bound.
        most: usize,
    },
    /// Another version of the format.
    #[error("XCM version {0} is not known: 3, 4 and 5 are")]
    Version(u8),
    /// The bytes end too early.
    #[error("the message ends where {0} is expected")]
    Ended(&'static str),
    /// A variant that this version does not have.
    #[error("{index} is no kind of {what}")]
    Variant {
        /// What was expected.
        what: &'static str,
        /// Its index.
        index: u8,
    },
    /// A number too large for its place, or in a longer form than it needs.
    #[error("{0} is too large or not in its shortest form")]
    Number(&'static str),
    /// A list longer than the format allows.
    #[error("{count} {what}, at most {most} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// The bound.
        most: usize,
    },
    /// Programs too deep inside one another.
    #[error("programs are nested more than {0} deep")]
    TooDeep(usize),
    /// An asset of amount 0.
    #[error("an asset of amount 0")]
    NoAmount,
    /// Assets that are out of order or repeat one another.
    #[error("assets are out of order or repeated")]
    Order,
    /// More bytes after the message's end.
    #[error("{0} bytes after the end of the message")]
    Trailing(usize),
    /// Text that is no hex after `0x`.
    #[error("no hexadecimal digits in pairs after 0x")]
    Hex,
    /// A memo that names two messages.
    #[error("a memo with more than one message")]
    Ambiguous,
}

impl Problem {
    /// A stable name for logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::Version(_) => "unknown_version",
            Self::Ended(_) => "ended",
            Self::Variant { .. } => "unknown_variant",
            Self::Number(_) => "bad_number",
            Self::TooMany { .. } => "too_many",
            Self::TooDeep(_) => "too_deep",
            Self::NoAmount => "no_amount",
            Self::Order => "asset_order",
            Self::Trailing(_) => "trailing_bytes",
            Self::Hex => "bad_hex",
            Self::Ambiguous => "ambiguous",
        }
    }

    pub(crate) fn at(self, offset: usize) -> Error {
        Error { offset, problem: self }
    }
}
