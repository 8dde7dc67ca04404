//! What the adapter of one Substrate chain needs to know.

use std::time::Duration;

use relayer_core::id::ChainId;
use relayer_core::limits::{ACK_BYTES, PACKET_DATA_BYTES};

use crate::Trust;
use crate::rpc::{EndpointUrl, RpcSettings};

/// One Substrate chain.
#[derive(Debug, Clone)]
pub struct SubstrateConfig {
    /// The chain's name, as clients of it on other chains have it.
    pub id: ChainId,
    /// What stands before every key of the IBC store: `ibc/` unless the chain says otherwise.
    pub store_prefix: Vec<u8>,
    /// The network's number in addresses (SS58), like 42.
    pub ss58_prefix: u16,
    /// The first trusted block.
    pub trust: Trust,
    /// How long a verified block is trusted, and the trusting period of new clients: below what authorities are bound for.
    pub trusting_period: Duration,
    /// How far a block's time may be ahead of ours: the drift of new clients.
    pub clock_drift: Duration,
    /// SHA-256 of the light client's code that the other chains run for clients of this one; needed to create one.
    pub checksum: Option<[u8; 32]>,
    /// Largest packet data taken, bytes; at most [`PACKET_DATA_BYTES`].
    pub packet_data_bytes: usize,
    /// Largest acknowledgement taken, bytes; at most [`ACK_BYTES`].
    pub ack_bytes: usize,
    /// Between polls of the finalized head while the stream of justifications is silent.
    pub poll: Duration,
    /// Follow the stream of justifications; without it, proofs of finality are polled only.
    pub websocket: bool,
    /// Address of the first endpoint's stream; `None` for its own. The others' are at their own addresses.
    pub stream: Option<EndpointUrl>,
    /// The endpoints and their limits.
    pub rpc: RpcSettings,
}

impl SubstrateConfig {
    /// A chain with the usual parameters.
    pub fn new(id: ChainId, ss58_prefix: u16, rpc: RpcSettings) -> Self {
        Self {
            id,
            store_prefix: b"ibc/".to_vec(),
            ss58_prefix,
            trust: Trust::FirstUse,
            trusting_period: Duration::from_secs(24 * 3_600),
            clock_drift: Duration::from_secs(30),
            checksum: None,
            packet_data_bytes: PACKET_DATA_BYTES,
            ack_bytes: ACK_BYTES,
            poll: super::limits::POLL,
            websocket: true,
            stream: None,
            rpc,
        }
    }
}
