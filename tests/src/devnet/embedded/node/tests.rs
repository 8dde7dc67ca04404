//! The node with the blank application: what a mempool and blocks owe their clients.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::blank::Blank;
use super::{Node, Refusal};
use crate::devnet::embedded::EmbeddedSpec;
use crate::limits;

fn node(spec: EmbeddedSpec) -> Arc<Node> {
    Node::start_with(spec.block_interval(Duration::from_millis(5)), Box::<Blank>::default()).unwrap()
}

async fn later(node: &Node, blocks: u64) {
    let wanted = node.latest() + blocks;
    let mut heights = node.subscribe();
    let arrived = tokio::time::timeout(limits::START_TIMEOUT, heights.wait_for(|height| *height >= wanted)).await;
    assert!(arrived.is_ok(), "no block {wanted}: {:?}", node.failure());
}

/// No block is due before the interval is set.
fn waiting(mut spec: EmbeddedSpec) -> Arc<Node> {
    spec.block_interval = Duration::from_secs(3_600);
    Node::start_with(spec, Box::<Blank>::default()).unwrap()
}

fn send(node: &Node, tx: &str) -> u32 {
    node.broadcast(tx.into()).1.unwrap().code
}

#[tokio::test]
async fn a_transaction_is_checked_included_found_and_readable() {
    let node = node(EmbeddedSpec::new("demo-1"));
    let (hash, checked) = node.broadcast(b"a=1".to_vec());
    assert_eq!(checked.unwrap().code, 0);
    assert_eq!(hash, <[u8; 32]>::from(Sha256::digest(b"a=1")));
    later(&node, 2).await;
    let (height, index) = node.tx(&hash).unwrap();
    let block = node.block(height).unwrap();
    assert_eq!((block.txs[index].as_slice(), block.executed.results[index].code), (b"a=1".as_slice(), 0));
    assert_eq!(node.query("blank", b"a", 0, false).value, b"1");
    let next = node.block(height + 1).unwrap();
    assert_eq!(next.header.app_hash.as_bytes(), block.executed.app_hash, "a header carries the state before its block");
    assert_eq!(next.header.last_block_id, Some(block.block_id));
    assert!(block.signed_header().is_ok());
}

#[tokio::test]
async fn transactions_are_found_by_events_only_if_all_pairs_match_one() {
    let node = node(EmbeddedSpec::new("demo-1"));
    for tx in ["a=1", "b=1", "c=2"] {
        assert_eq!(send(&node, tx), 0);
    }
    later(&node, 2).await;
    let find = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let keys = node
            .find_txs(&pairs)
            .into_iter()
            .map(|(height, index)| String::from_utf8(node.block(height).unwrap().txs[index].clone()).unwrap());
        keys.collect::<Vec<_>>()
    };
    assert_eq!(find(&[("write.value", "1")]), ["a=1", "b=1"]);
    assert_eq!(find(&[("write.value", "1"), ("write.key", "b")]), ["b=1"]);
    assert!(find(&[("write.value", "2"), ("write.key", "b")]).is_empty());
    assert!(find(&[("write.value", "3")]).is_empty());
    assert!(find(&[]).is_empty());
    assert_eq!(send(&node, "d=1"), 0);
    later(&node, 2).await;
    assert_eq!(find(&[("write.value", "1")]), ["a=1", "b=1", "d=1"], "blocks made since the last search are found");
}

#[tokio::test]
async fn a_transaction_is_taken_once_and_again_only_if_it_failed() {
    let node = node(EmbeddedSpec::new("demo-1"));
    assert_eq!(send(&node, "bad"), 1);
    assert_eq!(send(&node, "bad"), 1, "what fails the check is not remembered");
    assert_eq!(send(&node, "a=1"), 0);
    assert_eq!(node.broadcast(b"a=1".to_vec()).1, Err(Refusal::AlreadyInCache));
    assert_eq!(send(&node, "b=late"), 0);
    later(&node, 2).await;
    assert_eq!(node.broadcast(b"a=1".to_vec()).1, Err(Refusal::AlreadyInCache));
    assert_eq!(send(&node, "b=late"), 0, "what fails in a block may come again");
    let large = vec![0; limits::TX_BYTES + 1];
    assert_eq!(node.broadcast(large).1, Err(Refusal::TooLarge { bytes: limits::TX_BYTES + 1 }));
}

