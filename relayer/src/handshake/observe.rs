//! Reads what both chains' states hold at the known ids. Not proven: what is built on it is.

use ibc_proto::google::protobuf::Any;
use prost::Message as _;
use relayer_core::chain::{Chain, Path, Proven};
use relayer_core::fact::Head;
use relayer_core::handshake::{ChannelEnd, ClientView, ConnectionEnd, HandshakeError, Pair, Thing, View, Wanted};
use relayer_core::packet::Side;

use super::{HandshakeFailure, Links, SideState, limits, send};

/// One chain's state.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The block whose state this is.
    pub(super) head: Head,
    /// For the rules.
    pub(super) view: View,
    /// The client's state as stored, where there is one.
    pub(super) client_state: Option<Any>,
}

/// Both chains at once.
pub(super) async fn both(
    links: &Links,
    wanted: &Wanted,
    sides: &mut Pair<SideState>,
) -> Result<Pair<Seen>, HandshakeFailure> {
    let Pair { a: state_a, b: state_b } = sides;
    let (a, b) = tokio::try_join!(one(links, wanted, Side::A, state_a), one(links, wanted, Side::B, state_b))?;
    Ok(Pair::new(a, b))
}

async fn one(links: &Links, wanted: &Wanted, side: Side, state: &mut SideState) -> Result<Seen, HandshakeFailure> {
    let (chain, other) = (links.chains.at(side), links.chains.at(side.other()));
    if state.template.is_none() {
        state.template = Some(chain.new_client().await?.client_state);
    }
    let mut head = chain.head().await?;
    // Another node may be behind the block that holds our own transaction.
    while let Some(floor) = state.floor.filter(|floor| head.height < *floor) {
        head = send::next_head(chain, floor.prev()).await?;
    }
    let (client, connection) = (wanted.clients.at(side), wanted.connections.at(side));
    let channels: Vec<_> = wanted.channels.iter().map(|c| c.end(side)).collect();
    let mut paths: Vec<Path> = client.iter().cloned().map(Path::ClientState).collect();
    paths.extend(connection.iter().cloned().map(Path::Connection));
    paths.extend(channels.iter().flatten().map(|e| Path::Channel(e.port.clone(), e.channel.clone())));
    let answered = if paths.is_empty() { Vec::new() } else { chain.query(&paths, Some(head.height), false).await? };
    if answered.len() != paths.len() {
        let what = "another number of values";
        return Err(HandshakeFailure::Answer { chain: chain.id().clone(), what });
    }
    let mut values = answered.into_iter().map(|proven: Proven| proven.value);
    let mut view = View { now: head.time, ..View::default() };
    let malformed = |thing: Thing| {
        let chain = chain.id().clone();
        move |why| HandshakeError::Malformed { chain, thing, why }
    };
    let mut client_state = None;
    if let Some(id) = client {
        client_state = values.next().flatten().map(|bytes| any(&bytes, chain.as_ref())).transpose()?;
        if let Some(stored) = &client_state {
            let info = other.client_info(stored)?;
            let path = Path::ConsensusState(id.clone(), info.latest);
            let newest = chain.query(&[path], Some(head.height), false).await?.pop().and_then(|p| p.value);
            let what = "no consensus state at the client's latest height";
            let answer = HandshakeFailure::Answer { chain: chain.id().clone(), what };
            let newest = other.consensus_time(&any(&newest.ok_or(answer)?, chain.as_ref())?)?;
            view.client = Some(ClientView { info, newest });
        }
    }
    if let Some(id) = connection
        && let Some(bytes) = values.next().flatten()
    {
        let end = ConnectionEnd::decode(&bytes).map_err(malformed(Thing::Connection(id.clone())))?;
        view.connection = Some(end);
    }
    for end in channels {
        let value = end.as_ref().and_then(|_| values.next().flatten());
        let decoded =
            value.zip(end).map(|(bytes, end)| ChannelEnd::decode(&bytes).map_err(malformed(Thing::Channel(end))));
        view.channels.push(decoded.transpose()?);
    }
    Ok(Seen { head, view, client_state })
}

/// A client or consensus state from a chain's store.
pub(super) fn any(bytes: &[u8], chain: &dyn Chain) -> Result<Any, HandshakeFailure> {
    let answer = |what| HandshakeFailure::Answer { chain: chain.id().clone(), what };
    if bytes.len() > limits::STATE_BYTES {
        return Err(answer("a client or consensus state over the size limit"));
    }
    Any::decode(bytes).map_err(|_| answer("a client or consensus state that can't be decoded"))
}
