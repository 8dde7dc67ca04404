//! Light clients: time, trust and bytes in, a verdict out.
//!
//! A light client follows another chain without running it. It keeps a *client state* (how the chain is verified) and,
//! for some heights, a *consensus state* (what is trusted there: a Merkle root, a time, the next validators). A header
//! moves trust forward; a Merkle proof shows what a chain stored under a path at a trusted height.
//!
//! **Spec**: ICS-02 (client semantics), ICS-07 (Tendermint), ICS-10 (GRANDPA), ICS-23 (vector commitments). The rules of
//! Tendermint are those of ibc-go v10's `07-tendermint`, so that whatever is trusted here is accepted by the chain that is
//! paid to verify it; those of GRANDPA are this crate's own, for the contract as for the relayer.
//!
//! **Shapes and units.** Client state, consensus state, header and misbehaviour travel as protobuf `Any`, which is what
//! ICS-02 makes opaque: one [`Verifier`] per family of chains decodes them. Times are nanoseconds since 1970
//! ([`Timestamp`]); the caller says what time it is, nothing here reads a clock.
//!
//! **Bounds.** Bytes are measured before they are decoded, counts before they are used, signatures come last. See
//! [`limits`].
//!
//! **Errors.** A verdict has three values, since "not enough trust" is no failure: it asks for a header in between.
//! Every refusal is a [`Reason`] with a stable [`label`](Reason::label) and a [`remedy`](Reason::remedy).
//!
//! ```
//! use light_clients::{Reason, TendermintClient, Timestamp, Verdict, Verifier};
//! use ibc_proto::google::protobuf::Any;
//!
//! let clients: Vec<Box<dyn Verifier>> = vec![Box::new(TendermintClient)];
//! let garbage = Any { type_url: "/nonsense".into(), value: vec![1, 2, 3] };
//! match clients[0].update(&garbage, &garbage, &garbage, Timestamp::from_nanos(0)) {
//!     Verdict::Invalid(reason) => assert_eq!(reason.label(), "wrong_type"),
//!     Verdict::Trusted(_) | Verdict::NotEnoughTrust { .. } => unreachable!(),
//! }
//! ```
#![cfg_attr(not(test), no_std)]
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::float_arithmetic)]

extern crate alloc;

pub mod commitment;
pub mod grandpa;
mod height;
pub mod limits;
mod reason;
pub mod tendermint;
mod verifier;
mod wire;

pub use commitment::MerklePath;
pub use grandpa::GrandpaClient;
pub use height::{Height, Timestamp};
pub use reason::{Parameter, Part, Reason, Remedy};
pub use tendermint::TendermintClient;
pub use verifier::{Protocols, Updated, Verdict, Verifier};
