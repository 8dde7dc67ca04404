//! `path create`: opens clients, a connection and channels between two chains, from whatever is already there.
//!
//! Each round reads both chains' states, asks [`relayer_core::handshake::next`] what is possible, proves and verifies what that needs, and sends
//! one transaction a chain, both chains at once. Nothing is remembered between rounds but ids, so it can be interrupted at any
//! point: running it again finishes what is left and changes nothing when all is open.
//!
//! Spec: ICS-02, ICS-03, ICS-04. Every proof is verified against a header that our own light client verified, before a transaction is signed;
//! so are the client and its consensus state at the other end, once a run.
//!
//! An id made by a transaction whose commit nobody saw would be lost, and a second client opened by the next run: hence
//! [`Progress::Attempt`] is reported before the broadcast, to be written down, and handed to [`create`] by the next run.
//!
//! Bounds: [`limits`]. Errors: [`HandshakeFailure`]; those that time or another node may heal are retried here.

mod failure;
pub mod limits;
mod observe;
mod prove;
mod send;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ibc_proto::google::protobuf::Any;
use light_clients::Verifier;
use relayer_core::chain::{Chain, Outcome};
use relayer_core::error::{ChainErrorKind, Remedy, TxFailure};
use relayer_core::handshake::{Action, Attempt, HandshakeError, Known, Pair, Step, Thing, Wanted, What, learned, next};
use relayer_core::id::{ChainId, ChannelId, ClientId, ConnectionId, Height, TxHash};
use relayer_core::packet::Side;
use serde::Serialize;

pub use failure::HandshakeFailure;
use observe::Seen;
use send::Wallet;

/// Runs a piece of CPU work on a verification thread.
pub type Cpu = Arc<dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync>;

/// The two chains and how their proofs are verified.
#[derive(Clone)]
pub struct Links {
    /// The chains.
    pub chains: Pair<Arc<dyn Chain>>,
    /// The light client that verifies each chain's proofs.
    pub verifiers: Pair<Arc<dyn Verifier>>,
    /// Where verification runs.
    pub cpu: Cpu,
}

/// All ids of a finished path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathIds {
    /// The client that each chain holds of the other one.
    pub clients: Pair<ClientId>,
    /// Connection ends.
    pub connections: Pair<ConnectionId>,
    /// Channel ends, in the order wanted.
    pub channels: Vec<Pair<ChannelId>>,
}

/// What happens meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// An id is known: write it down.
    Known(Known),
    /// A transaction is about to be broadcast: write it down first, for the next run if this one is interrupted.
    Attempt(Attempt),
    /// The outcome of that transaction is known: it need not be kept.
    Settled(TxHash),
    /// A transaction is in a block.
    Committed {
        /// Chain.
        on: Side,
        /// What it did.
        does: Vec<What>,
        /// Its hash.
        hash: TxHash,
        /// Its block.
        height: Height,
        /// The fee: amount and denomination.
        fee: (u128, String),
    },
    /// Something failed and is tried again.
    Again {
        /// What failed.
        failure: HandshakeFailure,
        /// After this pause.
        after: Duration,
    },
    /// All is open.
    Done,
}

/// The caller's progress function, shared by the two sides.
struct Report<F>(Mutex<F>);

impl<F: FnMut(Progress)> Report<F> {
    fn say(&self, progress: Progress) {
        let mut say = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        say(progress);
    }
}

/// What one side remembers during a run.
#[derive(Default)]
struct SideState {
    wallet: Wallet,
    /// Our own picture of a client state of this chain: how its proofs are checked.
    template: Option<Any>,
    /// The client on this chain, once proven to be what it seems.
    proven: Option<ClientId>,
    /// Blocks up to here have been seen.
    floor: Option<Height>,
}

