//! XCM: messages in which one consensus system tells another what to do, decoded into typed instructions.
//!
//! A message is a small program for a machine that every chain of the Polkadot family runs: take these assets, pay, send the rest there
//! with a program of its own. The relayer meets such messages in packets and shows, counts and filters them; it never executes one.
//!
//! **Spec**: the XCM format, versions 3, 4 and 5, in SCALE encoding: a byte for the version, then the program.
//!
//! **One model for all versions.** The versions differ in a few places, in all of which one contains the others, so filters and logs ask
//! one type, and [`VersionedXcm`] keeps the version beside it. Where they differ: the name of a version 3 asset may be agreed upon
//! ([`AssetId::Abstract`]), later ones are places; version 5 has no test networks ([`Network`]), may leave out a call's weight
//! ([`Instruction::Transact`]), adds an error ([`XcmError::TooManyAssets`]) and four instructions, from [`Instruction::PayFees`] on. What a
//! version does not have is refused in its messages.
//!
//! **Shapes and units.** Amounts are in an asset's smallest unit. Weights are picoseconds on reference hardware and bytes of proof. Calls
//! are bytes: only the chain that they are for knows what they mean.
//!
//! **Bounds.** A message is read once, front to back, in time and space that its length bounds; length, instructions and nesting are
//! bounded as Polkadot's chains bound them. See [`limits`].
//!
//! **Errors.** A message is good as a whole or refused with the [`Problem`] and its offset; bytes after its end are refused as well.
//!
//! ```
//! use relayer_xcm::{Instruction, VersionedXcm};
//!
//! // version 5, three instructions: RefundSurplus, SetAppendix with a program of one, ClearTopic
//! let message = VersionedXcm::decode(&[5, 12, 20, 22, 4, 10, 45])?;
//! assert_eq!(message.summary(), "v5 4 [RefundSurplus, SetAppendix [ClearOrigin], ClearTopic]");
//! assert!(message.xcm.instructions_deep().any(|found| *found == Instruction::ClearOrigin));
//! # Ok::<(), relayer_xcm::Error>(())
//! ```
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::float_arithmetic)]

mod asset;
mod error;
mod instruction;
pub mod limits;
mod location;
mod memo;
mod message;
mod reader;
mod response;
mod show;

pub use asset::{
    Asset, AssetFilter, AssetId, AssetInstance, AssetTransferFilter, Assets, Fungibility, WildAsset, WildFungibility,
};
pub use error::{Error, Problem};
pub use instruction::{Call, Hint, Instruction, Name, NoSuchName, OriginKind, WeightLimit};
pub use location::{BodyId, BodyPart, Interior, Junction, Location, Network};
pub use memo::in_memo;
pub use message::{Version, VersionedXcm, Xcm};
pub use response::{MaybeErrorCode, PalletInfo, QueryResponseInfo, Response, Weight, XcmError};
