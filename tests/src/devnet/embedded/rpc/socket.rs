//! `/websocket`: subscriptions to new blocks and their headers, acknowledged with an empty result; each event carries the id of its
//! subscription. Pings are answered. Any other call is answered as over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{Fault, Shared, method, render};
use crate::limits;

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    NewBlock,
    NewBlockHeader,
}

impl Topic {
    fn of(query: &str) -> Option<Self> {
        let plain: String = query.chars().filter(|c| !c.is_whitespace()).collect();
        match plain.replace('"', "'").as_str() {
            "tm.event='NewBlock'" => Some(Self::NewBlock),
            "tm.event='NewBlockHeader'" => Some(Self::NewBlockHeader),
            _ => None,
        }
    }
}

/// Answers the upgrade and serves the connection in a task of its own, which ends with it.
pub(super) fn accept(shared: Arc<Shared>, mut request: Request) -> Response {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    shared.faults.socket();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // A client that leaves before the upgrade has nothing to be served.
        if let Ok(stream) = upgrade.await {
            let client = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
            serve(shared, client).await;
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

/// Serves one client until it leaves, is cut off, or the chain ends.
async fn serve(shared: Arc<Shared>, mut client: Client) {
    let mut heights = shared.node.subscribe();
    let mut told = *heights.borrow_and_update();
    let (mut cuts, stalls) = (shared.faults.cuts(), shared.faults.stalls());
    let mut subscriptions: BTreeMap<Topic, (Value, String)> = BTreeMap::new();
    loop {
        let sent = tokio::select! {
            _ = cuts.changed() => return,
            changed = heights.changed() => {
                if changed.is_err() {
                    return;
                }
                let newest = *heights.borrow_and_update();
                let silent = *stalls.borrow();
                let mut sent = Ok(());
                for height in told + 1..=newest {
                    for (topic, (id, query)) in &subscriptions {
                        if silent {
                            shared.faults.note(Fault::StalledWebSocket.name(), "subscribe");
                        } else if sent.is_ok() && let Some(event) = event(&shared, height, *topic, id, query) {
                            sent = client.send(Message::text(event.to_string())).await;
                        }
                    }
                }
                told = newest;
                sent
            }
            message = client.next() => match message {
                // The library answers pings itself, on the next read or write.
                Some(Ok(Message::Text(text))) => match reply(&shared, &text, &mut subscriptions).await {
                    Some(answer) => client.send(Message::text(answer.to_string())).await,
                    None => Ok(()),
                },
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => client.flush().await,
            },
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn reply(
    shared: &Arc<Shared>,
    text: &str,
    subscriptions: &mut BTreeMap<Topic, (Value, String)>,
) -> Option<Value> {
    let refused = |id: &Value, code: i32, message: &str, data: &str| {
        Some(json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message, "data": data } }))
    };
    if text.len() > limits::SOCKET_MESSAGE_BYTES {
        return refused(&Value::Null, -32_600, "Invalid Request", "message too large");
    }
    let Ok(call) = serde_json::from_str::<Value>(text) else {
        return refused(&Value::Null, -32_700, "Parse error. Invalid JSON", "error unmarshaling request");
    };
    let (id, params) = (call["id"].clone(), call["params"].clone());
    let query = params["query"].as_str().unwrap_or_default();
    match call["method"].as_str().unwrap_or_default() {
        "subscribe" => match Topic::of(query) {
            Some(topic) if subscriptions.contains_key(&topic) => {
                refused(&id, -32_603, "Internal error", "already subscribed")
            }
            Some(topic) => {
                subscriptions.insert(topic, (id.clone(), query.to_owned()));
                Some(json!({ "jsonrpc": "2.0", "id": id, "result": {} }))
            }
            None => refused(&id, -32_603, "Internal error", &format!("failed to parse query: {query}")),
        },
        "unsubscribe" | "unsubscribe_all" => {
            match Topic::of(query) {
                Some(topic) => drop(subscriptions.remove(&topic)),
                None => subscriptions.clear(),
            }
            Some(json!({ "jsonrpc": "2.0", "id": id, "result": {} }))
        }
        name => {
            let (shared, name) = (Arc::clone(shared), name.to_owned());
            let answered = tokio::task::spawn_blocking(move || method::call(&shared, &name, &params)).await.ok()?;
            match answered {
                Ok(result) => Some(json!({ "jsonrpc": "2.0", "id": id, "result": result })),
                Err(failure) => refused(&id, failure.code, failure.message, &failure.data),
            }
        }
    }
}

/// An event of a height; none if the block is gone.
fn event(shared: &Shared, height: u64, topic: Topic, id: &Value, query: &str) -> Option<Value> {
    let block = shared.node.block(height)?;
    let (kind, value) = match topic {
        Topic::NewBlockHeader => ("NewBlockHeader", json!({ "header": render::header(&block.header) })),
        Topic::NewBlock => {
            let before = height.checked_sub(1).and_then(|before| shared.node.block(before));
            let mut value = render::block(&block, before.as_deref());
            value["result_finalize_block"] = render::block_results(&block);
            ("NewBlock", value)
        }
    };
    let data = json!({ "type": format!("tendermint/event/{kind}"), "value": value });
    let result = json!({ "query": query, "data": data, "events": { "tm.event": [kind] } });
    Some(json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}
