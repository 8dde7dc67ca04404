//! ICS-07 client state: how a Tendermint chain is verified.

use crate::limits::{MAX_BLOCK_HEIGHT, MAX_CLIENT_STATE_BYTES, MAX_TRUST_LEVEL_DENOMINATOR, MAX_UPGRADE_PATH_KEYS};
use crate::wire::{decode_any, encode_any};
use crate::{Height, Parameter, Part, Reason, commitment::ics23};
use alloc::{string::String, vec::Vec};
use core::time::Duration;
use ibc_proto::google::protobuf::Any;
use ibc_proto::google::protobuf::Duration as RawDuration;
use ibc_proto::ibc::lightclients::tendermint::v1::{ClientState as RawClientState, Fraction};
use ibc_proto::ics23::ProofSpec;
use tendermint::chain::Id as ChainId;
use tendermint::trust_threshold::TrustThresholdFraction;

/// What a client state is made of; [`ClientState::new`] checks it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientParameters {
    /// Chain id; a number after its last dash is its revision.
    pub chain_id: String,
    /// Numerator and denominator of the share of trusted voting power that has to sign a skipping header.
    pub trust_level: (u64, u64),
    /// How long a verified header is trusted.
    pub trusting_period: Duration,
    /// How long stake takes to unbond.
    pub unbonding_period: Duration,
    /// How far a header's time may be ahead of ours.
    pub max_clock_drift: Duration,
    /// Set once the client was frozen.
    pub frozen_height: Option<Height>,
    /// Highest verified height.
    pub latest_height: Height,
    /// Merkle trees of the chain's store, lowest first.
    pub proof_specs: Vec<ProofSpec>,
    /// Where the chain announces its next client state when it upgrades.
    pub upgrade_path: Vec<String>,
}

impl ClientParameters {
    /// A chain of the Cosmos SDK: trust level 1/3, IAVL under a simple Merkle tree, the SDK's upgrade path, not frozen.
    pub fn cosmos(
        chain_id: &str,
        latest_height: Height,
        trusting: Duration,
        unbonding: Duration,
        drift: Duration,
    ) -> Self {
        Self {
            chain_id: chain_id.into(),
            trust_level: (1, 3),
            trusting_period: trusting,
            unbonding_period: unbonding,
            max_clock_drift: drift,
            frozen_height: None,
            latest_height,
            proof_specs: ics23::specs().into(),
            upgrade_path: ["upgrade", "upgradedIBCState"].map(String::from).into(),
        }
    }
}

/// A client state that keeps ICS-07's rules.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientState {
    chain_id: ChainId,
    revision: u64,
    trust_level: TrustThresholdFraction,
    parameters: ClientParameters,
    /// Deprecated flags, kept so that encoding gives back what was decoded.
    allow_update_after: (bool, bool),
}

impl ClientState {
    /// Checks the parameters against each other and the limits.
    pub fn new(parameters: ClientParameters) -> Result<Self, Reason> {
        let refuse = |parameter| Reason::Parameter { parameter };
        let p = &parameters;
        let chain_id = ChainId::try_from(p.chain_id.as_str()).map_err(|_| refuse(Parameter::ChainId))?;
        let revision = revision(&p.chain_id).ok_or(refuse(Parameter::ChainId))?;
        if p.trust_level.1 > MAX_TRUST_LEVEL_DENOMINATOR || p.trust_level.0 > p.trust_level.1 {
            return Err(refuse(Parameter::TrustLevel));
        }
        let trust_level =
            TrustThresholdFraction::new(p.trust_level.0, p.trust_level.1).map_err(|_| refuse(Parameter::TrustLevel))?;
        if p.unbonding_period.is_zero() {
            return Err(refuse(Parameter::UnbondingPeriod));
        }
        if p.trusting_period.is_zero() || p.trusting_period >= p.unbonding_period {
            return Err(refuse(Parameter::TrustingPeriod));
        }
        if p.max_clock_drift.is_zero() {
            return Err(refuse(Parameter::MaxClockDrift));
        }
        let latest = p.latest_height;
        if latest.revision != revision || latest.number == 0 || latest.number > MAX_BLOCK_HEIGHT {
            return Err(refuse(Parameter::LatestHeight));
        }
        if p.proof_specs != ics23::specs() {
            return Err(refuse(Parameter::ProofSpecs));
        }
        if p.upgrade_path.len() > MAX_UPGRADE_PATH_KEYS || p.upgrade_path.iter().any(|key| key.trim().is_empty()) {
            return Err(refuse(Parameter::UpgradePath));
        }
        Ok(Self { chain_id, revision, trust_level, parameters, allow_update_after: (false, false) })
    }

