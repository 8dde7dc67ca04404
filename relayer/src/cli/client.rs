//! `relayer client`

use clap::{Args, Subcommand, ValueEnum};
use relayer_chains::AnyChain;
use relayer_config::settings::{Path, Settings};
use relayer_core::chain::Chain;
use relayer_core::id::{ClientId, Height};
use relayer_core::message::Message;
use relayer_core::packet::Side;
use serde_json::{Value, json};

use super::error::CliError;
use super::inspect::{self, ClientSeen, end, find_chain, find_path};
use super::progress::Progress;
use super::send::send;
use super::table::{nanos, table};
use super::{Common, Done, Failure};
use crate::open::Opener;
use crate::updates::ahead;

/// Look at clients and refresh them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer client list\n  relayer client update a-b --side a")]
pub struct ClientArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ClientCommand,
}

/// Below `relayer client`.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Show the clients of the configured paths, or all of a chain.
    List(List),
    /// Bring a path's clients to the newest header now.
    Update(Update),
}

/// Show the clients of the configured paths, or all of a chain.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer client list\n  relayer client list --all sim-a-1 --json")]
pub struct List {
    /// All clients on this chain, of whatever path.
    #[arg(long, value_name = "CHAIN")]
    pub all: Option<String>,
}

/// Bring a path's clients to the newest header now.
///
/// The header is verified by our own light client first.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer client update a-b\n  relayer client update a-b --side b")]
pub struct Update {
    /// The path's name in the file.
    pub path: String,
    /// Only the client on this end.
    #[arg(long, value_enum)]
    pub side: Option<End>,
}

/// An end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum End {
    /// The path's `a`.
    A,
    /// The path's `b`.
    B,
}

impl From<End> for Side {
    fn from(end: End) -> Self {
        match end {
            End::A => Self::A,
            End::B => Self::B,
        }
    }
}

impl ClientArgs {
    pub(super) async fn run(self, common: &Common) -> Done {
        match self.command {
            ClientCommand::List(list) => list.run(common).await,
            ClientCommand::Update(update) => update.run(common).await,
        }
    }
}

/// A client for the table.
struct Row {
    path: Option<String>,
    host: String,
    id: ClientId,
    seen: Result<(ClientSeen, u64, &'static str), String>,
}

impl Row {
    fn json(&self) -> Value {
        match &self.seen {
            Ok((client, expires, status)) => json!({
                "path": self.path, "chain": self.host, "client": self.id, "tracks": client.info.chain,
                "latest": client.info.latest.to_string(), "status": status,
                "expires_in_s": client.time.map(|_| expires / 1_000_000_000),
                "trusting_period_s": client.info.trusting_period_ns / 1_000_000_000,
            }),
            Err(why) => {
                json!({ "path": self.path, "chain": self.host, "client": self.id, "status": "unknown", "error": why })
            }
        }
    }

