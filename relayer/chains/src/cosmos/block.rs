//! One block: the transactions of `/block` beside the events of `/block_results`, fetched in one request.
//!
//! Order: events of the block's begin, of each successful transaction, of the block's end. The `MsgUpdateClient`s of a transaction
//! give `update_client` facts their header, which ibc-go's events no longer carry. A node that answers for another height or chain,
//! or with another number of results than transactions, lies. Bounds: [`super::limits`] and `relayer_core::limits`.

use std::collections::VecDeque;

use ibc_proto::cosmos::authz::v1beta1::MsgExec;
use ibc_proto::cosmos::tx::v1beta1::{TxBody, TxRaw};
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::client::v1::MsgUpdateClient;
use prost::{Message, Name};
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::fact::{BlockFacts, Fact, TxReport};
use relayer_core::id::{ChainId, Height, Timestamp, TxHash};
use relayer_core::limits::FACTS_PER_BLOCK;
use relayer_core::packet::At;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::event::{self, Caps};
use super::limits::{EVENTS, LATE_BLOCKS, TX_BYTES, TXS_PER_BLOCK};
use super::node::{Node, base64};
use super::tx::failure;
use super::wire::{BlockAnswer, BlockResults, Event, TxResult, nanos};
use crate::rpc::{Answer, Call};

/// All facts of these blocks, in few requests, in the order of the heights. `newest` is the highest height known to be there.
pub(crate) async fn facts(
    node: &Node,
    heights: &[u64],
    caps: Caps,
    newest: Option<u64>,
) -> Result<Vec<Result<BlockFacts, ChainError>>, ChainError> {
    let mut calls = Vec::with_capacity(heights.len() * 2);
    for height in heights {
        for method in ["block", "block_results"] {
            let call = Call::read(method, json!({ "height": height.to_string() }));
            calls.push(call.map_err(|e| super::node::chain_error(node.chain(), e))?);
        }
    }
    let mut answers = node.batch(calls).await?.into_iter();
    let mut blocks = Vec::with_capacity(heights.len());
    for height in heights {
        let (block, results) = (answers.next(), answers.next());
        let (Some(block), Some(results)) = (block, results) else {
            return Err(node.error(ChainErrorKind::Malformed, "block"));
        };
        let read = block.and_then(|block| results.and_then(|results| read(node, *height, &block, &results, caps)));
        blocks.push(read.map_err(|error| late_or_pruned(error, node, *height, newest)));
    }
    Ok(blocks)
}

/// Results that are missing far below the head don't come any more.
fn late_or_pruned(error: ChainError, node: &Node, height: u64, newest: Option<u64>) -> ChainError {
    let old = newest.is_some_and(|newest| height.saturating_add(LATE_BLOCKS) < newest);
    match error.kind {
        ChainErrorKind::NotYet(_) if old => ChainError { kind: ChainErrorKind::Pruned(node.height(height)), ..error },
        _ => error,
    }
}

