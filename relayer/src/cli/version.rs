//! `relayer version`

use clap::Args;
use serde_json::json;

use super::{Common, Done};

/// What this program is.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer version --json")]
pub struct Version {}

impl Version {
    pub(super) fn run(&self, common: &Common) -> Done {
        let version = env!("CARGO_PKG_VERSION");
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
        // What was compiled in; a program that drives the relayer can ask instead of guessing.
        let features = ["cosmos", "ics20", "otlp", "prometheus"];
        let value = json!({
            "version": version, "rust": env!("CARGO_PKG_RUST_VERSION"), "target": target, "profile": profile, "features": features,
        });
        common.say(&value, || format!("relayer {version} ({target}, {profile})"))
    }
}
