//! `kill -9` of the real relayer at random instants under load: the end-to-end test of that, with more kills.
//!
//! The test prints its figures itself, one JSON line each; they are passed on.

use std::process::Stdio;

use crate::Progress;
use crate::command::is_figure;
use crate::failure::Failure;

pub(crate) async fn run(kills: u32, progress: Progress) -> Result<(), Failure> {
    progress.line(&format!("{kills} times kill -9"));
    let command = "cargo test --workspace --locked --test e2e_crash -- --nocapture";
    let failed =
        |status: String| Failure::Command { command: format!("RELAYER_CRASH_KILLS={kills} {command}"), status };
    let mut words = command.split(' ');
    let mut cargo = tokio::process::Command::new(words.next().unwrap_or_default());
    cargo.args(words).env("RELAYER_CRASH_KILLS", kills.to_string());
    cargo.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    if !progress.shown {
        cargo.stderr(Stdio::null());
    }
    let child = cargo.spawn().map_err(|e| failed(e.to_string()))?;
    let output = child.wait_with_output().await.map_err(|e| failed(e.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        eprintln!("{said}");
        return Err(failed(output.status.to_string()));
    }
    let found: Vec<&str> = said.lines().filter(|line| is_figure(line)).collect();
    for line in &found {
        println!("{line}");
    }
    if found.is_empty() { Err(Failure::Silent { command: command.to_owned() }) } else { Ok(()) }
}
