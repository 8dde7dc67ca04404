//! Governance of a test chain: a proposal of messages, and the validator's vote for it.
//!
//! Proposal and vote are one transaction of the validator, who holds all the power; so a voting period of two seconds
//! ([`ChainSpec::voting_seconds`](super::ChainSpec::voting_seconds)) can't end before the vote. Nobody else may propose.

use ibc_proto::cosmos::base::query::v1beta1::PageRequest;
use ibc_proto::cosmos::base::v1beta1::Coin;
use ibc_proto::google::protobuf::Any;
use prost::Message;
use sha2::{Digest, Sha256};

use super::genesis::VALIDATOR;
use super::simd::SimdChain;
use super::spec::STAKE;
use super::tx::any;
use super::wallet::{ACCOUNT_PREFIX, Wallet, bech32_address};
use crate::relay::until;
use crate::{DevnetError, limits};

/// What a proposal costs until it is decided: the default genesis' `min_deposit`.
const DEPOSIT: u64 = 10_000_000;

/// `VOTE_OPTION_YES` of `cosmos.gov.v1`.
const YES: i32 = 1;

/// `PROPOSAL_STATUS_PASSED` of `cosmos.gov.v1`: executed, too. What comes after it is over and was not executed.
const PASSED: i32 = 3;

// The messages of cosmos.gov.v1, which the protobuf library leaves out.

#[derive(Clone, PartialEq, Message)]
struct MsgSubmitProposal {
    #[prost(message, repeated, tag = "1")]
    messages: Vec<Any>,
    #[prost(message, repeated, tag = "2")]
    initial_deposit: Vec<Coin>,
    #[prost(string, tag = "3")]
    proposer: String,
    #[prost(string, tag = "5")]
    title: String,
    #[prost(string, tag = "6")]
    summary: String,
}

#[derive(Clone, PartialEq, Message)]
struct MsgVote {
    #[prost(uint64, tag = "1")]
    proposal_id: u64,
    #[prost(string, tag = "2")]
    voter: String,
    #[prost(int32, tag = "3")]
    option: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Proposal {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int32, tag = "3")]
    status: i32,
    #[prost(string, tag = "15")]
    failed_reason: String,
}

#[derive(Clone, PartialEq, Message)]
struct QueryProposalRequest {
    #[prost(uint64, tag = "1")]
    proposal_id: u64,
}

#[derive(Clone, PartialEq, Message)]
struct QueryProposalResponse {
    #[prost(message, optional, tag = "1")]
    proposal: Option<Proposal>,
}

#[derive(Clone, PartialEq, Message)]
struct QueryProposalsRequest {
    #[prost(message, optional, tag = "4")]
    pagination: Option<PageRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct QueryProposalsResponse {
    #[prost(message, repeated, tag = "1")]
    proposals: Vec<Proposal>,
}

/// The account in whose name an accepted proposal acts: the signer of its messages.
///
/// # Errors
/// [`DevnetError::Wallet`] if its address can't be written.
pub(super) fn authority() -> Result<String, DevnetError> {
    let hash: [u8; 32] = Sha256::digest("gov").into();
    let mut address = [0; 20];
    address.copy_from_slice(&hash[..20]);
    bech32_address("gov", ACCOUNT_PREFIX, &address)
}

impl SimdChain {
    /// Proposes that the chain execute these messages, in order and all or none, accepts it, and waits for the outcome.
    ///
    /// # Errors
    /// [`DevnetError::Proposal`] if they fail, [`DevnetError::Tx`] if the proposal itself is refused.
    pub async fn govern(&self, title: &str, messages: Vec<Any>) -> Result<(), DevnetError> {
        let id = self.last_proposal().await? + 1;
        let validator = self.user(&Wallet::named(VALIDATOR)?);
        let proposal = MsgSubmitProposal {
            messages,
            initial_deposit: vec![Coin { denom: STAKE.to_owned(), amount: DEPOSIT.to_string() }],
            proposer: validator.address().to_owned(),
            title: title.to_owned(),
            summary: title.to_owned(),
        };
        let vote = MsgVote { proposal_id: id, voter: validator.address().to_owned(), option: YES };
        let messages = vec![any("/cosmos.gov.v1.MsgSubmitProposal", &proposal), any("/cosmos.gov.v1.MsgVote", &vote)];
        validator.execute_with_gas(messages, limits::CONTRACT_GAS).await?;
        let decided = async || {
            let request = QueryProposalRequest { proposal_id: id };
            let answer: QueryProposalResponse = self.node().query("/cosmos.gov.v1.Query/Proposal", &request).await?;
            Ok(answer.proposal.filter(|proposal| proposal.status >= PASSED))
        };
        let decided = until(&format!("proposal {id}"), limits::COMMIT_TIMEOUT, decided).await?;
        match decided.status {
            PASSED => Ok(()),
            status => Err(DevnetError::Proposal { id, status, reason: decided.failed_reason }),
        }
    }

    async fn last_proposal(&self) -> Result<u64, DevnetError> {
        let pagination = Some(PageRequest { limit: 1, reverse: true, ..PageRequest::default() });
        let answer: QueryProposalsResponse =
            self.node().query("/cosmos.gov.v1.Query/Proposals", &QueryProposalsRequest { pagination }).await?;
        Ok(answer.proposals.first().map_or(0, |proposal| proposal.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_the_governance_modules_account() {
        assert_eq!(authority().unwrap(), "cosmos10d07y265gmmuvt4z0w9aw880jnsr700j6zn9kn");
    }
}
