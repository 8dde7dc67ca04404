//! What finalized blocks have said about one packet, and what follows from it.
//!
//! [`Record::merge`] is commutative and idempotent: of two blocks that say the same, the earlier counts; of two sends that differ,
//! the one with the smaller commitment is kept until a proof decides (the other can't be committed to under the same key).
//! The phase and the next action are read from the record, never stored.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::fact::Head;
use crate::packet::{At, Packet};

/// The operator's view of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Phase {
    /// Sent, its commitment not yet asked for.
    Uninitialized,
    /// Its commitment is being proven and verified, or its delivery is under way.
    Validating,
    /// Received on the destination.
    Committed,
    /// Acknowledged on the source.
    Acked,
    /// Timed out on the source.
    TimedOut,
    /// Refused for good; the record says why.
    Failed,
}

impl Phase {
    /// Nothing more will be done.
    pub const fn ended(self) -> bool {
        matches!(self, Self::Acked | Self::TimedOut | Self::Failed)
    }
    /// The name in text and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uninitialized => "UNINITIALIZED",
            Self::Validating => "VALIDATING",
            Self::Committed => "COMMITTED",
            Self::Acked => "ACKED",
            Self::TimedOut => "TIMED_OUT",
            Self::Failed => "FAILED",
        }
    }
}

/// What to do for a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// `RecvPacket` on the destination.
    Recv,
    /// `AcknowledgePacket` on the source.
    Ack,
    /// `TimeoutPacket` on the source.
    Timeout,
}

/// Whether this reason for refusing a packet is a verified proof against what an event said: then the event lied, and the chain may
/// hold another packet or acknowledgement under the same key.
pub fn is_disproof(reason: &str) -> bool {
    matches!(reason, "phantom_event" | "commitment_mismatch") || is_ack_disproof(reason)
}

fn is_ack_disproof(reason: &str) -> bool {
    matches!(reason, "phantom_ack" | "ack_mismatch")
}

/// Facts about one packet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// The packet as its source sent it.
    pub packet: Option<Packet>,
    /// The block of the send.
    pub sent: Option<At>,
    /// The block of the receive.
    pub received: Option<At>,
    /// The acknowledgement, verbatim.
    pub ack: Option<Arc<[u8]>>,
    /// The block of the acknowledgement's writing.
    pub ack_written: Option<At>,
    /// The block of the acknowledgement on the source.
    pub acked: Option<At>,
    /// The block of the timeout on the source.
    pub timed_out: Option<At>,
    /// Refused for good: a stable reason.
    pub refused: Option<&'static str>,
}

fn earliest(a: &mut Option<At>, b: Option<At>) {
    *a = match (*a, b) {
        (Some(x), Some(y)) => Some(x.min(y)),
        (x, y) => x.or(y),
    };
}

impl Record {
    /// Takes in what another record says about the same packet.
    pub fn merge(&mut self, other: Self) {
        match (&self.packet, other.packet) {
            (None, p) => self.packet = p,
            (Some(mine), Some(theirs)) if *mine != theirs => {
                let (mine, new) = (mine.commitment(), theirs.commitment());
                // A refused packet was not what the source committed to: another text under the same key is a new chance.
                if self.refused.is_some() || new < mine {
                    // The block of a lie says nothing about the truth: it is provable from its own block on only.
                    if self.refused.take().is_some() {
                        self.sent = None;
                    }
                    self.packet = Some(theirs);
                }
            }
            _ => {}
        }
        if self.refused.is_some_and(is_ack_disproof)
            && other.ack.as_ref().is_some_and(|ack| self.ack.as_ref() != Some(ack))
        {
            (self.ack, self.ack_written, self.refused) = (None, None, None);
        }
        earliest(&mut self.sent, other.sent);
        earliest(&mut self.received, other.received);
        earliest(&mut self.ack_written, other.ack_written);
        earliest(&mut self.acked, other.acked);
        earliest(&mut self.timed_out, other.timed_out);
        self.ack = match (self.ack.take(), other.ack) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.refused = self.refused.or(other.refused);
    }

    /// The operator's view; `working` = an action is being carried out.
    pub fn phase(&self, working: bool) -> Phase {
        if self.acked.is_some() {
            Phase::Acked
        } else if self.timed_out.is_some() {
            Phase::TimedOut
        } else if self.refused.is_some() {
            Phase::Failed
        } else if self.received.is_some() || self.ack.is_some() {
            Phase::Committed
        } else if working {
            Phase::Validating
        } else {
            Phase::Uninitialized
        }
    }

