//! Timeouts are judged by the destination's proven height and time only: a node that lies about either can't make the
//! relayer time a packet out early, and a timeout at the end of time is no overflow.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::{STAKE, Transfer};
use relayer_tests::proxy::tamper::{attribute, set_attribute};
use relayer_tests::proxy::{Proxy, When, tamper};
use relayer_tests::relay::{Action, Siege, relayed};
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(60);

/// All times that the node tells without a proof lie centuries ahead.
fn lie_about_time(proxy: &Proxy) {
    let future = || json!("2150-01-01T00:00:00.000000001Z");
    proxy.tamper(When::method("block"), tamper::set("/block/header/time", future()));
    proxy.tamper(When::method("status"), tamper::set("/sync_info/latest_block_time", future()));
    proxy.tamper(When::method("blockchain"), tamper::set("/block_metas/0/header/time", future()));
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_36_a_node_that_lies_about_time_times_nothing_out() {
    // The liar is the second chain's only node.
    let mut siege = Siege::open().await.unwrap();
    siege.line.relayer.start().await.unwrap();
    let link = siege.target().unwrap();
    let wallets = siege.line.net.wallets.clone();
    siege.flows(&link, WAIT).await.unwrap();

    let before = siege.start_counting().await.unwrap();
    lie_about_time(&siege.b);
    siege.refused(&siege.line.net.b, "block_time", WAIT).await.unwrap();
    let alice = siege.line.net.a.user(&wallets.user_a);
    alice.transfer(&Transfer::new(&link.a.channel, 5, STAKE, wallets.user_b.address())).await.unwrap();
    siege.line.net.a.wait_blocks(12).await.unwrap();
    assert!(siege.b.tampered() > 0);
    let timeouts = |proxy: &Proxy| relayed(proxy).unwrap().iter().filter(|r| r.action == Action::TimeOut).count();
    assert_eq!(timeouts(&siege.a), 0, "the packet was timed out by a lie");
    // Nothing at all is done on the chain whose packet and client the lie concerns.
    let now = siege.paid().await.unwrap();
    assert_eq!((now.sequences[0], now.balances[0]), (before.sequences[0], before.balances[0]));
    siege.b.heal();
    link.settled(WAIT).await.unwrap();
    let received = siege.line.net.b.balance(wallets.user_b.address(), &link.voucher_on_b(STAKE)).await.unwrap();
    assert_eq!(received, 6);
    assert_eq!(timeouts(&siege.a), 0);
    assert_eq!(siege.damage().await.unwrap(), [""; 0]);

    // Started while the node lies: nothing is paid, and it relays when the lie ends.
    siege.line.relayer.stop().await.unwrap();
    lie_about_time(&siege.b);
    let before = siege.start_counting().await.unwrap();
    let alice = siege.line.net.a.user(&wallets.user_a);
    alice.transfer(&Transfer::new(&link.a.channel, 5, STAKE, wallets.user_b.address())).await.unwrap();
    siege.line.relayer.launch().unwrap();
    siege.refused(&siege.line.net.b, "block_time", WAIT).await.unwrap();
    siege.line.net.a.wait_blocks(8).await.unwrap();
    let now = siege.paid().await.unwrap();
    assert_eq!((now.messages, now.sequences), (vec![], before.sequences));
    siege.b.heal();
    link.settled(WAIT).await.unwrap();
    assert_eq!(timeouts(&siege.a), 0);
    siege.flows(&link, WAIT).await.unwrap();
    assert_eq!(siege.damage().await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_36_beside_an_honest_node_a_liar_about_time_delays_nothing() {
    let mut siege = Siege::with(true, |_| ()).await.unwrap();
    siege.line.relayer.start().await.unwrap();
    let (link, other) = (siege.target().unwrap(), siege.other().unwrap());
    siege.start_counting().await.unwrap();
    lie_about_time(&siege.b);
    siege.quarantined(&siege.line.net.b, "block_time", WAIT).await.unwrap();
    siege.flows(&link, WAIT).await.unwrap();
    siege.flows(&other, WAIT).await.unwrap();
    assert!(siege.b.tampered() > 0);
    assert!(relayed(&siege.a).unwrap().iter().all(|r| r.action != Action::TimeOut));
    assert!(!relayed(siege.spare.as_ref().unwrap()).unwrap().is_empty());
    assert_eq!(siege.damage().await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_36_timeouts_at_the_end_of_time_are_ordinary_and_forged_ones_are_refused() {
    let mut siege = Siege::open().await.unwrap();
    siege.line.relayer.start().await.unwrap();
    let (link, other) = (siege.target().unwrap(), siege.other().unwrap());
    let wallets = siege.line.net.wallets.clone();
    let alice = siege.line.net.a.user(&wallets.user_a);
    let transfer = Transfer::new(&link.a.channel, 1, STAKE, wallets.user_b.address());
    siege.start_counting().await.unwrap();
    // What the chain itself accepts.
    let mut sent = 0;
    for (height, time) in
        [(Some((1, u64::MAX)), 0), (Some((u64::MAX, u64::MAX)), 0), (None, u64::MAX), (None, i64::MAX as u64)]
    {
        let far = Transfer { timeout_height: height, timeout_timestamp_ns: time, ..transfer.clone() };
        match alice.transfer(&far).await {
            Ok(_) => sent += 1,
            Err(error) => println!("the chain refuses {height:?} {time}: {error}"),
        }
    }
    assert!(sent >= 2, "{sent}");
    link.b.has_received(sent, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    assert!(relayed(&siege.a).unwrap().iter().all(|r| r.action != Action::TimeOut));

    // What only a node claims: a number too large, no timeout at all, one that has long passed.
    let channel = link.a.channel.clone();
    for (height, time, reason) in [
        ("1-18446744073709551616", "0", "event_number"),
        ("0-0", "18446744073709551616", "event_number"),
        ("0-0", "-1", "event_number"),
        ("0-0", "0", "packet_without_timeout"),
        ("1-1", "1", "commitment_mismatch"),
    ] {
        let before = siege.start_counting().await.unwrap();
        let source = channel.clone();
        let forge = move |event: &mut Value| {
            let ours = attribute(event, "packet_src_channel") == source;
            ours && (set_attribute(event, "packet_timeout_height", height)
                | set_attribute(event, "packet_timeout_timestamp", time))
        };
        siege.a.tamper(When::method("block_results"), tamper::event("send_packet", forge));
        let alice = siege.line.net.a.user(&wallets.user_a);
        alice.transfer(&transfer).await.unwrap();
        // By the last lie the packet has timed out, and its receipt is truly absent.
        siege.refused(&siege.line.net.a, reason, WAIT).await.unwrap();
        siege.line.net.b.wait_blocks(4).await.unwrap();
        assert!(siege.a.tampered() > 0);
        assert_eq!(siege.paid().await.unwrap(), before, "{height} {time}");
        siege.flows(&other, WAIT).await.unwrap();
        siege.a.heal();
        link.settled(WAIT).await.unwrap_or_else(|e| panic!("{height} {time}: {e}"));
        assert!(relayed(&siege.a).unwrap().iter().all(|r| r.action != Action::TimeOut), "{height} {time}");
    }
    assert_eq!(siege.damage().await.unwrap(), [""; 0]);
}
