//! The one task that talks to the store: batches decisions, keeps the connection, says that this member is there.
//!
//! It ends when the last handle is dropped, after leases were given back and the membership was ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use redis::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::engine::{self, Engine};
use super::error::StoreError;
use super::hlc::Stamp;
use super::lease::{Level, later};
use super::limits::{
    BATCH, BATCHES_IN_FLIGHT, DECISION_TIMEOUT, ENGINE_TRIES, GATHER, HEARTBEAT, LEASE_SWEEP, MEMBER_FRESH,
    MEMBER_LIFETIME, PROBE_INTERVAL, RESPONSE_TIMEOUT, RETURN_HOLD_MAX, STEADY, TOPOLOGY_REFRESH,
};
use super::link::{Fault, Link, Lua, Target};
use super::shared::Write;
use super::status::Shared;
use super::wire::{Answer, Ask, Batch, Receipt, Said, engine_key, epoch_key, members_key, refund, value_key};

/// What handles ask for.
#[derive(Debug)]
pub(super) enum Job {
    Take { ask: Ask, reply: oneshot::Sender<Answer> },
    Lease { level: Arc<Level>, least: u64, n: u64, asked: Instant },
    Refund(Vec<(Receipt, u64)>),
    Write { key: Arc<str>, stamp: Stamp, value: Vec<u8>, reply: oneshot::Sender<Result<Write, StoreError>> },
}

/// Who waits for an answer of a batch.
enum Waiting {
    Task(oneshot::Sender<Answer>),
    Lease(Arc<Level>, Instant),
}

/// What a finished piece of work means for the rest.
enum Done {
    Nothing,
    /// A link, and whether redis-cell is there and may be used; or none.
    Opened(Result<(Link, bool), StoreError>),
    /// Leases were credited to these levels.
    Credited(Vec<Arc<Level>>),
    /// A batch failed; the link of this age is of no use (0: still of use).
    Lost(u64, StoreError),
    /// The same of anything but a batch.
    Failed(u64, StoreError),
    /// The store knows of us; so many members.
    Present(u32, Engine, Return),
    /// It answers, and not all members are back.
    Gathering,
    /// It was time to look again whether they are.
    Again,
    /// It does not, yet.
    Absent(u64, Option<StoreError>),
    /// A link that should replace the one of this age.
    Moved(u64),
}

/// What a member's presence ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Return {
    /// Nothing: a heartbeat.
    No,
    /// An outage in which its share gave nothing.
    Free,
    /// One whose local calls all members paid for.
    Paid,
}

type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

struct Scripts {
    decide: Lua,
    cell: Lua,
    arrive: Lua,
    refund: Lua,
    rejoin: Lua,
    versioned: Lua,
}

