//! Budgets that redis-cell counts, over a real redis-server with the real module.
#![allow(clippy::expect_used, clippy::panic)] // helpers of tests

mod members;
mod servers;

use std::time::{Duration, Instant};

use limiter::store::{Budget, By, Charge, Engine, Settings, Target, Verdict};
use tokio::task::JoinSet;

use self::members::{
    LATE, Member, SECOND, as_arranged, assert_never_over, instants, saturate, saturate_leased, standalone,
};
use self::servers::{REDIS_ARGS, Server};

/// A server with the module.
fn server() -> Server {
    servers::redis(&["--loadmodule", &servers::redis_cell(), "--enable-module-command", "local"])
}

fn may_use_it(target: Target, name: &str) -> Settings {
    Settings { redis_cell: true, ..Settings::new(target, "test", name) }
}

async fn member(server: &Server, name: &str) -> Member {
    Member::with(may_use_it(standalone(server), name)).await
}

async fn two(server: &Server) -> (Member, Member) {
    let (a, b) = (member(server, "a").await, member(server, "b").await);
    servers::eventually("each sees both", || a.status().members == 2 && b.status().members == 2).await;
    (a, b)
}

async fn all_of<T: 'static>(mut tasks: JoinSet<Vec<T>>) -> Vec<T> {
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done.expect("a task"));
    }
    all
}

fn engine_of(server: &Server) -> String {
    server.cli(&["get", "{test}:engine"]).trim().to_owned()
}

/// Admissions of all, and of the tasks that want both levels.
type OfBoth = (Vec<(Instant, By)>, Vec<(Instant, By)>);

