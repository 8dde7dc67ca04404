//! When each packet was sent, received and acknowledged, read from the blocks of both chains.
//!
//! Only transactions that succeeded count. Times are those of the blocks' headers, ns since 1970.

use std::collections::BTreeMap;

use crate::DevnetError;
use crate::devnet::Node;
use crate::limits::BATCH_CALLS;
use crate::relay::{End, Link};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The chain a packet was sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    A,
    B,
}

impl Side {
    fn other(self) -> Self {
        if self == Self::A { Self::B } else { Self::A }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Sent,
    Received,
    Acknowledged,
    TimedOut,
}

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) height: u64,
    at_ns: i128,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Packet {
    sent: Option<Moment>,
    received: Option<Moment>,
    acknowledged: Option<Moment>,
    timed_out: Option<Moment>,
}

/// Something that happened to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) source: Side,
    pub(super) sequence: u64,
    pub(super) step: Step,
    pub(super) moment: Moment,
    /// Since the block of its send, if that is known.
    pub(super) after_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) sent: usize,
    pub(super) received: usize,
    pub(super) acknowledged: usize,
    pub(super) timed_out: usize,
}

struct Watched {
    side: Side,
    node: Node,
    channel: String,
    next: u64,
}

pub(super) struct Timeline {
    ends: [Watched; 2],
    packets: BTreeMap<(Side, u64), Packet>,
}

impl Timeline {
    /// From the chains' newest blocks on.
    pub(super) async fn from_now(link: &Link) -> Result<Self, DevnetError> {
        let end = async |side, end: &End| {
            let next = end.node.height().await? + 1;
            Ok::<_, DevnetError>(Watched { side, node: end.node.clone(), channel: end.channel.clone(), next })
        };
        Ok(Self { ends: [end(Side::A, &link.a).await?, end(Side::B, &link.b).await?], packets: BTreeMap::new() })
    }

    /// Reads the blocks that are new on either chain; what happened in them, in the order of time.
    pub(super) async fn advance(&mut self) -> Result<Vec<Seen>, DevnetError> {
        let mut found = Vec::new();
        for end in &mut self.ends {
            let head = end.node.height().await?;
            while end.next <= head {
                let last = head.min(end.next + BATCH_CALLS as u64 / 2 - 1);
                found.extend(read(end, end.next, last).await?);
                end.next = last + 1;
            }
        }
        // Stable: on one chain the order of its events.
        found.sort_by_key(|(_, _, _, moment)| moment.at_ns);
        Ok(found
            .into_iter()
            .map(|(source, sequence, step, moment)| self.note(source, sequence, step, moment))
            .collect())
    }

    fn note(&mut self, source: Side, sequence: u64, step: Step, moment: Moment) -> Seen {
        let packet = self.packets.entry((source, sequence)).or_default();
        let field = match step {
            Step::Sent => &mut packet.sent,
            Step::Received => &mut packet.received,
            Step::Acknowledged => &mut packet.acknowledged,
            Step::TimedOut => &mut packet.timed_out,
        };
        *field = Some(moment);
        let after_ms = packet.sent.map(|sent| sent.until_ms(moment));
        Seen { source, sequence, step, moment, after_ms }
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |field: fn(&Packet) -> Option<Moment>| self.packets.values().filter_map(field).count();
        Counts {
            sent: count(|p| p.sent),
            received: count(|p| p.received),
            acknowledged: count(|p| p.acknowledged),
            timed_out: count(|p| p.timed_out),
        }
    }

    /// From send to receive, of every packet received.
    pub(super) fn receive_ms(&self) -> Vec<u64> {
        self.packets.values().filter_map(|p| Some(p.sent?.until_ms(p.received?))).collect()
    }

    /// From send to acknowledgement, of every packet acknowledged.
    pub(super) fn acknowledge_ms(&self) -> Vec<u64> {
        self.packets.values().filter_map(|p| Some(p.sent?.until_ms(p.acknowledged?))).collect()
    }
}

impl Moment {
    /// Two chains' clocks may differ: never negative.
    pub(super) fn until_ms(self, later: Self) -> u64 {
        u64::try_from((later.at_ns - self.at_ns) / 1_000_000).unwrap_or(0)
    }
}

type Event = (Side, u64, Step, Moment);

