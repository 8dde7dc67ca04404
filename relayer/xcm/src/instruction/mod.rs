//! One step of a program for the machine that executes messages.

mod name;
mod read;

pub use name::{Name, NoSuchName};

use std::fmt;

use crate::asset::{Asset, AssetFilter, AssetTransferFilter, Assets};
use crate::limits::CALL_BYTES_SHOWN;
use crate::location::{Interior, Junction, Location, Network};
use crate::message::Xcm;
use crate::response::{MaybeErrorCode, QueryResponseInfo, Response, Weight, XcmError};

/// An instruction, by the name that the format gives it. "Holding" is where a message keeps assets while it runs, "origin" is as whom it
/// acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// Takes assets of the origin into holding.
    WithdrawAsset(Assets),
    /// Assets are in this chain's account at their reserve: put what stands for them into holding.
    ReserveAssetDeposited(Assets),
    /// Assets were burnt at the origin: put them into holding.
    ReceiveTeleportedAsset(Assets),
    /// Answers a question.
    QueryResponse {
        /// The question's number.
        query_id: u64,
        /// The answer.
        response: Response,
        /// Most weight that dealing with it may take.
        max_weight: Weight,
        /// Who had asked.
        querier: Option<Location>,
    },
    /// Moves assets of the origin to another account here.
    TransferAsset {
        /// What.
        assets: Assets,
        /// To whom.
        beneficiary: Location,
    },
    /// Moves assets of the origin into another chain's account here, and tells that chain.
    TransferReserveAsset {
        /// What.
        assets: Assets,
        /// To which chain.
        dest: Location,
        /// What is done with them there.
        xcm: Xcm,
    },
    /// Dispatches a call of the runtime.
    Transact {
        /// As whom.
        origin_kind: OriginKind,
        /// Most weight it may take: always told before version 5, since then only for older chains.
        max_weight: Option<Weight>,
        /// The call.
        call: Call,
    },
    /// A parachain asks for a channel.
    HrmpNewChannelOpenRequest {
        /// Parachain that asks.
        sender: u32,
        /// Longest message, bytes.
        max_message_size: u32,
        /// Most messages that wait.
        max_capacity: u32,
    },
    /// A parachain accepted a channel.
    HrmpChannelAccepted {
        /// Parachain that accepted.
        recipient: u32,
    },
    /// A parachain closes a channel.
    HrmpChannelClosing {
        /// Parachain that closes it.
        initiator: u32,
        /// The channel's sender.
        sender: u32,
        /// The channel's recipient.
        recipient: u32,
    },
    /// Forgets the origin.
    ClearOrigin,
    /// Goes on as something inside the origin.
    DescendOrigin(Interior),
    /// Tells what went wrong.
    ReportError(QueryResponseInfo),
    /// Moves holding to an account here.
    DepositAsset {
        /// What of holding.
        assets: AssetFilter,
        /// To whom.
        beneficiary: Location,
    },
    /// Moves holding into another chain's account here, and tells that chain.
    DepositReserveAsset {
        /// What of holding.
        assets: AssetFilter,
        /// To which chain.
        dest: Location,
        /// What is done with them there.
        xcm: Xcm,
    },
    /// Exchanges holding.
    ExchangeAsset {
        /// What of holding is given.
        give: AssetFilter,
        /// What is wanted at least.
        want: Assets,
        /// As much as can be had, rather than giving as little as will do.
        maximal: bool,
    },
    /// Burns what stands for assets, and takes them out at their reserve.
    InitiateReserveWithdraw {
        /// What of holding.
        assets: AssetFilter,
        /// Their reserve.
        reserve: Location,
        /// What is done with them there.
        xcm: Xcm,
    },
    /// Burns assets here and mints them there.
    InitiateTeleport {
        /// What of holding.
        assets: AssetFilter,
        /// To which chain.
        dest: Location,
        /// What is done with them there.
        xcm: Xcm,
    },
    /// Tells what is in holding.
    ReportHolding {
        /// Where the answer is wanted.
        response_info: QueryResponseInfo,
        /// What of holding is told.
        assets: AssetFilter,
    },
    /// Pays for execution from holding.
    BuyExecution {
        /// What is paid at most.
        fees: Asset,
        /// What is bought.
        weight_limit: WeightLimit,
    },
    /// Takes back what was paid for weight that is not needed.
    RefundSurplus,
    /// Runs when an error occurs.
    SetErrorHandler(Xcm),
    /// Runs at the end, after an error, too.
    SetAppendix(Xcm),
    /// Forgets the error.
    ClearError,
    /// Takes trapped assets into holding.
    ClaimAsset {
        /// What.
        assets: Assets,
        /// How they were trapped.
        ticket: Location,
    },
    /// Fails with a code.
    Trap(u64),
    /// Asks to be told the version that is understood here, and every change of it.
    SubscribeVersion {
        /// The question's number.
        query_id: u64,
        /// Most weight that the answer may take.
        max_response_weight: Weight,
    },
    /// Ends that.
    UnsubscribeVersion,
    /// Burns as much of holding.
    BurnAsset(Assets),
    /// Fails unless holding has these.
    ExpectAsset(Assets),
    /// Fails unless this is the origin.
    ExpectOrigin(Option<Location>),
    /// Fails unless this was the error.
    ExpectError(Option<(u32, XcmError)>),
    /// Fails unless the last call ended so.
    ExpectTransactStatus(MaybeErrorCode),
    /// Asks for pallets of a crate.
    QueryPallet {
        /// The crate's name, bytes of a text.
        module_name: Vec<u8>,
        /// Where the answer is wanted.
        response_info: QueryResponseInfo,
    },
    /// Fails unless the runtime has this pallet.
    ExpectPallet {
        /// Its index.
        index: u32,
        /// Its name, bytes of a text.
        name: Vec<u8>,
        /// Its crate's name, bytes of a text.
        module_name: Vec<u8>,
        /// Its crate's first version number.
        crate_major: u32,
        /// The least second one.
        min_crate_minor: u32,
    },
    /// Tells how the last call ended.
    ReportTransactStatus(QueryResponseInfo),
    /// Forgets how the last call ended.
    ClearTransactStatus,
    /// Goes on as another consensus system.
    UniversalOrigin(Junction),
    /// Sends a message over a bridge.
    ExportMessage {
        /// Which system.
        network: Network,
        /// Where in it.
        destination: Interior,
        /// What is done there.
        xcm: Xcm,
    },
    /// Locks an asset.
    LockAsset {
        /// What.
        asset: Asset,
        /// Who may unlock it.
        unlocker: Location,
    },
    /// Unlocks an asset.
    UnlockAsset {
        /// What.
        asset: Asset,
        /// Its owner.
        target: Location,
    },
    /// Tells that an asset is locked at the origin.
    NoteUnlockable {
        /// What.
        asset: Asset,
        /// Its owner.
        owner: Location,
    },
    /// Asks that an asset be unlocked.
    RequestUnlock {
        /// What.
        asset: Asset,
        /// Where it is locked.
        locker: Location,
    },
    /// How fees are paid.
    SetFeesMode {
        /// Taken from the origin when due, rather than from holding.
        jit_withdraw: bool,
    },
    /// Sets the message's topic.
    SetTopic([u8; 32]),
    /// Clears it.
    ClearTopic,
    /// Goes on as another place, if the chain allows that.
    AliasOrigin(Location),
    /// Execution is free, or must not happen.
    UnpaidExecution {
        /// What is needed.
        weight_limit: WeightLimit,
        /// Who the origin has to be.
        check_origin: Option<Location>,
    },
    /// Pays for execution and delivery; since version 5.
    PayFees {
        /// What is paid at most.
        asset: Asset,
    },
    /// Moves holding to another chain; since version 5.
    InitiateTransfer {
        /// To which chain.
        destination: Location,
        /// What pays there.
        remote_fees: Option<AssetTransferFilter>,
        /// Goes on there as the origin of here.
        preserve_origin: bool,
        /// What of holding, and how: at most [`TRANSFERS`](crate::limits::TRANSFERS).
        assets: Vec<AssetTransferFilter>,
        /// What is done there.
        remote_xcm: Xcm,
    },
    /// Runs a program as something inside the origin; since version 5.
    ExecuteWithOrigin {
        /// What inside the origin; none at all when absent.
        descendant_origin: Option<Interior>,
        /// The program.
        xcm: Xcm,
    },
    /// Helps with what may happen later; since version 5.
    SetHints {
        /// The hints.
        hints: Vec<Hint>,
    },
}

