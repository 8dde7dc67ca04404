//! `/status`, `/abci_info`, `/commit`, `/validators`, `/blockchain`, `/tx`, searches, broadcasts and simulations: each is read as what
//! it may be, and the rules that votes are counted by hold for every set that is taken.
#![no_main]

use libfuzzer_sys::fuzz_target;
use light_clients::limits::{MAX_TOTAL_VOTING_POWER, MAX_VALIDATORS};
use relayer_chains::cosmos::{fuzz, tx};
use relayer_core::chain::Outcome;
use relayer_core::id::TxHash;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    fuzz::status(text);
    fuzz::heights(text);
    fuzz::headers(text);
    if let Some((height, votes)) = fuzz::commit(text) {
        assert!(height <= i64::MAX as u64 && votes <= text.len());
    }
    if let Some(set) = fuzz::validators(text) {
        assert!(!set.validators().is_empty() && set.validators().len() <= MAX_VALIDATORS);
        assert!(set.total_voting_power().value() <= MAX_TOTAL_VOTING_POWER);
    }
    let hash = TxHash([0xab; 32]);
    if let Some(Ok(Outcome::Committed { height, report })) = tx::fuzz::committed(hash, text) {
        assert_eq!(report.hash, hash);
        assert!(height.number > 0);
    }
    tx::fuzz::accepted(text);
    if let Some(Ok(gas)) = tx::fuzz::simulated(text) {
        assert!(gas > 0);
    }
});
