//! From an action to the message that does it.

use ibc_proto::ibc::core::channel::v1::{Channel, Counterparty as ChannelCounterparty, Order as RawOrder, State};
use ibc_proto::ibc::core::commitment::v1::MerklePrefix;
use ibc_proto::ibc::core::connection::v1::{Counterparty, Version};

use super::rules::feature;
use super::{Action, ChannelEnd, ConnectionEnd, EndState, HandshakeError, Phase, Thing, Wanted, What};
use crate::chain::{NewClient, Path};
use crate::message::{Message, Proof, ProvenClient};
use crate::packet::{Order, Side};

/// The other chain's end as proven, and the proof for the message.
#[derive(Debug, Clone)]
pub struct ProvenEnd<'a> {
    /// The store's value under [`proof_path`].
    pub value: &'a [u8],
    /// Its proof.
    pub proof: Proof,
    /// The other chain's client, proven at the same height; connection TRY and ACK need it.
    pub tracked_by: Option<ProvenClient>,
}

/// What an action needs beside the ids.
#[derive(Debug, Clone)]
pub enum NewState<'a> {
    /// INIT steps need nothing.
    Nothing,
    /// A new client needs states of the chain it tracks.
    Client(NewClient),
    /// TRY, ACK and CONFIRM need the other chain's end.
    End(ProvenEnd<'a>),
}

/// The version offered at INIT: ICS-03 version 1 with both orderings.
pub fn connection_version() -> Version {
    let features = [Order::Ordered, Order::Unordered].map(|o| feature(o).to_owned()).to_vec();
    Version { identifier: "1".to_owned(), features }
}

/// The path on the other chain whose value and proof the action's message needs.
pub fn proof_path(action: Action, wanted: &Wanted) -> Option<Path> {
    let other = action.on.other();
    match action.what {
        What::CreateClient | What::Connection(Phase::Init) | What::Channel(_, Phase::Init) => None,
        What::Connection(_) => wanted.connections.at(other).clone().map(Path::Connection),
        What::Channel(index, _) => {
            let end = wanted.channels.get(index)?.end(other)?;
            Some(Path::Channel(end.port, end.channel))
        }
    }
}

/// Whether the action's message also needs the other chain's client, proven ([`ProvenEnd::tracked_by`]).
pub const fn needs_client(action: Action) -> bool {
    matches!(action.what, What::Connection(Phase::Try | Phase::Ack))
}

/// Builds the action's message. The proven end must be in the state that the step is about.
pub fn message(action: Action, wanted: &Wanted, new: NewState<'_>) -> Result<Message, HandshakeError> {
    match (action.what, new) {
        (What::CreateClient, NewState::Client(new)) => {
            Ok(Message::CreateClient { client_state: new.client_state, consensus_state: new.consensus_state })
        }
        (What::Connection(Phase::Init), NewState::Nothing) => {
            let client = need(wanted.clients.at(action.on), "client")?;
            let counterparty = counterparty(wanted, action.on, String::new())?;
            let version = Some(connection_version());
            Ok(Message::ConnOpenInit { client, counterparty, version, delay_ns: wanted.delay_ns })
        }
        (What::Channel(index, Phase::Init), NewState::Nothing) => {
            let asked = wanted.channels.get(index).ok_or(HandshakeError::Incomplete("channel"))?;
            let channel = channel(wanted, action.on, index, State::Init, asked.version.clone())?;
            Ok(Message::ChanOpenInit { port: asked.ports.at(action.on).clone(), channel })
        }
        (What::Connection(phase), NewState::End(end)) => connection_step(action.on, phase, wanted, end),
        (What::Channel(index, phase), NewState::End(end)) => channel_step(action.on, index, phase, wanted, end),
        _ => Err(HandshakeError::Incomplete("proof")),
    }
}

