//! Three channels on one connection, busy both ways at once.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::time::Duration;

use relayer_tests::devnet::{ConfigOptions, Devnet, SAMOLEANS, Transfer};
use relayer_tests::relay::{Action, Line};

const WAIT: Duration = Duration::from_secs(120);
const CHANNELS: usize = 3;
const PACKETS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn every_channel_carries_its_own_packets_both_ways_at_once() {
    let options = ConfigOptions { channels: CHANNELS, ..ConfigOptions::default() };
    let mut line = Line::open(Devnet::two_chains().await.unwrap(), &options).await.unwrap();
    assert_eq!(line.ids.channels.iter().collect::<BTreeSet<_>>().len(), CHANNELS, "{:?}", line.ids);
    for chain in [&line.net.a, &line.net.b] {
        let channels = chain.node().channels().await.unwrap();
        assert_eq!(channels.len(), CHANNELS);
        assert!(channels.iter().all(|c| c.connection_hops == [channels[0].connection_hops[0].clone()]));
    }
    line.relayer.start().await.unwrap();
    let (alice, bob) = (line.net.a.user(&line.net.wallets.user_a), line.net.b.user(&line.net.wallets.user_b));
    let links: Vec<_> = (0..CHANNELS).map(|n| line.link(n).unwrap()).collect();

    // Packets of all channels mixed in the same transactions; a channel's amounts are its own.
    let amount = |channel: usize| 10u128.pow(u32::try_from(channel).unwrap());
    let mut there = Vec::new();
    let mut back = Vec::new();
    for _ in 0..PACKETS {
        for (n, link) in links.iter().enumerate() {
            there.push(Transfer::new(&link.a.channel, amount(n), SAMOLEANS, bob.address()));
            back.push(Transfer::new(&link.b.channel, amount(n), SAMOLEANS, alice.address()));
        }
    }
    let (sent_there, sent_back) = tokio::join!(alice.burst(&there), bob.burst(&back));
    assert_eq!((sent_there.unwrap().len(), sent_back.unwrap().len()), (1, 1));
    for (n, link) in links.iter().enumerate() {
        link.settled(WAIT).await.unwrap();
        let all: BTreeSet<u64> = (1..=PACKETS as u64).collect();
        assert_eq!(link.a.received().await.unwrap(), all);
        assert_eq!(link.b.received().await.unwrap(), all);
        let expected = amount(n) * PACKETS as u128;
        assert_eq!(line.net.b.balance(bob.address(), &link.voucher_on_b(SAMOLEANS)).await.unwrap(), expected);
        assert_eq!(line.net.a.balance(alice.address(), &link.voucher_on_a(SAMOLEANS)).await.unwrap(), expected);
    }
    let ours = line.net.wallets.relayer.address();
    for (node, here, there) in [(&line.net.a, 0, 1), (&line.net.b, 1, 0)] {
        let history = relayer_tests::relay::History::read(node.node()).await.unwrap();
        for link in &links {
            let ends = [&link.a.channel, &link.b.channel];
            assert_eq!(history.effects_of(Action::Receive, ends[there]).unwrap(), PACKETS);
            assert_eq!(history.effects_of(Action::Acknowledge, ends[here]).unwrap(), PACKETS);
        }
        assert_eq!((history.repeated_by(ours), history.failed_of(ours)), (vec![], 0));
        // Channels share transactions: far fewer than one a packet.
        let txs: BTreeSet<_> = history.deliveries.iter().map(|d| &d.tx).collect();
        println!("{} messages in {} transactions", history.deliveries.len(), txs.len());
        assert!(txs.len() <= history.deliveries.len() / 3, "{} of {}", txs.len(), history.deliveries.len());
    }
}
