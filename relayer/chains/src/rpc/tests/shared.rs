//! Two relayers, one provider, one budget: over a real redis-server.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use limiter::rules::{RuleSet, Rules};
use limiter::store::{Settings, SharedBudgets, Target};

use super::super::SharedRates;
use super::*;

struct Redis {
    child: Child,
    url: String,
    args: Vec<String>,
}

impl Redis {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        drop(listener);
        let args = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self { child: Self::spawn(&args), url: format!("redis://127.0.0.1:{port}"), args }
    }
    fn spawn(args: &[String]) -> Child {
        let child = Command::new("redis-server").args(args).stdout(Stdio::null()).spawn();
        child.expect("redis-server: apt-get install redis-server")
    }
    /// At once, as a crash does.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
    /// Empty: it keeps nothing on disk.
    fn restart(&mut self) {
        self.child = Self::spawn(&self.args);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

async fn is(rates: &SharedRates, degraded: bool) {
    for _ in 0..3_000 {
        if rates.status().degraded == degraded {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", rates.status());
}

async fn member(redis: &Redis, node: &Node, name: &str, leased: bool) -> (RpcClient, SharedRates) {
    ruled_member(redis, node, name, leased, 40, "").await
}

/// At most `rate` calls a second of the node, and by these rules.
async fn ruled_member(
    redis: &Redis,
    node: &Node,
    name: &str,
    leased: bool,
    rate: u64,
    rules: &str,
) -> (RpcClient, SharedRates) {
    let settings = Settings::new(Target::Standalone(redis.url.clone()), "provider", name);
    let (budgets, worker) = SharedBudgets::new(settings).unwrap();
    tokio::spawn(worker.run());
    let rates = SharedRates::new(budgets, leased);
    is(&rates, false).await;
    let mut settings = once(node.url.clone());
    settings.endpoints[0].limiter =
        limiter::Settings { rate_per_second: rate, burst: rate / 2, ..limiter::Settings::default() };
    settings.shared = Some(rates.clone());
    let rules = RuleSet::from_toml(rules).unwrap();
    settings.rules = Some(RuleGate::new(RuleSet::default(), Rules::new(rules)));
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

/// In every window at most `burst + rate * W` arrived; an arrival is seen up to `late` after the decision.
fn assert_never_over(times: &[Instant], rate: f64, burst: f64) {
    let late = 0.05;
    for (i, start) in times.iter().enumerate() {
        for (n, end) in times.iter().enumerate().skip(i) {
            let window = end.duration_since(*start).as_secs_f64() + late;
            assert!((n - i + 1) as f64 <= burst + rate * window, "{} within {window} s", n - i + 1);
        }
    }
}

/// A quota of 100 a second at weight 0.4, in two relayers, Redis killed and back in mid-run.
async fn two_relayers_have_one_quota(shared: &str, leased: bool) {
    let (mut redis, node) = (Redis::start().await, Node::start(|_, body| ok(&echo(&body))).await);
    let rules = format!(
        "quota = [{{ id = 'plan', on = {{ method = 'block' }}, base = 100, burst = 50, shared = '{shared}' }}]\n\
         weight = [{{ id = 'heavy', method = 'block', weight = 0.4 }}]"
    );
    let (a, rates) = ruled_member(&redis, &node, "a", leased, 2_000, &rules).await;
    let (b, _) = ruled_member(&redis, &node, "b", leased, 2_000, &rules).await;
    let end = Instant::now() + Duration::from_secs(6);
    let (done, other) = (AtomicU32::new(0), AtomicU32::new(0));
    let blocks = async |rpc: &RpcClient, name: &str| {
        let mut n = 0;
        while Instant::now() < end {
            n += 1;
            rpc.call("block", json!({ "of": name, "n": n })).await.unwrap();
            done.fetch_add(1, Relaxed);
        }
    };
    // What no quota names goes on meanwhile.
    let others = async {
        let mut n = 0;
        while Instant::now() < end {
            n += 1;
            a.call("status", json!({ "n": n })).await.unwrap();
            other.fetch_add(1, Relaxed);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let outage = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        redis.kill();
        is(&rates, true).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        redis.restart();
        is(&rates, false).await;
    };
    tokio::join!(blocks(&a, "a"), blocks(&a, "a2"), blocks(&b, "b"), blocks(&b, "b2"), others, outage);
    let seen = node.seen();
    let times: Vec<_> = seen.iter().filter(|seen| seen.body["method"] == "block").map(|seen| seen.at).collect();
    let of = |name: &str| seen.iter().filter(|seen| seen.body["params"]["of"] == *name).count();
    println!("{} blocks, {} others; a {}, b {}", times.len(), other.load(Relaxed), of("a"), of("b"));
    assert_never_over(&times, 40.0, 20.0);
    // Two alone would have twice as many; the outage costs a burst.
    assert!(times.len() >= 120, "{} in 6 s at 40/s", times.len());
    assert!(of("a") >= 20 && of("b") >= 20, "{} and {}", of("a"), of("b"));
    assert!(other.load(Relaxed) >= 150, "{} others in 6 s", other.load(Relaxed));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relayers_have_one_quota_call_by_call() {
    two_relayers_have_one_quota("strong", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relayers_have_one_quota_in_leased_blocks() {
    two_relayers_have_one_quota("leased", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_decided_call_by_call_goes_with_a_leased_rate() {
    two_relayers_have_one_quota("strong", true).await;
}