/// See the module. Run it in a task of its own.
#[must_use = "decisions stay local until it runs"]
pub struct Worker {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Job>,
    target: Arc<Target>,
    ca: Option<Arc<[u8]>>,
    member: Arc<str>,
    want_cell: bool,
    scripts: Arc<Scripts>,
    link: Option<Link>,
    age: u64,
    /// A job whose budget another one of the last batch defines otherwise.
    next: Option<Job>,
    busy: FuturesUnordered<Work>,
    batches: usize,
    opening: bool,
    probing: bool,
    holding: Vec<Arc<Level>>,
    /// Since when this outage is known here.
    lost_at: Option<Instant>,
    /// Since when this member could return, but for the others.
    gathering: Option<Instant>,
    looks_again: bool,
    returned: Option<Instant>,
    /// How long this outage lasts at least.
    hold: Duration,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        queue: mpsc::Receiver<Job>,
        (target, ca): (Target, Option<Vec<u8>>),
        member: Arc<str>,
        want_cell: bool,
    ) -> Self {
        let scripts = Scripts {
            decide: Lua::new(include_str!("decide.lua")),
            cell: Lua::new(include_str!("cell.lua")),
            arrive: Lua::new(include_str!("arrive.lua")),
            refund: Lua::new(include_str!("refund.lua")),
            rejoin: Lua::new(include_str!("rejoin.lua")),
            versioned: Lua::new(include_str!("versioned.lua")),
        };
        Self {
            shared,
            queue,
            target: Arc::new(target),
            ca: ca.map(Arc::from),
            member,
            want_cell,
            scripts: Arc::new(scripts),
            link: None,
            age: 0,
            next: None,
            busy: FuturesUnordered::new(),
            batches: 0,
            opening: false,
            probing: false,
            holding: Vec::new(),
            lost_at: None,
            gathering: None,
            looks_again: false,
            returned: None,
            hold: Duration::ZERO,
        }
    }

    /// Until the last handle is dropped.
    pub async fn run(mut self) {
        let ticking = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let mut probe = ticking(PROBE_INTERVAL);
        let mut beat = ticking(HEARTBEAT);
        let mut sweep = ticking(LEASE_SWEEP);
        let mut topology = ticking(TOPOLOGY_REFRESH);
        topology.reset();
        loop {
            tokio::select! {
                biased;
                Some(done) = self.busy.next(), if !self.busy.is_empty() => self.finish(done),
                job = next_job(&mut self.next, &mut self.queue), if self.batches < BATCHES_IN_FLIGHT => match job {
                    Some(job) => self.accept(job),
                    None => break,
                },
                _ = probe.tick() => self.probe(),
                _ = beat.tick() => if !self.shared.degraded() { self.present(false) },
                _ = sweep.tick(), if !self.holding.is_empty() => self.sweep(false),
                _ = topology.tick() => self.look_for_move(),
            }
        }
        self.leave().await;
    }

    /// While the store is lost: a connection, then our presence.
    fn probe(&mut self) {
        if self.shared.degraded() {
            // From the loss on, not from when the store is there again: members that return at different times add their shares until then.
            self.lost_at.get_or_insert_with(Instant::now);
        }
        match &self.link {
            None if !self.opening => self.open(),
            Some(_) if self.shared.degraded() => self.come_back(),
            _ => {}
        }
    }

    /// Returns to the store, not too soon after a loss when losses come often.
    fn come_back(&mut self) {
        let lost_at = *self.lost_at.get_or_insert_with(Instant::now);
        if lost_at.elapsed() >= self.hold {
            self.present(true);
        }
    }

    fn returned(&mut self, how: Return) {
        let now = Instant::now();
        let steady = self.returned.is_none_or(|since| now.saturating_duration_since(since) >= STEADY);
        self.hold = match how {
            Return::Paid if steady => PROBE_INTERVAL,
            Return::Paid => self.hold.max(PROBE_INTERVAL).saturating_mul(2).min(RETURN_HOLD_MAX),
            Return::Free | Return::No => self.hold,
        };
        (self.lost_at, self.gathering, self.returned) = (None, None, Some(now));
    }

    fn open(&mut self) {
        self.opening = true;
        let (target, ca, want_cell) = (self.target.clone(), self.ca.clone(), self.want_cell);
        self.busy.push(Box::pin(async move {
            let opened = async {
                let mut link = target.open(ca.as_deref()).await?;
                let cell = want_cell && link.send(&engine::probe()).await.is_ok_and(|reply| engine::loaded(&reply));
                Ok((link, cell))
            };
            Done::Opened(opened.await)
        }));
    }

    /// Says that we are there; `returning`: after the store was lost, so that what was given locally is paid for.
    fn present(&mut self, returning: bool) {
        let Some(mut link) = self.link.clone().filter(|_| !self.probing) else { return };
        self.probing = true;
        // Who returns first has the whole budget, and the others still their shares: so all return together, as far as they are alive.
        let alone = self.gathering.is_some_and(|since| since.elapsed() >= MEMBER_LIFETIME);
        let again = returning && self.returned.is_some();
        let expected = if !again {
            0
        } else if alone {
            1
        } else {
            self.shared.members()
        };
        let (shared, scripts, member, age) = (self.shared.clone(), self.scripts.clone(), self.member.clone(), self.age);
        self.busy.push(Box::pin(async move {
            let keys = [epoch_key(&shared.domain), members_key(&shared.domain), engine_key(&shared.domain)];
            let patience = if returning { DECISION_TIMEOUT } else { RESPONSE_TIMEOUT };
            if returning {
                // Frozen only while it is likely to answer, and not before the others are here.
                match timeout(patience, knocked(&mut link, &scripts, &keys, &member, expected)).await {
                    Ok(Ok(true)) => {}
                    Ok(Ok(false)) => return Done::Gathering,
                    Ok(Err(fault)) => return Done::Absent(if fault.lost { age } else { 0 }, Some(fault.error)),
                    Err(_) => return Done::Absent(0, None),
                }
            }
            let moves = returning && shared.freeze();
            let would = if shared.cell_here() { Engine::Cell } else { Engine::Script };
            let (lifetime, moved) = (MEMBER_LIFETIME.as_millis().to_string(), u8::from(moves).to_string());
            let args = [member.to_string(), lifetime, moved, would.label().to_owned()].map(String::into_bytes);
            match timeout(patience, link.run(&scripts.rejoin, &keys, &args)).await {
                Ok(Ok(reply)) => {
                    let how = match (returning, moves) {
                        (false, _) => Return::No,
                        (true, false) => Return::Free,
                        (true, true) => Return::Paid,
                    };
                    match presence(&reply) {
                        Some((members, engine)) => Done::Present(members, engine, how),
                        None => Done::Absent(0, Some(StoreError::Garbage { what: "no number of members" })),
                    }
                }
                Ok(Err(fault)) => Done::Absent(if fault.lost { age } else { 0 }, Some(fault.error)),
                Err(_) => Done::Absent(0, None),
            }
        }));
    }

    fn look_for_move(&mut self) {
        let Some(link) = self.link.clone().filter(|_| !self.opening) else { return };
        let (target, ca, age) = (self.target.clone(), self.ca.clone(), self.age);
        self.busy.push(Box::pin(async move {
            match target.moved(&link, ca.as_deref()).await {
                Ok(true) => Done::Moved(age),
                Ok(false) | Err(_) => Done::Nothing, // the heartbeat finds out whether the link still works
            }
        }));
    }

    /// Leases that end soon go back.
    fn sweep(&mut self, all: bool) {
        let now = Instant::now();
        let mut over = Vec::new();
        self.holding.retain(|level| {
            let (mut ending, holds) = level.expiring(now, all);
            over.append(&mut ending);
            holds
        });
        if !over.is_empty() {
            self.refund(over);
        }
    }

    fn refund(&mut self, mut receipts: Vec<(Receipt, u64)>) {
        receipts.retain(|(receipt, _)| receipt.refundable());
        let Some(mut link) = self.link.clone().filter(|_| !receipts.is_empty()) else { return };
        let (shared, scripts, age) = (self.shared.clone(), self.scripts.clone(), self.age);
        self.busy.push(Box::pin(async move {
            for part in receipts.chunks(BATCH) {
                let (keys, args) = refund(&shared.domain, part);
                let started = Instant::now();
                match timeout(RESPONSE_TIMEOUT, link.run(&scripts.refund, &keys, &args)).await {
                    Ok(Ok(_)) => shared.called(started.elapsed()),
                    Ok(Err(fault)) if fault.lost => return Done::Failed(age, fault.error),
                    Ok(Err(_)) => {} // the tokens stay spent, which is safe
                    Err(_) => return Done::Failed(age, Fault::late().error),
                }
            }
            Done::Nothing
        }));
    }

    /// Takes one job, and as many decisions with it as fit.
    fn accept(&mut self, job: Job) {
        let Some(link) = self.link.clone() else {
            return give_up(job); // whoever asked falls back at once
        };
        let mut batch = Batch::default();
        let mut waiting = Vec::new();
        let mut job = Some(job);
        while let Some(current) = job.take() {
            match current {
                Job::Refund(receipts) => self.refund(receipts),
                Job::Write { key, stamp, value, reply } => self.write(key, stamp, value, reply),
                Job::Take { ask, reply } => match batch.add(ask) {
                    Ok(()) => waiting.push(Waiting::Task(reply)),
                    Err(ask) => self.next = Some(Job::Take { ask, reply }),
                },
                Job::Lease { level, least, n, asked } => {
                    match batch.add(Ask { least, levels: vec![(level.budget.clone(), n)] }) {
                        Ok(()) => waiting.push(Waiting::Lease(level, asked)),
                        Err(_) => self.next = Some(Job::Lease { level, least, n, asked }),
                    }
                }
            }
            if waiting.len() < BATCH && self.next.is_none() {
                job = self.queue.try_recv().ok();
            }
        }
        if !waiting.is_empty() {
            self.decide(link, batch, waiting);
        }
    }

    fn decide(&mut self, mut link: Link, batch: Batch, waiting: Vec<Waiting>) {
        self.batches = self.batches.saturating_add(1);
        let (shared, scripts, age) = (self.shared.clone(), self.scripts.clone(), self.age);
        self.busy.push(Box::pin(async move {
            let started = Instant::now();
            let decided = timeout(RESPONSE_TIMEOUT, decided(&mut link, &scripts, &shared, &batch)).await;
            let reply = decided.unwrap_or_else(|_| Err(Fault::late()));
            match reply {
                Ok(answers) => {
                    shared.called(started.elapsed());
                    Done::Credited(deliver(&shared, waiting, answers))
                }
                Err(fault) => {
                    waiting.into_iter().for_each(|waiting| match waiting {
                        Waiting::Task(reply) => drop(reply),
                        Waiting::Lease(level, _) => level.answered(),
                    });
                    Done::Lost(if fault.lost { age } else { 0 }, fault.error)
                }
            }
        }));
    }

    fn write(
        &mut self,
        key: Arc<str>,
        stamp: Stamp,
        value: Vec<u8>,
        reply: oneshot::Sender<Result<Write, StoreError>>,
    ) {
        let Some(mut link) = self.link.clone() else { return };
        let (shared, scripts, age) = (self.shared.clone(), self.scripts.clone(), self.age);
        self.busy.push(Box::pin(async move {
            let keys = [value_key(&shared.domain, &key)];
            let args = [
                stamp.ms.to_string().into_bytes(),
                stamp.counter.to_string().into_bytes(),
                stamp.node.as_bytes().to_vec(),
                value,
            ];
            let (answer, done) = match timeout(RESPONSE_TIMEOUT, link.run(&scripts.versioned, &keys, &args)).await {
                Ok(Ok(Value::Int(1))) => (Ok(Write::Written), Done::Nothing),
                Ok(Ok(Value::Int(0))) => (Ok(Write::Older), Done::Nothing),
                Ok(Ok(_)) => (Err(StoreError::Garbage { what: "neither yes nor no to a write" }), Done::Nothing),
                Ok(Err(fault)) => {
                    let age = if fault.lost { age } else { 0 };
                    (Err(fault.error.clone()), if age > 0 { Done::Failed(age, fault.error) } else { Done::Nothing })
                }
                Err(_) => (Err(Fault::late().error), Done::Failed(age, Fault::late().error)),
            };
            reply.send(answer).ok();
            done
        }));
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Nothing => {}
            Done::Opened(Ok((link, cell))) => {
                self.opening = false;
                self.link = Some(link);
                self.age = self.age.saturating_add(1);
                self.shared.cell_is_here(cell);
                if self.shared.degraded() {
                    self.come_back();
                }
            }
            Done::Opened(Err(error)) => {
                self.opening = false;
                // A cluster's new map could not be had: the old link, if any, goes on.
                if self.link.is_none() {
                    self.shared.lost(&error.to_string());
                }
            }
            Done::Credited(levels) => {
                self.batches = self.batches.saturating_sub(1);
                for level in levels {
                    if !self.holding.iter().any(|held| Arc::ptr_eq(held, &level)) {
                        self.holding.push(level);
                    }
                }
            }
            Done::Lost(age, error) => {
                self.batches = self.batches.saturating_sub(1);
                self.lost(age, &error);
            }
            Done::Failed(age, error) => self.lost(age, &error),
            // A heartbeat's late answer does not end an outage: only a return pays for it.
            Done::Present(members, engine, Return::No) => {
                self.probing = false;
                self.shared.agreed(engine);
                self.shared.seen(members);
            }
            Done::Present(members, engine, how) => {
                self.probing = false;
                self.shared.agreed(engine);
                self.shared.back(members);
                self.returned(how);
            }
            Done::Gathering => {
                self.probing = false;
                self.gathering.get_or_insert_with(Instant::now);
                if std::mem::replace(&mut self.looks_again, true) {
                    return;
                }
                self.busy.push(Box::pin(async {
                    sleep(GATHER).await;
                    Done::Again
                }));
            }
            Done::Again => {
                self.looks_again = false;
                if self.shared.degraded() && self.link.is_some() {
                    self.come_back();
                }
            }
            Done::Absent(age, error) => {
                self.probing = false;
                self.shared.thaw();
                let error = error.unwrap_or_else(|| Fault::late().error);
                self.lost(age, &error);
            }
            Done::Moved(age) => {
                if age == self.age && !self.opening {
                    self.open();
                }
            }
        }
    }

    fn lost(&mut self, age: u64, error: &StoreError) {
        self.shared.lost(&error.to_string());
        if age != 0 && age == self.age {
            self.link = None;
        }
    }

    /// Gives everything back, as far as the store answers.
    async fn leave(mut self) {
        self.sweep(true);
        if let Some(mut link) = self.link.clone() {
            let mut cmd = redis::cmd("ZREM");
            cmd.arg(members_key(&self.shared.domain)).arg(&*self.member);
            timeout(DECISION_TIMEOUT, link.send(&cmd)).await.ok();
        }
        let rest = async { while self.busy.next().await.is_some() {} };
        timeout(Duration::from_millis(200), rest).await.ok();
    }
}

