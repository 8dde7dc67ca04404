//! The methods, by name; parameters as CometBFT takes them: numbers as text or number, bytes as base64, data of queries as hex.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Fault, Shared, render, search};
use crate::devnet::embedded::node::{Block, Node};

/// JSON-RPC's error.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: i32,
    pub(super) message: &'static str,
    pub(super) data: String,
}

impl Failure {
    /// What CometBFT makes of any error of a method.
    pub(super) fn internal(data: impl ToString) -> Self {
        Self { code: -32_603, message: "Internal error", data: data.to_string() }
    }

    fn invalid(what: &str) -> Self {
        let data = format!("error converting json params to arguments: {what}");
        Self { code: -32_602, message: "Invalid params", data }
    }
}

/// The most block headers of a `/blockchain` answer: CometBFT's own.
const BLOCKCHAIN_HEADERS: u64 = 20;

/// The most items of a page, and how many without asking: CometBFT's own.
const PAGE: (usize, usize) = (100, 30);

/// Answers a call.
pub(super) fn call(shared: &Shared, method: &str, params: &Value) -> Result<Value, Failure> {
    let node = &*shared.node;
    match method {
        "health" => Ok(json!({})),
        "status" => status(shared),
        "net_info" => {
            let listener = format!("Listener(@{})", shared.address);
            Ok(json!({ "listening": true, "listeners": [listener], "n_peers": "0", "peers": [] }))
        }
        "genesis" => {
            let chain_id = &node.spec().id;
            Ok(json!({ "genesis": { "chain_id": chain_id, "initial_height": "1", "app_hash": "", "app_state": {} } }))
        }
        "num_unconfirmed_txs" => {
            let (txs, bytes) = node.unconfirmed();
            let (txs, bytes) = (txs.to_string(), bytes.to_string());
            Ok(json!({ "n_txs": txs, "total": txs, "total_bytes": bytes, "txs": null }))
        }
        "abci_info" => abci_info(node),
        "abci_query" => abci_query(node, params),
        "block" => {
            let block = at(node, params)?;
            let before = block.height().checked_sub(1).and_then(|height| node.block(height));
            Ok(render::block(&block, before.as_deref()))
        }
        "block_results" => Ok(render::block_results(&*at(node, params)?)),
        "header" => Ok(json!({ "header": render::header(&at(node, params)?.header) })),
        "commit" => {
            let block = at(node, params)?;
            // The newest height's commit is the one its own node saw, not yet that of the next block.
            let canonical = block.height() < node.latest();
            let signed = json!({ "header": render::header(&block.header), "commit": render::of(&block.commit) });
            Ok(json!({ "signed_header": signed, "canonical": canonical }))
        }
        "blockchain" => blockchain(node, params),
        "validators" => validators(node, params),
        "tx" => tx(node, params),
        "tx_search" => search::txs(node, params),
        "block_search" => search::blocks(node, params),
        "broadcast_tx_sync" | "broadcast_tx_async" => {
            let lost = shared.faults.loses();
            if lost {
                shared.faults.note(Fault::LostTransactions.name(), method);
            }
            broadcast(node, params, lost)
        }
        "broadcast_evidence" => {
            let hash = Sha256::digest(params["evidence"].to_string());
            Ok(json!({ "hash": hex::encode_upper(hash) }))
        }
        _ => Err(Failure { code: -32_601, message: "Method not found", data: String::new() }),
    }
}

/// A number that may be written as text; `None` when absent, `null` or empty.
pub(super) fn number(params: &Value, name: &str) -> Result<Option<u64>, Failure> {
    match &params[name] {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(|_| Failure::invalid(name)),
        number => number.as_u64().map(Some).ok_or_else(|| Failure::invalid(name)),
    }
}

/// Page and size of a listing of so many items: which of them to show. Pages count from 1.
pub(super) fn page(params: &Value, total: usize) -> Result<std::ops::Range<usize>, Failure> {
    let (most, usual) = PAGE;
    let size = number(params, "per_page")?.map_or(usual, |asked| usize::try_from(asked).unwrap_or(usize::MAX));
    let size = if size == 0 { usual } else { size.min(most) };
    let page = number(params, "page")?.map_or(1, |asked| usize::try_from(asked).unwrap_or(usize::MAX));
    let pages = total.div_ceil(size).max(1);
    if page == 0 || page > pages {
        return Err(Failure::internal(format!("page should be within [1, {pages}] range, given {page}")));
    }
    let from = (page - 1) * size;
    Ok(from..(from + size).min(total))
}

/// The block of the height asked for, or the newest.
fn at(node: &Node, params: &Value) -> Result<Arc<Block>, Failure> {
    let latest = node.latest();
    let height = number(params, "height")?;
    let height = height.unwrap_or(latest);
    found(node, height, latest)
}

fn found(node: &Node, height: u64, latest: u64) -> Result<Arc<Block>, Failure> {
    if height == 0 {
        return Err(Failure::internal(format!("height must be greater than 0, but got {height}")));
    }
    if height > latest {
        let text = format!("height {height} must be less than or equal to the current blockchain height {latest}");
        return Err(Failure::internal(text));
    }
    let pruned = || {
        let lowest = node.earliest();
        Failure::internal(format!("height {height} is not available, lowest height is {lowest}"))
    };
    node.block(height).ok_or_else(pruned)
}

