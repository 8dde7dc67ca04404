//! Events of a real chain's node that say what the chain never did. Each test: the lie is told all the time, nothing is
//! paid for it, its reason is counted, the path's other channel flows meanwhile, and once the node is honest again the
//! attacked channel flows, too.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use relayer_tests::devnet::{STAKE, Transfer};
use relayer_tests::proxy::tamper::{PhantomPacket, attribute, set_attribute};
use relayer_tests::proxy::{Hook, When, tamper};
use relayer_tests::relay::{Action, Siege, relayed};
use serde_json::Value;

const WAIT: Duration = Duration::from_secs(60);

fn results() -> When {
    When::method("block_results")
}

async fn besieged() -> Siege {
    let mut siege = Siege::open().await.unwrap();
    siege.line.relayer.start().await.unwrap();
    let (target, other) = (siege.target().unwrap(), siege.other().unwrap());
    siege.flows(&target, WAIT).await.unwrap();
    siege.flows(&other, WAIT).await.unwrap();
    siege
}

/// A change to the events of this type that name this channel end.
fn on_channel(
    kind: &str,
    key: &'static str,
    channel: &str,
    change: impl Fn(&mut Value) -> bool + Send + Sync + 'static,
) -> Hook {
    let channel = channel.to_owned();
    tamper::event(kind, move |event| attribute(event, key) == channel && change(event))
}

