//! One answer in ten of both nodes is late, cut, garbage or 429: every packet is delivered and paid for once all the same.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::embedded::EmbeddedNet;
use relayer_tests::devnet::{ConfigOptions, STAKE, Transfer};
use relayer_tests::relay::{Action, Line};
use serde_json::json;

const WAIT: Duration = Duration::from_secs(240);
const ROUNDS: usize = 3;
/// Packets each way in one round.
const ROUND: usize = 100;
const PERMILLE: u64 = 100;
const SEED: u64 = 52;

#[tokio::test(flavor = "multi_thread")]
async fn with_every_tenth_answer_spoilt_every_packet_is_delivered_and_paid_for_once() {
    let net = EmbeddedNet::two_chains().await.unwrap();
    let mut line = Line::open(net, &ConfigOptions::default()).await.unwrap();
    let link = line.link(0).unwrap();
    let (alice, bob) = (line.net.a.user(&line.net.wallets.user_a), line.net.b.user(&line.net.wallets.user_b));
    let to_b = vec![Transfer::new(&link.a.channel, 1, STAKE, bob.address()); ROUND];
    let to_a = vec![Transfer::new(&link.b.channel, 1, STAKE, alice.address()); ROUND];
    let before = line.net.a.faults().requests() + line.net.b.faults().requests();
    // The first round is pending when the relayer starts, the others are live.
    for round in 0..ROUNDS {
        // The senders' own calls would be spoilt, too.
        for chain in [&line.net.a, &line.net.b] {
            chain.faults().clear();
        }
        tokio::try_join!(alice.burst(&to_b), bob.burst(&to_a)).unwrap();
        for (seed, chain) in (SEED..).zip([&line.net.a, &line.net.b]) {
            chain.faults().chaos(PERMILLE, seed + 10 * round as u64);
        }
        if round == 0 {
            line.relayer.launch().unwrap();
        }
        link.b.has_received((round + 1) * ROUND, WAIT).await.unwrap();
        link.a.has_received((round + 1) * ROUND, WAIT).await.unwrap();
    }
    link.settled(WAIT).await.unwrap();
    let faults = [line.net.a.faults(), line.net.b.faults()];
    let count = |name: &str| faults.iter().map(|faults| faults.injected(name)).sum::<u64>();
    let requests = faults.iter().map(|faults| faults.requests()).sum::<u64>() - before;
    faults.iter().for_each(|faults| faults.clear());

    let each = ROUNDS * ROUND;
    let (a, b) = (link.a.history().await.unwrap(), link.b.history().await.unwrap());
    for (sender, receiver, channel) in [(&a, &b, &link.a.channel), (&b, &a, &link.b.channel)] {
        assert_eq!(receiver.effects_of(Action::Receive, channel).unwrap(), each);
        assert_eq!(sender.effects_of(Action::Acknowledge, channel).unwrap(), each);
    }
    let ours = line.net.wallets.relayer.address();
    for history in [&a, &b] {
        assert_eq!(history.repeated_by(ours), [], "a packet was paid for twice");
        assert_eq!(history.failed_of(ours), 0, "a transaction was paid for in vain");
    }
    let paid = a.deliveries.iter().chain(&b.deliveries).filter(|delivery| delivery.signer == ours).count();
    assert_eq!(paid, 4 * each, "a receive and an acknowledgement a packet");
    let kinds = ["late", "cut", "garbage", "too_many_requests"];
    assert!(kinds.iter().all(|kind| count(kind) > 0), "too few faults to mean anything");
    let throttled_permille = count("too_many_requests") * 1_000 / requests.max(1);
    let spoilt = kinds.map(|kind| (kind, count(kind)));
    println!(
        "{}",
        json!({ "packets": 2 * each, "paid": paid, "requests": requests, "throttled_permille": throttled_permille, "spoilt": spoilt })
    );
    assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0));
}
