//! ICS-07 clients of this chain on other chains: create, update, watch for misbehaviour.
//!
//! Every header handed out was verified by our own light client and is checked once more as the client on chain will check it
//! (light-clients' verdict), so no fee is paid for one that would be refused. Bounds: [`super::limits::UPDATE_HEADERS`].

use std::sync::Arc;

use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::lightclients::tendermint::v1::{Header as RawHeader, Misbehaviour as RawMisbehaviour};
use light_clients::tendermint::{
    ClientState, ConsensusState, Header, Misbehaviour, detect_conflict, verify_header, verify_misbehaviour,
};
use light_clients::{Reason, Verdict};
use prost::{Message, Name};
use relayer_core::chain::{ClientInfo, ClientUpdate, NewClient, UpdateHeader};
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::id::{ChainId, ClientId, Height, Timestamp};
use tendermint_light_client::verifier::types::LightBlock;

use super::header::{consensus_state, ics07_header};
use super::heads::Heads;
use super::light::{Light, verified};
use super::limits::UPDATE_HEADERS;
use super::node::Node;
use super::verify;

/// Reads a client state that tracks this chain.
pub(crate) fn decode(node: &Node, client_state: &Any) -> Result<ClientState, ChainError> {
    read(node.chain(), client_state)
}

fn read(named: &ChainId, client_state: &Any) -> Result<ClientState, ChainError> {
    ClientState::decode(client_state).map_err(|reason| malformed(named, &reason))
}

fn malformed(named: &ChainId, why: &dyn std::fmt::Display) -> ChainError {
    ChainError::new(named, ChainErrorKind::Malformed, why.to_string())
}

/// What a client state of this family says; `named` is whose error it is.
pub fn info(named: &ChainId, client_state: &Any) -> Result<ClientInfo, ChainError> {
    let state = read(named, client_state)?;
    let parameters = state.parameters();
    let chain = ChainId::new(&parameters.chain_id).map_err(|error| malformed(named, &error))?;
    let latest = state.latest_height();
    Ok(ClientInfo {
        chain,
        latest: Height::new(latest.revision, latest.number),
        trusting_period_ns: u64::try_from(parameters.trusting_period.as_nanos()).unwrap_or(u64::MAX),
        frozen: parameters.frozen_height.is_some(),
    })
}

/// The time of a consensus state of this family; `named` is whose error it is.
pub fn consensus_time(named: &ChainId, state: &Any) -> Result<Timestamp, ChainError> {
    let state = ConsensusState::decode(state);
    let state = state.map_err(|reason| malformed(named, &reason))?;
    Ok(Timestamp(state.timestamp().as_nanos()))
}

/// States for a new client, at the newest block.
pub(crate) async fn new_client(node: &Node, heads: &Heads, light: &Light) -> Result<NewClient, ChainError> {
    let head = heads.head().await?;
    let block = light.block(head.height.number).await?;
    let rules = light.rules().await?;
    let refuse = |reason: Reason| node.error(ChainErrorKind::Malformed, reason.to_string());
    let client_state = verify::client_state(&rules, head.height.number).map_err(refuse)?;
    let consensus = consensus_state(&block).map_err(refuse)?;
    Ok(NewClient { client_state: client_state.encode(), consensus_state: consensus.encode(), height: head.height })
}

/// Headers that bring a client from `trusted` to `target`; the client's own trust level decides how many.
pub(crate) async fn update(
    node: &Node,
    light: &Light,
    client_state: &Any,
    trusted: Height,
    target: Height,
) -> Result<ClientUpdate, ChainError> {
    let client = Arc::new(decode(node, client_state)?);
    for height in [trusted, target] {
        if height.revision != node.chain().revision() {
            let detail = format!("height {height}, chain at revision {}", node.chain().revision());
            return Err(node.error(ChainErrorKind::Setup("the client is of another revision of the chain"), detail));
        }
    }
    let goal = light.block(target.number).await?;
    let target_state = verified(node, &goal)?;
    if trusted == target {
        return Ok(ClientUpdate { headers: Vec::new(), target: target_state });
    }
    if target < trusted {
        return Err(node.error(ChainErrorKind::Setup("the client's trusted height is above the target"), ""));
    }
    let mut from = light.trusted_by_client(trusted.number).await?;
    let mut headers = Vec::new();
    let mut attempt = goal.clone();
    // Each turn either accepts a header or halves the distance.
    for _ in 0..UPDATE_HEADERS.saturating_mul(8) {
        let here = node.height(from.height().value());
        let height = node.height(attempt.height().value());
        match step(node, light, &client, &from, &attempt).await? {
            Verdict::Trusted(message) => {
                headers.push(UpdateHeader { trusted: here, height, message });
                if height == target {
                    return Ok(ClientUpdate { headers, target: target_state });
                }
                if headers.len() >= UPDATE_HEADERS {
                    break;
                }
                from = attempt;
                attempt = goal.clone();
            }
            Verdict::NotEnoughTrust { tallied, needed } => {
                let between = here.number + (height.number - here.number) / 2;
                tracing::debug!(chain = %node.chain(), %here, %height, tallied, needed, between, "the client needs a header in between");
                if between == here.number {
                    return Err(
                        node.error(ChainErrorKind::Lying("not_enough_trust"), format!("from {here} to {height}"))
                    );
                }
                attempt = light.block(between).await?;
            }
            Verdict::Invalid(reason) => return Err(refused(node, &reason)),
        }
    }
    Err(node.error(ChainErrorKind::TooLarge, format!("an update from {trusted} to {target} takes too many headers")))
}

