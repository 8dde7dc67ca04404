//! `kill -9` at random instants under load, many times: every packet is delivered and acknowledged once, and paid for once.
//!
//! `RELAYER_CRASH_KILLS` is how often (20), `RELAYER_CRASH_SEED` replays the instants of a run, which prints its seed.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use relayer_tests::devnet::embedded::EmbeddedNet;
use relayer_tests::devnet::{ConfigOptions, STAKE, Transfer};
use relayer_tests::relay::{Action, Line};
use relayer_tests::sim::rng::Rng;
use serde_json::json;

const WAIT: Duration = Duration::from_secs(180);
/// Sent each way between two kills, one transaction.
const BURST: usize = 10;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_instants_under_load_every_packet_is_delivered_and_paid_for_once() {
    let kills = usize::try_from(number("RELAYER_CRASH_KILLS").unwrap_or(20)).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let seed = number("RELAYER_CRASH_SEED").unwrap_or(u64::try_from(now).unwrap());
    println!("{kills} kills, RELAYER_CRASH_SEED={seed}");
    let mut rng = Rng::new(seed);

    // Small batches: more transactions to be caught in.
    let mut line = Line::open(EmbeddedNet::two_chains().await.unwrap(), &ConfigOptions::default()).await.unwrap();
    let text = std::fs::read_to_string(&line.relayer.config.file).unwrap();
    let batched = text.replacen("[[paths.channels]]", "[paths.batch]\nmessages = 5\n\n[[paths.channels]]", 1);
    assert_ne!(text, batched);
    std::fs::write(&line.relayer.config.file, batched).unwrap();

    let link = line.link(0).unwrap();
    let (alice, bob) = (line.net.a.user(&line.net.wallets.user_a), line.net.b.user(&line.net.wallets.user_b));
    let to_b = vec![Transfer::new(&link.a.channel, 1, STAKE, bob.address()); BURST];
    let to_a = vec![Transfer::new(&link.b.channel, 1, STAKE, alice.address()); BURST];
    let mut in_the_middle = 0;
    for kill in 0..kills {
        line.relayer.launch().unwrap();
        tokio::try_join!(alice.burst(&to_b), bob.burst(&to_a)).unwrap();
        // Most lives are short; every fourth one sees its work through first, so that all of a packet's life is under the knife.
        if kill % 4 == 3 {
            link.b.has_received((kill - 2) * BURST, WAIT).await.unwrap();
        }
        let instant = Duration::from_millis(rng.within(0, 1_000));
        tokio::time::sleep(instant).await;
        let open = link.a.open().await.unwrap().len() + link.b.open().await.unwrap().len();
        line.relayer.kill().unwrap();
        in_the_middle += usize::from(open > 0);
        println!("kill {}: {} ms after the last burst, {open} packets open", kill + 1, instant.as_millis());
    }
    assert!(in_the_middle * 4 >= kills, "the kills came too late to mean anything: {in_the_middle} of {kills}");
    line.relayer.launch().unwrap();
    let each = kills * BURST;
    link.b.has_received(each, WAIT).await.unwrap();
    link.a.has_received(each, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();

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
    println!("{}", json!({ "kills": kills, "packets": 2 * each, "paid": paid, "seed": seed }));
    assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0));
}
