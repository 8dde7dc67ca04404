//! The command line: one file per command, all with `--json`.
//!
//! Standard output carries results only: text for people, or with `--json` one JSON value (for commands that end with a summary, the last
//! line). Logs, progress bars and errors go to standard error. Exit codes: 0 done; 1 failed; 2 wrong usage or configuration; 3 asked for
//! a state that is not there (`status`, `limits`, `health`: no relayer runs, or it is not healthy).

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use miette::{IntoDiagnostic, Report};
use relayer_config::settings::Settings;
use serde::Serialize;

use crate::limits::STACK_BYTES;
use crate::telemetry::{self, log::Format};

pub mod check;
pub mod client;
pub mod completions;
pub mod error;
pub mod init;
mod inspect;
pub mod keys;
pub mod limits;
pub mod packets;
pub mod path;
mod progress;
pub mod query;
mod send;
pub mod start;
pub mod status;
mod table;
#[cfg(test)]
mod tests;
pub mod transfer;
pub mod version;

/// An IBC relayer that verifies every header and proof before it pays, and paces every call.
#[derive(Debug, Parser)]
#[command(name = "relayer", version, propagate_version = true, max_term_width = 110)]
#[command(
    after_help = "Example:\n  relayer init --config relayer.toml\n  relayer path create my-path\n  relayer start"
)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Configuration file.
    #[arg(long, short, global = true, env = "RELAYER_CONFIG", default_value = "relayer.toml")]
    pub config: PathBuf,
    /// Write results as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Log level, like `info` or `relayer=debug,warn`; overrides the file.
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Write logs as JSON.
    #[arg(long, global = true)]
    pub log_json: bool,
    /// Admin address, like `127.0.0.1:3030`; overrides the file.
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub admin: Option<std::net::SocketAddr>,
    /// Folder of journal and keys; overrides the file.
    #[arg(long, global = true, value_name = "DIR")]
    pub store_dir: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a new configuration file.
    Init(init::Init),
    /// Check the configuration against the chains.
    Check(check::Check),
    /// Relay all configured paths until stopped.
    Start(start::Start),
    /// Show a running relayer.
    Status(status::Status),
    /// Say whether the running relayer works.
    Health(status::Health),
    /// Show what limits the running relayer's calls, by node: rates configured and learned, tokens, queue, breakers.
    ///
    /// RATE is the configured rate and, below 100 %, the share of it that the node's health and breaker leave. LEARNED is what the
    /// node's throttles taught; `-` while the configured rate alone binds. REFUSED counts what our own limits refused since the start.
    ///
    /// Below them the rules of the configuration, and of a set that is fed while it runs, as far as calls have met them.
    ///
    /// Exit code 3 when no relayer is running.
    Limits(limits::Limits),
    /// Open paths and look at them.
    Path(path::PathArgs),
    /// Keep the wallets' keys.
    Keys(keys::KeysArgs),
    /// Look at open packets and relay them.
    Packets(packets::PacketsArgs),
    /// Look at clients and refresh them.
    Client(client::ClientArgs),
    /// Send transactions of a user's own.
    Tx(transfer::TxArgs),
    /// Ask a chain.
    Query(query::QueryArgs),
    /// Write the completion script of a shell.
    Completions(completions::Completions),
    /// Say what this program is.
    Version(version::Version),
}

/// A command's failure with its exit code.
#[derive(Debug)]
pub struct Failure {
    /// What to say.
    pub report: Report,
    /// Exit code.
    pub code: u8,
}

impl<E: Into<Report>> From<E> for Failure {
    fn from(error: E) -> Self {
        let report = error.into();
        let code = report.downcast_ref::<error::CliError>().map_or(1, error::CliError::code);
        Self { report, code }
    }
}

/// A command's result.
pub type Done = Result<(), Failure>;

impl Common {
    /// The configuration: file, then environment, then flags. A failure is wrong usage.
    pub fn settings(&self) -> Result<Settings, Failure> {
        let overrides = relayer_config::Overrides {
            log_level: self.log_level.clone(),
            log_json: self.log_json,
            admin: self.admin,
            store_dir: self.store_dir.clone(),
        };
        relayer_config::load(&self.config, &overrides).map_err(|e| Failure { report: e.into(), code: 2 })
    }

    /// Writes one result: `value` with `--json`, `text` otherwise.
    pub fn say(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Done {
        use std::io::Write;
        let line = if self.json { serde_json::to_string(value).into_diagnostic()? } else { text() };
        let mut out = std::io::stdout().lock();
        // A closed pipe (`relayer ... | head`) is the reader's decision.
        match writeln!(out, "{line}") {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e).into_diagnostic()?,
            _ => Ok(()),
        }
    }
}

/// Runs a command and turns its result into an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.common.json;
    // It is the first hook, so it is taken.
    miette::set_hook(Box::new(|_| Box::new(handler()))).ok();
    // `start` reads its settings first; a command that does one thing shows warnings, or what it is asked for.
    if !matches!(cli.command, Command::Start(_)) {
        let format = if cli.common.log_json { Format::Json } else { Format::Human };
        if let Err(error) = telemetry::log::init(format, cli.common.log_level.as_deref().unwrap_or("warn")) {
            return fail(json, &Failure { report: miette::miette!("--log-level: {error}"), code: 2 });
        }
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return fail(json, &Failure { report: miette::miette!("no threads to run on: {error}"), code: 1 });
        }
    };
    let done = runtime.block_on(run(cli));
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(json, &failure),
    }
}

/// Lines as long as they are: broken ones would cut chain ids and addresses at their dashes.
fn handler() -> miette::MietteHandler {
    miette::MietteHandlerOpts::new().wrap_lines(false).build()
}

fn fail(json: bool, failure: &Failure) -> ExitCode {
    if json {
        let causes: Vec<String> = failure.report.chain().map(ToString::to_string).collect();
        let help = failure.report.help().map(|h| h.to_string());
        eprintln!("{}", serde_json::json!({ "error": causes.join(": "), "help": help, "code": failure.code }));
    } else {
        eprintln!("{:?}", failure.report);
    }
    ExitCode::from(failure.code)
}

async fn run(cli: Cli) -> Done {
    match cli.command {
        Command::Init(init) => init.run(&cli.common).await,
        Command::Check(check) => check.run(&cli.common).await,
        Command::Start(start) => start.run(&cli.common).await,
        Command::Status(status) => status.run(&cli.common).await,
        Command::Health(health) => health.run(&cli.common).await,
        Command::Limits(limits) => limits.run(&cli.common).await,
        Command::Path(path) => path.run(&cli.common).await,
        Command::Keys(keys) => keys.run(&cli.common).await,
        Command::Packets(packets) => packets.run(&cli.common).await,
        Command::Client(client) => client.run(&cli.common).await,
        Command::Tx(tx) => tx.run(&cli.common).await,
        Command::Query(query) => query.run(&cli.common).await,
        Command::Completions(completions) => completions.run(&cli.common),
        Command::Version(version) => version.run(&cli.common),
    }
}
