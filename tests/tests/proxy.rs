//! The fault-injecting proxy in front of a real chain: what it passes on, and how it lies.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use relayer_tests::devnet::{ChainSpec, Node, STAKE, SimdChain, User, Wallet};
use relayer_tests::proxy::{Fault, Proxy, WebSocketMode, When, tamper};
use relayer_tests::{DevnetError, limits};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

struct Setup {
    chain: SimdChain,
    proxy: Proxy,
    node: Node,
    wallet: Wallet,
}

async fn setup() -> Setup {
    let wallet = Wallet::named("user-a").unwrap();
    let spec = ChainSpec::new("sim-a-1").wallet(wallet.clone(), &[(STAKE, 1_000)]).timeout_commit_ms(100);
    let chain = SimdChain::start(spec).await.unwrap();
    let proxy = Proxy::start(chain.rpc_url()).await.unwrap();
    let node = Node::new(&proxy.rpc_url()).unwrap();
    Setup { chain, proxy, node, wallet }
}

fn failed<T: std::fmt::Debug>(result: Result<T, DevnetError>) -> String {
    match result {
        Err(DevnetError::Rpc { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

/// The ICS-24 key under which the next client's number stands: present from genesis on.
fn store_query() -> Value {
    json!({ "path": "store/ibc/key", "data": hex::encode("nextClientSequence"), "prove": true })
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_batches_are_passed_on_and_counted() {
    let Setup { proxy, node, chain, .. } = setup().await;
    assert!(node.height().await.unwrap() >= 2);
    let batch = node.batch(&[("status", json!({})), ("health", json!({}))]).await.unwrap();
    assert_eq!(batch.as_array().unwrap().len(), 2);
    let uri = format!("{}/block?height=1", proxy.rpc_url());
    let block: Value = reqwest::get(uri).await.unwrap().json().await.unwrap();
    assert_eq!(block["result"]["block"]["header"]["chain_id"], "sim-a-1");
    let error = node.call("block", json!({ "height": "1000000" })).await;
    assert!(failed(error).contains("must be less than"));
    assert_eq!((proxy.requests(), proxy.calls("status"), proxy.calls("health")), (4, 2, 1));
    assert_eq!(proxy.calls("block"), 2);
    drop(chain);
    assert!(failed(node.height().await).contains("502"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_transport_fault_shows_and_ends() {
    let Setup { proxy, node, chain: _chain, .. } = setup().await;
    proxy.fault_times(When::method("status"), Fault::status(429).retry_after(7), 1);
    let refused = reqwest::get(format!("{}/status", proxy.rpc_url())).await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    node.height().await.unwrap();

    for (fault, shows) in [
        (Fault::status(503), "503"),
        (Fault::Garbage, "expected value"),
        (Fault::CutBody(20), "Body"),
        (Fault::rpc_error(-32603, "Internal error", "height is not available"), "is not available"),
    ] {
        let id = proxy.fault(When::any(), fault.clone());
        let reason = failed(node.height().await);
        assert!(reason.contains(shows), "{fault:?}: {reason}");
        proxy.lift(id);
        node.height().await.unwrap();
    }

    proxy.fault_times(When::method("status"), Fault::Oversized(5 << 20), 1);
    let body = reqwest::get(format!("{}/status", proxy.rpc_url())).await.unwrap().bytes().await.unwrap();
    assert!(body.len() >= 5 << 20 && serde_json::from_slice::<Value>(&body).is_ok());

    for fault in [Fault::Hang, Fault::Trickle(Duration::from_millis(50))] {
        proxy.fault(When::method("status"), fault);
        assert!(tokio::time::timeout(Duration::from_secs(1), node.height()).await.is_err());
        node.call("health", json!({})).await.unwrap();
        proxy.heal();
    }
    proxy.fault_times(When::any(), Fault::Delay(Duration::from_millis(300)), 1);
    let since = Instant::now();
    node.height().await.unwrap();
    assert!(since.elapsed() >= Duration::from_millis(300));
    assert_eq!(proxy.faults_injected(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_one_call_leaves_the_rest_of_its_batch() {
    let Setup { proxy, node, chain: _chain, .. } = setup().await;
    proxy.fault(When::method("block"), Fault::rpc_error(-32603, "Internal error", "pruned"));
    let answers = node.batch(&[("block", json!({})), ("health", json!({})), ("status", json!({}))]).await.unwrap();
    let of = |id: u64| answers.as_array().unwrap().iter().find(|a| a["id"] == id).unwrap();
    assert_eq!(of(0)["error"]["data"], "pruned");
    assert!(of(1)["result"].is_object() && of(2)["result"]["sync_info"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn broadcasts_are_recorded_with_their_messages_and_can_be_dropped() {
    let Setup { proxy, node, wallet, chain } = setup().await;
    let user = User::new(node, chain.id(), wallet.clone(), "0stake");
    let other = Wallet::named("other").unwrap();
    user.send(other.address(), 1, STAKE).await.unwrap();
    assert_eq!(proxy.broadcast_messages(), ["/cosmos.bank.v1beta1.MsgSend"]);
    assert!(proxy.broadcasts()[0].forwarded);

    proxy.reset_record();
    proxy.fault_times(When::method("broadcast_tx"), Fault::DropBroadcast, 1);
    proxy.fault_times(When::method("tx"), Fault::status(503), u32::MAX);
    let hash = user.submit(vec![ibc_proto::google::protobuf::Any::default()]).await.unwrap();
    assert_eq!(hash.len(), 64);
    assert!(!proxy.broadcasts()[0].forwarded);
    chain.wait_blocks(2).await.unwrap();
    assert_eq!(chain.node().account(wallet.address()).await.unwrap().1, 1, "the dropped one is in no block");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_tampered_with_only_while_told_to() {
    let Setup { proxy, node, chain, .. } = setup().await;
    let height = chain.height().await.unwrap();
    let truth = chain.node().call("commit", json!({ "height": height.to_string() })).await.unwrap();
    let commit = || node.call("commit", json!({ "height": height.to_string() }));
    assert_eq!(commit().await.unwrap(), truth);

    for (pointer, hook) in [
        ("/signed_header/commit/signatures/0/signature", tamper::flip_signature()),
        ("/signed_header/header/app_hash", tamper::flip_header("app_hash")),
        ("/signed_header/header/chain_id", tamper::set_header("chain_id", json!("evil-1"))),
    ] {
        proxy.tamper(When::method("commit"), hook);
        let mut lie = commit().await.unwrap();
        assert_ne!(lie.pointer(pointer), truth.pointer(pointer));
        *lie.pointer_mut(pointer).unwrap() = truth.pointer(pointer).unwrap().clone();
        assert_eq!(lie, truth, "nothing else changed");
        proxy.heal();
        assert_eq!(commit().await.unwrap(), truth);
    }
    assert_eq!(proxy.tampered(), 3);

    let query = |node: Node| async move { node.call("abci_query", store_query()).await.unwrap()["response"].take() };
    proxy.tamper(When::query("store/ibc/key"), tamper::flip_proof_byte());
    let lie = query(node.clone()).await;
    let at = json!(store_query()["path"]);
    let same = json!({ "path": at, "data": hex::encode("nextClientSequence"), "prove": true, "height": lie["height"] });
    let true_one = chain.node().call("abci_query", same).await.unwrap()["response"].take();
    assert!(true_one["value"].is_string() && lie["value"] == true_one["value"]);
    assert_ne!(lie["proofOps"]["ops"][0], true_one["proofOps"]["ops"][0]);
    assert_eq!(lie["proofOps"]["ops"][1], true_one["proofOps"]["ops"][1]);
    proxy.heal();
    proxy.tamper(When::query("store/ibc/key"), tamper::drop_value());
    assert!(query(node.clone()).await["value"].is_null());
    proxy.heal();

    proxy.tamper(When::method("status"), tamper::status_height(999_999));
    assert_eq!(node.height().await.unwrap(), 999_999);
    proxy.heal();

    let phantom = tamper::PhantomPacket {
        sequence: 77,
        source: ("transfer".to_owned(), "channel-0".to_owned()),
        destination: ("transfer".to_owned(), "channel-1".to_owned()),
        connection: "connection-0".to_owned(),
        data: b"{}".to_vec(),
        timeout_height: (0, 0),
        timeout_timestamp_ns: 1,
    };
    proxy.tamper(When::method("block_results"), tamper::phantom_event(phantom.event()));
    let results = node.call("block_results", json!({ "height": height.to_string() })).await.unwrap();
    let events = results["txs_results"].as_array().unwrap().last().unwrap()["events"].clone();
    assert!(events.to_string().contains("send_packet") && events.to_string().contains("\"77\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_passed_on_stalls_and_is_cut() {
    let Setup { proxy, chain: _chain, .. } = setup().await;
    let subscribe = json!({
        "jsonrpc": "2.0", "id": 5, "method": "subscribe", "params": { "query": "tm.event='NewBlock'" },
    });
    let (mut socket, _) = tokio_tungstenite::connect_async(proxy.ws_url()).await.unwrap();
    socket.send(Message::text(subscribe.to_string())).await.unwrap();
    let accepted = socket.next().await.unwrap().unwrap();
    assert_eq!(serde_json::from_str::<Value>(accepted.to_text().unwrap()).unwrap()["id"], 5);
    let block = socket.next().await.unwrap().unwrap();
    assert!(block.to_text().unwrap().contains("NewBlock"));

    proxy.tamper(When::method("subscribe"), tamper::set("/query", json!("a lie")));
    while !socket.next().await.unwrap().unwrap().to_text().unwrap().contains("a lie") {}
    proxy.heal();

    proxy.websocket(WebSocketMode::Stalled);
    let (mut stalled, _) = tokio_tungstenite::connect_async(proxy.ws_url()).await.unwrap();
    stalled.send(Message::text(subscribe.to_string())).await.unwrap();
    assert!(stalled.next().await.unwrap().unwrap().to_text().unwrap().contains("result"));
    let silence = tokio::time::timeout(Duration::from_secs(2), stalled.next()).await;
    assert!(silence.is_err(), "an event came: {silence:?}");

    proxy.cut_websockets();
    let cut = tokio::time::timeout(limits::REQUEST_TIMEOUT, async { while let Some(Ok(_)) = socket.next().await {} });
    cut.await.unwrap();
    proxy.websocket(WebSocketMode::Refused);
    assert!(tokio_tungstenite::connect_async(proxy.ws_url()).await.is_err());
    assert_eq!((proxy.websocket_connections(), proxy.calls("subscribe")), (3, 2));
}
