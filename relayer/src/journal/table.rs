//! The statements: each function is one job of the writer, may run twice (see `writer`), and sees all earlier writes.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use relayer_core::id::{AccountSequence, ChainId, ChannelId, Height, PortId, Sequence, Timestamp, TxHash};
use relayer_core::packet::{PacketKey, PortChannel, Side};
use relayer_core::record::Action;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::record::{
    Attempt, AttemptEnd, AttemptKind, Fee, FeeTotal, JournalPacket, PacketNews, Sighting, phase_from_name,
};
use crate::limits;

type Sql<T> = rusqlite::Result<T>;

// SQLite's integers are signed: a u64 goes in and comes out bit by bit.
fn put(n: u64) -> i64 {
    i64::from_ne_bytes(n.to_ne_bytes())
}
fn got(n: i64) -> u64 {
    u64::from_ne_bytes(n.to_ne_bytes())
}
fn time(row: &Row<'_>, column: usize) -> Sql<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|t| Timestamp(got(t))))
}
fn put_time(t: Option<Timestamp>) -> Option<i64> {
    t.map(|t| put(t.0))
}
fn bad(column: usize, e: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e))
}
fn unknown(column: usize) -> rusqlite::Error {
    bad(column, std::io::Error::other("unknown value"))
}
fn put_side(side: Side) -> i64 {
    match side {
        Side::A => 0,
        Side::B => 1,
    }
}
fn side(row: &Row<'_>, column: usize) -> Sql<Side> {
    match row.get::<_, i64>(column)? {
        0 => Ok(Side::A),
        1 => Ok(Side::B),
        _ => Err(unknown(column)),
    }
}
fn chain(row: &Row<'_>, column: usize) -> Sql<ChainId> {
    ChainId::new(row.get::<_, String>(column)?).map_err(|e| bad(column, e))
}

pub(super) fn cursor(db: &Connection, path: &str, side: Side) -> Sql<Option<Height>> {
    db.prepare_cached("SELECT revision, height FROM cursors WHERE path = ?1 AND side = ?2")?
        .query_row(params![path, put_side(side)], |r| Ok(Height::new(got(r.get(0)?), got(r.get(1)?))))
        .optional()
}

pub(super) fn set_cursor(db: &Connection, path: &str, side: Side, height: Height) -> Sql<()> {
    db.prepare_cached("INSERT OR REPLACE INTO cursors (path, side, revision, height) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![path, put_side(side), put(height.revision), put(height.number)])?;
    Ok(())
}

pub(super) fn attempt_begin(db: &Connection, attempts: &[Attempt]) -> Sql<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    // A second broadcast of the same bytes opens the attempt again.
    let mut insert = db.prepare_cached(
        "INSERT OR REPLACE INTO attempts (hash, chain, path, signer, account_sequence, timeout_revision, timeout_height, kind, packets, begun_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for a in attempts {
        let packets =
            serde_json::to_string(&a.packets).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
        insert.execute(params![
            a.hash.0,
            a.chain.as_str(),
            a.path,
            a.signer,
            put(a.account_sequence.0),
            put(a.timeout_height.revision),
            put(a.timeout_height.number),
            a.kind.name(),
            packets,
            put(now)
        ])?;
    }
    Ok(())
}

pub(super) fn attempt_end(db: &Connection, hash: TxHash, end: &AttemptEnd) -> Sql<bool> {
    let (outcome, at, reason) = end.columns();
    let changed = db
        .prepare_cached("UPDATE attempts SET outcome = ?2, revision = ?3, height = ?4, reason = ?5 WHERE hash = ?1")?
        .execute(params![hash.0, outcome, at.map(|h| put(h.revision)), at.map(|h| put(h.number)), reason])?;
    Ok(changed > 0)
}

