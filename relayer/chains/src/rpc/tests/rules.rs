//! Rules by method, channel and endpoint, changed while calls wait.

use std::time::Duration;

use limiter::rules::{RuleSet, Rules};

use super::*;

fn set(text: &str) -> RuleSet {
    RuleSet::from_toml(text).unwrap()
}
fn ruled(node: &Node, text: &str) -> (RpcClient, RuleGate) {
    let gate = RuleGate::new(RuleSet::default(), Rules::new(set(text)));
    let settings = RpcSettings { rules: Some(gate.clone()), ..once(node.url.clone()) };
    (client(settings), gate)
}
async fn echoing() -> Node {
    Node::start(|_, body| ok(&echo(&body))).await
}
/// When requests with this method arrived, ms after `from`.
fn arrivals(node: &Node, from: Instant, method: &str) -> Vec<u128> {
    let of = |seen: &Seen| (seen.body["method"] == *method).then(|| seen.at.duration_since(from).as_millis());
    node.seen().iter().filter_map(of).collect()
}
fn count(node: &Node, method: &str) -> usize {
    node.seen().iter().filter(|seen| seen.body["method"] == *method).count()
}

#[tokio::test]
async fn a_method_is_held_to_its_rule_and_the_others_are_not_held_up() {
    let node = echoing().await;
    let (rpc, gate) =
        ruled(&node, r#"flow = [{ id = "blocks", on = { method = "block" }, threshold = 10, burst = 1 }]"#);
    let from = Instant::now();
    let blocks = futures::future::join_all((0..5).map(|n| rpc.call("block", json!({ "height": n }))));
    let others = async {
        for n in 0..5 {
            rpc.call("status", json!({ "n": n })).await.unwrap();
        }
        from.elapsed()
    };
    let (blocks, others) = tokio::join!(blocks, others);
    assert!(blocks.into_iter().all(|answer| answer.is_ok()));
    let arrived = arrivals(&node, from, "block");
    // Not before: 0, 100, 200, ... ms; the others had long been answered.
    assert!(arrived.iter().zip([0, 99, 199, 299, 399]).all(|(at, least)| *at >= least), "{arrived:?}");
    assert!(others.as_millis() < *arrived.last().unwrap(), "{others:?}");
    let view = &gate.view()[0];
    assert_eq!((&*view.rule, view.passed), ("blocks", 5));
}

#[tokio::test]
async fn a_wait_past_the_deadline_is_refused_at_once_and_names_the_rule() {
    let node = echoing().await;
    let (rpc, _) = ruled(&node, r#"flow = [{ id = "slow", threshold = 1, interval_ms = 60000 }]"#);
    rpc.call("status", json!({})).await.unwrap();
    let from = Instant::now();
    let soon = rpc.with_deadline(from + Duration::from_secs(20));
    let error = soon.call("status", json!({ "again": true })).await.unwrap_err();
    let RpcErrorKind::Throttled { by: ThrottledBy::Rule { rule, kind, .. }, retry_after: Some(after) } = &error.kind
    else {
        panic!("{error}")
    };
    assert_eq!((&**rule, *kind), ("slow", "flow"));
    assert!(*after > Duration::from_secs(50) && from.elapsed() < Duration::from_secs(10));
    assert!(error.to_string().contains("the flow rule `slow`"), "{error}");
    assert_eq!(node.requests(), 1);
}

#[tokio::test]
async fn a_replaced_set_frees_who_waits_and_a_refused_one_changes_nothing() {
    let node = echoing().await;
    let (rpc, gate) = ruled(&node, r#"flow = [{ id = "slow", threshold = 1, interval_ms = 60000 }]"#);
    rpc.call("status", json!({})).await.unwrap();
    let mut waiting = tokio::spawn({
        let rpc = rpc.with_deadline(Instant::now() + Duration::from_secs(120));
        async move { rpc.call("status", json!({ "again": true })).await.unwrap() }
    });
    assert!(RuleSet::from_toml(r#"flow = [{ id = "slow", threshold = -1 }]"#).is_err());
    assert!(tokio::time::timeout(Duration::from_millis(700), &mut waiting).await.is_err());
    gate.rules().apply(RuleSet::default());
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn channels_take_turns_however_much_one_asks() {
    let node = echoing().await;
    let (rpc, _) = ruled(&node, r#"flow = [{ id = "all", threshold = 40, burst = 1 }]"#);
    let query = |channel: &str, n: usize| {
        let call =
            Call::read("abci_query", json!({ "channel": channel, "n": n })).unwrap().channel(Some(channel.into()));
        let rpc = rpc.clone();
        async move { rpc.send(&call).await.unwrap() }
    };
    let spam = futures::future::join_all((0..30).map(|n| query("channel-0", n)));
    let quiet = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        for n in 0..4 {
            query("channel-1", n).await;
        }
        node.requests()
    };
    let (_, at) = tokio::join!(spam, quiet);
    // First come, first served would let all 30 go before; here the quiet one has about every second turn.
    assert!(at <= 20, "the quiet channel's fourth answer came after {at} requests");
    assert_eq!(node.requests(), 34);
}

#[tokio::test]
async fn a_batch_is_split_by_what_the_rules_let_into_one_request() {
    let node = echoing().await;
    let (rpc, _) =
        ruled(&node, r#"flow = [{ id = "blocks", on = { method = "block" }, threshold = 1000, burst = 2 }]"#);
    let calls = (0..5).map(|n| Call::read("block", json!({ "height": n })).unwrap()).collect();
    assert!(rpc.batch(calls).await.unwrap().iter().all(Result::is_ok));
    let sizes: Vec<_> = node.seen().iter().map(|seen| seen.body.as_array().map_or(1, Vec::len)).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 5);
    assert!(sizes.iter().all(|size| *size <= 2), "{sizes:?}");
}

#[tokio::test]
async fn a_method_may_cost_more_of_its_endpoint() {
    let node = echoing().await;
    let mut settings = once(node.url.clone());
    settings.endpoints[0].limiter = limiter::Settings { rate_per_second: 20, burst: 8, ..limiter::Settings::default() };
    settings.weights = vec![("block*".into(), 4), ("*".into(), 1)];
    let rpc = client(settings);
    let from = Instant::now();
    for n in 0..4 {
        rpc.call("block_results", json!({ "height": n })).await.unwrap();
    }
    // 16 tokens: 8 at once, 8 at 20 a second; reads leave a reserve, so it takes a little longer.
    assert!(from.elapsed() >= Duration::from_millis(399), "{:?}", from.elapsed());
    assert_eq!(count(&node, "block_results"), 4);
}

#[tokio::test]
async fn a_caller_that_goes_away_gives_its_turn_and_its_tokens_back() {
    let node = echoing().await;
    let (rpc, gate) = ruled(&node, r#"flow = [{ id = "r", threshold = 5, burst = 1 }]"#);
    rpc.call("status", json!({ "n": 0 })).await.unwrap();
    let gone = tokio::time::timeout(Duration::from_millis(50), rpc.call("status", json!({ "n": 1 })));
    assert!(gone.await.is_err());
    rpc.call("status", json!({ "n": 2 })).await.unwrap();
    assert_eq!(node.requests(), 2);
    assert_eq!(gate.view()[0].passed, 2);
}

#[tokio::test]
async fn a_throttled_flow_spaces_calls_and_refuses_those_that_would_queue_too_long() {
    let node = echoing().await;
    let (rpc, _) = ruled(
        &node,
        r#"flow = [{ id = "even", on = { method = "block" }, threshold = 4, control = "throttling", max_queueing_ms = 600 }]"#,
    );
    let from = Instant::now();
    let answers = futures::future::join_all((0..8).map(|n| rpc.call("block", json!({ "height": n })))).await;
    let refused: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    // One at once, the second and third after 250 and 500 ms; the others would wait for longer than 600.
    let arrived = arrivals(&node, from, "block");
    assert!(!refused.is_empty() && arrived.len() + refused.len() == 8, "{arrived:?}");
    assert!(arrived.iter().zip([0, 249, 499]).all(|(at, least)| *at >= least), "{arrived:?}");
    assert!(refused.iter().all(|error| error.to_string().contains("the flow rule `even`")), "{refused:?}");
}
