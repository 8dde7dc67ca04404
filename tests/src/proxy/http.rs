//! One HTTP request: seen, spoilt or passed on, and its answer changed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sp_crypto_hashing::blake2_256;

use super::{Call, Fault, State, websocket};
use crate::limits;

pub(super) async fn handle(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    if matches!(request.uri().path(), "/" | "/websocket") && request.headers().contains_key(header::UPGRADE) {
        return websocket::accept(state, request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, limits::MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let asked = if parts.method == Method::GET {
        Asked::uri(parts.uri.path(), parts.uri.query().unwrap_or_default())
    } else {
        Asked::json(&body)
    };
    let (fault, answered) = judge(&state, &asked.calls);
    match fault {
        Some(Fault::Status { code, retry_after_seconds }) => return refuse(code, retry_after_seconds),
        Some(Fault::Hang) => return std::future::pending().await,
        Some(Fault::Garbage) => return json_body(Body::from("\u{0}<html>not JSON{{{")),
        Some(Fault::Oversized(bytes)) => return json_body(oversized(bytes)),
        Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
        _ => {}
    }
    let (status, answer) = match pass_on(&state, &parts, &body, &asked, answered).await {
        Ok(answer) => answer,
        Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    };
    let mut response = match fault {
        Some(Fault::CutBody(after)) => cut(&answer, after),
        Some(Fault::Trickle(pause)) => json_body(trickle(answer, pause)),
        _ => json_body(Body::from(answer)),
    };
    *response.status_mut() = status;
    response
}

/// What a request asks for.
struct Asked {
    calls: Vec<Call>,
    /// The JSON of each call; none for a call written as an address.
    json: Vec<Value>,
}

impl Asked {
    fn uri(path: &str, query: &str) -> Self {
        Self { calls: vec![Call::from_uri(path, query)], json: Vec::new() }
    }

    /// What can't be read is passed on as it is: the node's answer to it is the truth.
    fn json(body: &[u8]) -> Self {
        let json = match serde_json::from_slice(body) {
            Ok(Value::Array(calls)) => calls,
            Ok(call) => vec![call],
            Err(_) => Vec::new(),
        };
        let calls = json.iter().map_while(Call::from_json).collect();
        Self { calls, json }
    }
}

/// Records a request and finds its faults: one of the whole request, and answers to single calls.
fn judge(state: &State, calls: &[Call]) -> (Option<Fault>, Vec<(usize, Value)>) {
    let mut inner = state.inner();
    let fault = inner.faults.for_request(calls);
    let forwarded = !matches!(fault, Some(Fault::Status { .. } | Fault::Hang | Fault::Garbage | Fault::Oversized(_)));
    inner.record.request();
    let mut answered = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let answer = if forwarded { inner.faults.for_call(call).map(|fault| answer_to(call, &fault)) } else { None };
        inner.record.call(call, forwarded && answer.is_none());
        answered.extend(answer.map(|answer| (index, answer)));
    }
    (fault, answered)
}

/// The proxy's own answer to a call.
fn answer_to(call: &Call, fault: &Fault) -> Value {
    let mut answer = json!({ "jsonrpc": "2.0", "id": call.id });
    if let Fault::RpcError { code, message, data } = fault {
        answer["error"] = json!({ "code": code, "message": message, "data": data });
    } else if call.is_extrinsic() {
        answer["result"] = format!("0x{}", hex::encode(blake2_256(&call.transaction()))).into();
    } else {
        let hash = hex::encode_upper(Sha256::digest(call.transaction()));
        answer["result"] = json!({ "code": 0, "data": "", "log": "", "codespace": "", "hash": hash });
    }
    answer
}

/// Asks the node what is left to ask, and changes its answers.
async fn pass_on(
    state: &State,
    parts: &axum::http::request::Parts,
    body: &Bytes,
    asked: &Asked,
    answered: Vec<(usize, Value)>,
) -> Result<(StatusCode, Bytes), reqwest::Error> {
    let mut answers: Vec<Value> = Vec::new();
    let mut in_brackets = false;
    let mut status = StatusCode::OK;
    if answered.len() < asked.calls.len() || asked.calls.is_empty() {
        let body = if answered.is_empty() { body.clone() } else { without(asked, &answered) };
        let target = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        let request = state.http.request(parts.method.clone(), format!("{}{target}", state.upstream));
        let response = request.header(header::CONTENT_TYPE, "application/json").body(body).send().await?;
        status = response.status();
        let bytes = response.bytes().await?;
        let hooked = asked.calls.iter().any(|call| !state.hooks_for(call).is_empty());
        if answered.is_empty() && !hooked {
            return Ok((status, bytes));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Array(many)) => (answers, in_brackets) = (many, true),
            Ok(one) => answers.push(one),
            Err(_) => return Ok((status, bytes)),
        }
        for answer in &mut answers {
            spoil(state, asked, answer);
        }
    }
    answers.extend(answered.into_iter().map(|(_, answer)| answer));
    // CometBFT answers a batch of one without the brackets, and so does the proxy unless the node has set them.
    let whole = match answers.pop() {
        Some(only) if answers.is_empty() && !in_brackets => only,
        last => Value::Array(answers.into_iter().chain(last).collect()),
    };
    Ok((status, Bytes::from(whole.to_string())))
}

/// Lets the hooks change one answer.
fn spoil(state: &State, asked: &Asked, answer: &mut Value) {
    let call = match asked.calls.as_slice() {
        [only] => Some(only),
        many => many.iter().find(|call| answer.get("id") == Some(&call.id)),
    };
    if let (Some(call), Some(result)) = (call, answer.get_mut("result")) {
        state.tamper(call, result);
    }
}

/// The request without the calls the proxy answers itself.
fn without(asked: &Asked, answered: &[(usize, Value)]) -> Bytes {
    let kept = asked.json.iter().enumerate().filter(|(index, _)| answered.iter().all(|(taken, _)| taken != index));
    let kept: Vec<Value> = kept.map(|(_, call)| call.clone()).collect();
    Bytes::from(Value::Array(kept).to_string())
}

fn refuse(code: u16, retry_after_seconds: Option<u64>) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, status.canonical_reason().unwrap_or_default()).into_response();
    if let Some(seconds) = retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn json_body(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A valid JSON-RPC answer with a very long text, made while it is sent.
fn oversized(bytes: usize) -> Body {
    const PIECE: &[u8] = &[b'a'; 64 << 10];
    let pieces = stream::iter((0..bytes.div_ceil(PIECE.len())).map(|_| Bytes::from_static(PIECE)));
    let head = stream::iter([Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"result":""#)]);
    let tail = stream::iter([Bytes::from_static(br#""}"#)]);
    Body::from_stream(head.chain(pieces).chain(tail).map(Ok::<_, Infallible>))
}

/// The first bytes under the whole answer's length, and then the connection breaks.
fn cut(answer: &Bytes, after: usize) -> Response {
    let head = answer.slice(..after.min(answer.len()));
    let broken = async {
        // The head must be on its way before the connection breaks, or the client sees no answer at all.
        tokio::time::sleep(limits::POLL_INTERVAL).await;
        Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut by the proxy"))
    };
    let body = Body::from_stream(stream::iter([Ok(head)]).chain(stream::once(broken)));
    let mut response = json_body(body);
    response.headers_mut().insert(header::CONTENT_LENGTH, answer.len().into());
    response
}

fn trickle(answer: Bytes, pause: Duration) -> Body {
    Body::from_stream(stream::unfold(answer, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let next = rest.split_to(1);
        Some((Ok::<_, Infallible>(next), rest))
    }))
}
