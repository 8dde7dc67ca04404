//! What keeps a node from running.

use std::path::PathBuf;

/// Why the node did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    /// The command line says what can't be.
    #[error("{0}")]
    Settings(String),
    /// The runtime can't be read.
    #[error("{path}: {source}")]
    Runtime {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The system refused threads or signals.
    #[error("the system refused: {0}")]
    Io(std::io::Error),
    /// A key can't be derived from its seed.
    #[error("key of {seed}: {reason}")]
    Key {
        /// The seed.
        seed: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A part of the node did not start, or failed.
    #[error(transparent)]
    Service(#[from] sc_service::Error),
}
