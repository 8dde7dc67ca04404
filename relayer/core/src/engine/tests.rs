//! The engine driven by hand: one block, proof and outcome at a time.

use std::sync::Arc;

use super::*;
use crate::error::TxFailure;
use crate::fact::{BlockFacts, Fact};
use crate::id::{ChannelId, ClientId, PortId, Sequence};
use crate::message::Message;
use crate::packet::{At, Packet};

const SECOND: u64 = 1_000_000_000;

pub(super) fn end(channel: &str) -> PortChannel {
    PortChannel { port: PortId::new("transfer").unwrap(), channel: ChannelId::new(channel).unwrap() }
}

pub(super) fn packet(sequence: u64) -> Packet {
    Packet {
        sequence: Sequence(sequence),
        source: end("channel-0"),
        destination: end("channel-7"),
        data: Arc::from(format!("packet {sequence}").as_bytes()),
        timeout_height: Height::new(1, 1_000),
        timeout_timestamp: Timestamp(0),
    }
}

pub(super) fn at(number: u64) -> At {
    At { height: Height::new(1, number), time: Timestamp(number.saturating_mul(SECOND)) }
}

pub(super) fn block(number: u64, facts: Vec<Fact>) -> Arc<BlockFacts> {
    Arc::new(BlockFacts { at: at(number), facts, txs: vec![], xcm: vec![] })
}

fn client(id: &str) -> ClientRead {
    ClientRead {
        id: ClientId::new(id).unwrap(),
        latest: Height::new(1, 1),
        latest_time: Timestamp(SECOND),
        trusting_period_ns: 1_000_000 * SECOND,
        frozen: false,
    }
}

pub(super) fn engine() -> Engine {
    let pair = ChannelPair { a: end("channel-0"), b: end("channel-7") };
    let mut e = Engine::new(Policy::default(), vec![pair]);
    for side in Side::BOTH {
        e.handle(0, Input::Client { side, client: client("07-tendermint-0") });
        e.handle(0, Input::Block { side, block: block(10, vec![]) });
    }
    e
}

pub(super) fn drain(e: &mut Engine, now: u64) -> Vec<Effect> {
    std::iter::from_fn(|| e.poll(now)).collect()
}

pub(super) fn work(effects: Vec<Effect>) -> Vec<Effect> {
    effects.into_iter().filter(|e| !matches!(e, Effect::Notice(_))).collect()
}

pub(super) fn prove(e: &mut Engine, now: u64, effect: &Effect) {
    let Effect::Prove { id, at, items, .. } = effect else { panic!("{effect:?}") };
    let proof = Proof { bytes: Arc::from([1u8; 100].as_slice()), height: at.next() };
    let results = items.iter().map(|i| (i.key, Ok(proof.clone()))).collect();
    e.handle(now, Input::Proved { id: *id, results });
}

