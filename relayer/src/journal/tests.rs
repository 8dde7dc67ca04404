use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::prelude::*;
use relayer_core::id::{AccountSequence, ChannelId, PortId, Sequence, Timestamp};
use relayer_core::packet::{At, PacketKey, PortChannel};
use relayer_core::record::{Action, Phase};

use super::*;

fn chain(name: &str) -> ChainId {
    ChainId::new(name).unwrap()
}

fn key(sequence: u64) -> PacketKey {
    let source = PortChannel { port: PortId::new("transfer").unwrap(), channel: ChannelId::new("channel-0").unwrap() };
    PacketKey { from: Side::A, source, sequence: Sequence(sequence) }
}

fn sighting(sequence: u64, ms: u64) -> Sighting {
    let at = At { height: Height::new(1, ms), time: Timestamp::from_millis(ms) };
    Sighting { key: key(sequence), source_chain: chain("sim-a-1"), at }
}

fn attempt(n: u8) -> Attempt {
    Attempt {
        hash: TxHash([n; 32]),
        chain: chain("sim-b-1"),
        path: "a-b".into(),
        signer: "cosmos1abc".into(),
        account_sequence: AccountSequence(u64::from(n)),
        timeout_height: Height::new(1, u64::MAX),
        kind: AttemptKind::Packets,
        packets: vec![(Action::Recv, key(u64::from(n))), (Action::Ack, key(u64::MAX))],
    }
}

fn news(sequence: u64, phase: Phase) -> PacketNews {
    PacketNews {
        key: key(sequence),
        phase,
        sent: Some(Timestamp(1_000_000)),
        received: None,
        ended: None,
        reason: None,
    }
}

fn open(dir: &Path) -> Journal {
    Journal::open(dir).unwrap().journal
}

/// The files as another process would find them if this one were killed now.
fn copy_as_after_a_crash(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[tokio::test]
async fn an_answered_attempt_is_there_after_a_crash_at_any_later_instant_attack_52() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let journal = open(&live);
    for n in 1..=20u8 {
        journal.attempt_begin(vec![attempt(n)]).await.unwrap();
        let crashed = dir.path().join(format!("crash-{n}"));
        copy_as_after_a_crash(&live, &crashed);
        let after = open(&crashed);
        let open_attempts = after.open_attempts(&chain("sim-b-1")).await.unwrap();
        assert_eq!(open_attempts, (1..=n).map(attempt).collect::<Vec<_>>());
        after.close().await;
    }
}

#[tokio::test]
async fn a_torn_write_ahead_log_loses_its_tail_only() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let journal = open(&live);
    journal.attempt_begin(vec![attempt(1)]).await.unwrap();
    let safe = fs::metadata(live.join("journal.sqlite-wal")).unwrap().len();
    journal.attempt_begin(vec![attempt(2)]).await.unwrap();
    let whole = fs::metadata(live.join("journal.sqlite-wal")).unwrap().len();
    assert!(whole > safe);
    for cut in (safe..whole).step_by(((whole - safe) / 7).max(1) as usize) {
        let crashed = dir.path().join(format!("cut-{cut}"));
        copy_as_after_a_crash(&live, &crashed);
        fs::OpenOptions::new().write(true).open(crashed.join("journal.sqlite-wal")).unwrap().set_len(cut).unwrap();
        let opened = Journal::open(&crashed).unwrap();
        assert!(!opened.recovered);
        assert_eq!(opened.journal.open_attempts(&chain("sim-b-1")).await.unwrap(), vec![attempt(1)]);
        opened.journal.close().await;
    }
}

#[tokio::test]
async fn an_ended_attempt_is_open_no_more_until_it_is_broadcast_again() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let b = chain("sim-b-1");
    journal.attempt_begin(vec![attempt(1), attempt(2)]).await.unwrap();
    assert!(journal.attempt_end(TxHash([1; 32]), AttemptEnd::Committed(Height::new(1, 9))).await.unwrap());
    assert!(!journal.attempt_end(TxHash([9; 32]), AttemptEnd::Expired).await.unwrap());
    assert_eq!(journal.open_attempts(&b).await.unwrap(), vec![attempt(2)]);
    assert!(journal.open_attempts(&chain("sim-a-1")).await.unwrap().is_empty());
    assert_eq!(journal.open_attempt_count().await.unwrap(), vec![("sim-b-1".into(), 1)]);
    journal.attempt_begin(vec![attempt(1)]).await.unwrap();
    assert_eq!(journal.open_attempts(&b).await.unwrap(), vec![attempt(2), attempt(1)]);
}

