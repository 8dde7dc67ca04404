//! The span of each request.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;

type Fields = BTreeMap<&'static str, String>;

/// Keeps the fields of `rpc` spans.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Fields>>>);

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.name() == "rpc"
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::new();
        span.record(&mut Into(&mut fields));
        let mut spans = self.0.lock().unwrap();
        spans.push(fields);
        Id::from_u64(spans.len() as u64)
    }
    fn record(&self, span: &Id, values: &Record<'_>) {
        if let Some(fields) = self.0.lock().unwrap().get_mut(span.into_u64() as usize - 1) {
            values.record(&mut Into(fields));
        }
    }
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn event(&self, _event: &Event<'_>) {}
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

#[tokio::test]
async fn every_request_s_span_says_what_the_limits_decided_and_by_which_rule() {
    let spans = Spans::default();
    let _heard = tracing::subscriber::set_default(spans.clone());
    let node = Node::start(|n, body| match n {
        0 => ok(&echo(&body)),
        _ => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "600")]).into_response(),
    })
    .await;
    let rpc = client(once(node.url.clone())).with_deadline(Instant::now() + Duration::from_secs(5));
    rpc.call("status", json!({})).await.unwrap();
    for _ in 0..2 {
        rpc.call("block", json!({})).await.unwrap_err();
    }
    let spans = spans.0.lock().unwrap().clone();
    let said: Vec<_> = spans
        .iter()
        .map(|span| {
            ["method", "status", "rate_limit.decision", "rate_limit.rule", "rate_limit.qps"].map(|key| &*span[key])
        })
        .collect();
    assert_eq!(said[0], ["status", "ok", "allowed", "rate", "200.000"]);
    assert_eq!(said[1][..3], ["block", "throttled", "allowed"]);
    assert_eq!(said[2][..4], ["block", "refused", "blocked", "hold_off"]);
    assert_eq!((said.len(), spans[0]["net.peer.name"].as_str()), (3, &*node.url.label()));
}
