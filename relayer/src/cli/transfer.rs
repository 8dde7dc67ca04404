//! `relayer tx transfer`: ICS-20 transfers, as a user would send them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::{Args, Subcommand};
use miette::IntoDiagnostic;
use relayer_chains::AnyChain;
use relayer_chains::cosmos::tx::{Transfer as Ics20, transfer};
use relayer_config::settings::{ChannelEnd, Coin, Settings};
use relayer_core::chain::Chain;
use relayer_core::fact::Fact;
use relayer_core::id::{ChainId, ChannelId, Height, PortId, Sequence, Timestamp};
use relayer_core::message::Message;
use relayer_core::packet::{PortChannel, Side};
use serde_json::json;

use super::client::End;
use super::error::CliError;
use super::inspect::{channel_end, end, find_chain, find_path};
use super::packets::ranges;
use super::progress::Progress;
use super::send::{Committed, send};
use super::{Common, Done, Failure};
use crate::keys::{self, Keystore};
use crate::open::Opener;

/// Messages in one transaction: about 50 x 60,000 gas, well below what blocks and `max_per_tx` allow.
const PER_TRANSACTION: usize = 50;
/// Transfers of one command at most; a script can repeat it.
const TRANSFERS: usize = 10_000;

/// Send transactions of a user's own.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer tx transfer --path a-b --from a --amount 100stake --to cosmos1...")]
pub struct TxArgs {
    /// Which.
    #[command(subcommand)]
    pub command: TxCommand,
}

/// Below `relayer tx`.
#[derive(Debug, Subcommand)]
pub enum TxCommand {
    /// Send coins to the other chain (ICS-20).
    Transfer(Box<Transfer>),
}

/// Send coins to the other chain (ICS-20).
///
/// Signed with the chain's configured key, or with another one. Ends when the transfers are in blocks of the sending chain; relaying
/// them is the relayer's work.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  relayer tx transfer --path a-b --from a --amount 100stake --to cosmos1...\n  \
                        relayer tx transfer --chain sim-a-1 --channel channel-0 --amount 5stake --to cosmos1... --count 100")]
pub struct Transfer {
    /// The path whose channel is used.
    #[arg(long, value_name = "NAME", required_unless_present = "chain")]
    pub path: Option<String>,
    /// The sending end of the path.
    #[arg(long, value_enum, default_value = "a", conflicts_with = "chain")]
    pub from: End,
    /// The sending chain, instead of a path.
    #[arg(long, conflicts_with = "path", requires = "channel")]
    pub chain: Option<String>,
    /// The channel on the sending chain; the path's first one without it.
    #[arg(long)]
    pub channel: Option<ChannelId>,
    /// The port on the sending chain.
    #[arg(long, default_value = "transfer")]
    pub port: PortId,
    /// Amount and denomination, like `100stake`.
    #[arg(long)]
    pub amount: Coin,
    /// The receiver's address on the other chain.
    #[arg(long, value_name = "ADDRESS")]
    pub to: String,
    /// Time out so many blocks of the other chain from now.
    #[arg(long, value_name = "BLOCKS")]
    pub timeout_height_offset: Option<u64>,
    /// Time out so many seconds from now; 600 when neither timeout is given, 0 for none.
    #[arg(long, value_name = "SECONDS")]
    pub timeout_seconds: Option<u64>,
    /// Text for the receiver's chain.
    #[arg(long, default_value = "")]
    pub memo: String,
    /// So many transfers of this amount.
    #[arg(long, default_value_t = 1)]
    pub count: usize,
    /// Another key of the chain's keystore.
    #[arg(long, value_name = "NAME", conflicts_with = "key_env")]
    pub key: Option<String>,
    /// The variable that holds another key's mnemonic.
    #[arg(long, value_name = "VARIABLE")]
    pub key_env: Option<String>,
}

/// Where a transfer leaves and where it goes.
struct Route {
    source: PortChannel,
    from: ChainId,
    /// Where it is configured.
    to: Option<ChainId>,
}

impl TxArgs {
    pub(super) async fn run(self, common: &Common) -> Done {
        match self.command {
            TxCommand::Transfer(transfer) => transfer.run(common).await,
        }
    }
}

