#[allow(dead_code)] // written for the rules' own tests, which use all of it
#[path = "../../../core/src/handshake/tests/model.rs"]
mod model;
mod sim;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ibc_proto::ibc::core::channel::v1::State as ChannelState;
use ibc_proto::ibc::core::connection::v1::State;
use proptest::prelude::*;
use relayer_core;
use relayer_core::handshake::WantedChannel;
use relayer_core::id::PortId;
use relayer_core::packet::Order;
use tokio::time::Instant;

use super::*;
use model::chain;
use sim::{Fault, Sim, SimChain};

fn wanted(channels: usize) -> Wanted {
    let prefix = || b"ibc".to_vec();
    let mut wanted = Wanted::new(Pair::new(chain(Side::A), chain(Side::B)), Pair::new(prefix(), prefix()));
    let channel = |n: usize| WantedChannel {
        ports: Pair::new(PortId::new("transfer").unwrap(), PortId::new(format!("port-{n}")).unwrap()),
        ids: Pair::default(),
        order: Order::Unordered,
        version: "ics20-1".to_owned(),
    };
    wanted.channels = (0..channels).map(channel).collect();
    wanted
}

fn links(sim: &Arc<Mutex<Sim>>) -> Links {
    let verifier: Arc<dyn Verifier> = Arc::new(sim::SimVerifier);
    Links {
        chains: Pair::new(SimChain::open(sim, Side::A), SimChain::open(sim, Side::B)),
        verifiers: Pair::new(Arc::clone(&verifier), verifier),
        cpu: Arc::new(|work| work()),
    }
}

/// What the caller writes down: ids and unsettled attempts.
#[derive(Debug, Clone)]
struct File {
    wanted: Wanted,
    attempts: Vec<Attempt>,
    troubles: Vec<&'static str>,
}

impl File {
    fn new(channels: usize) -> Self {
        Self { wanted: wanted(channels), attempts: Vec::new(), troubles: Vec::new() }
    }
    fn note(&mut self, progress: Progress) {
        match progress {
            Progress::Known(known) => assert!(self.wanted.adopt(&known), "{known:?} was known"),
            Progress::Attempt(attempt) => self.attempts.push(attempt),
            Progress::Settled(hash) => self.attempts.retain(|a| a.hash != hash),
            Progress::Again { failure, .. } => self.troubles.push(failure.label()),
            Progress::Committed { .. } | Progress::Done => {}
        }
    }
}

async fn run(links: &Links, file: &mut File) -> Result<PathIds, HandshakeFailure> {
    let (wanted, attempts) = (file.wanted.clone(), file.attempts.clone());
    create(links, wanted, &attempts, |progress| file.note(progress)).await
}

fn virtual_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(work)
}

fn assert_one_of_each(sim: &Sim, channels: usize) {
    for side in Side::BOTH {
        let host = sim.world.hosts.at(side);
        assert_eq!((host.clients.len(), host.connections.len(), host.channels.len()), (1, 1, channels), "{host:?}");
        assert!(host.connections.iter().all(|c| c.state() == State::Open));
        assert!(host.channels.iter().all(|(_, c)| c.state() == ChannelState::Open));
    }
}

#[test]
fn a_path_with_three_channels_is_open_after_at_most_seventeen_blocks() {
    virtual_time(async {
        let (sim, mut file) = (Sim::new(), File::new(3));
        let links = links(&sim);
        let (before, start) = (sim.lock().unwrap().height(Side::A), Instant::now());
        let ids = run(&links, &mut file).await.unwrap();
        let sim = sim.lock().unwrap();
        assert_one_of_each(&sim, 3);
        assert_eq!(ids.channels.len(), 3);
        assert_eq!(ids.clients.b.as_str(), "07-tendermint-70");
        assert!(file.attempts.is_empty());
        // Eight transactions: two CreateClient, then one for each of the six further steps.
        assert_eq!(sim.submitted(), 8);
        let blocks = sim.height(Side::A) - before;
        assert!(blocks <= 17, "{blocks} blocks, {:?} of virtual time", start.elapsed());
    });
}

#[test]
fn a_chain_that_shows_its_finality_in_steps_and_proves_states_by_their_own_headers_is_served() {
    for side in Side::BOTH {
        virtual_time(async {
            let (sim, mut file) = (Sim::new(), File::new(2));
            sim.lock().unwrap().final_every(side, 4);
            run(&links(&sim), &mut file).await.unwrap();
            let sim = sim.lock().unwrap();
            assert_one_of_each(&sim, 2);
            assert_eq!((sim.submitted(), file.troubles.len()), (8, 0), "{:?}", file.troubles);
        });
    }
}