    /// Decodes and checks the protobuf of ibc-go.
    pub fn decode(any: &Any) -> Result<Self, Reason> {
        let raw: RawClientState = decode_any(any, Part::ClientState, MAX_CLIENT_STATE_BYTES)?;
        #[allow(deprecated)]
        let allow_update_after = (raw.allow_update_after_expiry, raw.allow_update_after_misbehaviour);
        let trust_level = raw.trust_level.unwrap_or_default();
        let state = Self::new(ClientParameters {
            chain_id: raw.chain_id,
            trust_level: (trust_level.numerator, trust_level.denominator),
            trusting_period: duration(raw.trusting_period, Parameter::TrustingPeriod)?,
            unbonding_period: duration(raw.unbonding_period, Parameter::UnbondingPeriod)?,
            max_clock_drift: duration(raw.max_clock_drift, Parameter::MaxClockDrift)?,
            frozen_height: raw.frozen_height.map(Height::from).filter(|height| !height.is_zero()),
            latest_height: raw.latest_height.map(Height::from).unwrap_or_default(),
            proof_specs: raw.proof_specs,
            upgrade_path: raw.upgrade_path,
        })?;
        Ok(Self { allow_update_after, ..state })
    }

    /// The protobuf of ibc-go.
    pub fn encode(&self) -> Any {
        let p = &self.parameters;
        #[allow(deprecated)]
        let raw = RawClientState {
            chain_id: p.chain_id.clone(),
            trust_level: Some(Fraction { numerator: p.trust_level.0, denominator: p.trust_level.1 }),
            trusting_period: Some(raw_duration(p.trusting_period)),
            unbonding_period: Some(raw_duration(p.unbonding_period)),
            max_clock_drift: Some(raw_duration(p.max_clock_drift)),
            frozen_height: Some(p.frozen_height.unwrap_or_default().into()),
            latest_height: Some(p.latest_height.into()),
            proof_specs: p.proof_specs.clone(),
            upgrade_path: p.upgrade_path.clone(),
            allow_update_after_expiry: self.allow_update_after.0,
            allow_update_after_misbehaviour: self.allow_update_after.1,
        };
        encode_any(&raw)
    }

    /// Its parameters.
    pub fn parameters(&self) -> &ClientParameters {
        &self.parameters
    }

    /// The chain's id.
    pub fn chain_id(&self) -> &ChainId {
        &self.chain_id
    }

    /// The revision its chain id ends with, or 0.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Share of trusted voting power that has to sign a skipping header.
    pub fn trust_level(&self) -> TrustThresholdFraction {
        self.trust_level
    }

    /// Highest verified height.
    pub fn latest_height(&self) -> Height {
        self.parameters.latest_height
    }

    /// Refuses a frozen client.
    pub fn ensure_active(&self) -> Result<(), Reason> {
        match self.parameters.frozen_height {
            Some(height) => Err(Reason::ClientFrozen { height }),
            None => Ok(()),
        }
    }
}

/// The revision a chain id ends with: `{name}-{number}` where the number has no leading zero; 0 without one; `None` if
/// the number does not fit 64 bits.
pub fn revision(chain_id: &str) -> Option<u64> {
    match revision_digits(chain_id) {
        Some((_, digits)) => digits.parse().ok(),
        None => Some(0),
    }
}

