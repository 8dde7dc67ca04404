//! sentinel-core's decision beside the limiter's: `cargo run --release` prints one JSON line a figure.
//!
//! Five flow rules on one resource, a breaker and a cap on calls in flight, as the limiter's own benchmark has them (`limiter/benches/decide.rs`);
//! timed as there: of 20,000 batches of 64 calls the least disturbed counts, and ends are not timed.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use sentinel_core::base::TrafficType;
use sentinel_core::{EntryBuilder, circuitbreaker, flow, isolation};

const BATCHES: usize = 20_000;
const CALLS: usize = 64;
const PERMIT: &str = "relay:chain-a:abci_query:channel-0";
const REFUSE: &str = "relay:chain-a:abci_query:channel-1";

fn main() -> Result<(), Box<dyn Error>> {
    sentinel_core::init_default()?;
    let limits = |resource: &str, level: u32, threshold: f64| {
        Arc::new(flow::Rule {
            id: format!("{resource} {level}"),
            resource: resource.to_owned(),
            threshold,
            stat_interval_ms: 1_000,
            ..flow::Rule::default()
        })
    };
    let wide = |resource: &'static str| (1..=5).map(move |level| limits(resource, level, 1e9 * f64::from(level)));
    let refuses = limits(REFUSE, 6, 0.0);
    flow::load_rules(wide(PERMIT).chain(wide(REFUSE)).chain([refuses]).collect());
    circuitbreaker::load_rules(vec![Arc::new(circuitbreaker::Rule {
        id: "breaker".to_owned(),
        resource: PERMIT.to_owned(),
        strategy: circuitbreaker::BreakerStrategy::ErrorRatio,
        retry_timeout_ms: 1_000,
        min_request_amount: 20,
        stat_interval_ms: 10_000,
        stat_sliding_window_bucket_count: 10,
        threshold: 0.5,
        ..circuitbreaker::Rule::default()
    })]);
    isolation::load_rules(vec![Arc::new(isolation::Rule {
        id: "in flight".to_owned(),
        resource: PERMIT.to_owned(),
        threshold: CALLS as u32,
        ..isolation::Rule::default()
    })]);

    let ask = |resource: &str| EntryBuilder::new(resource.to_owned()).with_traffic_type(TrafficType::Outbound).build();
    let permit = least(
        |held| held.extend(ask(PERMIT)),
        |held| {
            assert_eq!(held.len(), CALLS, "it refused what it should permit");
            held.drain(..).for_each(|entry| entry.exit());
        },
    );
    let mut passed = 0;
    let refusal = least(|_: &mut Vec<()>| passed += usize::from(ask(REFUSE).is_ok()), |_| {});
    assert_eq!(passed, 0, "it permitted what it should refuse");
    for (figure, value, unit) in
        [("decision", permit, "ns"), ("refusal", refusal, "ns"), ("refusal_to_permit", refusal / permit, "times")]
    {
        println!(r#"{{"figure":"sentinel_core_{figure}","value":{value:.2},"unit":"{unit}","goal":null,"met":null}}"#);
    }
    Ok(())
}

/// ns a call in the least disturbed batch. `after` clears up and is not timed.
fn least<S>(mut call: impl FnMut(&mut Vec<S>), mut after: impl FnMut(&mut Vec<S>)) -> f64 {
    let (mut held, mut fastest) = (Vec::with_capacity(CALLS), f64::MAX);
    for _ in 0..BATCHES {
        let began = Instant::now();
        (0..CALLS).for_each(|_| call(&mut held));
        fastest = fastest.min(began.elapsed().as_secs_f64());
        after(&mut held);
    }
    fastest * 1e9 / CALLS as f64
}