#[tokio::test]
async fn a_block_takes_what_its_gas_allows_and_the_rest_is_checked_again() {
    let mut spec = EmbeddedSpec::new("demo-1");
    spec.block_gas = 25;
    let node = waiting(spec);
    for tx in ["a=1", "b=1", "c=1", "d=1", "e=1"] {
        assert_eq!(send(&node, tx), 0);
    }
    assert_eq!(node.unconfirmed(), (5, 15));
    node.set_block_interval(Duration::from_millis(5));
    later(&node, 3).await;
    let sizes: Vec<_> = (1..=3).map(|height| node.block(height).unwrap().txs.len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(node.unconfirmed(), (0, 0));
}

#[tokio::test]
async fn a_halted_chain_takes_transactions_and_includes_them_when_it_goes_on() {
    let node = waiting(EmbeddedSpec::new("demo-1"));
    node.halt();
    node.set_block_interval(Duration::from_millis(1));
    let (hash, _) = node.broadcast(b"a=1".to_vec());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((node.latest(), node.tx(&hash)), (0, None));
    node.resume();
    later(&node, 1).await;
    assert_eq!(node.tx(&hash), Some((1, 0)));
}

#[tokio::test]
async fn a_dropped_transaction_passes_the_check_and_never_comes() {
    let node = node(EmbeddedSpec::new("demo-1"));
    node.drop_transactions(1);
    let (lost, checked) = node.broadcast(b"a=1".to_vec());
    assert_eq!(checked.unwrap().code, 0);
    assert_eq!(send(&node, "b=1"), 0);
    later(&node, 3).await;
    assert_eq!(node.tx(&lost), None);
    assert!(node.tx(&Sha256::digest(b"b=1").into()).is_some());
    assert_eq!(send(&node, "a=1"), 0, "the same bytes may be sent again");
    later(&node, 2).await;
    assert!(node.tx(&lost).is_some());
}

#[tokio::test]
async fn validators_change_while_the_chain_runs() {
    let node = node(EmbeddedSpec::new("demo-1"));
    later(&node, 1).await;
    node.change_powers(&[1, 2, 3, 4, 5]).unwrap();
    let asked = node.latest();
    later(&node, 5).await;
    let changed = (asked..=node.latest()).map(|height| node.block(height).unwrap().validators.validators.len());
    let changed: Vec<_> = changed.collect();
    assert_eq!((changed[0], *changed.last().unwrap()), (4, 5), "{changed:?}");
}

#[tokio::test]
async fn heights_are_consecutive_and_a_stop_ends_them() {
    let node = node(EmbeddedSpec::new("demo-1"));
    later(&node, 5).await;
    node.stop();
    while !node.blocks.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let latest = node.latest();
    assert_eq!(node.earliest(), 1);
    for height in 1..=latest {
        assert_eq!(node.block(height).unwrap().height(), height);
    }
    assert!(node.block(0).is_none() && node.block(latest + 1).is_none());
    assert_eq!(node.failure(), None);
}

#[tokio::test]
async fn a_panic_of_the_application_ends_the_chain_and_says_so() {
    struct Broken;
    impl super::Application for Broken {
        fn check(&mut self, _: &[u8]) -> crate::devnet::embedded::TxResult {
            Default::default()
        }
        fn execute(
            &mut self,
            _: &crate::devnet::embedded::BlockContext,
            _: &[Vec<u8>],
        ) -> crate::devnet::embedded::Executed {
            panic!("broken on purpose")
        }
        fn query(&self, _: &str, _: &[u8], _: u64, _: bool) -> crate::devnet::embedded::QueryAnswer {
            Default::default()
        }
    }
    let node = Node::start_with(EmbeddedSpec::new("demo-1").block_interval(Duration::from_millis(5)), Box::new(Broken))
        .unwrap();
    let reason = loop {
        match node.failure() {
            Some(reason) => break reason,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert!(reason.contains("broken on purpose"), "{reason}");
    assert_eq!(node.latest(), 0);
}
