//! `relayer path create`: the handshake with its hands in the configuration file.

use std::collections::BTreeMap;
use std::path::Path as File;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use relayer_chains::AnyChain;
use relayer_config::edit::{ChannelIds, EndIds, PathIds as FileIds, write_path_ids};
use relayer_config::settings::{self, Settings};
use relayer_core::chain::Chain;
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::handshake::{Known, Pair, Wanted, WantedChannel, What};
use relayer_core::id::ChainId;
use relayer_core::packet::Side;
use serde_json::json;

use super::attempts::Attempts;
use crate::cli::error::CliError;
use crate::cli::inspect::{channel_end, end, find_path, order};
use crate::cli::progress::Progress as Bar;
use crate::cli::table::duration;
use crate::cli::{Common, Done, Failure};
use crate::handshake::{self, Links, PathIds, Progress};
use crate::open::Opener;

/// Open a path's clients, connection and channels, and write their ids into the file.
///
/// Each header and proof is verified by our own light client before a transaction is signed. Running it again finishes what is left
/// and changes nothing when all is open. Comments in the file are kept.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer path create a-b\n  relayer path create a-b --json | jq -r .channels[0].a")]
pub struct Create {
    /// The path's name in the file.
    pub name: String,
}

/// What the run did, for its last line.
#[derive(Default)]
struct Tally {
    transactions: usize,
    fees: BTreeMap<String, u128>,
    unwritten: Option<String>,
}

impl Create {
    pub(super) async fn run(self, common: &Common) -> Done {
        let settings = common.settings()?;
        let path = find_path(&settings, &common.config, &self.name)?;
        let name = path.name.as_str();
        let mut attempts = Attempts::open(&settings.store.dir, name)?;
        let opener = Opener::plain();
        let a = opener.open(&settings, &path.a.chain).await?;
        let b = opener.open(&settings, &path.b.chain).await?;
        // After the passphrases: it would paint over their prompts.
        let bar = Bar::spinner(common, "asking both chains");
        for chain in [&a, &b] {
            chain.head().await.map_err(CliError::Chain)?;
            if !complete(path) {
                can_pay(&settings, chain).await?;
            }
        }
        let wanted = wanted(&settings, path);
        let verifiers = Pair::new(a.verifier(), b.verifier());
        let links = Links {
            chains: Pair::new(a as Arc<dyn Chain>, b as Arc<dyn Chain>),
            verifiers,
            cpu: Arc::new(|job| drop(tokio::task::spawn_blocking(job))),
        };
        let before = attempts.left().to_vec();
        let (began, mut tally, mut known) = (Instant::now(), Tally::default(), wanted.clone());
        let say = |progress: Progress| match progress {
            Progress::Known(id) => {
                known.adopt(&id);
                bar.line(format!("{}: {}", chain_of(&known, &id), named(&known, &id)));
                if let Err(error) = write_path_ids(&common.config, name, &file_ids(&known)) {
                    tally.unwritten = Some(format!("{error}; {}", error.remedy()));
                }
            }
            Progress::Attempt(attempt) => {
                bar.doing(format!("{}: {}", known.chains.at(attempt.on), words(&attempt.does)));
                attempts.begin(attempt);
            }
            Progress::Settled(hash) => attempts.settle(hash),
            Progress::Committed { on, does, hash, height, fee } => {
                tally.transactions += 1;
                let (amount, denom) = fee;
                let chain = known.chains.at(on);
                bar.line(format!("{chain}: {} in block {height}, fee {amount}{denom}, tx {hash}", words(&does)));
                let paid = tally.fees.entry(denom).or_default();
                *paid = paid.saturating_add(amount);
            }
            Progress::Again { failure, after } => {
                bar.line(format!("again in {}: {failure}", duration(after)));
            }
            Progress::Done => bar.doing("done"),
        };
        let done = handshake::create(&links, wanted, &before, say).await;
        drop(bar);
        if let Some(trouble) = attempts.trouble() {
            tracing::warn!("{trouble}");
        }
        let ids = match done {
            Ok(ids) => ids,
            Err(failure) => return Err(tell(&links, failure).into()),
        };
        if tally.unwritten.is_some() {
            write(common, name, &known, &tally)?;
        }
        report(common, name, &ids, &tally, began)
    }
}