/// Opens all that is wanted. `attempts` are those of an interrupted run, reported then as [`Progress::Attempt`] and not settled.
pub async fn create(
    links: &Links,
    wanted: Wanted,
    attempts: &[Attempt],
    progress: impl FnMut(Progress) + Send,
) -> Result<PathIds, HandshakeFailure> {
    let report = Report(Mutex::new(progress));
    let mut run = Run::new(links, wanted);
    let mut troubles = 0_u32;
    let mut open: Vec<Attempt> = attempts.iter().take(limits::ATTEMPTS).cloned().collect();
    loop {
        let failure = match run.round(&mut open, &report).await {
            Ok(Round::Done(ids)) => {
                report.say(Progress::Done);
                return Ok(ids);
            }
            Ok(Round::Went) => {
                troubles = 0;
                continue;
            }
            Err(failure) => failure,
        };
        let least = match failure.remedy() {
            Remedy::Retry { after_ms } => Duration::from_millis(after_ms),
            Remedy::Refresh => Duration::from_millis(100),
            Remedy::Drop | Remedy::Halt => return Err(failure),
        };
        troubles = troubles.saturating_add(1);
        if troubles > limits::TROUBLES {
            return Err(failure);
        }
        let grown = Duration::from_millis(50).saturating_mul(1 << troubles.min(10)).min(limits::PAUSE_MOST);
        let after = least.max(grown);
        report.say(Progress::Again { failure, after });
        tokio::time::sleep(after).await;
    }
}

enum Round {
    Went,
    Done(PathIds),
}

struct Run<'a> {
    links: &'a Links,
    wanted: Wanted,
    sides: Pair<SideState>,
    /// Ends whose ids came from this run's own transactions: another relayer's may turn out to be the ones in use.
    ours: BTreeSet<Known>,
    /// One step a transaction, after a batch was refused.
    alone: bool,
    refusals: BTreeMap<Action, u32>,
    /// Channels that don't open, and why; others go on.
    given_up: BTreeMap<usize, HandshakeFailure>,
}

impl<'a> Run<'a> {
    fn new(links: &'a Links, wanted: Wanted) -> Self {
        Self {
            links,
            wanted,
            sides: Pair::default(),
            ours: BTreeSet::new(),
            alone: false,
            refusals: BTreeMap::new(),
            given_up: BTreeMap::new(),
        }
    }

    async fn round<F: FnMut(Progress)>(
        &mut self,
        open: &mut Vec<Attempt>,
        report: &Report<F>,
    ) -> Result<Round, HandshakeFailure> {
        // A transaction of which this run lost sight counts like one of an interrupted run.
        open.extend(Side::BOTH.into_iter().filter_map(|side| self.sides.at_mut(side).wallet.doubtful()));
        while let Some(attempt) = open.first() {
            let ids = settle(self.links, attempt, &self.wanted).await?;
            report.say(Progress::Settled(attempt.hash));
            open.remove(0);
            self.adopt(ids, true, report);
        }
        let seen = observe::both(self.links, &self.wanted, &mut self.sides).await?;
        let view = Pair::new(seen.a.view.clone(), seen.b.view.clone());
        let actions = match next(&self.wanted, &view) {
            Err(HandshakeError::OtherEnd { names, expected, .. }) if self.drop_ours(&expected) => {
                tracing::warn!(%names, %expected, "another relayer's end is in use; ours is left unused");
                return Ok(Round::Went);
            }
            Err(refused) => return Err(refused.into()),
            Ok(Step::Learn(ids)) => {
                self.adopt(ids, false, report);
                return Ok(Round::Went);
            }
            Ok(Step::Done) => return self.ids().map(Round::Done),
            Ok(Step::Act(actions)) => actions,
        };
        let left = |a: &&Action| !matches!(a.what, What::Channel(n, _) if self.given_up.contains_key(&n));
        let actions: Vec<Action> = actions.iter().filter(left).copied().collect();
        if actions.is_empty() {
            // Only channels that don't open are left: all else is done.
            return Err(self.given_up.values().next().cloned().unwrap_or(HandshakeFailure::Verification));
        }
        self.act(&actions, &seen, report).await
    }

