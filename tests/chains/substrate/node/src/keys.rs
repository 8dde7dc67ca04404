//! The keys of the test chain, all from public seeds: `//Validator//<index>` of each validator (sr25519 for aura, ed25519 for GRANDPA), and the
//! accounts of people.

use sc_network::config::{NodeKeyConfig, Secret, ed25519 as network_ed25519};
use sc_service::Error;
use sp_core::crypto::KeyTypeId;
use sp_core::{Pair, ed25519, sr25519};
use sp_keystore::{Keystore, KeystorePtr};

use crate::error::NodeError;

/// Accounts with means from the genesis on; the first may call what only root may. Tests and relayers use one each.
pub(crate) const ACCOUNTS: [&str; 6] = ["//Alice", "//Bob", "//Charlie", "//Dave", "//Eve", "//Ferdie"];

const AURA: KeyTypeId = KeyTypeId(*b"aura");
const GRANDPA: KeyTypeId = KeyTypeId(*b"gran");

/// The seed of a validator's keys.
pub(crate) fn seed(index: usize) -> String {
    format!("//Validator//{index}")
}

/// The public key of an account or an aura authority.
pub(crate) fn sr25519(seed: &str) -> Result<sr25519::Public, NodeError> {
    Ok(pair::<sr25519::Pair>(seed)?.public())
}

/// The public key of a GRANDPA authority.
pub(crate) fn ed25519(seed: &str) -> Result<ed25519::Public, NodeError> {
    Ok(pair::<ed25519::Pair>(seed)?.public())
}

/// Hands a validator's keys to the node that signs with them.
pub(crate) fn insert(keystore: &KeystorePtr, seed: &str) -> Result<(), Error> {
    let failed = |e: sp_keystore::Error| Error::Other(format!("keys of {seed}: {e}"));
    keystore.sr25519_generate_new(AURA, Some(seed)).map_err(failed)?;
    keystore.ed25519_generate_new(GRANDPA, Some(seed)).map_err(failed)?;
    Ok(())
}

/// The key by which the others know a validator on the network: its index tells it.
pub(crate) fn network(index: usize) -> Result<NodeKeyConfig, NodeError> {
    let wrong = || NodeError::Settings(format!("no network key for validator {index}"));
    let number = u8::try_from(index).ok().and_then(|index| index.checked_add(1)).ok_or_else(wrong)?;
    let secret = network_ed25519::SecretKey::try_from_bytes([number; 32]).map_err(|_| wrong())?;
    Ok(NodeKeyConfig::Ed25519(Secret::Input(secret)))
}

fn pair<P: Pair>(seed: &str) -> Result<P, NodeError> {
    P::from_string(seed, None).map_err(|e| NodeError::Key { seed: seed.to_owned(), reason: format!("{e:?}") })
}

#[cfg(test)]
mod tests {
    use sp_core::crypto::Ss58Codec;

    use super::*;

    #[test]
    fn accounts_are_those_that_every_wallet_derives() {
        let alice = sr25519("//Alice").unwrap().to_ss58check();
        assert_eq!(alice, "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
        assert!(matches!(sr25519("no seed"), Err(NodeError::Key { .. })));
    }

    #[test]
    fn each_validator_has_a_network_key_of_its_own() {
        let id = |index| network(index).unwrap().into_keypair().unwrap().public().to_peer_id();
        assert_eq!(id(0), id(0));
        assert_ne!(id(0), id(1));
        assert!(network(255).is_err());
    }
}