impl Transfer {
    async fn run(&self, common: &Common) -> Done {
        let settings = common.settings()?;
        self.bounds()?;
        let route = self.route(&settings, common)?;
        let chain = self.open(&settings, &route.from).await?;
        let bar = Progress::bar(common, 0, format!("asking {}", route.from));
        let (timeout_height, timeout_timestamp) = self.timeouts(&settings, &route, &chain).await?;
        let one = transfer(&Ics20 {
            source: route.source.clone(),
            amount: self.amount.amount,
            denom: self.amount.denom.to_string(),
            sender: chain.signer().to_owned(),
            receiver: self.to.clone(),
            timeout_height,
            timeout_timestamp,
            memo: self.memo.clone(),
        });
        let batches: Vec<Vec<Message>> = (0..self.count)
            .step_by(PER_TRANSACTION)
            .map(|sent| vec![Message::Other(one.clone()); PER_TRANSACTION.min(self.count.saturating_sub(sent))])
            .collect();
        bar.doing(format!("{}: sending", route.from));
        let committed = send(&chain, batches, "transfer", &bar).await?;
        let sequences = sequences(&chain, &route.source, &committed, &self.to).await?;
        drop(bar);
        let value = json!({
            "chain": route.from, "source": route.source.to_string(), "sender": chain.signer(), "receiver": self.to,
            "sequences": sequences, "transactions": committed,
            "timeout_height": (!timeout_height.is_zero()).then(|| timeout_height.to_string()),
            "timeout_timestamp_ns": (timeout_timestamp.0 != 0).then_some(timeout_timestamp.0),
        });
        common.say(&value, || {
            let mut lines: Vec<String> =
                committed.iter().map(|c| format!("tx {} in block {}, fee {}", c.hash, c.height, c.fee)).collect();
            lines.push(format!("sent on {} over {}, sequences {}", route.from, route.source, ranges(&sequences)));
            lines.join("\n")
        })
    }

    fn bounds(&self) -> Result<(), CliError> {
        let usage = |what: String, help: &str| Err(CliError::Usage { what, help: help.to_owned() });
        if self.count == 0 || self.count > TRANSFERS {
            return usage(
                format!("--count {} is not between 1 and {TRANSFERS}", self.count),
                "repeat the command for more",
            );
        }
        if self.amount.amount == 0 {
            return usage("nothing would be sent".to_owned(), "write an amount like `100stake`");
        }
        if self.timeout_seconds == Some(0) && self.timeout_height_offset.is_none() {
            return usage(
                "a packet needs a timeout (ICS-04)".to_owned(),
                "give `--timeout-seconds` or `--timeout-height-offset`",
            );
        }
        if self.to.is_empty() || self.to.len() > 2_048 {
            return usage("the receiver's address is empty or longer than 2048 bytes".to_owned(), "correct `--to`");
        }
        if self.memo.len() > 32_768 {
            return usage("the memo is longer than ibc-go's 32768 bytes".to_owned(), "shorten `--memo`");
        }
        Ok(())
    }

    fn route(&self, settings: &Settings, common: &Common) -> Result<Route, CliError> {
        let (Some(name), None) = (&self.path, &self.chain) else {
            let id = self.chain.as_deref().unwrap_or_default();
            let from = find_chain(settings, &common.config, id)?.id.clone();
            let what =
                || CliError::Usage { what: "no channel is named".to_owned(), help: "add `--channel`".to_owned() };
            let channel = self.channel.clone().ok_or_else(what)?;
            return Ok(Route { source: PortChannel { port: self.port.clone(), channel }, from, to: None });
        };
        let path = find_path(settings, &common.config, name)?;
        let side: Side = self.from.into();
        let ours = |end: &&ChannelEnd| {
            end.port == self.port
                && end.channel.is_some()
                && self.channel.as_ref().is_none_or(|c| end.channel.as_ref() == Some(c))
        };
        let ends: Vec<_> = path.channels.iter().map(|c| channel_end(c, side)).collect();
        let Some(channel) = ends.iter().copied().find(ours).and_then(|end| end.channel.clone()) else {
            let chain = &end(path, side).chain;
            let there: Vec<String> =
                ends.iter().filter_map(|e| Some(format!("{}/{}", e.port, e.channel.clone()?))).collect();
            return Err(match (&self.channel, there.as_slice()) {
                (_, []) => CliError::NoId { path: name.clone(), what: format!("channel on {chain}") },
                (channel, _) => CliError::Usage {
                    what: match channel {
                        Some(channel) => format!("path `{name}` has no channel {}/{channel} on {chain}", self.port),
                        None => format!("path `{name}` has no channel of port {} on {chain}", self.port),
                    },
                    help: format!("its channels there are: {}", there.join(", ")),
                },
            });
        };
        Ok(Route {
            source: PortChannel { port: self.port.clone(), channel },
            from: end(path, side).chain.clone(),
            to: Some(end(path, side.other()).chain.clone()),
        })
    }

    /// The sending chain with the key that signs.
    async fn open(&self, settings: &Settings, id: &ChainId) -> Result<Arc<AnyChain>, Failure> {
        let secret = match (&self.key, &self.key_env) {
            (None, None) => return Ok(Opener::plain().open(settings, id).await?),
            (_, Some(variable)) => keys::from_env(variable).into_diagnostic()?,
            (Some(name), None) => {
                let keystore = Keystore::new(settings.store.keys());
                keystore.check(id, name).into_diagnostic()?;
                let passphrase = super::keys::passphrase(settings, id, name)?;
                keystore.load(id, name, passphrase).into_diagnostic()?
            }
        };
        Ok(Opener::plain().open_with_key(settings, id, &secret).await?)
    }

