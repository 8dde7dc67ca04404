//! The relayer between two real chains: how fast, and at what cost to them and to itself.
//!
//! Every part has chains of its own, just made: two validators' nodes, a block about every 0.55 s (500 ms commit timeout), on
//! the same processors as the relayer. Latencies are differences of block times, as the headers tell them, and counted in
//! block intervals of that run. Requests and calls are the relayer's own counters: a batch is one request and as many
//! calls as it holds. Memory is the process's peak resident set (`VmHWM`), processor time its user and system time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use relayer_tests::DevnetError;
use relayer_tests::devnet::{STAKE, Transfer};
use relayer_tests::relay::{Action, Delivery, History};

use crate::Progress;
use crate::blocks;
use crate::failure::Failure;
use crate::figure::{Figure, Goal, median};
use crate::run::{Run, Used};

/// Packets of a burst and of a backlog.
const PACKETS: usize = 1_000;
/// Transfers sent one at a time.
const SINGLES: usize = 24;
/// About a block of the chains.
const INTERVAL: Duration = Duration::from_millis(520);
/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(30);

/// A part of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Clients, connection, channel.
    Handshake,
    /// Transfers one at a time.
    Single,
    /// Nothing to do.
    Idle,
    /// 1,000 transfers at once.
    Burst,
    /// 1,000 packets that wait for the relayer's start.
    Pending,
}

pub(crate) async fn run(parts: &[Part], runs: u32, progress: Progress) -> Result<(), Failure> {
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    let calm = [Part::Handshake, Part::Single, Part::Idle];
    if calm.into_iter().any(wanted) {
        let mut run = open(progress).await?;
        if wanted(Part::Handshake) {
            Figure::new("handshake", run.handshake_s, "s").goal(Goal::AtMost(10.0)).print();
        }
        if wanted(Part::Single) || wanted(Part::Idle) {
            run.launch()?;
            run.ready().await?;
        }
        if wanted(Part::Single) {
            single(&mut run, progress).await?;
        }
        if wanted(Part::Idle) {
            idle(&run, progress).await?;
        }
    }
    if wanted(Part::Burst) {
        for number in 1..=runs {
            burst(number, progress).await?;
        }
    }
    if wanted(Part::Pending) {
        pending(progress).await?;
    }
    Ok(())
}

async fn open(progress: Progress) -> Result<Run, DevnetError> {
    progress.line("two fresh chains, path create");
    let run = Run::open().await?;
    progress.line(&format!("  open after {:.1} s", run.handshake_s));
    Ok(run)
}

async fn single(run: &mut Run, progress: Progress) -> Result<(), Failure> {
    progress.line(&format!("{SINGLES} transfers, one at a time, both ways in turn"));
    let from = run.mark().await?;
    let mut sent = [Vec::new(), Vec::new()];
    for n in 0..SINGLES {
        shift(run, n as f64 / SINGLES as f64).await?;
        let back = n % 2 == 1;
        let (net, link) = (&run.line.net, &run.link);
        let (a, b) = (net.a.user(&net.wallets.user_a), net.b.user(&net.wallets.user_b));
        let (user, end, to) = if back { (&b, &link.b, &a) } else { (&a, &link.a, &b) };
        let transfer = Transfer::new(&end.channel, 1, STAKE, to.address());
        sent[usize::from(back)].push(user.transfer(&transfer).await?.height);
        run.settled().await?;
    }
    let mut used = run.since(&from).await?;
    // Without the pauses.
    used.block_interval_ms = blocks::usual_interval_ms(&run.link.a.node, from.heights[0]).await?;
    run.check("single transfers", [SINGLES.div_ceil(2), SINGLES / 2]).await?;

    let (mut received, mut acknowledged) = (Vec::new(), Vec::new());
    let link = &run.link;
    for ([from, to], sent) in [[&link.a, &link.b], [&link.b, &link.a]].into_iter().zip(&sent) {
        let (there, here) = (to.history().await?, from.history().await?);
        let arrived = heights(&there, Action::Receive, &from.channel);
        let ended = heights(&here, Action::Acknowledge, &from.channel);
        let at_home = blocks::times(&from.node, &sent.iter().chain(&ended).copied().collect()).await?;
        let abroad = blocks::times(&to.node, &arrived.iter().copied().collect()).await?;
        let after = |reached: &[u64], times: &BTreeMap<u64, f64>| -> Vec<f64> {
            let pairs = sent.iter().zip(reached);
            pairs.filter_map(|(sent, reached)| Some(times.get(reached)? - at_home.get(sent)?)).collect()
        };
        received.extend(after(&arrived, &abroad));
        acknowledged.extend(after(&ended, &at_home));
    }
    latency("received", &received, 1.75, &used);
    latency("acknowledged", &acknowledged, 3.5, &used);
    Ok(())
}

/// Moves the second chain's blocks against the first's.
///
/// Both start together and make blocks of the same length, so that they stay as they happen to lie for a whole run, and a
/// packet takes 2 and 4 intervals, or 1 and 3, however fast its relayer is. Spread over an interval, luck is no part of the median.
async fn shift(run: &mut Run, part: f64) -> Result<(), DevnetError> {
    let b = &mut run.line.net.b;
    b.pause()?;
    // Longer than a block, so that it stands still when its time comes.
    tokio::time::sleep(INTERVAL.mul_f64(1.2 + part)).await;
    b.resume()?;
    run.wait_blocks(2).await
}

