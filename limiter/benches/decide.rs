//! The limiter's own figures: a full decision, permit and refusal, real and cached clock, one thread and two, beside `governor`.
//!
//! `cargo bench -p limiter --bench decide` for criterion's report; the last lines are the figures as JSON, one each.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use criterion::Criterion;
use limiter::gate::{ChainGate, Gate};
use limiter::{CachedClock, Clock};
use limiter_core::Time;
use limiter_core::breaker::Settings as BreakerSettings;
use limiter_core::cell::Speed;
use limiter_core::decide::{Ask, Chain, End, EndpointRule, LevelRule, RuleId};
use limiter_core::weight::Base;

/// The five levels, one breaker, a cap on calls in flight, counters.
fn chain(gate: &mut Gate, method_per_second: u64) -> (ChainGate, Ask) {
    let rule = |id, rate| LevelRule::fixed(RuleId(id), Speed::per_second(rate, 1_000_000));
    let mut chain = Chain::new(rule(1, 1_000_000_000));
    let endpoint = EndpointRule {
        rate: rule(2, 1_000_000_000),
        breaker: BreakerSettings::default(),
        breaker_rule: RuleId(5),
        in_flight: 64,
        in_flight_rule: RuleId(6),
    };
    let endpoint = chain.add_endpoint(endpoint).unwrap();
    let channel = chain.add_channel(rule(3, 1_000_000_000)).unwrap();
    let burst = if method_per_second == 0 { 0 } else { 1_000_000 };
    let method = LevelRule::fixed(RuleId(4), Speed::per_second(method_per_second, burst));
    let path = chain.add_path(channel, method, None).unwrap();
    (gate.chain(chain), Ask { path, endpoint, cost: 1, hot: None })
}

fn gate() -> Gate {
    Gate::new(RuleId(9), Base { calls: 1_000_000_000, period: Duration::from_secs(1), burst: 1_000_000 }, 4)
}

const PERMITS: u64 = 1_000_000_000;
const REFUSALS: u64 = 0;

/// Best of several runs, ns a call: what else the machine does only adds.
fn best(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 200_000;
    let run = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    (0..25).map(|_| run(&mut call)).fold(f64::MAX, f64::min)
}

/// As in a relayer, permits and ends alternate; only the decision is timed, by taking the ends' own time away.
fn decisions(chain: &ChainGate, ask: &Ask, now: impl Fn() -> Time) -> f64 {
    let start = now();
    let mut held = Vec::with_capacity(32);
    let mut fastest = f64::MAX;
    for _ in 0..40_000 {
        let began = Instant::now();
        for _ in 0..32 {
            if let Ok(pass) = chain.decide(now(), black_box(ask)) {
                held.push(pass);
            }
        }
        fastest = fastest.min(began.elapsed().as_secs_f64() * 1e9 / 32.0);
        for mut pass in held.drain(..) {
            pass.sent();
            pass.finish(start, End::Answered(Duration::from_millis(1)));
        }
    }
    fastest
}

fn figure(name: &str, value: f64, unit: &str, goal: Option<f64>) {
    let met = goal.map_or("null".into(), |goal| (value <= goal).to_string());
    let goal = goal.map_or("null".into(), |goal| goal.to_string());
    println!(r#"{{"figure":"{name}","value":{value:.2},"unit":"{unit}","goal":{goal},"met":{met}}}"#);
}

/// Decision and end, on as many threads as chains, ns a call of one thread.
fn threads(n: usize) -> f64 {
    let mut gate = gate();
    let chains: Vec<_> = (0..n).map(|_| Box::new(chain(&mut gate, PERMITS))).collect();
    let clock = Clock::start();
    let each = |chain: &ChainGate, ask: &Ask| {
        best(|| {
            if let Ok(pass) = chain.decide(clock.now(), black_box(ask)) {
                pass.finish(Time::ZERO, End::Lost);
            }
        })
    };
    std::thread::scope(|scope| {
        let runs: Vec<_> = chains.iter().map(|pair| scope.spawn(|| each(&pair.0, &pair.1))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).fold(0.0, f64::max)
    })
}

fn main() {
    let (clock, cached) = (Clock::start(), CachedClock::start());
    let (permit, ask) = chain(&mut gate(), PERMITS);
    let (refuse, no) = chain(&mut gate(), REFUSALS);
    let quota = governor::Quota::per_second(NonZeroU32::new(1_000_000_000).unwrap());
    let governor = governor::RateLimiter::direct(quota);

    let mut criterion = Criterion::default().without_plots().configure_from_args();
    criterion.bench_function("decision and end, real clock", |b| {
        b.iter(|| permit.decide(clock.now(), black_box(&ask)).map(|pass| pass.finish(Time::ZERO, End::Lost)));
    });
    criterion.bench_function("refusal, real clock", |b| b.iter(|| refuse.decide(clock.now(), black_box(&no)).is_err()));
    criterion.bench_function("governor, one bucket", |b| b.iter(|| black_box(&governor).check().is_ok()));
    criterion.bench_function("clock read", |b| b.iter(|| clock.now()));

    let read_real = || clock.now();
    let read_cached = || black_box(&cached).now();
    cached.refresh();
    let real = decisions(&permit, &ask, read_real);
    figure("full decision, real clock", real, "ns", Some(60.0));
    // The cached clock stands still here, as it does for a millisecond at a time: a chain with its whole burst for it.
    let mut fast = f64::MAX;
    for _ in 0..5 {
        let (chain, ask) = chain(&mut gate(), PERMITS);
        fast = fast.min(decisions_few(&chain, &ask, read_cached));
    }
    figure("full decision, cached clock", fast, "ns", Some(35.0));
    let refusal = best(|| {
        black_box(refuse.decide(clock.now(), black_box(&no)).is_err());
    });
    figure("refusal, real clock", refusal, "ns", None);
    figure("refusal / permit", refusal / real, "", Some(1.5));
    figure("decision and end, real clock", threads(1), "ns", None);
    let (one, two) = (threads(1), threads(2));
    figure("two threads on different chains / one", two / one, "", Some(1.2));
    let one_bucket = best(|| {
        black_box(black_box(&governor).check().is_ok());
    });
    figure("governor, one bucket", one_bucket, "ns", None);
    let clock_read = best(|| {
        black_box(clock.now());
    });
    figure("clock read", clock_read, "ns", None);
}

/// As `decisions`, within the burst of a clock that stands still.
fn decisions_few(chain: &ChainGate, ask: &Ask, now: impl Fn() -> Time) -> f64 {
    let mut held = Vec::with_capacity(32);
    let mut fastest = f64::MAX;
    for _ in 0..5_000 {
        let began = Instant::now();
        for _ in 0..32 {
            if let Ok(pass) = chain.decide(now(), black_box(ask)) {
                held.push(pass);
            }
        }
        fastest = fastest.min(began.elapsed().as_secs_f64() * 1e9 / 32.0);
        for mut pass in held.drain(..) {
            pass.sent();
            pass.finish(now(), End::Answered(Duration::from_millis(1)));
        }
    }
    fastest
}
