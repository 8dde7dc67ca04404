//! One path at work: the pure engine of `relayer-core` with its hands.
//!
//! ```text
//! feeder(A) --blocks--+                        +--> prove task: query, verified header, pool --+
//! feeder(B) --blocks--+--> [inputs] --> ENGINE-+--> submitter(A | B): client update, lane ------+--> [inputs]
//! scan task --facts --+                        +--> notices: metrics, traces, journal
//! ```
//!
//! A path owns its engine and shares followers, lanes and the verification pool with others. Everything that it waits for comes through
//! one bounded queue. It starts when both chains answer and its client, connection and channels are what the configuration says;
//! until then it says why not and tries again.

mod client;
mod misbehaviour;
mod notice;
mod prove;
mod scan;
mod setup;
mod stage;
mod submit;
mod urgency;
mod xcm;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use light_clients::Verifier;
use relayer_core::chain::Chain;
use relayer_core::engine::{ChannelPair, Effect, Engine, Input, Policy};
use relayer_core::error::ChainError;
use relayer_core::id::{ClientId, ConnectionId, Height};
use relayer_core::packet::Side;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::follow::{Follower, pause};
use crate::journal::Journal;
use crate::lane::LaneHandle;
use crate::limits;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::Tracer;
use crate::verify::Pool;

pub use client::ClientView;
pub use notice::Latencies;
pub(crate) use stage::unix_ns;
pub use xcm::{XcmMessage, XcmPacket};

/// One end of a path as configured: all ids known.
#[derive(Debug, Clone)]
pub struct EndIds {
    /// The client on this chain.
    pub client: ClientId,
    /// The connection on this chain.
    pub connection: ConnectionId,
}

/// What a path is.
pub struct PathSpec {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Ids on A and B.
    pub ends: [EndIds; 2],
    /// Its channels.
    pub channels: Vec<ChannelPair>,
    /// How it is relayed.
    pub policy: Policy,
    /// State is scanned for open packets when it starts.
    pub clear_on_start: bool,
    /// ... and at this interval.
    pub clear_interval: Option<Duration>,
}

/// What a path shares with others.
pub struct Shared {
    /// Followers of A and B.
    pub followers: [Arc<Follower>; 2],
    /// The wallets' lanes on A and B.
    pub lanes: [LaneHandle; 2],
    /// The light clients that verify A's and B's headers and proofs.
    pub verifiers: [Arc<dyn Verifier>; 2],
    /// Verification threads.
    pub pool: Pool,
    /// The journal.
    pub journal: Journal,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Traces.
    pub tracer: Tracer,
}

/// A path's state as `status` shows it.
#[derive(Debug, Clone, Default)]
pub struct PathStatus {
    /// Both chains answer and everything is as configured.
    pub running: bool,
    /// Why not, or the last thing that went wrong.
    pub trouble: Option<String>,
    /// Clients on A and B.
    pub clients: [Option<ClientView>; 2],
    /// Channels: ends, and per direction (from A, from B) what is open.
    pub channels: Vec<ChannelStatus>,
    /// Recent latencies, ms.
    pub latencies: Latencies,
    /// Open packets and recently ended ones, bounded.
    pub packets: Vec<relayer_core::engine::PacketView>,
    /// Packets that carry XCM, bounded.
    pub xcm: Vec<Arc<XcmPacket>>,
    /// Scans of state finished since the start.
    pub scans: u64,
    /// Open packets known.
    pub open: usize,
    /// Packets in transactions without an outcome.
    pub in_flight: usize,
    /// Packets ended since the start: acknowledged, timed out, failed.
    pub ended: [u64; 3],
}

/// One channel's state.
#[derive(Debug, Clone)]
pub struct ChannelStatus {
    /// Its ends.
    pub pair: ChannelPair,
    /// Packets sent from A, from B.
    pub backlog: [relayer_core::engine::Backlog; 2],
}

/// What can be asked of a running path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Scan the state for open packets now.
    Clear,
}

