//! The demonstration itself, act by act.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use ibc_proto::cosmos::base::query::v1beta1::PageRequest;
use ibc_proto::ibc::core::channel::v1::{QueryPacketCommitmentsRequest, QueryPacketCommitmentsResponse};
use relayer_tests::DevnetError;
use relayer_tests::devnet::{ConfigOptions, Devnet, STAKE, Transfer, User};
use relayer_tests::relay::{End, Link, Relayer, channels};
use serde_json::Value;

use crate::Args;
use crate::failure::Failure;
use crate::report::Report;
use crate::screen::Screen;
use crate::stage::Stage;
use crate::timeline::{Seen, Side, Step, Timeline};

/// Up to so many packets each way have a line each.
const LINE_EACH: usize = 20;
/// Between two looks at the chains; cheap ones, on the processors the relayer needs.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A transfer does not time out before the run does.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(600);

/// Runs everything; `stage` and `report` hold what there is at each moment.
pub(crate) async fn run(args: &Args, screen: &Screen, stage: &mut Stage, report: &mut Report) -> Result<(), Failure> {
    let dir = &stage.dir().to_owned();
    let since = Instant::now();
    screen.line("starting two chains (ibc-go v10, one validator each)");
    let net = stage.net.insert(Devnet::two_chains().await?);
    report.chains_start_seconds = seconds(since);
    for chain in [&net.a, &net.b] {
        screen.line(&format!("  {}  {}  a block about every 0.55 s", chain.id(), chain.rpc_url()));
    }

    let options = ConfigOptions {
        limits: "# Both nodes are our own, on this machine: as fast as they answer. Public nodes want 10 and 20.\n\
                 requests_per_second = 5000\nburst = 10000\n"
            .to_owned(),
        ..ConfigOptions::default()
    };
    let net = &*net;
    let config = net.write_config(dir, &options)?;
    let relayer = stage.relayer.insert(Relayer::new(config, net.environment())?);
    let since = Instant::now();
    screen.line(&format!("relayer path create {}", options.path));
    relayer.succeed(&["path", "create", &options.path]).await?;
    report.path_create_seconds = seconds(since);
    screen.line(&format!("  open after {:.1} s", report.path_create_seconds));
    let ids = channels(&relayer.config.file, &options.path)?;
    let (channel_a, channel_b) = ids.channels.first().cloned().ok_or(DevnetError::Decode {
        what: "the path's channels".to_owned(),
        reason: "path create wrote none".to_owned(),
    })?;
    let opened = [
        (net.a.id(), &ids.clients.0, &ids.connections.0, &channel_a),
        (net.b.id(), &ids.clients.1, &ids.connections.1, &channel_b),
    ];
    for (chain, client, connection, channel) in opened {
        screen.line(&format!("  {chain}  {client}  {connection}  transfer/{channel}"));
    }
    let link = Link {
        a: End { node: net.a.node().clone(), channel: channel_a },
        b: End { node: net.b.node().clone(), channel: channel_b },
    };

    let since = Instant::now();
    screen.line("relayer start");
    relayer.start().await.map_err(|error| ended(relayer).unwrap_or(error.into()))?;
    report.relayer_start_seconds = seconds(since);
    screen.line(&format!("  ready, status at http://{}/status", relayer.config.admin));

    let packets = args.packets();
    screen.line(&format!("{packets} ICS-20 transfers each way"));
    let act = Act { args, screen, net, link: &link };
    act.relay(relayer, report).await?;
    act.vouchers().await?;
    report.complete = true;
    screen.line(&report.summary());
    if args.keep {
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

/// The packets' part of it.
struct Act<'a> {
    args: &'a Args,
    screen: &'a Screen,
    net: &'a Devnet,
    link: &'a Link,
}

impl Act<'_> {
    fn users(&self) -> (User, User) {
        let wallets = &self.net.wallets;
        (self.net.a.user(&wallets.user_a), self.net.b.user(&wallets.user_b))
    }

    /// Sends, and watches until nothing is open.
    async fn relay(&self, relayer: &mut Relayer, report: &mut Report) -> Result<(), Failure> {
        let packets = self.args.packets();
        let mut timeline = Timeline::from_now(self.link).await?;
        let cpu = (relayer.cpu_time()?, self.net.a.cpu_time()? + self.net.b.cpu_time()?);
        let (alice, bob) = self.users();
        let transfers = |channel: &str, receiver: &User| {
            let timeout = (self.args.timeout() * 2).max(TRANSFER_TIMEOUT);
            vec![Transfer::new(channel, 1, STAKE, receiver.address()).timeout_in(timeout); packets]
        };
        let (to_b, to_a) = (transfers(&self.link.a.channel, &bob), transfers(&self.link.b.channel, &alice));
        let since = Instant::now();
        let sent = Cell::new(false);
        let sending = async {
            tokio::try_join!(alice.burst(&to_b), bob.burst(&to_a))?;
            sent.set(true);
            Ok::<_, Failure>(())
        };
        let watching = self.watch(relayer, &mut timeline, since, &sent);
        let watched = tokio::try_join!(sending, watching).map(drop);
        report.seconds = seconds(since);
        report.relayer_cpu_seconds = relayer.cpu_time().map_or(0.0, |t| (t.saturating_sub(cpu.0)).as_secs_f64());
        let chains = self.net.a.cpu_time()? + self.net.b.cpu_time()?;
        report.chains_cpu_seconds = chains.saturating_sub(cpu.1).as_secs_f64();
        // Large runs read the blocks only now, so as not to take processor time from the relayer.
        self.show(&timeline.advance().await?);
        report.packets(&timeline);
        report.packets_per_second = report.acknowledged as f64 / report.seconds.max(f64::EPSILON);
        let metrics = relayer.admin.metrics().await;
        report.rpc_requests = metrics.map_or(0, |m| m.sum("relay_rpc_requests_total", &[]) as u64);
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
        let packets = self.args.packets();
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
            if since.elapsed() > self.args.timeout() {
                let (a, b) = (self.link.a.open().await?, self.link.b.open().await?);
                let open = format!("{} from {}, {} from {}", a.len(), self.net.a.id(), b.len(), self.net.b.id());
                let sent = 2 * packets;
                let acknowledged = sent.saturating_sub(a.len() + b.len());
                return Err(Failure::Late { seconds: since.elapsed().as_secs(), acknowledged, sent, open });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// A line for each thing that happened if there are few packets, otherwise one for each block.
    fn show(&self, all: &[Seen]) {
        if self.args.packets() > LINE_EACH {
            return self.show_blocks(all);
        }
        for seen in all {
            let (a, b) = (self.net.a.id(), self.net.b.id());
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
            let (a, b) = (self.net.a.id(), self.net.b.id());
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
        let wanted = self.args.packets() as u128;
        let owned = [
            (&self.net.b, bob.address(), self.link.voucher_on_b(STAKE)),
            (&self.net.a, alice.address(), self.link.voucher_on_a(STAKE)),
        ];
        for (chain, account, denom) in owned {
            let found = chain.balance(account, &denom).await?;
            if found != wanted {
                let (chain, account) = (chain.id().to_owned(), account.to_owned());
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
fn keep(screen: &Screen, dir: &Path, net: &Devnet, relayer: &Relayer) -> Result<(), Failure> {
    let failed = |source| DevnetError::Io { what: dir.display().to_string(), source };
    let config = &relayer.config.file;
    // A user of the chains pays from a wallet of their own: two programs on one account would fight over its sequence.
    let text = std::fs::read_to_string(config).map_err(failed)?;
    let user = dir.join("user.toml");
    let own = text.replace("name = \"relayer\"", "name = \"user-a\"").replace("TEST_RELAYER\"", "TEST_USER_A\"");
    std::fs::write(&user, own).map_err(failed)?;
    let mut script = String::new();
    for (name, words) in net.environment() {
        script += &format!("export {name}='{words}'\n");
    }
    script += &format!("export RELAYER_CONFIG='{}'\n", user.display());
    if let Some(folder) = relayer.binary().parent() {
        script += &format!("export PATH='{}':\"$PATH\"\n", folder.display());
    }
    let script_file = dir.join("env.sh");
    std::fs::write(&script_file, script).map_err(failed)?;
    let (a, b) = (net.wallets.user_a.address(), net.wallets.user_b.address());
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
        net.a.id(),
        net.a.rpc_url(),
        net.b.id(),
        net.b.rpc_url(),
        config.display(),
        config.with_extension("log").display(),
        relayer.config.admin,
        script_file.display(),
    ));
    Ok(())
}
