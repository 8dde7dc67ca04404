//! `relayer query`: what a chain says, read and not proven.

use std::sync::Arc;

use clap::{Args, Subcommand};
use ibc_proto::ibc::core::channel::v1::State as ChannelState;
use ibc_proto::ibc::core::connection::v1::State as ConnectionState;
use relayer_chains::AnyChain;
use relayer_core::chain::{Chain, Path as StorePath, Pending};
use relayer_core::error::{ChainError, ChainErrorKind, Detail};
use relayer_core::handshake::{ChannelEnd, ConnectionEnd};
use relayer_core::id::{ChannelId, ClientId, ConnectionId, PortId, Sequence};
use relayer_core::packet::PortChannel;
use serde_json::{Value, json};

use super::error::CliError;
use super::inspect::{self, find_chain};
use super::packets::ranges;
use super::table::{nanos, table};
use super::{Common, Done, Failure};
use crate::open::Opener;

/// Ask a chain. No key is needed, nothing is paid.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer query head sim-a-1\n  relayer query channel sim-a-1 channel-0 --json")]
pub struct QueryArgs {
    /// What.
    #[command(subcommand)]
    pub command: QueryCommand,
}

/// Below `relayer query`.
#[derive(Debug, Subcommand)]
pub enum QueryCommand {
    /// The newest block, and what node tells it.
    #[command(after_help = "Example:\n  relayer query head sim-a-1")]
    Head {
        /// The chain.
        chain: String,
    },
    /// What an address owns; the configured wallet's without one.
    #[command(after_help = "Example:\n  relayer query balance sim-a-1 cosmos1...")]
    Balance {
        /// The chain.
        chain: String,
        /// The address.
        address: Option<String>,
        /// Only this denomination.
        #[arg(long)]
        denom: Option<String>,
    },
    /// A client: what it tracks, its heights, its state.
    #[command(after_help = "Example:\n  relayer query client sim-a-1 07-tendermint-0")]
    Client {
        /// The chain it stands on.
        chain: String,
        /// The client.
        client: ClientId,
    },
    /// A connection end.
    #[command(after_help = "Example:\n  relayer query connection sim-a-1 connection-0")]
    Connection {
        /// The chain.
        chain: String,
        /// The connection.
        connection: ConnectionId,
    },
    /// All connection ends.
    #[command(after_help = "Example:\n  relayer query connections sim-a-1")]
    Connections {
        /// The chain.
        chain: String,
    },
    /// A channel end.
    #[command(after_help = "Example:\n  relayer query channel sim-a-1 channel-0")]
    Channel {
        /// The chain.
        chain: String,
        /// The channel.
        channel: ChannelId,
        /// Its port.
        #[arg(long, default_value = "transfer")]
        port: PortId,
    },
    /// All channel ends, or those of one connection.
    #[command(after_help = "Example:\n  relayer query channels sim-a-1 --connection connection-0")]
    Channels {
        /// The chain.
        chain: String,
        /// Only those over this connection.
        #[arg(long)]
        connection: Option<ConnectionId>,
    },
    /// Sequences with a packet commitment on a channel end: sent, neither acknowledged nor timed out.
    #[command(after_help = "Example:\n  relayer query commitments sim-a-1 channel-0")]
    Commitments {
        /// The chain.
        chain: String,
        /// The channel.
        channel: ChannelId,
        /// Its port.
        #[arg(long, default_value = "transfer")]
        port: PortId,
    },
    /// Of some sequences, those that a channel end has not received.
    #[command(after_help = "Example:\n  relayer query unreceived sim-b-1 channel-0 --sequences 1,2,3")]
    Unreceived {
        /// The receiving chain.
        chain: String,
        /// The channel there.
        channel: ChannelId,
        /// Its port.
        #[arg(long, default_value = "transfer")]
        port: PortId,
        /// The sequences.
        #[arg(long, value_delimiter = ',', required = true, value_name = "N,N,...")]
        sequences: Vec<u64>,
    },
    /// Of some sequences, those for which a channel end has written an acknowledgement.
    #[command(after_help = "Example:\n  relayer query acknowledged sim-b-1 channel-0 --sequences 1,2,3")]
    Acknowledged {
        /// The receiving chain.
        chain: String,
        /// The channel there.
        channel: ChannelId,
        /// Its port.
        #[arg(long, default_value = "transfer")]
        port: PortId,
        /// The sequences.
        #[arg(long, value_delimiter = ',', required = true, value_name = "N,N,...")]
        sequences: Vec<u64>,
    },
}

fn sequences(numbers: Vec<u64>) -> Vec<Sequence> {
    numbers.into_iter().map(Sequence).collect()
}

fn absent(chain: &AnyChain, what: &str) -> CliError {
    CliError::Chain(ChainError::new(chain.id(), ChainErrorKind::NotFound, what))
}

async fn open(common: &Common, id: &str) -> Result<Arc<AnyChain>, Failure> {
    let settings = common.settings()?;
    let chain = find_chain(&settings, &common.config, id)?;
    Ok(Opener::plain().open_without_key(&settings, &chain.id).await?)
}

