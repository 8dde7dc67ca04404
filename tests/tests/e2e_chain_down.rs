//! A chain that is down at the start or goes away later stops its own path only, and is joined when it is back.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::{ChainSpec, ConfigOptions, Devnet, STAKE, SimdChain, Transfer, User, Wallets};
use relayer_tests::relay::{Line, Link, add_chain, add_path};

const WAIT: Duration = Duration::from_secs(120);

/// Some packets each way, and all of them settled.
async fn exchange(link: &Link, a: &User, b: &User) {
    let before = (link.a.received().await.unwrap().len(), link.b.received().await.unwrap().len());
    a.burst(&vec![Transfer::new(&link.a.channel, 2, STAKE, b.address()); 3]).await.unwrap();
    b.burst(&vec![Transfer::new(&link.b.channel, 2, STAKE, a.address()); 3]).await.unwrap();
    link.a.has_received(before.0 + 3, WAIT).await.unwrap();
    link.b.has_received(before.1 + 3, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_chain_delays_only_its_own_path_and_is_joined_when_it_is_back() {
    let wallets = Wallets::usual().unwrap();
    let spec = ChainSpec::new("sim-c-1")
        .wallet(wallets.relayer.clone(), &[(STAKE, 1_000_000_000)])
        .wallet(wallets.user_b.clone(), &[(STAKE, 1_000_000_000)]);
    let (net, c) = tokio::join!(Devnet::two_chains(), SimdChain::start(spec));
    let (net, c) = (net.unwrap(), c.unwrap());
    let mut tables = String::new();
    add_chain(&mut tables, &c);
    add_path(&mut tables, "a-c", net.a.id(), c.id());
    let mut line = Line::open(net, &ConfigOptions { tables, ..ConfigOptions::default() }).await.unwrap();
    line.relayer.succeed(&["path", "create", "a-c"]).await.unwrap();
    let to_b = line.link(0).unwrap();
    let to_c = line.link_to("a-c", &line.net.a, &c).unwrap();
    let alice = line.net.a.user(&wallets.user_a);
    let bob = line.net.b.user(&wallets.user_b);
    let carol = c.user(&wallets.user_b);

    // B is down at the start.
    alice.burst(&vec![Transfer::new(&to_b.a.channel, 1, STAKE, bob.address()); 4]).await.unwrap();
    line.net.b.stop().await.unwrap();
    line.relayer.launch().unwrap();
    line.relayer.degraded(&["sim-b-1"], WAIT).await.unwrap();
    exchange(&to_c, &alice, &carol).await;
    let reasons = line.relayer.degraded(&["sim-b-1", "rpc"], WAIT).await.unwrap();
    println!("B down at the start: {reasons}");
    assert!(!reasons.contains("sim-c-1"), "{reasons}");
    assert_eq!(to_b.a.open().await.unwrap().len(), 4);
    line.net.b.start_again().await.unwrap();
    to_b.settled(WAIT).await.unwrap();
    assert_eq!(to_b.b.received().await.unwrap().len(), 4);
    line.relayer.ready(WAIT).await.unwrap();
    // The channels' far ends bear the same id on B and C, and these packets partly the same sequences: one wallet on A
    // receives both kinds, and none is taken for one of the other.
    exchange(&to_b, &alice, &bob).await;
    exchange(&to_c, &alice, &carol).await;
    exchange(&to_b, &alice, &bob).await;
    let metrics = line.relayer.admin.metrics().await.unwrap();
    assert_eq!(
        metrics.sum("relay_redundant_messages_total", &[]),
        0.0,
        "a packet of another chain was taken for this one"
    );
    assert_eq!(metrics.sum("relay_verification_failures_total", &[]), 0.0, "an honest node was called a liar");

    // B goes away in mid-run, with packets on their way both ways, and comes back: crashed, then frozen.
    for frozen in [false, true] {
        let before = to_b.b.received().await.unwrap().len();
        bob.burst(&vec![Transfer::new(&to_b.b.channel, 1, STAKE, alice.address()); 2]).await.unwrap();
        if frozen {
            line.net.b.pause().unwrap();
        } else {
            line.net.b.crash().await.unwrap();
        }
        alice.burst(&vec![Transfer::new(&to_b.a.channel, 1, STAKE, bob.address()); 4]).await.unwrap();
        let reasons = line.relayer.degraded(&["sim-b-1"], WAIT).await.unwrap();
        assert!(!reasons.contains("sim-c-1"), "{reasons}");
        println!("B gone (frozen: {frozen}): {reasons}");
        exchange(&to_c, &alice, &carol).await;
        assert_eq!(to_b.a.open().await.unwrap().len(), 4);
        if frozen {
            line.net.b.resume().unwrap();
        } else {
            line.net.b.start_again().await.unwrap();
        }
        to_b.b.has_received(before + 4, WAIT).await.unwrap();
        to_b.settled(WAIT).await.unwrap();
        line.relayer.ready(WAIT).await.unwrap();
        exchange(&to_b, &alice, &bob).await;
    }
    assert!(line.relayer.runs());
    let metrics = line.relayer.admin.metrics().await.unwrap();
    assert_eq!(metrics.sum("relay_verification_failures_total", &[]), 0.0, "an honest node was called a liar");
    let ours = wallets.relayer.address();
    for node in [line.net.a.node(), line.net.b.node(), c.node()] {
        assert_eq!(relayer_tests::relay::History::read(node).await.unwrap().repeated_by(ours), []);
    }
    assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0));
}
