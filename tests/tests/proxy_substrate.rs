//! The fault-injecting proxy in front of a real Substrate node: what it passes on, and how it lies.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use light_clients::grandpa::{Authority, AuthoritySet, Justification, blake2_256};
use relayer_tests::devnet::substrate::{SubstrateChain, SubstrateNode, SubstrateSpec, SubstrateUser, voter};
use relayer_tests::proxy::{Fault, Proxy, WebSocketMode, When, grandpa};
use relayer_tests::{DevnetError, limits};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn setup() -> (SubstrateChain, Proxy, SubstrateNode) {
    let chain = SubstrateChain::start(SubstrateSpec::validators(1)).await.unwrap();
    let proxy = Proxy::start(chain.node(0).unwrap().url()).await.unwrap();
    let node = SubstrateNode::new(&proxy.rpc_url()).unwrap();
    (chain, proxy, node)
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap().trim_start_matches("0x")).unwrap()
}

/// The next text; nodes ping beside it.
async fn next(socket: &mut Socket) -> Value {
    let text = async {
        loop {
            if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
                return text;
            }
        }
    };
    let text = tokio::time::timeout(limits::REQUEST_TIMEOUT, text).await.unwrap();
    serde_json::from_str(text.as_str()).unwrap()
}

/// A subscription to justifications, with its name.
async fn subscribe(proxy: &Proxy) -> (Socket, Value) {
    let (mut socket, _) = connect_async(proxy.rpc_url().replacen("http", "ws", 1)).await.unwrap();
    let call = json!({ "jsonrpc": "2.0", "id": 5, "method": "grandpa_subscribeJustifications", "params": [] });
    socket.send(Message::text(call.to_string())).await.unwrap();
    let accepted = next(&mut socket).await;
    assert_eq!(accepted["id"], 5);
    (socket, accepted["result"].clone())
}

