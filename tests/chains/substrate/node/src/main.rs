//! One validator of the test chain: aura makes a block in each slot, GRANDPA finalizes, and the usual RPC serves on loopback.
//!
//! The chain's rules are a wasm file of their own (`--runtime`), which the first start writes into the genesis state. All validators of a
//! chain are given the same `--runtime`, `--peers` and `--weights`, and each its own `--index`. Keys come from public seeds
//! ([`keys`]): a chain for tests only. SIGTERM and SIGINT end it cleanly; a later start with the same `--data` goes on where it was.

// Substrate's own errors are, and a node starts once.
#![allow(clippy::result_large_err)]

mod args;
mod error;
mod genesis;
mod keys;
mod rpc;
mod service;
mod settings;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sc_service::TaskManager;
use sc_tracing::logging::LoggerBuilder;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Args;
use crate::error::NodeError;

/// What still runs so long after the end was asked for is left behind; the database is closed by then.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("test-node: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), NodeError> {
    let mut logger = LoggerBuilder::new(args.log.clone());
    logger.with_colors(false);
    logger.init().map_err(|e| NodeError::Settings(format!("log: {e}")))?;
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(NodeError::Io)?;
    let tasks = {
        let _inside = runtime.enter();
        let config = settings::configuration(args, runtime.handle().clone())?;
        service::start(config, settings::executor(args), &keys::seed(args.index))?
    };
    until_the_end(runtime, tasks)
}

/// Waits for a signal or the failure of an essential task, then ends all tasks.
fn until_the_end(runtime: Runtime, mut tasks: TaskManager) -> Result<(), NodeError> {
    let end = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(NodeError::Io)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(NodeError::Io)?;
        tokio::select! {
            failed = tasks.future() => failed.map_err(NodeError::Service),
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    });
    drop(tasks);
    runtime.shutdown_timeout(STOP_TIMEOUT);
    end
}
