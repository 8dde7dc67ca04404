//! What nodes say against each other or against proofs.

use std::collections::BTreeSet;

use super::tests::{at, block, drain, end, engine, packet, prove, work};
use super::*;
use crate::fact::Fact;
use crate::id::Sequence;
use crate::packet::Packet;

fn forged(sequence: u64) -> Packet {
    Packet { data: b"forged".as_slice().into(), ..packet(sequence) }
}

fn items(effects: &[Effect]) -> Vec<ProveItem> {
    let of = |e: &Effect| if let Effect::Prove { items, .. } = e { items.clone() } else { Vec::new() };
    effects.iter().flat_map(of).collect()
}

fn ack_written(packet: Packet) -> Vec<Fact> {
    vec![Fact::AckWritten(packet, b"ok".as_slice().into())]
}

#[test]
fn attack_38_a_proven_packet_is_not_replaced_by_what_the_destination_says() {
    let mut e = engine();
    e.handle(1, Input::Block { side: Side::A, block: block(11, vec![Fact::Sent(packet(1))]) });
    let effects = work(drain(&mut e, 1));
    prove(&mut e, 2, &effects[0]);
    let _submitted = work(drain(&mut e, 2));
    e.handle(3, Input::Block { side: Side::B, block: block(12, ack_written(forged(1))) });
    let effects = drain(&mut e, 3);
    assert!(effects.iter().any(|n| matches!(n, Effect::Notice(Notice::Unusable { reason: "packet_differs", .. }))));
    assert!(items(&effects).is_empty());
    e.handle(4, Input::Block { side: Side::B, block: block(13, ack_written(packet(1))) });
    let items = items(&drain(&mut e, 4));
    assert_eq!((items[0].action, items[0].source.clone()), (Action::Ack, None), "its commitment was proven before");
}

#[test]
fn attack_36_a_packet_that_only_events_vouch_for_needs_a_proof_of_its_commitment_too() {
    let mut e = engine();
    let late = Packet { timeout_height: Height::new(1, 5), ..packet(1) };
    e.handle(1, Input::Block { side: Side::A, block: block(11, vec![Fact::Sent(late.clone())]) });
    e.handle(1, Input::Block { side: Side::B, block: block(11, ack_written(packet(2))) });
    let items = items(&work(drain(&mut e, 1)));
    let check = |action| items.iter().find(|i| i.action == action).unwrap().source.clone().unwrap();
    assert_eq!(check(Action::Timeout).commitment, late.commitment());
    assert_eq!(check(Action::Timeout).sent, Some(Height::new(1, 11)));
    assert_eq!((check(Action::Ack).commitment, check(Action::Ack).sent), (packet(2).commitment(), None));
}

#[test]
fn attack_34_a_proof_of_a_text_that_was_replaced_meanwhile_is_not_used() {
    let mut e = engine();
    let (first, second) =
        if forged(1).commitment() < packet(1).commitment() { (packet(1), forged(1)) } else { (forged(1), packet(1)) };
    e.handle(1, Input::Block { side: Side::A, block: block(11, vec![Fact::Sent(first)]) });
    let asked = work(drain(&mut e, 1));
    e.handle(2, Input::Block { side: Side::A, block: block(12, vec![Fact::Sent(second.clone())]) });
    let again = work(drain(&mut e, 2));
    assert_eq!(items(&again)[0].expect, Some(second.commitment()));
    prove(&mut e, 3, &asked[0]);
    assert!(work(drain(&mut e, 3)).is_empty(), "the proof is of another text");
    prove(&mut e, 4, &again[0]);
    assert!(matches!(work(drain(&mut e, 4)).as_slice(), [Effect::Submit { .. }]));
}

#[test]
fn attack_33_what_the_state_contradicts_is_forgotten_and_read_anew() {
    let mut e = engine();
    let acked = Fact::Acked { source: end("channel-0"), sequence: Sequence(1) };
    e.handle(
        1,
        Input::Block { side: Side::A, block: block(11, vec![Fact::Sent(forged(1)), Fact::Sent(packet(2)), acked]) },
    );
    let effects = work(drain(&mut e, 1));
    let Effect::Prove { id, items, .. } = &effects[0] else { panic!("{effects:?}") };
    let results = vec![(items[0].key, Err(ProveFailure::Refused("commitment_mismatch")))];
    assert_eq!(items[0].key.sequence, Sequence(2), "the first was said to be acknowledged");
    e.handle(2, Input::Proved { id: *id, results });
    let knows = |e: &Engine, n| e.knows(Side::A, &end("channel-0"), Sequence(n));
    let open = |open: &[u64], height| Input::Commitments {
        side: Side::A,
        source: end("channel-0"),
        at: at(height),
        open: open.iter().copied().map(Sequence).collect::<BTreeSet<_>>(),
    };
    e.handle(3, open(&[], 12));
    e.handle(3, open(&[1], 10));
    assert!(knows(&e, 1) && knows(&e, 2), "nothing open, or a state before the block that told of the end");
    e.handle(4, open(&[1, 2], 12));
    assert!(!knows(&e, 1) && !knows(&e, 2));
    e.handle(5, Input::Past { side: Side::A, facts: vec![(at(11), Fact::Sent(packet(1)))] });
    assert!(matches!(work(drain(&mut e, 5)).as_slice(), [Effect::Prove { .. }]));
    assert_eq!(e.open(), 1);
}

#[test]
fn attack_33_a_receive_that_no_state_shows_is_taken_back_and_the_packet_delivered() {
    let mut e = engine();
    e.handle(1, Input::Block { side: Side::A, block: block(11, vec![Fact::Sent(packet(1)), Fact::Sent(packet(2))]) });
    // The first is only said to be received, the second is acknowledged, too.
    let mut lies = vec![Fact::Received(packet(1))];
    lies.extend(ack_written(packet(2)));
    e.handle(1, Input::Block { side: Side::B, block: block(11, lies) });
    assert!(items(&drain(&mut e, 1)).iter().all(|i| i.key.sequence != Sequence(1)));
    let read = |number| Input::Unreceived {
        side: Side::A,
        source: end("channel-0"),
        at: at(number),
        sequences: vec![Sequence(1), Sequence(2)],
    };
    e.handle(2, read(10));
    assert!(items(&drain(&mut e, 2)).is_empty(), "an older state says nothing about block 11");
    e.handle(3, read(11));
    let items = items(&drain(&mut e, 3));
    assert_eq!(items.iter().map(|i| (i.action, i.key.sequence)).collect::<Vec<_>>(), [(Action::Recv, Sequence(1))]);
}
