//! The ports: what the shell needs of a chain, behind `Arc<dyn Chain>`.
//!
//! A new chain family is one folder of adapters that implements [`Chain`] plus one verifier in `light-clients`. IBC makes headers,
//! client states and proofs opaque bytes (`Any`), so nothing here names a family. Which header proves a state differs: a header may hold
//! the root of the state after its own block, or of the one before ([`Chain::proof_lag`]); and clients may not be brought to each
//! height ([`Chain::updatable`]). [`Chain::provable`] puts both together.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ibc_proto::google::protobuf::Any;

use crate::error::{ChainError, TxFailure};
use crate::fact::{BlockFacts, Fact, Head, TxReport};
use crate::id::{
    AccountSequence, ChainId, ChannelId, ClientId, ConnectionId, Gas, Height, PortId, Sequence, Timestamp, TxHash,
};
use crate::message::Message;
use crate::packet::{At, PortChannel};

/// A provable place in a chain's IBC store (ICS-24 host paths).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// `clients/{id}/clientState`
    ClientState(ClientId),
    /// `clients/{id}/consensusStates/{height}`
    ConsensusState(ClientId, Height),
    /// `connections/{id}`
    Connection(ConnectionId),
    /// `channelEnds/ports/{port}/channels/{channel}`
    Channel(PortId, ChannelId),
    /// `commitments/ports/{port}/channels/{channel}/sequences/{seq}`
    Commitment(PortChannel, Sequence),
    /// `receipts/ports/{port}/channels/{channel}/sequences/{seq}`
    Receipt(PortChannel, Sequence),
    /// `acks/ports/{port}/channels/{channel}/sequences/{seq}`
    Ack(PortChannel, Sequence),
    /// `nextSequenceRecv/ports/{port}/channels/{channel}`
    NextSequenceRecv(PortChannel),
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |f: &mut fmt::Formatter<'_>, kind: &str, e: &PortChannel| {
            write!(f, "{kind}/ports/{}/channels/{}", e.port, e.channel)
        };
        match self {
            Self::ClientState(id) => write!(f, "clients/{id}/clientState"),
            Self::ConsensusState(id, h) => write!(f, "clients/{id}/consensusStates/{h}"),
            Self::Connection(id) => write!(f, "connections/{id}"),
            Self::Channel(port, channel) => write!(f, "channelEnds/ports/{port}/channels/{channel}"),
            Self::NextSequenceRecv(e) => end(f, "nextSequenceRecv", e),
            Self::Commitment(e, s) => end(f, "commitments", e).and_then(|()| write!(f, "/sequences/{s}")),
            Self::Receipt(e, s) => end(f, "receipts", e).and_then(|()| write!(f, "/sequences/{s}")),
            Self::Ack(e, s) => end(f, "acks", e).and_then(|()| write!(f, "/sequences/{s}")),
        }
    }
}

/// A value of a chain's store and, if asked for, its proof. Not verified yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Proven {
    /// The value; `None` = absent (and the proof, if any, proves absence).
    pub value: Option<Vec<u8>>,
    /// Encoded commitment proof (ICS-23 `MerkleProof` for Tendermint chains); empty when not asked for.
    pub proof: Vec<u8>,
    /// Height of the header whose root the proof verifies against: the state's height and [`Chain::proof_lag`] more.
    pub proof_height: Height,
    /// The endpoint that answered, for quarantine when the proof is bad. A redacted label.
    pub endpoint: Arc<str>,
}

/// A state, and the header that proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provable {
    /// The block after which the state stands.
    pub state: Height,
    /// The header with its root.
    pub header: Height,
}

/// A header of the chain verified by our own light client, as the consensus state a client would store for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Height and time of the header.
    pub at: At,
    /// ICS-02 consensus state at that height.
    pub consensus_state: Any,
}

