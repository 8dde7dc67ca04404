//! The way from one trusted block to the next: headers, the votes at their end, and who cast them.
//!
//! A hop ends at a block that is shown to be final, or where the authorities change: its last block is the last that the trusted
//! block's authorities finalize, and nodes keep its justification. When finality stalled for very long a hop is cut at a block that nodes
//! keep a justification of. Votes are trimmed to those needed and verified once. Bounds: [`super::limits`].

use std::sync::Arc;

use ed25519_consensus::{Signature, VerificationKey};
use light_clients::Reason;
use light_clients::grandpa::{AuthoritySet, Finality, Justification, SubstrateHeader, blake2_256, signed_bytes};
use relayer_core::error::{ChainError, ChainErrorKind};

use super::finality::{self, Shown};
use super::kept::Block;
use super::light::{Inner, OUT_OF_REACH};
use super::limits::{
    BACKWARD_HEADERS, HEADERS_PER_STEP, HOP_HEADERS, HOP_USUAL, JUSTIFICATION_PERIOD, JUSTIFICATIONS, PERIODS_TRIED,
    SET_IDS,
};
use super::node::Said;
use super::wire::{self, Header};
use super::{keys, root};
use crate::rpc::EndpointId;

/// The way from a trusted block to the next one that is shown to be final.
#[derive(Debug, Clone)]
pub(crate) struct Hop {
    pub(crate) from: Arc<Block>,
    /// From the one after it to the final one.
    pub(crate) blocks: Vec<Arc<Block>>,
    /// The votes, as few as needed.
    pub(crate) votes: Arc<Justification>,
    /// The list of the authorities that cast them, in SCALE.
    pub(crate) authorities: Arc<[u8]>,
}

/// A hop before its votes are checked.
struct Way {
    blocks: Vec<Arc<Block>>,
    authorities: Arc<[u8]>,
    shown: Shown,
}

impl Hop {
    pub(crate) fn end(&self) -> &Arc<Block> {
        self.blocks.last().unwrap_or(&self.from)
    }
}

impl Inner {
    /// Verifies and keeps all blocks up to one that is shown to be final.
    pub(super) async fn forward(&self, mut from: Arc<Block>, goal: u32) -> Result<(), ChainError> {
        while from.number() < goal {
            let hop = self.hop(from, goal).await?;
            hop.blocks.iter().cloned().for_each(|block| self.kept.put(block));
            from = hop.end().clone();
        }
        Ok(())
    }

    pub(super) async fn hop(&self, from: Arc<Block>, goal: u32) -> Result<Hop, ChainError> {
        let Way { blocks, authorities, shown } = self.way(&from, goal).await?;
        let votes = self.checked(&from, &authorities, shown, blocks.last()).await?;
        Ok(Hop { from, blocks, votes, authorities })
    }

    /// The blocks of a hop, who has to have voted for the last one, and a justification of it that nobody checked yet.
    async fn way(&self, from: &Arc<Block>, goal: u32) -> Result<Way, ChainError> {
        let mut blocks: Vec<Arc<Block>> = Vec::new();
        let changed =
            |blocks: &[Arc<Block>]| blocks.last().is_some_and(|last| last.finality.set_id != from.finality.set_id);
        let authorities = self.authorities(from).await?;
        for bound in [HOP_USUAL, HOP_HEADERS] {
            while !changed(&blocks) && blocks.len() < bound {
                let last = blocks.last().unwrap_or(from).clone();
                if last.number() >= goal {
                    break;
                }
                self.extend(&last, goal, from.finality.set_id, bound, &mut blocks).await?;
            }
            // One that is nearer makes a shorter message; where there is none, the way goes on.
            let more = bound < HOP_HEADERS && blocks.len() >= bound && !changed(&blocks);
            let whole = if more { blocks.clone() } else { Vec::new() };
            match self.end(from, &authorities, &mut blocks).await {
                Ok(shown) => return Ok(Way { blocks, authorities, shown }),
                Err(error) if more && error.kind == ChainErrorKind::NotFound => blocks = whole,
                Err(error) => return Err(error),
            }
        }
        Err(self.node.error(ChainErrorKind::NotFound, "a way to a justified block"))
    }

