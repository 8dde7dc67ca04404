//! Instructions by their index in the format.

use super::{Call, Hint, Instruction, OriginKind, WeightLimit};
use crate::error::{Error, Problem};
use crate::limits::{HINTS, MESSAGE_BYTES, TRANSFERS};
use crate::message::Version;
use crate::reader::{Read, Reader};
use crate::response::Weight;

impl Read for Instruction {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let what = "instruction";
        let (offset, index) = from.variant(what)?;
        Ok(match index {
            0 => Self::WithdrawAsset(from.read()?),
            1 => Self::ReserveAssetDeposited(from.read()?),
            2 => Self::ReceiveTeleportedAsset(from.read()?),
            3 => Self::QueryResponse {
                query_id: from.compact("a question's number")?,
                response: from.read()?,
                max_weight: from.read()?,
                querier: from.option("who had asked")?,
            },
            4 => Self::TransferAsset { assets: from.read()?, beneficiary: from.read()? },
            5 => Self::TransferReserveAsset { assets: from.read()?, dest: from.read()?, xcm: from.read()? },
            6 => Self::Transact { origin_kind: from.read()?, max_weight: max_weight(from)?, call: from.read()? },
            7 => Self::HrmpNewChannelOpenRequest {
                sender: from.compact("a parachain's id")?,
                max_message_size: from.compact("a message size")?,
                max_capacity: from.compact("a channel's capacity")?,
            },
            8 => Self::HrmpChannelAccepted { recipient: from.compact("a parachain's id")? },
            9 => Self::HrmpChannelClosing {
                initiator: from.compact("a parachain's id")?,
                sender: from.compact("a parachain's id")?,
                recipient: from.compact("a parachain's id")?,
            },
            10 => Self::ClearOrigin,
            11 => Self::DescendOrigin(from.read()?),
            12 => Self::ReportError(from.read()?),
            13 => Self::DepositAsset { assets: from.read()?, beneficiary: from.read()? },
            14 => Self::DepositReserveAsset { assets: from.read()?, dest: from.read()?, xcm: from.read()? },
            15 => Self::ExchangeAsset {
                give: from.read()?,
                want: from.read()?,
                maximal: from.flag("an exchange's direction")?,
            },
            16 => Self::InitiateReserveWithdraw { assets: from.read()?, reserve: from.read()?, xcm: from.read()? },
            17 => Self::InitiateTeleport { assets: from.read()?, dest: from.read()?, xcm: from.read()? },
            18 => Self::ReportHolding { response_info: from.read()?, assets: from.read()? },
            19 => Self::BuyExecution { fees: from.read()?, weight_limit: from.read()? },
            20 => Self::RefundSurplus,
            21 => Self::SetErrorHandler(from.read()?),
            22 => Self::SetAppendix(from.read()?),
            23 => Self::ClearError,
            24 => Self::ClaimAsset { assets: from.read()?, ticket: from.read()? },
            25 => Self::Trap(from.compact("a trap's code")?),
            26 => Self::SubscribeVersion {
                query_id: from.compact("a question's number")?,
                max_response_weight: from.read()?,
            },
            27 => Self::UnsubscribeVersion,
            28 => Self::BurnAsset(from.read()?),
            29 => Self::ExpectAsset(from.read()?),
            30 => Self::ExpectOrigin(from.option("an origin")?),
            31 => Self::ExpectError(from.option("an error")?),
            32 => Self::ExpectTransactStatus(from.read()?),
            33 => Self::QueryPallet {
                module_name: from.bytes("bytes of a crate's name", MESSAGE_BYTES)?,
                response_info: from.read()?,
            },
            34 => Self::ExpectPallet {
                index: from.compact("a pallet's index")?,
                name: from.bytes("bytes of a pallet's name", MESSAGE_BYTES)?,
                module_name: from.bytes("bytes of a crate's name", MESSAGE_BYTES)?,
                crate_major: from.compact("a crate's version")?,
                min_crate_minor: from.compact("a crate's version")?,
            },
            35 => Self::ReportTransactStatus(from.read()?),
            36 => Self::ClearTransactStatus,
            37 => Self::UniversalOrigin(from.read()?),
            38 => Self::ExportMessage { network: from.read()?, destination: from.read()?, xcm: from.read()? },
            39 => Self::LockAsset { asset: from.read()?, unlocker: from.read()? },
            40 => Self::UnlockAsset { asset: from.read()?, target: from.read()? },
            41 => Self::NoteUnlockable { asset: from.read()?, owner: from.read()? },
            42 => Self::RequestUnlock { asset: from.read()?, locker: from.read()? },
            43 => Self::SetFeesMode { jit_withdraw: from.flag("a mode of fees")? },
            44 => Self::SetTopic(from.array("a topic")?),
            45 => Self::ClearTopic,
            46 => Self::AliasOrigin(from.read()?),
            47 => Self::UnpaidExecution { weight_limit: from.read()?, check_origin: from.option("an origin")? },
            48 if from.version() >= Version::V5 => Self::PayFees { asset: from.read()? },
            49 if from.version() >= Version::V5 => Self::InitiateTransfer {
                destination: from.read()?,
                remote_fees: from.option("a transfer of fees")?,
                preserve_origin: from.flag("whether the origin is kept")?,
                assets: from.list("transfers", TRANSFERS)?,
                remote_xcm: from.read()?,
            },
            50 if from.version() >= Version::V5 => {
                Self::ExecuteWithOrigin { descendant_origin: from.option("an origin inside")?, xcm: from.read()? }
            }
            51 if from.version() >= Version::V5 => Self::SetHints { hints: from.list("hints", HINTS)? },
            index => return Err(Problem::Variant { what, index }.at(offset)),
        })
    }
}

/// Before version 5 a call's weight is always told.
fn max_weight(from: &mut Reader<'_>) -> Result<Option<Weight>, Error> {
    if from.version() < Version::V5 { from.read().map(Some) } else { from.option("a call's weight") }
}

impl Read for OriginKind {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let what = "kind of an origin";
        let (offset, index) = from.variant(what)?;
        Ok(match index {
            0 => Self::Native,
            1 => Self::SovereignAccount,
            2 => Self::Superuser,
            3 => Self::Xcm,
            index => return Err(Problem::Variant { what, index }.at(offset)),
        })
    }
}

impl Read for WeightLimit {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let what = "limit of weight";
        match from.variant(what)? {
            (_, 0) => Ok(Self::Unlimited),
            (_, 1) => from.read().map(Self::Limited),
            (offset, index) => Err(Problem::Variant { what, index }.at(offset)),
        }
    }
}

impl Read for Hint {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let what = "hint";
        match from.variant(what)? {
            (_, 0) => Ok(Self::AssetClaimer { location: from.read()? }),
            (offset, index) => Err(Problem::Variant { what, index }.at(offset)),
        }
    }
}

impl Read for Call {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        from.bytes("bytes of a call", MESSAGE_BYTES).map(Self)
    }
}
