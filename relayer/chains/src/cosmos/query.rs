//! Typed queries for the command line: accounts, balances, clients, connections, channels.
//!
//! gRPC through `abci_query`, paged. Not verified: what is decided on goes through proofs. Identifiers are checked; entries of a
//! node that break the rules are left out. Bounds: [`super::limits::PAGES`].

use ibc_proto::cosmos::bank::v1beta1::{
    QueryAllBalancesRequest, QueryAllBalancesResponse, QueryBalanceRequest, QueryBalanceResponse,
};
use ibc_proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::channel::v1::{
    IdentifiedChannel, QueryChannelClientStateRequest, QueryChannelClientStateResponse, QueryChannelsRequest,
    QueryChannelsResponse, QueryConnectionChannelsRequest, QueryConnectionChannelsResponse,
};
use ibc_proto::ibc::core::client::v1::{
    QueryClientStateRequest, QueryClientStateResponse, QueryClientStatesRequest, QueryClientStatesResponse,
    QueryClientStatusRequest, QueryClientStatusResponse, QueryConsensusStateHeightsRequest,
    QueryConsensusStateHeightsResponse,
};
use ibc_proto::ibc::core::connection::v1::{IdentifiedConnection, QueryConnectionsRequest, QueryConnectionsResponse};
use prost::Message;
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::id::{ClientId, ConnectionId, Height};
use relayer_core::packet::PortChannel;

use super::CosmosChain;
use super::limits::{PAGE, PAGES};
use crate::NodeStatus;

impl CosmosChain {
    /// `/status`; fails when the endpoint is of another chain or catching up.
    pub async fn node_status(&self) -> Result<NodeStatus, ChainError> {
        let said = self.node().call::<super::wire::Status>("status", serde_json::json!({})).await?;
        self.node().check_status(&said)?;
        Ok(NodeStatus {
            software: format!("CometBFT {}", relayer_core::error::Detail::new(&said.value.node_info.version)),
            latest: said.value.sync_info.latest_block_height.0,
            earliest: Some(said.value.sync_info.earliest_block_height.0),
            endpoint: said.endpoint.label().to_string(),
        })
    }

    /// Balance of one denomination.
    pub async fn balance_of(&self, address: &str, denom: &str) -> Result<u128, ChainError> {
        let request = QueryBalanceRequest { address: address.to_owned(), denom: denom.to_owned() };
        let path = "/cosmos.bank.v1beta1.Query/Balance";
        let (answer, _): (QueryBalanceResponse, u64) = self.node().grpc(path, &request, None).await?;
        self.amount(&answer.balance.unwrap_or_default().amount)
    }

    /// All balances: denomination and amount.
    pub async fn balances(&self, address: &str) -> Result<Vec<(String, u128)>, ChainError> {
        let request =
            |pagination| QueryAllBalancesRequest { address: address.to_owned(), pagination, resolve_denom: false };
        let items = |answer: QueryAllBalancesResponse| (answer.balances, answer.pagination);
        let coins = self.pages("/cosmos.bank.v1beta1.Query/AllBalances", request, items).await?;
        coins.into_iter().map(|coin| Ok((coin.denom, self.amount(&coin.amount)?))).collect()
    }

    fn amount(&self, text: &str) -> Result<u128, ChainError> {
        if text.is_empty() {
            return Ok(0);
        }
        text.parse().map_err(|_| self.node().error(ChainErrorKind::Malformed, "an amount"))
    }

    /// All clients on this chain with their states.
    pub async fn clients(&self) -> Result<Vec<(ClientId, Any)>, ChainError> {
        let request = |pagination| QueryClientStatesRequest { pagination };
        let items = |answer: QueryClientStatesResponse| (answer.client_states, answer.pagination);
        let states = self.pages("/ibc.core.client.v1.Query/ClientStates", request, items).await?;
        let read = |state: ibc_proto::ibc::core::client::v1::IdentifiedClientState| {
            Some((ClientId::new(&state.client_id).ok()?, state.client_state?))
        };
        Ok(states.into_iter().filter_map(read).collect())
    }

    /// One client's state.
    pub async fn client_state(&self, client: &ClientId) -> Result<Any, ChainError> {
        let request = QueryClientStateRequest { client_id: client.to_string() };
        let path = "/ibc.core.client.v1.Query/ClientState";
        let (answer, _): (QueryClientStateResponse, u64) = self.node().grpc(path, &request, None).await?;
        answer.client_state.ok_or_else(|| self.node().error(ChainErrorKind::NotFound, client.as_str()))
    }