    /// Cuts a way at its last block that somebody shows to be final.
    async fn end(
        &self,
        from: &Arc<Block>,
        authorities: &Arc<[u8]>,
        blocks: &mut Vec<Arc<Block>>,
    ) -> Result<Shown, ChainError> {
        loop {
            let Some(last) = blocks.last() else {
                return Err(self.node.error(ChainErrorKind::NotFound, "a way to the trusted block itself"));
            };
            match self.shown(last).await? {
                Some(shown) => return Ok(shown),
                None => {
                    self.disprove(from, authorities, last).await?;
                    self.shorten(blocks).await?;
                }
            }
        }
    }

    /// Keeps a block that is trusted for its hash, and the way from there to the next justified one. States count sets as their sessions
    /// make them, GRANDPA as they vote; where the two differ, the votes tell the number.
    pub(super) async fn take_root(&self, block: Block) -> Result<(), ChainError> {
        let goal = self.shown_from(block.number().saturating_add(1)).await?;
        let block = Arc::new(block);
        let Way { blocks, authorities, shown } = self.way(&block, goal).await?;
        let (guess, list, votes) = (block.finality.set_id, authorities.clone(), shown.votes.clone());
        let found = self.compute(move || set_of(&list, &votes, guess)).await?;
        let set_id = found.ok_or_else(|| self.disproved(&shown.by, shown.number, &Reason::Signature))?;
        let counted = |block: &Arc<Block>| {
            let later = block.finality.set_id.saturating_sub(guess);
            Arc::new(block.in_set(set_id.saturating_add(later)))
        };
        let (block, blocks): (_, Vec<_>) = (counted(&block), blocks.iter().map(counted).collect());
        self.checked(&block, &authorities, shown, blocks.last()).await?;
        [block].into_iter().chain(blocks).for_each(|block| self.kept.put(block));
        Ok(())
    }

    /// Headers after `last`, up to `goal`, the end of the set or the bound of one request.
    async fn extend(
        &self,
        last: &Arc<Block>,
        goal: u32,
        set_id: u64,
        bound: usize,
        blocks: &mut Vec<Arc<Block>>,
    ) -> Result<(), ChainError> {
        let mut last = last.clone();
        while let Some(kept) = self.kept.get(last.number().saturating_add(1)).filter(|_| last.number() < goal) {
            if kept.header.parent_hash != last.hash() || blocks.len() >= bound {
                break;
            }
            blocks.push(kept.clone());
            last = kept;
            if last.finality.set_id != set_id {
                return Ok(());
            }
        }
        if last.number() >= goal || blocks.len() >= bound {
            return Ok(());
        }
        let low = last.number().saturating_add(1);
        let step = u32::try_from(HEADERS_PER_STEP).unwrap_or(u32::MAX);
        let high = goal.min(low.saturating_add(step).saturating_sub(1));
        let said = self.node.patient(|| self.headers(low, high)).await?;
        for bytes in said.value {
            let child = last.child(bytes, &self.lists);
            let child = child.map_err(|reason| self.refused(&said.endpoint, low, &reason))?;
            last = Arc::new(child);
            blocks.push(last.clone());
            if last.finality.set_id != set_id || blocks.len() >= bound {
                break;
            }
        }
        Ok(())
    }

    /// Headers in SCALE, ascending, as one node's chain has them.
    async fn headers(&self, low: u32, high: u32) -> Result<Said<Vec<Vec<u8>>>, ChainError> {
        let numbers: Vec<u32> = (low..=high).collect();
        let Said { value: hashes, endpoint } = self.node.hashes(&numbers).await?;
        let same = self.node.only(&endpoint);
        let calls = hashes.iter().map(|hash| same.call_of("chain_getHeader", (wire::hex(hash),)));
        let mut headers = Vec::with_capacity(numbers.len());
        for (answer, hash) in same.batch(calls.collect::<Result<_, _>>()?).await?.into_iter().zip(&hashes) {
            let said: Said<Option<Header>> = same.decode(&answer?, "chain_getHeader")?;
            let bytes = said.value.and_then(|header| header.encode()).filter(|bytes| blake2_256(bytes) == *hash);
            headers.push(bytes.ok_or_else(|| self.node.malformed(&endpoint, "chain_getHeader"))?);
        }
        match headers.len() == numbers.len() {
            true => Ok(Said { value: headers, endpoint }),
            false => Err(self.node.malformed(&endpoint, "chain_getHeader")),
        }
    }