/// A batch's answers, by the engine that the store names.
async fn decided(link: &mut Link, scripts: &Scripts, shared: &Shared, batch: &Batch) -> Result<Vec<Answer>, Fault> {
    // Others may agree on the other engine between two calls, but not each time.
    for _ in 0..ENGINE_TRIES {
        let engine = shared.engine();
        let script = match engine {
            Engine::Script => &scripts.decide,
            Engine::Cell => &scripts.cell,
        };
        let (keys, args) = (batch.keys(&shared.domain, engine), batch.args(shared.cell_here()));
        match batch.answers(engine, &link.run(script, &keys, &args).await?)? {
            Said::Answers(answers) => return Ok(answers),
            Said::Other => shared.agreed(engine.other()),
            Said::Failed => {
                shared.cell_is_here(false);
                shared.agreed(Engine::Script);
            }
        }
    }
    Err(Fault::garbage("now one engine, now the other"))
}

/// Whether the store answers, and as many members as `expected` were heard there of late. Of a member that is new nobody knows.
async fn knocked(
    link: &mut Link,
    scripts: &Scripts,
    keys: &[String; 3],
    member: &str,
    expected: u32,
) -> Result<bool, Fault> {
    let [epoch, members, _] = keys;
    if expected == 0 {
        let mut ping = redis::cmd("EXISTS");
        return link.send(ping.arg(epoch)).await.map(|_| true);
    }
    let args = [member.to_owned(), MEMBER_FRESH.as_millis().to_string()].map(String::into_bytes);
    match link.run(&scripts.arrive, std::slice::from_ref(members), &args).await? {
        Value::Int(here) => Ok(u32::try_from(here).unwrap_or(0) >= expected),
        _ => Err(Fault::garbage("no number of members")),
    }
}

