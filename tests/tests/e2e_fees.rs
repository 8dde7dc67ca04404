//! Chains that ask for fees: paid at the configured price, counted to the last unit, and too low a price said.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::{ConfigOptions, Devnet, End, STAKE, Transfer};
use relayer_tests::relay::{Action, Line, until};

const WAIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn fees_are_paid_and_the_account_of_them_agrees_with_the_wallets() {
    let net = Devnet::with(|spec| spec.min_gas_prices("0.025stake")).await.unwrap();
    let mut line = Line::open(net, &ConfigOptions::default()).await.unwrap();
    let link = line.link(0).unwrap();
    let (alice, bob) = (line.net.a.user(&line.net.wallets.user_a), line.net.b.user(&line.net.wallets.user_b));
    let ours = line.net.wallets.relayer.address().to_owned();
    let balances = async || {
        let (a, b) = (&line.net.a, &line.net.b);
        let (a, b) = tokio::try_join!(a.balance(&ours, STAKE), b.balance(&ours, STAKE)).unwrap();
        [a, b]
    };
    let before = balances().await;

    line.relayer.start().await.unwrap();
    alice.burst(&vec![Transfer::new(&link.a.channel, 1, STAKE, bob.address()); 40]).await.unwrap();
    bob.burst(&vec![Transfer::new(&link.b.channel, 1, STAKE, alice.address()); 40]).await.unwrap();
    link.b.has_received(40, WAIT).await.unwrap();
    link.a.has_received(40, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();

    // All that left the wallets stands in the metrics, chain by chain; the last transaction may be counted a moment later.
    let after = balances().await;
    let spent = [before[0] - after[0], before[1] - after[1]];
    assert!(spent.iter().all(|s| *s > 0), "{spent:?}");
    let counted = until("fees counted as they were paid", WAIT, async || {
        let metrics = line.relayer.admin.metrics().await?;
        let of = |chain| metrics.sum("relay_fees_spent_total", &[("chain", chain), ("denom", STAKE)]);
        let counted = [of("sim-a-1"), of("sim-b-1")];
        if counted == spent.map(|s| s as f64) {
            return Ok(Some(metrics));
        }
        Err(relayer_tests::DevnetError::Timeout { what: format!("{counted:?}, paid were {spent:?}"), after_ms: 0 })
    });
    let metrics = counted.await.unwrap();
    let kinds: f64 = ["recv_packet", "acknowledge_packet"]
        .map(|kind| metrics.sum("relay_fees_spent_total", &[("kind", kind)]))
        .iter()
        .sum();
    assert!(kinds > 0.0, "fees are not told apart by message");
    let history = link.b.history().await.unwrap();
    assert_eq!(history.effects_of(Action::Receive, &link.a.channel).unwrap(), 40);
    assert_eq!((history.failed_of(&ours), history.repeated_by(&ours)), (0, vec![]));
    println!("fees of 160 messages: {spent:?}");
    assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0));

    // Too low a price: nothing is paid, and the setting to raise is named.
    let end = End { gas_price: Some("0.001stake".to_owned()), ..End::default() };
    line.rewrite(&ConfigOptions { a: end.clone(), b: end, ..ConfigOptions::default() }).unwrap();
    line.relayer.launch().unwrap();
    alice.transfer(&Transfer::new(&link.a.channel, 1, STAKE, bob.address())).await.unwrap();
    let reasons = line.relayer.degraded(&["sim-b-1", "price"], WAIT).await.unwrap();
    println!("too low a price: {reasons}");
    assert_eq!(link.a.open().await.unwrap().len(), 1);
    assert_eq!(line.net.b.balance(&ours, STAKE).await.unwrap(), after[1]);
    assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0));
    line.rewrite(&ConfigOptions::default()).unwrap();
    line.relayer.start().await.unwrap();
    link.b.has_received(41, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
}
