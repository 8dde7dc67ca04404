//! Hands signed transactions to a node and looks them up.
//!
//! `broadcast_tx_sync` answers with CheckTx's verdict. CometBFT runs the calls of a JSON-RPC batch one after the other, so several
//! transactions of one account go in one request, in order; requests follow each other. Nothing is sent twice: what may have
//! reached a node without an answer is [`ChainErrorKind::Timeout`], and only the blocks can tell.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use relayer_core::chain::{Outcome, Signed};
use relayer_core::error::{ChainError, ChainErrorKind, TxFailure};
use relayer_core::fact::TxReport;
use relayer_core::id::TxHash;
use serde::Deserialize;

use super::failure;
use super::limits::BROADCAST_CALLS;
use crate::cosmos::node::{Node, chain_error};
use crate::cosmos::wire::{Number, Text};
use crate::rpc::limits::REQUEST_BYTES;
use crate::rpc::{Answer, Call, EndpointHealth, RpcError};

/// One result for each, in their order.
pub(crate) async fn submit(node: &Node, signed: &[Signed]) -> Vec<Result<(), TxFailure>> {
    let mut results: Vec<Result<(), TxFailure>> = Vec::with_capacity(signed.len());
    let health = node.rpc().health();
    let takes =
        |e: &EndpointHealth| (e.batch_calls as usize).min(usize::try_from(e.limiter.burst).unwrap_or(usize::MAX));
    let takes = health.iter().filter(|e| !e.archive).map(takes).min().unwrap_or(1);
    for group in groups(signed, takes) {
        // What may have arrived is in doubt; what follows it would be refused, or arrive out of order.
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

/// As many at once as one request carries: requests of a batch may overtake each other, calls of a request don't.
fn groups(signed: &[Signed], takes: usize) -> Vec<&[Signed]> {
    let most = takes.clamp(1, BROADCAST_CALLS);
    let mut groups = Vec::new();
    let (mut start, mut bytes) = (0, 0usize);
    for (at, tx) in signed.iter().enumerate() {
        let more = tx.bytes.len().div_ceil(3).saturating_mul(4).saturating_add(256);
        if at > start && (at - start >= most || bytes.saturating_add(more) > REQUEST_BYTES) {
            groups.extend(signed.get(start..at));
            (start, bytes) = (at, 0);
        }
        bytes = bytes.saturating_add(more);
    }
    groups.extend(signed.get(start..).filter(|rest| !rest.is_empty()));
    groups
}

async fn request(node: &Node, group: &[Signed]) -> Vec<Result<(), TxFailure>> {
    let call =
        |tx: &Signed| Call::broadcast("broadcast_tx_sync", serde_json::json!({ "tx": STANDARD.encode(&tx.bytes) }));
    let calls: Result<Vec<Call>, RpcError> = group.iter().map(call).collect();
    let answers = match calls {
        Ok(calls) => node.rpc().batch(calls).await,
        Err(error) => Err(error),
    };
    match answers {
        Ok(answers) => {
            let mut results: Vec<_> = answers.into_iter().map(|answer| accepted(node, answer)).collect();
            results.resize_with(group.len(), || Err(node.error(ChainErrorKind::Timeout, "no answer").into()));
            results
        }
        Err(error) => group.iter().map(|_| Err(failure::broadcast(node.chain(), error.clone()))).collect(),
    }
}

/// One CheckTx. A transaction that the node already has is accepted.
pub(super) fn accepted(node: &Node, answer: Result<Answer, RpcError>) -> Result<(), TxFailure> {
    let refused = match answer {
        Err(error) => Some(failure::broadcast(node.chain(), error)),
        Ok(answer) => match serde_json::from_str::<CheckTx<'_>>(answer.result.get()) {
            Ok(check) => {
                let code = u32::try_from(check.code.0).unwrap_or(u32::MAX);
                let (codespace, log) = (&*check.codespace.0, &*check.log.0);
                failure::verdict(node.chain(), failure::Verdict { code, codespace, log, gas: None })
            }
            // It answered, so it may have taken it.
            Err(_) => {
                let detail = format!("broadcast_tx_sync from {}", answer.endpoint);
                Some(node.error(ChainErrorKind::Timeout, detail).into())
            }
        },
    };
    match refused {
        None | Some(TxFailure::AlreadyKnown) => Ok(()),
        Some(failure) => Err(failure),
    }
}

/// What became of a transaction, if the node keeps an index.
pub(crate) async fn outcome(node: &Node, hash: TxHash) -> Result<Outcome, ChainError> {
    let params = serde_json::json!({ "hash": STANDARD.encode(hash.0), "prove": false });
    let answer = match node.rpc().call("tx", params).await {
        Ok(answer) => answer,
        Err(error) if failure::tx_is_unknown(&error) => return Ok(Outcome::Unknown),
        Err(error) => return Err(chain_error(node.chain(), error)),
    };
    committed(node, hash, &answer)
}

/// What `/tx` says of the transaction that was asked for.
pub(super) fn committed(node: &Node, hash: TxHash, answer: &Answer) -> Result<Outcome, ChainError> {
    let found: FoundTx<'_> =
        serde_json::from_str(answer.result.get()).map_err(|_| node.malformed(&answer.endpoint, "tx"))?;
    if !found.hash.0.eq_ignore_ascii_case(&hash.to_string()) || found.height.0 == 0 {
        return Err(node.lying(&answer.endpoint, "wrong_tx", found.hash.0));
    }
    let result = found.tx_result;
    let (gas_wanted, gas_used) = (result.gas_wanted.0, result.gas_used.0);
    let code = u32::try_from(result.code.0).unwrap_or(u32::MAX);
    let gas = Some((gas_wanted, gas_used));
    let (codespace, log) = (&*result.codespace.0, &*result.log.0);
    let failure = failure::verdict(node.chain(), failure::Verdict { code, codespace, log, gas });
    let report = TxReport { hash, failure, gas_used, gas_wanted };
    Ok(Outcome::Committed { height: node.height(found.height.0), report })
}

/// `/broadcast_tx_sync`.
#[derive(Deserialize)]
struct CheckTx<'a> {
    code: Number,
    #[serde(borrow, default)]
    codespace: Text<'a>,
    #[serde(borrow, default)]
    log: Text<'a>,
}

