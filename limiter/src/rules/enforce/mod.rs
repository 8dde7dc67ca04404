//! The rules asked for a call: every rule that names it must agree, then all of them are charged at once.
//!
//! Clause: *Rule chain and rules*; B2 (a rule has one controller), A18-A22 (quotas and weights), A49 (stages). An [`Enforcer`] asks
//! two sets: its owner's, fixed, and the one in force in a [`Rules`]. When that is replaced, a rule that stays keeps its counters,
//! also with another threshold; a call that is out finds its rule or nothing to give back to. A rule in shadow mode never refuses;
//! what it would have said is in [`Pass::would_refuse`] and its counters.
//!
//! What a rule's limit is shared by: all calls it names together (flow, isolation, system, breaker); each value (hot); each chain,
//! channel and method (quota, times their weights; that of a method which no rule weighs is learned each minute). A rule with `stage` 5
//! or 30 counts for that share of the names only.
//!
//! A quota that all members share is kept here, too, as a bound on this member alone; [`Pass::shared`] says what its bucket in the store must give
//! besides, and [`Enforcer::refused`] has its calls wait, and no others, until then.
//!
//! A throttled flow spaces calls; who waits is the caller, in its own line and no longer than the rule says, so nothing is queued here.
//! Rules become controllers when a call meets them first: a replacement costs what is used of it, not what it holds. Bounds:
//! [`PATHS`], [`CELLS`]. Time is the caller's. Errors: a [`Refusal`].
//!
//! ```
//! use limiter::rules::enforce::{Ask, Enforcer, Part};
//! use limiter::rules::{RuleSet, Rules};
//! use limiter::Time;
//! let set = RuleSet::from_toml("flow = [{ id = 'blocks', on = { method = 'block*' }, threshold = 1 }]").unwrap();
//! let enforcer = Enforcer::new(RuleSet::default(), Rules::new(set));
//! let parts = [Part { method: "block", channel: "", n: 1 }];
//! let ask = Ask { chain: "hub-4", endpoint: "http://127.0.0.1", broadcast: false, parts: &parts };
//! enforcer.ask(Time::ZERO, &ask).unwrap().sent();
//! assert_eq!(&*enforcer.ask(Time::ZERO, &ask).unwrap_err().rule, "blocks");
//! ```

mod controller;
mod methods;
mod written;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use limiter_core::Time;
pub use limiter_core::decide::ComeBack;
use limiter_core::roll_out;
pub use limiter_core::system::Sample;
use limiter_core::window::{KEPT, READ, Ring};

use self::controller::{Controller, Taken};
use self::methods::Methods;
use self::written::{Kind, Written, each};
use super::check::RuleSet;
#[cfg(doc)]
use super::limits::CELLS;
use super::limits::PATHS;
use super::publish::Rules;
use crate::store::Budget;

/// Calls of one method on one channel within a request.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// RPC method.
    pub method: &'a str,
    /// Channel id; empty: of none.
    pub channel: &'a str,
    /// Tokens.
    pub n: u32,
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Chain id.
    pub chain: &'a str,
    /// Endpoint label.
    pub endpoint: &'a str,
    /// It puts a transaction into the mempool.
    pub broadcast: bool,
    /// What is in it.
    pub parts: &'a [Part<'a>],
}

/// Why not now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The rule's id.
    pub rule: Arc<str>,
    /// Its kind, as the form calls it.
    pub kind: &'static str,
    /// Its threshold, thousandths: of tokens a second, of calls in flight, of what a system rule measures.
    pub threshold_milli: u64,
    /// When to ask again.
    pub come_back: ComeBack,
    /// Who waited for so long gives up (`max_queueing_ms` of a throttled flow); none: as long as the caller likes.
    pub longest_wait: Option<Duration>,
}

/// What a quota of all members is to give for a request: its bucket in the store decides, besides the rules here.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedCharge {
    /// The rule's id.
    pub rule: Arc<str>,
    /// Its threshold here, thousandths of calls a second.
    pub threshold_milli: u64,
    /// The bucket.
    pub budget: Budget,
    /// Tokens of it.
    pub n: u64,
    /// Reads may take it in blocks.
    pub leased: bool,
    calls: u32,
    serial: u64,
    sub: u64,
}

