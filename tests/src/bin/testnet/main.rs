//! `tests/testnet`: the whole on two real chains; see [`relayer_tests::show`].

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use relayer_tests::devnet::Devnet;
use relayer_tests::show::{self, Options, Program};

/// Two real chains on this machine, a path between them, and transfers relayed both ways.
#[derive(Debug, Parser)]
#[command(name = "tests/testnet", max_term_width = 110)]
#[command(after_help = "Examples:\n  tests/testnet\n  tests/testnet --packets 500 --json | tail -n 1 | jq .p95_ms\n  \
                        tests/testnet --keep              # then play with the relayer in another terminal\n\n\
                        --release builds the relayer with optimisations (default: the dev profile, as the tests do).\n\
                        RELAYER_TEST_LOG=debug sets the level of the relayer's log; see it with --keep-files.")]
struct Args {
    /// Transfers to send each way, 1 to 5000; bursts of 100 a transaction.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    packets: u32,
    /// End with one line of JSON on standard output; everything else goes to standard error.
    #[arg(long)]
    json: bool,
    /// Keep chains and relayer running after the packets, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Leave the folder with configuration, logs and chain data behind.
    #[arg(long)]
    keep_files: bool,
    /// Seconds in which all packets must be acknowledged; by default 120 and two more for every 5 packets.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

impl Args {
    fn options(&self) -> Options {
        Options {
            name: "testnet",
            chains: "ibc-go v10, one validator each",
            relayer: Program::Built,
            packets: self.packets,
            json: self.json,
            keep: self.keep,
            keep_files: self.keep_files,
            faults: false,
            timeout: self.timeout.map(Duration::from_secs),
        }
    }
}

fn main() -> ExitCode {
    show::run(&Args::parse().options(), Devnet::two_chains())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_packets_and_more_than_a_page_are_refused() {
        let args = |line: &[&str]| Args::try_parse_from([&["testnet"], line].concat());
        assert_eq!(args(&[]).unwrap().options().packets, 10);
        assert_eq!(args(&["--timeout", "7"]).unwrap().options().timeout, Some(Duration::from_secs(7)));
        assert!(args(&["--packets", "0"]).is_err() && args(&["--packets", "5001"]).is_err());
    }
}