/// Where the packets of a channel came, in the order in which they were sent.
fn heights(history: &History, action: Action, channel: &str) -> Vec<u64> {
    let of = |d: &&Delivery| d.action == action && d.channel == channel;
    let all: BTreeMap<u64, u64> = history.deliveries.iter().filter(of).map(|d| (d.sequence, d.height)).collect();
    all.into_values().collect()
}

/// From the block of the send: in block intervals, which is what a relayer can be judged by, and in ms.
fn latency(what: &str, ms: &[f64], goal: f64, used: &Used) {
    let interval = used.block_interval_ms;
    let middle = median(ms).unwrap_or(f64::NAN);
    let longest = ms.iter().copied().fold(0.0, f64::max);
    let figure =
        |name: &str, value, unit| Figure::new(format!("single_{what}_{name}"), value, unit).block_interval_ms(interval);
    figure("median", middle / interval, "block intervals").goal(Goal::AtMost(goal)).spent(&used.spent).print();
    figure("max", longest / interval, "block intervals").goal(Goal::AtMost(rounded(2.0 * middle / interval))).print();
    figure("median_ms", middle, "ms").print();
    figure("max_ms", longest, "ms").print();
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

async fn idle(run: &Run, progress: Progress) -> Result<(), Failure> {
    progress.line(&format!("{} s without a packet", IDLE.as_secs()));
    // What the last packets left to do is done.
    run.wait_blocks(4).await?;
    let from = run.mark().await?;
    tokio::time::sleep(IDLE).await;
    let used = run.since(&from).await?;
    let seconds = used.spent.seconds;
    let figure = |name: &str, value, unit| {
        let figure = Figure::new(format!("idle_{name}"), value, unit);
        figure.block_interval_ms(used.block_interval_ms).spent(&used.spent)
    };
    figure("cpu", 1_000.0 * used.spent.relayer_cpu_s / seconds, "ms/s").print();
    figure("requests", used.requests / seconds, "1/s").print();
    figure("calls", used.calls / seconds, "1/s").print();
    figure("peak_memory", run.peak_mib()?, "MiB").goal(Goal::AtMost(40.0)).print();
    Ok(())
}

async fn burst(number: u32, progress: Progress) -> Result<(), Failure> {
    let mut run = open(progress).await?;
    run.launch()?;
    run.ready().await?;
    progress.line(&format!("{PACKETS} transfers in one burst, run {number}"));
    let from = run.mark().await?;
    run.send(PACKETS).await?;
    run.settled().await?;
    let used = run.since(&from).await?;
    let memory = run.peak_mib()?;
    // Not earlier: it reads all blocks, on the processors that were measured.
    run.check("burst", [PACKETS, 0]).await?;

    let packets = PACKETS as f64;
    let figure = |name: &str, value, unit| Figure::new(format!("burst_{name}"), value, unit).run(number);
    let interval = used.block_interval_ms;
    let rate = packets / used.spent.seconds;
    progress.line(&format!("  acknowledged after {:.1} s", used.spent.seconds));
    let rate = figure("acknowledged", rate, "packets/s").goal(Goal::AtLeast(170.0)).block_interval_ms(interval);
    rate.unless_bound(&used.spent).print();
    let cpu = figure("cpu_per_packet", 1_000.0 * used.spent.relayer_cpu_s / packets, "ms");
    cpu.goal(Goal::AtMost(1.5)).spent(&used.spent).print();
    costs(&figure, &used, packets);
    figure("peak_memory", memory, "MiB").goal(Goal::AtMost(40.0)).print();
    Ok(())
}

async fn pending(progress: Progress) -> Result<(), Failure> {
    let mut run = open(progress).await?;
    run.send(PACKETS).await?;
    run.wait_blocks(2).await?;
    progress.line(&format!("{PACKETS} packets pending at the relayer's start"));
    let from = run.mark().await?;
    let since = Instant::now();
    run.launch()?;
    run.settled().await?;
    let seconds = since.elapsed().as_secs_f64();
    run.answers().await?;
    let used = run.since(&from).await?;
    let memory = run.peak_mib()?;
    run.check("pending at start", [PACKETS, 0]).await?;

    let packets = PACKETS as f64;
    let figure = |name: &str, value, unit| Figure::new(format!("pending_{name}"), value, unit);
    progress.line(&format!("  acknowledged after {seconds:.1} s"));
    let time = figure("acknowledged", seconds, "s").goal(Goal::AtMost(8.0)).block_interval_ms(used.block_interval_ms);
    time.unless_bound(&used.spent).print();
    let cpu = figure("cpu_per_packet", 1_000.0 * used.spent.relayer_cpu_s / packets, "ms");
    cpu.goal(Goal::AtMost(1.5)).spent(&used.spent).print();
    costs(&figure, &used, packets);
    figure("peak_memory", memory, "MiB").goal(Goal::AtMost(40.0)).print();
    Ok(())
}

fn costs(figure: &impl Fn(&str, f64, &'static str) -> Figure, used: &Used, packets: f64) {
    figure("requests_per_packet", used.requests / packets, "HTTP requests").goal(Goal::AtMost(0.6)).print();
    figure("calls_per_packet", used.calls / packets, "RPC calls").goal(Goal::AtMost(3.5)).print();
}