    async fn act<F: FnMut(Progress)>(
        &mut self,
        actions: &[Action],
        seen: &Pair<Seen>,
        report: &Report<F>,
    ) -> Result<Round, HandshakeFailure> {
        let of = |side: Side| actions.iter().copied().filter(|a| a.on == side).collect::<Vec<_>>();
        let (ours, theirs) = (of(Side::A), of(Side::B));
        let work = Work { links: self.links, wanted: &self.wanted, seen, alone: self.alone };
        // A side's own state is its wallet and what was proven of it; what is proven of the other side comes back as a result.
        let Pair { a, b } = &mut self.sides;
        let (template_a, template_b) = (a.template.clone(), b.template.clone());
        let (proven_a, proven_b) = (a.proven.clone(), b.proven.clone());
        let (done_a, done_b) = tokio::join!(
            work.side(&ours, &mut a.wallet, template_b.as_ref(), proven_b.as_ref(), report),
            work.side(&theirs, &mut b.wallet, template_a.as_ref(), proven_a.as_ref(), report),
        );
        let mut worst = None;
        for (side, done) in [(Side::A, done_a), (Side::B, done_b)] {
            let state = self.sides.at_mut(side);
            state.floor = state.floor.max(done.height);
            if let Some(client) = done.proven {
                self.sides.at_mut(side.other()).proven = Some(client);
            }
            for known in done.ids {
                self.wanted.adopt(&known);
                self.ours.insert(known);
            }
            for (batch, failure) in done.failures {
                if let Some(failure) = self.refused(&batch, failure) {
                    worst = Some(failure);
                }
            }
        }
        worst.map_or(Ok(Round::Went), Err)
    }

    /// Weighs a refused batch: halved to single steps first, then given up; `Some` = the round has failed.
    fn refused(&mut self, batch: &[Action], failure: HandshakeFailure) -> Option<HandshakeFailure> {
        if failure.remedy() != Remedy::Drop || !matches!(failure, HandshakeFailure::Tx { .. }) {
            return Some(failure);
        }
        let [action] = batch else {
            self.alone = true;
            return None;
        };
        let refusals = self.refusals.entry(*action).or_default();
        *refusals = refusals.saturating_add(1);
        if *refusals < limits::REFUSALS {
            return None;
        }
        match action.what {
            What::Channel(index, _) => {
                self.given_up.insert(index, failure);
                None
            }
            _ => Some(failure),
        }
    }

    fn adopt<F: FnMut(Progress)>(&mut self, ids: Vec<Known>, ours: bool, report: &Report<F>) {
        for known in ids {
            if self.wanted.adopt(&known) {
                report.say(Progress::Known(known.clone()));
            }
            if ours {
                self.ours.insert(known);
            }
        }
    }

    /// Forgets an end that this run made, when the other chain's end turns out to be tied to a rival's.
    fn drop_ours(&mut self, end: &Thing) -> bool {
        let made = self.ours.iter().find(|known| match (known, end) {
            (Known::Connection(_, id), Thing::Connection(end)) => id == end,
            (Known::Channel(side, index, id), Thing::Channel(end)) => {
                id == &end.channel && self.wanted.channels.get(*index).is_some_and(|c| *c.ports.at(*side) == end.port)
            }
            _ => false,
        });
        let Some(made) = made.cloned() else { return false };
        match &made {
            Known::Connection(side, _) => *self.wanted.connections.at_mut(*side) = None,
            Known::Channel(side, index, _) => {
                if let Some(channel) = self.wanted.channels.get_mut(*index) {
                    *channel.ids.at_mut(*side) = None;
                }
            }
            Known::Client(..) => return false,
        }
        self.ours.remove(&made)
    }

