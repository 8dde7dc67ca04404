//! Submissions to one side of a path, in the engine's order: bring the client up to date with verified headers, hand the batch to the
//! wallet's lane, and tell the engine what became of it.

use std::sync::Arc;

use ibc_proto::google::protobuf::Any;
use light_clients::{Reason, Verdict};
use relayer_chains::rpc::urgent;
use relayer_core::engine::{AttemptId, AttemptOutcome, Blame, Input};
use relayer_core::error::{ChainError, ChainErrorKind, Remedy, TxFailure};
use relayer_core::id::{Height, Timestamp};
use relayer_core::message::Message;
use relayer_core::packet::{PacketKey, Side};
use relayer_core::record::Action;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::stage::unix_ns;
use super::{Event, Path};
use crate::journal::AttemptKind;
use crate::lane::{Reply, Request};
use crate::remedy::tx_remedy;
use crate::telemetry::metrics::Stage;
use crate::telemetry::trace::SpanDetails;
use crate::updates::ahead;

/// What a client update that no transaction can hold waits for.
const LARGE_UPDATE: &str = "a client update is larger than a transaction may be; raise `max_tx_bytes`";

/// A submit effect with the names of its packets.
pub(super) struct Job {
    pub(super) id: AttemptId,
    pub(super) update: Option<Height>,
    pub(super) messages: Vec<Message>,
    pub(super) packets: Vec<PacketKey>,
}

fn action(message: &Message) -> Action {
    match message {
        Message::Acknowledge { .. } => Action::Ack,
        Message::Timeout { .. } | Message::TimeoutOnClose { .. } => Action::Timeout,
        _ => Action::Recv,
    }
}

fn malformed(chain: &relayer_core::id::ChainId, what: &'static str) -> ChainError {
    ChainError::new(chain, ChainErrorKind::Lying(what), "")
}

