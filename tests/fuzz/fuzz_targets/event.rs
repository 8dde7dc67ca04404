//! One ABCI event: it is a fact, an unusable one with a reason, or none of ours; packets in it keep ICS-04's rules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relayer_chains::cosmos::fuzz;
use relayer_core::fact::Fact;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match fuzz::fact(text) {
        Some(Fact::Sent(packet) | Fact::Received(packet) | Fact::AckWritten(packet, _)) => {
            assert!(packet.validate().is_ok() && packet.data.len() <= fuzz::CAP_BYTES);
        }
        Some(Fact::Unusable { reason, .. }) => assert!(!reason.is_empty()),
        Some(Fact::ClientUpdated { heights, header, .. }) => {
            assert!(heights.len() <= relayer_chains::ibc::limits::CONSENSUS_HEIGHTS && header.is_none());
        }
        _ => {}
    }
});
