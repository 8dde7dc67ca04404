//! Attack row 52: the process dies after a broadcast and before anything about it is recorded.
//!
//! The instant is certain, not likely: the node holds back its answer to the broadcast, and the relayer is killed meanwhile.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::embedded::EmbeddedNet;
use relayer_tests::devnet::{ConfigOptions, End, STAKE, Transfer};
use relayer_tests::proxy::{Fault, Proxy, When};
use relayer_tests::relay::{Action, Line, Link, until};
use serde_json::json;

const WAIT: Duration = Duration::from_secs(120);
const PACKETS: usize = 5;
/// Longer than the test: an answer that never ends.
const NEVER: Duration = Duration::from_secs(3_600);

/// What becomes of the transaction whose broadcast was never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// A block has it before the relayer is back.
    InABlock,
    /// The node's mempool has it when the relayer is back, and a block a while later.
    InTheMempool,
    /// It never reached the node.
    Lost,
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_52_crash_between_broadcast_and_record() {
    let net = EmbeddedNet::two_chains().await.unwrap();
    let proxy = Proxy::start(net.b.rpc_url()).await.unwrap();
    let through = End { rpc: Some(vec![proxy.rpc_url()]), ..End::default() };
    let options = ConfigOptions { b: through, ..ConfigOptions::default() };
    let mut line = Line::open(net, &options).await.unwrap();
    let link = line.link(0).unwrap();
    let mut sent = 0;
    for then in [Then::InABlock, Then::InTheMempool, Then::Lost] {
        sent += PACKETS;
        crash(&mut line, &proxy, &link, then, sent).await;
    }
    let (a, b) = (link.a.history().await.unwrap(), link.b.history().await.unwrap());
    assert_eq!(b.effects_of(Action::Receive, &link.a.channel).unwrap(), sent);
    assert_eq!(a.effects_of(Action::Acknowledge, &link.a.channel).unwrap(), sent);
    let bob = line.net.wallets.user_b.address();
    assert_eq!(line.net.b.balance(bob, &link.voucher_on_b(STAKE)).await.unwrap(), sent as u128);
}

async fn crash(line: &mut Line<EmbeddedNet>, proxy: &Proxy, link: &Link, then: Then, sent: usize) {
    proxy.reset_record();
    let fault = if then == Then::Lost { Fault::Hang } else { Fault::Trickle(NEVER) };
    line.relayer.start().await.unwrap();
    if then == Then::InTheMempool {
        line.net.b.halt();
    }
    proxy.fault(When::method("broadcast_tx_sync"), fault);
    let alice = line.net.a.user(&line.net.wallets.user_a);
    let transfer = Transfer::new(&link.a.channel, 1, STAKE, line.net.wallets.user_b.address());
    alice.burst(&vec![transfer; PACKETS]).await.unwrap();
    let receives = || {
        let messages = proxy.broadcast_messages();
        messages.iter().filter(|message| message.ends_with("MsgRecvPacket")).count()
    };
    until("a broadcast of receives", WAIT, async || Ok((receives() > 0).then_some(()))).await.unwrap();
    if then == Then::InABlock {
        // It stands in a block before the relayer dies: nobody has told it.
        until(
            "receives in a block",
            WAIT,
            async || Ok((link.b.received().await?.len() > sent - PACKETS).then_some(())),
        )
        .await
        .unwrap();
    }
    if then == Then::InTheMempool {
        until("receives in the mempool", WAIT, async || {
            let waiting = link.b.node.call("num_unconfirmed_txs", json!({})).await?;
            Ok((waiting["n_txs"] != "0").then_some(()))
        })
        .await
        .unwrap();
    }
    line.relayer.kill().unwrap();
    proxy.heal();
    line.relayer.launch().unwrap();
    if then == Then::InTheMempool {
        // The relayer is back and looks at a chain whose blocks do not show the transaction yet.
        until("the relayer's status", WAIT, async || line.relayer.admin.health().await.map(Some)).await.unwrap();
        line.net.b.resume();
    }
    link.b.has_received(sent, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    let ours = line.net.wallets.relayer.address();
    for history in [link.a.history().await.unwrap(), link.b.history().await.unwrap()] {
        assert_eq!(history.repeated_by(ours), [], "{then:?}: a packet was paid for twice");
        assert_eq!(history.failed_of(ours), 0, "{then:?}: a transaction was paid for in vain");
        let paid = history.deliveries.iter().filter(|delivery| delivery.signer == ours).count();
        assert_eq!(paid, sent, "{then:?}");
    }
    assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0));
}
