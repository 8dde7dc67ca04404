//! One block: the transactions of `/block` beside the events of `/block_results`, fetched in one request.
//!
//! Order: events of the block's begin, of each successful transaction, of the block's end. The `MsgUpdateClient`s of a transaction
//! give `update_client` facts their header, which ibc-go's events no longer carry. A node that answers for another height or chain,
//! or with another number of results than transactions, lies. Bounds: [`super::limits`] and `relayer_core::limits`.

use std::collections::VecDeque;

use ibc_proto::cosmos::authz::v1beta1::MsgExec;
use ibc_proto::cosmos::tx::v1beta1::{TxBody, TxRaw};
use ibc_proto::google::protobuf::Any;
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
use super::node::{Node, Said, base64};
use super::tx::failure;
use super::wire::{BlockAnswer, BlockResults, Event, TxResult, nanos};
use crate::ibc::message::submitted_header;
use crate::rpc::{Answer, Call};

/// All facts of these blocks, in few requests, in the order of the heights. `newest` is the highest height known to be there.
pub(crate) async fn facts(
    node: &Node,
    heights: &[u64],
    caps: Caps,
    newest: Option<u64>,
) -> Result<Vec<Result<BlockFacts, ChainError>>, ChainError> {
    let told = told(node, heights, caps, newest).await?;
    Ok(told.into_iter().map(|block| block.map(|said| said.value)).collect())
}