impl QueryArgs {
    pub(super) async fn run(self, common: &Common) -> Done {
        use QueryCommand as Q;
        match self.command {
            Q::Head { chain } => head(common, &*open(common, &chain).await?).await,
            Q::Balance { chain, address, denom } => balance(common, &chain, address, denom).await,
            Q::Client { chain, client: id } => client(common, &*open(common, &chain).await?, &id).await,
            Q::Connection { chain, connection: id } => connection(common, &*open(common, &chain).await?, &id).await,
            Q::Connections { chain } => connections(common, &*open(common, &chain).await?).await,
            Q::Channel { chain, channel: id, port } => {
                channel(common, &*open(common, &chain).await?, PortChannel { port, channel: id }).await
            }
            Q::Channels { chain, connection } => channels(common, &*open(common, &chain).await?, connection).await,
            Q::Commitments { chain, channel, port } => {
                pending(common, &chain, Pending::Commitments(PortChannel { port, channel })).await
            }
            Q::Unreceived { chain, channel, port, sequences: of } => {
                pending(common, &chain, Pending::Unreceived(PortChannel { port, channel }, sequences(of))).await
            }
            Q::Acknowledged { chain, channel, port, sequences: of } => {
                pending(common, &chain, Pending::Acknowledged(PortChannel { port, channel }, sequences(of))).await
            }
        }
    }
}

async fn head(common: &Common, chain: &AnyChain) -> Done {
    let status = chain.node_status().await.map_err(CliError::Chain)?;
    let head = chain.head().await.map_err(CliError::Chain)?;
    let value = json!({
        "chain": chain.id(), "height": head.height.number, "revision": head.height.revision, "time_ns": head.time.0,
        "earliest": status.earliest, "node": status.endpoint, "version": status.software,
    });
    common.say(&value, || {
        format!(
            "{}: height {}{}, {} at {}",
            chain.id(),
            head.height.number,
            status.earliest.map_or_else(String::new, |oldest| format!(" (oldest kept {oldest})")),
            status.software,
            status.endpoint
        )
    })
}

async fn balance(common: &Common, id: &str, address: Option<String>, denom: Option<String>) -> Done {
    let (chain, address) = match address {
        Some(address) => (open(common, id).await?, address),
        None => {
            let settings = common.settings()?;
            let chain = find_chain(&settings, &common.config, id)?;
            let opened = Opener::plain().open(&settings, &chain.id).await?;
            let address = opened.signer().to_owned();
            (opened, address)
        }
    };
    let coins = match denom {
        Some(denom) => {
            let amount = chain.balance_of(&address, &denom).await.map_err(CliError::Chain)?;
            vec![(denom, amount)]
        }
        None => chain.balances(&address).await.map_err(CliError::Chain)?,
    };
    let entries: Vec<Value> =
        coins.iter().map(|(denom, amount)| json!({ "denom": denom, "amount": amount.to_string() })).collect();
    common.say(&json!({ "chain": chain.id(), "address": address, "balances": entries }), || {
        let lines: Vec<String> =
            coins.iter().map(|(denom, amount)| format!("{amount}{}", Detail::new(denom))).collect();
        if lines.is_empty() { "nothing".to_owned() } else { lines.join("\n") }
    })
}

