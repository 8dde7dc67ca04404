//! The decoders of a node's answers as the fuzz targets call them; built with `--cfg fuzzing` only.
//!
//! Texts are results of JSON-RPC answers, as the RPC stack hands them on; what is no JSON never gets here and gives `None`.

use std::collections::VecDeque;
use std::sync::OnceLock;

use ibc_proto::google::protobuf::Any;
use relayer_core::chain::Proven;
use relayer_core::error::ChainError;
use relayer_core::fact::{BlockFacts, Fact};
use relayer_core::id::ChainId;
use serde_json::value::RawValue;
use tendermint::validator;

use super::event::{self, Caps};
use super::node::{AbciQuery, Node, Said};
use super::{block, header, store, wire};
use crate::rpc::{Answer, EndpointSettings, RpcClient, RpcSettings};

/// The chain whose answers are read, as in the recorded ones.
pub const CHAIN: &str = "sim-a-1";
/// The key asked for in [`stored`].
pub const KEY: &str = "clients/07-tendermint-0/clientState";
/// The height asked for in [`stored`].
pub const HEIGHT: u64 = 5;
/// Largest packet data and acknowledgement taken.
pub const CAP_BYTES: usize = 64 * 1024;

const CAPS: Caps = Caps { data: CAP_BYTES, ack: CAP_BYTES };

/// A chain that is never called.
pub(in crate::cosmos) fn node() -> Option<&'static Node> {
    static NODE: OnceLock<Option<Node>> = OnceLock::new();
    let make = || {
        let endpoint = EndpointSettings::new("http://127.0.0.1:1".parse().ok()?);
        let rpc = RpcClient::new(RpcSettings::new(CHAIN, vec![endpoint])).ok()?;
        Some(Node::new(rpc, ChainId::new(CHAIN).ok()?))
    };
    NODE.get_or_init(make).as_ref()
}

pub(in crate::cosmos) fn answer(text: &str) -> Option<Answer> {
    let endpoint = node()?.rpc().endpoints().into_iter().next()?;
    Some(Answer { result: RawValue::from_string(text.to_owned()).ok()?, endpoint })
}

/// `/block` and `/block_results` of a height.
pub fn facts(height: u64, block: &str, results: &str) -> Option<Result<BlockFacts, ChainError>> {
    Some(block::read(node()?, height, &answer(block)?, &answer(results)?, CAPS))
}

/// One event.
pub fn fact(event: &str) -> Option<Fact> {
    event::fact(&serde_json::from_str(event).ok()?, CAPS)
}

/// The client messages in a transaction, with their clients.
pub fn submitted_headers(tx: &[u8]) -> VecDeque<(String, Any)> {
    block::submitted_headers(tx)
}

/// `/abci_query` of [`KEY`] at [`HEIGHT`] with proof.
pub fn stored(text: &str) -> Option<Result<Proven, ChainError>> {
    let node = node()?;
    let query = AbciQuery::new("store/ibc/key", KEY.as_bytes(), HEIGHT, true);
    Some(node.abci_answer(&query, &answer(text)?).and_then(|said| store::one(node, KEY, true, said)))
}

/// `/status`: whether it is of our chain and has caught up, its newest height and that block's time in ns.
pub fn status(text: &str) -> Option<(bool, u64, Option<u64>)> {
    let answer = answer(text)?;
    let said: Said<wire::Status> = node()?.decode(&answer, "status").ok()?;
    let sync = &said.value.sync_info;
    Some((node()?.check_status(&said).is_ok(), sync.latest_block_height.0, wire::nanos(&sync.latest_block_time)))
}

/// Heights that `/abci_info`, `/tx_search` and `/block_search` name.
pub fn heights(text: &str) -> [Option<u64>; 3] {
    [
        serde_json::from_str(text).ok().map(|info: wire::AbciInfo| info.response.last_block_height.0),
        serde_json::from_str(text).ok().and_then(|found: wire::TxSearch| found.first()),
        serde_json::from_str(text).ok().and_then(|found: wire::BlockSearch| found.first()),
    ]
}

/// `/commit`: its height and the number of its votes.
pub fn commit(text: &str) -> Option<(u64, usize)> {
    let said: wire::CommitAnswer = serde_json::from_str(text).ok()?;
    Some((said.signed_header.header.height.value(), said.signed_header.commit.signatures.len()))
}

/// `/validators`: the set, if its rules hold.
pub fn validators(text: &str) -> Option<validator::Set> {
    let said: wire::ValidatorsAnswer = serde_json::from_str(text).ok()?;
    header::set(said.validators.unwrap_or_default())
}

/// `/blockchain`: the heights of its headers.
pub fn headers(text: &str) -> Option<Vec<u64>> {
    let said: wire::BlockchainAnswer = serde_json::from_str(text).ok()?;
    Some(said.block_metas.unwrap_or_default().iter().map(|meta| meta.header.height.value()).collect())
}

/// A light block as the journal keeps it: its bytes written anew, if they are one of `chain`.
pub fn light_block(bytes: &[u8], chain: &str) -> Option<Option<Vec<u8>>> {
    header::from_bytes(bytes, chain).map(|block| header::to_bytes(&block))
}