fn refused(node: &Node, reason: &Reason) -> ChainError {
    let kind = match reason {
        Reason::ClientFrozen { .. } => ChainErrorKind::Setup("the client is frozen; governance has to recover it"),
        Reason::TrustExpired { .. } => ChainErrorKind::Setup("the client has expired; governance has to recover it"),
        Reason::ChainId => ChainErrorKind::Setup("the client tracks a chain with another id"),
        other => ChainErrorKind::Lying(other.label()),
    };
    node.error(kind, reason.to_string())
}

/// The header for one step, if the client would take it.
async fn step(
    node: &Node,
    light: &Light,
    client: &Arc<ClientState>,
    from: &Arc<LightBlock>,
    to: &Arc<LightBlock>,
) -> Result<Verdict<Any>, ChainError> {
    let trusted = ibc_relayer_types::Height::new(node.chain().revision(), from.height().value())
        .map_err(|error| node.error(ChainErrorKind::Malformed, error.to_string()))?;
    let (client, from, to) = (client.clone(), from.clone(), to.clone());
    let work = move || {
        let state = consensus_state(&from)?;
        let message = ics07_header(&to, trusted, &from.next_validators);
        let header = Header::decode(&message)?;
        Ok(verify_header(&client, &state, &header, verify::now()).map(|_| message))
    };
    let verdict: Result<Verdict<Any>, Reason> = light.compute(work).await?;
    Ok(verdict.unwrap_or_else(Verdict::Invalid))
}

/// Compares a header that somebody submitted with our own block of its height; a conflict becomes evidence that the client takes.
pub(crate) async fn check_header(
    node: &Node,
    heads: &Heads,
    light: &Light,
    id: &ClientId,
    client_state: &Any,
    submitted: &Any,
) -> Result<Option<Any>, ChainError> {
    if submitted.type_url != RawHeader::type_url() {
        return Ok(None);
    }
    let client = decode(node, client_state)?;
    let header = match Header::decode(submitted) {
        Ok(header) => header,
        Err(reason) => {
            // The chain took it, so it decodes there: say that we can't.
            return Err(node.error(ChainErrorKind::Malformed, reason.to_string()));
        }
    };
    if header.signed().header.chain_id.as_str() != node.chain().as_str()
        || client.chain_id().as_str() != node.chain().as_str()
    {
        return Ok(None);
    }
    let (height, trusted) = (header.height().number, header.trusted_height());
    let newest = match heads.newest() {
        Some(newest) if newest >= height => newest,
        _ => heads.head().await?.height.number,
    };
    // A header of the future is compared with our newest one: it may only be later.
    let own = light.block(height.min(newest)).await?;
    if own.height().value() <= trusted.number {
        return Err(node.error(ChainErrorKind::NotYet(node.height(height)), "a header above the chain's head"));
    }
    if own.signed_header.header.hash() == header.signed().header.hash() {
        return Ok(None);
    }
    let base = light.trusted_by_client(trusted.number).await?;
    let trusted_height = ibc_relayer_types::Height::new(trusted.revision, trusted.number)
        .map_err(|error| node.error(ChainErrorKind::Malformed, error.to_string()))?;
    let ours = ics07_header(&own, trusted_height, &base.next_validators);
    let evidence = evidence(id, submitted, &ours).ok_or_else(|| node.error(ChainErrorKind::Malformed, "header"))?;
    let verdict = {
        let evidence = evidence.clone();
        light.compute(move || judge(&client, &base, &header, &ours, &evidence)).await?
    };
    match verdict {
        Ok(true) => {
            tracing::error!(chain = %node.chain(), height, "a header was submitted that conflicts with the chain: evidence is assembled");
            Ok(Some(evidence))
        }
        Ok(false) if height > newest => {
            Err(node.error(ChainErrorKind::NotYet(node.height(height)), "a header above the chain's head"))
        }
        Ok(false) => Ok(None),
        Err(reason) => {
            tracing::warn!(chain = %node.chain(), height, %reason, "a conflicting header that no client would have taken");
            Ok(None)
        }
    }
}

/// Both headers as an ICS-07 misbehaviour, the higher one first. ibc-go ignores the client's id in it, ibc-rs wants it.
fn evidence(client: &ClientId, submitted: &Any, ours: &Any) -> Option<Any> {
    let submitted = RawHeader::decode(submitted.value.as_slice()).ok()?;
    let ours = RawHeader::decode(ours.value.as_slice()).ok()?;
    #[allow(deprecated)]
    let misbehaviour =
        RawMisbehaviour { client_id: client.to_string(), header_1: Some(submitted), header_2: Some(ours) };
    Some(Any { type_url: RawMisbehaviour::type_url(), value: misbehaviour.encode_to_vec() })
}

/// Whether the headers conflict and a client would have trusted both.
fn judge(client: &ClientState, base: &LightBlock, header: &Header, ours: &Any, evidence: &Any) -> Result<bool, Reason> {
    let ours = Header::decode(ours)?;
    if detect_conflict(header, &ours).is_none() {
        return Ok(false);
    }
    let state = consensus_state(base)?;
    let misbehaviour = Misbehaviour::decode(evidence)?;
    match verify_misbehaviour(client, &state, &state, &misbehaviour, verify::now()) {
        Verdict::Trusted(_) => Ok(true),
        Verdict::NotEnoughTrust { tallied, needed } => {
            tracing::warn!(tallied, needed, "conflicting header with too few trusted signers for evidence");
            Ok(false)
        }
        Verdict::Invalid(reason) => Err(reason),
    }
}
