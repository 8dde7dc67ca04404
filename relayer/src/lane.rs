//! One wallet on one chain, as a task: signs, journals, broadcasts, and tells each submission what became of it.
//!
//! Everything that goes to a chain under one key goes through its lane, in the order in which it was asked for. The account sequence is
//! the pure state machine of [`relayer_core::lane`]; outcomes come from the same blocks the paths read, so no transaction is polled.
//!
//! Never twice: an attempt is durable in the journal before it is broadcast; after a restart open attempts are resolved first, and as
//! long as one is open the wallet continues at the chain's committed account sequence, of which a chain includes one transaction at most.
//! Messages that a block has made needless since they were planned are dropped just before signing.

mod pace;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use relayer_core::chain::{Chain, Draft, Outcome, Signed};
use relayer_core::error::{ChainErrorKind, Remedy, TxFailure};
use relayer_core::fact::{BlockFacts, Fact, TxReport};
use relayer_core::id::{AccountSequence, Height, Sequence, TxHash};
use relayer_core::lane::{Flight, Lane, Turn};
use relayer_core::message::Message;
use relayer_core::packet::{PacketKey, PortChannel};
use relayer_core::record::Action;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::follow::{Follower, pause};
use crate::journal::{Attempt, AttemptEnd, AttemptKind, Fee, Journal};
use crate::limits;
use crate::path::unix_ns;
use crate::telemetry::metrics::{Metrics, Redundant};
use pace::Pace;

/// A transaction to be.
pub struct Request {
    /// The path it serves.
    pub path: Arc<str>,
    /// What it is for.
    pub kind: AttemptKind,
    /// Messages in order; client updates first.
    pub messages: Vec<Message>,
    /// The packets of the messages after the updates, for the journal.
    pub packets: Vec<(Action, PacketKey)>,
    /// Messages were dropped since it was asked for: positions no longer fit.
    pub trimmed: bool,
    /// Where to tell what became of it.
    pub reply: oneshot::Sender<Reply>,
}

/// What became of a request.
#[derive(Debug)]
pub enum Reply {
    /// In a block and successful.
    Committed {
        /// The block.
        height: Height,
        /// The transaction.
        hash: TxHash,
        /// When what happened.
        times: Times,
    },
    /// In a block and failed, or never sent. A message's index counts all messages of the request.
    Failed(TxFailure),
}

/// When a request's turn came and when the node had it, ns since the Unix epoch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// Signing began.
    pub turn_ns: u64,
    /// The node took it.
    pub accepted_ns: u64,
}

struct Waiting {
    turn_ns: u64,
    request: Request,
    signatures: u32,
    simulate: bool,
}

struct Flying {
    request: Request,
    draft: Draft,
    sequence: AccountSequence,
    /// The last block that it can be in.
    last: Height,
    fee: (u128, String),
    times: Times,
}

/// A receive (on a destination) or the end of a packet (on its source), by this chain's own end and the sequence: ids of other chains'
/// ends repeat, `channel-0` is on every chain.
type Done = (bool, PortChannel, Sequence);

/// See the module.
pub struct LaneTask {
    follower: Arc<Follower>,
    journal: Journal,
    metrics: Arc<Metrics>,
    lane: Lane,
    waiting: VecDeque<Waiting>,
    flying: HashMap<TxHash, Flying>,
    /// Attempts of an earlier run whose outcome is open.
    orphans: Vec<Attempt>,
    next_block: Option<Height>,
    done: VecDeque<BTreeSet<Done>>,
    pace: Pace,
    failures: u32,
}

/// The way to a lane.
pub type LaneHandle = mpsc::Sender<Request>;

/// A lane and the way to it.
pub fn lane(
    follower: Arc<Follower>,
    journal: Journal,
    metrics: Arc<Metrics>,
) -> (LaneTask, mpsc::Receiver<Request>, LaneHandle) {
    let (handle, requests) = mpsc::channel(limits::LANE_QUEUE);
    let task = LaneTask {
        follower,
        journal,
        metrics,
        lane: Lane::new(limits::LANE_IN_FLIGHT),
        waiting: VecDeque::new(),
        flying: HashMap::new(),
        orphans: Vec::new(),
        next_block: None,
        done: VecDeque::new(),
        pace: Pace::default(),
        failures: 0,
    };
    (task, requests, handle)
}

impl LaneTask {
    fn chain(&self) -> &dyn Chain {
        self.follower.chain().as_ref()
    }