fn status(shared: &Shared) -> Result<Value, Failure> {
    let node = &*shared.node;
    let starting = || Failure::internal("the node has made no block yet");
    let (newest, oldest) = (node.block(node.latest()), node.block(node.earliest()));
    let (newest, oldest) = (newest.ok_or_else(starting)?, oldest.ok_or_else(starting)?);
    let validator = newest.validators.validators().first().map(render::validator);
    let address = shared.address.to_string();
    Ok(json!({
        "node_info": {
            "protocol_version": { "p2p": "8", "block": "11", "app": "0" },
            "id": hex::encode(Sha256::digest(&node.spec().id).get(..20).unwrap_or_default()),
            "listen_addr": format!("tcp://{address}"),
            "network": node.spec().id,
            "version": "0.38.17",
            "channels": "40202122233038606100",
            "moniker": "embedded",
            "other": { "tx_index": "on", "rpc_address": format!("tcp://{address}") },
        },
        "sync_info": {
            "latest_block_hash": render::of(&newest.block_id.hash),
            "latest_app_hash": hex::encode_upper(newest.header.app_hash.as_bytes()),
            "latest_block_height": newest.height().to_string(),
            "latest_block_time": render::of(&newest.header.time),
            "earliest_block_hash": render::of(&oldest.block_id.hash),
            "earliest_app_hash": hex::encode_upper(oldest.header.app_hash.as_bytes()),
            "earliest_block_height": oldest.height().to_string(),
            "earliest_block_time": render::of(&oldest.header.time),
            "catching_up": false,
        },
        "validator_info": validator,
    }))
}

fn abci_info(node: &Node) -> Result<Value, Failure> {
    let app_hash = node.block(node.latest()).map(|block| BASE64.encode(block.executed.app_hash));
    Ok(json!({ "response": {
        "data": "embedded",
        "version": env!("CARGO_PKG_VERSION"),
        "last_block_height": node.latest().to_string(),
        "last_block_app_hash": app_hash,
    } }))
}

fn abci_query(node: &Node, params: &Value) -> Result<Value, Failure> {
    let data = params["data"].as_str().unwrap_or_default().trim_start_matches("0x");
    let data = hex::decode(data).map_err(|_| Failure::invalid("data"))?;
    let height = number(params, "height")?.unwrap_or(0);
    let prove = params["prove"] == true || params["prove"] == "true";
    let answer = node.query(params["path"].as_str().unwrap_or_default(), &data, height, prove);
    Ok(json!({ "response": render::query(&answer) }))
}

fn blockchain(node: &Node, params: &Value) -> Result<Value, Failure> {
    let latest = node.latest();
    let asked = |name: &str| Ok::<_, Failure>(number(params, name)?.filter(|height| *height > 0));
    let most = asked("maxHeight")?.unwrap_or(latest).min(latest);
    let least = asked("minHeight")?.unwrap_or(1).max(node.earliest());
    if least > most {
        return Err(Failure::internal(format!("min height {least} can't be greater than max height {most}")));
    }
    let least = least.max(most.saturating_sub(BLOCKCHAIN_HEADERS - 1));
    let metas = (least..=most).rev().filter_map(|height| node.block(height)).map(|block| render::meta(&block));
    Ok(json!({ "last_height": latest.to_string(), "block_metas": metas.collect::<Vec<_>>() }))
}

fn validators(node: &Node, params: &Value) -> Result<Value, Failure> {
    let latest = node.latest();
    let height = number(params, "height")?.unwrap_or(latest);
    // The next block's validators are known before it: they are the same unless the header says otherwise.
    let block = match node.block(latest) {
        Some(block) if height == latest + 1 && block.header.next_validators_hash == block.header.validators_hash => {
            block
        }
        _ => found(node, height, latest)?,
    };
    let all = block.validators.validators();
    let shown = page(params, all.len())?;
    let shown: Vec<Value> = all.get(shown).unwrap_or_default().iter().map(render::validator).collect();
    Ok(json!({
        "block_height": height.to_string(),
        "count": shown.len().to_string(),
        "validators": shown,
        "total": all.len().to_string(),
    }))
}

/// Bytes: base64 in a posted call, `0x` and hexadecimal digits in an address. Base64 may begin with `0x`, too.
pub(super) fn bytes(params: &Value, name: &str) -> Result<Vec<u8>, Failure> {
    let text = params[name].as_str().unwrap_or_default();
    let digits = text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
    digits.or_else(|| BASE64.decode(text).ok()).ok_or_else(|| Failure::invalid(name))
}

fn tx(node: &Node, params: &Value) -> Result<Value, Failure> {
    let bytes = bytes(params, "hash")?;
    let missing = || Failure::internal(format!("tx ({}) not found", hex::encode_upper(&bytes)));
    let hash: [u8; 32] = bytes.as_slice().try_into().map_err(|_| missing())?;
    let (height, index) = node.tx(&hash).ok_or_else(missing)?;
    let block = node.block(height).ok_or_else(missing)?;
    render::tx(&block, index).ok_or_else(missing)
}

fn broadcast(node: &Node, params: &Value, lost: bool) -> Result<Value, Failure> {
    let bytes = bytes(params, "tx")?;
    let (hash, result) = if lost { node.lose(bytes) } else { node.broadcast(bytes) };
    let result = result.map_err(Failure::internal)?;
    Ok(json!({
        "code": result.code,
        "data": hex::encode_upper(&result.data),
        "log": result.log,
        "codespace": result.codespace,
        "hash": hex::encode_upper(hash),
    }))
}
