//! `relayer init`: the first configuration file, from flags or from questions.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use relayer_chains::rpc::{EndpointSettings, EndpointUrl, RpcClient, RpcSettings};
use relayer_config::ConfigError;
use relayer_config::edit;
use relayer_config::settings::{AccountPrefix, Endpoint, GasPrice, KeyName, Order, PathName};
use relayer_config::template::{NewChain, NewChannel, NewPath, template};
use relayer_core::id::{ChainId, PortId};
use serde_json::json;

use super::error::CliError;
use super::{Common, Done, Failure};

/// Time for a node to tell its chain id; `init` works without it.
const ASK: Duration = Duration::from_secs(3);
/// Largest `/status` answer read, bytes.
const ANSWER_BYTES: usize = 256 * 1024;
/// Answers asked for anew before giving up.
const TRIES: usize = 5;

/// Write a new configuration file for two chains and a path between them.
///
/// Without `--chain` the values are asked for. A node that answers is asked for its chain id. An existing file is never overwritten.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  relayer init --chain id=sim-a-1,rpc=http://127.0.0.1:27657,prefix=cosmos,price=0.025stake \\\n               \
                        --chain id=sim-b-1,rpc=http://127.0.0.1:27757,prefix=cosmos,price=0.025stake --path a-b"
)]
pub struct Init {
    /// A chain: `rpc=URL,prefix=PREFIX,price=PRICE` and, if wanted, `id=ID` (asked of the node without) and `key=NAME`. Twice.
    #[arg(long, value_name = "KEY=VALUE,...", num_args = 1)]
    pub chain: Vec<ChainFlag>,
    /// The path's name; the two chain ids without it.
    #[arg(long, value_name = "NAME")]
    pub path: Option<String>,
    /// The port at both ends of its channel.
    #[arg(long, default_value = "transfer")]
    pub port: PortId,
}

/// A `--chain` flag as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainFlag {
    id: Option<ChainId>,
    rpc: Vec<String>,
    prefix: Option<String>,
    key: Option<String>,
    price: Option<String>,
}

impl std::str::FromStr for ChainFlag {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut flag = Self::default();
        for part in text.split(',') {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is not of the form key=value"))?;
            let value = value.trim().to_owned();
            match key.trim() {
                "id" => flag.id = Some(ChainId::new(&value).map_err(|e| e.to_string())?),
                "rpc" => flag.rpc.push(value),
                "prefix" => flag.prefix = Some(value),
                "key" => flag.key = Some(value),
                "price" => flag.price = Some(value),
                other => return Err(format!("`{other}` is unknown; the keys are id, rpc, prefix, key, price")),
            }
        }
        for (key, there) in
            [("rpc", !flag.rpc.is_empty()), ("prefix", flag.prefix.is_some()), ("price", flag.price.is_some())]
        {
            if !there {
                return Err(format!("`{key}=` is missing"));
            }
        }
        Ok(flag)
    }
}

fn usage(what: impl Into<String>, help: impl Into<String>) -> CliError {
    CliError::Usage { what: what.into(), help: help.into() }
}

impl Init {
    pub(super) async fn run(self, common: &Common) -> Done {
        let file = &common.config;
        if file.symlink_metadata().is_ok() {
            return Err(exists(file).into());
        }
        let (mut chains, mut notes) = (Vec::new(), Vec::new());
        match self.chain.as_slice() {
            [] if std::io::stdin().is_terminal() && !common.json => {
                for which in ["first", "second"] {
                    chains.push(question(which).await?);
                }
            }
            [_, _] => {
                for flag in &self.chain {
                    let (chain, note) = from_flag(flag).await?;
                    chains.push(chain);
                    notes.extend(note);
                }
            }
            other => {
                let what = format!("{} chains are named, two are needed", other.len());
                let help = "write `--chain rpc=...,prefix=...,price=...` twice, or run it in a terminal to be asked";
                return Err(usage(what, help).into());
            }
        }
        let path = self.path(&chains)?;
        let name = path.name.clone();
        let text = text(&chains, path);
        edit::create(file, &text).map_err(|error| match error {
            ConfigError::Write { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
                Failure::from(exists(file))
            }
            other => Failure { report: other.into(), code: 2 },
        })?;
        let ids: Vec<&ChainId> = chains.iter().map(|c| &c.id).collect();
        let value = json!({ "file": file, "chains": ids, "path": name.as_str(), "warnings": notes });
        common.say(&value, || {
            let mut text = format!("{} is written. Next:\n", file.display());
            for chain in &chains {
                text += &format!("  relayer keys add {}\n", chain.id);
            }
            text += &format!("  relayer check\n  relayer path create {name}\n  relayer start");
            for note in &notes {
                text += &format!("\nwarning: {note}");
            }
            text
        })
    }

