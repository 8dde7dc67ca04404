//! Rules from a real etcd, through its HTTP/JSON gateway.
#![allow(clippy::expect_used, clippy::panic)] // helpers of tests

mod servers;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use limiter::rules::source::{Etcd, Feed, Health, Source};
use limiter::rules::{RuleSet, Rules};
use tokio::sync::watch;

const KEY: &str = "relayer/limits";

async fn put(server: &servers::Server, text: &str) {
    let body = format!(r#"{{"key":"{}","value":"{}"}}"#, STANDARD.encode(KEY), STANDARD.encode(text));
    let start = std::time::Instant::now();
    loop {
        let sent = servers::client().post(server.http() + "/v3/kv/put").body(body.clone()).send().await;
        if sent.is_ok_and(|reply| reply.status().is_success()) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "etcd takes no put");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn delete(server: &servers::Server) {
    let body = format!(r#"{{"key":"{}"}}"#, STANDARD.encode(KEY));
    let sent = servers::client().post(server.http() + "/v3/kv/deleterange").body(body).send().await;
    assert!(sent.expect("an answer").status().is_success());
}

async fn until(health: &mut watch::Receiver<Health>, what: &str, holds: impl FnMut(&Health) -> bool) -> Health {
    let waited = tokio::time::timeout(Duration::from_secs(60), health.wait_for(holds)).await;
    waited.unwrap_or_else(|_| panic!("not within 60 s: {what}")).expect("the feed runs").clone()
}

fn flow(threshold: i64) -> String {
    format!("[[flow]]\nid = \"hub\"\nthreshold = {threshold}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_read_watched_replaced_and_outlive_their_etcd() {
    let mut server = servers::etcd();
    put(&server, &flow(1)).await;
    let rules = Rules::new(RuleSet::default());
    let in_force = || rules.get().rules().flow.first().map(|rule| rule.threshold);
    let source = Etcd::new(servers::client(), server.http().parse().expect("a url"), KEY);
    let (feed, mut health) = Feed::new(Source::Etcd(source), rules.clone());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(feed.run());

    until(&mut health, "the set that was there", |h| h.applied == 1).await;
    assert_eq!(in_force(), Some(1));
    put(&server, &flow(2)).await;
    until(&mut health, "a put is seen", |h| h.applied == 2).await;
    assert_eq!(in_force(), Some(2));
    put(&server, &flow(-3)).await;
    let seen = until(&mut health, "a bad set is refused", |h| h.refused == 1).await;
    assert!(seen.trouble.is_some_and(|why| why.contains("rule `hub`, field `threshold`: is -3")));
    assert_eq!(in_force(), Some(2));
    put(&server, r#"{"flow":[{"id":"hub","threshold":4}]}"#).await;
    until(&mut health, "JSON is taken as well", |h| h.applied == 3 && h.trouble.is_none()).await;
    delete(&server).await;
    until(&mut health, "a deletion is told", |h| h.trouble.as_ref().is_some_and(|why| why.contains("deleted"))).await;
    assert_eq!(in_force(), Some(4));

    server.kill();
    let failed = health.borrow().failed;
    until(&mut health, "the loss is told", |h| h.failed > failed + 1).await;
    assert_eq!(in_force(), Some(4));
    server.restart();
    put(&server, &flow(5)).await;
    until(&mut health, "what was put after the return", |h| h.applied == 4).await;
    assert_eq!(in_force(), Some(5));
}
