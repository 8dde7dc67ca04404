//! Light blocks: a header, its commit, its validators and the next ones, fetched and put together; not verified.
//!
//! `/commit` and `/validators` (pages of 100). The next validators are fetched only when their hash differs from the header's own,
//! and sets are remembered by hash, so a chain whose validators rest costs one call a header. What can be checked without trust is
//! checked here: height, chain, the hashes of both sets, that addresses are those of their keys. Bounds: at most
//! [`light_clients::limits::MAX_VALIDATORS`], whatever `total` says; the body by the RPC stack.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use ibc_proto::google::protobuf::Any;
use ibc_relayer_types::Height as IbcHeight;
use ibc_relayer_types::clients::ics07_tendermint::header::Header as Ics07Header;
use light_clients::limits::{MAX_TOTAL_VOTING_POWER, MAX_VALIDATORS};
use light_clients::tendermint::ConsensusState;
use relayer_core::error::{ChainError, ChainErrorKind};
use serde_json::json;
use tendermint::{Hash, account, validator};
use tendermint_light_client::verifier::types::{LightBlock, PeerId};

use super::limits::VALIDATORS_PAGE;
use super::node::{Node, Said, chain_error};
use super::wire::{CommitAnswer, ValidatorsAnswer};
use crate::rpc::{Call, EndpointId};

/// The light client library names a peer for each block; ours are told apart by [`EndpointId`].
pub(crate) fn peer() -> PeerId {
    PeerId::new([0; 20])
}

/// Validator sets by hash, the newest few.
#[derive(Debug, Default)]
pub(crate) struct Sets(Mutex<VecDeque<(Hash, validator::Set)>>);

impl Sets {
    const KEPT: usize = 8;

    fn get(&self, hash: Hash) -> Option<validator::Set> {
        let sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sets.iter().find(|(known, _)| *known == hash).map(|(_, set)| set.clone())
    }
    fn put(&self, hash: Hash, set: &validator::Set) {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sets.iter().all(|(known, _)| *known != hash) {
            sets.push_front((hash, set.clone()));
            sets.truncate(Self::KEPT);
        }
    }
    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// A fetched light block and who gave its header.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) block: LightBlock,
    pub(crate) endpoint: EndpointId,
}

/// Fetches one light block.
pub(crate) async fn fetch(node: &Node, sets: &Sets, height: u64) -> Result<Fetched, ChainError> {
    let first_page = sets.is_empty();
    let mut calls = vec![commit_call(node, height)?];
    if first_page {
        calls.push(page_call(node, height, 1)?);
    }
    let mut answers = node.batch(calls).await?.into_iter();
    let missing = || Err(node.error(ChainErrorKind::Malformed, "commit"));
    let said: Said<CommitAnswer> = node.decode(&answers.next().unwrap_or_else(missing)?, "commit")?;
    let (signed, endpoint) = (said.value.signed_header, said.endpoint);
    let header = &signed.header;
    if header.height.value() != height || signed.commit.height.value() != height {
        let detail = format!("asked for {height}, {endpoint} answered for {}", header.height);
        return Err(node.lying(&endpoint, "wrong_height", detail));
    }
    if header.chain_id.as_str() != node.chain().as_str() {
        return Err(node.lying(&endpoint, "wrong_chain_header", header.chain_id.as_str()));
    }
    if signed.commit.signatures.len() > MAX_VALIDATORS {
        return Err(node.error(ChainErrorKind::TooLarge, format!("a commit of {endpoint}")));
    }
    let page: Option<Said<ValidatorsAnswer>> = match answers.next() {
        Some(answer) => Some(node.decode(&answer?, "validators")?),
        None => None,
    };
    let validators = match sets.get(header.validators_hash) {
        Some(set) => set,
        None => validators(node, height, page, header.validators_hash).await?,
    };
    sets.put(header.validators_hash, &validators);
    let next_validators = if header.next_validators_hash == header.validators_hash {
        validators.clone()
    } else {
        match sets.get(header.next_validators_hash) {
            Some(set) => set,
            None => self::validators(node, height.saturating_add(1), None, header.next_validators_hash).await?,
        }
    };
    sets.put(header.next_validators_hash, &next_validators);
    // The proposer stands in the proto of a set, not in its hash; ibc-go refuses a set without one.
    let proposer = header.proposer_address;
    let validators = validator::Set::with_proposer(validators.validators().clone(), proposer)
        .map_err(|_| node.lying(&endpoint, "proposer", "not among the validators"))?;
    Ok(Fetched { block: LightBlock::new(signed, validators, next_validators, peer()), endpoint })
}

fn commit_call(node: &Node, height: u64) -> Result<Call, ChainError> {
    Call::read("commit", json!({ "height": height.to_string() })).map_err(|e| chain_error(node.chain(), e))
}

