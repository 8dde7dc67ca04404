//! Why a key can't be had, and what to do. No variant holds a secret or a passphrase.

use std::path::PathBuf;

use thiserror::Error;

/// What went wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The name can't be a file's.
    #[error("`{name}` can't name a key: use 1 to {limit} letters, digits and . _ -, not a dot first", limit = crate::limits::KEY_NAME_BYTES)]
    Name {
        /// The name, escaped.
        name: String,
    },
    /// There is no such key.
    #[error("there is no key {key} ({file}): add it with `relayer keys add`, or correct `key` of the chain")]
    Missing {
        /// Chain and name.
        key: String,
        /// Where it would be.
        file: PathBuf,
    },
    /// There is one already.
    #[error("key {key} exists already ({file}): delete it first with `relayer keys delete`, or take another name")]
    Exists {
        /// Chain and name.
        key: String,
        /// Where it is.
        file: PathBuf,
    },
    /// The passphrase does not open it.
    #[error("the passphrase does not open key {key}: try again, or add the key anew from its mnemonic")]
    Passphrase {
        /// Chain and name.
        key: String,
    },
    /// There is no passphrase.
    #[error(
        "no passphrase for key {key} ({detail}): name a variable that holds it in `passphrase_env`, or start in a terminal"
    )]
    NoPassphrase {
        /// Chain and name.
        key: String,
        /// The system's words.
        detail: String,
    },
    /// The file is not ours, or damaged.
    #[error("{file} is damaged or no passphrase-encrypted age file ({detail}): add the key anew from its mnemonic")]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The file asks for more work than we do.
    #[error(
        "{file} asks for scrypt work factor {found}, allowed is {limit}: encrypt the key anew with `relayer keys add`"
    )]
    Work {
        /// The file.
        file: PathBuf,
        /// Its factor, log2.
        found: u8,
        /// Ours at most.
        limit: u8,
    },
    /// Others may read it.
    #[error("{file} may be read by others (mode {mode:03o}): run `chmod {want:03o} {file}`, and think about a new key")]
    Permissions {
        /// The file or directory.
        file: PathBuf,
        /// Its mode.
        mode: u32,
        /// What it should be.
        want: u32,
    },
    /// The system refuses.
    #[error(
        "can't use {file}: {detail}; let the relayer's user read and write it, or set `[store] dir` to another directory"
    )]
    Access {
        /// The file or directory.
        file: PathBuf,
        /// The system's words.
        detail: String,
    },
    /// The variable is not set.
    #[error("the environment variable {variable} is not set: set it to the secret, or correct the chain's `key`")]
    NoVariable {
        /// Its name.
        variable: String,
    },
    /// Not text.
    #[error("the secret in {place} is not UTF-8 text: write a mnemonic or a private key in hexadecimal")]
    NotText {
        /// Where.
        place: String,
    },
    /// Nothing there.
    #[error("the secret in {place} is empty: write a mnemonic or a private key in hexadecimal")]
    Empty {
        /// Where.
        place: String,
    },
    /// Too long for a mnemonic.
    #[error("the secret in {place} is longer than {limit} bytes: write a mnemonic or a private key in hexadecimal")]
    TooLong {
        /// Where.
        place: String,
        /// The bound.
        limit: usize,
    },
    /// The keyring does not work.
    #[error(
        "the keyring of the operating system can't be used for {key} ({detail}): use `source = \"keystore\"` or `\"env\"`"
    )]
    Keyring {
        /// Chain and name.
        key: String,
        /// Its words.
        detail: String,
    },
}
