//! Bytes to messages: type and size are checked before anything is decoded.

use crate::{Part, Reason};
use alloc::vec::Vec;
use ibc_proto::google::protobuf::Any;
use prost::{Message, Name};

/// Decodes an `Any` that has to hold an `M` of at most `max` bytes.
pub(crate) fn decode_any<M: Message + Name + Default>(any: &Any, part: Part, max: usize) -> Result<M, Reason> {
    // Compared in pieces: `type_url()` allocates.
    let name = any.type_url.strip_prefix('/').and_then(|rest| rest.strip_prefix(M::PACKAGE));
    if name.and_then(|rest| rest.strip_prefix('.')) != Some(M::NAME) {
        return Err(Reason::WrongType { part });
    }
    decode(&any.value, part, max)
}

/// Decodes bytes that have to hold an `M` of at most `max` bytes.
pub(crate) fn decode<M: Message + Default>(bytes: &[u8], part: Part, max: usize) -> Result<M, Reason> {
    within(bytes.len(), max, part)?;
    M::decode(bytes).map_err(|_| Reason::Undecodable { part })
}

/// Wraps a message into an `Any`.
pub(crate) fn encode_any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// Refuses `count` above `max`.
pub(crate) fn within(count: usize, max: usize, part: Part) -> Result<(), Reason> {
    if count > max {
        return Err(Reason::TooLarge { part, size: count as u64, max: max as u64 });
    }
    Ok(())
}

/// Refuses entries of more than `max` bytes together.
pub(crate) fn within_sum(entries: &[impl AsRef<[u8]>], max: usize, part: Part) -> Result<(), Reason> {
    within(entries.iter().fold(0_usize, |sum, entry| sum.saturating_add(entry.as_ref().len())), max, part)
}

/// Unwraps a field that protobuf lets be absent.
pub(crate) fn required<T>(field: Option<T>, part: Part) -> Result<T, Reason> {
    field.ok_or(Reason::Missing { part })
}

/// A 32-byte hash, or none.
pub(crate) fn hash(bytes: &[u8]) -> Option<tendermint::Hash> {
    let bytes: Vec<u8> = bytes.into();
    match tendermint::Hash::try_from(bytes) {
        Ok(tendermint::Hash::None) | Err(_) => None,
        Ok(hash) => Some(hash),
    }
}