pub(super) fn open_attempts(db: &Connection, of: &ChainId) -> Sql<Vec<Attempt>> {
    db.prepare_cached(
        "SELECT hash, chain, path, signer, account_sequence, timeout_revision, timeout_height, kind, packets
         FROM attempts WHERE outcome IS NULL AND chain = ?1 ORDER BY id LIMIT ?2",
    )?
    .query_map(params![of.as_str(), put(limits::JOURNAL_OPEN_ATTEMPTS)], |r| {
        let packets: Vec<(Action, PacketKey)> = serde_json::from_str(r.get_ref(8)?.as_str()?).map_err(|e| bad(8, e))?;
        Ok(Attempt {
            hash: TxHash(r.get(0)?),
            chain: chain(r, 1)?,
            path: r.get(2)?,
            signer: r.get(3)?,
            account_sequence: AccountSequence(got(r.get(4)?)),
            timeout_height: Height::new(got(r.get(5)?), got(r.get(6)?)),
            kind: AttemptKind::from_name(r.get_ref(7)?.as_str()?).ok_or_else(|| unknown(7))?,
            packets,
        })
    })?
    .collect()
}

pub(super) fn packets_seen(db: &Connection, path: &str, seen: &[Sighting]) -> Sql<Vec<Uuid>> {
    // The first id stays, whatever later sightings say.
    let mut insert = db.prepare_cached(
        "INSERT INTO packets (path, side, port, channel, sequence, tx_id, phase, closed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'UNINITIALIZED', 0)
         ON CONFLICT DO UPDATE SET closed = closed RETURNING tx_id",
    )?;
    seen.iter()
        .map(|s| {
            let k = &s.key;
            let row = params![
                path,
                put_side(k.from),
                k.source.port.as_str(),
                k.source.channel.as_str(),
                put(k.sequence.0),
                s.tx_id().into_bytes()
            ];
            insert.query_row(row, |r| Ok(Uuid::from_bytes(r.get(0)?)))
        })
        .collect()
}

pub(super) fn packets_news(db: &Connection, path: &str, news: &[PacketNews]) -> Sql<()> {
    let mut update = db.prepare_cached(
        "UPDATE packets SET phase = ?6, closed = ?7, sent = coalesce(sent, ?8), received = coalesce(received, ?9),
         ended = coalesce(ended, ?10), reason = ?11
         WHERE path = ?1 AND side = ?2 AND port = ?3 AND channel = ?4 AND sequence = ?5",
    )?;
    for n in news {
        let k = &n.key;
        update.execute(params![
            path,
            put_side(k.from),
            k.source.port.as_str(),
            k.source.channel.as_str(),
            put(k.sequence.0),
            n.phase.name(),
            n.phase.ended(),
            put_time(n.sent),
            put_time(n.received),
            put_time(n.ended),
            n.reason
        ])?;
    }
    Ok(())
}

const PACKET: &str = "SELECT side, port, channel, sequence, tx_id, phase, sent, received, ended, reason FROM packets";

fn packet(r: &Row<'_>) -> Sql<JournalPacket> {
    Ok(JournalPacket {
        key: PacketKey {
            from: side(r, 0)?,
            source: PortChannel {
                port: PortId::new(r.get::<_, String>(1)?).map_err(|e| bad(1, e))?,
                channel: ChannelId::new(r.get::<_, String>(2)?).map_err(|e| bad(2, e))?,
            },
            sequence: Sequence(got(r.get(3)?)),
        },
        tx_id: Uuid::from_bytes(r.get(4)?),
        phase: phase_from_name(r.get_ref(5)?.as_str()?).ok_or_else(|| unknown(5))?,
        sent: time(r, 6)?,
        received: time(r, 7)?,
        ended: time(r, 8)?,
        reason: r.get(9)?,
    })
}

pub(super) fn open_packets(db: &Connection, path: &str) -> Sql<Vec<JournalPacket>> {
    db.prepare_cached(&format!("{PACKET} WHERE closed = 0 AND path = ?1 ORDER BY id LIMIT ?2"))?
        .query_map(params![path, put(limits::JOURNAL_OPEN_PACKETS)], packet)?
        .collect()
}

pub(super) fn history(db: &Connection, path: &str, most: u64) -> Sql<Vec<JournalPacket>> {
    let most = most.min(limits::JOURNAL_HISTORY_ROWS);
    db.prepare_cached(&format!("{PACKET} WHERE closed = 1 AND path = ?1 ORDER BY id DESC LIMIT ?2"))?
        .query_map(params![path, put(most)], packet)?
        .collect()
}

pub(super) fn find_packet(db: &Connection, tx_id: Uuid) -> Sql<Vec<(String, JournalPacket)>> {
    db.prepare_cached(
        "SELECT side, port, channel, sequence, tx_id, phase, sent, received, ended, reason, path FROM packets WHERE tx_id = ?1 LIMIT 16",
    )?
    .query_map([tx_id.into_bytes()], |r| Ok((r.get(10)?, packet(r)?)))?
    .collect()
}