/// A rule that calls have met, for metrics and `relayer limits`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleView {
    /// Its id.
    pub rule: Arc<str>,
    /// Its kind.
    pub kind: &'static str,
    /// It reports only.
    pub shadow: bool,
    /// Its threshold, thousandths.
    pub threshold_milli: u64,
    /// Tokens there now, where there is one bucket.
    pub tokens: Option<u64>,
    /// Tokens let through.
    pub passed: u64,
    /// Tokens refused, or that shadow mode would have refused.
    pub blocked: u64,
}

/// A name of calls: chain, endpoint, channel, method, and whether they broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Path {
    chain: Box<str>,
    endpoint: Box<str>,
    channel: Box<str>,
    method: Box<str>,
    broadcast: bool,
}

/// The rules that name a path: serial numbers, and the path's own part of each.
#[derive(Debug, Clone)]
struct Match {
    serial: u64,
    /// The cell of a quota, the value of a hot parameter: 0 where there is one for all.
    sub: u64,
}

#[derive(Debug)]
struct State {
    generation: Option<u64>,
    fed: Arc<RuleSet>,
    controllers: HashMap<u64, Controller>,
    /// By origin, kind and id.
    serials: HashMap<(bool, Kind, Arc<str>), u64>,
    next: u64,
    paths: HashMap<Path, Arc<[Match]>>,
    /// Some rule yields to another.
    yielding: bool,
    ring: Ring,
    in_flight: u32,
    methods: Methods,
}

#[derive(Debug)]
struct Inner {
    own: RuleSet,
    rules: Rules,
    state: Mutex<State>,
}

/// See the module. Clones share the counters.
#[derive(Debug, Clone)]
pub struct Enforcer(Arc<Inner>);

impl Enforcer {
    /// Of these rules, and of those in force in `rules`.
    pub fn new(own: RuleSet, rules: Rules) -> Self {
        let state = State {
            generation: None,
            fed: Arc::default(),
            controllers: HashMap::new(),
            serials: HashMap::new(),
            next: 0,
            paths: HashMap::new(),
            yielding: false,
            ring: Ring::new(KEPT),
            in_flight: 0,
            methods: Methods::new(),
        };
        Self(Arc::new(Inner { own, rules, state: Mutex::new(state) }))
    }

    /// The set that feeds replace.
    pub fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// May this request leave? Everything is charged, or nothing.
    pub fn ask(&self, now: Time, ask: &Ask<'_>) -> Result<Pass, Refusal> {
        let mut state = self.0.current();
        let demands = state.demands(&self.0.own, now, ask);
        let mut would = None;
        if let Some((refusal, enforced)) = state.check(now, &demands) {
            if enforced {
                return Err(refusal);
            }
            would = Some(refusal);
        }
        let taken = state.take(now, &demands);
        let shared = state.shared(&demands);
        let quota = |charge: &Charge| state.controllers.get(&charge.serial).is_some_and(Controller::is_quota);
        let weighed = if taken.iter().any(quota) { ask.parts } else { &[] };
        let methods = weighed.iter().map(|part| part.method.into()).collect();
        let sum = ask.parts.iter().fold(0u32, |sum, part| sum.saturating_add(part.n));
        state.in_flight = state.in_flight.saturating_add(1);
        let in_flight = state.in_flight;
        // A clock that went back by more than a step: the count of this call is lost, its decision is not.
        state.ring.pass(now, sum, in_flight).unwrap_or_default();
        Ok(Pass { enforcer: self.clone(), taken, methods, shared, at: now, left: false, ended: false, would })
    }

    /// Does any rule name this request?
    pub fn names(&self, now: Time, ask: &Ask<'_>) -> bool {
        !self.0.current().demands(&self.0.own, now, ask).is_empty()
    }