async fn client(common: &Common, chain: &AnyChain, id: &ClientId) -> Done {
    let head = chain.head().await.map_err(CliError::Chain)?;
    let state = chain.client_state(id).await.map_err(CliError::Chain)?;
    let kind = Detail::new(&state.type_url).to_string();
    let status = chain.client_status(id).await.map_err(CliError::Chain)?;
    let heights = chain.consensus_heights(id).await.map_err(CliError::Chain)?;
    let seen = inspect::any_newest(chain, id, state).await.map_err(CliError::Chain)?;
    let left = seen.expires_in_ns(head.time);
    let status = status.unwrap_or_else(|| seen.status(head.time).to_owned());
    let value = json!({
        "chain": chain.id(), "client": id, "type": kind, "status": status, "tracks": seen.info.chain,
        "latest": seen.info.latest.to_string(), "trusting_period_s": seen.info.trusting_period_ns / 1_000_000_000,
        "expires_in_s": left / 1_000_000_000,
        "consensus_heights": heights.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    common.say(&value, || {
        format!(
            "{id} on {}: {status}\n  type              {kind}\n  tracks            {}\n  latest height     {}\n  \
             trusting period   {}\n  expires in        {}\n  consensus states  {}",
            chain.id(),
            seen.info.chain,
            seen.info.latest,
            nanos(seen.info.trusting_period_ns),
            if left == 0 { "-".to_owned() } else { nanos(left) },
            heights.len()
        )
    })
}

async fn stored(chain: &AnyChain, path: StorePath) -> Result<Vec<u8>, CliError> {
    let what = path.to_string();
    let found = chain.query(&[path], None, false).await?.pop().and_then(|p| p.value);
    found.ok_or_else(|| absent(chain, &what))
}

async fn connection(common: &Common, chain: &AnyChain, id: &ConnectionId) -> Done {
    let bytes = stored(chain, StorePath::Connection(id.clone())).await?;
    let state = |why: &str| CliError::State { chain: chain.id().clone(), what: why.to_owned() };
    let end = ConnectionEnd::decode(&bytes).map_err(state)?;
    let other = end.counterparty.as_ref().map(ToString::to_string);
    let versions: Vec<String> = end.versions.iter().map(|v| Detail::new(&v.identifier).to_string()).collect();
    let value = json!({
        "chain": chain.id(), "connection": id, "state": end.state.to_string(), "client": end.client,
        "counterparty": { "connection": other, "client": end.counterparty_client }, "versions": versions, "delay_ns": end.delay_ns,
    });
    common.say(&value, || {
        format!(
            "{id} on {}: {}\n  client        {}\n  counterparty  {} over {}",
            chain.id(),
            end.state,
            end.client,
            other.clone().unwrap_or_else(|| "-".to_owned()),
            end.counterparty_client
        )
    })
}

async fn connections(common: &Common, chain: &AnyChain) -> Done {
    let all = chain.connections().await.map_err(CliError::Chain)?;
    let safe = |text: &str| Detail::new(text).to_string();
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|c| {
            let state = ConnectionState::try_from(c.state).map_or("?", |s| s.as_str_name());
            let other = c.counterparty.clone().unwrap_or_default();
            let state = state.trim_start_matches("STATE_").to_owned();
            vec![c.id.clone(), state, safe(&c.client_id), safe(&other.connection_id), safe(&other.client_id)]
        })
        .collect();
    let names = ["connection", "state", "client", "counterparty_connection", "counterparty_client"];
    let head = ["CONNECTION", "STATE", "CLIENT", "COUNTERPARTY", "ITS CLIENT"];
    list(common, chain, "connections", &names, &head, &rows)
}

async fn channel(common: &Common, chain: &AnyChain, id: PortChannel) -> Done {
    let bytes = stored(chain, StorePath::Channel(id.port.clone(), id.channel.clone())).await?;
    let state = |why: &str| CliError::State { chain: chain.id().clone(), what: why.to_owned() };
    let end = ChannelEnd::decode(&bytes).map_err(state)?;
    let other = end.counterparty.as_ref().map(ToString::to_string);
    let version = Detail::new(&end.version).to_string();
    let value = json!({
        "chain": chain.id(), "port": id.port, "channel": id.channel, "state": end.state.to_string(), "order": end.order,
        "connection": end.connection, "counterparty": { "port": end.counterparty_port, "channel": other }, "version": version,
    });
    common.say(&value, || {
        format!(
            "{id} on {}: {}\n  order         {:?}\n  connection    {}\n  counterparty  {}/{}\n  version       {version}",
            chain.id(),
            end.state,
            end.order,
            end.connection,
            end.counterparty_port,
            other.clone().unwrap_or_else(|| "-".to_owned()),
        )
    })
}

async fn channels(common: &Common, chain: &AnyChain, connection: Option<ConnectionId>) -> Done {
    let all = chain.channels(connection.as_ref()).await.map_err(CliError::Chain)?;
    let safe = |text: &str| Detail::new(text).to_string();
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|c| {
            let state = ChannelState::try_from(c.state).map_or("?", |s| s.as_str_name());
            let other = c.counterparty.clone().unwrap_or_default();
            let hop = c.connection_hops.first().map(String::as_str).unwrap_or_default();
            let ours = format!("{}/{}", safe(&c.port_id), safe(&c.channel_id));
            let theirs = format!("{}/{}", safe(&other.port_id), safe(&other.channel_id));
            vec![ours, state.trim_start_matches("STATE_").to_owned(), safe(hop), theirs, safe(&c.version)]
        })
        .collect();
    let names = ["channel", "state", "connection", "counterparty", "version"];
    list(common, chain, "channels", &names, &["CHANNEL", "STATE", "CONNECTION", "COUNTERPARTY", "VERSION"], &rows)
}

fn list(common: &Common, chain: &AnyChain, what: &str, names: &[&str], head: &[&str], rows: &[Vec<String>]) -> Done {
    let entry = |row: &Vec<String>| -> Value {
        names
            .iter()
            .zip(row)
            .map(|(name, cell)| ((*name).to_owned(), Value::from(cell.as_str())))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let entries: Vec<Value> = rows.iter().map(entry).collect();
    common.say(&json!({ "chain": chain.id(), what: entries }), || table(head, rows))
}

async fn pending(common: &Common, id: &str, what: Pending) -> Done {
    let chain = open(common, id).await?;
    let (end, name) = match &what {
        Pending::Commitments(end) => (end, "commitments"),
        Pending::Unreceived(end, _) => (end, "unreceived"),
        Pending::Acknowledged(end, _) => (end, "acknowledged"),
    };
    let found = chain.pending(&what).await.map_err(CliError::Chain)?;
    let value = json!({ "chain": chain.id(), "port": end.port, "channel": end.channel, name: found });
    common.say(&value, || ranges(&found))
}
