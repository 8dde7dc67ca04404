//! Rules as data: what is read, what is refused and how it is said, what a replacement keeps; a file and an HTTP endpoint as sources.
#![allow(clippy::expect_used, clippy::panic)] // helpers of tests

mod servers;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use limiter::rules::form::{Control, Strategy};
use limiter::rules::source::{Etcd, Feed, File, Health, Http, Source};
use limiter::rules::{Applied, RuleSet, Rules, limits};
use tokio::sync::watch;

const SET: &str = r#"
[[flow]]
id = "hub-reads"
on = { chain = "cosmoshub-4", method = "abci_*" }
threshold = 100
strategy = "warm-up"
warm_up_period_ms = 10000
control = "throttling"
max_queueing_ms = 500

[[flow]]
id = "queries-yield"
threshold = 50
associated = "hub-reads"
shadow = true
stage = 30

[[hot]]
id = "per-channel"
parameter = "channel"
threshold = 10
overrides = { "channel-141" = 40 }

[[isolation]]
id = "in-flight"
in_flight = 16

[[system]]
id = "cpu"
metric = "cpu-milli"
threshold = 900
bbr = true

[[breaker]]
id = "errors"
strategy = "error-ratio"
threshold = 500
probes = 3

[[quota]]
id = "key"
base = 1000
shared = "local"

[[weight]]
id = "hub-tier"
chain = "cosmoshub-4"
weight = 2.5
"#;

fn refused(toml: &str) -> String {
    RuleSet::from_toml(toml).expect_err("refused").to_string()
}
fn flow(id: &str, threshold: u64) -> String {
    format!("[[flow]]\nid = \"{id}\"\nthreshold = {threshold}\n")
}

#[test]
fn every_kind_is_read_and_json_and_toml_are_one_form() {
    let set = RuleSet::from_toml(SET).expect("a good set");
    assert_eq!(set.len(), 8);
    let first = &set.rules().flow[0];
    assert_eq!((first.strategy, first.control, first.cold_factor), (Strategy::WarmUp, Control::Throttling, 3));
    assert!(first.on.matches("cosmoshub-4", "channel-0", "abci_query", "any"));
    assert!(!first.on.matches("cosmoshub-4", "channel-0", "header", "any"));
    assert_eq!(set.rules().weight[0].milli(), 2_500);
    let json = serde_json::to_vec(set.rules()).expect("json");
    assert_eq!(RuleSet::from_text(&json), Ok(set));
}

#[test]
fn a_negative_rate_names_rule_field_and_range() {
    let said = refused("[[flow]]\nid = \"hub\"\nthreshold = -5\n");
    assert_eq!(said, "rule `hub`, field `threshold`: is -5, must lie in 0..=1000000000");
}

#[test]
fn a_weight_outside_its_range_is_refused() {
    for weight in ["0.09", "5.1", "-1", "nan", "inf", "0.12345", "1e300"] {
        let said =
            refused(&format!("[[weight]]\nid = \"w\"\nchain = \"hub\"\nweight = {weight}.0\n").replace(".0\n", "\n"));
        assert!(said.starts_with("rule `w`, field `weight`"), "{weight}: {said}");
    }
    for weight in ["0.1", "5.0", "1.125"] {
        assert!(
            RuleSet::from_toml(&format!("[[weight]]\nid = \"w\"\nchain = \"hub\"\nweight = {weight}\n")).is_ok(),
            "{weight}"
        );
    }
}

