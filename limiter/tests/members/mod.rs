//! Members of a group, as the tests of shared budgets run them, and the law that they keep together.
#![allow(dead_code)] // each test file uses its part
#![allow(clippy::expect_used, clippy::panic)] // test code outside of #[test]

use std::time::{Duration, Instant};

use limiter::store::{Budget, By, Charge, Leased, Settings, SharedBudgets, Status, Target, Verdict};
use tokio::task::JoinHandle;

use super::servers;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// One process' handle and its worker.
pub(crate) struct Member {
    pub(crate) budgets: SharedBudgets,
    pub(crate) worker: JoinHandle<()>,
}

impl Member {
    pub(crate) async fn of(target: Target, name: &str) -> Self {
        Self::with(Settings::new(target, "test", name)).await
    }
    pub(crate) async fn with(settings: Settings) -> Self {
        let (budgets, worker) = SharedBudgets::new(settings).expect("good settings");
        let worker = tokio::spawn(worker.run());
        let member = Self { budgets, worker };
        member.connected().await;
        member
    }
    pub(crate) async fn connected(&self) {
        servers::eventually("the store is used", || !self.status().degraded).await;
    }
    pub(crate) async fn degraded(&self) {
        servers::eventually("the store is missed", || self.status().degraded).await;
    }
    pub(crate) fn status(&self) -> Status {
        self.budgets.status()
    }
    pub(crate) async fn stop(self) {
        drop(self.budgets);
        self.worker.await.expect("the worker ends");
    }
}

pub(crate) fn standalone(server: &servers::Server) -> Target {
    Target::Standalone(server.url())
}

/// Asks at every instant it is told to, until `end`; returns the instants of admissions.
pub(crate) async fn saturate(budgets: SharedBudgets, levels: Vec<Budget>, end: Instant) -> Vec<(Instant, By)> {
    let mut admitted = Vec::new();
    while Instant::now() < end {
        let charges: Vec<_> = levels.iter().map(|budget| Charge { budget, n: 1 }).collect();
        match budgets.acquire(&charges).await {
            Verdict::Now(pass) => {
                admitted.push((Instant::now(), pass.by()));
                pass.sent();
            }
            Verdict::Wait(refusal) => tokio::time::sleep(refusal.after.min(Duration::from_millis(20))).await,
            Verdict::Never(why) => panic!("{why}"),
        }
    }
    admitted
}

pub(crate) async fn saturate_leased(leased: Leased, end: Instant) -> Vec<(Instant, By)> {
    let mut admitted = Vec::new();
    while Instant::now() < end {
        match leased.acquire(1).await {
            Verdict::Now(pass) => {
                admitted.push((Instant::now(), pass.by()));
                pass.sent();
                tokio::task::yield_now().await;
            }
            Verdict::Wait(refusal) => tokio::time::sleep(refusal.after.min(Duration::from_millis(20))).await,
            Verdict::Never(why) => panic!("{why}"),
        }
    }
    admitted
}

/// Runs a scenario until all members lost the store as often as it arranged. On a busy machine one of them may miss an answer by itself and
/// add its share to what the other gets: that seam is no part of the law.
pub(crate) async fn as_arranged<T>(arranged: u64, mut scenario: impl AsyncFnMut() -> (T, Vec<u64>)) -> T {
    for _ in 0..5 {
        let (outcome, losses) = scenario().await;
        if losses.iter().all(|n| *n == arranged) {
            return outcome;
        }
        println!("lost {losses:?} times instead of {arranged}: once more");
    }
    panic!("this machine is too busy: a member lost the store by itself, five times");
}

/// In every window: at most burst + rate * W. An admission is dated when its task runs again, up to `late` after the decision,
/// which makes windows look shorter than they were: they are widened by as much.
pub(crate) fn assert_never_over(mut times: Vec<Instant>, rate: f64, burst: f64, late: Duration) {
    times.sort();
    let mut worst = 0.0f64;
    for (i, start) in times.iter().enumerate() {
        for (n, end) in times.iter().enumerate().skip(i) {
            let window = end.duration_since(*start) + late;
            worst = worst.max((n - i + 1) as f64 - burst - rate * window.as_secs_f64());
        }
    }
    assert!(worst <= 1e-6, "{worst} too many in some window of {} admissions", times.len());
}

/// Every decision took well under this to be noticed; see [`assert_never_over`].
pub(crate) const LATE: Duration = Duration::from_millis(50);

pub(crate) fn instants(admitted: &[(Instant, By)]) -> Vec<Instant> {
    admitted.iter().map(|(at, _)| *at).collect()
}
