//! The figures of the shared store and of rules, one JSON line each. Needs redis-server; run it in release.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout)] // a measurement, not the program

#[path = "../tests/servers/mod.rs"]
mod servers;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use limiter::rules::{RuleSet, Rules};
use limiter::store::{Budget, By, Charge, Settings, SharedBudgets, Target, Verdict};
use tokio::task::JoinSet;

const CALLERS: usize = 64;
const SPAN: Duration = Duration::from_secs(2);
const SECOND: Duration = Duration::from_secs(1);

fn line(figure: &str, value: f64, unit: &str, goal: &str, met: bool) {
    println!(r#"{{"figure":"limiter_{figure}","value":{value:.4},"unit":"{unit}","goal":"{goal}","met":{met}}}"#);
}

/// Calls a second of 64 callers, each doing `one` until time is up.
async fn callers<F: Future<Output = bool> + Send>(one: impl Fn(usize) -> F + Send + Sync + Clone + 'static) -> f64 {
    let done = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for caller in 0..CALLERS {
        let (one, done) = (one.clone(), done.clone());
        tasks.spawn(async move {
            let mut mine = 0;
            while start.elapsed() < SPAN {
                mine += u64::from(one(caller).await);
            }
            done.fetch_add(mine, Ordering::Relaxed);
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a caller");
    }
    done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() {
    let mut server = servers::redis(&[]);
    let client = redis::Client::open(server.url()).expect("an address");
    let mut connections = Vec::new();
    for _ in 0..CALLERS {
        connections.push(client.get_multiplexed_async_connection().await.expect("connected"));
    }
    let connections = Arc::new(connections);
    let each = connections.clone();
    let ping = callers(move |caller| {
        let mut connection = each.get(caller).expect("one each").clone();
        async move { redis::cmd("PING").exec_async(&mut connection).await.is_ok() }
    })
    .await;

    let settings = Settings::new(Target::Standalone(server.url()), "figures", "a");
    let (budgets, worker) = SharedBudgets::new(settings).expect("good settings");
    let worker = tokio::spawn(worker.run());
    servers::eventually("the store is used", || !budgets.status().degraded).await;
    servers::eventually("alone", || budgets.status().members == 1).await;

    let strong = Arc::new(Budget::strong("strong", 100_000_000, SECOND, 100_000_000).expect("good"));
    tokio::time::sleep(SECOND).await;
    let handle = budgets.clone();
    let rate = callers(move |_| {
        let (handle, strong) = (handle.clone(), strong.clone());
        async move {
            match handle.acquire(&[Charge { budget: &strong, n: 1 }]).await {
                Verdict::Now(pass) => {
                    let shared = pass.by() == By::Store;
                    pass.sent();
                    shared
                }
                _ => false,
            }
        }
    })
    .await;
    println!(r#"{{"figure":"limiter_store_ping","value":{ping:.0},"unit":"calls/s","goal":null,"met":null}}"#);
    println!(r#"{{"figure":"limiter_store_strong","value":{rate:.0},"unit":"decisions/s","goal":null,"met":null}}"#);
    line("store_strong_to_ping", rate / ping, "times", ">= 0.9", rate >= 0.9 * ping);

    // Callers that sleep as long as they are told: what of the rate reaches nobody.
    let even = Budget::strong("even", 20_000, SECOND, 200).expect("good");
    let (handle, even) = (budgets.clone(), Arc::new(even));
    let rate = callers(move |_| {
        let (handle, even) = (handle.clone(), even.clone());
        async move {
            match handle.acquire(&[Charge { budget: &even, n: 1 }]).await {
                Verdict::Now(pass) => {
                    pass.sent();
                    true
                }
                Verdict::Wait(refusal) => {
                    tokio::time::sleep(refusal.after).await;
                    false
                }
                Verdict::Never(why) => panic!("{why}"),
            }
        }
    })
    .await;
    // The burst is had once.
    let missed = (1.0 - rate / (20_000.0 + 200.0 / SPAN.as_secs_f64())).max(0.0) * 100.0;
    line("store_under_admission", missed, "percent", "<= 0.5", missed <= 0.5);

    let reads = Budget::leased("reads", 50_000_000, SECOND, 50_000_000).expect("good");
    let leased = budgets.leased(&[&reads]);
    let calls = budgets.status().calls;
    let handle = leased.clone();
    let rate =
        callers(move |_| {
            let leased = handle.clone();
            async move {
                leased.try_take(1) || matches!(leased.acquire(1).await, Verdict::Now(pass) if pass.by() == By::Lease)
            }
        })
        .await;
    let per_call = rate * SPAN.as_secs_f64() / (budgets.status().calls - calls).max(1) as f64;
    line("store_leased", rate, "decisions/s", ">= 1000000", rate >= 1e6);
    line("store_leased_decisions_a_call", per_call, "decisions", ">= 50", per_call >= 50.0);
    drop(leased);

    // Lost: killed while idle, so that the next decision is the one that finds out; then frozen, the worst case.
    let calls = Budget::strong("calls", 1_000_000, SECOND, 100_000).expect("good");
    server.signal("STOP");
    let start = Instant::now();
    loop {
        match budgets.acquire(&[Charge { budget: &calls, n: 1 }]).await {
            Verdict::Now(pass) if pass.by() == By::Share => break pass.sent(),
            Verdict::Now(pass) => pass.sent(),
            Verdict::Wait(refusal) => tokio::time::sleep(refusal.after).await,
            Verdict::Never(why) => panic!("{why}"),
        }
    }
    let ms = start.elapsed().as_secs_f64() * 1e3;
    line("store_fall_back", ms, "ms", "<= 50", ms <= 50.0);
    server.kill();
    drop(budgets);
    worker.await.expect("ends");

    let text = |more: u32| {
        let rule = |i| {
            let on = format!("{{ chain = \"chain-{i}\", method = \"abci_query\" }}");
            format!("[[flow]]\nid = \"rule-{i}\"\non = {on}\nthreshold = {}\n\n", i + more)
        };
        (0..10_000).map(rule).collect::<String>()
    };
    let (text, other) = (text(0), text(1));
    let best = |load: &dyn Fn() -> RuleSet| {
        (0..10)
            .map(|_| {
                let start = Instant::now();
                let set = load();
                (start.elapsed(), set.len())
            })
            .min()
            .expect("ten")
            .0
            .as_secs_f64()
            * 1e3
    };
    let toml_ms = best(&|| RuleSet::from_toml(&text).expect("good"));
    let set = RuleSet::from_toml(&text).expect("good");
    let json = serde_json::to_vec(set.rules()).expect("json");
    let json_ms = best(&|| RuleSet::from_json(&json).expect("good"));
    line("rules_10000_from_toml", toml_ms, "ms", "<= 50", toml_ms <= 50.0);
    line("rules_10000_from_json", json_ms, "ms", "<= 50", json_ms <= 50.0);
    let other = RuleSet::from_toml(&other).expect("good");
    let applied = || {
        let (rules, new) = (Rules::new(set.clone()), other.clone());
        let start = Instant::now();
        rules.apply(new);
        start.elapsed().as_secs_f64() * 1e3
    };
    let apply = (0..20).map(|_| applied()).fold(f64::MAX, f64::min);
    // What a decision waits for is one pointer: a reader asks all the while, and its longest wait counts, in the best of several swaps.
    let mut swap = f64::MAX;
    for _ in 0..20 {
        let rules = Rules::new(set.clone());
        let (seen, new) = (rules.clone(), other.clone());
        let writer = std::thread::spawn(move || drop(seen.apply(new)));
        let mut longest = 0.0f64;
        loop {
            let start = Instant::now();
            let seen = rules.get().len();
            longest = longest.max(start.elapsed().as_secs_f64() * 1e3);
            assert_eq!(seen, 10_000);
            if rules.generation() > 0 {
                break;
            }
        }
        swap = swap.min(longest);
        writer.join().expect("it ends");
    }
    line("rules_10000_swap_longest_wait", swap, "ms", "<= 1", swap <= 1.0);
    line("rules_10000_compared_and_swapped", apply, "ms", "<= 1", apply <= 1.0);
}