/// Client messages that bring a client from a trusted height to a target, in order of submission (more than one after bisection).
#[derive(Debug, Clone, PartialEq)]
pub struct ClientUpdate {
    /// ICS-02 client messages (headers), each with the consensus-state height it is checked against and the one it creates.
    pub headers: Vec<UpdateHeader>,
    /// The verified target.
    pub target: Verified,
}

/// One header for a client.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateHeader {
    /// The consensus state the client must hold.
    pub trusted: Height,
    /// The consensus state it will hold afterwards.
    pub height: Height,
    /// The encoded client message.
    pub message: Any,
}

/// What an on-chain client state says, decoded by the adapter of the chain that the client tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// The tracked chain.
    pub chain: ChainId,
    /// The newest consensus state it holds.
    pub latest: Height,
    /// Trusting period, ns.
    pub trusting_period_ns: u64,
    /// Frozen by misbehaviour.
    pub frozen: bool,
}

/// The states with which a new client of this chain is created on another.
#[derive(Debug, Clone, PartialEq)]
pub struct NewClient {
    /// ICS-02 client state.
    pub client_state: Any,
    /// ICS-02 consensus state.
    pub consensus_state: Any,
    /// Height of that consensus state.
    pub height: Height,
}

/// What is still open on a channel, read from state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// Sequences with a commitment on this (source) end.
    Commitments(PortChannel),
    /// Of these sequences, the ones not yet received at this (destination) end.
    Unreceived(PortChannel, Vec<Sequence>),
    /// Of these sequences, the ones for which this (destination) end has written an acknowledgement.
    Acknowledged(PortChannel, Vec<Sequence>),
}

/// Packets of the past, read from the blocks that hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum History {
    /// `send_packet` facts of these sequences on this (source) end.
    Sent(PortChannel, Vec<Sequence>),
    /// `write_acknowledgement` (and `recv_packet`) facts of these sequences on this (destination) end.
    AckWritten(PortChannel, Vec<Sequence>),
}

/// A fact and the block it is from.
pub type PastFact = (At, Fact);

/// What a batch says about itself before it is signed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Messages in their order.
    pub messages: Vec<Message>,
    /// Simulate even if the gas could be predicted (after a failure).
    pub simulate: bool,
}

/// A signed transaction, not yet broadcast.
#[derive(Debug, Clone)]
pub struct Signed {
    /// Hash, known before broadcast; goes to the journal first.
    pub hash: TxHash,
    /// The bytes.
    pub bytes: Arc<[u8]>,
    /// Account sequence used.
    pub account_sequence: AccountSequence,
    /// Gas limit.
    pub gas: Gas,
    /// The fee: amount and denomination, for accounting.
    pub fee: (u128, String),
    /// The transaction can't be included above this height of the chain: an absent one is then known never to be.
    pub timeout_height: Height,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// In a block.
    Committed {
        /// The block.
        height: Height,
        /// Result.
        report: TxReport,
    },
    /// Neither in a block nor past its timeout height.
    Unknown,
}

/// A chain, as the shell sees it. Every method is one or a few calls through the RPC stack; all are cancel-safe.
#[async_trait]
pub trait Chain: Send + Sync {
    /// The configured id.
    fn id(&self) -> &ChainId;
    /// Largest transaction that may be sent to it, bytes.
    fn max_tx_bytes(&self) -> usize {
        usize::MAX
    }

    // Source

    /// The newest finalized height and its time, asked of the node now.
    async fn head(&self) -> Result<Head, ChainError>;
    /// Waits until the chain has a finalized block above `after`: woken by the event stream, by polling when that is silent.
    async fn next_head(&self, after: Height) -> Result<Head, ChainError>;
    /// All facts of one block, in order, bounded.
    async fn facts(&self, height: Height) -> Result<BlockFacts, ChainError>;
    /// Open sequences, from state (paged inside).
    async fn pending(&self, what: &Pending) -> Result<Vec<Sequence>, ChainError>;
    /// Facts of past packets; found ones only.
    async fn history(&self, what: &History) -> Result<Vec<PastFact>, ChainError>;

