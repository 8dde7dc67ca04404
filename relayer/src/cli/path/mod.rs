//! `relayer path`

mod attempts;
mod create;
mod list;

use clap::{Args, Subcommand};

use super::{Common, Done};

pub(super) use list::look;

/// Open paths and look at them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer path create a-b")]
pub struct PathArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PathCommand,
}

/// Below `relayer path`.
#[derive(Debug, Subcommand)]
pub enum PathCommand {
    /// Open a path's clients, connection and channels, and write their ids into the file.
    Create(create::Create),
    /// Show the configured paths, their ids and what is missing.
    List(list::List),
}

impl PathArgs {
    pub(super) async fn run(self, common: &Common) -> Done {
        match self.command {
            PathCommand::Create(create) => create.run(common).await,
            PathCommand::List(list) => list.run(common).await,
        }
    }
}
