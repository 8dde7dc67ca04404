//! Queries for the command line: clients, connections, channels, read from the state as it stands.
//!
//! Lists are not verified: what is decided on goes through proofs. Entries that break the rules are left out. Bounds: [`super::limits::PAGES`].

use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::channel::v1::{Channel, IdentifiedChannel};
use ibc_proto::ibc::core::connection::v1::{ConnectionEnd, IdentifiedConnection};
use light_clients::grandpa::Hash;
use prost::Message;
use relayer_core::chain::{Chain, Path};
use relayer_core::error::{ChainError, ChainErrorKind, Detail};
use relayer_core::id::{ChannelId, ClientId, ConnectionId, Height, PortId};
use relayer_core::packet::PortChannel;

use super::SubstrateChain;
use super::node::Said;
use super::store::{key, keys, values};
use crate::NodeStatus;

impl SubstrateChain {
    /// The node's version and its newest block that is shown to be final.
    pub async fn node_status(&self) -> Result<NodeStatus, ChainError> {
        let version: Said<String> = self.node.must("system_version", ()).await?;
        let latest = self.head().await?.height.number;
        Ok(NodeStatus {
            software: format!("Substrate {}", Detail::new(&version.value)),
            latest,
            earliest: None,
            endpoint: version.endpoint.label().to_string(),
        })
    }

    /// What follows a prefix in the keys of the IBC store, with the values.
    async fn entries(&self, start: &str) -> Result<Vec<(String, Vec<u8>)>, ChainError> {
        let (_, hash) = self.block_at(None).await?;
        let start = key(&self.store_prefix, start);
        let names = keys(&self.node, &start, &hash).await?.value;
        self.values_of(&start, names, &hash).await
    }

    async fn values_of(
        &self,
        start: &[u8],
        names: Vec<Vec<u8>>,
        hash: &Hash,
    ) -> Result<Vec<(String, Vec<u8>)>, ChainError> {
        let found = values(&self.node, &names, hash).await?.value;
        let entry = |(name, value): (Vec<u8>, Option<Vec<u8>>)| {
            let rest = String::from_utf8(name.strip_prefix(start)?.to_vec()).ok()?;
            Some((rest, value?))
        };
        Ok(names.into_iter().zip(found).filter_map(entry).collect())
    }

    /// All clients on this chain with their states.
    pub async fn clients(&self) -> Result<Vec<(ClientId, Any)>, ChainError> {
        let (_, hash) = self.block_at(None).await?;
        let start = key(&self.store_prefix, "clients/");
        let mut names = keys(&self.node, &start, &hash).await?.value;
        names.retain(|name| name.ends_with(b"/clientState"));
        let read = |(rest, value): (String, Vec<u8>)| {
            let id = ClientId::new(rest.strip_suffix("/clientState")?).ok()?;
            Some((id, Any::decode(value.as_slice()).ok()?))
        };
        Ok(self.values_of(&start, names, &hash).await?.into_iter().filter_map(read).collect())
    }

    /// One client's state.
    pub async fn client_state(&self, client: &ClientId) -> Result<Any, ChainError> {
        let found = self.query(&[Path::ClientState(client.clone())], None, false).await?;
        let value = found.into_iter().next().and_then(|proven| proven.value);
        let value = value.ok_or_else(|| self.node.error(ChainErrorKind::NotFound, client.as_str()))?;
        Any::decode(value.as_slice()).map_err(|_| self.node.error(ChainErrorKind::Malformed, "client state"))
    }

    /// Heights for which a client holds a consensus state, ascending.
    pub async fn consensus_heights(&self, client: &ClientId) -> Result<Vec<Height>, ChainError> {
        let (_, hash) = self.block_at(None).await?;
        let start = key(&self.store_prefix, &format!("clients/{client}/consensusStates/"));
        let names = keys(&self.node, &start, &hash).await?.value;
        let read = |name: &Vec<u8>| std::str::from_utf8(name.strip_prefix(start.as_slice())?).ok()?.parse().ok();
        let mut heights: Vec<Height> = names.iter().filter_map(read).collect();
        heights.sort_unstable();
        Ok(heights)
    }

    /// All connections.
    pub async fn connections(&self) -> Result<Vec<IdentifiedConnection>, ChainError> {
        let read = |(rest, value): (String, Vec<u8>)| {
            let id = ConnectionId::new(rest).ok()?.to_string();
            let end = ConnectionEnd::decode(value.as_slice()).ok()?;
            let ConnectionEnd { client_id, versions, state, counterparty, delay_period } = end;
            Some(IdentifiedConnection { id, client_id, versions, state, counterparty, delay_period })
        };
        Ok(self.entries("connections/").await?.into_iter().filter_map(read).collect())
    }

    /// All channels, or those of one connection.
    pub async fn channels(&self, connection: Option<&ConnectionId>) -> Result<Vec<IdentifiedChannel>, ChainError> {
        let read = |(rest, value): (String, Vec<u8>)| {
            let (port, channel) = rest.split_once("/channels/")?;
            let (port, channel) = (PortId::new(port).ok()?, ChannelId::new(channel).ok()?);
            let end = Channel::decode(value.as_slice()).ok()?;
            let hop = end.connection_hops.first().map(String::as_str);
            if connection.is_some_and(|wanted| hop != Some(wanted.as_str())) {
                return None;
            }
            Some(IdentifiedChannel {
                state: end.state,
                ordering: end.ordering,
                counterparty: end.counterparty,
                connection_hops: end.connection_hops,
                version: end.version,
                port_id: port.to_string(),
                channel_id: channel.to_string(),
                upgrade_sequence: end.upgrade_sequence,
            })
        };
        Ok(self.entries("channelEnds/ports/").await?.into_iter().filter_map(read).collect())
    }

    /// The client below a channel end, with its state.
    pub async fn channel_client(&self, end: &PortChannel) -> Result<(ClientId, Any), ChainError> {
        let missing = |what: &str| self.node.error(ChainErrorKind::NotFound, what);
        let path = Path::Channel(end.port.clone(), end.channel.clone());
        let value = self.query(&[path], None, false).await?.into_iter().next().and_then(|proven| proven.value);
        let channel = Channel::decode(value.ok_or_else(|| missing("channel"))?.as_slice()).unwrap_or_default();
        let hop = channel.connection_hops.first().and_then(|id| ConnectionId::new(id).ok());
        let path = Path::Connection(hop.ok_or_else(|| missing("connection of a channel"))?);
        let value = self.query(&[path], None, false).await?.into_iter().next().and_then(|proven| proven.value);
        let connection =
            ConnectionEnd::decode(value.ok_or_else(|| missing("connection"))?.as_slice()).unwrap_or_default();
        let client = ClientId::new(&connection.client_id).map_err(|_| missing("client of a connection"))?;
        let state = self.client_state(&client).await?;
        Ok((client, state))
    }
}
