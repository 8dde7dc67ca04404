//! A rival relayer, a second instance of ours with its own wallet and store, on the same channel.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::{ConfigOptions, Devnet, End, STAKE, Transfer};
use relayer_tests::relay::{Action, Line};

const WAIT: Duration = Duration::from_secs(180);
const PACKETS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn two_relayers_on_one_channel_deliver_every_packet_once_and_live_on() {
    let mut line = Line::open(Devnet::two_chains().await.unwrap(), &ConfigOptions::default()).await.unwrap();
    let end = End { key: Some("rival".to_owned()), ..End::default() };
    let options = ConfigOptions { a: end.clone(), b: end, ..ConfigOptions::default() };
    let mut rival = line.another("rival", &options).unwrap();
    line.relayer.start().await.unwrap();
    rival.start().await.unwrap();
    let link = line.link(0).unwrap();
    let (alice, bob) = (line.net.a.user(&line.net.wallets.user_a), line.net.b.user(&line.net.wallets.user_b));

    // Half in a burst, half one by one: the rivals meet in large batches and in single packets.
    let there = vec![Transfer::new(&link.a.channel, 1, STAKE, bob.address()); PACKETS / 2];
    let back = vec![Transfer::new(&link.b.channel, 1, STAKE, alice.address()); PACKETS / 2];
    let (sent, returned) = tokio::join!(alice.burst(&there), bob.burst(&back));
    assert!(sent.is_ok() && returned.is_ok());
    for group in there.chunks(10).zip(back.chunks(10)) {
        let (sent, returned) = tokio::join!(alice.burst(group.0), bob.burst(group.1));
        assert!(sent.is_ok() && returned.is_ok());
    }
    link.b.has_received(PACKETS, WAIT).await.unwrap();
    link.a.has_received(PACKETS, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    assert!(line.relayer.runs() && rival.runs(), "a relayer ended");
    line.relayer.ready(WAIT).await.unwrap();
    rival.ready(WAIT).await.unwrap();

    let (a, b) = (link.a.history().await.unwrap(), link.b.history().await.unwrap());
    assert_eq!(b.effects_of(Action::Receive, &link.a.channel).unwrap(), PACKETS);
    assert_eq!(a.effects_of(Action::Receive, &link.b.channel).unwrap(), PACKETS);
    assert_eq!(a.effects_of(Action::Acknowledge, &link.a.channel).unwrap(), PACKETS);
    assert_eq!(b.effects_of(Action::Acknowledge, &link.b.channel).unwrap(), PACKETS);
    let voucher = line.net.b.balance(bob.address(), &link.voucher_on_b(STAKE)).await.unwrap();
    assert_eq!(voucher, PACKETS as u128);
    let mut worked = 0;
    for wallet in [&line.net.wallets.relayer, &line.net.wallets.rival] {
        let mut paid = 0;
        for history in [&a, &b] {
            // A race may make a message redundant; sending it again oneself may not.
            assert_eq!(history.repeated_by(wallet.address()), [], "{}", wallet.name());
            paid += history.deliveries.iter().filter(|d| d.signer == wallet.address()).count();
        }
        println!(
            "{}: {paid} messages, {} failed transactions",
            wallet.name(),
            a.failed_of(wallet.address()) + b.failed_of(wallet.address())
        );
        worked += usize::from(paid > 0);
    }
    println!("{} messages needed, {} paid for", 4 * PACKETS, a.deliveries.len() + b.deliveries.len());
    assert!(worked > 0);

    // One of them ends: the other carries on alone.
    assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0));
    alice.transfer(&there[0]).await.unwrap();
    link.b.has_received(PACKETS + 1, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    assert_eq!(rival.stop().await.unwrap().0.code(), Some(0));
}
