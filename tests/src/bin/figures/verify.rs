//! The light clients beside what they can't do without, from criterion's records of one run.
//!
//! A work and its bare signatures (or hashes) are measured one after the other; what else the machine does meanwhile
//! falls on either. So the least disturbed sample of each is compared, and not their means.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;

use crate::Progress;
use crate::failure::Failure;
use crate::figure::{Figure, Goal};

/// A work: criterion's group and function, the bare function of the same group, how many times that it may take.
const WORKS: [(&str, &str, &str, f64); 7] = [
    ("header_100", "adjacent_from_bytes", "signatures_67", 1.15),
    ("header_100", "skipping_from_bytes", "signatures_67", 1.15),
    ("header_100", "skipping_decoded", "signatures_67", 1.15),
    ("header_150", "adjacent_from_bytes", "signatures_101", 1.15),
    ("header_150", "skipping_from_bytes", "signatures_101", 1.15),
    ("header_150", "skipping_decoded", "signatures_101", 1.15),
    ("ics23_depth_20", "membership", "hashes", 1.2),
];

/// Criterion's samples: the time of so many iterations, ns.
#[derive(Deserialize)]
struct Samples {
    iters: Vec<f64>,
    times: Vec<f64>,
}

pub(crate) async fn run(progress: Progress) -> Result<(), Failure> {
    progress.line("criterion: headers and proofs beside their signatures and hashes");
    let command = "cargo bench --locked --package light-clients --bench verify";
    let mut words = command.split(' ');
    let mut cargo = tokio::process::Command::new(words.next().unwrap_or_default());
    cargo.args(words).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    if !progress.shown {
        cargo.stderr(Stdio::null());
    }
    let failed = |status: String| Failure::Command { command: command.to_owned(), status };
    let status = cargo.status().await.map_err(|e| failed(e.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let folder = folder.join("criterion");
    for (group, work, bare, most) in WORKS {
        let (took, least) = (least_us(&folder, group, work)?, least_us(&folder, group, bare)?);
        let name = format!("{group}_{work}");
        let time = Figure::new(&name, took, "us");
        // "Far below 12 ms": what another light client takes for a header.
        if group.starts_with("header") { time.goal(Goal::AtMost(12_000.0)) } else { time }.print();
        let times = if group.starts_with("header") { "times its signatures" } else { "times its hashes" };
        Figure::new(format!("{name}_ratio"), took / least, times).goal(Goal::AtMost(most)).print();
    }
    Ok(())
}

/// The time of one iteration in the least disturbed sample, us.
fn least_us(folder: &Path, group: &str, function: &str) -> Result<f64, Failure> {
    let file = folder.join(group).join(function).join("new/sample.json");
    let wrong = |reason: String| Failure::Unreadable { file: file.display().to_string(), reason };
    let text = std::fs::read_to_string(&file).map_err(|e| wrong(e.to_string()))?;
    let samples: Samples = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    least(&samples).map(|ns| ns / 1_000.0).ok_or_else(|| wrong("no sample".to_owned()))
}

fn least(samples: &Samples) -> Option<f64> {
    samples.times.iter().zip(&samples.iters).map(|(time, iters)| time / iters).min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_disturbed_sample_counts() {
        let samples = |text: &str| serde_json::from_str::<Samples>(text).unwrap();
        let text = r#"{"sampling_mode":"Linear","iters":[10.0,20.0,30.0],"times":[1000.0,1800.0,9000.0]}"#;
        assert_eq!(least(&samples(text)), Some(90.0));
        assert_eq!(least(&samples(r#"{"iters":[],"times":[]}"#)), None);
    }
}
