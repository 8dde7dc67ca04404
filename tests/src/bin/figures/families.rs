//! Transfers between a real Cosmos chain and a real Substrate chain of four validators, one at a time, both ways.
//!
//! Latencies are differences of block times, as the blocks tell them: from the block of the send to the block of the receive and, on the
//! chain of the send, to that of the acknowledgement. What one can wait for is measured in the same run: the Cosmos chain's block interval, the interval from
//! one final Substrate block to the next, and how long after its own time such a block is seen to be final.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use relayer_tests::DevnetError;
use relayer_tests::devnet::substrate::SubstrateNode;
use relayer_tests::devnet::{STAKE, Transfer};
use relayer_tests::relay::{Across, Action};

use crate::Progress;
use crate::blocks;
use crate::failure::Failure;
use crate::figure::{Figure, Goal, median};

/// Transfers, half of them each way.
const TRANSFERS: usize = 24;
const VALIDATORS: usize = 4;
const WAIT: Duration = Duration::from_secs(120);
/// Finalized blocks whose delay is taken.
const FINAL_BLOCKS: usize = 20;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The commitment and the receipt of a packet: their keys' kinds.
const SENT: &str = "commitments";
const RECEIVED: &str = "receipts";

pub(crate) async fn run(progress: Progress) -> Result<(), Failure> {
    progress.line("a Cosmos chain and a Substrate chain of four validators, path create");
    let mut line = Across::start(VALIDATORS).await?;
    line.relayer.start().await?;
    let finality = finality(&line.on_substrate.node).await?;
    progress.line(&format!("{TRANSFERS} transfers, one at a time, both ways in turn"));
    let first = line.on_simd.node.height().await?;
    let mut from = line.on_substrate.node.best().await?;
    let (mut sent, mut there, mut back) = (Vec::new(), Times::default(), Times::default());
    for n in 0..TRANSFERS {
        // Somewhere within a block of either chain.
        tokio::time::sleep(Duration::from_millis(137 * (n as u64 % 8))).await;
        let sequence = (n / 2 + 1) as u64;
        if n % 2 == 0 {
            let transfer = Transfer::new(&line.on_simd.channel, 1, STAKE, line.bob.address());
            sent.push(line.alice.transfer(&transfer).await?.height);
            line.settled(WAIT).await?;
            from = first_with(&line, RECEIVED, sequence, from).await?;
            there.received.push(time_ms(&line.on_substrate.node, from).await?);
        } else {
            let transfer = Transfer::new(&line.on_substrate.channel, 1, "unit", line.alice.address());
            line.bob.transfer(&transfer).await?;
            line.settled(WAIT).await?;
            from = first_with(&line, SENT, sequence, from).await?;
            back.sent.push(time_ms(&line.on_substrate.node, from).await?);
            from = first_without(&line, sequence, from).await?;
            back.acknowledged.push(time_ms(&line.on_substrate.node, from).await?);
        }
    }
    let interval_ms = blocks::usual_interval_ms(&line.on_simd.node, first).await?;
    let history = line.on_simd.history().await?;
    let of = |action, channel: &str| {
        let found = history.deliveries.iter().filter(|d| d.action == action && d.channel == channel && d.succeeded);
        found.map(|d| (d.sequence, d.height)).collect::<BTreeMap<_, _>>().into_values().collect::<Vec<u64>>()
    };
    let acknowledged = of(Action::Acknowledge, &line.on_simd.channel);
    let arrived = of(Action::Receive, &line.on_substrate.channel);
    let all: BTreeSet<u64> = sent.iter().chain(&acknowledged).chain(&arrived).copied().collect();
    let times = blocks::times(&line.on_simd.node, &all).await?;
    let at = |heights: &[u64]| heights.iter().filter_map(|height| times.get(height).copied()).collect::<Vec<f64>>();
    (there.sent, there.acknowledged, back.received) = (at(&sent), at(&acknowledged), at(&arrived));

    Figure::new("families_finality_interval", finality.interval, "ms").print();
    Figure::new("families_finality_delay", finality.delay, "ms").print();
    let figure =
        |name: &str, value, unit| Figure::new(format!("families_{name}"), value, unit).block_interval_ms(interval_ms);
    let to_substrate = there.median(&there.received)?;
    figure("to_substrate_received", to_substrate / finality.interval, "finality intervals")
        .goal(Goal::AtMost(2.0))
        .print();
    figure("to_substrate_received_ms", to_substrate, "ms").print();
    figure("to_substrate_acknowledged_ms", there.median(&there.acknowledged)?, "ms").print();
    let limit = (finality.delay + interval_ms).round();
    figure("to_cosmos_received_ms", back.median(&back.received)?, "ms").goal(Goal::AtMost(limit)).print();
    figure("to_cosmos_acknowledged_ms", back.median(&back.acknowledged)?, "ms").print();
    Ok(())
}

/// Of the packets of one direction, in their order; ms since 1970.
#[derive(Default)]
struct Times {
    sent: Vec<f64>,
    received: Vec<f64>,
    acknowledged: Vec<f64>,
}

impl Times {
    /// The median of how long after its send.
    fn median(&self, reached: &[f64]) -> Result<f64, DevnetError> {
        let took: Vec<f64> = self.sent.iter().zip(reached).map(|(sent, reached)| reached - sent).collect();
        let whole = took.len() == self.sent.len() && self.sent.len() == TRANSFERS / 2;
        let reason = format!("{} of {} transfers have blocks", took.len(), TRANSFERS / 2);
        let lost = || DevnetError::Decode { what: "the blocks of the transfers".to_owned(), reason };
        median(&took).filter(|_| whole).ok_or_else(lost)
    }
}

/// How blocks become final; ms.
struct Finality {
    /// From a block's own time until it is seen to be final: the median.
    delay: f64,
    /// From one newest final block to the next: the mean.
    interval: f64,
}

async fn finality(node: &SubstrateNode) -> Result<Finality, DevnetError> {
    let (mut last, mut seen, mut took) = (node.finalized().await?, Vec::new(), Vec::new());
    while took.len() < FINAL_BLOCKS {
        let now = node.finalized().await?;
        if now > last {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            seen.push(since.as_secs_f64() * 1_000.0);
            took.push(since.as_secs_f64() * 1_000.0 - time_ms(node, now).await?);
            last = now;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let span = seen.last().zip(seen.first()).map_or(f64::NAN, |(last, first)| last - first);
    Ok(Finality { delay: median(&took).unwrap_or(f64::NAN), interval: span / (FINAL_BLOCKS - 1) as f64 })
}

/// The block's time, ms since 1970.
async fn time_ms(node: &SubstrateNode, number: u64) -> Result<f64, DevnetError> {
    Ok(node.time(number).await?.as_secs_f64() * 1_000.0)
}

async fn first_with(line: &Across, kind: &str, sequence: u64, from: u64) -> Result<u64, DevnetError> {
    first(line, kind, sequence, from, true).await
}

async fn first_without(line: &Across, sequence: u64, from: u64) -> Result<u64, DevnetError> {
    first(line, SENT, sequence, from, false).await
}

/// The first block from this on whose state has, or has not, that entry of the packet.
async fn first(line: &Across, kind: &str, sequence: u64, from: u64, there: bool) -> Result<u64, DevnetError> {
    let end = &line.on_substrate;
    let last = end.node.best().await?;
    for number in from..=last {
        if end.has(kind, sequence, number).await? == there {
            return Ok(number);
        }
    }
    let what = format!("{kind} of packet {sequence} in blocks {from} to {last}");
    Err(DevnetError::Decode { what, reason: "none found".to_owned() })
}