    /// The list of the authorities that finalize the blocks after this one. The hash says whether it is right.
    async fn authorities(&self, from: &Block) -> Result<Arc<[u8]>, ChainError> {
        let want = from.finality.authorities_hash;
        if let Some(list) = self.lists.get(&want) {
            return Ok(list);
        }
        let key = keys::value("Grandpa", "Authorities");
        let said = self.node.storage(&key, &from.hash()).await?;
        match said.value.filter(|list| blake2_256(list) == want) {
            Some(list) => Ok(self.lists.put(list)),
            None => Err(self.node.lying(&said.endpoint, "authorities_hash", format!("block {}", from.number()))),
        }
    }

    /// A justification of this very block, if one is at hand or kept by the node.
    async fn shown(&self, block: &Block) -> Result<Option<Shown>, ChainError> {
        if let Some(shown) = self.justified.get(block.number()).filter(|shown| shown.hash == block.hash()) {
            return Ok(Some(shown));
        }
        let known = self.votes().get(&block.number()).cloned();
        if let Some(votes) = known.filter(|votes| votes.commit.target_hash == block.hash())
            && let Some(by) = self.node.rpc().endpoints().into_iter().next()
        {
            return Ok(Some(Shown { number: block.number(), hash: block.hash(), votes, by }));
        }
        finality::of_block(&self.node, &block.hash()).await
    }

    /// A justification at hand that names another block of this number: false, and its teller rests, or it is true and the headers lead
    /// to a block that never becomes final.
    async fn disprove(&self, from: &Block, authorities: &Arc<[u8]>, last: &Arc<Block>) -> Result<(), ChainError> {
        let Some(shown) = self.justified.get(last.number()).filter(|shown| shown.hash != last.hash()) else {
            return Ok(());
        };
        let Shown { votes, by, number, .. } = shown;
        match self.verdict(from, authorities, votes).await? {
            Ok(_) => {
                Err(self.node.error(ChainErrorKind::NotYet(self.node.height(number)), "the headers are of a fork"))
            }
            Err(reason) => Err(self.disproved(&by, number, &reason)),
        }
    }

    /// The votes, as few as needed, if they are those of the authorities after `from`.
    async fn verdict(
        &self,
        from: &Block,
        authorities: &Arc<[u8]>,
        votes: Arc<Justification>,
    ) -> Result<Result<Justification, Reason>, ChainError> {
        let (list, set_id) = (authorities.clone(), from.finality.set_id);
        let verify = move || {
            let set = AuthoritySet::decode(set_id, &list)?;
            let votes = votes.as_ref().clone().trim(&set);
            votes.verify(&set).map(|()| votes)
        };
        self.compute(verify).await
    }

    /// Forgets a justification that is false, and the head it was for.
    fn disproved(&self, by: &EndpointId, number: u32, reason: &Reason) -> ChainError {
        self.justified.refute(number, by);
        self.heads.refute(self.node.height(number));
        self.refused(by, number, reason)
    }

    /// Back to a block that nodes keep a justification of: a hop without one at its end is too long, or misses it.
    async fn shorten(&self, blocks: &mut Vec<Arc<Block>>) -> Result<(), ChainError> {
        let last = blocks.last().map_or(0, |block| block.number());
        blocks.pop();
        let at_period = |block: &Arc<Block>| u64::from(block.number()).is_multiple_of(JUSTIFICATION_PERIOD);
        let near = |block: &Arc<Block>| {
            let tried = u64::try_from(PERIODS_TRIED).unwrap_or(u64::MAX).saturating_mul(JUSTIFICATION_PERIOD);
            u64::from(last.saturating_sub(block.number())) < tried
        };
        match blocks
            .iter()
            .rposition(|block| (at_period(block) || self.justified.get(block.number()).is_some()) && near(block))
        {
            Some(at) => {
                blocks.truncate(at.saturating_add(1));
                Ok(())
            }
            None => {
                let detail = format!("no endpoint has a justification of block {last} or of one soon before it");
                Err(self.node.error(ChainErrorKind::NotFound, detail))
            }
        }
    }

    /// The votes, as few as needed, once they are those of the authorities for the last block.
    async fn checked(
        &self,
        from: &Block,
        authorities: &Arc<[u8]>,
        shown: Shown,
        last: Option<&Arc<Block>>,
    ) -> Result<Arc<Justification>, ChainError> {
        let Shown { votes, by, number, .. } = shown;
        let (want, known) = (last.map(|block| block.hash()), self.votes().get(&number).cloned());
        if let Some(known) = known.filter(|known| Some(known.commit.target_hash) == want) {
            return Ok(known);
        }
        match self.verdict(from, authorities, votes).await? {
            Ok(votes) if Some(votes.commit.target_hash) == want => {
                let votes = Arc::new(votes);
                let mut all = self.votes();
                all.insert(number, votes.clone());
                while all.len() > JUSTIFICATIONS {
                    all.pop_first();
                }
                Ok(votes)
            }
            Ok(_) => Err(self.node.lying(&by, "other_target", format!("justification of {number}"))),
            Err(reason) => Err(self.disproved(&by, number, &reason)),
        }
    }