    /// What [`Self::ask`] would be refused by now, taking nothing.
    pub fn peek(&self, now: Time, ask: &Ask<'_>) -> Option<Refusal> {
        let mut state = self.0.current();
        let demands = state.demands(&self.0.own, now, ask);
        state.look(now, &demands).into_iter().find(|(_, enforced, _)| *enforced).map(|(refusal, ..)| refusal)
    }

    /// Counts a request that will wait for what [`Self::peek`] told.
    pub fn held(&self, now: Time, ask: &Ask<'_>) {
        let mut state = self.0.current();
        let demands = state.demands(&self.0.own, now, ask);
        state.check(now, &demands);
    }

    /// The bucket of all members refused this charge until `until`: those that it stands for wait so long, the rules have others go on.
    pub fn refused(&self, charge: &SharedCharge, until: Time) {
        if let Some(controller) = self.0.current().controllers.get_mut(&charge.serial) {
            controller.refused(charge.sub, charge.calls, until);
        }
    }

    /// The most tokens that one request of this method can ever get.
    pub fn most(&self, now: Time, chain: &str, endpoint: &str, broadcast: bool, part: &Part<'_>) -> u64 {
        let parts = [Part { n: 1, ..*part }];
        let mut state = self.0.current();
        let demands = state.demands(&self.0.own, now, &Ask { chain, endpoint, broadcast, parts: &parts });
        let bursts = demands.iter().filter_map(|demand| state.controllers.get(&demand.serial)?.burst(demand.sub));
        bursts.min().unwrap_or(u64::MAX).max(1)
    }

    /// A sample of this machine: load, CPU, memory in use.
    pub fn sample(&self, now: Time, sample: Sample, memory: Option<u64>) {
        let mut state = self.0.current();
        let State { ring, controllers, .. } = &mut *state;
        let counts = ring.read(now, READ.interval);
        controllers.values_mut().for_each(|controller| controller.sample(now, sample, memory, ring, &counts));
    }

    /// Whether a rule needs [`Self::sample`].
    pub fn wants_samples(&self) -> bool {
        let of = |set: &RuleSet| {
            let form = set.rules();
            !form.system.is_empty() || form.flow.iter().any(|flow| flow.high_memory_threshold > 0)
        };
        of(&self.0.own) || of(&self.0.rules.get())
    }

    /// The rules that calls have met.
    pub fn view(&self, now: Time) -> Vec<RuleView> {
        let state = self.0.current();
        let mut all: Vec<_> = state.controllers.iter().filter(|(_, c)| !c.stale).collect();
        all.sort_by_key(|(serial, _)| **serial);
        all.into_iter().map(|(_, controller)| controller.view(now)).collect()
    }
}

impl Inner {
    /// The state, under the set that is in force now.
    fn current(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves counters, not broken invariants: go on with them.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.rules.generation();
        if state.generation != Some(generation) {
            state.replaced(generation, self.rules.get());
        }
        state
    }
}

/// What a pass has of one controller.
#[derive(Debug)]
struct Charge {
    serial: u64,
    epoch: u32,
    taken: Taken,
}

/// What a request wants of one controller.
#[derive(Debug)]
struct Demand {
    serial: u64,
    sub: u64,
    n: u32,
}

impl State {
    /// Another set: who named what is found anew. A rule that is gone, and that no call has met under the last set, is forgotten.
    fn replaced(&mut self, generation: u64, fed: Arc<RuleSet>) {
        (self.generation, self.fed) = (Some(generation), fed);
        self.paths.clear();
        let unmet = self.controllers.values().any(|controller| controller.stale);
        // Looked up only when somebody asks: most sets are met by calls before the next one comes.
        let stay: HashSet<_> = each(self.fed.rules()).filter(|_| unmet).map(|rule| (rule.kind(), rule.id())).collect();
        let controllers = &mut self.controllers;
        self.serials.retain(|(ours, kind, id), serial| {
            let Some(controller) = controllers.get_mut(serial) else { return false };
            let met = !std::mem::replace(&mut controller.stale, true);
            let kept = met || *ours || stay.contains(&(*kind, &**id));
            if !kept {
                controllers.remove(serial);
            }
            kept
        });
    }

