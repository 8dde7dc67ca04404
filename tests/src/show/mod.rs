//! A run of the whole, shown to a person or to a script: two chains, a path between them, the relayer, and transfers both ways until
//! every one of them is acknowledged.
//!
//! The numbers come from the chains: a packet's latency is the time from the block of its send to the block of its receive (or of its
//! acknowledgement), as the blocks themselves tell it; those of stages are the relayer's own metrics. Standard output carries the story, or
//! with `json` only one line at the end; the story is on standard error then.
//!
//! Exit codes: 0 all acknowledged; 1 a failure, with its reason and the end of the relayer's log; 130 stopped by Ctrl-C or SIGTERM before
//! that. All that was started has ended when it ends, whatever the reason.

mod act;
mod embedded;
mod failure;
mod latency;
mod report;
mod screen;
mod stage;
mod timeline;

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::DevnetError;
use crate::devnet::{Devnet, Network, Node};
use failure::Failure;
use report::Report;
use screen::Screen;
use stage::Stage;

/// Which relayer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The one that was built beside this program, or that `RELAYER_BIN` names.
    Built,
    /// The one within this program: called by the name `relayer`, it is the relayer.
    Within,
}

/// What is shown.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program's own name, for its folder.
    pub name: &'static str,
    /// What the chains are, in a few words.
    pub chains: &'static str,
    /// The relayer.
    pub relayer: Program,
    /// Transfers each way, 1 to 5000: one page of a chain's answer about open packets.
    pub packets: u32,
    /// Ends with one line of JSON on standard output.
    pub json: bool,
    /// Goes on until Ctrl-C.
    pub keep: bool,
    /// Leaves the folder with configuration, logs and data behind.
    pub keep_files: bool,
    /// The chains' nodes misbehave while packets are relayed.
    pub faults: bool,
    /// In which all packets must be acknowledged; by default two minutes and 0.2 s for each.
    pub timeout: Option<Duration>,
}

impl Options {
    fn packets(&self) -> usize {
        usize::try_from(self.packets).unwrap_or(usize::MAX)
    }

    fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(120 + u64::from(self.packets) * 2 / 5))
    }
}

/// Two chains to show.
pub trait Set: Network {
    /// Nodes that tell the truth, to look at what happened.
    fn observers(&self) -> [Node; 2] {
        self.ends().map(|chain| chain.node().clone())
    }

    /// Processor time of both so far.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it can't be told.
    fn cpu_time(&self) -> Result<Duration, DevnetError>;

    /// Lets their nodes misbehave in turn, and says so, for as long as it is awaited.
    fn misbehave(&self, _say: &dyn Fn(&str)) -> impl Future<Output = Infallible> {
        std::future::pending()
    }

    /// Ends both; what went wrong with that.
    fn end(&mut self) -> impl Future<Output = Vec<DevnetError>>;
}

impl Set for Devnet {
    fn cpu_time(&self) -> Result<Duration, DevnetError> {
        Ok(self.a.cpu_time()? + self.b.cpu_time()?)
    }

    async fn end(&mut self) -> Vec<DevnetError> {
        let (a, b) = tokio::join!(self.a.stop(), self.b.stop());
        [a, b].into_iter().filter_map(Result::err).collect()
    }
}

/// Shows it all, from the chains' start to their end.
pub fn run<N: Set>(options: &Options, start: impl Future<Output = Result<N, DevnetError>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(relayer::limits::STACK_BYTES)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no threads to run on: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(all(options, start));
    // What was cut short by Ctrl-C may still be writing a chain's folder, which goes away with the result.
    runtime.shutdown_timeout(Duration::from_secs(5));
    code
}

async fn all<N: Set>(options: &Options, start: impl Future<Output = Result<N, DevnetError>>) -> ExitCode {
    let screen = Screen::new(options.json);
    let mut report = Report::default();
    let mut stage = match Stage::new(options.name) {
        Ok(stage) => stage,
        Err(error) => return finish(options, &screen, report, Err(error.into()), None),
    };
    let outcome = tokio::select! {
        outcome = act::run(options, &screen, &mut stage, &mut report, start) => outcome,
        signal = stop_signal() => Err(signal),
    };
    let log = stage.relayer_log_tail();
    let wanted = options.keep_files;
    tokio::select! {
        kept = stage.strike(wanted) => {
            if let Some(dir) = kept {
                screen.line(&format!("files: {}", dir.display()));
            }
        }
        _ = stop_signal() => screen.line("not waiting for an orderly end"),
    }
    finish(options, &screen, report, outcome, log)
}

/// Says how it ended: the reason and the end of the log for people, the one line for programs.
fn finish(
    options: &Options,
    screen: &Screen,
    mut report: Report,
    outcome: Result<(), Failure>,
    log: Option<String>,
) -> ExitCode {
    // With `keep` the packets are done when Ctrl-C ends it.
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
    if options.json {
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
    fn more_packets_get_more_time_unless_it_is_given() {
        let options = |packets, timeout| Options {
            name: "test",
            chains: "none",
            relayer: Program::Built,
            packets,
            json: false,
            keep: false,
            keep_files: false,
            faults: false,
            timeout,
        };
        assert_eq!([10, 1_000].map(|n| options(n, None).timeout().as_secs()), [124, 520]);
        assert_eq!(options(10, Some(Duration::from_secs(7))).timeout().as_secs(), 7);
    }
}
