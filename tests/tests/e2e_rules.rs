//! Rules that change while the relayer runs: a file lowers a method's rate, packets still arrive and the node is asked no faster; a bad
//! set changes nothing and says so.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::{Duration, Instant};

use relayer_tests::devnet::embedded::EmbeddedNet;
use relayer_tests::devnet::{ConfigOptions, STAKE, Transfer};
use relayer_tests::relay::{Line, until};

const WAIT: Duration = Duration::from_secs(120);
/// Calls a second of `abci_query` on the first chain, and at once: far below what 20 packets need if they may.
const RATE: u32 = 3;

/// As an editor does: a new file in place of the old one.
fn put(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

fn rules(chain: &str, threshold: i64) -> String {
    format!(
        "[[flow]]\nid = \"queries\"\non = {{ chain = \"{chain}\", method = \"abci_query\" }}\nthreshold = {threshold}\n"
    )
}

async fn counted(line: &Line<EmbeddedNet>, name: &str, labels: &[(&str, &str)]) -> f64 {
    line.relayer.admin.metrics().await.unwrap().sum(name, labels)
}

/// Waits until so many sets of rules had this result.
async fn sets(line: &Line<EmbeddedNet>, result: &str, count: f64) {
    until(&format!("{count} sets {result}"), WAIT, async || {
        let metrics = line.relayer.admin.metrics().await?;
        Ok((metrics.sum("limiter_rules_sets_total", &[("result", result)]) >= count).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_rules_lowers_a_method_s_rate_while_packets_are_relayed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.toml");
    put(&file, "");
    let options = ConfigOptions {
        tables: format!("\n[limits.rules]\nfile = {:?}\ninterval_ms = 100\n", file.display().to_string()),
        ..ConfigOptions::default()
    };
    let net = EmbeddedNet::two_chains().await.unwrap();
    let mut line = Line::open(net, &options).await.unwrap();
    line.relayer.start().await.unwrap();
    let (link, wallets) = (line.link(0).unwrap(), line.net.wallets.clone());
    let alice = line.net.a.user(&wallets.user_a);
    let transfers = |count: usize| vec![Transfer::new(&link.a.channel, 1, STAKE, wallets.user_b.address()); count];
    alice.burst(&transfers(10)).await.unwrap();
    link.b.has_received(10, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();

    put(&file, &rules(line.net.a.id(), RATE.into()));
    sets(&line, "applied", 1.0).await;
    let asked = [("chain", line.net.a.id()), ("method", "abci_query")];
    let passed = [("rule", "queries"), ("result", "passed")];
    let (before, since) = (counted(&line, "relay_rpc_requests_total", &asked).await, Instant::now());
    alice.burst(&transfers(20)).await.unwrap();
    link.b.has_received(30, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    // Counters are brought up to date each second.
    let through = until("the rule's counters", WAIT, async || {
        let through = line.relayer.admin.metrics().await?.sum("limiter_rule_calls_total", &passed);
        Ok((through >= 20.0).then_some(through))
    });
    let through = through.await.unwrap();
    let (after, took) = (counted(&line, "relay_rpc_requests_total", &asked).await, since.elapsed());
    let most = f64::from(RATE) * took.as_secs_f64() + f64::from(RATE);
    println!("{through} calls in {} requests within {took:.1?}, {most:.0} may be", after - before);
    assert!(through <= most, "{through} calls in {took:?}: more than {most}");
    assert!(after - before <= through, "requests that the rule did not see");
    let blocked = counted(&line, "limiter_rule_calls_total", &[("rule", "queries"), ("result", "blocked")]).await;
    assert!(blocked > 0.0, "the rule held nothing back");
    let shown = line.relayer.admin.metrics().await.unwrap();
    assert_eq!(shown.sum("limiter_rule_threshold", &[("rule", "queries")]), f64::from(RATE));

    // A set with a fault changes nothing, and the log says which rule, which field and why.
    put(&file, &rules(line.net.a.id(), -1));
    sets(&line, "refused", 1.0).await;
    until("the refusal in the log", WAIT, async || {
        let log = line.relayer.log();
        let said = log.contains("changes nothing") && log.contains("queries") && log.contains("threshold");
        Ok(said.then_some(()))
    })
    .await
    .unwrap();
    let shown = line.relayer.admin.metrics().await.unwrap();
    assert_eq!(shown.sum("limiter_rule_threshold", &[("rule", "queries")]), f64::from(RATE));

    // And the next good one is taken.
    put(&file, "");
    sets(&line, "applied", 2.0).await;
    alice.burst(&transfers(10)).await.unwrap();
    link.b.has_received(40, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
}