async fn told(socket: &mut Socket) -> Justification {
    let told = next(socket).await;
    assert_eq!(told["method"], "grandpa_justifications");
    Justification::decode_bytes(&bytes(&told["params"]["result"])).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_batches_and_subscriptions_are_passed_on_changed_stalled_and_cut() {
    let (chain, proxy, node) = setup().await;
    let honest = chain.node(0).unwrap();
    let finalized = node.finalized_hash().await.unwrap();
    let batch = json!([{ "jsonrpc": "2.0", "id": 1, "method": "chain_getHeader", "params": [finalized] }]);
    let send = async |url: String| {
        let answer = reqwest::Client::new().post(url).json(&batch).send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };
    let truth = send(honest.url().to_owned()).await;
    assert!(truth[0]["result"]["number"].is_string());
    assert_eq!(send(proxy.rpc_url()).await, truth);
    assert_eq!((proxy.calls("chain_getHeader"), proxy.calls("chain_getFinalizedHead")), (1, 1));
    // Brackets stay around a batch of one whose result is changed.
    let hook = relayer_tests::proxy::tamper::set("/number", json!("0xff"));
    proxy.tamper(When::method("chain_getHeader"), hook);
    assert_eq!(send(proxy.rpc_url()).await[0]["result"]["number"], "0xff");
    proxy.heal();

    let set = AuthoritySet::new(0, &[Authority { key: voter(0).verification_key().to_bytes(), weight: 1 }]).unwrap();
    let (mut socket, name) = subscribe(&proxy).await;
    assert!(name.is_string() || name.is_number());
    assert_eq!(told(&mut socket).await.verify(&set), Ok(()));
    grandpa::lie(&proxy, grandpa::flip_signatures);
    while told(&mut socket).await.verify(&set).is_ok() {}
    assert!(proxy.tampered() > 0);
    proxy.heal();
    grandpa::lie(&proxy, grandpa::keep_votes(0));
    while !told(&mut socket).await.commit.precommits.is_empty() {}
    proxy.heal();
    grandpa::lie(&proxy, grandpa::sign_for_set(vec![voter(0)], 1));
    let later = AuthoritySet::new(1, &[Authority { key: voter(0).verification_key().to_bytes(), weight: 1 }]).unwrap();
    while told(&mut socket).await.verify(&later).is_err() {}
    proxy.heal();
    while told(&mut socket).await.verify(&set).is_err() {}

    proxy.websocket(WebSocketMode::Stalled);
    let (mut stalled, _) = subscribe(&proxy).await;
    let silence = tokio::time::timeout(Duration::from_secs(3), next(&mut stalled)).await;
    assert!(silence.is_err(), "an event came: {silence:?}");
    proxy.cut_websockets();
    let cut = tokio::time::timeout(limits::REQUEST_TIMEOUT, async { while let Some(Ok(_)) = socket.next().await {} });
    cut.await.unwrap();
    proxy.websocket(WebSocketMode::Refused);
    assert!(connect_async(proxy.rpc_url().replacen("http", "ws", 1)).await.is_err());
    assert_eq!((proxy.websocket_connections(), proxy.calls("grandpa_subscribeJustifications")), (3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_of_finality_and_of_state_are_changed_and_extrinsics_recorded_and_dropped() {
    let (chain, proxy, node) = setup().await;
    let honest = chain.node(0).unwrap();
    let at = honest.finalized_hash().await.unwrap();
    let key = "0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb";
    let proof = json!([[key], at]);
    let truth = honest.call("state_getReadProof", proof.clone()).await.unwrap();
    assert_eq!(node.call("state_getReadProof", proof.clone()).await.unwrap(), truth);
    proxy.tamper(When::method("state_getReadProof"), grandpa::flip_read_proof());
    let lie = node.call("state_getReadProof", proof).await.unwrap();
    assert_eq!(lie["at"], truth["at"]);
    let nodes = |proof: &Value| proof["proof"].as_array().unwrap().clone();
    let (mut lies, truths) = (nodes(&lie), nodes(&truth));
    assert_ne!(lies.pop(), truths.last().cloned());
    assert_eq!(lies, truths[..truths.len() - 1], "nothing else changed");
    let now = |node: SubstrateNode| async move { node.call("state_getStorage", json!([key])).await.unwrap() };
    proxy.tamper(When::any(), grandpa::value(&bytes(&json!(key)), &[0; 8]));
    assert_eq!(now(node.clone()).await, format!("0x{}", "00".repeat(8)));
    proxy.heal();
    assert_ne!(now(node.clone()).await, format!("0x{}", "00".repeat(8)));

    // The first hand-over of finality is what proofs of finality lead to, and its block keeps the votes.
    let root = SubstrateUser::new(honest.clone(), "//Alice").unwrap();
    let next: Vec<_> = honest.authorities().await.unwrap().into_iter().map(|(key, weight)| (key, weight + 1)).collect();
    assert_eq!(next[0].0, voter(0).verification_key().to_bytes());
    root.schedule_authorities(&next, 1).await.unwrap();
    let last = honest.finalized().await.unwrap();
    honest.wait_for_finalized(last + 2).await.unwrap();
    let proof = honest.call("grandpa_proveFinality", json!([1])).await.unwrap();
    assert_eq!(node.call("grandpa_proveFinality", json!([1])).await.unwrap(), proof);
    let block = bytes(&proof)[..32].to_vec();
    let block = json!([format!("0x{}", hex::encode(block))]);
    grandpa::lie(&proxy, grandpa::keep_votes(0));
    let lie = node.call("grandpa_proveFinality", json!([1])).await.unwrap();
    assert_eq!(bytes(&lie)[..32], bytes(&proof)[..32]);
    assert!(bytes(&lie).len() < bytes(&proof).len());
    let kept = honest.call("chain_getBlock", block.clone()).await.unwrap();
    let lie = node.call("chain_getBlock", block).await.unwrap();
    let votes = |block: &Value| block["justifications"][0][1].as_array().unwrap().len();
    assert!(votes(&lie) < votes(&kept));
    assert_eq!(lie["block"], kept["block"]);
    proxy.heal();

    let bob = SubstrateUser::new(node, "//Bob").unwrap();
    proxy.reset_record();
    proxy.fault_times(When::any(), Fault::DropBroadcast, 1);
    let message = ibc_proto::google::protobuf::Any::default();
    let gave_up = tokio::time::timeout(Duration::from_secs(4), bob.deliver(vec![message.clone()])).await;
    assert!(gave_up.is_err(), "the dropped one is in no block: {gave_up:?}");
    bob.deliver(vec![message]).await.unwrap();
    let sent = proxy.broadcasts();
    assert_eq!(sent.iter().map(|sent| sent.forwarded).collect::<Vec<_>>(), [false, true]);
    assert_eq!(honest.nonce(&bob.account()).await.unwrap(), 1);
    // The proxy's answer is a node's: the extrinsic's hash.
    proxy.fault_times(When::method("author_submitExtrinsic"), Fault::DropBroadcast, 1);
    let again = json!([format!("0x{}", hex::encode(&sent[1].tx))]);
    let proxied = SubstrateNode::new(&proxy.rpc_url()).unwrap();
    let hash = proxied.call("author_submitExtrinsic", again.clone()).await.unwrap();
    assert_eq!(bytes(&hash), blake2_256(&sent[1].tx));
    assert!(matches!(proxied.call("author_submitExtrinsic", again).await, Err(DevnetError::Rpc { .. })));
}
