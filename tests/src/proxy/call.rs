//! A JSON-RPC call as the proxy sees it, and which calls a fault or hook is for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

/// How Substrate's nodes are handed an extrinsic.
const SUBMIT: [&str; 2] = ["author_submitExtrinsic", "author_submitAndWatchExtrinsic"];

/// One call, alone or out of a batch; or a notification, which nobody asked for by itself.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method, for instance `abci_query` or `chain_getBlock`; of a notification its own, for instance `grandpa_justifications`.
    pub method: String,
    /// Its parameters, by name or by position.
    pub params: Value,
    pub(super) id: Value,
}

impl Call {
    /// A parameter by name.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name)?.as_str()
    }

    /// A parameter by position, from 0.
    #[must_use]
    pub fn argument(&self, position: usize) -> Option<&Value> {
        self.params.get(position)
    }

    /// Whether it hands over a transaction or an extrinsic.
    #[must_use]
    pub fn is_broadcast(&self) -> bool {
        self.method.starts_with("broadcast_tx_") || SUBMIT.contains(&self.method.as_str())
    }

    /// What a broadcast hands over: base64 by name at CometBFT's nodes, hex by position at Substrate's. Empty if it is neither.
    #[must_use]
    pub fn transaction(&self) -> Vec<u8> {
        if self.is_extrinsic() {
            let text = self.argument(0).and_then(Value::as_str).and_then(|text| text.strip_prefix("0x"));
            return text.and_then(|text| hex::decode(text).ok()).unwrap_or_default();
        }
        self.param("tx").and_then(|text| BASE64.decode(text).ok()).unwrap_or_default()
    }

    pub(super) fn is_extrinsic(&self) -> bool {
        SUBMIT.contains(&self.method.as_str())
    }

    /// Whether events follow its answer: CometBFT's `subscribe`, or Substrate's `grandpa_subscribeJustifications` and others.
    pub(super) fn is_subscription(&self) -> bool {
        self.method == "subscribe" || self.method.contains("_subscribe")
    }

    /// The path of an `abci_query`.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.param("path")
    }

    /// The height asked for, if any. CometBFT takes it as text.
    #[must_use]
    pub fn height(&self) -> Option<u64> {
        let height = self.params.get("height")?;
        height.as_u64().or_else(|| height.as_str()?.parse().ok())
    }

    /// The data of an `abci_query`: a store's key or an encoded request.
    #[must_use]
    pub fn data(&self) -> Option<Vec<u8>> {
        hex::decode(self.param("data")?.trim_start_matches("0x")).ok()
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            method: value.get("method")?.as_str()?.to_owned(),
            params: value.get("params").cloned().unwrap_or_default(),
            id: value.get("id").cloned().unwrap_or_default(),
        })
    }

    /// The notification of a subscription: its `params`, and where its event stands.
    pub(super) fn notification(message: &mut Value) -> Option<(Self, &mut Value)> {
        let method = message.get("method")?.as_str()?.to_owned();
        let params = message.get_mut("params")?;
        let id = params.get("subscription")?.clone();
        let call = Self { method, params: Value::Null, id };
        Some((call, params.get_mut("result")?))
    }

    /// A call written as an address: `/block?height=5`.
    pub(super) fn from_uri(path: &str, query: &str) -> Self {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let unquoted = pairs.map(|(k, v)| (k.to_owned(), Value::from(v.replace("%22", "\"").trim_matches('"'))));
        let params: Map<String, Value> = unquoted.collect();
        Self { method: path.trim_matches('/').to_owned(), params: params.into(), id: Value::Null }
    }
}

/// Which calls are meant.
#[derive(Clone, Debug, Default)]
pub struct When {
    method: Option<String>,
    path: Option<String>,
}

impl When {
    /// Every call.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Calls or notifications of this method; `broadcast_tx` stands for all three of that kind.
    #[must_use]
    pub fn method(method: &str) -> Self {
        Self { method: Some(method.to_owned()), path: None }
    }

    /// Queries of the application whose path holds this, for instance `store/ibc/key` or `/cosmos.tx`.
    #[must_use]
    pub fn query(path: &str) -> Self {
        Self { method: Some("abci_query".to_owned()), path: Some(path.trim_start_matches('/').to_owned()) }
    }

    pub(super) fn matches(&self, call: &Call) -> bool {
        let method = self.method.as_deref().is_none_or(|method| {
            call.method == method || method == "broadcast_tx" && call.method.starts_with("broadcast_tx_")
        });
        method && self.path.as_deref().is_none_or(|path| call.path().is_some_and(|asked| asked.contains(path)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn transactions_are_read_as_either_family_hands_them_over() {
        let call = |method: &str, params: Value| Call { method: method.to_owned(), params, id: json!(1) };
        let tx = call("broadcast_tx_sync", json!({ "tx": BASE64.encode([1, 2]) }));
        assert_eq!((tx.is_broadcast(), tx.transaction()), (true, vec![1, 2]));
        let extrinsic = call("author_submitExtrinsic", json!(["0x0304"]));
        assert_eq!((extrinsic.is_broadcast(), extrinsic.transaction()), (true, vec![3, 4]));
        assert!(!call("author_pendingExtrinsics", json!([])).is_broadcast());
        assert_eq!(call("author_submitExtrinsic", json!(["no hex"])).transaction(), [0; 0]);
    }

    #[test]
    fn a_notification_is_of_its_own_method_and_an_answer_is_none() {
        let mut told = json!({ "method": "grandpa_justifications", "params": { "subscription": "s", "result": "0x" } });
        let (call, event) = Call::notification(&mut told).unwrap();
        assert_eq!((&call.id, &*event), (&json!("s"), &json!("0x")));
        assert!(When::method("grandpa_justifications").matches(&call));
        assert!(Call::notification(&mut json!({ "id": 1, "result": "s" })).is_none());
    }
}