#[test]
fn a_quota_that_would_not_be_shared_as_it_says_is_refused() {
    let quota = |rest: &str| format!("[[quota]]\nid = \"key\"\n{rest}\n");
    for shared in ["leased", "strong"] {
        let quota = |rest: &str| quota(&format!("{rest}\nshared = \"{shared}\""));
        let good = RuleSet::from_toml(&quota("base = 100")).expect("good");
        // Without a store it would be admitted once in each process.
        let why = good.alone().expect_err("refused").to_string();
        assert!(why.contains("rule `key`, field `shared`: must be local") && why.contains("[limits.redis]"), "{why}");

        let why = refused(&quota("base = 100\nshadow = true"));
        assert!(why.contains("rule `key`, field `shared`: must be local in shadow mode"), "{why}");
        let why = refused(&quota("base = 99991\ninterval_ms = 86400000"));
        assert!(why.contains("rule `key`, field `shared`: can't be kept exactly"), "{why}");
        // A call of weight 0.1 * 0.5 costs 20 of its burst.
        let weights = "[[weight]]\nid = \"a\"\nchain = \"a\"\nweight = 0.1\n[[weight]]\nid = \"m\"\nmethod = \"m\"\nweight = 0.5\n";
        let why = refused(&(quota("base = 19") + weights));
        let needed = if shared == "leased" { "must be 40" } else { "must be 20" };
        assert!(why.contains("rule `key`, field `burst`: is 19") && why.contains(needed), "{why}");
        assert!(RuleSet::from_toml(&(quota("base = 19\nburst = 40") + weights)).is_ok());
    }
    assert!(RuleSet::from_toml(&quota("base = 19")).expect("good").alone().is_ok());
}

#[test]
fn an_unknown_key_a_missing_one_and_a_wrong_type_name_rule_and_field() {
    let said = refused("[[flow]]\nid = \"hub\"\nthreshold = 5\nburts = 6\n");
    assert!(said.starts_with("rule `hub`, field `burts`: unknown field"), "{said}");
    let said = refused("[[flow]]\nid = \"hub\"\n");
    assert!(said.starts_with("rule `hub`, field `threshold`: missing field"), "{said}");
    let said = refused("[[flow]]\nid = \"hub\"\nthreshold = \"many\"\n");
    assert!(said.starts_with("rule `hub`, field `threshold`: invalid type"), "{said}");
    let said = refused("[[flow]]\nid = \"hub\"\nthreshold = 5\non = { chian = \"hub\" }\n");
    assert!(said.starts_with("rule `hub`, field `on.chian`: unknown field"), "{said}");
    let said = refused("[[flow]]\nthreshold = 5\n");
    assert!(said.starts_with("rule `flow[0]`, field `id`: missing field"), "{said}");
    let said = refused("[[flows]]\nid = \"hub\"\n");
    assert!(said.contains("field `flows`: is unknown"), "{said}");
    let said = RuleSet::from_json(br#"{"flow":[{"id":"hub","threshold":5,"x":1}]}"#).expect_err("refused").to_string();
    assert!(said.starts_with("rule `hub`, field `x`: unknown field"), "{said}");
}

#[test]
fn circular_and_dangling_associations_are_refused() {
    let rule = |id: &str, to: &str| format!("[[flow]]\nid = \"{id}\"\nthreshold = 1\nassociated = \"{to}\"\n");
    let said = refused(&(rule("a", "b") + &rule("b", "c") + &rule("c", "a")));
    assert!(said.contains("field `associated`: is circular: a -> b -> c -> a"), "{said}");
    assert!(refused(&rule("a", "a")).contains("is circular: a -> a"));
    assert!(refused(&rule("a", "nobody")).contains("names `nobody`, which is no flow rule"));
    assert!(RuleSet::from_toml(&(rule("a", "c") + &rule("b", "c") + &flow("c", 1))).is_ok());
}

#[test]
fn duplicate_ids_zero_intervals_and_bad_stages_are_refused() {
    assert!(
        refused(&(flow("a", 1) + &flow("a", 2)))
            .contains("rule `a`, field `id`: stands twice, the second time at flow[1]")
    );
    let other_kind = flow("a", 1) + "[[isolation]]\nid = \"a\"\nin_flight = 1\n";
    assert!(refused(&other_kind).contains("stands twice, the second time at isolation[0]"));
    assert!(refused(&(flow("a", 1) + "interval_ms = 0\n")).contains("field `interval_ms`: is 0"));
    assert!(refused(&(flow("a", 1) + "stage = 50\n")).contains("field `stage`: is 50, must be 5, 30 or 100"));
    assert!(refused(&(flow("a", 1) + "on = { chain = \"a*b\" }\n")).contains("field `on.chain`"));
}

#[test]
fn a_replacement_says_what_is_kept_and_an_equal_set_is_none() {
    let rules = Rules::new(RuleSet::from_toml(&(flow("a", 1) + &flow("b", 2) + &flow("c", 3))).expect("good"));
    let next = RuleSet::from_toml(&(flow("d", 4) + &flow("b", 9) + &flow("a", 1))).expect("good");
    let Applied::Changed(changes) = rules.apply(next.clone()) else { panic!("not applied") };
    assert_eq!(
        (changes.kept, changes.changed, changes.added, changes.removed),
        (vec!["a".into()], vec!["b".into()], vec!["d".into()], vec!["c".into()])
    );
    let generation = rules.generation();
    assert_eq!(rules.apply(next), Applied::Same);
    assert_eq!(rules.generation(), generation);
}

#[test]
fn an_older_version_never_replaces_a_newer_one() {
    let set =
        |version: &str, threshold| RuleSet::from_toml(&(version.to_owned() + &flow("a", threshold))).expect("good");
    let rules = Rules::new(RuleSet::default());
    assert!(matches!(rules.apply(set("version = { ms = 10, counter = 1, node = \"x\" }\n", 1)), Applied::Changed(_)));
    assert_eq!(rules.apply(set("version = { ms = 10, counter = 0, node = \"z\" }\n", 2)), Applied::Older);
    assert_eq!(rules.apply(set("", 3)), Applied::Older);
    assert!(matches!(rules.apply(set("version = { ms = 11 }\n", 4)), Applied::Changed(_)));
    assert_eq!(rules.get().rules().flow[0].threshold, 4);
}

/// A feed in a task that ends with the test.
fn feed(source: Source, rules: &Rules) -> (tokio::task::JoinSet<()>, watch::Receiver<Health>) {
    let (feed, health) = Feed::new(source, rules.clone());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(feed.run());
    (tasks, health)
}
async fn until(health: &mut watch::Receiver<Health>, what: &str, holds: impl FnMut(&Health) -> bool) -> Health {
    let waited = tokio::time::timeout(Duration::from_secs(30), health.wait_for(holds)).await;
    waited.unwrap_or_else(|_| panic!("not within 30 s: {what}")).expect("the feed runs").clone()
}

/// As an editor does: a new file in place of the old one.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("written");
    fs::rename(new, path).expect("renamed");
}

