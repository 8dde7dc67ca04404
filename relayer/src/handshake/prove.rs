//! Proves what the steps of one transaction need, and builds its messages.

use std::sync::Arc;

use ibc_proto::google::protobuf::Any;
use light_clients::MerklePath;
use relayer_core::chain::{ClientUpdate, Path, Proven};
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::handshake::{
    Action, ClientProblem, HandshakeError, NewState, ProvenEnd, What, message, needs_client, proof_path,
};
use relayer_core::id::{ClientId, Height};
use relayer_core::message::{Message, Proof, ProvenClient};
use relayer_core::packet::Side;
use tokio::sync::oneshot;

use super::{HandshakeFailure, Work, observe};

/// Messages of one transaction, all proofs in them verified.
pub(super) struct Built {
    pub(super) messages: Vec<Message>,
    /// The opposite chain's client, if it was proven here.
    pub(super) proven: Option<ClientId>,
}

impl Work<'_> {
    /// Builds a transaction for `batch`'s chain. `proven` is the opposite chain's client if this run has proven it before.
    pub(super) async fn build(
        &self,
        batch: &[Action],
        template: Option<&Any>,
        proven: Option<&ClientId>,
    ) -> Result<Built, HandshakeFailure> {
        let Some(on) = batch.first().map(|a| a.on) else {
            return Ok(Built { messages: Vec::new(), proven: None });
        };
        let other = on.other();
        let paths: Vec<Option<Path>> = batch.iter().map(|a| proof_path(*a, self.wanted)).collect();
        let mut built = Built { messages: Vec::new(), proven: None };
        let mut values = Vec::new().into_iter();
        let mut tracked_by = None;
        if paths.iter().any(Option::is_some) {
            let mut asked: Vec<Path> = paths.iter().flatten().cloned().collect();
            let wants_proof = batch.iter().copied().any(needs_client);
            let client = self.wanted.clients.at(other).clone().filter(|c| Some(c) != proven || wants_proof);
            let latest = self.seen.at(other).view.client.as_ref().map(|c| c.info.latest);
            let check = client.zip(latest);
            if let Some((client, latest)) = &check {
                asked.push(Path::ClientState(client.clone()));
                asked.push(Path::ConsensusState(client.clone(), *latest));
            }
            let (mut proofs, update) = self.prove(other, &asked, template).await?;
            if let Some((client, latest)) = check {
                let (consensus_state, client_state) = (proofs.pop(), proofs.pop());
                tracked_by = Some(self.check_client(other, &client, latest, client_state, consensus_state).await?);
                built.proven = Some(client);
            }
            if let Some(id) = self.wanted.clients.at(on) {
                let header = |h: relayer_core::chain::UpdateHeader| Message::UpdateClient {
                    client: id.clone(),
                    message: h.message,
                };
                built.messages.extend(update.into_iter().flat_map(|u| u.headers).map(header));
            }
            values = proofs.into_iter();
        }
        for (action, path) in batch.iter().zip(paths) {
            let end;
            let new = match (path, action.what) {
                (Some(path), _) => {
                    end = values.next().ok_or_else(|| self.answer(other, "another number of values"))?;
                    let value = end.value.as_deref();
                    let value = value.ok_or_else(|| self.answer(other, gone(&path)))?;
                    let proof = Proof { bytes: Arc::from(end.proof.as_slice()), height: end.proof_height };
                    NewState::End(ProvenEnd { value, proof, tracked_by: tracked_by.clone() })
                }
                (None, What::CreateClient) => NewState::Client(self.chain(other).new_client().await?),
                (None, _) => NewState::Nothing,
            };
            built.messages.push(message(*action, self.wanted, new)?);
        }
        Ok(built)
    }

    /// Values of a chain's paths with verified proofs, and the client update that the opposite chain needs for them.
    async fn prove(
        &self,
        of: Side,
        paths: &[Path],
        template: Option<&Any>,
    ) -> Result<(Vec<Proven>, Option<ClientUpdate>), HandshakeFailure> {
        let chain = self.chain(of);
        let to = self.seen.at(of.other());
        let client = to.view.client.as_ref().zip(to.client_state.as_ref());
        let (client, client_state) = client.ok_or(HandshakeError::Incomplete("client"))?;
        // A client that a rival has brought further only serves proofs at the height it holds, or a newer one.
        let held = client.info.latest.earlier(chain.proof_lag());
        let provable = chain.provable(self.seen.at(of).head.height.max(held)).await.map_err(HandshakeFailure::Chain)?;
        let (at, height) = (provable.state, provable.header);
        let header = async {
            if client.info.latest == height {
                Ok((chain.verified(height).await?, None))
            } else {
                let update = chain.client_message(client_state, client.info.latest, height).await?;
                Ok((update.target.clone(), Some(update)))
            }
        };
        let (values, (verified, update)) = tokio::try_join!(chain.query(paths, Some(at), true), header)
            .map_err(|e: ChainError| HandshakeFailure::Chain(e))?;
        if values.len() != paths.len() {
            return Err(self.answer(of, "another number of values"));
        }
        if verified.at.height != height {
            return Err(self.answer(of, "a header of another height"));
        }
        let template = template.ok_or(HandshakeError::Incomplete("client state"))?;
        self.verify(of, height, template, &verified.consensus_state, paths, &values).await?;
        Ok((values, update))
    }

    /// Checks all proofs on a verification thread, before anything is paid.
    async fn verify(
        &self,
        of: Side,
        height: Height,
        client_state: &Any,
        consensus_state: &Any,
        paths: &[Path],
        values: &[Proven],
    ) -> Result<(), HandshakeFailure> {
        if let Some(other) = values.iter().find(|v| v.proof_height != height) {
            self.chain(of).quarantine(&other.endpoint, "proof_height");
            return Err(self.answer(of, "a proof of another height"));
        }
        let prefix = self.wanted.prefixes.at(of).clone();
        let keys = paths.iter().map(|p| MerklePath::new(prefix.clone(), p.to_string().into_bytes()));
        let jobs: Vec<_> = keys.zip(values.iter().cloned()).collect();
        let verifier = Arc::clone(self.links.verifiers.at(of));
        let (client_state, consensus_state) = (client_state.clone(), consensus_state.clone());
        let (verdict, answer) = oneshot::channel();
        (self.links.cpu)(Box::new(move || {
            let bad = jobs.iter().enumerate().find_map(|(index, (path, v))| {
                let value = v.value.as_deref();
                let checked = verifier.membership(&client_state, &consensus_state, &v.proof, path, value);
                checked.err().map(|reason| (index, reason))
            });
            if verdict.send(bad).is_err() {
                tracing::debug!("nobody waits for this verification any more");
            }
        }));
        match answer.await {
            Ok(None) => Ok(()),
            Ok(Some((index, reason))) => {
                let endpoint = values.get(index).map(|v| v.endpoint.to_string()).unwrap_or_default();
                self.chain(of).quarantine(&endpoint, "proof_invalid");
                let path = paths.get(index).map(ToString::to_string).unwrap_or_default();
                Err(HandshakeFailure::Proof { chain: self.id(of), path, endpoint, reason })
            }
            Err(_) => Err(HandshakeFailure::Verification),
        }
    }

    /// The client on `host`, proven to be there, must track the opposite chain and agree with that chain's own blocks; its proof.
    async fn check_client(
        &self,
        host: Side,
        client: &ClientId,
        latest: Height,
        client_state: Option<Proven>,
        consensus_state: Option<Proven>,
    ) -> Result<ProvenClient, HandshakeFailure> {
        let tracked = self.chain(host.other());
        let problem = |problem| HandshakeError::Client { chain: self.id(host), client: client.clone(), problem };
        let split = |proven: Option<Proven>| proven.and_then(|p| Some((p.value?, Arc::<[u8]>::from(p.proof))));
        let (stored, proof) = split(client_state).ok_or_else(|| problem(ClientProblem::Missing))?;
        let client_state = observe::any(&stored, self.chain(host).as_ref())?;
        let info = tracked.client_info(&client_state)?;
        if info.chain != *tracked.id() {
            let wanted = tracked.id().clone();
            return Err(problem(ClientProblem::OtherChain { tracks: info.chain, wanted }).into());
        }
        if info.frozen {
            return Err(problem(ClientProblem::Frozen).into());
        }
        let missing = || ChainError::new(self.chain(host).id(), ChainErrorKind::NotFound, "consensus state");
        let (consensus_state, consensus_proof) = split(consensus_state).ok_or_else(missing)?;
        tracked.anchor(latest, &observe::any(&consensus_state, self.chain(host).as_ref())?).await?;
        Ok(ProvenClient { client_state, proof, consensus_height: latest, consensus_proof })
    }

    fn answer(&self, side: Side, what: &'static str) -> HandshakeFailure {
        HandshakeFailure::Answer { chain: self.id(side), what }
    }
}

const fn gone(path: &Path) -> &'static str {
    match path {
        Path::Connection(_) => "a proof that the connection end is absent",
        _ => "a proof that the channel end is absent",
    }
}
