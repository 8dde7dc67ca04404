//! `relayer start`: every configured chain and path, brought up side by side and drained on SIGTERM.
//!
//! Each chain has one follower and one lane, each path its own engine; all are named tasks with an owner and a way to stop. A chain that
//! is away delays only the paths that use it, and joins when it is back. A task that panics ends the program with its reason.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use miette::Diagnostic;
use relayer_chains::AnyChain;
use relayer_config::settings::Settings;
use relayer_core::id::ChainId;
use relayer_core::packet::Side;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::follow::Follower;
use crate::lane::{self, LaneHandle};
use crate::open::Opener;
use crate::path::{Command, Path, Shared};
use crate::program::Program;
use crate::spec;

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
    pub chains: BTreeMap<ChainId, Arc<AnyChain>>,
    /// Ways to ask paths for something.
    pub commands: Vec<mpsc::Sender<Command>>,
    tasks: JoinSet<&'static str>,
    lanes: JoinSet<&'static str>,
    stop: CancellationToken,
    stop_lanes: CancellationToken,
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
            let mut spec = match spec::of(settings, path) {
                Ok(spec) => spec,
                Err(why) => {
                    tracing::warn!(path = %path.name, "left out: {why}");
                    left_out.push(why.to_string());
                    continue;
                }
            };
            spec.clear_on_start |= only.is_some();
            for id in [&path.a.chain, &path.b.chain] {
                if !relayer.chains.contains_key(id) {
                    let chain = opener.open(settings, id).await?;
                    let follower = Follower::new(chain.clone(), program.metrics.clone());
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
            let verifier = |side| relayer.chains[pick(side)].verifier();
            let shared = Shared {
                followers: Side::BOTH.map(|s| relayer.followers[pick(s)].clone()),
                lanes: Side::BOTH.map(|s| handles[pick(s)].clone()),
                verifiers: Side::BOTH.map(verifier),
                pool: program.pool.clone(),
                journal: program.journal.clone(),
                metrics: program.metrics.clone(),
                tracer: program.tracer.clone(),
            };
            for pair in &spec.channels {
                for side in Side::BOTH {
                    program.metrics.allow_channel(pick(side).as_str(), pair.end(side));
                }
            }
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
            // Paths wait for outcomes as long as there is a lane to tell them.
            self.lanes.shutdown().await;
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
}

async fn named(name: &'static str, work: impl Future<Output = ()>) -> &'static str {
    work.await;
    name
}