    fn ids(&self) -> Result<PathIds, HandshakeFailure> {
        fn both<T: Clone>(pair: &Pair<Option<T>>) -> Result<Pair<T>, HandshakeFailure> {
            match (pair.a.clone(), pair.b.clone()) {
                (Some(a), Some(b)) => Ok(Pair::new(a, b)),
                _ => Err(HandshakeError::Incomplete("id").into()),
            }
        }
        Ok(PathIds {
            clients: both(&self.wanted.clients)?,
            connections: both(&self.wanted.connections)?,
            channels: self.wanted.channels.iter().map(|c| both(&c.ids)).collect::<Result<_, _>>()?,
        })
    }
}

/// What both sides of a round read.
struct Work<'a> {
    links: &'a Links,
    wanted: &'a Wanted,
    seen: &'a Pair<Seen>,
    alone: bool,
}

/// What one side of a round did.
#[derive(Default)]
struct Done {
    ids: Vec<Known>,
    height: Option<Height>,
    /// The opposite chain's client, proven on the way.
    proven: Option<ClientId>,
    failures: Vec<(Vec<Action>, HandshakeFailure)>,
}

impl Work<'_> {
    async fn side<F: FnMut(Progress)>(
        &self,
        actions: &[Action],
        wallet: &mut Wallet,
        template: Option<&Any>,
        proven: Option<&ClientId>,
        report: &Report<F>,
    ) -> Done {
        let mut done = Done::default();
        let size = if self.alone { 1 } else { actions.len().max(1) };
        for batch in actions.chunks(size) {
            let known = done.proven.clone().or_else(|| proven.cloned());
            let sent = async {
                let built = self.build(batch, template, known.as_ref()).await?;
                done.proven = built.proven.clone().or_else(|| done.proven.clone());
                self.send(batch, built.messages, wallet, report).await
            };
            match sent.await {
                Ok((height, ids)) => {
                    done.height = Some(height);
                    done.ids.extend(ids);
                }
                Err(failure) => {
                    done.failures.push((batch.to_vec(), failure));
                    // What follows in this round may build on it.
                    if wallet.in_doubt() || batch.iter().any(|a| !matches!(a.what, What::Channel(..))) {
                        break;
                    }
                }
            }
        }
        done
    }

    fn id(&self, side: Side) -> ChainId {
        self.wanted.chains.at(side).clone()
    }

    fn chain(&self, side: Side) -> &Arc<dyn Chain> {
        self.links.chains.at(side)
    }
}

/// Finds out what became of an attempt of an earlier run; the ids it made.
async fn settle(links: &Links, attempt: &Attempt, wanted: &Wanted) -> Result<Vec<Known>, HandshakeFailure> {
    let chain = links.chains.at(attempt.on);
    loop {
        let head = chain.head().await?;
        let outcome = match chain.outcome(attempt.hash, attempt.timeout_height).await {
            // Too long ago for the node to tell: what is on chain shows what it made.
            Err(error) if matches!(error.kind, ChainErrorKind::Pruned(_)) && head.height > attempt.timeout_height => {
                tracing::warn!(chain = %chain.id(), tx_hash = %attempt.hash, %error, "what became of a transaction of an earlier run is not known");
                Outcome::Unknown
            }
            outcome => outcome?,
        };
        match outcome {
            Outcome::Committed { report, .. } if report.failure.is_some() => return Ok(Vec::new()),
            Outcome::Committed { height, .. } if attempt.makes() > 0 => {
                let block = chain.facts(height).await?;
                let events = HandshakeFailure::Events { chain: chain.id().clone(), hash: attempt.hash, height };
                return learned(attempt, wanted, &block.facts).ok_or(events);
            }
            Outcome::Committed { .. } => return Ok(Vec::new()),
            Outcome::Unknown if head.height > attempt.timeout_height => return Ok(Vec::new()),
            Outcome::Unknown => drop(send::next_head(chain, head.height).await?),
        }
    }
}

/// A transaction failure with where and what.
fn tx(chain: ChainId, does: Vec<What>, failure: TxFailure) -> HandshakeFailure {
    match failure {
        TxFailure::Chain(e) => HandshakeFailure::Chain(e),
        failure => HandshakeFailure::Tx { chain, does, failure: Box::new(failure) },
    }
}
