//! The show itself, act by act: chains, path, relayer, transfers, and a look at what became of each.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ibc_proto::cosmos::base::query::v1beta1::PageRequest;
use ibc_proto::ibc::core::channel::v1::{QueryPacketCommitmentsRequest, QueryPacketCommitmentsResponse};
use serde_json::Value;

use super::failure::Failure;
use super::report::Report;
use super::screen::Screen;
use super::stage::Stage;
use super::timeline::{Seen, Side, Step, Timeline};
use super::{Options, Program, Set};
use crate::DevnetError;
use crate::devnet::{self, ConfigOptions, STAKE, Transfer, User};
use crate::relay::{End, Link, Relayer, channels};

/// Up to so many packets each way have a line each.
const LINE_EACH: usize = 20;
/// Between two looks at the chains; cheap ones, on the processors the relayer needs.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Transactions in which packets are sent while nodes misbehave, and the pause between two: as long as all faults take.
const WAVES: usize = 20;
const WAVE_EVERY: Duration = Duration::from_secs(1);
/// A transfer does not time out before the run does.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(600);

/// Runs everything; `stage` and `report` hold what there is at each moment.
pub(super) async fn run<N: Set>(
    options: &Options,
    screen: &Screen,
    stage: &mut Stage<N>,
    report: &mut Report,
    start: impl Future<Output = Result<N, DevnetError>>,
) -> Result<(), Failure> {
    let dir = &stage.dir().to_owned();
    let since = Instant::now();
    screen.line(&format!("starting two chains ({})", options.chains));
    let net = &*stage.net.insert(start.await?);
    report.chains_start_seconds = seconds(since);
    let [a, b] = net.ends();
    for chain in [a, b] {
        let every = chain.block_time_ms() as f64 / 1_000.0;
        screen.line(&format!("  {}  {}  a block about every {every} s", chain.id(), chain.node().url()));
    }

    let config = ConfigOptions {
        limits: "# Both nodes are our own, on this machine: as fast as they answer. Public nodes want 10 and 20.\n\
                 requests_per_second = 5000\nburst = 10000\n"
            .to_owned(),
        ..ConfigOptions::default()
    };
    let path = config.path.clone();
    let config = devnet::write_config(net.ends(), dir, &config)?;
    let environment = devnet::environment(net.wallets());
    let relayer = stage.relayer.insert(match options.relayer {
        Program::Built => Relayer::new(config, environment)?,
        Program::Within => Relayer::of(within(dir)?, config, environment)?,
    });
    let since = Instant::now();
    screen.line(&format!("relayer path create {path}"));
    relayer.succeed(&["path", "create", &path]).await?;
    report.path_create_seconds = seconds(since);
    screen.line(&format!("  open after {:.1} s", report.path_create_seconds));
    let ids = channels(&relayer.config.file, &path)?;
    let (channel_a, channel_b) = ids.channels.first().cloned().ok_or(DevnetError::Decode {
        what: "the path's channels".to_owned(),
        reason: "path create wrote none".to_owned(),
    })?;
    let opened = [
        (a.id(), &ids.clients.0, &ids.connections.0, &channel_a),
        (b.id(), &ids.clients.1, &ids.connections.1, &channel_b),
    ];
    for (chain, client, connection, channel) in opened {
        screen.line(&format!("  {chain}  {client}  {connection}  transfer/{channel}"));
    }
    let [node_a, node_b] = net.observers();
    let link = Link { a: End { node: node_a, channel: channel_a }, b: End { node: node_b, channel: channel_b } };

    let since = Instant::now();
    screen.line("relayer start");
    relayer.start().await.map_err(|error| ended(relayer).unwrap_or(error.into()))?;
    report.relayer_start_seconds = seconds(since);
    screen.line(&format!("  ready, status at http://{}/status", relayer.config.admin));

    let packets = options.packets();
    screen.line(&format!("{packets} ICS-20 transfers each way"));
    let act = Act { options, screen, net, link: &link };
    act.relay(relayer, report).await?;
    act.vouchers().await?;
    report.complete = true;
    screen.line(&report.summary());
    if options.keep {
        keep(screen, dir, net, relayer)?;
        loop {
            if let Some(failure) = ended(relayer) {
                return Err(failure);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

/// This very program under the name `relayer`: it is both.
fn within(dir: &Path) -> Result<PathBuf, DevnetError> {
    let own = std::env::current_exe().map_err(DevnetError::io("finding this program"))?;
    let folder = dir.join("bin");
    let named = folder.join("relayer");
    let linked = std::fs::create_dir(&folder).and_then(|()| std::os::unix::fs::symlink(own, &named));
    linked.map_err(DevnetError::io(named.display().to_string()))?;
    Ok(named)
}

/// The packets' part of it.
struct Act<'a, N> {
    options: &'a Options,
    screen: &'a Screen,
    net: &'a N,
    link: &'a Link,
}

impl<N: Set> Act<'_, N> {
    fn users(&self) -> (User, User) {
        let (wallets, [a, b]) = (self.net.wallets(), self.net.ends());
        let (alice, bob) = (wallets.user_a.clone(), wallets.user_b.clone());
        (
            User::new(self.link.a.node.clone(), a.id(), alice, &a.gas_price()),
            User::new(self.link.b.node.clone(), b.id(), bob, &b.gas_price()),
        )
    }

    fn ids(&self) -> (&str, &str) {
        let [a, b] = self.net.ends();
        (a.id(), b.id())
    }

    /// Sends, and watches until nothing is open.
    async fn relay(&self, relayer: &mut Relayer, report: &mut Report) -> Result<(), Failure> {
        let packets = self.options.packets();
        let mut timeline = Timeline::from_now(self.link).await?;
        let cpu = (relayer.cpu_time()?, self.net.cpu_time()?);
        let (alice, bob) = self.users();
        let transfers = |channel: &str, receiver: &User| {
            let timeout = (self.options.timeout() * 2).max(TRANSFER_TIMEOUT);
            vec![Transfer::new(channel, 1, STAKE, receiver.address()).timeout_in(timeout); packets]
        };
        let (to_b, to_a) = (transfers(&self.link.a.channel, &bob), transfers(&self.link.b.channel, &alice));
        let since = Instant::now();
        let sent = Cell::new(false);
        let sending = async {
            // While nodes misbehave, packets come all the time.
            let wave = if self.options.faults { packets.div_ceil(WAVES) } else { packets };
            for (to_b, to_a) in to_b.chunks(wave).zip(to_a.chunks(wave)) {
                tokio::try_join!(alice.burst(to_b), bob.burst(to_a))?;
                if self.options.faults {
                    tokio::time::sleep(WAVE_EVERY).await;
                }
            }
            sent.set(true);
            Ok::<_, Failure>(())
        };
        let watching = self.watch(relayer, &mut timeline, since, &sent);
        let relaying = async { tokio::try_join!(sending, watching).map(drop) };
        let watched = if self.options.faults {
            let say = |text: &str| self.screen.line(&format!("  {:>6} ms  fault: {text}", since.elapsed().as_millis()));
            tokio::select! {
                watched = relaying => watched,
                never = self.net.misbehave(&say) => match never {},
            }
        } else {
            relaying.await
        };
        report.seconds = seconds(since);
        report.relayer_cpu_seconds = relayer.cpu_time().map_or(0.0, |t| (t.saturating_sub(cpu.0)).as_secs_f64());
        report.chains_cpu_seconds = self.net.cpu_time()?.saturating_sub(cpu.1).as_secs_f64();
        // Large runs read the blocks only now, so as not to take processor time from the relayer.
        self.show(&timeline.advance().await?);
        report.packets(&timeline);
        report.packets_per_second = report.acknowledged as f64 / report.seconds.max(f64::EPSILON);
        if let Ok(metrics) = relayer.admin.metrics().await {
            report.relayer_says(&metrics);
        }
        watched?;
        let counts = timeline.counts();
        if (counts.sent, counts.received, counts.acknowledged) != (2 * packets, 2 * packets, 2 * packets) {
            let (sent, received) = (counts.sent, counts.received);
            let (acknowledged, timed_out) = (counts.acknowledged, counts.timed_out);
            return Err(Failure::Lost { sent, received, acknowledged, timed_out });
        }
        Ok(())
    }

    async fn watch(
        &self,
        relayer: &mut Relayer,
        timeline: &mut Timeline,
        since: Instant,
        sent: &Cell<bool>,
    ) -> Result<(), Failure> {
        let packets = self.options.packets();
        let each = packets <= LINE_EACH;
        let progress = (!each).then(|| self.screen.progress(2 * packets));
        loop {
            if let Some(failure) = ended(relayer) {
                return Err(failure);
            }
            if each {
                self.show(&timeline.advance().await?);
            }
            // A relayer too busy to answer here is not a reason to fail.
            let status = relayer.admin.status().await.unwrap_or_default();
            let path = &status["paths"][0];
            if let Some(progress) = &progress {
                progress.at(path["ended"]["acked"].as_u64().unwrap_or(0), &said(path));
            }
            // In this order: what is sent after the first look would be missed by the second.
            let all_sent = sent.get();
            if !(any_open(&self.link.a).await? || any_open(&self.link.b).await?) && all_sent {
                return Ok(());
            }
            if since.elapsed() > self.options.timeout() {
                let (a, b) = (self.link.a.open().await?, self.link.b.open().await?);
                let (id_a, id_b) = self.ids();
                let open = format!("{} from {id_a}, {} from {id_b}", a.len(), b.len());
                let sent = 2 * packets;
                let acknowledged = sent.saturating_sub(a.len() + b.len());
                return Err(Failure::Late { seconds: since.elapsed().as_secs(), acknowledged, sent, open });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// A line for each thing that happened if there are few packets, otherwise one for each block.
    fn show(&self, all: &[Seen]) {
        if self.options.packets() > LINE_EACH {
            return self.show_blocks(all);
        }
        for seen in all {
            let (a, b) = self.ids();
            let (from, to) = if seen.source == Side::A { (a, b) } else { (b, a) };
            let (what, on) = said_of(seen.step, from, to);
            let after = match (seen.step, seen.after_ms) {
                (Step::Sent, _) | (_, None) => String::new(),
                (_, Some(ms)) => format!("  after {ms:>5} ms"),
            };
            let (sequence, height) = (seen.sequence, seen.moment.height);
            self.screen
                .line(&format!("  {from} -> {to}  #{sequence:<4} {what:<12} in block {height:<5} of {on}{after}"));
        }
    }

    /// A line for each block in which something happened.
    fn show_blocks(&self, all: &[Seen]) {
        let same = |a: &Seen, b: &Seen| (a.source, a.step, a.moment) == (b.source, b.step, b.moment);
        let first = all.first().map(|seen| seen.moment);
        for run in all.chunk_by(same) {
            let (Some(seen), Some(first)) = (run.first(), first) else { continue };
            let (a, b) = self.ids();
            let (from, to) = if seen.source == Side::A { (a, b) } else { (b, a) };
            let (what, on) = said_of(seen.step, from, to);
            let (count, height, after) = (run.len(), seen.moment.height, first.until_ms(seen.moment));
            self.screen
                .line(&format!("  {after:>6} ms  block {height:<5} of {on}  {count:>4} {what:<12} {from} -> {to}"));
        }
    }

    /// Counts what arrived: each transfer was of one unit.
    async fn vouchers(&self) -> Result<(), Failure> {
        let (alice, bob) = self.users();
        let wanted = self.options.packets() as u128;
        let (id_a, id_b) = self.ids();
        let owned = [
            (id_b, &self.link.b.node, bob.address(), self.link.voucher_on_b(STAKE)),
            (id_a, &self.link.a.node, alice.address(), self.link.voucher_on_a(STAKE)),
        ];
        for (chain, node, account, denom) in owned {
            let found = node.balance(account, &denom).await?;
            if found != wanted {
                let (chain, account) = (chain.to_owned(), account.to_owned());
                return Err(Failure::Vouchers { chain, account, denom, found, wanted });
            }
        }
        Ok(())
    }
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

fn ended(relayer: &mut Relayer) -> Option<Failure> {
    relayer.ended().map(|status| Failure::RelayerEnded { status: status.to_string() })
}

/// What happened, and on which chain.
fn said_of<'c>(step: Step, from: &'c str, to: &'c str) -> (&'static str, &'c str) {
    match step {
        Step::Sent => ("sent", from),
        Step::Received => ("received", to),
        Step::Acknowledged => ("acknowledged", from),
        Step::TimedOut => ("TIMED OUT", from),
    }
}

/// What the relayer itself says about its path.
fn said(path: &Value) -> String {
    let open = path["open_packets"].as_u64().unwrap_or(0);
    match path["ack_ms"]["p50"].as_u64() {
        Some(ms) => format!("{open} open, p50 of the last {ms} ms"),
        None => format!("{open} open"),
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

/// Writes what another terminal needs, and says how to use it.
fn keep(screen: &Screen, dir: &Path, net: &impl Set, relayer: &Relayer) -> Result<(), Failure> {
    let failed = |source| DevnetError::Io { what: dir.display().to_string(), source };
    let config = &relayer.config.file;
    // A user of the chains pays from a wallet of their own: two programs on one account would fight over its sequence.
    let text = std::fs::read_to_string(config).map_err(failed)?;
    let user = dir.join("user.toml");
    let own = text.replace("name = \"relayer\"", "name = \"user-a\"").replace("TEST_RELAYER\"", "TEST_USER_A\"");
    std::fs::write(&user, own).map_err(failed)?;
    let mut script = String::new();
    for (name, words) in devnet::environment(net.wallets()) {
        script += &format!("export {name}='{words}'\n");
    }
    script += &format!("export RELAYER_CONFIG='{}'\n", user.display());
    if let Some(folder) = relayer.binary().parent() {
        script += &format!("export PATH='{}':\"$PATH\"\n", folder.display());
    }
    let script_file = dir.join("env.sh");
    std::fs::write(&script_file, script).map_err(failed)?;
    let (a, b) = (net.wallets().user_a.address(), net.wallets().user_b.address());
    let [chain_a, chain_b] = net.ends();
    screen.line(&format!(
        "running until Ctrl-C\n\
         \x20 chains   {} {}   {} {}\n\
         \x20 relayer  {}   log {}\n\
         \x20 metrics  http://{}/metrics\n\
         \x20 wallets  user-a {a}   user-b {b}   (1000000000000 {STAKE} on each chain)\n\
         in another terminal:\n\
         \x20 . {}\n\
         \x20 relayer status\n\
         \x20 relayer tx transfer --path a-b --from a --amount 5{STAKE} --to {b} --count 20\n\
         \x20 relayer packets pending --path a-b",
        chain_a.id(),
        chain_a.node().url(),
        chain_b.id(),
        chain_b.node().url(),
        config.display(),
        config.with_extension("log").display(),
        relayer.config.admin,
        script_file.display(),
    ));
    Ok(())
}