async fn two_members_with_two_levels() -> (OfBoth, Vec<u64>) {
    let server = server();
    let (a, b) = two(&server).await;
    assert_eq!((a.status().engine, b.status().engine), (Engine::Cell, Engine::Cell));
    let global = Budget::strong("global", 700, SECOND, 40).expect("good");
    let chain = Budget::strong("chain", 300, SECOND, 20).expect("good");
    let end = Instant::now() + Duration::from_millis(1_500);
    let (mut rest, mut on_chain) = (JoinSet::new(), JoinSet::new());
    for i in 0..16 {
        let budgets = if i % 2 == 0 { &a } else { &b }.budgets.clone();
        if i < 8 {
            on_chain.spawn(saturate(budgets, vec![global.clone(), chain.clone()], end));
        } else {
            rest.spawn(saturate(budgets, vec![global.clone()], end));
        }
    }
    tokio::time::sleep_until((end - Duration::from_millis(500)).into()).await;
    // redis-cell counts, and nothing else does.
    assert_eq!(server.cli(&["keys", "{test}:b:*"]).trim(), "");
    assert_eq!(server.cli(&["exists", "{test}:cell:global", "{test}:cell:chain"]).trim(), "2");
    let (on_chain, mut all) = (all_of(on_chain).await, all_of(rest).await);
    all.extend(on_chain.iter().copied());
    let losses = vec![a.status().losses, b.status().losses];
    a.stop().await;
    b.stop().await;
    ((all, on_chain), losses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_share_a_budget_of_several_levels() {
    let (all, on_chain) = as_arranged(0, two_members_with_two_levels).await;
    assert!(all.iter().all(|(_, by)| *by == By::Store), "the store was missed");
    assert!(all.len() as f64 >= 700.0 * 1.5 * 0.5, "{} admitted is far too few", all.len());
    assert_never_over(instants(&all), 700.0, 40.0, LATE);
    assert_never_over(instants(&on_chain), 300.0, 20.0, LATE);
}

async fn two_members_of_either_kind() -> (Vec<(Instant, By)>, Vec<u64>) {
    let server = server();
    let (a, b) = two(&server).await;
    let budget = Budget::leased("reads", 2_000, SECOND, 400).expect("good");
    let end = Instant::now() + Duration::from_millis(1_500);
    let mut tasks = JoinSet::new();
    for member in [&a, &b] {
        tasks.spawn(saturate_leased(member.budgets.leased(&[&budget]), end));
        tasks.spawn(saturate(member.budgets.clone(), vec![budget.clone()], end));
    }
    let all = all_of(tasks).await;
    let losses = vec![a.status().losses, b.status().losses];
    a.stop().await;
    b.stop().await;
    (all, losses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_and_single_decisions_count_together() {
    let all = as_arranged(0, two_members_of_either_kind).await;
    let of = |who| all.iter().filter(|(_, by)| *by == who).count();
    println!("{} of leases, {} singly", of(By::Lease), of(By::Store));
    assert!(of(By::Lease) > 100 && of(By::Store) > 100, "{} and {}", of(By::Lease), of(By::Store));
    assert!(all.len() > 1_500, "{} admitted is far too few", all.len());
    assert_never_over(instants(&all), 2_000.0, 400.0, LATE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_level_that_refuses_takes_nothing_from_the_others_and_a_wait_is_exact() {
    let server = server();
    let member = member(&server, "a").await;
    server.cli(&["set", "{test}:epoch", "1"]);
    let hour = Duration::from_secs(3_600);
    let wide = Budget::strong("wide", 100, hour, 5).expect("good");
    let slow = Budget::strong("slow", 1, hour, 2).expect("good");
    let both = [Charge { budget: &wide, n: 1 }, Charge { budget: &slow, n: 1 }];
    for _ in 0..2 {
        let Verdict::Now(pass) = member.budgets.acquire(&both).await else { panic!("refused") };
        pass.sent();
    }
    let Verdict::Wait(refusal) = member.budgets.acquire(&both).await else { panic!("admitted") };
    assert_eq!((&*refusal.key, refusal.by), ("slow", By::Store));
    assert!(refusal.after > Duration::from_secs(3_590) && refusal.after <= hour, "{refusal:?}");
    let Verdict::Now(pass) = member.budgets.acquire(&[Charge { budget: &wide, n: 3 }]).await else {
        panic!("a refused decision took from the other level")
    };
    pass.sent();
    let Verdict::Wait(refusal) = member.budgets.acquire(&[Charge { budget: &wide, n: 1 }]).await else {
        panic!("6 of 5")
    };
    assert!(refusal.after > Duration::from_secs(30) && refusal.after <= Duration::from_secs(36), "{refusal:?}");
    member.stop().await;
}

/// Two members, one budget of 500 a second; the store is killed twice, and is back empty: first with the module, then without.
async fn killed_twice() -> ((Vec<(Instant, By)>, Vec<Instant>), Vec<u64>) {
    let mut server = server();
    let (a, b) = two(&server).await;
    let strong = Budget::strong("calls", 500, SECOND, 50).expect("good");
    let end = Instant::now() + Duration::from_millis(5_000);
    let mut tasks = JoinSet::new();
    for member in [&a, &b] {
        for _ in 0..4 {
            tasks.spawn(saturate(member.budgets.clone(), vec![strong.clone()], end));
        }
    }
    let mut seams = Vec::new();
    for with_module in [true, false] {
        tokio::time::sleep(Duration::from_millis(700)).await;
        server.kill();
        a.degraded().await;
        b.degraded().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        if with_module {
            server.restart(); // empty: no persistence
        } else {
            server.restart_with(REDIS_ARGS, &[]);
        }
        a.connected().await;
        b.connected().await;
        let engine = if with_module { Engine::Cell } else { Engine::Script };
        assert_eq!((a.status().engine, b.status().engine), (engine, engine));
        seams.push(Instant::now());
    }
    let all = all_of(tasks).await;
    let losses = vec![a.status().losses, b.status().losses];
    a.stop().await;
    b.stop().await;
    ((all, seams), losses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_killed_twice_and_back_without_the_module_never_over_admits() {
    let (all, seams) = as_arranged(2, killed_twice).await;
    let after = |seam: &Instant| all.iter().filter(|(at, by)| *by == By::Store && at > seam).count();
    println!(
        "{} admitted, by the store after its returns: {:?}",
        all.len(),
        seams.iter().map(after).collect::<Vec<_>>()
    );
    assert!(all.iter().any(|(_, by)| *by == By::Share));
    assert!(seams.iter().all(|seam| after(seam) > 100));
    assert_never_over(instants(&all), 500.0, 50.0, LATE);
}

/// What makes the members do without the module in mid-run: nobody is cut off, and the law holds over the change.
async fn the_script_takes_over(change: impl AsyncFn(&Server) -> Option<Member>) {
    let all = as_arranged(0, async || changed_in_mid_run(&change).await).await;
    assert!(all.len() > 500, "{} admitted is far too few", all.len());
    assert!(all.iter().all(|(_, by)| *by != By::Share), "somebody was cut off");
    assert_never_over(instants(&all), 500.0, 60.0, LATE);
}

async fn changed_in_mid_run(change: &impl AsyncFn(&Server) -> Option<Member>) -> (Vec<(Instant, By)>, Vec<u64>) {
    let server = server();
    let (a, b) = two(&server).await;
    assert_eq!(engine_of(&server), "cell");
    let budget = Budget::leased("calls", 500, SECOND, 60).expect("good");
    let end = Instant::now() + Duration::from_millis(2_500);
    let mut tasks = JoinSet::new();
    for member in [&a, &b] {
        tasks.spawn(saturate_leased(member.budgets.leased(&[&budget]), end));
        tasks.spawn(saturate(member.budgets.clone(), vec![budget.clone()], end));
    }
    tokio::time::sleep(Duration::from_millis(800)).await;
    let third = change(&server).await;
    if let Some(third) = &third {
        tasks.spawn(saturate(third.budgets.clone(), vec![budget.clone()], end));
    }
    servers::eventually("all go by the script", || {
        [&a, &b].into_iter().chain(&third).all(|member| member.status().engine == Engine::Script)
    })
    .await;
    assert_eq!(engine_of(&server), "script");
    let (all, mut losses) = (all_of(tasks).await, Vec::new());
    for member in [Some(a), Some(b), third].into_iter().flatten() {
        losses.push(member.status().losses);
        member.stop().await;
    }
    (all, losses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_may_not_use_it_joins_and_all_go_by_the_script() {
    the_script_takes_over(async |server| Some(Member::of(standalone(server), "c").await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_user_may_not_use_it_joins_and_all_go_by_the_script() {
    the_script_takes_over(async |server| {
        assert!(server.cli(&["acl", "setuser", "c", "on", ">s3cret", "~*", "+@all", "-cl.throttle"]).starts_with("OK"));
        let target = Target::Standalone(server.url().replace("redis://", "redis://c:s3cret@"));
        Some(Member::with(may_use_it(target, "c")).await)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_unloaded_in_mid_run_is_no_unlimited_path() {
    the_script_takes_over(async |server| {
        assert!(server.cli(&["module", "unload", "redis-cell"]).starts_with("OK"));
        None
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_all_have_left_chooses_anew_and_begins_empty() {
    let server = server();
    let budget = Budget::strong("calls", 1, Duration::from_secs(60), 10).expect("good");
    let charge = [Charge { budget: &budget, n: 1 }];
    let first = Member::of(standalone(&server), "a").await;
    server.cli(&["set", "{test}:epoch", "1"]);
    let second = member(&server, "b").await;
    assert_eq!(second.status().engine, Engine::Script);
    let Verdict::Now(pass) = second.budgets.acquire(&charge).await else { panic!("refused") };
    pass.sent();
    first.stop().await;
    servers::eventually("one", || second.status().members == 1).await;
    assert_eq!(second.status().engine, Engine::Script, "not while somebody is there");
    second.stop().await;
    let third = member(&server, "c").await;
    assert_eq!(third.status().engine, Engine::Cell);
    let Verdict::Wait(refusal) = third.budgets.acquire(&charge).await else { panic!("a second burst") };
    assert!(refusal.after > Duration::from_secs(50), "{refusal:?}");
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wiped_or_single_lost_keys_give_nobody_a_second_burst() {
    let server = server();
    let member = member(&server, "a").await;
    let budget = Budget::strong("calls", 1, Duration::from_secs(60), 10).expect("good");
    let charge = |n| [Charge { budget: &budget, n }];
    server.cli(&["set", "{test}:epoch", "1"]);
    let Verdict::Now(pass) = member.budgets.acquire(&charge(10)).await else { panic!("refused") };
    pass.sent();
    assert!(server.cli(&["flushall"]).starts_with("OK"));
    let Verdict::Wait(refusal) = member.budgets.acquire(&charge(1)).await else { panic!("twice") };
    assert!(refusal.after > Duration::from_secs(59), "{refusal:?}");
    // The members agree again on the one that they used.
    assert_eq!((engine_of(&server), member.status().engine), ("cell".to_owned(), Engine::Cell));
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_knows_what_was_spent() {
    let server = server();
    let replica = servers::redis(&["--replicaof", "127.0.0.1", &server.port.to_string()]);
    servers::until("the replica follows", || replica.cli(&["info", "replication"]).contains("master_link_status:up"));
    let member = member(&server, "a").await;
    server.cli(&["set", "{test}:epoch", "1"]);
    let budget = Budget::strong("calls", 1, Duration::from_secs(60), 10).expect("good");
    let Verdict::Now(pass) = member.budgets.acquire(&[Charge { budget: &budget, n: 4 }]).await else {
        panic!("refused")
    };
    pass.sent();
    let value = server.cli(&["get", "{test}:cell:calls"]);
    assert!(value.trim().parse::<u64>().is_ok(), "{value}");
    servers::until("the replica has it", || replica.cli(&["get", "{test}:cell:calls"]) == value);
    // Until the bucket is full, and a second: redis-cell's own would end with it, or a little before.
    let left: u64 = server.cli(&["pttl", "{test}:cell:calls"]).trim().parse().expect("milliseconds");
    assert!((239_000..=241_001).contains(&left), "{left} ms");
    member.stop().await;
}
