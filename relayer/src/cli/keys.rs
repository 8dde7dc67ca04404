//! `relayer keys`: the encrypted keystore, and what the wallets own.

use std::io::{IsTerminal, Read};

use clap::{Args, Subcommand};
use miette::IntoDiagnostic;
use relayer_chains::cosmos::tx::Key;
use relayer_config::settings::{Chain as ChainSettings, KeySource, Settings};
use relayer_core::chain::Chain;
use relayer_core::id::ChainId;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::error::CliError;
use super::inspect::find_chain;
use super::table::table;
use super::{Common, Done, Failure};
use crate::keys::{self, Keystore};
use crate::limits::SECRET_BYTES;
use crate::open::Opener;

/// Keep the wallets' keys: encrypted files below the store.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer keys add sim-a-1\n  relayer keys balance")]
pub struct KeysArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// Below `relayer keys`.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Encrypt a mnemonic or private key, or make a new one.
    Add(Add),
    /// Show the keys that are kept and the ones the configuration names.
    List(List),
    /// Delete a key's file.
    Delete(Delete),
    /// Show what the configured wallets own.
    Balance(Balance),
}

/// Encrypt a mnemonic or private key, or make a new one.
///
/// The secret comes from the terminal, without echo, from a variable, or from standard input; never from the command line.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer keys add sim-a-1\n  relayer keys add sim-a-1 --generate\n  \
                        RELAYER_PASSPHRASE=... relayer keys add sim-a-1 --from-env MNEMONIC --passphrase-env RELAYER_PASSPHRASE")]
pub struct Add {
    /// The chain.
    pub chain: String,
    /// The key's name; that of the chain's `key` without it.
    #[arg(long)]
    pub name: Option<String>,
    /// Make a new mnemonic and show it once.
    #[arg(long, conflicts_with = "from_env")]
    pub generate: bool,
    /// The variable that holds the mnemonic or the private key in hexadecimal.
    #[arg(long, value_name = "VARIABLE")]
    pub from_env: Option<String>,
    /// The variable that holds the passphrase; the chain's `passphrase_env` or the terminal without it.
    #[arg(long, value_name = "VARIABLE")]
    pub passphrase_env: Option<String>,
}

/// Show the keys that are kept and the ones the configuration names.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer keys list --json")]
pub struct List {}

/// Delete a key's file.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer keys delete sim-a-1 --name old --yes")]
pub struct Delete {
    /// The chain.
    pub chain: String,
    /// The key's name; that of the chain's `key` without it.
    #[arg(long)]
    pub name: Option<String>,
    /// Don't ask.
    #[arg(long)]
    pub yes: bool,
}

/// Show what the configured wallets own.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer keys balance\n  relayer keys balance sim-a-1 --json")]
pub struct Balance {
    /// Only this chain.
    pub chain: Option<String>,
}

impl KeysArgs {
    pub(super) async fn run(self, common: &Common) -> Done {
        let settings = common.settings()?;
        match self.command {
            KeysCommand::Add(add) => add.run(common, &settings),
            KeysCommand::List(_) => list(common, &settings),
            KeysCommand::Delete(delete) => delete.run(common, &settings),
            KeysCommand::Balance(balance) => balance.run(common, &settings).await,
        }
    }
}

fn key_name<'a>(given: Option<&'a str>, chain: &'a ChainSettings) -> &'a str {
    given.unwrap_or_else(|| chain.key.name.as_str())
}

/// A secret typed without echo.
fn ask(what: &str) -> Result<SecretString, CliError> {
    if !std::io::stdin().is_terminal() {
        let help = "name a variable with `--from-env` and `--passphrase-env`, or run it in a terminal".to_owned();
        return Err(CliError::Usage { what: format!("there is no terminal to ask for {what}"), help });
    }
    let typed = rpassword::prompt_password(format!("{what}: "));
    typed.map(SecretString::from).map_err(|source| CliError::File { file: "terminal".into(), source })
}

