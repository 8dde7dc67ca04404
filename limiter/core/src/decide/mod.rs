//! The whole decision about one call: prepare, check every rule, take everything or nothing, account.
//!
//! Clause: limiter page, *Rule chain and rules*, *Three-level quota*, *What it reports*; A18-A22, B8, B18-B22, Y1, Y4. The rules are asked in
//! this order, and the first that says no is the answer:
//!
//! ```text
//! system -> chain, endpoint, channel, method, spacing, associated -> calls in flight -> hot value -> breaker -> hold-off, ejection -> global
//! ```
//!
//! (The global level is last since its tokens are drawn from beyond this chain: nothing is drawn for a call that another rule refuses.)
//! Checks change nothing; then all is taken at once, so a refusal costs nobody a token. [`Chain::finish`] accounts
//! the outcome or refunds a call that never left. A rule in shadow mode decides and reports in [`Chain::would_refuse`].
//!
//! One [`Chain`] has one owner at a time; different chains share nothing but the global level, from which they lease tokens
//! ([`Lease`]). Nothing allocates but adding rules. Bounds: [`crate::limits`].

mod level;
mod out;
mod refusal;
mod rules;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

pub use level::{LevelRule, Tally, Tuner};
pub use refusal::{ComeBack, Level, Refusal, RuleId};

use self::level::Level as Quota;
use self::out::Calls;
use crate::Time;
use crate::breaker::{Breaker, Settings as BreakerSettings, State as BreakerState};
use crate::cell::{Cell, Speed};
use crate::concurrency::Concurrency;
use crate::hot::{HotParams, Refused};
use crate::system::{Cause, Sample, System};
use crate::throttle::{Spaced, Throttle};
use crate::window::{READ, Ring};

/// An endpoint of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EndpointId(u16);
/// A channel of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChannelId(u16);
/// A method on a channel of a chain: an interned key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PathId(u32);

/// How an endpoint is limited.
#[derive(Debug, Clone)]
pub struct EndpointRule {
    /// Its rate.
    pub rate: LevelRule,
    /// Its breaker.
    pub breaker: BreakerSettings,
    /// The breaker's rule.
    pub breaker_rule: RuleId,
    /// Calls in flight.
    pub in_flight: u32,
    /// The rule on them.
    pub in_flight_rule: RuleId,
}

/// How a method yields to another: refused while the other's calls exceed the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Associated {
    /// The rule.
    pub rule: RuleId,
    /// The other.
    pub to: PathId,
    /// Its threshold.
    pub speed: Speed,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The interned key: method and channel.
    pub path: PathId,
    /// Where the call would go.
    pub endpoint: EndpointId,
    /// What it costs, tokens.
    pub cost: u32,
    /// The value of its hot parameter.
    pub hot: Option<u64>,
}

/// The right to make a call. Give it back by [`Chain::finish`].
///
/// A word, so that it travels in a register; the chain keeps the rest.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "finish it, or its place in flight is taken for ever"]
pub struct Grant {
    /// Its place among the calls that are out.
    place: u32,
    waits: bool,
    shadowed: bool,
}

impl Grant {
    /// Must it wait before it leaves? [`Chain::wait`] says how long.
    pub fn waits(&self) -> bool {
        self.waits
    }
    /// Would a rule in shadow mode have refused it? [`Chain::would_refuse`] says which.
    pub fn is_shadowed(&self) -> bool {
        self.shadowed
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It never left: everything is given back.
    Unsent,
    /// It left, and its outcome will not be known.
    Lost,
    /// An answer after this time.
    Answered(Duration),
    /// A failure of the endpoint after this time.
    Failed(Duration),
}

#[derive(Debug, Clone)]
struct Endpoint {
    quota: Quota,
    breaker: Breaker,
    breaker_rule: RuleId,
    cap: Concurrency,
    max_in_flight: u32,
    in_flight_rule: RuleId,
    held_until: Time,
    ejected_until: Time,
}

impl Endpoint {
    /// The node asked for quiet, or it is ejected.
    #[cold]
    fn out_of_use(&self, now: Time) -> Refusal {
        let held = self.held_until > now;
        let (level, until) =
            if held { (Level::HoldOff, self.held_until) } else { (Level::Ejected, self.ejected_until) };
        Refusal { level, rule: self.quota.rule, threshold_milli: 0, come_back: ComeBack::At(until) }
    }
}

#[derive(Debug, Clone)]
struct Path {
    channel: u16,
    /// Index of the meter that measures this path for others.
    metered: Option<u16>,
    /// Index of the meter that this path yields to.
    yields_to: Option<u16>,
    /// Apart, as few paths have one.
    throttle: Option<Box<(RuleId, Throttle)>>,
    quota: Quota,
}

/// Tokens of the global level that this chain holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lease {
    held: u32,
    /// Most it may hold between two calls.
    cap: u32,
}