/// A path, ready to run.
pub struct Path {
    pub(crate) spec: PathSpec,
    pub(crate) shared: Shared,
    /// Prefix of the IBC store on A and B, as the connection's ends say.
    pub(crate) clients: [client::ClientCache; 2],
    pub(crate) stages: stage::Stages,
    status: Arc<Mutex<PathStatus>>,
    /// Why the last submission to A and to B halted, with what to do.
    halts: Mutex<[Option<String>; 2]>,
    /// KiB of headers that may still wait to be compared.
    comparing: Arc<Semaphore>,
}

/// What tasks tell the engine's loop beside engine inputs.
pub(crate) enum Event {
    Input(Input),
    /// A feeder skipped ahead: state has to be read.
    Gap,
    /// State names a packet whose data no block gives: lost to the node's index, or hidden by a lie.
    Missing,
    /// Open sequences of a channel end.
    Pending(scan::Found),
    /// One of a scan's parts is over.
    Scanned(Result<(), ChainError>),
}

impl Path {
    /// A path that has done nothing yet.
    pub fn new(spec: PathSpec, shared: Shared) -> Arc<Self> {
        let clients = [client::ClientCache::default(), client::ClientCache::default()];
        Arc::new(Self {
            spec,
            shared,
            clients,
            stages: stage::Stages::default(),
            status: Arc::default(),
            halts: Mutex::default(),
            comparing: Arc::new(Semaphore::new(limits::COMPARE_KIB)),
        })
    }

