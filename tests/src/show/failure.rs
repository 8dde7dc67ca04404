//! Why the show did not end as it should.

use crate::DevnetError;

#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Devnet(#[from] DevnetError),
    #[error("the relayer ended by itself ({status})")]
    RelayerEnded { status: String },
    #[error("after {seconds} s {acknowledged} of {sent} packets are acknowledged; open: {open}")]
    Late { seconds: u64, acknowledged: usize, sent: usize, open: String },
    #[error("{sent} packets were sent, {received} received, {acknowledged} acknowledged, {timed_out} timed out")]
    Lost { sent: usize, received: usize, acknowledged: usize, timed_out: usize },
    #[error("{account} on {chain} owns {found} of {denom} instead of {wanted}")]
    Vouchers { chain: String, account: String, denom: String, found: u128, wanted: u128 },
    #[error("signals can't be received: {0}")]
    Signals(String),
    #[error("stopped")]
    Stopped,
}

impl Failure {
    /// What to do about it.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Devnet(error) => error.remedy(),
            Self::RelayerEnded { .. } => "read the relayer's log above",
            Self::Late { .. } => "read the relayer's log above; a machine under load needs a larger --timeout",
            Self::Lost { .. } | Self::Vouchers { .. } => "a defect: run again with RELAYER_TEST_LOG=debug --keep-files",
            Self::Signals(_) => "see whether the machine is out of memory or threads",
            Self::Stopped => "",
        }
    }
}
