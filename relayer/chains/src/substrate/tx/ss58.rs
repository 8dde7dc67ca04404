//! Addresses of Substrate accounts (SS58): base58 of the network's number, the public key and two bytes of a hash.

use blake2::Digest as _;

const PREFIX: &[u8] = b"SS58PRE";
/// Numbers from here on take 16 bits.
const TWO_BYTES: u16 = 64;
/// Numbers have 14 bits.
pub(crate) const NETWORKS: u16 = 1 << 14;

/// The address of a public key on the network with this number (below 16,384).
pub fn address(network: u16, key: &[u8; 32]) -> String {
    let mut bytes = Vec::with_capacity(36);
    if network < TWO_BYTES {
        bytes.extend(network.to_le_bytes().first());
    } else {
        let network = network % NETWORKS;
        let low = u8::try_from((network & 0b0000_0000_1111_1100) >> 2).unwrap_or_default();
        let high = u8::try_from(network >> 8).unwrap_or_default();
        let rest = u8::try_from(network & 0b11).unwrap_or_default();
        bytes.extend([low | 0b0100_0000, high | (rest << 6)]);
    }
    bytes.extend(key);
    let hash = blake2::Blake2b512::new().chain_update(PREFIX).chain_update(&bytes).finalize();
    bytes.extend(hash.iter().take(2));
    bs58::encode(bytes).into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The well-known development account `//Alice`.
    const ALICE: &str = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";

    #[test]
    fn addresses_are_those_of_the_registered_networks() {
        let mut key = [0; 32];
        hex::decode_to_slice(ALICE, &mut key).unwrap();
        assert_eq!(address(42, &key), "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
        assert_eq!(address(0, &key), "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5");
        assert_eq!(address(2, &key), "HNZata7iMYWmk5RvZRTiAsSDhV8366zq2YGb3tLH5Upf74F");
        assert_eq!(address(252, &key), "xw8P6urbSAronL3zZFB7dg8p7LLSgKCUFDUgjohnf1iP434ic");
    }
}
