//! A trusted block from its hash alone: all that a light client keeps of it, proven from its own state.
//!
//! The state says who finalizes the next block and which change is announced: `Grandpa::Authorities`, `Grandpa::CurrentSetId`,
//! `Grandpa::PendingChange`, and `Timestamp::Now`. A read proof against the header's root makes that as good as the hash. The runtime
//! counts a set from the block that schedules its change, GRANDPA from the one after which it votes: while a change is pending, the
//! set that votes is the one before. A runtime that changes authorities without sessions does not count at all: whoever takes a block from here
//! sees to the set's number ([`super::walk`]). Values are in SCALE as `pallet-grandpa` stores them; nothing else is taken.

use light_clients::commitment::trie::TrieProof;
use light_clients::grandpa::{
    Authority, AuthoritySet, Fault, Finality, Hash, PendingChange, SubstrateHeader, blake2_256,
};
use light_clients::{Part, Reason};
use parity_scale_codec::{Decode, DecodeAll, Encode};
use relayer_core::error::{ChainError, ChainErrorKind};

use super::kept::{Block, Lists, Timed};
use super::node::{Node, Said};
use super::wire::{self, Header, ReadProof};
use super::{keys, limits};
use crate::rpc::EndpointId;

/// `pallet_grandpa::StoredPendingChange`.
#[derive(Decode)]
struct Stored {
    scheduled_at: u32,
    delay: u32,
    next: Vec<Authority>,
    forced: Option<u32>,
}

/// The header of a block with this hash.
pub(crate) async fn header(node: &Node, hash: &Hash) -> Result<Said<(Vec<u8>, SubstrateHeader)>, ChainError> {
    let Said { value, endpoint } = node.call::<Header>("chain_getHeader", (wire::hex(hash),)).await?;
    let missing = || node.error(ChainErrorKind::NotYet(node.height(0u32)), format!("{endpoint} has no such block"));
    let value = value.ok_or_else(missing)?;
    let value = value.checked(hash).ok_or_else(|| node.lying(&endpoint, "wrong_header", "chain_getHeader"))?;
    Ok(Said { value, endpoint })
}

/// Nodes of the trie for these keys in the state after a block.
pub(crate) async fn read_proof(node: &Node, keys: &[Vec<u8>], at: &Hash) -> Result<Said<Vec<Vec<u8>>>, ChainError> {
    let asked: Vec<String> = keys.iter().map(wire::hex).collect();
    let Said { value, endpoint } = node.must::<ReadProof>("state_getReadProof", (asked, wire::hex(at))).await?;
    Ok(Said { value: nodes(node, &value, at, &endpoint, limits::PROOF_BYTES)?, endpoint })
}

/// The nodes of an answer that is for this block, within bounds: `most` bytes.
fn nodes(
    node: &Node,
    said: &ReadProof,
    at: &Hash,
    endpoint: &EndpointId,
    most: usize,
) -> Result<Vec<Vec<u8>>, ChainError> {
    if wire::hash(&said.at) != Some(*at) {
        return Err(node.lying(endpoint, "wrong_height", "state_getReadProof"));
    }
    let bytes: usize = said.proof.iter().map(|node| node.len() / 2).sum();
    if said.proof.len() > limits::PROOF_NODES {
        return Err(node.lying(endpoint, "proof_nodes", format!("a read proof of {} nodes", said.proof.len())));
    }
    if bytes > most {
        // Padded or not: another node is asked meanwhile.
        node.rpc().quarantine(endpoint, "proof_bytes", limits::QUARANTINE_CATCHING_UP);
        return Err(node.error(ChainErrorKind::TooLarge, format!("a read proof of {bytes} bytes from {endpoint}")));
    }
    let nodes: Option<Vec<_>> = said.proof.iter().map(|node| wire::bytes(node)).collect();
    nodes.ok_or_else(|| node.malformed(endpoint, "state_getReadProof"))
}

/// What a key holds, and the nodes that show it.
pub(crate) type ProvenValue = (Option<Vec<u8>>, Vec<Vec<u8>>);

/// What a read proof shows of a key under the state root of a block, and its nodes: `most` bytes of them. A node whose proof shows nothing rests.
pub(crate) fn value(
    node: &Node,
    said: &Said<ReadProof>,
    key: &[u8],
    (at, state_root): (&Hash, &Hash),
    most: usize,
) -> Result<ProvenValue, ChainError> {
    let nodes = nodes(node, &said.value, at, &said.endpoint, most)?;
    let shown = TrieProof::bounded(&nodes, most)
        .and_then(|trie| trie.read(state_root, key).map(|value| value.map(<[u8]>::to_vec)));
    let value = shown.map_err(|reason| node.lying(&said.endpoint, reason.label(), format!("read proof: {reason}")))?;
    Ok((value, nodes))
}

/// The block with this hash, and what its state says of finality.
pub(crate) async fn block(node: &Node, hash: &Hash, lists: &Lists) -> Result<Said<Block>, ChainError> {
    let Said { value: (bytes, header), .. } = header(node, hash).await?;
    let names = ["Authorities", "CurrentSetId", "PendingChange"];
    let mut asked: Vec<Vec<u8>> = names.iter().map(|name| keys::value("Grandpa", name)).collect();
    asked.push(keys::TIMESTAMP_NOW.to_vec());
    let proof = read_proof(node, &asked, hash).await?;
    let read = of_state(bytes, header, &asked, proof.value, lists);
    let value = read.map_err(|reason| node.lying(&proof.endpoint, reason.label(), reason.to_string()))?;
    Ok(Said { value, endpoint: proof.endpoint })
}

/// The same, of a proof at hand.
fn of_state(
    bytes: Vec<u8>,
    header: SubstrateHeader,
    asked: &[Vec<u8>],
    proof: Vec<Vec<u8>>,
    lists: &Lists,
) -> Result<Block, Reason> {
    let undecodable = Reason::Undecodable { part: Part::Authorities };
    let (finality, time) = {
        let trie = TrieProof::new(&proof)?;
        let value = |index: usize| asked.get(index).map_or(Ok(None), |key| trie.read(&header.state_root, key));
        let list = value(0)?.ok_or(Reason::Missing { part: Part::Authorities })?;
        let authorities = Vec::<Authority>::decode_all(&mut { list }).map_err(|_| undecodable)?;
        AuthoritySet::new(0, &authorities)?;
        let counted = match value(1)? {
            Some(bytes) => u64::decode_all(&mut { bytes }).map_err(|_| undecodable)?,
            None => 0,
        };
        let pending = match value(2)? {
            Some(bytes) => Some(Stored::decode_all(&mut { bytes }).map_err(|_| undecodable)?),
            None => None,
        };
        if pending.as_ref().is_some_and(|change| change.forced.is_some()) {
            return Err(Fault::ForcedChange { number: header.number }.into());
        }
        let change = match &pending {
            Some(change) => Some(PendingChange {
                effective: change.scheduled_at.checked_add(change.delay).ok_or(Fault::NumberOverflow)?,
                authorities_hash: blake2_256(&lists.put(change.next.encode())),
            }),
            None => None,
        };
        let finality = Finality {
            number: header.number,
            hash: blake2_256(&bytes),
            set_id: counted.saturating_sub(u64::from(pending.is_some())),
            authorities_hash: blake2_256(&lists.put(list.to_vec())),
            change,
        };
        (finality, trie.timestamp(&header.state_root))
    };
    let block = Block::new(bytes, header, finality);
    if let Ok(time) = time {
        let proof = super::light::time_nodes(&proof, &block.header.state_root);
        block.timed.set(Timed { time, proof }).ok();
    }
    Ok(block)
}
