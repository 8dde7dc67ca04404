//! Which work may use the tokens that other calls leave: a client near its expiry, packets near their timeout, evidence.
//!
//! Clause: *priority by deadline ... with a reserve* of the limiter specification. Times are the target chain's, since it judges both. A
//! timeout by height is near within [`limits::URGENT_BLOCKS`].

use std::time::Duration;

use limiter::priority::{Class, Work, class_of};
use limiter::{Time, Urgency};
use relayer_core::fact::Head;
use relayer_core::message::Message;
use relayer_core::packet::{Packet, Side};

use super::Path;
use crate::limits;

fn rises(class: Class) -> Option<Urgency> {
    Some(class).filter(|class| *class < Class::Normal)
}

fn ns(ns: u64) -> Time {
    Time::ZERO.after(Duration::from_nanos(ns))
}

/// A packet that its target chain, at this head, will soon time out.
fn of_packet(head: &Head, packet: &Packet) -> Option<Urgency> {
    let until = packet.timeout_height;
    let near = until.revision == head.height.revision
        && until > head.height
        && until.number.saturating_sub(head.height.number) <= limits::URGENT_BLOCKS;
    let times_out = if packet.timeout_timestamp.0 == 0 { Time::MAX } else { ns(packet.timeout_timestamp.0) };
    let by_time = class_of(ns(head.time.0), Work::Packet { times_out });
    rises(by_time).or(near.then_some(Urgency::Packet))
}

/// A client with so long to live.
fn of_client(expires_in_ns: u64) -> Option<Urgency> {
    rises(class_of(Time::ZERO, Work::ClientUpdate { expires: ns(expires_in_ns) }))
}

impl Path {
    /// Of what is to be submitted to `side`: the most urgent part counts.
    pub(super) fn urgency(&self, side: Side, updates: bool, messages: &[Message]) -> Option<Urgency> {
        let head = self.follower(side).head();
        let packets = messages.iter().filter_map(|message| match (message, &head) {
            (Message::RecvPacket { packet, .. }, Some(head)) => of_packet(head, packet),
            _ => None,
        });
        let client = if updates { self.expires_in_ns(side).and_then(of_client) } else { None };
        packets.chain(client).min()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use relayer_core::id::{ChannelId, Height, PortId, Sequence, Timestamp};
    use relayer_core::packet::PortChannel;

    use super::*;

    const NOW: u64 = 1_700_000_000_000_000_000;
    const SECOND: u64 = 1_000_000_000;

    fn packet(height: Height, timestamp: u64) -> Packet {
        let end = PortChannel { port: PortId::new("transfer").unwrap(), channel: ChannelId::new("channel-0").unwrap() };
        Packet {
            sequence: Sequence(1),
            source: end.clone(),
            destination: end,
            data: Arc::from(&b"{}"[..]),
            timeout_height: height,
            timeout_timestamp: Timestamp(timestamp),
        }
    }

    #[test]
    fn a_packet_rises_near_its_timeout_and_not_past_it() {
        let head = Head { height: Height::new(1, 100), time: Timestamp(NOW) };
        let (none, urgent) = (None, Some(Urgency::Packet));
        for (height, timestamp, class) in [
            (Height::default(), NOW + 60 * SECOND, urgent),
            (Height::default(), NOW + 3_600 * SECOND, none),
            (Height::default(), NOW - SECOND, none),
            (Height::new(1, 110), 0, urgent),
            (Height::new(1, 110), NOW + 3_600 * SECOND, urgent),
            (Height::new(1, 1_000), 0, none),
            (Height::new(1, 100), 0, none),
            (Height::new(2, 110), 0, none),
        ] {
            assert_eq!(of_packet(&head, &packet(height, timestamp)), class, "{height} {timestamp}");
        }
    }

    #[test]
    fn a_client_rises_in_its_last_hour() {
        assert_eq!(of_client(600 * SECOND), Some(Urgency::Client));
        assert_eq!(of_client(14 * 86_400 * SECOND), None);
    }
}
