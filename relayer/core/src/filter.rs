//! Which packets an operator wants relayed. Judged when a send becomes known, before anything is queued for it.
//!
//! Patterns match `port/channel` of the source end; `*` stands for any run of characters. Denied wins over allowed; an empty allow list
//! allows all. Memo and receiver sizes are those of ICS-20 packet data (JSON); other data passes these two caps.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::id::Sequence;
use crate::packet::{Packet, PortChannel};

/// Rules for packets sent from one side.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Patterns of source ends to relay; empty = all.
    pub allow: Vec<String>,
    /// Patterns of source ends not to relay.
    pub deny: Vec<String>,
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
        let end = packet.source.to_string();
        if self.deny.iter().any(|p| matches(p, &end)) {
            return Some("filtered");
        }
        if !self.allow.is_empty() && !self.allow.iter().any(|p| matches(p, &end)) {
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

/// Wildcard match, linear in the product of the lengths (both bounded by configuration and ICS-24).
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return false };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    true
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
    fn wildcards_match_runs() {
        for (p, t, want) in [
            ("transfer/channel-*", "transfer/channel-12", true),
            ("*", "transfer/channel-1", true),
            ("*/channel-1", "transfer/channel-11", false),
            ("ica*/ch*-3", "icahost/channel-3", true),
            ("transfer/channel-1", "transfer/channel-1", true),
            ("transfer/channel-1", "transfer/channel-12", false),
        ] {
            assert_eq!(matches(p, t), want, "{p} {t}");
        }
    }

    #[test]
    fn denied_wins_and_sizes_are_capped_before_queueing() {
        let f = Filter { max_memo_bytes: 4, max_receiver_bytes: 100, ..Filter::default() };
        assert_eq!(f.refuses(&sent("channel-0", r#"{"memo":"1234","receiver":"x"}"#)), None);
        assert_eq!(f.refuses(&sent("channel-0", r#"{"memo":"12345"}"#)), Some("memo_too_large"));
        assert_eq!(f.refuses(&sent("channel-0", "not json")), None);
        let f = Filter { allow: vec!["transfer/*".into()], deny: vec!["*/channel-1".into()], ..f };
        assert_eq!(f.refuses(&sent("channel-1", "")), Some("filtered"));
        assert_eq!(f.refuses(&sent("channel-2", "")), None);
        let excluded = sent("channel-2", "").source;
        let f = Filter { excluded: [(excluded, Sequence(7))].into(), ..f };
        assert_eq!(f.refuses(&sent("channel-2", "")), Some("excluded"));
        assert_eq!(f.refuses(&sent("channel-3", "")), None);
    }
}