    /// `Active`, `Expired`, `Frozen` or `Unknown`, as ibc-go says.
    pub async fn client_status(&self, client: &ClientId) -> Result<String, ChainError> {
        let request = QueryClientStatusRequest { client_id: client.to_string() };
        let path = "/ibc.core.client.v1.Query/ClientStatus";
        let (answer, _): (QueryClientStatusResponse, u64) = self.node().grpc(path, &request, None).await?;
        Ok(relayer_core::error::Detail::new(&answer.status).as_str().to_owned())
    }

    /// Heights for which a client holds a consensus state, ascending.
    pub async fn consensus_heights(&self, client: &ClientId) -> Result<Vec<Height>, ChainError> {
        let request = |pagination| QueryConsensusStateHeightsRequest { client_id: client.to_string(), pagination };
        let items = |answer: QueryConsensusStateHeightsResponse| (answer.consensus_state_heights, answer.pagination);
        let heights = self.pages("/ibc.core.client.v1.Query/ConsensusStateHeights", request, items).await?;
        let mut heights: Vec<_> =
            heights.into_iter().map(|h| Height::new(h.revision_number, h.revision_height)).collect();
        heights.sort_unstable();
        Ok(heights)
    }

    /// All connections.
    pub async fn connections(&self) -> Result<Vec<IdentifiedConnection>, ChainError> {
        let request = |pagination| QueryConnectionsRequest { pagination };
        let items = |answer: QueryConnectionsResponse| (answer.connections, answer.pagination);
        let all = self.pages("/ibc.core.connection.v1.Query/Connections", request, items).await?;
        Ok(all.into_iter().filter(|connection| ConnectionId::new(&connection.id).is_ok()).collect())
    }

    /// All channels, or those of one connection.
    pub async fn channels(&self, connection: Option<&ConnectionId>) -> Result<Vec<IdentifiedChannel>, ChainError> {
        match connection {
            Some(connection) => {
                let request =
                    |pagination| QueryConnectionChannelsRequest { connection: connection.to_string(), pagination };
                let items = |answer: QueryConnectionChannelsResponse| (answer.channels, answer.pagination);
                self.pages("/ibc.core.channel.v1.Query/ConnectionChannels", request, items).await
            }
            None => {
                let request = |pagination| QueryChannelsRequest { pagination };
                let items = |answer: QueryChannelsResponse| (answer.channels, answer.pagination);
                self.pages("/ibc.core.channel.v1.Query/Channels", request, items).await
            }
        }
    }

    /// The client below a channel end, with its state.
    pub async fn channel_client(&self, end: &PortChannel) -> Result<(ClientId, Any), ChainError> {
        let request =
            QueryChannelClientStateRequest { port_id: end.port.to_string(), channel_id: end.channel.to_string() };
        let path = "/ibc.core.channel.v1.Query/ChannelClientState";
        let (answer, _): (QueryChannelClientStateResponse, u64) = self.node().grpc(path, &request, None).await?;
        let state = answer.identified_client_state;
        let read = state.and_then(|state| Some((ClientId::new(&state.client_id).ok()?, state.client_state?)));
        read.ok_or_else(|| self.node().error(ChainErrorKind::Malformed, "client of a channel"))
    }

    /// All pages of a query, up to the bound.
    async fn pages<Q: Message, A: Message + Default, T>(
        &self,
        path: &str,
        request: impl Fn(Option<PageRequest>) -> Q,
        items: impl Fn(A) -> (Vec<T>, Option<PageResponse>),
    ) -> Result<Vec<T>, ChainError> {
        let mut all = Vec::new();
        let mut key = Vec::new();
        for _ in 0..PAGES {
            let page = PageRequest { key, limit: PAGE, ..PageRequest::default() };
            let (answer, _): (A, u64) = self.node().grpc(path, &request(Some(page)), None).await?;
            let (found, next) = items(answer);
            all.extend(found);
            key = next.map(|next| next.next_key).unwrap_or_default();
            if key.is_empty() {
                return Ok(all);
            }
        }
        tracing::warn!(chain = %self.node().chain(), path, found = all.len(), "more entries than are read at once");
        Ok(all)
    }
}