    // Prover

    /// Values at paths in the state after block `at` (the newest if `None`), in one or few batched calls, in the paths' order.
    async fn query(&self, paths: &[Path], at: Option<Height>, prove: bool) -> Result<Vec<Proven>, ChainError>;
    /// How many blocks after a state the header comes that holds its root: 1 where a header holds that of the block before.
    fn proof_lag(&self) -> u64 {
        1
    }
    /// The lowest height from `height` on to which a client of this chain can be brought; waits until there is one. Each height, unless
    /// the chain shows its finality for some blocks only.
    async fn updatable(&self, height: Height) -> Result<Height, ChainError> {
        Ok(height)
    }
    /// The lowest state from the one after block `at` on that a client can be shown, and the header that shows it.
    async fn provable(&self, at: Height) -> Result<Provable, ChainError> {
        let lag = self.proof_lag();
        let header = self.updatable(at.later(lag)).await?;
        Ok(Provable { state: header.earlier(lag), header })
    }
    /// The header of `height`, verified by our own light client from its trusted state; waits until the header exists.
    async fn verified(&self, height: Height) -> Result<Verified, ChainError>;
    /// Whether there is a trusted header to verify others from. Before, what a node says of heads and times is its word alone.
    async fn trusts(&self) -> bool {
        true
    }
    /// The head that was told does not exist: it is forgotten, and whoever told it is not asked for a while.
    fn refute(&self, _head: Height) {}
    /// Adopts or checks trust: a client elsewhere holds `consensus_state` for our `height`. An error labels a client of another chain or fork.
    async fn anchor(&self, height: Height, consensus_state: &Any) -> Result<(), ChainError>;
    /// Client messages that bring a client which holds a consensus state at `trusted` to exactly `target`.
    async fn client_message(
        &self,
        client_state: &Any,
        trusted: Height,
        target: Height,
    ) -> Result<ClientUpdate, ChainError>;
    /// States for a new client of this chain, at a verified recent height.
    async fn new_client(&self) -> Result<NewClient, ChainError>;
    /// Decodes a client state that tracks this chain.
    fn client_info(&self, client_state: &Any) -> Result<ClientInfo, ChainError>;
    /// The time of a consensus state that stems from this chain.
    fn consensus_time(&self, consensus_state: &Any) -> Result<Timestamp, ChainError>;
    /// Compares a header that somebody submitted to a client of ours with the chain's own block: `Some` = proven misbehaviour, ready to submit.
    async fn check_header(
        &self,
        client: &ClientId,
        client_state: &Any,
        header: &Any,
    ) -> Result<Option<Any>, ChainError>;
    /// The node that answered this lied: it is not asked for a while.
    fn quarantine(&self, endpoint: &str, reason: &'static str);

    // Sink

    /// The wallet's address on this chain.
    fn signer(&self) -> &str;
    /// The wallet's next account sequence, from committed state.
    async fn account_sequence(&self) -> Result<AccountSequence, ChainError>;
    /// The wallet's balance of the fee denomination.
    async fn balance(&self) -> Result<(u128, String), ChainError>;
    /// Gas (simulated or learned), fee and signature.
    async fn prepare(&self, draft: &Draft, account_sequence: AccountSequence) -> Result<Signed, TxFailure>;
    /// Hands transactions to the node, in order; one result each: accepted (not yet committed) or why not.
    async fn submit(&self, signed: &[Signed]) -> Vec<Result<(), TxFailure>>;
    /// What became of a transaction that `last` is the last block for (after a restart; live outcomes come with the facts).
    async fn outcome(&self, hash: TxHash, last: Height) -> Result<Outcome, ChainError>;
    /// Tells the gas model what a transaction used.
    fn learn(&self, draft: &Draft, report: &TxReport);
}