    /// What `status` shows.
    pub fn status(&self) -> PathStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.spec.name
    }

    /// The ids of its chains.
    pub fn chain(&self, side: Side) -> &Arc<dyn Chain> {
        self.follower(side).chain()
    }

    fn follower(&self, side: Side) -> &Arc<Follower> {
        match side {
            Side::A => &self.shared.followers[0],
            Side::B => &self.shared.followers[1],
        }
    }

    /// Why nothing can be paid on a side at the moment.
    fn halt(&self, side: Side) -> Option<String> {
        self.halts.lock().unwrap_or_else(PoisonError::into_inner)[side.index()].clone()
    }

    fn set_halt(&self, side: Side, why: Option<String>) {
        self.halts.lock().unwrap_or_else(PoisonError::into_inner)[side.index()] = why;
    }

    fn with_status(&self, change: impl FnOnce(&mut PathStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How long the client on `side` has to live, once it is known.
    fn expires_in_ns(&self, side: Side) -> Option<u64> {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.clients.get(side.index())?.as_ref().map(|client| client.expires_in_ns)
    }

    /// Works until stopped. Set-up problems are retried for ever; they show in the status.
    pub async fn run(self: Arc<Self>, mut commands: mpsc::Receiver<Command>, stop: CancellationToken) {
        let mut failures = 0u32;
        let start = loop {
            let answer = tokio::select! {
                () = stop.cancelled() => return,
                answer = self.set_up() => answer,
            };
            match answer {
                Ok(start) => break start,
                Err(problem) => {
                    failures = failures.saturating_add(1);
                    if let Some((chain, reason)) = problem.lie() {
                        self.shared.metrics.verification_failed(chain.as_str(), reason);
                    }
                    let text = problem.to_string();
                    if self.status().trouble.as_deref() != Some(text.as_str()) {
                        tracing::warn!(path = %self.spec.name, reason = problem.label(), "path can't start yet: {text}");
                    }
                    self.with_status(|s| s.trouble = Some(text));
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause(failures)) => {}
            }
        };
        self.with_status(|s| {
            s.running = true;
            s.trouble = None;
        });
        tracing::info!(path = %self.spec.name, "path is up");
        self.relay(start, &mut commands, stop).await;
    }

    async fn relay(
        self: &Arc<Self>,
        start: setup::Start,
        commands: &mut mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) {
        let (events, mut inbox) = mpsc::channel::<Event>(limits::PATH_QUEUE);
        let tasks = TaskTracker::new();
        let halt = stop.child_token();
        let submitters = Side::BOTH.map(|side| {
            let (to, queue) = mpsc::channel(limits::SUBMIT_QUEUE);
            tasks.spawn(halt.clone().run_until_cancelled_owned(self.clone().submitter(
                side,
                queue,
                events.clone(),
                tasks.clone(),
            )));
            to
        });
        let mut engine = Engine::new(self.spec.policy.clone(), self.spec.channels.clone());
        let clock = Instant::now();
        let now = || u64::try_from(clock.elapsed().as_nanos()).unwrap_or(u64::MAX);
        for (side, client) in Side::BOTH.into_iter().zip(start.clients) {
            engine.handle(0, Input::Client { side, client });
        }
        for (side, head) in Side::BOTH.into_iter().zip(start.heads) {
            tasks.spawn(halt.clone().run_until_cancelled_owned(self.clone().feed(side, head.height, events.clone())));
        }
        let mut scans = scan::Scans::new(self.spec.clear_interval);
        if self.spec.clear_on_start {
            scans.wanted();
        }
        let mut notices = notice::Notices::new(self.clone());
        // A submitter that is busy does not stop the engine: what it can't take waits here, bounded by the engine's own slots.
        let mut held: [std::collections::VecDeque<submit::Job>; 2] = Default::default();
        let mut status_at = Instant::now();
        loop {
            if scans.due() {
                scans.begin();
                tasks.spawn(halt.clone().run_until_cancelled_owned(self.clone().scan(events.clone())));
            }
            while let Some(effect) = engine.poll(now()) {
                match effect {
                    Effect::Prove { id, side, at, items } => {
                        let names = items.iter().filter_map(|i| engine.name(i.key)).collect();
                        let work = self.clone().prove(id, side, at, items, names, events.clone());
                        tasks.spawn(halt.clone().run_until_cancelled_owned(work));
                    }
                    Effect::Submit { id, side, update, keys, messages } => {
                        let packets = keys.iter().filter_map(|k| engine.name(*k)).collect();
                        held[side.index()].push_back(submit::Job { id, update, messages, packets });
                    }
                    Effect::Notice(notice) => notices.take(notice).await,
                }
            }
            for side in Side::BOTH {
                let to = &submitters[side.index()];
                while let Some(job) = held[side.index()].pop_front() {
                    if let Err(mpsc::error::TrySendError::Full(job) | mpsc::error::TrySendError::Closed(job)) =
                        to.try_send(job)
                    {
                        held[side.index()].push_front(job);
                        break;
                    }
                }
            }
            notices.flush().await;
            if notices.take_doubt() {
                scans.doubt();
            }
            if status_at <= Instant::now() {
                self.publish(&engine, &notices, &scans);
                status_at = Instant::now() + Duration::from_millis(500);
            }
            let due = engine.deadline().map(|t| clock + Duration::from_nanos(t)).unwrap_or(status_at).min(status_at);
            let due = scans.next_at().map_or(due, |t| t.min(due));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                event = inbox.recv() => {
                    let Some(event) = event else { break };
                    self.event(&mut engine, &mut scans, event, now(), &events, &tasks, &halt);
                    // Whatever else is there is taken in before planning: larger batches, one plan.
                    while let Ok(event) = inbox.try_recv() {
                        self.event(&mut engine, &mut scans, event, now(), &events, &tasks, &halt);
                    }
                }
                Some(Command::Clear) = commands.recv() => scans.wanted(),
                () = tokio::time::sleep_until(due) => {}
            }
        }
        halt.cancel();
        tasks.close();
        tasks.wait().await;
        notices.flush().await;
    }

    #[expect(clippy::too_many_arguments, reason = "the loop's own state, in one place")]
    fn event(
        self: &Arc<Self>,
        engine: &mut Engine,
        scans: &mut scan::Scans,
        event: Event,
        now: u64,
        events: &mpsc::Sender<Event>,
        tasks: &TaskTracker,
        halt: &CancellationToken,
    ) {
        match event {
            Event::Input(input) => {
                if let Input::Block { side, block } = &input {
                    self.clients[side.index()].note(block);
                    self.watch_headers(*side, block, tasks, halt);
                }
                engine.handle(now, input);
            }
            Event::Gap => scans.wanted(),
            Event::Missing => scans.doubt(),
            Event::Pending(found) => {
                let open: BTreeSet<_> = found.open.iter().copied().collect();
                let input = Input::Commitments {
                    side: found.side,
                    source: found.pair.end(found.side).clone(),
                    at: found.at,
                    open,
                };
                engine.handle(now, input);
                let (side, end) = (found.side, found.pair.end(found.side));
                if let Some(at) = found.there {
                    let sequences = found.unreceived.clone();
                    engine.handle(now, Input::Unreceived { side, source: end.clone(), at, sequences });
                }
                let unknown = |s: &relayer_core::id::Sequence| !engine.knows(side, end, *s);
                let unacknowledged = |s: &relayer_core::id::Sequence| !engine.knows_ack(side, end, *s);
                let wanted = scan::Wanted {
                    sent: found.unreceived.iter().copied().filter(unknown).collect(),
                    acks: found.acknowledged.iter().copied().filter(unacknowledged).collect(),
                    side: found.side,
                    pair: found.pair.clone(),
                };
                let work = self.clone().past(wanted, events.clone());
                tasks.spawn(halt.clone().run_until_cancelled_owned(work));
            }
            Event::Scanned(result) => {
                if let Err(error) = &result {
                    tracing::warn!(path = %self.spec.name, reason = error.label(), "scan for open packets: {error}");
                }
                scans.ended(result.is_err());
            }
        }
    }

    /// Feeds one chain's blocks to the engine, in order, from `from` on.
    async fn feed(self: Arc<Self>, side: Side, from: Height, events: mpsc::Sender<Event>) {
        let follower = self.follower(side).clone();
        let mut heads = follower.heads();
        let mut next = from;
        loop {
            let head = match heads.wait_for(|h| h.is_some_and(|h| h.height >= next)).await {
                Ok(head) => head.map_or(next, |h| h.height),
                Err(_) => return,
            };
            if head.number.saturating_sub(next.number) > limits::CATCH_UP_BLOCKS || head.revision != next.revision {
                tracing::info!(path = %self.spec.name, chain = %follower.chain().id(), from = %next, to = %head, "far behind: reading state instead of every block");
                next = head;
                if events.send(Event::Gap).await.is_err() {
                    return;
                }
            }
            let ahead = (0..limits::FOLLOW_AHEAD as u64)
                .map(|n| Height::new(next.revision, next.number.saturating_add(n)))
                .take_while(|h| *h <= head);
            let blocks = futures::future::join_all(ahead.map(|h| follower.block_for_sure(h))).await;
            for block in blocks {
                next = next.next();
                let event = match block {
                    Some(block) => Event::Input(Input::Block { side, block }),
                    None => Event::Gap,
                };
                if events.send(event).await.is_err() {
                    return;
                }
            }
        }
    }

    fn publish(&self, engine: &Engine, notices: &notice::Notices, scans: &scan::Scans) {
        let mut backlog = engine.backlog();
        let mut channels = Vec::new();
        for (pair, n) in engine.channels().iter().zip(0u16..) {
            let open = Side::BOTH.map(|side| backlog.remove(&(side, n)).unwrap_or_default());
            channels.push(ChannelStatus { pair: pair.clone(), backlog: open });
        }
        let clients = Side::BOTH.map(|side| {
            let tracked = engine.seen(side.other())?.time;
            let view = ClientView::of(engine.client(side)?, tracked);
            let period = engine.client(side)?.trusting_period_ns;
            let chain = self.chain(side).id();
            let (expiry, period) = (view.expires_in_ns as f64 / 1e9, period as f64 / 1e9);
            self.shared.metrics.client(chain.as_str(), view.id.as_str(), expiry, period);
            Some(view)
        });
        let packets = engine.packets(false, 1_000);
        let xcm = notices.xcm();
        let halt = Side::BOTH.into_iter().find_map(|side| self.halt(side));
        let (latencies, trouble, open, scanned) =
            (notices.latencies(), notices.trouble(), engine.open(), scans.finished());
        let (in_flight, ended) = (engine.in_flight(), notices.ended());
        self.with_status(|s| {
            s.clients = clients;
            s.channels = channels;
            s.latencies = latencies;
            s.packets = packets;
            s.xcm = xcm;
            s.scans = scanned;
            s.open = open;
            s.in_flight = in_flight;
            s.ended = ended;
            s.trouble = halt.or(trouble);
        });
    }
}
