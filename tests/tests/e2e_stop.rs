//! SIGTERM and Ctrl-C: what is in flight is drained, the exit code is 0 within ten seconds, whatever goes on.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::{ConfigOptions, Devnet, STAKE, Signal, Transfer};
use relayer_tests::relay::{Action, Line};

const WAIT: Duration = Duration::from_secs(120);
const STOPS_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_relayer_asked_to_end_drains_and_exits_with_zero_within_ten_seconds() {
    let mut line = Line::open(Devnet::two_chains().await.unwrap(), &ConfigOptions::default()).await.unwrap();
    let link = line.link(0).unwrap();
    let alice = line.net.a.user(&line.net.wallets.user_a);
    let bob = line.net.wallets.user_b.address();
    let burst = vec![Transfer::new(&link.a.channel, 1, STAKE, bob); 100];

    // Idle.
    line.relayer.start().await.unwrap();
    let (status, took) = line.relayer.stop().await.unwrap();
    println!("idle: {took:?}");
    assert!(status.code() == Some(0) && took < STOPS_WITHIN, "{status} after {took:?}");
    assert!(line.relayer.admin.health().await.is_err(), "the admin port is still open");

    // In the middle of a hundred packets; Ctrl-C this time.
    line.relayer.start().await.unwrap();
    alice.burst(&burst).await.unwrap();
    link.b.has_received(1, WAIT).await.unwrap();
    line.relayer.signal(Signal::Int).unwrap();
    let status = line.relayer.ends(STOPS_WITHIN).await.unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
    println!("busy: {} received, {} open", link.b.received().await.unwrap().len(), link.a.open().await.unwrap().len());

    // Nothing it had broadcast is unaccounted for: the next run relays the rest and repeats nothing.
    line.relayer.start().await.unwrap();
    link.b.has_received(100, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    let ours = line.net.wallets.relayer.address();
    for end in [&link.a, &link.b] {
        let history = end.history().await.unwrap();
        assert_eq!((history.repeated_by(ours), history.failed_of(ours)), (vec![], 0));
        assert_eq!(history.deliveries.len(), 100);
    }
    assert_eq!(link.b.history().await.unwrap().effects_of(Action::Receive, &link.a.channel).unwrap(), 100);

    // A chain that stands still can't be drained: the relayer ends all the same.
    alice.burst(&burst).await.unwrap();
    line.net.b.pause().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (status, took) = line.relayer.stop().await.unwrap();
    println!("with a chain that stands still: {took:?}");
    assert!(status.code() == Some(0) && took < STOPS_WITHIN, "{status} after {took:?}");
    line.net.b.resume().unwrap();
    line.relayer.start().await.unwrap();
    link.b.has_received(200, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    let history = link.b.history().await.unwrap();
    assert_eq!((history.repeated_by(ours), history.deliveries.len()), (vec![], 200));
}
