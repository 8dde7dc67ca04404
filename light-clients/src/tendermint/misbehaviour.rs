//! Misbehaviour: two headers that would both be trusted and can't both be true.
//!
//! Validators that sign two blocks of one height, or times that run backwards, show that more than the trust level of
//! the validators is faulty. Whoever has such a pair submits it, and the client is frozen before it can be robbed.

use super::client_state::revision_digits;
use super::update::options;
use super::verdict::{check_product, passed, time};
use super::{ClientState, ConsensusState, Header, TrustedState};
use crate::limits::MAX_MISBEHAVIOUR_BYTES;
use crate::wire::{decode_any, required};
use crate::{Part, Reason, Timestamp, Verdict};
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::lightclients::tendermint::v1::Misbehaviour as RawMisbehaviour;
use tendermint_light_client_verifier::operations::ProdVotingPowerCalculator;
use tendermint_light_client_verifier::predicates::{ProdPredicates, VerificationPredicates};
use tendermint_light_client_verifier::types::TrustThreshold;
use tendermint_light_client_verifier::{ProdVerifier, Verdict as Answer};

/// How two headers conflict, in the terms of CometBFT's fork accountability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Conflict {
    /// Two blocks of one height whose state follows from the last one differs: at least one is made up.
    Lunatic,
    /// Two blocks of one height, signed in one round.
    Equivocation,
    /// Two blocks of one height, signed in different rounds.
    Amnesia,
    /// A later block that is not later in time.
    BftTime,
}

impl Conflict {
    /// A short, stable word for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Lunatic => "lunatic",
            Self::Equivocation => "equivocation",
            Self::Amnesia => "amnesia",
            Self::BftTime => "bft_time",
        }
    }
}

/// Two headers, the higher first.
#[derive(Debug, Clone, PartialEq)]
pub struct Misbehaviour {
    header_1: Header,
    header_2: Header,
}

impl Misbehaviour {
    /// Decodes the protobuf of ibc-go and checks that the first header is not the lower one.
    pub fn decode(any: &Any) -> Result<Self, Reason> {
        let raw: RawMisbehaviour = decode_any(any, Part::Misbehaviour, MAX_MISBEHAVIOUR_BYTES)?;
        let header_1 = Header::from_raw(required(raw.header_1, Part::Header)?)?;
        let header_2 = Header::from_raw(required(raw.header_2, Part::Header)?)?;
        if header_1.height() < header_2.height() {
            return Err(Reason::MisbehaviourOrder);
        }
        Ok(Self { header_1, header_2 })
    }

    /// The two headers, the higher first.
    pub fn headers(&self) -> (&Header, &Header) {
        (&self.header_1, &self.header_2)
    }
}

/// How two headers conflict, if they do. Verifies nothing: an unsigned header conflicts with everything.
pub fn detect_conflict(a: &Header, b: &Header) -> Option<Conflict> {
    let (later, earlier) = if a.height() < b.height() { (b, a) } else { (a, b) };
    if later.height() != earlier.height() {
        return (later.time() <= earlier.time()).then_some(Conflict::BftTime);
    }
    if later.signed.commit.block_id.hash == earlier.signed.commit.block_id.hash {
        return None;
    }
    let derived = |header: &Header| {
        let header = &header.signed.header;
        (
            header.validators_hash,
            header.next_validators_hash,
            header.consensus_hash,
            header.app_hash.clone(),
            header.last_results_hash,
        )
    };
    Some(if derived(later) != derived(earlier) {
        Conflict::Lunatic
    } else if later.signed.commit.round == earlier.signed.commit.round {
        Conflict::Equivocation
    } else {
        Conflict::Amnesia
    })
}

/// Whether a verified header conflicts with what a client stores: another consensus state at its height, or neighbours
/// in height that it does not lie between in time. ibc-go freezes on it, so such an update must not be sent by mistake.
pub fn check_against_stored(
    header: &Header,
    same_height: Option<&ConsensusState>,
    previous: Option<&ConsensusState>,
    next: Option<&ConsensusState>,
) -> Option<Conflict> {
    if let Some(stored) = same_height {
        let signed = &header.signed.header;
        let derived =
            stored.root() == signed.app_hash.as_bytes() && stored.next_validators_hash() == signed.next_validators_hash;
        return match (derived, stored.time() == signed.time) {
            (true, true) => None,
            (true, false) => Some(Conflict::Equivocation),
            (false, _) => Some(Conflict::Lunatic),
        };
    }
    let backwards = previous.is_some_and(|previous| previous.time() >= header.time())
        || next.is_some_and(|next| next.time() <= header.time());
    backwards.then_some(Conflict::BftTime)
}

/// Verifies that both headers would have been trusted and that they conflict.
///
/// As in ibc-go, and laxer than an update where attacks need it: the header may be from the future (forward lunatic
/// attacks), need not be later than the trusted time, and an adjacent header is judged by overlap, too.
pub fn verify_misbehaviour(
    client: &ClientState,
    trusted_1: &ConsensusState,
    trusted_2: &ConsensusState,
    misbehaviour: &Misbehaviour,
    now: Timestamp,
) -> Verdict<Conflict> {
    let verify = || {
        client.ensure_active()?;
        let (first, second) = misbehaviour.headers();
        if first.signed.header.chain_id != second.signed.header.chain_id {
            return Err(Reason::ChainId.into());
        }
        let conflict = detect_conflict(first, second).ok_or(Reason::NoConflict)?;
        verify_one(client, trusted_1, first, now)?;
        verify_one(client, trusted_2, second, now)?;
        Ok(conflict)
    };
    match verify() {
        Ok(conflict) => Verdict::Trusted(conflict),
        Err(verdict) => verdict,
    }
}

fn verify_one(
    client: &ClientState,
    trusted: &ConsensusState,
    header: &Header,
    now: Timestamp,
) -> Result<(), Verdict<Conflict>> {
    if !same_chain(header.signed.header.chain_id.as_str(), client.chain_id().as_str()) {
        return Err(Reason::ChainId.into());
    }
    if header.height() <= header.trusted_height() {
        return Err(Reason::HeightNotAbove { header: header.height(), trusted: header.trusted_height() }.into());
    }
    check_product(&header.trusted_validators, client.trust_level())?;
    check_product(&header.validators, TrustThreshold::TWO_THIRDS)?;
    let trusted = TrustedState::new(header.trusted_height(), trusted, &header.trusted_validators)?;
    let options = options(client);
    let fresh = ProdPredicates.is_within_trust_period(trusted.consensus.time(), options.trusting_period, time(now)?);
    passed(Answer::from(fresh), now)?;
    passed(ProdVerifier::default().verify_validator_sets(&header.as_block_state()), now)?;
    let signed = ProdPredicates.has_sufficient_validators_and_signers_overlap(
        &header.signed,
        trusted.next_validators,
        &options.trust_threshold,
        &header.validators,
        &ProdVotingPowerCalculator::default(),
    );
    passed(Answer::from(signed), now)
}

/// Whether a header's chain id is the client's, or that of another revision of it.
fn same_chain(header: &str, client: &str) -> bool {
    match (revision_digits(header), revision_digits(client)) {
        (Some((header, _)), Some((client, _))) => header == client,
        _ => header == client,
    }
}