/// The same, each with the endpoint that gave the block.
pub(crate) async fn told(
    node: &Node,
    heights: &[u64],
    caps: Caps,
    newest: Option<u64>,
) -> Result<Vec<Result<Said<BlockFacts>, ChainError>>, ChainError> {
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
        let read = block.and_then(|block| {
            let value = read(node, *height, &block, &results?, caps)?;
            Ok(Said { value, endpoint: block.endpoint })
        });
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

pub(super) fn read(
    node: &Node,
    height: u64,
    block: &Answer,
    results: &Answer,
    caps: Caps,
) -> Result<BlockFacts, ChainError> {
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
        xcm: Vec::new(),
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
pub(super) fn submitted_headers(tx: &[u8]) -> VecDeque<(String, Any)> {
    let mut found = VecDeque::new();
    if tx.len() > TX_BYTES {
        return found;
    }
    let Ok(body) = TxRaw::decode(tx).and_then(|raw| TxBody::decode(raw.body_bytes.as_slice())) else { return found };
    for message in body.messages {
        if message.type_url == MsgExec::type_url() {
            let inner = MsgExec::decode(message.value.as_slice()).unwrap_or_default();
            found.extend(inner.msgs.into_iter().filter_map(submitted_header));
        } else {
            found.extend(submitted_header(message));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json, value::to_raw_value};

    use super::*;
    use crate::rpc::{EndpointId, EndpointSettings, RpcClient, RpcSettings};

    const CAPS: Caps = Caps { data: 65_536, ack: 65_536 };

    /// A block as a real ibc-go v10 chain answered; events of other modules are left out but one a transaction.
    fn recorded(name: &str) -> Json {
        let path = format!("{}/tests/data/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn read_as(recorded: &Json, height: u64) -> Result<BlockFacts, ChainError> {
        let chain = recorded["chain"].as_str().unwrap();
        let endpoint = EndpointSettings::new("http://127.0.0.1:1".parse().unwrap());
        let rpc = RpcClient::new(RpcSettings::new(chain, vec![endpoint])).unwrap();
        let node = Node::new(rpc, ChainId::new(chain).unwrap());
        let answer = |part: &str| Answer {
            result: to_raw_value(&recorded[part]).unwrap(),
            endpoint: EndpointId::new(0, "http://127.0.0.1:1".into()),
        };
        read(&node, height, &answer("block"), &answer("block_results"), CAPS)
    }

    fn facts_of(recorded: &Json) -> BlockFacts {
        read_as(recorded, recorded["height"].as_u64().unwrap()).unwrap()
    }

    fn kinds(facts: &[Fact]) -> Vec<&'static str> {
        let kind = |fact: &Fact| match fact {
            Fact::Sent(_) => "sent",
            Fact::Received(_) => "received",
            Fact::AckWritten(..) => "ack written",
            Fact::Acked { .. } => "acked",
            Fact::TimedOut { .. } => "timed out",
            Fact::ClientUpdated { .. } => "client updated",
            _ => "other",
        };
        facts.iter().map(kind).collect()
    }

    #[test]
    fn recorded_blocks_tell_the_life_of_a_packet() {
        let sent = facts_of(&recorded("send"));
        let received = facts_of(&recorded("recv"));
        assert_eq!(kinds(&sent.facts), ["sent"]);
        assert_eq!(kinds(&received.facts), ["client updated", "received", "ack written"]);
        assert_eq!(kinds(&facts_of(&recorded("ack")).facts), ["client updated", "acked"]);
        assert_eq!(kinds(&facts_of(&recorded("timeout")).facts), ["client updated", "timed out"]);
        let (Fact::Sent(a), Fact::Received(b), Fact::AckWritten(c, ack)) =
            (&sent.facts[0], &received.facts[1], &received.facts[2])
        else {
            panic!("other facts")
        };
        assert_eq!(a.commitment(), b.commitment());
        assert_eq!(b, c);
        assert_eq!(&**ack, br#"{"result":"AQ=="}"#);
        assert_eq!(sent.txs.len(), 1);
        assert!(sent.txs[0].failure.is_none() && sent.txs[0].gas_used > 0);
    }

    #[test]
    fn an_update_carries_the_header_of_its_transaction() {
        let block = facts_of(&recorded("recv"));
        let Fact::ClientUpdated { heights, header: Some(header), .. } = &block.facts[0] else { panic!("no header") };
        let header = light_clients::tendermint::Header::decode(header).unwrap();
        assert_eq!(header.signed().header.chain_id.as_str(), "sim-a-1");
        assert_eq!(heights[0], Height::new(1, header.height().number));
    }

    #[test]
    fn a_failed_transaction_is_reported_and_says_nothing_else() {
        let mut block = recorded("recv");
        let result = &mut block["block_results"]["txs_results"][0];
        result["code"] = json!(5);
        result["codespace"] = json!("sdk");
        result["log"] = json!("1stake is smaller than 2stake: insufficient funds");
        let block = facts_of(&block);
        assert!(block.facts.is_empty());
        assert_eq!(block.txs[0].failure, Some(relayer_core::error::TxFailure::InsufficientFunds));
    }

    #[test]
    fn older_shapes_say_the_same() {
        let want = facts_of(&recorded("recv")).facts;
        let mut old = recorded("recv");
        let events = old["block_results"]["txs_results"][0]["events"].take();
        let height = old["height"].clone();
        let results = &mut old["block_results"];
        // 0.34 and 0.37: two phases, numbers as numbers here and there; the packet's events at the end of the block.
        results.as_object_mut().unwrap().remove("finalize_block_events");
        results["begin_block_events"] = Json::Null;
        results["end_block_events"] = events;
        results["height"] = height;
        let mut got = facts_of(&old).facts;
        // No transaction, no header.
        let Fact::ClientUpdated { header, .. } = &mut got[0] else { panic!("no update") };
        assert_eq!(header.take(), None);
        let mut want = want;
        let Fact::ClientUpdated { header, .. } = &mut want[0] else { panic!("no update") };
        *header = None;
        assert_eq!(got, want);
    }

    #[test]
    fn attack_41_answers_for_another_height_chain_or_block_are_lies() {
        let lie = |block: &Json, height: u64| match read_as(block, height) {
            Err(ChainError { kind: ChainErrorKind::Lying(label), .. }) => label,
            other => panic!("believed: {other:?}"),
        };
        let honest = recorded("recv");
        let height = honest["height"].as_u64().unwrap();
        assert!(read_as(&honest, height).is_ok());
        assert_eq!(lie(&honest, height + 1), "wrong_height");
        let mut other = honest.clone();
        other["block_results"]["height"] = json!((height - 1).to_string());
        assert_eq!(lie(&other, height), "wrong_height");
        let mut other = honest.clone();
        other["block"]["block"]["header"]["chain_id"] = json!("sim-x-1");
        assert_eq!(lie(&other, height), "wrong_chain_block");
        let mut other = honest;
        other["block_results"]["txs_results"] = json!([]);
        assert_eq!(lie(&other, height), "results_of_another_block");
    }

    #[test]
    fn attack_42_an_oversized_packet_is_counted_and_the_others_go_on() {
        let mut block = recorded("send");
        let events = block["block_results"]["txs_results"][0]["events"].as_array_mut().unwrap();
        let mut big = events.iter().find(|event| event["type"] == "send_packet").unwrap().clone();
        for attribute in big["attributes"].as_array_mut().unwrap() {
            if attribute["key"] == "packet_data_hex" {
                attribute["value"] = json!("00".repeat(65_537));
            }
        }
        events.insert(0, big);
        let facts = facts_of(&block).facts;
        assert!(matches!(&facts[0], Fact::Unusable { reason: event::reason::DATA_TOO_LARGE, .. }));
        assert_eq!(kinds(&facts[1..]), ["sent"]);
    }

    #[test]
    fn facts_of_one_block_are_bounded() {
        let mut block = recorded("send");
        let events = &block["block_results"]["txs_results"][0]["events"];
        let sent = events.as_array().unwrap().iter().find(|event| event["type"] == "send_packet").unwrap().clone();
        let many = Json::from(vec![sent; EVENTS]);
        block["block_results"]["begin_block_events"] = many.clone();
        block["block_results"]["end_block_events"] = many.clone();
        block["block_results"]["finalize_block_events"] = many;
        assert_eq!(facts_of(&block).facts.len(), FACTS_PER_BLOCK);
    }
}
