//! What the admin port tells: the state of chains, paths, limits and journal, gathered twice a second.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use limiter::BreakerState as State;
use relayer_chains::cosmos::tx::NO_ACCOUNT;
use relayer_config::settings::Settings;
use relayer_core::chain::Chain;
use relayer_core::error::{ChainError, ChainErrorKind, Remedy};
use relayer_core::packet::Side;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::{
    ChainLimits, ChainStatus, ChannelStatus, ClientStatus, EndedPackets, EndpointStatus, JournalHealth, Latency,
    PathStatus, Snapshot, VerifierStatus, XcmStatus,
};
use crate::limits_view;
use crate::path::Path;
use crate::program::Program;
use crate::remedy::chain_remedy;
use crate::start::Relayer;
use crate::telemetry::metrics::{Backlog, Metrics};

/// Between two snapshots.
const EVERY: Duration = Duration::from_millis(500);
/// Between two questions for a wallet's balance.
const BALANCE_EVERY: Duration = Duration::from_secs(30);

/// A chain is called silent after this and [`SILENT_BLOCKS`] block times: clocks differ, and one slow block is none.
const SILENT_LEAST: Duration = Duration::from_secs(10);
/// See [`SILENT_LEAST`].
const SILENT_BLOCKS: u32 = 10;

