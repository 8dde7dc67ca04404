//! Nodes that lie about the head, lag, belong to a fork of the chain or answer with too much: nothing is paid for it,
//! the reason is counted, an honest node beside the liar takes over, and a lone liar is followed again once it is honest.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::{ConfigOptions, End, STAKE, SimdChain, Transfer};
use relayer_tests::proxy::{Fault, Proxy, When, tamper};
use relayer_tests::relay::Siege;
use serde_json::json;

const WAIT: Duration = Duration::from_secs(60);

/// Both answers that tell the head agree on one far above (or below) the true one.
fn lie_about_height(proxy: &Proxy, blocks: i64) {
    proxy.tamper(When::method("status"), tamper::status_height_off_by(blocks));
    let abci = tamper::hook(move |_, result| {
        let Some(height) = result.pointer_mut("/response/last_block_height") else { return false };
        let moved = height.as_str().and_then(|h| h.parse::<i64>().ok()).map(|h| (h + blocks).max(1));
        moved.inspect(|moved| *height = json!(moved.to_string())).is_some()
    });
    proxy.tamper(When::method("abci_info"), abci);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_41_a_lying_height_pays_for_nothing_and_is_forgotten_when_the_node_is_honest() {
    let mut siege = Siege::open().await.unwrap();
    siege.line.relayer.start().await.unwrap();
    let link = siege.target().unwrap();
    let wallets = siege.line.net.wallets.clone();
    siege.flows(&link, WAIT).await.unwrap();
    for blocks in [100_000, 50, -20] {
        siege.start_counting().await.unwrap();
        lie_about_height(&siege.b, blocks);
        if blocks > 0 {
            siege.refused(&siege.line.net.b, "lying_height", WAIT).await.unwrap();
        }
        let before = siege.paid().await.unwrap();
        let alice = siege.line.net.a.user(&wallets.user_a);
        // Times out at a height that only the lie has reached.
        let height = siege.line.net.b.height().await.unwrap() + 10_000;
        let transfer = Transfer::new(&link.a.channel, 1, STAKE, wallets.user_b.address());
        alice.transfer(&transfer.timeout_height(1, height)).await.unwrap();
        siege.line.net.b.wait_blocks(10).await.unwrap();
        assert!(siege.b.tampered() > 0);
        let now = siege.paid().await.unwrap();
        assert_eq!((now.sequences[0], now.balances[0]), (before.sequences[0], before.balances[0]), "{blocks}");
        assert!(siege.a.broadcasts().is_empty(), "{blocks}: {:?}", siege.a.broadcast_messages());
        // A receive may be sent before the lie is noticed, but never twice.
        assert!(siege.b.broadcasts().len() <= 1, "{blocks}: {:?}", siege.b.broadcast_messages());

        siege.b.heal();
        link.settled(WAIT).await.unwrap_or_else(|e| panic!("{blocks}: {e}"));
        siege.line.relayer.ready(WAIT).await.unwrap();
        assert_eq!(siege.damage().await.unwrap(), [""; 0]);
    }
    siege.flows(&link, WAIT).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_41_a_lying_or_catching_up_node_is_left_for_an_honest_one() {
    let mut siege = Siege::with(true, |_| ()).await.unwrap();
    siege.line.relayer.start().await.unwrap();
    let (link, other) = (siege.target().unwrap(), siege.other().unwrap());
    siege.b.tamper(When::method("status"), tamper::catching_up());
    siege.quarantined(&siege.line.net.b, "catching_up", WAIT).await.unwrap();
    siege.flows(&link, WAIT).await.unwrap();
    assert!(siege.b.tampered() > 0);
    siege.b.heal();

    // It is asked again after a while; then it claims a height nobody has.
    siege.line.relayer.stop().await.unwrap();
    siege.line.relayer.start().await.unwrap();
    siege.start_counting().await.unwrap();
    lie_about_height(&siege.b, 100_000);
    siege.quarantined(&siege.line.net.b, "lying_height", WAIT).await.unwrap();
    assert!(siege.b.tampered() > 0);
    siege.flows(&link, WAIT).await.unwrap();
    siege.flows(&other, WAIT).await.unwrap();
    assert_eq!(siege.damage().await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_41_a_fork_of_the_chain_is_quarantined_and_the_honest_node_serves() {
    let mut siege = Siege::open().await.unwrap();
    // The same chain id, the same validator key: a fork whose headers are signed as the true ones are.
    let fork = SimdChain::start(siege.line.net.b.spec().clone()).await.unwrap();
    assert_eq!(fork.id(), siege.line.net.b.id());
    let fork = (Proxy::start(fork.rpc_url()).await.unwrap(), fork);
    let link = siege.target().unwrap();
    let options = |liar: &Siege| ConfigOptions {
        a: End { rpc: Some(vec![liar.a.rpc_url()]), ..End::default() },
        b: End { rpc: Some(vec![fork.0.rpc_url(), liar.b.rpc_url()]), ..End::default() },
        channels: 2,
        ..ConfigOptions::default()
    };
    fork.1.wait_blocks(20).await.unwrap();
    let options = options(&siege);
    siege.line.rewrite(&options).unwrap();
    for known in ["the path's client alone tells the chains apart", "its own trusted header does"] {
        siege.start_counting().await.unwrap();
        fork.0.reset_record();
        siege.line.relayer.launch().unwrap();
        siege.flows(&link, WAIT).await.unwrap_or_else(|e| panic!("{known}: {e}"));
        assert!(fork.0.requests() > 0, "{known}: the fork was never asked");
        assert!(fork.0.broadcasts().is_empty(), "{known}");
        let ours = siege.line.net.wallets.relayer.address();
        assert_eq!(fork.1.node().account(ours).await.unwrap().1, 0, "{known}");
        let metrics = siege.line.relayer.admin.metrics().await.unwrap();
        println!("{known}: {}", metrics.lines_of("relay_verification_failures_total"));
        assert!(metrics.sum("relay_verification_failures_total", &[("chain", siege.line.net.b.id())]) > 0.0, "{known}");
        assert_eq!(siege.damage().await.unwrap(), [""; 0]);
        siege.line.relayer.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_42_an_oversized_or_cut_answer_stops_nothing_for_good() {
    let mut siege = Siege::with(false, |options| options.limits += "max_response_bytes = 4194304\n").await.unwrap();
    siege.line.relayer.start().await.unwrap();
    let link = siege.target().unwrap();
    let wallets = siege.line.net.wallets.clone();
    siege.flows(&link, WAIT).await.unwrap();
    for (what, when, fault) in [
        ("results", "block_results", Fault::Oversized(6 << 20)),
        ("commit", "commit", Fault::Oversized(6 << 20)),
        ("queries", "abci_query", Fault::Oversized(6 << 20)),
        ("cut", "block_results", Fault::CutBody(100)),
        ("garbage", "abci_query", Fault::Garbage),
    ] {
        let before = siege.start_counting().await.unwrap();
        let received = link.b.received().await.unwrap().len();
        let injected = siege.a.faults_injected();
        siege.a.fault(When::method(when), fault);
        let alice = siege.line.net.a.user(&wallets.user_a);
        alice.transfer(&Transfer::new(&link.a.channel, 1, STAKE, wallets.user_b.address())).await.unwrap();
        siege.line.net.a.wait_blocks(16).await.unwrap();
        assert!(siege.a.faults_injected() > injected, "{what}");
        assert_eq!(siege.paid().await.unwrap(), before, "{what}");
        siege.a.heal();
        link.b.has_received(received + 1, WAIT).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        link.settled(WAIT).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(siege.damage().await.unwrap(), [""; 0], "{what}");
    }
    siege.flows(&link, WAIT).await.unwrap();
    let metrics = siege.line.relayer.admin.metrics().await.unwrap();
    let counted = metrics.sum("relay_rpc_requests_total", &[("chain", "sim-a-1"), ("status", "too_large")]);
    assert!(counted > 0.0, "{}", metrics.lines_of("relay_rpc_requests_total"));
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_42_beside_an_honest_node_one_that_answers_with_too_much_delays_nothing() {
    let limit = |options: &mut ConfigOptions| options.limits += "max_response_bytes = 4194304\n";
    let mut siege = Siege::with(true, limit).await.unwrap();
    siege.line.relayer.start().await.unwrap();
    let (link, other) = (siege.target().unwrap(), siege.other().unwrap());
    siege.b.fault(When::any(), Fault::Oversized(6 << 20));
    siege.flows(&link, WAIT).await.unwrap();
    siege.flows(&other, WAIT).await.unwrap();
    assert!(siege.b.faults_injected() > 0);
    assert!(!siege.spare.as_ref().unwrap().broadcasts().is_empty());
    assert_eq!(siege.damage().await.unwrap(), [""; 0]);
}
