//! The limiter's own figures: a full decision, permit and refusal, real and cached clock, one thread and two, beside `governor`.
//!
//! `cargo bench -p limiter --bench decide`: criterion's report, then the figures, one JSON line each. Of each figure the least disturbed of
//! [`BATCHES`] equal batches counts, timed alike for all of them: what else the machine does only adds. Two threads start each batch
//! together, and of a batch the slower one counts. `endpoint_…` and `rules_…` are the two halves of what the relayer asks for a request.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::{black_box, spin_loop};
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion};
use limiter::gate::{ChainGate, Gate, Pass};
use limiter::rules::enforce::{Ask as Request, Enforcer, Part};
use limiter::rules::{RuleSet, Rules};
use limiter::{Admission, CachedClock, Call, Clock, Limiter, Outcome, Settings};
use limiter_core::Time;
use limiter_core::breaker::Settings as BreakerSettings;
use limiter_core::cell::Speed;
use limiter_core::decide::{Ask, Chain, End, EndpointRule, LevelRule, RuleId};
use limiter_core::weight::Base;

const BATCHES: usize = 20_000;
/// Calls of a batch: a few microseconds, between two interruptions; its two clock reads are a hundredth of it.
const CALLS: usize = 64;
const PERMITS: u64 = 1_000_000_000;
const REFUSALS: u64 = 0;

fn gate() -> Gate {
    Gate::new(RuleId(9), Base { calls: 1_000_000_000, period: Duration::from_secs(1), burst: 1_000_000 }, 4)
}

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

/// ns a call in the least disturbed batch. `after` clears up and is not timed.
fn least<S>(mut state: S, mut call: impl FnMut(&mut S), mut after: impl FnMut(&mut S)) -> f64 {
    let mut fastest = f64::MAX;
    for _ in 0..BATCHES {
        let began = Instant::now();
        for _ in 0..CALLS {
            call(&mut state);
        }
        fastest = fastest.min(began.elapsed().as_secs_f64());
        after(&mut state);
    }
    fastest * 1e9 / CALLS as f64
}

fn least_of(mut call: impl FnMut()) -> f64 {
    least((), |()| call(), |()| {})
}

/// The decision alone, as many at a time as may be in flight; their ends are not timed.
fn decisions<'a>(chain: &'a ChainGate, ask: &Ask, now: impl Fn() -> Time, refresh: impl Fn()) -> f64 {
    let decide = |held: &mut Vec<Pass<'a>>| {
        if let Ok(pass) = chain.decide(now(), black_box(ask)) {
            held.push(pass);
        }
    };
    least(Vec::with_capacity(CALLS), decide, |held| {
        assert_eq!(held.len(), CALLS);
        end(held, now());
        refresh();
    })
}

fn end(held: &mut Vec<Pass<'_>>, now: Time) {
    for mut pass in held.drain(..) {
        pass.sent();
        pass.finish(now, End::Answered(Duration::from_millis(1)));
    }
}

