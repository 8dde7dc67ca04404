//! Signatures and hashes by the host: the verification of a header takes a fraction of what it would take inside the wasm machine.

use ibc_core::commitment_types::proto::ics23::{HostFunctionsManager, HostFunctionsProvider};
use tendermint::crypto::{Sha256, signature};
use tendermint::merkle::{Hash, MerkleHash, NonIncremental};
use tendermint_light_client_verifier::PredicateVerifier;
use tendermint_light_client_verifier::operations::{ProdCommitValidator, ProvidedVotingPowerCalculator};
use tendermint_light_client_verifier::predicates::VerificationPredicates;

/// The host's cryptography. Its ed25519 keeps the ZIP-215 rule, which is CometBFT's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCrypto;

/// The light client of tendermint-rs with [`HostCrypto`].
pub type HostVerifier = PredicateVerifier<HostCrypto, ProvidedVotingPowerCalculator<HostCrypto>, ProdCommitValidator>;

impl Sha256 for HostCrypto {
    fn digest(data: impl AsRef<[u8]>) -> [u8; 32] {
        sp_io::hashing::sha2_256(data.as_ref())
    }
}

impl MerkleHash for HostCrypto {
    fn empty_hash(&mut self) -> Hash {
        NonIncremental::<Self>::default().empty_hash()
    }
    fn leaf_hash(&mut self, bytes: &[u8]) -> Hash {
        NonIncremental::<Self>::default().leaf_hash(bytes)
    }
    fn inner_hash(&mut self, left: Hash, right: Hash) -> Hash {
        NonIncremental::<Self>::default().inner_hash(left, right)
    }
}

impl signature::Verifier for HostCrypto {
    fn verify(
        key: tendermint::PublicKey,
        message: &[u8],
        signature: &tendermint::Signature,
    ) -> Result<(), signature::Error> {
        let key = key.ed25519().ok_or(signature::Error::UnsupportedKeyType)?;
        let key: [u8; 32] = key.as_bytes().try_into().map_err(|_| signature::Error::MalformedPublicKey)?;
        let signature: [u8; 64] = signature.as_bytes().try_into().map_err(|_| signature::Error::MalformedSignature)?;
        let key = sp_core::ed25519::Public::from_raw(key);
        let signature = sp_core::ed25519::Signature::from_raw(signature);
        match sp_io::crypto::ed25519_verify(&signature, message, &key) {
            true => Ok(()),
            false => Err(signature::Error::VerificationFailed),
        }
    }
}

impl VerificationPredicates for HostCrypto {
    type Sha256 = HostCrypto;
}

impl HostFunctionsProvider for HostCrypto {
    fn sha2_256(message: &[u8]) -> [u8; 32] {
        sp_io::hashing::sha2_256(message)
    }
    fn sha2_512(message: &[u8]) -> [u8; 64] {
        HostFunctionsManager::sha2_512(message)
    }
    fn sha2_512_truncated(message: &[u8]) -> [u8; 32] {
        HostFunctionsManager::sha2_512_truncated(message)
    }
    fn keccak_256(message: &[u8]) -> [u8; 32] {
        sp_io::hashing::keccak_256(message)
    }
    fn ripemd160(message: &[u8]) -> [u8; 20] {
        HostFunctionsManager::ripemd160(message)
    }
    fn blake2b_512(message: &[u8]) -> [u8; 64] {
        HostFunctionsManager::blake2b_512(message)
    }
    fn blake2s_256(message: &[u8]) -> [u8; 32] {
        HostFunctionsManager::blake2s_256(message)
    }
    fn blake3(message: &[u8]) -> [u8; 32] {
        HostFunctionsManager::blake3(message)
    }
}
