//! Justifications: where they come from, and those that are at hand.
//!
//! A chain finalizes block after block, but the votes that prove it exist for some of them only: for those at which a round of
//! GRANDPA ended while we listened, for the last block of each authority set (nodes keep these with the block), and for one block in
//! some hundreds. Only these can a client be brought to. Three sources: the stream `grandpa_subscribeJustifications`,
//! `grandpa_proveFinality` (which knows nothing before a first change of authorities), and `chain_getBlock`. What is kept here is
//! decoded, not verified: [`super::light`] does that before anything is based on it. Bounds: [`super::limits`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use light_clients::grandpa::{Hash, Justification};
use parity_scale_codec::{Decode, Encode};
use relayer_core::error::ChainError;

use super::limits::{JUSTIFICATION_BYTES, JUSTIFICATION_PARTS, JUSTIFICATIONS};
use super::node::{Node, Said};
use super::wire::{self, SignedBlock};
use crate::rpc::EndpointId;

/// A block, and the votes that are said to finalize it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    pub(crate) number: u32,
    pub(crate) hash: Hash,
    pub(crate) votes: Arc<Justification>,
    /// Who showed it.
    pub(crate) by: EndpointId,
}

impl Shown {
    /// Votes and headers in it, about 150 bytes each.
    fn parts(&self) -> usize {
        self.votes.commit.precommits.len().saturating_add(self.votes.votes_ancestries.len())
    }
}

/// Reads a justification, size first.
pub(crate) fn read(bytes: &[u8], by: EndpointId) -> Option<Shown> {
    let votes = Justification::decode_bytes(bytes).ok()?;
    Some(Shown { number: votes.commit.target_number, hash: votes.commit.target_hash, votes: Arc::new(votes), by })
}

/// A notification of the stream: a JSON text of hex.
pub(crate) fn notified(json: &str, by: EndpointId) -> Option<Shown> {
    let text: &str = serde_json::from_str(json).ok()?;
    if text.len() / 2 > JUSTIFICATION_BYTES {
        return None;
    }
    read(&wire::bytes(text)?, by)
}

/// `FinalityProof` of `grandpa_proveFinality`, whose headers we fetch ourselves.
pub(crate) fn proof(text: &str, by: EndpointId) -> Option<Shown> {
    let bytes = wire::bytes(text)?;
    let input = &mut bytes.as_slice();
    let block = Hash::decode(input).ok()?;
    let votes = Vec::<u8>::decode(input).ok()?;
    read(&votes, by).filter(|shown| shown.hash == block)
}

