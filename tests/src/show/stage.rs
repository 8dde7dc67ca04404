//! All that the show starts and writes, so that all of it ends: relayer, chains, files.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Set;
use crate::DevnetError;
use crate::relay::Relayer;

/// Bytes of the relayer's log shown after a failure: about 40 lines.
const LOG_TAIL_BYTES: usize = 6_000;

pub(super) struct Stage<N> {
    // Before the chains, so that it ends first, and both before the folder they write to.
    pub(super) relayer: Option<Relayer>,
    pub(super) net: Option<N>,
    dir: TempDir,
}

impl<N: Set> Stage<N> {
    /// An empty stage with a folder of its own, in which every temporary folder of this process will be.
    pub(super) fn new(name: &str) -> Result<Self, DevnetError> {
        let failed = |source| DevnetError::Io { what: "a temporary folder".to_owned(), source };
        let dir = tempfile::Builder::new().prefix(&format!("relayer-{name}-")).tempdir().map_err(failed)?;
        tempfile::env::override_temp_dir(dir.path())
            .map_err(|other| failed(std::io::Error::other(format!("it is set to {} already", other.display()))))?;
        Ok(Self { relayer: None, net: None, dir })
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The end of the relayer's log, if it was started.
    pub(super) fn relayer_log_tail(&self) -> Option<String> {
        let log = self.relayer.as_ref()?.log();
        let from = log.len().saturating_sub(LOG_TAIL_BYTES);
        // From the start of a line, which is the start of a character, too.
        let line = log.bytes().skip(from).position(|byte| byte == b'\n').map_or(from, |n| from + n + 1);
        Some(log.get(if from == 0 { 0 } else { line }..).unwrap_or_default().trim_end().to_owned())
    }

    /// Ends everything in order: relayer, chains. With `keep_files` the folder stays, and this says where it is.
    pub(super) async fn strike(mut self, keep_files: bool) -> Option<PathBuf> {
        if let Some(relayer) = &mut self.relayer
            && relayer.runs()
            && let Err(error) = relayer.stop().await
        {
            eprintln!("stopping the relayer: {error}");
        }
        if let Some(net) = &mut self.net {
            for error in net.end().await {
                eprintln!("stopping a chain: {error}");
            }
        }
        if !keep_files {
            return None;
        }
        // What the chains have written would go with them.
        std::mem::forget(self.net.take());
        Some(self.dir.keep())
    }
}
