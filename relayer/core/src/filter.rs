//! Which packets an operator wants relayed. Judged when a send becomes known, before anything is queued for it.
//!
//! Which channel ends are let through is decided once, when the settings are read; here they are names. Memo and receiver sizes are those
//! of ICS-20 packet data (JSON); other data passes these two caps.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::id::Sequence;
use crate::packet::{Packet, PortChannel};

/// Rules for packets sent from one side.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Source ends whose packets are not relayed.
    pub denied: BTreeSet<PortChannel>,
    /// Largest ICS-20 memo, bytes.
    pub max_memo_bytes: usize,
    /// Largest ICS-20 receiver, bytes.
    pub max_receiver_bytes: usize,
    /// Packets never relayed, by source end and sequence.
    pub excluded: BTreeSet<(PortChannel, Sequence)>,
}

#[derive(Deserialize)]
struct Ics20<'a> {
    #[serde(borrow, default)]
    memo: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    receiver: std::borrow::Cow<'a, str>,
}

impl Filter {
    /// `Some(reason)` when the packet must not be relayed. The reason is a stable label.
    pub fn refuses(&self, packet: &Packet) -> Option<&'static str> {
        if self.denied.contains(&packet.source) {
            return Some("filtered");
        }
        if self.excluded.contains(&(packet.source.clone(), packet.sequence)) {
            return Some("excluded");
        }
        if let Ok(data) = serde_json::from_slice::<Ics20<'_>>(&packet.data) {
            if data.memo.len() > self.max_memo_bytes {
                return Some("memo_too_large");
            }
            if data.receiver.len() > self.max_receiver_bytes {
                return Some("receiver_too_large");
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ChannelId, Height, PortId, Timestamp};
    use std::sync::Arc;

    fn sent(channel: &str, data: &str) -> Packet {
        let end = |c: &str| PortChannel { port: PortId::new("transfer").unwrap(), channel: ChannelId::new(c).unwrap() };
        Packet {
            sequence: Sequence(7),
            source: end(channel),
            destination: end("channel-9"),
            data: Arc::from(data.as_bytes()),
            timeout_height: Height::new(1, 9),
            timeout_timestamp: Timestamp(0),
        }
    }

    #[test]
    fn denied_ends_excluded_packets_and_large_texts_are_refused_before_queueing() {
        let f = Filter { max_memo_bytes: 4, max_receiver_bytes: 100, ..Filter::default() };
        assert_eq!(f.refuses(&sent("channel-0", r#"{"memo":"1234","receiver":"x"}"#)), None);
        assert_eq!(f.refuses(&sent("channel-0", r#"{"memo":"12345"}"#)), Some("memo_too_large"));
        assert_eq!(f.refuses(&sent("channel-0", "not json")), None);
        let f = Filter { denied: [sent("channel-1", "").source].into(), ..f };
        assert_eq!(f.refuses(&sent("channel-1", "")), Some("filtered"));
        assert_eq!(f.refuses(&sent("channel-2", "")), None);
        let excluded = sent("channel-2", "").source;
        let f = Filter { excluded: [(excluded, Sequence(7))].into(), ..f };
        assert_eq!(f.refuses(&sent("channel-2", "")), Some("excluded"));
        assert_eq!(f.refuses(&sent("channel-3", "")), None);
    }
}
