//! One HTTP request: its calls answered in order, or spoilt.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::{Map, Value, json};

use super::fault::Spoil;
use super::method::{self, Failure};
use super::{Shared, lie, socket};
use crate::limits;

pub(super) async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if request.uri().path() == "/websocket" && request.headers().contains_key(header::UPGRADE) {
        return socket::accept(shared, request);
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, limits::MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let asked = match parts.method {
        Method::GET => Asked::Uri(from_uri(parts.uri.path(), parts.uri.query().unwrap_or_default())),
        _ => match serde_json::from_slice(&body) {
            Ok(Value::Array(calls)) => Asked::Batch(calls),
            Ok(call) => Asked::One(call),
            Err(error) => Asked::Unreadable(error.to_string()),
        },
    };
    let spoil = shared.faults.draw(asked.first_method(), asked.calls());
    match spoil {
        Some(Spoil::Refuse { retry_after_s }) => return refuse(retry_after_s),
        Some(Spoil::Never) => return std::future::pending().await,
        Some(Spoil::BadGateway) => return StatusCode::BAD_GATEWAY.into_response(),
        // The node has done what it was asked to; only its answer is spoilt.
        Some(Spoil::Garbage | Spoil::Cut) | None => {}
        Some(Spoil::Late(delay)) => tokio::time::sleep(delay).await,
    }
    // Queries and broadcasts wait for the block in work.
    let answered =
        tokio::task::spawn_blocking(move || answer(&shared, asked).map(|(status, v)| (status, v.to_string())));
    let Ok(Some((status, answer))) = answered.await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let answer = Bytes::from(answer);
    let mut response = match spoil {
        Some(Spoil::Cut) => cut(&answer),
        Some(Spoil::Garbage) => json_body(Body::from("\u{0}<html>not JSON{{{")),
        _ => json_body(Body::from(answer)),
    };
    *response.status_mut() = status;
    response
}

/// What a request asks for.
enum Asked {
    Uri(Value),
    One(Value),
    Batch(Vec<Value>),
    Unreadable(String),
}

impl Asked {
    fn calls(&self) -> usize {
        match self {
            Self::Uri(_) | Self::One(_) | Self::Unreadable(_) => 1,
            Self::Batch(calls) => calls.len(),
        }
    }
    fn first_method(&self) -> &str {
        let call = match self {
            Self::Uri(call) | Self::One(call) => Some(call),
            Self::Batch(calls) => calls.first(),
            Self::Unreadable(_) => None,
        };
        call.and_then(|call| call["method"].as_str()).unwrap_or_default()
    }
}

/// A call written as an address: `/block?height=5`.
fn from_uri(path: &str, query: &str) -> Value {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let unquoted = pairs.map(|(key, value)| {
        let value = value.replace("%22", "\"").replace("%27", "'").replace("%20", " ");
        (key.to_owned(), Value::from(value.trim_matches('"')))
    });
    let params: Map<String, Value> = unquoted.collect();
    json!({ "id": -1, "method": path.trim_matches('/'), "params": params })
}

/// Status and body; none if nothing was asked.
fn answer(shared: &Shared, asked: Asked) -> Option<(StatusCode, Value)> {
    match asked {
        Asked::Unreadable(reason) => {
            let failure = Failure { code: -32_700, message: "Parse error. Invalid JSON", data: reason };
            Some((StatusCode::INTERNAL_SERVER_ERROR, failed(&Value::Null, &failure)))
        }
        Asked::Uri(call) => {
            let answer = one(shared, &call);
            let status = if answer.get("error").is_some() { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
            Some((status, answer))
        }
        Asked::One(call) => Some((StatusCode::OK, one(shared, &call))),
        Asked::Batch(calls) if calls.len() > shared.node.spec().batch_calls => {
            let most = shared.node.spec().batch_calls;
            let data = format!("batch request exceeds maximum ({most}) allowed number of requests");
            let failure = Failure { code: -32_600, message: "Invalid Request", data };
            Some((StatusCode::INTERNAL_SERVER_ERROR, failed(&Value::Null, &failure)))
        }
        Asked::Batch(calls) => {
            let mut answers: Vec<Value> = calls.iter().map(|call| one(shared, call)).collect();
            // A batch of one is answered without the brackets.
            let whole = if answers.len() == 1 { answers.pop()? } else { Value::Array(answers) };
            Some((StatusCode::OK, whole))
        }
    }
}

fn one(shared: &Shared, call: &Value) -> Value {
    let (method, params) = (call["method"].as_str().unwrap_or_default(), &call["params"]);
    match method::call(shared, method, params) {
        Ok(mut result) => {
            lie::tell(shared, method, params, &mut result);
            json!({ "jsonrpc": "2.0", "id": call["id"], "result": result })
        }
        Err(failure) => failed(&call["id"], &failure),
    }
}

fn failed(id: &Value, failure: &Failure) -> Value {
    let error = json!({ "code": failure.code, "message": failure.message, "data": failure.data });
    json!({ "jsonrpc": "2.0", "id": id, "error": error })
}

fn refuse(retry_after_s: Option<u64>) -> Response {
    let mut response = (StatusCode::TOO_MANY_REQUESTS, "Too Many Requests").into_response();
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn json_body(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The first half under the whole answer's length, and then the connection breaks.
fn cut(answer: &Bytes) -> Response {
    let head = answer.slice(..answer.len() / 2);
    let broken = async {
        // The head must be on its way before the connection breaks, or the client sees no answer at all.
        tokio::time::sleep(limits::POLL_INTERVAL).await;
        Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut by a fault"))
    };
    let mut response = json_body(Body::from_stream(stream::iter([Ok(head)]).chain(stream::once(broken))));
    response.headers_mut().insert(header::CONTENT_LENGTH, answer.len().into());
    response
}