/// As whom a call is dispatched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginKind {
    /// As what the origin is in the runtime.
    Native,
    /// As the account that stands for the origin.
    SovereignAccount,
    /// As root.
    Superuser,
    /// As the place that the origin is.
    Xcm,
}

/// How much weight is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightLimit {
    /// As much as it takes.
    Unlimited,
    /// No more than this.
    Limited(Weight),
}

/// Something that helps with what may happen later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// Who may claim assets that get trapped.
    AssetClaimer {
        /// Who.
        location: Location,
    },
}

/// An encoded call of a runtime. It is shown by its length and first bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Call(Vec<u8>);

impl Call {
    /// The whole call.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, more) = match self.0.split_at_checked(CALL_BYTES_SHOWN) {
            Some((shown, [_, ..])) => (shown, "…"),
            Some((shown, [])) => (shown, ""),
            None => (self.0.as_slice(), ""),
        };
        write!(f, "{} bytes 0x{}{more}", self.0.len(), hex::encode(shown))
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({self})")
    }
}

impl Instruction {
    /// The program within it.
    pub fn nested(&self) -> Option<&Xcm> {
        match self {
            Self::SetErrorHandler(xcm)
            | Self::SetAppendix(xcm)
            | Self::TransferReserveAsset { xcm, .. }
            | Self::DepositReserveAsset { xcm, .. }
            | Self::InitiateReserveWithdraw { xcm, .. }
            | Self::InitiateTeleport { xcm, .. }
            | Self::ExportMessage { xcm, .. }
            | Self::ExecuteWithOrigin { xcm, .. }
            | Self::InitiateTransfer { remote_xcm: xcm, .. } => Some(xcm),
            _ => None,
        }
    }
}