async fn read(end: &Watched, first: u64, last: u64) -> Result<Vec<Event>, DevnetError> {
    let heights: Vec<u64> = (first..=last).collect();
    // The header of a block is a tenth of it, and a block's results hold the events.
    let calls: Vec<_> = heights
        .iter()
        .flat_map(|h| {
            let params = json!({ "height": h.to_string() });
            [("header", params.clone()), ("block_results", params)]
        })
        .collect();
    let answers = end.node.batch(&calls).await?;
    let by_id: BTreeMap<u64, &Value> =
        answers.as_array().into_iter().flatten().filter_map(|a| Some((a["id"].as_u64()?, &a["result"]))).collect();
    let mut events = Vec::new();
    for (n, height) in (0u64..).zip(heights) {
        let wrong = |reason: String| DevnetError::Decode { what: format!("block {height}"), reason };
        let (Some(header), Some(results)) = (by_id.get(&(2 * n)), by_id.get(&(2 * n + 1))) else {
            return Err(wrong(format!("not in the answer {answers}")));
        };
        let time = header["header"]["time"].as_str().unwrap_or_default();
        let time = OffsetDateTime::parse(time, &Rfc3339).map_err(|e| wrong(format!("time {time:?}: {e}")))?;
        let moment = Moment { height, at_ns: time.unix_timestamp_nanos() };
        for tx in results["txs_results"].as_array().into_iter().flatten() {
            if tx["code"].as_u64().unwrap_or(0) == 0 {
                let all = tx["events"].as_array().into_iter().flatten();
                events.extend(all.filter_map(|e| event(end.side, &end.channel, e, moment)));
            }
        }
    }
    Ok(events)
}

fn event(side: Side, channel: &str, event: &Value, moment: Moment) -> Option<Event> {
    let (step, source, own_end) = match event["type"].as_str()? {
        "send_packet" => (Step::Sent, side, "packet_src_channel"),
        "recv_packet" => (Step::Received, side.other(), "packet_dst_channel"),
        "acknowledge_packet" => (Step::Acknowledged, side, "packet_src_channel"),
        "timeout_packet" => (Step::TimedOut, side, "packet_src_channel"),
        _ => return None,
    };
    let attribute = |key: &str| {
        let mut all = event["attributes"].as_array().into_iter().flatten();
        all.find(|a| a["key"] == key).and_then(|a| a["value"].as_str())
    };
    if attribute(own_end)? != channel {
        return None;
    }
    Some((source, attribute("packet_sequence")?.parse().ok()?, step, moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(height: u64, ms: i128) -> Moment {
        Moment { height, at_ns: ms * 1_000_000 }
    }

    #[test]
    fn an_event_belongs_to_the_chain_its_packet_was_sent_on() {
        let raw = |kind: &str| {
            let pairs = [("packet_src_channel", "channel-1"), ("packet_dst_channel", "channel-2")];
            let mut all: Vec<_> = pairs.iter().map(|(k, v)| json!({ "key": k, "value": v })).collect();
            all.push(json!({ "key": "packet_sequence", "value": "9" }));
            json!({ "type": kind, "attributes": all })
        };
        let read = |kind, channel| event(Side::A, channel, &raw(kind), at(5, 0)).map(|(s, n, step, _)| (s, n, step));
        assert_eq!(read("send_packet", "channel-1"), Some((Side::A, 9, Step::Sent)));
        assert_eq!(read("acknowledge_packet", "channel-1"), Some((Side::A, 9, Step::Acknowledged)));
        assert_eq!(read("timeout_packet", "channel-1"), Some((Side::A, 9, Step::TimedOut)));
        assert_eq!(read("recv_packet", "channel-2"), Some((Side::B, 9, Step::Received)));
        assert_eq!((read("send_packet", "channel-2"), read("recv_packet", "channel-1")), (None, None));
        assert_eq!(read("write_acknowledgement", "channel-2"), None);
    }

    #[test]
    fn latencies_count_from_the_send_and_are_never_negative() {
        let node = Node::new("http://127.0.0.1:1").unwrap();
        let watched = |side| Watched { side, node: node.clone(), channel: "channel-0".to_owned(), next: 1 };
        let mut timeline = Timeline { ends: [watched(Side::A), watched(Side::B)], packets: BTreeMap::new() };
        timeline.note(Side::A, 1, Step::Sent, at(3, 1_000));
        assert_eq!(timeline.note(Side::A, 1, Step::Received, at(7, 1_900)).after_ms, Some(900));
        timeline.note(Side::A, 1, Step::Acknowledged, at(5, 2_500));
        timeline.note(Side::B, 1, Step::Sent, at(3, 5_000));
        assert_eq!(timeline.note(Side::B, 1, Step::Received, at(4, 4_000)).after_ms, Some(0));
        assert_eq!(timeline.note(Side::B, 2, Step::TimedOut, at(4, 4_000)).after_ms, None);
        assert_eq!((timeline.receive_ms(), timeline.acknowledge_ms()), (vec![900, 0], vec![1_500]));
        assert_eq!(timeline.counts(), Counts { sent: 2, received: 2, acknowledged: 1, timed_out: 1 });
    }
}
