//! The stack against real sockets on loopback: an axum node that answers as told, and raw ones that break HTTP.

mod batching;
mod bodies;
mod endpoints;
mod extra;
mod pacing;
mod rules;
#[cfg(feature = "redis")]
mod shared;
mod traces;
mod wake;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::*;

/// One request as a node saw it.
#[derive(Debug, Clone)]
struct Seen {
    at: Instant,
    headers: HeaderMap,
    body: Value,
}

/// A node that answers as told and remembers who asked.
struct Node {
    url: EndpointUrl,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Node {
    /// `answer` gets the number of the request, from 0, and its body.
    async fn start(answer: impl Fn(usize, Value) -> Response + Clone + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let log = seen.clone();
        let router = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
            let body: Value = serde_json::from_slice(&body).unwrap();
            let mut log = log.lock().unwrap();
            log.push(Seen { at: Instant::now(), headers, body: body.clone() });
            let response = answer(log.len() - 1, body);
            async { response }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, seen }
    }
    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
    fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

/// A node that handles each connection by hand, after the request has been read.
async fn raw_node<F>(handle: impl Fn(TcpStream) -> F + Send + 'static) -> EndpointUrl
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert_ne!(stream.read(&mut request).await.unwrap(), 0);
            tokio::spawn(handle(stream));
        }
    });
    url
}

/// An address where nobody listens.
async fn nobody() -> EndpointUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap()).parse().unwrap()
}

/// What a good node says: the params back.
fn echo(body: &Value) -> Value {
    let one = |call: &Value| json!({ "jsonrpc": "2.0", "id": call["id"], "result": call["params"] });
    match body.as_array() {
        Some(calls) => calls.iter().map(one).collect(),
        None => one(body),
    }
}

fn ok(body: &Value) -> Response {
    body.to_string().into_response()
}

fn status(code: u16) -> Response {
    StatusCode::from_u16(code).unwrap().into_response()
}

fn settings(urls: impl IntoIterator<Item = EndpointUrl>) -> RpcSettings {
    RpcSettings::new("ibc-0", urls.into_iter().map(EndpointSettings::new).collect())
}

/// One attempt, so that a test sees the first error.
fn once(url: EndpointUrl) -> RpcSettings {
    RpcSettings { attempts: 1, ..settings([url]) }
}

fn client(settings: RpcSettings) -> RpcClient {
    RpcClient::new(settings).unwrap()
}
