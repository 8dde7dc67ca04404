//! WebSocket messages: an event is part of what was sent and never empty.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relayer_chains::rpc::fuzz;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(Some(event)) = fuzz::wake(text) {
        assert!(text.contains(event.get()));
        assert_ne!(event.get(), "{}");
    }
});
