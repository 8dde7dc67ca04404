//! Encrypted key files.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use age::DecryptError;
use relayer_core::error::Detail;
use relayer_core::id::ChainId;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use super::checked;
use super::error::KeyError;
use crate::limits;

const SUFFIX: &str = ".age";

/// A directory of encrypted keys.
#[derive(Debug, Clone)]
pub struct Keystore {
    dir: PathBuf,
    work_factor: u8,
}

/// A key's name and place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct KeyEntry {
    /// The chain it is for.
    pub chain: ChainId,
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
}

fn access(file: &Path, e: &io::Error) -> KeyError {
    KeyError::Access { file: file.to_path_buf(), detail: Detail::new(e.to_string()).to_string() }
}

pub(super) fn check_name(name: &str) -> Result<(), KeyError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if name.is_empty() || name.len() > limits::KEY_NAME_BYTES || name.starts_with('.') || !name.bytes().all(good) {
        return Err(KeyError::Name { name: Detail::new(name).to_string() });
    }
    Ok(())
}

impl Keystore {
    /// The keystore in `dir` (`relayer_config::settings::Store::keys`), which need not exist yet.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, work_factor: limits::SCRYPT_LOG_N }
    }

    /// With cheap passphrases, for tests only.
    #[cfg(test)]
    pub(crate) fn weak(self) -> Self {
        Self { work_factor: 2, ..self }
    }

    fn file(&self, chain: &ChainId, name: &str) -> Result<PathBuf, KeyError> {
        check_name(name)?;
        // ICS-24 allows an id of dots only.
        if chain.as_str().starts_with('.') {
            return Err(KeyError::Name { name: chain.to_string() });
        }
        Ok(self.dir.join(chain.as_str()).join(format!("{name}{SUFFIX}")))
    }

    /// Encrypts and keeps a secret. Takes about a second and 128 MiB on purpose.
    pub fn add(
        &self,
        chain: &ChainId,
        name: &str,
        secret: &SecretString,
        passphrase: SecretString,
    ) -> Result<PathBuf, KeyError> {
        let file = self.file(chain, name)?;
        let key = format!("{chain}/{name}");
        let secret = checked(secret, "the key to add")?;
        let passphrase = checked(&passphrase, "the passphrase")?;
        let dir = self.dir.join(chain.as_str());
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|e| access(&dir, &e))?;
        if file.exists() {
            return Err(KeyError::Exists { key, file });
        }
        let mut recipient = age::scrypt::Recipient::new(passphrase);
        recipient.set_work_factor(self.work_factor);
        let sealed = age::encrypt(&recipient, secret.expose_secret().as_bytes())
            .map_err(|e| KeyError::Damaged { file: file.clone(), detail: e.to_string() })?;
        // A hard link fails where a rename would replace: of two that add at once, one is told.
        let temporary = dir.join(format!(".{name}.{}.new", uuid::Uuid::now_v7()));
        let written = write_private(&temporary, &sealed).and_then(|()| fs::hard_link(&temporary, &file));
        fs::remove_file(&temporary).ok();
        match written {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Err(KeyError::Exists { key, file }),
            Err(e) => return Err(access(&file, &e)),
        }
        File::open(&dir).and_then(|d| d.sync_all()).map_err(|e| access(&dir, &e))?;
        Ok(file)
    }

    /// Whether the key is there and readable by its owner only.
    pub fn check(&self, chain: &ChainId, name: &str) -> Result<(), KeyError> {
        let file = self.file(chain, name)?;
        self.open(chain, name, &file).map(drop)
    }

    fn open(&self, chain: &ChainId, name: &str, file: &Path) -> Result<File, KeyError> {
        let open = File::open(file).map_err(|e| match e.kind() {
            ErrorKind::NotFound => KeyError::Missing { key: format!("{chain}/{name}"), file: file.to_path_buf() },
            _ => access(file, &e),
        })?;
        // Of the open file, not of the path: it can't be exchanged in between.
        let metadata = open.metadata().map_err(|e| access(file, &e))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Permissions { file: file.to_path_buf(), mode, want: 0o600 });
        }
        if !metadata.is_file() || metadata.len() > limits::KEY_FILE_BYTES {
            let detail = "not a file of a key's size".to_owned();
            return Err(KeyError::Damaged { file: file.to_path_buf(), detail });
        }
        Ok(open)
    }

    /// Decrypts a key. Takes about a second on purpose.
    pub fn load(&self, chain: &ChainId, name: &str, passphrase: SecretString) -> Result<SecretString, KeyError> {
        let file = self.file(chain, name)?;
        let mut sealed = Vec::new();
        let open = self.open(chain, name, &file)?;
        open.take(limits::KEY_FILE_BYTES).read_to_end(&mut sealed).map_err(|e| access(&file, &e))?;
        unseal(&sealed, passphrase, limits::SCRYPT_LOG_N_MOST, &format!("{chain}/{name}"), &file)
    }

    /// All keys, sorted. What is no key file is left out.
    pub fn list(&self) -> Result<Vec<KeyEntry>, KeyError> {
        let mut keys = Vec::new();
        for dir in read_dir(&self.dir)? {
            let Ok(chain) = ChainId::new(dir.file_name().unwrap_or_default().to_string_lossy()) else { continue };
            if !dir.is_dir() {
                continue;
            }
            for file in read_dir(&dir)? {
                let Some(name) = file.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(SUFFIX)) else {
                    continue;
                };
                if check_name(name).is_ok() && keys.len() < limits::KEYS_LISTED {
                    keys.push(KeyEntry { chain: chain.clone(), name: name.to_owned(), file: file.clone() });
                }
            }
        }
        keys.sort();
        Ok(keys)
    }

    /// Deletes a key's file.
    pub fn delete(&self, chain: &ChainId, name: &str) -> Result<(), KeyError> {
        let file = self.file(chain, name)?;
        fs::remove_file(&file).map_err(|e| match e.kind() {
            ErrorKind::NotFound => KeyError::Missing { key: format!("{chain}/{name}"), file: file.clone() },
            _ => access(&file, &e),
        })
    }
}

