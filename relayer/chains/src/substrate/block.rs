//! One block: its extrinsics and its events, fetched in one request by its verified hash.
//!
//! The header of the block and its time are our own light client's. Events come with the trie's proof against that header's state root, so no node
//! can make one up or leave one out; the extrinsics are held against the root that the header names ([`super::body`]). Their messages give
//! `update_client` facts their header. Bounds: [`super::limits`] and `relayer_core::limits`.

use std::collections::{BTreeMap, VecDeque};

use ibc_proto::google::protobuf::Any;
use light_clients::grandpa::{DigestItem, Hash, SubstrateHeader, blake2_256};
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::fact::{BlockFacts, Fact, TxReport};
use relayer_core::id::{Timestamp, TxHash};
use relayer_core::limits::{FACTS_PER_BLOCK, XCM_PER_BLOCK};
use relayer_core::packet::At;

use super::body;
use super::event::{self, Told};
use super::extrinsic;
use super::keys;
use super::light::Light;
use super::limits::{EVENTS_BYTES, EXTRINSICS, PROOF_BYTES};
use super::node::{Node, Said};
use super::root;
use super::runtime::{Runtime, Runtimes};
use super::wire::{self, ReadProof, SignedBlock};
use super::xcm;
use crate::ibc::event::{self as ibc_event, Caps};
use crate::ibc::message::submitted_header;

/// What blocks are read with.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) node: Node,
    pub(crate) light: Light,
    pub(crate) runtimes: Runtimes,
    pub(crate) caps: Caps,
}

impl Reader {
    /// The hash of a block and its time: verified once there is something to verify it from.
    async fn named(&self, number: u32) -> Result<(Hash, Timestamp), ChainError> {
        if self.light.trusts() {
            let block = self.light.block(number).await?;
            let time = self.light.timed(&block).await?.time;
            return Ok((block.hash(), Timestamp(time.as_nanos())));
        }
        let hash = self.node.hash(number).await?.value;
        Ok((hash, self.node.time(&hash).await?.value))
    }

    /// All that a block says.
    pub(crate) async fn facts(&self, number: u32) -> Result<BlockFacts, ChainError> {
        let (hash, time) = self.named(number).await?;
        let mut runtime = self.runtimes.current(&hash).await?;
        let (extrinsics, header, events) = self.node.patient(|| self.fetch(&hash)).await?;
        if event::are_too_many(&events.value) {
            return Err(self.node.error(ChainErrorKind::TooLarge, format!("the events of block {number}")));
        }
        let mut told = event::read(&runtime.metadata, &runtime.xcm, &events.value);
        if told.is_none() {
            // A block of another version of the runtime: of the past, or the one that upgraded it. Its parent's state holds the code that made it.
            runtime = self.runtimes.at(&header.parent_hash).await?;
            told = event::read(&runtime.metadata, &runtime.xcm, &events.value);
        }
        if header.digest.0.contains(&DigestItem::RuntimeEnvironmentUpdated) {
            self.runtimes.upgraded();
        }
        let Some(told) = told else {
            // They are the chain's own, so it is the metadata that is wrong, whoever told it.
            self.runtimes.forget(&runtime);
            return Err(self
                .node
                .error(ChainErrorKind::Malformed, format!("metadata that the events of block {number} are not of")));
        };
        let at = At { height: self.node.height(number), time };
        if extrinsics.len() > EXTRINSICS {
            return Err(self.node.error(ChainErrorKind::TooLarge, format!("{} extrinsics", extrinsics.len())));
        }
        let facts = facts(&runtime, at, &extrinsics, told, self.caps);
        if facts.facts.len() >= FACTS_PER_BLOCK {
            tracing::warn!(chain = %self.node.chain(), number, limit = FACTS_PER_BLOCK, "facts of a block beyond the limit are left to the clearing");
        }
        Ok(facts)
    }