/// Standard input that is not a terminal, bounded.
fn piped() -> Result<SecretString, CliError> {
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = std::io::stdin().lock().take(SECRET_BYTES as u64 + 1).read_to_string(&mut text);
    read.map_err(|source| CliError::File { file: "standard input".into(), source })?;
    Ok(SecretString::from(text.trim()))
}

/// The passphrase of a key that the configuration does not name: that of the chain's own key, or typed.
pub(super) fn passphrase(settings: &Settings, chain: &ChainId, name: &str) -> Result<SecretString, Failure> {
    match settings.chain(chain).map(|c| &c.key.source) {
        Some(KeySource::Keystore { passphrase_env: Some(variable) }) => {
            Ok(keys::from_env(variable.as_str()).into_diagnostic()?)
        }
        _ => Ok(ask(&format!("Passphrase of key {chain}/{name}"))?),
    }
}

impl Add {
    fn run(self, common: &Common, settings: &Settings) -> Done {
        let chain = find_chain(settings, &common.config, &self.chain)?;
        let name = key_name(self.name.as_deref(), chain);
        let secret = match (&self.from_env, self.generate) {
            (Some(variable), _) => keys::from_env(variable).into_diagnostic()?,
            (None, true) => Key::generate_mnemonic().into_diagnostic()?,
            (None, false) if std::io::stdin().is_terminal() => {
                ask(&format!("Mnemonic or private key of {name} on {}", chain.id))?
            }
            (None, false) => piped()?,
        };
        // A secret that gives no key is told now, not at the first start.
        let address = crate::open::address_of(chain, &secret)?;
        let file = Keystore::new(settings.store.keys())
            .add(&chain.id, name, &secret, self.passphrase(chain)?)
            .into_diagnostic()?;
        let words = self.generate.then(|| secret.expose_secret().to_owned());
        let value = json!({ "chain": chain.id, "name": name, "address": address, "file": file, "mnemonic": words });
        common.say(&value, || {
            let mut text = format!("{}/{name}: {address}\nkept in {}", chain.id, file.display());
            if let Some(words) = &words {
                text += &format!("\n\nThe mnemonic, shown this once; write it down:\n{words}");
            }
            if !matches!(chain.key.source, KeySource::Keystore { .. }) || chain.key.name.as_str() != name {
                text += &format!(
                    "\n\nTo use it: key = {{ name = {name:?}, source = \"keystore\" }} in the [[chains]] entry {}",
                    chain.id
                );
            }
            text
        })
    }

    fn passphrase(&self, chain: &ChainSettings) -> Result<SecretString, Failure> {
        let configured = match &chain.key.source {
            KeySource::Keystore { passphrase_env: Some(variable) } => Some(variable.as_str()),
            _ => None,
        };
        if let Some(variable) = self.passphrase_env.as_deref().or(configured) {
            return Ok(keys::from_env(variable).into_diagnostic()?);
        }
        let (first, second) = (ask("Passphrase for the key file")?, ask("The same again")?);
        if first.expose_secret() != second.expose_secret() {
            let help = "nothing was written; run it again".to_owned();
            return Err(CliError::Usage { what: "the passphrases differ".to_owned(), help }.into());
        }
        Ok(first)
    }
}

fn source(source: &KeySource) -> String {
    match source {
        KeySource::Keystore { .. } => "keystore".to_owned(),
        KeySource::Env { variable } => format!("env {variable}"),
        KeySource::Keyring => "keyring".to_owned(),
    }
}