#[tokio::test]
async fn a_watched_file_is_followed_and_a_bad_text_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("rules.toml");
    let replace = |text: &str| replace(&path, text);
    let rules = Rules::new(RuleSet::default());
    let source = File::new(&path).every(Duration::from_millis(20));
    let (_task, mut health) = feed(Source::File(source), &rules);
    let seen = until(&mut health, "a missing file is told", |h| h.failed == 1).await;
    assert!(seen.trouble.is_some_and(|why| why.contains("rules file")));
    replace(&flow("a", 1));
    until(&mut health, "the first set", |h| h.applied == 1 && h.trouble.is_none()).await;
    replace("[[flow]]\nid = \"a\"\nthreshold = -2\n");
    let seen = until(&mut health, "the bad set", |h| h.refused == 1).await;
    assert!(seen.trouble.is_some_and(|why| why.contains("rule `a`, field `threshold`")));
    assert_eq!(rules.get().rules().flow[0].threshold, 1);
    replace(&(flow("a", 1) + &flow("b", 2)));
    let seen = until(&mut health, "the third set", |h| h.applied == 2).await;
    assert_eq!((seen.changes.kept, seen.changes.added), (vec!["a".to_owned()], vec!["b".to_owned()]));
}

#[tokio::test]
async fn an_http_endpoint_is_asked_with_its_tag_and_may_fail() {
    type Served = Arc<Mutex<(u16, String, u32, u32)>>;
    let served: Served = Arc::new(Mutex::new((200, flow("a", 1), 0, 0)));
    let state = served.clone();
    let app = Router::new().route(
        "/rules",
        get(move |headers: HeaderMap| async move {
            let mut served = state.lock().expect("lock");
            let tag = format!("\"{}\"", served.1.len());
            if headers.get("if-none-match").is_some_and(|given| given == tag.as_str()) && served.0 == 200 {
                served.2 += 1;
                return StatusCode::NOT_MODIFIED.into_response();
            }
            served.3 += 1;
            (StatusCode::from_u16(served.0).expect("a status"), [("etag", tag)], served.1.clone()).into_response()
        }),
    );
    let (_server, url) = serve(app).await;
    let url = url + "/rules";
    let rules = Rules::new(RuleSet::default());
    let source = Http::new(servers::client(), url.parse().expect("a url")).every(Duration::from_millis(10));
    let (_task, mut health) = feed(Source::Http(source), &rules);
    until(&mut health, "the first set", |h| h.applied == 1).await;
    servers::eventually("three times not modified", || served.lock().expect("lock").2 >= 3).await;
    assert_eq!(served.lock().expect("lock").3, 1, "the text was sent once");
    served.lock().expect("lock").0 = 503;
    let seen = until(&mut health, "the failure", |h| h.failed >= 1).await;
    assert!(seen.trouble.is_some_and(|why| why.contains("503")));
    *served.lock().expect("lock") = (200, flow("a", 77), 0, 0);
    until(&mut health, "the next set", |h| h.applied == 2).await;
    assert_eq!(rules.get().rules().flow[0].threshold, 77);
}

