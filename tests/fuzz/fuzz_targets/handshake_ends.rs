//! Connection and channel ends of a chain's store (ICS-03, ICS-04): bounded, and complete past INIT.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relayer_core::handshake::{ChannelEnd, ConnectionEnd, EndState, limits};

fuzz_target!(|data: &[u8]| {
    if let Ok(end) = ConnectionEnd::decode(data) {
        assert!(data.len() <= limits::END_BYTES);
        assert!(!end.versions.is_empty() && end.versions.len() <= limits::VERSIONS);
        assert!(end.state != EndState::Closed);
        assert!(end.state == EndState::Init || end.counterparty.is_some() && end.versions.len() == 1);
    }
    if let Ok(end) = ChannelEnd::decode(data) {
        assert!(data.len() <= limits::END_BYTES && end.version.len() <= data.len());
        assert!(matches!(end.state, EndState::Init | EndState::Closed) || end.counterparty.is_some());
    }
});
