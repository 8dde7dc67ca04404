//! ICS-07 header: a signed block header with its validators, and the trusted validators it is verified against.

use super::client_state::revision;
use super::validators::{check_votes, decode_set};
use crate::limits::{MAX_BLOCK_HEIGHT, MAX_HEADER_BYTES, MAX_VALIDATORS};
use crate::wire::{decode_any, required, within};
use crate::{Height, Part, Reason};
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::lightclients::tendermint::v1::Header as RawHeader;
use tendermint::block::signed_header::SignedHeader;
use tendermint::{Time, validator};

/// CometBFT's block protocol (`version.BlockProtocol`): a header of another one is refused on chain.
const BLOCK_PROTOCOL: u64 = 11;

/// A decoded header whose sets and votes are bounded, ordered and unique. Nothing is verified yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    pub(super) signed: SignedHeader,
    pub(super) validators: validator::Set,
    trusted_height: Height,
    pub(super) trusted_validators: validator::Set,
    height: Height,
}

impl Header {
    /// Decodes the protobuf of ibc-go and checks what needs no trust.
    pub fn decode(any: &Any) -> Result<Self, Reason> {
        Self::from_raw(decode_any(any, Part::Header, MAX_HEADER_BYTES)?)
    }

    pub(super) fn from_raw(raw: RawHeader) -> Result<Self, Reason> {
        let signed = required(raw.signed_header, Part::SignedHeader)?;
        if let Some(commit) = &signed.commit {
            within(commit.signatures.len(), MAX_VALIDATORS, Part::Commit)?;
        }
        let protocol = signed.header.as_ref().and_then(|header| header.version).unwrap_or_default().block;
        if protocol != BLOCK_PROTOCOL {
            return Err(Reason::BlockProtocol { got: protocol });
        }
        let signed = SignedHeader::try_from(signed).map_err(|_| Reason::Undecodable { part: Part::SignedHeader })?;
        let revision = revision(signed.header.chain_id.as_str()).ok_or(Reason::ChainId)?;
        let height = Height::new(revision, signed.header.height.value());
        let trusted_height = Height::from(required(raw.trusted_height, Part::TrustedHeight)?);
        if height.number == 0 || height.number > MAX_BLOCK_HEIGHT {
            return Err(Reason::Undecodable { part: Part::SignedHeader });
        }
        if trusted_height.number == 0 || trusted_height.number > MAX_BLOCK_HEIGHT {
            return Err(Reason::Undecodable { part: Part::TrustedHeight });
        }
        let validators = decode_set(required(raw.validator_set, Part::Validators)?, Part::Validators)?;
        let trusted_validators =
            decode_set(required(raw.trusted_validators, Part::TrustedValidators)?, Part::TrustedValidators)?;
        check_votes(&signed.commit.signatures, &validators)?;
        Ok(Self { signed, validators, trusted_height, trusted_validators, height })
    }

    /// Height of the block, in the revision its chain id names.
    pub fn height(&self) -> Height {
        self.height
    }

    /// The height whose consensus state the header is verified against.
    pub fn trusted_height(&self) -> Height {
        self.trusted_height
    }

    /// Time of the block.
    pub fn time(&self) -> Time {
        self.signed.header.time
    }

    /// Header and commit.
    pub fn signed(&self) -> &SignedHeader {
        &self.signed
    }
}

/// Signatures a header of so many bytes may need verified: two thirds of its votes. A vote and its two validators take
/// about 280 bytes, the rest of a header 700.
pub(super) fn signatures_of(bytes: usize) -> u64 {
    let votes = (bytes.saturating_sub(700) / 280).min(MAX_VALIDATORS) as u64;
    votes.saturating_mul(2).checked_div(3).unwrap_or_default().saturating_add(1)
}
