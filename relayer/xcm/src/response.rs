//! What one system answers another, and what went wrong there.

use crate::asset::Assets;
use crate::error::{Error, Problem};
use crate::limits::{DISPATCH_ERROR_BYTES, PALLET_NAME_BYTES, PALLETS};
use crate::location::Location;
use crate::message::Version;
use crate::reader::{Read, Reader};

/// What execution costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// Time on reference hardware, ps.
    pub ref_time: u64,
    /// Storage proof, bytes.
    pub proof_size: u64,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// Nothing.
    Null,
    /// Assets at hand.
    Assets(Assets),
    /// How execution ended: `None` well, else the index of the instruction that failed and why.
    ExecutionResult(Option<(u32, XcmError)>),
    /// The newest version that is understood there.
    Version(u32),
    /// Pallets of a runtime: at most [`PALLETS`].
    PalletsInfo(Vec<PalletInfo>),
    /// How a call ended.
    DispatchResult(MaybeErrorCode),
}

/// A pallet of a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PalletInfo {
    /// Its index.
    pub index: u32,
    /// Its name in the runtime, bytes of a text.
    pub name: Vec<u8>,
    /// Its crate's name, bytes of a text.
    pub module_name: Vec<u8>,
    /// Its crate's version: the first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third.
    pub patch: u32,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaybeErrorCode {
    /// Well.
    Success,
    /// With this encoded error.
    Error(Vec<u8>),
    /// With an error of which this is the front.
    TruncatedError(Vec<u8>),
}

/// Where an answer is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryResponseInfo {
    /// The place.
    pub destination: Location,
    /// The question's number there.
    pub query_id: u64,
    /// Most weight that the answer may take there.
    pub max_weight: Weight,
}

/// Why a message failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the format's names say it
pub enum XcmError {
    Overflow,
    Unimplemented,
    UntrustedReserveLocation,
    UntrustedTeleportLocation,
    LocationFull,
    LocationNotInvertible,
    BadOrigin,
    InvalidLocation,
    AssetNotFound,
    FailedToTransactAsset,
    NotWithdrawable,
    LocationCannotHold,
    ExceedsMaxMessageSize,
    DestinationUnsupported,
    Transport,
    Unroutable,
    UnknownClaim,
    FailedToDecode,
    MaxWeightInvalid,
    NotHoldingFees,
    TooExpensive,
    /// By a `Trap` with this code.
    Trap(u64),
    ExpectationFalse,
    PalletNotFound,
    NameMismatch,
    VersionIncompatible,
    HoldingWouldOverflow,
    ExportError,
    ReanchorFailed,
    NoDeal,
    FeesNotMet,
    LockError,
    NoPermission,
    Unanchored,
    NotDepositable,
    /// Since version 5.
    TooManyAssets,
    UnhandledXcmVersion,
    /// The weight it would have needed.
    WeightLimitReached(Weight),
    Barrier,
    WeightNotComputable,
    ExceedsStackLimit,
}

impl Read for Weight {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { ref_time: from.compact("a weight's time")?, proof_size: from.compact("a weight's proof size")? })
    }
}

impl Read for Response {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let what = "response";
        let (offset, index) = from.variant(what)?;
        Ok(match index {
            0 => Self::Null,
            1 => Self::Assets(from.read()?),
            2 => Self::ExecutionResult(from.option("an error")?),
            3 => Self::Version(from.u32("a version")?),
            4 => Self::PalletsInfo(from.list("pallets", PALLETS)?),
            5 => Self::DispatchResult(from.read()?),
            index => return Err(Problem::Variant { what, index }.at(offset)),
        })
    }
}

impl Read for PalletInfo {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            index: from.compact("a pallet's index")?,
            name: from.bytes("bytes of a pallet's name", PALLET_NAME_BYTES)?,
            module_name: from.bytes("bytes of a crate's name", PALLET_NAME_BYTES)?,
            major: from.compact("a crate's version")?,
            minor: from.compact("a crate's version")?,
            patch: from.compact("a crate's version")?,
        })
    }
}

impl Read for MaybeErrorCode {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let (what, bytes) = ("result of a call", "bytes of a call's error");
        let (offset, index) = from.variant(what)?;
        Ok(match index {
            0 => Self::Success,
            1 => Self::Error(from.bytes(bytes, DISPATCH_ERROR_BYTES)?),
            2 => Self::TruncatedError(from.bytes(bytes, DISPATCH_ERROR_BYTES)?),
            index => return Err(Problem::Variant { what, index }.at(offset)),
        })
    }
}

impl Read for QueryResponseInfo {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { destination: from.read()?, query_id: from.compact("a question's number")?, max_weight: from.read()? })
    }
}

/// The index of the instruction that failed, and why.
impl Read for (u32, XcmError) {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        Ok((from.u32("an instruction's index")?, from.read()?))
    }
}

impl Read for XcmError {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let what = "error";
        let (offset, index) = from.variant(what)?;
        // Version 5 put one in; those after it moved.
        let unified = if from.version() < Version::V5 && index >= 35 { index.saturating_add(1) } else { index };
        Ok(match unified {
            0 => Self::Overflow,
            1 => Self::Unimplemented,
            2 => Self::UntrustedReserveLocation,
            3 => Self::UntrustedTeleportLocation,
            4 => Self::LocationFull,
            5 => Self::LocationNotInvertible,
            6 => Self::BadOrigin,
            7 => Self::InvalidLocation,
            8 => Self::AssetNotFound,
            9 => Self::FailedToTransactAsset,
            10 => Self::NotWithdrawable,
            11 => Self::LocationCannotHold,
            12 => Self::ExceedsMaxMessageSize,
            13 => Self::DestinationUnsupported,
            14 => Self::Transport,
            15 => Self::Unroutable,
            16 => Self::UnknownClaim,
            17 => Self::FailedToDecode,
            18 => Self::MaxWeightInvalid,
            19 => Self::NotHoldingFees,
            20 => Self::TooExpensive,
            21 => Self::Trap(from.u64("a trap's code")?),
            22 => Self::ExpectationFalse,
            23 => Self::PalletNotFound,
            24 => Self::NameMismatch,
            25 => Self::VersionIncompatible,
            26 => Self::HoldingWouldOverflow,
            27 => Self::ExportError,
            28 => Self::ReanchorFailed,
            29 => Self::NoDeal,
            30 => Self::FeesNotMet,
            31 => Self::LockError,
            32 => Self::NoPermission,
            33 => Self::Unanchored,
            34 => Self::NotDepositable,
            35 => Self::TooManyAssets,
            36 => Self::UnhandledXcmVersion,
            37 => Self::WeightLimitReached(from.read()?),
            38 => Self::Barrier,
            39 => Self::WeightNotComputable,
            40 => Self::ExceedsStackLimit,
            _ => return Err(Problem::Variant { what, index }.at(offset)),
        })
    }
}
