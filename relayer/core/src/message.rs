//! IBC messages as the engine means them; the adapter of the target chain encodes and signs them.

use std::sync::Arc;

use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::channel::v1::Channel;
use ibc_proto::ibc::core::connection::v1::{Counterparty, Version};

use crate::id::{ClientId, ConnectionId, Height, PortId, Sequence};
use crate::packet::{Packet, PortChannel};

/// A proof with the height of the header it verifies against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Encoded commitment proof.
    pub bytes: Arc<[u8]>,
    /// Height of that header; the client must hold a consensus state there.
    pub height: Height,
}

/// What the opposite chain holds of the target: ICS-03 has the target check that this client tracks it. ibc-rs and ibc-go before v8 do so,
/// later ones ignore it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProvenClient {
    /// The state of the client that tracks the target.
    pub client_state: Any,
    /// Its proof; of the same height as the connection end's.
    pub proof: Arc<[u8]>,
    /// A height of the target for which that client holds a consensus state.
    pub consensus_height: Height,
    /// Proof of that consensus state; of the same height as the connection end's.
    pub consensus_proof: Arc<[u8]>,
}

/// Bytes of a message beside its data and proofs: identifiers, signer, heights.
pub const MESSAGE_OVERHEAD: usize = 400;

/// A message for one chain. Proofs are of the opposite chain's state.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// ICS-02 `MsgCreateClient`.
    CreateClient {
        /// Client state.
        client_state: Any,
        /// Consensus state at its latest height.
        consensus_state: Any,
    },
    /// ICS-02 `MsgUpdateClient`; misbehaviour is submitted with it, too.
    UpdateClient {
        /// Client.
        client: ClientId,
        /// Header or misbehaviour.
        message: Any,
    },
    /// ICS-03 `ConnOpenInit`.
    ConnOpenInit {
        /// Our client.
        client: ClientId,
        /// The other end.
        counterparty: Counterparty,
        /// Version offered.
        version: Option<Version>,
        /// Delay period, ns.
        delay_ns: u64,
    },
    /// ICS-03 `ConnOpenTry`.
    ConnOpenTry {
        /// Our client.
        client: ClientId,
        /// The other end.
        counterparty: Counterparty,
        /// Its versions.
        versions: Vec<Version>,
        /// Delay period, ns.
        delay_ns: u64,
        /// Proof of INIT at the other end.
        proof: Proof,
        /// The other end's client.
        tracked_by: ProvenClient,
    },
    /// ICS-03 `ConnOpenAck`.
    ConnOpenAck {
        /// Our connection.
        connection: ConnectionId,
        /// The other end's.
        counterparty: ConnectionId,
        /// Version chosen.
        version: Version,
        /// Proof of TRYOPEN at the other end.
        proof: Proof,
        /// The other end's client.
        tracked_by: ProvenClient,
    },
    /// ICS-03 `ConnOpenConfirm`.
    ConnOpenConfirm {
        /// Our connection.
        connection: ConnectionId,
        /// Proof of OPEN at the other end.
        proof: Proof,
    },
    /// ICS-04 `ChanOpenInit`.
    ChanOpenInit {
        /// Our port.
        port: PortId,
        /// Channel as it should be.
        channel: Channel,
    },
    /// ICS-04 `ChanOpenTry`.
    ChanOpenTry {
        /// Our port.
        port: PortId,
        /// Channel as it should be.
        channel: Channel,
        /// Version of the other end.
        counterparty_version: String,
        /// Proof of INIT at the other end.
        proof: Proof,
    },
    /// ICS-04 `ChanOpenAck`.
    ChanOpenAck {
        /// Our end.
        end: PortChannel,
        /// The other end's channel.
        counterparty: crate::id::ChannelId,
        /// Its version.
        counterparty_version: String,
        /// Proof of TRYOPEN at the other end.
        proof: Proof,
    },
    /// ICS-04 `ChanOpenConfirm`.
    ChanOpenConfirm {
        /// Our end.
        end: PortChannel,
        /// Proof of OPEN at the other end.
        proof: Proof,
    },
    /// ICS-04 `RecvPacket`.
    RecvPacket {
        /// The packet.
        packet: Packet,
        /// Proof of its commitment on the source.
        proof: Proof,
    },
    /// ICS-04 `AcknowledgePacket`.
    Acknowledge {
        /// The packet.
        packet: Packet,
        /// The acknowledgement, verbatim.
        ack: Arc<[u8]>,
        /// Proof of the acknowledgement on the destination.
        proof: Proof,
    },
    /// ICS-04 `TimeoutPacket`.
    Timeout {
        /// The packet.
        packet: Packet,
        /// Next sequence to receive on the destination (ordered channels); the packet's own otherwise.
        next_sequence_recv: Sequence,
        /// Proof of absence (unordered) or of the next sequence (ordered).
        proof: Proof,
    },
    /// ICS-04 `TimeoutOnClose`.
    TimeoutOnClose {
        /// The packet.
        packet: Packet,
        /// Next sequence to receive on the destination (ordered channels).
        next_sequence_recv: Sequence,
        /// Proof of absence or of the next sequence.
        proof: Proof,
        /// Proof that the destination's end is closed.
        close: Proof,
    },
    /// Any other message, already encoded (a user's transfer).
    Other(Any),
}