/// `/tx`.
#[derive(Deserialize)]
struct FoundTx<'a> {
    #[serde(borrow)]
    hash: Text<'a>,
    height: Number,
    #[serde(borrow)]
    tx_result: FoundResult<'a>,
}
#[derive(Deserialize)]
struct FoundResult<'a> {
    #[serde(default)]
    code: Number,
    #[serde(borrow, default)]
    codespace: Text<'a>,
    #[serde(borrow, default)]
    log: Text<'a>,
    #[serde(default)]
    gas_wanted: Number,
    #[serde(default)]
    gas_used: Number,
}

#[cfg(test)]
mod tests {
    use relayer_core::id::{AccountSequence, Gas, Height};

    use super::*;

    fn signed(bytes: usize) -> Signed {
        Signed {
            hash: TxHash([0; 32]),
            bytes: vec![0; bytes].into(),
            account_sequence: AccountSequence(0),
            gas: Gas(1),
            fee: (0, String::new()),
            timeout_height: Height::new(1, 1),
        }
    }
    fn sizes(signed: &[Signed], takes: usize) -> Vec<usize> {
        groups(signed, takes).into_iter().map(<[Signed]>::len).collect()
    }

    #[test]
    fn one_request_carries_what_the_node_takes_and_order_is_kept() {
        let small: Vec<_> = (0..23).map(|_| signed(100)).collect();
        assert_eq!(sizes(&small, 10), [10, 10, 3]);
        assert_eq!(sizes(&small, 0), [1; 23]);
        let large: Vec<_> = (0..5).map(|_| signed(300_000)).collect();
        assert_eq!(sizes(&large, 10), [2, 2, 1]);
        assert_eq!(sizes(&[signed(5_000_000)], 10), [1]);
        assert!(sizes(&[], 10).is_empty());
    }
}
