//! `abci_query`: values of a store with their proofs, and gRPC queries in protobuf.
//!
//! **Spec**: Cosmos SDK 0.53, `baseapp/abci.go`; pages as `types/query/pagination.go` makes them.

use std::time::Duration;

use ibc_client_tendermint::types::ClientState;
use ibc_core::channel::types::channel::ChannelEnd;
use ibc_core::primitives::proto::Protobuf as _;
use ibc_proto::cosmos::auth::v1beta1::{QueryAccountRequest, QueryAccountResponse};
use ibc_proto::cosmos::bank::v1beta1::{
    QueryAllBalancesRequest, QueryAllBalancesResponse, QueryBalanceRequest, QueryBalanceResponse,
};
use ibc_proto::cosmos::base::abci::v1beta1::{GasInfo, Result as AbciResult};
use ibc_proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use ibc_proto::cosmos::base::v1beta1::Coin;
use ibc_proto::cosmos::staking::v1beta1::{Params, QueryParamsResponse};
use ibc_proto::cosmos::tx::v1beta1::{SimulateRequest, SimulateResponse};
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::channel::v1::{self as channel, Channel, IdentifiedChannel, PacketState};
use ibc_proto::ibc::core::client::v1::{self as client, Height, IdentifiedClientState};
use ibc_proto::ibc::core::connection::v1::{self as connection, ConnectionEnd, IdentifiedConnection};
use prost::Message;

use super::App;
use super::failure::Failure;
use super::ibc::{IBC, Work};
use super::state::{self, BANK};
use super::tx::{self, Mode};
use crate::devnet::embedded::QueryAnswer;
use crate::devnet::embedded::store::Store;

/// Items of a page when none are asked for: the SDK's default.
const PAGE: u64 = 100;
/// The most items of a page.
const MOST: u64 = 10_000;

pub(super) fn answer(app: &App, path: &str, data: &[u8], height: u64, prove: bool) -> QueryAnswer {
    let latest = app.chain.host.height;
    let at = if height == 0 { latest } else { height };
    let path = path.trim_start_matches('/');
    if let Some(name) = path.strip_prefix("store/").and_then(|rest| rest.strip_suffix("/key")) {
        let Some(store) = app.states.get(&at) else {
            let why = "proof is unexpectedly empty; ensure height has not been pruned";
            return Failure::invalid_request(why).query(at);
        };
        let (value, proof) = match prove {
            true => store.prove(name, data),
            false => (store.get(name, data).map(<[u8]>::to_vec), Vec::new()),
        };
        let (key, value) = (data.to_vec(), value.unwrap_or_default());
        return QueryAnswer { key, value, height: at, proof, ..QueryAnswer::default() };
    }
    let answered = match app.states.get(&at) {
        _ if at > latest => Err(Failure::future_height()),
        // Before the first block there is the genesis alone.
        None if latest > 0 => Err(Failure::invalid_request(format!(
            "failed to load state at height {at}; version does not exist (latest height: {latest})"
        ))),
        store => Query { app, store: store.unwrap_or(&app.state), height: at }.grpc(path, data),
    };
    match answered {
        Ok(value) => QueryAnswer { value, height: at, ..QueryAnswer::default() },
        Err(failure) => failure.query(at),
    }
}

struct Query<'a> {
    app: &'a App,
    store: &'a Store,
    height: u64,
}

fn read<M: Message + Default>(data: &[u8]) -> Result<M, Failure> {
    M::decode(data).map_err(|e| Failure::undecodable("request", e))
}

/// A page of keys and values of a prefix; keys without it.
type Items = (Vec<(Vec<u8>, Vec<u8>)>, Option<PageResponse>);

