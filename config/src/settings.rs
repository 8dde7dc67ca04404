//! The configuration as used: checked, every default filled in, units in the types.
//!
//! Nothing here is a secret except what stands in [`Endpoint`]s, which print only scheme, host and port; keys are named, not held.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use relayer_core::filter::XcmFilter;
use relayer_core::id::{ChainId, ChannelId, ClientId, ConnectionId, PortId};

use crate::limits;
pub use crate::pattern::{Filter, Pattern};
pub use crate::values::{
    AccountPrefix, Coin, Denom, Endpoint, Expected, Fraction, GasMultiplier, GasPrice, KeyName, LogFilter, PathName,
    StorePrefix, Variable,
};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Logs, threads, admin port, shutdown.
    pub global: Global,
    /// Where the journal and the keystore are.
    pub store: Store,
    /// Traces.
    pub telemetry: Telemetry,
    /// Defaults of every chain's `limits`, already merged into them.
    pub limits: RequestLimits,
    /// Where rules beyond those of this file come from.
    pub rules: Option<RuleSource>,
    /// Where the endpoints' limits are shared with other relayers.
    pub shared: Option<SharedLimits>,
    /// In the order of the file; ids are unique.
    pub chains: Vec<Chain>,
    /// In the order of the file; names are unique, their chains exist and differ.
    pub paths: Vec<Path>,
}

impl Settings {
    /// The chain with this id.
    pub fn chain(&self, id: &ChainId) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.id == *id)
    }

    /// The path with this name.
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.paths.iter().find(|path| path.name.as_str() == name)
    }
}

/// `[global]`
#[derive(Debug, Clone, PartialEq)]
pub struct Global {
    /// Which log lines are written.
    pub log_level: LogFilter,
    /// How they are written.
    pub log_format: LogFormat,
    /// Threads that verify headers and proofs; `None` takes the default. See [`Global::workers`].
    pub verify_workers: Option<NonZeroUsize>,
    /// Where `/health`, `/status` and `/metrics` are served. Loopback unless a token is set.
    pub admin: SocketAddr,
    /// The variable that holds the admin port's bearer token.
    pub admin_token_env: Option<Variable>,
    /// Time a graceful stop may take.
    pub shutdown_timeout: Duration,
}

impl Global {
    /// Verification threads on a machine with `cpus` processors: `min(16, 2 x CPU)`, or the file's number up to `min(32, 2 x CPU)`.
    pub fn workers(&self, cpus: usize) -> usize {
        let twice = cpus.saturating_mul(2).max(1);
        match self.verify_workers {
            None => twice.min(limits::VERIFY_WORKERS_DEFAULT),
            Some(workers) => workers.get().min(twice).min(limits::VERIFY_WORKERS_MOST),
        }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    /// The folder, `~` already replaced by the home folder.
    pub dir: PathBuf,
}

impl Store {
    /// The journal's file.
    pub fn journal(&self) -> PathBuf {
        self.dir.join("journal.sqlite")
    }

    /// The keystore's folder.
    pub fn keys(&self) -> PathBuf {
        self.dir.join("keys")
    }
}

/// `[telemetry]`
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// The OTLP/HTTP collector; without it no trace is sent.
    pub otlp_endpoint: Option<Endpoint>,
    /// Share of packets traced, 0 to 1.
    pub sample_ratio: f64,
    /// `service.name` of every span.
    pub service_name: String,
}

/// How hard a chain's nodes may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Sustained calls a second.
    pub requests_per_second: u32,
    /// Calls at once after a pause.
    pub burst: u32,
    /// Calls without an answer yet.
    pub in_flight: u32,
    /// Until a call is given up.
    pub request_timeout: Duration,
    /// Longest answer read, after decompression.
    pub max_response_bytes: usize,
    /// Tries after the first.
    pub retry_attempts: u32,
}

/// Narrower limits of some of a chain's calls. All that name a call hold, beside the limits of its endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NarrowLimits {
    /// By method; the chain's own before those of all chains.
    pub methods: Vec<MethodLimit>,
    /// In place of the chain's limits, by address.
    pub endpoints: Vec<EndpointLimit>,
    /// By channel.
    pub channels: Vec<ChannelLimit>,
}

/// A limit of calls a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallRate {
    /// Sustained calls a second.
    pub requests_per_second: u32,
    /// Calls at once after a pause.
    pub burst: u32,
}