#[test]
fn a_packet_goes_from_send_to_acknowledgement() {
    let mut e = engine();
    e.handle(1, Input::Block { side: Side::A, block: block(11, vec![Fact::Sent(packet(1))]) });
    let effects = work(drain(&mut e, 1));
    let [Effect::Prove { side: Side::A, at: h, items, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((*h, items.len(), items[0].expect), (Height::new(1, 11), 1, Some(packet(1).commitment())));
    prove(&mut e, 2, &effects[0]);
    let effects = work(drain(&mut e, 2));
    let [Effect::Submit { id, side: Side::B, update: Some(h), messages, .. }] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(*h, Height::new(1, 12));
    assert!(matches!(messages.as_slice(), [Message::RecvPacket { .. }]));
    assert!(drain(&mut e, 3).is_empty(), "nothing is submitted twice");
    e.handle(4, Input::Attempt { id: *id, outcome: AttemptOutcome::Committed { height: Height::new(1, 12) } });
    let ack: Arc<[u8]> = Arc::from(b"ok".as_slice());
    let facts = vec![Fact::Received(packet(1)), Fact::AckWritten(packet(1), ack)];
    e.handle(5, Input::Block { side: Side::B, block: block(12, facts) });
    let effects = work(drain(&mut e, 5));
    let [Effect::Prove { side: Side::B, items, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(items[0].action, Action::Ack);
    prove(&mut e, 6, &effects[0]);
    let effects = work(drain(&mut e, 6));
    assert!(matches!(effects.as_slice(), [Effect::Submit { side: Side::A, update: Some(_), .. }]));
    let done = Fact::Acked { source: end("channel-0"), sequence: Sequence(1) };
    e.handle(7, Input::Block { side: Side::A, block: block(13, vec![done]) });
    let notices = drain(&mut e, 7);
    assert!(notices.iter().any(|n| matches!(n, Effect::Notice(Notice::Ended { phase: Phase::Acked, .. }))));
    assert_eq!(e.open(), 0);
}

#[test]
fn a_thousand_sends_become_full_batches_with_one_client_update() {
    let mut e = engine();
    let sends = (1..=1_000).map(|n| Fact::Sent(packet(n))).collect();
    e.handle(1, Input::Block { side: Side::A, block: block(11, sends) });
    let proves = work(drain(&mut e, 1));
    assert_eq!(proves.len(), 10);
    for p in &proves {
        prove(&mut e, 2, p);
    }
    let submits = work(drain(&mut e, 2));
    assert_eq!(submits.len(), 34);
    let updates = submits.iter().filter(|s| matches!(s, Effect::Submit { update: Some(_), .. })).count();
    let messages: usize =
        submits.iter().map(|s| if let Effect::Submit { messages, .. } = s { messages.len() } else { 0 }).sum();
    assert_eq!((updates, messages), (1, 1_000));
    assert!(matches!(submits[0], Effect::Submit { update: Some(_), .. }), "the first one carries it");
}

#[test]
fn a_packet_past_its_timeout_is_timed_out_with_a_proof_of_absence() {
    let mut e = engine();
    e.handle(1, Input::Block { side: Side::B, block: block(999, vec![]) });
    e.handle(1, Input::Block { side: Side::A, block: block(11, vec![Fact::Sent(packet(1))]) });
    let effects = work(drain(&mut e, 1));
    e.handle(2, Input::Block { side: Side::B, block: block(1_000, vec![]) });
    prove(&mut e, 3, &effects[0]);
    let effects = work(drain(&mut e, 3));
    let [Effect::Prove { side: Side::B, at: h, items, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((*h, items[0].expect, items[0].action), (Height::new(1, 999), None, Action::Timeout));
    prove(&mut e, 4, &effects[0]);
    let effects = work(drain(&mut e, 4));
    assert!(matches!(effects.as_slice(), [Effect::Submit { side: Side::A, .. }]), "{effects:?}");
}

#[test]
fn a_rival_that_is_quicker_costs_nothing() {
    let mut e = engine();
    e.handle(1, Input::Block { side: Side::A, block: block(11, vec![Fact::Sent(packet(1)), Fact::Sent(packet(2))]) });
    let effects = work(drain(&mut e, 1));
    e.handle(2, Input::Block { side: Side::B, block: block(11, vec![Fact::Received(packet(1))]) });
    prove(&mut e, 3, &effects[0]);
    let effects = work(drain(&mut e, 3));
    let [Effect::Submit { keys, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(keys.iter().map(|k| k.sequence.0).collect::<Vec<_>>(), vec![2]);
}

fn message_failed() -> TxFailure {
    TxFailure::Message {
        index: None,
        others: Vec::new(),
        code: 1,
        codespace: Default::default(),
        detail: Default::default(),
    }
}

#[test]
fn a_failed_batch_is_halved_until_the_bad_packet_stands_alone_and_is_given_up() {
    let mut e = engine();
    let sends = (1..=8).map(|n| Fact::Sent(packet(n))).collect();
    e.handle(0, Input::Block { side: Side::A, block: block(11, sends) });
    let bad = 5;
    let mut delivered = Vec::new();
    let mut now = 1;
    for _ in 0..2_000 {
        now += SECOND;
        for effect in work(drain(&mut e, now)) {
            match &effect {
                Effect::Prove { .. } => prove(&mut e, now, &effect),
                Effect::Submit { id, keys, .. } => {
                    let outcome = if keys.iter().any(|k| k.sequence.0 == bad) {
                        AttemptOutcome::Failed { failure: message_failed(), blame: Blame::Unknown }
                    } else {
                        let facts = keys.iter().map(|k| Fact::Received(packet(k.sequence.0))).collect();
                        e.handle(now, Input::Block { side: Side::B, block: block(12, facts) });
                        delivered.extend(keys.iter().map(|k| k.sequence.0));
                        AttemptOutcome::Committed { height: Height::new(1, 12) }
                    };
                    e.handle(now, Input::Attempt { id: *id, outcome });
                }
                Effect::Notice(_) => {}
            }
        }
    }
    delivered.sort_unstable();
    assert_eq!(delivered, [1, 2, 3, 4, 6, 7, 8]);
    let views = e.packets(true, 100);
    let failed: Vec<_> =
        views.iter().filter(|v| v.phase == Phase::Failed).map(|v| (v.key.sequence.0, v.reason)).collect();
    assert_eq!(failed, [(bad, Some("gave_up"))]);
}

/// Eight packets in one transaction.
fn eight_submitted() -> (Engine, AttemptId) {
    let mut e = engine();
    let sends = (1..=8).map(|n| Fact::Sent(packet(n))).collect();
    e.handle(0, Input::Block { side: Side::A, block: block(11, sends) });
    let effects = work(drain(&mut e, 1));
    prove(&mut e, 1, &effects[0]);
    let effects = work(drain(&mut e, 1));
    let [Effect::Submit { id, .. }] = effects.as_slice() else { panic!() };
    (e, *id)
}

#[test]
fn a_message_named_by_the_chain_is_tried_alone_and_the_others_go_on() {
    let (mut e, id) = eight_submitted();
    e.handle(
        2,
        Input::Attempt {
            id,
            outcome: AttemptOutcome::Failed { failure: message_failed(), blame: Blame::Messages(vec![4]) },
        },
    );
    let mut sizes = Vec::new();
    for t in 1..6 {
        let now = t * SECOND;
        for effect in work(drain(&mut e, now)) {
            match &effect {
                Effect::Prove { .. } => prove(&mut e, now, &effect),
                Effect::Submit { keys, .. } => sizes.push(keys.len()),
                Effect::Notice(_) => {}
            }
        }
    }
    sizes.sort_unstable();
    assert_eq!(sizes.iter().sum::<usize>(), 8);
    assert!(sizes.contains(&1), "{sizes:?}");
}

/// Sizes of the submissions after one of eight packets failed so, and how often each packet was given up on after it goes on failing.
fn after_failure(blame: Blame, goes_on: bool) -> (Vec<usize>, usize) {
    let (mut e, id) = eight_submitted();
    let failed = || AttemptOutcome::Failed { failure: message_failed(), blame: blame.clone() };
    e.handle(2, Input::Attempt { id, outcome: failed() });
    let mut sizes = Vec::new();
    for t in 1..4_000 {
        let now = SECOND.saturating_mul(t);
        for effect in work(drain(&mut e, now)) {
            match &effect {
                Effect::Prove { .. } => prove(&mut e, now, &effect),
                Effect::Submit { id, keys, .. } => {
                    sizes.push(keys.len());
                    if goes_on {
                        e.handle(now, Input::Attempt { id: *id, outcome: failed() });
                    }
                }
                Effect::Notice(_) => {}
            }
        }
    }
    sizes.sort_unstable();
    (sizes, e.packets(true, 100).iter().filter(|v| v.phase == Phase::Failed).count())
}

#[test]
fn of_several_messages_named_by_the_chain_each_is_tried_alone() {
    let (sizes, given_up) = after_failure(Blame::Messages(vec![1, 4, 6]), false);
    assert_eq!((sizes.iter().sum::<usize>(), given_up), (8, 0), "{sizes:?}");
    assert!(sizes.iter().filter(|size| **size == 1).count() >= 3, "{sizes:?}");
    assert_eq!(after_failure(Blame::Messages((0..8).collect()), false), (vec![4, 4], 0));
}

#[test]
fn a_client_update_that_fails_splits_no_batch_and_is_not_paid_for_without_end() {
    assert_eq!(after_failure(Blame::Update, false), (vec![8], 0));
    let (sizes, given_up) = after_failure(Blame::Update, true);
    assert_eq!(given_up, 8);
    assert_eq!(sizes, [8; 11]);
}

#[test]
fn a_packet_that_was_late_before_the_start_is_not_tried_to_be_received() {
    let pair = ChannelPair { a: end("channel-0"), b: end("channel-7") };
    let mut e = Engine::new(Policy::default(), vec![pair]);
    for side in Side::BOTH {
        e.handle(0, Input::Client { side, client: client("07-tendermint-0") });
    }
    e.handle(0, Input::Block { side: Side::A, block: block(11, vec![Fact::Sent(packet(1))]) });
    assert_eq!(work(drain(&mut e, 1)), []);
    // Its timeout height is 1-1000.
    e.handle(2, Input::Block { side: Side::B, block: block(1_001, vec![]) });
    e.handle(2, Input::Block { side: Side::B, block: block(1_002, vec![]) });
    let effects = work(drain(&mut e, 3));
    let [Effect::Prove { side: Side::B, items, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(items.len(), 1);
}

#[test]
fn what_failed_is_told_apart_from_the_updates_before_it() {
    let failed = |index, others: &[usize]| TxFailure::Message {
        index,
        others: others.to_vec(),
        code: 1,
        codespace: Default::default(),
        detail: Default::default(),
    };
    assert_eq!(Blame::of(&failed(None, &[]), 1), Blame::Unknown);
    assert_eq!(Blame::of(&failed(Some(0), &[3]), 1), Blame::Update);
    assert_eq!(Blame::of(&failed(Some(1), &[3, 4]), 1), Blame::Messages(vec![0, 2, 3]));
    assert_eq!(Blame::of(&TxFailure::TooLarge, 0), Blame::Unknown);
}

#[test]
fn phantom_misrouted_and_filtered_sends_are_refused_and_others_flow() {
    let mut e = engine();
    let mut misrouted = packet(2);
    misrouted.destination = end("channel-9");
    let facts = vec![Fact::Sent(packet(1)), Fact::Sent(misrouted), Fact::Sent(packet(3))];
    e.handle(1, Input::Block { side: Side::A, block: block(11, facts) });
    let effects = drain(&mut e, 1);
    assert!(effects.iter().any(|n| matches!(n, Effect::Notice(Notice::Unusable { reason: "misrouted", .. }))));
    let effects = work(effects);
    let Effect::Prove { id, items, .. } = &effects[0] else { panic!() };
    let proof = Proof { bytes: Arc::from([1u8].as_slice()), height: Height::new(1, 12) };
    let results = vec![(items[0].key, Err(ProveFailure::Refused("phantom_event"))), (items[1].key, Ok(proof))];
    e.handle(2, Input::Proved { id: *id, results });
    let effects = drain(&mut e, 2);
    assert!(effects.iter().any(|n| matches!(
        n,
        Effect::Notice(Notice::Ended { phase: Phase::Failed, reason: Some("phantom_event"), .. })
    )));
    let effects = work(effects);
    let [Effect::Submit { keys, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(keys[0].sequence.0, 3);
}

#[test]
fn a_message_of_xcm_in_a_memo_is_told_once_and_what_is_denied_is_not_relayed() {
    let with = |sequence, memo: &str| Packet {
        data: Arc::from(format!(r#"{{"memo":"{memo}"}}"#).as_bytes()),
        ..packet(sequence)
    };
    let mut e = engine();
    // ClearOrigin; ClearTopic; an unknown instruction
    let sends = [with(1, "0x04040a"), with(2, "0x04042d"), with(3, "0x0404ff"), with(4, "lunch")];
    e.policy.filters[0].xcm.denied = ["ClearTopic".parse().unwrap()].into();
    let told = |e: &mut Engine, now| {
        let sent = sends.iter().cloned().map(Fact::Sent).collect();
        e.handle(now, Input::Block { side: Side::A, block: block(10 + now, sent) });
        let effects = drain(e, now);
        let found = effects.iter().filter_map(|effect| match effect {
            Effect::Notice(Notice::Xcm { key, found }) => Some((key.sequence.0, found.is_ok())),
            _ => None,
        });
        (found.collect::<Vec<_>>(), effects)
    };
    let (found, effects) = told(&mut e, 1);
    assert_eq!(found, [(1, true), (2, true), (3, false)]);
    let proven = effects.iter().filter_map(|effect| match effect {
        Effect::Prove { items, .. } => Some(items.iter().map(|item| item.key.sequence.0)),
        _ => None,
    });
    assert_eq!(proven.flatten().collect::<Vec<_>>(), [1, 3, 4]);
    let reason = |n: &Effect| matches!(n, Effect::Notice(Notice::Ended { reason: Some("xcm_instruction"), .. }));
    assert_eq!(effects.iter().filter(|n| reason(n)).count(), 1);
    assert_eq!(told(&mut e, 2).0, []);
}

#[test]
fn a_packet_of_another_path_whose_far_channel_has_the_id_of_ours_is_none_of_our_business() {
    let mut e = engine();
    // B also receives from `channel-0` of a third chain, over its own channel-8.
    let mut other = packet(1);
    other.destination = end("channel-8");
    let facts = vec![Fact::Received(other.clone()), Fact::AckWritten(other, Arc::from([1u8].as_slice()))];
    e.handle(1, Input::Block { side: Side::B, block: block(11, facts) });
    let effects = drain(&mut e, 1);
    assert!(!effects.iter().any(|n| matches!(n, Effect::Notice(_))), "{effects:?}");
    assert!(!e.knows(Side::A, &end("channel-0"), Sequence(1)));
    // Ours with another source is misrouted.
    let mut forged = packet(1);
    forged.source = end("channel-5");
    e.handle(2, Input::Block { side: Side::B, block: block(12, vec![Fact::Received(forged)]) });
    let effects = drain(&mut e, 2);
    assert!(effects.iter().any(|n| matches!(n, Effect::Notice(Notice::Unusable { reason: "misrouted", .. }))));
}

#[test]
fn the_backlog_leaves_slots_for_fresh_packets() {
    let mut e = engine();
    let past = (1..=5_000).map(|n| (at(5), Fact::Sent(packet(n)))).collect();
    e.handle(0, Input::Past { side: Side::A, facts: past });
    let proves = work(drain(&mut e, 1));
    assert_eq!(proves.len(), Policy::default().prove_in_flight / 2);
    e.handle(2, Input::Block { side: Side::A, block: block(11, vec![Fact::Sent(packet(9_000))]) });
    let fresh = work(drain(&mut e, 2));
    let [Effect::Prove { items, .. }] = fresh.as_slice() else { panic!("{fresh:?}") };
    assert_eq!(items[0].key.sequence.0, 9_000);
}

#[test]
fn a_client_is_refreshed_when_a_third_of_its_trusting_period_is_spent() {
    let mut e = engine();
    let mut c = client("07-tendermint-0");
    c.trusting_period_ns = 300 * SECOND;
    e.handle(1, Input::Client { side: Side::B, client: c });
    e.handle(1, Input::Block { side: Side::A, block: block(100, vec![]) });
    assert!(work(drain(&mut e, 1)).is_empty());
    e.handle(2, Input::Block { side: Side::A, block: block(103, vec![]) });
    let effects = work(drain(&mut e, 2));
    let [Effect::Submit { side: Side::B, update: Some(h), messages, .. }] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert!(messages.is_empty());
    assert_eq!(*h, Height::new(1, 103));
}

#[test]
fn what_state_no_longer_holds_is_settled() {
    let mut e = engine();
    e.handle(1, Input::Block { side: Side::A, block: block(11, vec![Fact::Sent(packet(1)), Fact::Sent(packet(2))]) });
    let open = [Sequence(2)].into();
    e.handle(2, Input::Commitments { side: Side::A, source: end("channel-0"), at: at(11), open });
    let views = e.packets(true, 10);
    assert_eq!(views.iter().map(|v| v.phase.ended()).collect::<Vec<_>>(), [true, false]);
    assert_eq!(e.open(), 1);
}

#[test]
fn a_send_found_ahead_of_the_blocks_taken_in_waits_for_them() {
    let mut e = engine();
    e.handle(0, Input::Past { side: Side::A, facts: vec![(at(12), Fact::Sent(packet(1)))] });
    assert!(work(drain(&mut e, 1)).is_empty());
    e.handle(2, Input::Block { side: Side::A, block: block(12, vec![]) });
    assert_eq!(work(drain(&mut e, 2)).len(), 1);
}

#[test]
fn work_that_waits_for_a_free_slot_asks_for_no_poll() {
    let mut e = engine();
    let past = (1..=5_000).map(|n| (at(5), Fact::Sent(packet(n)))).collect();
    e.handle(5, Input::Past { side: Side::A, facts: past });
    assert!(e.deadline().is_some_and(|t| t <= 5), "not polled since: at once");
    let effects = work(drain(&mut e, 6));
    assert_eq!(e.deadline(), None, "every slot is busy: only an answer changes that");
    let Effect::Prove { id, items, .. } = &effects[0] else { panic!("{effects:?}") };
    let later = |i: &ProveItem| (i.key, Err(ProveFailure::Later { after_ms: 2_000, reason: "timeout" }));
    e.handle(7, Input::Proved { id: *id, results: items.iter().map(later).collect() });
    assert_eq!(work(drain(&mut e, 7)).len(), 1);
    assert_eq!(e.deadline(), Some(7 + 2 * SECOND));
}

#[test]
fn an_acknowledgement_of_a_packet_acknowledged_unseen_is_settled_by_the_second_reading() {
    let mut e = engine();
    let ack: Arc<[u8]> = Arc::from(b"ok".as_slice());
    e.handle(1, Input::Block { side: Side::B, block: block(11, vec![Fact::AckWritten(packet(1), ack)]) });
    let read = |number: u64| Input::Commitments {
        side: Side::A,
        source: end("channel-0"),
        at: at(number),
        open: Default::default(),
    };
    e.handle(2, read(11));
    assert_eq!(e.packets(false, 10).len(), 1, "it may have been sent after block 11");
    e.handle(3, read(11));
    assert_eq!(e.packets(false, 10).len(), 1, "the same block says nothing new");
    e.handle(4, read(12));
    assert_eq!(e.packets(true, 10)[0].phase, Phase::Acked);
    assert_eq!(e.open(), 0);
}

#[test]
fn what_a_block_did_not_tell_of_a_successful_transaction_is_tried_again_alone() {
    let mut e = engine();
    let sends = (1..=3).map(|n| Fact::Sent(packet(n))).collect();
    e.handle(1, Input::Block { side: Side::A, block: block(11, sends) });
    let effects = work(drain(&mut e, 1));
    prove(&mut e, 2, &effects[0]);
    let effects = work(drain(&mut e, 2));
    let [Effect::Submit { id, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    e.handle(3, Input::Attempt { id: *id, outcome: AttemptOutcome::Committed { height: Height::new(1, 11) } });
    e.handle(4, Input::Block { side: Side::B, block: block(12, vec![Fact::Received(packet(2))]) });
    let mut sizes = Vec::new();
    for t in 1..6 {
        for effect in work(drain(&mut e, t * SECOND)) {
            match &effect {
                Effect::Prove { .. } => prove(&mut e, t * SECOND, &effect),
                Effect::Submit { keys, .. } => sizes.push(keys.len()),
                Effect::Notice(_) => {}
            }
        }
    }
    assert_eq!(sizes, [1, 1], "a node refuses them one by one, unpaid, if they were received");
}

#[test]
fn fresh_packets_without_a_free_slot_leave_the_backlog_its_own() {
    let pair = ChannelPair { a: end("channel-0"), b: end("channel-7") };
    let policy = Policy { batch_messages: 1, submit_in_flight: 2, ..Policy::default() };
    let mut e = Engine::new(policy, vec![pair]);
    for side in Side::BOTH {
        e.handle(0, Input::Client { side, client: client("07-tendermint-0") });
        e.handle(0, Input::Block { side, block: block(10, vec![]) });
    }
    e.handle(1, Input::Past { side: Side::A, facts: (1..=5).map(|n| (at(5), Fact::Sent(packet(n)))).collect() });
    let fresh = (101..=105).map(|n| Fact::Sent(packet(n))).collect();
    e.handle(1, Input::Block { side: Side::A, block: block(11, fresh) });
    for effect in &work(drain(&mut e, 1)) {
        prove(&mut e, 2, effect);
    }
    let submitted: Vec<u64> = work(drain(&mut e, 2))
        .iter()
        .filter_map(|s| if let Effect::Submit { keys, .. } = s { Some(keys[0].sequence.0) } else { None })
        .collect();
    assert_eq!(submitted, [101, 102, 1]);
}
