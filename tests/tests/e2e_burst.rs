//! A thousand transfers in one burst: all acknowledged, each once.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use relayer_tests::devnet::{ConfigOptions, Devnet, STAKE, Transfer};
use relayer_tests::relay::{Action, Line};

const WAIT: Duration = Duration::from_secs(300);
const PACKETS: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_a_thousand_transfers_is_acknowledged_to_the_last_one() {
    let mut line = Line::open(Devnet::two_chains().await.unwrap(), &ConfigOptions::default()).await.unwrap();
    let link = line.link(0).unwrap();
    let alice = line.net.a.user(&line.net.wallets.user_a);
    let bob = line.net.wallets.user_b.address();
    line.relayer.start().await.unwrap();

    let since = Instant::now();
    alice.burst(&vec![Transfer::new(&link.a.channel, 1, STAKE, bob); PACKETS]).await.unwrap();
    let sent = since.elapsed();
    link.b.has_received(PACKETS, WAIT).await.unwrap();
    let received = since.elapsed();
    link.settled(WAIT).await.unwrap();
    let settled = since.elapsed();
    println!(
        "{PACKETS} packets: sent after {sent:.1?}, received after {received:.1?}, acknowledged after {settled:.1?}: {:.0} packets/s",
        PACKETS as f64 / settled.as_secs_f64()
    );

    let (a, b) = (link.a.history().await.unwrap(), link.b.history().await.unwrap());
    assert_eq!(b.effects_of(Action::Receive, &link.a.channel).unwrap(), PACKETS);
    assert_eq!(a.effects_of(Action::Acknowledge, &link.a.channel).unwrap(), PACKETS);
    assert_eq!(line.net.b.balance(bob, &link.voucher_on_b(STAKE)).await.unwrap(), PACKETS as u128);
    let ours = line.net.wallets.relayer.address();
    for history in [&a, &b] {
        assert_eq!((history.repeated_by(ours), history.failed_of(ours)), (vec![], 0));
        assert_eq!(history.deliveries.len(), PACKETS);
    }
    let metrics = line.relayer.admin.metrics().await.unwrap();
    println!(
        "{} requests to the nodes, {} account sequences read anew",
        metrics.sum("relay_rpc_requests_total", &[]),
        metrics.sum("relay_account_sequence_resyncs_total", &[])
    );
}
