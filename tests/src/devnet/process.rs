//! Child processes that can't outlive the tests: killed on drop, and by the kernel if the test process itself dies.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use crate::{DevnetError, limits};

/// A running child process.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

/// A signal a test sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ask to end (SIGTERM).
    Term,
    /// Ask to end as Ctrl-C does (SIGINT).
    Int,
    /// End at once (SIGKILL).
    Kill,
    /// Stand still (SIGSTOP).
    Stop,
    /// Go on (SIGCONT).
    Cont,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Cont => "CONT",
        }
    }
}

impl Process {
    /// Starts a program with its output appended to a log file.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if the log can't be opened or the program not be started.
    pub fn start<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        program: &Path,
        args: &[&str],
        env: impl IntoIterator<Item = (K, V)>,
        log: &Path,
    ) -> Result<Self, DevnetError> {
        let open = || std::fs::OpenOptions::new().create(true).append(true).open(log);
        let what = || log.display().to_string();
        let mut command = if die_with_parent() {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .args(args)
            .envs(env)
            .stdin(Stdio::null())
            .stdout(open().map_err(DevnetError::io(what()))?)
            .stderr(open().map_err(DevnetError::io(what()))?);
        spawn(command).map(|child| Self { child }).map_err(DevnetError::io(program.display().to_string()))
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if the process is gone.
    pub fn signal(&mut self, signal: Signal) -> Result<(), DevnetError> {
        let what = format!("sending {} to process {}", signal.name(), self.id());
        // A waited-for process's id may belong to another by now.
        if self.ended().is_some() {
            return Err(DevnetError::io(what)(std::io::ErrorKind::NotFound.into()));
        }
        // The shell's own `kill` is always there, the program of that name is not.
        let command = format!("kill -{} {}", signal.name(), self.id());
        let status = Command::new("sh").args(["-c", &command]).status().map_err(DevnetError::io(what.clone()))?;
        if status.success() { Ok(()) } else { Err(DevnetError::io(what)(std::io::ErrorKind::NotFound.into())) }
    }

    /// Asks it to end, waits, and kills it if it doesn't. Blocks.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it can't be waited for.
    pub fn stop(&mut self) -> Result<ExitStatus, DevnetError> {
        if let Some(status) = self.ended() {
            return Ok(status);
        }
        self.signal(Signal::Term)?;
        let since = Instant::now();
        while since.elapsed() < limits::STOP_TIMEOUT {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            std::thread::sleep(limits::POLL_INTERVAL);
        }
        self.kill()
    }

    /// Kills it at once and waits until it is gone. Blocks.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it can't be waited for.
    pub fn kill(&mut self) -> Result<ExitStatus, DevnetError> {
        // Killing a process that has just ended fails, and then the wait below tells how it ended.
        self.child.kill().ok();
        self.child.wait().map_err(DevnetError::io(format!("waiting for process {}", self.id())))
    }

    /// Processor time spent so far, user and system.
    ///
    /// # Errors
    /// [`DevnetError::Io`] or [`DevnetError::Decode`] if /proc doesn't tell.
    pub fn cpu_time(&self) -> Result<Duration, DevnetError> {
        cpu_time_of(&self.id().to_string())
    }

    /// Processor time this process has spent.
    ///
    /// # Errors
    /// As [`Process::cpu_time`].
    pub fn own_cpu_time() -> Result<Duration, DevnetError> {
        cpu_time_of("self")
    }
}

fn cpu_time_of(process: &str) -> Result<Duration, DevnetError> {
    /// Linux counts in 1/100 s for every program, whatever the kernel's own tick.
    const TICK_MS: u64 = 10;
    let file = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&file).map_err(DevnetError::io(file.clone()))?;
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th fields after it.
    let mut fields = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11);
    let mut tick = || fields.next().and_then(|f| f.parse::<u64>().ok());
    match (tick(), tick()) {
        (Some(user), Some(system)) => Ok(Duration::from_millis((user + system) * TICK_MS)),
        _ => Err(DevnetError::decode(file, "no processor times")),
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.kill().ok();
        }
    }
}