    fn path(&self, chains: &[NewChain]) -> Result<NewPath, CliError> {
        let (a, b) = match chains {
            [a, b] if a.id != b.id => (a.id.clone(), b.id.clone()),
            _ => return Err(usage("a path connects two different chains", "name two chains with different ids")),
        };
        let name = self.path.clone().unwrap_or_else(|| format!("{a}-{b}"));
        let name = PathName::new(&name)
            .map_err(|e| usage(format!("`{name}` can't name a path"), format!("`--path` must be {e}")))?;
        let channel = NewChannel {
            a_port: self.port.clone(),
            b_port: self.port.clone(),
            order: Order::Unordered,
            version: "ics20-1".to_owned(),
        };
        Ok(NewPath { name, a, b, channels: vec![channel] })
    }
}

fn text(chains: &[NewChain], path: NewPath) -> String {
    template(chains, &[path])
}

fn exists(file: &std::path::Path) -> CliError {
    usage(
        format!("{} exists already and is left as it is", file.display()),
        "name another file with `--config`, or remove this one",
    )
}

async fn from_flag(flag: &ChainFlag) -> Result<(NewChain, Option<String>), CliError> {
    let rpc = flag.rpc.iter().map(|text| endpoint(text)).collect::<Result<Vec<_>, _>>()?;
    let found = match rpc.first() {
        Some(first) => chain_id(first).await,
        None => None,
    };
    let (id, note) = match (&flag.id, found) {
        (Some(id), Some(found)) if *id != found => {
            return Err(usage(format!("the node is of chain `{found}`, not of `{id}`"), "correct `id` or `rpc`"));
        }
        (Some(id), None) => (id.clone(), Some(format!("no node of {id} answered; its id and address are not checked"))),
        (_, Some(found)) => (found, None),
        (None, None) => {
            return Err(usage(
                "no node answered to tell its chain id",
                "write `id=` into `--chain`, or start the node",
            ));
        }
    };
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    Ok((new_chain(id, rpc, &part(&flag.prefix), &part(&flag.price), flag.key.as_deref())?, note))
}

fn endpoint(text: &str) -> Result<Endpoint, CliError> {
    Endpoint::http(text).map_err(|e| usage("an RPC address can't be used", format!("`rpc` must be {e}")))
}

fn new_chain(
    id: ChainId,
    rpc: Vec<Endpoint>,
    prefix: &str,
    price: &str,
    key: Option<&str>,
) -> Result<NewChain, CliError> {
    let bad = |what: &str, text: &str, must: String| {
        usage(format!("`{text}` can't be the {what} of {id}"), format!("it must be {must}"))
    };
    Ok(NewChain {
        account_prefix: AccountPrefix::new(prefix).map_err(|e| bad("account prefix", prefix, e.to_string()))?,
        gas_price: price.parse::<GasPrice>().map_err(|e| bad("gas price", price, e.to_string()))?,
        key: KeyName::new(key.unwrap_or("relayer")).map_err(|e| bad("key", key.unwrap_or_default(), e.to_string()))?,
        rpc,
        id,
    })
}

/// One chain, asked for in the terminal.
async fn question(which: &str) -> Result<NewChain, CliError> {
    eprintln!("The {which} chain");
    let rpc = answer("  RPC address", Some("http://127.0.0.1:26657"), |text| {
        Endpoint::http(text).map_err(|e| e.to_string())
    })?;
    let found = chain_id(&rpc).await.map(|id| id.to_string());
    if found.is_none() {
        eprintln!("  (no answer there yet; the id can't be checked)");
    }
    let id = answer("  chain id", found.as_deref(), |text| ChainId::new(text).map_err(|e| e.to_string()))?;
    let prefix = answer("  account prefix, what addresses start with", Some("cosmos"), |text| {
        AccountPrefix::new(text).map(|_| text.to_owned()).map_err(|e| e.to_string())
    })?;
    let price = answer("  gas price", Some("0.025stake"), |text| {
        text.parse::<GasPrice>().map(|_| text.to_owned()).map_err(|e| e.to_string())
    })?;
    let key = answer("  name of its key", Some("relayer"), |text| {
        KeyName::new(text).map(|_| text.to_owned()).map_err(|e| e.to_string())
    })?;
    new_chain(id, vec![rpc], &prefix, &price, Some(&key))
}