impl Query<'_> {
    fn grpc(&self, path: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
        let (service, method) = path.rsplit_once('/').unwrap_or((path, ""));
        match service {
            "ibc.core.client.v1.Query" => self.client(method, data),
            "ibc.core.connection.v1.Query" => self.connection(method, data),
            "ibc.core.channel.v1.Query" => self.channel(method, data),
            _ => self.sdk(path, data),
        }
    }

    fn sdk(&self, path: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
        let prefix = &self.app.chain.host.account_prefix;
        match path {
            "cosmos.auth.v1beta1.Query/Account" => {
                let request: QueryAccountRequest = read(data)?;
                let address = state::address(prefix, &request.address)?;
                let account = state::account(self.store, &address);
                let account =
                    account.ok_or_else(|| Failure::not_found(format!("account {} not found", request.address)))?;
                let account =
                    Any { type_url: "/cosmos.auth.v1beta1.BaseAccount".to_owned(), value: account.encode_to_vec() };
                Ok(QueryAccountResponse { account: Some(account) }.encode_to_vec())
            }
            "cosmos.bank.v1beta1.Query/Balance" => {
                let request: QueryBalanceRequest = read(data)?;
                let address = state::address(prefix, &request.address)?;
                let amount = state::balance(self.store, &address, &request.denom).to_string();
                let balance = Some(Coin { denom: request.denom, amount });
                Ok(QueryBalanceResponse { balance }.encode_to_vec())
            }
            "cosmos.bank.v1beta1.Query/AllBalances" => {
                let request: QueryAllBalancesRequest = read(data)?;
                let address = state::address(prefix, &request.address)?;
                let (items, pagination) =
                    self.page(BANK, &state::balances_prefix(&address), request.pagination, |_| true);
                let coin = |(key, value): &(Vec<u8>, Vec<u8>)| Coin {
                    denom: String::from_utf8_lossy(key).into_owned(),
                    amount: state::amount(value).to_string(),
                };
                let balances = items.iter().map(coin).collect();
                Ok(QueryAllBalancesResponse { balances, pagination }.encode_to_vec())
            }
            "cosmos.staking.v1beta1.Query/Params" => {
                let unbonding: Duration = self.app.chain.host.unbonding;
                let seconds = i64::try_from(unbonding.as_secs()).unwrap_or(i64::MAX);
                let nanos = i32::try_from(unbonding.subsec_nanos()).unwrap_or(0);
                let params = Params {
                    unbonding_time: Some(ibc_proto::google::protobuf::Duration { seconds, nanos }),
                    max_validators: 100,
                    max_entries: 7,
                    historical_entries: 10_000,
                    bond_denom: self.app.chain.fee_denom.clone(),
                    ..Params::default()
                };
                Ok(QueryParamsResponse { params: Some(params) }.encode_to_vec())
            }
            "cosmos.tx.v1beta1.Service/Simulate" => self.simulate(&read(data)?),
            _ => Err(Failure::unknown_request("unknown query path")),
        }
    }

    /// On the state that waiting transactions were checked on, as the SDK does.
    fn simulate(&self, request: &SimulateRequest) -> Result<Vec<u8>, Failure> {
        let mut work = Work { store: self.app.check.clone(), events: Vec::new() };
        let result = tx::run(&self.app.chain, &mut work, &request.tx_bytes, Mode::Simulate);
        if result.code != 0 {
            // The SDK loses code and codespace here.
            let why = format!("rpc error: code = Unknown desc = {} with gas used: '{}'", result.log, result.gas_used);
            return Err(Failure::unknown_request(why));
        }
        let gas_info = Some(GasInfo { gas_wanted: result.gas_wanted, gas_used: result.gas_used });
        Ok(SimulateResponse { gas_info, result: Some(AbciResult::default()) }.encode_to_vec())
    }

    /// A page of what stands below a prefix, and passes.
    fn page(&self, store: &str, prefix: &[u8], asked: Option<PageRequest>, passes: impl Fn(&[u8]) -> bool) -> Items {
        let asked = asked.unwrap_or_default();
        let limit = usize::try_from(if asked.limit == 0 { PAGE } else { asked.limit.min(MOST) }).unwrap_or(usize::MAX);
        let items = self.store.prefix(store, prefix, None);
        let items = items.map(|(key, value)| (key.get(prefix.len()..).unwrap_or_default(), value));
        let mut items: Vec<_> = items.filter(|(key, _)| passes(key)).collect();
        if asked.reverse {
            items.reverse();
        }
        let total = items.len() as u64;
        let offset = usize::try_from(asked.offset).unwrap_or(usize::MAX);
        let start = match asked.key.is_empty() {
            true => offset.min(items.len()),
            false => items.iter().position(|(key, _)| *key == asked.key.as_slice()).unwrap_or(items.len()),
        };
        let end = start.saturating_add(limit).min(items.len());
        let next_key = items.get(end).map(|(key, _)| key.to_vec()).unwrap_or_default();
        let total = if asked.count_total { total } else { 0 };
        let page = items.get(start..end).unwrap_or_default();
        let page = page.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        (page, Some(PageResponse { next_key, total }))
    }

    fn at(&self) -> Option<Height> {
        Some(Height { revision_number: self.app.chain.host.revision, revision_height: self.height })
    }

    fn client_state(&self, id: &str) -> Result<Any, Failure> {
        let bytes = self.store.get(IBC, format!("clients/{id}/clientState").as_bytes());
        let bytes = bytes.ok_or_else(|| Failure::not_found(format!("{id}: light client not found")))?;
        Any::decode(bytes).map_err(Failure::invalid_request)
    }

    fn client(&self, method: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
        match method {
            "ClientState" => {
                let request: client::QueryClientStateRequest = read(data)?;
                let client_state = Some(self.client_state(&request.client_id)?);
                let proof_height = self.at();
                Ok(client::QueryClientStateResponse { client_state, proof: Vec::new(), proof_height }.encode_to_vec())
            }
            "ClientStates" => {
                let request: client::QueryClientStatesRequest = read(data)?;
                let (items, pagination) =
                    self.page(IBC, b"clients/", request.pagination, |key| key.ends_with(b"/clientState"));
                let states = items.iter().map(|(key, value)| IdentifiedClientState {
                    client_id: String::from_utf8_lossy(key).trim_end_matches("/clientState").to_owned(),
                    client_state: Any::decode(value.as_slice()).ok(),
                });
                let client_states = states.collect();
                Ok(client::QueryClientStatesResponse { client_states, pagination }.encode_to_vec())
            }
            "ClientStatus" => {
                let request: client::QueryClientStatusRequest = read(data)?;
                let status = self.status(&request.client_id)?.to_owned();
                Ok(client::QueryClientStatusResponse { status }.encode_to_vec())
            }
            "ConsensusStateHeights" => {
                let request: client::QueryConsensusStateHeightsRequest = read(data)?;
                let prefix = super::ibc::heights_prefix(&request.client_id);
                let (items, pagination) = self.page(IBC, &prefix, request.pagination, |_| true);
                let heights = items.iter().filter_map(|(key, _)| super::ibc::height_of(key));
                let heights =
                    heights.map(|(revision_number, revision_height)| Height { revision_number, revision_height });
                let consensus_state_heights = heights.collect();
                Ok(client::QueryConsensusStateHeightsResponse { consensus_state_heights, pagination }.encode_to_vec())
            }
            "ConsensusState" => {
                let request: client::QueryConsensusStateRequest = read(data)?;
                let (revision, height) = match request.latest_height {
                    true => {
                        let state = ClientState::try_from(self.client_state(&request.client_id)?);
                        let latest = state.map_err(Failure::invalid_request)?.latest_height;
                        (latest.revision_number(), latest.revision_height())
                    }
                    false => (request.revision_number, request.revision_height),
                };
                let state = self.consensus_state(&request.client_id, revision, height)?;
                let answer = client::QueryConsensusStateResponse {
                    consensus_state: Some(state),
                    proof: Vec::new(),
                    proof_height: self.at(),
                };
                Ok(answer.encode_to_vec())
            }
            _ => Err(Failure::unknown_request("unknown query path")),
        }
    }

    fn consensus_state(&self, id: &str, revision: u64, height: u64) -> Result<Any, Failure> {
        let key = format!("clients/{id}/consensusStates/{revision}-{height}");
        let bytes = self.store.get(IBC, key.as_bytes());
        let bytes = bytes.ok_or_else(|| {
            Failure::not_found(format!("client-id: {id}, height: {revision}-{height}: consensus state not found"))
        })?;
        Any::decode(bytes).map_err(Failure::invalid_request)
    }

    /// ICS-07: frozen, expired when its newest consensus state is older than the trusting period, or active.
    fn status(&self, id: &str) -> Result<&'static str, Failure> {
        let state = ClientState::try_from(self.client_state(id)?).map_err(Failure::invalid_request)?;
        if state.frozen_height.is_some() {
            return Ok("Frozen");
        }
        let latest = state.latest_height;
        let consensus = self.consensus_state(id, latest.revision_number(), latest.revision_height())?;
        let consensus = ibc_client_tendermint::types::ConsensusState::try_from(consensus);
        let since = consensus.map_err(Failure::invalid_request)?.timestamp;
        let now = self.app.chain.host.time;
        let expired = now.duration_since(since).is_ok_and(|passed| passed >= state.trusting_period);
        Ok(if expired { "Expired" } else { "Active" })
    }

    fn connection(&self, method: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
        match method {
            "Connection" => {
                let request: connection::QueryConnectionRequest = read(data)?;
                let id = request.connection_id;
                let bytes = self.store.get(IBC, format!("connections/{id}").as_bytes());
                let bytes = bytes.ok_or_else(|| Failure::not_found(format!("{id}: connection not found")))?;
                let connection = Some(ConnectionEnd::decode(bytes).map_err(Failure::invalid_request)?);
                let proof_height = self.at();
                Ok(connection::QueryConnectionResponse { connection, proof: Vec::new(), proof_height }.encode_to_vec())
            }
            "Connections" => {
                let request: connection::QueryConnectionsRequest = read(data)?;
                let (items, pagination) = self.page(IBC, b"connections/", request.pagination, |_| true);
                let connections = items.iter().filter_map(|(key, value)| {
                    let end = ConnectionEnd::decode(value.as_slice()).ok()?;
                    Some(IdentifiedConnection {
                        id: String::from_utf8_lossy(key).into_owned(),
                        client_id: end.client_id,
                        versions: end.versions,
                        state: end.state,
                        counterparty: end.counterparty,
                        delay_period: end.delay_period,
                    })
                });
                let connections = connections.collect();
                let height = self.at();
                Ok(connection::QueryConnectionsResponse { connections, pagination, height }.encode_to_vec())
            }
            _ => Err(Failure::unknown_request("unknown query path")),
        }
    }

    fn end(&self, port: &str, id: &str) -> Result<&[u8], Failure> {
        let bytes = self.store.get(IBC, format!("channelEnds/ports/{port}/channels/{id}").as_bytes());
        bytes.ok_or_else(|| Failure::not_found(format!("port-id: {port}, channel-id {id}: channel not found")))
    }

    fn channels(&self, asked: Option<PageRequest>, on: Option<&str>) -> (Vec<IdentifiedChannel>, Option<PageResponse>) {
        let (items, pagination) = self.page(IBC, b"channelEnds/ports/", asked, |_| true);
        let channels = items.iter().filter_map(|(key, value)| {
            let key = String::from_utf8_lossy(key);
            let (port_id, channel_id) = key.split_once("/channels/")?;
            let end = Channel::decode(value.as_slice()).ok()?;
            Some(IdentifiedChannel {
                state: end.state,
                ordering: end.ordering,
                counterparty: end.counterparty,
                connection_hops: end.connection_hops,
                version: end.version,
                port_id: port_id.to_owned(),
                channel_id: channel_id.to_owned(),
                upgrade_sequence: end.upgrade_sequence,
            })
        });
        let on_it =
            |channel: &IdentifiedChannel| on.is_none_or(|on| channel.connection_hops.iter().any(|hop| hop == on));
        (channels.filter(on_it).collect(), pagination)
    }

    fn packets(
        &self,
        kind: &str,
        port: &str,
        id: &str,
        asked: Option<PageRequest>,
    ) -> (Vec<PacketState>, Option<PageResponse>) {
        let prefix = format!("{kind}/ports/{port}/channels/{id}/sequences/");
        let (items, pagination) = self.page(IBC, prefix.as_bytes(), asked, |_| true);
        let packet = |(key, data): (Vec<u8>, Vec<u8>)| {
            let sequence = std::str::from_utf8(&key).ok()?.parse().ok()?;
            Some(PacketState { port_id: port.to_owned(), channel_id: id.to_owned(), sequence, data })
        };
        (items.into_iter().filter_map(packet).collect(), pagination)
    }

    fn has(&self, kind: &str, port: &str, id: &str, sequence: u64) -> bool {
        let key = format!("{kind}/ports/{port}/channels/{id}/sequences/{sequence}");
        self.store.get(IBC, key.as_bytes()).is_some()
    }

    fn channel(&self, method: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
        let height = self.at();
        Ok(match method {
            "Channel" => {
                let request: channel::QueryChannelRequest = read(data)?;
                let end = self.end(&request.port_id, &request.channel_id)?;
                let channel = Some(Channel::decode(end).map_err(Failure::invalid_request)?);
                channel::QueryChannelResponse { channel, proof: Vec::new(), proof_height: height }.encode_to_vec()
            }
            "Channels" => {
                let request: channel::QueryChannelsRequest = read(data)?;
                let (channels, pagination) = self.channels(request.pagination, None);
                channel::QueryChannelsResponse { channels, pagination, height }.encode_to_vec()
            }
            "ConnectionChannels" => {
                let request: channel::QueryConnectionChannelsRequest = read(data)?;
                let (channels, pagination) = self.channels(request.pagination, Some(&request.connection));
                channel::QueryConnectionChannelsResponse { channels, pagination, height }.encode_to_vec()
            }
            "ChannelClientState" => {
                let request: channel::QueryChannelClientStateRequest = read(data)?;
                let end = ChannelEnd::decode_vec(self.end(&request.port_id, &request.channel_id)?);
                let end = end.map_err(Failure::invalid_request)?;
                let hop = end.connection_hops().first().map(ToString::to_string).unwrap_or_default();
                let bytes = self.store.get(IBC, format!("connections/{hop}").as_bytes());
                let bytes = bytes.ok_or_else(|| Failure::not_found(format!("{hop}: connection not found")))?;
                let client_id = ConnectionEnd::decode(bytes).map_err(Failure::invalid_request)?.client_id;
                let client_state = Some(self.client_state(&client_id)?);
                let identified_client_state = Some(IdentifiedClientState { client_id, client_state });
                let answer = channel::QueryChannelClientStateResponse {
                    identified_client_state,
                    proof: Vec::new(),
                    proof_height: height,
                };
                answer.encode_to_vec()
            }
            "PacketCommitments" => {
                let request: channel::QueryPacketCommitmentsRequest = read(data)?;
                let (port, id) = (&request.port_id, &request.channel_id);
                let (commitments, pagination) = self.packets("commitments", port, id, request.pagination);
                channel::QueryPacketCommitmentsResponse { commitments, pagination, height }.encode_to_vec()
            }
            "PacketAcknowledgements" => {
                let request: channel::QueryPacketAcknowledgementsRequest = read(data)?;
                let (port, id) = (&request.port_id, &request.channel_id);
                let (acknowledgements, pagination) = match request.packet_commitment_sequences.as_slice() {
                    [] => self.packets("acks", port, id, request.pagination),
                    wanted => {
                        let ack = |sequence: &u64| {
                            let key = format!("acks/ports/{port}/channels/{id}/sequences/{sequence}");
                            let data = self.store.get(IBC, key.as_bytes())?.to_vec();
                            let (port_id, channel_id) = (port.clone(), id.clone());
                            Some(PacketState { port_id, channel_id, sequence: *sequence, data })
                        };
                        (wanted.iter().filter_map(ack).collect(), None)
                    }
                };
                channel::QueryPacketAcknowledgementsResponse { acknowledgements, pagination, height }.encode_to_vec()
            }
            "UnreceivedPackets" => {
                let request: channel::QueryUnreceivedPacketsRequest = read(data)?;
                let (port, id) = (&request.port_id, &request.channel_id);
                self.end(port, id)?;
                let asked = request.packet_commitment_sequences.iter().copied();
                let sequences = asked.filter(|sequence| !self.has("receipts", port, id, *sequence)).collect();
                channel::QueryUnreceivedPacketsResponse { sequences, height }.encode_to_vec()
            }
            "UnreceivedAcks" => {
                let request: channel::QueryUnreceivedAcksRequest = read(data)?;
                let (port, id) = (&request.port_id, &request.channel_id);
                self.end(port, id)?;
                let asked = request.packet_ack_sequences.iter().copied();
                let sequences = asked.filter(|sequence| self.has("commitments", port, id, *sequence)).collect();
                channel::QueryUnreceivedAcksResponse { sequences, height }.encode_to_vec()
            }
            _ => return Err(Failure::unknown_request("unknown query path")),
        })
    }
}