pub(super) fn trust(db: &Connection, of: &ChainId) -> Sql<Option<Vec<u8>>> {
    db.prepare_cached("SELECT state FROM trust WHERE chain = ?1")?.query_row([of.as_str()], |r| r.get(0)).optional()
}

pub(super) fn set_trust(db: &Connection, of: &ChainId, state: &[u8]) -> Sql<()> {
    db.prepare_cached("INSERT OR REPLACE INTO trust (chain, state) VALUES (?1, ?2)")?
        .execute(params![of.as_str(), state])?;
    Ok(())
}

pub(super) fn fees_paid(db: &Connection, fees: &[Fee]) -> Sql<()> {
    let mut read =
        db.prepare_cached("SELECT amount FROM fees WHERE chain = ?1 AND path = ?2 AND kind = ?3 AND denom = ?4")?;
    let mut write = db.prepare_cached(
        "INSERT INTO fees (chain, path, kind, denom, amount, payments) SELECT ?1, ?2, ?3, ?4, ?5, 1
         WHERE (SELECT count(*) FROM fees) < ?6 OR EXISTS (SELECT 1 FROM fees WHERE chain = ?1 AND path = ?2 AND kind = ?3 AND denom = ?4)
         ON CONFLICT DO UPDATE SET amount = excluded.amount, payments = payments + 1",
    )?;
    for f in fees {
        let before: Option<[u8; 16]> =
            read.query_row(params![f.chain.as_str(), f.path, f.kind, f.denom], |r| r.get(0)).optional()?;
        let sum = u128::from_be_bytes(before.unwrap_or_default()).saturating_add(f.amount).to_be_bytes();
        write.execute(params![f.chain.as_str(), f.path, f.kind, f.denom, sum, put(limits::JOURNAL_FEE_ROWS)])?;
    }
    Ok(())
}

pub(super) fn fees(db: &Connection) -> Sql<Vec<FeeTotal>> {
    db.prepare_cached(
        "SELECT chain, path, kind, denom, amount, payments FROM fees ORDER BY chain, path, kind, denom LIMIT ?1",
    )?
    .query_map([put(limits::JOURNAL_FEE_ROWS)], |r| {
        Ok(FeeTotal {
            chain: chain(r, 0)?,
            path: r.get(1)?,
            kind: r.get(2)?,
            denom: r.get(3)?,
            amount: u128::from_be_bytes(r.get(4)?),
            payments: got(r.get(5)?),
        })
    })?
    .collect()
}

/// How many rows of each sort stay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    pub(super) ended: u64,
    pub(super) open: u64,
    pub(super) attempts: u64,
}

/// Deletes the oldest rows above the bounds, a bounded number at a time. Attempts without an outcome stay.
pub(super) fn prune(db: &Connection, keep: Keep) -> Sql<u64> {
    let mut gone = 0u64;
    for (rows, most) in [
        ("packets WHERE closed = 1", keep.ended),
        ("packets WHERE closed = 0", keep.open),
        ("attempts WHERE outcome IS NOT NULL", keep.attempts),
    ] {
        let count: i64 = db.prepare_cached(&format!("SELECT count(*) FROM {rows}"))?.query_row([], |r| r.get(0))?;
        let over = got(count).saturating_sub(most).min(limits::JOURNAL_PRUNE_ROWS);
        if over > 0 {
            let table = rows.split(' ').next().unwrap_or(rows);
            db.prepare_cached(&format!(
                "DELETE FROM {table} WHERE id IN (SELECT id FROM {rows} ORDER BY id LIMIT ?1)"
            ))?
            .execute([put(over)])?;
            gone = gone.saturating_add(over);
        }
    }
    Ok(gone)
}

/// The chains with attempts that have no outcome, for `status`.
pub(super) fn open_attempt_count(db: &Connection) -> Sql<Vec<(Arc<str>, u64)>> {
    db.prepare_cached(
        "SELECT chain, count(*) FROM attempts WHERE outcome IS NULL GROUP BY chain ORDER BY chain LIMIT 1000",
    )?
    .query_map([], |r| Ok((r.get(0)?, got(r.get(1)?))))?
    .collect()
}
