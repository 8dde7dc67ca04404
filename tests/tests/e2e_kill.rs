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
    // Small batches: more transactions to be caught in.
    let mut line = Line::open(Devnet::two_chains().await.unwrap(), &ConfigOptions::default()).await.unwrap();
    let text = std::fs::read_to_string(&line.relayer.config.file).unwrap();
    let batched = text.replacen("[[paths.channels]]", "[paths.batch]\nmessages = 5\n\n[[paths.channels]]", 1);
    assert_ne!(text, batched);
    std::fs::write(&line.relayer.config.file, batched).unwrap();
    let link = line.link(0).unwrap();
    let alice = line.net.a.user(&line.net.wallets.user_a);
    let bob = line.net.wallets.user_b.address();

    // 200 packets in 20 transactions over some seconds, so that at any instant some are sent, some under way, some received.
    line.relayer.start().await.unwrap();
    let ten = vec![Transfer::new(&link.a.channel, 1, STAKE, bob); PACKETS / 20];
    let sending = tokio::spawn(async move {
        for _ in 0..20 {
            alice.burst(&ten).await?;
        }
        Ok::<_, relayer_tests::DevnetError>(())
    });
    let mut killed_in_the_middle = 0;
    // Odd pauses after progress: between block and proof, between journal and broadcast, between broadcast and block.
    let mut known = 0;
    for pause_ms in [0, 90, 210, 370, 530] {
        link.b.has_received(known + 1, WAIT).await.unwrap();
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        line.relayer.kill().unwrap();
        let (open, received) = (link.a.open().await.unwrap().len(), link.b.received().await.unwrap().len());
        println!("killed: {received} received, {open} open");
        killed_in_the_middle += usize::from(open > 0 && received < PACKETS);
        known = received;
        line.relayer.launch().unwrap();
    }
    assert!(killed_in_the_middle >= 4, "the kills came too late to mean anything");
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
