//! What is still open on a channel, read from the state: recovery after a restart.
//!
//! Commitments are keys of the store, paged; receipts and acknowledgements are asked for by their keys, in chunks. An ordered channel keeps
//! no receipts but the next sequence. Bounds: [`super::limits::PAGES`]; what is beyond is found by the next clearing.

use std::collections::BTreeSet;

use ibc_proto::ibc::core::channel::v1::{Channel, Order};
use light_clients::grandpa::Hash;
use prost::Message;
use relayer_core::chain::{Path, Pending};
use relayer_core::error::ChainError;
use relayer_core::id::Sequence;
use relayer_core::packet::PortChannel;

use super::limits::{KEYS_PER_PAGE, PAGES};
use super::node::{Node, Said};
use super::store::{key, keys, values};

/// Sequences in the state after a block, ascending.
pub(crate) async fn pending(
    node: &Node,
    prefix: &[u8],
    what: &Pending,
    hash: &Hash,
) -> Result<Vec<Sequence>, ChainError> {
    match what {
        Pending::Commitments(end) => commitments(node, prefix, end, hash).await,
        Pending::Unreceived(end, asked) => {
            let found = there(node, prefix, asked, hash, |s| Path::Receipt(end.clone(), s)).await?;
            let next = ordered(node, prefix, end, hash).await?;
            let open = asked.iter().filter(|s| !found.contains(s) && **s >= next);
            Ok(open.copied().collect::<BTreeSet<_>>().into_iter().collect())
        }
        Pending::Acknowledged(end, asked) => {
            let found = there(node, prefix, asked, hash, |s| Path::Ack(end.clone(), s)).await?;
            Ok(found.into_iter().collect())
        }
    }
}

/// The next sequence to receive on an ordered channel; 0 on others.
async fn ordered(node: &Node, prefix: &[u8], end: &PortChannel, hash: &Hash) -> Result<Sequence, ChainError> {
    let paths = [Path::Channel(end.port.clone(), end.channel.clone()), Path::NextSequenceRecv(end.clone())];
    let keys: Vec<_> = paths.iter().map(|path| key(prefix, &path.to_string())).collect();
    let Said { value, endpoint } = values(node, &keys, hash).await?;
    let mut value = value.into_iter();
    let (channel, next) = (value.next().flatten(), value.next().flatten());
    let channel = Channel::decode(channel.unwrap_or_default().as_slice())
        .map_err(|_| node.malformed(&endpoint, "channel end"))?;
    if channel.ordering != Order::Ordered as i32 {
        return Ok(Sequence(0));
    }
    let next = next.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    Ok(Sequence(next.map_or(0, u64::from_be_bytes)))
}

/// Those of the sequences that hold a value.
async fn there(
    node: &Node,
    prefix: &[u8],
    asked: &[Sequence],
    hash: &Hash,
    path: impl Fn(Sequence) -> Path,
) -> Result<BTreeSet<Sequence>, ChainError> {
    let keys: Vec<_> = asked.iter().map(|sequence| key(prefix, &path(*sequence).to_string())).collect();
    let said = values(node, &keys, hash).await?;
    Ok(asked.iter().zip(said.value).filter(|(_, value)| value.is_some()).map(|(sequence, _)| *sequence).collect())
}

async fn commitments(node: &Node, prefix: &[u8], end: &PortChannel, hash: &Hash) -> Result<Vec<Sequence>, ChainError> {
    let start = format!("commitments/ports/{}/channels/{}/sequences/", end.port, end.channel);
    let start = key(prefix, &start);
    let said = keys(node, &start, hash).await?;
    let sequence = |key: &Vec<u8>| {
        let digits = std::str::from_utf8(key.strip_prefix(start.as_slice())?).ok()?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok().map(Sequence)).flatten()
    };
    let open: Option<BTreeSet<Sequence>> = said.value.iter().map(sequence).collect();
    let open = open.ok_or_else(|| node.malformed(&said.endpoint, "state_getKeysPaged"))?;
    if open.len() >= PAGES * usize::try_from(KEYS_PER_PAGE).unwrap_or(usize::MAX) {
        tracing::warn!(chain = %node.chain(), %end, found = open.len(), "more commitments than are read at once");
    }
    Ok(open.into_iter().collect())
}
