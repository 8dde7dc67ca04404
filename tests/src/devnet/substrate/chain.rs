//! A running chain of several validators.
//!
//! Their folder and their processes end with the value. A validator that was stopped or killed keeps its data and ports.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::validator::{Ports, Validator};
use super::{SubstrateBuild, SubstrateNode, SubstrateSpec};
use crate::devnet::{Process, Signal};
use crate::{DevnetError, limits};

/// How the drivers' messages name a chain.
const NAME: &str = "substrate";

/// A chain of validators on loopback.
#[derive(Debug)]
pub struct SubstrateChain {
    spec: SubstrateSpec,
    build: SubstrateBuild,
    ports: Ports,
    // Before the folder, which a process still writing to it could keep from being removed.
    validators: Vec<Validator>,
    folder: TempDir,
}

impl SubstrateChain {
    /// Starts all validators and waits until each has seen a block become final.
    ///
    /// # Errors
    /// [`DevnetError::Build`] or [`DevnetError::Start`] with the end of a validator's log.
    pub async fn start(spec: SubstrateSpec) -> Result<Self, DevnetError> {
        let build = tokio::task::spawn_blocking(SubstrateBuild::build_or_find).await;
        let build = build.map_err(|e| DevnetError::Build { reason: e.to_string() })??;
        let mut attempt = 1;
        loop {
            let mut chain = Self::prepare(spec.clone(), build.clone())?;
            match chain.launch().await {
                Ok(()) => return Ok(chain),
                Err(DevnetError::Start { log, .. })
                    if attempt < limits::START_ATTEMPTS && log.to_lowercase().contains("address already in use") => {}
                Err(error) => return Err(error),
            }
            attempt += 1;
        }
    }

    fn prepare(spec: SubstrateSpec, build: SubstrateBuild) -> Result<Self, DevnetError> {
        let folder = tempfile::Builder::new().prefix("substrate-").tempdir();
        let folder = folder.map_err(DevnetError::io("making a temporary folder"))?;
        let ports = Ports::free(spec.weights().len())?;
        let validators = ports.rpc.iter().enumerate().map(|(index, port)| Validator::new(folder.path(), index, *port));
        let validators = validators.collect::<Result<_, _>>()?;
        Ok(Self { spec, build, ports, validators, folder })
    }

    async fn launch(&mut self) -> Result<(), DevnetError> {
        for validator in &mut self.validators {
            validator.launch(&self.build, &self.ports, self.spec.weights())?;
        }
        let since = Instant::now();
        for index in 0..self.validators.len() {
            self.wait_for(index, 1, since).await?;
        }
        Ok(())
    }

    /// Waits until a validator's own node says that this block is final.
    async fn wait_for(&mut self, index: usize, number: u64, since: Instant) -> Result<(), DevnetError> {
        loop {
            // Without one the others may wait in vain.
            for validator in &mut self.validators {
                if validator.has_failed() {
                    return Err(failure("a validator ended at its start", validator.log_tail()));
                }
            }
            let validator = self.validator(index)?;
            if validator.node().finalized().await.is_ok_and(|now| now >= number) {
                return Ok(());
            }
            if since.elapsed() > limits::VALIDATORS_START_TIMEOUT {
                return Err(failure("no block became final in time", validator.log_tail()));
            }
            tokio::time::sleep(limits::LOOK_INTERVAL).await;
        }
    }

    /// The description it was started from.
    #[must_use]
    pub fn spec(&self) -> &SubstrateSpec {
        &self.spec
    }

    /// The folder of all validators' data and logs.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A client of a validator's node.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if there is no such validator.
    pub fn node(&self, index: usize) -> Result<&SubstrateNode, DevnetError> {
        self.validator(index).map(Validator::node)
    }

    /// `http://127.0.0.1:<port>` of each validator in order.
    #[must_use]
    pub fn rpc_urls(&self) -> Vec<String> {
        self.validators.iter().map(|validator| validator.node().url().to_owned()).collect()
    }

    /// `ws://127.0.0.1:<port>` of each validator in order; the port serves HTTP, too.
    #[must_use]
    pub fn ws_urls(&self) -> Vec<String> {
        self.ports.rpc.iter().map(|port| format!("ws://127.0.0.1:{port}")).collect()
    }

