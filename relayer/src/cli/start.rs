//! `relayer start`

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use miette::IntoDiagnostic;
use relayer_config::settings::LogFormat;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{Common, Done, Failure};
use crate::admin::{AdminServer, Sources};
use crate::keys;
use crate::limits;
use crate::open::Opener;
use crate::program::Program;
use crate::rules::RunningRules;
use crate::shared::SharedLimits;
use crate::start::{Relayer, StartError};
use crate::status::Gatherer;
use crate::telemetry::{self, log::Format};

/// Relay all configured paths until stopped.
///
/// Runs degraded while a chain is down and joins it when it is back. SIGTERM and Ctrl-C drain what is in flight and end with exit
/// code 0 within `global.shutdown_timeout_ms`; a second one ends at once.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer start --config relayer.toml --log-level info")]
pub struct Start {
    /// Relay only this path.
    #[arg(long, value_name = "NAME")]
    pub path: Option<String>,
}

impl Start {
    pub(super) async fn run(self, common: &Common) -> Done {
        let settings = common.settings()?;
        if let Some(name) = &self.path
            && settings.path(name).is_none()
        {
            return Err(Failure {
                report: miette::miette!("no path is named `{name}` in {}", common.config.display()),
                code: 2,
            });
        }
        let format = match settings.global.log_format {
            LogFormat::Human => Format::Human,
            LogFormat::Json => Format::Json,
        };
        telemetry::log::init(format, settings.global.log_level.as_str()).into_diagnostic()?;
        let mut panics = telemetry::panic::watch();
        let program = Program::open(&settings)?;
        let mut terminate = signal(SignalKind::terminate()).into_diagnostic()?;
        let token = match &settings.global.admin_token_env {
            Some(variable) => Some(keys::from_env(variable.as_str()).into_diagnostic()?),
            None => None,
        };
        let (snapshots, snapshot) = watch::channel(Arc::default());
        let metrics = program.metrics.clone();
        let sources = Sources { snapshot, metrics: Box::new(move || metrics.encode()) };
        // Before anything is relayed: a port that is taken shows while nothing has been paid for.
        let admin = AdminServer::start(settings.global.admin, token, sources).await.into_diagnostic()?;
        let rules = RunningRules::start(&settings, program.metrics.clone())?;
        let opener = Opener::new(program.journal.clone(), program.metrics.clone(), program.pool.clone());
        let (shared, _sharing) = SharedLimits::start(&settings, &program.metrics)?;
        let opener = opener.with_rules(rules.gate.clone()).with_shared(shared);
        let mut relayer = Relayer::start(&settings, &opener, &program, self.path.as_deref()).await?;
        let gatherer = Gatherer::new(&program, &relayer, &settings);
        let gathering = tokio::spawn(gatherer.run(snapshots));
        tracing::info!(paths = relayer.paths.len(), chains = relayer.chains.len(), admin = %admin.address(), "relaying");
        let mut save = tokio::time::interval(Duration::from_secs(60));
        let died = loop {
            tokio::select! {
                died = relayer.died() => break Some(died),
                Ok(seen) = panics.wait_for(Option::is_some) => {
                    let (task, why) = seen.as_ref().map_or_else(Default::default, |p| (p.place.clone(), p.why.to_string()));
                    break Some(StartError::Died { task, why });
                }
                _ = terminate.recv() => break None,
                result = tokio::signal::ctrl_c() => { result.into_diagnostic()?; break None }
                _ = save.tick() => relayer.save_trust(&program).await,
            }
        };
        if died.is_none() {
            tracing::info!("stopping: waiting for what is in flight");
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            std::process::exit(130);
        });
        let closed_by = Instant::now() + settings.global.shutdown_timeout + limits::CLOSING;
        relayer.stop(&program, settings.global.shutdown_timeout).await;
        gathering.abort();
        let closing = async {
            admin.close().await;
            program.close().await;
        };
        if timeout_at(closed_by, closing).await.is_err() {
            tracing::warn!("not all could be closed in time; the journal holds what was committed");
        }
        match died {
            None => Ok(()),
            Some(error) => Err(error.into()),
        }
    }
}
