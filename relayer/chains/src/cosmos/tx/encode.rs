//! IBC messages as the protobuf of ibc-go v10, with the signer filled in.
//!
//! Spec: ICS-02, ICS-03, ICS-04 messages as ibc-go's `ValidateBasic` wants them. ibc-go v10 neither reads nor needs the client state and
//! consensus proofs of `ConnOpenTry` / `ConnOpenAck`; its `previous_*_id` must be empty. Bounds: the sizes of proofs and data were
//! checked where they were read.

use ibc_proto::cosmos::base::v1beta1::Coin;
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::applications::transfer::v1::MsgTransfer;
use ibc_proto::ibc::core::channel::v1::{
    MsgAcknowledgement, MsgChannelOpenAck, MsgChannelOpenConfirm, MsgChannelOpenInit, MsgChannelOpenTry, MsgRecvPacket,
    MsgTimeout, MsgTimeoutOnClose, Packet as RawPacket,
};
use ibc_proto::ibc::core::client::v1::{Height as RawHeight, MsgCreateClient, MsgUpdateClient};
use ibc_proto::ibc::core::connection::v1::{
    MsgConnectionOpenAck, MsgConnectionOpenConfirm, MsgConnectionOpenInit, MsgConnectionOpenTry,
};
use prost::Name;
use relayer_core::id::{Height, Timestamp};
use relayer_core::message::Message;
use relayer_core::packet::{Packet, PortChannel};

fn any<M: Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

fn height(height: Height) -> Option<RawHeight> {
    Some(RawHeight { revision_number: height.revision, revision_height: height.number })
}

fn packet(packet: &Packet) -> Option<RawPacket> {
    Some(RawPacket {
        sequence: packet.sequence.0,
        source_port: packet.source.port.to_string(),
        source_channel: packet.source.channel.to_string(),
        destination_port: packet.destination.port.to_string(),
        destination_channel: packet.destination.channel.to_string(),
        data: packet.data.to_vec(),
        timeout_height: height(packet.timeout_height),
        timeout_timestamp: packet.timeout_timestamp.0,
    })
}

/// The message as this chain takes it.
pub(crate) fn message(message: &Message, signer: &str) -> Any {
    let signer = signer.to_owned();
    match message {
        Message::CreateClient { client_state, consensus_state } => any(&MsgCreateClient {
            client_state: Some(client_state.clone()),
            consensus_state: Some(consensus_state.clone()),
            signer,
        }),
        Message::UpdateClient { client, message } => any(&MsgUpdateClient {
            client_id: client.to_string(),
            client_message: Some(message.clone()),
            signer,
        }),
        Message::ConnOpenInit { .. }
        | Message::ConnOpenTry { .. }
        | Message::ConnOpenAck { .. }
        | Message::ConnOpenConfirm { .. } => connection(message, signer),
        Message::ChanOpenInit { .. }
        | Message::ChanOpenTry { .. }
        | Message::ChanOpenAck { .. }
        | Message::ChanOpenConfirm { .. } => channel(message, signer),
        Message::RecvPacket { packet: p, proof } => any(&MsgRecvPacket {
            packet: packet(p),
            proof_commitment: proof.bytes.to_vec(),
            proof_height: height(proof.height),
            signer,
        }),
        Message::Acknowledge { packet: p, ack, proof } => any(&MsgAcknowledgement {
            packet: packet(p),
            acknowledgement: ack.to_vec(),
            proof_acked: proof.bytes.to_vec(),
            proof_height: height(proof.height),
            signer,
        }),
        Message::Timeout { packet: p, next_sequence_recv, proof } => any(&MsgTimeout {
            packet: packet(p),
            proof_unreceived: proof.bytes.to_vec(),
            proof_height: height(proof.height),
            next_sequence_recv: next_sequence_recv.0,
            signer,
        }),
        // Both proofs are checked against one height.
        Message::TimeoutOnClose { packet: p, next_sequence_recv, proof, close } => any(&MsgTimeoutOnClose {
            packet: packet(p),
            proof_unreceived: proof.bytes.to_vec(),
            proof_close: close.bytes.to_vec(),
            proof_height: height(proof.height),
            next_sequence_recv: next_sequence_recv.0,
            signer,
            counterparty_upgrade_sequence: 0,
        }),
        Message::Other(any) => any.clone(),
    }
}

