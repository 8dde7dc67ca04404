//! Names of instructions: labels of metrics, words of filters.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::Instruction;

/// The name of an instruction, one of a bounded set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(&'static str);

/// A text that names no instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no XCM instruction has this name")]
pub struct NoSuchName;

/// In the order of their indices in the format.
const NAMES: [&str; 52] = [
    "WithdrawAsset",
    "ReserveAssetDeposited",
    "ReceiveTeleportedAsset",
    "QueryResponse",
    "TransferAsset",
    "TransferReserveAsset",
    "Transact",
    "HrmpNewChannelOpenRequest",
    "HrmpChannelAccepted",
    "HrmpChannelClosing",
    "ClearOrigin",
    "DescendOrigin",
    "ReportError",
    "DepositAsset",
    "DepositReserveAsset",
    "ExchangeAsset",
    "InitiateReserveWithdraw",
    "InitiateTeleport",
    "ReportHolding",
    "BuyExecution",
    "RefundSurplus",
    "SetErrorHandler",
    "SetAppendix",
    "ClearError",
    "ClaimAsset",
    "Trap",
    "SubscribeVersion",
    "UnsubscribeVersion",
    "BurnAsset",
    "ExpectAsset",
    "ExpectOrigin",
    "ExpectError",
    "ExpectTransactStatus",
    "QueryPallet",
    "ExpectPallet",
    "ReportTransactStatus",
    "ClearTransactStatus",
    "UniversalOrigin",
    "ExportMessage",
    "LockAsset",
    "UnlockAsset",
    "NoteUnlockable",
    "RequestUnlock",
    "SetFeesMode",
    "SetTopic",
    "ClearTopic",
    "AliasOrigin",
    "UnpaidExecution",
    "PayFees",
    "InitiateTransfer",
    "ExecuteWithOrigin",
    "SetHints",
];

impl Name {
    /// Every name, in the order of the format.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.into_iter().map(Self)
    }

    /// As the format spells it.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl FromStr for Name {
    type Err = NoSuchName;
    fn from_str(text: &str) -> Result<Self, NoSuchName> {
        Self::all().find(|name| name.0 == text).ok_or(NoSuchName)
    }
}

impl Instruction {
    /// Its name.
    pub fn name(&self) -> Name {
        Name(match self {
            Self::WithdrawAsset(_) => "WithdrawAsset",
            Self::ReserveAssetDeposited(_) => "ReserveAssetDeposited",
            Self::ReceiveTeleportedAsset(_) => "ReceiveTeleportedAsset",
            Self::QueryResponse { .. } => "QueryResponse",
            Self::TransferAsset { .. } => "TransferAsset",
            Self::TransferReserveAsset { .. } => "TransferReserveAsset",
            Self::Transact { .. } => "Transact",
            Self::HrmpNewChannelOpenRequest { .. } => "HrmpNewChannelOpenRequest",
            Self::HrmpChannelAccepted { .. } => "HrmpChannelAccepted",
            Self::HrmpChannelClosing { .. } => "HrmpChannelClosing",
            Self::ClearOrigin => "ClearOrigin",
            Self::DescendOrigin(_) => "DescendOrigin",
            Self::ReportError(_) => "ReportError",
            Self::DepositAsset { .. } => "DepositAsset",
            Self::DepositReserveAsset { .. } => "DepositReserveAsset",
            Self::ExchangeAsset { .. } => "ExchangeAsset",
            Self::InitiateReserveWithdraw { .. } => "InitiateReserveWithdraw",
            Self::InitiateTeleport { .. } => "InitiateTeleport",
            Self::ReportHolding { .. } => "ReportHolding",
            Self::BuyExecution { .. } => "BuyExecution",
            Self::RefundSurplus => "RefundSurplus",
            Self::SetErrorHandler(_) => "SetErrorHandler",
            Self::SetAppendix(_) => "SetAppendix",
            Self::ClearError => "ClearError",
            Self::ClaimAsset { .. } => "ClaimAsset",
            Self::Trap(_) => "Trap",
            Self::SubscribeVersion { .. } => "SubscribeVersion",
            Self::UnsubscribeVersion => "UnsubscribeVersion",
            Self::BurnAsset(_) => "BurnAsset",
            Self::ExpectAsset(_) => "ExpectAsset",
            Self::ExpectOrigin(_) => "ExpectOrigin",
            Self::ExpectError(_) => "ExpectError",
            Self::ExpectTransactStatus(_) => "ExpectTransactStatus",
            Self::QueryPallet { .. } => "QueryPallet",
            Self::ExpectPallet { .. } => "ExpectPallet",
            Self::ReportTransactStatus(_) => "ReportTransactStatus",
            Self::ClearTransactStatus => "ClearTransactStatus",
            Self::UniversalOrigin(_) => "UniversalOrigin",
            Self::ExportMessage { .. } => "ExportMessage",
            Self::LockAsset { .. } => "LockAsset",
            Self::UnlockAsset { .. } => "UnlockAsset",
            Self::NoteUnlockable { .. } => "NoteUnlockable",
            Self::RequestUnlock { .. } => "RequestUnlock",
            Self::SetFeesMode { .. } => "SetFeesMode",
            Self::SetTopic(_) => "SetTopic",
            Self::ClearTopic => "ClearTopic",
            Self::AliasOrigin(_) => "AliasOrigin",
            Self::UnpaidExecution { .. } => "UnpaidExecution",
            Self::PayFees { .. } => "PayFees",
            Self::InitiateTransfer { .. } => "InitiateTransfer",
            Self::ExecuteWithOrigin { .. } => "ExecuteWithOrigin",
            Self::SetHints { .. } => "SetHints",
        })
    }
}

/// The name alone.
impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}
