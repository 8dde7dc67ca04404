//! Several nodes of one chain.

use std::time::Duration;

use super::super::limits::EJECT_ERRORS;
use super::*;

async fn named(name: &'static str) -> Node {
    Node::start(move |_, body| ok(&json!({ "id": body["id"], "result": name }))).await
}
async fn who(rpc: &RpcClient) -> (String, EndpointId) {
    let answer = rpc.call("status", json!({})).await.unwrap();
    (answer.decode("status").unwrap(), answer.endpoint)
}

#[tokio::test]
async fn the_first_endpoint_serves_and_the_next_one_while_it_is_away() {
    let second = named("second").await;
    let rpc = client(settings([nobody().await, second.url.clone()]));
    let ids = rpc.endpoints();
    for _ in 0..6 {
        assert_eq!(who(&rpc).await, ("second".into(), ids[1].clone()));
    }
    // Five failures opened the first one's breaker: it is asked no more, and no longer slows calls down.
    assert_eq!(rpc.health()[0].limiter.breaker, limiter::BreakerState::Open);
}

#[tokio::test]
async fn a_throttled_endpoint_gives_way_to_the_next() {
    let first = Node::start(|_, _| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "600")]).into_response()).await;
    let second = named("second").await;
    let rpc = client(settings([first.url.clone(), second.url.clone()]));
    for _ in 0..5 {
        assert_eq!(who(&rpc).await.0, "second");
    }
    assert_eq!(first.requests(), 1);
}

#[tokio::test]
async fn a_quarantined_endpoint_is_not_asked_unless_it_is_the_last() {
    let (first, second) = (named("first").await, named("second").await);
    let rpc = client(settings([first.url.clone(), second.url.clone()]));
    let (name, liar) = who(&rpc).await;
    assert_eq!(name, "first");
    assert!(rpc.quarantine(&liar, "bad_proof", Duration::from_secs(60)));
    assert_eq!(who(&rpc).await.0, "second");
    let (reason, left) = rpc.health()[0].quarantine.unwrap();
    assert_eq!((reason, left <= Duration::from_secs(60)), ("bad_proof", true));
    let other = rpc.endpoints()[1].clone();
    assert!(rpc.quarantine(&other, "wrong_chain", Duration::from_secs(600)));
    assert_eq!(who(&rpc).await.0, "first"); // ends first
    let stranger = client(settings([nobody().await])).endpoints()[0].clone();
    assert!(!rpc.quarantine(&stranger, "bad_proof", Duration::from_secs(1)));
}

#[tokio::test]
async fn archives_are_asked_only_on_request() {
    let (full, archive) = (named("full").await, named("archive").await);
    let archive = EndpointSettings { archive: true, ..EndpointSettings::new(archive.url.clone()) };
    let nodes = vec![archive, EndpointSettings::new(full.url.clone())];
    let rpc = client(RpcSettings::new("ibc-0", nodes));
    assert_eq!(who(&rpc).await.0, "full");
    assert_eq!(who(&rpc.with_route(Route::Archive)).await.0, "archive");
    let only = Route::Only(rpc.endpoints()[0].clone());
    assert_eq!(who(&rpc.with_route(only)).await.0, "archive");
    let without = client(settings([full.url.clone()])).with_route(Route::Archive);
    let error = without.call("status", json!({})).await.unwrap_err();
    assert!(error.to_string().contains("archive_rpc"), "{error}");
}

#[tokio::test]
async fn equal_hosts_have_labels_of_their_own() {
    let node = named("one").await;
    let with_key = |key: &str| format!("{}/{key}", node.url.label()).parse().unwrap();
    let rpc = client(settings([with_key("s3cret"), with_key("0ther")]));
    let labels: Vec<_> = rpc.endpoints().iter().map(ToString::to_string).collect();
    assert_eq!(labels, [node.url.label(), format!("{}#2", node.url.label())]);
}

#[tokio::test]
async fn a_broadcast_is_no_probe_where_another_endpoint_is_well() {
    let (first, second) = (Node::start(|_, _| status(500)).await, named("second").await);
    let rpc = client(settings([first.url.clone(), second.url.clone()]));
    for _ in 0..5 {
        who(&rpc).await;
    }
    while rpc.health()[0].limiter.breaker != limiter::BreakerState::HalfOpen {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rpc.broadcast("broadcast_tx_sync", json!({})).await.unwrap().endpoint, rpc.endpoints()[1]);
    assert_eq!(first.requests(), 5);
    who(&rpc).await; // a read is
    assert_eq!(first.requests(), 6);
}

#[tokio::test]
async fn an_endpoint_that_fails_often_is_left_alone_beyond_its_breaker_and_the_last_one_is_not() {
    let (first, second) = (Node::start(|_, _| status(500)).await, named("second").await);
    let no_breaker = limiter::Settings {
        breaker: limiter::BreakerSettings { consecutive_errors: 0, error_percent: 101, ..Default::default() },
        ..limiter::Settings::default()
    };
    let endpoint = |node: &Node| EndpointSettings { limiter: no_breaker, ..EndpointSettings::new(node.url.clone()) };
    let rpc = client(RpcSettings::new("ibc-0", vec![endpoint(&first), endpoint(&second)]));
    for _ in 0..EJECT_ERRORS + 4 {
        assert_eq!(who(&rpc).await.0, "second");
    }
    assert_eq!(first.requests(), EJECT_ERRORS as usize);
    let (reason, left) = rpc.health()[0].quarantine.unwrap();
    assert_eq!((reason, left <= Duration::from_secs(10)), ("errors in a row", true));
    let alone = client(RpcSettings { attempts: 1, ..RpcSettings::new("ibc-0", vec![endpoint(&first)]) });
    for _ in 0..EJECT_ERRORS + 4 {
        assert!(alone.call("status", json!({})).await.is_err());
    }
    assert_eq!(first.requests(), 2 * EJECT_ERRORS as usize + 4);
}

#[test]
fn no_endpoint_too_many_and_a_websocket_address_are_refused() {
    assert_eq!(RpcClient::new(settings([])).unwrap_err(), SetupError::Endpoints { count: 0, max: 16 });
    let ws: EndpointUrl = "ws://127.0.0.1:26657/websocket".parse().unwrap();
    assert_eq!(RpcClient::new(settings([ws])).unwrap_err(), SetupError::NotHttp("ws://127.0.0.1:26657".into()));
}
