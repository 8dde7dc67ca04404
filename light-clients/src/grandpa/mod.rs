//! The GRANDPA light client, for Substrate chains that finalize by themselves.
//!
//! Blocks are authored by one protocol and finalized by another: authorities vote for chains, and what more than two
//! thirds of their weight stands behind is final. A *justification* shows those votes for one block; every ancestor of
//! it is final with it. So trust moves from one final block to the next along the headers between them, and the
//! authorities change where those headers announce it.
//!
//! **Spec**: ICS-10; GRANDPA (Stewart, Kokoris-Kogia 2020); the encodings of Substrate (SCALE, BLAKE2b-256, block numbers
//! of 32 bits).
//!
//! **Shapes.** [`AuthoritySet`] is checked when it is built; [`Justification`] and [`HeaderChain`] are bounded when they are
//! decoded; [`Finality::advance`] moves along headers.
//!
//! **Bounds.** Sizes come before decoding, links and votes before signatures. See [`limits`](crate::limits).
//!
//! **Errors.** [`Fault`] holds what only GRANDPA can have wrong, as [`Reason::Grandpa`](crate::Reason::Grandpa).

mod authorities;
mod fault;
mod finality;
mod header;
mod justification;

pub use authorities::{Authority, AuthoritySet, authorities_hash};
pub use fault::Fault;
pub use finality::{Finality, HeaderChain};
pub use header::{ConsensusLog, Digest, DigestItem, NextAuthorities, PendingChange, SubstrateHeader};
pub use justification::{Commit, Justification, Precommit, SignedPrecommit, VerifySignature, signed_bytes};

use blake2::Digest as _;

/// A BLAKE2b-256 hash.
pub type Hash = [u8; 32];

/// Hashes as Substrate does.
pub fn blake2_256(bytes: &[u8]) -> Hash {
    blake2::Blake2b::<blake2::digest::consts::U32>::digest(bytes).into()
}