    /// Ends a validator as an operator would; data and ports stay.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if there is no such validator, or its process can't be waited for or ends with an error.
    pub async fn stop(&mut self, index: usize) -> Result<(), DevnetError> {
        let ended = self.end(index, Process::stop).await?;
        match ended {
            Some(status) if !status.success() => {
                let what = format!("validator {index} ended with {status}: {}", self.validator(index)?.log_tail());
                Err(DevnetError::io(what)(std::io::ErrorKind::Other.into()))
            }
            _ => Ok(()),
        }
    }

    /// Kills a validator as a power cut would; data and ports stay.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if there is no such validator or its process can't be waited for.
    pub async fn kill(&mut self, index: usize) -> Result<(), DevnetError> {
        self.end(index, Process::kill).await.map(drop)
    }

    async fn end<T: Send + 'static>(
        &mut self,
        index: usize,
        how: impl FnOnce(&mut Process) -> Result<T, DevnetError> + Send + 'static,
    ) -> Result<Option<T>, DevnetError> {
        let Some(mut process) = self.validator_mut(index)?.take_process() else {
            return Ok(None);
        };
        let ended = tokio::task::spawn_blocking(move || how(&mut process)).await;
        ended.map_err(|e| DevnetError::io("ending a validator")(std::io::Error::other(e)))?.map(Some)
    }

    /// Starts an ended validator on its old data and ports, and waits until it knows of every block that is final elsewhere by now.
    ///
    /// # Errors
    /// As [`SubstrateChain::start`].
    pub async fn start_again(&mut self, index: usize) -> Result<(), DevnetError> {
        if self.validator(index)?.is_running() {
            return Ok(());
        }
        let mut newest = 1;
        for validator in self.validators.iter().filter(|validator| validator.is_running()) {
            newest = newest.max(validator.node().finalized().await.unwrap_or_default());
        }
        let Self { validators, build, ports, spec, .. } = self;
        let validator = validators.get_mut(index).ok_or_else(|| no_validator(index))?;
        validator.launch(build, ports, spec.weights())?;
        self.wait_for(index, newest, Instant::now()).await
    }

    /// Freezes a validator: connections stay open and nothing answers.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it doesn't run.
    pub fn pause(&mut self, index: usize) -> Result<(), DevnetError> {
        self.running(index)?.signal(Signal::Stop)
    }

    /// Lets a frozen validator go on.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it doesn't run.
    pub fn resume(&mut self, index: usize) -> Result<(), DevnetError> {
        self.running(index)?.signal(Signal::Cont)
    }

    /// Processor time a validator has spent since its last start.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it doesn't run.
    pub fn cpu_time(&mut self, index: usize) -> Result<Duration, DevnetError> {
        self.running(index)?.cpu_time()
    }

    /// The end of a validator's log; empty if there is no such validator.
    #[must_use]
    pub fn log_tail(&self, index: usize) -> String {
        self.validator(index).map(Validator::log_tail).unwrap_or_default()
    }

    fn running(&mut self, index: usize) -> Result<&mut Process, DevnetError> {
        let ended = || DevnetError::io(format!("validator {index} doesn't run"))(std::io::ErrorKind::NotFound.into());
        self.validator_mut(index)?.process().ok_or_else(ended)
    }

    fn validator(&self, index: usize) -> Result<&Validator, DevnetError> {
        self.validators.get(index).ok_or_else(|| no_validator(index))
    }

    fn validator_mut(&mut self, index: usize) -> Result<&mut Validator, DevnetError> {
        self.validators.get_mut(index).ok_or_else(|| no_validator(index))
    }
}

impl Drop for SubstrateChain {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (index, validator) in self.validators.iter().enumerate() {
                eprintln!("--- end of the log of validator {index}\n{}", validator.log_tail());
            }
        }
    }
}

fn no_validator(index: usize) -> DevnetError {
    DevnetError::io(format!("there is no validator {index}"))(std::io::ErrorKind::NotFound.into())
}

fn failure(reason: &str, log: String) -> DevnetError {
    DevnetError::Start { chain: NAME.to_owned(), reason: reason.to_owned(), log }
}
