//! What is moved: assets by the place that defines them, and choices among those at hand.

use crate::error::{Error, Problem};
use crate::limits::ASSETS;
use crate::location::Location;
use crate::message::Version;
use crate::reader::{Read, Reader};

/// What defines an asset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssetId {
    /// The place that knows it.
    Concrete(Location),
    /// A name agreed upon; version 3 only.
    Abstract([u8; 32]),
}

/// An amount of an asset, or one of its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Which asset.
    pub id: AssetId,
    /// How much or which one.
    pub fun: Fungibility,
}

/// How much of an asset, or which of its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fungibility {
    /// An amount in the asset's smallest unit; not 0.
    Fungible(u128),
    /// One item.
    NonFungible(AssetInstance),
}

/// Which item of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssetInstance {
    /// The only one.
    Undefined,
    /// By number.
    Index(u128),
    /// By 4 bytes.
    Array4([u8; 4]),
    /// By 8 bytes.
    Array8([u8; 8]),
    /// By 16 bytes.
    Array16([u8; 16]),
    /// By 32 bytes.
    Array32([u8; 32]),
}

/// Assets in the format's order, no amount of the same asset twice: at most [`ASSETS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assets(Vec<Asset>);

impl Assets {
    /// The assets.
    pub fn as_slice(&self) -> &[Asset] {
        &self.0
    }
}

/// Which of the assets at hand are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssetFilter {
    /// Just these.
    Definite(Assets),
    /// All of a kind.
    Wild(WildAsset),
}

/// All assets of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WildAsset {
    /// Everything.
    All,
    /// All of one asset.
    AllOf {
        /// Which asset.
        id: AssetId,
        /// Amounts or items.
        fun: WildFungibility,
    },
    /// Everything, known to be of at most so many assets.
    AllCounted(u32),
    /// All of one asset, known to be at most so many items.
    AllOfCounted {
        /// Which asset.
        id: AssetId,
        /// Amounts or items.
        fun: WildFungibility,
        /// How many.
        count: u32,
    },
}

/// Amounts or items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WildFungibility {
    /// Amounts.
    Fungible,
    /// Items.
    NonFungible,
}

/// How assets get to another chain; since version 5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssetTransferFilter {
    /// Burnt here, minted there.
    Teleport(AssetFilter),
    /// Put into the other chain's account here, which is their reserve.
    ReserveDeposit(AssetFilter),
    /// Burnt here, taken from our account there, which is their reserve.
    ReserveWithdraw(AssetFilter),
}

impl Read for AssetId {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        if from.version() > Version::V3 {
            return from.read().map(Self::Concrete);
        }
        let what = "asset";
        match from.variant(what)? {
            (_, 0) => from.read().map(Self::Concrete),
            (_, 1) => from.array("an asset's name").map(Self::Abstract),
            (offset, index) => Err(Problem::Variant { what, index }.at(offset)),
        }
    }
}

impl Read for Asset {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { id: from.read()?, fun: from.read()? })
    }
}

impl Read for Fungibility {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let what = "amount or item";
        match from.variant(what)? {
            (offset, 0) => match from.compact("an amount")? {
                0 => Err(Problem::NoAmount.at(offset)),
                amount => Ok(Self::Fungible(amount)),
            },
            (_, 1) => from.read().map(Self::NonFungible),
            (offset, index) => Err(Problem::Variant { what, index }.at(offset)),
        }
    }
}

impl Read for AssetInstance {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let (what, bytes) = ("item", "an item's name");
        let (offset, index) = from.variant(what)?;
        Ok(match index {
            0 => Self::Undefined,
            1 => Self::Index(from.compact("an item's number")?),
            2 => Self::Array4(from.array(bytes)?),
            3 => Self::Array8(from.array(bytes)?),
            4 => Self::Array16(from.array(bytes)?),
            5 => Self::Array32(from.array(bytes)?),
            index => return Err(Problem::Variant { what, index }.at(offset)),
        })
    }
}

impl Read for Assets {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let offset = from.offset();
        let assets: Vec<Asset> = from.list("assets", ASSETS)?;
        if assets.is_sorted_by(in_order) { Ok(Self(assets)) } else { Err(Problem::Order.at(offset)) }
    }
}

/// Whether one asset may be listed right before another: ids ascend; also items may follow any amount, and greater items items.
fn in_order(a: &Asset, b: &Asset) -> bool {
    let later = match (a.fun, b.fun) {
        (Fungibility::Fungible(_), Fungibility::NonFungible(_)) => true,
        (Fungibility::NonFungible(a_item), Fungibility::NonFungible(b_item)) => a.id == b.id && a_item < b_item,
        (_, Fungibility::Fungible(_)) => false,
    };
    a.id < b.id || later
}

impl Read for AssetFilter {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let what = "filter of assets";
        match from.variant(what)? {
            (_, 0) => from.read().map(Self::Definite),
            (_, 1) => from.read().map(Self::Wild),
            (offset, index) => Err(Problem::Variant { what, index }.at(offset)),
        }
    }
}

impl Read for WildAsset {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let (what, count) = ("wildcard of assets", "a number of assets");
        let (offset, index) = from.variant(what)?;
        Ok(match index {
            0 => Self::All,
            1 => Self::AllOf { id: from.read()?, fun: from.read()? },
            2 => Self::AllCounted(from.compact(count)?),
            3 => Self::AllOfCounted { id: from.read()?, fun: from.read()?, count: from.compact(count)? },
            index => return Err(Problem::Variant { what, index }.at(offset)),
        })
    }
}

impl Read for WildFungibility {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let what = "amounts or items";
        match from.variant(what)? {
            (_, 0) => Ok(Self::Fungible),
            (_, 1) => Ok(Self::NonFungible),
            (offset, index) => Err(Problem::Variant { what, index }.at(offset)),
        }
    }
}

impl Read for AssetTransferFilter {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let what = "way of a transfer";
        match from.variant(what)? {
            (_, 0) => from.read().map(Self::Teleport),
            (_, 1) => from.read().map(Self::ReserveDeposit),
            (_, 2) => from.read().map(Self::ReserveWithdraw),
            (offset, index) => Err(Problem::Variant { what, index }.at(offset)),
        }
    }
}
