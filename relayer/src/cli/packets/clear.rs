//! `relayer packets clear`: the relayer itself, on one path after the other, until the chains' states hold nothing open.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use relayer_chains::AnyChain;
use relayer_config::settings::{Path, Settings};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::pending::{Direction, chosen, open};
use crate::cli::error::CliError;
use crate::cli::progress::Progress;
use crate::cli::table::duration;
use crate::cli::{Common, Done, Failure};
use crate::journal::{Journal, JournalError};
use crate::open::Opener;
use crate::path::Path as Relayed;
use crate::program::Program;
use crate::start::Relayer;

/// Between two looks at the chains' state.
const LOOK: Duration = Duration::from_millis(700);

/// Relay what is open until nothing is, then end.
///
/// For the hand: a running relayer clears by itself at start and by `clear.interval_s`. Works on one path after the other. Exit code 1
/// when packets stay open and nothing happens to them for a while.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer packets clear --path a-b")]
pub struct Clear {
    /// Only this path.
    #[arg(long, value_name = "NAME")]
    pub path: Option<String>,
    /// Give up when nothing has happened for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub patience: u64,
}

/// What is looked at while a path is relayed.
struct Watched {
    a: Arc<AnyChain>,
    b: Arc<AnyChain>,
    path: Arc<Relayed>,
}

impl Watched {
    fn of(relayer: &Relayer, path: &Path) -> Result<Self, CliError> {
        let absent =
            || CliError::NoId { path: path.name.to_string(), what: "channel with ids on both chains".to_owned() };
        let chain = |id| relayer.chains.get(id).cloned().ok_or_else(absent);
        let relayed = relayer.paths.first().cloned().ok_or_else(absent)?;
        Ok(Self { a: chain(&path.a.chain)?, b: chain(&path.b.chain)?, path: relayed })
    }
}

impl Clear {
    pub(super) async fn run(self, common: &Common) -> Done {
        let settings = common.settings()?;
        let paths = chosen(&settings, common, self.path.as_deref())?;
        // Asked for by its own error first, so that a running relayer is told apart from other troubles of the store.
        match Journal::open(&settings.store.dir) {
            Ok(opened) => opened.journal.close().await,
            Err(JournalError::Locked { .. }) => return Err(CliError::Running { admin: settings.global.admin }.into()),
            Err(error) => return Err(miette::miette!("{error}").into()),
        }
        let program = Program::open(&settings)?;
        let mut cleared = Vec::new();
        let mut result = Ok(());
        for path in paths {
            match self.path(common, &settings, &program, path).await {
                Ok(value) => cleared.push(value),
                Err(failure) => {
                    result = Err(failure);
                    break;
                }
            }
        }
        program.close().await;
        result?;
        common.say(&json!({ "paths": cleared }), || {
            let line = |v: &Value| {
                format!("path {}: {} packets cleared, nothing is open", v["path"].as_str().unwrap_or(""), v["cleared"])
            };
            cleared.iter().map(line).collect::<Vec<_>>().join("\n")
        })
    }

    async fn path(
        &self,
        common: &Common,
        settings: &Settings,
        program: &Program,
        path: &Path,
    ) -> Result<Value, Failure> {
        let began = Instant::now();
        let bar = Progress::bar(common, 0, format!("{}: reading the chains' state", path.name));
        let opener = Opener::new(program.journal.clone(), program.metrics.clone(), program.pool.clone());
        let mut relayer = Relayer::start(settings, &opener, program, Some(path.name.as_str())).await?;
        let watched = Watched::of(&relayer, path);
        let watched = tokio::select! {
            died = relayer.died() => Err(Failure::from(died)),
            interrupted = tokio::signal::ctrl_c() => {
                let what = if interrupted.is_ok() { "interrupted" } else { "no signals" };
                Err(Failure { report: miette::miette!("{what}: what is in flight is finished, the rest stays open"), code: 1 })
            }
            done = async { self.watch(&bar, path, watched?).await } => done.map_err(Failure::from),
        };
        relayer.stop(program, settings.global.shutdown_timeout).await;
        let cleared = watched?;
        drop(bar);
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(json!({ "path": path.name.as_str(), "cleared": cleared, "open": 0, "ms": ms }))
    }

    /// Until nothing is open; how many packets that were.
    async fn watch(&self, bar: &Progress, path: &Path, on: Watched) -> Result<usize, CliError> {
        let (mut most, mut last, mut changed) = (0, None, Instant::now());
        loop {
            // A chain that is away now may be back in a moment: patience covers that, too.
            let looked = open(path, on.a.as_ref(), on.b.as_ref()).await;
            let trouble = match &looked {
                Ok(_) => on.path.status().trouble,
                Err(error) => Some(error.to_string()),
            };
            if let Ok(directions) = looked {
                let left: usize = directions.iter().map(Direction::open).sum();
                if left == 0 {
                    return Ok(most);
                }
                // Packets may come in meanwhile.
                most = most.max(left);
                bar.at(most.saturating_sub(left) as u64, most as u64);
                if last.as_ref() != Some(&directions) {
                    changed = Instant::now();
                    last = Some(directions);
                }
            }
            let idle = changed.elapsed();
            bar.doing(match &trouble {
                Some(why) => format!("{}: {why}", path.name),
                None => format!("{}: relaying", path.name),
            });
            if idle.as_secs() >= self.patience {
                let left = last.map_or(0, |d| d.iter().map(Direction::open).sum());
                tracing::debug!(idle = duration(idle), "giving up");
                return Err(CliError::Stuck {
                    path: path.name.to_string(),
                    open: left,
                    seconds: idle.as_secs(),
                    trouble,
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