/// The state of one chain. See the module's text.
#[derive(Debug)]
pub struct Chain {
    quota: Quota,
    endpoints: Vec<Endpoint>,
    channels: Vec<Quota>,
    paths: Vec<Path>,
    free_paths: Vec<u16>,
    meters: Vec<(RuleId, Cell)>,
    hot: Option<(RuleId, HotParams)>,
    system: Option<(RuleId, System)>,
    lease: Option<Lease>,
    ring: Ring,
    in_flight: u32,
    out: Calls,
}

impl Chain {
    /// May this call go? `draw` gets tokens of the global level: at least as many as it is asked for, or why not.
    #[inline]
    pub fn decide(
        &mut self,
        now: Time,
        ask: &Ask,
        draw: impl FnOnce(u32) -> Result<u32, Refusal>,
    ) -> Result<Grant, Refusal> {
        let (mut draw, mut why) = (Some(draw), UNKNOWN);
        let mut draw = |n| draw.take().map_or(Ok(0), |draw| draw(n));
        self.decide_drawing(now, ask, &mut draw, &mut why).ok_or(why)
    }

    /// Not generic: compiled in this crate, where what it calls is inlined. The grant comes back in a register, a refusal in `why`: to read
    /// at once what was written in parts costs as much as a level.
    fn decide_drawing(
        &mut self,
        now: Time,
        ask: &Ask,
        draw: &mut dyn FnMut(u32) -> Result<u32, Refusal>,
        why: &mut Refusal,
    ) -> Option<Grant> {
        // A clock that went back by more than a step: the count of this call is lost, its decision is not.
        match self.check_and_take(now, ask, draw) {
            Ok(grant) => {
                self.ring.pass(now, ask.cost, self.in_flight).unwrap_or_default();
                Some(grant)
            }
            Err(refusal) => {
                self.ring.block(now, ask.cost).unwrap_or_default();
                *why = refusal;
                None
            }
        }
    }

    #[inline(always)]
    fn check_and_take(
        &mut self,
        now: Time,
        ask: &Ask,
        draw: &mut dyn FnMut(u32) -> Result<u32, Refusal>,
    ) -> Result<Grant, Refusal> {
        let (n, mut would) = (ask.cost, None);
        let path = usize::try_from(ask.path.0).ok().and_then(|at| self.paths.get_mut(at)).ok_or(UNKNOWN)?;
        let channel = self.channels.get_mut(usize::from(path.channel)).ok_or(UNKNOWN)?;
        let endpoint = self.endpoints.get_mut(usize::from(ask.endpoint.0)).ok_or(UNKNOWN)?;

        if let Some((rule, system)) = &self.system {
            system.check(self.in_flight).map_err(|(cause, limit)| system_refusal(*rule, cause, limit))?;
        }

        let by_chain = ask_level(&mut self.quota, Level::Chain, now, n, &mut would)?;
        let by_endpoint = ask_level(&mut endpoint.quota, Level::Endpoint, now, n, &mut would)?;
        let by_channel = ask_level(channel, Level::Channel, now, n, &mut would)?;
        let by_method = ask_level(&mut path.quota, Level::Method, now, n, &mut would)?;
        let mut wait_ns = 0;
        if let Some((rule, throttle)) = path.throttle.as_deref() {
            wait_ns = spacing(*rule, throttle, now, n)?;
        }
        if let Some((rule, meter)) = path.yields_to.and_then(|at| self.meters.get(usize::from(at))) {
            yielding(*rule, meter, now, n)?;
        }

        if !endpoint.cap.has_room() {
            let threshold_milli = u64::from(endpoint.max_in_flight).saturating_mul(1_000);
            let (level, rule) = (Level::Isolation, endpoint.in_flight_rule);
            return Err(Refusal { level, rule, threshold_milli, come_back: ComeBack::WhenOneEnds });
        }

        let by_value = match (&mut self.hot, ask.hot) {
            (Some((rule, hot)), Some(value)) => {
                let found = hot.check(now, value, n);
                Some(found.map_err(|why| hot_refusal(*rule, hot.threshold_milli(value), now, why))?)
            }
            _ => None,
        };

        if let Some(at) = endpoint.breaker.peek(now) {
            // Half-open with all probes out: the end of one is the time to come back, not the lease of a lost one.
            let half_open = endpoint.breaker.state(now) == BreakerState::HalfOpen;
            let come_back = if half_open { ComeBack::WhenOneEnds } else { ComeBack::At(at) };
            let rule = endpoint.breaker_rule;
            return Err(Refusal { level: Level::Breaker, rule, threshold_milli: 0, come_back });
        }
        if endpoint.held_until.max(endpoint.ejected_until) > now {
            return Err(endpoint.out_of_use(now));
        }
        if let Some(lease) = self.lease.as_mut().filter(|lease| lease.held < n) {
            lease.held = lease.held.saturating_add(draw(n.saturating_sub(lease.held))?);
        }
        // From here on nothing refuses: `peek` said yes, and nobody else owns the breaker.
        let ticket = endpoint.breaker.admit(now).map_err(|at| Refusal {
            level: Level::Breaker,
            rule: endpoint.breaker_rule,
            threshold_milli: 0,
            come_back: ComeBack::At(at),
        })?;
        let Some((place, out)) = self.out.open() else {
            endpoint.breaker.cancelled(ticket);
            return Err(UNKNOWN);
        };

        out.ticket = Some(ticket);
        out.marks = [
            self.quota.take(now, by_chain, n),
            endpoint.quota.take(now, by_endpoint, n),
            channel.take(now, by_channel, n),
            path.quota.take(now, by_method, n),
        ];
        if let Some(lease) = &mut self.lease {
            lease.held = lease.held.saturating_sub(n);
        }
        if let Some((_, throttle)) = path.throttle.as_deref_mut() {
            throttle.ask(now, n);
        }
        if let Some((_, meter)) = path.metered.and_then(|at| self.meters.get_mut(usize::from(at))) {
            meter.meter(now, n);
        }
        out.hot = match (&mut self.hot, by_value) {
            (Some((_, hot)), Some(found)) => Some((found.0, hot.take(now, found, n))),
            _ => None,
        };
        out.leased = endpoint.cap.take() && self.lease.is_some();
        out.at = now;
        out.path = ask.path.0;
        out.cost = n;
        out.endpoint = ask.endpoint.0;
        out.wait_ns = wait_ns;
        out.would_refuse = would;
        self.in_flight = self.in_flight.saturating_add(1);
        Ok(Grant { place, waits: wait_ns > 0, shadowed: would.is_some() })
    }

