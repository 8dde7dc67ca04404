//! A watched file: looked at twice a second, read once it stands still.
//!
//! Replace it by writing a new file and renaming it; a file written in place is read when size and time have not changed for
//! [`FILE_SETTLE`](crate::rules::limits::FILE_SETTLE). A touched file of the same content changes nothing.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::{Out, SourceError};
use crate::rules::limits::{FILE_POLL, FILE_SETTLE, TEXT_BYTES};

/// See the module.
#[derive(Debug, Clone)]
pub struct File {
    path: PathBuf,
    poll: Duration,
}

type Look = (Option<SystemTime>, u64);

impl File {
    /// The file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), poll: FILE_POLL }
    }
    /// Looked at this often.
    #[must_use]
    pub fn every(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    pub(super) async fn run(self, out: &Out) {
        let mut read_at: Option<Look> = None;
        let mut content: Option<[u8; 32]> = None;
        let mut missed = false;
        loop {
            match self.fresh(read_at).await {
                Ok(None) => {}
                Ok(Some((look, text))) => {
                    missed = false;
                    read_at = Some(look);
                    let hash: [u8; 32] = Sha256::digest(&text).into();
                    if content.replace(hash) != Some(hash) {
                        out.take(&text);
                    }
                }
                Err(error) => {
                    // Said once, not twice a second; what comes back is read again.
                    if !missed {
                        out.trouble(&error);
                    }
                    (missed, read_at) = (true, None);
                }
            }
            sleep(self.poll).await;
        }
    }

    /// The text, if the file has changed since and stands still.
    async fn fresh(&self, since: Option<Look>) -> Result<Option<(Look, Vec<u8>)>, SourceError> {
        let first = look(&self.path).await?;
        if Some(first) == since {
            return Ok(None);
        }
        sleep(FILE_SETTLE).await;
        if look(&self.path).await? != first {
            return Ok(None);
        }
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        let text = read.map_err(|error| SourceError::Away { what: "the rules file", why: error.to_string() })??;
        // Changed while it was read: next time.
        Ok((look(&self.path).await? == first).then_some((first, text)))
    }
}

async fn look(path: &Path) -> Result<Look, SourceError> {
    let meta = tokio::fs::metadata(path).await.map_err(away)?;
    Ok((meta.modified().ok(), meta.len()))
}

fn read(path: &Path) -> Result<Vec<u8>, SourceError> {
    let mut text = Vec::new();
    let cap = u64::try_from(TEXT_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::open(path).and_then(|file| file.take(cap).read_to_end(&mut text)).map_err(away)?;
    if text.len() > TEXT_BYTES {
        return Err(SourceError::TooLarge(TEXT_BYTES));
    }
    Ok(text)
}

fn away(error: std::io::Error) -> SourceError {
    SourceError::Away { what: "the rules file", why: error.to_string() }
}