    /// What is due, judged by the destination's newest header. `None`: wait for a fact, or ended.
    pub fn due(&self, destination: Option<Head>) -> Option<Action> {
        if self.acked.is_some() || self.timed_out.is_some() || self.refused.is_some() {
            return None;
        }
        let packet = self.packet.as_ref()?;
        if self.ack.is_some() {
            return Some(Action::Ack);
        }
        if self.received.is_some() || self.sent.is_none() {
            return None;
        }
        match destination {
            Some(head) if packet.timed_out_at(head.height, head.time) => Some(Action::Timeout),
            _ => Some(Action::Recv),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ChannelId, Height, PortId, Sequence, Timestamp};
    use crate::packet::PortChannel;
    use proptest::prelude::*;

    fn packet(data: u8) -> Packet {
        let end = |n: u8| PortChannel {
            port: PortId::new("transfer").unwrap(),
            channel: ChannelId::new(format!("channel-{n}")).unwrap(),
        };
        Packet {
            sequence: Sequence(1),
            source: end(0),
            destination: end(1),
            data: Arc::from([data].as_slice()),
            timeout_height: Height::new(1, 100),
            timeout_timestamp: Timestamp(1_000),
        }
    }

    fn any_at() -> impl Strategy<Value = Option<At>> {
        prop::option::of((1u64..50).prop_map(|h| At { height: Height::new(1, h), time: Timestamp(h) }))
    }

    prop_compose! {
        fn any_record()(sent in any_at(), received in any_at(), ack_written in any_at(), acked in any_at(), timed_out in any_at(),
                        data in prop::option::of(0u8..3), ack in prop::option::of(0u8..3)) -> Record {
            Record { packet: data.map(packet), sent, received, ack: ack.map(|a| Arc::from([a].as_slice())), ack_written, acked, timed_out, refused: None }
        }
    }

    fn merged(records: &[Record]) -> Record {
        records.iter().cloned().fold(Record::default(), |mut a, b| {
            a.merge(b);
            a
        })
    }

    proptest! {
        #[test]
        fn merging_is_commutative_associative_and_idempotent(a in any_record(), b in any_record(), c in any_record()) {
            let abc = merged(&[a.clone(), b.clone(), c.clone()]);
            prop_assert_eq!(&abc, &merged(&[c.clone(), b.clone(), a.clone()]));
            prop_assert_eq!(&abc, &merged(&[b.clone(), a.clone(), c.clone(), a.clone(), c.clone()]));
            let mut bc = b.clone();
            bc.merge(c);
            let mut a_bc = a;
            a_bc.merge(bc);
            prop_assert_eq!(&abc, &a_bc);
        }
    }

    #[test]
    fn a_packet_is_received_before_and_timed_out_from_its_timeout_on() {
        let at = At { height: Height::new(1, 5), time: Timestamp(5) };
        let r = Record { packet: Some(packet(0)), sent: Some(at), ..Record::default() };
        let head = |h, t| Some(Head { height: Height::new(1, h), time: Timestamp(t) });
        assert_eq!(r.due(None), Some(Action::Recv));
        assert_eq!(r.due(head(99, 999)), Some(Action::Recv));
        assert_eq!(r.due(head(100, 999)), Some(Action::Timeout));
        assert_eq!(r.due(head(99, 1_000)), Some(Action::Timeout));
        let received = Record { received: Some(at), ..r.clone() };
        assert_eq!(received.due(head(100, 1_000)), None);
        let acked = Record { ack: Some(Arc::from([1u8].as_slice())), ..received };
        assert_eq!(acked.due(head(100, 1_000)), Some(Action::Ack));
    }

    #[test]
    fn a_refused_text_gives_way_to_another_under_the_same_key() {
        let at = At { height: Height::new(1, 5), time: Timestamp(5) };
        let mut r = Record { packet: Some(packet(0)), sent: Some(at), refused: Some("differs"), ..Record::default() };
        r.merge(Record { packet: Some(packet(0)), sent: Some(at), ..Record::default() });
        assert_eq!(r.phase(false), Phase::Failed);
        let later = At { height: Height::new(1, 9), time: Timestamp(9) };
        r.merge(Record { packet: Some(packet(1)), sent: Some(later), ..Record::default() });
        assert_eq!(r.due(None), Some(Action::Recv));
        assert_eq!(r.sent, Some(later), "the block of the lie is no block of the packet");
    }

    #[test]
    fn a_refused_acknowledgement_gives_way_to_another() {
        let at = |n| Some(At { height: Height::new(1, n), time: Timestamp(n) });
        let told = |ack: u8, n| Record {
            packet: Some(packet(0)),
            received: at(5),
            ack: Some(Arc::from([ack].as_slice())),
            ack_written: at(n),
            ..Record::default()
        };
        let mut r = Record { refused: Some("ack_mismatch"), sent: at(1), ..told(1, 5) };
        r.merge(told(1, 5));
        assert_eq!(r.phase(false), Phase::Failed);
        r.merge(told(2, 7));
        assert_eq!((r.due(None), r.ack.clone(), r.ack_written), (Some(Action::Ack), told(2, 7).ack, at(7)));
        let mut filtered = Record { refused: Some("memo"), ..told(1, 5) };
        filtered.merge(told(2, 7));
        assert_eq!(filtered.phase(false), Phase::Failed);
    }
}