fn answer<T>(what: &str, default: Option<&str>, read: impl Fn(&str) -> Result<T, String>) -> Result<T, CliError> {
    let failed = |source| CliError::File { file: PathBuf::from("terminal"), source };
    for _ in 0..TRIES {
        let hint = default.map(|d| format!(" [{d}]")).unwrap_or_default();
        eprint!("{what}{hint}: ");
        std::io::stderr().flush().map_err(failed)?;
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line).map_err(failed)? == 0 {
            break;
        }
        let text = match (line.trim(), default) {
            ("", Some(default)) => default,
            (text, _) => text,
        };
        match read(text) {
            Ok(value) => return Ok(value),
            Err(must) => eprintln!("  it must be {must}"),
        }
    }
    Err(usage(format!("no answer to `{}`", what.trim()), "nothing was written; run it again, or use `--chain`"))
}

/// The chain id that a node tells, if one answers soon.
async fn chain_id(endpoint: &Endpoint) -> Option<ChainId> {
    let node = EndpointSettings::new(EndpointUrl::try_from(endpoint.url().clone()).ok()?);
    let mut settings = RpcSettings::new("init", vec![node]);
    (settings.timeout, settings.attempts, settings.body_bytes) = (ASK, 1, ANSWER_BYTES);
    let answer = RpcClient::new(settings).ok()?.call("status", json!({})).await.ok()?;
    let status: serde_json::Value = serde_json::from_str(answer.result.get()).ok()?;
    ChainId::new(status["node_info"]["network"].as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(text: &str) -> Result<ChainFlag, String> {
        text.parse()
    }

    fn chain(id: &str) -> NewChain {
        let rpc = vec![endpoint("http://127.0.0.1:1").unwrap()];
        new_chain(ChainId::new(id).unwrap(), rpc, "cosmos", "0.025stake", None).unwrap()
    }

    fn init() -> Init {
        Init { chain: Vec::new(), path: None, port: PortId::new("transfer").unwrap() }
    }

    #[test]
    fn what_init_writes_is_a_configuration() {
        let chains = [chain("sim-a-1"), chain("sim-b-1")];
        let text = text(&chains, init().path(&chains).unwrap());
        let settings = relayer_config::parse(&text, "relayer.toml").unwrap();
        assert_eq!(settings.chains.len(), 2);
        assert_eq!(settings.paths[0].name.as_str(), "sim-a-1-sim-b-1");
        assert_eq!(settings.paths[0].channels[0].a.port.as_str(), "transfer");
        assert!(text.starts_with('#'), "commented");
    }

    #[test]
    fn a_chain_flag_names_what_is_missing_or_unknown() {
        assert!(flag("rpc=http://127.0.0.1:1,prefix=cosmos,price=1stake").is_ok());
        assert_eq!(flag("rpc=http://127.0.0.1:1,prefix=cosmos").unwrap_err(), "`price=` is missing");
        assert!(flag("rcp=http://127.0.0.1:1").unwrap_err().contains("the keys are"));
        assert!(flag("sim-a-1").unwrap_err().contains("key=value"));
        assert!(flag("id=a/b,rpc=x,prefix=y,price=z").is_err());
    }

    #[test]
    fn a_chain_with_itself_is_no_path() {
        let chains = [chain("sim-a-1"), chain("sim-a-1")];
        assert!(matches!(init().path(&chains), Err(CliError::Usage { .. })));
    }

    #[tokio::test]
    async fn a_file_that_exists_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("relayer.toml");
        std::fs::write(&config, "mine").unwrap();
        let common = Common {
            config: config.clone(),
            json: true,
            log_level: None,
            log_json: false,
            admin: None,
            store_dir: None,
        };
        let failure = init().run(&common).await.unwrap_err();
        assert_eq!(failure.code, 2);
        assert_eq!(std::fs::read_to_string(&config).unwrap(), "mine");
    }

    #[tokio::test]
    async fn init_from_flags_writes_once() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("relayer.toml");
        let common = Common {
            config: config.clone(),
            json: true,
            log_level: None,
            log_json: false,
            admin: None,
            store_dir: None,
        };
        let flags = [
            "id=sim-a-1,rpc=http://127.0.0.1:1,prefix=cosmos,price=1stake",
            "id=sim-b-1,rpc=http://127.0.0.1:1,prefix=osmo,price=1stake",
        ];
        let flags: Vec<ChainFlag> = flags.iter().map(|f| flag(f).unwrap()).collect();
        Init { chain: flags, ..init() }.run(&common).await.unwrap();
        let settings = relayer_config::parse(&std::fs::read_to_string(&config).unwrap(), "relayer.toml").unwrap();
        assert_eq!(settings.chains[1].cosmos().unwrap().account_prefix.as_str(), "osmo");
    }
}
