//! A JSON-RPC call as the proxy sees it, and which calls a fault or hook is for.

use serde_json::{Map, Value};

/// One call, alone or out of a batch.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method, for instance `abci_query`.
    pub method: String,
    /// Its parameters by name.
    pub params: Value,
    pub(super) id: Value,
}

impl Call {
    /// A parameter by name.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name)?.as_str()
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

    /// Calls of this method; `broadcast_tx` stands for all three of that kind.
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
