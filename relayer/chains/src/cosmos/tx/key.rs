//! A wallet's secp256k1 key.
//!
//! From a BIP-39 mnemonic (English, 12 to 24 words) along BIP-44 `m/44'/coin'/0'/0/index`, or from 32 bytes in hex. The address is
//! bech32(ripemd160(sha256(compressed public key))) (SDK ADR-28). Secrets are wiped when dropped and never printed: errors name the
//! place of a wrong word, not the word. Keys of coin type 60 chains that hash with Keccak (ethermint) are not of this kind.

use std::fmt;
use std::str::FromStr;

use bech32::{Bech32, Hrp};
use bip32::{DerivationPath, XPrv};
use k256::ecdsa::signature::Signer;
use k256::ecdsa::{Signature, SigningKey};
use ripemd::Ripemd160;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::limits::SECRET_BYTES;

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Neither 12 to 24 words nor 64 hex digits.
    #[error(
        "expected a mnemonic of 12, 15, 18, 21 or 24 words, or a private key of 64 hex digits; found {words} words"
    )]
    Form {
        /// Words found.
        words: usize,
    },
    /// A word that is not in the list.
    #[error("word {place} of the mnemonic is not in the English BIP-39 list; correct its spelling")]
    Word {
        /// From 1.
        place: usize,
    },
    /// The words don't belong together.
    #[error("the mnemonic's checksum is wrong; a word is missing, swapped or mistaken for another")]
    Checksum,
    /// Not a number of the curve, or not hex.
    #[error("the private key is not 64 hex digits of a secp256k1 key")]
    Hex,
    /// Coin type or index beyond 2^31 - 1.
    #[error("coin type and index of a derivation path are below 2147483648")]
    Path,
    /// The account prefix can't stand in a bech32 address.
    #[error("`{0}` can't be an account prefix; use lower-case letters like `cosmos`")]
    Prefix(String),
    /// No randomness.
    #[error("the operating system gave no random numbers")]
    Random,
}

/// A key that signs.
#[derive(Clone)]
pub struct Key(SigningKey);

impl Key {
    /// A mnemonic or a private key in hex, whichever the text is.
    pub fn from_secret(secret: &SecretString, coin_type: u32, index: u32) -> Result<Self, KeyError> {
        let text = secret.expose_secret().trim();
        if text.len() > SECRET_BYTES {
            return Err(KeyError::Form { words: text.split_whitespace().count() });
        }
        if text.split_whitespace().nth(1).is_some() {
            Self::from_mnemonic(text, coin_type, index)
        } else {
            Self::from_hex(text)
        }
    }

    fn from_hex(text: &str) -> Result<Self, KeyError> {
        let text = text.strip_prefix("0x").unwrap_or(text);
        if text.len() != 64 {
            return Err(KeyError::Form { words: usize::from(!text.is_empty()) });
        }
        let mut bytes = Zeroizing::new([0u8; 32]);
        hex::decode_to_slice(text, bytes.as_mut()).map_err(|_| KeyError::Hex)?;
        SigningKey::from_slice(bytes.as_ref()).map(Self).map_err(|_| KeyError::Hex)
    }

    fn from_mnemonic(text: &str, coin_type: u32, index: u32) -> Result<Self, KeyError> {
        let words = text.split_whitespace().count();
        let mut normal = Zeroizing::new(String::with_capacity(SECRET_BYTES + 1));
        for word in text.split_whitespace() {
            if !normal.is_empty() {
                normal.push(' ');
            }
            normal.extend(word.chars().map(|c| c.to_ascii_lowercase()));
        }
        let mnemonic =
            bip39::Mnemonic::parse_in_normalized(bip39::Language::English, &normal).map_err(|error| match error {
                bip39::Error::UnknownWord(place) => KeyError::Word { place: place + 1 },
                bip39::Error::InvalidChecksum => KeyError::Checksum,
                _ => KeyError::Form { words },
            })?;
        if coin_type >= 1 << 31 || index >= 1 << 31 {
            return Err(KeyError::Path);
        }
        let path = DerivationPath::from_str(&format!("m/44'/{coin_type}'/0'/0/{index}")).map_err(|_| KeyError::Path)?;
        let seed = Zeroizing::new(mnemonic.to_seed_normalized(""));
        let derived = XPrv::derive_from_path(seed.as_ref(), &path).map_err(|_| KeyError::Path)?;
        Ok(Self(derived.private_key().clone()))
    }

    /// A new mnemonic of 24 words.
    pub fn generate_mnemonic() -> Result<SecretString, KeyError> {
        let mnemonic = bip39::Mnemonic::generate(24).map_err(|_| KeyError::Random)?;
        let mut words = Zeroizing::new(String::with_capacity(SECRET_BYTES));
        for word in mnemonic.words() {
            if !words.is_empty() {
                words.push(' ');
            }
            words.push_str(word);
        }
        Ok(SecretString::from(words.as_str()))
    }

