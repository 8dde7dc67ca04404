use super::model::TRUSTING_NS;
use super::*;
use crate::fact::{Fact, Opened};

fn finished(channels: usize) -> (World, Wanted) {
    let mut world = World::new();
    let mut driver = Driver::new(wanted(channels));
    while driver.round(&mut world, Pair::new(Fate::Commits, Fate::Commits)) != Step::Done {}
    (world, driver.wanted)
}

fn refusal(world: &World, wanted: &Wanted) -> HandshakeError {
    next(wanted, &world.observe(wanted)).unwrap_err()
}

fn begun(rounds: usize) -> (World, Driver) {
    let (mut world, mut driver) = (World::new(), Driver::new(wanted(1)));
    for _ in 0..rounds {
        driver.round(&mut world, Pair::new(Fate::Commits, Fate::Commits));
    }
    (world, driver)
}

#[test]
fn frozen_expired_and_foreign_clients_are_refused_with_reasons() {
    let (world, wanted) = finished(1);
    let seen = world.observe(&wanted);
    let with = |change: &dyn Fn(&mut View)| {
        let mut seen = seen.clone();
        change(&mut seen.b);
        next(&wanted, &seen).map_err(|e| (e.label(), e.to_string()))
    };
    assert_eq!(with(&|_| {}), Ok(Step::Done));
    let (label, text) = with(&|v| v.client.as_mut().unwrap().info.frozen = true).unwrap_err();
    assert_eq!(label, "client_frozen");
    assert!(text.starts_with("client `07-tendermint-70` on y-1 is frozen"), "{text}");
    let foreign = ChainId::new("z-1").unwrap();
    let (label, text) = with(&|v| v.client.as_mut().unwrap().info.chain = foreign.clone()).unwrap_err();
    assert_eq!(label, "client_other_chain");
    assert!(text.contains("tracks chain `z-1`, not `x-1`"), "{text}");
    assert_eq!(with(&|v| v.now = Timestamp(1_000 + TRUSTING_NS - 1)), Ok(Step::Done));
    assert_eq!(with(&|v| v.now = Timestamp(1_000 + TRUSTING_NS)).unwrap_err().0, "client_expired");
    assert_eq!(with(&|v| v.client = None).unwrap_err().0, "client_missing");
}

#[test]
fn crossing_hellos_are_refused_and_name_both_ids() {
    let (mut world, mut driver) = begun(2);
    let init = Action { on: Side::B, what: What::Connection(Phase::Init) };
    driver.act_alone(&mut world, init, TxHash([99; 32]));
    let refused = refusal(&world, &driver.wanted);
    assert_eq!(refused.label(), "crossing_hellos");
    let text = refused.to_string();
    assert!(text.contains("connection `connection-10` on x-1") && text.contains("connection `connection-70` on y-1"));
    // The remedy it names works: without one of the ids the other handshake is finished.
    driver.wanted.connections.b = None;
    let try_b = Action { on: Side::B, what: What::Connection(Phase::Try) };
    assert_eq!(next(&driver.wanted, &world.observe(&driver.wanted)), Ok(Step::Act(vec![try_b])));
}

#[test]
fn two_tries_of_one_init_are_refused_once_the_other_one_was_acknowledged() {
    let (mut world, mut driver) = begun(2);
    let try_b = Action { on: Side::B, what: What::Connection(Phase::Try) };
    driver.act_alone(&mut world, try_b, TxHash([90; 32]));
    driver.act_alone(&mut world, try_b, TxHash([91; 32]));
    let ours = driver.wanted.connections.b.clone();
    assert_eq!(ours, ConnectionId::new("connection-71").ok());
    driver.wanted.connections.b = ConnectionId::new("connection-70").ok();
    driver.act_alone(&mut world, Action { on: Side::A, what: What::Connection(Phase::Ack) }, TxHash([92; 32]));
    driver.wanted.connections.b = ours;
    let refused = refusal(&world, &driver.wanted);
    assert_eq!(refused.label(), "other_end");
    let text = refused.to_string();
    assert!(text.contains("tied to connection `connection-70`, not to connection `connection-71`"), "{text}");
}

#[test]
fn other_clients_ports_orderings_versions_and_prefixes_are_refused() {
    let (world, wanted) = finished(1);
    let with = |change: &dyn Fn(&mut Wanted)| {
        let mut other = wanted.clone();
        change(&mut other);
        let refused = refusal(&world, &other);
        assert_eq!(refused.remedy(), crate::error::Remedy::Halt);
        refused.to_string()
    };
    let text = with(&|w| w.clients.a = ClientId::new("07-tendermint-9").ok());
    assert!(text.contains("has client `07-tendermint-10`, wanted is `07-tendermint-9`"), "{text}");
    let text = with(&|w| w.channels[0].order = Order::Ordered);
    assert!(text.contains("has ordering `ORDER_UNORDERED`, wanted is `ORDER_ORDERED`"), "{text}");
    let text = with(&|w| w.channels[0].version = "ics20-2".into());
    assert!(text.contains("has version `ics20-1`, wanted is `ics20-2`"), "{text}");
    let text = with(&|w| w.prefixes.b = b"icb".to_vec());
    assert!(text.contains("counterparty store prefix `ibc`"), "{text}");
    let text = with(&|w| {
        w.channels[0].ports.b = port("other");
        w.channels[0].ids.b = None;
    });
    assert!(text.contains("counterparty port"), "{text}");
    let text = with(&|w| w.connections.a = ConnectionId::new("connection-11").ok());
    assert!(text.contains("has connection `connection-10`, wanted is `connection-11`"), "{text}");
}

