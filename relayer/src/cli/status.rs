//! `relayer status` and `relayer health`: the running relayer, asked at its admin port.

use clap::Args;
use relayer_config::settings::Settings;

use super::error::CliError;
use super::table::{duration, table};
use super::{Common, Done, limits};
use crate::admin::{AdminClient, AdminError, PathStatus, Snapshot};
use crate::keys;

/// Show a running relayer: chains, paths, backlog, latencies, limits.
///
/// Exit code 3 when none is running.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer status\n  relayer status --json | jq '.paths[].open_packets'")]
pub struct Status {}

/// Say whether the running relayer works: exit code 0, or 3 and why not.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer health || systemctl restart relayer")]
pub struct Health {}

/// The running relayer's admin port.
pub(super) fn client(settings: &Settings) -> Result<AdminClient, CliError> {
    let admin = settings.global.admin;
    let token = match &settings.global.admin_token_env {
        None => None,
        // Without its token the relayer says so itself.
        Some(variable) => keys::from_env(variable.as_str()).ok(),
    };
    AdminClient::new(admin, token).map_err(|error| absent(settings, &error))
}

/// Nobody there, or somebody else.
pub(super) fn absent(settings: &Settings, error: &AdminError) -> CliError {
    let why = match error {
        AdminError::Absent { .. } => "nobody listens there".to_owned(),
        AdminError::Token { .. } => "it wants its token: set the variable that `admin_token_env` names".to_owned(),
        AdminError::Answer { detail, .. } => detail.to_string(),
    };
    CliError::NotRunning { admin: settings.global.admin, why }
}

impl Status {
    pub(super) async fn run(&self, common: &Common) -> Done {
        let settings = common.settings()?;
        let snapshot = client(&settings)?.status().await.map_err(|e| absent(&settings, &e))?;
        common.say(&snapshot, || text(&snapshot))
    }
}

impl Health {
    pub(super) async fn run(&self, common: &Common) -> Done {
        let settings = common.settings()?;
        let health = client(&settings)?.health().await.map_err(|e| absent(&settings, &e))?;
        let healthy = health.live && health.ready;
        if common.json || healthy {
            common.say(&health, || "healthy".to_owned())?;
        }
        if healthy {
            return Ok(());
        }
        let why = if health.reasons.is_empty() { "it does not say why".to_owned() } else { health.reasons.join("; ") };
        Err(CliError::Unhealthy { admin: settings.global.admin, why }.into())
    }
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

fn ms(value: Option<u64>) -> String {
    or_dash(value.map(|ms| duration(std::time::Duration::from_millis(ms))))
}

fn text(s: &Snapshot) -> String {
    let up = std::time::Duration::from_millis(s.at_unix_ms.saturating_sub(s.started_unix_s.saturating_mul(1_000)));
    let state = if s.ready { "ready" } else { "not ready" };
    let mut parts = vec![format!("relayer {}, up {}, {state}", s.version, duration(up))];
    parts.extend(s.reasons.iter().map(|reason| format!("! {reason}")));
    let chains: Vec<Vec<String>> = s
        .chains
        .iter()
        .map(|c| {
            let ok = c.endpoints.iter().filter(|e| e.state == "ok").count();
            let balance = match (&c.balance, &c.denom) {
                (Some(balance), Some(denom)) => format!("{balance}{denom}"),
                _ => "-".to_owned(),
            };
            vec![
                c.id.clone(),
                or_dash(c.height),
                ms(c.lag_ms),
                format!("{ok}/{}", c.endpoints.len()),
                balance,
                c.in_flight.to_string(),
                c.error.clone().unwrap_or_default(),
            ]
        })
        .collect();
    parts.push(String::new());
    parts.push(table(&["CHAIN", "HEIGHT", "AGE", "NODES", "BALANCE", "IN FLIGHT", "TROUBLE"], &chains));
    for path in &s.paths {
        parts.push(String::new());
        parts.push(path_text(path));
    }
    if !s.limits.is_empty() {
        let rows: Vec<Vec<String>> = s
            .limits
            .iter()
            .flat_map(|chain| chain.endpoints.iter().map(move |e| (&chain.id, e)))
            .map(|(id, e)| {
                let rate = limits::rate(e.learned_rate.map_or(e.rate, |learned| learned.min(e.rate)));
                vec![format!("{id} {}", e.endpoint), format!("{}/{}", e.tokens, e.burst), rate]
            })
            .collect();
        parts.push(String::new());
        parts.push(table(&["LIMIT", "TOKENS", "RATE"], &rows));
    }
    parts.push(String::new());
    let journal = s.journal.degraded.clone().unwrap_or_else(|| format!("{} KiB", s.journal.bytes / 1_024));
    parts.push(format!(
        "verification: {} threads, {} waiting; journal: {journal}",
        s.verifier.workers, s.verifier.queued
    ));
    parts.join("\n")
}

fn path_text(p: &PathStatus) -> String {
    let mut lines = vec![format!(
        "PATH {}: {} open, {} in flight; {} acknowledged, {} timed out, {} refused",
        p.name, p.open_packets, p.in_flight, p.ended.acked, p.ended.timed_out, p.ended.failed
    )];
    lines.extend(p.error.iter().map(|error| format!("  ! {error}")));
    if p.receive_ms.count > 0 || p.ack_ms.count > 0 {
        lines.push(format!(
            "  send to receive {} (p95 {}), to acknowledgement {} (p95 {})",
            ms(p.receive_ms.p50),
            ms(p.receive_ms.p95),
            ms(p.ack_ms.p50),
            ms(p.ack_ms.p95)
        ));
    }
    for c in &p.clients {
        let expires = match c.expires_in_s {
            _ if c.frozen => "FROZEN".to_owned(),
            Some(s) if s <= 0 => "EXPIRED".to_owned(),
            Some(s) => format!("expires in {}", duration(std::time::Duration::from_secs(s.unsigned_abs()))),
            None => "-".to_owned(),
        };
        lines.push(format!("  client {} on {}: height {}, {expires}", c.id, c.chain, or_dash(c.latest.as_ref())));
    }
    for c in &p.channels {
        let oldest = c.oldest_age_ms.map(|age| format!(", the oldest for {}", ms(Some(age)))).unwrap_or_default();
        lines.push(format!("  {} on {}: {} open{oldest}", c.source, c.source_chain, c.backlog));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{ChainStatus, ClientStatus};

    #[test]
    fn what_is_wrong_stands_in_the_text() {
        let client = ClientStatus {
            chain: "sim-a-1".into(),
            id: "07-tendermint-0".into(),
            expires_in_s: Some(-5),
            ..Default::default()
        };
        let path = PathStatus {
            name: "a-b".into(),
            clients: vec![client],
            error: Some("no node".into()),
            ..Default::default()
        };
        let chain =
            ChainStatus { id: "sim-a-1".into(), error: Some("no endpoint answers".into()), ..Default::default() };
        let snapshot = Snapshot {
            reasons: vec!["sim-a-1 is away".into()],
            chains: vec![chain],
            paths: vec![path],
            ..Default::default()
        };
        let text = text(&snapshot);
        for words in ["not ready", "! sim-a-1 is away", "no endpoint answers", "! no node", "EXPIRED"] {
            assert!(text.contains(words), "{words}\n{text}");
        }
    }
}
