//! One line for people: what a message does, where and with how much.
//!
//! Every text is built from numbers, hex and the format's own names: nothing a foreign party wrote reaches a log as it is.

use std::fmt::{self, Write as _};

use crate::asset::{Asset, AssetFilter, AssetId, AssetTransferFilter, Assets, Fungibility, WildAsset};
use crate::instruction::Instruction;
use crate::limits::SUMMARY_BYTES;
use crate::location::{Interior, Junction, Location, Network};
use crate::message::{VersionedXcm, Xcm};

impl VersionedXcm {
    /// One line: version, number of instructions (with those in nested programs), and what they do, cut at [`SUMMARY_BYTES`].
    pub fn summary(&self) -> String {
        let mut line = Line(String::new());
        let count = self.xcm.instructions_deep().count();
        // Writing fails only where the line is full: the rest is left out.
        if write!(line, "{} {count} ", self.version).and_then(|()| program(&mut line, &self.xcm)).is_err() {
            line.0.push('…');
        }
        line.0
    }
}

/// Text up to a length.
struct Line(String);

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = SUMMARY_BYTES.saturating_sub('…'.len_utf8()).saturating_sub(self.0.len());
        let end = text.floor_char_boundary(room);
        self.0.push_str(text.get(..end).unwrap_or_default());
        if end < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

fn program(line: &mut Line, xcm: &Xcm) -> fmt::Result {
    line.write_str("[")?;
    for (n, instruction) in xcm.instructions().iter().enumerate() {
        let comma = if n == 0 { "" } else { ", " };
        write!(line, "{comma}{instruction}")?;
        detail(line, instruction)?;
        if let Some(nested) = instruction.nested() {
            line.write_str(" ")?;
            program(line, nested)?;
        }
    }
    line.write_str("]")
}

/// What distinguishes an instruction from others of its name.
fn detail(line: &mut Line, instruction: &Instruction) -> fmt::Result {
    match instruction {
        Instruction::WithdrawAsset(assets)
        | Instruction::ReserveAssetDeposited(assets)
        | Instruction::ReceiveTeleportedAsset(assets)
        | Instruction::BurnAsset(assets)
        | Instruction::ExpectAsset(assets)
        | Instruction::ClaimAsset { assets, .. } => write!(line, "({assets})"),
        Instruction::TransferAsset { assets, beneficiary: to }
        | Instruction::TransferReserveAsset { assets, dest: to, .. } => write!(line, "({assets} to {to})"),
        Instruction::DepositAsset { assets, beneficiary: to }
        | Instruction::DepositReserveAsset { assets, dest: to, .. }
        | Instruction::InitiateReserveWithdraw { assets, reserve: to, .. }
        | Instruction::InitiateTeleport { assets, dest: to, .. } => write!(line, "({assets} to {to})"),
        Instruction::InitiateTransfer { destination, assets, .. } => {
            line.write_str("(")?;
            for transfer in assets {
                write!(line, "{transfer}, ")?;
            }
            write!(line, "to {destination})")
        }
        Instruction::ExchangeAsset { give, want, .. } => write!(line, "({give} for {want})"),
        Instruction::BuyExecution { fees: asset, .. } | Instruction::PayFees { asset } => write!(line, "({asset})"),
        Instruction::LockAsset { asset, .. }
        | Instruction::UnlockAsset { asset, .. }
        | Instruction::NoteUnlockable { asset, .. }
        | Instruction::RequestUnlock { asset, .. } => write!(line, "({asset})"),
        Instruction::Transact { origin_kind, call, .. } => write!(line, "({call} as {origin_kind:?})"),
        Instruction::ExportMessage { network, destination, .. } => write!(line, "(to {network}/{destination})"),
        Instruction::DescendOrigin(to) => write!(line, "({to})"),
        Instruction::AliasOrigin(to) => write!(line, "({to})"),
        Instruction::UniversalOrigin(to) => write!(line, "({to})"),
        Instruction::SetTopic(topic) => write!(line, "(0x{})", hex::encode(topic)),
        Instruction::Trap(code) => write!(line, "({code})"),
        _ => Ok(()),
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parents {
            0 => f.write_str(".")?,
            1 => f.write_str("..")?,
            many => write!(f, "..*{many}")?,
        }
        if self.interior.junctions().is_empty() { Ok(()) } else { write!(f, "/{}", self.interior) }
    }
}

