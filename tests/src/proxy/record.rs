//! What the proxy has seen.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ibc_proto::cosmos::tx::v1beta1::{TxBody, TxRaw};
use ibc_proto::google::protobuf::Any;
use prost::Message;

use super::Call;
use crate::limits;

/// A transaction handed to the node, or to the proxy that dropped it.
#[derive(Clone, Debug)]
pub struct Broadcast {
    /// `broadcast_tx_sync`, `broadcast_tx_async` or `broadcast_tx_commit`.
    pub method: String,
    /// The encoded transaction.
    pub tx: Vec<u8>,
    /// Whether it was passed on to the node.
    pub forwarded: bool,
}

impl Broadcast {
    /// Its messages; none if it is no transaction.
    #[must_use]
    pub fn messages(&self) -> Vec<Any> {
        let raw = TxRaw::decode(self.tx.as_slice()).unwrap_or_default();
        TxBody::decode(raw.body_bytes.as_slice()).unwrap_or_default().messages
    }

    /// The type URLs of its messages.
    #[must_use]
    pub fn message_types(&self) -> Vec<String> {
        self.messages().into_iter().map(|message| message.type_url).collect()
    }
}

#[derive(Debug, Default)]
pub(super) struct Record {
    requests: u64,
    websockets: u64,
    calls: BTreeMap<String, u64>,
    broadcasts: Vec<Broadcast>,
}

impl Record {
    pub(super) fn request(&mut self) {
        self.requests += 1;
    }

    pub(super) fn websocket(&mut self) {
        self.websockets += 1;
    }

    pub(super) fn call(&mut self, call: &Call, forwarded: bool) {
        *self.calls.entry(call.method.clone()).or_default() += 1;
        if call.method.starts_with("broadcast_tx_") && self.broadcasts.len() < limits::RECORDED_BROADCASTS {
            let tx = call.param("tx").and_then(|text| BASE64.decode(text).ok()).unwrap_or_default();
            self.broadcasts.push(Broadcast { method: call.method.clone(), tx, forwarded });
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    pub(super) fn websockets(&self) -> u64 {
        self.websockets
    }

    pub(super) fn calls(&self) -> &BTreeMap<String, u64> {
        &self.calls
    }

    pub(super) fn broadcasts(&self) -> &[Broadcast] {
        &self.broadcasts
    }
}
