//! Verifying a header: adjacent or skipping.

use super::verdict::{check_product, passed, time};
use super::{ClientState, ConsensusState, Header, TrustedState};
use crate::{Part, Reason, Timestamp, Verdict};
use tendermint_light_client_verifier::options::Options;
use tendermint_light_client_verifier::types::{TrustedBlockState, UntrustedBlockState};
use tendermint_light_client_verifier::{ProdVerifier, types::TrustThreshold};

/// Verifies a header against the consensus state trusted at its `trusted_height`; answers with the new one.
///
/// As in ibc-go: the client is active; header, trusted height and client are of one revision and chain; the header is
/// above the trusted height; the trusted validators are those the trusted state names; trust has not expired; the
/// header's time is after the trusted one and not beyond the clock drift; the header and its commit and validators
/// belong together; more than the trust level of the trusted voting power signed (unless adjacent, where the validators
/// themselves are known); more than 2/3 of its own signed.
pub fn verify_header(
    client: &ClientState,
    trusted: &ConsensusState,
    header: &Header,
    now: Timestamp,
) -> Verdict<ConsensusState> {
    match try_verify(client, trusted, header, now) {
        Ok(state) => Verdict::Trusted(state),
        Err(verdict) => verdict,
    }
}

fn try_verify(
    client: &ClientState,
    trusted: &ConsensusState,
    header: &Header,
    now: Timestamp,
) -> Result<ConsensusState, Verdict<ConsensusState>> {
    client.ensure_active()?;
    if header.signed.header.chain_id != *client.chain_id() {
        return Err(Reason::ChainId.into());
    }
    if header.trusted_height().revision != client.revision() {
        return Err(Reason::Revision { got: header.trusted_height().revision, want: client.revision() }.into());
    }
    if header.height() <= header.trusted_height() {
        return Err(Reason::HeightNotAbove { header: header.height(), trusted: header.trusted_height() }.into());
    }
    check_product(&header.trusted_validators, client.trust_level())?;
    check_product(&header.validators, TrustThreshold::TWO_THIRDS)?;
    let next = header.signed.header.next_validators_hash;
    let state = ConsensusState::new(header.time(), header.signed.header.app_hash.as_bytes().into(), next)
        .map_err(|_| Reason::Undecodable { part: Part::SignedHeader })?;

    let verifier = ProdVerifier::default();
    let time = time(now)?;
    let options = options(client);
    let trusted = TrustedState::new(header.trusted_height(), trusted, &header.trusted_validators)?;
    let trusted = trusted.as_block_state(client);
    let untrusted = header.as_block_state();
    passed(verifier.validate_against_trusted(&untrusted, &trusted, &options, time), now)?;
    passed(verifier.check_header_is_from_past(&untrusted, &options, time), now)?;
    passed(verifier.verify_validator_sets(&untrusted), now)?;
    // Signatures last: all that bounds them was checked above.
    passed(verifier.verify_commit_against_trusted(&untrusted, &trusted, &options), now)?;
    Ok(state)
}

pub(super) fn options(client: &ClientState) -> Options {
    Options {
        trust_threshold: client.trust_level(),
        trusting_period: client.parameters().trusting_period,
        clock_drift: client.parameters().max_clock_drift,
    }
}

impl TrustedState<'_> {
    pub(super) fn as_block_state<'a>(&'a self, client: &'a ClientState) -> TrustedBlockState<'a> {
        TrustedBlockState {
            chain_id: client.chain_id(),
            header_time: self.consensus.time(),
            height: self.height,
            next_validators: self.next_validators,
            next_validators_hash: self.consensus.next_validators_hash(),
        }
    }
}

impl Header {
    /// ICS-07 headers carry no next validators: their hash is trusted because the header is.
    pub(super) fn as_block_state(&self) -> UntrustedBlockState<'_> {
        UntrustedBlockState { signed_header: &self.signed, validators: &self.validators, next_validators: None }
    }
}
