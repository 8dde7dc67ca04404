//! XCM messages of a path's packets, kept while the packets are open: what `status` and `packets pending` show of them.

use std::collections::VecDeque;
use std::sync::Arc;

use relayer_core::packet::PacketKey;
use relayer_core::record::Phase;
use relayer_xcm::{Error, Version, VersionedXcm};

use crate::limits::XCM_PACKETS;

/// A packet that carries a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XcmPacket {
    /// The packet.
    pub key: PacketKey,
    /// Its message, or what is wrong with it.
    pub message: Result<XcmMessage, Error>,
    /// Why the packet is not relayed.
    pub refused: Option<&'static str>,
}

/// What is shown of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XcmMessage {
    /// Its version.
    pub version: Version,
    /// Its instructions, those of nested programs with them.
    pub instructions: usize,
    /// One line.
    pub summary: String,
}

impl From<&VersionedXcm> for XcmMessage {
    fn from(message: &VersionedXcm) -> Self {
        Self {
            version: message.version,
            instructions: message.xcm.instructions_deep().count(),
            summary: message.summary(),
        }
    }
}

/// The packets seen last, at most [`XCM_PACKETS`].
#[derive(Debug, Default)]
pub(super) struct Seen(VecDeque<Arc<XcmPacket>>);

impl Seen {
    pub(super) fn add(&mut self, packet: XcmPacket) {
        self.0.push_back(Arc::new(packet));
        if self.0.len() > XCM_PACKETS {
            self.0.pop_front();
        }
    }

    /// A packet is over. What we refuse stays open on its chain until it times out there.
    pub(super) fn ended(&mut self, key: &PacketKey, phase: Phase, reason: Option<&'static str>) {
        if phase != Phase::Failed {
            return self.0.retain(|packet| packet.key != *key);
        }
        for packet in self.0.iter_mut().filter(|packet| packet.key == *key) {
            *packet = Arc::new(XcmPacket { refused: reason, ..XcmPacket::clone(packet) });
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<XcmPacket>> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use relayer_core::id::{ChannelId, PortId, Sequence};
    use relayer_core::packet::{PortChannel, Side};

    use super::*;

    fn packet(sequence: u64) -> XcmPacket {
        let source =
            PortChannel { port: PortId::new("transfer").unwrap(), channel: ChannelId::new("channel-0").unwrap() };
        let key = PacketKey { from: Side::A, source, sequence: Sequence(sequence) };
        let message = VersionedXcm::decode(&[4, 4, 10]).map(|message| XcmMessage::from(&message));
        XcmPacket { key, message, refused: None }
    }

    fn shown(seen: &Seen) -> Vec<(u64, Option<&str>)> {
        seen.all().iter().map(|packet| (packet.key.sequence.0, packet.refused)).collect()
    }

    #[test]
    fn the_newest_are_kept_until_they_end_and_refused_ones_say_why() {
        let mut seen = Seen::default();
        for sequence in 1..=XCM_PACKETS as u64 + 1 {
            seen.add(packet(sequence));
        }
        assert_eq!(shown(&seen).first(), Some(&(2, None)));
        assert_eq!(shown(&seen).len(), XCM_PACKETS);
        seen.ended(&packet(3).key, Phase::Failed, Some("xcm_instruction"));
        for sequence in [2, 4] {
            seen.ended(&packet(sequence).key, Phase::Acked, None);
        }
        assert_eq!(shown(&seen)[..2], [(3, Some("xcm_instruction")), (5, None)]);
        seen.ended(&packet(3).key, Phase::TimedOut, None);
        assert_eq!(shown(&seen)[0], (5, None));
    }
}
