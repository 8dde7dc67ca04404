//! The Substrate test chain itself: its validators finalize, bear the loss of one, and end and come back as asked.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use relayer_tests::DevnetError;
use relayer_tests::devnet::substrate::{SubstrateChain, SubstrateNode, SubstrateSpec};
use serde_json::{Value, json};

/// Long enough for several blocks and their finality, were there any.
const QUIET: Duration = Duration::from_secs(6);

async fn chain(validators: usize) -> SubstrateChain {
    SubstrateChain::start(SubstrateSpec::validators(validators)).await.unwrap()
}

/// Waits until the chain has gone on by `blocks` final ones.
async fn goes_on(node: &SubstrateNode, blocks: u64) -> Result<u64, DevnetError> {
    node.wait_for_finalized(node.finalized().await? + blocks).await
}

async fn peers(node: &SubstrateNode, wanted: u64) {
    let since = Instant::now();
    while node.health().await.unwrap().peers != wanted {
        assert!(since.elapsed() < Duration::from_secs(60), "{:?}", node.health().await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn four_validators_finalize_the_same_blocks() {
    let chain = chain(4).await;
    let node = |index: usize| chain.node(index).unwrap();
    let seen = goes_on(node(0), 3).await.unwrap();
    let hash = node(0).block_hash(seen).await.unwrap();
    for index in 0..4 {
        peers(node(index), 3).await;
        node(index).wait_for_finalized(seen).await.unwrap();
        assert_eq!(node(index).block_hash(seen).await.unwrap(), hash, "validator {index}");
    }
    assert_eq!(node(0).call("system_chain", json!([])).await.unwrap(), json!("substrate-test"));
}

#[tokio::test]
async fn finality_bears_the_loss_of_one_of_four_but_not_of_two_and_goes_on_when_one_is_back() {
    let mut chain = chain(4).await;
    chain.kill(0).await.unwrap();
    let final_by_three = goes_on(chain.node(1).unwrap(), 3).await.unwrap();

    chain.kill(3).await.unwrap();
    // What was voted for before may still become final.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let stuck = chain.node(1).unwrap().finalized().await.unwrap();
    let best = chain.node(1).unwrap().best().await.unwrap();
    tokio::time::sleep(QUIET).await;
    assert_eq!(chain.node(1).unwrap().finalized().await.unwrap(), stuck, "two of four finalize nothing");
    assert!(chain.node(1).unwrap().best().await.unwrap() > best, "but make blocks");

    chain.start_again(0).await.unwrap();
    let back = goes_on(chain.node(0).unwrap(), 3).await.unwrap();
    assert!(back > stuck && stuck >= final_by_three);
    chain.start_again(3).await.unwrap();
    let hashes = [chain.node(0).unwrap(), chain.node(3).unwrap()].map(|node| node.block_hash(final_by_three));
    let [one, other] = hashes;
    assert_eq!(one.await.unwrap(), other.await.unwrap());
}

#[tokio::test]
async fn the_weights_decide_what_is_final() {
    // One of two has more than two thirds of the weight: its vote is enough, and nothing is final without it.
    let mut chain = SubstrateChain::start(SubstrateSpec::weighted(&[7, 1])).await.unwrap();
    chain.kill(1).await.unwrap();
    goes_on(chain.node(0).unwrap(), 2).await.unwrap();
    chain.start_again(1).await.unwrap();
    chain.kill(0).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let stuck = chain.node(1).unwrap().finalized().await.unwrap();
    tokio::time::sleep(QUIET).await;
    assert_eq!(chain.node(1).unwrap().finalized().await.unwrap(), stuck);
}

#[tokio::test]
async fn a_validator_ends_cleanly_and_comes_back_with_its_blocks() {
    let mut chain = chain(1).await;
    let node = chain.node(0).unwrap().clone();
    let seen = goes_on(&node, 2).await.unwrap();
    let hash = node.block_hash(seen).await.unwrap();
    chain.stop(0).await.unwrap();
    assert!(matches!(node.finalized().await, Err(DevnetError::Rpc { .. })));
    chain.start_again(0).await.unwrap();
    assert_eq!(node.block_hash(seen).await.unwrap(), hash);
    goes_on(&node, 2).await.unwrap();
}

#[tokio::test]
async fn a_node_offers_what_a_relayer_asks_for() {
    let chain = chain(1).await;
    let node = chain.node(0).unwrap();
    let methods = node.call("rpc_methods", json!([])).await.unwrap();
    let methods: Vec<&str> = methods["methods"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for method in [
        "archive_v1_storage",
        "author_submitAndWatchExtrinsic",
        "chainHead_v1_follow",
        "chain_subscribeFinalizedHeads",
        "grandpa_proveFinality",
        "grandpa_subscribeJustifications",
        "state_call",
        "state_getKeysPaged",
        "state_getMetadata",
        "state_getReadProof",
        "system_accountNextIndex",
    ] {
        assert!(methods.contains(&method), "{method}");
    }

    // Old states stay provable: here the time of the first block, `Timestamp.Now` in milliseconds.
    let first = node.block_hash(1).await.unwrap();
    goes_on(node, 2).await.unwrap();
    let key = "0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb";
    let time = node.call("state_getStorage", json!([key, first])).await.unwrap();
    assert_eq!(time.as_str().map(str::len), Some("0x".len() + 16), "{time}");
    let proof = node.call("state_getReadProof", json!([[key], first])).await.unwrap();
    assert_eq!(proof["at"], json!(first));
    assert!(!proof["proof"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn two_chains_run_beside_each_other() {
    let (one, other) = (chain(1).await, chain(1).await);
    let urls = [one.rpc_urls(), other.rpc_urls()];
    assert_ne!(urls[0], urls[1]);
    goes_on(one.node(0).unwrap(), 1).await.unwrap();
    goes_on(other.node(0).unwrap(), 1).await.unwrap();
    for chain in [&one, &other] {
        peers(chain.node(0).unwrap(), 0).await;
    }
}
