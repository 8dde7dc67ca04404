//! `tests/testnet`: two real chains, a path between them, the relayer, and transfers both ways until every one of them
//! is acknowledged.
//!
//! The numbers come from the chains: a packet's latency is the time from the block of its send to the block of its
//! receive (or of its acknowledgement), as the blocks themselves tell it. Standard output carries the story, or with
//! `--json` only one line at the end; the story is on standard error then.
//!
//! Exit codes: 0 all acknowledged; 1 a failure, with its reason and the end of the relayer's log; 2 wrong usage;
//! 130 stopped by Ctrl-C or SIGTERM before that. All that was started has ended when this program ends, whatever the reason.

mod demo;
mod failure;
mod latency;
mod report;
mod screen;
mod stage;
mod timeline;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use failure::Failure;
use report::Report;
use screen::Screen;
use stage::Stage;

/// Two real chains on this machine, a path between them, and transfers relayed both ways.
#[derive(Debug, Parser)]
#[command(name = "tests/testnet", max_term_width = 110)]
#[command(after_help = "Examples:\n  tests/testnet\n  tests/testnet --packets 500 --json | tail -n 1 | jq .p95_ms\n  \
                        tests/testnet --keep              # then play with the relayer in another terminal\n\n\
                        --release builds the relayer with optimisations (default: the dev profile, as the tests do).\n\
                        RELAYER_TEST_LOG=debug sets the level of the relayer's log; see it with --keep-files.")]
struct Args {
    /// Transfers to send each way, 1 to 5000; bursts of 100 a transaction.
    // One page of a chain's answer about open packets.
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
    /// Seconds in which all packets must be acknowledged; by default 120 and one more for every 5 packets.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

impl Args {
    fn packets(&self) -> usize {
        usize::try_from(self.packets).unwrap_or(usize::MAX)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.unwrap_or(120 + u64::from(self.packets) * 2 / 5))
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no threads to run on: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run(&args));
    // What was cut short by Ctrl-C may still be writing a chain's folder, which goes away with the result.
    runtime.shutdown_timeout(Duration::from_secs(5));
    code
}

async fn run(args: &Args) -> ExitCode {
    let screen = Screen::new(args.json);
    let mut report = Report::default();
    let mut stage = match Stage::new() {
        Ok(stage) => stage,
        Err(error) => return finish(args, &screen, report, Err(error.into()), None),
    };
    let outcome = tokio::select! {
        outcome = demo::run(args, &screen, &mut stage, &mut report) => outcome,
        signal = stop_signal() => Err(signal),
    };
    let log = stage.relayer_log_tail();
    let wanted = args.keep_files;
    tokio::select! {
        kept = stage.strike(wanted) => {
            if let Some(dir) = kept {
                screen.line(&format!("files: {}", dir.display()));
            }
        }
        _ = stop_signal() => screen.line("not waiting for an orderly end"),
    }
    finish(args, &screen, report, outcome, log)
}

/// Says how it ended: the reason and the end of the log for people, the one line for programs.
fn finish(
    args: &Args,
    screen: &Screen,
    mut report: Report,
    outcome: Result<(), Failure>,
    log: Option<String>,
) -> ExitCode {
    // With --keep the packets are done when Ctrl-C ends it.
    let outcome = if report.complete && matches!(outcome, Err(Failure::Stopped)) { Ok(()) } else { outcome };
    report.ok = outcome.is_ok();
    report.round();
    let code = match &outcome {
        Ok(()) => 0,
        Err(Failure::Stopped) => {
            screen.line("stopped");
            130
        }
        Err(error) => {
            if let Some(log) = log.filter(|log| !log.is_empty()) {
                eprintln!("--- end of the relayer's log\n{log}\n---");
            }
            eprintln!("FAILED: {error}\n        {}", error.remedy());
            1
        }
    };
    report.error = outcome.err().map(|error| error.to_string());
    if args.json {
        match serde_json::to_string(&report) {
            Ok(line) => println!("{line}"),
            Err(error) => eprintln!("the result can't be written as JSON: {error}"),
        }
    }
    ExitCode::from(code)
}

/// Ends when somebody asks this program to end.
async fn stop_signal() -> Failure {
    let listen = |kind| signal(kind).map_err(|e| Failure::Signals(e.to_string()));
    let (mut interrupt, mut terminate) = match (listen(SignalKind::interrupt()), listen(SignalKind::terminate())) {
        (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
        (Err(error), _) | (_, Err(error)) => return error,
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Failure::Stopped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_packets_get_more_time_and_none_are_refused() {
        let args = |line: &[&str]| Args::try_parse_from([&["testnet"], line].concat());
        let (few, many) = (args(&[]).unwrap(), args(&["--packets", "1000"]).unwrap());
        assert_eq!((few.packets(), few.timeout().as_secs()), (10, 124));
        assert_eq!(many.timeout().as_secs(), 520);
        assert_eq!(args(&["--timeout", "7"]).unwrap().timeout().as_secs(), 7);
        assert!(args(&["--packets", "0"]).is_err() && args(&["--packets", "5001"]).is_err());
    }
}
