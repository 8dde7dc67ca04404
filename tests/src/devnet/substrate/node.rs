//! A small client of a Substrate node for tests: JSON-RPC calls over HTTP.
//!
//! It trusts the node, which a relayer must not do.

use std::time::{Duration, Instant};

use parity_scale_codec::Decode;
use serde_json::{Value, json};
use sp_crypto_hashing::{blake2_128, twox_128};

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

    /// A value of the newest finalized state; `None` if there is none under this key.
    ///
    /// # Errors
    /// As [`SubstrateNode::health`].
    pub async fn storage(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DevnetError> {
        let at = self.finalized_hash().await?;
        self.storage_of(key, &at).await
    }

    async fn storage_of(&self, key: &[u8], at: &str) -> Result<Option<Vec<u8>>, DevnetError> {
        let value = self.call("state_getStorage", json!([hex_text(key), at])).await?;
        if value.is_null() { Ok(None) } else { bytes(&value, "state_getStorage").map(Some) }
    }

    /// A value of the state after the block of this number on the best chain; `None` if there is none under this key.
    ///
    /// # Errors
    /// As [`SubstrateNode::health`].
    pub async fn storage_at(&self, key: &[u8], number: u64) -> Result<Option<Vec<u8>>, DevnetError> {
        let at = self.block_hash(number).await?;
        self.storage_of(key, &at).await
    }

    /// The time that the block of this number tells, since 1970.
    ///
    /// # Errors
    /// As [`SubstrateNode::health`].
    pub async fn time(&self, number: u64) -> Result<Duration, DevnetError> {
        let value = self.storage_at(&value_key("Timestamp", "Now"), number).await?.unwrap_or_default();
        let millis = u64::decode(&mut value.as_slice()).map_err(|e| DevnetError::decode("Timestamp.Now", e))?;
        Ok(Duration::from_millis(millis))
    }

    /// The keys of the newest finalized state that begin with this, at most [`limits::PAGE_ITEMS`].
    ///
    /// # Errors
    /// As [`SubstrateNode::health`].
    pub async fn keys(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>, DevnetError> {
        let (at, mut keys) = (self.finalized_hash().await?, Vec::new());
        while u64::try_from(keys.len()).unwrap_or(u64::MAX) < limits::PAGE_ITEMS {
            let from = hex_text(keys.last().map_or(prefix, Vec::as_slice));
            let page = self.call("state_getKeysPaged", json!([hex_text(prefix), PAGE_KEYS, from, at])).await?;
            let page = page.as_array().ok_or_else(|| DevnetError::decode("state_getKeysPaged", &page))?;
            if page.is_empty() {
                break;
            }
            for key in page {
                keys.push(bytes(key, "state_getKeysPaged")?);
            }
        }
        Ok(keys)
    }

    /// Extrinsics of an account in finalized blocks.
    ///
    /// # Errors
    /// As [`SubstrateNode::health`].
    pub async fn nonce(&self, account: &[u8; 32]) -> Result<u64, DevnetError> {
        Ok(self.account(account).await?.nonce.into())
    }

    /// What an account has of the native token.
    ///
    /// # Errors
    /// As [`SubstrateNode::health`].
    pub async fn balance(&self, account: &[u8; 32]) -> Result<u128, DevnetError> {
        Ok(self.account(account).await?.free)
    }

    async fn account(&self, account: &[u8; 32]) -> Result<Account, DevnetError> {
        let value = self.storage(&[value_key("System", "Account"), hashed(account)].concat()).await?;
        let Some(value) = value else { return Ok(Account::default()) };
        Account::decode(&mut value.as_slice()).map_err(|e| DevnetError::decode("System.Account", e))
    }

    /// What an account has of another chain's token, named with its way: `transfer/channel-0/stake`.
    ///
    /// # Errors
    /// As [`SubstrateNode::health`].
    pub async fn vouchers(&self, account: &[u8; 32], denom: &str) -> Result<u128, DevnetError> {
        let denom = parity_scale_codec::Encode::encode(&denom.as_bytes());
        let value = self.storage(&[value_key("Ibc", "Vouchers"), hashed(&denom), hashed(account)].concat()).await?;
        let Some(value) = value else { return Ok(0) };
        u128::decode(&mut value.as_slice()).map_err(|e| DevnetError::decode("Ibc.Vouchers", e))
    }

    /// Who finalizes blocks now, with their weights.
    ///
    /// # Errors
    /// As [`SubstrateNode::health`].
    pub async fn authorities(&self) -> Result<Vec<([u8; 32], u64)>, DevnetError> {
        let list = self.call("state_call", json!(["GrandpaApi_grandpa_authorities", "0x"])).await?;
        let list = bytes(&list, "GrandpaApi_grandpa_authorities")?;
        Vec::decode(&mut list.as_slice()).map_err(|e| DevnetError::decode("GrandpaApi_grandpa_authorities", e))
    }

    /// How often finality was handed over until now.
    ///
    /// # Errors
    /// As [`SubstrateNode::health`].
    pub async fn set_id(&self) -> Result<u64, DevnetError> {
        let id = self.call("state_call", json!(["GrandpaApi_current_set_id", "0x"])).await?;
        let id = bytes(&id, "GrandpaApi_current_set_id")?;
        u64::decode(&mut id.as_slice()).map_err(|e| DevnetError::decode("GrandpaApi_current_set_id", e))
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

/// Keys of one page: what nodes allow at most.
const PAGE_KEYS: u32 = 1_000;

/// `frame_system::AccountInfo` up to what is free to be spent.
#[derive(Debug, Default, Decode)]
struct Account {
    nonce: u32,
    /// Consumers, providers, sufficients.
    _references: [u32; 3],
    free: u128,
}

/// The key of a module's value.
fn value_key(module: &str, name: &str) -> Vec<u8> {
    [twox_128(module.as_bytes()), twox_128(name.as_bytes())].concat()
}

/// A key of a map as `Blake2_128Concat` makes it.
fn hashed(key: &[u8]) -> Vec<u8> {
    [blake2_128(key).as_slice(), key].concat()
}

fn hex_text(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// `0x` and hex.
pub(super) fn bytes(value: &Value, what: &str) -> Result<Vec<u8>, DevnetError> {
    let text = value.as_str().and_then(|text| text.strip_prefix("0x"));
    text.and_then(|text| hex::decode(text).ok()).ok_or_else(|| DevnetError::decode(what, value))
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
