//! The limiter's figures: its benchmark, its examples and those of its tests that measure, each of which prints its own lines.

use std::env;
use std::path::PathBuf;

use crate::Progress;
use crate::command::figures;
use crate::failure::Failure;

/// What is run, and what for. The shared store needs redis-server.
const COMMANDS: [(&str, &str); 4] = [
    ("decisions, beside another limiter and the clock", "cargo bench --locked --package limiter --bench decide"),
    ("what is admitted, what a key costs", "cargo run --locked --release --package limiter --example exactness"),
    ("the shared store, rules", "cargo run --locked --release --package limiter --example store_figures"),
    (
        "a million schedules of a breaker, a provider that throttles",
        "cargo test --locked --package limiter-core --test breaker --test pacing -- --nocapture",
    ),
];

pub(crate) async fn run(progress: Progress) -> Result<(), Failure> {
    for (what, command) in COMMANDS {
        progress.line(what);
        figures(command, progress).await?;
    }
    // A workspace of its own, so that what it brings along stays out of ours. It is another project's: without it the rest stands.
    progress.line("decisions of sentinel-core");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let target = target.join("sentinel").display().to_string();
    let manifest = "tests/benches/sentinel/Cargo.toml";
    let command = format!("cargo run --locked --release --manifest-path {manifest} --target-dir {target}");
    if let Err(failure) = figures(&command, progress).await {
        progress.line(&format!("sentinel-core is not measured: {failure}"));
    }
    Ok(())
}