fn read(node: &Node, height: u64, block: &Answer, results: &Answer, caps: Caps) -> Result<BlockFacts, ChainError> {
    let decoded: BlockAnswer<'_> =
        serde_json::from_str(block.result.get()).map_err(|_| node.malformed(&block.endpoint, "block"))?;
    let header = &decoded.block.header;
    if header.chain_id != node.chain().as_str() {
        return Err(node.lying(&block.endpoint, "wrong_chain_block", &header.chain_id));
    }
    if header.height.0 != height {
        return Err(node.lying(&block.endpoint, "wrong_height", format!("block {} for {height}", header.height.0)));
    }
    let time = nanos(&header.time).ok_or_else(|| node.malformed(&block.endpoint, "block time"))?;
    let said: BlockResults<'_> =
        serde_json::from_str(results.result.get()).map_err(|_| node.malformed(&results.endpoint, "block_results"))?;
    if said.height.0 != height {
        return Err(node.lying(&results.endpoint, "wrong_height", format!("results {} for {height}", said.height.0)));
    }
    let txs = decoded.block.data.txs.unwrap_or_default();
    let tx_results = said.txs_results.as_deref().unwrap_or_default();
    if txs.len() != tx_results.len() {
        let detail = format!("{} transactions and {} results at {height}", txs.len(), tx_results.len());
        return Err(node.lying(&results.endpoint, "results_of_another_block", detail));
    }
    if txs.len() > TXS_PER_BLOCK {
        return Err(node.error(ChainErrorKind::TooLarge, format!("{} transactions at {height}", txs.len())));
    }
    let mut found = BlockFacts {
        at: At { height: Height::new(node.chain().revision(), height), time: Timestamp(time) },
        facts: Vec::new(),
        txs: Vec::with_capacity(txs.len()),
    };
    events(said.begin_block_events.as_deref(), None, caps, &mut VecDeque::new(), &mut found.facts);
    for (tx, result) in txs.iter().zip(tx_results) {
        let bytes = base64(&tx.0).ok_or_else(|| node.malformed(&block.endpoint, "transaction"))?;
        let report = report(node.chain(), &bytes, result);
        if report.failure.is_none() {
            let ours = result.events.as_deref().unwrap_or_default();
            let updates = ours.iter().any(|event| event.kind.0 == "update_client");
            let mut headers = if updates { submitted_headers(&bytes) } else { VecDeque::new() };
            events(result.events.as_deref(), Some(report.hash), caps, &mut headers, &mut found.facts);
        }
        found.txs.push(report);
    }
    for phase in [&said.end_block_events, &said.finalize_block_events] {
        events(phase.as_deref(), None, caps, &mut VecDeque::new(), &mut found.facts);
    }
    if found.facts.len() >= FACTS_PER_BLOCK {
        tracing::warn!(chain = %node.chain(), height, limit = FACTS_PER_BLOCK, "facts of a block beyond the limit are left to the clearing");
    }
    Ok(found)
}

fn report(chain: &ChainId, bytes: &[u8], result: &TxResult<'_>) -> TxReport {
    let (wanted, used) = (result.gas_wanted.0, result.gas_used.0);
    let verdict = failure::Verdict {
        code: u32::try_from(result.code.0).unwrap_or(u32::MAX),
        codespace: &result.codespace.0,
        log: &result.log.0,
        gas: Some((wanted, used)),
    };
    let failure = failure::verdict(chain, verdict);
    TxReport { hash: TxHash(Sha256::digest(bytes).into()), failure, gas_used: used, gas_wanted: wanted }
}

/// Adds the facts of an event list; each `update_client` takes the next message submitted for its client.
fn events(
    list: Option<&[Event<'_>]>,
    tx: Option<TxHash>,
    caps: Caps,
    headers: &mut VecDeque<(String, Any)>,
    facts: &mut Vec<Fact>,
) {
    for event in list.unwrap_or_default().iter().take(EVENTS) {
        if facts.len() >= FACTS_PER_BLOCK {
            return;
        }
        let opened = || tx.and_then(|tx| event::opened(event, tx));
        let Some(mut fact) = event::fact(event, caps).or_else(opened) else { continue };
        if let Fact::ClientUpdated { client, header, .. } = &mut fact {
            let of_client = headers.iter().position(|(id, _)| id == client.as_str());
            *header = of_client.and_then(|i| headers.remove(i)).map(|(_, message)| message);
        }
        facts.push(fact);
    }
}

/// The client messages of a transaction's `MsgUpdateClient`s in order, with their clients; those inside an authz `MsgExec`, too.
fn submitted_headers(tx: &[u8]) -> VecDeque<(String, Any)> {
    let mut found = VecDeque::new();
    if tx.len() > TX_BYTES {
        return found;
    }
    let Ok(body) = TxRaw::decode(tx).and_then(|raw| TxBody::decode(raw.body_bytes.as_slice())) else { return found };
    for message in body.messages {
        if message.type_url == MsgExec::type_url() {
            let inner = MsgExec::decode(message.value.as_slice()).unwrap_or_default();
            inner.msgs.into_iter().for_each(|message| take_header(message, &mut found));
        } else {
            take_header(message, &mut found);
        }
    }
    found
}

fn take_header(message: Any, found: &mut VecDeque<(String, Any)>) {
    if message.type_url != MsgUpdateClient::type_url() {
        return;
    }
    if let Ok(MsgUpdateClient { client_id, client_message: Some(header), .. }) =
        MsgUpdateClient::decode(message.value.as_slice())
    {
        found.push_back((client_id, header));
    }
}
