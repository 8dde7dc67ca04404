//! Why nothing could be measured: never that a figure is low.

use relayer_tests::DevnetError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Devnet(#[from] DevnetError),
    #[error("{part}: {packets} packets sent, {received} received, {acknowledged} acknowledged, {timed_out} timed out")]
    Lost { part: String, packets: usize, received: usize, acknowledged: usize, timed_out: usize },
    #[error("{part}: {what}")]
    Paid { part: String, what: String },
    #[error("{command} ended with {status}")]
    Command { command: String, status: String },
    #[error("{file}: {reason}")]
    Unreadable { file: String, reason: String },
    #[error("{command} printed no figure")]
    Silent { command: String },
}

impl Failure {
    /// What to do about it.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Devnet(error) => error.remedy(),
            Self::Lost { .. } | Self::Paid { .. } => {
                "a defect: the end-to-end tests show more (tests/run burst relayer_down)"
            }
            Self::Command { .. } | Self::Silent { .. } => "run the command by hand and read what it says",
            Self::Unreadable { .. } => "remove the folder target/criterion and measure again",
        }
    }
}
