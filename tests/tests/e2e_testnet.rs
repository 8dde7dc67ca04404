//! `tests/testnet` as a user meets it: it ends well only when every packet is acknowledged, says so in one line of JSON,
//! and leaves nothing behind, however it ends.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use relayer_tests::devnet::{Process, Signal, relayer_binary};
use relayer_tests::relay::until;
use serde_json::Value;
use tempfile::TempDir;

const WAIT: Duration = Duration::from_secs(180);

struct Demo {
    process: Process,
    dir: TempDir,
}

impl Demo {
    fn start(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("tmp")).unwrap();
        let relayer = relayer_binary().unwrap();
        let environment = [("TMPDIR", dir.path().join("tmp")), ("RELAYER_BIN", relayer)];
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_testnet"));
        let process = Process::start(&binary, args, environment, &dir.path().join("said")).unwrap();
        Self { process, dir }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("said")).unwrap()
    }

    async fn says(&self, words: &str) {
        until(words, WAIT, async || Ok(self.said().contains(words).then_some(()))).await.unwrap();
    }

    /// Its exit code, once it has ended.
    async fn code(&mut self) -> Option<i32> {
        until("the end", WAIT, async || Ok(self.process.ended())).await.unwrap().code()
    }

    /// Its result: the last line.
    fn result(&self) -> Value {
        serde_json::from_str(self.said().lines().last().unwrap()).unwrap()
    }

    fn children(&self) -> Vec<u32> {
        let own = format!("/proc/{0}/task/{0}/children", self.process.id());
        // A child belongs to the thread that made it.
        let tasks = Path::new(&own).ancestors().nth(2).unwrap().read_dir().unwrap();
        let lists = tasks.map(|t| std::fs::read_to_string(t.unwrap().path().join("children")).unwrap_or_default());
        lists.flat_map(|l| l.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>()).collect()
    }

    fn left_behind(&self) -> usize {
        self.dir.path().join("tmp").read_dir().unwrap().count()
    }
}

fn alive(id: u32) -> bool {
    // A zombie has no command line.
    std::fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_packet_is_acknowledged_and_the_last_line_says_so() {
    let mut demo = Demo::start(&["--packets", "3", "--json"]);
    assert_eq!(demo.code().await, Some(0), "{}", demo.said());
    let result = demo.result();
    let counts = ["sent", "received", "acknowledged", "timed_out"].map(|key| result[key].as_u64());
    assert_eq!(counts, [Some(6), Some(6), Some(6), Some(0)], "{result}");
    let ms = ["p50_ms", "p95_ms", "ack_p50_ms", "ack_p95_ms"].map(|key| result[key].as_u64().unwrap());
    assert!(ms[0] > 0 && ms[0] <= ms[1] && ms[0] < ms[2] && ms[2] <= ms[3], "{result}");
    let above_zero = ["seconds", "packets_per_second", "relayer_cpu_seconds", "chains_cpu_seconds"];
    assert!(above_zero.iter().all(|key| result[key].as_f64().unwrap() > 0.0), "{result}");
    assert_eq!(result["ok"], true);
    assert_eq!(demo.left_behind(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_are_not_acknowledged_in_time_are_a_failure_with_a_reason() {
    let mut demo = Demo::start(&["--packets", "3", "--json", "--timeout", "0"]);
    assert_eq!(demo.code().await, Some(1), "{}", demo.said());
    let result = demo.result();
    assert_eq!(result["ok"], false);
    assert!(result["error"].as_str().unwrap().contains("acknowledged"), "{result}");
    assert!(demo.said().contains("end of the relayer's log"), "{}", demo.said());
    assert_eq!(demo.left_behind(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_all_that_was_started() {
    // While the path is made; and when all is done and kept, where it is the usual end.
    for (args, moment, code, children) in [
        (["--packets", "3", "--timeout", "99"].as_slice(), "relayer path create", 130, 2),
        (["--packets", "3", "--keep"].as_slice(), "running until Ctrl-C", 0, 3),
    ] {
        let mut demo = Demo::start(args);
        demo.says(moment).await;
        let started = demo.children();
        assert!(started.len() >= children, "{started:?}");
        demo.process.signal(Signal::Int).unwrap();
        assert_eq!(demo.code().await, Some(code), "{}", demo.said());
        assert!(!started.iter().any(|id| alive(*id)), "{started:?}");
        assert_eq!(demo.left_behind(), 0);
    }
}
