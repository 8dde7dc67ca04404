//! The messages of `grandpa.proto`, as they travel inside `ibc.lightclients.wasm.v1`.
//!
//! ```proto
#![doc = include_str!("grandpa.proto")]
//! ```

use crate::wire::encode_any;
use alloc::{string::String, vec::Vec};
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::client::v1::Height;
use ibc_proto::ibc::lightclients::wasm::v1::ClientMessage as WasmMessage;
use prost::{Message, Oneof};

/// How the chain is verified.
#[derive(Clone, PartialEq, Message)]
pub struct ClientState {
    /// The chain's name.
    #[prost(string, tag = "1")]
    pub chain_id: String,
    /// How long a verified block is trusted.
    #[prost(uint64, tag = "2")]
    pub trusting_period_seconds: u64,
    /// How far a block's time may be ahead of ours.
    #[prost(uint64, tag = "3")]
    pub max_clock_drift_seconds: u64,
    /// Set once the client was frozen.
    #[prost(message, optional, tag = "4")]
    pub frozen_height: Option<Height>,
    /// Child trie of the chain's IBC state; empty: the main trie.
    #[prost(bytes = "vec", tag = "5")]
    pub child_trie: Vec<u8>,
    /// Highest verified height, the same as in the wrapper.
    #[prost(message, optional, tag = "6")]
    pub latest_height: Option<Height>,
}

/// What is trusted at one height.
#[derive(Clone, PartialEq, Message)]
pub struct ConsensusState {
    /// Time of the block in nanoseconds since 1970.
    #[prost(uint64, tag = "1")]
    pub timestamp_nanos: u64,
    /// State root of the block.
    #[prost(bytes = "vec", tag = "2")]
    pub state_root: Vec<u8>,
    /// Hash of the block.
    #[prost(bytes = "vec", tag = "3")]
    pub block_hash: Vec<u8>,
    /// Set that finalizes the next block.
    #[prost(uint64, tag = "4")]
    pub set_id: u64,
    /// Hash of its list.
    #[prost(bytes = "vec", tag = "5")]
    pub authorities_hash: Vec<u8>,
    /// A change that is announced and not yet effective.
    #[prost(message, optional, tag = "6")]
    pub change: Option<PendingChange>,
}

/// A change of authorities to come.
#[derive(Clone, PartialEq, Message)]
pub struct PendingChange {
    /// Last block of the old authorities.
    #[prost(uint32, tag = "1")]
    pub effective: u32,
    /// Hash of the new ones' list.
    #[prost(bytes = "vec", tag = "2")]
    pub authorities_hash: Vec<u8>,
}

/// What moves a client on or freezes it.
#[derive(Clone, PartialEq, Message)]
pub struct ClientMessage {
    /// One of the two.
    #[prost(oneof = "Content", tags = "1, 2")]
    pub message: Option<Content>,
}

/// What a client message holds.
#[derive(Clone, PartialEq, Oneof)]
pub enum Content {
    /// A final block and the way to it.
    #[prost(message, tag = "1")]
    Header(Header),
    /// Two final blocks that can't both be.
    #[prost(message, tag = "2")]
    Misbehaviour(Misbehaviour),
}

/// A final block and the way to it.
#[derive(Clone, PartialEq, Message)]
pub struct Header {
    /// Height of the consensus state it is verified against.
    #[prost(message, optional, tag = "1")]
    pub trusted_height: Option<Height>,
    /// SCALE headers from the one after the trusted block to the final one.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub headers: Vec<Vec<u8>>,
    /// SCALE justification of the last header.
    #[prost(bytes = "vec", tag = "3")]
    pub justification: Vec<u8>,
    /// SCALE list of the authorities.
    #[prost(bytes = "vec", tag = "4")]
    pub authorities: Vec<u8>,
    /// Trie nodes that show the time of the last header's block.
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub timestamp_proof: Vec<Vec<u8>>,
}

/// Two final blocks that can't both be.
#[derive(Clone, PartialEq, Message)]
pub struct Misbehaviour {
    /// One.
    #[prost(message, optional, tag = "1")]
    pub header_1: Option<Header>,
    /// The other.
    #[prost(message, optional, tag = "2")]
    pub header_2: Option<Header>,
}

impl Header {
    /// As `MsgUpdateClient` carries it.
    pub fn into_any(self) -> Any {
        Content::Header(self).into_any()
    }
}

impl Misbehaviour {
    /// As `MsgUpdateClient` carries it.
    pub fn into_any(self) -> Any {
        Content::Misbehaviour(self).into_any()
    }
}

impl Content {
    fn into_any(self) -> Any {
        encode_any(&WasmMessage { data: ClientMessage { message: Some(self) }.encode_to_vec() })
    }
}
