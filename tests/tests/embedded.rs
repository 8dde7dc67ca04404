//! The real relayer between two embedded chains, which it can't tell from real ones: transfers both ways, a voucher's way home, and a
//! timeout refunded. And a chain as a process of its own.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Stdio;
use std::time::Duration;

use relayer_tests::devnet::embedded::EmbeddedNet;
use relayer_tests::devnet::{ConfigOptions, Node, STAKE, Transfer, Wallet};
use relayer_tests::relay::{Action, Line, escrow_address};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const WAIT: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn coins_cross_embedded_chains_both_ways_and_what_is_late_is_refunded() {
    let net = EmbeddedNet::two_chains().await.unwrap();
    let mut line = Line::open(net, &ConfigOptions::default()).await.unwrap();
    line.relayer.start().await.unwrap();
    let link = line.link(0).unwrap();
    let (a, b) = (&line.net.a, &line.net.b);
    let (alice, bob) = (a.user(&line.net.wallets.user_a), b.user(&line.net.wallets.user_b));
    let funds = a.balance(alice.address(), STAKE).await.unwrap();
    let (on_a, on_b) = (link.voucher_on_a(STAKE), link.voucher_on_b(STAKE));

    alice.transfer(&Transfer::new(&link.a.channel, 1_000, STAKE, bob.address())).await.unwrap();
    bob.transfer(&Transfer::new(&link.b.channel, 700, STAKE, alice.address())).await.unwrap();
    link.b.has_received(1, WAIT).await.unwrap();
    link.a.has_received(1, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    assert_eq!(a.balance(alice.address(), STAKE).await.unwrap(), funds - 1_000);
    assert_eq!(b.balance(bob.address(), STAKE).await.unwrap(), funds - 700);
    assert_eq!(b.balance(bob.address(), &on_b).await.unwrap(), 1_000);
    assert_eq!(a.balance(alice.address(), &on_a).await.unwrap(), 700);
    assert_eq!(a.balance(&escrow_address(&link.a.channel).unwrap(), STAKE).await.unwrap(), 1_000);

    bob.transfer(&Transfer::new(&link.b.channel, 400, &on_b, alice.address())).await.unwrap();
    link.a.has_received(2, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    assert_eq!(a.balance(alice.address(), STAKE).await.unwrap(), funds - 600);
    assert_eq!(b.balance(bob.address(), &on_b).await.unwrap(), 600);

    // Late before a relayer sees it.
    line.relayer.stop().await.unwrap();
    let height = b.height().await.unwrap();
    let late = Transfer::new(&link.a.channel, 50, STAKE, bob.address()).timeout_height(b.revision(), height + 3);
    alice.transfer(&late).await.unwrap();
    assert_eq!(a.balance(alice.address(), STAKE).await.unwrap(), funds - 650);
    b.wait_blocks(5).await.unwrap();
    line.relayer.start().await.unwrap();
    link.settled(WAIT).await.unwrap();
    assert_eq!(a.balance(alice.address(), STAKE).await.unwrap(), funds - 600);

    let (history_a, history_b) = (link.a.history().await.unwrap(), link.b.history().await.unwrap());
    assert_eq!(history_b.effects_of(Action::Receive, &link.a.channel).unwrap(), 1);
    assert_eq!(history_a.effects_of(Action::Acknowledge, &link.a.channel).unwrap(), 1);
    assert_eq!(history_a.effects_of(Action::TimeOut, &link.a.channel).unwrap(), 1);
    assert_eq!(history_a.effects_of(Action::Receive, &link.b.channel).unwrap(), 2);
    let ours = line.net.wallets.relayer.address();
    for history in [&history_a, &history_b] {
        assert_eq!((history.repeated_by(ours), history.failed_of(ours)), (Vec::new(), 0));
    }
    assert!(line.relayer.admin.health().await.unwrap().ready);
    let status = line.relayer.admin.status().await.unwrap();
    assert_eq!(status["paths"][0]["open_packets"], 0, "{status}");
    assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_as_a_process_holds_its_accounts_makes_blocks_and_ends_with_its_input() {
    let wallet = Wallet::named("alice").unwrap();
    let address = wallet.address();
    let mut chain = Command::new(env!("CARGO_BIN_EXE_embedded"))
        .args(["--id", "emb-p-7", "--block-ms", "50", "--account", &format!("{address}=41stake,2samoleans")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(chain.stdout.take().unwrap()).lines();
    let url = lines.next_line().await.unwrap().expect("no address");
    let node = Node::new(&url).unwrap();
    let status = node.call("status", serde_json::json!({})).await.unwrap();
    assert_eq!(status["node_info"]["network"], "emb-p-7");
    let height = node.height().await.unwrap();
    assert!(node.wait_for_height(height + 3, WAIT).await.unwrap() >= height + 3);
    assert_eq!(node.balance(address, STAKE).await.unwrap(), 41);
    assert_eq!(node.balance(address, "samoleans").await.unwrap(), 2);
    drop(chain.stdin.take());
    assert_eq!(tokio::time::timeout(WAIT, chain.wait()).await.unwrap().unwrap().code(), Some(0));
    assert!(node.height().await.is_err(), "it answers still");
}
