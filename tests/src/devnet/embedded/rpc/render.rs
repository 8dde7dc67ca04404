//! Blocks, results and proofs as CometBFT 0.38 writes them: 64-bit numbers as text, hashes in upper hex, bytes in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tendermint::block::{Header, Id};
use tendermint::validator::Info;

use crate::devnet::embedded::node::Block;
use crate::devnet::embedded::{Event, QueryAnswer, TxResult};

/// A type whose JSON is CometBFT's own.
pub(super) fn of(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn id(id: Option<&Id>) -> Value {
    match id {
        Some(id) => of(id),
        None => json!({ "hash": "", "parts": { "total": 0, "hash": "" } }),
    }
}

pub(super) fn header(header: &Header) -> Value {
    let mut json = of(header);
    if header.last_block_id.is_none() {
        json["last_block_id"] = id(None);
    }
    json
}

pub(super) fn validator(info: &Info) -> Value {
    json!({
        "address": of(&info.address),
        "pub_key": of(&info.pub_key),
        "voting_power": info.power().to_string(),
        "proposer_priority": info.proposer_priority.value().to_string(),
    })
}

/// `before`: the block before, whose commit this one carries.
pub(super) fn block(block: &Block, before: Option<&Block>) -> Value {
    let nobody = || json!({ "height": "0", "round": 0, "block_id": id(None), "signatures": [] });
    let txs: Vec<String> = block.txs.iter().map(|tx| BASE64.encode(tx)).collect();
    json!({
        "block_id": of(&block.block_id),
        "block": {
            "header": header(&block.header),
            "data": { "txs": txs },
            "evidence": { "evidence": [] },
            "last_commit": before.map_or_else(nobody, |before| of(&before.commit)),
        },
    })
}

pub(super) fn meta(block: &Block) -> Value {
    json!({
        "block_id": of(&block.block_id),
        "block_size": block.bytes.to_string(),
        "header": header(&block.header),
        "num_txs": block.txs.len().to_string(),
    })
}

pub(super) fn block_results(block: &Block) -> Value {
    let results: Vec<Value> = block.executed.results.iter().map(result).collect();
    json!({
        "height": block.height().to_string(),
        "txs_results": if results.is_empty() { Value::Null } else { Value::Array(results) },
        "finalize_block_events": events(&block.executed.events),
        "validator_updates": null,
        "consensus_param_updates": null,
        "app_hash": BASE64.encode(block.executed.app_hash),
    })
}

fn events(list: &[Event]) -> Value {
    let event = |event: &Event| {
        let attributes: Vec<Value> =
            event.attributes.iter().map(|(key, value)| json!({ "key": key, "value": value, "index": true })).collect();
        json!({ "type": event.kind, "attributes": attributes })
    };
    list.iter().map(event).collect()
}

fn result(result: &TxResult) -> Value {
    json!({
        "code": result.code,
        "data": bytes(&result.data),
        "log": result.log,
        "info": "",
        "gas_wanted": result.gas_wanted.to_string(),
        "gas_used": result.gas_used.to_string(),
        "events": events(&result.events),
        "codespace": result.codespace,
    })
}

/// A transaction with where it is; none if the block has no such place.
pub(super) fn tx(block: &Block, index: usize) -> Option<Value> {
    let (tx, outcome) = (block.txs.get(index)?, block.executed.results.get(index)?);
    Some(json!({
        "hash": hex::encode_upper(Sha256::digest(tx)),
        "height": block.height().to_string(),
        "index": index,
        "tx_result": result(outcome),
        "tx": BASE64.encode(tx),
    }))
}

pub(super) fn query(answer: &QueryAnswer) -> Value {
    let ops: Vec<Value> = answer
        .proof
        .iter()
        .map(|op| json!({ "type": op.kind, "key": BASE64.encode(&op.key), "data": BASE64.encode(&op.data) }))
        .collect();
    json!({
        "code": answer.code,
        "log": answer.log,
        "info": "",
        "index": "0",
        "key": bytes(&answer.key),
        "value": bytes(&answer.value),
        "proofOps": if ops.is_empty() { Value::Null } else { json!({ "ops": ops }) },
        "height": answer.height.to_string(),
        "codespace": answer.codespace,
    })
}

/// Go writes no bytes as `null`.
fn bytes(bytes: &[u8]) -> Value {
    if bytes.is_empty() { Value::Null } else { Value::from(BASE64.encode(bytes)) }
}