    /// A call is over. Returns the global level's tokens that are no longer wanted here.
    pub fn finish(&mut self, now: Time, grant: Grant, end: End) -> u32 {
        let unsent = end == End::Unsent;
        let Some((out, ticket)) = self.out.close(grant.place) else { return 0 };
        self.in_flight = self.in_flight.saturating_sub(1);
        if let (Some((_, hot)), Some((at, mark))) = (&mut self.hot, out.hot) {
            hot.release(at, unsent.then_some((out.at, mark)));
        }
        let rt = match end {
            End::Answered(rt) => Some((rt, false)),
            End::Failed(rt) => Some((rt, true)),
            End::Unsent | End::Lost => None,
        };
        if let Some((rt, error)) = rt {
            // As in `decide`: a count is lost, no decision.
            self.ring.complete(now, rt, error).unwrap_or_default();
        }
        let Some(endpoint) = self.endpoints.get_mut(usize::from(out.endpoint)) else { return 0 };
        endpoint.cap.give_back();
        match end {
            End::Answered(_) => endpoint.breaker.succeeded(now, ticket),
            End::Failed(_) => endpoint.breaker.failed(now, ticket),
            End::Unsent | End::Lost => endpoint.breaker.cancelled(ticket),
        }
        if !unsent {
            return 0;
        }
        let path = usize::try_from(out.path).ok().and_then(|at| self.paths.get_mut(at));
        let Some(path) = path else { return 0 };
        let [chain, of_endpoint, of_channel, of_method] = out.marks;
        self.quota.cell.refund(out.at, chain);
        endpoint.quota.cell.refund(out.at, of_endpoint);
        path.quota.cell.refund(out.at, of_method);
        if let Some(channel) = self.channels.get_mut(usize::from(path.channel)) {
            channel.cell.refund(out.at, of_channel);
        }
        if let Some((_, throttle)) = path.throttle.as_deref_mut() {
            throttle.refund(out.at.after(Duration::from_nanos(out.wait_ns)), out.cost);
        }
        match &mut self.lease {
            Some(lease) if out.leased => {
                let held = lease.held.saturating_add(out.cost);
                lease.held = held.min(lease.cap);
                held.saturating_sub(lease.held)
            }
            _ => 0,
        }
    }

    /// How long a call that is out is to wait before it leaves.
    pub fn wait(&self, grant: &Grant) -> Duration {
        Duration::from_nanos(self.out.get(grant.place).map_or(0, |out| out.wait_ns))
    }
    /// What a rule in shadow mode would have said about a call that is out, the first of them.
    pub fn would_refuse(&self, grant: &Grant) -> Option<Refusal> {
        self.out.get(grant.place)?.would_refuse
    }