fn connection_step(on: Side, phase: Phase, wanted: &Wanted, new: ProvenEnd<'_>) -> Result<Message, HandshakeError> {
    let other = on.other();
    let id = need(wanted.connections.at(other), "connection")?;
    let (chain, thing) = (wanted.chains.at(other).clone(), Thing::Connection(id.clone()));
    let end = match ConnectionEnd::decode(new.value) {
        Ok(end) => end,
        Err(why) => return Err(HandshakeError::Malformed { chain, thing, why }),
    };
    if end.state != expected(phase) {
        return Err(HandshakeError::Stale { chain, thing, found: end.state });
    }
    let tracked_by = || new.tracked_by.clone().ok_or(HandshakeError::Incomplete("proof of the client"));
    Ok(match phase {
        Phase::Init => return Err(HandshakeError::Incomplete("phase")),
        Phase::Try => Message::ConnOpenTry {
            client: need(wanted.clients.at(on), "client")?,
            counterparty: counterparty(wanted, on, id.as_str().to_owned())?,
            versions: end.versions,
            delay_ns: end.delay_ns,
            tracked_by: tracked_by()?,
            proof: new.proof,
        },
        Phase::Ack => Message::ConnOpenAck {
            connection: need(wanted.connections.at(on), "connection")?,
            counterparty: id,
            version: end.versions.into_iter().next().ok_or(HandshakeError::Incomplete("version"))?,
            tracked_by: tracked_by()?,
            proof: new.proof,
        },
        Phase::Confirm => {
            Message::ConnOpenConfirm { connection: need(wanted.connections.at(on), "connection")?, proof: new.proof }
        }
    })
}

fn channel_step(
    on: Side,
    index: usize,
    phase: Phase,
    wanted: &Wanted,
    new: ProvenEnd<'_>,
) -> Result<Message, HandshakeError> {
    let other = on.other();
    let asked = wanted.channels.get(index).ok_or(HandshakeError::Incomplete("channel"))?;
    let at = asked.end(other).ok_or(HandshakeError::Incomplete("channel id"))?;
    let (chain, thing) = (wanted.chains.at(other).clone(), Thing::Channel(at.clone()));
    let end = match ChannelEnd::decode(new.value) {
        Ok(end) => end,
        Err(why) => return Err(HandshakeError::Malformed { chain, thing, why }),
    };
    if end.state != expected(phase) {
        return Err(HandshakeError::Stale { chain, thing, found: end.state });
    }
    let own = || asked.end(on).ok_or(HandshakeError::Incomplete("channel id"));
    Ok(match phase {
        Phase::Init => return Err(HandshakeError::Incomplete("phase")),
        Phase::Try => Message::ChanOpenTry {
            port: asked.ports.at(on).clone(),
            channel: channel(wanted, on, index, State::Tryopen, end.version.clone())?,
            counterparty_version: end.version,
            proof: new.proof,
        },
        Phase::Ack => Message::ChanOpenAck {
            end: own()?,
            counterparty: at.channel,
            counterparty_version: end.version,
            proof: new.proof,
        },
        Phase::Confirm => Message::ChanOpenConfirm { end: own()?, proof: new.proof },
    })
}

/// The state the other end is in when it is this step's turn.
const fn expected(phase: Phase) -> EndState {
    match phase {
        Phase::Init | Phase::Try => EndState::Init,
        Phase::Ack => EndState::TryOpen,
        Phase::Confirm => EndState::Open,
    }
}

/// The other side as a message to `on` names it.
fn counterparty(wanted: &Wanted, on: Side, connection_id: String) -> Result<Counterparty, HandshakeError> {
    let other = on.other();
    let client_id = need(wanted.clients.at(other), "counterparty client")?.as_str().to_owned();
    let prefix = Some(MerklePrefix { key_prefix: wanted.prefixes.at(other).clone() });
    Ok(Counterparty { client_id, connection_id, prefix })
}

fn channel(wanted: &Wanted, on: Side, index: usize, state: State, version: String) -> Result<Channel, HandshakeError> {
    let asked = wanted.channels.get(index).ok_or(HandshakeError::Incomplete("channel"))?;
    let channel_id = match state {
        State::Init => String::new(),
        _ => need(asked.ids.at(on.other()), "counterparty channel")?.as_str().to_owned(),
    };
    let ordering = match asked.order {
        Order::Unordered => RawOrder::Unordered,
        Order::Ordered => RawOrder::Ordered,
    };
    Ok(Channel {
        state: state.into(),
        ordering: ordering.into(),
        counterparty: Some(ChannelCounterparty { port_id: asked.ports.at(on.other()).as_str().to_owned(), channel_id }),
        connection_hops: vec![need(wanted.connections.at(on), "connection")?.as_str().to_owned()],
        version,
        upgrade_sequence: 0,
    })
}

fn need<T: Clone>(id: &Option<T>, what: &'static str) -> Result<T, HandshakeError> {
    id.clone().ok_or(HandshakeError::Incomplete(what))
}
