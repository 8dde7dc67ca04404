//! Subscriptions, passed on, changed, stalled or refused: at `/websocket` of CometBFT's nodes, at `/` of Substrate's.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{WebSocketStream, connect_async};

use super::{Call, State};

/// How WebSocket connections behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebSocketMode {
    /// Everything is passed on.
    #[default]
    Forward,
    /// Subscriptions are accepted and pings answered, but no event comes.
    Stalled,
    /// Nothing is answered at all; the connection stays open.
    Frozen,
    /// New connections get status 503; open ones go on.
    Refused,
}

/// What the proxy tells its open connections.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Control {
    pub(super) mode: WebSocketMode,
    /// A connection ends when this changes.
    pub(super) generation: u64,
}

/// Answers the upgrade and serves the connection in a task of its own, which ends with it.
pub(super) async fn accept(state: Arc<State>, mut request: Request) -> Response {
    state.inner().record.websocket();
    if state.control.borrow().mode == WebSocketMode::Refused {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let upstream = format!("{}{}", state.upstream.replacen("http", "ws", 1), request.uri().path());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // A client that leaves before the upgrade has nothing to be served.
        if let Ok(stream) = upgrade.await {
            let client = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
            serve(state, client, upstream).await;
        }
    });
    let upgraded = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()))
        .body(Body::empty());
    upgraded.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

type Client = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// Passes messages both ways until either side ends, or the connection is cut.
async fn serve(state: Arc<State>, mut client: Client, upstream: String) {
    let mut control = state.control.subscribe();
    let generation = control.borrow_and_update().generation;
    let Ok((mut node, _)) = connect_async(upstream).await else {
        return;
    };
    let mut subscriptions: Vec<Call> = Vec::new();
    loop {
        let mode = control.borrow().mode;
        tokio::select! {
            changed = control.changed() => {
                if changed.is_err() || control.borrow_and_update().generation != generation {
                    return;
                }
            }
            message = client.next(), if mode != WebSocketMode::Frozen => {
                let Some(Ok(message)) = message else { return };
                let Message::Text(text) = message else { continue };
                let call = serde_json::from_str(&text).ok().as_ref().and_then(Call::from_json);
                let forwarded = mode != WebSocketMode::Stalled;
                if let Some(call) = &call {
                    state.inner().record.call(call, forwarded);
                }
                let sent = match &call {
                    Some(call) if !forwarded => {
                        client.send(Message::text(accepted(call).to_string())).await
                    }
                    _ => node.send(Message::Text(text)).await,
                };
                subscriptions.extend(call.filter(Call::is_subscription));
                if sent.is_err() {
                    return;
                }
            }
            message = node.next() => {
                let Some(Ok(message)) = message else { return };
                if matches!(mode, WebSocketMode::Stalled | WebSocketMode::Frozen) {
                    continue;
                }
                let message = match message {
                    Message::Text(text) => Message::text(spoil(&state, &subscriptions, text.as_str())),
                    other => other,
                };
                if client.send(message).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The answer to a subscription that nothing will come of. Substrate's have a name.
fn accepted(call: &Call) -> Value {
    let result = if call.method == "subscribe" { json!({}) } else { json!("stalled") };
    json!({ "jsonrpc": "2.0", "id": call.id, "result": result })
}

/// Lets the hooks change an event: those for `subscribe` at CometBFT, which sends events under the call's id; those for a notification's own
/// method at Substrate.
fn spoil(state: &State, subscriptions: &[Call], text: &str) -> String {
    let Ok(mut message) = serde_json::from_str::<Value>(text) else {
        return text.to_owned();
    };
    let changed = match Call::notification(&mut message) {
        Some((told, event)) => state.tamper(&told, event),
        None => {
            let call = subscriptions.iter().find(|call| message.get("id") == Some(&call.id));
            let result = message.get_mut("result");
            call.zip(result).is_some_and(|(call, result)| state.tamper(call, result))
        }
    };
    if changed { message.to_string() } else { text.to_owned() }
}
