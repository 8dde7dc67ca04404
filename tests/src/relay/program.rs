//! The relayer as a process: commands that end, and `start`, which doesn't.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{Admin, until};
use crate::devnet::{Process, RelayerConfig, Signal, relayer_binary};
use crate::{DevnetError, limits};

/// One relayer: a configuration, its environment, and perhaps a running process.
///
/// Its log stands beside its configuration. `RELAYER_TEST_LOG` sets its level.
#[derive(Debug)]
pub struct Relayer {
    binary: PathBuf,
    /// Its configuration.
    pub config: RelayerConfig,
    /// Its admin port.
    pub admin: Admin,
    environment: Vec<(String, String)>,
    log: PathBuf,
    process: Option<Process>,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// All it said.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

impl Relayer {
    /// A relayer that does not run yet.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if there is no program.
    pub fn new(config: RelayerConfig, environment: Vec<(String, String)>) -> Result<Self, DevnetError> {
        Self::of(relayer_binary()?, config, environment)
    }

    /// A relayer of another program.
    ///
    /// # Errors
    /// As [`Admin::new`].
    pub fn of(binary: PathBuf, config: RelayerConfig, environment: Vec<(String, String)>) -> Result<Self, DevnetError> {
        let log = config.file.with_extension("log");
        let admin = Admin::new(&config.admin)?;
        Ok(Self { binary, config, admin, environment, log, process: None })
    }

    /// The program.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Processor time it has spent since its start.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it doesn't run.
    pub fn cpu_time(&self) -> Result<Duration, DevnetError> {
        self.process.as_ref().ok_or_else(not_running)?.cpu_time()
    }

    fn arguments(&self, args: &[&str]) -> Vec<String> {
        let mut all = vec!["--config".to_owned(), self.config.file.display().to_string()];
        if let Ok(level) = std::env::var("RELAYER_TEST_LOG") {
            all.extend(["--log-level".to_owned(), level]);
        }
        all.extend(args.iter().map(|a| (*a).to_owned()));
        all
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it can't be started, [`DevnetError::Timeout`] if it doesn't end.
    pub async fn run(&self, args: &[&str]) -> Result<Ran, DevnetError> {
        let what = || format!("relayer {}", args.join(" "));
        let mut command = tokio::process::Command::new(&self.binary);
        command.args(self.arguments(args)).envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(limits::COMMAND_TIMEOUT, command.output())
            .await
            .map_err(|_| DevnetError::Timeout { what: what(), after_ms: limits::COMMAND_TIMEOUT.as_millis() })?;
        let output = output.map_err(DevnetError::io(what()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
    }

    /// Runs a command that must succeed; its standard output.
    ///
    /// # Errors
    /// As [`Relayer::run`], and [`DevnetError::Command`] if it ends with another code than 0.
    pub async fn succeed(&self, args: &[&str]) -> Result<String, DevnetError> {
        let ran = self.run(args).await?;
        match ran.code {
            Some(0) => Ok(ran.out),
            code => Err(DevnetError::Command { what: format!("relayer {}", args.join(" ")), code, said: ran.text() }),
        }
    }

    /// Starts to relay; returns at once.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if the process can't be started.
    pub fn launch(&mut self) -> Result<(), DevnetError> {
        let args = self.arguments(&["start"]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let environment = self.environment.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        self.process = Some(Process::start(&self.binary, &args, environment, &self.log)?);
        Ok(())
    }

    /// Starts to relay and waits until it says that it is ready.
    ///
    /// # Errors
    /// As [`Relayer::launch`] and [`Relayer::ready`].
    pub async fn start(&mut self) -> Result<(), DevnetError> {
        self.launch()?;
        self.ready(limits::READY_TIMEOUT).await
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// [`DevnetError::Timeout`] with its reasons.
    pub async fn ready(&self, within: Duration) -> Result<(), DevnetError> {
        until("a ready relayer", within, async || {
            let health = self.admin.health().await?;
            let not =
                |reason| DevnetError::Rpc { url: self.config.admin.clone(), method: "/health".to_owned(), reason };
            if health.ready { Ok(Some(())) } else { Err(not(health.reasons)) }
        })
        .await
    }

    /// Waits until `/health` says that it is not ready, for a reason that holds each of these words; the reasons.
    ///
    /// # Errors
    /// [`DevnetError::Timeout`] with its last answer.
    pub async fn degraded(&self, words: &[&str], within: Duration) -> Result<String, DevnetError> {
        until(&format!("a relayer that is not ready because of {words:?}"), within, async || {
            let health = self.admin.health().await?;
            if !health.ready && words.iter().all(|word| health.reasons.contains(word)) {
                return Ok(Some(health.reasons));
            }
            let reason = format!("ready: {}, {}", health.ready, health.reasons);
            Err(DevnetError::Rpc { url: self.config.admin.clone(), method: "/health".to_owned(), reason })
        })
        .await
    }

    /// The exit status if it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut()?.ended()
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.process.is_some() && self.ended().is_none()
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// [`DevnetError::Timeout`] if it doesn't.
    pub async fn ends(&mut self, within: Duration) -> Result<ExitStatus, DevnetError> {
        until("the relayer's end", within, async || Ok(self.ended())).await
    }

    /// Asks it to end and waits; its exit status and how long it took. After 10 s it is killed, which its status tells.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it doesn't run or can't be waited for.
    pub async fn stop(&mut self) -> Result<(ExitStatus, Duration), DevnetError> {
        let mut process = self.process.take().ok_or_else(not_running)?;
        let since = Instant::now();
        let ended = tokio::task::spawn_blocking(move || process.stop()).await;
        let status = ended.map_err(|e| DevnetError::io("stopping the relayer")(std::io::Error::other(e)))??;
        Ok((status, since.elapsed()))
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it doesn't run or can't be waited for.
    pub fn kill(&mut self) -> Result<(), DevnetError> {
        self.process.take().ok_or_else(not_running)?.kill().map(drop)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it doesn't run.
    pub fn signal(&mut self, signal: Signal) -> Result<(), DevnetError> {
        self.process.as_mut().ok_or_else(not_running)?.signal(signal)
    }

    /// All it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        read(&self.log)
    }
}

impl Drop for Relayer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(limits::RELAYER_LOG_TAIL_BYTES);
            let tail = log.get(from..).unwrap_or(&log);
            eprintln!("--- end of the log of the relayer at {}\n{tail}", self.config.admin);
            if std::env::var_os("RELAYER_TEST_KEEP").is_some() {
                let kept = std::env::temp_dir().join(format!("relayer-{}.log", self.config.admin.replace(':', "-")));
                match std::fs::write(&kept, &log) {
                    Ok(()) => eprintln!("--- all of it: {}", kept.display()),
                    Err(error) => eprintln!("--- {}: {error}", kept.display()),
                }
            }
        }
    }
}

fn read(file: &Path) -> String {
    std::fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn not_running() -> DevnetError {
    DevnetError::io("the relayer does not run")(std::io::ErrorKind::NotFound.into())
}
