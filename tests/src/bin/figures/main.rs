//! `tests/figures`: what the relayer costs and how fast it is, measured, beside what it should reach.
//!
//! Standard output carries one line of JSON a figure ([`figure::Figure`]), standard error the progress. A group of figures
//! is one module with a `run`; a new one is a module, a name in [`Group`] and a line in [`measure`].
//!
//! A figure that misses its goal is no failure. Exit codes: 0 measured; 1 a run was broken (a packet lost or paid for
//! twice, a test that failed), with its reason; 2 wrong usage.

mod blocks;
mod command;
mod contract;
mod crash;
mod failure;
mod families;
mod figure;
mod limiter;
mod relay;
mod run;
mod verify;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};

use failure::Failure;
use relay::Part;
use verify::Family;

/// Measures the relayer. One JSON line a figure: {"figure","value","unit","goal","met"}.
#[derive(Debug, Parser)]
#[command(name = "tests/figures", max_term_width = 110)]
#[command(after_help = "Examples:\n  tests/figures all --json-only > figures.jsonl\n  \
                        tests/figures relay --part burst | jq -r '[.figure, .value, .unit, .goal, .met] | @tsv'\n\n\
                        \"met\" is null where there is no goal. A run in which chains and relayer use 90 % of the cores or more, with\n\
                        a share of the relayer of 15 % or less, says \"bound\":\"chains\" and counts as met.")]
struct Args {
    /// What to measure.
    #[arg(value_enum)]
    group: Group,
    /// Of `verify` only this family of chains.
    #[arg(value_enum)]
    family: Option<Family>,
    /// Of `relay` only these parts.
    #[arg(long, value_enum, value_name = "PART")]
    part: Vec<Part>,
    /// Bursts of 1,000 packets, each on fresh chains.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: u32,
    /// Kills of the crash scenario.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    kills: u32,
    /// No progress on standard error.
    #[arg(long)]
    json_only: bool,
}

/// A group of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Two real chains: handshake, latency, bursts, a backlog, idle cost.
    Relay,
    /// A Cosmos and a Substrate chain: latency both ways.
    Families,
    /// Headers, justifications and proofs beside their bare signatures and hashes.
    Verify,
    /// Gas of the 08-wasm contract on a real chain.
    Contract,
    /// The limiter: decisions, what is admitted, the shared store, rules.
    Limiter,
    /// `kill -9` at random instants.
    Crash,
    /// All of them.
    All,
}

/// Where progress goes.
#[derive(Clone, Copy, Debug)]
struct Progress {
    shown: bool,
}

impl Progress {
    fn line(self, text: &str) {
        if self.shown {
            eprintln!("{text}");
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if args.family.is_some() && args.group != Group::Verify {
        let text = "a family of chains is measured by `verify` only";
        Args::command().error(ErrorKind::ArgumentConflict, text).exit();
    }
    match measure(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("FAILED: {failure}\n        {}", failure.remedy());
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: &Args) -> Result<(), Failure> {
    let progress = Progress { shown: !args.json_only };
    let wanted = |group| args.group == group || args.group == Group::All;
    if wanted(Group::Verify) {
        verify::run(progress, args.family).await?;
    }
    if wanted(Group::Contract) {
        contract::run(progress).await?;
    }
    if wanted(Group::Limiter) {
        limiter::run(progress).await?;
    }
    if wanted(Group::Relay) {
        relay::run(&args.part, args.runs, progress).await?;
    }
    if wanted(Group::Families) {
        families::run(progress).await?;
    }
    if wanted(Group::Crash) {
        crash::run(args.kills, progress).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_parts_are_named_as_in_the_readme() {
        let args = |line: &[&str]| Args::try_parse_from([&["figures"], line].concat());
        for group in ["relay", "families", "verify", "contract", "limiter", "crash", "all"] {
            assert!(args(&[group, "--json-only"]).unwrap().json_only);
        }
        assert_eq!(args(&["relay", "--part", "idle", "--part", "burst"]).unwrap().part, [Part::Idle, Part::Burst]);
        assert_eq!(args(&["verify", "substrate"]).unwrap().family, Some(Family::Substrate));
        assert!(args(&["verify", "bitcoin"]).is_err());
        assert!(args(&[]).is_err() && args(&["all", "--runs", "0"]).is_err() && args(&["speed"]).is_err());
    }
}
