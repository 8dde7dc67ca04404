//! What is final, who says so next, and how a chain of headers moves both on.
//!
//! **Spec**: ICS-10. The authorities of a set finalize the blocks up to and including the *effective* one of their
//! change; the next set finalizes those after it. So a chain of headers ends at an effective block at the latest, and
//! whoever is some changes behind verifies one justification for each of them, in order.

use super::header::PendingChange;
use super::{Fault, Hash, Justification, SubstrateHeader, blake2_256};
use crate::limits::{MAX_HEADER_BYTES, MAX_HEADER_CHAIN};
use crate::wire::{within, within_sum};
use crate::{Part, Reason};
use alloc::vec::Vec;

/// A final block and the authorities of the blocks after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finality {
    /// Number of the block.
    pub number: u32,
    /// Hash of the block.
    pub hash: Hash,
    /// Number of the set that finalizes the next block.
    pub set_id: u64,
    /// Hash of that set's list.
    pub authorities_hash: Hash,
    /// The change that is announced and not yet effective.
    pub change: Option<PendingChange>,
}

/// Headers from the one after a trusted block to the one that is final, with their hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderChain(Vec<(Hash, SubstrateHeader)>);

impl HeaderChain {
    /// Decodes headers in SCALE, the lowest first.
    pub fn decode(headers: &[impl AsRef<[u8]>]) -> Result<Self, Reason> {
        within(headers.len(), MAX_HEADER_CHAIN, Part::HeaderChain)?;
        within_sum(headers, MAX_HEADER_BYTES, Part::HeaderChain)?;
        if headers.is_empty() {
            return Err(Reason::Missing { part: Part::HeaderChain });
        }
        let hashed = |bytes: &[u8]| Ok((blake2_256(bytes), SubstrateHeader::decode_bytes(bytes)?));
        headers.iter().map(|bytes| hashed(bytes.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// The last header.
    pub fn last(&self) -> Option<&SubstrateHeader> {
        self.0.last().map(|(_, header)| header)
    }

    /// Number and hash of each block, the lowest first.
    pub fn blocks(&self) -> impl Iterator<Item = (u32, Hash)> + '_ {
        self.0.iter().map(|(hash, header)| (header.number, *hash))
    }
}

impl Finality {
    /// What is final if the last header is: each header is the child of the one before, the first of this block, and no
    /// change of authorities lies before the last.
    pub fn advance(&self, chain: &HeaderChain) -> Result<Self, Reason> {
        let mut new = *self;
        for (index, (hash, header)) in (0..).zip(&chain.0) {
            if header.parent_hash != new.hash {
                return Err(Fault::BrokenChain { index }.into());
            }
            let want = new.number.checked_add(1).ok_or(Fault::NumberOverflow)?;
            if header.number != want {
                return Err(Fault::BlockNumber { index, got: header.number, want }.into());
            }
            if let Some(change) = new.change.filter(|change| change.effective < want) {
                return Err(Fault::SkippedChange { effective: change.effective }.into());
            }
            let announced = header.change()?;
            if announced.is_some() && new.change.is_some() {
                return Err(Fault::OverlappingChange { number: want }.into());
            }
            new = Self { number: want, hash: *hash, change: announced.or(new.change), ..new };
        }
        match new.change {
            Some(change) if change.effective == new.number => Ok(Self {
                set_id: new.set_id.checked_add(1).ok_or(Fault::NumberOverflow)?,
                authorities_hash: change.authorities_hash,
                change: None,
                ..new
            }),
            _ => Ok(new),
        }
    }

    /// Refuses a justification of another block.
    pub fn ensure_target_of(&self, justification: &Justification) -> Result<(), Reason> {
        let commit = &justification.commit;
        if (commit.target_hash, commit.target_number) != (self.hash, self.number) {
            return Err(Fault::OtherTarget.into());
        }
        Ok(())
    }
}
