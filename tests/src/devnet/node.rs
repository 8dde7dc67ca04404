//! A small client of a CometBFT node for tests: JSON-RPC calls, queries of the application, transactions.
//!
//! It trusts the node, which a relayer must not do: tests use it to look at a chain from outside the relayer.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::Message;
use serde_json::{Value, json};

use crate::{DevnetError, limits};

/// A node's RPC endpoint.
#[derive(Clone, Debug)]
pub struct Node {
    url: String,
    http: reqwest::Client,
}

/// A transaction found in a block.
#[derive(Clone, Debug)]
pub struct CommittedTx {
    /// The hash, upper-case hex.
    pub hash: String,
    /// The height of its block.
    pub height: u64,
    /// The application's code, 0 for success.
    pub code: u64,
    /// Gas spent.
    pub gas_used: u64,
    /// Its events in order.
    pub events: Vec<Event>,
}

/// An event of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The type, for instance `send_packet`.
    pub kind: String,
    /// Keys and values in order.
    pub attributes: Vec<(String, String)>,
}

impl Event {
    /// The first value of this key.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

impl CommittedTx {
    /// The sequences of the packets it sent, in order.
    #[must_use]
    pub fn packet_sequences(&self) -> Vec<u64> {
        let sent = self.events.iter().filter(|e| e.kind == "send_packet");
        sent.filter_map(|e| e.attribute("packet_sequence")?.parse().ok()).collect()
    }
}

impl Node {
    /// The node at this `http://` address.
    ///
    /// # Errors
    /// [`DevnetError::Rpc`] if no client can be made.
    pub fn new(url: &str) -> Result<Self, DevnetError> {
        let http = http_client(url)?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), http })
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// One JSON-RPC call; its result.
    ///
    /// # Errors
    /// [`DevnetError::Rpc`] on a transport error or an error object.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, DevnetError> {
        let mut answer =
            self.post(method, &json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })).await?;
        match answer.get("error") {
            Some(error) if !error.is_null() => Err(rpc_error(&self.url, method, error)),
            _ => Ok(answer["result"].take()),
        }
    }

    /// A JSON-RPC batch; the answers as they came.
    ///
    /// # Errors
    /// [`DevnetError::Rpc`] on a transport error.
    pub async fn batch(&self, calls: &[(&str, Value)]) -> Result<Value, DevnetError> {
        let calls: Vec<Value> = calls
            .iter()
            .enumerate()
            .map(|(id, (method, params))| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .collect();
        let answer = self.post("batch", &Value::Array(calls)).await?;
        // A node answers a batch of one without the brackets.
        let lone = answer.get("id").is_some_and(|id| *id == json!(0));
        Ok(if lone { Value::Array(vec![answer]) } else { answer })
    }

    async fn post(&self, method: &str, body: &Value) -> Result<Value, DevnetError> {
        let failed = |e: reqwest::Error| rpc_error(&self.url, method, format!("{e:?}"));
        let response = self.http.post(&self.url).json(body).send().await.map_err(failed)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(failed)?;
        serde_json::from_slice(&bytes).map_err(|e| rpc_error(&self.url, method, format!("status {status}, {e}")))
    }

    /// A query of the application at its newest state.
    ///
    /// # Errors
    /// [`DevnetError::Query`] on an error code, otherwise as [`Node::call`] and [`DevnetError::Decode`].
    pub async fn query<Q: Message, A: Message + Default>(&self, path: &str, request: &Q) -> Result<A, DevnetError> {
        let params = json!({ "path": path, "data": hex::encode(request.encode_to_vec()) });
        let result = self.call("abci_query", params).await?;
        let response = &result["response"];
        let code = response["code"].as_u64().unwrap_or(0);
        if code != 0 {
            let log = response["log"].as_str().unwrap_or_default().to_owned();
            return Err(DevnetError::Query { path: path.to_owned(), code, log });
        }
        let value = response["value"].as_str().unwrap_or_default();
        let bytes = BASE64.decode(value).map_err(|e| DevnetError::decode(path, e))?;
        A::decode(bytes.as_slice()).map_err(|e| DevnetError::decode(path, e))
    }

    /// The newest height.
    ///
    /// # Errors
    /// As [`Node::call`].
    pub async fn height(&self) -> Result<u64, DevnetError> {
        let status = self.call("status", json!({})).await?;
        number(&status["sync_info"]["latest_block_height"], "latest_block_height")
    }

    /// Waits until the chain is at this height or higher; the height it is at.
    ///
    /// # Errors
    /// [`DevnetError::Timeout`] if it doesn't come so far.
    pub async fn wait_for_height(&self, height: u64, timeout: Duration) -> Result<u64, DevnetError> {
        let since = Instant::now();
        loop {
            match self.height().await {
                Ok(now) if now >= height => return Ok(now),
                _ if since.elapsed() > timeout => {
                    return Err(DevnetError::Timeout {
                        what: format!("height {height}"),
                        after_ms: timeout.as_millis(),
                    });
                }
                _ => tokio::time::sleep(limits::POLL_INTERVAL).await,
            }
        }
    }

    /// Hands a transaction to the mempool; its hash.
    ///
    /// # Errors
    /// [`DevnetError::Tx`] if the mempool refuses it.
    pub async fn broadcast(&self, tx: &[u8]) -> Result<String, DevnetError> {
        let result = self.call("broadcast_tx_sync", json!({ "tx": BASE64.encode(tx) })).await?;
        let hash = text(&result["hash"]);
        match result["code"].as_u64() {
            Some(0) => Ok(hash),
            code => Err(DevnetError::Tx {
                hash,
                code: code.unwrap_or(u64::MAX),
                codespace: text(&result["codespace"]),
                log: text(&result["log"]),
            }),
        }
    }

    /// Waits for a transaction to be in a block.
    ///
    /// # Errors
    /// [`DevnetError::Tx`] if it failed there, [`DevnetError::Timeout`] if it doesn't come.
    pub async fn committed(&self, hash: &str) -> Result<CommittedTx, DevnetError> {
        let bytes = hex::decode(hash).map_err(|e| DevnetError::decode("a transaction hash", e))?;
        let since = Instant::now();
        loop {
            // Until the indexer has seen it the answer is an error.
            let found = match self.call("tx", json!({ "hash": BASE64.encode(&bytes) })).await {
                Ok(found) => found,
                Err(last) if since.elapsed() > limits::COMMIT_TIMEOUT => {
                    let after_ms = limits::COMMIT_TIMEOUT.as_millis();
                    let what = format!("transaction {hash} at {}: {last}; {}", self.url, self.progress().await);
                    return Err(DevnetError::Timeout { what, after_ms });
                }
                Err(_) => {
                    tokio::time::sleep(limits::POLL_INTERVAL).await;
                    continue;
                }
            };
            let result = &found["tx_result"];
            let code = result["code"].as_u64().unwrap_or(0);
            if code != 0 {
                let (codespace, log) = (text(&result["codespace"]), text(&result["log"]));
                return Err(DevnetError::Tx { hash: hash.to_owned(), code, codespace, log });
            }
            return Ok(CommittedTx {
                hash: hash.to_owned(),
                height: number(&found["height"], "height")?,
                code,
                gas_used: number(&result["gas_used"], "gas_used")?,
                events: result["events"].as_array().into_iter().flatten().map(event).collect(),
            });
        }
    }

    /// Height and mempool, for a message.
    async fn progress(&self) -> String {
        let height = self.height().await.map_or_else(|e| e.to_string(), |height| height.to_string());
        let waiting = self.call("num_unconfirmed_txs", json!({})).await;
        format!("height {height}, waiting {}", waiting.map_or_else(|e| e.to_string(), |txs| txs["n_txs"].to_string()))
    }
}

/// A client for loopback that asks no proxy of the environment.
pub(crate) fn http_client(url: &str) -> Result<reqwest::Client, DevnetError> {
    // The HTTP library wants a TLS provider named even for plain HTTP.
    static PROVIDER: OnceLock<()> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        // Another part of the process may have named one, which serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
    });
    let http = reqwest::Client::builder().timeout(limits::REQUEST_TIMEOUT).no_proxy().build();
    http.map_err(|e| rpc_error(url, "client", e))
}

fn event(value: &Value) -> Event {
    let attributes = value["attributes"].as_array().into_iter().flatten();
    Event { kind: text(&value["type"]), attributes: attributes.map(|a| (text(&a["key"]), text(&a["value"]))).collect() }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// CometBFT writes 64-bit numbers as text.
fn number(value: &Value, what: &str) -> Result<u64, DevnetError> {
    let parsed = value.as_str().and_then(|s| s.parse().ok());
    parsed.ok_or_else(|| DevnetError::decode(what, format!("not a number: {value}")))
}

fn rpc_error(url: &str, method: &str, reason: impl ToString) -> DevnetError {
    DevnetError::Rpc { url: url.to_owned(), method: method.to_owned(), reason: reason.to_string() }
}