/// A server of these routes, in a task that ends with the test.
async fn serve(app: Router) -> (tokio::task::JoinSet<()>, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move { axum::serve(listener, app).await.expect("served") });
    (server, url)
}

#[tokio::test]
async fn an_etcd_gateway_that_cancels_each_watch_at_once_is_asked_less_and_less_often() {
    let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let seen = asked.clone();
    let app = Router::new().route("/v3/kv/range", post(|| async { r#"{"header":{"revision":"7"},"kvs":[]}"# })).route(
        "/v3/watch",
        post(move || async move {
            seen.lock().expect("lock").push(Instant::now());
            "{\"result\":{\"canceled\":true}}\n"
        }),
    );
    let (_server, url) = serve(app).await;
    let source = Etcd::new(servers::client(), url.parse().expect("a url"), "limits");
    let (_task, _health) = feed(Source::Etcd(source), &Rules::new(RuleSet::default()));
    servers::eventually("four watches", || asked.lock().expect("lock").len() >= 4).await;
    let asked = asked.lock().expect("lock");
    for (n, two) in (0u32..).zip(asked.windows(2)) {
        assert!(two[1] - two[0] >= limits::RETRY * 2u32.pow(n), "{asked:?}");
    }
}

#[tokio::test]
async fn a_version_from_the_far_future_is_refused_and_keeps_no_later_set_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("rules.toml");
    let replace = |text: &str| replace(&path, text);
    let rules = Rules::new(RuleSet::default());
    let source = File::new(&path).every(Duration::from_millis(20));
    replace(&("version = { ms = 99999999999999 }\n".to_owned() + &flow("a", 1)));
    let (_task, mut health) = feed(Source::File(source), &rules);
    let seen = until(&mut health, "the refusal", |h| h.refused == 1).await;
    let why = seen.trouble.expect("told");
    assert!(why.contains("rule `(the set)`, field `version.ms`: lies "), "{why}");
    replace(&("version = { ms = 1700000000000 }\n".to_owned() + &flow("a", 2)));
    until(&mut health, "a version of now", |h| h.applied == 1).await;
    assert_eq!(rules.get().rules().flow[0].threshold, 2);
}

#[test]
fn what_a_parser_says_of_a_hostile_text_is_short_and_of_one_line() {
    let long = "x".repeat(100_000);
    for text in [
        format!("a\u{1b}[2J{long} {long}"),
        format!("\"{long}"),
        format!("{{\"flow\": \"{long}\"}}"),
        format!("[[{long}]]"),
        format!("[[flow]]\nid = \"a\"\nthreshold = 1\nassociated = \"\\u001b[2J{long}\"\n"),
        format!(
            "[[hot]]\nid = \"a\"\nparameter = \"chain\"\nthreshold = 1\noverrides = {{ \"\\u001b[2J{long}\" = -1 }}\n"
        ),
    ] {
        let error = RuleSet::from_text(text.as_bytes()).expect_err("refused").to_string();
        assert!(error.len() < 1_000 && !error.chars().any(char::is_control), "{error}");
    }
    let error = RuleSet::from_toml("[[flow]]\nid = \"a\"\nthreshold = = 1\n").expect_err("refused").to_string();
    assert!(error.contains("line 3"), "{error}");
}
