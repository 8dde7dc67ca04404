//! ibc-go's messages to a light client contract, in JSON.

use cosmwasm_std::Binary;
use serde::{Deserialize, Serialize};

/// Creates a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstantiateMsg {
    /// `data` of the wasm client state.
    pub client_state: Binary,
    /// `data` of the wasm consensus state at the client's latest height.
    pub consensus_state: Binary,
    /// SHA-256 of the contract's code.
    pub checksum: Binary,
}

/// A height.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Height {
    /// The chain's revision.
    #[serde(default)]
    pub revision_number: u64,
    /// The block's number.
    #[serde(default)]
    pub revision_height: u64,
}

impl From<Height> for light_clients::Height {
    fn from(height: Height) -> Self {
        Self::new(height.revision_number, height.revision_height)
    }
}

impl From<light_clients::Height> for Height {
    fn from(height: light_clients::Height) -> Self {
        Self { revision_number: height.revision, revision_height: height.number }
    }
}

/// Where a value lies: the counterparty's prefix, then an ICS-24 path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MerklePath {
    /// The keys.
    #[serde(default)]
    pub key_path: Vec<Binary>,
}

/// A client message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientMessage {
    /// `data` of the wasm client message.
    pub client_message: Binary,
}

/// A value to be proven.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Membership {
    /// Height of the consensus state it is proven against.
    pub height: Height,
    /// Nanoseconds that have to pass before a state proves anything.
    #[serde(default)]
    pub delay_time_period: u64,
    /// Blocks that have to pass before a state proves anything.
    #[serde(default)]
    pub delay_block_period: u64,
    /// SCALE list of trie nodes.
    pub proof: Binary,
    /// Where.
    pub merkle_path: MerklePath,
    /// What; without it, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Binary>,
}

/// A new client state the followed chain asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Upgrade {
    /// The client state.
    pub upgrade_client_state: Binary,
    /// The consensus state.
    pub upgrade_consensus_state: Binary,
    /// That the chain committed to the client state.
    pub proof_upgrade_client: Binary,
    /// That the chain committed to the consensus state.
    pub proof_upgrade_consensus_state: Binary,
}

/// Nothing further.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Empty {}

/// What only the 08-wasm module may ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SudoMsg {
    /// Stores what a verified header proves.
    UpdateState(ClientMessage),
    /// Freezes the client.
    UpdateStateOnMisbehaviour(ClientMessage),
    /// Proves a value.
    VerifyMembership(Membership),
    /// Proves that there is no value.
    VerifyNonMembership(Membership),
    /// Replaces the client state.
    VerifyUpgradeAndUpdateState(Upgrade),
    /// Takes over the states of another client.
    MigrateClientStore(Empty),
}

/// Questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryMsg {
    /// Whether the client can be used.
    Status(Empty),
    /// Time of a trusted block.
    TimestampAtHeight {
        /// Its height.
        height: Height,
    },
    /// Whether a message is valid: an error if not.
    VerifyClientMessage(ClientMessage),
    /// Whether a valid message shows misbehaviour.
    CheckForMisbehaviour(ClientMessage),
}

/// Another contract's code takes over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MigrateMsg {}

/// Answer to a status query: `Active`, `Frozen` or `Expired`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusResult {
    /// The word.
    pub status: String,
}

/// Answer to a question for a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimestampResult {
    /// Nanoseconds since 1970.
    pub timestamp: u64,
}

/// Answer to a question for misbehaviour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MisbehaviourResult {
    /// Whether there is any.
    pub found_misbehaviour: bool,
}

/// What an update added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateResult {
    /// Heights with a new consensus state.
    pub heights: Vec<Height>,
}
