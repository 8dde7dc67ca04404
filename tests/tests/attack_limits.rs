//! Too much at once: a channel's delayed packets in one burst, and nodes that push us back or hold us up.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use relayer_tests::devnet::embedded::{EmbeddedChain, EmbeddedNet, Fault};
use relayer_tests::devnet::{ConfigOptions, STAKE, Transfer, User, Wallet};
use relayer_tests::relay::{Action, End, Line, Link, until};

const WAIT: Duration = Duration::from_secs(240);

/// Acts and looks at a port of the chain that has no faults.
fn user(chain: &EmbeddedChain, wallet: &Wallet) -> User {
    User::new(chain.observer().clone(), chain.id(), wallet.clone(), "0.000000stake")
}

fn observed(line: &Line<EmbeddedNet>, n: usize) -> Link {
    let link = line.link(n).unwrap();
    let end = |chain: &EmbeddedChain, channel: String| End { node: chain.observer().clone(), channel };
    Link { a: end(&line.net.a, link.a.channel), b: end(&line.net.b, link.b.channel) }
}

/// Packets of the burst, and how many single ones go over the other channel meanwhile.
const BURST: usize = 2_000;
const SINGLES: usize = 5;
/// Blocks from sending to receiving a single packet while the burst is relayed (17 were measured). A block of the burst is a few hundred messages, and one
/// transaction of each lane may be under way before the single packet's turn.
const BLOCKS: u64 = 60;
/// Calls a second and at once that the relayer may make.
const RATE: u64 = 200;
const AT_ONCE: u64 = 400;

#[tokio::test(flavor = "multi_thread")]
async fn attack_40_delayed_packets_released_in_one_burst() {
    let limits = format!("requests_per_second = {RATE}\nburst = {AT_ONCE}\n");
    let options = ConfigOptions { channels: 2, limits, ..ConfigOptions::default() };
    let mut line = Line::open(EmbeddedNet::two_chains().await.unwrap(), &options).await.unwrap();
    let (spammed, other) = (observed(&line, 0), observed(&line, 1));
    let alice = user(&line.net.a, &line.net.wallets.user_a);
    let bob = line.net.wallets.user_b.address();
    for _ in 0..BURST / 500 {
        alice.burst(&vec![Transfer::new(&spammed.a.channel, 1, STAKE, bob); 500]).await.unwrap();
    }
    let before = [&line.net.a, &line.net.b].map(|chain| chain.faults().calls());
    let since = Instant::now();
    line.relayer.start().await.unwrap();
    let mut slowest = 0;
    let mut within_burst = 0;
    for n in 1..=SINGLES {
        alice.transfer(&Transfer::new(&other.a.channel, 1, STAKE, bob)).await.unwrap();
        let sent = line.net.b.observer().height().await.unwrap();
        other.b.has_received(n, WAIT).await.unwrap();
        let blocks = line.net.b.observer().height().await.unwrap() - sent;
        let of_burst = spammed.b.received().await.unwrap().len();
        println!("single packet {n}: {blocks} blocks, {of_burst} of the burst received");
        slowest = slowest.max(blocks);
        within_burst += usize::from(of_burst < BURST);
    }
    assert!(within_burst > 0, "the burst was over before the first single packet arrived");
    assert!(slowest <= BLOCKS, "{slowest} blocks");
    spammed.settled(WAIT).await.unwrap();
    other.settled(WAIT).await.unwrap();
    let seconds = since.elapsed().as_secs() + 1;
    for (chain, before) in [&line.net.a, &line.net.b].into_iter().zip(before) {
        let calls = chain.faults().calls() - before;
        println!("{}: {calls} calls in {seconds} s", chain.id());
        assert!(calls <= AT_ONCE + RATE * seconds, "{calls} calls in {seconds} s");
    }
    let b = spammed.b.history().await.unwrap();
    assert_eq!(b.effects_of(Action::Receive, &spammed.a.channel).unwrap(), BURST);
    assert_eq!(b.repeated_by(line.net.wallets.relayer.address()), Vec::new());
}

/// What the node asks for, seconds, and how many such answers are awaited.
const RETRY_AFTER_S: u64 = 2;
const ROUNDS: usize = 3;
/// Requests that were under way when the first of them was refused are seen within this.
const UNDER_WAY: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn attack_43_storm_of_429_and_slowloris() {
    let net = EmbeddedNet::two_chains().await.unwrap();
    let mut line = Line::open(net, &ConfigOptions::default()).await.unwrap();
    let link = observed(&line, 0);
    let (alice, bob) = (user(&line.net.a, &line.net.wallets.user_a), user(&line.net.b, &line.net.wallets.user_b));
    line.relayer.start().await.unwrap();
    let storm = Fault::TooManyRequests { permille: 1_000, retry_after_s: Some(RETRY_AFTER_S) };
    line.net.b.faults().set(storm);
    alice.transfer(&Transfer::new(&link.a.channel, 1, STAKE, bob.address())).await.unwrap();

    // One group of refused requests after another, and none inside a Retry-After.
    let faults = line.net.b.faults();
    let groups = || {
        let mut groups: Vec<(Duration, Duration)> = Vec::new();
        for refused in faults.history().into_iter().filter(|injected| injected.fault == storm.name()) {
            match groups.last_mut() {
                Some((first, last)) if refused.at < *first + UNDER_WAY => *last = refused.at,
                _ => groups.push((refused.at, refused.at)),
            }
        }
        groups
    };
    until("refusals", WAIT, async || Ok((groups().len() > ROUNDS).then_some(()))).await.unwrap();
    let seen = groups();
    for pair in seen.windows(2) {
        assert!(pair[1].0 - pair[0].1 >= Duration::from_secs(RETRY_AFTER_S), "{seen:?}");
    }
    // The other chain is followed meanwhile.
    followed(&line, &line.net.a).await;
    faults.lift(storm);
    link.b.has_received(1, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();

    // Then answers that never come to an end.
    let stalled = faults.injected(Fault::StalledHttp.name());
    faults.set(Fault::StalledHttp);
    alice.transfer(&Transfer::new(&link.a.channel, 1, STAKE, bob.address())).await.unwrap();
    bob.transfer(&Transfer::new(&link.b.channel, 1, STAKE, alice.address())).await.unwrap();
    let held = async || Ok((faults.injected(Fault::StalledHttp.name()) > stalled).then_some(()));
    until("a request without an answer", WAIT, held).await.unwrap();
    followed(&line, &line.net.a).await;
    let metrics = line.relayer.admin.metrics().await.unwrap();
    assert!(metrics.sum("relay_rpc_requests_total", &[("chain", line.net.b.id()), ("status", "throttled")]) >= 3.0);
    faults.lift(Fault::StalledHttp);
    link.b.has_received(2, WAIT).await.unwrap();
    link.a.has_received(1, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    assert!(line.relayer.runs() && !line.relayer.log().contains("panicked"));
}

/// The relayer goes on seeing this chain's blocks.
async fn followed(line: &Line<EmbeddedNet>, chain: &EmbeddedChain) {
    let goal = chain.observer().height().await.unwrap() + 8;
    until("the other chain's newest blocks", WAIT, async || {
        let metrics = line.relayer.admin.metrics().await?;
        let height = metrics.sum("relay_chain_height", &[("chain", chain.id())]);
        Ok((height >= goal as f64).then_some(()))
    })
    .await
    .unwrap();
}
