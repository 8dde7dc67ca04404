//! `relayer packets pending`: what the chains' states hold open, whether a relayer runs or not.

use clap::Args;
use relayer_config::settings::{Path, Settings};
use relayer_core::chain::{Chain, Pending as What};
use relayer_core::error::ChainError;
use relayer_core::id::{ChainId, Sequence};
use relayer_core::packet::{PortChannel, Side};
use serde::Serialize;
use serde_json::json;

use crate::cli::error::CliError;
use crate::cli::inspect::{channel_end, end, find_path};
use crate::cli::progress::Progress;
use crate::cli::status;
use crate::cli::{Common, Done};
use crate::open::Opener;

/// Show packets that are neither acknowledged nor timed out.
///
/// Read from the chains' state (commitments, receipts, acknowledgements), so it is complete whether a relayer runs or not.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer packets pending --path a-b\n  relayer packets pending --json | jq .open")]
pub struct Pending {
    /// Only this path.
    #[arg(long, value_name = "NAME")]
    pub path: Option<String>,
}

/// One direction of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Direction {
    pub(super) path: String,
    pub(super) from: ChainId,
    pub(super) to: ChainId,
    pub(super) source: String,
    /// Committed on the source, not received on the destination.
    pub(super) unreceived: Vec<Sequence>,
    /// Received, the acknowledgement not yet back on the source.
    pub(super) unacknowledged: Vec<Sequence>,
}

impl Direction {
    pub(super) fn open(&self) -> usize {
        self.unreceived.len().saturating_add(self.unacknowledged.len())
    }
}

/// The paths that a command means.
pub(super) fn chosen<'a>(
    settings: &'a Settings,
    common: &Common,
    name: Option<&str>,
) -> Result<Vec<&'a Path>, CliError> {
    Ok(match name {
        Some(name) => vec![find_path(settings, &common.config, name)?],
        None => settings.paths.iter().filter(|p| p.enabled).collect(),
    })
}

/// What is open on a path, both directions of every channel that has ids.
pub(super) async fn open(path: &Path, a: &dyn Chain, b: &dyn Chain) -> Result<Vec<Direction>, ChainError> {
    let mut directions = Vec::new();
    for channel in &path.channels {
        for side in Side::BOTH {
            let at = |side| {
                let end = channel_end(channel, side);
                Some(PortChannel { port: end.port.clone(), channel: end.channel.clone()? })
            };
            let (Some(source), Some(destination)) = (at(side), at(side.other())) else { continue };
            let (from, to) = match side {
                Side::A => (a, b),
                Side::B => (b, a),
            };
            let committed = from.pending(&What::Commitments(source.clone())).await?;
            let unreceived = match committed.is_empty() {
                true => Vec::new(),
                false => to.pending(&What::Unreceived(destination, committed.clone())).await?,
            };
            let missing: std::collections::BTreeSet<Sequence> = unreceived.iter().copied().collect();
            directions.push(Direction {
                path: path.name.to_string(),
                from: end(path, side).chain.clone(),
                to: end(path, side.other()).chain.clone(),
                source: source.to_string(),
                unacknowledged: committed.into_iter().filter(|s| !missing.contains(s)).collect(),
                unreceived,
            });
        }
    }
    Ok(directions)
}

impl Pending {
    pub(super) async fn run(self, common: &Common) -> Done {
        let settings = common.settings()?;
        let paths = chosen(&settings, common, self.path.as_deref())?;
        let bar = Progress::bar(common, paths.len() as u64, "reading the chains' state");
        let opener = Opener::plain();
        let mut directions = Vec::new();
        for (done, path) in paths.iter().enumerate() {
            if path.channels.iter().all(|c| c.a.channel.is_none() || c.b.channel.is_none()) {
                return Err(CliError::NoId { path: path.name.to_string(), what: "channel".to_owned() }.into());
            }
            let a = opener.open_without_key(&settings, &path.a.chain).await?;
            let b = opener.open_without_key(&settings, &path.b.chain).await?;
            directions.extend(open(path, a.as_ref(), b.as_ref()).await.map_err(CliError::Chain)?);
            bar.at(done as u64 + 1, paths.len() as u64);
        }
        // Who works on them; not needed, so not waited for when nobody listens.
        let running = match status::client(&settings) {
            Ok(client) => client.status().await.ok(),
            Err(_) => None,
        };
        drop(bar);
        let total: usize = directions.iter().map(Direction::open).sum();
        let in_flight = running.as_ref().map(|s| s.paths.iter().map(|p| p.in_flight).sum::<u64>());
        let value = json!({
            "open": total, "directions": directions, "relayer_running": running.is_some(), "in_flight": in_flight,
        });
        common.say(&value, || {
            let mut lines: Vec<String> = directions.iter().filter(|d| d.open() > 0).map(text).collect();
            let relayer = match in_flight {
                None => "no relayer is running".to_owned(),
                Some(n) => format!("a relayer is running, {n} of them in transactions in flight"),
            };
            lines.push(format!("{total} open; {relayer}"));
            lines.join("\n")
        })
    }
}

fn text(d: &Direction) -> String {
    format!(
        "{}: {} on {} to {}\n  not received:     {}\n  not acknowledged: {}",
        d.path,
        d.source,
        d.from,
        d.to,
        ranges(&d.unreceived),
        ranges(&d.unacknowledged)
    )
}

/// `1-3, 7`; with the count in front.
pub(in crate::cli) fn ranges(sequences: &[Sequence]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for s in sequences {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(s.0) => *last = s.0,
            _ => runs.push((s.0, s.0)),
        }
    }
    let shown: Vec<String> =
        runs.iter().take(20).map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") }).collect();
    let more = if runs.len() > shown.len() { ", ..." } else { "" };
    match sequences.len() {
        0 => "0".to_owned(),
        n => format!("{n}: {}{more}", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_shown_as_runs() {
        let text = |numbers: &[u64]| ranges(&numbers.iter().copied().map(Sequence).collect::<Vec<_>>());
        assert_eq!(text(&[]), "0");
        assert_eq!(text(&[1, 2, 3, 7, 9, 10]), "6: 1-3, 7, 9-10");
        assert_eq!(text(&[u64::MAX]), format!("1: {}", u64::MAX));
        let odd: Vec<u64> = (0..100).map(|n| n * 2).collect();
        assert!(text(&odd).starts_with("100: 0, 2, ") && text(&odd).ends_with(", ..."));
    }
}