/// Data that would mint a fortune.
fn forged_data(receiver: &str) -> String {
    let amount = "900000000000";
    format!(r#"{{"amount":"{amount}","denom":"stake","receiver":"{receiver}","sender":"{receiver}"}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_33_a_phantom_send_event_is_refused_by_the_missing_commitment() {
    let mut siege = besieged().await;
    let (target, other) = (siege.target().unwrap(), siege.other().unwrap());
    let thief = siege.line.net.wallets.rival.address().to_owned();
    let far = u64::MAX - 1;
    // The next sequence, which a real packet will have, and one far away.
    let phantoms = [2, 1_000].map(|sequence| {
        let phantom = PhantomPacket {
            sequence,
            source: ("transfer".to_owned(), target.a.channel.clone()),
            destination: ("transfer".to_owned(), target.b.channel.clone()),
            connection: siege.line.ids.connections.0.clone(),
            data: forged_data(&thief).into_bytes(),
            timeout_height: (0, 0),
            timeout_timestamp_ns: far,
        };
        phantom.event()
    });
    let before = siege.start_counting().await.unwrap();
    siege.a.tamper(results(), tamper::block_events(phantoms.to_vec()));
    siege.refused(&siege.line.net.a, "phantom_event", WAIT).await.unwrap();
    siege.line.net.b.wait_blocks(4).await.unwrap();
    assert!(siege.a.tampered() > 0);
    assert_eq!(siege.paid().await.unwrap(), before);

    siege.flows(&other, WAIT).await.unwrap();
    assert!(relayed(&siege.b).unwrap().iter().all(|r| !r.of(&target.a.channel)));
    assert!(relayed(&siege.b).unwrap().iter().any(|r| r.of(&other.a.channel)));
    let metrics = siege.line.relayer.admin.metrics().await.unwrap();
    assert_eq!(metrics.sum("relay_packets_total", &[("outcome", "failed"), ("reason", "phantom_event")]), 2.0);

    siege.a.heal();
    siege.flows(&target, WAIT).await.unwrap();
    assert_eq!(siege.line.net.b.balance(&thief, &target.voucher_on_b(STAKE)).await.unwrap(), 0);
    assert_eq!(siege.damage().await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_34_event_data_that_differs_from_the_commitment_is_not_relayed_and_the_true_data_is_later() {
    let mut siege = besieged().await;
    let (target, other) = (siege.target().unwrap(), siege.other().unwrap());
    let (net, wallets) = (&siege.line.net, siege.line.net.wallets.clone());
    let thief = wallets.rival.address().to_owned();
    let data = hex::encode(forged_data(&thief));
    let forge = move |event: &mut Value| set_attribute(event, "packet_data_hex", &data);
    let before = siege.start_counting().await.unwrap();
    siege.a.tamper(results(), on_channel("send_packet", "packet_src_channel", &target.a.channel, forge));
    let alice = net.a.user(&wallets.user_a);
    alice.transfer(&Transfer::new(&target.a.channel, 11, STAKE, wallets.user_b.address())).await.unwrap();
    siege.refused(&net.a, "commitment_mismatch", WAIT).await.unwrap();
    net.b.wait_blocks(4).await.unwrap();
    assert!(siege.a.tampered() > 0);
    assert_eq!(siege.paid().await.unwrap(), before);

    siege.flows(&other, WAIT).await.unwrap();
    assert!(relayed(&siege.b).unwrap().iter().all(|r| !r.of(&target.a.channel)));

    siege.a.heal();
    target.b.has_received(2, WAIT).await.unwrap();
    target.settled(WAIT).await.unwrap();
    let voucher = target.voucher_on_b(STAKE);
    assert_eq!(siege.line.net.b.balance(wallets.user_b.address(), &voucher).await.unwrap(), 12);
    assert_eq!(siege.line.net.b.balance(&thief, &voucher).await.unwrap(), 0);
    siege.flows(&target, WAIT).await.unwrap();
    assert_eq!(siege.damage().await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_35_duplicate_and_replayed_events_deliver_every_packet_once() {
    let mut siege = besieged().await;
    let (target, other) = (siege.target().unwrap(), siege.other().unwrap());
    // Both nodes tell every packet event twice, and all they ever told again with each block.
    for proxy in [&siege.a, &siege.b] {
        let told: Arc<Mutex<Vec<Value>>> = Arc::default();
        let replay = tamper::hook(move |_, result| {
            let mut told = told.lock().unwrap();
            for tx in result["txs_results"].as_array_mut().into_iter().flatten() {
                let Some(events) = tx["events"].as_array_mut() else { continue };
                let kind = |e: &Value| e["type"].as_str().unwrap_or_default().to_owned();
                let packets = |e: &&Value| kind(e).ends_with("_packet") || kind(e) == "write_acknowledgement";
                let again: Vec<Value> = events.iter().filter(packets).cloned().collect();
                events.extend(again.iter().cloned());
                told.extend(again);
            }
            let all = told.clone();
            match result.get_mut("finalize_block_events") {
                Some(Value::Array(events)) => events.extend(all),
                Some(none) => *none = Value::Array(all),
                None => return false,
            }
            !told.is_empty()
        });
        proxy.tamper(results(), replay);
    }
    siege.start_counting().await.unwrap();
    for link in [&target, &other, &target] {
        siege.flows(link, WAIT).await.unwrap();
    }
    siege.line.net.b.wait_blocks(8).await.unwrap();
    assert!(siege.a.tampered() > 0 && siege.b.tampered() > 0);
    let count = |all: &[relayer_tests::relay::Relayed], action| all.iter().filter(|r| r.action == action).count();
    for proxy in [&siege.a, &siege.b] {
        let all = relayed(proxy).unwrap();
        assert_eq!((count(&all, Action::Receive), count(&all, Action::Acknowledge)), (3, 3), "{all:?}");
        assert_eq!(count(&all, Action::TimeOut), 0);
    }

    // A relayer that starts anew knows nothing of what it delivered, and is told all of it again.
    siege.line.relayer.stop().await.unwrap();
    std::fs::remove_dir_all(&siege.line.relayer.config.store).unwrap();
    let before = siege.start_counting().await.unwrap();
    siege.line.relayer.start().await.unwrap();
    siege.line.net.b.wait_blocks(12).await.unwrap();
    assert!(siege.a.tampered() > 0);
    assert_eq!(siege.paid().await.unwrap(), before);
    siege.flows(&other, WAIT).await.unwrap();

    siege.a.heal();
    siege.b.heal();
    siege.flows(&target, WAIT).await.unwrap();
    let ours = siege.line.net.wallets.relayer.address().to_owned();
    for end in [&target.a, &target.b] {
        let history = end.history().await.unwrap();
        assert_eq!((history.repeated_by(&ours), history.failed_of(&ours)), (vec![], 0));
    }
    assert_eq!(siege.damage().await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_38_a_forged_or_non_canonical_acknowledgement_in_an_event_is_not_relayed() {
    let mut siege = besieged().await;
    let (target, other) = (siege.target().unwrap(), siege.other().unwrap());
    let wallets = siege.line.net.wallets.clone();
    // An error that would refund what was received, and the true one written differently.
    for (n, forged) in [br#"{"error":"ABCI code: 1"}"#.as_slice(), br#"{ "result" : "AQ==" }"#].into_iter().enumerate()
    {
        let before = siege.start_counting().await.unwrap();
        let alice = siege.line.net.a.user(&wallets.user_a);
        let funds = siege.line.net.a.balance(alice.address(), STAKE).await.unwrap();
        let text = (hex::encode(forged), String::from_utf8_lossy(forged).into_owned());
        let forge = move |event: &mut Value| {
            set_attribute(event, "packet_ack", &text.1);
            set_attribute(event, "packet_ack_hex", &text.0)
        };
        siege.b.tamper(results(), on_channel("write_acknowledgement", "packet_dst_channel", &target.b.channel, forge));
        alice.transfer(&Transfer::new(&target.a.channel, 5, STAKE, wallets.user_b.address())).await.unwrap();
        siege.refused(&siege.line.net.b, "ack_mismatch", WAIT).await.unwrap();
        siege.line.net.a.wait_blocks(4).await.unwrap();
        assert!(siege.b.tampered() > 0);
        // The packet itself was honest: its receive was paid for on B. On A nothing was.
        let now = siege.paid().await.unwrap();
        assert_eq!((now.sequences[0], now.balances[0]), (before.sequences[0], before.balances[0]));
        assert!(siege.a.broadcasts().is_empty(), "{:?}", siege.a.broadcast_messages());

        siege.flows(&other, WAIT).await.unwrap();
        assert!(relayed(&siege.a).unwrap().iter().all(|r| !r.of(&target.a.channel)));
        assert_eq!(target.a.open().await.unwrap().len(), 1, "round {n}");

        siege.b.heal();
        target.settled(WAIT).await.unwrap();
        let spent = funds - siege.line.net.a.balance(alice.address(), STAKE).await.unwrap();
        assert!(spent > 5, "{spent}: it was refunded");
        let acks = relayed(&siege.a).unwrap();
        let ours: Vec<_> = acks.iter().filter(|r| r.of(&target.a.channel)).collect();
        assert_eq!(ours.len(), 1);
        assert_eq!(ours[0].ack, br#"{"result":"AQ=="}"#);
        siege.line.relayer.stop().await.unwrap();
        siege.line.relayer.start().await.unwrap();
    }
    siege.flows(&target, WAIT).await.unwrap();
    assert_eq!(siege.damage().await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_38_an_acknowledgement_event_with_another_packet_is_not_relayed_as_that_packet() {
    let mut siege = besieged().await;
    let (target, other) = (siege.target().unwrap(), siege.other().unwrap());
    let wallets = siege.line.net.wallets.clone();
    let data = hex::encode(forged_data(wallets.rival.address()));
    for live in [true, false] {
        siege.start_counting().await.unwrap();
        let alice = siege.line.net.a.user(&wallets.user_a);
        // The packet is seen as it is sent, or by a relayer that finds it received already and knows it from the lie only.
        let forged = data.clone();
        let forge = move |event: &mut Value| set_attribute(event, "packet_data_hex", &forged);
        let lie = |siege: &Siege| {
            for kind in ["recv_packet", "write_acknowledgement"] {
                siege.b.tamper(results(), on_channel(kind, "packet_dst_channel", &target.b.channel, forge.clone()));
            }
        };
        if !live {
            siege.a.fault(When::method("broadcast_tx"), relayer_tests::proxy::Fault::status(503));
        } else {
            lie(&siege);
        }
        let received = target.b.received().await.unwrap().len();
        alice.transfer(&Transfer::new(&target.a.channel, 5, STAKE, wallets.user_b.address())).await.unwrap();
        target.b.has_received(received + 1, WAIT).await.unwrap();
        if !live {
            siege.line.relayer.kill().unwrap();
            std::fs::remove_dir_all(&siege.line.relayer.config.store).unwrap();
            siege.a.heal();
            lie(&siege);
            siege.start_counting().await.unwrap();
            siege.line.relayer.launch().unwrap();
        }
        let (chain, reason) =
            if live { (&siege.line.net.b, "packet_differs") } else { (&siege.line.net.a, "commitment_mismatch") };
        siege.refused(chain, reason, WAIT).await.unwrap();
        siege.line.net.a.wait_blocks(6).await.unwrap();
        assert!(siege.b.tampered() > 0);
        assert!(siege.a.broadcasts().is_empty(), "{:?}", siege.a.broadcast_messages());
        siege.flows(&other, WAIT).await.unwrap();
        siege.b.heal();
        target.settled(WAIT).await.unwrap();
        let ours = wallets.relayer.address();
        assert_eq!(target.a.history().await.unwrap().failed_of(ours), 0);
    }
    siege.flows(&target, WAIT).await.unwrap();
    assert_eq!(siege.damage().await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_39_an_event_that_names_another_counterparty_channel_is_not_relayed() {
    let mut siege = besieged().await;
    let (target, other) = (siege.target().unwrap(), siege.other().unwrap());
    let wallets = siege.line.net.wallets.clone();
    let elsewhere = other.b.channel.clone();
    let forge = move |event: &mut Value| set_attribute(event, "packet_dst_channel", &elsewhere);
    let before = siege.start_counting().await.unwrap();
    siege.a.tamper(results(), on_channel("send_packet", "packet_src_channel", &target.a.channel, forge));
    let alice = siege.line.net.a.user(&wallets.user_a);
    alice.transfer(&Transfer::new(&target.a.channel, 5, STAKE, wallets.user_b.address())).await.unwrap();
    siege.refused(&siege.line.net.a, "misrouted", WAIT).await.unwrap();
    siege.line.net.b.wait_blocks(4).await.unwrap();
    assert!(siege.a.tampered() > 0);
    assert_eq!(siege.paid().await.unwrap(), before);
    siege.flows(&other, WAIT).await.unwrap();
    assert!(relayed(&siege.b).unwrap().iter().all(|r| !r.of(&target.a.channel)));

    siege.a.heal();
    target.settled(WAIT).await.unwrap();
    siege.flows(&target, WAIT).await.unwrap();
    assert_eq!(siege.damage().await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_42_an_event_with_oversized_data_or_acknowledgement_is_not_decoded() {
    let mut siege = besieged().await;
    let (target, other) = (siege.target().unwrap(), siege.other().unwrap());
    let wallets = siege.line.net.wallets.clone();
    let huge = "41".repeat(1 << 20);
    let (data, ack) = (huge.clone(), huge);
    let data = move |event: &mut Value| set_attribute(event, "packet_data_hex", &data);
    let ack = move |event: &mut Value| set_attribute(event, "packet_ack_hex", &ack);
    let before = siege.start_counting().await.unwrap();
    siege.a.tamper(results(), on_channel("send_packet", "packet_src_channel", &target.a.channel, data));
    siege.b.tamper(results(), on_channel("write_acknowledgement", "packet_dst_channel", &target.b.channel, ack));
    let alice = siege.line.net.a.user(&wallets.user_a);
    let transfer = Transfer::new(&target.a.channel, 5, STAKE, wallets.user_b.address());
    alice.transfer(&transfer).await.unwrap();
    siege.refused(&siege.line.net.a, "packet_too_large", WAIT).await.unwrap();
    siege.line.net.b.wait_blocks(4).await.unwrap();
    assert!(siege.a.tampered() > 0);
    assert_eq!(siege.paid().await.unwrap(), before);
    siege.flows(&other, WAIT).await.unwrap();

    // The data is told truly again, so it is received; its acknowledgement is not told truly yet.
    siege.a.heal();
    siege.refused(&siege.line.net.b, "ack_too_large", WAIT).await.unwrap();
    siege.flows(&other, WAIT).await.unwrap();
    assert!(relayed(&siege.a).unwrap().iter().all(|r| !r.of(&target.a.channel)));
    assert!(siege.b.tampered() > 0);
    siege.b.heal();
    target.settled(WAIT).await.unwrap();

    // As large as ibc-go allows: an ordinary packet.
    let alice = siege.line.net.a.user(&wallets.user_a);
    alice.transfer(&transfer.memo(&"m".repeat(32_000))).await.unwrap();
    target.settled(WAIT).await.unwrap();
    siege.flows(&target, WAIT).await.unwrap();
    assert_eq!(siege.damage().await.unwrap(), [""; 0]);
}