#[test]
fn an_empty_version_takes_what_the_applications_agreed_on() {
    let (world, mut wanted) = finished(1);
    wanted.channels[0].version = String::new();
    assert_eq!(next(&wanted, &world.observe(&wanted)), Ok(Step::Done));
}

#[test]
fn ids_that_hold_nothing_and_closed_channels_are_refused() {
    let (mut world, mut wanted) = finished(1);
    world.hosts.a.channels[0].1.state = ChannelState::Closed.into();
    let text = refusal(&world, &wanted).to_string();
    assert!(text.contains("channel `channel-10` of port `transfer` on x-1 is CLOSED"), "{text}");
    wanted.channels.clear();
    wanted.connections = Pair::new(ConnectionId::new("connection-15").ok(), None);
    let refused = refusal(&world, &wanted);
    assert_eq!((refused.label(), refused.remedy()), ("end_missing", crate::error::Remedy::Refresh));
}

#[test]
fn an_old_answer_of_one_node_is_asked_again_not_acted_upon() {
    let (world, wanted) = finished(1);
    let mut seen = world.observe(&wanted);
    seen.a.connection.as_mut().unwrap().state = EndState::Init;
    seen.a.connection.as_mut().unwrap().counterparty = None;
    let refused = next(&wanted, &seen).unwrap_err();
    assert_eq!((refused.label(), refused.remedy()), ("stale_answer", crate::error::Remedy::Refresh));
}

#[test]
fn oversized_and_nonsensical_ends_are_refused() {
    assert!(ConnectionEnd::decode(&vec![0; limits::END_BYTES + 1]).is_err());
    assert!(ChannelEnd::decode(&vec![0; limits::END_BYTES + 1]).is_err());
    assert!(ConnectionEnd::decode(&[]).is_err());
    assert!(ChannelEnd::decode(&[0xff; 8]).is_err());
    let (world, _) = finished(1);
    let mut raw = world.hosts.a.connections[0].clone();
    assert!(ConnectionEnd::decode(&raw.encode_to_vec()).is_ok());
    raw.counterparty.as_mut().unwrap().connection_id = "../../x".into();
    assert!(ConnectionEnd::decode(&raw.encode_to_vec()).is_err());
    let mut raw = world.hosts.a.channels[0].1.clone();
    raw.connection_hops.push("connection-1".into());
    assert!(ChannelEnd::decode(&raw.encode_to_vec()).is_err());
}

#[test]
fn a_message_is_not_built_on_an_end_in_another_state_than_the_step_needs() {
    let (world, wanted) = finished(1);
    let value = world.hosts.a.connections[0].encode_to_vec();
    let proof = Proof { bytes: Arc::from(value.as_slice()), height: Height::new(1, 2) };
    let action = Action { on: Side::B, what: What::Connection(Phase::Try) };
    let built = message(action, &wanted, NewState::End(ProvenEnd { value: &value, proof, tracked_by: None }));
    assert_eq!(built.unwrap_err().label(), "stale_answer");
}

#[test]
fn a_connection_is_not_tried_without_the_proof_of_the_other_chains_client() {
    let (mut world, wanted) = finished(1);
    world.hosts.a.connections[0].state = State::Init.into();
    let value = world.hosts.a.connections[0].encode_to_vec();
    let proof = Proof { bytes: Arc::from(value.as_slice()), height: Height::new(1, 2) };
    let action = Action { on: Side::B, what: What::Connection(Phase::Try) };
    let built = message(action, &wanted, NewState::End(ProvenEnd { value: &value, proof, tracked_by: None }));
    assert!(matches!(built, Err(HandshakeError::Incomplete("proof of the client"))), "{built:?}");
}

#[test]
fn ids_are_taken_from_facts_of_our_own_transaction_only() {
    let wanted = wanted(0);
    let mine = Opened::Client { client: ClientId::new("07-tendermint-5").unwrap() };
    let rivals = Opened::Client { client: ClientId::new("07-tendermint-4").unwrap() };
    let (ours, theirs) = (TxHash([1; 32]), TxHash([2; 32]));
    let facts = [Fact::Opened { tx: theirs, what: rivals }, Fact::Opened { tx: ours, what: mine }];
    let does = vec![What::CreateClient];
    let attempt = Attempt { on: Side::A, hash: ours, timeout_height: Height::new(1, 9), does };
    let id = ClientId::new("07-tendermint-5").unwrap();
    assert_eq!(learned(&attempt, &wanted, &facts), Some(vec![Known::Client(Side::A, id)]));
    assert_eq!(learned(&attempt, &wanted, &facts[..1]), None);
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(ConnectionEnd::decode(&bytes).is_err() || bytes.len() > 8);
        prop_assert!(ChannelEnd::decode(&bytes).is_err() || bytes.len() > 8);
    }
}
