//! `relayer completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use super::{Cli, Common, Done};

/// Write the completion script of a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer completions bash > ~/.local/share/bash-completion/completions/relayer")]
pub struct Completions {
    /// Which shell.
    pub shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, common: &Common) -> Done {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "relayer", &mut script);
        let script = String::from_utf8_lossy(&script).into_owned();
        common.say(&json!({ "shell": self.shell.to_string(), "script": script }), || script.trim_end().to_owned())
    }
}
