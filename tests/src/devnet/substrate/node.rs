//! A small client of a Substrate node for tests: JSON-RPC calls over HTTP.
//!
//! It trusts the node, which a relayer must not do.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::devnet::Node;
use crate::{DevnetError, limits};

/// A validator's RPC endpoint.
#[derive(Clone, Debug)]
pub struct SubstrateNode {
    rpc: Node,
}

/// What a node says of its own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Other nodes it is connected to.
    pub peers: u64,
    /// Whether it is still fetching old blocks.
    pub syncing: bool,
}

impl SubstrateNode {
    /// The node at this `http://` address.
    ///
    /// # Errors
    /// [`DevnetError::Rpc`] if no client can be made.
    pub fn new(url: &str) -> Result<Self, DevnetError> {
        Ok(Self { rpc: Node::new(url)? })
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.rpc.url()
    }

    /// One JSON-RPC call with its parameters in order; its result.
    ///
    /// # Errors
    /// [`DevnetError::Rpc`] on a transport error or an error object.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, DevnetError> {
        self.rpc.call(method, params).await
    }

    /// Its connections and whether it catches up.
    ///
    /// # Errors
    /// As [`SubstrateNode::call`], and [`DevnetError::Decode`].
    pub async fn health(&self) -> Result<Health, DevnetError> {
        let health = self.call("system_health", json!([])).await?;
        match (health["peers"].as_u64(), health["isSyncing"].as_bool()) {
            (Some(peers), Some(syncing)) => Ok(Health { peers, syncing }),
            _ => Err(DevnetError::decode("system_health", health)),
        }
    }

    /// The number of the newest finalized block.
    ///
    /// # Errors
    /// As [`SubstrateNode::health`].
    pub async fn finalized(&self) -> Result<u64, DevnetError> {
        let hash = self.finalized_hash().await?;
        self.number(&hash).await
    }

    /// The hash of the newest finalized block, as `0x` and hex.
    ///
    /// # Errors
    /// As [`SubstrateNode::health`].
    pub async fn finalized_hash(&self) -> Result<String, DevnetError> {
        text(self.call("chain_getFinalizedHead", json!([])).await?, "chain_getFinalizedHead")
    }

    /// The number of the newest block, which may yet be replaced by another.
    ///
    /// # Errors
    /// As [`SubstrateNode::health`].
    pub async fn best(&self) -> Result<u64, DevnetError> {
        number_of(&self.call("chain_getHeader", json!([])).await?)
    }

    /// The hash of the block of this number on the node's best chain.
    ///
    /// # Errors
    /// As [`SubstrateNode::health`]; [`DevnetError::Decode`] if there is none.
    pub async fn block_hash(&self, number: u64) -> Result<String, DevnetError> {
        text(self.call("chain_getBlockHash", json!([number])).await?, "chain_getBlockHash")
    }

    /// The number of the block of this hash.
    ///
    /// # Errors
    /// As [`SubstrateNode::health`].
    pub async fn number(&self, hash: &str) -> Result<u64, DevnetError> {
        number_of(&self.call("chain_getHeader", json!([hash])).await?)
    }

    /// Waits until this block is final; the newest final block then.
    ///
    /// # Errors
    /// [`DevnetError::Timeout`] if it doesn't come so far.
    pub async fn wait_for_finalized(&self, number: u64) -> Result<u64, DevnetError> {
        self.wait_for_finalized_within(number, limits::FINALITY_TIMEOUT).await
    }

    /// As [`SubstrateNode::wait_for_finalized`], with a time of its own.
    ///
    /// # Errors
    /// [`DevnetError::Timeout`] if it doesn't come so far.
    pub async fn wait_for_finalized_within(&self, number: u64, timeout: Duration) -> Result<u64, DevnetError> {
        let since = Instant::now();
        loop {
            let last = self.finalized().await;
            match last {
                Ok(now) if now >= number => return Ok(now),
                _ if since.elapsed() > timeout => {
                    let last = last.map_or_else(|e| e.to_string(), |now| now.to_string());
                    let what = format!("block {number} to be final at {}, last seen {last}", self.url());
                    return Err(DevnetError::Timeout { what, after_ms: timeout.as_millis() });
                }
                _ => tokio::time::sleep(limits::LOOK_INTERVAL).await,
            }
        }
    }
}

fn text(value: Value, what: &str) -> Result<String, DevnetError> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(DevnetError::decode(what, format!("not a text: {other}"))),
    }
}

/// The number in a header: `0x` and hex.
fn number_of(header: &Value) -> Result<u64, DevnetError> {
    let digits = header["number"].as_str().and_then(|text| text.strip_prefix("0x"));
    let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.ok_or_else(|| DevnetError::decode("a header's number", header))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_headers_number_is_hex() {
        assert_eq!(number_of(&json!({ "number": "0x1f" })).unwrap(), 31);
        for wrong in [json!({ "number": 31 }), json!({ "number": "31" }), json!({ "number": "0x" }), json!(null)] {
            assert!(number_of(&wrong).is_err(), "{wrong}");
        }
    }
}
