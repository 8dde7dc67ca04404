//! All that the demonstration starts and writes, so that all of it ends: chains, relayer, files.

use std::path::{Path, PathBuf};

use relayer_tests::DevnetError;
use relayer_tests::devnet::Devnet;
use relayer_tests::relay::Relayer;
use tempfile::TempDir;

/// Bytes of the relayer's log shown after a failure: about 40 lines.
const LOG_TAIL_BYTES: usize = 6_000;

pub(crate) struct Stage {
    // Before the chains, so that it ends first, and both before the folder they write to.
    pub(crate) relayer: Option<Relayer>,
    pub(crate) net: Option<Devnet>,
    dir: TempDir,
}

impl Stage {
    /// An empty stage with a folder of its own, in which every temporary folder of this process will be.
    pub(crate) fn new() -> Result<Self, DevnetError> {
        let failed = |source| DevnetError::Io { what: "a temporary folder".to_owned(), source };
        let dir = tempfile::Builder::new().prefix("relayer-testnet-").tempdir().map_err(failed)?;
        tempfile::env::override_temp_dir(dir.path())
            .map_err(|other| failed(std::io::Error::other(format!("it is set to {} already", other.display()))))?;
        Ok(Self { relayer: None, net: None, dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The end of the relayer's log, if it was started.
    pub(crate) fn relayer_log_tail(&self) -> Option<String> {
        let log = self.relayer.as_ref()?.log();
        let from = log.len().saturating_sub(LOG_TAIL_BYTES);
        // From the start of a line, which is the start of a character, too.
        let line = log.bytes().skip(from).position(|byte| byte == b'\n').map_or(from, |n| from + n + 1);
        Some(log.get(if from == 0 { 0 } else { line }..).unwrap_or_default().trim_end().to_owned())
    }

    /// Ends everything in order: relayer, chains. With `keep_files` the folder stays, and this says where it is.
    pub(crate) async fn strike(mut self, keep_files: bool) -> Option<PathBuf> {
        if let Some(relayer) = &mut self.relayer
            && relayer.runs()
            && let Err(error) = relayer.stop().await
        {
            eprintln!("stopping the relayer: {error}");
        }
        if let Some(net) = &mut self.net {
            let (a, b) = tokio::join!(net.a.stop(), net.b.stop());
            for error in [a, b].into_iter().filter_map(Result::err) {
                eprintln!("stopping a chain: {error}");
            }
        }
        if !keep_files {
            return None;
        }
        // The chains' homes would go with them.
        std::mem::forget(self.net.take());
        Some(self.dir.keep())
    }
}
