//! Each fault of a node in turn, under a small load: every packet ends, nothing is paid twice, and the metrics tell the reason.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::embedded::{EmbeddedNet, Fault};
use relayer_tests::devnet::{ConfigOptions, STAKE, Transfer};
use relayer_tests::relay::{Action, Line, Link, until};

const WAIT: Duration = Duration::from_secs(120);
/// Packets of one load.
const LOAD: usize = 5;

async fn line() -> (Line<EmbeddedNet>, Link) {
    let net = EmbeddedNet::two_chains().await.unwrap();
    let mut line = Line::open(net, &ConfigOptions::default()).await.unwrap();
    line.relayer.start().await.unwrap();
    let link = line.link(0).unwrap();
    (line, link)
}

/// Sends a load over a first chain whose node answers its users truly.
async fn send(line: &Line<EmbeddedNet>, link: &Link) {
    let wallets = &line.net.wallets;
    let transfer = Transfer::new(&link.a.channel, 1, STAKE, wallets.user_b.address());
    line.net.a.user(&wallets.user_a).burst(&vec![transfer; LOAD]).await.unwrap();
}

/// The sum of a metric's series of a chain, one of whose labels is any of these.
async fn counted(line: &Line<EmbeddedNet>, name: &str, chain: &str, labels: &[(&str, &str)]) -> f64 {
    let metrics = line.relayer.admin.metrics().await.unwrap();
    if labels.is_empty() {
        return metrics.sum(name, &[("chain", chain)]);
    }
    labels.iter().map(|label| metrics.sum(name, &[("chain", chain), *label])).sum()
}

/// All loads arrived and were acknowledged once, and nothing was paid for twice.
async fn all_ended(line: &mut Line<EmbeddedNet>, link: &Link, packets: usize) {
    link.b.has_received(packets, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    let (a, b) = (link.a.history().await.unwrap(), link.b.history().await.unwrap());
    assert_eq!(b.effects_of(Action::Receive, &link.a.channel).unwrap(), packets);
    assert_eq!(a.effects_of(Action::Acknowledge, &link.a.channel).unwrap(), packets);
    let ours = line.net.wallets.relayer.address();
    assert_eq!((a.repeated_by(ours), b.repeated_by(ours)), (Vec::new(), Vec::new()));
    assert!(line.relayer.runs() && !line.relayer.log().contains("panicked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_refused_late_cut_or_garbage_delay_packets_and_lose_none() {
    let (mut line, link) = line().await;
    let mut packets = 0;
    for (fault, statuses) in [
        (Fault::TooManyRequests { permille: 300, retry_after_s: None }, &["throttled"][..]),
        (Fault::TooManyRequests { permille: 300, retry_after_s: Some(1) }, &["throttled"]),
        (Fault::Slow(Duration::from_millis(500)), &[]),
        (Fault::Cut, &["unavailable", "malformed"]),
        (Fault::Garbage, &["malformed"]),
        (Fault::BadGateway, &["unavailable"]),
        (Fault::StalledHttp, &["timeout"]),
    ] {
        let labels: Vec<_> = statuses.iter().map(|status| ("status", *status)).collect();
        let name = "relay_rpc_requests_total";
        let before = counted(&line, name, line.net.b.id(), &labels).await;
        let faults = line.net.b.faults();
        let struck = faults.injected(fault.name());
        faults.set(fault);
        send(&line, &link).await;
        packets += LOAD;
        until(fault.name(), WAIT, async || Ok((faults.injected(fault.name()) >= struck + 3).then_some(())))
            .await
            .unwrap();
        if !labels.is_empty() {
            let more = until(fault.name(), WAIT, async || {
                Ok((counted(&line, name, line.net.b.id(), &labels).await > before).then_some(()))
            });
            let found = more.await;
            let metrics = line.relayer.admin.metrics().await.unwrap();
            assert!(found.is_ok(), "{fault:?} is not counted:\n{}", metrics.lines_of(name));
        }
        line.net.b.faults().lift(fault);
        all_ended(&mut line, &link, packets).await;
        println!("{fault:?}: injected {} times", line.net.b.faults().injected(fault.name()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lies_is_refused_and_followed_again_when_it_is_honest() {
    let (mut line, link) = line().await;
    send(&line, &link).await;
    let mut packets = LOAD;
    all_ended(&mut line, &link, packets).await;
    for fault in [Fault::ForgedHeader, Fault::ForgedAppHash, Fault::ForgedProof, Fault::ForgedEvents] {
        let name = "relay_verification_failures_total";
        let before = counted(&line, name, line.net.a.id(), &[]).await;
        line.net.a.faults().set(fault);
        send(&line, &link).await;
        let refused = until(fault.name(), WAIT, async || {
            Ok((counted(&line, name, line.net.a.id(), &[]).await > before).then_some(()))
        });
        refused.await.unwrap();
        assert!(line.net.a.faults().injected(fault.name()) > 0);
        assert_eq!(link.b.received().await.unwrap().len(), packets, "{fault:?} was believed");
        packets += LOAD;
        line.net.a.faults().lift(fault);
        all_ended(&mut line, &link, packets).await;
    }
    for fault in [Fault::WrongHeight(1_000), Fault::WrongHeight(-10), Fault::CatchingUp] {
        let before = line.net.b.faults().injected(fault.name());
        line.net.b.faults().set(fault);
        send(&line, &link).await;
        packets += LOAD;
        let faults = line.net.b.faults();
        until(fault.name(), WAIT, async || Ok((faults.injected(fault.name()) > before).then_some(()))).await.unwrap();
        line.net.b.faults().lift(fault);
        all_ended(&mut line, &link, packets).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_transaction_and_a_halted_chain_end_no_packet_twice() {
    let (mut line, link) = line().await;
    line.net.b.drop_transactions(1);
    send(&line, &link).await;
    all_ended(&mut line, &link, LOAD).await;

    line.net.b.halt();
    send(&line, &link).await;
    line.net.a.wait_blocks(12).await.unwrap();
    assert_eq!(link.b.received().await.unwrap().len(), LOAD);
    line.net.b.resume();
    all_ended(&mut line, &link, 2 * LOAD).await;
}
