//! What can go wrong with the journal, each with the file it is about and what to do.

use std::path::{Path, PathBuf};

use relayer_core::error::{Detail, Remedy};
use rusqlite::ErrorCode;
use thiserror::Error;

/// Why the journal did not do what it was asked. The write did not happen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JournalError {
    /// No room on the disk.
    #[error(
        "no room left for the journal {file}: free space on that disk, or set `[store] dir` to another one; until then nothing new is broadcast"
    )]
    Full {
        /// The database.
        file: PathBuf,
    },
    /// Another relayer works with this journal.
    #[error(
        "{file} is locked: another relayer process uses this store; stop it, or set `[store] dir` to another directory"
    )]
    Locked {
        /// The lock file.
        file: PathBuf,
    },
    /// The file or its directory can't be opened, read or written.
    #[error(
        "can't use {file}: {detail}; let the relayer's user read and write the file and its directory, or set `[store] dir` to another one"
    )]
    Access {
        /// The file or directory.
        file: PathBuf,
        /// The system's words.
        detail: Detail,
    },
    /// Made by a newer relayer.
    #[error(
        "{file} has schema version {found}, this relayer knows up to {known}: run the newer relayer, or move the file away (the chains are the truth)"
    )]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// A database of some other program.
    #[error("{file} is the database of another program: set `[store] dir` to a directory of the relayer's own")]
    Foreign {
        /// The database.
        file: PathBuf,
    },
    /// The file got damaged while in use.
    #[error(
        "{file} is damaged ({detail}): restart the relayer; it sets the file aside and makes a new one, the chains are the truth"
    )]
    Corrupt {
        /// The database.
        file: PathBuf,
        /// SQLite's words.
        detail: Detail,
    },
    /// The disk failed.
    #[error("reading or writing {file} failed ({detail}): check the disk")]
    Io {
        /// The database.
        file: PathBuf,
        /// SQLite's words.
        detail: Detail,
    },
    /// A record is larger than its bound.
    #[error("{what} of {bytes} bytes is over the journal's limit of {limit}")]
    TooLarge {
        /// Which record.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// The journal has been closed.
    #[error("the journal is closed: the relayer is stopping")]
    Closed,
}

impl JournalError {
    pub(super) fn from_sqlite(file: &Path, e: &rusqlite::Error) -> Self {
        let file = file.to_path_buf();
        let detail = Detail::new(e.to_string());
        match e.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { file },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { file },
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::Access { file, detail }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt { file, detail },
            // A value that can't be read back was not written by us.
            None => Self::Corrupt { file, detail },
            Some(_) => Self::Io { file, detail },
        }
    }

    pub(super) fn from_io(file: &Path, e: &std::io::Error) -> Self {
        let file = file.to_path_buf();
        match e.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full { file },
            _ => Self::Access { file, detail: Detail::new(e.to_string()) },
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Full { .. } | Self::Io { .. } => Remedy::Retry { after_ms: 1_000 },
            Self::TooLarge { .. } => Remedy::Drop,
            Self::Locked { .. }
            | Self::Access { .. }
            | Self::Newer { .. }
            | Self::Foreign { .. }
            | Self::Corrupt { .. }
            | Self::Closed => Remedy::Halt,
        }
    }

    /// A stable short word for metrics and `--json`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Full { .. } => "disk_full",
            Self::Locked { .. } => "locked",
            Self::Access { .. } => "access",
            Self::Newer { .. } => "newer",
            Self::Foreign { .. } => "foreign",
            Self::Corrupt { .. } => "corrupt",
            Self::Io { .. } => "io",
            Self::TooLarge { .. } => "too_large",
            Self::Closed => "closed",
        }
    }
}
