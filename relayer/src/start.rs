//! `relayer start`: every configured chain and path, brought up side by side and drained on SIGTERM.
//!
//! Each chain has one follower and one lane, each path its own engine; all are named tasks with an owner and a way to stop. A chain that
//! is away delays only the paths that use it, and joins when it is back. A task that panics ends the program with its reason.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use light_clients::{TendermintClient, Verifier};
use miette::Diagnostic;
use relayer_chains::cosmos::CosmosChain;
use relayer_config::settings::{self, Settings};
use relayer_core::chain::Chain;
use relayer_core::engine::{ChannelPair, Policy};
use relayer_core::filter::Filter;
use relayer_core::id::{ChainId, Sequence};
use relayer_core::packet::{PortChannel, Side};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::follow::Follower;
use crate::lane::{self, LaneHandle};
use crate::open::Opener;
use crate::program::Program;
use crate::path::{Command, EndIds, Path, PathSpec, Shared};

/// Why nothing can be relayed at all.
#[derive(Debug, Error, Diagnostic)]
pub enum StartError {
    /// No path with ids.
    #[error("no path can be relayed: {0}")]
    #[diagnostic(help("run `relayer path create <name>` first; `relayer path list` shows what is missing"))]
    NoPath(String),
    /// A task of the relayer itself died.
    #[error("task `{task}` ended unexpectedly: {why}")]
    Died {
        /// Its name.
        task: String,
        /// The panic's text.
        why: String,
    },
}

/// A running relayer.
pub struct Relayer {
    /// Paths by name.
    pub paths: Vec<Arc<Path>>,
    /// Followers by chain.
    pub followers: BTreeMap<ChainId, Arc<Follower>>,
    /// Adapters by chain, for status.
    pub chains: BTreeMap<ChainId, Arc<CosmosChain>>,
    /// Ways to ask paths for something.
    pub commands: Vec<mpsc::Sender<Command>>,
    tasks: JoinSet<&'static str>,
    lanes: JoinSet<&'static str>,
    stop: CancellationToken,
    stop_lanes: CancellationToken,
}

/// Why a path of the configuration is left out.
fn spec(path: &settings::Path, clear_on_start: bool, refresh: (u64, u64)) -> Result<PathSpec, String> {
    let end = |end: &settings::End| match (&end.client, &end.connection) {
        (Some(client), Some(connection)) => Ok(EndIds { client: client.clone(), connection: connection.clone() }),
        _ => Err(format!("path `{}` has no client or connection on `{}` yet", path.name, end.chain)),
    };
    let mut channels = Vec::new();
    for channel in &path.channels {
        let end = |e: &settings::ChannelEnd| match &e.channel {
            Some(channel) => Ok(PortChannel { port: e.port.clone(), channel: channel.clone() }),
            None => Err(format!("path `{}` has a channel on port `{}` without an id yet", path.name, e.port)),
        };
        if channel.order == settings::Order::Ordered {
            return Err(format!("path `{}`: ordered channels are not relayed by this version", path.name));
        }
        channels.push(ChannelPair { a: end(&channel.a)?, b: end(&channel.b)? });
    }
    if channels.is_empty() {
        return Err(format!("path `{}` has no channel", path.name));
    }
    let filter = |direction: &settings::Filter, excluded: &dyn Fn(&settings::Channel) -> (PortChannel, Vec<u64>)| Filter {
        allow: direction.allow.iter().map(ToString::to_string).collect(),
        deny: direction.deny.iter().map(ToString::to_string).collect(),
        max_memo_bytes: path.max_memo_bytes,
        max_receiver_bytes: path.max_receiver_bytes,
        excluded: path
            .channels
            .iter()
            .filter(|c| c.a.channel.is_some() && c.b.channel.is_some())
            .map(excluded)
            .flat_map(|(end, sequences)| sequences.into_iter().map(move |s| (end.clone(), Sequence(s))))
            .collect(),
    };
    let end_of = |e: &settings::ChannelEnd| {
        e.channel.clone().map(|channel| PortChannel { port: e.port.clone(), channel })
    };
    let none = |e: Option<PortChannel>, pairs: &[ChannelPair]| e.unwrap_or_else(|| pairs[0].a.clone());
    let from_a = |c: &settings::Channel| (none(end_of(&c.a), &channels), c.excluded.a_to_b.iter().copied().collect());
    let from_b = |c: &settings::Channel| (none(end_of(&c.b), &channels), c.excluded.b_to_a.iter().copied().collect());
    let policy = Policy {
        batch_messages: path.batch.messages,
        batch_bytes: path.batch.bytes,
        linger_ns: u64::try_from(path.batch.linger.as_nanos()).unwrap_or(u64::MAX),
        refresh,
        filters: [filter(&path.filter.a_to_b, &from_a), filter(&path.filter.b_to_a, &from_b)],
        ..Policy::default()
    };
    Ok(PathSpec {
        name: path.name.as_str().into(),
        ends: [end(&path.a)?, end(&path.b)?],
        policy,
        clear_on_start: path.clear.on_start || clear_on_start,
        clear_interval: path.clear.interval,
        channels,
    })
}