/// The node's proof that the block is final: of the block or of a later one. `None` if it has none.
pub(crate) async fn prove(node: &Node, number: u32) -> Result<Option<Shown>, ChainError> {
    use relayer_core::error::ChainErrorKind::Refused;
    let Said { value, endpoint } = match node.call::<String>("grandpa_proveFinality", (number,)).await {
        Ok(said) => said,
        Err(ChainError { kind: Refused { .. }, .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(text) = value else { return Ok(None) };
    match proof(&text, endpoint.clone()) {
        Some(shown) => Ok(Some(shown).filter(|shown| shown.number >= number)),
        None => Err(node.malformed(&endpoint, "grandpa_proveFinality")),
    }
}

/// The justification that the node keeps with a block; `None` if it keeps none.
pub(crate) async fn of_block(node: &Node, hash: &Hash) -> Result<Option<Shown>, ChainError> {
    let Said { value, endpoint } = node.call::<SignedBlock>("chain_getBlock", (wire::hex(hash),)).await?;
    let Some(bytes) = value.and_then(SignedBlock::justification) else { return Ok(None) };
    match read(&bytes, endpoint.clone()) {
        Some(shown) if shown.hash == *hash => Ok(Some(shown)),
        _ => Err(node.malformed(&endpoint, "justification of a block")),
    }
}

/// The justifications at hand, by block number.
#[derive(Debug, Default)]
pub(crate) struct Justified(Mutex<BTreeMap<u32, Shown>>);

impl Justified {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Shown>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Keeps one, unless there is one of its block's number: whoever shows another has to wait until that is disproved. The oldest go when
    /// there are too many, or too much in them.
    pub(crate) fn put(&self, shown: Shown) {
        let mut all = self.lock();
        all.entry(shown.number).or_insert(shown);
        let mut parts: usize = all.values().map(Shown::parts).sum();
        while all.len() > JUSTIFICATIONS || parts > JUSTIFICATION_PARTS {
            let Some((_, first)) = all.pop_first() else { return };
            parts = parts.saturating_sub(first.parts());
        }
    }
    /// The one of the lowest block from this on.
    pub(crate) fn from(&self, number: u32) -> Option<Shown> {
        self.lock().range(number..).next().map(|(_, shown)| shown.clone())
    }
    pub(crate) fn get(&self, number: u32) -> Option<Shown> {
        self.lock().get(&number).cloned()
    }
    pub(crate) fn newest(&self) -> Option<u32> {
        self.lock().last_key_value().map(|(number, _)| *number)
    }
    /// Drops one that turned out to be false, and what its teller showed above it.
    pub(crate) fn refute(&self, number: u32, by: &EndpointId) {
        self.lock().retain(|at, shown| *at < number || shown.by != *by);
    }
}

/// The justification in SCALE, as messages carry it.
pub(crate) fn encode(votes: &Justification) -> Vec<u8> {
    votes.encode()
}

#[cfg(test)]
mod tests {
    use light_clients::grandpa::{Commit, SubstrateHeader};

    use super::*;

    fn by() -> EndpointId {
        EndpointId::new(0, "http://127.0.0.1:1".into())
    }
    fn votes(number: u32) -> Justification {
        let commit = Commit { target_hash: [7; 32], target_number: number, precommits: Vec::new() };
        Justification { round: 3, commit, votes_ancestries: Vec::new() }
    }

    #[test]
    fn each_source_is_read_and_what_is_cut_short_or_names_another_block_is_not() {
        let bytes = encode(&votes(9));
        let hex = wire::hex(&bytes);
        assert_eq!(notified(&format!("\"{hex}\""), by()).unwrap().number, 9);
        assert_eq!(notified(&format!("\"{}\"", &hex[..hex.len() - 2]), by()), None);
        assert_eq!(notified("{}", by()), None);
        let proof_of = |block: Hash| wire::hex((block, &bytes, Vec::<SubstrateHeader>::new()).encode());
        assert_eq!(proof(&proof_of([7; 32]), by()).unwrap().hash, [7; 32]);
        assert_eq!(proof(&proof_of([8; 32]), by()), None);
        assert_eq!(proof("0x00", by()), None);
    }

    #[test]
    fn attack_42_a_justification_beyond_the_limit_is_not_decoded() {
        let text = format!("\"0x{}\"", "00".repeat(JUSTIFICATION_BYTES + 1));
        assert_eq!(notified(&text, by()), None);
    }

    #[test]
    fn the_lowest_justified_block_from_a_height_on_is_found_and_the_oldest_ones_go() {
        let justified = Justified::default();
        for number in [12, 4, 8] {
            justified.put(read(&encode(&votes(number)), by()).unwrap());
        }
        assert_eq!((justified.from(5).unwrap().number, justified.newest()), (8, Some(12)));
        assert_eq!(justified.from(13), None);
        justified.refute(8, &by());
        assert_eq!(justified.newest(), Some(4));
        // Another one of a number is not taken, and what is large goes sooner.
        let large = |number| {
            let mut votes = votes(number);
            let header = SubstrateHeader::decode(&mut [0; 98].as_slice()).unwrap();
            votes.votes_ancestries = vec![header; JUSTIFICATION_PARTS / 2 + 1];
            Shown { number, hash: [1; 32], votes: Arc::new(votes), by: by() }
        };
        justified.put(large(4));
        assert_eq!(justified.get(4).unwrap().hash, [7; 32]);
        justified.put(large(5));
        justified.put(large(6));
        assert_eq!((justified.get(4), justified.get(5), justified.newest()), (None, None, Some(6)));
        for number in 0..2 * u32::try_from(JUSTIFICATIONS).unwrap() {
            justified.put(read(&encode(&votes(number)), by()).unwrap());
        }
        assert_eq!(justified.from(0).unwrap().number, u32::try_from(JUSTIFICATIONS).unwrap());
    }
}
