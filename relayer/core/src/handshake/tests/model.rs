//! Two chains that keep the handshake rules of ibc-go v10's 03-connection and 04-channel keepers. A proof is the encoded end itself.
//! The shell's tests use this file, too.

use std::collections::BTreeMap;

use ibc_proto::ibc::core::channel::v1::{Channel, Counterparty as ChannelCounterparty, State as ChannelState};
use ibc_proto::ibc::core::commitment::v1::MerklePrefix;
use ibc_proto::ibc::core::connection::v1::{ConnectionEnd as RawConnection, Counterparty, State, Version};
use prost::Message as _;

use super::relayer_core::chain::ClientInfo;
use super::relayer_core::fact::{Fact, Opened};
use super::relayer_core::handshake::{
    ChannelEnd, ClientView, ConnectionEnd, Observed, Pair, View, Wanted, connection_version,
};
use super::relayer_core::id::{ChainId, ChannelId, ClientId, ConnectionId, Height, PortId, Timestamp, TxHash};
use super::relayer_core::message::{Message, Proof};
use super::relayer_core::packet::{PortChannel, Side};

pub(super) const TRUSTING_NS: u64 = 1_000_000_000_000;

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Host {
    /// First number of this chain's ids, so that ids of two chains can't be mixed up unnoticed.
    base: usize,
    pub(super) clients: Vec<String>,
    pub(super) connections: Vec<RawConnection>,
    pub(super) channels: Vec<(String, Channel)>,
    pub(super) facts: BTreeMap<TxHash, Vec<Fact>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct World {
    pub(super) hosts: Pair<Host>,
    pub(super) now: u64,
}

fn number(id: &str, base: usize) -> usize {
    id.rsplit_once('-').unwrap().1.parse::<usize>().unwrap() - base
}

impl Host {
    pub(super) fn connection(&self, id: &str) -> Option<&RawConnection> {
        self.connections.get(number(id, self.base))
    }
    pub(super) fn channel(&self, port: &str, id: &str) -> Option<&Channel> {
        self.channels.get(number(id, self.base)).filter(|(p, _)| p == port).map(|(_, c)| c)
    }
}

impl World {
    pub(super) fn new() -> Self {
        let (a, b) = (Host { base: 10, ..Host::default() }, Host { base: 70, ..Host::default() });
        Self { hosts: Pair::new(a, b), now: 1_000 }
    }

    /// All messages or none.
    pub(super) fn apply(&mut self, on: Side, tx: TxHash, messages: &[Message]) -> Result<(), String> {
        let mut host = self.hosts.at(on).clone();
        for message in messages {
            let fact = run(&mut host, self.hosts.at(on.other()), message)?;
            host.facts.entry(tx).or_default().extend(fact.map(|what| Fact::Opened { tx, what }));
        }
        *self.hosts.at_mut(on) = host;
        Ok(())
    }

    pub(super) fn observe(&self, wanted: &Wanted) -> Observed {
        let view = |side: Side| {
            let host = self.hosts.at(side);
            let client = wanted.clients.at(side).as_ref().filter(|id| host.clients.iter().any(|c| c == id.as_str()));
            View {
                now: Timestamp(self.now),
                client: client.map(|_| ClientView {
                    info: ClientInfo {
                        chain: chain(side.other()),
                        latest: Height::new(1, 1),
                        trusting_period_ns: TRUSTING_NS,
                        frozen: false,
                    },
                    newest: Timestamp(1_000),
                }),
                connection: wanted
                    .connections
                    .at(side)
                    .as_ref()
                    .and_then(|id| host.connection(id.as_str()))
                    .map(|raw| ConnectionEnd::decode(&raw.encode_to_vec()).unwrap()),
                channels: wanted
                    .channels
                    .iter()
                    .map(|c| {
                        let end = c.end(side)?;
                        let raw = host.channel(end.port.as_str(), end.channel.as_str())?;
                        Some(ChannelEnd::decode(&raw.encode_to_vec()).unwrap())
                    })
                    .collect(),
            }
        };
        Pair::new(view(Side::A), view(Side::B))
    }
}

pub(super) fn chain(side: Side) -> ChainId {
    ChainId::new(if side == Side::A { "x-1" } else { "y-1" }).unwrap()
}

fn prefix() -> Option<MerklePrefix> {
    Some(MerklePrefix { key_prefix: b"ibc".to_vec() })
}

fn ensure(what: bool, why: &str) -> Result<(), String> {
    if what { Ok(()) } else { Err(why.to_owned()) }
}

/// The proof shows exactly the end that the rules expect the other chain to hold now.
fn proven(stored: Option<&impl prost::Message>, expected: &impl prost::Message, proof: &Proof) -> Result<(), String> {
    let stored = stored.ok_or("nothing under that id")?.encode_to_vec();
    ensure(stored == *proof.bytes, "the proof is of another state")?;
    ensure(stored == expected.encode_to_vec(), "the other end is not as expected")
}

fn run(host: &mut Host, other: &Host, message: &Message) -> Result<Option<Opened>, String> {
    match message {
        Message::CreateClient { .. } => {
            let id = format!("07-tendermint-{}", host.base + host.clients.len());
            host.clients.push(id.clone());
            Ok(Some(Opened::Client { client: ClientId::new(id).unwrap() }))
        }
        Message::ConnOpenInit { client, counterparty, version, delay_ns } => {
            ensure(host.clients.iter().any(|c| c == client.as_str()), "no such client")?;
            ensure(counterparty.connection_id.is_empty(), "counterparty id at INIT")?;
            ensure(version.as_ref() == Some(&connection_version()), "version")?;
            let versions = vec![connection_version()];
            Ok(Some(push_connection(host, State::Init, client, counterparty.clone(), versions, *delay_ns)))
        }
        Message::ConnOpenTry { client, counterparty, versions, delay_ns, proof, .. } => {
            ensure(host.clients.iter().any(|c| c == client.as_str()), "no such client")?;
            let expected = RawConnection {
                client_id: counterparty.client_id.clone(),
                versions: versions.clone(),
                state: State::Init.into(),
                counterparty: Some(Counterparty {
                    client_id: client.as_str().to_owned(),
                    connection_id: String::new(),
                    prefix: prefix(),
                }),
                delay_period: *delay_ns,
            };
            proven(other.connection(&counterparty.connection_id), &expected, proof)?;
            let versions = versions.iter().take(1).cloned().collect();
            Ok(Some(push_connection(host, State::Tryopen, client, counterparty.clone(), versions, *delay_ns)))
        }
        Message::ConnOpenAck { connection, counterparty, version, proof, .. } => {
            let mut own = host.connection(connection.as_str()).ok_or("no such connection")?.clone();
            ensure(own.state() == State::Init, "not INIT")?;
            let expected = mirrored(&own, connection, State::Tryopen, vec![version.clone()]);
            proven(other.connection(counterparty.as_str()), &expected, proof)?;
            own.state = State::Open.into();
            own.versions = vec![version.clone()];
            own.counterparty.as_mut().unwrap().connection_id = counterparty.as_str().to_owned();
            let at = number(connection.as_str(), host.base);
            host.connections[at] = own;
            Ok(None)
        }
        Message::ConnOpenConfirm { connection, proof } => {
            let mut own = host.connection(connection.as_str()).ok_or("no such connection")?.clone();
            ensure(own.state() == State::Tryopen, "not TRYOPEN")?;
            let expected = mirrored(&own, connection, State::Open, own.versions.clone());
            proven(other.connection(&own.counterparty.as_ref().unwrap().connection_id), &expected, proof)?;
            own.state = State::Open.into();
            let at = number(connection.as_str(), host.base);
            host.connections[at] = own;
            Ok(None)
        }
        Message::ChanOpenInit { port, channel } => {
            let connection = host.connection(&channel.connection_hops[0]).ok_or("no such connection")?;
            ensure(connection.state() == State::Open, "connection not OPEN")?;
            ensure(channel.state() == ChannelState::Init, "state")?;
            ensure(channel.counterparty.as_ref().unwrap().channel_id.is_empty(), "counterparty id at INIT")?;
            Ok(Some(push_channel(host, port, channel.clone())))
        }
        Message::ChanOpenTry { port, channel, counterparty_version, proof } => {
            let connection = host.connection(&channel.connection_hops[0]).ok_or("no such connection")?;
            ensure(connection.state() == State::Open, "connection not OPEN")?;
            ensure(channel.state() == ChannelState::Tryopen, "state")?;
            let there = channel.counterparty.clone().unwrap();
            let expected = Channel {
                state: ChannelState::Init.into(),
                ordering: channel.ordering,
                counterparty: Some(ChannelCounterparty {
                    port_id: port.as_str().to_owned(),
                    channel_id: String::new(),
                }),
                connection_hops: vec![connection.counterparty.as_ref().unwrap().connection_id.clone()],
                version: counterparty_version.clone(),
                upgrade_sequence: 0,
            };
            proven(other.channel(&there.port_id, &there.channel_id), &expected, proof)?;
            let made = Channel { version: counterparty_version.clone(), ..channel.clone() };
            Ok(Some(push_channel(host, port, made)))
        }
        Message::ChanOpenAck { end, counterparty, counterparty_version, proof } => {
            let set = |own: &mut Channel| {
                own.version.clone_from(counterparty_version);
                own.counterparty.as_mut().unwrap().channel_id = counterparty.as_str().to_owned();
            };
            open_channel(host, other, end, ChannelState::Init, ChannelState::Tryopen, proof, set)
        }
        Message::ChanOpenConfirm { end, proof } => {
            open_channel(host, other, end, ChannelState::Tryopen, ChannelState::Open, proof, |_| {})
        }
        _ => Err("not of a handshake".to_owned()),
    }
}

/// The other end of `own` as it must be.
fn mirrored(own: &RawConnection, id: &ConnectionId, state: State, versions: Vec<Version>) -> RawConnection {
    RawConnection {
        client_id: own.counterparty.as_ref().unwrap().client_id.clone(),
        versions,
        state: state.into(),
        counterparty: Some(Counterparty {
            client_id: own.client_id.clone(),
            connection_id: id.as_str().to_owned(),
            prefix: prefix(),
        }),
        delay_period: own.delay_period,
    }
}

fn push_connection(
    host: &mut Host,
    state: State,
    client: &ClientId,
    counterparty: Counterparty,
    versions: Vec<Version>,
    delay_period: u64,
) -> Opened {
    let connection = ConnectionId::new(format!("connection-{}", host.base + host.connections.len())).unwrap();
    let named = counterparty.connection_id.clone();
    let client_id = client.as_str().to_owned();
    let counterparty = Some(counterparty);
    host.connections.push(RawConnection { client_id, versions, state: state.into(), counterparty, delay_period });
    Opened::Connection { connection, client: client.clone(), counterparty: ConnectionId::new(named).ok() }
}

fn push_channel(host: &mut Host, port: &PortId, channel: Channel) -> Opened {
    let id = ChannelId::new(format!("channel-{}", host.base + host.channels.len())).unwrap();
    let there = channel.counterparty.clone().unwrap();
    let connection = ConnectionId::new(&channel.connection_hops[0]).unwrap();
    host.channels.push((port.as_str().to_owned(), channel));
    Opened::Channel {
        end: PortChannel { port: port.clone(), channel: id },
        connection,
        counterparty_port: PortId::new(there.port_id).unwrap(),
        counterparty: ChannelId::new(there.channel_id).ok(),
    }
}

fn open_channel(
    host: &mut Host,
    other: &Host,
    end: &PortChannel,
    from: ChannelState,
    there: ChannelState,
    proof: &Proof,
    set: impl FnOnce(&mut Channel),
) -> Result<Option<Opened>, String> {
    let mut own = host.channel(end.port.as_str(), end.channel.as_str()).ok_or("no such channel")?.clone();
    ensure(own.state() == from, "state")?;
    let connection = host.connection(&own.connection_hops[0]).ok_or("no such connection")?;
    ensure(connection.state() == State::Open, "connection not OPEN")?;
    let hop = connection.counterparty.as_ref().unwrap().connection_id.clone();
    set(&mut own);
    let expected = Channel {
        state: there.into(),
        ordering: own.ordering,
        counterparty: Some(ChannelCounterparty {
            port_id: end.port.as_str().to_owned(),
            channel_id: end.channel.as_str().to_owned(),
        }),
        connection_hops: vec![hop],
        version: own.version.clone(),
        upgrade_sequence: 0,
    };
    let named = own.counterparty.clone().unwrap();
    proven(other.channel(&named.port_id, &named.channel_id), &expected, proof)?;
    own.state = ChannelState::Open.into();
    let at = number(end.channel.as_str(), host.base);
    host.channels[at].1 = own;
    Ok(None)
}
