//! What the underlying verifier answers, in this crate's words.

use crate::limits::MAX_TOTAL_VOTING_POWER;
use crate::{Part, Reason, Timestamp, Verdict};
use tendermint::trust_threshold::TrustThresholdFraction;
use tendermint::{Time, validator};
use tendermint_light_client_verifier::Verdict as Answer;
use tendermint_light_client_verifier::errors::VerificationErrorDetail as Detail;

/// The verifier's time.
pub(super) fn time(now: Timestamp) -> Result<Time, Reason> {
    const NANOS: u64 = 1_000_000_000;
    let nanos = now.as_nanos();
    let (seconds, rest) = (nanos.checked_div(NANOS), nanos.checked_rem(NANOS));
    let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok()).ok_or(Reason::TimeOutOfRange)?;
    let rest = rest.and_then(|rest| u32::try_from(rest).ok()).ok_or(Reason::TimeOutOfRange)?;
    Time::from_unix_timestamp(seconds, rest).map_err(|_| Reason::TimeOutOfRange)
}

/// Refuses a set whose power times the trust level's terms does not fit 64 bits, as CometBFT does.
pub(super) fn check_product(set: &validator::Set, level: TrustThresholdFraction) -> Result<(), Reason> {
    let total = set.total_voting_power().value().min(MAX_TOTAL_VOTING_POWER);
    match total.checked_mul(level.denominator().max(level.numerator())) {
        Some(_) => Ok(()),
        None => Err(Reason::VotingPowerOverflow { part: Part::TrustedValidators }),
    }
}

/// `Ok` if the answer was yes; what to return if not.
pub(super) fn passed<T>(answer: Answer, now: Timestamp) -> Result<(), Verdict<T>> {
    match answer {
        Answer::Success => Ok(()),
        Answer::NotEnoughTrust(tally) => {
            let level = tally.trust_threshold;
            let needed = tally.total.saturating_mul(level.numerator()).checked_div(level.denominator());
            let needed = needed.unwrap_or(tally.total).saturating_add(1);
            Err(Verdict::NotEnoughTrust { tallied: tally.tallied, needed })
        }
        Answer::Invalid(detail) => Err(Verdict::Invalid(reason(&detail, now))),
    }
}

fn reason(detail: &Detail, now: Timestamp) -> Reason {
    match detail {
        Detail::Tendermint(_) => Reason::TimeOutOfRange,
        Detail::HeaderFromTheFuture(_) => Reason::HeaderFromFuture { now },
        Detail::NotWithinTrustPeriod(_) => Reason::TrustExpired { now },
        Detail::NonMonotonicBftTime(_) => Reason::TimeNotAfter,
        Detail::ChainIdMismatch(_) => Reason::ChainId,
        Detail::InvalidNextValidatorSet(_) => Reason::NextValidatorsHash,
        Detail::InvalidValidatorSet(_) => Reason::ValidatorsHash,
        Detail::InvalidCommitValue(_) => Reason::CommitHash,
        Detail::InsufficientSignersOverlap(e) => {
            Reason::TooFewSigned { tallied: e.tally.tallied, total: e.tally.total }
        }
        // `passed` asks for the overlap first; were it to come here, it is the same refusal.
        Detail::NotEnoughTrust(e) => Reason::TooFewSigned { tallied: e.tally.tallied, total: e.tally.total },
        Detail::InvalidSignature(_) | Detail::MissingSignature(_) => Reason::Signature,
        Detail::NoSignatureForCommit(_) => Reason::NoVotes,
        // Decoding has refused these with their index already.
        Detail::DuplicateValidator(_)
        | Detail::MismatchPreCommitLength(_)
        | Detail::FaultySigner(_)
        | Detail::NonIncreasingHeight(_) => Reason::Undecodable { part: Part::SignedHeader },
    }
}
