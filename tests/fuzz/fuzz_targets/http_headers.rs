//! Retry-After and Date: seconds are taken as they stand, everything else is a wait or nothing.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use relayer_chains::rpc::fuzz;
use relayer_fuzz::Input;
use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let mut headers = HeaderMap::new();
    let (retry, date) = (input.part(), input.part());
    for (name, bytes) in [(RETRY_AFTER, retry), (DATE, date)] {
        if let Ok(value) = HeaderValue::from_bytes(bytes) {
            headers.insert(name, value);
        }
    }
    let wait = fuzz::retry_after(&headers);
    let text = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    if let Some(seconds) = text.and_then(|text| text.trim().parse().ok()) {
        assert_eq!(wait, Some(Duration::from_secs(seconds)));
    }
});
