//! Two relayers, one provider, one budget: over a real redis-server.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use limiter::store::{Settings, SharedBudgets, Target};

use super::super::SharedRates;
use super::*;

struct Redis {
    child: Child,
    url: String,
}

impl Redis {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        drop(listener);
        let args = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let child = Command::new("redis-server").args(args).stdout(Stdio::null()).spawn();
        Self {
            child: child.expect("redis-server: apt-get install redis-server"),
            url: format!("redis://127.0.0.1:{port}"),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

async fn member(redis: &Redis, node: &Node, name: &str, leased: bool) -> (RpcClient, SharedRates) {
    let settings = Settings::new(Target::Standalone(redis.url.clone()), "provider", name);
    let (budgets, worker) = SharedBudgets::new(settings).unwrap();
    tokio::spawn(worker.run());
    let rates = SharedRates::new(budgets, leased);
    for _ in 0..1_000 {
        if !rates.status().degraded {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!rates.status().degraded, "{:?}", rates.status());
    let mut settings = once(node.url.clone());
    settings.endpoints[0].limiter =
        limiter::Settings { rate_per_second: 40, burst: 20, ..limiter::Settings::default() };
    settings.shared = Some(rates.clone());
    (client(settings), rates)
}

/// Asks as fast as it may until `end`.
async fn saturate(rpc: &RpcClient, name: &str, end: Instant) {
    let mut n = 0;
    while Instant::now() < end {
        n += 1;
        rpc.call("status", json!({ "of": name, "n": n })).await.unwrap();
    }
}

async fn two_relayers_get_what_one_is_configured_for(leased: bool) {
    let (redis, node) = (Redis::start().await, Node::start(|_, body| ok(&echo(&body))).await);
    let (a, rates) = member(&redis, &node, "a", leased).await;
    let (b, _) = member(&redis, &node, "b", leased).await;
    let from = Instant::now();
    let end = from + Duration::from_secs(4);
    tokio::join!(saturate(&a, "a", end), saturate(&b, "b", end));
    let took = from.elapsed().as_secs_f64();
    let seen = node.seen();
    let of = |name: &str| seen.iter().filter(|seen| seen.body["params"]["of"] == *name).count();
    let most = 20.0 + 40.0 * took;
    println!("{} and {} in {took:.2} s, {most:.0} may be", of("a"), of("b"));
    assert!(seen.len() as f64 <= most, "{} of {most}", seen.len());
    assert!(of("a") >= 20 && of("b") >= 20, "each gets its part: {} and {}", of("a"), of("b"));

    // Gone: each goes on with its share, and says so.
    drop(redis);
    tokio::time::timeout(Duration::from_secs(30), async {
        a.call("status", json!({ "alone": true })).await.unwrap();
        a.call("status", json!({ "alone": 2 })).await.unwrap();
        while !rates.status().degraded {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        a.call("status", json!({ "alone": 3 })).await.unwrap();
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relayers_share_a_budget_in_leased_blocks() {
    two_relayers_get_what_one_is_configured_for(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relayers_share_a_budget_call_by_call() {
    two_relayers_get_what_one_is_configured_for(false).await;
}
