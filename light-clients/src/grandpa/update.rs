//! Verifying a final block against a trusted one, and two that can't both be.

use super::justification::{VerifySignature, ed25519};
use super::{AuthoritySet, ClientState, ConsensusState, Fault, Finality, Hash, Header, Misbehaviour, blake2_256};
use crate::commitment::trie::TrieProof;
use crate::{Reason, Timestamp};
use alloc::collections::BTreeMap;
use core::iter;

/// How two final blocks contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// Two blocks of one height are final.
    Fork {
        /// The height's number.
        number: u32,
    },
    /// The higher of two final blocks is not later than the lower.
    Time,
}

/// Verifies a header against the consensus state trusted at its `trusted_height`; answers with the new one.
///
/// In this order: the client is active; the header is of its revision and above the trusted height; trust has not expired;
/// the headers lead from the trusted block to the one that was justified, past no change of authorities; its time, proven
/// from its state, is after the trusted one and not beyond the clock drift; the authorities are the trusted ones; more
/// than two thirds of their weight voted, with all that goes with it; last, they signed.
pub fn verify_header(
    client: &ClientState,
    trusted: &ConsensusState,
    header: &Header,
    now: Timestamp,
) -> Result<ConsensusState, Reason> {
    verify_header_with(client, trusted, header, now, &ed25519)
}

/// The same, with signatures verified by the host.
pub fn verify_header_with(
    client: &ClientState,
    trusted: &ConsensusState,
    header: &Header,
    now: Timestamp,
    signed: VerifySignature<'_>,
) -> Result<ConsensusState, Reason> {
    let (state, authorities) = follow(client, trusted, header, now)?;
    if state.timestamp() <= trusted.timestamp() {
        return Err(Reason::TimeNotAfter);
    }
    let drift = u64::try_from(client.parameters().max_clock_drift.as_nanos()).unwrap_or(u64::MAX);
    if state.timestamp().as_nanos() > now.as_nanos().saturating_add(drift) {
        return Err(Reason::HeaderFromFuture { now });
    }
    header.justification.verify_with(&authorities, signed)?;
    Ok(state)
}

/// The state a header proves that was verified already: without votes and signatures.
///
/// For a contract, which its host asks to verify a message first and then to store it.
pub fn new_state(
    client: &ClientState,
    trusted: &ConsensusState,
    header: &Header,
    now: Timestamp,
) -> Result<ConsensusState, Reason> {
    follow(client, trusted, header, now).map(|(state, _)| state)
}

/// Verifies that both headers would have been trusted and that they conflict.
///
/// Only trusted blocks and those between them and the final ones count: what somebody appends is not part of the proven
/// chain. The two may be verified against different trusted states. A header may be from the future, since that is what is wrong
/// with it.
pub fn verify_misbehaviour(
    client: &ClientState,
    trusted_1: &ConsensusState,
    trusted_2: &ConsensusState,
    misbehaviour: &Misbehaviour,
    now: Timestamp,
) -> Result<Conflict, Reason> {
    verify_misbehaviour_with(client, trusted_1, trusted_2, misbehaviour, now, &ed25519)
}

/// The same, with signatures verified by the host.
pub fn verify_misbehaviour_with(
    client: &ClientState,
    trusted_1: &ConsensusState,
    trusted_2: &ConsensusState,
    misbehaviour: &Misbehaviour,
    now: Timestamp,
    signed: VerifySignature<'_>,
) -> Result<Conflict, Reason> {
    let (first, second) = misbehaviour.headers();
    let (state_1, authorities_1) = follow(client, trusted_1, first, now)?;
    let (state_2, authorities_2) = follow(client, trusted_2, second, now)?;
    let conflict =
        fork((trusted_1, first), (trusted_2, second)).or(backwards(&state_1, &state_2)).ok_or(Reason::NoConflict)?;
    first.justification.verify_with(&authorities_1, signed)?;
    second.justification.verify_with(&authorities_2, signed)?;
    Ok(conflict)
}

/// All but votes, signatures and the comparison of times: what would be trusted, and who has to have voted for it.
fn follow(
    client: &ClientState,
    trusted: &ConsensusState,
    header: &Header,
    now: Timestamp,
) -> Result<(ConsensusState, AuthoritySet), Reason> {
    client.ensure_active()?;
    let (want, got) = (client.latest_height().revision, header.trusted_height.revision);
    if got != want {
        return Err(Reason::Revision { got, want });
    }
    if header.height() <= header.trusted_height {
        return Err(Reason::HeightNotAbove { header: header.height(), trusted: header.trusted_height });
    }
    if client.is_expired(trusted.timestamp(), now) {
        return Err(Reason::TrustExpired { now });
    }
    let from: &Finality = trusted.finality();
    let to = from.advance(&header.chain)?;
    to.ensure_target_of(&header.justification)?;
    let root = header.target.state_root;
    let time = TrieProof::new(&header.timestamp_proof)?.timestamp(&root)?;
    let state = ConsensusState::new(time, root, to)?;
    if blake2_256(&header.authorities) != from.authorities_hash {
        return Err(Fault::AuthoritiesHash.into());
    }
    Ok((state, AuthoritySet::decode(from.set_id, &header.authorities)?))
}

/// The lowest height at which the two hold different blocks.
fn fork(first: (&ConsensusState, &Header), second: (&ConsensusState, &Header)) -> Option<Conflict> {
    fn blocks<'a>(chain: (&'a ConsensusState, &'a Header)) -> impl Iterator<Item = (u32, Hash)> + 'a {
        let trusted = chain.0.finality();
        iter::once((trusted.number, trusted.hash)).chain(chain.1.chain.blocks())
    }
    let known: BTreeMap<_, _> = blocks(first).collect();
    let differs = |(number, hash): &(u32, Hash)| known.get(number).is_some_and(|own| own != hash);
    blocks(second).find(differs).map(|(number, _)| Conflict::Fork { number })
}

fn backwards(first: &ConsensusState, second: &ConsensusState) -> Option<Conflict> {
    let (low, high) = match first.finality().number < second.finality().number {
        true => (first, second),
        false => (second, first),
    };
    let rises = low.finality().number < high.finality().number;
    (rises && high.timestamp() <= low.timestamp()).then_some(Conflict::Time)
}
