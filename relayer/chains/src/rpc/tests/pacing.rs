//! Throttles, retries, breakers, dropped callers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use limiter::Outcome;

use super::super::classify;
use super::super::limited::{Clock, Limited};
use super::*;

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}
fn throttled(retry_after: u64) -> RpcErrorKind {
    RpcErrorKind::Throttled { by: ThrottledBy::Status(429), retry_after: Some(second(retry_after)) }
}
async fn run(limited: &Limited, patience: Duration, result: Result<(), RpcErrorKind>) -> Result<Instant, RpcErrorKind> {
    let mut waited = Duration::ZERO;
    let call = limiter::Call::read(1);
    let request = async { result.map(|()| Instant::now()) };
    limited.run(call, Instant::now() + patience, &mut waited, request, classify::outcome).await
}

#[tokio::test(start_paused = true)]
async fn attack_43_no_call_leaves_inside_a_retry_after() {
    let limited = Limited::new(limiter::Settings::default(), Clock::start());
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(run(&limited, second(60), Err(throttled(7))).await, Err(throttled(7)));
    }
    assert_eq!(run(&limited, second(60), Ok(())).await.unwrap(), start + second(21));
}

#[tokio::test(start_paused = true)]
async fn a_wait_past_the_callers_patience_is_refused_at_once_with_the_time_to_come_back() {
    let limited = Limited::new(limiter::Settings::default(), Clock::start());
    assert!(run(&limited, second(1), Err(throttled(30))).await.is_err());
    let start = Instant::now();
    let refused = run(&limited, second(29), Ok(())).await.unwrap_err();
    let by = ThrottledBy::Ourselves { level: limiter::Level::HoldOff, limit_milli: 0 };
    assert_eq!(refused, RpcErrorKind::Throttled { by, retry_after: Some(second(30)) });
    assert_eq!(Instant::now(), start);
}

#[tokio::test(start_paused = true)]
async fn callers_leave_at_the_rate_and_in_their_order() {
    let settings = limiter::Settings { rate_per_second: 2, burst: 1, ..limiter::Settings::default() };
    let limited = Limited::new(settings, Clock::start());
    let start = Instant::now();
    let all = futures::future::join_all((0..5).map(|_| run(&limited, second(60), Ok(())))).await;
    let left: Vec<_> = all.into_iter().map(|at| (at.unwrap() - start).as_millis()).collect();
    assert_eq!(left, [0, 500, 1_000, 1_500, 2_000]);
}

#[tokio::test(start_paused = true)]
async fn an_urgent_caller_leaves_before_those_who_wait_already() {
    let settings = limiter::Settings { rate_per_second: 1, burst: 1, ..limiter::Settings::default() };
    let limited = Limited::new(settings, Clock::start());
    let start = Instant::now();
    assert!(run(&limited, second(60), Ok(())).await.is_ok());
    let normal = futures::future::join_all((0..3).map(|_| run(&limited, second(60), Ok(()))));
    let urgent = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let call = limiter::Call::read(1).urgent(limiter::Urgency::Client);
        let (mut waited, request) = (Duration::ZERO, async { Ok(Instant::now()) });
        limited.run(call, start + second(60), &mut waited, request, classify::outcome).await
    };
    let (normal, urgent) = tokio::join!(normal, urgent);
    assert_eq!(urgent.unwrap(), start + second(1));
    let left: Vec<_> = normal.into_iter().map(|at| (at.unwrap() - start).as_secs()).collect();
    assert_eq!(left, [2, 3, 4]);
}

