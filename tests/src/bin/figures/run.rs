//! One run: two fresh chains, a path, a relayer, and what each of them used.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ibc_proto::cosmos::base::query::v1beta1::PageRequest;
use ibc_proto::ibc::core::channel::v1::{QueryPacketCommitmentsRequest, QueryPacketCommitmentsResponse};
use relayer_tests::DevnetError;
use relayer_tests::devnet::{ConfigOptions, Devnet, Process, STAKE, Transfer};
use relayer_tests::limits::READY_TIMEOUT;
use relayer_tests::relay::{Action, End, History, Line, Link, until};

use crate::blocks;
use crate::failure::Failure;
use crate::figure::Spent;

/// The slowest run on a machine at load 10; a broken one doesn't go on for ever.
const WAIT: Duration = Duration::from_secs(600);
/// Between two looks at the chains: one small query, on the processors that are measured.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) struct Run {
    // Before the chains, so that it ends first.
    process: Option<Process>,
    pub(crate) line: Line,
    pub(crate) link: Link,
    pub(crate) handshake_s: f64,
}

/// A moment, and what was used until then.
pub(crate) struct Mark {
    at: Instant,
    relayer: Duration,
    chains: Duration,
    machine: f64,
    pub(crate) heights: [u64; 2],
    requests: f64,
    calls: f64,
}

/// What was used since a mark.
pub(crate) struct Used {
    pub(crate) spent: Spent,
    pub(crate) requests: f64,
    pub(crate) calls: f64,
    /// Of both chains.
    pub(crate) block_interval_ms: f64,
}

impl Run {
    /// Starts chains and makes the path, which is what the handshake's time tells.
    pub(crate) async fn open() -> Result<Self, DevnetError> {
        let net = Devnet::two_chains().await?;
        let since = Instant::now();
        let line = Line::open(net, &ConfigOptions::default()).await?;
        let handshake_s = since.elapsed().as_secs_f64();
        let link = line.link(0)?;
        Ok(Self { process: None, line, link, handshake_s })
    }

    /// Starts the relayer; its processor time and memory count from here.
    pub(crate) fn launch(&mut self) -> Result<(), DevnetError> {
        let (relayer, environment) = (&self.line.relayer, self.line.net.environment());
        let config = relayer.config.file.display().to_string();
        let log: PathBuf = relayer.config.file.with_extension("log");
        let environment = environment.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        self.process = Some(Process::start(relayer.binary(), &["--config", &config, "start"], environment, &log)?);
        Ok(())
    }

    pub(crate) async fn ready(&self) -> Result<(), DevnetError> {
        self.line.relayer.ready(READY_TIMEOUT).await
    }

    /// Sends so many transfers in one burst and waits until they are in blocks.
    pub(crate) async fn send(&self, packets: usize) -> Result<(), DevnetError> {
        let net = &self.line.net;
        let transfer = Transfer::new(&self.link.a.channel, 1, STAKE, net.wallets.user_b.address()).timeout_in(WAIT * 2);
        net.a.user(&net.wallets.user_a).burst(&vec![transfer; packets]).await.map(drop)
    }

