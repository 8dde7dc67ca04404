//! The keys with which validators vote for finality: of a public seed, so that a test can sign what no honest validator would.

use ed25519_consensus::SigningKey;
use parity_scale_codec::Encode;
use sp_crypto_hashing::blake2_256;

/// The secret of Substrate's development phrase.
const DEVELOPMENT: [u8; 32] = [
    0xfa, 0xc7, 0x95, 0x9d, 0xbf, 0xe7, 0x2f, 0x05, 0x2e, 0x5a, 0x0c, 0x3c, 0x8d, 0x65, 0x30, 0xf2, 0x02, 0xb0, 0x2f,
    0xd8, 0xf9, 0xf5, 0xca, 0x35, 0x80, 0xec, 0x8d, 0xeb, 0x77, 0x97, 0x47, 0x9e,
];

/// The key of a validator's votes: `//Validator//<index>` of the development phrase, as ed25519.
#[must_use]
pub fn voter(index: u64) -> SigningKey {
    let secret = derive(derive(DEVELOPMENT, &"Validator".encode()), &index.encode());
    SigningKey::from(secret)
}

/// A hard junction of Substrate's secret URIs; its code is padded with zeros.
fn derive(secret: [u8; 32], junction: &[u8]) -> [u8; 32] {
    let mut code = [0; 32];
    code.iter_mut().zip(junction).for_each(|(place, byte)| *place = *byte);
    blake2_256(&("Ed25519HDKD", secret, code).encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_those_that_substrate_derives() {
        // `//Alice` as ed25519, as every Substrate tool prints it.
        let alice = derive(DEVELOPMENT, &"Alice".encode());
        assert_eq!(hex::encode(alice), "abf8e5bdbe30c65656c0a3cbd181ff8a56294a69dfedd27982aace4a76909115");
        assert_ne!(voter(0).verification_key(), voter(1).verification_key());
    }
}