    /// Works until stopped and drained: what is in flight is waited for as long as the caller allows.
    pub async fn run(mut self, mut requests: mpsc::Receiver<Request>, stop: CancellationToken) {
        match self.journal.open_attempts(self.chain().id()).await {
            Ok(open) => self.orphans = open,
            Err(e) => tracing::warn!(chain = %self.chain().id(), "open attempts can't be read: {e}"),
        }
        let mut heads = self.follower.heads();
        loop {
            // When stopping, what is in flight is still waited for, and nothing new is sent.
            if !stop.is_cancelled() {
                self.work(&stop).await;
            }
            let room = self.waiting.len() < limits::LANE_QUEUE;
            // Stopping sends nothing, so nothing waits for its time.
            let wait = self.pace.wake().filter(|_| !self.waiting.is_empty() && !stop.is_cancelled());
            tokio::select! {
                biased;
                () = stop.cancelled(), if self.flying.is_empty() => return,
                changed = heads.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if self.flying.is_empty() {
                        // Nothing is worth waiting for then, however long a node that went away takes to give its block.
                        tokio::select! {
                            () = stop.cancelled() => return,
                            () = self.blocks() => {}
                        }
                    } else {
                        self.blocks().await;
                    }
                }
                request = requests.recv(), if room && !stop.is_cancelled() => match request {
                    Some(request) => self.waiting.push_back(Waiting { request, turn_ns: 0, signatures: 0, simulate: false }),
                    None if self.flying.is_empty() => return,
                    None => { heads.changed().await.ok(); self.blocks().await; }
                },
                () = tokio::time::sleep_until(wait.unwrap_or_else(Instant::now)), if wait.is_some() => {}
            }
            // More requests may be there already: one broadcast takes them together.
            while self.waiting.len() < limits::LANE_QUEUE
                && let Ok(request) = requests.try_recv()
            {
                self.waiting.push_back(Waiting { request, turn_ns: 0, signatures: 0, simulate: false });
            }
        }
    }

    async fn blocks(&mut self) {
        let Some(head) = self.follower.head() else { return };
        let mut next = self.next_block.unwrap_or(head.height);
        // Far behind (the machine slept): read outcomes one by one instead of every block.
        if head.height.number.saturating_sub(next.number) > limits::CATCH_UP_BLOCKS {
            self.ask_outcomes().await;
            next = head.height;
        }
        while next <= head.height {
            match self.follower.block_for_sure(next).await {
                Some(block) => self.block(&block).await,
                // What it held of ours would look as if it had never been included.
                None => self.ask_outcomes().await,
            }
            next = next.next();
        }
        self.next_block = Some(next);
        self.orphans(head.height).await;
        for hash in self.lane.expired(head.height) {
            self.resolve(hash, Err(TxFailure::Expired), AttemptEnd::Expired).await;
        }
    }

    async fn block(&mut self, block: &BlockFacts) {
        let mut done = BTreeSet::new();
        for fact in &block.facts {
            match fact {
                Fact::Received(p) => done.insert((true, p.destination.clone(), p.sequence)),
                Fact::Acked { source, sequence } | Fact::TimedOut { source, sequence } => {
                    done.insert((false, source.clone(), *sequence))
                }
                _ => false,
            };
        }
        self.done.push_back(done);
        if self.done.len() > limits::LANE_MEMORY_BLOCKS {
            self.done.pop_front();
        }
        for report in &block.txs {
            if self.flying.contains_key(&report.hash) {
                self.committed(block.at.height, report).await;
            }
        }
    }

    async fn committed(&mut self, height: Height, report: &TxReport) {
        self.lane.resolved(report.hash);
        let chain = self.follower.chain().clone();
        if let Some(flying) = self.flying.get(&report.hash) {
            chain.learn(&flying.draft, report);
            let (amount, denom) = flying.fee.clone();
            let kind = flying.draft.messages.last().map_or("other", Message::kind);
            let id = chain.id();
            self.metrics.fee(id.as_str(), &flying.request.path, kind, &denom, amount);
            self.metrics.gas(id.as_str(), report.gas_wanted, report.gas_used);
            let fee = Fee {
                chain: id.clone(),
                path: flying.request.path.clone(),
                kind: kind.into(),
                denom: denom.into(),
                amount,
            };
            if amount > 0
                && let Err(e) = self.journal.fees_paid(vec![fee]).await
            {
                tracing::warn!("fee not recorded: {e}");
            }
        }
        match &report.failure {
            None => {
                self.resolve(report.hash, Ok(height), AttemptEnd::Committed(height)).await;
            }
            Some(failure) => {
                tracing::warn!(chain = %chain.id(), tx_hash = %report.hash, reason = failure.label(), "transaction failed in its block: {failure}");
                let end = AttemptEnd::Failed(height, failure.label());
                self.resolve(report.hash, Err(failure.clone()), end).await;
            }
        }
    }

    async fn resolve(&mut self, hash: TxHash, result: Result<Height, TxFailure>, end: AttemptEnd) {
        if let Err(e) = self.journal.attempt_end(hash, end).await {
            tracing::warn!(tx_hash = %hash, "outcome not recorded: {e}");
        }
        if let Some(flying) = self.flying.remove(&hash) {
            let reply_with = match result {
                Ok(height) => Reply::Committed { height, hash, times: flying.times },
                Err(failure) => Reply::Failed(failure),
            };
            reply(flying.request, reply_with);
        }
    }

    async fn ask_outcomes(&mut self) {
        // In their order: one that is in a block decides all with lower account sequences.
        let mut flying: Vec<_> =
            self.flying.iter().map(|(hash, flying)| (flying.sequence, *hash, flying.last)).collect();
        flying.sort_unstable();
        for (_, hash, last) in flying {
            match self.chain().outcome(hash, last).await {
                Ok(Outcome::Committed { height, report }) => self.committed(height, &report).await,
                Ok(Outcome::Unknown) => {}
                Err(error) => {
                    tracing::warn!(chain = %self.chain().id(), tx_hash = %hash, reason = error.label(), "outcome not had: {error}");
                    return;
                }
            }
        }
    }

    /// Attempts of an earlier run: in a block, overtaken by a later sequence, or past their timeout height.
    async fn orphans(&mut self, head: Height) {
        if self.orphans.is_empty() {
            return;
        }
        let committed = self.chain().account_sequence().await;
        let mut open = Vec::new();
        for attempt in std::mem::take(&mut self.orphans) {
            let end = match self.chain().outcome(attempt.hash, attempt.timeout_height).await {
                Ok(Outcome::Committed { height, report }) => Some(match report.failure {
                    None => AttemptEnd::Committed(height),
                    Some(f) => AttemptEnd::Failed(height, f.label()),
                }),
                _ if head > attempt.timeout_height => Some(AttemptEnd::Expired),
                _ => match committed {
                    // Its sequence is used: by itself (a node without an index) or by another transaction.
                    Ok(sequence) if sequence > attempt.account_sequence => Some(AttemptEnd::Expired),
                    _ => None,
                },
            };
            match end {
                Some(end) => {
                    if let Err(e) = self.journal.attempt_end(attempt.hash, end).await {
                        tracing::warn!(tx_hash = %attempt.hash, "outcome not recorded: {e}");
                    }
                }
                None => open.push(attempt),
            }
        }
        self.orphans = open;
    }

    /// Signs and broadcasts what may go now.
    async fn work(&mut self, stop: &CancellationToken) {
        while !self.waiting.is_empty() {
            if !self.pace.over(Instant::now()) {
                return;
            }
            match self.lane.turn() {
                Turn::Full => return,
                Turn::Sync => {
                    if self.follower.head().is_none() {
                        return self.later(200);
                    }
                    let sequence = tokio::select! {
                        () = stop.cancelled() => return,
                        sequence = self.chain().account_sequence() => sequence,
                    };
                    match sequence {
                        Ok(sequence) => self.lane.synced(sequence),
                        Err(error) => return self.trouble(TxFailure::Chain(error)),
                    }
                    self.metrics.resync(self.chain().id().as_str());
                }
                Turn::Sign(next) => self.broadcast(next).await,
            }
        }
    }

    fn later(&mut self, ms: u64) {
        self.pace.pause(Instant::now(), Duration::from_millis(ms));
    }

    /// The chain can't be reached or the wallet can't pay: the waiting requests go back to their paths, which plan anew.
    fn trouble(&mut self, failure: TxFailure) {
        self.failures = self.failures.saturating_add(1);
        let after = match failure.remedy() {
            Remedy::Retry { after_ms } => after_ms.max(100),
            Remedy::Halt => 5_000,
            _ => 200,
        };
        self.later(after.max(u64::try_from(pause(self.failures).as_millis()).unwrap_or(5_000)));
        for waiting in self.waiting.drain(..) {
            reply(waiting.request, Reply::Failed(failure.clone()));
        }
    }

    async fn broadcast(&mut self, first: AccountSequence) {
        let room = limits::LANE_IN_FLIGHT.saturating_sub(self.lane.in_flight()).min(limits::LANE_BATCH);
        // While an earlier run's attempt is open, one at a time: its fate shows in the first answer.
        let room = if self.orphans.is_empty() { room } else { 1 };
        let mut batch: Vec<(Waiting, Draft, Signed)> = Vec::new();
        while batch.len() < room
            && let Some(mut waiting) = self.waiting.pop_front()
        {
            let dropped = self.drop_needless(&mut waiting.request);
            if dropped && waiting.request.packets.is_empty() {
                reply(waiting.request, Reply::Failed(TxFailure::Redundant));
                continue;
            }
            let ahead = u64::try_from(batch.len()).unwrap_or(0);
            let sequence = AccountSequence(first.0.saturating_add(ahead));
            if self.in_doubt(&waiting.request, sequence) {
                reply(waiting.request, Reply::Failed(TxFailure::SequenceMismatch { expected: None }));
                continue;
            }
            waiting.turn_ns = unix_ns();
            let draft = Draft { messages: waiting.request.messages.clone(), simulate: waiting.simulate };
            match self.chain().prepare(&draft, sequence).await {
                Ok(signed) => batch.push((waiting, draft, signed)),
                // Simulated ahead of a client update that stands in a transaction of this batch: once that is sent, it is tried again.
                Err(TxFailure::ClientBehind) if !batch.is_empty() => {
                    self.waiting.push_front(waiting);
                    break;
                }
                Err(failure) => {
                    self.not_prepared(waiting, failure);
                    break;
                }
            }
        }
        if batch.is_empty() {
            return;
        }
        let attempts = batch.iter().map(|(w, _, s)| self.attempt(&w.request, s)).collect();
        if let Err(error) = self.journal.attempt_begin(attempts).await {
            // Not recorded, so not sent: after a crash nobody would know of it.
            tracing::error!(chain = %self.chain().id(), "nothing is sent: {error}");
            self.metrics.journal(&self.journal.status());
            let chain = self.chain().id().clone();
            for (waiting, _, _) in batch {
                self.waiting.push_back(waiting);
            }
            let kind = ChainErrorKind::Setup("the journal can't be written");
            return self.trouble(TxFailure::Chain(relayer_core::error::ChainError::new(
                &chain,
                kind,
                error.to_string(),
            )));
        }
        let signed: Vec<Signed> = batch.iter().map(|(_, _, s)| s.clone()).collect();
        let results = self.chain().submit(&signed).await;
        let mut results = results.into_iter();
        let mut again: BTreeMap<usize, Waiting> = BTreeMap::new();
        for (n, (waiting, draft, signed)) in batch.into_iter().enumerate() {
            let result = results.next().unwrap_or(Err(TxFailure::SequenceMismatch { expected: None }));
            if let Some(waiting) = self.submitted(waiting, draft, signed, result).await {
                again.insert(n, waiting);
            }
        }
        for (_, waiting) in again.into_iter().rev() {
            self.waiting.push_front(waiting);
        }
    }

    /// An attempt of an earlier run may still bring one of these packets, under another account sequence than this one.
    fn in_doubt(&self, request: &Request, sequence: AccountSequence) -> bool {
        let others = self.orphans.iter().filter(|attempt| attempt.account_sequence != sequence);
        others.flat_map(|attempt| &attempt.packets).any(|packet| request.packets.contains(packet))
    }

    /// While an attempt of an earlier run is open, a node that expects a later sequence has that attempt: ours are never put behind it.
    fn refused(&mut self, failure: &TxFailure) {
        match failure {
            TxFailure::SequenceMismatch { .. } if !self.orphans.is_empty() => {
                self.lane.refused(&TxFailure::SequenceMismatch { expected: None });
            }
            _ => self.lane.refused(failure),
        }
    }

    fn attempt(&self, request: &Request, signed: &Signed) -> Attempt {
        Attempt {
            hash: signed.hash,
            chain: self.chain().id().clone(),
            path: request.path.clone(),
            signer: self.chain().signer().into(),
            account_sequence: signed.account_sequence,
            timeout_height: signed.timeout_height,
            kind: request.kind,
            packets: request.packets.clone(),
        }
    }

    /// One broadcast's answer. Gives the request back if it is to be signed anew.
    async fn submitted(
        &mut self,
        waiting: Waiting,
        draft: Draft,
        signed: Signed,
        result: Result<(), TxFailure>,
    ) -> Option<Waiting> {
        let times = Times { turn_ns: waiting.turn_ns, accepted_ns: unix_ns() };
        let flight = Flight { hash: signed.hash, timeout_height: signed.timeout_height };
        let doubt = match result {
            Ok(()) | Err(TxFailure::AlreadyKnown) => {
                self.failures = 0;
                None
            }
            // No answer: the node may have it. Its block or its timeout height will tell.
            Err(TxFailure::Chain(e))
                if matches!(e.kind, ChainErrorKind::Timeout | ChainErrorKind::Malformed | ChainErrorKind::TooLarge) =>
            {
                Some(TxFailure::Chain(e))
            }
            Err(failure) => return self.not_taken(waiting, signed.hash, failure).await,
        };
        self.lane.accepted(signed.account_sequence, flight);
        if let Some(doubt) = doubt {
            self.lane.refused(&doubt);
        }
        let (sequence, last) = (signed.account_sequence, signed.timeout_height);
        let flying = Flying { request: waiting.request, draft, sequence, last, fee: signed.fee, times };
        self.flying.insert(signed.hash, flying);
        None
    }

    /// A broadcast that the node refused. Gives the request back if it is to be signed anew.
    async fn not_taken(&mut self, mut waiting: Waiting, hash: TxHash, failure: TxFailure) -> Option<Waiting> {
        self.refused(&failure);
        if let Err(e) = self.journal.attempt_end(hash, AttemptEnd::Refused(failure.label())).await {
            tracing::warn!(tx_hash = %hash, "outcome not recorded: {e}");
        }
        waiting.signatures = waiting.signatures.saturating_add(1);
        // A block between two broadcasts resets what the node checks against: the update it has not included counts again a moment later.
        let behind = failure == TxFailure::ClientBehind;
        let anew = behind || matches!(failure, TxFailure::SequenceMismatch { .. } | TxFailure::OutOfGas { .. });
        if anew && waiting.signatures < limits::LANE_SIGNATURES {
            tracing::debug!(chain = %self.chain().id(), reason = failure.label(), "signed anew: {failure}");
            waiting.simulate = matches!(failure, TxFailure::OutOfGas { .. });
            if behind || waiting.signatures > 2 || !self.orphans.is_empty() {
                self.later(300);
            }
            return Some(waiting);
        }
        tracing::warn!(chain = %self.chain().id(), reason = failure.label(), "transaction refused: {failure}");
        if failure.remedy() == Remedy::Halt {
            self.later(2_000);
        }
        reply(waiting.request, Reply::Failed(failure));
        None
    }

    fn not_prepared(&mut self, mut waiting: Waiting, failure: TxFailure) {
        self.refused(&failure);
        waiting.signatures = waiting.signatures.saturating_add(1);
        let anew = matches!(failure, TxFailure::SequenceMismatch { .. } | TxFailure::ClientBehind);
        if anew && waiting.signatures < limits::LANE_SIGNATURES {
            self.later(100);
            self.waiting.push_front(waiting);
            return;
        }
        tracing::warn!(chain = %self.chain().id(), reason = failure.label(), "transaction not prepared: {failure}");
        let remedy = failure.remedy();
        reply(waiting.request, Reply::Failed(failure.clone()));
        if matches!(remedy, Remedy::Halt) || matches!(failure, TxFailure::Chain(_)) {
            self.trouble(failure);
        }
    }

    /// Removes messages that a block has made needless. `true` if any went.
    fn drop_needless(&self, request: &mut Request) -> bool {
        let is_done = |done: Done| self.done.iter().any(|block| block.contains(&done));
        let needless = |message: &Message| {
            match message {
                Message::RecvPacket { packet: p, .. } => Some((true, p.destination.clone(), p.sequence)),
                Message::Acknowledge { packet: p, .. }
                | Message::Timeout { packet: p, .. }
                | Message::TimeoutOnClose { packet: p, .. } => Some((false, p.source.clone(), p.sequence)),
                _ => None,
            }
            .is_some_and(is_done)
        };
        let keep: Vec<bool> = request.messages.iter().map(|m| !needless(m)).collect();
        let gone = keep.iter().filter(|k| !**k).count();
        if gone == 0 {
            return false;
        }
        let kind = request.messages.last().map_or("other", Message::kind);
        self.metrics.redundant(self.chain().id().as_str(), kind, Redundant::Avoided, gone as u64);
        request.trimmed = true;
        // Packets stand for the last messages, one each.
        let mut of_packets = keep.iter().skip(keep.len().saturating_sub(request.packets.len()));
        request.packets.retain(|_| *of_packets.next().unwrap_or(&true));
        let mut of_messages = keep.iter();
        request.messages.retain(|_| *of_messages.next().unwrap_or(&true));
        true
    }
}

fn reply(request: Request, mut reply: Reply) {
    if let (true, Reply::Failed(TxFailure::Message { index, others, .. })) = (request.trimmed, &mut reply) {
        *index = None;
        others.clear();
    }
    // The path may have stopped; the journal knows the outcome.
    if request.reply.send(reply).is_err() {
        tracing::debug!(path = %request.path, "outcome of a stopped path");
    }
}
