//! One command's transactions: signed, broadcast, waited for.
//!
//! Several may be in flight: each takes the next account sequence once its predecessor is in the mempool. A wallet that a running
//! relayer uses, too, may be ahead of what was read; then the sequence is read again after the next block. Bounds: [`SIGNATURES`].

use std::sync::Arc;

use relayer_chains::AnyChain;
use relayer_core::chain::{Chain, Draft, Outcome, Signed};
use relayer_core::error::{Remedy, TxFailure};
use relayer_core::id::{AccountSequence, Height, TxHash};
use relayer_core::message::Message;
use serde::Serialize;

use super::error::CliError;
use super::progress::Progress;

/// Signatures for one batch at most: the first, and again after a mismatch or too little gas.
const SIGNATURES: u32 = 6;

/// A transaction in a block.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Committed {
    #[serde(serialize_with = "as_text")]
    pub(super) hash: TxHash,
    #[serde(serialize_with = "as_text")]
    pub(super) height: Height,
    pub(super) gas_used: u64,
    /// Amount and denomination, like `500stake`.
    pub(super) fee: String,
}

pub(super) fn as_text<S: serde::Serializer>(value: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

/// Sends each batch as one transaction and waits until all are in blocks.
pub(super) async fn send(
    chain: &Arc<AnyChain>,
    batches: Vec<Vec<Message>>,
    does: &'static str,
    bar: &Progress,
) -> Result<Vec<Committed>, CliError> {
    let fail = |failure| CliError::Tx {
        chain: chain.id().clone(),
        signer: chain.signer().to_owned(),
        does,
        failure: Box::new(failure),
    };
    let of = batches.len() as u64;
    let mut next = chain.account_sequence().await.map_err(|error| fail(TxFailure::Chain(error)))?;
    let mut flying: Vec<(Draft, Signed)> = Vec::new();
    let mut done = Vec::new();
    let mut result = Ok(());
    for messages in batches {
        let draft = Draft { messages, simulate: false };
        match hand_over(chain, draft, &mut next).await {
            Ok(sent) => flying.push(sent),
            Err(failure) => {
                result = Err(fail(failure));
                break;
            }
        }
        bar.at(flying.len() as u64, of.saturating_mul(2));
    }
    // What was broadcast is waited for, whatever became of the rest.
    for (draft, signed) in flying {
        bar.doing(format!("{}: waiting for {}", chain.id(), signed.hash));
        let committed = committed(chain, &draft, &signed).await.map_err(&fail);
        match committed {
            Ok(one) => done.push(one),
            Err(error) if result.is_ok() => result = Err(error),
            Err(error) => tracing::warn!("{error}"),
        }
        bar.at(of.saturating_add(done.len() as u64), of.saturating_mul(2));
    }
    match result {
        Ok(()) => Ok(done),
        Err(error) => {
            for one in &done {
                bar.line(format!("{}: tx {} is in block {} all the same", chain.id(), one.hash, one.height));
            }
            Err(error)
        }
    }
}

/// Signs and broadcasts; again where that can help.
async fn hand_over(
    chain: &AnyChain,
    mut draft: Draft,
    next: &mut AccountSequence,
) -> Result<(Draft, Signed), TxFailure> {
    let mut last = TxFailure::SequenceMismatch { expected: None };
    for _ in 0..SIGNATURES {
        let handed = match chain.prepare(&draft, *next).await {
            Ok(signed) => match chain.submit(std::slice::from_ref(&signed)).await.pop() {
                None | Some(Ok(()) | Err(TxFailure::AlreadyKnown)) => Ok(signed),
                // The node may have it all the same: the blocks will tell.
                Some(Err(TxFailure::Chain(error))) if matches!(error.remedy(), Remedy::Retry { .. }) => {
                    tracing::warn!(chain = %chain.id(), hash = %signed.hash, "broadcast: {error}");
                    Ok(signed)
                }
                Some(Err(failure)) => Err(failure),
            },
            Err(failure) => Err(failure),
        };
        let failure = match handed {
            Ok(signed) => {
                *next = AccountSequence(signed.account_sequence.0.saturating_add(1));
                return Ok((draft, signed));
            }
            Err(failure) => failure,
        };
        match &failure {
            TxFailure::SequenceMismatch { expected: Some(expected) } => *next = *expected,
            TxFailure::SequenceMismatch { expected: None } | TxFailure::MempoolFull => {
                let head = chain.head().await?;
                chain.next_head(head.height).await?;
                if !matches!(failure, TxFailure::MempoolFull) {
                    *next = chain.account_sequence().await?;
                }
            }
            TxFailure::OutOfGas { .. } => draft.simulate = true,
            _ => return Err(failure),
        }
        last = failure;
    }
    Err(last)
}

/// Waits until the transaction is in a block, or can't be any more.
async fn committed(chain: &AnyChain, draft: &Draft, signed: &Signed) -> Result<Committed, TxFailure> {
    loop {
        let head = chain.head().await?;
        match chain.outcome(signed.hash, signed.timeout_height).await? {
            Outcome::Committed { height, report } => {
                chain.learn(draft, &report);
                if let Some(failure) = report.failure {
                    return Err(failure);
                }
                let fee = format!("{}{}", signed.fee.0, signed.fee.1);
                return Ok(Committed { hash: signed.hash, height, gas_used: report.gas_used, fee });
            }
            Outcome::Unknown if head.height > signed.timeout_height => return Err(TxFailure::Expired),
            Outcome::Unknown => drop(chain.next_head(head.height).await?),
        }
    }
}
