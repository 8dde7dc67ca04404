//! GRANDPA clients of this chain on other chains, as ibc-go's 08-wasm module runs them: create, update, watch for misbehaviour.
//!
//! Every header handed out was verified by our own light client and is checked once more as the client on chain will check it, so no
//! fee is paid for one that would be refused. A client that is some changes of authorities behind gets one header for each. Bounds:
//! [`super::limits::UPDATE_HOPS`].

use std::sync::Arc;

use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::lightclients::wasm::v1::ClientMessage as WasmMessage;
use light_clients::grandpa::{
    ClientParameters, ClientState, ConsensusState, Header, Misbehaviour, schema, verify_header, verify_misbehaviour,
};
use light_clients::{Height as ClientHeight, Reason};
use prost::{Message, Name};
use relayer_core::chain::{ClientInfo, ClientUpdate, NewClient, UpdateHeader};
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::id::{ChainId, Height, Timestamp};

use super::config::SubstrateConfig;
use super::finality;
use super::heads::Heads;
use super::light::Light;
use super::limits::UPDATE_HOPS;
use super::node::{Node, REVISION, now};
use super::walk::Hop;

/// What new clients are made of.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    trusting_period: std::time::Duration,
    clock_drift: std::time::Duration,
    checksum: Option<[u8; 32]>,
}

