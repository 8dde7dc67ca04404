//! Recovery against a node whose blocks 10, 20, 30 and 40 hold 250 sent packets each.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Json;
use axum::routing::post;
use relayer_core::id::{ChainId, ChannelId, PortId};
use serde_json::{Value, json};

use super::*;
use crate::rpc::{EndpointSettings, RpcClient, RpcSettings};

const CAPS: Caps = Caps { data: 64, ack: 64 };
const HEAD: u64 = 45;

fn sequences(height: u64) -> std::ops::Range<u64> {
    if height.is_multiple_of(10) && (10..=40).contains(&height) {
        (height / 10 - 1) * 250 + 1..height / 10 * 250 + 1
    } else {
        0..0
    }
}

fn sent(sequence: u64) -> Value {
    let pairs = [
        ("packet_data_hex", "7b7d".to_owned()),
        ("packet_timeout_height", "1-99".to_owned()),
        ("packet_timeout_timestamp", "0".to_owned()),
        ("packet_sequence", sequence.to_string()),
        ("packet_src_port", "transfer".to_owned()),
        ("packet_src_channel", "channel-0".to_owned()),
        ("packet_dst_port", "transfer".to_owned()),
        ("packet_dst_channel", "channel-0".to_owned()),
    ];
    json!({"type": "send_packet", "attributes": pairs.map(|(key, value)| json!({"key": key, "value": value}))})
}

fn answer(call: &Value, indexed: bool) -> Value {
    let (params, id) = (&call["params"], &call["id"]);
    let height = params["height"].as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    let result = match call["method"].as_str().unwrap() {
        "block" => json!({"block": {
            "header": {"chain_id": "made-1", "height": height.to_string(), "time": "2026-01-01T00:00:00Z"},
            "data": {"txs": []},
        }}),
        "block_results" => json!({
            "height": height.to_string(),
            "finalize_block_events": sequences(height).map(sent).collect::<Vec<_>>(),
        }),
        "tx_search" if !indexed => {
            return json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": "Internal error", "data": "transaction indexing is disabled"}});
        }
        "tx_search" => json!({"txs": [], "total_count": "0"}),
        "block_search" if indexed => {
            let query = params["query"].as_str().unwrap();
            let sequence =
                query.split("packet_sequence='").nth(1).and_then(|rest| rest.trim_end_matches('\'').parse().ok());
            let found =
                (1..=HEAD).filter(|height| sequence.is_some_and(|sequence| sequences(*height).contains(&sequence)));
            let blocks = found.map(|height| json!({"block": {"header": {"height": height.to_string()}}}));
            json!({"blocks": blocks.collect::<Vec<_>>()})
        }
        _ => return json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "Method not found"}}),
    };
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// What is found of the wanted sequences, and with how many HTTP requests.
async fn found(indexed: bool, wanted: impl Iterator<Item = u64>) -> (Vec<u64>, usize) {
    let requests = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let handler = move |Json(request): Json<Value>| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Json(match &request {
            Value::Array(calls) => calls.iter().map(|call| answer(call, indexed)).collect(),
            call => answer(call, indexed),
        }))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/", post(handler))).await.unwrap() });
    let endpoint = EndpointSettings::new(format!("http://{address}").parse().unwrap());
    let rpc = RpcClient::new(RpcSettings::new("made-1", vec![endpoint])).unwrap();
    let node = Node::new(rpc, ChainId::new("made-1").unwrap());
    let end = PortChannel { port: PortId::new("transfer").unwrap(), channel: ChannelId::new("channel-0").unwrap() };
    let what = History::Sent(end, wanted.map(Sequence).collect());
    let facts = history(&node, &what, CAPS, HEAD).await.unwrap();
    let sequence = |fact: &PastFact| match &fact.1 {
        Fact::Sent(packet) => {
            assert!(sequences(fact.0.height.number).contains(&packet.sequence.0));
            packet.sequence.0
        }
        other => panic!("not asked for: {other:?}"),
    };
    (facts.iter().map(sequence).collect(), requests.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_thousand_packets_in_four_blocks_take_a_handful_of_requests() {
    let (sequences, requests) = found(true, 1..1_001).await;
    assert_eq!(sequences, (1..1_001).collect::<Vec<_>>());
    assert!(requests <= 4, "{requests} requests");
}

#[tokio::test]
async fn only_what_was_asked_for_is_given_and_what_is_nowhere_is_left_out() {
    let (sequences, _) = found(true, [3, 5, 700, 5_000].into_iter()).await;
    assert_eq!(sequences, [3, 5, 700]);
    assert_eq!(found(true, std::iter::empty()).await, (Vec::new(), 0));
}

#[tokio::test]
async fn without_an_index_the_blocks_are_scanned_backwards() {
    let (sequences, _) = found(false, [1, 999].into_iter()).await;
    assert_eq!(sequences, [1, 999]);
}
