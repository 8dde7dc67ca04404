//! Forward verification of light blocks: tendermint-light-client bisects and keeps the trace, light-clients gives each verdict.
//!
//! Pure computation on blocks that were fetched before: when bisection needs a height that is not there it says so
//! ([`Step::Needs`]), the caller fetches it and calls again with what was verified meanwhile. The verdict is that of the crate that
//! also runs on chain, so what is trusted here is accepted there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use light_clients::tendermint::{ClientParameters, ClientState, ConsensusState, Header, verify_header};
use light_clients::{Reason, Timestamp, Verdict as Ours};
use tendermint::block::signed_header::SignedHeader;
use tendermint::validator;
use tendermint_light_client::components::clock::SystemClock;
use tendermint_light_client::components::io::{AtHeight, IoError};
use tendermint_light_client::components::scheduler::basic_bisecting_schedule;
use tendermint_light_client::errors::ErrorDetail;
use tendermint_light_client::light_client::LightClient;
use tendermint_light_client::state::State;
use tendermint_light_client::store::LightStore;
use tendermint_light_client::store::memory::MemoryStore;
use tendermint_light_client::verifier::errors::VerificationError;
use tendermint_light_client::verifier::operations::voting_power::VotingPowerTally;
use tendermint_light_client::verifier::options::Options;
use tendermint_light_client::verifier::types::{
    Height, LightBlock, Status, Time, TrustThreshold, TrustedBlockState, UntrustedBlockState,
};
use tendermint_light_client::verifier::{Verdict, Verifier};

use super::header::{ics07_header, peer};

/// How headers of a chain are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) chain: String,
    pub(crate) revision: u64,
    pub(crate) threshold: (u64, u64),
    pub(crate) trusting: Duration,
    pub(crate) unbonding: Duration,
    pub(crate) drift: Duration,
}

/// What one run came to.
#[derive(Debug)]
pub(crate) enum Step {
    /// The target is verified, and these blocks with it.
    Verified(Vec<LightBlock>),
    /// This height has to be fetched; these blocks are verified already.
    Needs(u64, Vec<LightBlock>),
    /// This block is refused.
    Refused(u64, Reason),
    /// Trust has run out.
    Expired,
    /// The library gave up for another reason.
    Failed(String),
}

/// Verifies `target` from the trusted blocks with what is fetched.
pub(crate) fn forward(
    rules: &Rules,
    trusted: Vec<LightBlock>,
    fetched: BTreeMap<u64, LightBlock>,
    target: u64,
) -> Step {
    let Ok(target) = Height::try_from(target) else { return Step::Failed("height out of range".into()) };
    let Ok(threshold) = TrustThreshold::new(rules.threshold.0, rules.threshold.1) else {
        return Step::Failed("trust threshold out of range".into());
    };
    let options = Options { trust_threshold: threshold, trusting_period: rules.trusting, clock_drift: rules.drift };
    let mut store = MemoryStore::new();
    for block in trusted {
        store.insert(block, Status::Trusted);
    }
    let needs = Arc::new(Mutex::new(None));
    let asked = needs.clone();
    let io = move |at: AtHeight| {
        let AtHeight::At(height) = at else { return Err(IoError::invalid_height()) };
        fetched.get(&height.value()).cloned().ok_or_else(|| {
            *asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(height.value());
            IoError::invalid_height()
        })
    };
    let refused = Arc::new(Mutex::new(None));
    let verifier = SameAsOnChain { rules: rules.clone(), refused: refused.clone() };
    let client = LightClient::new(peer(), options, SystemClock, basic_bisecting_schedule, verifier, io);
    let mut state = State::new(store);
    let result = client.verify_to_target(target, &mut state);
    let verified = || state.light_store.all(Status::Verified).collect::<Vec<_>>();
    let refusal = refused.lock().unwrap_or_else(PoisonError::into_inner).take();
    let needs = *needs.lock().unwrap_or_else(PoisonError::into_inner);
    match (result, refusal, needs) {
        (Ok(_), _, _) => Step::Verified(verified()),
        (Err(_), Some((_, Reason::TrustExpired { .. })), _) => Step::Expired,
        (Err(_), Some((height, reason)), _) => Step::Refused(height, reason),
        (Err(_), None, Some(height)) => Step::Needs(height, verified()),
        (Err(error), None, None) => match error.detail() {
            ErrorDetail::TrustedStateOutsideTrustingPeriod(_) => Step::Expired,
            _ => Step::Failed(error.to_string()),
        },
    }
}