fn connection(message: &Message, signer: String) -> Any {
    match message {
        Message::ConnOpenInit { client, counterparty, version, delay_ns } => any(&MsgConnectionOpenInit {
            client_id: client.to_string(),
            counterparty: Some(counterparty.clone()),
            version: version.clone(),
            delay_period: *delay_ns,
            signer,
        }),
        Message::ConnOpenTry { client, counterparty, versions, delay_ns, proof } => any(&MsgConnectionOpenTry {
            client_id: client.to_string(),
            counterparty: Some(counterparty.clone()),
            delay_period: *delay_ns,
            counterparty_versions: versions.clone(),
            proof_height: height(proof.height),
            proof_init: proof.bytes.to_vec(),
            consensus_height: height(proof.height),
            signer,
            ..Default::default()
        }),
        Message::ConnOpenAck { connection, counterparty, version, proof } => any(&MsgConnectionOpenAck {
            connection_id: connection.to_string(),
            counterparty_connection_id: counterparty.to_string(),
            version: Some(version.clone()),
            proof_height: height(proof.height),
            proof_try: proof.bytes.to_vec(),
            consensus_height: height(proof.height),
            signer,
            ..Default::default()
        }),
        Message::ConnOpenConfirm { connection, proof } => any(&MsgConnectionOpenConfirm {
            connection_id: connection.to_string(),
            proof_ack: proof.bytes.to_vec(),
            proof_height: height(proof.height),
            signer,
        }),
        other => self::message(other, &signer),
    }
}

fn channel(message: &Message, signer: String) -> Any {
    match message {
        Message::ChanOpenInit { port, channel } => {
            any(&MsgChannelOpenInit { port_id: port.to_string(), channel: Some(channel.clone()), signer })
        }
        Message::ChanOpenTry { port, channel, counterparty_version, proof } => any(&MsgChannelOpenTry {
            port_id: port.to_string(),
            channel: Some(channel.clone()),
            counterparty_version: counterparty_version.clone(),
            proof_init: proof.bytes.to_vec(),
            proof_height: height(proof.height),
            signer,
            ..Default::default()
        }),
        Message::ChanOpenAck { end, counterparty, counterparty_version, proof } => any(&MsgChannelOpenAck {
            port_id: end.port.to_string(),
            channel_id: end.channel.to_string(),
            counterparty_channel_id: counterparty.to_string(),
            counterparty_version: counterparty_version.clone(),
            proof_try: proof.bytes.to_vec(),
            proof_height: height(proof.height),
            signer,
        }),
        Message::ChanOpenConfirm { end, proof } => any(&MsgChannelOpenConfirm {
            port_id: end.port.to_string(),
            channel_id: end.channel.to_string(),
            proof_ack: proof.bytes.to_vec(),
            proof_height: height(proof.height),
            signer,
        }),
        other => self::message(other, &signer),
    }
}

/// An ICS-20 transfer, for [`Message::Other`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Where it leaves.
    pub source: PortChannel,
    /// How much.
    pub amount: u128,
    /// Of which coin on the source chain.
    pub denom: String,
    /// Who pays: the signer's address.
    pub sender: String,
    /// Who gets it on the other chain.
    pub receiver: String,
    /// Height of the other chain at which it times out; 0-0 for none.
    pub timeout_height: Height,
    /// Time of the other chain at which it times out; 0 for none.
    pub timeout_timestamp: Timestamp,
    /// Text for the receiver's chain.
    pub memo: String,
}

/// `MsgTransfer`.
pub fn transfer(transfer: &Transfer) -> Any {
    any(&MsgTransfer {
        source_port: transfer.source.port.to_string(),
        source_channel: transfer.source.channel.to_string(),
        token: Some(Coin { denom: transfer.denom.clone(), amount: transfer.amount.to_string() }),
        sender: transfer.sender.clone(),
        receiver: transfer.receiver.clone(),
        timeout_height: height(transfer.timeout_height),
        timeout_timestamp: transfer.timeout_timestamp.0,
        memo: transfer.memo.clone(),
    })
}
