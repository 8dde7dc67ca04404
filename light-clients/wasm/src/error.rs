//! Why the contract refuses.

use cosmwasm_std::StdError;
use light_clients::{Height, Reason};
use thiserror::Error;

/// Why the contract refuses.
#[derive(Debug, PartialEq, Error)]
pub enum ContractError {
    /// The light client refuses what was given.
    #[error("{} ({})", .0, .0.label())]
    Refused(#[from] Reason),
    /// The host failed, or JSON that can't be encoded.
    #[error(transparent)]
    Host(#[from] StdError),
    /// The store holds no client state.
    #[error("there is no client state")]
    NoClient,
    /// Nothing is trusted at this height.
    #[error("there is no consensus state at height {height}")]
    NoConsensus {
        /// The height.
        height: Height,
    },
    /// What the store holds was not written by this contract.
    #[error("the store holds bytes that are no Any")]
    Store,
    /// Proofs would have to be delayed, which needs to know when a state came.
    #[error("this client knows no delay periods: use a connection without")]
    Delay,
    /// The followed chain asks for another client state.
    #[error("this client can't be upgraded by the followed chain: migrate the contract or recover the client")]
    Upgrade,
    /// The client that should replace this one is not active or follows otherwise.
    #[error("the substitute is not active, or differs in more than heights")]
    Substitute,
    /// The store was written by another version of this contract that this one can't read.
    #[error("the client's states are of version {found}, this contract reads {known}")]
    Version {
        /// What the store says.
        found: u64,
        /// What this contract writes.
        known: u64,
    },
}
