//! Light blocks as the journal keeps them: what is read is written as it can be read again, and is of the chain.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relayer_chains::cosmos::fuzz;

fuzz_target!(|data: &[u8]| {
    for chain in ["sim-b-1", "sim-a-1"] {
        if let Some(written) = fuzz::light_block(data, chain) {
            let written = written.expect("a light block that can't be written");
            assert_eq!(fuzz::light_block(&written, chain), Some(Some(written.clone())));
        }
    }
});