fn list(common: &Common, settings: &Settings) -> Done {
    let keystore = Keystore::new(settings.store.keys());
    let kept = keystore.list().into_diagnostic()?;
    let mut rows: Vec<(ChainId, String, String, bool, bool)> = Vec::new();
    for chain in &settings.chains {
        let name = chain.key.name.as_str();
        let there = match &chain.key.source {
            KeySource::Keystore { .. } => kept.iter().any(|k| k.chain == chain.id && k.name == name),
            KeySource::Env { variable } => keys::from_env(variable.as_str()).is_ok(),
            KeySource::Keyring => keys::keyring::load(&chain.id, name).is_ok(),
        };
        rows.push((chain.id.clone(), name.to_owned(), source(&chain.key.source), there, true));
    }
    for key in &kept {
        let configured = |c: &&ChainSettings| {
            c.id == key.chain && c.key.name.as_str() == key.name && matches!(c.key.source, KeySource::Keystore { .. })
        };
        if !settings.chains.iter().any(|c| configured(&c)) {
            rows.push((key.chain.clone(), key.name.clone(), "keystore".to_owned(), true, false));
        }
    }
    let values: Vec<Value> = rows
        .iter()
        .map(|(chain, name, source, there, used)| json!({ "chain": chain, "name": name, "source": source, "present": there, "configured": used }))
        .collect();
    common.say(&json!({ "keys": values }), || {
        let yes = |b: bool, no: &str| if b { "yes".to_owned() } else { no.to_owned() };
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|(chain, name, source, there, used)| {
                vec![chain.to_string(), name.clone(), source.clone(), yes(*there, "MISSING"), yes(*used, "no")]
            })
            .collect();
        table(&["CHAIN", "KEY", "SOURCE", "PRESENT", "CONFIGURED"], &rows)
    })
}

impl Delete {
    fn run(self, common: &Common, settings: &Settings) -> Done {
        let chain = find_chain(settings, &common.config, &self.chain)?;
        let name = key_name(self.name.as_deref(), chain);
        if !self.yes {
            let stdin = std::io::stdin();
            if !stdin.is_terminal() {
                let what = format!("this deletes the key {}/{name} for good", chain.id);
                return Err(CliError::Usage { what, help: "say `--yes` where nobody can be asked".to_owned() }.into());
            }
            eprint!("Delete the key {}/{name} for good? Type its name: ", chain.id);
            let mut answer = String::new();
            stdin.read_line(&mut answer).into_diagnostic()?;
            if answer.trim() != name {
                let help = "type the key's name to delete it".to_owned();
                return Err(CliError::Usage { what: "nothing was deleted".to_owned(), help }.into());
            }
        }
        Keystore::new(settings.store.keys()).delete(&chain.id, name).into_diagnostic()?;
        common.say(&json!({ "chain": chain.id, "deleted": name }), || format!("deleted {}/{name}", chain.id))
    }
}

impl Balance {
    async fn run(self, common: &Common, settings: &Settings) -> Done {
        let chains: Vec<&ChainSettings> = match &self.chain {
            Some(id) => vec![find_chain(settings, &common.config, id)?],
            None => settings.chains.iter().collect(),
        };
        let mut values = Vec::new();
        for chain in chains {
            let opened = Opener::plain().open(settings, &chain.id).await?;
            let coins = opened.balances(opened.signer()).await.map_err(CliError::Chain)?;
            values.push((opened.id().clone(), chain.key.name.to_string(), opened.signer().to_owned(), coins));
        }
        let coin = |(denom, amount): &(String, u128)| json!({ "denom": denom, "amount": amount.to_string() });
        let entries: Vec<Value> = values
            .iter()
            .map(|(chain, key, address, coins)| {
                json!({ "chain": chain, "key": key, "address": address, "balances": coins.iter().map(coin).collect::<Vec<_>>() })
            })
            .collect();
        common.say(&json!({ "wallets": entries }), || {
            let rows: Vec<Vec<String>> = values
                .iter()
                .map(|(chain, key, address, coins)| {
                    let coins: Vec<String> = coins
                        .iter()
                        .map(|(denom, amount)| format!("{amount}{}", relayer_core::error::Detail::new(denom)))
                        .collect();
                    let owns = if coins.is_empty() { "nothing".to_owned() } else { coins.join(", ") };
                    vec![chain.to_string(), key.clone(), address.clone(), owns]
                })
                .collect();
            table(&["CHAIN", "KEY", "ADDRESS", "OWNS"], &rows)
        })
    }
}
