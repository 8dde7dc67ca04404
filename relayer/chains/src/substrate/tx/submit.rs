//! Hands signed extrinsics to a node and looks for them in blocks.
//!
//! Nodes keep no index of extrinsics: one that is looked for after a restart is searched in the blocks that it can be in. Nothing is sent
//! twice: what may have reached a node without an answer is [`ChainErrorKind::Timeout`](relayer_core::error::ChainErrorKind), and only the blocks can tell.

use light_clients::grandpa::blake2_256;
use relayer_core::chain::{Outcome, Signed};
use relayer_core::error::{ChainError, ChainErrorKind, TxFailure};
use relayer_core::id::TxHash;

use super::failure;
use super::limits::{OUTCOME_BLOCKS, SUBMIT_CALLS};
use crate::rpc::limits::REQUEST_BYTES;
use crate::rpc::{Answer, Call, RpcError};
use crate::substrate::block::{Reader, extrinsics};
use crate::substrate::node::{Node, Said};
use crate::substrate::wire::{self, SignedBlock};

/// One result for each, in their order.
pub(crate) async fn submit(node: &Node, signed: &[Signed]) -> Vec<Result<(), TxFailure>> {
    let mut results: Vec<Result<(), TxFailure>> = Vec::with_capacity(signed.len());
    for group in groups(signed) {
        let stop = results.iter().any(|result| matches!(result, Err(TxFailure::Chain(_))));
        if stop {
            let not_sent = || node.error(ChainErrorKind::Unavailable, "not sent: the one before it is in doubt");
            results.extend(group.iter().map(|_| Err(TxFailure::Chain(not_sent()))));
        } else {
            results.extend(request(node, group).await);
        }
    }
    results
}

/// As many at once as one request carries.
fn groups(signed: &[Signed]) -> Vec<&[Signed]> {
    let mut groups = Vec::new();
    let (mut start, mut bytes) = (0, 0usize);
    for (at, tx) in signed.iter().enumerate() {
        let more = tx.bytes.len().saturating_mul(2).saturating_add(256);
        if at > start && (at - start >= SUBMIT_CALLS || bytes.saturating_add(more) > REQUEST_BYTES) {
            groups.extend(signed.get(start..at));
            (start, bytes) = (at, 0);
        }
        bytes = bytes.saturating_add(more);
    }
    groups.extend(signed.get(start..).filter(|rest| !rest.is_empty()));
    groups
}

async fn request(node: &Node, group: &[Signed]) -> Vec<Result<(), TxFailure>> {
    let call = |tx: &Signed| Call::broadcast("author_submitExtrinsic", (wire::hex(&tx.bytes),));
    let calls: Result<Vec<Call>, RpcError> = group.iter().map(call).collect();
    let answers = match calls {
        Ok(calls) => node.rpc().batch(calls).await,
        Err(error) => Err(error),
    };
    match answers {
        Ok(answers) => {
            let told = group.iter().zip(answers).map(|(tx, answer)| accepted(node, tx.hash, answer));
            let mut results: Vec<_> = told.collect();
            results.resize_with(group.len(), || Err(node.error(ChainErrorKind::Timeout, "no answer").into()));
            results
        }
        Err(error) => group.iter().map(|_| Err(failure::submission(node, error.clone()))).collect(),
    }
}

/// One submission. An extrinsic that the node already has is accepted.
pub(super) fn accepted(node: &Node, hash: TxHash, answer: Result<Answer, RpcError>) -> Result<(), TxFailure> {
    match answer {
        Ok(answer) => match serde_json::from_str::<String>(answer.result.get()).ok().and_then(|text| wire::hash(&text))
        {
            Some(told) if told == hash.0 => Ok(()),
            // It answered, so it may have taken it.
            _ => {
                let detail = format!("author_submitExtrinsic from {}", answer.endpoint);
                Err(node.error(ChainErrorKind::Timeout, detail).into())
            }
        },
        Err(error) => match failure::submission(node, error) {
            TxFailure::AlreadyKnown => Ok(()),
            failure => Err(failure),
        },
    }
}

/// Searches the finalized blocks from `newest` down for an extrinsic.
pub(crate) async fn outcome(reader: &Reader, hash: TxHash, newest: u32, blocks: u64) -> Result<Outcome, ChainError> {
    let lowest = newest.saturating_sub(u32::try_from(blocks).unwrap_or(u32::MAX));
    let numbers: Vec<u32> = (lowest..=newest).rev().collect();
    for chunk in numbers.chunks(OUTCOME_BLOCKS) {
        let Some(number) = find(&reader.node, hash, chunk).await? else { continue };
        let reports = reader.reports(number).await?;
        if let Some(report) = reports.into_iter().find(|report| report.hash == hash) {
            return Ok(Outcome::Committed { height: reader.node.height(number), report });
        }
    }
    Ok(Outcome::Unknown)
}

/// Which of these blocks holds the extrinsic.
async fn find(node: &Node, hash: TxHash, numbers: &[u32]) -> Result<Option<u32>, ChainError> {
    let Said { value: hashes, endpoint } = node.hashes(numbers).await?;
    let same = node.only(&endpoint);
    let calls = hashes.iter().map(|hash| same.call_of("chain_getBlock", (wire::hex(hash),)));
    let answers = same.batch(calls.collect::<Result<_, _>>()?).await?;
    for (number, answer) in numbers.iter().zip(answers) {
        let said: Said<Option<SignedBlock>> = same.decode(&answer?, "chain_getBlock")?;
        let held = said.value.as_ref().and_then(extrinsics).unwrap_or_default();
        if held.iter().any(|bytes| blake2_256(bytes) == hash.0) {
            return Ok(Some(*number));
        }
    }
    Ok(None)
}