async fn broadcast(limited: &Limited, outcome: Result<(), RpcErrorKind>) -> Result<Instant, RpcErrorKind> {
    let (mut waited, request) = (Duration::ZERO, async { outcome.map(|()| Instant::now()) });
    let call = limiter::Call::broadcast(1);
    limited.run(call, Instant::now() + second(60), &mut waited, request, classify::outcome).await
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_leaves_before_the_reads_that_wait() {
    let settings = limiter::Settings { rate_per_second: 1, burst: 1, ..limiter::Settings::default() };
    let limited = Limited::new(settings, Clock::start());
    let start = Instant::now();
    let reads = futures::future::join_all((0..3).map(|_| run(&limited, second(60), Ok(()))));
    let later = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        broadcast(&limited, Ok(())).await
    };
    let (reads, sent) = tokio::join!(reads, later);
    assert_eq!(sent.unwrap(), start + second(1));
    let left: Vec<_> = reads.into_iter().map(|at| (at.unwrap() - start).as_secs()).collect();
    assert_eq!(left, [0, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn broadcasts_that_a_full_mempool_holds_back_stand_in_no_read_s_way() {
    let settings = limiter::Settings { rate_per_second: 10, burst: 1, ..limiter::Settings::default() };
    let limited = Limited::new(settings, Clock::start());
    assert_eq!(broadcast(&limited, Err(RpcErrorKind::MempoolFull)).await, Err(RpcErrorKind::MempoolFull));
    let start = Instant::now();
    let sent = futures::future::join_all((0..2).map(|_| broadcast(&limited, Ok(()))));
    let reads = futures::future::join_all((0..3).map(|_| run(&limited, second(60), Ok(()))));
    let (sent, reads) = tokio::join!(sent, reads);
    let left: Vec<_> = reads.into_iter().map(|at| (at.unwrap() - start).as_millis()).collect();
    assert_eq!(left, [100, 200, 300]);
    assert!(sent.into_iter().all(|at| at.unwrap() >= start + second(1)));
}

#[tokio::test(start_paused = true)]
async fn a_place_behind_others_is_not_waited_for_past_the_callers_patience() {
    let settings = limiter::Settings { rate_per_second: 1, burst: 1, ..limiter::Settings::default() };
    let limited = Limited::new(settings, Clock::start());
    let start = Instant::now();
    let patient = futures::future::join_all((0..10).map(|_| run(&limited, second(60), Ok(()))));
    let hasty = async {
        let refused = run(&limited, second(2), Ok(())).await;
        (refused, Instant::now())
    };
    let (_, (refused, at)) = tokio::join!(patient, hasty);
    assert_eq!(refused.unwrap_err().class(), ErrorClass::Throttled);
    assert_eq!(at, start + second(2));
}

#[tokio::test]
async fn our_own_refusals_are_not_held_against_an_endpoint() {
    let node = Node::start(|_, _| status(500)).await;
    let other = Node::start(|_, body| ok(&echo(&body))).await;
    let rpc = client(RpcSettings { attempts: 1, ..settings([node.url.clone(), other.url.clone()]) });
    let broken = rpc.health()[0].id.clone();
    let only = rpc.with_route(Route::Only(broken));
    // Its breaker opens at five; the rest never leaves.
    for _ in 0..40 {
        assert!(only.call("status", json!({})).await.is_err());
    }
    assert_eq!(node.requests(), 5);
    assert_eq!(rpc.health()[0].quarantine, None);
}

#[tokio::test(start_paused = true)]
async fn callers_wait_for_the_outcome_of_a_probe_and_not_for_its_lease() {
    let limited = Limited::new(limiter::Settings::default(), Clock::start());
    for _ in 0..5 {
        let broken = Unavailable::Broken(relayer_core::error::Detail::new("reset"));
        let error = RpcErrorKind::Unavailable { why: broken, retry_after: None };
        assert!(run(&limited, second(1), Err(error)).await.is_err());
    }
    tokio::time::sleep(second(1)).await;
    let start = Instant::now();
    let mut waited = Duration::ZERO;
    let request = async {
        tokio::time::sleep(second(3)).await;
        Ok(())
    };
    let probe = limited.run(limiter::Call::read(1), start + second(60), &mut waited, request, classify::outcome);
    let (probe, next) = tokio::join!(probe, run(&limited, second(60), Ok(())));
    assert!(probe.is_ok());
    assert_eq!(next.unwrap(), start + second(3));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_future_frees_its_place_for_the_next() {
    let settings = limiter::Settings { in_flight: 1, ..limiter::Settings::default() };
    let limited = Limited::new(settings, Clock::start());
    let (mut a, mut b) = (Duration::ZERO, Duration::ZERO);
    let call = limiter::Call::read(1);
    let late = Instant::now() + second(60);
    let stuck = std::future::pending::<Result<(), RpcErrorKind>>;
    let mut running = Box::pin(limited.run(call, late, &mut a, stuck(), |_| Outcome::Answered));
    assert!(running.as_mut().now_or_never().is_none());
    assert_eq!(limited.limiter.snapshot(limited.clock.now()).in_flight, 1);
    // One waits at the front and goes away, too: the next one takes the line over.
    let mut front = Box::pin(limited.run(call, late, &mut b, stuck(), |_| Outcome::Answered));
    assert!(front.as_mut().now_or_never().is_none());
    let next = run(&limited, second(60), Ok(()));
    let mut next = Box::pin(next);
    assert!(next.as_mut().now_or_never().is_none());
    drop(front);
    assert!(next.as_mut().now_or_never().is_none());
    drop(running);
    assert!(next.now_or_never().unwrap().is_ok());
    assert_eq!(limited.limiter.snapshot(limited.clock.now()).in_flight, 0);
}

#[tokio::test]
async fn a_429_is_obeyed_and_the_call_answered_after_it() {
    let node = Node::start(|n, body| match n {
        0 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response(),
        _ => ok(&echo(&body)),
    })
    .await;
    let rpc = client(settings([node.url.clone()]));
    let (a, b) = tokio::join!(rpc.call("status", json!({})), async {
        while node.requests() == 0 {
            tokio::task::yield_now().await;
        }
        // Leaves, if wrongly, while the first is held off.
        tokio::time::sleep(Duration::from_millis(300)).await;
        rpc.call("health", json!({})).await
    });
    assert!(a.is_ok() && b.is_ok());
    let seen = node.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen[1..].iter().all(|later| later.at - seen[0].at >= second(1)));
}

#[tokio::test]
async fn a_read_is_retried_and_each_try_charged() {
    let node = Node::start(|n, body| if n < 2 { status(502) } else { ok(&echo(&body)) }).await;
    let limits = limiter::Settings { rate_per_second: 0, burst: 10, ..limiter::Settings::default() };
    let slow = EndpointSettings { limiter: limits, ..EndpointSettings::new(node.url.clone()) };
    let rpc = client(RpcSettings::new("ibc-0", vec![slow]));
    assert!(rpc.call("status", json!({})).await.is_ok());
    assert_eq!(rpc.health()[0].limiter.tokens, 7);
}

#[tokio::test]
async fn an_applications_no_is_neither_retried_nor_an_endpoints_fault() {
    let node =
        Node::start(|_, body| ok(&json!({"id": body["id"], "error": {"code": 5, "message": "no\u{1b}[2J"}}))).await;
    let rpc = client(settings([node.url.clone()]));
    for _ in 0..10 {
        let error = rpc.call("abci_query", json!({})).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Rejected);
        assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
    }
    assert_eq!(node.requests(), 10);
    assert_eq!(rpc.health()[0].limiter.breaker, limiter::BreakerState::Closed);
}

#[tokio::test]
async fn a_broadcast_that_may_have_been_executed_is_not_repeated() {
    let bad = Node::start(|_, _| status(502)).await;
    let good = Node::start(|_, body| ok(&echo(&body))).await;
    let rpc = client(settings([bad.url.clone(), good.url.clone()]));
    let error = rpc.broadcast("broadcast_tx_sync", json!({})).await.unwrap_err();
    assert!(!error.kind.never_executed());
    assert_eq!((bad.requests(), good.requests()), (1, 0));
    // With nobody listening nothing left: the other endpoint gets it.
    let rpc = client(settings([nobody().await, good.url.clone()]));
    assert!(rpc.broadcast("broadcast_tx_sync", json!({})).await.is_ok());
    assert_eq!(good.requests(), 1);
}

#[tokio::test]
async fn a_full_mempool_stops_broadcasts_and_no_reads() {
    let node = Node::start(|_, body| {
        let full = json!({"code": -32603, "message": "Internal error", "data": "mempool is full: number of txs 1"});
        match body["method"] == "status" {
            true => ok(&echo(&body)),
            false => ok(&json!({"id": body["id"], "error": full})),
        }
    })
    .await;
    let rpc = client(settings([node.url.clone()])).with_deadline(Instant::now() + Duration::from_millis(500));
    for _ in 0..2 {
        let error = rpc.broadcast("broadcast_tx_sync", json!({})).await.unwrap_err();
        assert_eq!(error.kind, RpcErrorKind::MempoolFull);
    }
    assert_eq!(node.requests(), 1);
    assert!(rpc.call("status", json!({})).await.is_ok());
}

#[tokio::test]
async fn the_breaker_opens_after_five_failures_and_recovers_by_a_probe() {
    let broken = Arc::new(AtomicUsize::new(1));
    let state = broken.clone();
    let node = Node::start(move |_, body| match state.load(Ordering::SeqCst) {
        1 => status(500),
        _ => ok(&echo(&body)),
    })
    .await;
    let rpc = client(once(node.url.clone()));
    for _ in 0..5 {
        assert_eq!(rpc.call("status", json!({})).await.unwrap_err().class(), ErrorClass::Unavailable);
    }
    let error = rpc.call("status", json!({})).await.unwrap_err();
    assert!(matches!(error.kind, RpcErrorKind::Unavailable { why: Unavailable::BreakerOpen, retry_after: Some(_) }));
    assert_eq!(node.requests(), 5);
    broken.store(0, Ordering::SeqCst);
    // With retries the call rides over the open time.
    let patient = rpc.with_deadline(Instant::now() + second(30));
    while patient.call("status", json!({})).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rpc.health()[0].limiter.breaker, limiter::BreakerState::Closed);
}

#[tokio::test]
async fn every_request_is_reported_without_its_url_even_a_cancelled_one() {
    let reports: Arc<Mutex<Vec<CallReport>>> = Arc::default();
    let sink = reports.clone();
    let observer: Observer = Arc::new(move |report: &CallReport| sink.lock().unwrap().push(report.clone()));
    let node = Node::start(|_, body| ok(&echo(&body))).await;
    let silent = raw_node(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let label = node.url.label();
    let rpc = client(RpcSettings { observer: Some(observer.clone()), ..once(node.url.clone()) });
    rpc.with_traceparent("00-aa-bb-01").call("status", json!({})).await.unwrap();
    assert_eq!(node.seen()[0].headers["traceparent"], "00-aa-bb-01");
    rpc.batch(vec![Call::read("block", json!({})).unwrap(), Call::read("status", json!({})).unwrap()]).await.unwrap();
    let stuck = client(RpcSettings { observer: Some(observer), ..once(silent) });
    assert!(tokio::time::timeout(Duration::from_millis(100), stuck.call("status", json!({}))).await.is_err());
    assert_eq!(stuck.health()[0].limiter.in_flight, 0);
    let reports = reports.lock().unwrap();
    let seen: Vec<_> = reports.iter().map(|r| (r.method, r.status, r.calls)).collect();
    assert_eq!(seen, [("status", "ok", 1), ("batch", "ok", 2), ("status", "cancelled", 1)]);
    assert_eq!(&*reports[0].endpoint, label);
    assert!(reports[0].bytes_in > 0 && reports[0].bytes_out > 0);
}
