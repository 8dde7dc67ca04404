//! The decoders of a node's answers as the fuzz targets call them; built with `--cfg fuzzing` only.
//!
//! Texts are results of JSON-RPC answers, as the RPC stack hands them on.

use std::sync::OnceLock;

use ibc_proto::google::protobuf::Any;
use light_clients::grandpa::{Hash, SubstrateHeader};
use relayer_core::chain::Proven;
use relayer_core::error::ChainError;
use relayer_core::fact::BlockFacts;
use relayer_core::id::{ChainId, Timestamp};
use relayer_core::packet::At;

use super::kept::{Lists, from_bytes, to_bytes};
use super::node::{Node, Said};
use super::runtime::Runtime;
use super::wire::{self, Header, ReadProof, RuntimeVersion};
use super::{block, event, extrinsic, finality, store};
use crate::ibc::event::Caps;
use crate::rpc::{EndpointSettings, RpcClient, RpcSettings};

/// The key asked for in [`stored`].
pub const KEY: &[u8] = b"ibc/clients/07-tendermint-0/clientState";
/// Largest packet data and acknowledgement taken.
pub const CAP_BYTES: usize = 64 * 1024;

/// A chain that is never called.
pub(in crate::substrate) fn node() -> Option<&'static Node> {
    static NODE: OnceLock<Option<Node>> = OnceLock::new();
    let make = || {
        let endpoint = EndpointSettings::new("http://127.0.0.1:1".parse().ok()?);
        let rpc = RpcClient::new(RpcSettings::new("made", vec![endpoint])).ok()?;
        Some(Node::new(rpc, ChainId::new("made").ok()?))
    };
    NODE.get_or_init(make).as_ref()
}

/// `chain_getHeader`: the header in SCALE and its parts, if they are those of this hash.
pub fn header(text: &str, hash: &Hash) -> Option<(Vec<u8>, SubstrateHeader)> {
    serde_json::from_str::<Header>(text).ok()?.checked(hash)
}

/// A notification of the stream of justifications: the block.
pub fn notified(text: &str) -> Option<(u32, Hash)> {
    let shown = finality::notified(text, node()?.rpc().endpoints().into_iter().next()?)?;
    Some((shown.number, shown.hash))
}

/// `grandpa_proveFinality`: the block.
pub fn proof(text: &str) -> Option<(u32, Hash)> {
    let shown = finality::proof(text, node()?.rpc().endpoints().into_iter().next()?)?;
    Some((shown.number, shown.hash))
}

/// What a runtime's metadata lets be read.
#[derive(Debug)]
pub struct Decoder(Runtime);

impl Decoder {
    /// Of metadata in SCALE.
    pub fn new(metadata: &[u8]) -> Option<Self> {
        let version = RuntimeVersion { spec_version: 1, transaction_version: 1 };
        Runtime::new(version, [0; 32], metadata).ok().map(Self)
    }

    /// What a block's events and extrinsics say.
    pub fn facts(&self, events: &[u8], extrinsics: &[Vec<u8>]) -> Option<BlockFacts> {
        let told = event::read(&self.0.metadata, &self.0.xcm, events)?;
        let at = At { height: node()?.height(1u32), time: Timestamp(1) };
        Some(block::facts(&self.0, at, extrinsics, told, Caps { data: CAP_BYTES, ack: CAP_BYTES }))
    }

    /// The messages of an extrinsic.
    pub fn messages(&self, extrinsic: &[u8]) -> Option<Vec<Any>> {
        extrinsic::messages(&self.0.metadata, extrinsic)
    }
}

/// `state_getReadProof` of [`KEY`] at a block with this state root.
pub fn stored(text: &str, at: &Hash, root: &Hash) -> Option<Result<Proven, ChainError>> {
    let value: ReadProof = serde_json::from_str(text).ok()?;
    let endpoint = node()?.rpc().endpoints().into_iter().next()?;
    Some(store::one(node()?, KEY, node()?.height(1u32), at, root, Said { value, endpoint }))
}

/// Bytes of `0x…`.
pub fn hex(text: &str) -> Option<Vec<u8>> {
    wire::bytes(text)
}

/// A trusted block as the journal keeps it: its bytes written anew, if its time is kept with it.
pub fn trusted(bytes: &[u8]) -> Option<Option<Vec<u8>>> {
    let lists = Lists::default();
    from_bytes(bytes, &lists).map(|(block, _)| to_bytes(&block, &lists))
}
