use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const NOW: u64 = 1_700_000_000_000;

fn text(version: u64, threshold: u32) -> String {
    format!("version = {{ ms = {version} }}\nflow = [{{ id = 'a', threshold = {threshold} }}]")
}

#[tokio::test(start_paused = true)]
async fn a_file_written_ahead_of_a_late_clock_is_taken_once_the_clock_is_right() {
    static WALL: AtomicU64 = AtomicU64::new(0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.toml");
    std::fs::write(&path, text(NOW, 7)).unwrap();
    let rules = Rules::new(RuleSet::default());
    let (mut feed, mut health) = Feed::new(Source::File(File::new(&path)), rules.clone());
    feed.out.wall = || WALL.load(Ordering::Relaxed);
    let mut task = tokio::task::JoinSet::new();
    task.spawn(feed.run());
    let refused = health.wait_for(|h| h.refused > 0).await.unwrap().trouble.clone();
    assert!(refused.is_some_and(|why| why.contains("ahead of this machine's clock")));
    WALL.store(NOW, Ordering::Relaxed);
    // Of the runtime's clock, which runs ahead while nothing else does.
    let applied = tokio::time::timeout(RETRY_MAX * 3, health.wait_for(|h| h.applied > 0)).await;
    let told = applied.expect("the file is not read again").unwrap().clone();
    assert_eq!((told.refused, told.trouble), (1, None));
    assert_eq!(rules.get().rules().flow[0].threshold, 7);
}

#[test]
fn an_early_set_waits_for_its_time_unless_its_source_has_another_text() {
    static WALL: AtomicU64 = AtomicU64::new(0);
    let rules = Rules::new(RuleSet::default());
    let (mut feed, health) = Feed::new(Source::File(File::new("")), rules.clone());
    feed.out.wall = || WALL.load(Ordering::Relaxed);
    let flow = || rules.get().rules().flow.first().map(|rule| rule.threshold);

    feed.out.take(text(NOW, 1).as_bytes());
    feed.out.due();
    assert_eq!((flow(), health.borrow().refused), (None, 1), "still early, and not told twice");
    feed.out.take(b"no rules");
    WALL.store(NOW, Ordering::Relaxed);
    feed.out.due();
    assert_eq!(flow(), None, "the source has another text now");

    feed.out.take(text(NOW + 3_600_000, 2).as_bytes());
    feed.out.take(text(NOW, 3).as_bytes());
    WALL.store(NOW + 3_600_000, Ordering::Relaxed);
    feed.out.due();
    assert_eq!(flow(), Some(3), "a good set replaced the early one");
}
