//! One rule at work.
//!
//! [`look`](Controller::look) says no or nothing and takes nothing; [`take`](Controller::take) charges; [`end`](Controller::end) accounts
//! for the outcome or gives back. A rule of a later set takes over the counters where both limit the same way.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use limiter_core::Time;
use limiter_core::breaker::{Breaker, Settings as BreakerSettings, State as BreakerState, Ticket};
use limiter_core::cell::{Cell, Mark, Short, Speed};
use limiter_core::concurrency::Concurrency;
use limiter_core::decide::ComeBack;
use limiter_core::hot::{HotParams, Limit as HotLimit, Refused};
use limiter_core::memory::{MemoryAdaptive, Settings as MemorySettings};
use limiter_core::system::{Cause, Sample, Settings as SystemSettings, System};
use limiter_core::throttle::{Settings as ThrottleSettings, Spaced, Throttle};
use limiter_core::warm_up::{Settings as WarmUpSettings, WarmUp};
use limiter_core::weight::{Base, Weight};
use limiter_core::window::{Counts, Ring};

use super::written::{Kept, Kind, Written, weights};
use super::{Path, Refusal, RuleView};
use crate::rules::check::RuleSet;
use crate::rules::form::{self, Control, Dimension, Metric, Strategy, Trip};
use crate::rules::limits::CELLS;
use crate::rules::plan::Plan;
use crate::store::Budget;

/// See the module.
#[derive(Debug)]
pub(super) struct Controller {
    pub(super) rule: Arc<str>,
    kind: Kind,
    pub(super) shadow: bool,
    /// Not met since the set was replaced.
    pub(super) stale: bool,
    /// Grows when the counters are thrown away: what was taken before has nothing to go back to.
    pub(super) epoch: u32,
    written: Kept,
    limit: Limit,
    passed: u64,
    pub(super) blocked: u64,
}

#[derive(Debug)]
enum Limit {
    Rate {
        cell: Cell,
        burst: u64,
        tuner: Option<Tuner>,
    },
    Spaced {
        throttle: Throttle,
        most: u64,
        longest_wait: Duration,
    },
    /// The meter runs with the calls of another rule.
    Yields {
        meter: Cell,
        to: Arc<str>,
    },
    Hot {
        params: HotParams,
        by: Dimension,
        burst: u64,
    },
    InFlight {
        cap: Concurrency,
        most: u32,
    },
    System(System),
    Breaker(Box<Breaker>),
    /// A cell for each chain, channel and method.
    Quota {
        base: Base,
        cells: HashMap<u64, Part>,
        /// All members have one.
        plan: Option<Plan>,
    },
}

/// The part of a quota that is one chain's, channel's and method's.
#[derive(Debug)]
struct Part {
    cell: Cell,
    burst: u64,
    /// The bucket of all members, what a call costs of it, and until when it has refused one.
    shared: Option<(Budget, u64)>,
    refused_until: Time,
}

#[derive(Debug)]
enum Tuner {
    WarmUp { warm_up: WarmUp, second: u64 },
    Memory(MemoryAdaptive),
}

/// What was taken of one controller.
#[derive(Debug)]
pub(super) enum Taken {
    Tokens(u64, Mark),
    Spaced(u32),
    Hot(u32, Mark),
    Place,
    Ticket(Ticket),
    Nothing,
}

const SECOND: u64 = 1_000_000_000;

fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
fn small(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
fn ms(value: i64) -> Duration {
    Duration::from_millis(number(value))
}
fn speed(tokens: i64, interval_ms: i64, burst: u64) -> Speed {
    Speed::new(number(tokens).into(), 1, ms(interval_ms), burst)
}
/// Of something an interval, a second.
fn a_second(tokens: i64, interval_ms: i64) -> u64 {
    number(tokens).saturating_mul(1_000).checked_div(number(interval_ms)).unwrap_or(0).max(1)
}

/// Of a name, the same in every run of this program.
fn hashed(names: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    hasher.finish()
}

fn short(short: Short, now: Time) -> ComeBack {
    match short {
        Short::Wait(ns) => ComeBack::At(now.after(Duration::from_nanos(ns))),
        Short::Never => ComeBack::Never,
    }
}

impl Limit {
    fn of(rule: Written<'_>) -> Self {
        match rule {
            Written::Flow(rule) => Self::flow(rule),
            Written::Hot(rule) => {
                let burst = |threshold: i64| number(threshold).saturating_add(number(rule.burst));
                let of = |threshold| HotLimit {
                    speed: speed(threshold, rule.interval_ms, burst(threshold)),
                    in_flight: None,
                };
                let overrides = rule.overrides.iter().map(|(value, threshold)| (hashed(&[value]), of(*threshold)));
                let capacity = usize::try_from(rule.capacity).unwrap_or(1);
                let least = rule.overrides.values().copied().fold(rule.threshold, i64::min);
                Self::Hot {
                    params: HotParams::new(of(rule.threshold), capacity, overrides),
                    by: rule.parameter,
                    burst: burst(least),
                }
            }
            Written::Isolation(rule) => {
                let most = small(rule.in_flight);
                Self::InFlight { cap: Concurrency::new(most), most }
            }
            Written::System(rule) => {
                let mut settings = SystemSettings::default();
                match rule.metric {
                    Metric::LoadMilli => settings.load_milli = Some(number(rule.threshold)),
                    Metric::CpuMilli => settings.cpu_milli = Some(number(rule.threshold)),
                    Metric::AverageRtMs => settings.average_rt = Some(ms(rule.threshold)),
                    Metric::Concurrency => settings.in_flight = Some(small(rule.threshold)),
                    Metric::InboundQps => {
                        let burst = number(rule.threshold);
                        return Self::Rate { cell: Cell::new(Speed::per_second(burst, burst)), burst, tuner: None };
                    }
                }
                Self::System(System::new(settings))
            }
            Written::Breaker(rule) => Self::Breaker(Box::new(Breaker::new(breaker(rule)))),
            Written::Quota(rule) => Self::Quota { base: base(rule), cells: HashMap::new(), plan: Plan::of(rule) },
        }
    }

    fn flow(rule: &form::Flow) -> Self {
        let burst = number(rule.burst.unwrap_or(rule.threshold));
        let fixed = speed(rule.threshold, rule.interval_ms, burst);
        if let Some(to) = &rule.associated {
            return Self::Yields { meter: Cell::new(fixed), to: to.as_str().into() };
        }
        if rule.control == Control::Throttling {
            let (threshold, interval) = (number(rule.threshold), ms(rule.interval_ms));
            // Nobody queues here: the callers wait, and are told for how long they may.
            let settings = ThrottleSettings { threshold, interval, max_queueing: Duration::ZERO };
            let longest_wait = ms(rule.max_queueing_ms);
            return Self::Spaced { throttle: Throttle::new(settings), most: threshold, longest_wait };
        }
        let tuner = match rule.strategy {
            Strategy::Direct => None,
            Strategy::WarmUp => {
                let threshold = a_second(rule.threshold, rule.interval_ms);
                let (period, cold_factor) = (ms(rule.warm_up_period_ms), small(rule.cold_factor));
                Some(Tuner::WarmUp {
                    warm_up: WarmUp::new(WarmUpSettings { threshold, burst, period, cold_factor }),
                    second: 0,
                })
            }
            Strategy::MemoryAdaptive => MemoryAdaptive::new(MemorySettings {
                roomy: a_second(rule.low_memory_threshold, rule.interval_ms),
                tight: a_second(rule.high_memory_threshold, rule.interval_ms),
                low_mark: number(rule.low_water_mib).saturating_mul(1 << 20),
                high_mark: number(rule.high_water_mib).saturating_mul(1 << 20),
            })
            .ok()
            .map(Tuner::Memory),
        };
        let (start, burst) = match &tuner {
            Some(Tuner::WarmUp { warm_up, .. }) => (warm_up.speed(), burst),
            Some(Tuner::Memory(line)) => {
                let burst = burst.max(1);
                (Speed::per_second(line.threshold(None), burst), burst)
            }
            None => (fixed, burst),
        };
        Self::Rate { cell: Cell::new(start), burst, tuner }
    }
}

fn base(rule: &form::Quota) -> Base {
    Base { calls: number(rule.base), period: ms(rule.interval_ms), burst: number(rule.burst.unwrap_or(rule.base)) }
}

fn breaker(rule: &form::Breaker) -> BreakerSettings {
    let percent = small(rule.threshold).div_ceil(10);
    let open_for = ms(rule.open_ms);
    let off = BreakerSettings {
        consecutive_errors: 0,
        error_percent: 101,
        error_count: 0,
        slow_percent: 101,
        min_requests: small(rule.min_requests),
        interval: ms(rule.interval_ms),
        buckets: small(rule.buckets),
        open_for,
        open_max: open_for.max(BreakerSettings::default().open_max),
        probes: usize::try_from(rule.probes).unwrap_or(1).max(1),
        ..BreakerSettings::default()
    };
    match rule.strategy {
        Trip::SlowCallRatio => BreakerSettings { slow_after: ms(rule.max_rt_ms), slow_percent: percent, ..off },
        Trip::ErrorRatio => BreakerSettings { error_percent: percent, ..off },
        Trip::ErrorCount => BreakerSettings { error_count: small(rule.threshold).max(1), ..off },
    }
}

impl Controller {
    pub(super) fn new(rule: Written<'_>) -> Self {
        Self {
            rule: rule.id().into(),
            kind: rule.kind(),
            shadow: rule.shadow(),
            stale: false,
            epoch: 0,
            written: rule.keep(),
            limit: Limit::of(rule),
            passed: 0,
            blocked: 0,
        }
    }

    /// The rule as a later set has it. What was taken stays taken; what is in flight stays so.
    pub(super) fn renew(&mut self, now: Time, rule: Written<'_>) {
        self.stale = false;
        self.shadow = rule.shadow();
        let written = rule.keep();
        if written == self.written {
            return;
        }
        let new = Limit::of(rule);
        self.written = written;
        match (&mut self.limit, new) {
            (Limit::Rate { cell, burst, tuner }, Limit::Rate { cell: new, burst: most, tuner: moved }) => {
                cell.retune(now, new.speed());
                (*burst, *tuner) = (most, moved);
            }
            (Limit::Yields { meter, to }, Limit::Yields { meter: new, to: other }) => {
                meter.retune(now, new.speed());
                *to = other;
            }
            (Limit::InFlight { cap, most }, Limit::InFlight { cap: mut new, most: other }) => {
                for _ in 0..cap.in_flight() {
                    // Those past a lower cap are not counted: they end by themselves.
                    if !new.take() {
                        break;
                    }
                }
                (*cap, *most) = (new, other);
            }
            // Each cell is brought up to date, also to other weights, when its calls are met again.
            (Limit::Quota { base, plan, .. }, Limit::Quota { base: new, plan: other, .. }) => {
                (*base, *plan) = (new, other);
            }
            (limit, new) => {
                *limit = new;
                self.epoch = self.epoch.wrapping_add(1);
            }
        }
    }

    /// The part of the limit that is a path's own.
    pub(super) fn sub(&mut self, now: Time, set: &RuleSet, path: &Path, learned: Weight) -> u64 {
        match &mut self.limit {
            Limit::Hot { by, .. } => hashed(&[match by {
                Dimension::Chain => &path.chain,
                Dimension::Channel => &path.channel,
                Dimension::Method => &path.method,
                Dimension::Endpoint => &path.endpoint,
            }]),
            Limit::Quota { base, cells, plan } => {
                let key = hashed(&[&path.chain, &path.channel, &path.method]);
                let weights = weights(set, path, learned);
                let speed = base.weighted(&weights);
                let milli = |weight: &Weight| u128::from(weight.milli());
                let product: u128 = weights.iter().map(milli).product();
                let burst = u128::from(base.burst).saturating_mul(product).div_euclid(1_000_000_000).max(1);
                let burst = u64::try_from(burst).unwrap_or(u64::MAX);
                if cells.len() >= CELLS && !cells.contains_key(&key) {
                    // Those that owe nothing are as good as new.
                    cells.retain(|_, part| part.cell.drained(now) > 0);
                }
                let shared = plan.as_ref().and_then(|plan| {
                    let budget = plan.budget(&path.chain, &path.channel, &path.method)?;
                    let cost = plan.cost(&weights, budget.room());
                    Some((budget, cost))
                });
                let part = cells.entry(key).or_insert_with(|| Part {
                    cell: Cell::new(speed),
                    burst,
                    shared: None,
                    refused_until: Time::ZERO,
                });
                part.cell.retune(now, speed);
                let bucket =
                    |shared: &Option<(Budget, u64)>| shared.as_ref().map(|(budget, _)| budget.key().to_owned());
                if bucket(&part.shared) != bucket(&shared) {
                    part.refused_until = Time::ZERO;
                }
                let at_once = shared.as_ref().and_then(|(budget, cost)| budget.room().checked_div(*cost));
                (part.burst, part.shared) = (at_once.map_or(burst, |most| most.min(burst)), shared);
                key
            }
            _ => 0,
        }
    }

    /// What its calls' methods are worth is learned.
    pub(super) fn is_quota(&self) -> bool {
        self.kind == Kind::Quota
    }
    /// One a request, not one a call.
    pub(super) fn counts_requests(&self) -> bool {
        matches!(self.limit, Limit::InFlight { .. } | Limit::System(_) | Limit::Breaker(_))
    }
    /// It runs with the calls of another rule.
    pub(super) fn yields(&self) -> bool {
        matches!(self.limit, Limit::Yields { .. })
    }
    /// Other rules may yield to it.
    pub(super) fn is_metered(&self) -> bool {
        self.kind == Kind::Flow
    }

    /// The most tokens a request can get.
    pub(super) fn burst(&self, sub: u64) -> Option<u64> {
        if self.shadow {
            return None;
        }
        match &self.limit {
            Limit::Rate { burst, .. } | Limit::Hot { burst, .. } => Some(*burst),
            Limit::Spaced { most, .. } => Some(*most),
            Limit::Quota { cells, .. } => cells.get(&sub).map(|part| part.burst),
            Limit::Yields { .. } | Limit::InFlight { .. } | Limit::System(_) | Limit::Breaker(_) => None,
        }
    }

    pub(super) fn look(&mut self, now: Time, sub: u64, n: u32, in_flight: u32) -> Option<Refusal> {
        let come_back = match &mut self.limit {
            Limit::Rate { cell, tuner, .. } => {
                if let Some(Tuner::WarmUp { warm_up, second }) = tuner
                    && now.as_nanos() >= *second
                {
                    let tuned = warm_up.sync(now);
                    cell.retune(now, tuned);
                    *second = now.as_nanos().div_euclid(SECOND).saturating_add(1).saturating_mul(SECOND);
                }
                lacking(cell, now, n)?
            }
            Limit::Yields { meter, .. } => lacking(meter, now, n)?,
            Limit::Quota { cells, .. } => {
                let part = cells.get(&sub)?;
                match lacking(&part.cell, now, n) {
                    Some(come_back) => come_back,
                    None if part.refused_until > now => ComeBack::At(part.refused_until),
                    None => return None,
                }
            }
            Limit::Spaced { throttle, .. } => match throttle.peek(now, n) {
                Spaced::After(wait) if wait.is_zero() => return None,
                Spaced::After(wait) => ComeBack::At(now.after(wait)),
                Spaced::NotBefore(at) => ComeBack::At(at),
                Spaced::Never => ComeBack::Never,
            },
            Limit::Hot { params, .. } => match params.check(now, sub, n) {
                Ok(_) => return None,
                Err(Refused::Rate(why)) => short(why, now),
                Err(Refused::InFlight | Refused::Full) => ComeBack::WhenOneEnds,
            },
            Limit::InFlight { cap, .. } => {
                if cap.has_room() {
                    return None;
                }
                ComeBack::WhenOneEnds
            }
            Limit::System(system) => match system.check(in_flight) {
                Ok(()) => return None,
                Err((Cause::InFlight, _)) => ComeBack::WhenOneEnds,
                Err(_) => ComeBack::WhenSampled,
            },
            Limit::Breaker(breaker) => match breaker.peek(now) {
                None => return None,
                // The end of a probe is the time to come back, not the lease of a lost one.
                Some(_) if breaker.state(now) == BreakerState::HalfOpen => ComeBack::WhenOneEnds,
                Some(at) => ComeBack::At(at),
            },
        };
        let threshold_milli = self.threshold_milli(sub);
        let longest_wait = match &self.limit {
            Limit::Spaced { longest_wait, .. } => Some(*longest_wait),
            _ => None,
        };
        Some(Refusal { rule: self.rule.clone(), kind: self.kind.label(), threshold_milli, come_back, longest_wait })
    }

    pub(super) fn threshold_milli(&self, sub: u64) -> u64 {
        match &self.limit {
            Limit::Rate { cell, .. } => cell.speed().per_second_milli(),
            Limit::Yields { meter, .. } => meter.speed().per_second_milli(),
            Limit::Quota { base, cells, .. } => {
                cells.get(&sub).map_or(base.weighted(&[]), |part| part.cell.speed()).per_second_milli()
            }
            Limit::Spaced { throttle, .. } => {
                SECOND.saturating_mul(1_000).checked_div(throttle.spacing_ns(1)).unwrap_or(0)
            }
            Limit::Hot { params, .. } => params.threshold_milli(sub),
            Limit::InFlight { most, .. } => u64::from(*most).saturating_mul(1_000),
            Limit::System(_) | Limit::Breaker(_) => match &self.written {
                Kept::System(rule) if matches!(rule.metric, Metric::LoadMilli | Metric::CpuMilli) => {
                    number(rule.threshold)
                }
                Kept::System(rule) => number(rule.threshold).saturating_mul(1_000),
                _ => 0,
            },
        }
    }

    /// Charges; in shadow mode only what fits.
    pub(super) fn take(&mut self, now: Time, sub: u64, n: u32) -> Taken {
        self.passed = self.passed.saturating_add(n.into());
        match &mut self.limit {
            Limit::Rate { cell, tuner, .. } => {
                let taken = charge(cell, now, n).map_or(Taken::Nothing, |mark| Taken::Tokens(0, mark));
                if let Some(Tuner::WarmUp { warm_up, .. }) = tuner {
                    warm_up.passed(n);
                }
                taken
            }
            Limit::Quota { cells, .. } => {
                let mark = cells.get_mut(&sub).and_then(|part| charge(&mut part.cell, now, n));
                mark.map_or(Taken::Nothing, |mark| Taken::Tokens(sub, mark))
            }
            Limit::Spaced { throttle, .. } => match throttle.peek(now, n) {
                Spaced::After(wait) if wait.is_zero() => {
                    throttle.ask(now, n);
                    Taken::Spaced(n)
                }
                _ => Taken::Nothing,
            },
            Limit::Hot { params, .. } => match params.check(now, sub, n) {
                Ok(found) => Taken::Hot(found.0, params.take(now, found, n)),
                Err(_) => Taken::Nothing,
            },
            Limit::InFlight { cap, .. } => {
                if cap.take() {
                    Taken::Place
                } else {
                    Taken::Nothing
                }
            }
            Limit::Breaker(breaker) => breaker.admit(now).map_or(Taken::Nothing, Taken::Ticket),
            Limit::Yields { .. } | Limit::System(_) => Taken::Nothing,
        }
    }

    /// What all members' bucket must give for `n` calls, where they have one.
    pub(super) fn shared(&self, sub: u64, n: u32) -> Option<(Budget, u64, bool)> {
        let Limit::Quota { cells, plan: Some(plan), .. } = &self.limit else { return None };
        let (budget, cost) = cells.get(&sub)?.shared.as_ref()?;
        Some((budget.clone(), cost.saturating_mul(n.into()), plan.leased))
    }

    /// All members' bucket refused `n` calls until then.
    pub(super) fn refused(&mut self, sub: u64, n: u32, until: Time) {
        self.blocked = self.blocked.saturating_add(n.into());
        if let Limit::Quota { cells, .. } = &mut self.limit
            && let Some(part) = cells.get_mut(&sub)
        {
            part.refused_until = until;
        }
    }

    /// Calls of another rule passed.
    pub(super) fn meter(&mut self, now: Time, rule: &Arc<str>, n: u32) {
        if let Limit::Yields { meter, to } = &mut self.limit
            && to == rule
        {
            meter.meter(now, n);
        }
    }

    pub(super) fn end(&mut self, now: Time, at: Time, taken: Taken, left: bool, outcome: Option<(Duration, bool)>) {
        match (&mut self.limit, taken) {
            (Limit::Rate { cell, .. }, Taken::Tokens(_, mark)) if !left => cell.refund(at, mark),
            (Limit::Quota { cells, .. }, Taken::Tokens(sub, mark)) if !left => {
                if let Some(part) = cells.get_mut(&sub) {
                    part.cell.refund(at, mark);
                }
            }
            (Limit::Spaced { throttle, .. }, Taken::Spaced(n)) if !left => throttle.refund(at, n),
            (Limit::Hot { params, .. }, Taken::Hot(entry, mark)) => {
                params.release(entry, (!left).then_some((at, mark)))
            }
            (Limit::InFlight { cap, .. }, Taken::Place) => cap.give_back(),
            (Limit::Breaker(breaker), Taken::Ticket(ticket)) => match outcome {
                Some((took, sound)) => breaker.completed(now, ticket, took, sound),
                None => breaker.cancelled(ticket),
            },
            _ => {}
        }
    }

    pub(super) fn sample(&mut self, now: Time, sample: Sample, memory: Option<u64>, ring: &Ring, counts: &Counts) {
        match &mut self.limit {
            Limit::System(system) => system.update(sample, ring, counts),
            Limit::Rate { cell, burst, tuner: Some(Tuner::Memory(line)) } => {
                cell.retune(now, Speed::per_second(line.threshold(memory), *burst));
            }
            _ => {}
        }
    }

    pub(super) fn view(&self, now: Time) -> RuleView {
        let tokens = match &self.limit {
            Limit::Rate { cell, .. } => Some(cell.available(now)),
            Limit::Yields { meter, .. } => Some(meter.available(now)),
            _ => None,
        };
        RuleView {
            rule: self.rule.clone(),
            kind: self.kind.label(),
            shadow: self.shadow,
            threshold_milli: self.threshold_milli(0),
            tokens,
            passed: self.passed,
            blocked: self.blocked,
        }
    }
}

fn lacking(cell: &Cell, now: Time, n: u32) -> Option<ComeBack> {
    let drained = cell.drained(now);
    (!cell.fits(drained, n)).then(|| short(cell.shortfall(drained, n), now))
}

fn charge(cell: &mut Cell, now: Time, n: u32) -> Option<Mark> {
    let drained = cell.drained(now);
    cell.fits(drained, n).then(|| cell.take(now, drained, n))
}
