//! The database file: its lock, its health, its schema, and what happens to a damaged one.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};
use tracing::{error, warn};

use super::error::JournalError;
use crate::limits;

/// "IBCR": tells our database from any other.
const APPLICATION_ID: u32 = 0x4942_4352;

/// Migrations in their order; the schema version (`user_version`) is the number of those applied.
pub(super) const MIGRATIONS: [&str; 1] = ["
CREATE TABLE cursors (
    path TEXT NOT NULL, side INTEGER NOT NULL, revision INTEGER NOT NULL, height INTEGER NOT NULL,
    PRIMARY KEY (path, side)
) STRICT, WITHOUT ROWID;
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, chain TEXT NOT NULL, path TEXT NOT NULL, signer TEXT NOT NULL,
    account_sequence INTEGER NOT NULL, timeout_revision INTEGER NOT NULL, timeout_height INTEGER NOT NULL,
    kind TEXT NOT NULL, packets TEXT NOT NULL, begun_ms INTEGER NOT NULL,
    outcome TEXT, revision INTEGER, height INTEGER, reason TEXT
) STRICT;
CREATE INDEX attempts_open ON attempts (chain, id) WHERE outcome IS NULL;
CREATE TABLE packets (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL, side INTEGER NOT NULL, port TEXT NOT NULL, channel TEXT NOT NULL,
    sequence INTEGER NOT NULL, tx_id BLOB NOT NULL, phase TEXT NOT NULL, closed INTEGER NOT NULL,
    sent INTEGER, received INTEGER, ended INTEGER, reason TEXT,
    UNIQUE (path, side, port, channel, sequence)
) STRICT;
CREATE INDEX packets_closed ON packets (closed, id);
CREATE INDEX packets_tx_id ON packets (tx_id);
CREATE TABLE trust (chain TEXT PRIMARY KEY, state BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE fees (
    chain TEXT NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL, denom TEXT NOT NULL, amount BLOB NOT NULL,
    payments INTEGER NOT NULL,
    PRIMARY KEY (chain, path, kind, denom)
) STRICT, WITHOUT ROWID;
"];

/// An open, checked database and the lock that keeps other processes away from it.
pub(super) struct Store {
    pub(super) connection: Connection,
    pub(super) file: PathBuf,
    pub(super) recovered: bool,
    /// Held, never read: the system releases it even after `kill -9`.
    _lock: File,
}

impl Store {
    pub(super) fn open(dir: &Path) -> Result<Self, JournalError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| JournalError::from_io(dir, &e))?;
        let lock = take_lock(&dir.join("journal.lock"))?;
        let file = dir.join("journal.sqlite");
        let mut recovered = false;
        let connection = match connect(&file) {
            Err(JournalError::Corrupt { detail, .. }) => {
                let aside = set_aside(&file)?;
                error!(
                    journal = %file.display(), set_aside = %aside.display(), %detail,
                    "THE JOURNAL WAS DAMAGED and has been set aside; a new one is made. The chains are the truth: nothing is lost, \
                     but transactions of the last seconds may be paid for twice"
                );
                recovered = true;
                connect(&file)?
            }
            other => other?,
        };
        Ok(Self { connection, file, recovered, _lock: lock })
    }
}

fn take_lock(file: &Path) -> Result<File, JournalError> {
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)
        .map_err(|e| JournalError::from_io(file, &e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked { file: file.to_path_buf() }),
        Err(TryLockError::Error(e)) => Err(JournalError::from_io(file, &e)),
    }
}

fn connect(file: &Path) -> Result<Connection, JournalError> {
    // SQLite would take the umask's permissions; transactions and wallet addresses are nobody else's business.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)
        .map_err(|e| JournalError::from_io(file, &e))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let err = |e: rusqlite::Error| JournalError::from_sqlite(file, &e);
    let mut connection = Connection::open_with_flags(file, flags).map_err(err)?;
    let application: u32 = connection.pragma_query_value(None, "application_id", |r| r.get(0)).map_err(err)?;
    let tables: u32 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).map_err(err)?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(JournalError::Foreign { file: file.to_path_buf() });
    }
    connection.pragma_update_and_check(None, "journal_mode", "wal", |r| r.get::<_, String>(0)).map_err(err)?;
    for (name, value) in [
        ("synchronous", 1),
        ("journal_size_limit", limits::JOURNAL_WAL_BYTES as i64),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
        ("temp_store", 2),
    ] {
        pragma(&connection, name, value).map_err(err)?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |r| r.get(0)).map_err(err)?;
    if verdict != "ok" {
        let detail = relayer_core::error::Detail::new(verdict);
        return Err(JournalError::Corrupt { file: file.to_path_buf(), detail });
    }
    migrate(&mut connection, file)?;
    Ok(connection)
}

/// Sets a pragma, whether or not it answers with a row.
pub(super) fn pragma(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    match connection.pragma_update(None, name, value) {
        Err(rusqlite::Error::ExecuteReturnedResults) | Ok(()) => Ok(()),
        Err(e) => Err(e),
    }
}

fn migrate(connection: &mut Connection, file: &Path) -> Result<(), JournalError> {
    let err = |e: rusqlite::Error| JournalError::from_sqlite(file, &e);
    let found: u32 = connection.pragma_query_value(None, "user_version", |r| r.get(0)).map_err(err)?;
    let known = MIGRATIONS.len() as u32;
    if found > known {
        return Err(JournalError::Newer { file: file.to_path_buf(), found, known });
    }
    for (number, sql) in (1u32..).zip(MIGRATIONS).skip(found as usize) {
        let tx = connection.transaction().map_err(err)?;
        tx.execute_batch(sql).map_err(err)?;
        pragma(&tx, "application_id", i64::from(APPLICATION_ID)).map_err(err)?;
        pragma(&tx, "user_version", i64::from(number)).map_err(err)?;
        tx.commit().map_err(err)?;
    }
    Ok(())
}

/// Renames a damaged database with its write-ahead log, out of the way.
fn set_aside(file: &Path) -> Result<PathBuf, JournalError> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let aside = (seconds..)
        .map(|s| sibling(file, &format!(".corrupt-{s}")))
        .find(|p| !p.exists())
        .unwrap_or_else(|| sibling(file, ".corrupt"));
    fs::rename(file, &aside).map_err(|e| JournalError::from_io(file, &e))?;
    for suffix in ["-wal", "-shm"] {
        let from = sibling(file, suffix);
        match fs::rename(&from, sibling(&aside, suffix)) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => {
                warn!(file = %from.display(), error = %e, "can't set aside; removing it");
                fs::remove_file(&from).map_err(|e| JournalError::from_io(&from, &e))?;
            }
        }
    }
    Ok(aside)
}

fn sibling(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
