//! The light clients beside what they can't do without, from criterion's records of one run.
//!
//! A work and its bare signatures (or hashes) are measured one after the other; what else the machine does meanwhile
//! falls on either. So the least disturbed sample of each is compared, and not their means.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use clap::ValueEnum;
use serde::Deserialize;

use crate::Progress;
use crate::failure::Failure;
use crate::figure::{Figure, Goal};

/// A family of chains whose light client is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Family {
    /// Headers of CometBFT, ICS-23 proofs.
    Tendermint,
    /// Justifications of GRANDPA, storage proofs.
    Substrate,
}

impl Family {
    /// The benchmark of `light-clients`.
    fn bench(self) -> &'static str {
        match self {
            Self::Tendermint => "verify",
            Self::Substrate => "grandpa",
        }
    }

    fn works(self) -> &'static [Work] {
        match self {
            Self::Tendermint => &TENDERMINT,
            Self::Substrate => &SUBSTRATE,
        }
    }
}

/// What is measured beside what it can't do without.
struct Work {
    /// Criterion's group.
    group: &'static str,
    work: &'static str,
    /// The bare function of the same group, and the unit of the ratio.
    bare: (&'static str, &'static str),
    /// How many times the bare function's time it may take.
    most: f64,
    /// And how long, ms.
    most_ms: Option<f64>,
}

const SIGNATURES: f64 = 1.15;
const HASHES: f64 = 1.2;

const fn signed(group: &'static str, work: &'static str, bare: &'static str, most_ms: Option<f64>) -> Work {
    Work { group, work, bare: (bare, "times its signatures"), most: SIGNATURES, most_ms }
}

const fn hashed(group: &'static str, work: &'static str) -> Work {
    Work { group, work, bare: ("hashes", "times its hashes"), most: HASHES, most_ms: None }
}

/// "Far below 12 ms": what another light client takes for a header.
const HEADER_MS: Option<f64> = Some(12.0);
/// What a sequential verifier of other make takes for 300 authorities.
const JUSTIFICATION_MS: Option<f64> = Some(18.0);

const TENDERMINT: [Work; 7] = [
    signed("header_100", "adjacent_from_bytes", "signatures_67", HEADER_MS),
    signed("header_100", "skipping_from_bytes", "signatures_67", HEADER_MS),
    signed("header_100", "skipping_decoded", "signatures_67", HEADER_MS),
    signed("header_150", "adjacent_from_bytes", "signatures_101", HEADER_MS),
    signed("header_150", "skipping_from_bytes", "signatures_101", HEADER_MS),
    signed("header_150", "skipping_decoded", "signatures_101", HEADER_MS),
    hashed("ics23_depth_20", "membership"),
];

const SUBSTRATE: [Work; 6] = [
    signed("grandpa_300", "justification_from_bytes", "signatures_201", JUSTIFICATION_MS),
    signed("grandpa_300", "update_of_10_blocks", "signatures_201", JUSTIFICATION_MS),
    signed("grandpa_1000", "justification_from_bytes", "signatures_667", None),
    signed("grandpa_1000", "update_of_10_blocks", "signatures_667", None),
    signed("polkadot_4635975", "justification_from_bytes", "signatures_199", JUSTIFICATION_MS),
    hashed("trie_100000", "read"),
];

/// Criterion's samples: the time of so many iterations, ns.
#[derive(Deserialize)]
struct Samples {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// Measures one family's light client, or each.
pub(crate) async fn run(progress: Progress, family: Option<Family>) -> Result<(), Failure> {
    for family in family.map_or_else(|| Family::value_variants().to_vec(), |family| vec![family]) {
        progress.line("criterion: headers and proofs beside their signatures and hashes");
        bench(progress, family.bench()).await?;
        let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
        let folder = folder.join("criterion");
        for work in family.works() {
            work.print(&folder)?;
        }
        if family == Family::Substrate {
            let (one, two) = (least_us(&folder, "threads", "one")?, least_us(&folder, "threads", "two")?);
            Figure::new("grandpa_300_two_threads", one / two, "times one thread").goal(Goal::AtLeast(1.8)).print();
        }
    }
    Ok(())
}

async fn bench(progress: Progress, name: &str) -> Result<(), Failure> {
    let command = format!("cargo bench --locked --package light-clients --bench {name}");
    let mut words = command.split(' ');
    let mut cargo = tokio::process::Command::new(words.next().unwrap_or_default());
    cargo.args(words).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    if !progress.shown {
        cargo.stderr(Stdio::null());
    }
    let failed = |status: String| Failure::Command { command: command.clone(), status };
    let status = cargo.status().await.map_err(|e| failed(e.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
}

impl Work {
    fn print(&self, folder: &Path) -> Result<(), Failure> {
        let (bare, unit) = self.bare;
        let (took, least) = (least_us(folder, self.group, self.work)?, least_us(folder, self.group, bare)?);
        let name = format!("{}_{}", self.group, self.work);
        let time = Figure::new(&name, took, "us");
        if let Some(most) = self.most_ms { time.goal(Goal::AtMost(most * 1_000.0)) } else { time }.print();
        let ratio = Figure::new(format!("{name}_ratio"), took / least, unit);
        ratio.goal(Goal::AtMost(self.most)).print();
        Ok(())
    }
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
