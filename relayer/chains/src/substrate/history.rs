//! Packets of the past: the chain itself says in which blocks they were sent and acknowledged, and those blocks are read whole.
//!
//! `Ibc::PacketBlocks` maps (port, channel, kind, sequence) to the block; kind 0 is a packet sent, 1 an acknowledgement written. What
//! the chain no longer lists, or whose block is pruned, is not found. Bounds: [`super::limits`].

use std::collections::{BTreeMap, BTreeSet};

use light_clients::grandpa::Hash;
use parity_scale_codec::Decode;
use relayer_core::chain::{History, PastFact};
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::fact::{BlockFacts, Fact};
use relayer_core::id::Sequence;
use relayer_core::packet::PortChannel;
use subxt::dynamic::Value;

use super::block::Reader;
use super::light::OUT_OF_REACH;
use super::limits::BLOCKS_AT_ONCE;
use super::runtime::{IBC, Offline};
use super::store::values;

const PACKET_BLOCKS: &str = "PacketBlocks";

/// Which end of the packets the chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Source,
    Destination,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Source => "Sent",
            Self::Destination => "AckWritten",
        }
    }
    fn kind(self) -> u8 {
        match self {
            Self::Source => 0,
            Self::Destination => 1,
        }
    }
}

/// Facts of these packets, in chain order; found ones only. Looked up in the state after `at`.
pub(crate) async fn history(reader: &Reader, what: &History, at: (u32, &Hash)) -> Result<Vec<PastFact>, ChainError> {
    let (end, role, sequences) = match what {
        History::Sent(end, sequences) => (end, Role::Source, sequences),
        History::AckWritten(end, sequences) => (end, Role::Destination, sequences),
    };
    let asked: BTreeSet<Sequence> = sequences.iter().copied().collect();
    let blocks = blocks(reader, end, role, &asked, at).await?;
    let mut found: BTreeMap<(u64, usize), PastFact> = BTreeMap::new();
    let mut unread = 0usize;
    for chunk in blocks.into_iter().collect::<Vec<_>>().chunks(BLOCKS_AT_ONCE) {
        let reads = chunk.iter().map(|number| reader.facts(*number));
        for facts in futures::future::join_all(reads).await {
            match facts {
                Ok(facts) => take(&facts, end, role, &asked, &mut found),
                // Others of the chunk are not held up by it.
                Err(error)
                    if matches!(
                        error.kind,
                        ChainErrorKind::Pruned(_) | ChainErrorKind::NotFound | ChainErrorKind::Setup(OUT_OF_REACH)
                    ) =>
                {
                    unread += 1;
                    tracing::warn!(chain = %reader.node.chain(), %error, "a block of the past is out of reach");
                }
                Err(error) => return Err(error),
            }
        }
    }
    if unread > 0 {
        tracing::warn!(chain = %reader.node.chain(), %end, blocks = unread, "packets of blocks that are pruned or too long ago are not found; an `archive_rpc` has pruned ones");
    }
    Ok(found.into_values().collect())
}

/// The blocks that the chain lists for these sequences.
async fn blocks(
    reader: &Reader,
    end: &PortChannel,
    role: Role,
    asked: &BTreeSet<Sequence>,
    (newest, at): (u32, &Hash),
) -> Result<BTreeSet<u32>, ChainError> {
    let runtime = reader.runtimes.current(at).await?;
    let keys: Option<Vec<Vec<u8>>> =
        asked.iter().map(|sequence| place(&runtime.offline, end, role, *sequence)).collect();
    let unknown = || {
        let what = "the chain's runtime lists no packets: `Ibc::PacketBlocks` is missing or of another form";
        reader.node.error(ChainErrorKind::Setup(what), "")
    };
    let said = values(&reader.node, &keys.ok_or_else(unknown)?, at).await?;
    let mut blocks = BTreeSet::new();
    for value in said.value.into_iter().flatten() {
        // The state names no block after its own.
        let number = u32::decode(&mut value.as_slice()).ok().filter(|number| *number <= newest);
        blocks.insert(number.ok_or_else(|| reader.node.malformed(&said.endpoint, PACKET_BLOCKS))?);
    }
    Ok(blocks)
}

/// Where the chain keeps the block of one packet; `None` if its runtime has no such map.
fn place(runtime: &Offline, end: &PortChannel, role: Role, sequence: Sequence) -> Option<Vec<u8>> {
    let address = subxt::dynamic::storage::<Vec<Value>, Value>(IBC, PACKET_BLOCKS);
    let storage = runtime.storage();
    let entry = storage.entry(address).ok()?;
    let parts = |kind: Value| {
        vec![
            Value::from_bytes(end.port.as_str()),
            Value::from_bytes(end.channel.as_str()),
            kind,
            Value::u128(sequence.0.into()),
        ]
    };
    // The kind is a variant or its number, the key a tuple or its parts.
    let kinds = [Value::unnamed_variant(role.name(), []), Value::u128(role.kind().into())];
    kinds.into_iter().find_map(|kind| {
        let one = entry.fetch_key(vec![Value::unnamed_composite(parts(kind.clone()))]);
        one.or_else(|_| entry.fetch_key(parts(kind))).ok()
    })
}

/// Keeps the facts asked for; other packets of the block are of no interest.
fn take(
    block: &BlockFacts,
    end: &PortChannel,
    role: Role,
    asked: &BTreeSet<Sequence>,
    found: &mut BTreeMap<(u64, usize), PastFact>,
) {
    for (index, fact) in block.facts.iter().enumerate() {
        let (at, sequence) = match (role, fact) {
            (Role::Source, Fact::Sent(packet)) => (&packet.source, packet.sequence),
            (Role::Destination, Fact::AckWritten(packet, _) | Fact::Received(packet)) => {
                (&packet.destination, packet.sequence)
            }
            _ => continue,
        };
        if at == end && asked.contains(&sequence) {
            found.insert((block.at.height.number, index), (block.at, fact.clone()));
        }
    }
}
