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
    println!(r#"{{"figure":"{figure}","value":{value:.3},"unit":"{unit}","goal":"{goal}","met":{met}}}"#);
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
    println!(r#"{{"figure":"PING, 64 callers, a connection each","value":{ping:.0},"unit":"1/s"}}"#);
    line("strong decisions, 64 callers", rate, "1/s", ">= 0.9 of PING in the same run", rate >= 0.9 * ping);

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
    line("leased decisions, 64 callers", rate, "1/s", ">= 1,000,000", rate >= 1e6);
    line("leased decisions for each store call", per_call, "decisions", ">= 50", per_call >= 50.0);
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
    line("fall-back when the store stops answering", ms, "ms", "<= 50", ms <= 50.0);
    server.kill();
    drop(budgets);
    worker.await.expect("ends");

    let text: String = (0..10_000).map(|i| format!("[[flow]]\nid = \"rule-{i}\"\non = {{ chain = \"chain-{i}\", method = \"abci_query\" }}\nthreshold = {i}\n\n")).collect();
    let best = |load: &dyn Fn() -> RuleSet| {
        (0..5)
            .map(|_| {
                let start = Instant::now();
                let set = load();
                (start.elapsed(), set.len())
            })
            .min()
            .expect("five")
            .0
            .as_secs_f64()
            * 1e3
    };
    let toml_ms = best(&|| RuleSet::from_toml(&text).expect("good"));
    let set = RuleSet::from_toml(&text).expect("good");
    let json = serde_json::to_vec(set.rules()).expect("json");
    let json_ms = best(&|| RuleSet::from_json(&json).expect("good"));
    line("10,000 rules loaded from TOML", toml_ms, "ms", "<= 50", toml_ms <= 50.0);
    line("10,000 rules loaded from JSON", json_ms, "ms", "<= 50", json_ms <= 50.0);
    let rules = Rules::new(RuleSet::default());
    let start = Instant::now();
    rules.apply(set);
    line(
        "10,000 rules compared and swapped",
        start.elapsed().as_secs_f64() * 1e3,
        "ms",
        "readers wait for one pointer",
        true,
    );
}
