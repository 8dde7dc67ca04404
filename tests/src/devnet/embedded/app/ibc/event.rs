//! Events as ibc-go v10 emits them: types, keys and their order.
//!
//! ibc-rs' own differ: it still adds what ibc-go has dropped, names some otherwise, and lacks a packet's connection in places. A `message`
//! event with the module follows each of the core's.

use ibc_core::channel::types::channel::Order;
use ibc_core::handler::types::events::IbcEvent;
use ibc_core::host::ValidationContext as _;
use ibc_core::host::types::error::HostError;
use ibc_core::host::types::identifiers::{ChannelId, PortId};
use ibc_core::host::types::path::ChannelEndPath;
use ibc_core::router::types::event::ModuleEvent;

use super::Context;
use crate::devnet::embedded::Event;

/// An event from its type, keys and values.
pub(in super::super) fn event(kind: &str, attributes: &[(&str, String)]) -> Event {
    let attributes = attributes.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    Event { kind: kind.to_owned(), attributes }
}

fn of_module(module: &str) -> Event {
    event("message", &[("module", module.to_owned())])
}

/// A packet's attributes, from any of ibc-rs' packet events.
macro_rules! packet {
    ($e:expr, $sequence:ident $(, $data:ident)?) => {{
        let mut list = Vec::with_capacity(12);
        $(list.push(("packet_data_hex", hex::encode($e.$data())));)?
        list.extend([
            ("packet_timeout_height", $e.timeout_height_on_b().to_event_attribute_value()),
            ("packet_timeout_timestamp", $e.timeout_timestamp_on_b().nanoseconds().to_string()),
            ("packet_sequence", $e.$sequence().to_string()),
            ("packet_src_port", $e.port_id_on_a().to_string()),
            ("packet_src_channel", $e.chan_id_on_a().to_string()),
            ("packet_dst_port", $e.port_id_on_b().to_string()),
            ("packet_dst_channel", $e.chan_id_on_b().to_string()),
        ]);
        list
    }};
}

fn order(order: Order) -> (&'static str, String) {
    let text = match order {
        Order::Ordered => "ORDER_ORDERED",
        Order::Unordered => "ORDER_UNORDERED",
        Order::None => "ORDER_NONE_UNSPECIFIED",
    };
    ("packet_channel_ordering", text.to_owned())
}