    /// Waits until nothing is open.
    pub(crate) async fn settled(&mut self) -> Result<(), Failure> {
        let since = Instant::now();
        while any_open(&self.link.a).await? || any_open(&self.link.b).await? {
            if let Some(status) = self.process.as_mut().and_then(Process::ended) {
                let command = "relayer start".to_owned();
                return Err(Failure::Command { command, status: status.to_string() });
            }
            if since.elapsed() > WAIT {
                // With the number of those that are open.
                self.link.settled(Duration::ZERO).await?;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Sees that each of so many packets from either chain was delivered and acknowledged, and paid for once.
    pub(crate) async fn check(&self, part: &str, sent: [usize; 2]) -> Result<(), Failure> {
        let link = &self.link;
        let (a, b) = (link.a.history().await?, link.b.history().await?);
        let wrong = |what: String| Failure::Paid { part: part.to_owned(), what };
        for (packets, channel, here, there) in [(sent[0], &link.a.channel, &a, &b), (sent[1], &link.b.channel, &b, &a)]
        {
            let count = |history: &History, action| {
                history.effects_of(action, channel).map_err(|twice| wrong(format!("more than one effect: {twice:?}")))
            };
            let (received, acknowledged) = (count(there, Action::Receive)?, count(here, Action::Acknowledge)?);
            let timed_out = count(here, Action::TimeOut)?;
            if (received, acknowledged, timed_out) != (packets, packets, 0) {
                return Err(Failure::Lost { part: part.to_owned(), packets, received, acknowledged, timed_out });
            }
        }
        let ours = self.line.net.wallets.relayer.address();
        for history in [&a, &b] {
            let (repeated, failed) = (history.repeated_by(ours).len(), history.failed_of(ours));
            if (repeated, failed) != (0, 0) {
                return Err(wrong(format!("{repeated} packets paid for twice, {failed} failed messages")));
            }
        }
        Ok(())
    }

    pub(crate) async fn mark(&self) -> Result<Mark, DevnetError> {
        let net = &self.line.net;
        // A relayer that was just launched has used nothing.
        let metrics = self.line.relayer.admin.metrics().await.ok();
        let sum = |name| metrics.as_ref().map_or(0.0, |m| m.sum(name, &[]));
        Ok(Mark {
            heights: [net.a.height().await?, net.b.height().await?],
            at: Instant::now(),
            relayer: self.process.as_ref().map_or(Ok(Duration::ZERO), Process::cpu_time)?,
            chains: net.a.cpu_time()? + net.b.cpu_time()?,
            machine: machine_cpu_s()?,
            requests: sum("relay_rpc_requests_total"),
            calls: sum("relay_rpc_calls_total"),
        })
    }

    pub(crate) async fn since(&self, from: &Mark) -> Result<Used, DevnetError> {
        let to = self.mark().await?;
        let difference = |to: Duration, from| to.saturating_sub(from).as_secs_f64();
        let spent = Spent {
            seconds: difference(to.at - from.at, Duration::ZERO),
            cores: std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64),
            relayer_cpu_s: difference(to.relayer, from.relayer),
            chains_cpu_s: difference(to.chains, from.chains),
            machine_cpu_s: to.machine - from.machine,
        };
        let net = &self.line.net;
        let a = blocks::interval_ms(net.a.node(), from.heights[0], to.heights[0]).await?;
        let b = blocks::interval_ms(net.b.node(), from.heights[1], to.heights[1]).await?;
        let (requests, calls) = (to.requests - from.requests, to.calls - from.calls);
        Ok(Used { spent, requests, calls, block_interval_ms: (a + b) / 2.0 })
    }

    /// The most memory it has had, MiB.
    pub(crate) fn peak_mib(&self) -> Result<f64, DevnetError> {
        let id = self.process.as_ref().map(Process::id).unwrap_or_default();
        let file = format!("/proc/{id}/status");
        let text = read(&file)?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kib.map(|kib| kib / 1024.0).ok_or(DevnetError::Decode { what: file, reason: "no VmHWM".to_owned() })
    }

    /// Waits until both chains are this many blocks further.
    pub(crate) async fn wait_blocks(&self, blocks: u64) -> Result<(), DevnetError> {
        tokio::try_join!(self.line.net.a.wait_blocks(blocks), self.line.net.b.wait_blocks(blocks)).map(drop)
    }

    /// Waits until the relayer answers at all.
    pub(crate) async fn answers(&self) -> Result<(), DevnetError> {
        until("a relayer that answers", READY_TIMEOUT, async || {
            self.line.relayer.admin.metrics().await.map(|_| Some(()))
        })
        .await
    }
}

/// Whether any packet sent here is open: one item of a page, however many there are.
async fn any_open(end: &End) -> Result<bool, DevnetError> {
    let request = QueryPacketCommitmentsRequest {
        port_id: "transfer".to_owned(),
        channel_id: end.channel.clone(),
        pagination: Some(PageRequest { limit: 1, ..PageRequest::default() }),
    };
    let path = "/ibc.core.channel.v1.Query/PacketCommitments";
    let answer: QueryPacketCommitmentsResponse = end.node.query(path, &request).await?;
    Ok(!answer.commitments.is_empty())
}

/// Processor time of everybody on this machine since it started, s.
fn machine_cpu_s() -> Result<f64, DevnetError> {
    /// Linux counts in 1/100 s for every program, whatever the kernel's own tick.
    const TICK_S: f64 = 0.01;
    let file = "/proc/stat";
    let text = read(file)?;
    let first = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = first.split_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let [user, nice, system, _, _, irq, softirq, ..] = ticks[..] else {
        return Err(DevnetError::Decode { what: file.to_owned(), reason: first.to_owned() });
    };
    Ok((user + nice + system + irq + softirq) * TICK_S)
}

fn read(file: &str) -> Result<String, DevnetError> {
    std::fs::read_to_string(file).map_err(|source| DevnetError::Io { what: file.to_owned(), source })
}