/// The relayer under test: `RELAYER_BIN`, or the one built into the target folder of this test.
///
/// # Errors
/// [`DevnetError::Io`] if it isn't there: `cargo build --workspace --bins` makes it.
pub fn relayer_binary() -> Result<PathBuf, DevnetError> {
    let path = match std::env::var_os("RELAYER_BIN") {
        Some(path) => PathBuf::from(path),
        None => {
            let test = std::env::current_exe().map_err(DevnetError::io("finding this test's folder"))?;
            // A test lies in target/<profile>/deps.
            test.ancestors().nth(2).unwrap_or(Path::new(".")).join("relayer")
        }
    };
    if path.is_file() {
        return Ok(path);
    }
    let what = format!("no relayer at {}: run cargo build --workspace --bins", path.display());
    Err(DevnetError::io(what)(std::io::ErrorKind::NotFound.into()))
}

/// The end of a log; empty if there is none.
pub(super) fn log_tail(log: &Path) -> String {
    let Ok(bytes) = std::fs::read(log) else {
        return String::new();
    };
    let from = bytes.len().saturating_sub(usize::try_from(limits::LOG_TAIL_BYTES).unwrap_or(usize::MAX));
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}

/// Runs a chain's build script; the path on the last line it prints.
pub(super) fn run_build(script: &str) -> Result<PathBuf, DevnetError> {
    let output = Command::new("bash").arg(script).output().map_err(DevnetError::io(script))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(DevnetError::Build { reason });
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    Ok(PathBuf::from(printed.lines().last().unwrap_or_default()))
}

/// Whether `setpriv` of util-linux is there to arrange that a child dies with the test process.
fn die_with_parent() -> bool {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    *PRESENT.get_or_init(|| {
        let probe = Command::new("setpriv").args(["--pdeathsig", "KILL", "--", "true"]).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    })
}

type Request = (Command, Sender<std::io::Result<Child>>);

/// Spawns from one thread that lives as long as the process: the kernel takes the end of the spawning *thread* for the
/// death of the parent, and a test's own threads end with the test.
fn spawn(command: Command) -> std::io::Result<Child> {
    static SPAWNER: OnceLock<Sender<Request>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, answer) in requests {
                // Nobody waits for the answer any more: the child is dropped and left to the caller's end.
                answer.send(command.spawn()).ok();
            }
        });
        sender
    });
    let (answer, result) = channel();
    let gone = || std::io::Error::other("the spawning thread has ended");
    spawner.send((command, answer)).map_err(|_| gone())?;
    result.recv().map_err(|_| gone())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(dir: &Path) -> Process {
        Process::start(Path::new("sleep"), &["60"], [("A", "b")], &dir.join("log")).unwrap()
    }

    fn exists(id: u32) -> bool {
        Path::new(&format!("/proc/{id}")).exists()
    }

    #[test]
    fn a_process_dies_on_drop_even_when_paused() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = sleeper(dir.path());
        process.signal(Signal::Stop).unwrap();
        let id = process.id();
        assert!(exists(id));
        drop(process);
        assert!(!exists(id));
    }

    #[test]
    fn a_process_outlives_the_thread_that_asked_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let mut process = std::thread::spawn(move || sleeper(&path)).join().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert!(process.ended().is_none());
        assert!(!process.stop().unwrap().success());
        assert!(process.signal(Signal::Cont).is_err());
    }

    /// Not a test of its own: what the next test runs and kills. Without its variable it does nothing.
    #[test]
    fn child_of_a_killed_parent() {
        let Ok(dir) = std::env::var("RELAYER_TEST_KILLED_PARENT") else {
            return;
        };
        let process = sleeper(Path::new(&dir));
        std::fs::write(Path::new(&dir).join("id"), process.id().to_string()).unwrap();
        std::thread::sleep(limits::STOP_TIMEOUT);
    }

    #[test]
    fn a_process_dies_with_a_killed_test() {
        assert!(die_with_parent(), "setpriv of util-linux is missing");
        let dir = tempfile::tempdir().unwrap();
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "devnet::process::tests::child_of_a_killed_parent"])
            .env("RELAYER_TEST_KILLED_PARENT", dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = |done: &dyn Fn() -> bool| {
            let since = Instant::now();
            while !done() {
                assert!(since.elapsed() < limits::STOP_TIMEOUT);
                std::thread::sleep(limits::POLL_INTERVAL);
            }
        };
        let id = || std::fs::read_to_string(dir.path().join("id")).ok().and_then(|id| id.parse().ok());
        until(&|| id().is_some_and(exists));
        parent.kill().unwrap();
        parent.wait().unwrap();
        let id = id().unwrap();
        // Its new parent may take a while to collect it: a zombie has no command line.
        let gone = || std::fs::read(format!("/proc/{id}/cmdline")).map_or(true, |line| line.is_empty());
        until(&gone);
    }
}
