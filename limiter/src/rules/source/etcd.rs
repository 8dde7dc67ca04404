//! A key of an etcd, through its HTTP/JSON gateway: read once, then watched from the next revision on.
//!
//! Shapes: `POST /v3/kv/range {key}` -> `{header: {revision}, kvs: [{value}]}`; `POST /v3/watch {create_request: {key,
//! start_revision}}` -> one JSON object a line, `{result: {events: [{type, kv: {value}}], canceled}}`. Keys and values are base64,
//! 64-bit numbers strings. A watch that ends, is cancelled (compaction) or stays silent for a minute begins again with a read, after a
//! pause that grows while watches end soon, so no change is missed. A deleted key changes nothing. With a login, a token is fetched anew for each such round.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout};
use url::Url;

use super::http::body;
use super::{Out, Pause, SourceError, why};
use crate::rules::limits::{HTTP_TIMEOUT, RETRY_MAX, WATCH_LINE, WATCH_QUIET};

/// See the module. `Debug` shows no password.
#[derive(Clone)]
pub struct Etcd {
    client: Client,
    url: Url,
    key: String,
    login: Option<(String, String)>,
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd").field("host", &self.url.host_str()).field("key", &self.key).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Range {
    header: Header,
    #[serde(default)]
    kvs: Vec<Pair>,
}
#[derive(Deserialize)]
struct Header {
    revision: String,
}
#[derive(Deserialize)]
struct Pair {
    #[serde(default)]
    value: String,
}
#[derive(Deserialize)]
struct Line {
    result: Option<Watched>,
}
#[derive(Deserialize)]
struct Watched {
    #[serde(default)]
    canceled: bool,
    #[serde(default)]
    events: Vec<Event>,
}
#[derive(Deserialize)]
struct Event {
    /// Absent: a put.
    #[serde(default, rename = "type")]
    kind: Option<String>,
    kv: Pair,
}
#[derive(Deserialize)]
struct Token {
    token: String,
}

impl Etcd {
    /// The rules at `key` of the etcd at `url` (`http://host:2379`).
    pub fn new(client: Client, url: Url, key: &str) -> Self {
        Self { client, url, key: key.to_owned(), login: None }
    }
    /// With a user's name and password.
    #[must_use]
    pub fn login(mut self, name: &str, password: &str) -> Self {
        self.login = Some((name.to_owned(), password.to_owned()));
        self
    }

    pub(super) async fn run(self, out: &Out) {
        let mut pause = Pause::new();
        loop {
            let began = Instant::now();
            if let Err(error) = self.round(out).await {
                out.trouble(&error);
            }
            // A gateway that ends each watch soon, even politely, is asked less and less often.
            if began.elapsed() >= RETRY_MAX {
                pause.reset();
            }
            pause.wait().await;
        }
    }

    /// Reads, then watches until the watch ends.
    async fn round(&self, out: &Out) -> Result<(), SourceError> {
        let token = match &self.login {
            None => None,
            Some((name, password)) => {
                let reply =
                    self.call("/v3/auth/authenticate", &json!({ "name": name, "password": password }), None).await?;
                Some(parse::<Token>(&reply, "a token")?.token)
            }
        };
        let key = STANDARD.encode(&self.key);
        let range = self.call("/v3/kv/range", &json!({ "key": key }), token.as_deref()).await?;
        let range: Range = parse(&range, "a range")?;
        let revision: u64 =
            range.header.revision.parse().map_err(|_| SourceError::Garbage("its revision is no number"))?;
        match range.kvs.first() {
            Some(pair) => {
                out.take(&value(pair)?);
            }
            None => out.trouble(&SourceError::Missing("the etcd has no such key")),
        }
        let start = revision.saturating_add(1).to_string();
        let create = json!({ "create_request": { "key": key, "start_revision": start } });
        let response =
            timeout(HTTP_TIMEOUT, self.send("/v3/watch", &create, token.as_deref())).await.map_err(|_| late())??;
        self.watch(response, out).await
    }

    async fn watch(&self, mut response: Response, out: &Out) -> Result<(), SourceError> {
        let mut pending = Vec::new();
        loop {
            let Ok(chunk) = timeout(WATCH_QUIET, response.chunk()).await else { return Ok(()) };
            let Some(chunk) = chunk.map_err(away)? else {
                return Err(SourceError::Away { what: "etcd", why: "the watch ended".into() });
            };
            for part in chunk.split_inclusive(|byte| *byte == b'\n') {
                if part.len() > WATCH_LINE.saturating_sub(pending.len()) {
                    return Err(SourceError::TooLarge(WATCH_LINE));
                }
                pending.extend_from_slice(part);
                if part.last() != Some(&b'\n') {
                    continue;
                }
                let line = std::mem::take(&mut pending);
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let line: Line = parse(&line, "a watch")?;
                let watched = line.result.ok_or(SourceError::Garbage("an error in the watch"))?;
                // Only the last of several puts counts.
                if let Some(event) = watched.events.last() {
                    match event.kind.as_deref() {
                        None | Some("PUT") => {
                            out.take(&value(&event.kv)?);
                        }
                        Some(_) => out.trouble(&SourceError::Missing("the key was deleted; its last rules stay")),
                    }
                }
                if watched.canceled {
                    return Ok(());
                }
            }
        }
    }

    async fn send(&self, path: &str, what: &serde_json::Value, token: Option<&str>) -> Result<Response, SourceError> {
        let url = self.url.join(path).map_err(|_| SourceError::Garbage("an address that takes no path"))?;
        let mut request = self.client.post(url).body(what.to_string());
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let response = request.send().await.map_err(away)?;
        if response.status().is_success() { Ok(response) } else { Err(SourceError::Status(response.status().as_u16())) }
    }

    async fn call(&self, path: &str, what: &serde_json::Value, token: Option<&str>) -> Result<Vec<u8>, SourceError> {
        let reply = async { body(self.send(path, what, token).await?, WATCH_LINE).await };
        timeout(HTTP_TIMEOUT, reply).await.unwrap_or_else(|_| Err(late()))
    }
}

fn value(pair: &Pair) -> Result<Vec<u8>, SourceError> {
    STANDARD.decode(&pair.value).map_err(|_| SourceError::Garbage("a value that is no base64"))
}
fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &'static str) -> Result<T, SourceError> {
    serde_json::from_slice(bytes).map_err(|_| SourceError::Garbage(what))
}
fn away(error: reqwest::Error) -> SourceError {
    SourceError::Away { what: "etcd", why: why(error) }
}
fn late() -> SourceError {
    SourceError::Away { what: "etcd", why: "no answer in time".into() }
}