fn connections(id: &impl ToString) -> [(&'static str, String); 2] {
    [("packet_connection", id.to_string()), ("connection_id", id.to_string())]
}

fn ends(own: (&PortId, &ChannelId), port: &PortId, channel: Option<&ChannelId>) -> Vec<(&'static str, String)> {
    let mut list = vec![
        ("port_id", own.0.to_string()),
        ("channel_id", own.1.to_string()),
        ("counterparty_port_id", port.to_string()),
    ];
    list.extend(channel.map(|channel| ("counterparty_channel_id", channel.to_string())));
    list
}

/// What ibc-go would emit.
pub(super) fn events(context: &Context<'_>, said: IbcEvent) -> Result<Vec<Event>, HostError> {
    let with =
        |module: &str, kind: &str, attributes: &[(&str, String)]| Ok(vec![event(kind, attributes), of_module(module)]);
    let connection = |kind: &str, list: [Option<(&str, String)>; 4]| {
        let list: Vec<_> = list.into_iter().flatten().collect();
        with("ibc_connection", kind, &list)
    };
    let channel = |kind: &str, list: Vec<(&'static str, String)>| with("ibc_channel", kind, &list);
    let client = |kind: &str, list: &[(&str, String)]| with("ibc_client", kind, list);
    match said {
        IbcEvent::Message(_) => Ok(Vec::new()),
        IbcEvent::Module(e) => Ok(module_events(e)),
        IbcEvent::CreateClient(e) => client(
            "create_client",
            &[
                ("client_id", e.client_id().to_string()),
                ("client_type", e.client_type().to_string()),
                ("consensus_height", e.consensus_height().to_string()),
            ],
        ),
        IbcEvent::UpdateClient(e) => {
            let heights: Vec<String> = e.consensus_heights().iter().map(ToString::to_string).collect();
            let list = [
                ("client_id", e.client_id().to_string()),
                ("client_type", e.client_type().to_string()),
                ("consensus_height", e.consensus_height().to_string()),
                ("consensus_heights", heights.join(",")),
            ];
            client("update_client", &list)
        }
        IbcEvent::UpgradeClient(e) => client(
            "upgrade_client",
            &[
                ("client_id", e.client_id().to_string()),
                ("client_type", e.client_type().to_string()),
                ("consensus_height", e.consensus_height().to_string()),
            ],
        ),
        IbcEvent::ClientMisbehaviour(e) => client(
            "client_misbehaviour",
            &[("client_id", e.client_id().to_string()), ("client_type", e.client_type().to_string())],
        ),
        IbcEvent::OpenInitConnection(e) => connection(
            "connection_open_init",
            [
                Some(("connection_id", e.conn_id_on_a().to_string())),
                Some(("client_id", e.client_id_on_a().to_string())),
                Some(("counterparty_client_id", e.client_id_on_b().to_string())),
                None,
            ],
        ),
        IbcEvent::OpenTryConnection(e) => connection(
            "connection_open_try",
            [
                Some(("connection_id", e.conn_id_on_b().to_string())),
                Some(("client_id", e.client_id_on_b().to_string())),
                Some(("counterparty_client_id", e.client_id_on_a().to_string())),
                e.conn_id_on_a().map(|id| ("counterparty_connection_id", id.to_string())),
            ],
        ),
        IbcEvent::OpenAckConnection(e) => connection(
            "connection_open_ack",
            [
                Some(("connection_id", e.conn_id_on_a().to_string())),
                Some(("client_id", e.client_id_on_a().to_string())),
                Some(("counterparty_client_id", e.client_id_on_b().to_string())),
                e.conn_id_on_b().map(|id| ("counterparty_connection_id", id.to_string())),
            ],
        ),
        IbcEvent::OpenConfirmConnection(e) => connection(
            "connection_open_confirm",
            [
                Some(("connection_id", e.conn_id_on_b().to_string())),
                Some(("client_id", e.client_id_on_b().to_string())),
                Some(("counterparty_client_id", e.client_id_on_a().to_string())),
                e.conn_id_on_a().map(|id| ("counterparty_connection_id", id.to_string())),
            ],
        ),
        IbcEvent::OpenInitChannel(e) => {
            let mut list = ends((e.port_id_on_a(), e.chan_id_on_a()), e.port_id_on_b(), None);
            list.push(("connection_id", e.conn_id_on_a().to_string()));
            list.push(("version", e.version_on_a().to_string()));
            channel("channel_open_init", list)
        }
        IbcEvent::OpenTryChannel(e) => {
            let mut list = ends((e.port_id_on_b(), e.chan_id_on_b()), e.port_id_on_a(), Some(e.chan_id_on_a()));
            list.push(("connection_id", e.conn_id_on_b().to_string()));
            list.push(("version", e.version_on_b().to_string()));
            channel("channel_open_try", list)
        }
        IbcEvent::OpenAckChannel(e) => {
            let mut list = ends((e.port_id_on_a(), e.chan_id_on_a()), e.port_id_on_b(), Some(e.chan_id_on_b()));
            list.push(("connection_id", e.conn_id_on_a().to_string()));
            channel("channel_open_ack", list)
        }
        IbcEvent::OpenConfirmChannel(e) => {
            let mut list = ends((e.port_id_on_b(), e.chan_id_on_b()), e.port_id_on_a(), Some(e.chan_id_on_a()));
            list.push(("connection_id", e.conn_id_on_b().to_string()));
            channel("channel_open_confirm", list)
        }
        IbcEvent::CloseInitChannel(e) => {
            let mut list = ends((e.port_id_on_a(), e.chan_id_on_a()), e.port_id_on_b(), Some(e.chan_id_on_b()));
            list.push(("connection_id", e.conn_id_on_a().to_string()));
            channel("channel_close_init", list)
        }
        IbcEvent::CloseConfirmChannel(e) => {
            let mut list = ends((e.port_id_on_b(), e.chan_id_on_b()), e.port_id_on_a(), Some(e.chan_id_on_a()));
            list.push(("connection_id", e.conn_id_on_b().to_string()));
            channel("channel_close_confirm", list)
        }
        IbcEvent::SendPacket(e) => {
            let mut list = packet!(e, seq_on_a, packet_data);
            list.push(order(*e.channel_ordering()));
            list.extend(connections(e.conn_id_on_a()));
            channel("send_packet", list)
        }
        IbcEvent::ReceivePacket(e) => {
            let mut list = packet!(e, seq_on_b, packet_data);
            list.push(order(*e.channel_ordering()));
            list.extend(connections(e.conn_id_on_a()));
            channel("recv_packet", list)
        }
        IbcEvent::WriteAcknowledgement(e) => {
            let mut list = packet!(e, seq_on_a, packet_data);
            let end = context.channel_end(&ChannelEndPath::new(e.port_id_on_b(), e.chan_id_on_b()))?;
            list.push(("packet_ack_hex", hex::encode(e.acknowledgement().as_bytes())));
            list.push(order(*end.ordering()));
            list.extend(connections(e.conn_id_on_b()));
            channel("write_acknowledgement", list)
        }
        IbcEvent::AcknowledgePacket(e) => {
            let mut list = packet!(e, seq_on_a);
            list.push(order(*e.channel_ordering()));
            list.extend(connections(e.conn_id_on_a()));
            channel("acknowledge_packet", list)
        }
        IbcEvent::TimeoutPacket(e) => {
            let mut list = packet!(e, seq_on_a);
            let end = context.channel_end(&ChannelEndPath::new(e.port_id_on_a(), e.chan_id_on_a()))?;
            let hop = end.connection_hops().first().map(ToString::to_string).unwrap_or_default();
            list.push(("connection_id", hop));
            list.push(order(*e.channel_ordering()));
            channel("timeout_packet", list)
        }
        IbcEvent::ChannelClosed(e) => {
            // ibc-rs names the ends as if seen by the other chain.
            let mut list = ends((e.port_id_on_b(), e.chan_id_on_b()), e.port_id_on_a(), e.chan_id_on_a());
            list.push(("connection_id", e.conn_id_on_b().to_string()));
            channel("channel_close", list)
        }
    }
}

/// ICS-20's.
fn module_events(said: ModuleEvent) -> Vec<Event> {
    let kind = match said.kind.as_str() {
        "denomination_trace" => "denomination",
        kind => kind,
    };
    let followed = !matches!(kind, "denomination") && said.attributes.len() > 1;
    let rename = |key: &str| match key {
        "trace_hash" => "denom_hash".to_owned(),
        "refund_receiver" => "receiver".to_owned(),
        key => key.to_owned(),
    };
    let attributes = said.attributes.into_iter().filter(|a| a.key != "module");
    let mut attributes: Vec<_> = attributes.map(|a| (rename(&a.key), a.value)).collect();
    let place = |key: &str| attributes.iter().position(|(name, _)| name == key);
    if let (Some(amount), Some(denom)) = (place("amount"), place("denom"))
        && amount < denom
    {
        attributes.swap(amount, denom);
    }
    let event = Event { kind: kind.to_owned(), attributes };
    std::iter::once(event).chain(followed.then(|| of_module("transfer"))).collect()
}

/// ibc-go writes the acknowledgement after the application's callback, ibc-rs before its events.
pub(super) fn acknowledgement_last(events: &mut Vec<Event>) {
    if let Some(at) = events.iter().position(|event| event.kind == "write_acknowledgement") {
        let pair: Vec<Event> = events.drain(at..(at + 2).min(events.len())).collect();
        events.extend(pair);
    }
}