    /// Extrinsics, header, and events in SCALE.
    async fn fetch(&self, hash: &Hash) -> Result<(Vec<Vec<u8>>, SubstrateHeader, Said<Vec<u8>>), ChainError> {
        let named = wire::hex(hash);
        let key = keys::value("System", "Events");
        let calls = vec![
            self.node.call_of("chain_getBlock", (&named,))?,
            self.node.call_of("state_getReadProof", ([wire::hex(&key)], &named))?,
        ];
        let mut answers = self.node.batch(calls).await?.into_iter();
        let missing = || Err(self.node.error(ChainErrorKind::Malformed, "chain_getBlock"));
        let block: Said<Option<SignedBlock>> =
            self.node.decode(&answers.next().unwrap_or_else(missing)?, "chain_getBlock")?;
        let events: Said<ReadProof> =
            self.node.decode(&answers.next().unwrap_or_else(missing)?, "state_getReadProof")?;
        let not_yet = || {
            let detail = format!("{} has no block {named}", block.endpoint);
            self.node.error(ChainErrorKind::NotYet(self.node.height(0u32)), detail)
        };
        let found = block.value.ok_or_else(not_yet)?;
        let (_, header) = found
            .block
            .header
            .checked(hash)
            .ok_or_else(|| self.node.lying(&block.endpoint, "wrong_header", "chain_getBlock"))?;
        let extrinsics = extrinsics(&found).ok_or_else(|| self.node.malformed(&block.endpoint, "extrinsics"))?;
        if !body::is_of(&extrinsics, &header.extrinsics_root) {
            return Err(self.node.lying(&block.endpoint, "extrinsics_root", format!("block {}", header.number)));
        }
        let most = EVENTS_BYTES.saturating_add(PROOF_BYTES);
        let (value, _) = root::value(&self.node, &events, &key, (hash, &header.state_root), most)?;
        Ok((extrinsics, header, Said { value: value.unwrap_or_default(), endpoint: events.endpoint }))
    }

    /// The reports of a block's extrinsics: where a transaction went.
    pub(crate) async fn reports(&self, number: u32) -> Result<Vec<TxReport>, ChainError> {
        Ok(self.facts(number).await?.txs)
    }
}

/// The extrinsics of a block in SCALE.
pub(crate) fn extrinsics(block: &SignedBlock) -> Option<Vec<Vec<u8>>> {
    block.block.extrinsics.iter().map(|text| wire::bytes(text)).collect()
}

/// Facts and reports, in the block's order.
pub(crate) fn facts(runtime: &Runtime, at: At, extrinsics: &[Vec<u8>], told: Told, caps: Caps) -> BlockFacts {
    let hashes: Vec<TxHash> = extrinsics.iter().map(|bytes| TxHash(blake2_256(bytes))).collect();
    let of = |index: u32| usize::try_from(index).ok();
    let mut headers: BTreeMap<u32, VecDeque<(String, Any)>> = BTreeMap::new();
    let mut facts = Vec::new();
    for event in &told.emitted {
        if facts.len() >= FACTS_PER_BLOCK {
            break;
        }
        let tx = event.extrinsic.and_then(of).and_then(|index| hashes.get(index).copied());
        let opened = || tx.and_then(|tx| ibc_event::opened(&event.kind, || event.attributes(), tx));
        let Some(mut fact) = ibc_event::fact(&event.kind, || event.attributes(), caps).or_else(opened) else {
            continue;
        };
        if let (Fact::ClientUpdated { client, header, .. }, Some(index)) = (&mut fact, event.extrinsic) {
            let submitted = headers.entry(index).or_insert_with(|| {
                let bytes = of(index).and_then(|index| extrinsics.get(index));
                let messages =
                    bytes.and_then(|bytes| extrinsic::messages(&runtime.metadata, bytes)).unwrap_or_default();
                messages.into_iter().filter_map(submitted_header).collect()
            });
            let of_client = submitted.iter().position(|(id, _)| id == client.as_str());
            *header = of_client.and_then(|place| submitted.remove(place)).map(|(_, message)| message);
        }
        facts.push(fact);
    }
    let report = |(index, hash): (u32, &TxHash)| {
        let applied = told.applied.get(&index).cloned().unwrap_or_default();
        let gas = gas(applied.ref_time);
        TxReport { hash: *hash, failure: applied.failure, gas_used: gas, gas_wanted: gas }
    };
    let mut met = xcm::of_calls(&runtime.metadata, &runtime.xcm, extrinsics, XCM_PER_BLOCK);
    met.extend(told.xcm);
    met.truncate(XCM_PER_BLOCK);
    BlockFacts { at, facts, txs: (0u32..).zip(&hashes).map(report).collect(), xcm: met }
}

/// Gas of these chains: nanoseconds of reference time.
pub(crate) fn gas(ref_time_ps: u64) -> u64 {
    ref_time_ps / 1_000
}