/// ns a call of `n` threads that work at once, each on what is its own.
fn together<T: Sync>(own: &[T], call: impl Fn(&T) + Sync) -> f64 {
    let (arrived, n) = (AtomicUsize::new(0), own.len());
    let each = |own: &T| {
        let mut took = Vec::with_capacity(BATCHES);
        for batch in 1..=BATCHES {
            arrived.fetch_add(1, Ordering::AcqRel);
            let mut spins = 0u32;
            while arrived.load(Ordering::Acquire) < batch * n {
                spins += 1;
                if spins.is_multiple_of(10_000) { std::thread::yield_now() } else { spin_loop() }
            }
            let began = Instant::now();
            for _ in 0..CALLS * 4 {
                call(own);
            }
            took.push(began.elapsed().as_secs_f64());
        }
        took
    };
    let runs: Vec<Vec<f64>> = std::thread::scope(|scope| {
        let runs: Vec<_> = own.iter().map(|own| scope.spawn(|| each(own))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let slowest = |batch: usize| runs.iter().map(|run| run[batch]).fold(0.0, f64::max);
    (0..BATCHES).map(slowest).fold(f64::MAX, f64::min) * 1e9 / (CALLS * 4) as f64
}

/// Decision and end.
fn whole((chain, ask): &(ChainGate, Ask), now: Time) {
    if let Ok(mut pass) = chain.decide(now, black_box(ask)) {
        pass.sent();
        pass.finish(now, End::Answered(Duration::from_millis(1)));
    }
}

/// A read at one endpoint, asked for and answered.
fn endpoint(limiter: &Limiter, clock: &Clock) {
    if let Admission::Now(mut permit) = limiter.check(clock.now(), black_box(&Call::read(1))) {
        permit.sent();
        permit.outcome(clock.now(), Outcome::Answered);
    }
}

/// Rules of each level that name the request, and a cap on calls in flight.
fn rules() -> Enforcer {
    let flow = |on: &str| format!("{{ id = \"{on}\", on = {{ {on} }}, threshold = 1000000000, burst = 1000000 }}");
    let flows = ["", "chain = 'a-1'", "endpoint = 'http*'", "channel = 'channel-0'", "method = 'abci_query'"];
    let flows: Vec<_> = flows.iter().map(|on| flow(on).replace("id = \"\"", "id = \"all\"")).collect();
    let text = format!("flow = [{}]\nisolation = [{{ id = \"cap\", in_flight = 64 }}]", flows.join(", "));
    Enforcer::new(RuleSet::default(), Rules::new(RuleSet::from_toml(&text).unwrap()))
}

/// A request of one call that six rules name, asked for and answered.
fn ruled(rules: &Enforcer, clock: &Clock) {
    let parts = [Part { method: "abci_query", channel: "channel-0", n: 1 }];
    let request = Request { chain: "a-1", endpoint: "http://127.0.0.1:26657", broadcast: false, parts: &parts };
    let mut pass = rules.ask(clock.now(), black_box(&request)).unwrap();
    pass.sent();
    pass.finish(clock.now(), true);
}

fn figure(name: &str, value: f64, unit: &str, goal: Option<f64>) {
    let met = goal.map_or("null".into(), |goal| (value <= goal).to_string());
    let goal = goal.map_or("null".into(), |goal| format!("\"<= {goal}\""));
    println!(r#"{{"figure":"limiter_{name}","value":{value:.2},"unit":"{unit}","goal":{goal},"met":{met}}}"#);
}

fn main() {
    let (clock, cached) = (Clock::start(), CachedClock::start());
    let (mut one, mut other) = (gate(), gate());
    let permit = chain(&mut one, PERMITS);
    let (refuse, no) = chain(&mut other, REFUSALS);
    let quota = governor::Quota::per_second(NonZeroU32::new(1_000_000_000).unwrap());
    let governor = governor::RateLimiter::direct(quota);

    let mut criterion = Criterion::default().without_plots().configure_from_args();
    criterion.bench_function("decision and end, real clock", |b| b.iter(|| whole(&permit, clock.now())));
    criterion.bench_function("64 decisions and ends, cached clock", |b| {
        // As its owner does each millisecond: a clock that stands still lets a burst pass and no more.
        b.iter_batched(
            || cached.refresh(),
            |()| (0..CALLS).for_each(|_| whole(&permit, cached.now())),
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("refusal, real clock", |b| b.iter(|| refuse.decide(clock.now(), black_box(&no)).is_err()));
    criterion.bench_function("governor, one bucket", |b| b.iter(|| black_box(&governor).check().is_ok()));
    criterion.bench_function("clock read", |b| b.iter(|| clock.now()));

    cached.refresh();
    let clock_read = least_of(|| _ = black_box(clock.now()));
    let lock = Mutex::new(0u64);
    let locked = least_of(|| *black_box(&lock).lock().unwrap() += 1);
    let real = decisions(&permit.0, &permit.1, || clock.now(), || {});
    let (copy, ask) = chain(&mut gate(), PERMITS);
    let fast = decisions(&copy, &ask, || black_box(&cached).now(), || cached.refresh());
    let refusal = least_of(|| {
        black_box(refuse.decide(clock.now(), black_box(&no)).is_err());
    });
    let pair = least_of(|| whole(&permit, clock.now()));
    let bucket = least_of(|| {
        black_box(black_box(&governor).check().is_ok());
    });
    figure("decision_real_clock", real, "ns", Some(60.0));
    figure("decision_cached_clock", fast, "ns", Some(35.0));
    figure("refusal_real_clock", refusal, "ns", None);
    figure("refusal_to_permit", refusal / real, "times", Some(1.5));
    figure("decision_and_end", pair, "ns", None);

    let mut shared = gate();
    let two = [chain(&mut shared, PERMITS), chain(&mut shared, PERMITS)];
    let call = |pair: &(ChainGate, Ask)| whole(pair, clock.now());
    let (alone, both) = (together(&two[..1], call), together(&two, call));
    figure("two_threads_to_one", both / alone, "times", Some(1.2));
    // What the machine's two processors do to each other: arithmetic that touches no memory.
    let spin = |seed: &u64| {
        black_box((0..64).fold(black_box(*seed), |x: u64, k| (x ^ k).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    };
    figure("two_threads_to_one_machine", together(&[1, 2], spin) / together(&[1], spin), "times", None);
    let settings = Settings { rate_per_second: 1_000_000_000, burst: 1_000_000, ..Settings::default() };
    let (limiter, rules) = (Limiter::new(settings), rules());
    ruled(&rules, &clock);
    assert_eq!(rules.view(clock.now()).len(), 6);
    figure("endpoint_check_and_end", least_of(|| endpoint(&limiter, &clock)), "ns", None);
    figure("rules_ask_and_end", least_of(|| ruled(&rules, &clock)), "ns", None);
    figure("governor_one_bucket", bucket, "ns", None);
    figure("clock_read", clock_read, "ns", None);
    figure("lock_and_unlock", locked, "ns", None);
}
