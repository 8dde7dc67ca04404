//! Addresses of nodes: what is printed of one holds neither user nor password nor path nor query.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relayer_chains::rpc::EndpointUrl;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<EndpointUrl>() {
        Ok(url) => {
            let socket = url.websocket();
            for shown in [url.label(), url.to_string(), socket.label(), socket.to_string()] {
                let host = shown.split_once("://").map_or(shown.as_str(), |(_, host)| host);
                assert!(!host.contains(['@', '/', '?', '#']), "{shown}");
            }
        }
        Err(bad) => assert!(bad.to_string().len() < 1_024),
    }
});
