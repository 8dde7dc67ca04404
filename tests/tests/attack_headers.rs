//! Forged headers and proofs of a real chain's node: nothing is broadcast, the reason is counted, and when the node is
//! honest again the packet arrives.
//!
//! The verifier's own tests of these rows forge every field (light-clients/tests); here the whole relayer stands behind
//! a lying node.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::{STAKE, Transfer};
use relayer_tests::proxy::{Hook, When, tamper};
use relayer_tests::relay::{Siege, relayed};
use serde_json::json;

const WAIT: Duration = Duration::from_secs(60);

/// An ed25519 key of no validator.
const STRANGER: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// Puts a running relayer before a lie of the first chain's node, and takes the lie away again.
async fn lie(siege: &mut Siege, name: &str, when: When, hook: Hook, reason: &str) {
    let link = siege.target().unwrap();
    let (net, wallets) = (&siege.line.net, siege.line.net.wallets.clone());
    let alice = net.a.user(&wallets.user_a);
    siege.a.tamper(when, hook);
    let before = siege.start_counting().await.unwrap();
    let received = link.b.received().await.unwrap().len();
    alice.transfer(&Transfer::new(&link.a.channel, 3, STAKE, wallets.user_b.address())).await.unwrap();
    let times = siege.refused(&net.a, reason, WAIT).await.unwrap_or_else(|e| panic!("{name}: {e}"));
    println!("{name}: refused {times} times for {reason}");
    net.b.wait_blocks(4).await.unwrap();
    assert!(siege.a.tampered() > 0, "{name}: the node did not lie");
    assert_eq!(siege.paid().await.unwrap(), before, "{name}: something was paid for");
    assert_eq!(link.b.received().await.unwrap().len(), received, "{name}");
    assert_eq!(siege.damage().await.unwrap(), [""; 0], "{name}");

    siege.a.heal();
    link.b.has_received(received + 1, WAIT).await.unwrap_or_else(|e| panic!("{name}: {e}"));
    link.settled(WAIT).await.unwrap();
    assert!(!relayed(&siege.b).unwrap().is_empty(), "{name}: the relayer's own transactions are seen");
}

async fn besieged() -> Siege {
    let mut siege = Siege::open().await.unwrap();
    siege.line.relayer.start().await.unwrap();
    let link = siege.target().unwrap();
    siege.flows(&link, WAIT).await.unwrap();
    siege
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_01_a_header_with_a_flipped_commit_signature_is_never_paid_for() {
    let mut siege = besieged().await;
    lie(&mut siege, "signature", When::method("commit"), tamper::flip_signature(), "signature").await;
    // The only vote was not for the block.
    let nil = tamper::set("/signed_header/commit/signatures/0/block_id_flag", json!(3));
    lie(&mut siege, "vote for nil", When::method("commit"), nil, "too_few_signed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_13_a_header_with_other_fields_than_were_signed_is_never_paid_for() {
    let mut siege = besieged().await;
    lie(&mut siege, "app hash", When::method("commit"), tamper::flip_header("app_hash"), "commit_hash").await;
    let next = tamper::flip_header("next_validators_hash");
    lie(&mut siege, "next validators", When::method("commit"), next, "validators_of_another_block").await;
    let time = tamper::set_header("time", json!("2100-01-01T00:00:00Z"));
    lie(&mut siege, "time", When::method("commit"), time, "header_from_future").await;
    let chain = tamper::set_header("chain_id", json!("evil-1"));
    lie(&mut siege, "chain id", When::method("commit"), chain, "wrong_chain_header").await;
    let other = tamper::hook(|_, result| {
        let height = result.pointer_mut("/signed_header/header/height");
        height.is_some_and(|h| std::mem::replace(h, json!("2")) != "2")
    });
    lie(&mut siege, "height", When::method("commit"), other, "malformed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_04_changed_validators_are_never_believed() {
    let mut siege = besieged().await;
    // Sets of validators are remembered: only a relayer that starts anew asks for them.
    for (name, hook) in [
        ("power", tamper::validator_power("77")),
        ("nobody", tamper::set("/validators", json!([]))),
        ("another's key", tamper::set("/validators/0/pub_key/value", json!(STRANGER))),
    ] {
        siege.line.relayer.stop().await.unwrap();
        siege.a.tamper(When::method("validators"), hook);
        let link = siege.target().unwrap();
        let received = link.b.received().await.unwrap().len();
        let before = siege.start_counting().await.unwrap();
        let wallets = siege.line.net.wallets.clone();
        let alice = siege.line.net.a.user(&wallets.user_a);
        alice.transfer(&Transfer::new(&link.a.channel, 3, STAKE, wallets.user_b.address())).await.unwrap();
        siege.line.relayer.launch().unwrap();
        siege.refused(&siege.line.net.a, "validators_of_another_block", WAIT).await.unwrap();
        siege.line.net.b.wait_blocks(4).await.unwrap();
        assert!(siege.a.tampered() > 0, "{name}: the node did not lie");
        assert_eq!(siege.paid().await.unwrap(), before, "{name}");
        siege.a.heal();
        link.b.has_received(received + 1, WAIT).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        link.settled(WAIT).await.unwrap();
        assert_eq!(siege.damage().await.unwrap(), [""; 0], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_18_forged_proofs_are_never_paid_for() {
    let mut siege = besieged().await;
    let store = || When::query("store/ibc/key");
    lie(&mut siege, "proof", store(), tamper::flip_proof_byte(), "proof_root").await;
    lie(&mut siege, "value", store(), tamper::flip_value_byte(), "proof_value").await;
    // The proof is true, for another height than the one that was asked.
    lie(&mut siege, "height", store(), tamper::response_height_off_by(-1), "wrong_height").await;
    let no_proof = tamper::set("/response/proofOps", serde_json::Value::Null);
    lie(&mut siege, "no proof", store(), no_proof, "proof_missing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_19_membership_shown_as_absence_is_never_believed() {
    let mut siege = besieged().await;
    lie(&mut siege, "absence", When::query("store/ibc/key"), tamper::drop_value(), "proof_kind").await;
    // Believed, it would have refused the packet for good as a phantom.
    let metrics = siege.line.relayer.admin.metrics().await.unwrap();
    assert_eq!(metrics.sum("relay_packets_total", &[("outcome", "failed")]), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_18_beside_an_honest_node_one_that_forges_headers_or_proofs_delays_nothing() {
    let mut siege = Siege::with(true, |_| ()).await.unwrap();
    siege.line.relayer.start().await.unwrap();
    let (link, other) = (siege.target().unwrap(), siege.other().unwrap());
    for (when, hook) in [
        (When::method("commit"), tamper::flip_signature()),
        (When::method("commit"), tamper::set("/signed_header/header/height", json!("no number"))),
        (When::query("store/ibc/key"), tamper::flip_proof_byte()),
    ] {
        siege.start_counting().await.unwrap();
        siege.b.tamper(when, hook);
        siege.flows(&link, WAIT).await.unwrap();
        siege.flows(&other, WAIT).await.unwrap();
        assert!(siege.b.tampered() > 0);
        siege.b.heal();
        let status = siege.line.relayer.admin.status().await.unwrap();
        assert!(status["chains"].to_string().contains("quarantined"), "{}", status["chains"]);
        assert_eq!(siege.damage().await.unwrap(), [""; 0]);
        siege.line.relayer.stop().await.unwrap();
        siege.line.relayer.start().await.unwrap();
    }
}
