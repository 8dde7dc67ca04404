//! Finality that is handed over, endangered and lost: sets of authorities that change, validators that are down.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::substrate::SubstrateSpec;
use relayer_tests::devnet::{STAKE, Transfer};
use relayer_tests::relay::{Across, Families, until};

const WAIT: Duration = Duration::from_secs(120);

/// Hands finality over to the same validators with other weights, and waits until they finalize.
async fn hand_over(line: &Across, delay: u32) {
    let node = &line.on_substrate.node;
    let set = node.set_id().await.unwrap();
    let weights = (1..).map(|n| 2 + (n + set) % 3);
    let next: Vec<_> = node.authorities().await.unwrap().into_iter().map(|(key, _)| key).zip(weights).collect();
    line.root.schedule_authorities(&next, delay).await.unwrap();
    until("the next set", WAIT, async || Ok((node.set_id().await? > set).then_some(()))).await.unwrap();
}

fn both(line: &Across, amount: u128) -> (Transfer, Transfer) {
    let there = Transfer::new(&line.on_simd.channel, amount, STAKE, line.bob.address());
    (there, Transfer::new(&line.on_substrate.channel, amount, "unit", line.alice.address()))
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_change_while_packets_are_in_flight_and_three_times_while_no_relayer_runs() {
    let mut line = Across::start(4).await.unwrap();
    line.relayer.start().await.unwrap();
    let unit = line.voucher_on_simd("unit");

    // Packets before, amid and after a hand-over with a delay.
    let (there, back) = both(&line, 10);
    for delay in [2, 4] {
        line.alice.burst(&vec![there.clone(); 5]).await.unwrap();
        line.bob.burst(&vec![back.clone(); 5]).await.unwrap();
        hand_over(&line, delay).await;
        line.alice.burst(&vec![there.clone(); 5]).await.unwrap();
        line.bob.burst(&vec![back.clone(); 5]).await.unwrap();
    }
    line.settled(WAIT).await.unwrap();
    let received = async |line: &Across| {
        let units = line.on_simd.node.balance(line.alice.address(), &unit).await.unwrap();
        (line.bob_has(STAKE).await.unwrap(), units)
    };
    assert_eq!(received(&line).await, (200, 200));

    // The light client on the Cosmos chain must be brought over three sets, one after the other.
    assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0));
    for _ in 0..3 {
        line.alice.transfer(&there).await.unwrap();
        line.bob.transfer(&back).await.unwrap();
        hand_over(&line, 1).await;
    }
    assert_eq!(line.on_substrate.node.set_id().await.unwrap(), 5);
    // And by less than a transaction holds.
    let mut options = line.chains.options();
    options.simd = "max_tx_bytes = 10000".to_owned();
    line.rewrite(&options).unwrap();
    line.relayer.start().await.unwrap();
    line.settled(WAIT).await.unwrap();
    assert!(line.relayer.log().contains("client update ahead of the others"), "{}", line.relayer.log());
    assert_eq!(received(&line).await, (230, 230));
    let metrics = line.relayer.admin.metrics().await.unwrap();
    assert_eq!(metrics.sum("relay_verification_failures_total", &[]), 0.0);
    assert_eq!(metrics.sum("relay_packets_total", &[("outcome", "failed")]), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_validator_of_four_may_be_down_and_what_stalled_finality_held_up_is_relayed_once_it_is_back() {
    // The relayer prefers the node that is killed first, then the one that is killed next.
    let chains = Families::start(SubstrateSpec::validators(4)).await.unwrap();
    let mut options = chains.options();
    options.substrate_rpc.reverse();
    let mut line = Across::open(chains, &options).await.unwrap();
    line.relayer.start().await.unwrap();
    let unit = line.voucher_on_simd("unit");
    let (there, back) = both(&line, 10);

    line.chains.substrate.kill(3).await.unwrap();
    line.alice.burst(&vec![there.clone(); 5]).await.unwrap();
    line.bob.burst(&vec![back.clone(); 5]).await.unwrap();
    line.settled(WAIT).await.unwrap();

    // Two of four finalize nothing. What was sent to the Cosmos chain can't be proven, nor what was received from it.
    let stuck = Transfer::new(&line.on_simd.channel, 1, STAKE, line.bob.address());
    line.chains.substrate.kill(2).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let final_now = line.on_substrate.node.finalized().await.unwrap();
    line.alice.transfer(&stuck).await.unwrap();
    let best = line.on_substrate.node.best().await.unwrap();
    until("blocks that are not final", WAIT, async || {
        Ok((line.on_substrate.node.best().await? > best + 8).then_some(()))
    })
    .await
    .unwrap();
    assert!(line.on_substrate.node.finalized().await.unwrap() <= final_now + 1);
    assert_eq!(line.on_simd.open().await.unwrap(), [6]);
    assert!(line.relayer.runs());

    line.chains.substrate.start_again(2).await.unwrap();
    line.chains.substrate.start_again(3).await.unwrap();
    line.bob.burst(&vec![back.clone(); 5]).await.unwrap();
    line.settled(WAIT).await.unwrap();
    let units = line.on_simd.node.balance(line.alice.address(), &unit).await.unwrap();
    assert_eq!((line.bob_has(STAKE).await.unwrap(), units), (51, 100));
    let metrics = line.relayer.admin.metrics().await.unwrap();
    assert_eq!(metrics.sum("relay_verification_failures_total", &[]), 0.0);
    assert_eq!(metrics.sum("relay_packets_total", &[("outcome", "failed")]), 0.0);
    assert_eq!(metrics.sum("relay_redundant_messages_total", &[]), 0.0);
}
