//! Generated chains for tests: validators with real keys, blocks with real canonical votes, stores with real proofs.
//!
//! Everything is deterministic. Whoever includes this module uses a part of it, hence the allowances.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub(crate) mod chain;
pub(crate) mod grandpa;
pub(crate) mod grandpa_client;
pub(crate) mod grandpa_trie;
pub(crate) mod store;

use ibc_proto::google::protobuf::Any;
use prost::Name;

/// Wraps a message into an `Any`.
pub(crate) fn any<M: Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}