    /// The address on a chain with this account prefix.
    pub fn address(&self, prefix: &str) -> Result<String, KeyError> {
        let bad = || KeyError::Prefix(prefix.chars().take(SECRET_BYTES).collect());
        if prefix.is_empty() || prefix.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(bad());
        }
        let hrp = Hrp::parse(prefix).map_err(|_| bad())?;
        let hash = Ripemd160::digest(Sha256::digest(self.public_key()));
        bech32::encode::<Bech32>(hrp, &hash).map_err(|_| bad())
    }

    /// Compressed public key.
    pub fn public_key(&self) -> [u8; 33] {
        let point = self.0.verifying_key().to_encoded_point(true);
        let mut bytes = [0; 33];
        bytes.iter_mut().zip(point.as_bytes()).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// r and s over sha256 of the bytes, s in the lower half: the SDK refuses the other.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let signature: Signature = self.0.sign(bytes);
        signature.normalize_s().unwrap_or(signature).to_bytes().into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::signature::Verifier;

    use super::*;

    const ART: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                       abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art";
    const JUNK: &str = "test test test test test test test test test test test junk";

    fn key(text: &str) -> Result<Key, KeyError> {
        Key::from_secret(&SecretString::from(text), 118, 0)
    }

    #[test]
    fn well_known_mnemonics_give_the_addresses_that_simd_gives() {
        for (words, address, public) in [
            (
                ART,
                "cosmos1r5v5srda7xfth3hn2s26txvrcrntldjumt8mhl",
                "02ba66a84cf7839af172a13e7fc9f5e7008cb8bca1585f8f3bafb3039eda3c1fdd",
            ),
            (
                JUNK,
                "cosmos15yk64u7zc9g9k2yr2wmzeva5qgwxps6yxj00e7",
                "0223aa679d6d5344e201e0df9f02ab15a84726eee0dfb4e953c46a9e2cb52349dc",
            ),
        ] {
            let key = key(words).unwrap();
            assert_eq!(key.address("cosmos").unwrap(), address);
            assert_eq!(hex::encode(key.public_key()), public);
        }
    }

    #[test]
    fn case_and_spaces_of_a_mnemonic_do_not_matter_and_paths_differ() {
        let plain = key(JUNK).unwrap();
        let spaced = key(&format!("  {}\n", JUNK.to_uppercase().replace(' ', " \t "))).unwrap();
        assert_eq!(plain.public_key(), spaced.public_key());
        let second = Key::from_secret(&SecretString::from(JUNK), 118, 1).unwrap();
        assert_ne!(plain.public_key(), second.public_key());
        assert_eq!(Key::from_secret(&SecretString::from(JUNK), 118, 1 << 31).unwrap_err(), KeyError::Path);
    }

    #[test]
    fn a_wrong_secret_is_explained_without_being_repeated() {
        let swapped = JUNK.replace("junk", "test");
        assert_eq!(key(&swapped).unwrap_err(), KeyError::Checksum);
        let misspelt = JUNK.replace("junk", "jumk");
        let error = key(&misspelt).unwrap_err();
        assert_eq!(error, KeyError::Word { place: 12 });
        assert!(!format!("{error} {error:?}").contains("jumk"));
        assert_eq!(key("test test").unwrap_err(), KeyError::Form { words: 2 });
        assert_eq!(key("").unwrap_err(), KeyError::Form { words: 0 });
        assert_eq!(key(&"00".repeat(32)).unwrap_err(), KeyError::Hex);
        assert_eq!(key(&"zz".repeat(32)).unwrap_err(), KeyError::Hex);
        assert!(matches!(key(&"word ".repeat(10_000)), Err(KeyError::Form { words: 10_000 })));
    }

    #[test]
    fn hex_keys_are_taken_and_generated_mnemonics_are_valid() {
        let one = key(&format!("{:064x}", 1)).unwrap();
        assert_eq!(hex::encode(one.public_key()), "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
        let made = Key::generate_mnemonic().unwrap();
        assert_eq!(made.expose_secret().split(' ').count(), 24);
        assert!(Key::from_secret(&made, 118, 0).is_ok());
    }

    #[test]
    fn attack_48_a_key_prints_nothing_of_itself() {
        let key = key(&format!("{:064x}", 7)).unwrap();
        assert_eq!(format!("{key:?}"), "Key(redacted)");
    }

    #[test]
    fn a_bad_prefix_is_refused() {
        let key = key(JUNK).unwrap();
        for prefix in ["", "Cosmos", "cos mos", "é"] {
            assert_eq!(key.address(prefix), Err(KeyError::Prefix(prefix.into())));
        }
    }

    #[test]
    fn signatures_verify_and_have_a_low_s() {
        let key = key(JUNK).unwrap();
        for n in 0..32u8 {
            let signature = Signature::from_slice(&key.sign(&[n])).unwrap();
            assert!(signature.normalize_s().is_none(), "s is high");
            key.0.verifying_key().verify(&[n], &signature).unwrap();
        }
    }
}
