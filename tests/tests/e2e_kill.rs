//! `kill -9` in the middle of 200 packets, several times: nothing is lost, nothing is paid twice.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::{ConfigOptions, Devnet, STAKE, Transfer};
use relayer_tests::relay::{Action, Line};

const WAIT: Duration = Duration::from_secs(180);
const PACKETS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_in_mid_work_every_packet_is_delivered_exactly_once() {
    // One packet a transaction would be slow, all of them in a few leaves no middle: ten a batch.
    let mut line = Line::open(Devnet::two_chains().await.unwrap(), &ConfigOptions::default()).await.unwrap();
    let text = std::fs::read_to_string(&line.relayer.config.file).unwrap();
    let batched = text.replacen("[[paths.channels]]", "[paths.batch]\nmessages = 10\n\n[[paths.channels]]", 1);
    assert_ne!(text, batched);
    std::fs::write(&line.relayer.config.file, batched).unwrap();
    let link = line.link(0).unwrap();
    let alice = line.net.a.user(&line.net.wallets.user_a);
    let bob = line.net.wallets.user_b.address();

    line.relayer.start().await.unwrap();
    let transfers = vec![Transfer::new(&link.a.channel, 1, STAKE, bob); PACKETS];
    let sending = tokio::spawn(async move { alice.burst(&transfers).await.map(drop) });
    let mut killed_in_the_middle = 0;
    // At the first broadcast, after the first receives, amid the acknowledgements.
    for pause_ms in [0, 120, 350, 700, 1_100] {
        link.b.has_received(1, WAIT).await.unwrap();
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        line.relayer.kill().unwrap();
        let (open, received) = (link.a.open().await.unwrap().len(), link.b.received().await.unwrap().len());
        println!("killed: {received} received, {open} open");
        killed_in_the_middle += usize::from(open > 0);
        line.relayer.launch().unwrap();
    }
    assert!(killed_in_the_middle >= 2, "the kills came too late to mean anything");
    sending.await.unwrap().unwrap();
    line.relayer.ready(WAIT).await.unwrap();
    link.b.has_received(PACKETS, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();

    let (a, b) = (link.a.history().await.unwrap(), link.b.history().await.unwrap());
    assert_eq!(b.effects_of(Action::Receive, &link.a.channel).unwrap(), PACKETS);
    assert_eq!(a.effects_of(Action::Acknowledge, &link.a.channel).unwrap(), PACKETS);
    assert_eq!(line.net.b.balance(bob, &link.voucher_on_b(STAKE)).await.unwrap(), PACKETS as u128);
    let ours = line.net.wallets.relayer.address();
    for history in [&a, &b] {
        assert_eq!(history.repeated_by(ours), [], "a packet was paid for twice");
        assert_eq!(history.failed_of(ours), 0, "a transaction was paid for in vain");
    }
    assert_eq!((a.deliveries.len(), b.deliveries.len()), (PACKETS, PACKETS));
    assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0));
}
