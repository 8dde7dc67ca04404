//! The port every light client implements (ICS-02's `verifyClientMessage`, `verifyMembership`, misbehaviour).

use crate::{Height, MerklePath, Reason, Timestamp};
use ibc_proto::google::protobuf::Any;

/// What a light client says of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<T> {
    /// Verified against the trusted state.
    Trusted(T),
    /// Well formed and signed by its own validators, but the trusted ones know too few of them: verify a header between
    /// the two first.
    NotEnoughTrust {
        /// Voting power of trusted validators that signed.
        tallied: u64,
        /// Voting power of trusted validators that has to sign.
        needed: u64,
    },
    /// Refused; no header in between would help.
    Invalid(Reason),
}

impl<T> Verdict<T> {
    /// Trusted, with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Verdict<U> {
        match self {
            Self::Trusted(value) => Verdict::Trusted(f(value)),
            Self::NotEnoughTrust { tallied, needed } => Verdict::NotEnoughTrust { tallied, needed },
            Self::Invalid(reason) => Verdict::Invalid(reason),
        }
    }

    /// Whether trust was extended.
    pub fn is_trusted(&self) -> bool {
        matches!(self, Self::Trusted(_))
    }

    /// Why it was refused, if it was.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Invalid(reason) => Some(reason),
            Self::Trusted(_) | Self::NotEnoughTrust { .. } => None,
        }
    }
}

impl<T> From<Reason> for Verdict<T> {
    fn from(reason: Reason) -> Self {
        Self::Invalid(reason)
    }
}

/// What a verified header proves: the state to trust from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct Updated {
    /// Height of the verified header.
    pub height: Height,
    /// Consensus state at that height, as the client on chain will store it.
    pub consensus_state: Any,
}

/// Names of what a [`Verifier`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    /// Of headers, measured in signatures.
    pub headers: &'static str,
    /// Of proofs, measured in bytes.
    pub proofs: &'static str,
}

/// A light client of one family of chains. Pure: the same arguments give the same verdict.
pub trait Verifier: Send + Sync {
    /// Verifies a header against the consensus state trusted at the header's own `trusted_height`.
    fn update(&self, client_state: &Any, trusted: &Any, header: &Any, now: Timestamp) -> Verdict<Updated>;

    /// Verifies that `path` holds `value` under the consensus state's root, or, with `None`, that it holds nothing.
    ///
    /// `proof` is in the family's form (Tendermint: an ICS-23 `MerkleProof` in protobuf), `path` is whole: store prefix
    /// first, key last.
    fn membership(
        &self,
        client_state: &Any,
        consensus_state: &Any,
        proof: &[u8],
        path: &MerklePath,
        value: Option<&[u8]>,
    ) -> Result<(), Reason>;

    /// Verifies that both headers of a misbehaviour would have been trusted and that they conflict.
    ///
    /// `trusted_1` and `trusted_2` are the consensus states at the `trusted_height` of the first and second header.
    fn misbehaviour(
        &self,
        client_state: &Any,
        trusted_1: &Any,
        trusted_2: &Any,
        misbehaviour: &Any,
        now: Timestamp,
    ) -> Verdict<()>;

    /// What headers and proofs of this family are called by schedulers and metrics: their sizes are measured in units of their own.
    fn protocols(&self) -> Protocols;

    /// How many signatures verifying this header may take: an estimate for schedulers, from the header's size alone.
    fn update_cost(&self, header: &Any) -> u64;
}
