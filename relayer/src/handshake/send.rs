//! Sends one transaction and waits until it is in a block.

use std::sync::Arc;
use std::time::Duration;

use relayer_core::chain::{Chain, Draft, Signed};
use relayer_core::error::{Remedy, TxFailure};
use relayer_core::fact::{BlockFacts, Head, TxReport};
use relayer_core::handshake::{Action, Attempt, Known, learned};
use relayer_core::id::{AccountSequence, Height};
use relayer_core::message::Message;

use super::{HandshakeFailure, Progress, Report, Work, limits, tx};

/// The wallet's account sequence: read once, counted on, read again when in doubt.
#[derive(Debug, Default)]
pub(super) struct Wallet {
    sequence: Option<AccountSequence>,
    /// Broadcast, outcome not seen yet.
    flying: Option<Attempt>,
}

impl Wallet {
    pub(super) const fn in_doubt(&self) -> bool {
        self.flying.is_some()
    }

    /// Takes the attempt whose outcome was not seen: it is to be looked up before anything else is sent.
    pub(super) fn doubtful(&mut self) -> Option<Attempt> {
        let attempt = self.flying.take()?;
        self.sequence = None;
        Some(attempt)
    }

    fn settled<F: FnMut(Progress)>(&mut self, report: &Report<F>) {
        if let Some(attempt) = self.flying.take() {
            report.say(Progress::Settled(attempt.hash));
        }
    }
}

impl Work<'_> {
    /// Signs, reports, broadcasts, waits. The block's height and the ids that were made.
    pub(super) async fn send<F: FnMut(Progress)>(
        &self,
        batch: &[Action],
        messages: Vec<Message>,
        wallet: &mut Wallet,
        report: &Report<F>,
    ) -> Result<(Height, Vec<Known>), HandshakeFailure> {
        let Some(on) = batch.first().map(|a| a.on) else {
            return Err(HandshakeFailure::Verification);
        };
        let chain = self.chain(on);
        let does: Vec<_> = batch.iter().map(|a| a.what).collect();
        let fail = |failure| tx(self.id(on), does.clone(), failure);
        let mut draft = Draft { messages, simulate: false };
        let mut last = TxFailure::SequenceMismatch { expected: None };
        for _ in 0..limits::SIGNATURES {
            let sequence = match wallet.sequence {
                Some(sequence) => sequence,
                None => chain.account_sequence().await?,
            };
            wallet.sequence = Some(sequence);
            let before = self.seen.at(on).head.height;
            let signed = match chain.prepare(&draft, sequence).await {
                Ok(signed) => signed,
                Err(failure) if again(&failure, wallet, &mut draft) => {
                    last = failure;
                    continue;
                }
                Err(failure) => return Err(fail(failure)),
            };
            let attempt = Attempt { on, hash: signed.hash, timeout_height: signed.timeout_height, does: does.clone() };
            report.say(Progress::Attempt(attempt.clone()));
            wallet.flying = Some(attempt.clone());
            if let Err(failure) = broadcast(chain, &signed).await {
                wallet.settled(report);
                if again(&failure, wallet, &mut draft) {
                    last = failure;
                    continue;
                }
                wallet.sequence = None;
                return Err(fail(failure));
            }
            wallet.sequence = Some(AccountSequence(sequence.0.saturating_add(1)));
            let Some((block, mine)) = committed(chain, &signed, before).await? else {
                wallet.settled(report);
                wallet.sequence = None;
                last = TxFailure::Expired;
                continue;
            };
            chain.learn(&draft, &mine);
            if let Some(failure) = mine.failure {
                wallet.settled(report);
                if again(&failure, wallet, &mut draft) {
                    last = failure;
                    continue;
                }
                return Err(fail(failure));
            }
            let height = block.at.height;
            let ids = learned(&attempt, self.wanted, &block.facts).ok_or_else(|| {
                let (chain, hash) = (self.id(on), signed.hash);
                HandshakeFailure::Events { chain, hash, height }
            })?;
            ids.iter().cloned().for_each(|id| report.say(Progress::Known(id)));
            wallet.settled(report);
            let (hash, fee) = (signed.hash, signed.fee);
            report.say(Progress::Committed { on, does, hash, height, fee });
            return Ok((height, ids));
        }
        Err(fail(last))
    }
}

