//! ICS-24 identifiers and ICS-02 heights from text: what is taken is printed as it came, and makes a path of just its parts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relayer_core::chain::Path;
use relayer_core::id::{ChainId, ChannelId, ClientId, ConnectionId, Height, PortId, Sequence};
use relayer_core::packet::PortChannel;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(chain) = ChainId::new(text) {
        assert_eq!(chain.to_string(), text);
        let revision = chain.revision();
        assert!(revision == 0 || text.ends_with(&format!("-{revision}")));
    }
    if let Ok(height) = text.parse::<Height>() {
        assert_eq!(height.to_string().parse(), Ok(height));
    }
    let parts = |path: Path| path.to_string().split('/').count();
    if let Ok(client) = ClientId::new(text) {
        assert_eq!(parts(Path::ClientState(client)), 3);
    }
    if let Ok(connection) = ConnectionId::new(text) {
        assert_eq!(parts(Path::Connection(connection)), 2);
    }
    if let (Ok(port), Ok(channel)) = (PortId::new(text), ChannelId::new(text)) {
        assert!(text.is_ascii() && !text.contains('/'));
        assert_eq!(parts(Path::Ack(PortChannel { port, channel }, Sequence(1))), 7);
    }
});
