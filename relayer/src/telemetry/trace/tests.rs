use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as Kind;
use prost_otlp::Message;
use relayer_core::id::{ChannelId, PortId, Sequence};
use relayer_core::packet::{PortChannel, Side};
use tokio::net::TcpListener;

use super::*;

type Requests = mpsc::UnboundedReceiver<(HeaderMap, ExportTraceServiceRequest)>;
type Sink = mpsc::UnboundedSender<(HeaderMap, ExportTraceServiceRequest)>;

/// A collector that keeps what it is sent.
async fn collector() -> (Url, Requests) {
    let (sink, requests) = mpsc::unbounded_channel();
    async fn take(State(sink): State<Sink>, headers: HeaderMap, body: Bytes) -> StatusCode {
        sink.send((headers, ExportTraceServiceRequest::decode(body).unwrap())).unwrap();
        StatusCode::OK
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let app = Router::new().route("/v1/traces", post(take)).with_state(sink);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, requests)
}

fn tracer(endpoint: Url, sample_ratio: f64) -> (Tracer, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    let settings = TraceSettings { endpoint, sample_ratio, service_name: "relayer-test".into() };
    (Tracer::start(&settings, metrics.clone()).unwrap(), metrics)
}

fn key(sequence: u64) -> PacketKey {
    let source = PortChannel { port: PortId::new("transfer").unwrap(), channel: ChannelId::new("channel-7").unwrap() };
    PacketKey { from: Side::A, source, sequence: Sequence(sequence) }
}

fn begin(tracer: &Tracer, tx_id: Uuid) -> PacketTrace {
    let (source, target) = (ChainId::new("sim-a-1").unwrap(), ChainId::new("sim-b-1").unwrap());
    tracer.begin(&PacketStart { tx_id, key: &key(42), source: &source, target: &target, sent: Timestamp(1_000) })
}

fn attributes(span: &Span) -> HashMap<&str, String> {
    let text = |v: &Value| match v {
        Value::StringValue(s) => s.clone(),
        Value::IntValue(n) => n.to_string(),
        other => panic!("{other:?}"),
    };
    span.attributes.iter().map(|a| (a.key.as_str(), text(a.value.as_ref().unwrap().value.as_ref().unwrap()))).collect()
}

#[tokio::test]
async fn one_trace_a_packet_reaches_the_collector_with_stages_below_one_root() {
    let (url, mut requests) = collector().await;
    let (tracer, metrics) = tracer(url, 1.0);
    let tx_id = Uuid::now_v7();
    let trace = begin(&tracer, tx_id);
    let stages = [
        (Stage::Observe, Role::Source),
        (Stage::Prove, Role::Source),
        (Stage::Verify, Role::Source),
        (Stage::Limit, Role::Target),
        (Stage::Submit, Role::Target),
        (Stage::Confirm, Role::Target),
    ];
    for (n, (stage, role)) in (1u64..).zip(stages) {
        let details = SpanDetails {
            peer: Some("127.0.0.1:26657".into()),
            tx_hash: (stage == Stage::Submit).then_some(TxHash([0xab; 32])),
            error: (stage == Stage::Limit).then_some("throttled"),
            more: vec![("rate_limit.rule", "node".into())],
        };
        trace.stage(stage, role, n * 1_000, n * 1_000 + 500, details);
    }
    trace.end("success", 9_000);
    tracer.close().await;

    let (headers, request) = requests.recv().await.unwrap();
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(request.resource_spans.len(), 1);
    let resource = request.resource_spans[0].resource.as_ref().unwrap();
    assert!(resource.attributes.iter().any(|a| a.key == "service.name"
        && a.value.as_ref().unwrap().value == Some(Value::StringValue("relayer-test".into()))));
    let spans: &Vec<Span> = &request.resource_spans[0].scope_spans[0].spans;
    let names: Vec<&str> = spans.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["observe", "prove", "verify", "limit", "submit", "confirm", "packet"]);

    let root = &spans[6];
    assert!(root.parent_span_id.is_empty());
    assert_eq!((root.start_time_unix_nano, root.end_time_unix_nano), (1_000, 9_000));
    assert_eq!(attributes(root)["crosschain.status"], "success");
    let mut ids: Vec<&[u8]> = spans.iter().map(|s| s.span_id.as_slice()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 7);
    for (n, span) in spans[..6].iter().enumerate() {
        assert_eq!(span.parent_span_id, root.span_id, "{}", span.name);
        let start = (n as u64 + 1) * 1_000;
        assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (start, start + 500));
        let (kind, word, chain) =
            if n < 3 { (Kind::Producer, "PRODUCER", "sim-a-1") } else { (Kind::Consumer, "CONSUMER", "sim-b-1") };
        assert_eq!(span.kind, kind as i32);
        let a = attributes(span);
        assert_eq!((a["span.kind"].as_str(), a["chain"].as_str()), (word, chain));
        assert_eq!((a["channel"].as_str(), a["sequence"].as_str()), ("transfer/channel-7", "42"));
        assert_eq!((a["net.peer.name"].as_str(), a["rate_limit.rule"].as_str()), ("127.0.0.1:26657", "node"));
        assert_eq!(a.contains_key("tx_hash"), span.name == "submit");
    }
    for span in spans {
        assert_eq!(span.trace_id, tx_id.as_bytes());
        assert_eq!(attributes(span)["crosschain.tx_id"], tx_id.to_string());
    }
    let code = |n: usize| spans[n].status.as_ref().unwrap().code;
    assert_eq!((code(3), code(4)), (2, 1), "error and ok");
    assert!(metrics.encode().contains("relay_trace_spans_exported_total 7"));
}