impl fmt::Display for Interior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, junction) in self.junctions().iter().enumerate() {
            let slash = if n == 0 { "" } else { "/" };
            write!(f, "{slash}{junction}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Junction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |f: &mut fmt::Formatter<'_>, network: &Option<Network>| match network {
            Some(network) => write!(f, "{network}:"),
            None => Ok(()),
        };
        match self {
            Self::Parachain(id) => write!(f, "Parachain({id})"),
            Self::AccountId32 { network, id } => {
                f.write_str("AccountId32(")?;
                of(f, network)?;
                write!(f, "0x{})", hex::encode(id))
            }
            Self::AccountIndex64 { network, index } => {
                f.write_str("AccountIndex64(")?;
                of(f, network)?;
                write!(f, "{index})")
            }
            Self::AccountKey20 { network, key } => {
                f.write_str("AccountKey20(")?;
                of(f, network)?;
                write!(f, "0x{})", hex::encode(key))
            }
            Self::PalletInstance(index) => write!(f, "PalletInstance({index})"),
            Self::GeneralIndex(index) => write!(f, "GeneralIndex({index})"),
            Self::GeneralKey { length, data } => {
                let key = data.get(..usize::from(*length)).unwrap_or(data);
                write!(f, "GeneralKey(0x{})", hex::encode(key))
            }
            Self::OnlyChild => f.write_str("OnlyChild"),
            Self::Plurality { id, part } => write!(f, "Plurality({id:?}, {part:?})"),
            Self::GlobalConsensus(network) => write!(f, "GlobalConsensus({network})"),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByGenesis(hash) => write!(f, "ByGenesis(0x{})", hex::encode(hash)),
            Self::ByFork { block_number, block_hash } => {
                write!(f, "ByFork({block_number}, 0x{})", hex::encode(block_hash))
            }
            Self::Ethereum { chain_id } => write!(f, "Ethereum({chain_id})"),
            named => write!(f, "{named:?}"),
        }
    }
}

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Concrete(location) => location.fmt(f),
            Self::Abstract(name) => write!(f, "0x{}", hex::encode(name)),
        }
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fun {
            Fungibility::Fungible(amount) => write!(f, "{amount} of {}", self.id),
            Fungibility::NonFungible(item) => write!(f, "{item:?} of {}", self.id),
        }
    }
}

impl fmt::Display for Assets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, asset) in self.as_slice().iter().enumerate() {
            let plus = if n == 0 { "" } else { " + " };
            write!(f, "{plus}{asset}")?;
        }
        if self.as_slice().is_empty() { f.write_str("nothing") } else { Ok(()) }
    }
}

impl fmt::Display for AssetFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Definite(assets) => assets.fmt(f),
            Self::Wild(WildAsset::All) => f.write_str("all"),
            Self::Wild(WildAsset::AllCounted(count)) => write!(f, "all ({count})"),
            Self::Wild(WildAsset::AllOf { id, .. }) => write!(f, "all of {id}"),
            Self::Wild(WildAsset::AllOfCounted { id, count, .. }) => write!(f, "all ({count}) of {id}"),
        }
    }
}

impl fmt::Display for AssetTransferFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Teleport(assets) => write!(f, "teleport {assets}"),
            Self::ReserveDeposit(assets) => write!(f, "deposit {assets}"),
            Self::ReserveWithdraw(assets) => write!(f, "withdraw {assets}"),
        }
    }
}