/// An error with what to do about it.
fn with_remedy(error: &ChainError) -> String {
    chain_remedy(error).map_or_else(|| error.to_string(), |remedy| format!("{error}; {remedy}"))
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

struct Watched {
    chain: Arc<relayer_chains::AnyChain>,
    follower: Arc<crate::follow::Follower>,
    wallet: watch::Receiver<Wallet>,
    silent_after: Duration,
}

/// What is known of a chain's wallet.
#[derive(Debug, Clone, Default)]
struct Wallet {
    balance: Option<(u128, String)>,
    trouble: Option<String>,
}

/// Asks for a wallet's state for ever. A task of its own a chain: one that is away answers late, and the snapshots don't wait for it.
async fn watch_wallet(chain: Arc<relayer_chains::AnyChain>, metrics: Arc<Metrics>, to: watch::Sender<Wallet>) {
    let mut wallet = Wallet::default();
    loop {
        match chain.balance().await {
            Ok((amount, denom)) => {
                metrics.wallet(chain.id().as_str(), chain.signer(), &denom, amount);
                wallet.balance = Some((amount, denom));
            }
            Err(error) => tracing::debug!(chain = %chain.id(), "balance: {error}"),
        }
        // The account says more than the balance: a wrong prefix, a key that can't sign. One that does not exist is an empty wallet.
        let trouble = match chain.account_sequence().await {
            Err(error) if matches!(error.kind, ChainErrorKind::Setup(why) if why != NO_ACCOUNT) => {
                Some(with_remedy(&error))
            }
            // Not asked, not answered: what was known stays.
            Err(error) if error.remedy() != Remedy::Halt => wallet.trouble.clone(),
            _ => None,
        };
        if let Some(text) = trouble.as_ref().filter(|t| wallet.trouble.as_ref() != Some(*t)) {
            tracing::error!(chain = %chain.id(), "the wallet {} can't pay: {text}", chain.signer());
        }
        wallet.trouble = trouble;
        to.send_replace(wallet.clone());
        tokio::time::sleep(BALANCE_EVERY).await;
    }
}

/// Gathers snapshots until the receiver is gone.
pub struct Gatherer {
    program: Program,
    chains: Vec<Watched>,
    limits: Vec<limits_view::Watch>,
    /// Ends with the gatherer.
    _wallets: JoinSet<()>,
    paths: Vec<Arc<Path>>,
    started_unix_s: u64,
    workers: u64,
}

impl Gatherer {
    /// For a running relayer.
    pub fn new(program: &Program, relayer: &Relayer, settings: &Settings) -> Self {
        let cpus = std::thread::available_parallelism().map_or(2, usize::from);
        let mut wallets = JoinSet::new();
        let chains: Vec<Watched> = relayer
            .chains
            .iter()
            .filter_map(|(id, chain)| {
                let follower = relayer.followers.get(id)?.clone();
                let block_time = settings.chain(id).map_or(Duration::from_secs(6), |c| c.block_time);
                let silent_after = SILENT_LEAST + block_time * SILENT_BLOCKS;
                let (to, wallet) = watch::channel(Wallet::default());
                wallets.spawn(watch_wallet(chain.clone(), program.metrics.clone(), to));
                Some(Watched { chain: chain.clone(), follower, wallet, silent_after })
            })
            .collect();
        let limits = chains.iter().map(|watched| limits_view::Watch::new(watched.chain.clone())).collect();
        Self {
            program: program.clone(),
            chains,
            limits,
            _wallets: wallets,
            paths: relayer.paths.clone(),
            started_unix_s: unix_ms() / 1_000,
            workers: settings.global.workers(cpus) as u64,
        }
    }

    /// Gathers for ever.
    pub async fn run(mut self, to: watch::Sender<Arc<Snapshot>>) {
        while !to.is_closed() {
            to.send_replace(Arc::new(self.gather()));
            tokio::time::sleep(EVERY).await;
        }
    }

    fn gather(&mut self) -> Snapshot {
        let limits: Vec<ChainLimits> = self.limits.iter_mut().map(|watch| watch.read(Instant::now())).collect();
        limits.iter().for_each(|chain| self.program.metrics.limits(chain));
        let mut reasons = Vec::new();
        let chains = self.chains.iter().map(|c| self.chain(c, &mut reasons)).collect();
        let paths = self.paths.iter().map(|p| path(p, &mut reasons)).collect();
        self.backlogs();
        let journal = self.program.journal.status();
        self.program.metrics.journal(&journal);
        if let Some(error) = &journal.degraded {
            reasons.push(format!("journal: {error}"));
        }
        Snapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_unix_s: self.started_unix_s,
            at_unix_ms: unix_ms(),
            ready: reasons.is_empty(),
            reasons,
            chains,
            paths,
            verifier: VerifierStatus { workers: self.workers, queued: self.program.pool.queued() as u64 },
            limits,
            rules: self.chains.first().map(|watched| limits_view::rules(&watched.chain)).unwrap_or_default(),
            journal: JournalHealth { bytes: journal.bytes, degraded: journal.degraded.map(|e| e.to_string()) },
        }
    }

    /// All channels' backlogs at once: one that is not named leaves the metrics.
    fn backlogs(&self) {
        let now = unix_ms();
        let mut rows = Vec::new();
        for path in &self.paths {
            for channel in path.status().channels {
                for side in Side::BOTH {
                    let b = &channel.backlog[side.index()];
                    let age_ms = b.oldest.map_or(0, |t| now.saturating_sub(t.0 / 1_000_000));
                    let source = channel.pair.end(side).clone();
                    rows.push((
                        path.clone(),
                        side,
                        source,
                        (b.unreceived + b.unacknowledged) as u64,
                        age_ms as f64 / 1e3,
                    ));
                }
            }
        }
        let rows: Vec<Backlog<'_>> = rows
            .iter()
            .map(|(path, side, source, packets, oldest_age_s)| Backlog {
                path: path.name(),
                source_chain: path.chain(*side).id().as_str(),
                source,
                packets: *packets,
                oldest_age_s: *oldest_age_s,
            })
            .collect();
        self.program.metrics.backlogs(&rows);
    }

    fn chain(&self, watched: &Watched, reasons: &mut Vec<String>) -> ChainStatus {
        let head = watched.follower.head();
        let lag_ms = head.map(|h| unix_ms().saturating_sub(h.time.0 / 1_000_000));
        let silent_ms = u64::try_from(watched.silent_after.as_millis()).unwrap_or(u64::MAX);
        let trouble = match (watched.follower.trouble(), lag_ms) {
            (Some(error), _) => Some(with_remedy(&error)),
            (None, None) => Some(format!("{}: no block seen yet", watched.chain.id())),
            (None, Some(lag)) if lag > silent_ms => {
                let seconds = lag / 1_000;
                Some(format!(
                    "{}: no new block for {seconds} s; see whether the chain stands still, or its node",
                    watched.chain.id()
                ))
            }
            (None, Some(_)) => None,
        };
        reasons.extend(trouble.clone());
        let wallet = watched.wallet.borrow().clone();
        reasons.extend(wallet.trouble);
        let endpoints: Vec<EndpointStatus> = watched
            .chain
            .rpc()
            .health()
            .into_iter()
            .map(|e| EndpointStatus {
                label: e.id.label().to_string(),
                state: match e.quarantine {
                    Some(_) => "quarantined".to_owned(),
                    None => match e.limiter.breaker {
                        State::Closed => "ok",
                        State::Open => "open",
                        State::HalfOpen => "half_open",
                    }
                    .to_owned(),
                },
                height: None,
                error: e.quarantine.map(|(why, left)| format!("{why}, {} s left", left.as_secs())),
            })
            .collect();
        if let (Some(head), Some(first)) = (head, endpoints.first()) {
            let lag = lag_ms.unwrap_or(0) as f64 / 1e3;
            self.program.metrics.chain(watched.chain.id().as_str(), &first.label, head.height.number, lag);
        }
        if wallet.balance.as_ref().is_some_and(|(amount, _)| *amount == 0) {
            reasons.push(format!(
                "{}: wallet {} is empty; send it some {}",
                watched.chain.id(),
                watched.chain.signer(),
                wallet.balance.as_ref().map_or("", |(_, d)| d)
            ));
        }
        ChainStatus {
            id: watched.chain.id().to_string(),
            height: head.map(|h| h.height.number),
            lag_ms,
            endpoints,
            wallet: Some(watched.chain.signer().to_owned()).filter(|a| !a.is_empty()),
            balance: wallet.balance.as_ref().map(|(amount, _)| amount.to_string()),
            denom: wallet.balance.as_ref().map(|(_, denom)| denom.clone()),
            in_flight: 0,
            error: trouble,
        }
    }
}

