//! The transactions of an interrupted `path create`, so that the next run learns the ids they made instead of opening a second client.
//!
//! A small JSON file in the store, `handshake-<path>.json`, replaced whole before each broadcast. Beside it a lock file keeps two
//! runs on one path apart. Bounds: [`FILE_BYTES`].

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use relayer_core::handshake::Attempt;
use relayer_core::id::TxHash;

use crate::cli::error::CliError;

/// Larger than the attempts of any run: 64 of them take 32 KiB.
const FILE_BYTES: u64 = 256 * 1024;

/// Attempts whose outcome is not known.
pub(super) struct Attempts {
    file: PathBuf,
    open: Vec<Attempt>,
    failed: Option<io::Error>,
    _lock: File,
}

impl Attempts {
    /// Those of an earlier run. The lock is held until this is dropped.
    pub(super) fn open(store: &Path, path: &str) -> Result<Self, CliError> {
        let file = store.join(format!("handshake-{path}.json"));
        let failed = |file: &Path| {
            let file = file.to_owned();
            move |source| CliError::File { file, source }
        };
        fs::create_dir_all(store).map_err(failed(store))?;
        let lock_file = store.join(format!("handshake-{path}.lock"));
        let lock = File::options().create(true).append(true).open(&lock_file).map_err(failed(&lock_file))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CliError::Creating { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(CliError::File { file: lock_file, source }),
        }
        let open = match File::open(&file) {
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(failed(&file)(e)),
            Ok(opened) => {
                let mut text = String::new();
                opened.take(FILE_BYTES).read_to_string(&mut text).map_err(failed(&file))?;
                serde_json::from_str(&text).unwrap_or_else(|error| {
                    tracing::warn!(file = %file.display(), "not readable, ids of an interrupted run may be lost: {error}");
                    Vec::new()
                })
            }
        };
        let attempts = Self { file, open, failed: None, _lock: lock };
        // A store that can't be written is told before anything is paid for.
        attempts.write().map_err(failed(&attempts.file))?;
        Ok(attempts)
    }

    /// Those left.
    pub(super) fn left(&self) -> &[Attempt] {
        &self.open
    }

    /// Writes one down.
    pub(super) fn begin(&mut self, attempt: Attempt) {
        self.open.push(attempt);
        self.save();
    }

    /// Its outcome is known.
    pub(super) fn settle(&mut self, hash: TxHash) {
        self.open.retain(|attempt| attempt.hash != hash);
        self.save();
    }

    /// The first write that failed.
    pub(super) fn trouble(&self) -> Option<String> {
        self.failed.as_ref().map(|e| format!("{}: {e}", self.file.display()))
    }

    fn save(&mut self) {
        if let Err(error) = self.write() {
            tracing::warn!(file = %self.file.display(), "not written, don't interrupt this run: {error}");
            self.failed.get_or_insert(error);
        }
    }

    fn write(&self) -> io::Result<()> {
        if self.open.is_empty() {
            return match fs::remove_file(&self.file) {
                Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
                _ => Ok(()),
            };
        }
        let text = serde_json::to_vec(&self.open).map_err(io::Error::other)?;
        let new = self.file.with_extension("json.new");
        let mut file = File::create(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use relayer_core::handshake::What;
    use relayer_core::id::Height;
    use relayer_core::packet::Side;

    use super::*;

    fn attempt(n: u8) -> Attempt {
        let (hash, timeout_height) = (TxHash([n; 32]), Height::new(1, 90));
        Attempt { on: Side::A, hash, timeout_height, does: vec![What::CreateClient] }
    }

    #[test]
    fn what_an_interrupted_run_sent_is_there_for_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Attempts::open(dir.path(), "a-b").unwrap();
        first.begin(attempt(1));
        first.begin(attempt(2));
        first.settle(TxHash([1; 32]));
        drop(first);
        let mut second = Attempts::open(dir.path(), "a-b").unwrap();
        assert_eq!(second.left(), [attempt(2)]);
        second.settle(TxHash([2; 32]));
        assert!(!dir.path().join("handshake-a-b.json").exists());
        assert_eq!(second.trouble(), None);
    }

    #[test]
    fn two_runs_on_one_path_are_kept_apart_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Attempts::open(dir.path(), "a-b").unwrap();
        assert!(matches!(Attempts::open(dir.path(), "a-b"), Err(CliError::Creating { .. })));
        assert!(Attempts::open(dir.path(), "a-c").is_ok());
    }

    #[test]
    fn a_damaged_file_is_no_reason_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("handshake-a-b.json"), "[{").unwrap();
        assert!(Attempts::open(dir.path(), "a-b").unwrap().left().is_empty());
    }
}
