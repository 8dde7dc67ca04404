//! An empty wallet: named with its remedy, and once it is funded the running relayer works on.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::{ConfigOptions, Devnet, End, STAKE, Transfer};
use relayer_tests::relay::{Action, Line};

const WAIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_wallet_is_named_and_works_once_it_is_funded() {
    let net = Devnet::with(|spec| spec.min_gas_prices("0.01stake")).await.unwrap();
    let mut line = Line::open(net, &ConfigOptions::default()).await.unwrap();
    let link = line.link(0).unwrap();
    let (alice, bob) = (line.net.a.user(&line.net.wallets.user_a), line.net.b.user(&line.net.wallets.user_b));
    let poor = line.net.wallets.empty.address().to_owned();
    let poor = poor.as_str();
    let b = End { key: Some("empty".to_owned()), ..End::default() };
    line.rewrite(&ConfigOptions { b, ..ConfigOptions::default() }).unwrap();

    // `check` finds it before `start` does.
    let check = line.relayer.run(&["check"]).await.unwrap();
    assert_eq!(check.code, Some(1), "{}", check.text());
    assert!(check.text().contains(poor) && check.text().contains("sim-b-1"), "{}", check.text());

    // No account at all on B: nothing is received there, and the reason names wallet, chain and remedy.
    alice.burst(&vec![Transfer::new(&link.a.channel, 1, STAKE, bob.address()); 3]).await.unwrap();
    line.relayer.launch().unwrap();
    let reasons = line.relayer.degraded(&[poor, "sim-b-1", "send"], WAIT).await.unwrap();
    println!("no account: {reasons}");
    assert!(line.relayer.runs() && link.b.received().await.unwrap().is_empty());

    // An account that can't pay one transaction.
    bob.send(poor, 10, STAKE).await.unwrap();
    alice.transfer(&Transfer::new(&link.a.channel, 1, STAKE, bob.address())).await.unwrap();
    line.net.b.wait_blocks(10).await.unwrap();
    let reasons = line.relayer.degraded(&[poor, "sim-b-1", "can't pay the fee", "send coins"], WAIT).await.unwrap();
    println!("too little: {reasons}");
    assert!(link.b.received().await.unwrap().is_empty());

    // Funded: without a restart all of it is relayed, and the complaint ends.
    bob.send(poor, 1_000_000_000, STAKE).await.unwrap();
    link.b.has_received(4, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    line.relayer.ready(WAIT).await.unwrap();
    assert!(line.net.b.balance(poor, STAKE).await.unwrap() < 1_000_000_010);
    let history = link.b.history().await.unwrap();
    assert_eq!(history.effects_of(Action::Receive, &link.a.channel).unwrap(), 4);
    assert_eq!((history.failed_of(poor), history.repeated_by(poor)), (0, vec![]));
    bob.transfer(&Transfer::new(&link.b.channel, 1, STAKE, alice.address())).await.unwrap();
    link.a.has_received(1, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    let check = line.relayer.run(&["check"]).await.unwrap();
    assert!(!check.text().contains("owns no"), "{}", check.text());
    assert!(line.relayer.runs());
}
