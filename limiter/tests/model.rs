//! The concurrent core under a scheduler that tries interleavings: `cargo test -p limiter --features model --test model`.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use limiter::gate::{ChainGate, Gate};
use limiter_core::Time;
use limiter_core::breaker::Settings as BreakerSettings;
use limiter_core::cell::Speed;
use limiter_core::decide::{Ask, Chain, End, EndpointRule, LevelRule, RuleId};
use limiter_core::weight::Base;
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread;

fn chain(burst: u64) -> (Chain, Ask) {
    let rule = |id| LevelRule::fixed(RuleId(id), Speed::per_second(0, burst));
    let mut chain = Chain::new(rule(1));
    let endpoint = EndpointRule {
        rate: rule(2),
        breaker: BreakerSettings::default(),
        breaker_rule: RuleId(5),
        in_flight: 8,
        in_flight_rule: RuleId(6),
    };
    let endpoint = chain.add_endpoint(endpoint).unwrap();
    let channel = chain.add_channel(rule(3)).unwrap();
    let path = chain.add_path(channel, rule(4), None).unwrap();
    (chain, Ask { path, endpoint, cost: 1, hot: None })
}

/// `threads` callers on two chains, each with a call that leaves, and perhaps one before it that does not. Never more than the
/// burst leaves, places come back.
fn callers(threads: usize, refunds: bool, global_burst: u64, chain_burst: u64) {
    let base = Base { calls: 0, period: Duration::from_secs(1), burst: global_burst };
    let mut gate = Gate::new(RuleId(9), base, 2);
    let ((a, ask), (b, _)) = (chain(chain_burst), chain(chain_burst));
    let chains: Arc<[ChainGate; 2]> = Arc::new([gate.chain(a), gate.chain(b)]);
    let left = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let workers: Vec<_> = (0..threads)
        .map(|n| {
            let (chains, left) = (chains.clone(), left.clone());
            thread::spawn(move || {
                let chain = &chains[n % 2];
                if refunds {
                    drop(chain.decide(Time::ZERO, &ask));
                }
                if let Ok(mut pass) = chain.decide(Time::ZERO, &ask) {
                    pass.sent();
                    left[n % 2].fetch_add(1, Ordering::SeqCst);
                    pass.finish(Time::ZERO, End::Answered(Duration::from_millis(1)));
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let left = left.each_ref().map(|n| n.load(Ordering::SeqCst));
    assert!(left.iter().sum::<u64>() <= global_burst && left.iter().all(|n| *n <= chain_burst), "{left:?}");
    assert!(chains.iter().all(|chain| chain.with(|chain| chain.in_flight()) == 0));
    // What was refunded is there again: nothing leaks, on either level.
    for (chain, left) in chains.iter().zip(left) {
        let there = chain.with(|chain| chain.available(Time::ZERO, ask.path, ask.endpoint)).unwrap();
        assert_eq!(there, [chain_burst - left; 4]);
    }
    let mut more = 0;
    for chain in chains.iter() {
        while let Ok(mut pass) = chain.decide(Time::ZERO, &ask) {
            pass.sent();
            more += 1;
        }
    }
    assert!(left.iter().sum::<u64>() + more <= global_burst);
}

#[test]
fn two_callers_on_one_global_token_in_every_interleaving() {
    shuttle::check_dfs(|| callers(2, false, 1, 1), None);
}

#[test]
fn four_callers_with_leases_and_refunds_in_random_schedules() {
    shuttle::check_random(|| callers(4, true, 16, 2), 2_000);
    shuttle::check_pct(|| callers(4, true, 3, 2), 2_000, 3);
}
