//! A running single-validator chain: ibc-go's simd, a real node process on loopback.
//!
//! Its home folder and its process end with the value. [`SimdChain::stop`] and [`SimdChain::start_again`] keep the
//! data and the port; [`SimdChain::pause`] freezes the process, as a machine that hangs.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::home::{Home, Ports, free_ports};
use super::process::{Process, Signal, run_build};
use super::{ChainSpec, Node, User, Wallet};
use crate::{DevnetError, limits};

/// The chain's binary.
#[derive(Clone, Debug)]
pub struct Simd {
    path: PathBuf,
}

impl Simd {
    /// Builds the binary unless the cache has it (`RELAYER_TEST_CACHE`, or `.cache/relayer-tests` in the home folder).
    /// Blocks; the first build takes minutes.
    ///
    /// # Errors
    /// [`DevnetError::Build`] with what the build printed.
    pub fn build_or_find() -> Result<Self, DevnetError> {
        static FOUND: Mutex<Option<PathBuf>> = Mutex::new(None);
        let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = found.as_ref() {
            return Ok(Self { path: path.clone() });
        }
        let path = run_build(concat!(env!("CARGO_MANIFEST_DIR"), "/chains/simd/build"))?;
        *found = Some(path.clone());
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A chain of one validator, running unless it was stopped.
#[derive(Debug)]
pub struct SimdChain {
    spec: ChainSpec,
    simd: Simd,
    // Before the home, which a process still writing to it could keep from being removed.
    process: Option<Process>,
    home: Home,
    ports: Ports,
    node: Node,
}

impl SimdChain {
    /// Starts a chain and waits for its second block: from then on a light client can follow it.
    ///
    /// # Errors
    /// [`DevnetError::Build`] or [`DevnetError::Start`] with the end of the node's log.
    pub async fn start(spec: ChainSpec) -> Result<Self, DevnetError> {
        let (simd, home, spec) = tokio::task::spawn_blocking(move || {
            let simd = Simd::build_or_find()?;
            let home = Home::create(simd.path(), &spec)?;
            Ok::<_, DevnetError>((simd, home, spec))
        })
        .await
        .map_err(|e| DevnetError::Build { reason: e.to_string() })??;

        let ports = free_ports()?;
        let node = Node::new(&format!("http://127.0.0.1:{}", ports.rpc))?;
        let mut chain = Self { spec, simd, home, ports, process: None, node };
        for attempt in 1.. {
            match chain.launch(2).await {
                Ok(()) => break,
                Err(DevnetError::Start { log, .. })
                    if attempt < limits::START_ATTEMPTS && log.contains("address already in use") =>
                {
                    chain.ports = free_ports()?;
                    chain.node = Node::new(&format!("http://127.0.0.1:{}", chain.ports.rpc))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(chain)
    }

    async fn launch(&mut self, height: u64) -> Result<(), DevnetError> {
        self.home.listen(self.ports)?;
        let home = self.home.path().display().to_string();
        // The program makes its temporary folders in its home, so that they go with it.
        let tmp = self.home.path().join("tmp").display().to_string();
        let args = ["start", "--home", &home, "--log_no_color"];
        let process = Process::start(self.simd.path(), &args, [("TMPDIR", &tmp)], &self.home.log())?;
        self.process = Some(process);
        let since = Instant::now();
        loop {
            if self.process.as_mut().and_then(Process::ended).is_some() {
                self.process = None;
                return Err(self.failed("ended at its start"));
            }
            if self.node.height().await.is_ok_and(|now| now >= height) {
                return Ok(());
            }
            if since.elapsed() > limits::START_TIMEOUT {
                self.process = None;
                return Err(self.failed("made no block in time"));
            }
            tokio::time::sleep(limits::POLL_INTERVAL).await;
        }
    }

    fn failed(&self, reason: &str) -> DevnetError {
        DevnetError::Start { chain: self.spec.id.clone(), reason: reason.to_owned(), log: self.home.log_tail() }
    }

    /// The chain id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.spec.id
    }

    /// The description it was started from.
    #[must_use]
    pub fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// The number at the end of the chain id, as in the heights of light clients.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.spec.id.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
    }

    /// A client of its node.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn rpc_url(&self) -> &str {
        self.node.url()
    }

    /// `ws://127.0.0.1:<port>/websocket`.
    #[must_use]
    pub fn ws_url(&self) -> String {
        format!("ws://127.0.0.1:{}/websocket", self.ports.rpc)
    }

    /// Someone who acts on this chain, paying the node's own minimum price.
    #[must_use]
    pub fn user(&self, wallet: &Wallet) -> User {
        User::new(self.node.clone(), &self.spec.id, wallet.clone(), &self.spec.min_gas_prices)
    }

    /// The newest height.
    ///
    /// # Errors
    /// As [`Node::height`].
    pub async fn height(&self) -> Result<u64, DevnetError> {
        self.node.height().await
    }

    /// An account's balance in one denomination.
    ///
    /// # Errors
    /// As [`Node::balance`].
    pub async fn balance(&self, address: &str, denom: &str) -> Result<u128, DevnetError> {
        self.node.balance(address, denom).await
    }

    /// Waits for more blocks; the height then.
    ///
    /// # Errors
    /// [`DevnetError::Timeout`] if they don't come.
    pub async fn wait_blocks(&self, blocks: u64) -> Result<u64, DevnetError> {
        let now = self.height().await?;
        self.node.wait_for_height(now + blocks, limits::START_TIMEOUT).await
    }

    /// Ends the node as an operator would; data and port stay.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if the process can't be waited for.
    pub async fn stop(&mut self) -> Result<(), DevnetError> {
        self.end(Process::stop).await
    }

    /// Kills the node as a power cut would; data and port stay.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if the process can't be waited for.
    pub async fn crash(&mut self) -> Result<(), DevnetError> {
        self.end(Process::kill).await
    }

    async fn end<T: Send + 'static>(
        &mut self,
        how: impl FnOnce(&mut Process) -> Result<T, DevnetError> + Send + 'static,
    ) -> Result<(), DevnetError> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let ended = tokio::task::spawn_blocking(move || how(&mut process).map(drop)).await;
        ended.map_err(|e| DevnetError::io("stopping a chain")(std::io::Error::other(e)))?
    }

