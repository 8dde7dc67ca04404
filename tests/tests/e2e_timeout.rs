//! Timeouts by height and by timestamp: refunded, and only when the destination itself has proven to be past them.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::{ConfigOptions, Devnet, STAKE, Transfer};
use relayer_tests::relay::{Action, Line, until};

const WAIT: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn late_packets_are_refunded_once_and_punctual_ones_beside_them_received() {
    let mut line = Line::open(Devnet::two_chains().await.unwrap(), &ConfigOptions::default()).await.unwrap();
    let link = line.link(0).unwrap();
    let alice = line.net.a.user(&line.net.wallets.user_a);
    let bob = line.net.b.user(&line.net.wallets.user_b);
    let funds = line.net.a.balance(alice.address(), STAKE).await.unwrap();

    // Sent while no relayer runs, and past before one does: by height, by time, and one in time, each way.
    for (from, to, user, receiver, end) in [
        (&line.net.a, &line.net.b, &alice, bob.address(), &link.a),
        (&line.net.b, &line.net.a, &bob, alice.address(), &link.b),
    ] {
        let transfer = Transfer::new(&end.channel, 100, STAKE, receiver);
        let height = to.height().await.unwrap();
        let by_height = transfer.clone().timeout_height(to.revision(), height + 6);
        let by_time = transfer.clone().timeout_in(Duration::from_secs(4));
        let in_time = Transfer { amount: 7, ..transfer };
        user.burst(&[by_height, by_time, in_time]).await.unwrap();
        assert_eq!(end.open().await.unwrap(), [1, 2, 3]);
        assert_eq!(from.balance(user.address(), STAKE).await.unwrap(), funds - 207);
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    for chain in [&line.net.a, &line.net.b] {
        chain.wait_blocks(7).await.unwrap();
    }
    line.relayer.start().await.unwrap();
    link.settled(WAIT).await.unwrap();
    assert_eq!(line.net.a.balance(alice.address(), STAKE).await.unwrap(), funds - 7);
    assert_eq!(line.net.b.balance(bob.address(), STAKE).await.unwrap(), funds - 7);
    assert_eq!(line.net.b.balance(bob.address(), &link.voucher_on_b(STAKE)).await.unwrap(), 7);
    assert_eq!(line.net.a.balance(alice.address(), &link.voucher_on_a(STAKE)).await.unwrap(), 7);

    // The destination stands still: by the clock on the wall the packet is late, by the chain's own time it is not.
    // Whoever asked the local clock would pay for a timeout now, which the source would refuse.
    line.net.b.pause().unwrap();
    alice
        .transfer(&Transfer::new(&link.a.channel, 100, STAKE, bob.address()).timeout_in(Duration::from_secs(2)))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(link.a.open().await.unwrap(), [4], "the packet ended while its destination stood still");
    let history = link.a.history().await.unwrap();
    assert_eq!(
        history.deliveries.iter().filter(|d| d.action == Action::TimeOut).count(),
        2,
        "{:?}",
        history.deliveries
    );
    line.net.b.resume().unwrap();
    link.settled(WAIT).await.unwrap();
    // The first block after that still has the time at which the last one before was signed. What waited at the node meanwhile may be in it, and
    // be in time; the money is in one place.
    let vouchers = async || line.net.b.balance(bob.address(), &link.voucher_on_b(STAKE)).await.unwrap();
    let waited = vouchers().await - 7;
    assert!(waited == 0 || waited == 100, "{waited}");
    assert_eq!(line.net.a.balance(alice.address(), STAKE).await.unwrap(), funds - 7 - waited);

    // A timeout so close that the running relayer may win or lose the race against it: either way the money is in one
    // place.
    let height = line.net.b.height().await.unwrap();
    alice
        .transfer(
            &Transfer::new(&link.a.channel, 100, STAKE, bob.address())
                .timeout_height(line.net.b.revision(), height + 3),
        )
        .await
        .unwrap();
    link.settled(WAIT).await.unwrap();
    let arrived = vouchers().await - 7 - waited;
    assert!(arrived == 0 || arrived == 100, "{arrived}");
    assert_eq!(line.net.a.balance(alice.address(), STAKE).await.unwrap(), funds - 7 - waited - arrived);

    let (a, b) = (link.a.history().await.unwrap(), link.b.history().await.unwrap());
    let late = usize::from(waited == 0) + usize::from(arrived == 0);
    assert_eq!(a.effects_of(Action::TimeOut, &link.a.channel).unwrap(), 2 + late);
    assert_eq!(b.effects_of(Action::Receive, &link.a.channel).unwrap(), 3 - late);
    assert_eq!(a.effects_of(Action::Acknowledge, &link.a.channel).unwrap(), 3 - late);
    assert_eq!(b.effects_of(Action::TimeOut, &link.b.channel).unwrap(), 2);
    assert_eq!(a.effects_of(Action::Receive, &link.b.channel).unwrap(), 1);
    let ours = line.net.wallets.relayer.address();
    // A timeout that came too early would have failed in its block.
    assert_eq!((a.failed_of(ours), a.repeated_by(ours)), (0, vec![]));
    let timed_out = 4 + late;
    until("timed out packets in /status", WAIT, async || {
        let status = line.relayer.admin.status().await?;
        Ok((status["paths"][0]["ended"]["timed_out"] == timed_out).then_some(()))
    })
    .await
    .unwrap();
    let metrics = line.relayer.admin.metrics().await.unwrap();
    assert_eq!(metrics.sum("relay_packets_total", &[("outcome", "timed_out")]), timed_out as f64);
}
