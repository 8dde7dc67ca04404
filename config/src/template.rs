//! The text of new chains, paths and whole files, as `relayer init` and `relayer chain add` write it.

use std::fmt;

use relayer_core::id::{ChainId, PortId};

use crate::settings::Order;
use crate::values::{AccountPrefix, Endpoint, GasPrice, KeyName, PathName};

/// What a chain can't do without; the rest has defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChain {
    /// Chain id.
    pub id: ChainId,
    /// At least one; addresses are written whole.
    pub rpc: Vec<Endpoint>,
    /// What its addresses start with.
    pub account_prefix: AccountPrefix,
    /// Price of a unit of gas.
    pub gas_price: GasPrice,
    /// The wallet in the keystore.
    pub key: KeyName,
}

/// A path whose ids are still to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPath {
    /// Its name.
    pub name: PathName,
    /// One end.
    pub a: ChainId,
    /// The other end.
    pub b: ChainId,
    /// Its channels.
    pub channels: Vec<NewChannel>,
}

/// A channel whose ids are still to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChannel {
    /// Port on the path's `a`.
    pub a_port: PortId,
    /// Port on the path's `b`.
    pub b_port: PortId,
    /// ICS-04 order.
    pub order: Order,
    /// The application's version.
    pub version: String,
}

pub(crate) fn order(order: Order) -> &'static str {
    match order {
        Order::Unordered => "unordered",
        Order::Ordered => "ordered",
    }
}

/// A text as TOML writes it.
fn text(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

impl fmt::Display for NewChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rpc: Vec<_> = self.rpc.iter().map(|endpoint| text(endpoint.url().as_str().trim_end_matches('/'))).collect();
        writeln!(f, "[[chains]]")?;
        writeln!(f, "id = {}", text(self.id.as_str()))?;
        writeln!(f, "rpc = [{}] # the first is the primary, the others take over when it fails", rpc.join(", "))?;
        writeln!(f, "account_prefix = {}", text(self.account_prefix.as_str()))?;
        writeln!(f, "key = {{ name = {}, source = \"keystore\" }} # or \"env\", \"keyring\"", text(self.key.as_str()))?;
        writeln!(f, "gas = {{ price = {}, multiplier = 1.3 }}", text(&self.gas_price.to_string()))
    }
}

impl fmt::Display for NewPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[[paths]]")?;
        writeln!(f, "name = {}", text(self.name.as_str()))?;
        writeln!(f, "a = {{ chain = {} }} # `relayer path create` adds the ids it makes", text(self.a.as_str()))?;
        writeln!(f, "b = {{ chain = {} }}", text(self.b.as_str()))?;
        for channel in &self.channels {
            writeln!(f, "\n[[paths.channels]]")?;
            writeln!(f, "a = {{ port = {} }}", text(channel.a_port.as_str()))?;
            writeln!(f, "b = {{ port = {} }}", text(channel.b_port.as_str()))?;
            writeln!(f, "order = {}", text(order(channel.order)))?;
            writeln!(f, "version = {}", text(&channel.version))?;
        }
        Ok(())
    }
}

/// The text of a new file with these chains and paths.
pub fn template(chains: &[NewChain], paths: &[NewPath]) -> String {
    let mut out = String::from(
        "# Relayer configuration. Each key can be set in the environment, too: RELAYER__GLOBAL__LOG_LEVEL=debug.\n\
         # Secrets never stand here: keys are named, and their secrets are in the keystore, the environment or the OS keyring.\n\
         \n\
         [global]\n\
         log_level = \"info\"         # off, error, warn, info, debug, trace\n\
         admin = \"127.0.0.1:3030\"   # /health, /status and /metrics\n\
         \n\
         [store]\n\
         dir = \"~/.relayer\"         # journal.sqlite and keys/\n",
    );
    for entry in chains.iter().map(NewChain::to_string).chain(paths.iter().map(NewPath::to_string)) {
        out.push('\n');
        out.push_str(&entry);
    }
    out
}