#[test]
fn running_again_changes_nothing() {
    virtual_time(async {
        let (sim, mut file) = (Sim::new(), File::new(2));
        let links = links(&sim);
        let first = run(&links, &mut file).await.unwrap();
        let state = || {
            let sim = sim.lock().unwrap();
            (sim.world.hosts.clone(), sim.submitted())
        };
        let before = state();
        assert_eq!(run(&links, &mut file).await.unwrap(), first);
        assert_eq!(state(), before);
    });
}

#[test]
fn lost_answers_wrong_sequences_and_lost_transactions_open_nothing_twice() {
    virtual_time(async {
        let (sim, mut file) = (Sim::new(), File::new(1));
        let links = links(&sim);
        let faults = [
            Fault::AnswerLost,
            Fault::WrongSequence(true),
            Fault::None,
            Fault::WrongSequence(false),
            Fault::Unreachable,
            Fault::AnswerLost,
            Fault::NeverIncluded,
        ];
        sim.lock().unwrap().faults(Side::A, faults);
        sim.lock().unwrap().faults(Side::B, faults.into_iter().rev());
        run(&links, &mut file).await.unwrap();
        assert_one_of_each(&sim.lock().unwrap(), 1);
    });
}

#[test]
fn a_bad_proof_sets_the_node_aside_and_sends_nothing() {
    virtual_time(async {
        let (sim, mut file) = (Sim::new(), File::new(1));
        let links = links(&sim);
        sim.lock().unwrap().bad_proofs(Side::A, 2);
        run(&links, &mut file).await.unwrap();
        let sim = sim.lock().unwrap();
        assert_eq!(file.troubles, [sim::BAD.label(); 2]);
        assert_eq!((sim.quarantined(Side::A), sim.quarantined(Side::B)), (2, 0));
        assert_eq!(sim.submitted(), 8, "no transaction was sent for a bad proof");
        assert_one_of_each(&sim, 1);
    });
}

#[test]
fn proofs_that_stay_bad_end_with_their_reason_and_without_a_transaction() {
    virtual_time(async {
        let (sim, mut file) = (Sim::new(), File::new(0));
        let links = links(&sim);
        sim.lock().unwrap().bad_proofs(Side::A, u32::MAX);
        let failure = run(&links, &mut file).await.unwrap_err();
        assert!(matches!(&failure, HandshakeFailure::Proof { chain, .. } if chain.as_str() == "x-1"), "{failure}");
        assert_eq!(sim.lock().unwrap().submitted(), 3, "two CreateClient and one ConnOpenInit, which need no proof");
    });
}

#[test]
fn a_channel_that_its_application_refuses_does_not_hold_up_the_others() {
    virtual_time(async {
        let (sim, mut file) = (Sim::new(), File::new(3));
        let links = links(&sim);
        sim.lock().unwrap().refuse_port(Side::B, "port-1");
        let failure = run(&links, &mut file).await.unwrap_err();
        let text = failure.to_string();
        assert!(text.contains("y-1: ChanOpenTry") && text.contains("no module is bound to the port"), "{text}");
        let sim = sim.lock().unwrap();
        let open = |side| {
            let channels = &sim.world.hosts.at(side).channels;
            channels.iter().filter(|(_, c)| c.state() == ChannelState::Open).count()
        };
        assert_eq!((open(Side::A), open(Side::B)), (2, 2));
        assert_eq!(sim.world.hosts.b.channels.len(), 2);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    /// Wherever it is interrupted, and as often as it may be, the next run goes on and opens nothing twice.
    #[test]
    fn interrupted_anywhere_the_next_run_finishes(
        stops_ms in prop::collection::vec(0_u64..5_000, 0..6),
        channels in 0_usize..3,
    ) {
        virtual_time(async {
            let (sim, mut file) = (Sim::new(), File::new(channels));
            let links = links(&sim);
            for stop in stops_ms {
                if tokio::time::timeout(Duration::from_millis(stop), run(&links, &mut file)).await.is_ok() {
                    break;
                }
            }
            run(&links, &mut file).await.unwrap();
            assert_one_of_each(&sim.lock().unwrap(), channels);
            assert!(file.attempts.is_empty());
        });
    }
}
