//! Where trust in a chain begins.

/// Where the first trusted header comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The operator names it.
    Configured {
        /// Block height.
        height: u64,
        /// Header hash.
        hash: [u8; 32],
        /// What `export_trust` gave in an earlier run: serves when the named header has expired or been pruned.
        later: Option<Vec<u8>>,
    },
    /// Whatever the node says first is trusted, with a warning.
    FirstUse,
    /// What `export_trust` gave in an earlier run.
    Stored(Vec<u8>),
}
