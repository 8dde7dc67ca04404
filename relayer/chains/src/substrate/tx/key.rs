//! A wallet's sr25519 key.
//!
//! From a secret URI as Substrate's tools take it: a BIP-39 mnemonic (English) or `0x` and 64 hex digits, then derivation junctions
//! (`//hard`, `/soft`), then `///password`. A URI that begins with a junction derives from the public development phrase: `//Alice` is for
//! test networks. Secrets are never printed: errors name the place of a wrong word, not the word.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use subxt::config::substrate::SubstrateConfig;
use subxt::utils::{AccountId32, MultiSignature};
use subxt_signer::SecretUri;
use subxt_signer::sr25519::{Error, Keypair};
use thiserror::Error;

use super::limits::SECRET_BYTES;
use super::ss58;

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Neither words nor hex.
    #[error("expected a secret URI: a mnemonic of 12 to 24 words, or 0x and 64 hex digits, then junctions like //0")]
    Form,
    /// A word that is not in the list.
    #[error("word {place} of the mnemonic is not in the English BIP-39 list; correct its spelling")]
    Word {
        /// From 1.
        place: usize,
    },
    /// The words don't belong together.
    #[error("the mnemonic's checksum is wrong; a word is missing, swapped or mistaken for another")]
    Checksum,
    /// The network's number has more than 14 bits.
    #[error("`{0}` is no SS58 prefix; they are below 16384")]
    Prefix(u16),
}

/// A key that signs.
#[derive(Clone)]
pub struct Key(Keypair);

impl Key {
    /// Of a secret URI.
    pub fn from_secret(secret: &SecretString) -> Result<Self, KeyError> {
        let text = secret.expose_secret().trim();
        if text.is_empty() || text.len() > SECRET_BYTES {
            return Err(KeyError::Form);
        }
        let uri = SecretUri::from_str(text).map_err(|_| KeyError::Form)?;
        Keypair::from_uri(&uri).map(Self).map_err(|error| match error {
            Error::Phrase(bip39::Error::UnknownWord(place)) => KeyError::Word { place: place.saturating_add(1) },
            Error::Phrase(bip39::Error::InvalidChecksum) => KeyError::Checksum,
            _ => KeyError::Form,
        })
    }

    /// The public key, which is the account's id.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.public_key().0
    }

    /// The address on the network with this number.
    pub fn address(&self, network: u16) -> Result<String, KeyError> {
        if network >= ss58::NETWORKS {
            return Err(KeyError::Prefix(network));
        }
        Ok(ss58::address(network, &self.public_key()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl subxt::transactions::Signer<SubstrateConfig> for Key {
    fn account_id(&self) -> AccountId32 {
        AccountId32(self.public_key())
    }
    fn sign(&self, payload: &[u8]) -> MultiSignature {
        MultiSignature::Sr25519(self.0.sign(payload).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHRASE: &str = "bottom drive obey lake curtain smoke basket hold race lonely fit walk";

    fn key(text: &str) -> Result<Key, KeyError> {
        Key::from_secret(&SecretString::from(text))
    }

    #[test]
    fn secret_uris_give_the_keys_that_substrates_tools_give() {
        let alice = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
        assert_eq!(key("//Alice").unwrap().address(42).unwrap(), alice);
        assert_eq!(key(&format!(" {PHRASE}//Alice\n")).unwrap().address(42).unwrap(), alice);
        let seed = "0xe5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a";
        assert_eq!(key(seed).unwrap().address(42).unwrap(), alice);
        assert_eq!(key("//Alice").unwrap().address(1 << 14), Err(KeyError::Prefix(1 << 14)));
    }

    #[test]
    fn wrong_secrets_are_refused_without_being_shown() {
        let last_swapped = PHRASE.replace("fit walk", "walk fit");
        for (text, error) in [
            ("", KeyError::Form),
            ("0x12", KeyError::Form),
            ("bottom drive", KeyError::Form),
            (last_swapped.as_str(), KeyError::Checksum),
            (&PHRASE.replace("obey", "obay"), KeyError::Word { place: 3 }),
            (&"x".repeat(SECRET_BYTES + 1), KeyError::Form),
        ] {
            let found = key(text).unwrap_err();
            assert_eq!(found, error, "{}", text.len());
            assert!(!found.to_string().contains("obay"));
        }
        assert_eq!(format!("{:?}", key("//Alice").unwrap()), "Key");
    }
}
