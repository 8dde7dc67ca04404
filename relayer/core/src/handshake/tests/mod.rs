#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

mod errors;
mod model;

use crate as relayer_core;

use std::sync::Arc;

use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::channel::v1::State as ChannelState;
use ibc_proto::ibc::core::connection::v1::State;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::chain::{NewClient, Path};
use crate::id::{Height, TxHash};
use crate::message::{Message, Proof, ProvenClient};
use model::{World, chain};

fn port(text: &str) -> PortId {
    PortId::new(text).unwrap()
}

fn wanted(channels: usize) -> Wanted {
    let mut wanted =
        Wanted::new(Pair::new(chain(Side::A), chain(Side::B)), Pair::new(b"ibc".to_vec(), b"ibc".to_vec()));
    wanted.channels = (0..channels)
        .map(|n| WantedChannel {
            ports: Pair::new(port("transfer"), port(if n == 1 { "other" } else { "transfer" })),
            ids: Pair::default(),
            order: if n == 1 { Order::Ordered } else { Order::Unordered },
            version: if n == 1 { "v9".to_owned() } else { "ics20-1".to_owned() },
        })
        .collect();
    wanted
}

/// The message of an action, with the proof of the other chain's present state.
fn build(world: &World, wanted: &Wanted, action: Action) -> Message {
    let other = world.hosts.at(action.on.other());
    let value = proof_path(action, wanted).map(|path| match path {
        Path::Connection(id) => other.connection(id.as_str()).unwrap().encode_to_vec(),
        Path::Channel(port, id) => other.channel(port.as_str(), id.as_str()).unwrap().encode_to_vec(),
        _ => unreachable!("handshakes prove ends only"),
    });
    let any = || Any { type_url: "/test".into(), value: vec![1] };
    let new = match (&value, action.what) {
        (Some(value), _) => {
            let proof = Proof { bytes: Arc::from(value.as_slice()), height: Height::new(1, 2) };
            let tracked_by = needs_client(action).then(|| ProvenClient {
                client_state: any(),
                proof: Arc::from([1]),
                consensus_height: Height::new(1, 1),
                consensus_proof: Arc::from([2]),
            });
            NewState::End(ProvenEnd { value, proof, tracked_by })
        }
        (None, What::CreateClient) => {
            NewState::Client(NewClient { client_state: any(), consensus_state: any(), height: Height::new(1, 1) })
        }
        (None, _) => NewState::Nothing,
    };
    message(action, wanted, new).unwrap()
}

/// A driver with a file (ids and attempts) that survives its crashes.
struct Driver {
    wanted: Wanted,
    file: Wanted,
    attempts: Vec<Attempt>,
    hashes: u8,
}

/// What happens to the transaction of one side in one round.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Commits,
    Lost,
    CommitsThenCrash,
    LostThenCrash,
    OnlyFirstMessage,
    RivalWinsLast,
}

impl Driver {
    fn new(wanted: Wanted) -> Self {
        Self { file: wanted.clone(), wanted, attempts: Vec::new(), hashes: 0 }
    }

    fn adopt(&mut self, known: Known) {
        self.wanted.adopt(&known);
        self.file.adopt(&known);
    }

    fn restart(&mut self, world: &World) {
        self.wanted = self.file.clone();
        for attempt in std::mem::take(&mut self.attempts) {
            let Some(facts) = world.hosts.at(attempt.on).facts.get(&attempt.hash) else {
                continue;
            };
            for known in learned(&attempt, &self.wanted, facts).unwrap() {
                self.adopt(known);
            }
        }
    }

    fn round(&mut self, world: &mut World, fates: Pair<Fate>) -> Step {
        let step = next(&self.wanted, &world.observe(&self.wanted)).unwrap();
        match &step {
            Step::Done => {}
            Step::Learn(ids) => ids.iter().cloned().for_each(|id| self.adopt(id)),
            Step::Act(actions) => {
                assert!(!actions.is_empty());
                let start = world.clone();
                for side in Side::BOTH {
                    self.act(world, &start, side, actions, *fates.at(side));
                }
                if Side::BOTH.iter().any(|s| matches!(fates.at(*s), Fate::CommitsThenCrash | Fate::LostThenCrash)) {
                    self.restart(world);
                }
            }
        }
        step
    }

    fn act(&mut self, world: &mut World, start: &World, side: Side, actions: &[Action], fate: Fate) {
        let mut mine: Vec<Action> = actions.iter().copied().filter(|a| a.on == side).collect();
        if fate == Fate::OnlyFirstMessage {
            mine.truncate(1);
        }
        let Some(last) = mine.last().copied() else { return };
        let messages: Vec<Message> = mine.iter().map(|a| build(start, &self.wanted, *a)).collect();
        self.hashes += 1;
        let hash = TxHash([self.hashes; 32]);
        let does = mine.iter().map(|a| a.what).collect();
        let attempt = Attempt { on: side, hash, timeout_height: Height::new(1, 9), does };
        self.attempts.push(attempt.clone());
        let finishes = matches!(
            last.what,
            What::Connection(Phase::Ack | Phase::Confirm) | What::Channel(_, Phase::Ack | Phase::Confirm)
        );
        if fate == Fate::RivalWinsLast && finishes {
            let alone = [build(start, &self.wanted, last)];
            if mine.len() == 1 {
                world.apply(side, TxHash([0; 32]), &alone).unwrap();
                assert!(world.apply(side, hash, &messages).is_err(), "a step can't be done twice");
                return;
            }
        }
        if matches!(fate, Fate::Lost | Fate::LostThenCrash) {
            return;
        }
        let done = world.apply(side, hash, &messages);
        assert!(done.is_ok(), "{done:?}");
        if fate != Fate::CommitsThenCrash {
            let facts = world.hosts.at(side).facts.get(&hash).cloned().unwrap_or_default();
            for known in learned(&attempt, &self.wanted, &facts).unwrap() {
                self.adopt(known);
            }
        }
    }