#[tokio::test]
async fn a_packet_keeps_its_id_over_restarts_and_later_sightings() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let first = journal.packets_seen("a-b", vec![sighting(1, 5_000), sighting(2, 5_000)]).await;
    assert_ne!(first[0], first[1]);
    assert_eq!(first[0].get_version_num(), 7);
    journal.close().await;
    let journal = open(dir.path());
    let again = journal.packets_seen("a-b", vec![sighting(2, 9_999), sighting(1, 7_777), sighting(3, 1)]).await;
    assert_eq!(again[..2], [first[1], first[0]]);
    assert_eq!(journal.open_packets("a-b").await.unwrap().len(), 3);
    assert_eq!(journal.find_packet(first[1]).await.unwrap()[0].1.key, key(2));
}

#[tokio::test]
async fn a_lost_journal_gives_the_same_packet_the_same_id() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ids = open(one.path()).packets_seen("a-b", vec![sighting(1, 5_000)]).await;
    assert_eq!(open(two.path()).packets_seen("renamed", vec![sighting(1, 5_000)]).await, ids);
    let seconds = ids[0].get_timestamp().unwrap().to_unix().0;
    assert_eq!(seconds, 5);
}

#[tokio::test]
async fn ended_packets_move_from_the_open_list_to_the_history_with_their_times() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let ids = journal.packets_seen("a-b", vec![sighting(1, 1), sighting(2, 1)]).await;
    let received = PacketNews { received: Some(Timestamp(4_000_000)), ..news(1, Phase::Committed) };
    let acked = PacketNews { sent: None, ended: Some(Timestamp(9_000_000)), ..news(1, Phase::Acked) };
    journal.packets_news("a-b", vec![received]).await.unwrap();
    journal.packets_news("a-b", vec![acked, news(99, Phase::Acked)]).await.unwrap();
    let open_packets = journal.open_packets("a-b").await.unwrap();
    assert_eq!(open_packets.iter().map(|p| p.tx_id).collect::<Vec<_>>(), ids[1..]);
    let history = journal.history("a-b", 10).await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].receive_ms(), history[0].whole_ms()), (Some(3), Some(8)));
    assert_eq!((history[0].tx_id, history[0].phase), (ids[0], Phase::Acked));
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_a_new_one_works() {
    for damage in ["header", "truncated", "page", "text"] {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(dir.path());
        journal.packets_seen("a-b", (1..500).map(|s| sighting(s, s)).collect()).await;
        journal.close().await;
        let file = dir.path().join("journal.sqlite");
        let mut bytes = fs::read(&file).unwrap();
        assert!(bytes.len() > 40_000);
        match damage {
            "header" => bytes[..100].fill(0xff),
            "truncated" => bytes.truncate(5_000),
            "page" => bytes[8_192..20_000].fill(0xa5),
            _ => bytes = b"this is no database, it is a letter".repeat(100),
        }
        fs::write(&file, &bytes).unwrap();
        let opened = Journal::open(dir.path()).unwrap();
        assert!(opened.recovered, "{damage}");
        opened.journal.attempt_begin(vec![attempt(1)]).await.unwrap();
        opened.journal.close().await;
        let aside = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap())
            .find(|e| e.file_name().to_string_lossy().starts_with("journal.sqlite.corrupt-"))
            .expect("the damaged file is kept");
        assert_eq!(fs::read(aside.path()).unwrap(), bytes, "{damage}: kept as it was");
        let opened = Journal::open(dir.path()).unwrap();
        assert!(!opened.recovered, "{damage}");
        assert_eq!(opened.journal.open_attempts(&chain("sim-b-1")).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_full_disk_refuses_attempts_names_the_remedy_and_heals() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let pages: i64 = store.connection.pragma_query_value(None, "page_count", |r| r.get(0)).unwrap();
    file::pragma(&store.connection, "max_page_count", pages + 8).unwrap();
    let journal = Journal::start(store, KEEP).unwrap().journal;
    let mut begun = 0u64;
    let refused = loop {
        let batch: Vec<Attempt> =
            (0..4).map(|i| Attempt { hash: TxHash([begun as u8 * 4 + i; 32]), ..attempt(1) }).collect();
        match journal.attempt_begin(batch).await {
            Ok(()) => begun += 1,
            Err(e) => break e,
        }
        assert!(begun < 60, "the disk never got full");
    };
    assert!(matches!(&refused, JournalError::Full { file } if file.ends_with("journal.sqlite")), "{refused:?}");
    assert!(refused.to_string().contains("free space"));
    // Nothing of the refused batch is there, everything before it is.
    let recorded = journal.open_attempts(&chain("sim-b-1")).await.unwrap();
    assert_eq!(recorded.len() as u64, begun * 4);
    assert!(journal.status().failures > 0);
    // What needs no record goes on: ids are computed.
    let many: Vec<Sighting> = (1..2_000).map(|s| sighting(s, s)).collect();
    let ids = journal.packets_seen("a-b", many.clone()).await;
    assert_eq!(ids, many.iter().map(Sighting::tx_id).collect::<Vec<_>>());
    assert_eq!(journal.status().degraded.map(|e| e.label()), Some("disk_full"));
    journal.call(Durability::Process, |db| file::pragma(db, "max_page_count", 1_000_000)).await.unwrap();
    journal.attempt_begin(vec![attempt(255)]).await.unwrap();
    assert_eq!(journal.status().degraded, None);
}

#[tokio::test]
async fn a_job_that_fails_takes_no_other_job_of_its_group_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let bad = |db: &Connection| db.execute("INSERT INTO nowhere VALUES (1)", []).map(|_| ());
    let (a, b, c) = tokio::join!(
        journal.set_cursor("a-b", Side::A, Height::new(1, 1)),
        journal.call(Durability::Process, bad),
        journal.set_cursor("a-b", Side::B, Height::new(1, 2)),
    );
    assert!(a.is_ok() && b.is_err() && c.is_ok());
    assert_eq!(journal.cursor("a-b", Side::A).await.unwrap(), Some(Height::new(1, 1)));
    assert_eq!(journal.cursor("a-b", Side::B).await.unwrap(), Some(Height::new(1, 2)));
}

