//! A keystore's file as the fuzz target opens it; built with `--cfg fuzzing` only.

use std::path::Path;

use secrecy::SecretString;

use super::{KeyError, file};

/// Work that one input may ask for: 2^4 rounds, so that thousands of inputs a second are tried.
const LOG_N_MOST: u8 = 4;

/// The secret that a file holds.
pub fn unseal(sealed: &[u8], passphrase: SecretString) -> Result<SecretString, KeyError> {
    file::unseal(sealed, passphrase, LOG_N_MOST, "sim-a-1/main", Path::new("main.age"))
}