    /// Starts a stopped node on its old data and port, and waits until it makes blocks.
    ///
    /// # Errors
    /// As [`SimdChain::start`].
    pub async fn start_again(&mut self) -> Result<(), DevnetError> {
        if self.process.is_some() {
            return Ok(());
        }
        // The block after the one it comes up with is a new one.
        self.launch(1).await?;
        self.wait_blocks(1).await.map(drop)
    }

    /// Freezes the node: connections stay open and nothing answers.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it doesn't run.
    pub fn pause(&mut self) -> Result<(), DevnetError> {
        self.signal(Signal::Stop)
    }

    /// Lets a frozen node go on.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it doesn't run.
    pub fn resume(&mut self) -> Result<(), DevnetError> {
        self.signal(Signal::Cont)
    }

    fn signal(&mut self, signal: Signal) -> Result<(), DevnetError> {
        let stopped = || DevnetError::io("the chain is stopped")(std::io::ErrorKind::NotFound.into());
        self.process.as_mut().ok_or_else(stopped)?.signal(signal)
    }

    /// Processor time the node has spent since its last start.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it doesn't run.
    pub fn cpu_time(&self) -> Result<Duration, DevnetError> {
        let stopped = || DevnetError::io("the chain is stopped")(std::io::ErrorKind::NotFound.into());
        self.process.as_ref().ok_or_else(stopped)?.cpu_time()
    }

    /// The end of the node's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.home.log_tail()
    }
}

impl Drop for SimdChain {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- end of the log of chain {}\n{}", self.spec.id, self.home.log_tail());
        }
    }
}
