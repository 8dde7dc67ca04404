//! `cargo run --release --bin demo`: the whole on two embedded chains, with nothing but this program; see [`relayer_tests::show`].
//!
//! The relayer is the real one, in a process of its own: this program called by the name `relayer`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use relayer_tests::devnet::embedded::EmbeddedNet;
use relayer_tests::show::{self, Options, Program};

/// Two embedded chains, a path between them, and transfers relayed both ways: needs nothing else.
#[derive(Debug, Parser)]
#[command(name = "demo", max_term_width = 110)]
#[command(after_help = "Examples:\n  cargo run --release --bin demo\n  \
                        cargo run --release --bin demo -- --packets 1000 --json | jq .packets_per_second\n  \
                        cargo run --release --bin demo -- --faults\n\n\
                        tests/testnet does the same on two real chains, and needs Go.")]
struct Args {
    /// Transfers to send each way, 1 to 5000; bursts of 100 a transaction.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    packets: u32,
    /// The nodes misbehave in turn: 429, forged headers, proofs and events, a silent WebSocket, lost transactions, a halted chain, ...
    #[arg(long)]
    faults: bool,
    /// End with one line of JSON on standard output; everything else goes to standard error.
    #[arg(long)]
    json: bool,
    /// Keep chains and relayer running after the packets, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Leave the folder with configuration and logs behind.
    #[arg(long)]
    keep_files: bool,
    /// Seconds in which all packets must be acknowledged; by default 120 and two more for every 5 packets.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

fn main() -> ExitCode {
    let called = std::env::args_os().next();
    if called.is_some_and(|name| Path::new(&name).file_name().is_some_and(|name| name == "relayer")) {
        return relayer::cli::main();
    }
    let args = Args::parse();
    let options = Options {
        name: "demo",
        chains: "embedded, four validators each",
        relayer: Program::Within,
        packets: args.packets,
        json: args.json,
        keep: args.keep,
        keep_files: args.keep_files,
        faults: args.faults,
        timeout: args.timeout.map(Duration::from_secs),
    };
    show::run(&options, EmbeddedNet::two_chains())
}
