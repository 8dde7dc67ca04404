//! Commands that print figures themselves, one JSON line each, which are passed on.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::Progress;
use crate::failure::Failure;

/// Runs a command and passes its figures on, those of one that fails, too.
pub(crate) async fn figures(command: &str, progress: Progress) -> Result<(), Failure> {
    let failed = |status: String| Failure::Command { command: command.to_owned(), status };
    let mut words = command.split(' ');
    let mut cargo = Command::new(words.next().unwrap_or_default());
    cargo.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    if !progress.shown {
        cargo.stderr(Stdio::null());
    }
    let child = cargo.spawn().map_err(|e| failed(e.to_string()))?;
    let output = child.wait_with_output().await.map_err(|e| failed(e.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let found: Vec<&str> = said.lines().filter(|line| is_figure(line)).collect();
    for line in &found {
        println!("{line}");
    }
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    if found.is_empty() { Err(Failure::Silent { command: command.to_owned() }) } else { Ok(()) }
}

/// A line that is a JSON object; all else is what test programs say.
pub(crate) fn is_figure(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_are_figures() {
        assert!(is_figure(r#"{"figure":"crash_lost","value":0}"#));
        assert!(!is_figure("running 1 test") && !is_figure("5") && !is_figure(r#"{"figure":"#));
    }
}
