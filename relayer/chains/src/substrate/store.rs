//! The IBC store: values at ICS-24 paths, which stand under raw keys of the state, with proofs of the trie.
//!
//! A value of the state after a block is proven by that block's own header. A proof shows the value by itself: it is read here against the
//! header's root, so a node that shows another one is found out at once; the shell verifies it once more against our own light client's. Bounds: number
//! of paths, bytes of a value, nodes of a proof ([`super::limits`]).

use light_clients::commitment::trie;
use light_clients::grandpa::Hash;
use relayer_core::chain::{Path, Proven};
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::id::{ChannelId, Height};

use super::light::needed;
use super::limits::{KEYS_PER_PAGE, KEYS_PER_QUERY, PAGES, PATHS_PER_QUERY, PROOF_BYTES, QUARANTINE, VALUE_BYTES};
use super::node::{Node, Said};
use super::root;
use super::wire::{self, ReadProof, StorageChanges};
use crate::rpc::EndpointId;

/// Where a value of a path stands.
pub(crate) fn key(prefix: &[u8], path: &str) -> Vec<u8> {
    [prefix, path.as_bytes()].concat()
}

/// Values at the paths in the state after a block, in order.
pub(crate) async fn query(
    node: &Node,
    prefix: &[u8],
    paths: &[Path],
    at: Height,
    hash: &Hash,
    prove: bool,
) -> Result<Vec<Proven>, ChainError> {
    if paths.len() > PATHS_PER_QUERY {
        return Err(node.error(ChainErrorKind::TooLarge, format!("{} paths in one query", paths.len())));
    }
    let keys: Vec<Vec<u8>> = paths.iter().map(|path| key(prefix, &path.to_string())).collect();
    if prove {
        return proofs(node, paths, &keys, at, hash).await;
    }
    let said = values(node, &keys, hash).await?;
    let endpoint = said.endpoint.label().clone();
    let proven = |value| Proven { value, proof: Vec::new(), proof_height: at, endpoint: endpoint.clone() };
    Ok(said.value.into_iter().map(proven).collect())
}

async fn proofs(
    node: &Node,
    paths: &[Path],
    keys: &[Vec<u8>],
    at: Height,
    hash: &Hash,
) -> Result<Vec<Proven>, ChainError> {
    let (_, header) = node.patient(|| root::header(node, hash)).await?.value;
    let calls = keys.iter().zip(paths).map(|(key, path)| {
        let call = node.call_of("state_getReadProof", ([wire::hex(key)], wire::hex(hash)))?;
        Ok(call.channel(channel(path).map(|channel| channel.as_str().into())))
    });
    let answers = node.batch(calls.collect::<Result<_, ChainError>>()?).await?;
    let mut proven = Vec::with_capacity(keys.len());
    for (key, answer) in keys.iter().zip(answers) {
        let said: Said<ReadProof> = node.decode(&answer?, "state_getReadProof")?;
        proven.push(one(node, key, at, hash, &header.state_root, said)?);
    }
    if proven.len() != keys.len() {
        return Err(node.error(ChainErrorKind::Malformed, "state_getReadProof"));
    }
    Ok(proven)
}

/// One key's value and proof.
pub(super) fn one(
    node: &Node,
    key: &[u8],
    at: Height,
    hash: &Hash,
    state_root: &Hash,
    said: Said<ReadProof>,
) -> Result<Proven, ChainError> {
    let (value, nodes) = root::value(node, &said, key, (hash, state_root), PROOF_BYTES)?;
    bounded(node, &value, &said.endpoint)?;
    // What a node adds would be paid for by the byte.
    let nodes = needed(&nodes, |trie| trie.read(state_root, key).is_ok_and(|shown| shown == value.as_deref()));
    Ok(Proven { value, proof: trie::encode_nodes(&nodes), proof_height: at, endpoint: said.endpoint.label().clone() })
}

fn bounded(node: &Node, value: &Option<Vec<u8>>, endpoint: &EndpointId) -> Result<(), ChainError> {
    match value {
        Some(value) if value.len() > VALUE_BYTES => {
            Err(node.error(ChainErrorKind::TooLarge, format!("a value of the store, from {endpoint}")))
        }
        _ => Ok(()),
    }
}

/// Whose packets a path is about.
fn channel(path: &Path) -> Option<&ChannelId> {
    match path {
        Path::Commitment(end, _) | Path::Receipt(end, _) | Path::Ack(end, _) | Path::NextSequenceRecv(end) => {
            Some(&end.channel)
        }
        Path::ClientState(_) | Path::ConsensusState(..) | Path::Connection(_) | Path::Channel(..) => None,
    }
}

/// What these keys hold in the state after a block, unproven, in their order.
pub(crate) async fn values(
    node: &Node,
    keys: &[Vec<u8>],
    hash: &Hash,
) -> Result<Said<Vec<Option<Vec<u8>>>>, ChainError> {
    let mut values = Vec::with_capacity(keys.len());
    let mut by = node.rpc().endpoints().into_iter().next();
    for chunk in keys.chunks(KEYS_PER_QUERY) {
        let asked: Vec<String> = chunk.iter().map(wire::hex).collect();
        let said: Said<Vec<StorageChanges>> = node.must("state_queryStorageAt", (&asked, wire::hex(hash))).await?;
        let mut found: std::collections::BTreeMap<String, Option<String>> =
            said.value.into_iter().flat_map(|block| block.changes).collect();
        for key in &asked {
            let value = match found.remove(key).flatten() {
                Some(text) => {
                    let bytes = wire::bytes(&text);
                    Some(bytes.ok_or_else(|| node.malformed(&said.endpoint, "state_queryStorageAt"))?)
                }
                None => None,
            };
            bounded(node, &value, &said.endpoint)?;
            values.push(value);
        }
        by = Some(said.endpoint);
    }
    match by {
        Some(endpoint) => Ok(Said { value: values, endpoint }),
        None => Err(node.error(ChainErrorKind::Unavailable, "")),
    }
}

/// All keys that begin so in the state after a block, unproven, ascending; as many as [`PAGES`] hold.
pub(crate) async fn keys(node: &Node, start: &[u8], hash: &Hash) -> Result<Said<Vec<Vec<u8>>>, ChainError> {
    let asked = wire::hex(start);
    let mut all = Vec::new();
    let mut last: Option<String> = None;
    let mut by = None;
    for _ in 0..PAGES {
        let params = (&asked, KEYS_PER_PAGE, &last, wire::hex(hash));
        let said: Said<Vec<String>> = node.must("state_getKeysPaged", params).await?;
        let full = said.value.len() >= usize::try_from(KEYS_PER_PAGE).unwrap_or(usize::MAX);
        for text in &said.value {
            let key = wire::bytes(text).filter(|key| key.starts_with(start));
            all.push(key.ok_or_else(|| node.malformed(&said.endpoint, "state_getKeysPaged"))?);
        }
        let newest = said.value.into_iter().next_back();
        by = Some(said.endpoint);
        if !full || newest == last {
            break;
        }
        last = newest;
    }
    match by {
        Some(endpoint) => Ok(Said { value: all, endpoint }),
        None => Err(node.error(ChainErrorKind::Unavailable, "")),
    }
}

/// Puts the endpoint with this label into quarantine.
pub(crate) fn quarantine(node: &Node, endpoint: &str, reason: &'static str) {
    match node.rpc().endpoints().into_iter().find(|id| **id.label() == *endpoint) {
        Some(id) => {
            node.rpc().quarantine(&id, reason, QUARANTINE);
        }
        None => tracing::debug!(chain = %node.chain(), endpoint, reason, "no such endpoint to quarantine"),
    }
}