impl Terms {
    pub(crate) fn of(config: &SubstrateConfig) -> Self {
        let (trusting_period, clock_drift) = (config.trusting_period, config.clock_drift);
        Self { trusting_period, clock_drift, checksum: config.checksum }
    }
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

fn decode(node: &Node, client_state: &Any) -> Result<ClientState, ChainError> {
    read(node.chain(), client_state)
}

fn read(named: &ChainId, client_state: &Any) -> Result<ClientState, ChainError> {
    ClientState::decode(client_state).map_err(|reason| malformed(named, &reason))
}

fn malformed(named: &ChainId, why: &dyn std::fmt::Display) -> ChainError {
    ChainError::new(named, ChainErrorKind::Malformed, why.to_string())
}

/// The time of a consensus state of this family; `named` is whose error it is.
pub fn consensus_time(named: &ChainId, state: &Any) -> Result<Timestamp, ChainError> {
    // The time needs no height.
    let state = ConsensusState::decode(state, ClientHeight::new(REVISION, 0));
    let state = state.map_err(|reason| malformed(named, &reason))?;
    Ok(Timestamp(state.timestamp().as_nanos()))
}

/// States for a new client, at the newest block that is shown to be final.
pub(crate) async fn new_client(
    node: &Node,
    heads: &Heads,
    light: &Light,
    terms: &Terms,
) -> Result<NewClient, ChainError> {
    let unnamed = "the code of this chain's light client is not named; configure `client.checksum` and store the code on the other chain";
    let checksum = terms.checksum.ok_or_else(|| node.error(ChainErrorKind::Setup(unnamed), ""))?;
    let height = heads.head().await?.height;
    let block = light.block(node.number(height)?).await?;
    let consensus_state = light.consensus_state(&block).await?.encode();
    let client_state = ClientState::new(ClientParameters {
        chain_id: node.chain().to_string(),
        trusting_period: terms.trusting_period,
        max_clock_drift: terms.clock_drift,
        frozen_height: None,
        latest_height: ClientHeight::new(REVISION, height.number),
        child_trie: Vec::new(),
        checksum,
    });
    let client_state = client_state
        .map_err(|reason| node.error(ChainErrorKind::Setup("a client with these parameters"), reason.to_string()))?;
    Ok(NewClient { client_state: client_state.encode(), consensus_state, height })
}

/// Headers that bring a client from `trusted` to `target`: one for each change of authorities in between, and the last.
pub(crate) async fn update(
    light: &Light,
    client_state: &Any,
    trusted: Height,
    target: Height,
) -> Result<ClientUpdate, ChainError> {
    let node = light.node();
    let client = Arc::new(decode(node, client_state)?);
    let goal = light.block(node.number(target)?).await?;
    let verified = light.verified(&goal).await?;
    if target < trusted {
        return Err(node.error(ChainErrorKind::Setup("the client's trusted height is above the target"), ""));
    }
    let mut headers = Vec::new();
    let mut from = light.trusted_by_client(node.number(trusted)?).await?;
    while from.number() < goal.number() {
        if headers.len() >= UPDATE_HOPS {
            let detail = format!("an update from {trusted} to {target} takes too many headers");
            return Err(node.error(ChainErrorKind::TooLarge, detail));
        }
        let hop = light.hop(from.clone(), goal.number()).await?;
        let message = header(light, &hop).await?.into_any();
        check(light, &client, &hop, &message).await?;
        let (trusted, height) = (node.height(from.number()), node.height(hop.end().number()));
        headers.push(UpdateHeader { trusted, height, message });
        from = hop.end().clone();
    }
    Ok(ClientUpdate { headers, target: verified })
}

/// The client message of a hop.
async fn header(light: &Light, hop: &Hop) -> Result<schema::Header, ChainError> {
    let proof = light.timed(hop.end()).await?.proof.clone();
    Ok(schema::Header {
        trusted_height: Some(ClientHeight::new(REVISION, hop.from.number().into()).into()),
        headers: hop.blocks.iter().map(|block| block.bytes.clone()).collect(),
        justification: finality::encode(&hop.votes),
        authorities: hop.authorities.to_vec(),
        timestamp_proof: proof,
    })
}

/// Whether the client would take it.
async fn check(light: &Light, client: &Arc<ClientState>, hop: &Hop, message: &Any) -> Result<(), ChainError> {
    let trusted = light.consensus_state(&hop.from).await?;
    let (client, message) = (client.clone(), message.clone());
    let work = move || {
        let header = Header::decode(&message)?;
        verify_header(&client, &trusted, &header, now()).map(drop)
    };
    light.compute(work).await?.map_err(|reason| refused(light.node(), &reason))
}

fn refused(node: &Node, reason: &Reason) -> ChainError {
    let kind = match reason {
        Reason::ClientFrozen { .. } => ChainErrorKind::Setup("the client is frozen; governance has to recover it"),
        Reason::TrustExpired { .. } => ChainErrorKind::Setup("the client has expired; governance has to recover it"),
        other => ChainErrorKind::Lying(other.label()),
    };
    node.error(kind, reason.to_string())
}

/// Compares a header that somebody submitted with our own block of its height; a conflict becomes evidence that the client takes.
pub(crate) async fn check_header(
    light: &Light,
    heads: &Heads,
    client_state: &Any,
    submitted: &Any,
) -> Result<Option<Any>, ChainError> {
    let node = light.node();
    if submitted.type_url != WasmMessage::type_url() {
        return Ok(None);
    }
    let client = decode(node, client_state)?;
    if client.parameters().chain_id != node.chain().as_str() {
        return Ok(None);
    }
    let header = match Header::decode(submitted) {
        Ok(header) => header,
        Err(Reason::WrongType { .. }) => return Ok(None),
        Err(reason) => return Err(node.error(ChainErrorKind::Malformed, reason.to_string())),
    };
    let height = node.height(header.height().number);
    let trusted = header.trusted_height().number;
    let newest = match heads.newest() {
        Some(newest) => newest,
        None => heads.head().await?.height.number,
    };
    if newest < height.number {
        return Err(node.error(ChainErrorKind::NotYet(height), "a header above the chain's head"));
    }
    let own = light.block(node.number(height)?).await?;
    let theirs = header.chain().blocks().last().map(|(_, hash)| hash);
    if theirs == Some(own.hash()) {
        return Ok(None);
    }
    let base = light.trusted_by_client(node.number(node.height(trusted))?).await?;
    let goal = light.updatable(own.number()).await?;
    let hop = light.hop(base.clone(), goal).await?;
    let ours = self::header(light, &hop).await?;
    let Some(theirs) = raw(submitted) else {
        return Err(node.error(ChainErrorKind::Malformed, "header"));
    };
    let evidence = schema::Misbehaviour { header_1: Some(theirs), header_2: Some(ours) }.into_any();
    let state = light.consensus_state(&base).await?;
    let judged = evidence.clone();
    let work = move || {
        let misbehaviour = Misbehaviour::decode(&judged)?;
        verify_misbehaviour(&client, &state, &state, &misbehaviour, now())
    };
    match light.compute(work).await? {
        Ok(conflict) => {
            tracing::error!(chain = %node.chain(), %height, ?conflict, "a header was submitted that conflicts with the chain: evidence is assembled");
            Ok(Some(evidence))
        }
        Err(reason) => {
            tracing::warn!(chain = %node.chain(), %height, %reason, "a conflicting header that no client would have taken");
            Ok(None)
        }
    }
}

/// The header within a client message.
fn raw(message: &Any) -> Option<schema::Header> {
    let wrapper = WasmMessage::decode(message.value.as_slice()).ok()?;
    match schema::ClientMessage::decode(wrapper.data.as_slice()).ok()?.message? {
        schema::Content::Header(header) => Some(header),
        schema::Content::Misbehaviour(_) => None,
    }
}
