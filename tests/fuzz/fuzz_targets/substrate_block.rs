//! Events and extrinsics of a Substrate block, by a runtime's metadata that the node tells, too: facts within their bounds, one report for
//! each extrinsic, and messages only of extrinsics that hold them.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use relayer_chains::substrate::fuzz::{CAP_BYTES, Decoder};
use relayer_core::fact::Fact;
use relayer_core::limits::{FACTS_PER_BLOCK, XCM_PER_BLOCK};
use relayer_fuzz::Input;
use relayer_fuzz::made::metadata;

/// Bytes with their length before them.
fn part<'a>(input: &mut Input<'a>) -> &'a [u8] {
    let length = u16::from_le_bytes([input.byte(), input.byte()]);
    input.bytes(length.into())
}

fuzz_target!(|data: &[u8]| {
    static REAL: OnceLock<Decoder> = OnceLock::new();
    let mut input = Input(data);
    let told;
    let decoder = match input.byte() % 2 {
        0 => REAL.get_or_init(|| Decoder::new(&metadata()).expect("metadata")),
        _ => match Decoder::new(part(&mut input)) {
            Some(decoder) => {
                told = decoder;
                &told
            }
            None => return,
        },
    };
    let events = part(&mut input);
    let extrinsics = vec![part(&mut input).to_vec(), input.0.to_vec()];
    for bytes in &extrinsics {
        let held: usize = decoder.messages(bytes).unwrap_or_default().iter().map(|any| any.value.len()).sum();
        assert!(held <= bytes.len());
    }
    let Some(block) = decoder.facts(events, &extrinsics) else { return };
    assert_eq!(block.txs.len(), extrinsics.len());
    assert!(block.facts.len() <= FACTS_PER_BLOCK && block.xcm.len() <= XCM_PER_BLOCK);
    for fact in &block.facts {
        if let Fact::Sent(packet) | Fact::Received(packet) = fact {
            assert!(packet.data.len() <= CAP_BYTES);
        }
    }
});
