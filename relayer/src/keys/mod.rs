//! Where wallets' secrets are kept: encrypted files, an environment variable, or the operating system's keyring.
//!
//! A secret is a mnemonic or a private key in hexadecimal; what it means is the chain adapter's business. Attack 48: it is a
//! [`SecretString`] everywhere, which can't be printed and is wiped when dropped.
//!
//! A file is `<store>/keys/<chain>/<name>.age`: the [age](https://age-encryption.org/v1) format with a passphrase (scrypt,
//! ChaCha20-Poly1305), mode 0600 in directories of 0700, written beside and renamed, so that a crash leaves the old or the new one.
//! Any `age` tool can read it. Keyring entries are of the service `relayer`, user `<chain>/<name>`. On Linux that is the kernel's
//! keyring, which is empty after a reboot.
//!
//! Bounds (`crate::limits`): length of a secret and a name, size of a file, scrypt's work factor (a planted file can't take
//! the machine's memory), number of keys listed.
//!
//! Errors: [`KeyError`], each says what to do. Names are checked before they become paths: no separator, no leading dot (attack 51).
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! use relayer::keys::Keystore;
//! use relayer_core::id::ChainId;
//! let keystore = Keystore::new(dir.path().join("keys"));
//! let chain = ChainId::new("sim-a-1").unwrap();
//! keystore.add(&chain, "main", &"abandon ability able".to_owned().into(), "correct horse".to_owned().into()).unwrap();
//! let secret = keystore.load(&chain, "main", "correct horse".to_owned().into()).unwrap();
//! ```

mod error;
mod file;
#[cfg(fuzzing)]
pub mod fuzz;
pub mod keyring;

use std::io;

use relayer_config::settings::KeySource;
use relayer_core::id::ChainId;
use secrecy::{ExposeSecret, SecretString};

pub use error::KeyError;
pub use file::{KeyEntry, Keystore};

use crate::limits;

/// The secret of a configured key, from wherever the configuration says it is. `ask` is called with the key's name when a passphrase is
/// needed that no variable holds.
pub fn secret(
    keystore: &Keystore,
    chain: &ChainId,
    name: &str,
    source: &KeySource,
    ask: impl FnOnce(&str) -> io::Result<SecretString>,
) -> Result<SecretString, KeyError> {
    match source {
        KeySource::Env { variable } => from_env(variable.as_str()),
        KeySource::Keyring => keyring::load(chain, name),
        KeySource::Keystore { passphrase_env } => {
            // A missing file is reported before anybody is asked for its passphrase.
            keystore.check(chain, name)?;
            let passphrase = match passphrase_env {
                Some(variable) => from_env(variable.as_str())?,
                None => ask(name)
                    .map_err(|e| KeyError::NoPassphrase { key: format!("{chain}/{name}"), detail: e.to_string() })?,
            };
            keystore.load(chain, name, passphrase)
        }
    }
}

/// The secret in an environment variable, without the white space around it.
pub fn from_env(variable: &str) -> Result<SecretString, KeyError> {
    let found = match std::env::var(variable) {
        Ok(text) => SecretString::from(text),
        Err(std::env::VarError::NotPresent) => return Err(KeyError::NoVariable { variable: variable.to_owned() }),
        Err(std::env::VarError::NotUnicode(_)) => {
            return Err(KeyError::NotText { place: format!("variable {variable}") });
        }
    };
    checked(&SecretString::from(found.expose_secret().trim()), &format!("variable {variable}"))
}

fn checked(secret: &SecretString, place: &str) -> Result<SecretString, KeyError> {
    let bytes = secret.expose_secret().len();
    match bytes {
        0 => Err(KeyError::Empty { place: place.to_owned() }),
        _ if bytes > limits::SECRET_BYTES => {
            Err(KeyError::TooLong { place: place.to_owned(), limit: limits::SECRET_BYTES })
        }
        _ => Ok(secret.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_variable_and_an_empty_secret_are_named() {
        let missing = from_env("RELAYER_TEST_NO_SUCH_VARIABLE").unwrap_err();
        assert!(missing.to_string().contains("RELAYER_TEST_NO_SUCH_VARIABLE"));
        assert!(matches!(checked(&"".into(), "x"), Err(KeyError::Empty { .. })));
        assert!(matches!(checked(&"x".repeat(limits::SECRET_BYTES + 1).into(), "x"), Err(KeyError::TooLong { .. })));
    }

    #[test]
    fn a_variable_is_read_without_the_space_around_it() {
        // Cargo sets this one for every test.
        assert_eq!(from_env("CARGO_PKG_NAME").unwrap().expose_secret(), "relayer");
    }

    #[test]
    fn a_missing_key_file_is_told_before_a_passphrase_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let source = KeySource::Keystore { passphrase_env: None };
        let chain = ChainId::new("sim-a-1").unwrap();
        let told = secret(&Keystore::new(dir.path().into()), &chain, "main", &source, |_| panic!("asked")).unwrap_err();
        assert!(matches!(told, KeyError::Missing { .. }));
    }
}
