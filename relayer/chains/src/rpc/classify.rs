//! A node's answer as one of few codes. Here, and in the chain adapters, a node's text is read; nowhere above.
//!
//! HTTP 429, and 503 with Retry-After, throttle; so do the JSON-RPC codes public gateways use. CometBFT has one code (-32603)
//! for all its errors and says "mempool is full" in `data`: back-pressure of broadcasts, not of the endpoint.

use std::time::Duration;

use limiter::{CallKind, Outcome};

use super::error::{Rejected, RpcErrorKind, ThrottledBy, Unavailable};
use super::transport::HttpReply;
use super::wire::{self, Replies, Reply};

/// Limit exceeded (EIP-1474), and what Substrate nodes and gateways use for the same.
const THROTTLE_CODES: [i64; 4] = [-32005, -32007, -32012, -32016];
const INVALID_REQUEST: i64 = -32600;
const INTERNAL_ERROR: i64 = -32603;

/// The answers in the order of the calls, or what is wrong with all of them.
pub(crate) fn replies(http: HttpReply, first_id: u64, calls: usize) -> Result<Vec<Reply>, RpcErrorKind> {
    let status = http.status;
    let success = (200..300).contains(&status);
    if let Some(throttled) = throttled(status, http.retry_after) {
        return Err(throttled);
    }
    if status == 413 && calls > 1 {
        return Err(RpcErrorKind::BatchTooLarge { max: None });
    }
    match wire::replies(http.body, first_id, calls) {
        Ok(Replies::Each(replies)) if success => Ok(replies),
        Ok(Replies::Whole(rejected)) => Err(whole(rejected, calls)),
        // A single call refused with its own id beside an HTTP error status.
        Ok(Replies::Each(replies)) if calls == 1 && replies.iter().all(Result::is_err) => Ok(replies),
        Err(malformed) if success => Err(RpcErrorKind::Malformed(malformed)),
        _ => Err(RpcErrorKind::Unavailable { why: Unavailable::Status(status), retry_after: http.retry_after }),
    }
}

/// Whether a status means that we call too often.
pub(crate) fn throttled(status: u16, retry_after: Option<Duration>) -> Option<RpcErrorKind> {
    let throttles = status == 429 || status == 503 && retry_after.is_some();
    throttles.then_some(RpcErrorKind::Throttled { by: ThrottledBy::Status(status), retry_after })
}

fn whole(rejected: Rejected, calls: usize) -> RpcErrorKind {
    if calls > 1 && rejected.code == INVALID_REQUEST && says(&rejected, "batch") {
        return RpcErrorKind::BatchTooLarge { max: batch_maximum(&rejected) };
    }
    one(rejected, CallKind::Read)
}

/// One call's error.
pub(crate) fn one(rejected: Rejected, kind: CallKind) -> RpcErrorKind {
    if THROTTLE_CODES.contains(&rejected.code) {
        return RpcErrorKind::Throttled { by: ThrottledBy::Code(rejected.code), retry_after: None };
    }
    if kind == CallKind::Broadcast && rejected.code == INTERNAL_ERROR && says(&rejected, "mempool is full") {
        return RpcErrorKind::MempoolFull;
    }
    RpcErrorKind::Rejected(Box::new(rejected))
}

/// What the endpoint's limiter learns from an exchange.
pub(crate) fn outcome<T>(result: &Result<T, RpcErrorKind>) -> Outcome {
    match result {
        Ok(_) => Outcome::Answered,
        Err(RpcErrorKind::Throttled { retry_after, .. }) => Outcome::Throttled { retry_after: *retry_after },
        Err(RpcErrorKind::MempoolFull) => Outcome::MempoolFull,
        Err(RpcErrorKind::Rejected(_) | RpcErrorKind::BatchTooLarge { .. } | RpcErrorKind::Invalid(_)) => {
            Outcome::Answered
        }
        Err(
            RpcErrorKind::Unavailable { .. }
            | RpcErrorKind::Timeout { .. }
            | RpcErrorKind::TooLarge { .. }
            | RpcErrorKind::Malformed(_),
        ) => Outcome::Failed,
    }
}

fn says(rejected: &Rejected, words: &str) -> bool {
    rejected.data.contains(words) || rejected.message.contains(words)
}

/// "batch request exceeds maximum (10) allowed number of requests"
fn batch_maximum(rejected: &Rejected) -> Option<u32> {
    let text = if rejected.data.contains('(') { &rejected.data } else { &rejected.message };
    text.split_once('(')?.1.split_once(')')?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(status: u16, retry_after: Option<u64>, body: &str) -> HttpReply {
        HttpReply { status, retry_after: retry_after.map(Duration::from_secs), body: body.as_bytes().to_vec() }
    }
    fn rejected(code: i64, data: &str) -> Rejected {
        Rejected { code, message: "Internal error".into(), data: data.into() }
    }

    #[test]
    fn statuses_that_throttle_are_told_from_those_that_fail() {
        let throttled = replies(http(429, Some(3), ""), 0, 1).unwrap_err();
        assert_eq!(
            throttled,
            RpcErrorKind::Throttled { by: ThrottledBy::Status(429), retry_after: Some(Duration::from_secs(3)) }
        );
        assert!(matches!(replies(http(503, Some(1), ""), 0, 1), Err(RpcErrorKind::Throttled { .. })));
        for status in [301, 401, 500, 502, 503] {
            let error = replies(http(status, None, "<html>"), 0, 1).unwrap_err();
            assert_eq!(error, RpcErrorKind::Unavailable { why: Unavailable::Status(status), retry_after: None });
            assert_eq!(outcome::<()>(&Err(error)), Outcome::Failed);
        }
    }

    #[test]
    fn an_applications_no_beside_an_error_status_is_no_fault_of_the_endpoint() {
        let body =
            r#"{"jsonrpc":"2.0","id":4,"error":{"code":-32603,"message":"Internal error","data":"tx not found"}}"#;
        let answers = replies(http(500, None, body), 4, 1).unwrap();
        let kind = one(answers[0].clone().unwrap_err(), CallKind::Read);
        assert_eq!(kind, RpcErrorKind::Rejected(Box::new(rejected(-32603, "tx not found"))));
        assert_eq!(outcome::<()>(&Err(kind)), Outcome::Answered);
    }

    #[test]
    fn a_full_mempool_is_back_pressure_of_broadcasts_only() {
        let full = || rejected(-32603, "mempool is full: number of txs 5000 (max: 5000)");
        assert_eq!(one(full(), CallKind::Broadcast), RpcErrorKind::MempoolFull);
        assert!(matches!(one(full(), CallKind::Read), RpcErrorKind::Rejected(_)));
    }

    #[test]
    fn gateways_throttle_codes_throttle() {
        for code in THROTTLE_CODES {
            assert!(matches!(one(rejected(code, ""), CallKind::Read), RpcErrorKind::Throttled { .. }));
        }
    }

    #[test]
    fn the_batch_maximum_is_read_from_cometbfts_words() {
        let body = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request",
            "data":"batch request exceeds maximum (10) allowed number of requests"}}"#;
        let error = replies(http(200, None, body), 0, 11).unwrap_err();
        assert_eq!(error, RpcErrorKind::BatchTooLarge { max: Some(10) });
    }
}
