//! `relayer limits`: what limits the running relayer's calls, asked at its admin port.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use miette::IntoDiagnostic;

use super::error::CliError;
use super::status::{absent, client};
use super::table::{duration, table};
use super::{Common, Done};
use crate::admin::{BreakerStatus, EndpointLimits, Limits as Told, RuleLimits};

/// Between two tables of `--watch`.
const EVERY: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Show what limits the running relayer's calls.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  relayer limits\n  relayer limits --watch --chain cosmoshub-4\n  relayer limits --json | jq '.chains[].endpoints[] | {endpoint, learned_rate, throttled}'"
)]
pub struct Limits {
    /// Only this chain.
    #[arg(long, value_name = "ID")]
    chain: Option<String>,
    /// Show it again every second until Ctrl-C; with --json one line each time.
    #[arg(long)]
    watch: bool,
}

impl Limits {
    pub(super) async fn run(&self, common: &Common) -> Done {
        let settings = common.settings()?;
        let client = client(&settings)?;
        loop {
            let mut told = client.limits().await.map_err(|e| absent(&settings, &e))?;
            self.narrow(&mut told, common)?;
            if !self.watch {
                return common.say(&told, || text(&told));
            }
            let line = if common.json { serde_json::to_string(&told).into_diagnostic()? } else { text(&told) };
            let mut out = std::io::stdout().lock();
            let clear = if out.is_terminal() && !common.json { CLEAR } else { "" };
            // A closed pipe ends the watch: that is its reader's decision.
            match writeln!(out, "{clear}{line}").and_then(|()| out.flush()) {
                Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                other => other.into_diagnostic()?,
            }
            drop(out);
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Leaves the chain that was asked for; it must be one that the relayer works on.
    fn narrow(&self, told: &mut Told, common: &Common) -> Result<(), CliError> {
        let Some(id) = &self.chain else { return Ok(()) };
        let known: Vec<String> = told.chains.iter().map(|chain| chain.id.clone()).collect();
        told.chains.retain(|chain| chain.id == *id);
        if told.chains.is_empty() {
            return Err(CliError::NoChain { id: id.clone(), file: common.config.clone(), known });
        }
        Ok(())
    }
}

/// Calls a second: `200/s`, `12.5/s`.
pub(super) fn rate(per_second: f64) -> String {
    if per_second >= 100.0 || per_second.fract() == 0.0 {
        format!("{per_second:.0}/s")
    } else {
        format!("{per_second:.1}/s")
    }
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

fn ms(ms: u64) -> String {
    duration(Duration::from_millis(ms))
}

fn breaker(breaker: &BreakerStatus) -> String {
    let left = breaker.until_ms.map(|left| format!(" {}", ms(left))).unwrap_or_default();
    format!("{}{left}", breaker.state)
}

/// What holds calls to this node back now, the longest-lasting first.
fn now(e: &EndpointLimits) -> String {
    if let Some(out) = &e.out {
        return format!("left alone: {}, {} left", out.reason, ms(out.left_ms));
    }
    if let Some(left) = e.held_off_ms {
        return format!("held off, {} left", ms(left));
    }
    if e.wait_ms > 0 {
        return format!("wait {} ({})", ms(e.wait_ms), e.rule);
    }
    String::new()
}

fn row(chain: &str, e: &EndpointLimits) -> Vec<String> {
    let cut = if e.rate_share < 0.9995 { format!(" x {}", percent(e.rate_share)) } else { String::new() };
    vec![
        chain.to_owned(),
        format!("{}{}", e.endpoint, if e.archive { " (archive)" } else { "" }),
        format!("{}{cut}", rate(e.rate)),
        e.learned_rate.map_or_else(|| "-".to_owned(), rate),
        format!("{}/{}", e.tokens, e.burst),
        e.queue.to_string(),
        format!("{}/{}", e.in_flight, e.in_flight_limit),
        breaker(&e.reads),
        breaker(&e.broadcasts),
        percent(e.health),
        e.throttled.to_string(),
        e.refused.to_string(),
        now(e),
    ]
}

fn text(told: &Told) -> String {
    if told.chains.is_empty() {
        return "the relayer has opened no chain yet".to_owned();
    }
    let head = [
        "CHAIN",
        "NODE",
        "RATE",
        "LEARNED",
        "TOKENS",
        "QUEUE",
        "IN FLIGHT",
        "READS",
        "BROADCASTS",
        "HEALTH",
        "THROTTLED",
        "REFUSED",
        "NOW",
    ];
    let rows: Vec<Vec<String>> =
        told.chains.iter().flat_map(|chain| chain.endpoints.iter().map(|e| row(&chain.id, e))).collect();
    let mut parts = vec![table(&head, &rows)];
    parts.extend(told.chains.iter().map(|chain| {
        format!(
            "{}: {} retries may be made now, {} late reads were copied to a second node",
            chain.id, chain.retries_left, chain.copied_reads
        )
    }));
    if !told.rules.is_empty() {
        let rows: Vec<Vec<String>> = told.rules.iter().map(rule_row).collect();
        parts.push(String::new());
        parts.push(table(&["RULE", "KIND", "THRESHOLD", "TOKENS", "PASSED", "HELD BACK"], &rows));
    }
    parts.join("\n")
}

fn rule_row(rule: &RuleLimits) -> Vec<String> {
    let shadow = if rule.shadow { " (shadow: reports only)" } else { "" };
    vec![
        rule.rule.clone(),
        format!("{}{shadow}", rule.kind),
        rule.threshold.to_string(),
        rule.tokens.map_or_else(|| "-".to_owned(), |tokens| tokens.to_string()),
        rule.passed.to_string(),
        rule.blocked.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{ChainLimits, Out};

    fn told() -> Told {
        let throttled = EndpointLimits {
            endpoint: "http://127.0.0.1:1".into(),
            rate: 200.0,
            rate_share: 0.7,
            learned_rate: Some(12.5),
            tokens: 3,
            burst: 400,
            in_flight_limit: 16,
            reads: BreakerStatus { state: "open".into(), until_ms: Some(4_000), ..Default::default() },
            broadcasts: BreakerStatus { state: "closed".into(), ..Default::default() },
            held_off_ms: Some(2_500),
            health: 0.98,
            throttled: 7,
            ..EndpointLimits::default()
        };
        let out = EndpointLimits {
            endpoint: "http://127.0.0.1:2".into(),
            rate: 200.0,
            rate_share: 1.0,
            out: Some(Out { reason: "lags behind its peers".into(), left_ms: 30_000 }),
            ..EndpointLimits::default()
        };
        let of = |id: &str, endpoint| ChainLimits { id: id.into(), endpoints: vec![endpoint], ..Default::default() };
        let rule = RuleLimits {
            rule: "block_results".into(),
            kind: "flow".into(),
            shadow: true,
            threshold: 2.5,
            passed: 17,
            blocked: 4,
            ..RuleLimits::default()
        };
        Told { at_unix_ms: 1, chains: vec![of("sim-a-1", throttled), of("sim-b-1", out)], rules: vec![rule] }
    }

    #[test]
    fn what_holds_calls_back_stands_in_the_table() {
        let text = text(&told());
        for words in ["200/s x 70%", "12.5/s", "3/400", "open 4.0s", "held off, 2.5s left", "98%"] {
            assert!(text.contains(words), "{words}\n{text}");
        }
        assert!(text.contains("left alone: lags behind its peers, 30.0s left"), "{text}");
        assert!(!text.contains("200/s x 100%"));
        let rule = text.lines().find(|line| line.starts_with("block_results")).unwrap();
        for words in ["flow (shadow: reports only)", "2.5", "17", "4"] {
            assert!(rule.contains(words), "{words} in {rule}");
        }
    }

    #[test]
    fn one_chain_is_left_and_an_unknown_one_is_refused_with_those_there_are() {
        let common = Common {
            config: "relayer.toml".into(),
            json: false,
            log_level: None,
            log_json: false,
            admin: None,
            store_dir: None,
        };
        let of = |id: &str| Limits { chain: Some(id.to_owned()), watch: false };
        let mut all = told();
        of("sim-b-1").narrow(&mut all, &common).unwrap();
        assert_eq!(all.chains.iter().map(|chain| chain.id.as_str()).collect::<Vec<_>>(), ["sim-b-1"]);
        let error = of("sim-c-1").narrow(&mut told(), &common).unwrap_err();
        assert!(matches!(error, CliError::NoChain { known, .. } if known == ["sim-a-1", "sim-b-1"]));
    }
}