    fn refused(&self, endpoint: &EndpointId, number: u32, reason: &Reason) -> ChainError {
        self.node.lying(endpoint, reason.label(), format!("block {number} of {endpoint}: {reason}"))
    }

    /// A block below the lowest verified one: its own state says who finalizes the next one, the blocks between the two which set that is.
    pub(super) async fn backward(&self, number: u32) -> Result<Arc<Block>, ChainError> {
        let (headers, above) = self.linked(number).await?;
        let missing = || self.node.error(ChainErrorKind::NotFound, format!("block {number}"));
        let mut headers = headers.into_iter();
        let said = root::block(&self.node, &blake2_256(&headers.next().ok_or_else(missing)?), &self.lists).await?;
        let mut blocks = vec![said.value];
        for bytes in headers.chain([above.bytes.clone()]) {
            let last = blocks.last().ok_or_else(missing)?;
            let child = last.child(bytes, &self.lists);
            blocks.push(child.map_err(|reason| self.refused(&said.endpoint, number, &reason))?);
        }
        let end = blocks.pop().ok_or_else(missing)?.finality;
        if (Finality { set_id: above.finality.set_id, ..end }) != above.finality {
            let detail = format!("what the state of {number} says of authorities does not lead to {}", above.number());
            return Err(self.node.lying(&said.endpoint, "authorities_hash", detail));
        }
        let counted = |block: &Block| {
            let later = end.set_id.saturating_sub(block.finality.set_id);
            Arc::new(block.in_set(above.finality.set_id.saturating_sub(later)))
        };
        let found = blocks.first().map(counted).ok_or_else(missing)?;
        blocks.iter().skip(1).map(counted).for_each(|block| self.kept.put(block));
        // After the others, which may be more than are kept.
        self.kept.put(found.clone());
        Ok(found)
    }

    /// The headers from a block up to the nearest verified one above it, which comes beside them: each is named by the hash in the next.
    pub(super) async fn linked(&self, number: u32) -> Result<(Vec<Vec<u8>>, Arc<Block>), ChainError> {
        let Some(above) = self.kept.above(number) else {
            return Err(self.node.error(ChainErrorKind::NotFound, "no trusted block above"));
        };
        if u64::from(above.number().saturating_sub(number)) > BACKWARD_HEADERS {
            let detail = format!("{number} below {}", above.number());
            return Err(self.node.error(ChainErrorKind::Setup(OUT_OF_REACH), detail));
        }
        let (mut expected, mut high) = (above.header.parent_hash, above.number().saturating_sub(1));
        let mut descending = Vec::new();
        loop {
            let step = u32::try_from(HEADERS_PER_STEP).unwrap_or(u32::MAX);
            let low = number.max(high.saturating_sub(step.saturating_sub(1)));
            let said = self.headers(low, high).await?;
            for bytes in said.value.into_iter().rev() {
                match SubstrateHeader::decode_bytes(&bytes) {
                    Ok(header) if blake2_256(&bytes) == expected => expected = header.parent_hash,
                    _ => return Err(self.node.lying(&said.endpoint, "hash_chain", format!("a header below {high}"))),
                }
                descending.push(bytes);
            }
            if low <= number {
                descending.reverse();
                return Ok((descending, above));
            }
            high = low.saturating_sub(1);
        }
    }
}

/// Of which set these authorities' votes are: signatures cover its number.
fn set_of(list: &[u8], votes: &Justification, guess: u64) -> Option<u64> {
    let set = AuthoritySet::decode(guess, list).ok()?;
    let vote = votes.commit.precommits.iter().find(|vote| set.weight(&vote.id).is_some())?;
    let key = VerificationKey::try_from(vote.id).ok()?;
    let signature = Signature::from(vote.signature);
    let near = [guess, guess.saturating_add(1), guess.saturating_sub(1)];
    let signed = |id: &u64| key.verify(&signature, &signed_bytes(&vote.precommit, votes.round, *id)).is_ok();
    near.into_iter().chain(0..SET_IDS).find(signed)
}
