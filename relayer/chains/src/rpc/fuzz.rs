//! The decoders of this stack as the fuzz targets call them; built with `--cfg fuzzing` only.

use std::time::Duration;

use limiter::{CallKind, Outcome};
use reqwest::header::HeaderMap;
use serde_json::value::RawValue;

use super::error::RpcErrorKind;
use super::transport::{self, HttpReply};
use super::{classify, ws};

/// What an HTTP answer to `calls` calls becomes: one result each, or one error for all of them.
pub fn replies(
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
    first_id: u64,
    calls: usize,
    kind: CallKind,
) -> Result<Vec<Result<Box<RawValue>, RpcErrorKind>>, RpcErrorKind> {
    let http = HttpReply { status, retry_after, body: body.to_vec() };
    let replies = classify::replies(http, first_id, calls)?;
    Ok(replies.into_iter().map(|reply| reply.map_err(|rejected| classify::one(rejected, kind))).collect())
}

/// What the endpoint's limiter learns of it.
pub fn outcome(error: &RpcErrorKind) -> Outcome {
    classify::outcome::<()>(&Err(error.clone()))
}

/// The wait that an answer's headers ask for.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    transport::retry_after(headers)
}

/// A WebSocket message: none when it ends the connection, else its event, if it is one.
pub fn wake(text: &str) -> Option<Option<Box<RawValue>>> {
    ws::event(text)
}