#[tokio::test]
async fn jobs_that_wait_are_committed_together() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let (started, running) = oneshot::channel();
    let blocker = tokio::spawn({
        let journal = journal.clone();
        let mut started = Some(started);
        async move {
            let wait = move |_: &Connection| {
                started.take().unwrap().send(()).unwrap();
                Ok(held.recv().ok())
            };
            journal.call(Durability::Process, wait).await
        }
    });
    // From here on the writer is busy with a group of one.
    running.await.unwrap();
    let mut waiting = Vec::new();
    for n in 1..=100u8 {
        let journal = journal.clone();
        waiting.push(tokio::spawn(async move { journal.attempt_begin(vec![attempt(n)]).await }));
    }
    while journal.status().queued < 100 {
        tokio::task::yield_now().await;
    }
    let before = journal.status().commits;
    hold.send(()).unwrap();
    for w in waiting {
        w.await.unwrap().unwrap();
    }
    blocker.await.unwrap().unwrap();
    assert_eq!(journal.status().commits - before, 2, "the blocker's and one for all that waited");
}

#[tokio::test]
async fn a_store_in_use_is_refused_by_the_name_of_its_lock() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let refused = Journal::open(dir.path()).unwrap_err();
    assert_eq!(refused, JournalError::Locked { file: dir.path().join("journal.lock") });
    journal.close().await;
    assert!(Journal::open(dir.path()).is_ok());
}

