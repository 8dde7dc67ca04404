//! IBC messages as the protobuf of ibc-go v10, with the signer filled in.
//!
//! Spec: ICS-02, ICS-03, ICS-04 messages as ibc-go's `ValidateBasic` wants them. ibc-go since v8 does not read the
//! client state and consensus proofs of `ConnOpenTry` / `ConnOpenAck`, its predecessors and ibc-rs want them; `previous_*_id` must be
//! empty. Bounds: the sizes of proofs and data were checked where they were read.

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
use prost::{Message as _, Name};
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
        Message::UpdateClient { client, message } => {
            any(&MsgUpdateClient { client_id: client.to_string(), client_message: Some(message.clone()), signer })
        }
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
        Message::ConnOpenTry { client, counterparty, versions, delay_ns, proof, tracked_by } => {
            any(&MsgConnectionOpenTry {
                client_id: client.to_string(),
                counterparty: Some(counterparty.clone()),
                delay_period: *delay_ns,
                counterparty_versions: versions.clone(),
                proof_height: height(proof.height),
                proof_init: proof.bytes.to_vec(),
                client_state: Some(tracked_by.client_state.clone()),
                proof_client: tracked_by.proof.to_vec(),
                proof_consensus: tracked_by.consensus_proof.to_vec(),
                consensus_height: height(tracked_by.consensus_height),
                signer,
                ..Default::default()
            })
        }
        Message::ConnOpenAck { connection, counterparty, version, proof, tracked_by } => any(&MsgConnectionOpenAck {
            connection_id: connection.to_string(),
            counterparty_connection_id: counterparty.to_string(),
            version: Some(version.clone()),
            proof_height: height(proof.height),
            proof_try: proof.bytes.to_vec(),
            client_state: Some(tracked_by.client_state.clone()),
            proof_client: tracked_by.proof.to_vec(),
            proof_consensus: tracked_by.consensus_proof.to_vec(),
            consensus_height: height(tracked_by.consensus_height),
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

/// `ConnOpenTry` and `ConnOpenAck` with what the chain needs to find its own state that the other end's client holds
/// (`host_consensus_state_proof` of ICS-03); other messages as they are.
pub(crate) fn with_host_state(message: Any, state: &[u8]) -> Any {
    let host_consensus_state_proof = state.to_vec();
    if let Ok(open) = MsgConnectionOpenTry::decode(message.value.as_slice())
        && message.type_url == MsgConnectionOpenTry::type_url()
    {
        any(&MsgConnectionOpenTry { host_consensus_state_proof, ..open })
    } else if let Ok(open) = MsgConnectionOpenAck::decode(message.value.as_slice())
        && message.type_url == MsgConnectionOpenAck::type_url()
    {
        any(&MsgConnectionOpenAck { host_consensus_state_proof, ..open })
    } else {
        message
    }
}

/// The client message of a `MsgUpdateClient`, with its client.
pub(crate) fn submitted_header(message: Any) -> Option<(String, Any)> {
    if message.type_url != MsgUpdateClient::type_url() {
        return None;
    }
    let update = MsgUpdateClient::decode(message.value.as_slice()).ok()?;
    Some((update.client_id, update.client_message?))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ibc_proto::ibc::core::channel::v1::{Channel, Counterparty as ChannelEnd, Order, State};
    use ibc_proto::ibc::core::commitment::v1::MerklePrefix;
    use ibc_proto::ibc::core::connection::v1::{Counterparty, Version};
    use relayer_core::id::{ChannelId, ClientId, ConnectionId, PortId, Sequence};
    use relayer_core::message::{Proof, ProvenClient};

    use super::*;

    const SIGNER: &str = "cosmos1r5v5srda7xfth3hn2s26txvrcrntldjumt8mhl";

    fn proof(byte: u8) -> Proof {
        Proof { bytes: Arc::from([byte; 3].as_slice()), height: Height::new(2, 9) }
    }
    fn end(channel: &str) -> PortChannel {
        PortChannel { port: PortId::new("transfer").unwrap(), channel: ChannelId::new(channel).unwrap() }
    }
    fn sent() -> Packet {
        Packet {
            sequence: Sequence(5),
            source: end("channel-0"),
            destination: end("channel-1"),
            data: Arc::from(b"{}".as_slice()),
            timeout_height: Height::new(1, 77),
            timeout_timestamp: Timestamp(88),
        }
    }
    fn encoded<M: Name + Default>(m: &Message) -> M {
        let any = message(m, SIGNER);
        assert_eq!(any.type_url, M::type_url());
        M::decode(any.value.as_slice()).unwrap()
    }
    fn at(h: &Option<RawHeight>) -> (u64, u64) {
        let h = h.as_ref().unwrap();
        (h.revision_number, h.revision_height)
    }

    #[test]
    fn packet_messages_carry_packet_proof_height_and_signer() {
        let m: MsgRecvPacket = encoded(&Message::RecvPacket { packet: sent(), proof: proof(1) });
        let p = m.packet.unwrap();
        assert_eq!(
            (p.sequence, p.source_channel.as_str(), p.destination_channel.as_str()),
            (5, "channel-0", "channel-1")
        );
        assert_eq!((at(&p.timeout_height), p.timeout_timestamp, p.data), ((1, 77), 88, b"{}".to_vec()));
        assert_eq!((m.proof_commitment, at(&m.proof_height), m.signer.as_str()), (vec![1; 3], (2, 9), SIGNER));

        let ack: Arc<[u8]> = Arc::from(b"{\"result\":\"AQ==\"}".as_slice());
        let m: MsgAcknowledgement =
            encoded(&Message::Acknowledge { packet: sent(), ack: ack.clone(), proof: proof(2) });
        assert_eq!((m.acknowledgement.as_slice(), m.proof_acked, m.signer.as_str()), (&*ack, vec![2; 3], SIGNER));

        let timeout = Message::Timeout { packet: sent(), next_sequence_recv: Sequence(5), proof: proof(3) };
        let m: MsgTimeout = encoded(&timeout);
        assert_eq!((m.proof_unreceived, m.next_sequence_recv, m.signer.as_str()), (vec![3; 3], 5, SIGNER));

        let m: MsgTimeoutOnClose = encoded(&Message::TimeoutOnClose {
            packet: sent(),
            next_sequence_recv: Sequence(4),
            proof: proof(4),
            close: proof(5),
        });
        assert_eq!((m.proof_unreceived, m.proof_close, m.next_sequence_recv), (vec![4; 3], vec![5; 3], 4));
        assert_eq!((at(&m.proof_height), m.signer.as_str()), ((2, 9), SIGNER));
    }

    #[test]
    fn client_messages_carry_their_states() {
        let state = |n: u8| Any { type_url: format!("/x.State{n}"), value: vec![n] };
        let m: MsgCreateClient = encoded(&Message::CreateClient { client_state: state(1), consensus_state: state(2) });
        assert_eq!((m.client_state, m.consensus_state, m.signer.as_str()), (Some(state(1)), Some(state(2)), SIGNER));
        let client = ClientId::new("07-tendermint-0").unwrap();
        let m: MsgUpdateClient = encoded(&Message::UpdateClient { client, message: state(3) });
        assert_eq!(
            (m.client_id.as_str(), m.client_message, m.signer.as_str()),
            ("07-tendermint-0", Some(state(3)), SIGNER)
        );
        assert_eq!(message(&Message::Other(state(4)), SIGNER), state(4));
    }

    #[test]
    fn connection_messages_leave_empty_what_ibc_go_wants_empty() {
        let version = Version { identifier: "1".into(), features: vec!["ORDER_UNORDERED".into()] };
        let counterparty = Counterparty {
            client_id: "07-tendermint-1".into(),
            connection_id: "connection-7".into(),
            prefix: Some(MerklePrefix { key_prefix: b"ibc".to_vec() }),
        };
        let client = ClientId::new("07-tendermint-0").unwrap();
        let connection = ConnectionId::new("connection-0").unwrap();
        let m: MsgConnectionOpenInit = encoded(&Message::ConnOpenInit {
            client: client.clone(),
            counterparty: counterparty.clone(),
            version: None,
            delay_ns: 3,
        });
        assert_eq!((m.version, m.delay_period, m.counterparty.as_ref()), (None, 3, Some(&counterparty)));
        let client_state = Any { type_url: "/state".into(), value: vec![1] };
        let tracked_by = ProvenClient {
            client_state: client_state.clone(),
            proof: [4].into(),
            consensus_height: Height::new(1, 4),
            consensus_proof: [5].into(),
        };
        let m: MsgConnectionOpenTry = encoded(&Message::ConnOpenTry {
            client,
            counterparty: counterparty.clone(),
            versions: vec![version.clone()],
            delay_ns: 3,
            proof: proof(6),
            tracked_by: tracked_by.clone(),
        });
        #[allow(deprecated, reason = "it has to be empty")]
        let previous = m.previous_connection_id.clone();
        assert_eq!(
            (previous.as_str(), m.counterparty, m.counterparty_versions),
            ("", Some(counterparty), vec![version.clone()])
        );
        assert_eq!((m.proof_init, at(&m.proof_height), at(&m.consensus_height)), (vec![6; 3], (2, 9), (1, 4)));
        assert_eq!((m.client_state, m.proof_client, m.proof_consensus), (Some(client_state.clone()), vec![4], vec![5]));
        let m: MsgConnectionOpenAck = encoded(&Message::ConnOpenAck {
            connection: connection.clone(),
            counterparty: ConnectionId::new("connection-7").unwrap(),
            version: version.clone(),
            proof: proof(7),
            tracked_by,
        });
        assert_eq!((m.connection_id.as_str(), m.counterparty_connection_id.as_str()), ("connection-0", "connection-7"));
        assert_eq!((m.version, m.proof_try, m.signer.as_str()), (Some(version), vec![7; 3], SIGNER));
        assert_eq!((m.client_state, m.proof_client, m.proof_consensus), (Some(client_state), vec![4], vec![5]));
        assert_eq!(at(&m.consensus_height), (1, 4));
        let m: MsgConnectionOpenConfirm = encoded(&Message::ConnOpenConfirm { connection, proof: proof(8) });
        assert_eq!((m.proof_ack, at(&m.proof_height), m.signer.as_str()), (vec![8; 3], (2, 9), SIGNER));
    }

    #[test]
    fn channel_messages_name_both_ends() {
        let channel = |state: State, id: &str| Channel {
            state: state.into(),
            ordering: Order::Unordered.into(),
            counterparty: Some(ChannelEnd { port_id: "transfer".into(), channel_id: id.into() }),
            connection_hops: vec!["connection-0".into()],
            version: "ics20-1".into(),
            upgrade_sequence: 0,
        };
        let port = PortId::new("transfer").unwrap();
        let init = channel(State::Init, "");
        let m: MsgChannelOpenInit = encoded(&Message::ChanOpenInit { port: port.clone(), channel: init.clone() });
        assert_eq!((m.port_id.as_str(), m.channel, m.signer.as_str()), ("transfer", Some(init), SIGNER));
        let tried = channel(State::Tryopen, "channel-0");
        let m: MsgChannelOpenTry = encoded(&Message::ChanOpenTry {
            port,
            channel: tried.clone(),
            counterparty_version: "ics20-1".into(),
            proof: proof(1),
        });
        #[allow(deprecated, reason = "it has to be empty")]
        let previous = m.previous_channel_id.clone();
        assert_eq!((previous.as_str(), m.channel, m.counterparty_version.as_str()), ("", Some(tried), "ics20-1"));
        let m: MsgChannelOpenAck = encoded(&Message::ChanOpenAck {
            end: end("channel-0"),
            counterparty: ChannelId::new("channel-1").unwrap(),
            counterparty_version: "ics20-1".into(),
            proof: proof(2),
        });
        assert_eq!(
            (m.channel_id.as_str(), m.counterparty_channel_id.as_str(), m.proof_try),
            ("channel-0", "channel-1", vec![2; 3])
        );
        let m: MsgChannelOpenConfirm = encoded(&Message::ChanOpenConfirm { end: end("channel-1"), proof: proof(3) });
        assert_eq!((m.channel_id.as_str(), m.proof_ack, m.signer.as_str()), ("channel-1", vec![3; 3], SIGNER));
    }

    #[test]
    fn a_transfer_names_coin_receiver_timeouts_and_memo() {
        let any = transfer(&Transfer {
            source: end("channel-0"),
            amount: 12,
            denom: "stake".into(),
            sender: SIGNER.into(),
            receiver: "cosmos1receiver".into(),
            timeout_height: Height::new(1, 50),
            timeout_timestamp: Timestamp(60),
            memo: "hello".into(),
        });
        assert_eq!(any.type_url, "/ibc.applications.transfer.v1.MsgTransfer");
        let m = MsgTransfer::decode(any.value.as_slice()).unwrap();
        let coin = m.token.unwrap();
        assert_eq!((coin.amount.as_str(), coin.denom.as_str()), ("12", "stake"));
        assert_eq!((m.sender.as_str(), m.receiver.as_str(), m.memo.as_str()), (SIGNER, "cosmos1receiver", "hello"));
        assert_eq!((at(&m.timeout_height), m.timeout_timestamp), ((1, 50), 60));
    }
}
