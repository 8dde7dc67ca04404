//! Where something is: so many steps up, then junctions down, across all consensus systems.

use crate::error::{Error, Problem};
use crate::limits::JUNCTIONS;
use crate::message::Version;
use crate::reader::{Read, Reader};

/// A place as seen from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Steps up, towards the relay chain and beyond it.
    pub parents: u8,
    /// Steps down from there.
    pub interior: Interior,
}

/// Steps down from a place, the outermost first: at most [`JUNCTIONS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interior(Vec<Junction>);

impl Interior {
    /// The steps; none is the place itself.
    pub fn junctions(&self) -> &[Junction] {
        &self.0
    }
}

/// Fewer steps come first: the order in which assets are listed.
impl Ord for Interior {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}
impl PartialOrd for Interior {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// One step down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Junction {
    /// A parachain of the relay chain, by its id.
    Parachain(u32),
    /// An account of 32 bytes.
    AccountId32 {
        /// Its network; the one of the place when absent.
        network: Option<Network>,
        /// The account.
        id: [u8; 32],
    },
    /// An account by its index.
    AccountIndex64 {
        /// Its network; the one of the place when absent.
        network: Option<Network>,
        /// The index.
        index: u64,
    },
    /// An account of 20 bytes, as on Ethereum.
    AccountKey20 {
        /// Its network; the one of the place when absent.
        network: Option<Network>,
        /// The account.
        key: [u8; 20],
    },
    /// A pallet of the runtime, by its index.
    PalletInstance(u8),
    /// A number whose meaning the place knows, such as an asset's.
    GeneralIndex(u128),
    /// A key whose meaning the place knows.
    GeneralKey {
        /// Bytes of `data` that count.
        length: u8,
        /// The key, filled up with zeros.
        data: [u8; 32],
    },
    /// The only child there is.
    OnlyChild,
    /// A body of several that act together.
    Plurality {
        /// Which body.
        id: BodyId,
        /// Which part of it.
        part: BodyPart,
    },
    /// A whole consensus system.
    GlobalConsensus(Network),
}

/// A consensus system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// By the hash of its first block.
    ByGenesis([u8; 32]),
    /// A fork, by a block after it.
    ByFork {
        /// Height of the block.
        block_number: u64,
        /// Its hash.
        block_hash: [u8; 32],
    },
    /// Polkadot.
    Polkadot,
    /// Kusama.
    Kusama,
    /// Westend; not in version 5.
    Westend,
    /// Rococo; not in version 5.
    Rococo,
    /// Wococo; not in version 5.
    Wococo,
    /// An Ethereum chain.
    Ethereum {
        /// Its EIP-155 id.
        chain_id: u64,
    },
    /// Bitcoin.
    BitcoinCore,
    /// Bitcoin Cash.
    BitcoinCash,
    /// Polkadot's bulletin chain.
    PolkadotBulletin,
}

/// A body that acts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BodyId {
    /// The only one there is.
    Unit,
    /// One with a name.
    Moniker([u8; 4]),
    /// One by its index.
    Index(u32),
    /// The executive.
    Executive,
    /// The technical one.
    Technical,
    /// The legislative.
    Legislative,
    /// The judicial.
    Judicial,
    /// The one for defence.
    Defense,
    /// The administration.
    Administration,
    /// The treasury.
    Treasury,
}

/// The part of a body that has spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BodyPart {
    /// The body's voice, by whatever rule it has.
    Voice,
    /// So many members.
    Members {
        /// How many.
        count: u32,
    },
    /// Just this share.
    Fraction {
        /// Numerator.
        nom: u32,
        /// Denominator.
        denom: u32,
    },
    /// This share or more.
    AtLeastProportion {
        /// Numerator.
        nom: u32,
        /// Denominator.
        denom: u32,
    },
    /// More than this share.
    MoreThanProportion {
        /// Numerator.
        nom: u32,
        /// Denominator.
        denom: u32,
    },
}

impl Read for Location {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { parents: from.byte("a location's parents")?, interior: from.read()? })
    }
}

impl Read for Interior {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let (offset, count) = from.variant("junctions")?;
        if count > JUNCTIONS {
            return Err(Problem::Variant { what: "junctions", index: count }.at(offset));
        }
        (0..count).map(|_| from.read()).collect::<Result<_, _>>().map(Self)
    }
}

impl Read for Junction {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let what = "junction";
        let network = "a junction's network";
        let (offset, index) = from.variant(what)?;
        Ok(match index {
            0 => Self::Parachain(from.compact("a parachain's id")?),
            1 => Self::AccountId32 { network: from.option(network)?, id: from.array("an account of 32 bytes")? },
            2 => Self::AccountIndex64 { network: from.option(network)?, index: from.compact("an account's index")? },
            3 => Self::AccountKey20 { network: from.option(network)?, key: from.array("an account of 20 bytes")? },
            4 => Self::PalletInstance(from.byte("a pallet's index")?),
            5 => Self::GeneralIndex(from.compact("a general index")?),
            6 => Self::GeneralKey { length: from.byte("a key's length")?, data: from.array("a general key")? },
            7 => Self::OnlyChild,
            8 => Self::Plurality { id: from.read()?, part: from.read()? },
            9 => Self::GlobalConsensus(from.read()?),
            index => return Err(Problem::Variant { what, index }.at(offset)),
        })
    }
}

impl Read for Network {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let what = "network";
        let (offset, index) = from.variant(what)?;
        Ok(match index {
            0 => Self::ByGenesis(from.array("a hash of a first block")?),
            1 => {
                Self::ByFork { block_number: from.u64("a block's number")?, block_hash: from.array("a block's hash")? }
            }
            2 => Self::Polkadot,
            3 => Self::Kusama,
            4 if from.version() < Version::V5 => Self::Westend,
            5 if from.version() < Version::V5 => Self::Rococo,
            6 if from.version() < Version::V5 => Self::Wococo,
            7 => Self::Ethereum { chain_id: from.compact("an Ethereum chain's id")? },
            8 => Self::BitcoinCore,
            9 => Self::BitcoinCash,
            10 => Self::PolkadotBulletin,
            index => return Err(Problem::Variant { what, index }.at(offset)),
        })
    }
}

impl Read for BodyId {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let what = "body";
        let (offset, index) = from.variant(what)?;
        Ok(match index {
            0 => Self::Unit,
            1 => Self::Moniker(from.array("a body's name")?),
            2 => Self::Index(from.compact("a body's index")?),
            3 => Self::Executive,
            4 => Self::Technical,
            5 => Self::Legislative,
            6 => Self::Judicial,
            7 => Self::Defense,
            8 => Self::Administration,
            9 => Self::Treasury,
            index => return Err(Problem::Variant { what, index }.at(offset)),
        })
    }
}

impl Read for BodyPart {
    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        let what = "part of a body";
        let (offset, index) = from.variant(what)?;
        let (nom, denom) = ("a share's numerator", "a share's denominator");
        Ok(match index {
            0 => Self::Voice,
            1 => Self::Members { count: from.compact("a number of members")? },
            2 => Self::Fraction { nom: from.compact(nom)?, denom: from.compact(denom)? },
            3 => Self::AtLeastProportion { nom: from.compact(nom)?, denom: from.compact(denom)? },
            4 => Self::MoreThanProportion { nom: from.compact(nom)?, denom: from.compact(denom)? },
            index => return Err(Problem::Variant { what, index }.at(offset)),
        })
    }
}