#[tokio::test]
async fn a_file_of_a_newer_relayer_or_another_program_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    journal.call(Durability::Process, |db| file::pragma(db, "user_version", 99)).await.unwrap();
    journal.close().await;
    assert!(matches!(Journal::open(dir.path()).unwrap_err(), JournalError::Newer { found: 99, known: 1, .. }));

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("journal.sqlite");
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
    let before = fs::read(&file).unwrap();
    assert_eq!(Journal::open(dir.path()).unwrap_err(), JournalError::Foreign { file: file.clone() });
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn the_store_is_the_owners_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let _journal = open(&store);
    let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&store), 0o700);
    assert_eq!(mode(&store.join("journal.sqlite")), 0o600);
    assert_eq!(mode(&store.join("journal.sqlite-wal")), 0o600);
}

#[tokio::test]
async fn the_oldest_ended_rows_go_first_and_open_attempts_stay() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    journal.packets_seen("a-b", (1..=30).map(|s| sighting(s, s)).collect()).await;
    journal.packets_news("a-b", (1..=20).map(|s| news(s, Phase::Acked)).collect()).await.unwrap();
    journal.attempt_begin((1..=10).map(attempt).collect()).await.unwrap();
    for n in 1..=8 {
        journal.attempt_end(TxHash([n; 32]), AttemptEnd::Expired).await.unwrap();
    }
    let keep = Keep { ended: 5, open: 4, attempts: 3 };
    let gone = journal.call(Durability::Process, move |db| table::prune(db, keep)).await.unwrap();
    assert_eq!(gone, 15 + 6 + 5);
    let left: Vec<u64> = journal.history("a-b", 100).await.unwrap().iter().map(|p| p.key.sequence.0).collect();
    assert_eq!(left, [20, 19, 18, 17, 16]);
    let left: Vec<u64> = journal.open_packets("a-b").await.unwrap().iter().map(|p| p.key.sequence.0).collect();
    assert_eq!(left, [27, 28, 29, 30]);
    assert_eq!(journal.open_attempts(&chain("sim-b-1")).await.unwrap().len(), 2);
}

#[tokio::test]
async fn trust_over_its_bound_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let refused = journal.set_trust(&chain("sim-a-1"), vec![0; limits::TRUST_BYTES + 1]).await.unwrap_err();
    assert_eq!(refused.label(), "too_large");
    assert_eq!(journal.trust(&chain("sim-a-1")).await.unwrap(), None);
}

#[tokio::test]
async fn a_closed_journal_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let other = journal.clone();
    journal.close().await;
    assert_eq!(other.set_cursor("a-b", Side::A, Height::new(1, 1)).await.unwrap_err(), JournalError::Closed);
}

/// One write, or a restart.
#[derive(Debug, Clone)]
enum Op {
    Begin(Vec<u8>),
    End(u8),
    Cursor(u8, bool, u64),
    See(Vec<u64>),
    News(u64, Phase),
    Trust(u8, Vec<u8>),
    Fee(u8, u128),
    Restart,
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    let phase = prop_oneof![Just(Phase::Validating), Just(Phase::Committed), Just(Phase::Acked), Just(Phase::TimedOut)];
    prop_oneof![
        3 => prop::collection::vec(0..6u8, 1..4).prop_map(Op::Begin),
        2 => (0..6u8).prop_map(Op::End),
        2 => (0..3u8, any::<bool>(), any::<u64>()).prop_map(|(p, s, h)| Op::Cursor(p, s, h)),
        3 => prop::collection::vec(prop_oneof![0..5u64, Just(u64::MAX)], 1..4).prop_map(Op::See),
        2 => (0..5u64, phase).prop_map(|(s, p)| Op::News(s, p)),
        1 => (0..2u8, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(c, b)| Op::Trust(c, b)),
        1 => (0..2u8, any::<u128>()).prop_map(|(c, a)| Op::Fee(c, a)),
        1 => Just(Op::Restart),
        1 => Just(Op::Crash),
    ]
}

#[derive(Debug, Default, PartialEq)]
struct Model {
    open: Vec<u8>,
    cursors: BTreeMap<(u8, bool), u64>,
    packets: BTreeMap<u64, (Uuid, Phase)>,
    trust: BTreeMap<u8, Vec<u8>>,
    fees: BTreeMap<u8, (u128, u64)>,
}

