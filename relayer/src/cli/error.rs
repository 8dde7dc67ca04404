//! Why a command failed, with the remedy and the exit code.
//!
//! What nodes, chains and files say arrives as the typed errors of their modules; here they get the words "what to do" that depend on
//! the configuration. Exit codes: see [`super`].

use std::fmt;
use std::path::PathBuf;

use miette::Diagnostic;
use relayer_core::error::{ChainError, TxFailure};
use relayer_core::id::ChainId;
use thiserror::Error;

use crate::handshake::HandshakeFailure;
use crate::remedy::{chain_remedy, tx_remedy};

/// Why a command failed.
#[derive(Debug, Error)]
pub enum CliError {
    /// No path of that name.
    #[error("no path is named `{name}` in {}", .file.display())]
    NoPath {
        /// The name asked for.
        name: String,
        /// The configuration.
        file: PathBuf,
        /// The names there are.
        known: Vec<String>,
    },
    /// No chain of that id.
    #[error("no chain has the id `{id}` in {}", .file.display())]
    NoChain {
        /// The id asked for.
        id: String,
        /// The configuration.
        file: PathBuf,
        /// The ids there are.
        known: Vec<String>,
    },
    /// A value of the command line that can't be used.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What to write instead.
        help: String,
    },
    /// The path lacks an id.
    #[error("path `{path}` has no {what} yet")]
    NoId {
        /// The path.
        path: String,
        /// Which id.
        what: String,
    },
    /// A chain gave nothing usable.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A handshake stopped.
    #[error(transparent)]
    Handshake(#[from] Box<HandshakeFailure>),
    /// A transaction was refused or failed.
    #[error("{chain}: {does}: {failure}")]
    Tx {
        /// Which chain.
        chain: ChainId,
        /// The wallet that pays.
        signer: String,
        /// What it would have done.
        does: &'static str,
        /// Why not.
        failure: Box<TxFailure>,
    },
    /// The wallet owns nothing.
    #[error("{chain}: the wallet {signer} owns no {denom}")]
    EmptyWallet {
        /// Which chain.
        chain: ChainId,
        /// Its address.
        signer: String,
        /// Fee denomination.
        denom: String,
    },
    /// The chain's state holds something that can't be read.
    #[error("{chain}: {what}")]
    State {
        /// Which chain.
        chain: ChainId,
        /// What, and why not.
        what: String,
    },
    /// A file of ours can't be read or written.
    #[error("{}: {source}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Another `path create` works on the path.
    #[error("another `relayer path create {path}` is running")]
    Creating {
        /// The path.
        path: String,
    },
    /// Ids were made, but could not be written into the configuration.
    #[error("the path is open, but its ids could not be written into {}: {why}", .file.display())]
    NotWritten {
        /// The configuration.
        file: PathBuf,
        /// Why not.
        why: String,
        /// The ids, as TOML.
        ids: String,
    },
    /// The relayer of this store is running.
    #[error("a relayer is running on this store (admin port {admin})")]
    Running {
        /// Its admin address.
        admin: std::net::SocketAddr,
    },
    /// No relayer answers at the admin port.
    #[error("no relayer answers at {admin}: {why}")]
    NotRunning {
        /// The admin address asked.
        admin: std::net::SocketAddr,
        /// Why not.
        why: String,
    },
    /// The relayer runs, and something is wrong with it.
    #[error("the relayer at {admin} is not healthy: {why}")]
    Unhealthy {
        /// The admin address asked.
        admin: std::net::SocketAddr,
        /// What.
        why: String,
    },
    /// `check` found something.
    #[error("{0} {noun} found", noun = if *.0 == 1 { "problem was" } else { "problems were" })]
    Problems(usize),
    /// Packets are open and nothing happens to them.
    #[error("path `{path}`: {open} packets stay open: nothing has happened to them for {seconds} s{}", Because(.trouble))]
    Stuck {
        /// The path.
        path: String,
        /// How many.
        open: usize,
        /// For how long nothing happened.
        seconds: u64,
        /// What the path says.
        trouble: Option<String>,
    },
}

struct Because<'a>(&'a Option<String>);
impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |why| write!(f, " ({why})"))
    }
}

