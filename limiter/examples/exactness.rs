//! What is admitted beside what may be, and what a key costs, one JSON line a figure: `cargo run --release -p limiter --example exactness`.
//!
//! Time is simulated, so these figures are the same on every machine.
#![allow(clippy::expect_used, clippy::print_stdout, clippy::arithmetic_side_effects, clippy::indexing_slicing)] // a measurement, not the program

use std::time::Duration;

use limiter::gate::Gate;
use limiter_core::Time;
use limiter_core::breaker::Settings as BreakerSettings;
use limiter_core::cell::Speed;
use limiter_core::decide::{Ask, Chain, ComeBack, End, EndpointRule, LevelRule, RuleId};
use limiter_core::intern::Interner;
use limiter_core::key::key;
use limiter_core::limits::KEYS;
use limiter_core::throttle::{Settings as Spacing, Throttle};
use limiter_core::warm_up::{Settings as WarmSettings, WarmUp};
use limiter_core::weight::Base;
use limiter_core::window::{KEPT, Ring};

const SECOND: u64 = 1_000_000_000;

fn line(figure: &str, value: f64, unit: &str, most: f64) {
    let met = value <= most;
    println!(r#"{{"figure":"limiter_{figure}","value":{value:.4},"unit":"{unit}","goal":"<= {most}","met":{met}}}"#);
}

/// The seeds are fixed: a figure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Calls a second and at once: global, endpoint, chain, channel, method.
type Limits = [(u64, u64); 5];

fn chain(limits: &Limits, method: LevelRule, spacing: Option<Throttle>) -> (Chain, Ask) {
    let rule = |level: usize| {
        let id = u32::try_from(level).expect("five levels");
        LevelRule::fixed(RuleId(id), Speed::per_second(limits[level].0, limits[level].1))
    };
    let mut chain = Chain::new(rule(2));
    let endpoint = EndpointRule {
        rate: rule(1),
        breaker: BreakerSettings::default(),
        breaker_rule: RuleId(5),
        in_flight: 1_000,
        in_flight_rule: RuleId(6),
    };
    let endpoint = chain.add_endpoint(endpoint).expect("the first");
    let channel = chain.add_channel(rule(3)).expect("the first");
    let path = chain.add_path(channel, method, spacing.map(|s| (RuleId(7), s))).expect("the first");
    (chain, Ask { path, endpoint, cost: 1, hot: None })
}

/// The most calls of any window beyond `burst + rate * W`, from every start to every end, exactly: in billionths of a call.
fn beyond(kept: &[u64], (rate, burst): (u64, u64)) -> f64 {
    let (mut least, mut worst) = (i128::MAX, i128::MIN);
    for (before, at) in kept.iter().enumerate() {
        // What came before the window less what may have: a window of any length begins at the least of these.
        let balance = before as i128 * i128::from(SECOND) - i128::from(*at) * i128::from(rate);
        least = least.min(balance);
        worst = worst.max(balance + i128::from(SECOND) - least);
    }
    (worst - i128::from(burst) * i128::from(SECOND)).max(0) as f64 / SECOND as f64
}

/// Ten simulated minutes of callers at random instants; every fifth call does not leave after all.
fn over_admission(limits: &Limits, seed: u64) -> f64 {
    let (mut random, mut now, mut kept) = (Random(seed), 0, Vec::new());
    let base = Base { calls: limits[0].0, period: Duration::from_secs(1), burst: limits[0].1 };
    let method = LevelRule::fixed(RuleId(4), Speed::per_second(limits[4].0, limits[4].1));
    let (chain, ask) = chain(limits, method, None);
    let gate = Gate::new(RuleId(0), base, 1).chain(chain);
    let mut reserved = Vec::new();
    while now < 600 * SECOND {
        // Mostly a storm, now and then a pause in which bursts come back.
        now += if random.below(10_000) == 0 { random.below(SECOND) } else { random.below(SECOND / 2_000) };
        if let Ok(mut pass) = gate.decide(Time::from_nanos(now), &ask) {
            if random.below(5) > 0 {
                pass.sent();
                pass.finish(Time::from_nanos(now), End::Answered(Duration::from_millis(1)));
                kept.push(now);
            } else {
                reserved.push(pass);
            }
        }
        if reserved.len() > 5 {
            drop(reserved.swap_remove(random.below(5) as usize));
        }
    }
    limits.iter().map(|limit| beyond(&kept, *limit)).fold(0.0, f64::max)
}

/// What callers miss, percent: they ask when they were told to, up to `late` ns later, for ten minutes after `from`.
fn under_admission(rate: u64, from: u64, late: u64, method: LevelRule, spacing: Option<Throttle>) -> f64 {
    let wide = (1_000_000, 1_000_000);
    let (mut chain, ask) = chain(&[wide; 5], method, spacing);
    let (mut random, mut now, mut admitted) = (Random(1), 0, 0u64);
    let end = from + 600 * SECOND;
    while now < end {
        match chain.decide(Time::from_nanos(now), &ask, Ok) {
            Ok(grant) => {
                admitted += u64::from(now >= from);
                chain.finish(Time::from_nanos(now), grant, End::Lost);
            }
            Err(refusal) => {
                let ComeBack::At(at) = refusal.come_back else { break };
                now = at.as_nanos() + random.below(late + 1);
            }
        }
    }
    let may = rate as f64 * 600.0;
    ((may - admitted as f64) / may * 100.0).max(0.0)
}

fn exact() {
    let limits: [Limits; 3] = [
        [(5_000, 500), (1_500, 30), (1_200, 100), (1_000, 7), (997, 50)],
        [(900, 300), (1_500, 30), (1_200, 100), (1_000, 7), (3, 1)],
        [(333, 20), (350, 10), (2_000, 2_000), (350, 40), (1_125, 112)],
    ];
    let worst = limits.iter().flat_map(|l| (1..=5).map(|seed| over_admission(l, seed))).fold(0.0, f64::max);
    line("over_admission_in_any_window", worst, "calls", 0.0);
    let fixed = |burst| LevelRule::fixed(RuleId(4), Speed::per_second(500, burst));
    let quota = under_admission(500, 0, 500_000, fixed(50), None);
    line("under_admission_quota", quota, "percent", 0.5);
    let spacing = Spacing { threshold: 500, interval: Duration::from_secs(1), max_queueing: Duration::ZERO };
    let spaced = LevelRule::fixed(RuleId(4), Speed::per_second(1_000_000, 1_000_000));
    let spaced = under_admission(500, 0, 500_000, spaced, Some(Throttle::new(spacing)));
    line("under_admission_throttling", spaced, "percent", 0.5);
    let warm = WarmSettings { threshold: 500, burst: 50, period: Duration::from_secs(10), cold_factor: 3 };
    let warm = LevelRule::warm_up(RuleId(4), WarmUp::new(warm));
    // Ten seconds warm it up; then it must give all.
    line("under_admission_warm_up", under_admission(500, 20 * SECOND, 500_000, warm, None), "percent", 0.5);
}

/// Permits, refusals, ends and refunds.
fn allocations() {
    let limits = [(1_000, 100); 5];
    let method = LevelRule::fixed(RuleId(4), Speed::per_second(500, 50));
    let (chain, ask) = chain(&limits, method, None);
    let gate = Gate::new(RuleId(0), Base::per_second(1_000), 1).chain(chain);
    let (mut passed, mut refused) = (0, 0);
    let counted = allocation_counter::measure(|| {
        for k in 0..100_000 {
            let now = Time::from_nanos(k * SECOND / 1_000);
            match gate.decide(now, &ask) {
                Ok(pass) if k % 7 == 0 => drop(pass),
                Ok(mut pass) => {
                    passed += 1;
                    pass.sent();
                    pass.finish(now, End::Answered(Duration::from_millis(2)));
                }
                Err(_) => refused += 1,
            }
        }
    });
    assert!(passed > 10_000 && refused > 10_000, "{passed} {refused}");
    line("decision_allocations", counted.count_total as f64, "allocations", 0.0);
}

fn memory() {
    const PATHS: usize = 20_000;
    let names: Vec<String> = (0..KEYS)
        .map(|n| key("relay", "cosmoshub-4", "abci_query", &format!("channel-{n}")).expect("a good key"))
        .collect();
    let all = (1_000_000, 1_000);
    let method = || LevelRule::fixed(RuleId(4), Speed::per_second(500, 50));
    let (mut state, _) = chain(&[all; 5], method(), None);
    let channel = state.add_channel(method()).expect("the second");
    let mut keys = Interner::new(KEYS, Duration::from_secs(60));
    let held = allocation_counter::measure(|| {
        for name in names.iter().take(PATHS - 1) {
            keys.intern(Time::ZERO, name).expect("room");
            state.add_path(channel, method(), None).expect("room");
        }
    });
    line("memory_of_a_key", held.bytes_current as f64 / (PATHS - 1) as f64, "bytes", 256.0);
    line("memory_of_a_window", Ring::new(KEPT).bytes() as f64, "bytes", 2_048.0);

    let mut keys = Interner::new(KEYS, Duration::from_secs(60));
    names.iter().for_each(|name| _ = keys.intern(Time::ZERO, name).expect("room"));
    let hit = allocation_counter::measure(|| {
        names.iter().for_each(|name| _ = keys.intern(Time::ZERO, name).expect("known"));
    });
    line("allocations_of_a_known_key", hit.count_total as f64, "allocations", 0.0);
    let early = keys.expire(Time::from_nanos(59 * SECOND), KEYS, |_| true);
    let gone = keys.expire(Time::from_nanos(60 * SECOND), KEYS, |_| true);
    line("idle_keys_of_100000_that_stay", (KEYS - gone + early) as f64, "keys", 0.0);
}

fn main() {
    exact();
    allocations();
    memory();
}