impl Model {
    fn apply(&mut self, op: &Op, step: u64) {
        match op {
            Op::Begin(ns) => {
                for n in ns {
                    self.open.retain(|x| x != n);
                    self.open.push(*n);
                }
            }
            Op::End(n) => self.open.retain(|x| x != n),
            Op::Cursor(p, s, h) => drop(self.cursors.insert((*p, *s), *h)),
            Op::See(seqs) => {
                for s in seqs {
                    self.packets.entry(*s).or_insert((sighting(*s, step).tx_id(), Phase::Uninitialized));
                }
            }
            Op::News(s, phase) => {
                if let Some(p) = self.packets.get_mut(s) {
                    p.1 = *phase;
                }
            }
            Op::Trust(c, bytes) => drop(self.trust.insert(*c, bytes.clone())),
            Op::Fee(c, amount) => {
                let f = self.fees.entry(*c).or_default();
                *f = (f.0.saturating_add(*amount), f.1 + 1);
            }
            Op::Restart | Op::Crash => {}
        }
    }
}

fn numbered(n: u8) -> ChainId {
    chain(&format!("sim-{n}"))
}

async fn read_back(journal: &Journal) -> Model {
    let open = journal.open_attempts(&chain("sim-b-1")).await.unwrap().iter().map(|a| a.hash.0[0]).collect();
    let mut model = Model { open, ..Model::default() };
    for p in 0..3u8 {
        for s in [false, true] {
            let side = if s { Side::B } else { Side::A };
            if let Some(h) = journal.cursor(&p.to_string(), side).await.unwrap() {
                model.cursors.insert((p, s), h.number);
            }
        }
    }
    let both = [journal.open_packets("a-b").await.unwrap(), journal.history("a-b", 1_000).await.unwrap()].concat();
    model.packets = both.into_iter().map(|p| (p.key.sequence.0, (p.tx_id, p.phase))).collect();
    for c in 0..2u8 {
        if let Some(bytes) = journal.trust(&numbered(c)).await.unwrap() {
            model.trust.insert(c, bytes);
        }
    }
    let number = |f: &FeeTotal| f.chain.as_str().trim_start_matches("sim-").parse().unwrap();
    model.fees = journal.fees().await.unwrap().iter().map(|f| (number(f), (f.amount, f.payments))).collect();
    model
}

async fn write(journal: &Journal, op: &Op, step: u64) {
    match op.clone() {
        Op::Begin(ns) => journal.attempt_begin(ns.into_iter().map(attempt).collect()).await.unwrap(),
        Op::End(n) => drop(journal.attempt_end(TxHash([n; 32]), AttemptEnd::Expired).await.unwrap()),
        Op::Cursor(p, s, h) => {
            let side = if s { Side::B } else { Side::A };
            journal.set_cursor(&p.to_string(), side, Height::new(0, h)).await.unwrap();
        }
        Op::See(seqs) => drop(journal.packets_seen("a-b", seqs.into_iter().map(|s| sighting(s, step)).collect()).await),
        Op::News(s, phase) => journal.packets_news("a-b", vec![news(s, phase)]).await.unwrap(),
        Op::Trust(c, bytes) => journal.set_trust(&numbered(c), bytes).await.unwrap(),
        Op::Fee(c, amount) => {
            let fee = Fee {
                chain: numbered(c),
                path: "a-b".into(),
                kind: "recv_packet".into(),
                denom: "stake".into(),
                amount,
            };
            journal.fees_paid(vec![fee]).await.unwrap();
        }
        Op::Restart | Op::Crash => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence_of_writes_restarts_and_crashes_reads_back_as_a_map_in_memory_would(ops in prop::collection::vec(op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let mut at = dir.path().join("0");
            let mut journal = open(&at);
            let mut model = Model::default();
            for (step, op) in (1u64..).zip(&ops) {
                write(&journal, op, step).await;
                model.apply(op, step);
                match op {
                    Op::Restart => {
                        journal.close().await;
                        journal = open(&at);
                    }
                    Op::Crash => {
                        let next = dir.path().join(step.to_string());
                        copy_as_after_a_crash(&at, &next);
                        journal.close().await;
                        at = next;
                        journal = open(&at);
                    }
                    _ => {}
                }
            }
            assert_eq!(read_back(&journal).await, model);
        });
    }
}
