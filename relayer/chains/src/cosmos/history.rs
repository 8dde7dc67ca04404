//! Packets of the past: finds the blocks that hold them, then reads those blocks whole.
//!
//! The node's transaction index names the block of the smallest missing sequence; that block's facts give every packet in it, so a
//! thousand packets in a few blocks take a handful of requests. A few look-ups, spread over the missing sequences, run at once. A
//! node without an index is scanned backwards by block, within [`super::limits::SCAN_BLOCKS`].
//! The index serves recovery only: live facts come with their blocks.

use std::collections::{BTreeMap, BTreeSet};

use relayer_core::chain::{History, PastFact};
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::fact::{BlockFacts, Fact};
use relayer_core::id::Sequence;
use relayer_core::packet::PortChannel;
use serde_json::json;

use super::block;
use super::event::Caps;
use super::limits::{LOOKUPS, SCAN_BLOCKS, SCAN_STEP};
use super::node::{Node, chain_error};
use super::wire::{BlockSearch, TxSearch};
use crate::rpc::{Answer, Call};

/// Which end of the packets the chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Source,
    Destination,
}

/// What is looked for, and what was found, by height and place in the block.
struct Wanted<'a> {
    end: &'a PortChannel,
    role: Role,
    asked: BTreeSet<Sequence>,
    missing: BTreeSet<Sequence>,
    found: BTreeMap<(u64, usize), PastFact>,
}

/// Facts of these packets, in chain order; found ones only.
pub(crate) async fn history(node: &Node, what: &History, caps: Caps, newest: u64) -> Result<Vec<PastFact>, ChainError> {
    let (end, role, sequences) = match what {
        History::Sent(end, sequences) => (end, Role::Source, sequences),
        History::AckWritten(end, sequences) => (end, Role::Destination, sequences),
    };
    let asked: BTreeSet<Sequence> = sequences.iter().copied().collect();
    let mut wanted = Wanted { end, role, missing: asked.clone(), asked, found: BTreeMap::new() };
    let mut unindexed = BTreeSet::new();
    loop {
        let probes = wanted.probes(&unindexed);
        if probes.is_empty() {
            break;
        }
        let mut blocks = BTreeSet::new();
        for (sequence, located) in probes.iter().zip(locate(node, &wanted, &probes).await?) {
            match located {
                Located::In(height) => {
                    blocks.insert(height);
                }
                Located::Nowhere => {
                    unindexed.insert(*sequence);
                }
                Located::NoIndex => {
                    scan(node, &mut wanted, caps, newest).await?;
                    return Ok(wanted.found.into_values().collect());
                }
                Located::Failed(error) => return Err(error),
            }
        }
        let before = wanted.missing.len();
        let heights: Vec<u64> = blocks.into_iter().collect();
        for facts in block::facts(node, &heights, caps, Some(newest)).await? {
            match facts {
                Ok(facts) => wanted.take(&facts),
                Err(error) if matches!(error.kind, ChainErrorKind::Pruned(_)) => {
                    tracing::warn!(chain = %node.chain(), %error, "a block of the past is out of reach");
                }
                Err(error) => return Err(error),
            }
        }
        if wanted.missing.len() == before {
            // The index names blocks that don't hold what it says, or that are pruned: no use asking the same again.
            unindexed.extend(probes);
        }
    }
    if !wanted.missing.is_empty() {
        tracing::warn!(chain = %node.chain(), %end, missing = wanted.missing.len(), "packets that the node's index does not name");
    }
    Ok(wanted.found.into_values().collect())
}

impl Wanted<'_> {
    /// The smallest missing sequence, and others spread over the rest.
    fn probes(&self, unindexed: &BTreeSet<Sequence>) -> Vec<Sequence> {
        let open: Vec<Sequence> = self.missing.difference(unindexed).copied().collect();
        let step = open.len().div_ceil(LOOKUPS).max(1);
        open.into_iter().step_by(step).collect()
    }

    /// Keeps the facts asked for; other packets of the block are of no interest.
    fn take(&mut self, block: &BlockFacts) {
        for (index, fact) in block.facts.iter().enumerate() {
            let (end, sequence, settles) = match (self.role, fact) {
                (Role::Source, Fact::Sent(packet)) => (&packet.source, packet.sequence, true),
                (Role::Destination, Fact::AckWritten(packet, _)) => (&packet.destination, packet.sequence, true),
                // Asynchronous acknowledgements are written in a later block than the receive.
                (Role::Destination, Fact::Received(packet)) => (&packet.destination, packet.sequence, false),
                _ => continue,
            };
            if *end != *self.end || !self.asked.contains(&sequence) {
                continue;
            }
            self.found.insert((block.at.height.number, index), (block.at, fact.clone()));
            if settles {
                self.missing.remove(&sequence);
            }
        }
    }
}

