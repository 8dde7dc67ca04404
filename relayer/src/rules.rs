//! Rules beyond the endpoints' limits: those of the configuration, and a set from outside that changes while the relayer runs.
//!
//! Methods and channels with a limit of their own in the file become rules that stay. `[limits.rules]` names where more come from: a
//! file, an HTTP endpoint or an etcd. A set is taken whole or not at all; the log and `limiter_rules_sets_total` say what came of
//! it. The relayer starts without waiting for the first one, and goes on with the last good one. Once a second the machine is measured
//! where a rule asks for it. Spec: *Rules* of the limiter page. Bounds: those of [`limiter::rules::limits`].

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use limiter::rules::source::{Etcd, Feed, File, Health, Http, Source};
use limiter::rules::{RuleSet, Rules};
use miette::{IntoDiagnostic, WrapErr, miette};
use percent_encoding::percent_decode_str;
use relayer_chains::rpc::RuleGate;
use relayer_config::settings::{CallRate, RuleSource, Settings};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use url::Url;

use crate::telemetry::metrics::Metrics;

/// How often the machine is measured and counters are brought up to date.
const LOOK: Duration = Duration::from_secs(1);

/// The rules that stand in the configuration.
pub fn configured(settings: &Settings) -> miette::Result<RuleSet> {
    let mut flow: Vec<Value> = Vec::new();
    for chain in &settings.chains {
        let id = chain.id.as_str();
        let mut add = |what: &str, name: &str, rate: CallRate| {
            flow.push(json!({
                "id": format!("{id} {what} {name}"),
                "on": { "chain": id, what: name },
                "threshold": rate.requests_per_second,
                "burst": rate.burst,
            }));
        };
        for limit in &chain.narrow.methods {
            if let Some(rate) = limit.rate {
                add("method", &limit.method, rate);
            }
        }
        for limit in &chain.narrow.channels {
            add("channel", limit.channel.as_str(), limit.rate);
        }
    }
    let text = json!({ "flow": flow }).to_string();
    RuleSet::from_json(text.as_bytes()).into_diagnostic().wrap_err("limits of methods and channels")
}

/// The gate of a command that does one thing and ends: no set from outside.
pub(crate) fn gate(settings: &Settings) -> miette::Result<RuleGate> {
    Ok(RuleGate::new(configured(settings)?, Rules::new(RuleSet::default())))
}

/// The rules of a running relayer, fed from outside until dropped.
pub struct RunningRules {
    /// Asked for every request.
    pub gate: RuleGate,
    _tasks: JoinSet<()>,
}

impl RunningRules {
    /// Starts the feed that the configuration names, if it names one.
    pub fn start(settings: &Settings, metrics: Arc<Metrics>) -> miette::Result<Self> {
        let gate = gate(settings)?;
        let mut tasks = JoinSet::new();
        let mut health = None;
        if let Some(source) = &settings.rules {
            let (mut feed, told) = Feed::new(open(source)?, gate.rules().clone());
            if settings.shared.is_some() {
                feed = feed.sharing();
            }
            tasks.spawn(feed.run());
            tasks.spawn(log(told.clone(), gate.rules().clone()));
            health = Some(told);
        }
        tasks.spawn(look(gate.clone(), health, metrics));
        Ok(Self { gate, _tasks: tasks })
    }
}

fn open(source: &RuleSource) -> miette::Result<Source> {
    // Fails when another part of the process chose a provider already, which is as good.
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = || {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
        client.map_err(|e| e.without_url()).into_diagnostic().wrap_err("limits.rules")
    };
    Ok(match source {
        RuleSource::File { path, interval } => Source::File(File::new(path).every(*interval)),
        RuleSource::Http { url, interval } => Source::Http(Http::new(client()?, url.url().clone()).every(*interval)),
        RuleSource::Etcd { url, key } => {
            let mut address = url.url().clone();
            let (user, password) = login(&address)?;
            // The login goes into etcd's own token, not into each request's head.
            address.set_password(None).ok();
            address.set_username("").ok();
            let etcd = Etcd::new(client()?, address, key);
            Source::Etcd(if user.is_empty() { etcd } else { etcd.login(&user, &password) })
        }
    })
}

/// User and password of an address, as they were before they were written into it.
fn login(address: &Url) -> miette::Result<(String, String)> {
    let plain = |part: &str| percent_decode_str(part).decode_utf8().map(Cow::into_owned);
    match (plain(address.username()), plain(address.password().unwrap_or_default())) {
        (Ok(user), Ok(password)) => Ok((user, password)),
        _ => Err(miette!("limits.rules.etcd: user and password of the address must be UTF-8 text, percent-encoded")),
    }
}

