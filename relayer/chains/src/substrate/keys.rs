//! Where the chain's own modules keep what we read: FRAME's storage keys.
//!
//! A module's value stands under `twox_128(module) ++ twox_128(name)`, as `construct_runtime` names them. IBC values stand under raw
//! keys: see [`super::store`].

pub(crate) use light_clients::commitment::trie::TIMESTAMP_NOW;
use sp_crypto_hashing::twox_128;

/// The key of a module's value.
pub(crate) fn value(module: &str, name: &str) -> Vec<u8> {
    [twox_128(module.as_bytes()), twox_128(name.as_bytes())].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_frame() {
        assert_eq!(value("Timestamp", "Now"), TIMESTAMP_NOW);
        let events = "26aa394eea5630e07c48ae0c9558cef780d41e5e16056765bc8461851072c9d7";
        assert_eq!(hex::encode(value("System", "Events")), events);
    }
}
