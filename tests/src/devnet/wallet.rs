//! Keys of test accounts: a secp256k1 key on the Cosmos HD path, from a mnemonic.
//!
//! A wallet's mnemonic follows from its name, so every test run has the same addresses and none stands in a file.
//!
//! ```
//! # fn main() -> Result<(), relayer_tests::DevnetError> {
//! use relayer_tests::devnet::Wallet;
//! let wallet = Wallet::named("user-a")?;
//! assert!(wallet.address().starts_with("cosmos1"));
//! assert_eq!(wallet.mnemonic().split(' ').count(), 24);
//! # Ok(())
//! # }
//! ```

use bip32::{DerivationPath, XPrv};
use bip39::Mnemonic;
use k256::ecdsa::SigningKey;
use k256::ecdsa::signature::Signer;
use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

use crate::DevnetError;

/// The prefix of account addresses of the test chain, a constant of its source.
pub const ACCOUNT_PREFIX: &str = "cosmos";

/// The Cosmos account path of BIP-44: coin type 118, first account, first key.
const HD_PATH: &str = "m/44'/118'/0'/0/0";

/// A named key pair and the words it comes from.
#[derive(Clone)]
pub struct Wallet {
    name: String,
    mnemonic: String,
    key: SigningKey,
    address: [u8; 20],
    bech32: String,
}

impl Wallet {
    /// The wallet whose words follow from its name.
    ///
    /// # Errors
    /// [`DevnetError::Wallet`] if derivation fails.
    pub fn named(name: &str) -> Result<Self, DevnetError> {
        let entropy = Sha256::digest(format!("relayer-tests wallet {name}"));
        let mnemonic = Mnemonic::from_entropy(&entropy).map_err(|e| refused(name, e))?;
        Self::from_mnemonic(name, &mnemonic.to_string())
    }

    /// The wallet of these words.
    ///
    /// # Errors
    /// [`DevnetError::Wallet`] if the words are no mnemonic.
    pub fn from_mnemonic(name: &str, words: &str) -> Result<Self, DevnetError> {
        let mnemonic = Mnemonic::parse_normalized(words).map_err(|e| refused(name, e))?;
        let path: DerivationPath = HD_PATH.parse().map_err(|e| refused(name, e))?;
        let derived = XPrv::derive_from_path(mnemonic.to_seed(""), &path).map_err(|e| refused(name, e))?;
        let key = derived.private_key().clone();
        let public = key.verifying_key().to_encoded_point(true);
        let address: [u8; 20] = Ripemd160::digest(Sha256::digest(public.as_bytes())).into();
        let bech32 = bech32_address(name, ACCOUNT_PREFIX, &address)?;
        Ok(Self { name: name.to_owned(), mnemonic: words.to_owned(), key, address, bech32 })
    }

    /// The wallet's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The words, for a relayer's key settings.
    #[must_use]
    pub fn mnemonic(&self) -> &str {
        &self.mnemonic
    }

    /// The account address with the chain's own prefix.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.bech32
    }

    /// The same account written with another prefix.
    ///
    /// # Errors
    /// [`DevnetError::Wallet`] if the prefix is not one.
    pub fn address_with_prefix(&self, prefix: &str) -> Result<String, DevnetError> {
        bech32_address(&self.name, prefix, &self.address)
    }

    /// The compressed public key, 33 bytes.
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        self.key.verifying_key().to_encoded_point(true).as_bytes().to_vec()
    }

    /// A signature over SHA-256 of the bytes, 64 bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let signature: k256::ecdsa::Signature = self.key.sign(bytes);
        signature.normalize_s().unwrap_or(signature).to_bytes().to_vec()
    }
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wallet").field("name", &self.name).field("address", &self.bech32).finish_non_exhaustive()
    }
}

pub(super) fn bech32_address(name: &str, prefix: &str, address: &[u8]) -> Result<String, DevnetError> {
    let hrp = bech32::Hrp::parse(prefix).map_err(|e| refused(name, e))?;
    bech32::encode::<bech32::Bech32>(hrp, address).map_err(|e| refused(name, e))
}

fn refused(name: &str, reason: impl ToString) -> DevnetError {
    DevnetError::Wallet { name: name.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_give_the_known_address() {
        let words = "abandon ".repeat(11) + "about";
        let wallet = Wallet::from_mnemonic("known", &words).unwrap();
        assert_eq!(wallet.address(), "cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4");
    }

    #[test]
    fn names_give_different_accounts_and_the_same_ones_each_time() {
        let a = Wallet::named("a").unwrap();
        assert_eq!(a.address(), Wallet::named("a").unwrap().address());
        assert_ne!(a.address(), Wallet::named("b").unwrap().address());
        assert!(a.address_with_prefix("osmo").unwrap().starts_with("osmo1"));
    }

    #[test]
    fn words_with_a_wrong_checksum_are_refused() {
        let words = "abandon ".repeat(11) + "abandon";
        assert!(matches!(Wallet::from_mnemonic("bad", &words), Err(DevnetError::Wallet { .. })));
    }
}
