//! `relayer path list`

use clap::Args;
use futures::future::join_all;
use relayer_config::settings::{Path, Settings};
use relayer_core::packet::Side;
use serde_json::{Value, json};

use crate::cli::inspect::{self, Finding, Level, channel_end, end, find_path};
use crate::cli::{Common, Done};
use crate::open::Opener;

/// Show the configured paths, their ids and what is missing.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer path list\n  relayer path list a-b --offline --json")]
pub struct List {
    /// Only this path.
    pub name: Option<String>,
    /// Don't ask the chains: show what the file says.
    #[arg(long)]
    pub offline: bool,
}

impl List {
    pub(super) async fn run(self, common: &Common) -> Done {
        let settings = common.settings()?;
        let paths: Vec<&Path> = match &self.name {
            Some(name) => vec![find_path(&settings, &common.config, name)?],
            None => settings.paths.iter().collect(),
        };
        let seen =
            join_all(paths.iter().map(|path| async {
                if self.offline { (Vec::new(), "not asked") } else { look(&settings, path).await }
            }))
            .await;
        let entries: Vec<Value> =
            paths.iter().zip(&seen).map(|(path, (findings, state))| entry(path, state, findings)).collect();
        common.say(&json!({ "paths": entries }), || {
            let texts: Vec<String> =
                paths.iter().zip(&seen).map(|(path, (findings, state))| text(path, state, findings)).collect();
            if texts.is_empty() { format!("no path in {}", common.config.display()) } else { texts.join("\n\n") }
        })
    }
}

/// What the chains say of a path, and one word for it.
pub(in crate::cli) async fn look(settings: &Settings, path: &Path) -> (Vec<Finding>, &'static str) {
    let opener = Opener::plain();
    let about = format!("path {}", path.name);
    let opened = futures::try_join!(
        opener.open_without_key(settings, &path.a.chain),
        opener.open_without_key(settings, &path.b.chain)
    );
    let (a, b) = match opened {
        Ok(chains) => chains,
        Err(error) => {
            return (vec![Finding::problem(about, error.to_string(), "correct the chain's entry")], "unknown");
        }
    };
    let (on_a, on_b) = futures::join!(
        inspect::read(path, Side::A, a.as_ref(), b.as_ref()),
        inspect::read(path, Side::B, b.as_ref(), a.as_ref())
    );
    let reached = on_a.is_ok() && on_b.is_ok();
    if reached && untouched(path) {
        let create = format!("run `relayer path create {}`", path.name);
        return (vec![Finding::problem(about, "not created yet", create)], "not created");
    }
    let mut findings = Vec::new();
    for (side, seen) in [(Side::A, on_a), (Side::B, on_b)] {
        match seen {
            Ok(seen) => findings.extend(inspect::judge(path, side, &seen)),
            Err(error) => findings.push(Finding::chain(format!("{about} on {}", end(path, side).chain), &error)),
        }
    }
    let worst = findings.iter().map(|f| f.level).max().unwrap_or(Level::Ok);
    let state = match (reached, worst) {
        (false, _) => "unknown",
        (true, Level::Problem) => "incomplete",
        (true, _) => "open",
    };
    (findings, state)
}

/// The file has no id of it at all.
fn untouched(path: &Path) -> bool {
    let channels = path.channels.iter().all(|c| c.a.channel.is_none() && c.b.channel.is_none());
    channels && Side::BOTH.iter().all(|s| end(path, *s).client.is_none() && end(path, *s).connection.is_none())
}

fn entry(path: &Path, state: &str, findings: &[Finding]) -> Value {
    let side = |side| {
        let end = end(path, side);
        json!({ "chain": end.chain, "client": end.client, "connection": end.connection })
    };
    let channels: Vec<Value> = path
        .channels
        .iter()
        .map(|c| {
            let of = |side| {
                let end = channel_end(c, side);
                json!({ "port": end.port, "channel": end.channel })
            };
            json!({ "a": of(Side::A), "b": of(Side::B), "version": c.version })
        })
        .collect();
    let wrong: Vec<&Finding> = findings.iter().filter(|f| f.level > Level::Ok).collect();
    json!({
        "name": path.name.as_str(), "enabled": path.enabled, "state": state,
        "a": side(Side::A), "b": side(Side::B), "channels": channels, "findings": wrong,
    })
}

fn text(path: &Path, state: &str, findings: &[Finding]) -> String {
    let off = if path.enabled { "" } else { ", not enabled" };
    let mut text = format!("{}: {state}{off}", path.name);
    let pair = |what: &str, a: &str, b: &str| format!("\n  {what:<12}  {a:<24} {b}");
    let id = |id: Option<&str>| id.unwrap_or("-").to_owned();
    text += &pair("chain", path.a.chain.as_str(), path.b.chain.as_str());
    let client = |side| id(end(path, side).client.as_ref().map(|c| c.as_str()));
    text += &pair("client", &client(Side::A), &client(Side::B));
    let connection = |side| id(end(path, side).connection.as_ref().map(|c| c.as_str()));
    text += &pair("connection", &connection(Side::A), &connection(Side::B));
    for channel in &path.channels {
        let of = |side| {
            let end = channel_end(channel, side);
            format!("{}/{}", end.port, id(end.channel.as_ref().map(|c| c.as_str())))
        };
        text += &pair("channel", &of(Side::A), &of(Side::B));
    }
    for finding in findings.iter().filter(|f| f.level > Level::Ok) {
        text += &format!("\n  ! {}: {}", finding.about, finding.found);
        if let Some(remedy) = &finding.remedy {
            text += &format!("\n    {remedy}");
        }
    }
    text
}