/// What the node's index says of a sequence.
enum Located {
    In(u64),
    Nowhere,
    NoIndex,
    Failed(ChainError),
}

/// The blocks that the index names for these sequences, in one request: by transaction, and by block for packets that a module
/// sends at the end of a block.
async fn locate(node: &Node, wanted: &Wanted<'_>, sequences: &[Sequence]) -> Result<Vec<Located>, ChainError> {
    let (event, side) = match wanted.role {
        Role::Source => ("send_packet", "src"),
        Role::Destination => ("write_acknowledgement", "dst"),
    };
    let mut calls = Vec::with_capacity(sequences.len() * 2);
    for sequence in sequences {
        let query = format!(
            "{event}.packet_{side}_port='{}' AND {event}.packet_{side}_channel='{}' AND {event}.packet_sequence='{sequence}'",
            wanted.end.port, wanted.end.channel
        );
        let tx = json!({ "query": query, "prove": false, "page": "1", "per_page": "1", "order_by": "asc" });
        let block = json!({ "query": query, "page": "1", "per_page": "1", "order_by": "asc" });
        calls.push(Call::read("tx_search", tx).map_err(|e| chain_error(node.chain(), e))?);
        calls.push(Call::read("block_search", block).map_err(|e| chain_error(node.chain(), e))?);
    }
    let answers = node.batch(calls).await?;
    Ok(answers.chunks(2).map(|pair| located(node, pair)).collect())
}

fn located(node: &Node, pair: &[Result<Answer, ChainError>]) -> Located {
    let by_tx = match pair.first() {
        Some(Ok(answer)) => node.decode::<TxSearch>(answer, "tx_search").map(|said| said.value.first()),
        Some(Err(error)) => Err(error.clone()),
        None => Ok(None),
    };
    // An index of blocks is optional: where it fails there is none.
    let by_block = match pair.get(1) {
        Some(Ok(answer)) => node.decode::<BlockSearch>(answer, "block_search").ok().and_then(|said| said.value.first()),
        _ => None,
    };
    match (by_tx, by_block) {
        (Ok(Some(height)), _) | (_, Some(height)) => Located::In(height),
        (Ok(None), None) => Located::Nowhere,
        (Err(error), None) if matches!(error.kind, ChainErrorKind::Refused { .. }) => Located::NoIndex,
        (Err(error), None) => Located::Failed(error),
    }
}

/// Reads block after block backwards until all is found, blocks are pruned, or the bound is reached.
async fn scan(node: &Node, wanted: &mut Wanted<'_>, caps: Caps, newest: u64) -> Result<(), ChainError> {
    let lowest = newest.saturating_sub(SCAN_BLOCKS).max(1);
    let mut top = newest;
    while top >= lowest && !wanted.missing.is_empty() {
        let bottom = top.saturating_sub(SCAN_STEP - 1).max(lowest);
        tracing::info!(
            chain = %node.chain(), end = %wanted.end, missing = wanted.missing.len(), from = top, to = bottom, until = lowest,
            "searching blocks backwards: the node's transaction index does not name all packets"
        );
        let heights: Vec<u64> = (bottom..=top).rev().collect();
        for facts in block::facts(node, &heights, caps, Some(newest)).await? {
            match facts {
                Ok(facts) => wanted.take(&facts),
                Err(error) if matches!(error.kind, ChainErrorKind::Pruned(_)) => return Ok(()),
                Err(error) if matches!(error.kind, ChainErrorKind::NotYet(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(below) = bottom.checked_sub(1).filter(|below| *below > 0) else { break };
        top = below;
    }
    Ok(())
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod history_tests;