/// Every id is in the file already: nothing will have to be paid for, most likely.
fn complete(path: &settings::Path) -> bool {
    let channels = path.channels.iter().all(|c| c.a.channel.is_some() && c.b.channel.is_some());
    channels && Side::BOTH.iter().all(|s| end(path, *s).client.is_some() && end(path, *s).connection.is_some())
}

/// Fails before the first transaction when a wallet is empty: otherwise a client would stand on one chain only.
async fn can_pay(settings: &Settings, chain: &AnyChain) -> Result<(), CliError> {
    let (balance, denom) = chain.balance().await?;
    let empty = || CliError::EmptyWallet { chain: chain.id().clone(), signer: chain.signer().to_owned(), denom };
    let gas = settings.chain(chain.id()).and_then(|chain| chain.cosmos()).map(|cosmos| &cosmos.gas);
    let free = gas.is_some_and(|gas| gas.price.numerator == 0 || gas.fee_granter.is_some());
    match chain.account_sequence().await {
        Ok(_) if balance == 0 && !free => Err(empty()),
        Ok(_) => Ok(()),
        // There is no account before its first coin.
        Err(ChainError { kind: ChainErrorKind::Setup(_), .. }) if balance == 0 => Err(empty()),
        Err(error) => Err(error.into()),
    }
}

fn wanted(settings: &Settings, path: &settings::Path) -> Wanted {
    let prefix = |id: &ChainId| {
        settings.chain(id).map_or_else(|| b"ibc".to_vec(), |c| c.store_prefix.as_str().as_bytes().to_vec())
    };
    let chains = Pair::new(path.a.chain.clone(), path.b.chain.clone());
    let prefixes = Pair::new(prefix(&chains.a), prefix(&chains.b));
    let channels = path.channels.iter().map(|channel| {
        let of = |side| channel_end(channel, side);
        WantedChannel {
            ports: Pair::new(of(Side::A).port.clone(), of(Side::B).port.clone()),
            ids: Pair::new(of(Side::A).channel.clone(), of(Side::B).channel.clone()),
            order: order(channel.order),
            version: channel.version.clone(),
        }
    });
    Wanted {
        clients: Pair::new(path.a.client.clone(), path.b.client.clone()),
        connections: Pair::new(path.a.connection.clone(), path.b.connection.clone()),
        channels: channels.collect(),
        ..Wanted::new(chains, prefixes)
    }
}

fn file_ids(known: &Wanted) -> FileIds {
    let end = |side| EndIds { client: known.clients.at(side).clone(), connection: known.connections.at(side).clone() };
    let channels = known.channels.iter().map(|c| ChannelIds {
        a_port: c.ports.a.clone(),
        a: c.ids.a.clone(),
        b_port: c.ports.b.clone(),
        b: c.ids.b.clone(),
        order: match c.order {
            relayer_core::packet::Order::Unordered => settings::Order::Unordered,
            relayer_core::packet::Order::Ordered => settings::Order::Ordered,
        },
        version: c.version.clone(),
    });
    FileIds { a: end(Side::A), b: end(Side::B), channels: channels.collect() }
}

/// The last try to write the ids; what can't be written is shown.
fn write(common: &Common, name: &str, known: &Wanted, tally: &Tally) -> Result<(), CliError> {
    let Err(error) = write_path_ids(&common.config, name, &file_ids(known)) else { return Ok(()) };
    let mut ids = String::new();
    for side in Side::BOTH {
        let text = |id: Option<&str>| id.unwrap_or_default().to_owned();
        let client = text(known.clients.at(side).as_ref().map(|c| c.as_str()));
        let connection = text(known.connections.at(side).as_ref().map(|c| c.as_str()));
        let chain = known.chains.at(side);
        ids += &format!("{side} = {{ chain = {chain:?}, client = {client:?}, connection = {connection:?} }}\n");
    }
    for channel in &known.channels {
        for end in Side::BOTH.map(|side| channel.end(side)).into_iter().flatten() {
            ids += &format!("channel {} of port {}\n", end.channel, end.port);
        }
    }
    let why = tally.unwritten.clone().unwrap_or_else(|| error.to_string());
    Err(CliError::NotWritten { file: File::to_owned(&common.config), why, ids })
}