impl Relayer {
    /// Brings up every enabled path with ids (or only `only`) and the chains they use.
    pub async fn start(
        settings: &Settings,
        opener: &Opener,
        program: &Program,
        only: Option<&str>,
    ) -> Result<Self, miette::Report> {
        let stop = CancellationToken::new();
        let mut relayer = Self {
            paths: Vec::new(),
            followers: BTreeMap::new(),
            chains: BTreeMap::new(),
            commands: Vec::new(),
            tasks: JoinSet::new(),
            lanes: JoinSet::new(),
            stop: stop.clone(),
            stop_lanes: CancellationToken::new(),
        };
        let mut handles: BTreeMap<ChainId, LaneHandle> = BTreeMap::new();
        let mut left_out = Vec::new();
        for path in settings.paths.iter().filter(|p| only.is_none_or(|name| p.name.as_str() == name)) {
            if !path.enabled && only.is_none() {
                tracing::info!(path = %path.name, "path is not enabled");
                continue;
            }
            // The share of a trusting period is a property of the tracked chain; the stricter of the two serves both.
            let refresh = [&path.a, &path.b]
                .iter()
                .filter_map(|e| settings.chain(&e.chain))
                .map(|c| (c.client.refresh_fraction.numerator, c.client.refresh_fraction.denominator))
                .min_by(|(an, ad), (bn, bd)| (u128::from(*an) * u128::from(*bd)).cmp(&(u128::from(*bn) * u128::from(*ad))))
                .unwrap_or((1, 3));
            let spec = match spec(path, only.is_some(), refresh) {
                Ok(spec) => spec,
                Err(why) => {
                    tracing::warn!(path = %path.name, "left out: {why}");
                    left_out.push(why);
                    continue;
                }
            };
            for id in [&path.a.chain, &path.b.chain] {
                if !relayer.chains.contains_key(id) {
                    let chain = opener.open(settings, id).await?;
                    let follower = Follower::new(chain.clone());
                    relayer.tasks.spawn(named("follower", follower.clone().run(stop.clone())));
                    let (task, requests, handle) =
                        lane::lane(follower.clone(), program.journal.clone(), program.metrics.clone());
                    relayer.lanes.spawn(named("lane", task.run(requests, relayer.stop_lanes.clone())));
                    handles.insert(id.clone(), handle);
                    relayer.followers.insert(id.clone(), follower);
                    relayer.chains.insert(id.clone(), chain);
                }
            }
            let pick = |side: Side| match side {
                Side::A => &path.a.chain,
                Side::B => &path.b.chain,
            };
            let verifier = || -> Arc<dyn Verifier> { Arc::new(TendermintClient::default()) };
            let shared = Shared {
                followers: Side::BOTH.map(|s| relayer.followers[pick(s)].clone()),
                lanes: Side::BOTH.map(|s| handles[pick(s)].clone()),
                verifiers: [verifier(), verifier()],
                pool: program.pool.clone(),
                journal: program.journal.clone(),
                metrics: program.metrics.clone(),
                tracer: program.tracer.clone(),
            };
            let path = Path::new(spec, shared);
            let (command, commands) = mpsc::channel(8);
            relayer.tasks.spawn(named("path", path.clone().run(commands, stop.clone())));
            relayer.paths.push(path);
            relayer.commands.push(command);
        }
        if relayer.paths.is_empty() {
            return Err(StartError::NoPath(if left_out.is_empty() {
                "none is configured and enabled".to_owned()
            } else {
                left_out.join("; ")
            })
            .into());
        }
        Ok(relayer)
    }

    /// Waits until a task dies; a healthy relayer never returns from here.
    pub async fn died(&mut self) -> StartError {
        let ended = tokio::select! {
            Some(ended) = self.tasks.join_next() => ended,
            Some(ended) = self.lanes.join_next() => ended,
            else => return StartError::Died { task: "all".to_owned(), why: "nothing is left to do".to_owned() },
        };
        match ended {
            Ok(task) => StartError::Died { task: task.to_owned(), why: "it returned".to_owned() },
            Err(error) => StartError::Died { task: "a task".to_owned(), why: error.to_string() },
        }
    }

    /// Stops planning at once, waits for transactions in flight, all within `within`. Gives the chains' trusted state to the journal.
    pub async fn stop(mut self, program: &Program, within: Duration) {
        let until = Instant::now() + within;
        // Paths first: no new work. Lanes still need the followers to see their transactions in blocks.
        self.stop_lanes.cancel();
        let drained = tokio::time::timeout_at(until, async { while self.lanes.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!("transactions still in flight: their outcomes are found at the next start");
        }
        self.stop.cancel();
        let grace = Duration::from_millis(1_500);
        if tokio::time::timeout(grace, async { while self.tasks.join_next().await.is_some() {} }).await.is_err() {
            self.tasks.shutdown().await;
        }
        self.save_trust(program).await;
    }

    /// Writes what the light clients trust, so that the next start continues there.
    pub async fn save_trust(&self, program: &Program) {
        for (id, chain) in &self.chains {
            if let Some(state) = chain.export_trust()
                && let Err(error) = program.journal.set_trust(id, state).await
            {
                tracing::warn!(chain = %id, "trusted header not recorded: {error}");
            }
        }
    }

    /// A follower's chain by side of a path.
    pub fn chain_of(&self, path: &Path, side: Side) -> Arc<dyn Chain> {
        path.chain(side).clone()
    }
}

async fn named(name: &'static str, work: impl Future<Output = ()>) -> &'static str {
    work.await;
    name
}
