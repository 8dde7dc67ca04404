//! The chains are the truth: a journal deleted or damaged between two runs loses no packet and repeats none.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use relayer_tests::devnet::{ConfigOptions, Devnet, STAKE, Transfer};
use relayer_tests::relay::{Action, Line};

const WAIT: Duration = Duration::from_secs(120);

/// The journal's own files, which lie beside the keys.
fn journal_files(store: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(store).unwrap().map(|e| e.unwrap().path());
    let named = |p: &std::path::PathBuf| p.file_name().unwrap().to_string_lossy().starts_with("journal.sqlite");
    let files: Vec<_> = entries.filter(named).collect();
    assert!(!files.is_empty(), "no journal in {}", store.display());
    files
}

/// What happens to the journal's file.
type Damage = fn(&Path);

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_damaged_journal_costs_no_packet() {
    let mut line = Line::open(Devnet::two_chains().await.unwrap(), &ConfigOptions::default()).await.unwrap();
    let link = line.link(0).unwrap();
    let (alice, bob) = (line.net.a.user(&line.net.wallets.user_a), line.net.b.user(&line.net.wallets.user_b));
    let there = vec![Transfer::new(&link.a.channel, 1, STAKE, bob.address()); 60];
    let back = vec![Transfer::new(&link.b.channel, 1, STAKE, alice.address()); 60];
    let store = line.relayer.config.store.clone();

    let damages: [(&str, Damage); 4] = [
        ("deleted", |file| std::fs::remove_file(file).unwrap()),
        ("noise", |file| std::fs::write(file, vec![0xa5; 20_000]).unwrap()),
        ("cut off", |file| {
            let half = std::fs::metadata(file).unwrap().len() / 2 + 17;
            std::fs::File::options().write(true).open(file).unwrap().set_len(half).unwrap();
        }),
        ("overwritten in its middle", |file| {
            let mut bytes = std::fs::read(file).unwrap();
            let from = bytes.len().min(3_000);
            bytes[from..].fill(0x5a);
            std::fs::write(file, bytes).unwrap();
        }),
    ];
    let mut expected = 0;
    for (damage, apply) in damages {
        // Killed with packets in every stage, so that the journal has something to forget.
        line.relayer.start().await.unwrap();
        let before = link.b.received().await.unwrap().len();
        let (sent, returned) = tokio::join!(alice.burst(&there), bob.burst(&back));
        assert!(sent.is_ok() && returned.is_ok());
        expected += 60;
        link.b.has_received(before + 1, WAIT).await.unwrap();
        line.relayer.kill().unwrap();
        // What the killed one had broadcast is in a block by now; the new one can't know of it except from the chains.
        line.net.a.wait_blocks(2).await.unwrap();
        line.net.b.wait_blocks(2).await.unwrap();
        println!("{damage}: {} and {} open", link.a.open().await.unwrap().len(), link.b.open().await.unwrap().len());
        for file in journal_files(&store) {
            apply(&file);
        }
        line.relayer.start().await.unwrap();
        link.b.has_received(expected, WAIT).await.unwrap();
        link.a.has_received(expected, WAIT).await.unwrap();
        link.settled(WAIT).await.unwrap();
        assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0), "{damage}");
        assert!(!journal_files(&store).is_empty());
    }
    let ours = line.net.wallets.relayer.address();
    let (a, b) = (link.a.history().await.unwrap(), link.b.history().await.unwrap());
    assert_eq!(b.effects_of(Action::Receive, &link.a.channel).unwrap(), expected);
    assert_eq!(a.effects_of(Action::Receive, &link.b.channel).unwrap(), expected);
    for history in [a, b] {
        assert_eq!((history.repeated_by(ours), history.failed_of(ours)), (vec![], 0));
        assert_eq!(history.deliveries.len(), 2 * expected);
    }
}
