//! Why a test chain or its client could not do what a test asked.

use std::path::PathBuf;

/// A failure of the test drivers. Not a failure of the relayer under test.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// The chain's binary could not be built.
    #[error("the test chain could not be built: {reason}")]
    Build {
        /// What the build script printed last.
        reason: String,
    },
    /// The contract could not be built.
    #[error("the contract could not be built: {reason}")]
    Contract {
        /// What the build script printed.
        reason: String,
    },
    /// A file or a process could not be handled.
    #[error("{what}: {source}")]
    Io {
        /// The file or the action.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file of the template home is not of the shape this driver knows.
    #[error("{file}: {reason}")]
    Template {
        /// The file of the template home.
        file: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// A chain ended, or made no block, after its start.
    #[error("chain {chain}: {reason}\n--- end of its log\n{log}")]
    Start {
        /// The chain's id.
        chain: String,
        /// What went wrong.
        reason: String,
        /// The end of the node's log.
        log: String,
    },
    /// A JSON-RPC call failed.
    #[error("{method} at {url}: {reason}")]
    Rpc {
        /// The node asked.
        url: String,
        /// The method called.
        method: String,
        /// Transport error or the node's error object.
        reason: String,
    },
    /// An answer could not be decoded.
    #[error("the answer to {what} can't be decoded: {reason}")]
    Decode {
        /// The query or the field.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A query was answered with an error code.
    #[error("query {path} failed with code {code}: {log}")]
    Query {
        /// The query's path.
        path: String,
        /// The application's code.
        code: u64,
        /// The application's message.
        log: String,
    },
    /// A transaction was refused, by the mempool or in a block.
    #[error("transaction {hash} failed with code {code} of {codespace:?}: {log}")]
    Tx {
        /// The transaction's hash, upper-case hex.
        hash: String,
        /// The application's code.
        code: u64,
        /// Whose code it is.
        codespace: String,
        /// The application's message.
        log: String,
    },
    /// A governance proposal was not executed.
    #[error("proposal {id} was not executed (status {status}): {reason}")]
    Proposal {
        /// Its number.
        id: u64,
        /// `ProposalStatus` of `cosmos.gov.v1`: 4 rejected, 5 failed.
        status: i32,
        /// The application's message.
        reason: String,
    },
    /// A command of the relayer ended with an error.
    #[error("{what} ended with code {code:?}:\n{said}")]
    Command {
        /// The command.
        what: String,
        /// Its exit code; none if a signal ended it.
        code: Option<i32>,
        /// Its output.
        said: String,
    },
    /// Something awaited did not come.
    #[error("waited {after_ms} ms in vain for {what}")]
    Timeout {
        /// What was awaited.
        what: String,
        /// How long.
        after_ms: u128,
    },
    /// A key could not be derived or an address made.
    #[error("wallet {name}: {reason}")]
    Wallet {
        /// The wallet's name.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

impl DevnetError {
    /// What the reader of the error can do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Build { .. } => "read what is missing, then run the chain's build in tests/chains by hand",
            Self::Contract { .. } => "run tests/chains/contract by hand",
            Self::Io { .. } => "check free space and permissions of the temporary folder and the cache folder",
            Self::Template { .. } => {
                "the chain's version changed: bring devnet/home.rs or devnet/genesis.rs up to date"
            }
            Self::Start { .. } => "read the log above; run the tests with --test-threads=1",
            Self::Rpc { .. } | Self::Timeout { .. } => {
                "see whether the chain still runs and the machine is not overloaded"
            }
            Self::Decode { .. } => "compare the query's path with its request and response types",
            Self::Query { .. } | Self::Tx { .. } | Self::Proposal { .. } => "read the application's message",
            Self::Command { .. } => "read what the relayer said",
            Self::Wallet { .. } => "check the mnemonic and the prefix",
        }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(crate) fn decode(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Decode { what: what.into(), reason: reason.to_string() }
    }
}
