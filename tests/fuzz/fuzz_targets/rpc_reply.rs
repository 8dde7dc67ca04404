//! JSON-RPC bodies and batches beside their HTTP status: one result a call, bounded texts, and throttling told from failing.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use limiter::{CallKind, Outcome};
use relayer_chains::rpc::limits::ERROR_TEXT_BYTES;
use relayer_chains::rpc::{RpcErrorKind, fuzz};
use relayer_fuzz::Input;

const STATUSES: [u16; 8] = [200, 429, 503, 413, 500, 502, 301, 404];

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let (status, retry, calls, first_id) = (input.byte(), input.byte(), input.byte(), u64::from(input.byte()));
    let status = STATUSES[usize::from(status) % STATUSES.len()];
    let retry_after = (retry % 2 == 1).then(|| Duration::from_secs(u64::from(retry)));
    let kind = if retry & 2 == 0 { CallKind::Read } else { CallKind::Broadcast };
    let calls = 1 + usize::from(calls % 12);
    match fuzz::replies(status, retry_after, input.0, first_id, calls, kind) {
        Ok(replies) => {
            assert_eq!(replies.len(), calls);
            assert!(status == 200 || calls == 1 && replies[0].is_err(), "a result beside status {status}");
            for reply in replies {
                match reply {
                    Ok(result) => assert!(result.get().len() <= input.0.len()),
                    Err(error) => check(&error, kind, calls),
                }
            }
        }
        Err(error) => {
            let throttled = matches!(error, RpcErrorKind::Throttled { .. });
            assert!(throttled || status != 429);
            check(&error, kind, calls);
        }
    }
});

fn check(error: &RpcErrorKind, kind: CallKind, calls: usize) {
    let outcome = fuzz::outcome(error);
    match error {
        RpcErrorKind::Throttled { retry_after, .. } => {
            assert_eq!(outcome, Outcome::Throttled { retry_after: *retry_after });
        }
        RpcErrorKind::MempoolFull => assert_eq!((kind, outcome), (CallKind::Broadcast, Outcome::MempoolFull)),
        RpcErrorKind::BatchTooLarge { .. } => assert!(calls > 1),
        RpcErrorKind::Rejected(no) => {
            assert!(no.message.len() <= ERROR_TEXT_BYTES && no.data.len() <= ERROR_TEXT_BYTES);
            assert_eq!(outcome, Outcome::Answered, "the application's no is no fault of the endpoint");
        }
        _ => assert_eq!(outcome, Outcome::Failed),
    }
    assert!(!error.to_string().is_empty());
}
