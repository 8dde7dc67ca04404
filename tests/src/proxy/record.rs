//! What the proxy has seen.

use std::collections::BTreeMap;

use ibc_proto::cosmos::tx::v1beta1::{TxBody, TxRaw};
use ibc_proto::google::protobuf::Any;
use prost::Message;

use super::Call;
use crate::limits;

/// A transaction handed to the node, or to the proxy that dropped it.
#[derive(Clone, Debug)]
pub struct Broadcast {
    /// `broadcast_tx_sync`, `broadcast_tx_async`, `broadcast_tx_commit` or `author_submitExtrinsic`.
    pub method: String,
    /// The encoded transaction or extrinsic.
    pub tx: Vec<u8>,
    /// Whether it was passed on to the node.
    pub forwarded: bool,
}

impl Broadcast {
    /// Its messages; none if it is no transaction of a Cosmos chain.
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
        if call.is_broadcast() && self.broadcasts.len() < limits::RECORDED_BROADCASTS {
            self.broadcasts.push(Broadcast { method: call.method.clone(), tx: call.transaction(), forwarded });
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