/// Tells of each set that was taken and of each trouble.
async fn log(mut told: watch::Receiver<Health>, rules: Rules) {
    let mut known = Health::default();
    while told.changed().await.is_ok() {
        let health = told.borrow_and_update().clone();
        if health.applied > known.applied {
            let changes = &health.changes;
            tracing::info!(
                rules = rules.get().len(),
                added = changes.added.len(),
                changed = changes.changed.len(),
                removed = changes.removed.len(),
                kept = changes.kept.len(),
                "a set of rules is in force"
            );
        }
        match &health.trouble {
            Some(trouble) if health.refused > known.refused => {
                tracing::warn!("a set of rules was refused and changes nothing: {trouble}");
            }
            Some(trouble) if health.trouble != known.trouble => {
                tracing::warn!("rules can't be read, the last ones stay in force: {trouble}");
            }
            _ => {}
        }
        known = health;
    }
}

async fn look(gate: RuleGate, health: Option<watch::Receiver<Health>>, metrics: Arc<Metrics>) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut machine = Machine::default();
    loop {
        ticks.tick().await;
        if gate.wants_samples() {
            let cpu = machine.cpu_milli();
            gate.sample(Machine::load_milli(), cpu, Machine::memory());
        }
        if let Some(health) = &health {
            metrics.rule_sets(&health.borrow());
        }
        metrics.rules(&gate.view());
    }
}

/// This machine as Linux tells it; elsewhere nothing is known, and rules that want to know do not refuse.
#[derive(Debug, Default)]
struct Machine {
    /// Ticks busy and in all, at the last look.
    cpu: Option<(u64, u64)>,
}

impl Machine {
    fn load_milli() -> Option<u64> {
        load(&std::fs::read_to_string("/proc/loadavg").ok()?)
    }
    /// Bytes resident.
    fn memory() -> Option<u64> {
        resident(&std::fs::read_to_string("/proc/self/status").ok()?)
    }
    /// Since the last look.
    fn cpu_milli(&mut self) -> Option<u64> {
        let (busy, all) = ticks(&std::fs::read_to_string("/proc/stat").ok()?)?;
        let (was_busy, was) = self.cpu.replace((busy, all))?;
        busy.saturating_sub(was_busy).saturating_mul(1_000).checked_div(all.saturating_sub(was))
    }
}

fn load(text: &str) -> Option<u64> {
    let load: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some((load * 1e3) as u64)
}

fn resident(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib.saturating_mul(1_024))
}

fn ticks(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let all: Vec<u64> = line.split_whitespace().take(8).filter_map(|n| n.parse().ok()).collect();
    // Idle and waiting for disks.
    let idle = all.get(3)?.saturating_add(*all.get(4)?);
    let sum = all.iter().fold(0, |sum: u64, n| sum.saturating_add(*n));
    Some((sum.saturating_sub(idle), sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_methods_and_channels_become_rules_of_their_chain() {
        let text = include_str!("../../config/examples/minimal.toml").replacen(
            "gas = {",
            "limits = { methods = [{ method = \"block*\", requests_per_second = 5, burst = 2 }, { method = \"tx\", weight = 2 }], \
             channels = [{ channel = \"channel-0\", requests_per_second = 3 }] }\ngas = {",
            1,
        );
        let settings = relayer_config::parse(&text, "relayer.toml").unwrap();
        let set = configured(&settings).unwrap();
        let flow = &set.rules().flow;
        assert_eq!(flow.len(), 2);
        assert_eq!((flow[0].threshold, flow[0].burst, flow[1].threshold), (5, Some(2), 3));
        let id = settings.chains[0].id.as_str();
        assert!(flow[0].on.matches(id, "", "block_results", "x") && !flow[0].on.matches("other", "", "block", "x"));
        assert!(
            flow[1].on.matches(id, "channel-0", "abci_query", "x") && !flow[1].on.matches(id, "", "abci_query", "x")
        );
    }

    #[test]
    fn a_login_is_what_it_was_before_it_was_encoded() {
        let told = |url: &str| login(&url.parse().unwrap());
        let known = ("relayer@ops".to_owned(), "p:ss/w%rd".to_owned());
        assert_eq!(told("http://relayer%40ops:p%3Ass%2Fw%25rd@127.0.0.1:2379").unwrap(), known);
        assert_eq!(told("http://127.0.0.1:2379").unwrap(), Default::default());
        assert!(told("http://%ff@127.0.0.1:2379").is_err());
    }

    #[test]
    fn the_machine_is_read_as_linux_writes_it() {
        assert_eq!(load("0.52 0.58 0.59 1/257 13\n"), Some(520));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(ticks("cpu  10 0 20 60 10 0 0 0 0 0\ncpu0 1"), Some((30, 100)));
        for bad in ["", "cpu", "x y", "VmRSS: much"] {
            assert_eq!((load(bad), resident(bad), ticks(bad)), (None, None, None), "{bad}");
        }
    }
}