impl Message {
    /// About how many bytes it takes in a transaction, at least: those of its proofs, headers and data.
    pub fn bytes(&self) -> usize {
        let of = |packet: &Packet, more: usize, proof: &Proof| {
            packet.data.len().saturating_add(more).saturating_add(proof.bytes.len())
        };
        let body = match self {
            Self::CreateClient { client_state, consensus_state } => {
                client_state.value.len().saturating_add(consensus_state.value.len())
            }
            Self::UpdateClient { message, .. } | Self::Other(message) => message.value.len(),
            Self::ConnOpenInit { .. } | Self::ChanOpenInit { .. } => 0,
            Self::ConnOpenTry { proof, tracked_by, .. } | Self::ConnOpenAck { proof, tracked_by, .. } => {
                let proofs = proof.bytes.len().saturating_add(tracked_by.proof.len());
                proofs.saturating_add(tracked_by.consensus_proof.len())
            }
            Self::ConnOpenConfirm { proof, .. }
            | Self::ChanOpenTry { proof, .. }
            | Self::ChanOpenAck { proof, .. }
            | Self::ChanOpenConfirm { proof, .. } => proof.bytes.len(),
            Self::RecvPacket { packet, proof } | Self::Timeout { packet, proof, .. } => of(packet, 0, proof),
            Self::Acknowledge { packet, ack, proof } => of(packet, ack.len(), proof),
            Self::TimeoutOnClose { packet, proof, close, .. } => of(packet, close.bytes.len(), proof),
        };
        body.saturating_add(MESSAGE_OVERHEAD)
    }

    /// The message's kind for gas learning, metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CreateClient { .. } => "create_client",
            Self::UpdateClient { .. } => "update_client",
            Self::ConnOpenInit { .. } => "conn_open_init",
            Self::ConnOpenTry { .. } => "conn_open_try",
            Self::ConnOpenAck { .. } => "conn_open_ack",
            Self::ConnOpenConfirm { .. } => "conn_open_confirm",
            Self::ChanOpenInit { .. } => "chan_open_init",
            Self::ChanOpenTry { .. } => "chan_open_try",
            Self::ChanOpenAck { .. } => "chan_open_ack",
            Self::ChanOpenConfirm { .. } => "chan_open_confirm",
            Self::RecvPacket { .. } => "recv_packet",
            Self::Acknowledge { .. } => "acknowledge_packet",
            Self::Timeout { .. } => "timeout_packet",
            Self::TimeoutOnClose { .. } => "timeout_on_close",
            Self::Other(_) => "other",
        }
    }
}