/// Checks that a block is signed by its own validators: all that can be asked of the first one.
pub(crate) fn self_signed(rules: &Rules, block: &LightBlock) -> Result<(), Reason> {
    // Adjacent to an imagined block whose next validators are this one's: then exactly its own commit counts.
    let before = block.height().value().saturating_sub(1).max(1);
    if block.height().value() <= before {
        return Ok(());
    }
    let header = &block.signed_header.header;
    let earlier = (header.time - Duration::from_nanos(1)).map_err(|_| Reason::TimeOutOfRange)?;
    let trusted = ConsensusState::new(earlier, vec![0; 32], header.validators_hash)?;
    match verdict(rules, &block.signed_header, &block.validators, before, &trusted, &block.validators, Time::now()) {
        Ours::Trusted(_) => Ok(()),
        Ours::Invalid(reason) => Err(reason),
        Ours::NotEnoughTrust { .. } => Err(Reason::NoVotes),
    }
}

/// The client state by which we verify: what a client of ours on another chain would hold.
pub(crate) fn client_state(rules: &Rules, latest: u64) -> Result<ClientState, Reason> {
    let latest = light_clients::Height::new(rules.revision, latest);
    ClientState::new(ClientParameters {
        trust_level: rules.threshold,
        ..ClientParameters::cosmos(&rules.chain, latest, rules.trusting, rules.unbonding, rules.drift)
    })
}

fn verdict(
    rules: &Rules,
    signed: &SignedHeader,
    validators: &validator::Set,
    trusted_height: u64,
    trusted: &ConsensusState,
    trusted_next: &validator::Set,
    now: Time,
) -> Ours<ConsensusState> {
    let Ok(height) = ibc_relayer_types::Height::new(rules.revision, trusted_height) else {
        return Reason::TimeOutOfRange.into();
    };
    // The header as it would be submitted: limits, order and uniqueness are checked where it is decoded.
    let block = LightBlock::new(signed.clone(), validators.clone(), trusted_next.clone(), peer());
    let header = match Header::decode(&ics07_header(&block, height, trusted_next)) {
        Ok(header) => header,
        Err(reason) => return reason.into(),
    };
    let client = match client_state(rules, trusted_height) {
        Ok(client) => client,
        Err(reason) => return reason.into(),
    };
    verify_header(&client, trusted, &header, Timestamp::from_nanos(nanos(now)))
}

/// Now, for verdicts.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_nanos(nanos(Time::now()))
}

fn nanos(time: Time) -> u64 {
    u64::try_from(time.unix_timestamp_nanos()).unwrap_or_default()
}

/// The library's verifier, answered by light-clients.
struct SameAsOnChain {
    rules: Rules,
    refused: Arc<Mutex<Option<(u64, Reason)>>>,
}

impl SameAsOnChain {
    fn judge(&self, untrusted: &UntrustedBlockState<'_>, trusted: &TrustedBlockState<'_>, now: Time) -> Verdict {
        let refuse = |reason: Reason| {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some((untrusted.height().value(), reason));
            // The library needs some error of its own; ours is the one that is read.
            Verdict::Invalid(VerificationError::missing_signature().0)
        };
        let next = untrusted.next_validators.map(validator::Set::hash);
        if next.is_some_and(|hash| hash != untrusted.signed_header.header.next_validators_hash) {
            return refuse(Reason::NextValidatorsHash);
        }
        // The root plays no part in verifying a header.
        let state = match ConsensusState::new(trusted.header_time, vec![0; 32], trusted.next_validators_hash) {
            Ok(state) => state,
            Err(reason) => return refuse(reason),
        };
        let height = trusted.height.value();
        let next = trusted.next_validators;
        match verdict(&self.rules, untrusted.signed_header, untrusted.validators, height, &state, next, now) {
            Ours::Trusted(_) => Verdict::Success,
            Ours::NotEnoughTrust { tallied, .. } => Verdict::NotEnoughTrust(VotingPowerTally {
                total: next.total_voting_power().value(),
                tallied,
                trust_threshold: TrustThreshold::default(),
            }),
            Ours::Invalid(reason) => refuse(reason),
        }
    }
}

impl Verifier for SameAsOnChain {
    fn verify_update_header(
        &self,
        untrusted: UntrustedBlockState<'_>,
        trusted: TrustedBlockState<'_>,
        _options: &Options,
        now: Time,
    ) -> Verdict {
        self.judge(&untrusted, &trusted, now)
    }

    fn verify_misbehaviour_header(
        &self,
        untrusted: UntrustedBlockState<'_>,
        trusted: TrustedBlockState<'_>,
        _options: &Options,
        now: Time,
    ) -> Verdict {
        self.judge(&untrusted, &trusted, now)
    }
}
