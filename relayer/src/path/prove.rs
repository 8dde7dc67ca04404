//! Proofs: fetched in batches while the header that proves them is still being made, then verified by our own light client on the pool.
//!
//! No node is trusted here. A value is compared with what the packet's event claimed, and only a verdict backed by a verified proof can
//! refuse a packet: a node that lies about state is quarantined and the packet is tried elsewhere.

use std::sync::Arc;

use ibc_proto::google::protobuf::Any;
use light_clients::{MerklePath, Verifier};
use relayer_core::chain::{Provable, Proven};
use relayer_core::engine::{Input, Key, ProveFailure, ProveItem};
use relayer_core::error::{ChainError, Remedy};
use relayer_core::id::Height;
use relayer_core::message::Proof;
use relayer_core::packet::{PacketKey, Side};
use relayer_core::record::Action;
use tokio::sync::mpsc;

use super::stage::{action_name, unix_ns};
use super::{Event, Path};
use crate::telemetry::metrics::Stage;
use crate::telemetry::trace::SpanDetails;

/// One item's verdict, and whether its node lied.
struct Checked {
    key: Key,
    result: Result<Proof, ProveFailure>,
    lie: Option<(Side, &'static str, Arc<str>)>,
}

/// What a batch of proofs is checked against.
struct Against {
    verifier: Arc<dyn Verifier>,
    client_state: Any,
    consensus: Any,
    prefix: Vec<u8>,
    height: Height,
    side: Side,
}

impl Path {
    /// Carries out one prove effect and tells the engine.
    pub(super) async fn prove(
        self: Arc<Self>,
        id: u64,
        side: Side,
        at: Height,
        items: Vec<ProveItem>,
        names: Vec<PacketKey>,
        events: mpsc::Sender<Event>,
    ) {
        let sources = self.sources(side.other(), &items);
        let proven = futures::future::try_join(self.proofs(side, at, &items, &names), sources).await;
        let proven = proven.map(|(checked, sources)| with_sources(checked, sources));
        let results = match proven {
            Ok(checked) => {
                for (side, reason, endpoint) in checked.iter().filter_map(|c| c.lie.clone()) {
                    self.shared.metrics.verification_failed(self.chain(side).id().as_str(), reason);
                    self.chain(side).quarantine(&endpoint, reason);
                }
                checked.into_iter().map(|c| (c.key, c.result)).collect()
            }
            Err(error) => {
                tracing::debug!(path = %self.spec.name, %at, reason = error.label(), "proofs: {error}");
                let after_ms = match error.remedy() {
                    Remedy::Retry { after_ms } => after_ms,
                    _ => 1_000,
                };
                let failure = ProveFailure::Later { after_ms, reason: error.label() };
                items.iter().map(|i| (i.key, Err(failure.clone()))).collect()
            }
        };
        // The loop is gone only when the path stops.
        events.send(Event::Input(Input::Proved { id, results })).await.ok();
    }

    /// Checks that the source committed to the packets that only events vouch for.
    async fn sources(&self, source: Side, items: &[ProveItem]) -> Result<Vec<Checked>, ChainError> {
        let doubtful = items.iter().filter_map(|item| {
            let check = item.source.clone()?;
            let (path, expect) = (check.path, Some(check.commitment));
            Some((ProveItem { key: item.key, action: Action::Recv, path, expect, source: None }, check.sent))
        });
        let (doubtful, sent): (Vec<ProveItem>, Vec<Option<Height>>) = doubtful.unzip();
        if doubtful.is_empty() {
            return Ok(Vec::new());
        }
        let chain = self.chain(source);
        let head = match self.follower(source).head() {
            Some(head) => head.height,
            None => chain.head().await?.height,
        };
        // The state before the newest block is provable now.
        let fresh = sent.iter().flatten().any(|sent| *sent >= head);
        self.proofs(source, if fresh { head } else { head.prev() }, &doubtful, &[]).await
    }

