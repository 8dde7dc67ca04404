//! The Tendermint (CometBFT) light client.
//!
//! Validators sign each block. Whoever knows the validators after one block can check the next ("adjacent"), and may
//! skip blocks as long as validators with more than the *trust level* of the trusted voting power also signed the later
//! one ("skipping"). Trust lasts for the *trusting period*, which is shorter than the time stake needs to unbond: until
//! then, whoever signs two histories loses it.
//!
//! **Spec**: ICS-07, and CometBFT's light client specification. The rules are those of ibc-go v10's `07-tendermint`.
//! Predicates, vote counting and hashes come from `tendermint-light-client-verifier`; this module adds what that crate
//! leaves to its caller (limits, order and uniqueness of validators and votes, overflow, the trusted validators' hash)
//! and asks its questions in the order cheap to costly.
//!
//! **Signatures.** CometBFT verifies ed25519 with the ZIP-215 rule, for single and for batched signatures alike.
//! `tendermint` verifies with `ed25519-consensus`, which is ZIP-215, too, so the same votes count here and on chain. The
//! stricter rule of RFC 8032 libraries would let a validator craft a vote that one side counts and the other refuses.
//! Signatures are verified one by one, and only until the threshold is passed, as in CometBFT's `VerifyCommitLight`:
//! a batch needs randomness, which a pure function has not.
//!
//! **Shapes.** [`ClientState`], [`ConsensusState`], [`Header`] and [`Misbehaviour`] are checked when they are built or
//! decoded; [`TrustedState`] ties trusted validators to the hash that vouches for them. [`verify_header`] and
//! [`verify_misbehaviour`] take only such values.

mod client_state;
mod consensus_state;
mod header;
mod misbehaviour;
mod update;
mod validators;
mod verdict;

pub use client_state::{ClientParameters, ClientState, revision};
pub use consensus_state::{ConsensusState, TrustedState};
pub use header::Header;
pub use misbehaviour::{Conflict, Misbehaviour, check_against_stored, detect_conflict, verify_misbehaviour};
pub use update::verify_header;

use crate::{MerklePath, Protocols, Reason, Timestamp, Updated, Verdict, Verifier, commitment::ics23};
use ibc_proto::google::protobuf::Any;

/// The [`Verifier`] of chains that run CometBFT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TendermintClient;

impl Verifier for TendermintClient {
    fn update(&self, client_state: &Any, trusted: &Any, header: &Any, now: Timestamp) -> Verdict<Updated> {
        let decoded =
            || Ok((ClientState::decode(client_state)?, ConsensusState::decode(trusted)?, Header::decode(header)?));
        match decoded() {
            Ok((client, trusted, header)) => verify_header(&client, &trusted, &header, now)
                .map(|state| Updated { height: header.height(), consensus_state: state.encode() }),
            Err(reason) => Verdict::Invalid(reason),
        }
    }

    fn membership(
        &self,
        client_state: &Any,
        consensus_state: &Any,
        proof: &[u8],
        path: &MerklePath,
        value: Option<&[u8]>,
    ) -> Result<(), Reason> {
        ClientState::decode(client_state)?.ensure_active()?;
        let consensus = ConsensusState::decode(consensus_state)?;
        let proof = ics23::decode_proof(proof)?;
        match value {
            Some(value) => ics23::verify_membership(&ics23::COSMOS_TREES, consensus.root(), &proof, path, value),
            None => ics23::verify_absence(&ics23::COSMOS_TREES, consensus.root(), &proof, path),
        }
    }

    fn misbehaviour(
        &self,
        client_state: &Any,
        trusted_1: &Any,
        trusted_2: &Any,
        misbehaviour: &Any,
        now: Timestamp,
    ) -> Verdict<()> {
        let decoded = || {
            Ok((
                ClientState::decode(client_state)?,
                ConsensusState::decode(trusted_1)?,
                ConsensusState::decode(trusted_2)?,
                Misbehaviour::decode(misbehaviour)?,
            ))
        };
        match decoded() {
            Ok((client, first, second, misbehaviour)) => {
                verify_misbehaviour(&client, &first, &second, &misbehaviour, now).map(|_| ())
            }
            Err(reason) => Verdict::Invalid(reason),
        }
    }

    fn protocols(&self) -> Protocols {
        Protocols { headers: "tendermint", proofs: "ics23" }
    }

    fn update_cost(&self, header: &Any) -> u64 {
        header::signatures_of(header.value.len())
    }
}
