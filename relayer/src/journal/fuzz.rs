//! Rows of a journal that something else wrote, as the fuzz target reads them; built with `--cfg fuzzing` only.

use relayer_core::id::ChainId;
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::file::MIGRATIONS;
use super::record::{Attempt, JournalPacket};
use super::table;

/// The path of all rows.
pub const PATH: &str = "a-b";

/// A journal in memory with one row for each list of columns: those of `attempts` from `hash` to `begun_ms`, and those of
/// `packets` from `path` to `reason`. `None` when the database's own types refuse them.
pub fn journal(attempt: &[Value; 10], packet: &[Value; 12]) -> Option<Connection> {
    let db = Connection::open_in_memory().ok()?;
    MIGRATIONS.iter().try_for_each(|sql| db.execute_batch(sql)).ok()?;
    let attempts = "INSERT INTO attempts (hash, chain, path, signer, account_sequence, timeout_revision, timeout_height, kind, packets, begun_ms)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let packets =
        "INSERT INTO packets (path, side, port, channel, sequence, tx_id, phase, closed, sent, received, ended, reason)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    db.execute(attempts, params_from_iter(attempt)).ok()?;
    db.execute(packets, params_from_iter(packet)).ok()?;
    Some(db)
}

/// Attempts without an outcome, read, written into an empty journal and read again.
pub fn attempts(db: &Connection, chain: &ChainId) -> Option<[Vec<Attempt>; 2]> {
    let first = table::open_attempts(db, chain).ok()?;
    db.execute("DELETE FROM attempts", params![]).ok()?;
    table::attempt_begin(db, &first).ok()?;
    Some([first, table::open_attempts(db, chain).ok()?])
}

/// Packets that have not ended.
pub fn packets(db: &Connection) -> Option<Vec<JournalPacket>> {
    table::open_packets(db, PATH).ok()
}
