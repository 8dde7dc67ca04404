//! Headers that others submit to our clients, compared with the tracked chain's own: a conflict proves an attack (ICS-02 misbehaviour) and is
//! submitted, so that the client freezes before it can be abused. The header is read from the transaction's body, since newer ibc-go
//! events no longer carry it.

use std::sync::Arc;

use ibc_proto::google::protobuf::Any;
use limiter::Urgency;
use relayer_chains::rpc::urgent;
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::fact::{BlockFacts, Fact};
use relayer_core::message::Message;
use relayer_core::packet::Side;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Path;
use crate::journal::AttemptKind;
use crate::lane::{Reply, Request};
use crate::limits;

impl Path {
    pub(super) fn watch_headers(
        self: &Arc<Self>,
        side: Side,
        block: &BlockFacts,
        tasks: &TaskTracker,
        halt: &CancellationToken,
    ) {
        let ours = &self.spec.ends[side.index()].client;
        for fact in &block.facts {
            let Fact::ClientUpdated { client, heights, header: Some(header) } = fact else { continue };
            // Headers we verified ourselves before submitting them need no second look.
            let known = |h: &relayer_core::id::Height| self.clients[side.index()].known(*h).is_some();
            if client != ours || (!heights.is_empty() && heights.iter().all(known)) {
                continue;
            }
            tasks.spawn(halt.clone().run_until_cancelled_owned(self.clone().compare(side, header.clone())));
        }
    }

    async fn compare(self: Arc<Self>, side: Side, header: Any) {
        let tracked = self.chain(side.other());
        let Some(state) = self.clients[side.index()].state() else { return };
        // A header above our head is either early news or a forward lunatic: the chain itself will tell.
        let client = self.spec.ends[side.index()].client.clone();
        let mut heads = self.follower(side.other()).heads();
        let kib = u32::try_from(header.value.len() / 1024 + 1).unwrap_or(u32::MAX);
        let mut room = None;
        let answer = loop {
            let check = tracked.check_header(&client, &state, &header);
            match urgent(Some(Urgency::Evidence), check).await {
                Err(ChainError { kind: ChainErrorKind::NotYet(height), .. }) => {
                    room = room.or_else(|| self.comparing.clone().try_acquire_many_owned(kib).ok());
                    let there = heads.wait_for(|h| h.is_some_and(|h| h.height >= height));
                    // Without room it does not wait: so many headers above the head are an alarm as well.
                    if room.is_none() || timeout(limits::COMPARE_WAIT, there).await.is_err() {
                        tracing::error!(path = %self.spec.name, chain = %tracked.id(), %height, "a client was given a header that the chain has not reached");
                        self.shared.metrics.verification_failed(tracked.id().as_str(), "header_ahead");
                        return;
                    }
                }
                answer => break answer,
            }
        };
        match answer {
            Ok(None) => {}
            Ok(Some(misbehaviour)) => {
                tracing::error!(path = %self.spec.name, chain = %self.chain(side).id(), %client, "MISBEHAVIOUR: the client was given a header that is not chain {}'s; submitting the proof", tracked.id());
                self.shared.metrics.verification_failed(tracked.id().as_str(), "misbehaviour");
                let (reply, told) = oneshot::channel();
                let messages = vec![Message::UpdateClient { client, message: misbehaviour }];
                let path = self.spec.name.clone();
                let request =
                    Request { path, kind: AttemptKind::Client, messages, packets: Vec::new(), trimmed: false, reply };
                if self.shared.lanes[side.index()].send(request).await.is_ok() {
                    match told.await {
                        Ok(Reply::Committed { hash, .. }) => {
                            tracing::error!(path = %self.spec.name, tx_hash = %hash, "misbehaviour submitted")
                        }
                        Ok(Reply::Failed(e)) => {
                            tracing::error!(path = %self.spec.name, "misbehaviour not accepted: {e}")
                        }
                        Err(_) => {}
                    }
                }
            }
            Err(error) => {
                tracing::warn!(path = %self.spec.name, reason = error.label(), "a submitted header can't be compared: {error}");
                self.shared.metrics.verification_failed(tracked.id().as_str(), "header_not_compared");
            }
        }
    }
}
