//! `relayer packets`

mod clear;
mod pending;

use clap::{Args, Subcommand};

use super::{Common, Done};

pub(super) use pending::ranges;

/// Look at open packets and relay them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer packets pending --path a-b")]
pub struct PacketsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PacketsCommand,
}

/// Below `relayer packets`.
#[derive(Debug, Subcommand)]
pub enum PacketsCommand {
    /// Show packets that are neither acknowledged nor timed out.
    Pending(pending::Pending),
    /// Relay what is open until nothing is, then end.
    Clear(clear::Clear),
}

impl PacketsArgs {
    pub(super) async fn run(self, common: &Common) -> Done {
        match self.command {
            PacketsCommand::Pending(pending) => pending.run(common).await,
            PacketsCommand::Clear(clear) => clear.run(common).await,
        }
    }
}
