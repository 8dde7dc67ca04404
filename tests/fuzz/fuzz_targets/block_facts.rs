//! `/block` and `/block_results`: facts are of the height that was asked for, within the limits, and the same when read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relayer_chains::cosmos::fuzz;
use relayer_core::fact::Fact;
use relayer_core::limits::FACTS_PER_BLOCK;
use relayer_fuzz::Input;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let height = input.number();
    let (block, results) = (input.text(), input.rest());
    let Some(Ok(facts)) = fuzz::facts(height, block, results) else { return };
    assert_eq!(facts.at.height.number, height);
    assert!(facts.facts.len() <= FACTS_PER_BLOCK);
    for fact in &facts.facts {
        if let Fact::Sent(packet) | Fact::Received(packet) | Fact::AckWritten(packet, _) = fact {
            assert!(packet.validate().is_ok());
        }
        if let Fact::AckWritten(_, ack) = fact {
            assert!(ack.len() <= fuzz::CAP_BYTES);
        }
    }
    assert_eq!(fuzz::facts(height, block, results), Some(Ok(facts)));
});