    fn demands(&mut self, own: &RuleSet, now: Time, ask: &Ask<'_>) -> Vec<Demand> {
        let mut demands: Vec<Demand> = Vec::new();
        if own.is_empty() && self.fed.is_empty() {
            return demands;
        }
        for part in ask.parts {
            for found in self.matches(own, now, ask, part).iter() {
                let whole = self.controllers.get(&found.serial).is_some_and(Controller::counts_requests);
                match demands.iter_mut().find(|known| known.serial == found.serial && known.sub == found.sub) {
                    // A request is one, whatever is in it.
                    Some(_) if whole => {}
                    Some(known) => known.n = known.n.saturating_add(part.n),
                    None => {
                        let n = if whole { 1 } else { part.n };
                        demands.push(Demand { serial: found.serial, sub: found.sub, n });
                    }
                }
            }
        }
        demands
    }

    fn matches(&mut self, own: &RuleSet, now: Time, ask: &Ask<'_>, part: &Part<'_>) -> Arc<[Match]> {
        let path = Path {
            chain: ask.chain.into(),
            endpoint: ask.endpoint.into(),
            channel: part.channel.into(),
            method: part.method.into(),
            broadcast: ask.broadcast,
        };
        if let Some(known) = self.paths.get(&path) {
            return known.clone();
        }
        if self.paths.len() >= PATHS {
            self.paths.clear();
        }
        let (fed, learned) = (self.fed.clone(), self.methods.weight(&path.method));
        let mut found = Vec::new();
        for (set, ours) in [(own, true), (&*fed, false)] {
            for rule in each(set.rules()).filter(|rule| rule.names(&path) && path.reached_by(rule)) {
                let serial = self.controller(now, ours, rule);
                if let Some(controller) = self.controllers.get_mut(&serial) {
                    found.push(Match { serial, sub: controller.sub(now, set, &path, learned) });
                }
            }
        }
        let found: Arc<[Match]> = found.into();
        self.paths.insert(path, found.clone());
        found
    }

    /// The rule's controller: the one it has, brought up to date, or a new one.
    fn controller(&mut self, now: Time, ours: bool, rule: Written<'_>) -> u64 {
        let key = (ours, rule.kind(), Arc::from(rule.id()));
        if let Some(serial) = self.serials.get(&key).copied() {
            if let Some(controller) = self.controllers.get_mut(&serial).filter(|controller| controller.stale) {
                controller.renew(now, rule);
                self.yielding |= controller.yields();
            }
            return serial;
        }
        let serial = self.next;
        self.next = self.next.saturating_add(1);
        let controller = Controller::new(rule);
        self.yielding |= controller.yields();
        self.controllers.insert(serial, controller);
        self.serials.insert(key, serial);
        serial
    }

    /// Every refusal, whether it is enforced, and whose.
    fn look(&mut self, now: Time, demands: &[Demand]) -> Vec<(Refusal, bool, u64)> {
        let mut refusals = Vec::new();
        let in_flight = self.in_flight;
        for demand in demands {
            let Some(controller) = self.controllers.get_mut(&demand.serial) else { continue };
            if let Some(refusal) = controller.look(now, demand.sub, demand.n, in_flight) {
                refusals.push((refusal, !controller.shadow, demand.serial));
            }
        }
        refusals
    }

    /// The first refusal that counts, else the first of shadow mode. Counts them.
    fn check(&mut self, now: Time, demands: &[Demand]) -> Option<(Refusal, bool)> {
        let refusals = self.look(now, demands);
        let mut first = None;
        for (refusal, enforced, serial) in refusals {
            let n = demands.iter().find(|demand| demand.serial == serial).map_or(0, |demand| demand.n);
            if let Some(controller) = self.controllers.get_mut(&serial) {
                controller.blocked = controller.blocked.saturating_add(n.into());
            }
            if first.as_ref().is_none_or(|(_, known)| enforced && !known) {
                first = Some((refusal, enforced));
            }
        }
        first
    }

