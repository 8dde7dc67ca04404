//! One validator: its folder, ports, process and log.

use std::path::{Path, PathBuf};

use super::SubstrateBuild;
use super::node::SubstrateNode;
use crate::DevnetError;
use crate::devnet::home::free_port;
use crate::devnet::process::{Process, log_tail};

/// The ports of a chain's validators on loopback, in order.
#[derive(Clone, Debug)]
pub(super) struct Ports {
    pub(super) rpc: Vec<u16>,
    pub(super) peers: Vec<u16>,
}

impl Ports {
    /// Ports that are free now.
    pub(super) fn free(validators: usize) -> Result<Self, DevnetError> {
        let some = || (0..validators).map(|_| free_port()).collect::<Result<Vec<_>, _>>();
        Ok(Self { rpc: some()?, peers: some()? })
    }
}

/// A validator, running unless it was ended.
#[derive(Debug)]
pub(super) struct Validator {
    index: usize,
    folder: PathBuf,
    node: SubstrateNode,
    process: Option<Process>,
}

impl Validator {
    /// A validator that doesn't run yet, with its data under the chain's folder.
    pub(super) fn new(chain: &Path, index: usize, rpc_port: u16) -> Result<Self, DevnetError> {
        let folder = chain.join(index.to_string());
        std::fs::create_dir_all(&folder).map_err(DevnetError::io(folder.display().to_string()))?;
        let node = SubstrateNode::new(&format!("http://127.0.0.1:{rpc_port}"))?;
        Ok(Self { index, folder, node, process: None })
    }

    /// Starts its process, on old data if there are any.
    pub(super) fn launch(&mut self, build: &SubstrateBuild, ports: &Ports, weights: &[u64]) -> Result<(), DevnetError> {
        let list = |numbers: &mut dyn Iterator<Item = String>| numbers.collect::<Vec<_>>().join(",");
        let own = ports.rpc.get(self.index).copied().unwrap_or_default();
        let args = [
            ("--runtime", build.runtime().display().to_string()),
            ("--compiled", build.compiled().display().to_string()),
            ("--data", self.folder.display().to_string()),
            ("--index", self.index.to_string()),
            ("--rpc-port", own.to_string()),
            ("--peers", list(&mut ports.peers.iter().map(u16::to_string))),
            ("--weights", list(&mut weights.iter().map(u64::to_string))),
        ];
        let args: Vec<&str> = args.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
        // What it writes for a moment goes with its folder, too.
        let env = [("TMPDIR", self.folder.display().to_string())];
        self.process = Some(Process::start(&build.node(), &args, env, &self.log())?);
        Ok(())
    }

    pub(super) fn node(&self) -> &SubstrateNode {
        &self.node
    }

    /// Its process, unless it was ended.
    pub(super) fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// Its process, for ending it.
    pub(super) fn take_process(&mut self) -> Option<Process> {
        self.process.take()
    }

    /// Whether its process has ended by itself.
    pub(super) fn has_failed(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.ended().is_some())
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// The end of its log.
    pub(super) fn log_tail(&self) -> String {
        log_tail(&self.log())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("node.log")
    }
}
