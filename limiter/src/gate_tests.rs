#![allow(clippy::arithmetic_side_effects)]

use limiter_core::breaker::Settings as BreakerSettings;
use limiter_core::cell::Speed;
use limiter_core::decide::{EndpointRule, LevelRule};

use super::*;

fn chain(per_second: u64, burst: u64, in_flight: u32) -> (Chain, Ask) {
    let rule = |id| LevelRule::fixed(RuleId(id), Speed::per_second(per_second, burst));
    let mut chain = Chain::new(rule(1));
    let breaker = BreakerSettings::default();
    let (breaker_rule, in_flight_rule) = (RuleId(5), RuleId(6));
    let endpoint =
        chain.add_endpoint(EndpointRule { rate: rule(2), breaker, breaker_rule, in_flight, in_flight_rule }).unwrap();
    let channel = chain.add_channel(rule(3)).unwrap();
    let path = chain.add_path(channel, rule(4), None).unwrap();
    (chain, Ask { path, endpoint, cost: 1, hot: None })
}
fn base(calls: u64, burst: u64) -> Base {
    Base { calls, period: Duration::from_secs(1), burst }
}

#[test]
fn a_pass_dropped_before_it_was_sent_is_a_refund_and_after_it_is_not() {
    let mut gate = Gate::new(RuleId(9), base(1, 10), 1);
    let (state, ask) = chain(1, 10, 1);
    let one = gate.chain(state);
    let there = || one.with(|chain| chain.available(Time::ZERO, ask.path, ask.endpoint)).unwrap();
    drop(one.decide(Time::ZERO, &ask).unwrap());
    assert_eq!(there(), [10; 4]);
    let mut pass = one.decide(Time::ZERO, &ask).unwrap();
    pass.sent();
    assert_eq!(one.decide(Time::ZERO, &ask).unwrap_err().level, Level::Isolation);
    drop(pass);
    assert_eq!((there(), one.with(|chain| chain.in_flight())), ([9; 4], 0));
}

#[test]
fn what_leases_hold_is_set_aside_and_all_chains_together_get_the_burst() {
    let mut gate = Gate::new(RuleId(9), base(1, 1_000), 2);
    let ((a, ask), (b, _)) = (chain(1, 10_000, 10_000), chain(1, 10_000, 10_000));
    let (a, b) = (gate.chain(a), gate.chain(b));
    let spend = |chain: &ChainGate| {
        let mut n = 0;
        while let Ok(mut pass) = chain.decide(Time::ZERO, &ask) {
            pass.sent();
            n += 1;
        }
        n
    };
    let first = spend(&a);
    let all = first + spend(&b);
    let held_idle = 2 * i32::try_from(LEASE).unwrap();
    assert!((1_000 - held_idle..=1_000).contains(&all), "{all}");
    let refusal = a.decide(Time::ZERO, &ask).unwrap_err();
    assert_eq!((refusal.level, refusal.rule, refusal.threshold_milli), (Level::Global, RuleId(9), 1_000));
    assert_eq!(refusal.come_back, ComeBack::At(Time::from_nanos(1_000_000_000)));
}

#[test]
fn a_small_global_budget_is_not_leased_and_exact() {
    let mut gate = Gate::new(RuleId(9), base(1, 3), 5);
    let (state, ask) = chain(1, 99, 99);
    let one = gate.chain(state);
    let passes: Vec<_> = (0..9).filter_map(|_| one.decide(Time::ZERO, &ask).ok()).collect();
    assert_eq!(passes.len(), 3);
    drop(passes);
    assert_eq!(gate.available(Time::ZERO), 3);
}

#[test]
fn eight_threads_never_pass_more_than_the_burst() {
    let mut gate = Gate::new(RuleId(9), base(0, 5_000), 2);
    let ((a, ask), (b, _)) = (chain(0, 4_000, 10_000), chain(0, 4_000, 10_000));
    let chains = [gate.chain(a), gate.chain(b)];
    let passed: usize = std::thread::scope(|scope| {
        let spawn = |n: usize| {
            let chain = &chains[n % 2];
            scope.spawn(move || {
                let mut passed = 0;
                for k in 0..3_000 {
                    if let Ok(mut pass) = chain.decide(Time::ZERO, &ask)
                        && k % 3 > 0
                    {
                        pass.sent();
                        passed += 1;
                    }
                }
                passed
            })
        };
        let threads: Vec<_> = (0..8).map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!((4_800..=5_000).contains(&passed), "{passed}");
    assert!(chains.iter().all(|chain| chain.with(|chain| chain.in_flight()) == 0));
}