    /// A sample of this machine: load, CPU, and memory in use.
    pub fn sample(&mut self, now: Time, sample: Sample, memory: Option<u64>) {
        let counts = self.ring.read(now, READ.interval);
        if let Some((_, system)) = &mut self.system {
            system.update(sample, &self.ring, &counts);
        }
        let quotas = self.channels.iter_mut().chain(self.paths.iter_mut().map(|path| &mut path.quota));
        let quotas = quotas.chain(self.endpoints.iter_mut().map(|endpoint| &mut endpoint.quota));
        quotas.chain([&mut self.quota]).for_each(|quota| quota.memory(now, memory));
    }

    /// What happened lately.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }
    /// Calls in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }
    /// Whole tokens there for a path at an endpoint: of chain, endpoint, channel and method.
    pub fn available(&self, now: Time, path: PathId, endpoint: EndpointId) -> Option<[u64; 4]> {
        let path = self.path(path)?;
        let channel = self.channels.get(usize::from(path.channel))?;
        let endpoint = self.endpoints.get(usize::from(endpoint.0))?;
        Some([&self.quota, &endpoint.quota, channel, &path.quota].map(|quota| quota.cell.available(now)))
    }
    /// What a path has let through and refused.
    pub fn tally(&self, path: PathId) -> Option<Tally> {
        Some(self.path(path)?.quota.tally)
    }

    fn path(&self, id: PathId) -> Option<&Path> {
        self.paths.get(usize::try_from(id.0).ok()?)
    }
    fn path_mut(&mut self, id: PathId) -> Option<&mut Path> {
        self.paths.get_mut(usize::try_from(id.0).ok()?)
    }
}

/// An id that nobody gave out.
const UNKNOWN: Refusal =
    Refusal { level: Level::Unknown, rule: RuleId(0), threshold_milli: 0, come_back: ComeBack::Never };

#[inline(always)]
fn ask_level(
    quota: &mut Quota,
    level: Level,
    now: Time,
    n: u32,
    would: &mut Option<Refusal>,
) -> Result<(u64, bool), Refusal> {
    let (drained, fits) = quota.look(now, n);
    if !fits {
        let refusal = quota.refusal(level, now, drained, n);
        if !quota.shadow {
            return Err(refusal);
        }
        would.get_or_insert(refusal);
    }
    Ok((drained, fits))
}

#[cold]
fn system_refusal(rule: RuleId, cause: Cause, limit: u64) -> Refusal {
    let come_back = if cause == Cause::InFlight { ComeBack::WhenOneEnds } else { ComeBack::WhenSampled };
    let threshold_milli = if cause == Cause::InFlight { limit.saturating_mul(1_000) } else { limit };
    Refusal { level: Level::System, rule, threshold_milli, come_back }
}

fn spacing(rule: RuleId, throttle: &Throttle, now: Time, n: u32) -> Result<u64, Refusal> {
    let come_back = match throttle.peek(now, n) {
        Spaced::After(wait) => return Ok(crate::time::span_nanos(wait)),
        Spaced::NotBefore(at) => ComeBack::At(at),
        Spaced::Never => ComeBack::Never,
    };
    let a_second = 1_000_000_000_000u64.checked_div(throttle.spacing_ns(1)).unwrap_or(0);
    Err(Refusal { level: Level::Throttle, rule, threshold_milli: a_second, come_back })
}

fn yielding(rule: RuleId, meter: &Cell, now: Time, n: u32) -> Result<(), Refusal> {
    let drained = meter.drained(now);
    if meter.fits(drained, n) {
        return Ok(());
    }
    let come_back = match meter.shortfall(drained, n) {
        crate::cell::Short::Wait(ns) => ComeBack::At(now.after(Duration::from_nanos(ns))),
        crate::cell::Short::Never => ComeBack::Never,
    };
    Err(Refusal { level: Level::Associated, rule, threshold_milli: meter.speed().per_second_milli(), come_back })
}

#[cold]
fn hot_refusal(rule: RuleId, threshold_milli: u64, now: Time, why: Refused) -> Refusal {
    let come_back = match why {
        Refused::Rate(crate::cell::Short::Wait(ns)) => ComeBack::At(now.after(Duration::from_nanos(ns))),
        Refused::Rate(crate::cell::Short::Never) => ComeBack::Never,
        Refused::InFlight | Refused::Full => ComeBack::WhenOneEnds,
    };
    Refusal { level: Level::HotParameter, rule, threshold_milli, come_back }
}

#[cfg(test)]
mod tests;
