//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// One validator of the test chain.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Args {
    /// The chain's rules: the runtime as wasm
    #[arg(long)]
    pub(crate) runtime: PathBuf,
    /// Where the node keeps its database
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Where the compiled runtime is kept, so that later starts need not compile it
    #[arg(long)]
    pub(crate) compiled: Option<PathBuf>,
    /// Which validator this is, counted from 0
    #[arg(long, default_value_t = 0)]
    pub(crate) index: usize,
    /// The port of its JSON-RPC on 127.0.0.1, HTTP and WebSocket
    #[arg(long)]
    pub(crate) rpc_port: u16,
    /// The ports on 127.0.0.1 at which the validators meet, one for each of them in order
    #[arg(long, value_delimiter = ',', required = true)]
    pub(crate) peers: Vec<u16>,
    /// GRANDPA weights of the validators in order; 1 each if not given
    #[arg(long, value_delimiter = ',')]
    pub(crate) weights: Vec<u64>,
    /// What to log
    #[arg(long, default_value = "info,sync=warn,sub-libp2p=warn")]
    pub(crate) log: String,
}