    /// By the other chain's own height and time; where it can't be asked, by what our chain knows of it.
    async fn timeouts(
        &self,
        settings: &Settings,
        route: &Route,
        chain: &AnyChain,
    ) -> Result<(Height, Timestamp), Failure> {
        let seconds = match (self.timeout_seconds, self.timeout_height_offset) {
            (None, None) => 600,
            (seconds, _) => seconds.unwrap_or(0),
        };
        let there = match &route.to {
            Some(to) => Opener::plain().open_without_key(settings, to).await?.head().await.ok(),
            None => None,
        };
        let height = match (self.timeout_height_offset, there) {
            (None, _) => Height::default(),
            (Some(offset), Some(head)) => Height::new(head.height.revision, head.height.number.saturating_add(offset)),
            (Some(offset), None) => {
                let (_, state) = chain.channel_client(&route.source).await.map_err(CliError::Chain)?;
                let latest = relayer_chains::client_info(chain.id(), &state).map_err(CliError::Chain)?.latest;
                Height::new(latest.revision, latest.number.saturating_add(offset))
            }
        };
        let time = match seconds {
            0 => Timestamp(0),
            s => {
                let now = match there {
                    Some(head) => head.time,
                    None => chain.head().await.map_err(CliError::Chain)?.time,
                };
                now.plus(s.saturating_mul(1_000_000_000))
            }
        };
        Ok((height, time))
    }
}

/// The sequences that our transactions' packets got, from the facts of their blocks.
async fn sequences(
    chain: &AnyChain,
    source: &PortChannel,
    committed: &[Committed],
    receiver: &str,
) -> Result<Vec<Sequence>, CliError> {
    let heights: BTreeSet<Height> = committed.iter().map(|c| c.height).collect();
    let mut found = BTreeMap::new();
    for height in heights {
        for fact in chain.facts(height).await?.facts {
            if let Fact::Sent(packet) = fact
                && packet.source == *source
                && ours(&packet.data, chain.signer(), receiver)
            {
                found.insert(packet.sequence, ());
            }
        }
    }
    Ok(found.into_keys().collect())
}

/// Whether ICS-20 packet data is of this sender for this receiver.
fn ours(data: &[u8], sender: &str, receiver: &str) -> bool {
    let data: Result<serde_json::Value, _> = serde_json::from_slice(data);
    data.is_ok_and(|data| data["sender"] == sender && data["receiver"] == receiver)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    fn parsed(args: &[&str]) -> Result<Transfer, clap::Error> {
        let base = ["relayer", "tx", "transfer", "--amount", "100stake", "--to", "cosmos1x"];
        let cli = Cli::try_parse_from(base.iter().chain(args).copied())?;
        match cli.command {
            Command::Tx(TxArgs { command: TxCommand::Transfer(transfer) }) => Ok(*transfer),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_transfer_needs_a_path_or_a_chain_with_its_channel() {
        assert!(parsed(&["--path", "a-b"]).is_ok());
        assert!(parsed(&["--chain", "sim-a-1", "--channel", "channel-0"]).is_ok());
        assert!(parsed(&[]).is_err());
        assert!(parsed(&["--chain", "sim-a-1"]).is_err());
        assert!(parsed(&["--path", "a-b", "--chain", "sim-a-1", "--channel", "channel-0"]).is_err());
        assert!(parsed(&["--path", "a-b", "--from", "c"]).is_err());
        assert!(parsed(&["--path", "a-b", "--channel", "channel/0"]).is_err());
    }

    #[test]
    fn what_the_chain_would_refuse_costs_no_fee() {
        for args in [["--count", "0"], ["--count", "10001"], ["--timeout-seconds", "0"]] {
            let transfer = parsed(&["--path", "a-b", args[0], args[1]]).unwrap();
            assert!(matches!(transfer.bounds(), Err(CliError::Usage { .. })), "{args:?}");
        }
        let height_only = parsed(&["--path", "a-b", "--timeout-seconds", "0", "--timeout-height-offset", "5"]).unwrap();
        assert!(height_only.bounds().is_ok());
    }

    #[test]
    fn a_packet_of_somebody_else_is_not_counted_as_ours() {
        let data = br#"{"amount":"1","denom":"stake","receiver":"r","sender":"s","memo":""}"#;
        assert!(ours(data, "s", "r"));
        assert!(!ours(data, "t", "r") && !ours(data, "s", "q") && !ours(b"\xff", "s", "r"));
    }
}