/// The secret in a sealed file, for at most so much work.
pub(super) fn unseal(
    sealed: &[u8],
    passphrase: SecretString,
    limit: u8,
    key: &str,
    file: &Path,
) -> Result<SecretString, KeyError> {
    let mut identity = age::scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(limit);
    let plain = age::decrypt(&identity, sealed).map(Zeroizing::new).map_err(|e| match e {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            KeyError::Passphrase { key: key.to_owned() }
        }
        DecryptError::ExcessiveWork { required, .. } => {
            KeyError::Work { file: file.to_path_buf(), found: required, limit }
        }
        other => KeyError::Damaged { file: file.to_path_buf(), detail: Detail::new(other.to_string()).to_string() },
    })?;
    let place = file.display().to_string();
    let text = std::str::from_utf8(&plain).map_err(|_| KeyError::NotText { place: place.clone() })?;
    checked(&SecretString::from(text.trim()), &place)
}

fn write_private(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    new.write_all(bytes)?;
    new.sync_all()
}

fn read_dir(dir: &Path) -> Result<Vec<PathBuf>, KeyError> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| access(dir, &e))?,
    };
    entries.take(limits::KEYS_LISTED).map(|e| e.map(|e| e.path()).map_err(|e| access(dir, &e))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = "abandon ability able about above absent";

    fn keystore() -> (tempfile::TempDir, Keystore) {
        let dir = tempfile::tempdir().unwrap();
        let keystore = Keystore::new(dir.path().join("keys")).weak();
        (dir, keystore)
    }
    fn chain() -> ChainId {
        ChainId::new("sim-a-1").unwrap()
    }
    fn added() -> (tempfile::TempDir, Keystore, PathBuf) {
        let (dir, keystore) = keystore();
        let file = keystore.add(&chain(), "main", &WORDS.into(), "horse".into()).unwrap();
        (dir, keystore, file)
    }

    #[test]
    fn a_secret_comes_back_with_its_passphrase_only_and_is_nowhere_in_plain() {
        let (dir, keystore, file) = added();
        assert_eq!(keystore.load(&chain(), "main", "horse".into()).unwrap().expose_secret(), WORDS);
        let wrong = keystore.load(&chain(), "main", "house".into()).unwrap_err();
        assert_eq!(wrong, KeyError::Passphrase { key: "sim-a-1/main".into() });
        assert!(!format!("{wrong} {wrong:?} {keystore:?}").contains("house"));
        assert!(!String::from_utf8_lossy(&fs::read(&file).unwrap()).contains("abandon"));
        // Nothing is left beside it.
        assert_eq!(fs::read_dir(dir.path().join("keys/sim-a-1")).unwrap().count(), 1);
    }

    #[test]
    fn files_are_the_owners_only_and_a_readable_one_is_refused_with_the_remedy() {
        let (dir, keystore, file) = added();
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(&dir.path().join("keys")), mode(file.parent().unwrap())), (0o600, 0o700, 0o700));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = keystore.load(&chain(), "main", "horse".into()).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }

    #[test]
    fn names_that_leave_the_keystore_are_refused_attack_51() {
        let (_dir, keystore) = keystore();
        for name in ["", "..", "../x", "a/b", "/etc/passwd", ".hidden", "a\\b", "a\0b", "a\u{1b}[2J", &"x".repeat(65)] {
            let refused = keystore.add(&chain(), name, &WORDS.into(), "p".into()).unwrap_err();
            assert!(matches!(&refused, KeyError::Name { .. }), "{name:?}");
            assert!(!refused.to_string().contains('\u{1b}'));
        }
        let dots = ChainId::new("..").unwrap();
        assert!(matches!(keystore.load(&dots, "x", "p".into()), Err(KeyError::Name { .. })));
        assert!(matches!(keystore.delete(&dots, "x"), Err(KeyError::Name { .. })));
    }

    #[test]
    fn a_second_key_of_the_same_name_replaces_none() {
        let (_dir, keystore, _) = added();
        let refused = keystore.add(&chain(), "main", &"other".into(), "p".into()).unwrap_err();
        assert!(matches!(refused, KeyError::Exists { .. }));
        assert_eq!(keystore.load(&chain(), "main", "horse".into()).unwrap().expose_secret(), WORDS);
    }

    #[test]
    fn keys_are_listed_and_deleted() {
        let (dir, keystore, file) = added();
        fs::write(dir.path().join("keys/README"), "x").unwrap();
        fs::write(file.with_file_name("notes.txt"), "x").unwrap();
        let b = ChainId::new("sim-b-1").unwrap();
        keystore.add(&b, "other", &WORDS.into(), "p".into()).unwrap();
        let names: Vec<String> = keystore.list().unwrap().iter().map(|k| format!("{}/{}", k.chain, k.name)).collect();
        assert_eq!(names, ["sim-a-1/main", "sim-b-1/other"]);
        keystore.delete(&chain(), "main").unwrap();
        assert!(matches!(keystore.delete(&chain(), "main"), Err(KeyError::Missing { .. })));
        assert!(matches!(keystore.load(&chain(), "main", "p".into()), Err(KeyError::Missing { .. })));
        assert!(Keystore::new(dir.path().join("nowhere")).list().unwrap().is_empty());
    }

    #[test]
    fn a_planted_file_can_ask_for_no_more_than_bounded_work() {
        let (_dir, keystore, file) = added();
        let sealed = fs::read(&file).unwrap();
        let end = sealed.windows(4).position(|w| w == b"\n---").unwrap();
        let head = String::from_utf8(sealed[..end].to_vec()).unwrap();
        assert!(head.lines().any(|l| l.starts_with("-> scrypt ") && l.ends_with(" 2")), "{head}");
        let planted = head.replace(" 2\n", " 30\n");
        fs::write(&file, [planted.as_bytes(), &sealed[end..]].concat()).unwrap();
        let refused = keystore.load(&chain(), "main", "horse".into()).unwrap_err();
        assert_eq!(refused, KeyError::Work { file, found: 30, limit: limits::SCRYPT_LOG_N_MOST });
    }

    #[test]
    fn damaged_files_are_refused_without_a_panic() {
        let (_dir, keystore, file) = added();
        let good = fs::read(&file).unwrap();
        for at in (0..good.len()).step_by(3) {
            let mut bad = good.clone();
            bad[at] ^= 0x41;
            // A flipped digit may make the work factor 9 at most: the loop stays quick.
            fs::write(&file, &bad).unwrap();
            assert!(keystore.load(&chain(), "main", "horse".into()).is_err(), "byte {at}");
            fs::write(&file, &good[..at]).unwrap();
            assert!(keystore.load(&chain(), "main", "horse".into()).is_err(), "cut at {at}");
        }
        fs::write(&file, vec![0; limits::KEY_FILE_BYTES as usize + 1]).unwrap();
        assert!(matches!(keystore.load(&chain(), "main", "horse".into()), Err(KeyError::Damaged { .. })));
    }
}
