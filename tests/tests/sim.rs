//! The engine against thousands of seeds of trouble. `tests/sim` runs it; `RELAYER_SIM_SEEDS` and `RELAYER_SIM_FIRST` choose the seeds,
//! `RELAYER_SIM_SEED` replays one with a trace.

use relayer_tests::sim::{Report, Scenario, run};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_packet_ends_once_whatever_goes_wrong() {
    if let Some(seed) = number("RELAYER_SIM_SEED") {
        let scenario = Scenario::of(seed);
        println!("{scenario:#?}");
        match run(scenario, true) {
            Ok(report) => println!("seed {seed} passes: {report:?}"),
            Err(why) => panic!("seed {seed}: {why}"),
        }
        return;
    }
    let (first, seeds) = (number("RELAYER_SIM_FIRST").unwrap_or(0), number("RELAYER_SIM_SEEDS").unwrap_or(2_000));
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let handles: Vec<_> = (0..workers)
        .map(|worker| {
            std::thread::spawn(move || {
                (first..first + seeds)
                    .filter(|seed| seed % workers == worker)
                    .map(|seed| (seed, run(Scenario::of(seed), false)))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let mut results: Vec<(u64, Result<Report, String>)> = handles.into_iter().flat_map(|h| h.join().unwrap()).collect();
    results.sort_by_key(|(seed, _)| *seed);
    let mut sum = Report::default();
    for report in results.iter().filter_map(|(_, r)| r.as_ref().ok()) {
        sum.packets += report.packets;
        sum.blocks += report.blocks;
        sum.seconds += report.seconds;
        sum.transactions += report.transactions;
        sum.useful += report.useful;
        sum.wasted += report.wasted;
        sum.crashes += report.crashes;
        sum.settled_in = sum.settled_in.max(report.settled_in);
        sum.slowest_fresh = sum.slowest_fresh.max(report.slowest_fresh);
    }
    println!("{seeds} seeds; sums, and the largest of settled_in and slowest_fresh: {sum:?}");
    let failed: Vec<_> = results.iter().filter_map(|(s, r)| Some((s, r.as_ref().err()?))).collect();
    for (seed, why) in failed.iter().take(20) {
        println!("seed {seed}: {why}\n  replay with: tests/sim --seed {seed}");
    }
    assert!(failed.is_empty(), "{} of {seeds} seeds fail; the first: tests/sim --seed {}", failed.len(), failed[0].0);
}