/// Names the wallet in a failure to pay.
fn tell(links: &Links, failure: handshake::HandshakeFailure) -> CliError {
    match failure {
        handshake::HandshakeFailure::Tx { chain, failure, .. } => {
            let side = if *links.chains.a.id() == chain { Side::A } else { Side::B };
            let signer = links.chains.at(side).signer().to_owned();
            CliError::Tx { chain, signer, does: "path create", failure }
        }
        other => CliError::Handshake(Box::new(other)),
    }
}

fn words(does: &[What]) -> String {
    let word = |what: &What| match what {
        What::CreateClient => "create client".to_owned(),
        What::Connection(phase) => format!("connection {phase:?}").to_lowercase(),
        What::Channel(index, phase) => format!("channel {} {phase:?}", index + 1).to_lowercase(),
    };
    does.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn chain_of<'a>(known: &'a Wanted, id: &Known) -> &'a ChainId {
    let (Known::Client(side, _) | Known::Connection(side, _) | Known::Channel(side, ..)) = id;
    known.chains.at(*side)
}

fn named(known: &Wanted, id: &Known) -> String {
    match id {
        Known::Client(side, id) => format!("client {id} of {}", known.chains.at(side.other())),
        Known::Connection(_, id) => format!("connection {id}"),
        Known::Channel(side, index, id) => {
            let port = known.channels.get(*index).map_or("", |c| c.ports.at(*side).as_str());
            format!("channel {id} of port {port}")
        }
    }
}

fn report(common: &Common, name: &str, ids: &PathIds, tally: &Tally, began: Instant) -> Result<(), Failure> {
    let value = json!({
        "path": name,
        "clients": ids.clients,
        "connections": ids.connections,
        "channels": ids.channels,
        "already_complete": tally.transactions == 0,
        "transactions": tally.transactions,
        // Amounts are larger than what every JSON reader keeps.
        "fees": tally.fees.iter().map(|(denom, amount)| (denom.clone(), amount.to_string())).collect::<BTreeMap<_, _>>(),
        "ms": u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    common.say(&value, || {
        let mut text = if tally.transactions == 0 {
            format!("path `{name}` is already complete; nothing was changed\n")
        } else {
            let fees: Vec<String> = tally.fees.iter().map(|(denom, amount)| format!("{amount}{denom}")).collect();
            format!(
                "path `{name}` is open after {}: {} transactions, fees {}\n",
                duration(began.elapsed()),
                tally.transactions,
                fees.join(", ")
            )
        };
        let pair = |what: &str, a: &str, b: &str| format!("  {what:<10}  {a}  <->  {b}\n");
        text += &pair("client", ids.clients.a.as_str(), ids.clients.b.as_str());
        text += &pair("connection", ids.connections.a.as_str(), ids.connections.b.as_str());
        for channel in &ids.channels {
            text += &pair("channel", channel.a.as_str(), channel.b.as_str());
        }
        text.trim_end().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        relayer_config::parse(include_str!("../../../../config/examples/minimal.toml"), "relayer.toml").unwrap()
    }

    #[test]
    fn what_is_wanted_is_what_the_file_says() {
        let settings = settings();
        let wanted = wanted(&settings, &settings.paths[0]);
        assert_eq!(wanted.chains.b.as_str(), "sim-b-1");
        assert_eq!(wanted.prefixes.a, b"ibc");
        assert_eq!(wanted.clients, Pair::default());
        assert_eq!(wanted.channels[0].ports.a.as_str(), "transfer");
        assert!(!complete(&settings.paths[0]));
    }

    #[test]
    fn an_id_lands_in_the_file_as_soon_as_it_is_known_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("relayer.toml");
        std::fs::write(&file, include_str!("../../../../config/examples/minimal.toml")).unwrap();
        let settings = settings();
        let mut known = wanted(&settings, &settings.paths[0]);
        known.adopt(&Known::Client(Side::B, "07-tendermint-4".parse().unwrap()));
        known.adopt(&Known::Client(Side::A, "07-tendermint-2".parse().unwrap()));
        known.adopt(&Known::Connection(Side::A, "connection-1".parse().unwrap()));
        known.adopt(&Known::Channel(Side::A, 0, "channel-3".parse().unwrap()));
        write_path_ids(&file, "a-b", &file_ids(&known)).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("# what addresses start with"));
        let read = relayer_config::parse(&text, "relayer.toml").unwrap();
        assert_eq!(wanted(&read, &read.paths[0]), known);
    }
}