impl Path {
    /// Works off one side's submissions, one client update at a time, without waiting for their outcomes.
    pub(super) async fn submitter(
        self: Arc<Self>,
        side: Side,
        mut jobs: mpsc::Receiver<Job>,
        events: mpsc::Sender<Event>,
        tasks: TaskTracker,
    ) {
        while let Some(job) = jobs.recv().await {
            let id = job.id;
            let (reply, told) = oneshot::channel();
            let class = self.urgency(side, job.update.is_some(), &job.messages);
            let updates = match urgent(class, self.updates(side, job.update, !job.messages.is_empty())).await {
                Ok(updates) => updates,
                Err(error) => {
                    tracing::warn!(path = %self.spec.name, chain = %self.chain(side).id(), reason = error.label(), "client update: {error}");
                    let failure = TxFailure::Chain(error);
                    self.judge(side, &failure);
                    let outcome = AttemptOutcome::Failed { failure, blame: Blame::Unknown };
                    if events.send(Event::Input(Input::Attempt { id, outcome })).await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            let (ahead, updates) = ahead(updates, &job.messages, self.chain(side).max_tx_bytes());
            match self.go_ahead(side, ahead).await {
                Some(Ok(())) => {}
                Some(Err(failure)) => {
                    let outcome = AttemptOutcome::Failed { failure, blame: Blame::Update };
                    if events.send(Event::Input(Input::Attempt { id, outcome })).await.is_err() {
                        return;
                    }
                    continue;
                }
                // The lane stopped: so does the path.
                None => return,
            }
            let before = updates.len();
            let names = job.packets.clone();
            let packets = job.messages.iter().map(action).zip(job.packets).collect::<Vec<_>>();
            let kind = if packets.is_empty() { AttemptKind::Client } else { AttemptKind::Packets };
            let messages = updates.into_iter().chain(job.messages).collect();
            let request = Request { path: self.spec.name.clone(), kind, messages, packets, trimmed: false, reply };
            self.stages.flight(&names);
            if self.shared.lanes[side.index()].send(request).await.is_err() {
                return;
            }
            let (path, events) = (self.clone(), events.clone());
            tasks.spawn(async move {
                let outcome = match told.await {
                    Ok(Reply::Committed { height, hash, times }) => {
                        let details = SpanDetails { tx_hash: Some(hash), ..SpanDetails::default() };
                        path.stage(&names, Stage::Limit, side, times.turn_ns, &SpanDetails::default());
                        path.stage(&names, Stage::Submit, side, times.accepted_ns, &details);
                        path.stage(&names, Stage::Confirm, side, unix_ns(), &details);
                        path.set_halt(side, None);
                        AttemptOutcome::Committed { height }
                    }
                    Ok(Reply::Failed(failure)) => {
                        path.judge(side, &failure);
                        AttemptOutcome::Failed { blame: Blame::of(&failure, before), failure }
                    }
                    // The lane stopped: so does the path.
                    Err(_) => return,
                };
                path.stages.landed(&names);
                events.send(Event::Input(Input::Attempt { id, outcome })).await.ok();
            });
        }
    }

    /// Updates that the last transaction can't hold with the others, each in a block before the next is sent: a simulation knows nothing of
    /// what only waits. `None` if the lane stopped.
    async fn go_ahead(&self, side: Side, groups: Vec<Vec<Message>>) -> Option<Result<(), TxFailure>> {
        let of = groups.len();
        for (n, messages) in (1..).zip(groups) {
            let chain = self.chain(side).id();
            tracing::info!(path = %self.spec.name, %chain, headers = messages.len(), part = n, of, "client update ahead of the others: the client is far behind");
            let (reply, told) = oneshot::channel();
            let (kind, packets) = (AttemptKind::Client, Vec::new());
            let request = Request { path: self.spec.name.clone(), kind, messages, packets, trimmed: false, reply };
            self.shared.lanes[side.index()].send(request).await.ok()?;
            match told.await.ok()? {
                Reply::Committed { .. } => {}
                Reply::Failed(failure) => {
                    // No packet is to blame.
                    let failure = match failure {
                        TxFailure::TooLarge => ChainError::new(chain, ChainErrorKind::Setup(LARGE_UPDATE), "").into(),
                        other => other,
                    };
                    self.judge(side, &failure);
                    return Some(Err(failure));
                }
            }
        }
        Some(Ok(()))
    }

    /// A failure that waits for somebody to act is kept with what to do; any other says that the side works again.
    fn judge(&self, side: Side, failure: &TxFailure) {
        let chain = self.chain(side);
        let halted = failure.remedy() == Remedy::Halt;
        let remedy = tx_remedy(chain.id(), chain.signer(), failure).map_or_else(String::new, |r| format!("; {r}"));
        match failure {
            // The chain could not be asked: nothing new is known of the wallet.
            TxFailure::Chain(_) if !halted => {}
            TxFailure::Chain(error) => self.set_halt(side, Some(format!("{error}{remedy}"))),
            _ => self.set_halt(side, halted.then(|| format!("{}: {failure}{remedy}", chain.id()))),
        }
    }

    /// Update messages that bring the client on `side` to `target`, each verified as the chain itself will. Proofs bind it to that very
    /// height; without them the next one that the tracked chain offers will do.
    async fn updates(&self, side: Side, target: Option<Height>, proofs: bool) -> Result<Vec<Message>, ChainError> {
        let Some(target) = target else { return Ok(Vec::new()) };
        let (cache, tracked) = (&self.clients[side.index()], self.chain(side.other()));
        let target = if proofs { target } else { tracked.updatable(target).await? };
        let missing = || ChainError::new(self.chain(side).id(), ChainErrorKind::NotFound, "client state");
        let state = cache.state().ok_or_else(missing)?;
        let trusted = cache.trusted_below(target).ok_or_else(missing)?;
        let update = match tracked.client_message(&state, trusted, target).await {
            // Longer ago than the chain's light client remembers: what the client holds vouches for its block.
            Err(error) if matches!(error.kind, ChainErrorKind::NotFound | ChainErrorKind::Setup(_)) => {
                tracked.anchor(trusted, &self.consensus(side, trusted).await?).await?;
                tracked.client_message(&state, trusted, target).await?
            }
            other => other?,
        };
        let now = self.follower(side).head().map_or(update.target.at.time, |h| h.time);
        let client = &self.spec.ends[side.index()].client;
        let mut messages = Vec::with_capacity(update.headers.len());
        for header in update.headers {
            let consensus = self.consensus(side, header.trusted).await?;
            let learned = self.check_update(side, &state, consensus, &header.message, now).await?;
            cache.learn(header.height, learned);
            messages.push(Message::UpdateClient { client: client.clone(), message: header.message });
        }
        Ok(messages)
    }

    async fn check_update(
        &self,
        side: Side,
        state: &Any,
        trusted: Any,
        header: &Any,
        now: Timestamp,
    ) -> Result<Any, ChainError> {
        let tracked = self.chain(side.other()).id().clone();
        let next = self.follower(side).head().map_or(Height::default(), |h| h.height.next());
        let verifier = self.shared.verifiers[side.other().index()].clone();
        let cost = verifier.update_cost(header);
        let (state, header) = (state.clone(), header.clone());
        let affinity = self.spec.ends[side.index()].client.to_string();
        let verdict = self
            .shared
            .pool
            .run(verifier.protocols().headers, cost, &affinity, move || {
                verifier.update(&state, &trusted, &header, light_clients::Timestamp::from_nanos(now.0))
            })
            .await
            .map_err(|e| ChainError::new(&tracked, ChainErrorKind::Setup("verification stopped"), e.to_string()))?;
        match verdict {
            Verdict::Trusted(updated) => Ok(updated.consensus_state),
            Verdict::NotEnoughTrust { .. } => {
                self.shared.metrics.verification_failed(tracked.as_str(), "not_enough_trust");
                Err(malformed(&tracked, "not_enough_trust"))
            }
            // The host's newest block is too old for this header: it stands still, or is away. Nobody lied.
            Verdict::Invalid(reason @ Reason::HeaderFromFuture { .. }) => {
                let host = self.chain(side).id();
                Err(ChainError::new(host, ChainErrorKind::NotYet(next), reason.to_string()))
            }
            Verdict::Invalid(reason) => {
                self.shared.metrics.verification_failed(tracked.as_str(), reason.label());
                Err(ChainError::new(&tracked, ChainErrorKind::Lying(reason.label()), reason.to_string()))
            }
        }
    }
}