/// How many members there are, and who counts for them.
fn presence(reply: &Value) -> Option<(u32, Engine)> {
    let Value::Array(items) = reply else { return None };
    let [Value::Int(members), Value::Int(cell @ (0 | 1))] = items.as_slice() else { return None };
    Some((u32::try_from(*members).unwrap_or(1), if *cell == 1 { Engine::Cell } else { Engine::Script }))
}

async fn next_job(next: &mut Option<Job>, queue: &mut mpsc::Receiver<Job>) -> Option<Job> {
    match next.take() {
        Some(job) => Some(job),
        None => queue.recv().await,
    }
}

/// No link: a dropped reply sends a decision to the local share.
fn give_up(job: Job) {
    match job {
        Job::Take { reply, .. } => drop(reply),
        Job::Lease { level, .. } => level.answered(),
        Job::Refund(_) => {}
        Job::Write { reply, .. } => {
            reply.send(Err(StoreError::Unavailable("not connected".into()))).ok();
        }
    }
}

/// Answers in the order of the requests; says which levels hold leases now.
fn deliver(shared: &Shared, waiting: Vec<Waiting>, answers: Vec<Answer>) -> Vec<Arc<Level>> {
    let mut credited = Vec::new();
    for (waiting, answer) in waiting.into_iter().zip(answers) {
        match (waiting, answer) {
            (Waiting::Task(reply), answer) => {
                // Nobody waits any more: its share decided meanwhile, the tokens stay spent.
                reply.send(answer).ok();
            }
            (Waiting::Lease(level, asked), Answer::Granted(receipts)) => {
                for receipt in receipts {
                    level.credit(asked, receipt, shared.members());
                }
                credited.push(level);
            }
            (Waiting::Lease(level, _), Answer::Wait { micros, .. }) => {
                level.refuse(later(Instant::now(), Duration::from_micros(micros)));
            }
        }
    }
    credited
}
