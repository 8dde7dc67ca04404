//! `relayer check`: what would keep `start` from relaying, found before it.

use clap::Args;
use futures::future::join_all;
use relayer_chains::AnyChain;
use relayer_chains::cosmos::tx::NO_ACCOUNT;
use relayer_config::settings::{Chain as ChainSettings, Gas, Settings};
use relayer_core::chain::Chain;
use relayer_core::error::ChainErrorKind;
use serde_json::json;

use super::error::CliError;
use super::inspect::{Finding, Level};
use super::path::look;
use super::progress::Progress;
use super::{Common, Done};
use crate::open::Opener;
use crate::remedy::chain_remedy;

/// Check the configuration against the chains: nodes, keys, wallets, clients, connections, channels.
///
/// Changes nothing and pays nothing. Exit code 1 when a problem was found; warnings are none.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  relayer check\n  relayer check --json | jq '.findings[] | select(.level != \"ok\")'"
)]
pub struct Check {
    /// Also list what is as it should be.
    #[arg(long, short)]
    pub verbose: bool,
}

impl Check {
    pub(super) async fn run(self, common: &Common) -> Done {
        let settings = common.settings()?;
        let mut findings = Vec::new();
        // One after the other: a passphrase may be asked for.
        let mut opened = Vec::new();
        for chain in &settings.chains {
            opened.push((chain, open(&settings, chain, &mut findings).await));
        }
        let bar = Progress::spinner(common, "asking the chains");
        let chains = opened.iter().filter_map(|(chain, opened)| opened.as_ref().map(|(c, key)| one(chain, c, *key)));
        findings.extend(join_all(chains).await.into_iter().flatten());
        bar.doing("asking for the paths");
        for (path, (found, _)) in
            settings.paths.iter().zip(join_all(settings.paths.iter().map(|p| look(&settings, p))).await)
        {
            findings.extend(found);
            if !path.enabled {
                let remedy = "set `enabled = true` to relay it";
                findings.push(Finding::warning(format!("path {}", path.name), "is not enabled", remedy));
            }
        }
        if settings.paths.is_empty() {
            let remedy = "add a [[paths]] entry, or write a new file with `relayer init`";
            findings.push(Finding::problem("paths", "there is none: nothing would be relayed", remedy));
        }
        drop(bar);
        let problems = findings.iter().filter(|f| f.level == Level::Problem).count();
        let value = json!({ "ok": problems == 0, "problems": problems, "findings": findings });
        common.say(&value, || text(&findings, self.verbose))?;
        if problems > 0 { Err(CliError::Problems(problems).into()) } else { Ok(()) }
    }
}

/// With its key if that can be had, to read from only otherwise.
async fn open(
    settings: &Settings,
    chain: &ChainSettings,
    findings: &mut Vec<Finding>,
) -> Option<(std::sync::Arc<AnyChain>, bool)> {
    let about = format!("chain {}", chain.id);
    let opener = Opener::plain();
    let key = format!("{about}: key {}", chain.key.name);
    match opener.open(settings, &chain.id).await {
        Ok(opened) => {
            findings.push(Finding::ok(key, format!("gives the address {}", opened.signer())));
            return Some((opened, true));
        }
        Err(error) => {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            let remedy = error.help().map(|h| h.to_string()).unwrap_or_default();
            findings.push(Finding::problem(key, causes.join(": "), remedy));
        }
    }
    match opener.open_without_key(settings, &chain.id).await {
        Ok(opened) => Some((opened, false)),
        Err(error) => {
            findings.push(Finding::problem(about, error.to_string(), "correct the chain's entry"));
            None
        }
    }
}

/// One chain's node, wallet and price.
async fn one(settings: &ChainSettings, chain: &AnyChain, key: bool) -> Vec<Finding> {
    let about = format!("chain {}", settings.id);
    let mut findings = Vec::new();
    match chain.node_status().await {
        Ok(status) => findings.push(Finding::ok(
            about.as_str(),
            format!("{} answers, {}, height {}", status.endpoint, status.software, status.latest),
        )),
        Err(error) => {
            // Nothing else can be asked.
            return vec![Finding::chain(about, &error)];
        }
    }
    if key {
        findings.extend(wallet(settings, chain).await);
    }
    if let Some(cosmos) = settings.cosmos() {
        findings.extend(price(&about, &cosmos.gas));
    }
    findings
}

/// What a price and its cap come to.
fn price(about: &str, gas: &Gas) -> Vec<Finding> {
    let mut findings = Vec::new();
    if gas.price.numerator == 0 {
        let remedy = "most chains ask for a fee: write `price = \"0.025...\"` in `gas`, unless this one is free";
        findings.push(Finding::warning(format!("{about}: gas"), "the price is 0", remedy));
    }
    let most = gas.price.fee(gas.max_per_tx);
    if let Some(cap) = &gas.max_fee
        && gas.price.fee(gas.default_per_message) > cap.amount
    {
        findings.push(Finding::problem(
            format!("{about}: gas"),
            format!("`max_fee` {cap} is below the fee of a single message"),
            format!("raise it; a transaction of `max_per_tx` gas costs {most}{}", gas.price.denom),
        ));
    }
    findings
}

async fn wallet(settings: &ChainSettings, chain: &AnyChain) -> Vec<Finding> {
    let about = format!("chain {}: wallet {}", settings.id, chain.signer());
    // A wrong prefix shows here already; an account that does not exist owns 0.
    let (balance, denom) = match chain.balance().await {
        Ok(balance) => balance,
        Err(error) => return vec![Finding::chain(about, &error)],
    };
    let fund = format!("send {denom} to {} on {}", chain.signer(), settings.id);
    if let Err(error) = chain.account_sequence().await {
        // An account that does not exist owns nothing; any other fault of our set-up says itself what to correct.
        let remedy = if error.kind == ChainErrorKind::Setup(NO_ACCOUNT) { Some(fund) } else { chain_remedy(&error) };
        return vec![Finding { remedy, ..Finding::chain(about, &error) }];
    }
    let found = format!("owns {balance}{denom}");
    let Some(gas) = settings.cosmos().map(|cosmos| &cosmos.gas) else {
        // What a message costs the runtime says when there is one.
        return vec![if balance == 0 { Finding::problem(about, found, fund) } else { Finding::ok(about, found) }];
    };
    let (one, most) = (gas.price.fee(gas.default_per_message), gas.price.fee(gas.max_per_tx));
    vec![match gas.fee_granter {
        Some(_) => Finding::ok(about, found),
        None if balance < one => Finding::problem(about, format!("{found}, a message costs about {one}{denom}"), fund),
        None if balance < most.saturating_mul(10) => {
            Finding::warning(about, format!("{found}, a full transaction may cost {most}{denom}"), fund)
        }
        None => Finding::ok(about, found),
    }]
}

fn text(findings: &[Finding], verbose: bool) -> String {
    let mut lines = Vec::new();
    for finding in findings.iter().filter(|f| verbose || f.level > Level::Ok) {
        let mark = match finding.level {
            Level::Ok => "ok      ",
            Level::Warning => "warning ",
            Level::Problem => "problem ",
        };
        lines.push(format!("{mark} {}: {}", finding.about, finding.found));
        lines.extend(finding.remedy.iter().map(|remedy| format!("          {remedy}")));
    }
    let fine = findings.iter().filter(|f| f.level == Level::Ok).count();
    lines.push(format!("{fine} of {} checks passed", findings.len()));
    lines.join("\n")
}