fn path(path: &Path, reasons: &mut Vec<String>) -> PathStatus {
    let s = path.status();
    if let Some(trouble) = &s.trouble {
        reasons.push(format!("path {}: {trouble}", path.name()));
    } else if !s.running {
        reasons.push(format!("path {}: starting", path.name()));
    }
    let clients = Side::BOTH.into_iter().zip(&s.clients).filter_map(|(side, client)| {
        let client = client.as_ref()?;
        Some(ClientStatus {
            chain: path.chain(side).id().to_string(),
            id: client.id.to_string(),
            latest: Some(client.latest.to_string()),
            expires_in_s: i64::try_from(client.expires_in_ns / 1_000_000_000).ok(),
            frozen: client.frozen,
        })
    });
    let channels = s.channels.iter().flat_map(|channel| {
        Side::BOTH.into_iter().map(|side| {
            let backlog = &channel.backlog[side.index()];
            let now = unix_ms();
            ChannelStatus {
                source_chain: path.chain(side).id().to_string(),
                source: channel.pair.end(side).to_string(),
                backlog: (backlog.unreceived + backlog.unacknowledged) as u64,
                oldest_age_ms: backlog.oldest.map(|t| now.saturating_sub(t.0 / 1_000_000)),
            }
        })
    });
    let xcm = s.xcm.iter().map(|packet| {
        let message = packet.message.as_ref().ok();
        XcmStatus {
            source_chain: path.chain(packet.key.from).id().to_string(),
            source: packet.key.source.to_string(),
            sequence: packet.key.sequence.0,
            version: message.map(|m| m.version.to_string()),
            instructions: message.map(|m| m.instructions as u64),
            summary: message.map(|m| m.summary.clone()),
            error: packet.message.as_ref().err().map(ToString::to_string),
            refused: packet.refused.map(str::to_owned),
        }
    });
    let [acked, timed_out, failed] = s.ended;
    PathStatus {
        name: path.name().to_string(),
        clients: clients.collect(),
        channels: channels.collect(),
        open_packets: s.open as u64,
        in_flight: s.in_flight as u64,
        ended: EndedPackets { acked, timed_out, failed },
        xcm: xcm.collect(),
        receive_ms: Latency { count: s.latencies.count, p50: s.latencies.receive_p50, p95: s.latencies.receive_p95 },
        ack_ms: Latency { count: s.latencies.count, p50: s.latencies.ack_p50, p95: s.latencies.ack_p95 },
        error: s.trouble,
    }
}
