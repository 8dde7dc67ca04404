//! What a Substrate node answers: headers that have to hash to the block asked for, justifications, read proofs, submissions; and trusted
//! blocks of the journal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use light_clients::grandpa::blake2_256;
use relayer_chains::substrate::{fuzz, tx};
use relayer_core::id::TxHash;
use relayer_fuzz::made::{KEY, VALUE, made};

fuzz_target!(|data: &[u8]| {
    assert_eq!(KEY, fuzz::KEY);
    fuzz::trusted(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let own = made().header();
    let hash = own.hash();
    if let Some((bytes, header)) = fuzz::header(text, &hash) {
        assert_eq!((blake2_256(&bytes), &header), (hash, own));
    }
    fuzz::notified(text);
    fuzz::proof(text);
    if let Some(Ok(proven)) = fuzz::stored(text, &hash, &own.state_root) {
        assert_eq!(proven.value.as_deref(), Some(VALUE));
    }
    if let Some(bytes) = fuzz::hex(text) {
        assert_eq!(bytes.len() * 2 + 2, text.len());
    }
    tx::fuzz::accepted(TxHash([7; 32]), text);
});
