//! What the parts of an embedded chain tell each other, in the words of ABCI (CometBFT 0.38).
//!
//! Heights are block heights; times are the header's; gas is the SDK's unit. Codes and codespaces are the SDK's and ibc-go's own, so
//! that an adapter written for them reads the same failure here.

use tendermint::{Hash, Time};

/// One event; attributes in order, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type, for instance `send_packet`.
    pub kind: String,
    /// Key and value.
    pub attributes: Vec<(String, String)>,
}

/// What became of a transaction in CheckTx, or in its block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxResult {
    /// 0 for success.
    pub code: u32,
    /// Whose code it is: `sdk`, `channel`, ...
    pub codespace: String,
    /// The error as the SDK words it.
    pub log: String,
    /// Encoded `TxMsgData`; empty on failure.
    pub data: Vec<u8>,
    /// The transaction's limit.
    pub gas_wanted: u64,
    /// What it took.
    pub gas_used: u64,
    /// A failed transaction keeps those of its fee.
    pub events: Vec<Event>,
}

/// What a block tells the application.
#[derive(Clone, Debug)]
pub struct BlockContext {
    /// The block's height, from 1.
    pub height: u64,
    /// The header's time, later than the block's before.
    pub time: Time,
    /// The header's application hash: the state after the block before.
    pub app_hash: [u8; 32],
    /// The header's hash of the validators of the next block.
    pub next_validators_hash: Hash,
}

/// What executing a block came to.
#[derive(Clone, Debug)]
pub struct Executed {
    /// One per transaction, in order.
    pub results: Vec<TxResult>,
    /// Of no transaction.
    pub events: Vec<Event>,
    /// The root of the state after this block; it stands in the next header.
    pub app_hash: [u8; 32],
}

/// The answer to an `abci_query`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryAnswer {
    /// 0 for success.
    pub code: u32,
    /// Whose code it is.
    pub codespace: String,
    /// The error.
    pub log: String,
    /// The key asked for; empty for gRPC queries.
    pub key: Vec<u8>,
    /// The value; empty when absent.
    pub value: Vec<u8>,
    /// The height of the state that answered.
    pub height: u64,
    /// The module's tree, then the tree of all stores; empty unless asked for.
    pub proof: Vec<ProofOp>,
}

/// One step of a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofOp {
    /// `ics23:iavl` or `ics23:simple`.
    pub kind: String,
    /// The key within that tree.
    pub key: Vec<u8>,
    /// An encoded ICS-23 `CommitmentProof`.
    pub data: Vec<u8>,
}
