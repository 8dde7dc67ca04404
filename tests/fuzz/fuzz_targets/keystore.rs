//! Encrypted key files: a damaged or planted one gives an error, never another secret, and asks for no more than bounded work.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relayer::keys::fuzz;
use secrecy::ExposeSecret as _;

fuzz_target!(|data: &[u8]| {
    if let Ok(secret) = fuzz::unseal(data, "horse".to_owned().into()) {
        assert_eq!(secret.expose_secret(), "abandon ability able about above absent");
    }
});
