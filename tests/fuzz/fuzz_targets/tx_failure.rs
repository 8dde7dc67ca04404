//! What a node says about a failed transaction: code 0 alone is success, every failure has a label, and its text is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relayer_chains::cosmos::tx::fuzz;
use relayer_core::id::ChainId;
use relayer_core::limits::DETAIL_BYTES;
use relayer_fuzz::Input;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let (code, gas) = (u32::from(input.byte()), input.byte());
    let (codespace, log) = (input.text(), input.rest());
    let chain = ChainId::new("sim-a-1").expect("an id");
    let gas = (gas > 0).then_some((100, u64::from(gas)));
    let failure = fuzz::verdict(&chain, code, codespace, log, gas);
    assert_eq!(failure.is_none(), code == 0);
    for failure in failure.into_iter().chain([fuzz::simulation(&chain, code, codespace, log)]) {
        assert!(!failure.label().is_empty());
        let text = failure.to_string();
        assert!(text.len() < 4 * DETAIL_BYTES, "{} bytes", text.len());
        assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
    }
});