#[tokio::test]
async fn a_restarted_relayer_goes_on_with_the_same_trace_and_root() {
    let (url, _requests) = collector().await;
    let tx_id = Uuid::now_v7();
    let first = begin(&tracer(url.clone(), 1.0).0, tx_id).context().cloned().unwrap();
    let second = begin(&tracer(url, 1.0).0, tx_id);
    assert_eq!(second.context().unwrap(), &first);
    let parent = second.traceparent().unwrap();
    assert_eq!(parent, format!("00-{}-{}-01", tx_id.simple(), first.span_id()));
}

#[tokio::test]
async fn a_collector_that_is_away_delays_nobody_and_what_it_misses_is_counted() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap()).parse().unwrap();
    drop(gone);
    let (tracer, metrics) = tracer(url, 1.0);
    let packets = limits::SPAN_QUEUE + 3 * limits::SPAN_BATCH;
    for _ in 0..packets {
        begin(&tracer, Uuid::now_v7()).end("success", 2_000);
    }
    assert!(metrics.dropped_spans() >= packets as u64 - limits::SPAN_QUEUE as u64);
    tracer.close().await;
    assert_eq!(metrics.dropped_spans(), packets as u64, "all are accounted for");
}

#[tokio::test]
async fn off_and_unsampled_packets_send_nothing() {
    let off = begin(&Tracer::off(), Uuid::now_v7());
    off.end("success", 1);
    assert_eq!(off.traceparent(), None);
    let (url, mut requests) = collector().await;
    let (tracer, metrics) = tracer(url, 0.0);
    let trace = begin(&tracer, Uuid::now_v7());
    trace.stage(Stage::Prove, Role::Source, 1, 2, SpanDetails::default());
    trace.end("success", 3);
    assert!(trace.traceparent().unwrap().ends_with("-00"));
    tracer.close().await;
    assert!(requests.try_recv().is_err());
    assert_eq!(metrics.dropped_spans(), 0);
}

#[test]
fn the_share_of_sampled_packets_is_the_ratio() {
    for ratio in [0.1, 0.4, 0.5, 0.8] {
        let hits = (0..20_000u128).filter(|n| sampled(Uuid::from_u128(n << 10), ratio)).count() as f64;
        assert!((hits / 20_000.0 - ratio).abs() < 0.02, "{ratio}: {hits}");
    }
    assert!((0..1_000).all(|n| sampled(Uuid::from_u128(n), 1.0) && !sampled(Uuid::from_u128(n), 0.0)));
}

#[tokio::test]
async fn one_packet_can_not_flood_the_collector() {
    let (url, _requests) = collector().await;
    let (tracer, metrics) = tracer(url, 1.0);
    let trace = begin(&tracer, Uuid::now_v7());
    for n in 0..u64::from(limits::SPANS_PER_PACKET) + 10 {
        trace.stage(Stage::Submit, Role::Target, n, n, SpanDetails::default());
    }
    assert_eq!(metrics.dropped_spans(), 10);
}

#[test]
fn the_path_of_the_collector_is_completed() {
    for (given, used) in [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("http://c/otlp", "http://c/otlp/v1/traces"),
        ("http://c/v1/traces", "http://c/v1/traces"),
    ] {
        assert_eq!(super::export::traces_url(&given.parse().unwrap()).as_str(), used);
    }
}
