//! A chain of empty blocks, asked over the wire.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tendermint::block::signed_header::SignedHeader;
use tendermint::validator::{Info, Set};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::Fault;
use crate::devnet::embedded::{EmbeddedChain, EmbeddedSpec};

async fn chain() -> EmbeddedChain {
    EmbeddedChain::start(EmbeddedSpec::new("emb-1").block_interval(Duration::from_millis(30))).await.unwrap()
}

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

async fn next(socket: &mut Socket) -> Value {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(20), socket.next()).await.unwrap().unwrap().unwrap();
        if let Message::Text(text) = message {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_commits_and_validators_fit_each_other_as_read_back() {
    let chain = chain().await;
    let node = chain.node();
    node.wait_for_height(4, Duration::from_secs(30)).await.unwrap();
    let status = node.call("status", json!({})).await.unwrap();
    assert_eq!(status["node_info"]["network"], "emb-1");
    assert_eq!(status["sync_info"]["catching_up"], false);
    for height in 1..=4_u64 {
        let params = json!({ "height": height.to_string() });
        let commit = node.call("commit", params.clone()).await.unwrap();
        let signed: SignedHeader = serde_json::from_value(commit["signed_header"].clone()).unwrap();
        assert_eq!(signed.header.height.value(), height);
        let hash = signed.header.hash_with::<tendermint::crypto::default::Sha256>();
        assert_eq!(hash, signed.commit.block_id.hash, "{height}");
        let mut infos: Vec<Info> = Vec::new();
        for page in ["1", "2"] {
            let params = json!({ "height": height.to_string(), "page": page, "per_page": "2" });
            let said = node.call("validators", params).await.unwrap();
            assert_eq!((said["total"].as_str(), said["count"].as_str()), (Some("4"), Some("2")));
            infos.extend(serde_json::from_value::<Vec<Info>>(said["validators"].clone()).unwrap());
        }
        let set = Set::new(infos, None);
        assert_eq!(set.hash_with::<tendermint::crypto::default::Sha256>(), signed.header.validators_hash);
        let block = node.call("block", params.clone()).await.unwrap();
        assert_eq!(block["block"]["header"], commit["signed_header"]["header"]);
        assert_eq!(block["block"]["last_commit"]["height"], (height - 1).to_string());
        let results = node.call("block_results", params).await.unwrap();
        assert_eq!(
            (results["height"].as_str(), &results["txs_results"]),
            (Some(height.to_string().as_str()), &Value::Null)
        );
    }
    let metas = node.call("blockchain", json!({ "minHeight": "2", "maxHeight": "3" })).await.unwrap();
    let heights: Vec<_> =
        metas["block_metas"].as_array().unwrap().iter().map(|m| m["header"]["height"].clone()).collect();
    assert_eq!(heights, ["3", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_worded_as_cometbft_words_them() {
    let chain = chain().await;
    let node = chain.node();
    let said = |error: crate::DevnetError| error.to_string();
    let future = said(node.call("block", json!({ "height": "900000" })).await.unwrap_err());
    assert!(future.contains("height 900000 must be less than or equal to the current blockchain height"), "{future}");
    assert!(future.contains("-32603"), "{future}");
    let missing = said(node.call("tx", json!({ "hash": "AAAA" })).await.unwrap_err());
    assert!(missing.contains("tx (000000) not found"), "{missing}");
    let page = json!({ "query": "a.b='c'", "page": "2", "per_page": "1", "order_by": "asc" });
    let page = said(node.call("tx_search", page).await.unwrap_err());
    assert!(page.contains("page should be within [1, 1] range, given 2"), "{page}");
    assert!(said(node.call("nonsense", json!({})).await.unwrap_err()).contains("-32601"));

    let calls = vec![("health", json!({})); 10];
    assert_eq!(node.batch(&calls).await.unwrap().as_array().unwrap().len(), 10);
    let calls = vec![("health", json!({})); 11];
    let whole = node.batch(&calls).await.unwrap();
    assert_eq!((whole["error"]["code"].as_i64(), &whole["id"]), (Some(-32_600), &Value::Null));
    assert_eq!(whole["error"]["data"], "batch request exceeds maximum (10) allowed number of requests");
    let by_uri = reqwest::get(format!("{}/status", chain.rpc_url())).await.unwrap();
    assert!(by_uri.text().await.unwrap().contains("latest_block_height"));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_come_over_the_socket_until_it_stalls_and_pings_are_answered_even_then() {
    let chain = chain().await;
    let (mut socket, _) = tokio_tungstenite::connect_async(chain.ws_url()).await.unwrap();
    let subscribe = |id: u64, topic: &str| {
        let params = json!({ "query": format!("tm.event='{topic}'") });
        Message::text(json!({ "jsonrpc": "2.0", "id": id, "method": "subscribe", "params": params }).to_string())
    };
    socket.send(subscribe(7, "NewBlockHeader")).await.unwrap();
    assert_eq!(next(&mut socket).await, json!({ "jsonrpc": "2.0", "id": 7, "result": {} }));
    let mut last = 0;
    for _ in 0..3 {
        let event = next(&mut socket).await;
        assert_eq!(event["id"], 7);
        let height = event["result"]["data"]["value"]["header"]["height"].as_str().unwrap().parse::<u64>().unwrap();
        assert!(last == 0 || height == last + 1, "{last} then {height}");
        last = height;
    }
    chain.faults().set(Fault::StalledWebSocket);
    let before = chain.faults().injected("stalled_websocket");
    chain.node().wait_for_height(last + 10, Duration::from_secs(30)).await.unwrap();
    assert!(chain.faults().injected("stalled_websocket") > before);
    socket.send(Message::Ping(b"x".to_vec().into())).await.unwrap();
    // What was sent before the stall is still on its way.
    let mut newest = last;
    loop {
        match tokio::time::timeout(Duration::from_secs(20), socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Pong(payload) => break assert_eq!(&*payload, b"x"),
            Message::Text(text) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                newest = event["result"]["data"]["value"]["header"]["height"].as_str().unwrap().parse().unwrap();
            }
            other => panic!("{other}"),
        }
    }
    assert!(newest < last + 9, "{newest}: the socket went on");
    chain.faults().clear();
    assert_eq!(next(&mut socket).await["id"], 7);
    chain.faults().cut_websockets();
    while let Some(Ok(_)) = socket.next().await {}
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_a_request_are_what_they_are_called_and_end_when_cleared() {
    let chain = chain().await;
    let http = crate::devnet::http_client(chain.rpc_url()).unwrap();
    let ask = || {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "status", "params": {} });
        http.post(chain.rpc_url()).json(&call).send()
    };
    chain.faults().set(Fault::TooManyRequests { permille: 1_000, retry_after_s: Some(3) });
    let refused = ask().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "3"));
    chain.faults().clear();
    chain.faults().set(Fault::BadGateway);
    assert_eq!(ask().await.unwrap().status().as_u16(), 502);
    chain.faults().clear();
    chain.faults().set(Fault::Garbage);
    assert!(ask().await.unwrap().json::<Value>().await.is_err());
    chain.faults().clear();
    chain.faults().set(Fault::Cut);
    let cut = ask().await.unwrap();
    assert_eq!(cut.status().as_u16(), 200);
    assert!(cut.bytes().await.is_err());
    chain.faults().clear();
    chain.faults().set(Fault::StalledHttp);
    assert!(tokio::time::timeout(Duration::from_millis(300), ask()).await.is_err());
    chain.faults().clear();
    chain.faults().throttle_above(1, None);
    let mut refused = 0;
    for _ in 0..5 {
        refused += u32::from(ask().await.unwrap().status().as_u16() == 429);
    }
    assert!(refused > 0);
    assert_eq!(chain.faults().injected("throttled"), u64::from(refused));
    chain.faults().clear();
    assert!(ask().await.unwrap().json::<Value>().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_headers_are_well_formed_and_no_longer_what_was_signed() {
    let chain = chain().await;
    let node = chain.node();
    let commit = async || {
        let commit = node.call("commit", json!({ "height": "2" })).await.unwrap();
        serde_json::from_value::<SignedHeader>(commit["signed_header"].clone()).unwrap()
    };
    let hash = |signed: &SignedHeader| signed.header.hash_with::<tendermint::crypto::default::Sha256>();
    let honest = commit().await;
    chain.faults().set(Fault::ForgedHeader);
    let forged = commit().await;
    assert_ne!(forged.header.app_hash, honest.header.app_hash);
    assert_eq!(hash(&forged), forged.commit.block_id.hash);
    assert_eq!(forged.commit.signatures, honest.commit.signatures);
    chain.faults().clear();
    chain.faults().set(Fault::ForgedAppHash);
    let forged = commit().await;
    assert_ne!(hash(&forged), forged.commit.block_id.hash);
    chain.faults().clear();
    chain.faults().set(Fault::WrongHeight(1_000));
    chain.faults().set(Fault::CatchingUp);
    assert!(node.height().await.unwrap() > 1_000);
    assert_eq!(node.call("status", json!({})).await.unwrap()["sync_info"]["catching_up"], true);
    chain.faults().clear();
    assert_eq!(commit().await, honest);
    assert_eq!(chain.faults().injected("forged_header"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halted_chain_answers_and_makes_no_block() {
    let chain = chain().await;
    chain.halt();
    // A block may be in work.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let height = chain.height().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(chain.height().await.unwrap(), height);
    chain.resume();
    chain.wait_blocks(1).await.unwrap();
}

#[test]
fn a_hash_whose_base64_begins_like_hexadecimal_digits_is_still_base64() {
    let hash = hex::decode("D31B2163843BFBB38C0D62DB3291EC66210C78180F84F03562C9EF8F832FB2A6").unwrap();
    let read = |text: &str| super::method::bytes(&json!({ "hash": text }), "hash").ok();
    assert_eq!(read("0xshY4Q7+7OMDWLbMpHsZiEMeBgPhPA1Ysnvj4MvsqY=").as_ref(), Some(&hash));
    assert_eq!(read(&format!("0x{}", hex::encode(&hash))), Some(hash));
    assert_eq!(read("0xnothing of both"), None);
}
