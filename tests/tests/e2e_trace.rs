//! One trace a packet over OTLP, from the send's block on A to the acknowledgement's on A, as a collector receives it.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost_otlp::Message;
use relayer_tests::devnet::{ConfigOptions, Devnet, STAKE, Transfer};
use relayer_tests::relay::{Line, until};
use tokio::net::TcpListener;

const WAIT: Duration = Duration::from_secs(60);

type Spans = Arc<Mutex<Vec<Span>>>;

async fn take(State(spans): State<Spans>, body: Bytes) -> StatusCode {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let all = request.resource_spans.into_iter().flat_map(|r| r.scope_spans).flat_map(|s| s.spans);
    spans.lock().unwrap().extend(all);
    StatusCode::OK
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let value = span.attributes.iter().find(|a| a.key == key)?.value.as_ref()?.value.as_ref()?;
    match value {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(n) => Some(n.to_string()),
        other => panic!("{key}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_is_one_trace_from_its_send_to_its_acknowledgement() {
    let spans = Spans::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/v1/traces", post(take)).with_state(spans.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let tables = format!("[telemetry]\notlp_endpoint = {endpoint:?}\nsample_ratio = 1.0\n");
    let options = ConfigOptions { tables, ..ConfigOptions::default() };
    let mut line = Line::open(Devnet::two_chains().await.unwrap(), &options).await.unwrap();
    line.relayer.start().await.unwrap();
    let link = line.link(0).unwrap();
    let (alice, bob) = (line.net.a.user(&line.net.wallets.user_a), line.net.b.user(&line.net.wallets.user_b));
    for amount in 1..=3 {
        alice.transfer(&Transfer::new(&link.a.channel, amount, STAKE, bob.address())).await.unwrap();
    }
    link.settled(WAIT).await.unwrap();
    let roots = || spans.lock().unwrap().iter().filter(|s| s.name == "packet").count();
    until("three root spans", WAIT, async || Ok((roots() == 3).then_some(()))).await.unwrap();

    let spans = spans.lock().unwrap().clone();
    let mut traces: BTreeMap<Vec<u8>, Vec<Span>> = BTreeMap::new();
    for span in spans {
        traces.entry(span.trace_id.clone()).or_default().push(span);
    }
    assert_eq!(traces.len(), 3, "one trace a packet");
    for trace in traces.values() {
        let root = trace.iter().find(|s| s.name == "packet").unwrap();
        assert_eq!(attribute(root, "crosschain.status").as_deref(), Some("success"));
        let tx_id = attribute(root, "crosschain.tx_id").unwrap();
        assert_eq!(tx_id.as_bytes()[14], b'7', "a UUIDv7: {tx_id}");
        for stage in ["observe", "prove", "verify", "limit", "submit", "confirm"] {
            let of_stage: Vec<&Span> = trace.iter().filter(|s| s.name == stage).collect();
            // The way there and the acknowledgement's way back; a send is observed once.
            assert_eq!(of_stage.len(), if stage == "observe" { 1 } else { 2 }, "{stage}");
            for span in of_stage {
                assert_eq!(span.parent_span_id, root.span_id, "{stage}");
                assert_eq!(attribute(span, "crosschain.tx_id").as_ref(), Some(&tx_id), "{stage}");
                assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{stage}");
            }
        }
        let hashes: Vec<_> =
            trace.iter().filter(|s| s.name == "confirm").filter_map(|s| attribute(s, "tx_hash")).collect();
        assert!(hashes.len() == 2 && hashes[0] != hashes[1], "{hashes:?}");
        let kinds = |role| trace.iter().filter(|s| attribute(s, "span.kind").as_deref() == Some(role)).count();
        assert!(kinds("PRODUCER") > 0 && kinds("CONSUMER") > 0);
    }
    assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0));
}
