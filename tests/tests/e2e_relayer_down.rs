//! Packets sent while the relayer is down are found at its start, whatever stage they are in.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::{ConfigOptions, Devnet, STAKE, Transfer};
use relayer_tests::relay::{Action, Line};

const WAIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_in_the_absence_of_the_relayer_is_relayed_at_its_start() {
    let mut line = Line::open(Devnet::two_chains().await.unwrap(), &ConfigOptions::default()).await.unwrap();
    let link = line.link(0).unwrap();
    let (alice, bob) = (line.net.a.user(&line.net.wallets.user_a), line.net.b.user(&line.net.wallets.user_b));
    let there = Transfer::new(&link.a.channel, 3, STAKE, bob.address());
    let back = Transfer::new(&link.b.channel, 5, STAKE, alice.address());

    // Before the first start ever, and after a stop; the second time the journal is of the past, and packets lie in many
    // blocks, alone and in groups.
    let mut expected = 0;
    for round in 0..2 {
        for group in [1, 1, 28] {
            let (sent, returned) = (vec![there.clone(); group], vec![back.clone(); group]);
            let (sent, returned) = tokio::join!(alice.burst(&sent), bob.burst(&returned));
            assert!(sent.is_ok() && returned.is_ok());
            expected += group;
        }
        assert_eq!((link.a.open().await.unwrap().len(), link.b.open().await.unwrap().len()), (30, 30));
        line.net.a.wait_blocks(3).await.unwrap();
        line.relayer.start().await.unwrap();
        link.settled(WAIT).await.unwrap();
        assert_eq!(link.b.received().await.unwrap().len(), expected, "round {round}");
        assert_eq!(link.a.received().await.unwrap().len(), expected, "round {round}");
        // And it goes on with what is new.
        alice.transfer(&there).await.unwrap();
        bob.transfer(&back).await.unwrap();
        expected += 1;
        link.b.has_received(expected, WAIT).await.unwrap();
        link.a.has_received(expected, WAIT).await.unwrap();
        link.settled(WAIT).await.unwrap();
        assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0));
    }
    let voucher = line.net.b.balance(bob.address(), &link.voucher_on_b(STAKE)).await.unwrap();
    assert_eq!(voucher, 3 * expected as u128);
    let voucher = line.net.a.balance(alice.address(), &link.voucher_on_a(STAKE)).await.unwrap();
    assert_eq!(voucher, 5 * expected as u128);
    let ours = line.net.wallets.relayer.address();
    let (a, b) = (link.a.history().await.unwrap(), link.b.history().await.unwrap());
    assert_eq!(b.effects_of(Action::Receive, &link.a.channel).unwrap(), expected);
    assert_eq!(a.effects_of(Action::Acknowledge, &link.a.channel).unwrap(), expected);
    for history in [a, b] {
        assert_eq!((history.repeated_by(ours), history.failed_of(ours)), (vec![], 0));
    }
}