    async fn proofs(
        &self,
        side: Side,
        at: Height,
        items: &[ProveItem],
        names: &[PacketKey],
    ) -> Result<Vec<Checked>, ChainError> {
        let chain = self.chain(side);
        let late = !items.is_empty() && items.iter().all(|item| item.action == Action::Timeout);
        let provable = if late {
            // What is late is late at the block after `at`: one before that shows it nowhere, whichever block's root its header holds.
            let header = chain.updatable(at.next()).await?;
            Provable { state: header.earlier(chain.proof_lag()), header }
        } else {
            chain.provable(at).await?
        };
        let paths: Vec<_> = items.iter().map(|i| i.path.clone()).collect();
        self.stage_begins(names, unix_ns());
        let query = async {
            let proven = chain.query(&paths, Some(provable.state), true).await;
            let peer = proven.as_ref().ok().and_then(|p| p.first()).map(|p| p.endpoint.to_string());
            let for_what = items.first().map(|i| ("relay.for", action_name(i.action).to_owned()));
            let error = proven.as_ref().err().map(ChainError::label);
            let details = SpanDetails { peer, error, more: for_what.into_iter().collect(), ..SpanDetails::default() };
            self.stage(names, Stage::Prove, side, unix_ns(), &details);
            proven
        };
        // The header may be that of the next block: it is awaited at the same time.
        let (proven, verified) = tokio::try_join!(query, chain.verified(provable.header))?;
        let client = &self.clients[side.other().index()];
        let Some(client_state) = client.state() else {
            return Err(ChainError::new(chain.id(), relayer_core::error::ChainErrorKind::NotFound, "client state"));
        };
        let against = Against {
            verifier: self.shared.verifiers[side.index()].clone(),
            client_state,
            consensus: verified.consensus_state,
            prefix: client.prefix(),
            height: provable.header,
            side,
        };
        let cost = proven.iter().map(|p| p.proof.len() as u64).sum::<u64>() / 256;
        let work: Vec<(ProveItem, Proven)> = items.iter().cloned().zip(proven).collect();
        let affinity = self.spec.ends[side.other().index()].client.to_string();
        let protocol = against.verifier.protocols().proofs;
        let check = move || work.into_iter().map(|(item, proven)| against.check(&item, proven)).collect::<Vec<_>>();
        let checked = self.shared.pool.run(protocol, cost, &affinity, check).await;
        self.stage(names, Stage::Verify, side, unix_ns(), &SpanDetails::default());
        checked.map_err(|e| {
            ChainError::new(
                chain.id(),
                relayer_core::error::ChainErrorKind::Setup("verification stopped"),
                e.to_string(),
            )
        })
    }
}

/// A proof counts only if the packet it is about was sent.
fn with_sources(mut checked: Vec<Checked>, sources: Vec<Checked>) -> Vec<Checked> {
    for source in sources {
        let Some(item) = checked.iter_mut().find(|item| item.key == source.key) else { continue };
        if let Err(failure) = source.result {
            item.result = Err(failure);
            item.lie = item.lie.take().or(source.lie);
        }
    }
    checked
}

impl Against {
    fn check(&self, item: &ProveItem, proven: Proven) -> Checked {
        let path = MerklePath::new(self.prefix.clone(), item.path.to_string().into_bytes());
        let value = proven.value.as_deref();
        let lie = |reason| Checked {
            key: item.key,
            result: Err(ProveFailure::Later { after_ms: 500, reason }),
            lie: Some((self.side, reason, proven.endpoint.clone())),
        };
        if proven.proof_height != self.height {
            return lie("wrong_height");
        }
        if let Err(reason) = self.verifier.membership(&self.client_state, &self.consensus, &proven.proof, &path, value)
        {
            return lie(reason.label());
        }
        let result = match (item.action, &item.expect, value) {
            (_, Some(want), Some(got)) if got == want => {
                Ok(Proof { bytes: Arc::from(proven.proof.as_slice()), height: proven.proof_height })
            }
            (Action::Timeout, None, None) => {
                Ok(Proof { bytes: Arc::from(proven.proof.as_slice()), height: proven.proof_height })
            }
            // Received after all: the event is on its way.
            (Action::Timeout, _, _) => Err(ProveFailure::Later { after_ms: 1_000, reason: "received_meanwhile" }),
            (Action::Recv, _, None) => Err(ProveFailure::Refused("phantom_event")),
            (Action::Recv, _, Some(_)) => Err(ProveFailure::Refused("commitment_mismatch")),
            (Action::Ack, _, None) => Err(ProveFailure::Refused("phantom_ack")),
            (Action::Ack, _, Some(_)) => Err(ProveFailure::Refused("ack_mismatch")),
        };
        Checked { key: item.key, result, lie: None }
    }
}
