//! Many calls as few requests.

use super::*;

fn calls(n: usize) -> Vec<Call> {
    (0..n).map(|i| Call::read("block", json!({ "height": i.to_string() })).unwrap()).collect()
}
fn heights(answers: &[Result<Answer, RpcError>]) -> Vec<usize> {
    let height =
        |answer: &Answer| answer.decode::<Value>("block").unwrap()["height"].as_str().unwrap().parse().unwrap();
    answers.iter().map(|answer| height(answer.as_ref().unwrap())).collect()
}
fn sizes(node: &Node) -> Vec<usize> {
    let mut sizes: Vec<_> = node.seen().iter().map(|seen| seen.body.as_array().map_or(1, Vec::len)).collect();
    sizes.sort_unstable();
    sizes
}
/// CometBFT's answer to a batch above `max`.
fn cometbft(max: usize) -> impl Fn(usize, Value) -> Response + Clone {
    move |_, body| match body.as_array() {
        Some(calls) if calls.len() > max => {
            let data = format!("batch request exceeds maximum ({max}) allowed number of requests");
            ok(&json!({"jsonrpc": "2.0", "id": null,
                "error": {"code": -32600, "message": "Invalid Request", "data": data}}))
        }
        _ => ok(&echo(&body)),
    }
}

#[tokio::test]
async fn a_batch_is_split_into_what_the_node_takes_and_answered_in_order() {
    let node = Node::start(cometbft(10)).await;
    let rpc = client(settings([node.url.clone()]));
    let answers = rpc.batch(calls(25)).await.unwrap();
    assert_eq!(heights(&answers), (0..25).collect::<Vec<_>>());
    assert_eq!(sizes(&node), [5, 10, 10]);
}

#[tokio::test]
async fn a_smaller_maximum_is_learned_once() {
    let node = Node::start(cometbft(4)).await;
    let rpc = client(RpcSettings { batches_in_flight: 1, ..settings([node.url.clone()]) });
    assert_eq!(heights(&rpc.batch(calls(10)).await.unwrap()), (0..10).collect::<Vec<_>>());
    assert_eq!(sizes(&node), [2, 4, 4, 10]);
    assert_eq!(rpc.health()[0].batch_calls, 4);
    rpc.batch(calls(4)).await.unwrap();
    assert_eq!(sizes(&node), [2, 4, 4, 4, 10]);
}

#[tokio::test]
async fn a_node_that_lies_about_its_maximum_ends_with_single_calls() {
    let node = Node::start(|_, body| match body.is_array() {
        true => ok(&json!({"id": null, "error": {"code": -32600, "message": "batch too big (99)"}})),
        false => ok(&echo(&body)),
    })
    .await;
    let rpc = client(settings([node.url.clone()]));
    assert_eq!(heights(&rpc.batch(calls(10)).await.unwrap()), (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn answers_out_of_order_are_matched_by_id() {
    let node = Node::start(|_, body| {
        let mut answers = echo(&body);
        answers.as_array_mut().unwrap().reverse();
        ok(&answers)
    })
    .await;
    assert_eq!(heights(&client(once(node.url)).batch(calls(5)).await.unwrap()), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn missing_doubled_and_foreign_ids_are_refused() {
    for (spoil, expected) in [(0, Malformed::MissingAnswers(1)), (1, Malformed::DuplicateId), (2, Malformed::UnknownId)]
    {
        let node = Node::start(move |_, body| {
            let mut answers = echo(&body);
            let list = answers.as_array_mut().unwrap();
            match spoil {
                0 => drop(list.pop()),
                1 => list[0]["id"] = list[1]["id"].clone(),
                _ => list[2]["id"] = json!(1_000_000),
            }
            ok(&answers)
        })
        .await;
        let answers = client(once(node.url)).batch(calls(3)).await.unwrap();
        for answer in &answers {
            assert_eq!(answer.as_ref().unwrap_err().kind, RpcErrorKind::Malformed(expected));
        }
        assert_eq!(answers.len(), 3);
    }
}

#[tokio::test]
async fn more_answers_than_calls_are_refused() {
    let node = Node::start(|_, _| format!("[{}{{}}]", "{},".repeat(100_000)).into_response()).await;
    let answers = client(once(node.url)).batch(calls(2)).await.unwrap();
    // The second of "{}" has neither result nor error; a third would be one too many and is never kept.
    let kind = &answers[0].as_ref().unwrap_err().kind;
    assert!(matches!(kind, RpcErrorKind::Malformed(Malformed::Shape { line: 1, column: 0..12 })), "{kind:?}");
}

#[tokio::test]
async fn one_calls_no_does_not_harm_the_others() {
    let node = Node::start(|_, body| {
        let mut answers = echo(&body);
        let error = json!({"code": -32603, "message": "Internal error", "data": "height 9 is not available"});
        answers[1] = json!({"id": answers[1]["id"], "error": error});
        ok(&answers)
    })
    .await;
    let answers = client(once(node.url)).batch(calls(3)).await.unwrap();
    let RpcErrorKind::Rejected(no) = &answers[1].as_ref().unwrap_err().kind else { panic!("{answers:?}") };
    assert_eq!((no.code, no.data.as_str()), (-32603, "height 9 is not available"));
    assert!(answers[0].is_ok() && answers[2].is_ok());
}

#[tokio::test]
async fn a_batch_is_charged_by_its_calls_and_never_exceeds_the_burst() {
    let node = Node::start(|_, body| ok(&echo(&body))).await;
    let limiter = limiter::Settings { rate_per_second: 1, burst: 7, ..limiter::Settings::default() };
    let endpoint = EndpointSettings { limiter, ..EndpointSettings::new(node.url.clone()) };
    let rpc = client(RpcSettings::new("ibc-0", vec![endpoint]));
    assert_eq!(rpc.batch(calls(5)).await.unwrap().len(), 5);
    assert_eq!(rpc.health()[0].limiter.tokens, 2);
    assert_eq!(rpc.health()[0].batch_calls, 7);
}

#[tokio::test]
async fn requests_above_what_nodes_read_are_split_by_bytes_or_refused() {
    let node = Node::start(|_, body| ok(&echo(&body))).await;
    let rpc = client(once(node.url.clone()));
    let tx = |bytes| Call::read("check_tx", json!({ "tx": "x".repeat(bytes) })).unwrap();
    assert!(rpc.batch(vec![tx(400_000), tx(400_000), tx(400_000)]).await.unwrap().iter().all(Result::is_ok));
    assert_eq!(sizes(&node), [1, 2]);
    let error = rpc.send(&tx(1_000_000)).await.unwrap_err();
    assert!(matches!(error.kind, RpcErrorKind::Invalid(InvalidCall::TooLarge { .. })), "{error}");
}
