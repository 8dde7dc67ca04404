//! `/abci_query` of the store: what is taken is for the height and key that were asked for, bounded, and with a proof that decodes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use light_clients::commitment::ics23::decode_proof;
use relayer_chains::cosmos::{fuzz, limits};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(Ok(proven)) = fuzz::stored(text) else { return };
    assert_eq!(proven.proof_height.number, fuzz::HEIGHT + 1);
    assert!(proven.value.is_none_or(|value| !value.is_empty() && value.len() <= limits::VALUE_BYTES));
    if let Ok(proof) = decode_proof(&proven.proof) {
        assert!(proof.proofs.len() <= limits::PROOF_OPS);
    }
});
