//! `relayer start`

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use miette::IntoDiagnostic;
use relayer_config::settings::LogFormat;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Common, Done, Failure};
use crate::admin::{AdminServer, Sources};
use crate::keys;
use crate::open::Opener;
use crate::program::Program;
use crate::start::Relayer;
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
            return Err(Failure { report: miette::miette!("no path is named `{name}` in {}", common.config.display()), code: 2 });
        }
        let format = match settings.global.log_format {
            LogFormat::Human => Format::Human,
            LogFormat::Json => Format::Json,
        };
        telemetry::log::init(format, settings.global.log_level.as_str()).into_diagnostic()?;
        let program = Program::open(&settings)?;
        let mut terminate = signal(SignalKind::terminate()).into_diagnostic()?;
        let opener = Opener::new(program.journal.clone(), program.metrics.clone(), program.pool.clone());
        let mut relayer = Relayer::start(&settings, &opener, &program, self.path.as_deref()).await?;
        let token = match &settings.global.admin_token_env {
            Some(variable) => Some(keys::from_env(variable.as_str()).into_diagnostic()?),
            None => None,
        };
        let (snapshots, snapshot) = watch::channel(Arc::default());
        let metrics = program.metrics.clone();
        let sources = Sources { snapshot, metrics: Box::new(move || metrics.encode()) };
        let admin = AdminServer::start(settings.global.admin, token, sources).await.into_diagnostic()?;
        let gatherer = Gatherer::new(&program, &relayer, &settings);
        let gathering = tokio::spawn(gatherer.run(snapshots));
        tracing::info!(paths = relayer.paths.len(), chains = relayer.chains.len(), admin = %admin.address(), "relaying");
        let mut save = tokio::time::interval(Duration::from_secs(60));
        let died = loop {
            tokio::select! {
                died = relayer.died() => break Some(died),
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
        relayer.stop(&program, settings.global.shutdown_timeout).await;
        admin.close().await;
        gathering.abort();
        program.close().await;
        match died {
            None => Ok(()),
            Some(error) => Err(error.into()),
        }
    }
}

