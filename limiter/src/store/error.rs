//! What can go wrong between a process and the shared store, as data.

use thiserror::Error;

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The setting must change; no retry helps.
    FixSetting,
    /// It may pass: the store keeps trying, decisions go on by the local share.
    Wait,
}

/// A fault of the shared store. Decisions never fail: they fall back to the local share.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The address can't be used.
    #[error("the address of the shared store is not usable ({reason}): give redis://[user:password@]host:port[/db]")]
    Address {
        /// What the client library said; holds no password.
        reason: String,
    },
    /// No address at all.
    #[error("the shared store has no address: give at least one")]
    NoAddress,
    /// The authorities' certificates can't be used.
    #[error(
        "the certificates of the shared store's authority are not usable ({reason}): give a PEM file for rediss:// addresses"
    )]
    Ca {
        /// What is wrong with them.
        reason: String,
    },
    /// A budget's numbers can't be kept exactly.
    #[error("shared budget `{key}`: {field} is {value}, must lie in {min}..={max}")]
    Budget {
        /// Its key.
        key: String,
        /// Which number.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A key or name that can't be used.
    #[error("shared budget: {what} `{name}` must have 1..={max} characters of letters, digits and _-.:/*~%")]
    Name {
        /// Which name.
        what: &'static str,
        /// As given, cut.
        name: String,
        /// Most characters.
        max: usize,
    },
    /// Not there, or not in time.
    #[error("the shared store does not answer: {0}")]
    Unavailable(String),
    /// An answer that the script can't have given.
    #[error("the shared store answered {what}, which its script never does: is another program using its keys?")]
    Garbage {
        /// What was wrong.
        what: &'static str,
    },
}

impl StoreError {
    /// What to do.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Address { .. } | Self::NoAddress | Self::Ca { .. } | Self::Budget { .. } | Self::Name { .. } => {
                Remedy::FixSetting
            }
            Self::Unavailable(_) | Self::Garbage { .. } => Remedy::Wait,
        }
    }
}
