//! Which packets an operator wants relayed. Judged when a send becomes known, before anything is queued for it.
//!
//! Which channel ends are let through is decided once, when the settings are read; here they are names. Memo and receiver sizes are those
//! of ICS-20 packet data (JSON); other data passes these two caps, and carries no XCM message.

use std::collections::BTreeSet;

use relayer_xcm::{Name, VersionedXcm};
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
    /// What of XCM is not relayed.
    pub xcm: XcmFilter,
}

/// Rules for XCM messages in memos of ICS-20 packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct XcmFilter {
    /// Packets with one of these instructions, at whatever depth, are not relayed.
    pub denied: BTreeSet<Name>,
    /// Packets whose message can't be decoded are not relayed.
    pub deny_undecodable: bool,
}

impl XcmFilter {
    fn refuses(&self, memo: &str) -> Option<&'static str> {
        if self.denied.is_empty() && !self.deny_undecodable {
            return None;
        }
        match relayer_xcm::in_memo(memo)? {
            Ok(found) => {
                let denied = found.xcm.instructions_deep().any(|i| self.denied.contains(&i.name()));
                denied.then_some("xcm_instruction")
            }
            Err(_) => self.deny_undecodable.then_some("xcm_undecodable"),
        }
    }
}

/// The XCM message in an ICS-20 packet's memo, or what is wrong with it.
pub fn xcm(packet: &Packet) -> Option<Result<VersionedXcm, relayer_xcm::Error>> {
    let data = serde_json::from_slice::<Ics20<'_>>(&packet.data).ok()?;
    relayer_xcm::in_memo(&data.memo)
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
            return self.xcm.refuses(&data.memo);
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

    #[test]
    fn messages_are_judged_by_their_instructions_at_any_depth_and_by_whether_they_decode() {
        // SetAppendix [ClearOrigin]; SetErrorHandler [], an unknown instruction
        let (good, bad) = (r#"{"memo":"{\"xcm\":\"0x05041604\u0030a\"}"}"#, r#"{"memo":"0x05081500ff"}"#);
        assert_eq!(xcm(&sent("channel-0", good)).unwrap().unwrap().summary(), "v5 2 [SetAppendix [ClearOrigin]]");
        assert_eq!(xcm(&sent("channel-0", bad)).unwrap().unwrap_err().offset, 4);
        assert!(xcm(&sent("channel-0", r#"{"memo":"lunch"}"#)).is_none());

        let filter = |xcm| Filter { max_memo_bytes: 100, max_receiver_bytes: 100, xcm, ..Filter::default() };
        let deny = |names: &[&str], deny_undecodable| {
            filter(XcmFilter { denied: names.iter().map(|n| n.parse().unwrap()).collect(), deny_undecodable })
        };
        let judged = |filter: &Filter, data| filter.refuses(&sent("channel-0", data));
        let none = deny(&[], false);
        assert_eq!((judged(&none, good), judged(&none, bad)), (None, None));
        let inner = deny(&["ClearOrigin", "Transact"], false);
        assert_eq!((judged(&inner, good), judged(&inner, bad)), (Some("xcm_instruction"), None));
        let other = deny(&["Transact", "SetErrorHandler"], true);
        assert_eq!((judged(&other, good), judged(&other, bad)), (None, Some("xcm_undecodable")));
        assert_eq!(judged(&other, r#"{"memo":"lunch"}"#), None);
        assert_eq!(judged(&other, "not json"), None);
    }
}