/// How often a method may be called, at all endpoints of the chain together, and what a call of it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodLimit {
    /// Its name; with a `*` at the end, of all that begin so.
    pub method: String,
    /// How often; `None`: as often as the other limits allow.
    pub rate: Option<CallRate>,
    /// How many of an endpoint's calls one of these counts for.
    pub weight: u32,
}

/// The limits of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointLimit {
    /// One of the chain's `rpc` addresses, or its `archive_rpc`.
    pub rpc: Endpoint,
    /// How often it may be called.
    pub rate: CallRate,
    /// Calls without an answer yet.
    pub in_flight: u32,
}

/// How often a chain is asked for one channel's packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelLimit {
    /// The channel's id on that chain.
    pub channel: ChannelId,
    /// How often.
    pub rate: CallRate,
}

/// Where rules come from while the relayer runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleSource {
    /// A file that is watched.
    File {
        /// Where.
        path: PathBuf,
        /// How often it is looked at.
        interval: Duration,
    },
    /// An address that is asked again and again.
    Http {
        /// The whole address of the set.
        url: Endpoint,
        /// How often.
        interval: Duration,
    },
    /// A key in an etcd, watched through its HTTP gateway.
    Etcd {
        /// The etcd.
        url: Endpoint,
        /// The key that holds the set.
        key: String,
    },
}

/// A Redis in which relayers share the rates of their nodes: what is configured for a node is then what all of them get together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedLimits {
    /// Where it is; more than one address for a cluster or Sentinels only.
    pub addresses: Vec<Endpoint>,
    /// What is there.
    pub kind: RedisKind,
    /// What the members share: one API key of one provider.
    pub domain: String,
    /// This relayer's name among them; `None`: one that is new at each start.
    pub member: Option<String>,
    /// Whether reads take their calls in blocks that are spent here.
    pub leased: bool,
    /// Whether redis-cell counts where it is loaded and no member is against it.
    pub redis_cell: bool,
    /// A PEM file with the only authorities that are trusted for `rediss://`; `None`: the public ones.
    pub ca: Option<PathBuf>,
}

/// What answers at the addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisKind {
    /// One server.
    Standalone,
    /// Nodes of a cluster.
    Cluster,
    /// Sentinels.
    Sentinel {
        /// The name by which they know the server.
        service: String,
        /// Names the variable that holds the server's `password`, or `user:password`; the Sentinels' own login stands in their addresses.
        login_env: Option<Variable>,
    },
}

/// `[[chains]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// Chain id.
    pub id: ChainId,
    /// RPC addresses, at least one; the first is the primary, the others take over.
    pub rpc: Vec<Endpoint>,
    /// WebSocket address of the subscription that wakes.
    pub ws: Endpoint,
    /// A node that keeps pruned heights.
    pub archive_rpc: Option<Endpoint>,
    /// Of which family it is, and what only that has.
    pub family: Family,
    /// First element of proof paths.
    pub store_prefix: StorePrefix,
    /// Usual time from block to block.
    pub block_time: Duration,
    /// Blocks after which an unseen transaction can't be included any more.
    pub tx_timeout_blocks: u64,
    /// Largest transaction.
    pub max_tx_bytes: usize,
    /// The wallet.
    pub key: Key,
    /// The header to trust first; without it the first one met is trusted, with a warning.
    pub trusted: Option<Trusted>,
    /// Parameters of this chain's clients on other chains.
    pub client: Client,
    /// How hard its nodes may be asked.
    pub limits: RequestLimits,
    /// Limits of some of these calls.
    pub narrow: NarrowLimits,
}

impl Chain {
    /// What only Cosmos chains have.
    pub fn cosmos(&self) -> Option<&Cosmos> {
        match &self.family {
            Family::Cosmos(cosmos) => Some(cosmos),
            Family::Substrate(_) => None,
        }
    }
}

/// The families of chains.
#[derive(Debug, Clone, PartialEq)]
pub enum Family {
    /// CometBFT with ibc-go.
    Cosmos(Cosmos),
    /// Substrate with GRANDPA and an IBC module.
    Substrate(Substrate),
}

/// What only Cosmos chains have.
#[derive(Debug, Clone, PartialEq)]
pub struct Cosmos {
    /// What its addresses start with.
    pub account_prefix: AccountPrefix,
    /// BIP-44 coin type of the key's derivation path.
    pub coin_type: u32,
    /// Gas and fees.
    pub gas: Gas,
    /// Share of trusted power that must have signed a later header: at least 1/3, at most 1.
    pub trust_threshold: Fraction,
}