impl CliError {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::NoPath { .. } | Self::NoChain { .. } | Self::Usage { .. } | Self::NoId { .. } => 2,
            Self::NotRunning { .. } | Self::Unhealthy { .. } => 3,
            _ => 1,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::NoPath { known, .. } => listed("paths", known),
            Self::NoChain { known, .. } => listed("chains", known),
            Self::Usage { help, .. } => help.clone(),
            Self::NoId { path, .. } => format!("run `relayer path create {path}`, or write the id into the file"),
            Self::Chain(error) => return chain_remedy(error),
            Self::Handshake(failure) => return handshake_remedy(failure),
            Self::Tx { chain, signer, failure, .. } => return tx_remedy(chain, signer, failure),
            Self::EmptyWallet { chain, signer, denom } => {
                format!("send {denom} to {signer} on {chain}, or name another wallet in the chain's `key`")
            }
            Self::State { .. } => "ask another node: correct or extend `rpc`; or correct the id in the file".to_owned(),
            Self::File { .. } => "check the folder's permissions and the free space on its disk".to_owned(),
            Self::Creating { .. } => "wait until it ends".to_owned(),
            Self::NotWritten { ids, .. } => format!("write them yourself:\n{ids}"),
            Self::Running { .. } => {
                "it clears the backlog by itself at start and by `clear.interval_s`; stop it first to clear by hand, or use another store"
                    .to_owned()
            }
            Self::NotRunning { admin, .. } => format!(
                "start it with `relayer start`; if it runs elsewhere, name its admin port with `--admin` (asked was {admin})"
            ),
            Self::Unhealthy { .. } => "`relayer status` shows all of it, `relayer check` says what to change".to_owned(),
            Self::Problems(_) => return None,
            Self::Stuck { .. } => {
                "filtered, excluded and refused packets stay open until their sender's chain times them out; `--log-level debug` tells why"
                    .to_owned()
            }
        })
    }
}

impl Diagnostic for CliError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.remedy().map(|text| Box::new(text) as Box<dyn fmt::Display>)
    }
}

fn listed(what: &str, known: &[String]) -> String {
    if known.is_empty() {
        format!("there are no {what} in the file")
    } else {
        format!("the {what} are: {}", known.join(", "))
    }
}

fn handshake_remedy(failure: &HandshakeFailure) -> Option<String> {
    match failure {
        HandshakeFailure::Chain(error) => chain_remedy(error),
        HandshakeFailure::Tx { chain, failure, .. } => tx_remedy(chain, "the relayer's wallet", failure),
        HandshakeFailure::Proof { chain, .. } | HandshakeFailure::Answer { chain, .. } => Some(format!(
            "use another node for {chain}: correct or extend its `rpc`; running it again goes on from here"
        )),
        HandshakeFailure::Stalled { chain } => {
            Some(format!("look after the nodes of {chain}; running it again goes on from here"))
        }
        HandshakeFailure::Rules(_) | HandshakeFailure::Events { .. } | HandshakeFailure::Verification => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Failure;
    use relayer_core::error::ChainErrorKind;

    use super::*;

    #[test]
    fn exit_codes_say_whose_turn_it_is() {
        let admin = std::net::SocketAddr::from(([127, 0, 0, 1], 3030));
        let chain = ChainId::new("sim-a-1").unwrap();
        let usage = CliError::Usage { what: "x".into(), help: "y".into() };
        let gone = CliError::Chain(ChainError::new(&chain, ChainErrorKind::Unavailable, ""));
        let absent = CliError::NotRunning { admin, why: "no".into() };
        for (error, code) in [(usage, 2), (gone, 1), (absent, 3), (CliError::Problems(2), 1)] {
            let text = error.to_string();
            assert_eq!(Failure::from(error).code, code, "{text}");
        }
    }

    #[test]
    fn what_a_chain_says_comes_with_the_key_to_change() {
        let chain = ChainId::new("sim-a-1").unwrap();
        for (kind, key) in [
            (ChainErrorKind::Unavailable, "rpc"),
            (ChainErrorKind::WrongChain(relayer_core::error::Detail::new("other-1")), "other-1"),
            (ChainErrorKind::Pruned(relayer_core::id::Height::new(1, 5)), "archive_rpc"),
        ] {
            let error = CliError::Chain(ChainError::new(&chain, kind, ""));
            let help = error.help().unwrap().to_string();
            assert!(help.contains(key) && help.contains("sim-a-1"), "{help}");
        }
    }
}