/// Splits a chain id in revision format into its name and the digits of its revision.
pub(super) fn revision_digits(chain_id: &str) -> Option<(&str, &str)> {
    let (name, digits) = chain_id.rsplit_once('-')?;
    let counts = !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    (counts && !name.is_empty() && !name.ends_with(['-', '\n'])).then_some((name, digits))
}

fn duration(raw: Option<RawDuration>, parameter: Parameter) -> Result<Duration, Reason> {
    let refuse = Reason::Parameter { parameter };
    let raw = raw.unwrap_or_default();
    let nanos = u32::try_from(raw.nanos).ok().filter(|nanos| *nanos < 1_000_000_000).ok_or(refuse)?;
    // Go's durations are 64-bit nanoseconds: anything longer can't be what the chain holds.
    let seconds = u64::try_from(raw.seconds).ok().filter(|seconds| *seconds < 9_223_372_036).ok_or(refuse)?;
    Ok(Duration::new(seconds, nanos))
}

fn raw_duration(duration: Duration) -> RawDuration {
    RawDuration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(days: u64) -> Duration {
        Duration::from_secs(days.saturating_mul(86_400))
    }

    fn parameters() -> ClientParameters {
        ClientParameters::cosmos("ibc-1", Height::new(1, 7), days(14), days(21), Duration::from_secs(10))
    }

    #[test]
    fn revision_is_the_number_after_the_last_dash() {
        let cases =
            [("cosmoshub-4", 4), ("a-b-12", 12), ("simd", 0), ("ibc-", 0), ("ibc-04", 0), ("-4", 0), ("ibc--4", 0)];
        for (chain_id, want) in cases {
            assert_eq!(revision(chain_id), Some(want), "{chain_id}");
        }
        assert_eq!(revision("ibc-18446744073709551616"), None);
    }

    #[test]
    fn decode_gives_back_what_encode_wrote() {
        let mut parameters = parameters();
        parameters.frozen_height = Some(Height::new(0, 1));
        let state = ClientState::new(parameters).unwrap();
        assert_eq!(ClientState::decode(&state.encode()).unwrap(), state);
        assert_eq!(state.ensure_active(), Err(Reason::ClientFrozen { height: Height::new(0, 1) }));
    }

    #[test]
    fn each_rule_refuses_its_parameter() {
        type Break = fn(&mut ClientParameters);
        let rules: [(Parameter, Break); 14] = [
            (Parameter::ChainId, |p| p.chain_id.clear()),
            (Parameter::ChainId, |p| p.chain_id = "x".repeat(51)),
            (Parameter::TrustLevel, |p| p.trust_level = (1, 4)),
            (Parameter::TrustLevel, |p| p.trust_level = (4, 3)),
            (Parameter::TrustLevel, |p| p.trust_level = (0, 0)),
            (Parameter::TrustLevel, |p| p.trust_level = (u64::MAX, u64::MAX)),
            (Parameter::TrustingPeriod, |p| p.trusting_period = Duration::ZERO),
            (Parameter::TrustingPeriod, |p| p.trusting_period = p.unbonding_period),
            (Parameter::UnbondingPeriod, |p| p.unbonding_period = Duration::ZERO),
            (Parameter::MaxClockDrift, |p| p.max_clock_drift = Duration::ZERO),
            (Parameter::LatestHeight, |p| p.latest_height.number = 0),
            (Parameter::LatestHeight, |p| p.latest_height.revision = 2),
            (Parameter::ProofSpecs, |p| p.proof_specs.reverse()),
            (Parameter::UpgradePath, |p| p.upgrade_path.push(" ".into())),
        ];
        assert!(ClientState::new(parameters()).is_ok());
        for (parameter, spoil) in rules {
            let mut spoiled = parameters();
            spoil(&mut spoiled);
            assert_eq!(ClientState::new(spoiled), Err(Reason::Parameter { parameter }));
        }
    }
}
