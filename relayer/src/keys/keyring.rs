//! Keys in the operating system's keyring.

use keyring::{Entry, Error};
use relayer_core::error::Detail;
use relayer_core::id::ChainId;
use secrecy::{ExposeSecret, SecretString};

use super::error::KeyError;
use super::{checked, file};

const SERVICE: &str = "relayer";

fn entry(chain: &ChainId, name: &str) -> Result<(Entry, String), KeyError> {
    file::check_name(name)?;
    let key = format!("{chain}/{name}");
    let entry = Entry::new(SERVICE, &key).map_err(|e| error(&key, &e))?;
    Ok((entry, key))
}

fn error(key: &str, e: &Error) -> KeyError {
    let key = key.to_owned();
    match e {
        Error::NoEntry => KeyError::Missing { file: format!("keyring, service {SERVICE}").into(), key },
        // Its bytes may be the secret.
        Error::BadEncoding(_) => KeyError::NotText { place: format!("keyring entry {key}") },
        other => KeyError::Keyring { key, detail: Detail::new(other.to_string()).to_string() },
    }
}

/// Puts a secret there, replacing what is there.
pub fn add(chain: &ChainId, name: &str, secret: &SecretString) -> Result<(), KeyError> {
    let (entry, key) = entry(chain, name)?;
    let secret = checked(secret, "the key to add")?;
    entry.set_password(secret.expose_secret()).map_err(|e| error(&key, &e))
}

/// Gets it.
pub fn load(chain: &ChainId, name: &str) -> Result<SecretString, KeyError> {
    let (entry, key) = entry(chain, name)?;
    let secret = SecretString::from(entry.get_password().map_err(|e| error(&key, &e))?);
    checked(&secret, &format!("keyring entry {key}"))
}

/// Removes it.
pub fn delete(chain: &ChainId, name: &str) -> Result<(), KeyError> {
    let (entry, key) = entry(chain, name)?;
    entry.delete_credential().map_err(|e| error(&key, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_not_shown() {
        let e = error("sim-a-1/main", &Error::BadEncoding(b"hunter2".to_vec()));
        assert!(!format!("{e} {e:?}").contains("hunter2") && !format!("{e:?}").contains("104"));
    }

    #[test]
    fn a_missing_entry_and_a_broken_keyring_are_told_apart() {
        assert!(matches!(error("k", &Error::NoEntry), KeyError::Missing { .. }));
        let broken = Error::NoStorageAccess("locked".into());
        assert!(matches!(error("k", &broken), KeyError::Keyring { .. }));
    }
}
