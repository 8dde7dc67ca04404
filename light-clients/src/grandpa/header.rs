//! Substrate headers, and what their digests say about GRANDPA's authorities.

use super::authorities::Authority;
use super::{AuthoritySet, Fault, Hash, authorities_hash, blake2_256};
use crate::limits::{MAX_DIGEST_ITEMS, MAX_SUBSTRATE_HEADER_BYTES};
use crate::wire::within;
use crate::{Part, Reason};
use alloc::vec::Vec;
use parity_scale_codec::{Compact, Decode, DecodeAll, Encode, Error, Input};

/// GRANDPA's name among the consensus engines.
const GRANDPA_ENGINE: [u8; 4] = *b"FRNK";

/// A header of a chain that hashes with BLAKE2b-256 and numbers its blocks with 32 bits, as FRAME's do.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SubstrateHeader {
    /// Hash of the block before.
    pub parent_hash: Hash,
    /// Number of the block.
    #[codec(compact)]
    pub number: u32,
    /// Root of the state after the block.
    pub state_root: Hash,
    /// Root of its extrinsics.
    pub extrinsics_root: Hash,
    /// What consensus and runtime wrote into the header.
    pub digest: Digest,
}

/// Items of a header's digest; few.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct Digest(pub Vec<DigestItem>);

impl Decode for Digest {
    /// An item can be one byte long in SCALE and forty in memory, so they are counted first.
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let Compact(count) = Compact::<u32>::decode(input)?;
        if usize::try_from(count).map_or(true, |count| count > MAX_DIGEST_ITEMS) {
            return Err("too many digest items".into());
        }
        (0..count).map(|_| DigestItem::decode(input)).collect::<Result<_, _>>().map(Self)
    }
}

/// An item of a header's digest.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum DigestItem {
    /// Anything else.
    #[codec(index = 0)]
    Other(Vec<u8>),
    /// From the runtime to a consensus engine.
    #[codec(index = 4)]
    Consensus([u8; 4], Vec<u8>),
    /// An author's seal.
    #[codec(index = 5)]
    Seal([u8; 4], Vec<u8>),
    /// From a consensus engine to the runtime.
    #[codec(index = 6)]
    PreRuntime([u8; 4], Vec<u8>),
    /// The runtime's code changed.
    #[codec(index = 8)]
    RuntimeEnvironmentUpdated,
}

/// What the runtime tells GRANDPA.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ConsensusLog {
    /// Other authorities after this block and `delay` more.
    #[codec(index = 1)]
    ScheduledChange(NextAuthorities),
    /// Other authorities at once, though nobody finalized it.
    #[codec(index = 2)]
    ForcedChange(u32, NextAuthorities),
    /// An authority should stop voting; it still counts.
    #[codec(index = 3)]
    OnDisabled(u64),
    /// Finality pauses after so many blocks.
    #[codec(index = 4)]
    Pause(u32),
    /// Finality goes on after so many blocks.
    #[codec(index = 5)]
    Resume(u32),
}

/// Authorities to come.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct NextAuthorities {
    /// The authorities.
    pub authorities: Vec<Authority>,
    /// Blocks between the announcement and the last block of the old set.
    pub delay: u32,
}

/// A change of authorities that is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingChange {
    /// Last block the old authorities finalize.
    pub effective: u32,
    /// Hash of the new authorities' list.
    pub authorities_hash: Hash,
}

impl SubstrateHeader {
    /// Decodes all of the bytes.
    pub fn decode_bytes(bytes: &[u8]) -> Result<Self, Reason> {
        within(bytes.len(), MAX_SUBSTRATE_HEADER_BYTES, Part::SubstrateHeader)?;
        Self::decode_all(&mut { bytes }).map_err(|_| Reason::Undecodable { part: Part::SubstrateHeader })
    }

    /// The block's hash.
    pub fn hash(&self) -> Hash {
        blake2_256(&self.encode())
    }

    /// The change of authorities this header announces.
    ///
    /// An item for GRANDPA that can't be read is refused: nobody could say who votes next. Pauses change no authorities:
    /// a chain that pauses just finalizes nothing.
    pub fn change(&self) -> Result<Option<PendingChange>, Reason> {
        let mut found = None;
        for item in &self.digest.0 {
            let DigestItem::Consensus(GRANDPA_ENGINE, log) = item else { continue };
            match ConsensusLog::decode_all(&mut log.as_slice()) {
                Err(_) => return Err(Reason::Undecodable { part: Part::SubstrateHeader }),
                Ok(ConsensusLog::ForcedChange(..)) => return Err(Fault::ForcedChange { number: self.number }.into()),
                Ok(ConsensusLog::ScheduledChange(next)) => {
                    if found.is_some() {
                        return Err(Fault::OverlappingChange { number: self.number }.into());
                    }
                    // Its id does not matter to the check.
                    AuthoritySet::new(0, &next.authorities)?;
                    let effective = self.number.checked_add(next.delay).ok_or(Fault::NumberOverflow)?;
                    found = Some(PendingChange { effective, authorities_hash: authorities_hash(&next.authorities) });
                }
                Ok(ConsensusLog::OnDisabled(_) | ConsensusLog::Pause(_) | ConsensusLog::Resume(_)) => {}
            }
        }
        Ok(found)
    }
}