/// What only Substrate chains have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Substrate {
    /// The network's number in addresses.
    pub ss58_prefix: u16,
    /// What each extrinsic offers its block's author beside the fee; its denomination names the coin of fees.
    pub tip: Coin,
    /// Most that an extrinsic pays, tip included; in the same coin.
    pub max_fee: Option<Coin>,
    /// SHA-256 of the code that other chains run as the light client of this one.
    pub checksum: Option<[u8; 32]>,
}

/// The wallet that pays on a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name in the keystore or keyring, and in output.
    pub name: KeyName,
    /// Where the secret is.
    pub source: KeySource,
}

/// Where a wallet's secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// An encrypted file below [`Store::keys`].
    Keystore {
        /// The variable that holds its passphrase; without it the terminal is asked.
        passphrase_env: Option<Variable>,
    },
    /// A mnemonic in an environment variable.
    Env {
        /// The variable.
        variable: Variable,
    },
    /// The keyring of the operating system.
    Keyring,
}

/// Gas and fees on a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Gas {
    /// Price of a unit of gas.
    pub price: GasPrice,
    /// Factor on simulated gas.
    pub multiplier: GasMultiplier,
    /// Most gas a transaction may ask for.
    pub max_per_tx: u64,
    /// Gas of a message before any was learned.
    pub default_per_message: u64,
    /// Most a transaction may pay; in the denomination of `price`.
    pub max_fee: Option<Coin>,
    /// The account that pays the fees.
    pub fee_granter: Option<String>,
    /// What every transaction's memo starts with.
    pub memo_prefix: String,
}

/// A header trusted by the operator's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trusted {
    /// Its height, in the revision of the chain id.
    pub height: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// Parameters of the clients of a chain that `relayer path create` makes on other chains, and of our own verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// How long a header is trusted; `None`: 2/3 of a Cosmos chain's unbonding period, a day on a Substrate chain.
    pub trusting_period: Option<Duration>,
    /// How far a header's time may lie ahead of ours.
    pub max_clock_drift: Duration,
    /// Share of the trusting period after which a client is refreshed; above 0, below 1.
    pub refresh_fraction: Fraction,
}

/// `[[paths]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Unique name.
    pub name: PathName,
    /// Whether `start` relays it.
    pub enabled: bool,
    /// One end.
    pub a: End,
    /// The other end, on another chain.
    pub b: End,
    /// Its channels, in the order of the file.
    pub channels: Vec<Channel>,
    /// When a batch is full.
    pub batch: Batch,
    /// When the backlog is looked for.
    pub clear: Clear,
    /// Which packets are relayed; `a_to_b` judges the sending end on `a`.
    pub filter: PerDirection<Filter>,
    /// What of XCM is not relayed, whichever way.
    pub xcm: XcmFilter,
    /// Longest ICS-20 memo relayed.
    pub max_memo_bytes: usize,
    /// Longest ICS-20 receiver relayed.
    pub max_receiver_bytes: usize,
}

/// Something for each direction of a path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PerDirection<T> {
    /// Packets sent on `a`.
    pub a_to_b: T,
    /// Packets sent on `b`.
    pub b_to_a: T,
}

/// One end of a path. Ids are absent until `relayer path create` wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The chain it stands on.
    pub chain: ChainId,
    /// The client on that chain that follows the other chain.
    pub client: Option<ClientId>,
    /// The connection end on that chain; never without a client.
    pub connection: Option<ConnectionId>,
}

/// `[[paths.channels]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The end on the path's `a`.
    pub a: ChannelEnd,
    /// The end on the path's `b`.
    pub b: ChannelEnd,
    /// ICS-04 order.
    pub order: Order,
    /// The application's version.
    pub version: String,
    /// Sequences never relayed.
    pub excluded: PerDirection<BTreeSet<u64>>,
}

/// One end of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelEnd {
    /// The application's port.
    pub port: PortId,
    /// Absent until `relayer path create` wrote it.
    pub channel: Option<ChannelId>,
}

/// ICS-04 order of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Packets arrive in any order.
    Unordered,
    /// Packets arrive in the order sent; a timeout closes the channel.
    Ordered,
}

/// When a batch is sent: at the first of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// It holds so many messages.
    pub messages: usize,
    /// It holds so many bytes.
    pub bytes: usize,
    /// Its first message has waited so long.
    pub linger: Duration,
}

/// When the backlog is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clear {
    /// At start.
    pub on_start: bool,
    /// And then again and again; `None`: never.
    pub interval: Option<Duration>,
}
