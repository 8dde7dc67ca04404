//! Transactions of a block, and accounts: the headers that somebody submitted are found and decoded, whatever else is in there.
#![no_main]

use ibc_proto::google::protobuf::Any;
use libfuzzer_sys::fuzz_target;
use light_clients::tendermint::{Header, Misbehaviour};
use prost::Message as _;
use relayer_chains::cosmos::{fuzz, limits, tx};

fuzz_target!(|data: &[u8]| {
    let found = fuzz::submitted_headers(data);
    assert!(found.is_empty() || data.len() <= limits::TX_BYTES);
    assert!(found.iter().map(|(client, header)| client.len() + header.value.len()).sum::<usize>() <= data.len());
    for (_, header) in &found {
        let both = Header::decode(header).is_ok() && Misbehaviour::decode(header).is_ok();
        assert!(!both, "one message of two types");
    }
    if let Ok(account) = Any::decode(data) {
        if let Some((address, _, _)) = tx::fuzz::account(&account) {
            assert!(address.len() <= data.len());
        }
    }
});
