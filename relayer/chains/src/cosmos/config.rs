//! What the adapter of one Cosmos chain needs to know.

use std::time::Duration;

use relayer_core::id::ChainId;
use relayer_core::limits::{ACK_BYTES, PACKET_DATA_BYTES};

use crate::Trust;
use crate::rpc::{EndpointUrl, RpcSettings};

/// One Cosmos chain.
#[derive(Debug, Clone)]
pub struct CosmosConfig {
    /// Chain id; every endpoint has to answer for it.
    pub id: ChainId,
    /// Name of the IBC store, the first key of every proof: `ibc` unless the chain says otherwise.
    pub store_prefix: Vec<u8>,
    /// Bech32 prefix of accounts, like `cosmos`.
    pub account_prefix: String,
    /// The first trusted header.
    pub trust: Trust,
    /// Share of the trusted voting power that has to sign a skipped-to header: 1/3 to 1.
    pub trust_threshold: (u64, u64),
    /// How long a verified header is trusted, and the trusting period of new clients; `None` for 2/3 of the unbonding period.
    pub trusting_period: Option<Duration>,
    /// How far a header's time may be ahead of ours, and the drift of new clients.
    pub clock_drift: Duration,
    /// Largest packet data taken, bytes; at most [`PACKET_DATA_BYTES`].
    pub packet_data_bytes: usize,
    /// Largest acknowledgement taken, bytes; at most [`ACK_BYTES`].
    pub ack_bytes: usize,
    /// Between polls of the head while the event stream is silent.
    pub poll: Duration,
    /// Follow the event stream; without it the head is polled only.
    pub websocket: bool,
    /// Address of the event stream; `None` for the first endpoint's own.
    pub stream: Option<EndpointUrl>,
    /// The endpoints and their limits.
    pub rpc: RpcSettings,
}

impl CosmosConfig {
    /// A chain with the usual parameters.
    pub fn new(id: ChainId, account_prefix: impl Into<String>, rpc: RpcSettings) -> Self {
        Self {
            id,
            store_prefix: b"ibc".to_vec(),
            account_prefix: account_prefix.into(),
            trust: Trust::FirstUse,
            trust_threshold: (1, 3),
            trusting_period: None,
            clock_drift: Duration::from_secs(10),
            packet_data_bytes: PACKET_DATA_BYTES,
            ack_bytes: ACK_BYTES,
            poll: super::limits::POLL,
            websocket: true,
            stream: None,
            rpc,
        }
    }
}
