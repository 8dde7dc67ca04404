//! What limits the relayer's calls is shown as it is: `relayer limits`, `/limits` and the metrics of a relayer that works, that is
//! throttled by one chain's provider, and that does not run.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::embedded::EmbeddedNet;
use relayer_tests::devnet::{ConfigOptions, STAKE, Transfer};
use relayer_tests::relay::{Line, until};
use serde_json::Value;

const WAIT: Duration = Duration::from_secs(90);
/// Requests a second of the provider: less than the relayer asks for.
const PROVIDER: u32 = 6;

async fn limits(line: &Line<EmbeddedNet>, more: &[&str]) -> Value {
    let said = line.relayer.succeed(&[&["limits", "--json"], more].concat()).await.unwrap();
    serde_json::from_str(&said).unwrap()
}

fn number(endpoint: &Value, name: &str) -> f64 {
    endpoint[name].as_f64().unwrap_or_else(|| panic!("no {name} in {endpoint}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_throttled_node_are_shown_and_counted_as_they_are() {
    let net = EmbeddedNet::two_chains().await.unwrap();
    let mut line = Line::open(net, &ConfigOptions::default()).await.unwrap();

    let absent = line.relayer.run(&["limits"]).await.unwrap();
    assert_eq!(absent.code, Some(3), "{}", absent.text());
    assert!(absent.err.contains("relayer start"), "{}", absent.err);

    line.relayer.start().await.unwrap();
    let ids = [line.net.a.id().to_owned(), line.net.b.id().to_owned()];
    let told = limits(&line, &[]).await;
    let chains = told["chains"].as_array().unwrap();
    assert_eq!(chains.iter().map(|chain| chain["id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
    for (chain, url) in chains.iter().zip([line.net.a.rpc_url(), line.net.b.rpc_url()]) {
        let endpoint = &chain["endpoints"][0];
        assert_eq!(endpoint["endpoint"].as_str().unwrap(), url.trim_end_matches('/'));
        assert_eq!(
            (&endpoint["reads"]["state"], &endpoint["broadcasts"]["state"]),
            (&"closed".into(), &"closed".into())
        );
        assert!(number(endpoint, "admitted") > 0.0 && number(endpoint, "rate") > f64::from(PROVIDER), "{endpoint}");
        assert_eq!((&endpoint["learned_rate"], number(endpoint, "throttled")), (&Value::Null, 0.0), "{endpoint}");
    }
    let text = line.relayer.succeed(&["limits", "--chain", &ids[1]]).await.unwrap();
    assert!(text.contains(&ids[1]) && !text.contains(&ids[0]), "{text}");
    let unknown = line.relayer.run(&["limits", "--chain", "nowhere-1"]).await.unwrap();
    assert_eq!(unknown.code, Some(2), "{}", unknown.text());
    assert!(ids.iter().all(|id| unknown.err.contains(id.as_str())), "{}", unknown.err);

    // One chain's provider throttles; packets make the relayer ask more than it allows.
    line.net.b.faults().throttle_above(PROVIDER, None);
    let link = line.link(0).unwrap();
    let wallets = &line.net.wallets;
    let alice = line.net.a.user(&wallets.user_a);
    let one = Transfer::new(&link.a.channel, 1, STAKE, wallets.user_b.address());
    let throttled = until("a learned rate", WAIT, async || {
        alice.burst(&vec![one.clone(); 5]).await?;
        let told = limits(&line, &["--chain", &ids[1]]).await;
        let endpoint = told["chains"][0]["endpoints"][0].clone();
        Ok((number(&endpoint, "throttled") > 0.0 && !endpoint["learned_rate"].is_null()).then_some(endpoint))
    });
    let throttled = throttled.await.unwrap();
    assert!(number(&throttled, "learned_rate") < number(&throttled, "rate"), "{throttled}");
    let told = limits(&line, &["--chain", &ids[0]]).await;
    assert_eq!(number(&told["chains"][0]["endpoints"][0], "throttled"), 0.0, "the other chain's limits are its own");

    let metrics = line.relayer.admin.metrics().await.unwrap();
    let of = |name: &str, labels: &[(&str, &str)]| metrics.sum(name, &[&[("chain", ids[1].as_str())], labels].concat());
    let pace = of("limiter_threshold", &[("rule", "pace")]);
    assert!(
        pace > 0.0 && pace < of("limiter_threshold", &[("rule", "rate")]),
        "{}",
        metrics.lines_of("limiter_threshold")
    );
    assert_eq!(metrics.sum("limiter_threshold", &[("chain", &ids[0]), ("rule", "pace")]), 0.0);
    let counted = of("relay_rpc_requests_total", &[("status", "throttled")]);
    assert!(counted >= number(&throttled, "throttled"), "{counted} counted, {throttled}");
    let key = format!("{} {}", ids[1], throttled["endpoint"].as_str().unwrap());
    assert!(metrics.lines_of("limiter_tokens_remaining").contains(&format!("{{key=\"{key}\"}}")));
    assert!(metrics.lines_of("limiter_qps").contains(&format!("{{key=\"{key}\",phase=\"admitted\"}}")));
    assert!(of("limiter_wait_seconds_count", &[]) >= number(&throttled, "completed"));
    assert!(of("limiter_wait_seconds_sum", &[]) > 0.0, "what is paced waits");
    assert!(of("limiter_health", &[]) > 0.0);
    assert_eq!(of("breaker_state", &[]), 0.0, "throttles open no breaker");
}
