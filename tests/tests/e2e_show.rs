//! `tests/testnet` and the demo as a user meets them: they end well only when every packet is acknowledged, say so in one line of JSON,
//! and leave nothing behind, however they end.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use relayer_tests::devnet::{Process, Signal, relayer_binary};
use relayer_tests::relay::until;
use serde_json::Value;
use tempfile::TempDir;

const WAIT: Duration = Duration::from_secs(180);

struct Show {
    process: Process,
    dir: TempDir,
}

impl Show {
    fn testnet(args: &[&str]) -> Self {
        Self::start(env!("CARGO_BIN_EXE_testnet"), args, &[("RELAYER_BIN", relayer_binary().unwrap())])
    }

    /// The demo needs nothing but itself: there is no other relayer where it looks for one.
    fn demo(args: &[&str]) -> Self {
        Self::start(env!("CARGO_BIN_EXE_demo"), args, &[("RELAYER_BIN", PathBuf::from("/nowhere"))])
    }

    fn start(binary: &str, args: &[&str], environment: &[(&'static str, PathBuf)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("tmp")).unwrap();
        let mut environment = environment.to_vec();
        environment.push(("TMPDIR", dir.path().join("tmp")));
        let binary = PathBuf::from(binary);
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
    let mut show = Show::testnet(&["--packets", "3", "--json"]);
    assert_eq!(show.code().await, Some(0), "{}", show.said());
    let result = show.result();
    let counts = ["sent", "received", "acknowledged", "timed_out"].map(|key| result[key].as_u64());
    assert_eq!(counts, [Some(6), Some(6), Some(6), Some(0)], "{result}");
    let ms = ["p50_ms", "p95_ms", "ack_p50_ms", "ack_p95_ms"].map(|key| result[key].as_u64().unwrap());
    assert!(ms[0] > 0 && ms[0] <= ms[1] && ms[0] < ms[2] && ms[2] <= ms[3], "{result}");
    let above_zero = ["seconds", "packets_per_second", "relayer_cpu_seconds", "chains_cpu_seconds"];
    assert!(above_zero.iter().all(|key| result[key].as_f64().unwrap() > 0.0), "{result}");
    assert_eq!(result["ok"], true);
    assert_eq!(show.left_behind(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_are_not_acknowledged_in_time_are_a_failure_with_a_reason() {
    let mut show = Show::testnet(&["--packets", "3", "--json", "--timeout", "0"]);
    assert_eq!(show.code().await, Some(1), "{}", show.said());
    let result = show.result();
    assert_eq!(result["ok"], false);
    assert!(result["error"].as_str().unwrap().contains("acknowledged"), "{result}");
    assert!(show.said().contains("end of the relayer's log"), "{}", show.said());
    assert_eq!(show.left_behind(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_all_that_was_started() {
    // While the path is made; and when all is done and kept, where it is the usual end.
    for (args, moment, code, children) in [
        (["--packets", "3", "--timeout", "99"].as_slice(), "relayer path create", 130, 2),
        (["--packets", "3", "--keep"].as_slice(), "running until Ctrl-C", 0, 3),
    ] {
        let mut show = Show::testnet(args);
        show.says(moment).await;
        let started = show.children();
        assert!(started.len() >= children, "{started:?}");
        show.process.signal(Signal::Int).unwrap();
        assert_eq!(show.code().await, Some(code), "{}", show.said());
        assert!(!started.iter().any(|id| alive(*id)), "{started:?}");
        assert_eq!(show.left_behind(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_relays_between_its_own_chains_and_tells_the_latency_of_each_stage() {
    let mut show = Show::demo(&["--packets", "25", "--json"]);
    assert_eq!(show.code().await, Some(0), "{}", show.said());
    let result = show.result();
    let counts = ["sent", "received", "acknowledged", "timed_out", "refused"].map(|key| result[key].as_u64());
    assert_eq!(counts, [Some(50), Some(50), Some(50), Some(0), Some(0)], "{result}");
    let stages = result["stages"].as_array().unwrap();
    let names: Vec<_> = stages.iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!(names, ["observe", "prove", "verify", "limit", "submit", "confirm"]);
    assert!(
        stages.iter().all(|stage| stage["p50_ms"].as_f64().unwrap() <= stage["p95_ms"].as_f64().unwrap()),
        "{result}"
    );
    assert_eq!(show.left_behind(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_ends_well_though_its_nodes_misbehave_in_every_way() {
    let mut show = Show::demo(&["--faults", "--json"]);
    assert_eq!(show.code().await, Some(0), "{}", show.said());
    let result = show.result();
    assert_eq!((result["acknowledged"].as_u64(), result["timed_out"].as_u64()), (Some(200), Some(0)), "{result}");
    assert!(result["refused"].as_u64().unwrap() > 0, "{result}");
    for fault in
        ["429", "forged proofs", "says nothing", "did not sign", "loses them", "400 ms late", "makes no blocks"]
    {
        assert!(show.said().contains(fault), "{fault} is missing in {}", show.said());
    }
    assert_eq!(show.left_behind(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_ends_at_ctrl_c_with_its_relayer() {
    let mut show = Show::demo(&["--packets", "1", "--keep"]);
    show.says("running until Ctrl-C").await;
    let started = show.children();
    assert_eq!(started.len(), 1, "{started:?}");
    show.process.signal(Signal::Int).unwrap();
    assert_eq!(show.code().await, Some(0), "{}", show.said());
    assert!(!started.iter().any(|id| alive(*id)), "{started:?}");
    assert_eq!(show.left_behind(), 0);
}
