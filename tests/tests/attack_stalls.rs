//! Connections that stay open and say nothing.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::embedded::{EmbeddedNet, Fault};
use relayer_tests::devnet::{ConfigOptions, STAKE, Transfer};
use relayer_tests::relay::{Line, until};

const WAIT: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn attack_44_websocket_that_stalls_silently() {
    let net = EmbeddedNet::two_chains().await.unwrap();
    let mut line = Line::open(net, &ConfigOptions::default()).await.unwrap();
    line.relayer.start().await.unwrap();
    let link = line.link(0).unwrap();
    let (a, b) = (&line.net.a, &line.net.b);
    let chains = [a, b];
    for chain in chains {
        until("an event socket", WAIT, async || Ok((chain.faults().sockets() > 0).then_some(()))).await.unwrap();
        chain.faults().set(Fault::StalledWebSocket);
    }
    let sockets = chains.map(|chain| chain.faults().sockets());
    for chain in chains {
        let withheld = || chain.faults().injected("stalled_websocket");
        until("a withheld event", WAIT, async || Ok((withheld() > 4).then_some(()))).await.unwrap();
    }
    // Nothing wakes the relayer, and packets arrive: it looks by itself.
    let (alice, bob) = (a.user(&line.net.wallets.user_a), b.user(&line.net.wallets.user_b));
    alice.transfer(&Transfer::new(&link.a.channel, 5, STAKE, bob.address())).await.unwrap();
    bob.transfer(&Transfer::new(&link.b.channel, 7, STAKE, alice.address())).await.unwrap();
    link.b.has_received(1, WAIT).await.unwrap();
    link.a.has_received(1, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    // The silent socket is given up, and another is opened.
    for (chain, before) in chains.into_iter().zip(sockets) {
        let more = until("another event socket", WAIT, async || Ok((chain.faults().sockets() > before).then_some(())));
        more.await.unwrap();
        let metrics = line.relayer.admin.metrics().await.unwrap();
        let labels = [("chain", chain.id()), ("method", "subscribe"), ("status", "silent")];
        assert!(metrics.sum("relay_rpc_requests_total", &labels) >= 1.0, "{}", metrics.lines_of("relay_rpc_requests"));
        let height = metrics.sum("relay_chain_height", &[("chain", chain.id())]);
        assert!(height > 0.0 && height + 60.0 > chain.height().await.unwrap() as f64, "{height}");
    }
    assert!(line.relayer.log().contains("open and silent"), "{}", line.relayer.log());
    assert!(line.relayer.admin.health().await.unwrap().ready);
}
