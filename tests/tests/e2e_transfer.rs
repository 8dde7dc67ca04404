//! ICS-20 transfers both ways, the voucher's way home, and a transfer nobody can receive: balances to the last unit.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::{ConfigOptions, Devnet, STAKE, Transfer};
use relayer_tests::relay::{Action, Line, escrow_address};

const WAIT: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn coins_cross_both_ways_vouchers_come_home_and_what_nobody_can_receive_is_refunded() {
    let mut line = Line::open(Devnet::two_chains().await.unwrap(), &ConfigOptions::default()).await.unwrap();
    line.relayer.start().await.unwrap();
    let link = line.link(0).unwrap();
    let (a, b) = (&line.net.a, &line.net.b);
    let (alice, bob) = (a.user(&line.net.wallets.user_a), b.user(&line.net.wallets.user_b));
    let funds = a.balance(alice.address(), STAKE).await.unwrap();
    let (on_a, on_b) = (link.voucher_on_a(STAKE), link.voucher_on_b(STAKE));
    let escrow_a = escrow_address(&link.a.channel).unwrap();
    let escrow_b = escrow_address(&link.b.channel).unwrap();

    alice.transfer(&Transfer::new(&link.a.channel, 1_000, STAKE, bob.address())).await.unwrap();
    bob.transfer(&Transfer::new(&link.b.channel, 700, STAKE, alice.address())).await.unwrap();
    link.b.has_received(1, WAIT).await.unwrap();
    link.a.has_received(1, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    assert_eq!(a.balance(alice.address(), STAKE).await.unwrap(), funds - 1_000);
    assert_eq!(b.balance(bob.address(), STAKE).await.unwrap(), funds - 700);
    assert_eq!(b.balance(bob.address(), &on_b).await.unwrap(), 1_000);
    assert_eq!(a.balance(alice.address(), &on_a).await.unwrap(), 700);
    assert_eq!(a.balance(&escrow_a, STAKE).await.unwrap(), 1_000);
    assert_eq!(b.balance(&escrow_b, STAKE).await.unwrap(), 700);

    // The voucher goes home: it is burnt there, and the coin it stands for comes out of escrow.
    bob.transfer(&Transfer::new(&link.b.channel, 400, &on_b, alice.address())).await.unwrap();
    link.a.has_received(2, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    assert_eq!(a.balance(alice.address(), STAKE).await.unwrap(), funds - 600);
    assert_eq!(b.balance(bob.address(), &on_b).await.unwrap(), 600);
    assert_eq!(a.balance(&escrow_a, STAKE).await.unwrap(), 600);
    let minted: Vec<_> = a.node().balances(alice.address()).await.unwrap();
    assert_eq!(minted.iter().filter(|(denom, _)| denom.starts_with("ibc/")).count(), 1, "{minted:?}");

    // The receiver is no address: the acknowledgement says so, and the sender is refunded.
    alice.transfer(&Transfer::new(&link.a.channel, 50, STAKE, "nobody")).await.unwrap();
    link.b.has_received(2, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    assert_eq!(a.balance(alice.address(), STAKE).await.unwrap(), funds - 600);
    assert_eq!(a.balance(&escrow_a, STAKE).await.unwrap(), 600);

    let (history_a, history_b) = (link.a.history().await.unwrap(), link.b.history().await.unwrap());
    assert_eq!(history_b.effects_of(Action::Receive, &link.a.channel).unwrap(), 2);
    assert_eq!(history_a.effects_of(Action::Acknowledge, &link.a.channel).unwrap(), 2);
    assert_eq!(history_a.effects_of(Action::Receive, &link.b.channel).unwrap(), 2);
    assert_eq!(history_b.effects_of(Action::Acknowledge, &link.b.channel).unwrap(), 2);
    let ours = line.net.wallets.relayer.address();
    for history in [&history_a, &history_b] {
        assert_eq!(history.repeated_by(ours), []);
        assert_eq!(history.failed_of(ours), 0);
        assert!(history.deliveries.iter().all(|d| d.action != Action::TimeOut));
    }

    // The relayer counts what the chains show.
    let ended = relayer_tests::relay::until("four acknowledged packets in /status", WAIT, async || {
        let status = line.relayer.admin.status().await?;
        let path = status["paths"][0].clone();
        Ok((path["ended"]["acked"] == 4 && path["open_packets"] == 0).then_some(path))
    });
    let path = ended.await.unwrap();
    assert_eq!((&path["ended"]["timed_out"], &path["ended"]["failed"]), (&0.into(), &0.into()), "{path}");
    let metrics = line.relayer.admin.metrics().await.unwrap();
    assert_eq!(metrics.sum("relay_packets_total", &[("outcome", "acked")]), 4.0);
    assert_eq!(metrics.sum("crosschain_transaction_latency_ms_count", &[("status", "success")]), 4.0);
    assert_eq!(metrics.sum("relay_verification_failures_total", &[]), 0.0);
    assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0));
}
