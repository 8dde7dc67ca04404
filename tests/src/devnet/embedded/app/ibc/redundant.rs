//! Packet messages that have no effect any more: another relayer was there first.
//!
//! ibc-go refuses a transaction of only such messages in CheckTx (`RedundantRelayDecorator`); in a block each is a success without effect,
//! and without its event. Here their proofs are not verified.

use ibc_core::channel::types::channel::{ChannelEnd, Order};
use ibc_core::primitives::proto::Protobuf as _;
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::channel::v1::{MsgAcknowledgement, MsgRecvPacket, MsgTimeout, MsgTimeoutOnClose, Packet};
use prost::Message as _;

use super::IBC;
use crate::devnet::embedded::app::failure::Failure;
use crate::devnet::embedded::store::Store;

/// Which side of a packet a message concerns.
#[derive(Debug)]
pub(in super::super) enum PacketMessage {
    Receive(Packet),
    /// Acknowledgement or timeout: the sender's side.
    Settle(Packet),
}

impl PacketMessage {
    /// The packet of a message, if it has one.
    pub(in super::super) fn read(message: &Any) -> Result<Option<Self>, Failure> {
        let bytes = message.value.as_slice();
        let Some(name) = message.type_url.strip_prefix("/ibc.core.channel.v1.") else { return Ok(None) };
        let packet = match name {
            "MsgRecvPacket" => MsgRecvPacket::decode(bytes).map(|m| m.packet),
            "MsgAcknowledgement" => MsgAcknowledgement::decode(bytes).map(|m| m.packet),
            "MsgTimeout" => MsgTimeout::decode(bytes).map(|m| m.packet),
            "MsgTimeoutOnClose" => MsgTimeoutOnClose::decode(bytes).map(|m| m.packet),
            _ => return Ok(None),
        };
        let packet = packet.map_err(|e| Failure::undecodable(&message.type_url, e))?;
        let packet = packet.ok_or_else(|| Failure::invalid_request("a message without its packet"))?;
        Ok(Some(if name == "MsgRecvPacket" { Self::Receive(packet) } else { Self::Settle(packet) }))
    }
}

fn path(kind: &str, port: &str, channel: &str, sequence: u64) -> Vec<u8> {
    format!("{kind}/ports/{port}/channels/{channel}/sequences/{sequence}").into_bytes()
}

fn receipt(packet: &Packet) -> Vec<u8> {
    path("receipts", &packet.destination_port, &packet.destination_channel, packet.sequence)
}

fn commitment(packet: &Packet) -> Vec<u8> {
    path("commitments", &packet.source_port, &packet.source_channel, packet.sequence)
}

/// Whether a message would have no effect on this state.
pub(in super::super) fn is_redundant(store: &Store, message: &PacketMessage) -> bool {
    match message {
        PacketMessage::Receive(packet) => {
            let (port, channel) = (&packet.destination_port, &packet.destination_channel);
            let end = store.get(IBC, format!("channelEnds/ports/{port}/channels/{channel}").as_bytes());
            let end = end.and_then(|bytes| ChannelEnd::decode_vec(bytes).ok());
            if end.is_some_and(|end| *end.ordering() == Order::Ordered) {
                let next = store.get(IBC, format!("nextSequenceRecv/ports/{port}/channels/{channel}").as_bytes());
                return next
                    .and_then(|bytes| bytes.try_into().ok())
                    .is_some_and(|bytes| packet.sequence < u64::from_be_bytes(bytes));
            }
            store.get(IBC, &receipt(packet)).is_some()
        }
        PacketMessage::Settle(packet) => store.get(IBC, &commitment(packet)).is_none(),
    }
}

/// Notes that a transaction with this message waits, in the state that transactions are checked on.
pub(in super::super) fn mark(store: &mut Store, message: &PacketMessage) {
    match message {
        PacketMessage::Receive(packet) => store.set(IBC, receipt(packet), vec![1]),
        PacketMessage::Settle(packet) => drop(store.delete(IBC, &commitment(packet))),
    }
}
