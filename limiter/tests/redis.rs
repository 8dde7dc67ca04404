//! Budgets shared over a real redis-server.
#![allow(clippy::expect_used, clippy::panic)] // helpers of tests

mod members;
mod servers;
mod stalling;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use limiter::store::hlc::Stamp;
use limiter::store::{Budget, By, Charge, Leased, Settings, SharedBudgets, Target, Verdict, Write};
use tokio::task::JoinSet;

use self::members::{
    LATE, Member, SECOND, as_arranged, assert_never_over, instants, saturate, saturate_leased, standalone,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strong_mode_of_eight_tasks_in_each_of_two_members_never_over_admits() {
    let server = servers::redis(&[]);
    let (a, b) = (Member::of(standalone(&server), "a").await, Member::of(standalone(&server), "b").await);
    let global = Budget::strong("global", 700, SECOND, 40).expect("good");
    let chain = Budget::strong("chain", 300, SECOND, 20).expect("good");
    let (start, end) = (Instant::now(), Instant::now() + Duration::from_millis(1_500));
    let mut tasks = JoinSet::new();
    for i in 0..16 {
        let member = if i % 2 == 0 { &a } else { &b };
        let levels = if i < 8 { vec![global.clone(), chain.clone()] } else { vec![global.clone()] };
        let budgets = member.budgets.clone();
        tasks.spawn(async move { (i, saturate(budgets, levels, end).await) });
    }
    let (mut all, mut on_chain) = (Vec::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (i, admitted) = done.expect("a task");
        if i < 8 {
            on_chain.extend(instants(&admitted));
        }
        all.extend(instants(&admitted));
    }
    let seconds = start.elapsed().as_secs_f64();
    assert!(all.len() as f64 >= 700.0 * 1.5 * 0.5, "{} admitted in {seconds} s is far too few", all.len());
    assert_never_over(all, 700.0, 40.0, LATE);
    assert_never_over(on_chain, 300.0, 20.0, LATE);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_level_that_refuses_takes_nothing_from_the_others_and_a_refund_restores_all() {
    let server = servers::redis(&[]);
    let member = Member::of(standalone(&server), "a").await;
    // Filled by a day's rate: nothing drips in during the test but the burst of an old store.
    let wide = Budget::strong("wide", 1_000_000, SECOND, 5).expect("good");
    let slow = Budget::strong("slow", 1, Duration::from_secs(3_600), 2).expect("good");
    // A new store gives no burst: it can't know what was spent. This one is old.
    server.cli(&["set", "{test}:epoch", "1"]);
    let both = [Charge { budget: &wide, n: 1 }, Charge { budget: &slow, n: 1 }];
    let Verdict::Now(first) = member.budgets.acquire(&both).await else { panic!("refused") };
    let Verdict::Now(second) = member.budgets.acquire(&both).await else { panic!("refused") };
    let Verdict::Wait(refusal) = member.budgets.acquire(&both).await else { panic!("admitted") };
    assert_eq!((&*refusal.key, refusal.by), ("slow", By::Store));
    assert!(refusal.after > Duration::from_secs(3_500), "{refusal:?}");
    let Verdict::Wait(known) = member.budgets.acquire(&both).await else { panic!("admitted") };
    assert_eq!(known.by, By::Known);
    second.sent();
    member.budgets.refund(first);
    let mut tries = 0;
    while let Verdict::Wait(_) = member.budgets.acquire(&both).await {
        tries += 1;
        assert!(tries < 300, "the refund did not arrive");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let Verdict::Never(_) = member.budgets.acquire(&[Charge { budget: &slow, n: 3 }]).await else { panic!("3 of 2") };
    assert_eq!(member.status().losses, 0);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fractions_of_a_microsecond_are_not_lost() {
    let server = servers::redis(&[]);
    let member = Member::of(standalone(&server), "a").await;
    server.cli(&["set", "{test}:epoch", "1"]);
    // 7 tokens an hour: a token takes 514,285,714.29 us. Seven taken: full again in exactly an hour.
    let budget = Budget::strong("seven", 7, Duration::from_secs(3_600), 7).expect("good");
    for _ in 0..7 {
        let Verdict::Now(pass) = member.budgets.acquire(&[Charge { budget: &budget, n: 1 }]).await else {
            panic!("refused")
        };
        pass.sent();
    }
    let raw = server.cli(&[
        "--no-raw",
        "eval",
        "return {struct.unpack('>dddddd', redis.call('get', KEYS[1]))}",
        "1",
        "{test}:b:seven",
    ]);
    let numbers: Vec<i64> =
        raw.lines().filter_map(|line| line.split("(integer) ").nth(1)?.trim().parse().ok()).collect();
    let [tat, rem, tokens, taken, ..] = numbers[..] else { panic!("{raw}") };
    let born = numbers[5];
    assert_eq!((tat - born, rem, tokens, taken), (3_600_000_000, 0, 7, 7), "{raw}");
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_never_over_admit_and_call_the_store_once_in_fifty_decisions() {
    let server = servers::redis(&[]);
    let (a, b) = (Member::of(standalone(&server), "a").await, Member::of(standalone(&server), "b").await);
    servers::eventually("each sees both", || a.status().members == 2 && b.status().members == 2).await;
    let budget = Budget::leased("reads", 20_000, SECOND, 4_000).expect("good");
    let calls_before = a.status().calls + b.status().calls;
    let end = Instant::now() + Duration::from_millis(800);
    let mut tasks = JoinSet::new();
    for member in [&a, &b] {
        for _ in 0..4 {
            tasks.spawn(saturate_leased(member.budgets.leased(&[&budget]), end));
        }
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done.expect("a task"));
    }
    let calls = a.status().calls + b.status().calls - calls_before;
    println!("{} decisions, {calls} calls", all.len());
    let leased = all.iter().filter(|(_, by)| *by == By::Lease).count();
    assert!(leased * 10 >= all.len() * 9, "{leased} of {} leased: the store was missed", all.len());
    assert!(all.len() > 5_000, "{} admitted is far too few", all.len());
    assert!(calls as usize * 50 <= all.len(), "{calls} calls for {} decisions", all.len());
    // Every hundredth stands for a hundred: the law over 100-token steps.
    let mut times = instants(&all);
    times.sort();
    let steps: Vec<_> = times.iter().copied().step_by(100).collect();
    assert_never_over(steps, 200.0, 41.0, LATE);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_a_lease_goes_back() {
    let server = servers::redis(&[]);
    let member = Member::of(standalone(&server), "a").await;
    server.cli(&["set", "{test}:epoch", "1"]);
    // 1000 in an hour, room for 999 with leases of a second.
    let budget = Budget::leased("reads", 1_000, Duration::from_secs(3_600), 1_000).expect("good");
    let leased = member.budgets.leased(&[&budget]);
    let Verdict::Now(pass) = leased.acquire(3).await else { panic!("refused") };
    pass.sent();
    drop(leased);
    member.stop().await;
    let other = Member::of(standalone(&server), "b").await;
    let rest = |n| [Charge { budget: &budget, n }];
    let Verdict::Wait(_) = other.budgets.acquire(&rest(997)).await else { panic!("997 and 3 of 999") };
    let other = (other.stop().await, Member::of(standalone(&server), "c").await).1;
    let Verdict::Now(pass) = other.budgets.acquire(&rest(996)).await else { panic!("47 of 50 did not come back") };
    pass.sent();
    other.stop().await;
}

/// Two members, one budget of 500 a second; the store is killed after 0.7 s and back, empty, 0.7 s later.
async fn killed_in_mid_run() -> ((Vec<(Instant, By)>, Instant), Vec<u64>) {
    let mut server = servers::redis(&[]);
    let (a, b) = (Member::of(standalone(&server), "a").await, Member::of(standalone(&server), "b").await);
    servers::eventually("each sees both", || a.status().members == 2 && b.status().members == 2).await;
    let budget = Budget::strong("calls", 500, SECOND, 50).expect("good");
    let end = Instant::now() + Duration::from_millis(3_000);
    let mut tasks = JoinSet::new();
    for member in [&a, &b] {
        for _ in 0..4 {
            tasks.spawn(saturate(member.budgets.clone(), vec![budget.clone()], end));
        }
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let killed = Instant::now();
    server.kill();
    a.degraded().await;
    b.degraded().await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    server.restart(); // empty: no persistence
    a.connected().await;
    b.connected().await;
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done.expect("a task"));
    }
    let losses = vec![a.status().losses, b.status().losses];
    a.stop().await;
    b.stop().await;
    ((all, killed), losses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_killed_in_mid_run_is_replaced_by_the_share_and_comes_back_without_over_admission() {
    let (all, killed) = as_arranged(1, killed_in_mid_run).await;
    let first_local = all.iter().filter(|(at, by)| *by == By::Share && *at > killed).map(|(at, _)| *at).min();
    println!("first local decision {:?} after the kill; {} admitted", first_local.map(|at| at - killed), all.len());
    assert!(first_local.is_some());
    let after_return =
        all.iter().filter(|(at, by)| *by == By::Store && *at > killed + Duration::from_millis(700)).count();
    assert!(after_return > 100, "{after_return} decisions by the store after its return");
    assert_never_over(instants(&all), 500.0, 50.0, LATE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_stops_answering_delays_one_decision_and_no_more() {
    let server = servers::redis(&[]);
    let member = Member::of(standalone(&server), "a").await;
    let budget = Budget::strong("calls", 10_000, SECOND, 100).expect("good");
    let charge = [Charge { budget: &budget, n: 1 }];
    server.signal("STOP");
    let started = Instant::now();
    let by = loop {
        match member.budgets.acquire(&charge).await {
            Verdict::Now(pass) => {
                let by = pass.by();
                pass.sent();
                break by;
            }
            Verdict::Wait(refusal) => tokio::time::sleep(refusal.after).await,
            Verdict::Never(why) => panic!("{why}"),
        }
    };
    println!("fell back after {:?}", started.elapsed());
    assert_eq!(by, By::Share);
    let status = member.status();
    assert!(status.degraded && status.reason.is_some() && status.losses == 1, "{status:?}");
    // From now on nobody waits for it: these take no timeout each.
    for _ in 0..50 {
        match member.budgets.acquire(&charge).await {
            Verdict::Now(pass) => {
                assert_eq!(pass.by(), By::Share);
                pass.sent();
            }
            Verdict::Wait(refusal) => assert_eq!(refusal.by, By::Share),
            Verdict::Never(why) => panic!("{why}"),
        }
    }
    server.signal("CONT");
    member.connected().await;
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_alone_is_slow_does_not_empty_the_others_buckets_again_and_again() {
    let server = servers::redis(&[]);
    let a = Member::of(standalone(&server), "a").await;
    let (target, stalled, _pipes) = stalling::way_to(&server.url()).await;
    let target = Target::Standalone(target);
    let b = Member::of(target, "b").await;
    servers::eventually("each sees both", || a.status().members == 2 && b.status().members == 2).await;
    let budget = Budget::strong("calls", 100, SECOND, 50).expect("good");
    let mut tasks = JoinSet::new();
    // The slow one: 150 of 300 ms without an answer, with some calls of its own.
    tasks.spawn(async move {
        loop {
            stalled.store(true, Relaxed);
            tokio::time::sleep(Duration::from_millis(150)).await;
            stalled.store(false, Relaxed);
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    });
    let (slow, share) = (b.budgets.clone(), budget.clone());
    tasks.spawn(async move {
        loop {
            if let Verdict::Now(pass) = slow.acquire(&[Charge { budget: &share, n: 1 }]).await {
                pass.sent();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    // The other one's batches need most of a burst, which takes longer to gather than from one loss to the next.
    let end = Instant::now() + Duration::from_secs(12);
    let mut batches = 0;
    while Instant::now() < end {
        match a.budgets.acquire(&[Charge { budget: &budget, n: 45 }]).await {
            Verdict::Now(pass) => {
                batches += 1;
                pass.sent();
            }
            Verdict::Wait(refusal) => tokio::time::sleep(refusal.after.min(Duration::from_millis(20))).await,
            Verdict::Never(why) => panic!("{why}"),
        }
    }
    println!("{batches} batches, {} losses", b.status().losses);
    assert!(b.status().losses >= 3, "{:?}", b.status());
    assert!(batches >= 10, "{batches} of about 20 batches in 12 s, with {} losses", b.status().losses);
    tasks.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wiped_scripts_are_sent_again_and_nobody_notices() {
    let server = servers::redis(&[]);
    let member = Member::of(standalone(&server), "a").await;
    server.cli(&["set", "{test}:epoch", "1"]);
    let budget = Budget::strong("calls", 100, SECOND, 100).expect("good");
    for _ in 0..5 {
        let Verdict::Now(pass) = member.budgets.acquire(&[Charge { budget: &budget, n: 1 }]).await else {
            panic!("refused")
        };
        assert_eq!(pass.by(), By::Store);
        pass.sent();
        assert!(server.cli(&["script", "flush"]).starts_with("OK"));
    }
    assert_eq!(member.status().losses, 0);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wiped_data_gives_nobody_a_second_burst() {
    let server = servers::redis(&[]);
    let member = Member::of(standalone(&server), "a").await;
    server.cli(&["set", "{test}:epoch", "1"]);
    let budget = Budget::strong("calls", 1, Duration::from_secs(60), 10).expect("good");
    let Verdict::Now(pass) = member.budgets.acquire(&[Charge { budget: &budget, n: 10 }]).await else {
        panic!("refused")
    };
    pass.sent();
    assert!(server.cli(&["flushall"]).starts_with("OK"));
    let Verdict::Wait(refusal) = member.budgets.acquire(&[Charge { budget: &budget, n: 1 }]).await else {
        panic!("twice")
    };
    assert!(refusal.after > Duration::from_secs(59), "{refusal:?}");
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_leave_or_die_are_not_counted() {
    let server = servers::redis(&[]);
    let (a, b) = (Member::of(standalone(&server), "a").await, Member::of(standalone(&server), "b").await);
    servers::eventually("two", || a.status().members == 2).await;
    b.stop().await;
    servers::eventually("one left", || a.status().members == 1).await;
    let c = Member::of(standalone(&server), "c").await;
    servers::eventually("two again", || a.status().members == 2).await;
    c.worker.abort(); // dies without a word
    servers::eventually("its heartbeat ran out", || a.status().members == 1).await;
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_stamp_never_replaces_a_newer_one() {
    let server = servers::redis(&[]);
    let member = Member::of(standalone(&server), "a").await;
    let write = async |stamp: Stamp, value: &str| {
        member.budgets.write("rules", &stamp, value.as_bytes()).await.expect("an answer")
    };
    assert_eq!(write(Stamp::new(1_700_000_000_000, 2, "a"), "first").await, Write::Written);
    assert_eq!(write(Stamp::new(1_700_000_000_000, 1, "b"), "older").await, Write::Older);
    assert_eq!(write(Stamp::new(1_700_000_000_000, 2, "a"), "equal").await, Write::Older);
    assert_eq!(write(Stamp::new(1_700_000_000_000, 2, "b"), "by name").await, Write::Written);
    assert_eq!(write(Stamp::new(1_700_000_000_001, 0, "a"), "newest").await, Write::Written);
    assert_eq!(write(Stamp::new(999, 9, "z"), "older").await, Write::Older);
    assert!(server.cli(&["hget", "{test}:value:rules", "value"]).starts_with("newest"));
    member.stop().await;
}

#[tokio::test]
async fn without_a_store_decisions_are_local_from_the_start() {
    let port = servers::free_port();
    let settings = Settings::new(Target::Standalone(format!("redis://127.0.0.1:{port}")), "test", "a");
    let (budgets, worker) = SharedBudgets::new(settings).expect("good settings");
    let worker = tokio::spawn(worker.run());
    let budget = Budget::strong("calls", 1_000, SECOND, 100).expect("good");
    let admitted = saturate(budgets.clone(), vec![budget], Instant::now() + Duration::from_millis(300)).await;
    assert!(!admitted.is_empty() && admitted.iter().all(|(_, by)| *by == By::Share));
    assert!(admitted.len() <= 200, "half of 1,000/s: {}", admitted.len());
    assert!(budgets.status().reason.is_some());
    drop(budgets);
    worker.await.expect("ends");
}

#[test]
fn addresses_of_which_only_some_are_tls_are_refused() {
    let addresses = vec!["rediss://127.0.0.1:1".into(), "redis://127.0.0.1:2".into()];
    for target in [
        Target::Cluster(addresses.clone()),
        Target::Sentinel { addresses: addresses.clone(), service: "budgets".into(), login: None },
    ] {
        let error = SharedBudgets::new(Settings::new(target, "test", "a")).map(|_| ()).expect_err("refused");
        assert!(error.to_string().contains("rediss://"), "{error}");
    }
    let target = Target::Standalone("rediss://127.0.0.1:1".into());
    assert!(SharedBudgets::new(Settings::new(target, "test", "a")).is_ok());
}

#[test]
fn a_bad_address_is_refused_without_its_password() {
    let target = Target::Standalone("http://user:secret@127.0.0.1".into());
    let error = SharedBudgets::new(Settings::new(target.clone(), "d", "m")).err().expect("refused").to_string();
    assert!(error.contains("redis://") && !error.contains("secret"), "{error}");
    assert!(!format!("{target:?}").contains("secret"));
    assert!(SharedBudgets::new(Settings::new(Target::Cluster(vec![]), "d", "m")).is_err());
    assert!(SharedBudgets::new(Settings::new(Target::Standalone("redis://h".into()), "d}", "m")).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_three_decides_in_one_slot_a_domain_and_survives_the_loss_of_a_node() {
    let mut nodes = servers::redis_cluster();
    let target = Target::Cluster(nodes.iter().map(servers::Server::url).collect());
    let (a, b) = (Member::of(target.clone(), "a").await, Member::of(target, "b").await);
    let levels: Vec<_> = ["global", "endpoint:e1", "chain:hub", "channel:0", "method:abci_query"]
        .iter()
        .map(|key| Budget::strong(key, 400, SECOND, 40).expect("good"))
        .collect();
    let end = Instant::now() + Duration::from_millis(800);
    let mut tasks = JoinSet::new();
    for member in [&a, &b] {
        for _ in 0..2 {
            tasks.spawn(saturate(member.budgets.clone(), levels.clone(), end));
        }
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done.expect("a task"));
    }
    assert!(all.iter().filter(|(_, by)| *by == By::Store).count() > 100, "{}", all.len());
    assert_never_over(instants(&all), 400.0, 40.0, LATE);
    // The node that holds our slot dies: there is no replica, so the share decides until it is back.
    let slot: u32 = nodes[0].cli(&["cluster", "keyslot", "{test}:epoch"]).trim().parse().expect("a slot");
    let owner = nodes
        .iter()
        .position(|node| {
            node.cli(&["cluster", "nodes"]).lines().any(|line| {
                line.contains("myself")
                    && line.split_whitespace().skip(8).any(|range| {
                        let (from, to) = range.split_once('-').unwrap_or((range, range));
                        (from.parse::<u32>().unwrap_or(u32::MAX)..=to.parse::<u32>().unwrap_or(0)).contains(&slot)
                    })
            })
        })
        .expect("an owner");
    nodes[owner].kill();
    a.degraded().await;
    nodes[owner].restart();
    a.connected().await;
    b.connected().await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_s_failover_is_followed() {
    let mut master = servers::redis(&[]);
    let replica = servers::redis(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    servers::until("the replica follows", || replica.cli(&["info", "replication"]).contains("master_link_status:up"));
    let sentinel = servers::sentinel(master.port);
    servers::until("the Sentinel knows the replica", || {
        sentinel.cli(&["sentinel", "replicas", "budgets"]).contains(&replica.port.to_string())
    });
    let target = Target::Sentinel { addresses: vec![sentinel.url()], service: "budgets".into(), login: None };
    let member = Member::of(target, "a").await;
    let budget = Budget::strong("calls", 1, Duration::from_secs(600), 10).expect("good");
    let charge = |n| [Charge { budget: &budget, n }];
    master.cli(&["set", "{test}:epoch", "1"]);
    let Verdict::Now(pass) = member.budgets.acquire(&charge(10)).await else { panic!("refused") };
    pass.sent();
    servers::until("the replica has it", || replica.cli(&["exists", "{test}:b:calls"]).contains('1'));
    master.kill();
    member.degraded().await;
    servers::until("the replica is promoted", || replica.cli(&["role"]).starts_with("master"));
    member.connected().await;
    // The new master remembers what was spent.
    let Verdict::Wait(refusal) = member.budgets.acquire(&charge(1)).await else { panic!("a second burst") };
    assert_eq!(refusal.by, By::Store);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_a_sentinel_names_may_want_a_login() {
    let master = servers::redis(&[]);
    let sentinel = servers::sentinel(master.port);
    assert!(sentinel.cli(&["sentinel", "set", "budgets", "auth-pass", "s3cret"]).starts_with("OK"));
    assert!(master.cli(&["config", "set", "requirepass", "s3cret"]).starts_with("OK"));
    let target = |login| Target::Sentinel { addresses: vec![sentinel.url()], service: "budgets".into(), login };
    for user in ["", "default"] {
        let member = Member::of(target(Some((user.into(), "s3cret".into()))), "a").await;
        member.stop().await;
    }
    let (budgets, worker) = SharedBudgets::new(Settings::new(target(None), "test", "b")).expect("good settings");
    let _worker = tokio::spawn(worker.run());
    let told = || budgets.status().reason.is_some_and(|why| why.to_lowercase().contains("auth"));
    servers::eventually("the refused login is told", told).await;
    assert!(budgets.status().degraded);
}

#[test]
fn handles_travel_between_tasks() {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<SharedBudgets>>();
    shared::<Leased>();
}