/// Whether signing anew can help; corrects what was wrong.
fn again(failure: &TxFailure, wallet: &mut Wallet, draft: &mut Draft) -> bool {
    match failure {
        TxFailure::SequenceMismatch { expected } => wallet.sequence = *expected,
        TxFailure::OutOfGas { .. } => draft.simulate = true,
        _ => return false,
    }
    true
}

/// Hands the bytes to the node. `Ok` = it has them, or may have: only the blocks can tell.
async fn broadcast(chain: &Arc<dyn Chain>, signed: &Signed) -> Result<(), TxFailure> {
    let mut doubtful = false;
    for _ in 0..limits::BROADCASTS {
        let answer = chain.submit(std::slice::from_ref(signed)).await.pop();
        let failure = match answer {
            None | Some(Ok(()) | Err(TxFailure::AlreadyKnown)) => return Ok(()),
            // The first of several hand-overs may have been accepted although its answer was lost.
            Some(Err(_)) if doubtful => return Ok(()),
            Some(Err(failure)) => failure,
        };
        let pause = match (&failure, failure.remedy()) {
            (TxFailure::Chain(_), Remedy::Retry { after_ms }) => {
                doubtful = true;
                after_ms
            }
            (TxFailure::MempoolFull, Remedy::Retry { after_ms }) => after_ms,
            _ => return Err(failure),
        };
        tokio::time::sleep(Duration::from_millis(pause).min(limits::PAUSE_MOST)).await;
    }
    if doubtful { Ok(()) } else { Err(TxFailure::MempoolFull) }
}

/// Reads new blocks until one holds the transaction; `None` when it can't be included any more.
async fn committed(
    chain: &Arc<dyn Chain>,
    signed: &Signed,
    before: Height,
) -> Result<Option<(BlockFacts, TxReport)>, HandshakeFailure> {
    let mut read = before;
    loop {
        let head = next_head(chain, read).await?;
        while read < head.height {
            let block = patient_facts(chain, read.next()).await?;
            if let Some(mine) = block.txs.iter().find(|t| t.hash == signed.hash).cloned() {
                return Ok(Some((block, mine)));
            }
            read = read.next();
        }
        if read > signed.timeout_height {
            return Ok(None);
        }
    }
}

/// A block's facts; an outcome is worth some patience, since giving up would leave it unknown.
async fn patient_facts(chain: &Arc<dyn Chain>, height: Height) -> Result<BlockFacts, HandshakeFailure> {
    let mut tries = 0_u32;
    loop {
        match chain.facts(height).await {
            Ok(block) => return Ok(block),
            Err(e) => match e.remedy() {
                Remedy::Retry { after_ms } if tries < limits::TROUBLES => {
                    tokio::time::sleep(Duration::from_millis(after_ms).min(limits::PAUSE_MOST)).await;
                    tries = tries.saturating_add(1);
                }
                _ => return Err(e.into()),
            },
        }
    }
}

/// The next block above `after`; a chain without one for long has stopped.
pub(super) async fn next_head(chain: &Arc<dyn Chain>, after: Height) -> Result<Head, HandshakeFailure> {
    let wait = async {
        let mut tries = 0_u32;
        loop {
            match chain.next_head(after).await {
                Ok(head) => return Ok(head),
                Err(e) => match e.remedy() {
                    Remedy::Retry { after_ms } if tries < limits::TROUBLES => {
                        tokio::time::sleep(Duration::from_millis(after_ms).min(limits::PAUSE_MOST)).await;
                        tries = tries.saturating_add(1);
                    }
                    _ => return Err(HandshakeFailure::Chain(e)),
                },
            }
        }
    };
    let stalled = HandshakeFailure::Stalled { chain: chain.id().clone() };
    tokio::time::timeout(limits::STALL, wait).await.unwrap_or(Err(stalled))
}
