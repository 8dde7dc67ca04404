//! The chain's node and runtime, as `tests/chains/substrate/build` makes them.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::DevnetError;
use crate::devnet::process::run_build;

/// Where a validator's program and the chain's rules are.
#[derive(Clone, Debug)]
pub struct SubstrateBuild {
    folder: PathBuf,
}

impl SubstrateBuild {
    /// Builds both unless the cache has them (`RELAYER_TEST_CACHE`, or `.cache/relayer-tests` in the home folder). Blocks; the first
    /// build takes about 20 minutes.
    ///
    /// # Errors
    /// [`DevnetError::Build`] with what the build printed.
    pub fn build_or_find() -> Result<Self, DevnetError> {
        static FOUND: Mutex<Option<PathBuf>> = Mutex::new(None);
        let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = found.as_ref() {
            return Ok(Self { folder: folder.clone() });
        }
        let folder = run_build(concat!(env!("CARGO_MANIFEST_DIR"), "/chains/substrate/build"))?;
        *found = Some(folder.clone());
        Ok(Self { folder })
    }

    /// The program of a validator.
    #[must_use]
    pub fn node(&self) -> PathBuf {
        self.folder.join("test-node")
    }

    /// The chain's rules as wasm.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        self.folder.join("runtime.wasm")
    }

    /// Where the first validator leaves the compiled rules for the next ones.
    #[must_use]
    pub fn compiled(&self) -> PathBuf {
        self.folder.join("compiled")
    }

    /// The folder that both are in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