    /// Ids that the chains' ends name anyway are lost with an old copy of the file.
    fn forget(&mut self, world: &World, which: u8) {
        let seen = world.observe(&self.wanted);
        for side in Side::BOTH {
            let (view, other) = (seen.at(side), side.other());
            if which & 1 != 0
                && let Some(end) = &view.connection
            {
                *self.wanted.clients.at_mut(side) = None;
                *self.wanted.clients.at_mut(other) = None;
                if which & 2 != 0 && end.counterparty.is_some() && seen.at(other).connection.is_some() {
                    *self.wanted.connections.at_mut(other) = None;
                    break;
                }
            }
            for (index, end) in view.channels.iter().enumerate() {
                if which & 4 != 0 && end.as_ref().is_some_and(|e| e.counterparty.is_some()) {
                    *self.wanted.channels[index].ids.at_mut(other) = None;
                    *self.wanted.connections.at_mut(side) = None;
                }
            }
            if which & 4 != 0 && view.channels.iter().flatten().any(|e| e.counterparty.is_some()) {
                break;
            }
        }
        self.file = self.wanted.clone();
    }
}

fn all_open_and_single(world: &World, channels: usize) {
    for side in Side::BOTH {
        let host = world.hosts.at(side);
        assert_eq!((host.clients.len(), host.connections.len(), host.channels.len()), (1, 1, channels), "{host:?}");
        assert!(host.connections.iter().all(|c| c.state() == State::Open));
        assert!(host.channels.iter().all(|(_, c)| c.state() == ChannelState::Open));
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Commits),
        1 => Just(Fate::Lost),
        2 => Just(Fate::CommitsThenCrash),
        1 => Just(Fate::LostThenCrash),
        2 => Just(Fate::OnlyFirstMessage),
        2 => Just(Fate::RivalWinsLast),
    ]
}

proptest! {
    /// From every state that crashes, lost transactions, split batches, rivals and lost ids can leave behind, the same few rounds
    /// lead to exactly one of everything, and then nothing more happens.
    #[test]
    fn every_half_finished_handshake_is_finished_once(
        script in prop::collection::vec((fate(), fate(), 0_u8..16), 0..14),
        channels in 0_usize..4,
        begun_at_b in 0_u8..3,
    ) {
        let mut world = World::new();
        let mut driver = Driver::new(wanted(channels));
        begin_at_b(&mut driver, &mut world, begun_at_b);
        for (a, b, forget) in script {
            driver.round(&mut world, Pair::new(a, b));
            if forget >= 8 {
                driver.forget(&world, forget);
            }
        }
        let mut rounds = 0;
        while driver.round(&mut world, Pair::new(Fate::Commits, Fate::Commits)) != Step::Done {
            rounds += 1;
            prop_assert!(rounds < 40, "never done: {world:?}");
        }
        all_open_and_single(&world, channels);
        let before = world.clone();
        driver.restart(&world);
        prop_assert_eq!(driver.round(&mut world, Pair::new(Fate::Commits, Fate::Commits)), Step::Done);
        prop_assert_eq!(before, world);
    }
}

/// Half-finished states that our own driver does not make: INIT at `b`.
fn begin_at_b(driver: &mut Driver, world: &mut World, how: u8) {
    if how == 0 {
        return;
    }
    let both = Pair::new(Fate::Commits, Fate::Commits);
    driver.round(world, both);
    let init = Action { on: Side::B, what: What::Connection(Phase::Init) };
    let hash = TxHash([99; 32]);
    driver.act_alone(world, init, hash);
    if how == 1 || driver.wanted.channels.is_empty() {
        return;
    }
    while driver.wanted.channels.iter().all(|c| c.ids == Pair::default()) {
        let seen = world.observe(&driver.wanted);
        if seen.b.connection.as_ref().is_some_and(|c| c.state == EndState::Open) {
            let init = Action { on: Side::B, what: What::Channel(0, Phase::Init) };
            driver.act_alone(world, init, TxHash([98; 32]));
            break;
        }
        driver.round(world, both);
    }
}

impl Driver {
    fn act_alone(&mut self, world: &mut World, action: Action, hash: TxHash) {
        let message = build(world, &self.wanted, action);
        world.apply(action.on, hash, &[message]).unwrap();
        let attempt = Attempt { on: action.on, hash, timeout_height: Height::new(1, 9), does: vec![action.what] };
        let facts = world.hosts.at(action.on).facts.get(&hash).cloned().unwrap();
        for known in learned(&attempt, &self.wanted, &facts).unwrap() {
            self.adopt(known);
        }
    }
}

#[test]
fn a_whole_path_with_three_channels_takes_seven_batches() {
    let mut world = World::new();
    let mut driver = Driver::new(wanted(3));
    let mut batches = Vec::new();
    loop {
        match driver.round(&mut world, Pair::new(Fate::Commits, Fate::Commits)) {
            Step::Done => break,
            Step::Learn(_) => {}
            Step::Act(actions) => batches.push(actions),
        }
    }
    all_open_and_single(&world, 3);
    let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
    // Clients on both chains; INIT; TRY; ACK with three channel INITs; CONFIRM with three TRYs; three ACKs; three CONFIRMs.
    assert_eq!(sizes, [2, 1, 1, 4, 4, 3, 3]);
}
