//! `relayer packets pending`: what the chains' states hold open, whether a relayer runs or not.

use clap::Args;
use relayer_config::settings::{Path, Settings};
use relayer_core::chain::{Chain, Pending as What};
use relayer_core::error::ChainError;
use relayer_core::id::{ChainId, Sequence};
use relayer_core::packet::{PortChannel, Side};
use serde::Serialize;
use serde_json::json;

use crate::admin::{Snapshot, XcmStatus};
use crate::cli::error::CliError;
use crate::cli::inspect::{channel_end, end, find_path};
use crate::cli::progress::Progress;
use crate::cli::status;
use crate::cli::{Common, Done};
use crate::open::Opener;

/// Show packets that are neither acknowledged nor timed out.
///
/// Read from the chains' state (commitments, receipts, acknowledgements), so it is complete whether a relayer runs or not. Of the
/// packets that a running relayer saw, XCM messages in their memos are shown.
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
    /// XCM messages of open packets, as far as a running relayer tells them.
    pub(super) xcm: Vec<XcmStatus>,
}

impl Direction {
    pub(super) fn open(&self) -> usize {
        self.unreceived.len().saturating_add(self.unacknowledged.len())
    }

    /// Takes from a running relayer what it knows of the messages in these packets.
    fn tell_xcm(&mut self, running: &Snapshot) {
        let open = |sequence: u64| self.unreceived.iter().chain(&self.unacknowledged).any(|s| s.0 == sequence);
        let paths = running.paths.iter().filter(|path| path.name == self.path);
        let ours = |x: &&XcmStatus| x.source_chain == self.from.as_str() && x.source == self.source && open(x.sequence);
        let xcm = paths.flat_map(|path| &path.xcm).filter(ours).cloned().collect();
        self.xcm = xcm;
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
                xcm: Vec::new(),
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
        if let Some(running) = &running {
            directions.iter_mut().for_each(|direction| direction.tell_xcm(running));
        }
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
    let mut text = format!(
        "{}: {} on {} to {}\n  not received:     {}\n  not acknowledged: {}",
        d.path,
        d.source,
        d.from,
        d.to,
        ranges(&d.unreceived),
        ranges(&d.unacknowledged)
    );
    for packet in &d.xcm {
        let what = match (&packet.summary, &packet.error) {
            (Some(summary), _) => summary.clone(),
            (None, error) => format!("can't be decoded: {}", error.as_deref().unwrap_or("unknown why")),
        };
        let refused = packet.refused.as_ref().map_or_else(String::new, |why| format!(" (not relayed: {why})"));
        text.push_str(&format!("\n  XCM in {}: {what}{refused}", packet.sequence));
    }
    text
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

    #[test]
    fn messages_of_open_packets_are_shown_with_why_they_are_not_relayed() {
        let told = |source: &str, sequence, summary: Option<&str>, error: Option<&str>| XcmStatus {
            source_chain: "sim-a-1".to_owned(),
            source: source.to_owned(),
            sequence,
            summary: summary.map(str::to_owned),
            error: error.map(str::to_owned),
            refused: error.map(|_| "xcm_undecodable".to_owned()),
            ..XcmStatus::default()
        };
        let path = crate::admin::PathStatus {
            name: "a-b".to_owned(),
            xcm: vec![
                told("transfer/channel-0", 3, Some("v5 1 [ClearOrigin]"), None),
                told("transfer/channel-0", 4, None, Some("byte 2: 255 is no kind of instruction")),
                told("transfer/channel-0", 5, Some("is over"), None),
                told("transfer/channel-1", 3, Some("of another channel"), None),
            ],
            ..crate::admin::PathStatus::default()
        };
        let other = crate::admin::PathStatus { name: "b-c".to_owned(), ..path.clone() };
        let mut direction = Direction {
            path: "a-b".to_owned(),
            from: ChainId::new("sim-a-1").unwrap(),
            to: ChainId::new("sim-b-1").unwrap(),
            source: "transfer/channel-0".to_owned(),
            unreceived: vec![Sequence(4)],
            unacknowledged: vec![Sequence(3)],
            xcm: Vec::new(),
        };
        direction.tell_xcm(&Snapshot { paths: vec![path, other], ..Snapshot::default() });
        let shown = text(&direction);
        let lines: Vec<&str> = shown.lines().skip(3).collect();
        assert_eq!(
            lines,
            [
                "  XCM in 3: v5 1 [ClearOrigin]",
                "  XCM in 4: can't be decoded: byte 2: 255 is no kind of instruction (not relayed: xcm_undecodable)",
            ]
        );
    }
}