    fn text(&self) -> Vec<String> {
        let mut row = vec![self.path.clone().unwrap_or_else(|| "-".to_owned()), self.host.clone(), self.id.to_string()];
        row.extend(match &self.seen {
            Ok((client, expires, status)) => {
                let left = if *expires == 0 { "-".to_owned() } else { nanos(*expires) };
                [client.info.chain.to_string(), client.info.latest.to_string(), left, (*status).to_owned()]
            }
            Err(why) => ["-".to_owned(), "-".to_owned(), "-".to_owned(), why.clone()],
        });
        row
    }
}

impl List {
    async fn run(self, common: &Common) -> Done {
        let settings = common.settings()?;
        let bar = Progress::spinner(common, "asking the chains");
        let mut rows = Vec::new();
        match &self.all {
            Some(chain) => rows.extend(all(&settings, find_chain(&settings, &common.config, chain)?).await?),
            None => {
                for path in &settings.paths {
                    for side in Side::BOTH {
                        rows.extend(of_path(&settings, path, side).await?);
                    }
                }
            }
        }
        drop(bar);
        let values: Vec<Value> = rows.iter().map(Row::json).collect();
        common.say(&json!({ "clients": values }), || {
            let rows: Vec<Vec<String>> = rows.iter().map(Row::text).collect();
            table(&["PATH", "ON", "CLIENT", "TRACKS", "HEIGHT", "EXPIRES IN", "STATUS"], &rows)
        })
    }
}

/// The client on one end of a path, if it has an id.
async fn of_path(settings: &Settings, path: &Path, side: Side) -> Result<Option<Row>, Failure> {
    let Some(id) = end(path, side).client.clone() else { return Ok(None) };
    let opener = Opener::plain();
    let host = opener.open_without_key(settings, &end(path, side).chain).await?;
    let tracked = opener.open_without_key(settings, &end(path, side.other()).chain).await?;
    let seen = async {
        let head = host.head().await?;
        let client = inspect::client(host.as_ref(), tracked.as_ref(), &id).await?;
        Ok::<_, CliError>(client.map(|c| (c.expires_in_ns(head.time), c.status(head.time), c)))
    };
    let seen = match seen.await {
        Ok(Some((expires, status, client))) => Ok((client, expires, status)),
        Ok(None) => Err("does not exist".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    Ok(Some(Row { path: Some(path.name.to_string()), host: host.id().to_string(), id, seen }))
}

/// All clients of a chain that this program can decode.
async fn all(settings: &Settings, chain: &relayer_config::settings::Chain) -> Result<Vec<Row>, Failure> {
    let host = Opener::plain().open_without_key(settings, &chain.id).await?;
    let head = host.head().await.map_err(CliError::Chain)?;
    let mut rows = Vec::new();
    for (id, state) in host.clients().await.map_err(CliError::Chain)? {
        // The chain it tracks need not be configured.
        let seen = inspect::any_newest(host.as_ref(), &id, state.clone()).await;
        let seen = match seen {
            Ok(client) => Ok((client.clone(), client.expires_in_ns(head.time), client.status(head.time))),
            Err(_) if !state.type_url.starts_with("/ibc.lightclients.") => {
                Err(relayer_core::error::Detail::new(&state.type_url).to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        let pair = |path: &&Path| {
            Side::BOTH.iter().any(|s| {
                let end = end(path, *s);
                end.chain == chain.id && end.client.as_ref() == Some(&id)
            })
        };
        let path = settings.paths.iter().find(pair).map(|p| p.name.to_string());
        rows.push(Row { path, host: host.id().to_string(), id, seen });
    }
    Ok(rows)
}

impl Update {
    async fn run(self, common: &Common) -> Done {
        let settings = common.settings()?;
        let path = find_path(&settings, &common.config, &self.path)?;
        let sides = self.side.map_or_else(|| Side::BOTH.to_vec(), |side| vec![side.into()]);
        let mut updates = Vec::new();
        for side in sides {
            updates.push(update(common, &settings, path, side).await?);
        }
        common.say(&json!({ "updates": updates }), || {
            let line = |u: &Value| {
                let word = |key: &str| u[key].as_str().unwrap_or("-").to_owned();
                format!(
                    "{} on {}: {} -> {}, tx {}",
                    word("client"),
                    word("chain"),
                    word("from"),
                    word("to"),
                    word("hash")
                )
            };
            updates.iter().map(line).collect::<Vec<_>>().join("\n")
        })
    }
}

async fn update(common: &Common, settings: &Settings, path: &Path, side: Side) -> Result<Value, Failure> {
    let id = end(path, side).client.clone();
    let id = id.ok_or_else(|| CliError::NoId {
        path: path.name.to_string(),
        what: format!("client on {}", end(path, side).chain),
    })?;
    let opener = Opener::plain();
    let host = opener.open(settings, &end(path, side).chain).await?;
    let tracked = opener.open_without_key(settings, &end(path, side.other()).chain).await?;
    let bar = Progress::spinner(common, format!("verifying a header of {}", tracked.id()));
    let (from, to, messages) = headers(&host, &tracked, &id).await?;
    bar.doing(format!("updating {id} on {}", host.id()));
    let (mut batches, last) = ahead(messages, &[], host.max_tx_bytes());
    batches.push(last);
    let committed = send(&host, batches, "client update", &bar).await?;
    let hash = committed.last().map(|c| c.hash.to_string());
    let fee = committed.last().map(|c| c.fee.clone());
    let (from, to) = (from.to_string(), to.to_string());
    Ok(json!({ "chain": host.id(), "client": id, "from": from, "to": to, "hash": hash, "fee": fee }))
}

/// The messages that bring a client to the newest height of the chain it tracks, verified.
async fn headers(
    host: &AnyChain,
    tracked: &AnyChain,
    id: &ClientId,
) -> Result<(Height, Height, Vec<Message>), CliError> {
    let head = tracked.head().await?;
    let state = |what: String| CliError::State { chain: host.id().clone(), what };
    let client =
        inspect::client(host, tracked, id).await?.ok_or_else(|| state(format!("client `{id}` does not exist")))?;
    if client.info.chain != *tracked.id() {
        return Err(state(format!("client `{id}` tracks chain `{}`, not `{}`", client.info.chain, tracked.id())));
    }
    let now = host.head().await?.time;
    if client.info.frozen || client.expires_in_ns(now) == 0 {
        return Err(state(format!("client `{id}` is {}: only governance can recover it", client.status(now))));
    }
    let latest = client.info.latest;
    if let Some(newest) = &client.newest {
        tracked.anchor(latest, newest).await?;
    }
    let target = if head.height > latest { head.height } else { tracked.next_head(latest).await?.height };
    let update = tracked.client_message(&client.state, latest, target).await?;
    let message =
        |h: relayer_core::chain::UpdateHeader| Message::UpdateClient { client: id.clone(), message: h.message };
    Ok((latest, target, update.headers.into_iter().map(message).collect()))
}