fn page_call(node: &Node, height: u64, page: usize) -> Result<Call, ChainError> {
    let params =
        json!({ "height": height.to_string(), "page": page.to_string(), "per_page": VALIDATORS_PAGE.to_string() });
    Call::read("validators", params).map_err(|e| chain_error(node.chain(), e))
}

/// All pages of the validators of a height, which hash to `hash`.
async fn validators(
    node: &Node,
    height: u64,
    first: Option<Said<ValidatorsAnswer>>,
    hash: Hash,
) -> Result<validator::Set, ChainError> {
    let first = match first {
        Some(first) => first,
        None => {
            let mut answers = node.batch(vec![page_call(node, height, 1)?]).await?;
            let answer = answers.pop().unwrap_or_else(|| Err(node.error(ChainErrorKind::Malformed, "validators")))?;
            node.decode(&answer, "validators")?
        }
    };
    let Said { value, endpoint } = first;
    let total = usize::try_from(value.total.0).unwrap_or(usize::MAX);
    if total > MAX_VALIDATORS {
        return Err(node.error(ChainErrorKind::TooLarge, format!("{total} validators, says {endpoint}")));
    }
    let wrong_height = |got: u64, by: &EndpointId| {
        node.lying(by, "wrong_height", format!("validators of {height} asked, of {got} given"))
    };
    if value.block_height.0 != height {
        return Err(wrong_height(value.block_height.0, &endpoint));
    }
    let mut infos = value.validators.unwrap_or_default();
    if infos.len() < total {
        let pages = total.div_ceil(VALIDATORS_PAGE);
        let calls = (2..=pages).map(|page| page_call(node, height, page)).collect::<Result<Vec<_>, _>>()?;
        for answer in node.batch(calls).await? {
            let page: Said<ValidatorsAnswer> = node.decode(&answer?, "validators")?;
            if page.value.block_height.0 != height {
                return Err(wrong_height(page.value.block_height.0, &page.endpoint));
            }
            infos.extend(page.value.validators.unwrap_or_default());
        }
    }
    set(infos).filter(|set| set.hash() == hash).ok_or_else(|| {
        node.lying(
            &endpoint,
            "validators_of_another_block",
            format!("validators of {height} are not those of the header"),
        )
    })
}

/// A set of validators from outside; `None` when it breaks a rule that would let votes be counted wrongly.
pub(super) fn set(infos: Vec<validator::Info>) -> Option<validator::Set> {
    let total = infos.iter().try_fold(0u64, |sum, info| sum.checked_add(info.power()))?;
    let own_names = infos.iter().all(|info| info.address == account::Id::from(info.pub_key));
    let fits = !infos.is_empty() && infos.len() <= MAX_VALIDATORS && total <= MAX_TOTAL_VOTING_POWER;
    (own_names && fits).then(|| validator::Set::new(infos, None))
}

/// The ICS-07 header that brings a client from `trusted` to a block. `trusted_next`: the validators that the consensus state
/// there vouches for.
pub(crate) fn ics07_header(block: &LightBlock, trusted: IbcHeight, trusted_next: &validator::Set) -> Any {
    let infos = trusted_next.validators().clone();
    let proposer = infos.first().cloned();
    Any::from(Ics07Header {
        signed_header: block.signed_header.clone(),
        validator_set: block.validators.clone(),
        trusted_height: trusted,
        trusted_validator_set: validator::Set { proposer, ..trusted_next.clone() },
    })
}

/// The consensus state that a client stores for a block.
pub(crate) fn consensus_state(block: &LightBlock) -> Result<ConsensusState, light_clients::Reason> {
    let header = &block.signed_header.header;
    ConsensusState::new(header.time, header.app_hash.as_bytes().to_vec(), header.next_validators_hash)
}

/// A light block as bytes for the journal: an ICS-07 header whose trusted validators are the next ones.
pub(crate) fn to_bytes(block: &LightBlock) -> Option<Vec<u8>> {
    let here = IbcHeight::new(0, block.height().value()).ok()?;
    Some(ics07_header(block, here, &block.next_validators).value)
}

/// The reverse of [`to_bytes`], with everything checked that needs no trust.
pub(crate) fn from_bytes(bytes: &[u8], chain: &str) -> Option<LightBlock> {
    use ibc_proto::ibc::lightclients::tendermint::v1::Header as RawHeader;
    use prost::Message;
    if bytes.len() > light_clients::limits::MAX_HEADER_BYTES {
        return None;
    }
    let raw = RawHeader::decode(bytes).ok()?;
    let signed: tendermint::block::signed_header::SignedHeader = raw.signed_header?.try_into().ok()?;
    let validators: validator::Set = raw.validator_set?.try_into().ok()?;
    let next: validator::Set = raw.trusted_validators?.try_into().ok()?;
    let header = &signed.header;
    let fits = header.chain_id.as_str() == chain
        && validators.hash() == header.validators_hash
        && next.hash() == header.next_validators_hash
        && signed.commit.block_id.hash == header.hash();
    fits.then(|| LightBlock::new(signed, validators, next, peer()))
}