    /// What quotas of all members are to give.
    fn shared(&self, demands: &[Demand]) -> Vec<SharedCharge> {
        let charge = |demand: &Demand| {
            let controller = self.controllers.get(&demand.serial)?;
            let (budget, n, leased) = controller.shared(demand.sub, demand.n)?;
            let (rule, threshold_milli) = (controller.rule.clone(), controller.threshold_milli(demand.sub));
            let (calls, serial, sub) = (demand.n, demand.serial, demand.sub);
            Some(SharedCharge { rule, threshold_milli, budget, n, leased, calls, serial, sub })
        };
        demands.iter().filter_map(charge).collect()
    }

    fn take(&mut self, now: Time, demands: &[Demand]) -> Vec<Charge> {
        let mut taken = Vec::with_capacity(demands.len());
        let mut met: Vec<(Arc<str>, u32)> = Vec::new();
        for demand in demands {
            let Some(controller) = self.controllers.get_mut(&demand.serial) else { continue };
            if self.yielding && controller.is_metered() {
                met.push((controller.rule.clone(), demand.n));
            }
            taken.push(Charge {
                serial: demand.serial,
                epoch: controller.epoch,
                taken: controller.take(now, demand.sub, demand.n),
            });
        }
        // Rules that yield to those are told, whether or not they name this call themselves.
        for (rule, n) in met {
            self.controllers.values_mut().for_each(|controller| controller.meter(now, &rule, n));
        }
        taken
    }
}

/// The right to make one request. Dropped before [`sent`](Self::sent) everything is given back.
#[must_use = "a dropped pass is a refund"]
#[derive(Debug)]
pub struct Pass {
    enforcer: Enforcer,
    taken: Vec<Charge>,
    /// Those of its methods whose worth is learned.
    methods: Vec<Box<str>>,
    shared: Vec<SharedCharge>,
    at: Time,
    left: bool,
    ended: bool,
    would: Option<Refusal>,
}

impl Pass {
    /// The request leaves now.
    pub fn sent(&mut self) {
        self.left = true;
    }
    /// It came back: `sound` unless the endpoint is at fault.
    pub fn finish(mut self, now: Time, sound: bool) {
        self.left = true;
        self.end(now, Some((now.since(self.at), sound)));
    }
    /// What the store must give, too, before the request may leave.
    pub fn shared(&self) -> &[SharedCharge] {
        &self.shared
    }
    /// What a rule in shadow mode would have said.
    pub fn would_refuse(&self) -> Option<&Refusal> {
        self.would.as_ref()
    }

    fn end(&mut self, now: Time, outcome: Option<(Duration, bool)>) {
        let taken = std::mem::take(&mut self.taken);
        let mut state = self.enforcer.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_flight = state.in_flight.saturating_sub(1);
        if let Some((took, sound)) = outcome {
            state.ring.complete(now, took, !sound).unwrap_or_default();
            for method in &self.methods {
                if state.methods.ended(now, method, took, sound) {
                    // Each path's quotas are reckoned anew when it is met again.
                    state.paths.clear();
                }
            }
        }
        for Charge { serial, epoch, taken } in taken {
            if let Some(controller) = state.controllers.get_mut(&serial).filter(|controller| controller.epoch == epoch)
            {
                controller.end(now, self.at, taken, self.left, outcome);
            }
        }
        drop(state);
        self.ended = true;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.ended {
            // No clock here: what comes back is reckoned from the instant of the decision.
            self.end(self.at, None);
        }
    }
}

impl Path {
    fn reached_by(&self, rule: &Written<'_>) -> bool {
        let percent = u64::try_from(rule.stage()).unwrap_or(100);
        if percent >= 100 {
            return true;
        }
        let key = [&*self.chain, &*self.channel, &*self.method, &*self.endpoint].join("\n");
        roll_out::reaches(percent, rule.id().as_bytes(), key.as_bytes())
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
#[path = "tests.rs"]
mod tests;
