//! Headers and misbehaviour as they come in: decoded within bounds, nothing verified.

use super::justification::Justification;
use super::{HeaderChain, SubstrateHeader, schema};
use crate::limits::{MAX_AUTHORITIES_BYTES, MAX_HEADER_BYTES, MAX_MISBEHAVIOUR_BYTES};
use crate::wire::{decode, decode_any, required, within};
use crate::{Height, Part, Reason};
use alloc::{boxed::Box, vec::Vec};
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::lightclients::wasm::v1::ClientMessage as WasmMessage;
use schema::Content;

/// What a client message holds.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientMessage {
    /// A final block and the way to it.
    Header(Box<Header>),
    /// Two final blocks that can't both be.
    Misbehaviour(Box<Misbehaviour>),
}

impl ClientMessage {
    /// Decodes what the wrapper of a client message holds.
    pub fn from_data(data: &[u8]) -> Result<Self, Reason> {
        let message: schema::ClientMessage = decode(data, Part::Misbehaviour, MAX_MISBEHAVIOUR_BYTES)?;
        match required(message.message, Part::Header)? {
            Content::Header(raw) => {
                within(data.len(), MAX_HEADER_BYTES, Part::Header)?;
                Header::from_raw(raw).map(Box::new).map(Self::Header)
            }
            Content::Misbehaviour(raw) => Misbehaviour::from_raw(raw).map(Box::new).map(Self::Misbehaviour),
        }
    }
}

/// A final block and the way to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    pub(super) trusted_height: Height,
    pub(super) chain: HeaderChain,
    pub(super) target: SubstrateHeader,
    pub(super) justification: Justification,
    pub(super) authorities: Vec<u8>,
    pub(super) timestamp_proof: Vec<Vec<u8>>,
}

impl Header {
    /// Decodes a client message that holds a header.
    pub fn decode(any: &Any) -> Result<Self, Reason> {
        match content(any, Part::Header, MAX_HEADER_BYTES)? {
            Content::Header(raw) => Self::from_raw(raw),
            Content::Misbehaviour(_) => Err(Reason::WrongType { part: Part::Header }),
        }
    }

    fn from_raw(raw: schema::Header) -> Result<Self, Reason> {
        let trusted_height = Height::from(required(raw.trusted_height, Part::TrustedHeight)?);
        if u32::try_from(trusted_height.number).is_err() {
            return Err(Reason::Undecodable { part: Part::TrustedHeight });
        }
        within(raw.authorities.len(), MAX_AUTHORITIES_BYTES, Part::Authorities)?;
        let chain = HeaderChain::decode(&raw.headers)?;
        let target = required(chain.last().cloned(), Part::HeaderChain)?;
        let justification = Justification::decode_bytes(&raw.justification)?;
        let (authorities, timestamp_proof) = (raw.authorities, raw.timestamp_proof);
        Ok(Self { trusted_height, chain, target, justification, authorities, timestamp_proof })
    }

    /// Height of the consensus state it is verified against.
    pub fn trusted_height(&self) -> Height {
        self.trusted_height
    }

    /// Height of the final block, in the revision of the trusted height.
    pub fn height(&self) -> Height {
        Height::new(self.trusted_height.revision, self.target.number.into())
    }

    /// The headers, the final block's last.
    pub fn chain(&self) -> &HeaderChain {
        &self.chain
    }

    /// The votes for the final block.
    pub fn justification(&self) -> &Justification {
        &self.justification
    }
}

/// Two final blocks that, it is said, can't both be.
#[derive(Debug, Clone, PartialEq)]
pub struct Misbehaviour {
    headers: (Header, Header),
}

impl Misbehaviour {
    /// Decodes a client message that holds misbehaviour.
    pub fn decode(any: &Any) -> Result<Self, Reason> {
        match content(any, Part::Misbehaviour, MAX_MISBEHAVIOUR_BYTES)? {
            Content::Header(_) => Err(Reason::WrongType { part: Part::Misbehaviour }),
            Content::Misbehaviour(raw) => Self::from_raw(raw),
        }
    }

    fn from_raw(raw: schema::Misbehaviour) -> Result<Self, Reason> {
        let header = |raw| required(raw, Part::Header).and_then(Header::from_raw);
        Ok(Self { headers: (header(raw.header_1)?, header(raw.header_2)?) })
    }

    /// Both headers.
    pub fn headers(&self) -> (&Header, &Header) {
        (&self.headers.0, &self.headers.1)
    }
}

fn content(any: &Any, part: Part, max: usize) -> Result<Content, Reason> {
    // The wrapper adds a few bytes.
    let wrapper: WasmMessage = decode_any(any, part, max.saturating_add(64))?;
    let message: schema::ClientMessage = decode(&wrapper.data, part, max)?;
    required(message.message, part)
}
