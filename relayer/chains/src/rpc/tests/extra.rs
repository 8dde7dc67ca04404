//! Calls beside the plain one: shared, copied, kept back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use limiter::Level;

use super::*;

/// Answers each request after so long.
async fn slow(answer: impl Fn() -> Duration + Clone + Send + Sync + 'static, name: &'static str) -> Node {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let log = seen.clone();
    let router = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
        let body: Value = serde_json::from_slice(&body).unwrap();
        log.lock().unwrap().push(Seen { at: Instant::now(), headers, body: body.clone() });
        let pause = answer();
        async move {
            tokio::time::sleep(pause).await;
            ok(&json!({"id": body["id"], "result": name}))
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Node { url, seen }
}

#[tokio::test]
async fn equal_reads_in_flight_are_one_request_and_others_are_not() {
    let node = slow(|| Duration::from_millis(200), "one").await;
    let rpc = client(settings([node.url.clone()]));
    let ask = |height: u32| rpc.call("block", json!({"height": height})).boxed();
    // The first one goes away; those that joined it get their answer.
    let mut first = ask(1);
    assert!(futures::poll!(first.as_mut()).is_pending());
    let mut joined: Vec<_> = (0..5).map(|_| ask(1)).collect();
    joined.iter_mut().for_each(|call| assert!(call.now_or_never().is_none()));
    drop(first);
    let answers = futures::future::join_all(joined).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(node.requests(), 1);
    let two = futures::future::join_all([ask(1), ask(2)]).await;
    assert!(two.iter().all(Result::is_ok));
    assert_eq!(node.requests(), 3);
    // Broadcasts are never shared.
    let _both =
        tokio::join!(rpc.broadcast("broadcast_tx_sync", json!({})), rpc.broadcast("broadcast_tx_sync", json!({})));
    assert_eq!(node.requests(), 5);
}

#[tokio::test]
async fn a_late_read_is_copied_once_to_the_next_endpoint_and_a_broadcast_never() {
    let late = Arc::new(AtomicBool::new(false));
    let state = late.clone();
    let pause = move || Duration::from_millis(if state.load(Ordering::SeqCst) { 5_000 } else { 0 });
    let (first, second) = (slow(pause, "first").await, slow(|| Duration::ZERO, "second").await);
    let rpc = client(settings([first.url.clone(), second.url.clone()]));
    for height in 0..60 {
        rpc.call("block", json!({"height": height})).await.unwrap();
    }
    let before = second.requests();
    late.store(true, Ordering::SeqCst);
    let answer = rpc.call("block", json!({"height": 99})).await.unwrap();
    assert_eq!((answer.endpoint, second.requests()), (rpc.endpoints()[1].clone(), before + 1));
    assert!(rpc.extra_calls().0 >= 1);
    let patient = rpc.with_deadline(Instant::now() + Duration::from_millis(500));
    assert!(patient.broadcast("broadcast_tx_sync", json!({})).await.is_err());
    assert_eq!(second.requests(), before + 1);
}

#[tokio::test]
async fn retries_are_a_share_of_the_calls() {
    let node = Node::start(|_, _| status(500)).await;
    let limits = limiter::Settings {
        breaker: limiter::BreakerSettings { consecutive_errors: 0, error_percent: 101, ..Default::default() },
        ..limiter::Settings::default()
    };
    let endpoint = EndpointSettings { limiter: limits, ..EndpointSettings::new(node.url.clone()) };
    let rpc = client(RpcSettings::new("ibc-0", vec![endpoint]));
    let started = Instant::now();
    let all = (0..200).map(|height| rpc.call("block", json!({"height": height})).boxed());
    assert!(futures::future::join_all(all).await.iter().all(Result::is_err));
    let retries = node.requests() - 200;
    let allowed = 40.0 + 10.0 * started.elapsed().as_secs_f64() + 1.0;
    assert!(retries > 0 && retries as f64 <= allowed, "{retries} retries, {allowed} allowed");
}

#[tokio::test]
async fn an_endpoint_that_lags_is_left_alone_and_says_why() {
    let (first, second) = (slow(|| Duration::ZERO, "first").await, slow(|| Duration::ZERO, "second").await);
    let rpc = client(settings([first.url.clone(), second.url.clone()]));
    let ids = rpc.endpoints();
    rpc.saw_height(&ids[1], 1_000);
    rpc.saw_height(&ids[0], 998);
    assert_eq!(rpc.call("status", json!({})).await.unwrap().endpoint, ids[0]);
    rpc.saw_height(&ids[0], 900);
    assert_eq!(rpc.call("status", json!({})).await.unwrap().endpoint, ids[1]);
    assert_eq!(rpc.health()[0].quarantine.unwrap().0, "lags behind its peers");
    // The last one stays.
    rpc.saw_height(&ids[0], 2_000);
    rpc.saw_height(&ids[1], 1_000);
    assert_eq!(rpc.call("status", json!({})).await.unwrap().endpoint, ids[1]);
}

#[tokio::test]
async fn limits_are_told_as_they_are() {
    let node = Node::start(|n, body| match n {
        0 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "600")]).into_response(),
        _ => ok(&echo(&body)),
    })
    .await;
    let rpc = client(settings([node.url.clone()])).with_deadline(Instant::now() + Duration::from_secs(1));
    let fresh = rpc.limits().remove(0);
    assert_eq!((fresh.rule, fresh.learned_milli, fresh.wait), ("rate", None, None));
    assert_eq!((fresh.rate_milli, fresh.limit_permille, fresh.in_flight_limit), (200_000, 1_000, 16));
    assert!(rpc.call("status", json!({})).await.is_err());
    let error = rpc.call("status", json!({})).await.unwrap_err();
    let by = ThrottledBy::Ourselves { level: Level::HoldOff, limit_milli: 0 };
    assert!(matches!(&error.kind, RpcErrorKind::Throttled { by: said, .. } if *said == by), "{error}");
    let held = rpc.limits().remove(0);
    assert_eq!((held.rule, held.throttled, held.completed), ("hold_off", 1, 1));
    assert!(held.held_off.unwrap() > Duration::from_secs(590) && held.refused >= 1);
    assert_eq!((held.refusals.of(Level::HoldOff), held.refusals.of(Level::Rate)), (held.refused, 0));
    assert!(held.learned_milli.unwrap() < 200_000);
    assert_eq!((held.reads, held.broadcasts, held.queue_depth), (BreakerState::Closed, BreakerState::Closed, 0));
}
