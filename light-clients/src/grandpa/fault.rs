//! What only a GRANDPA header can have wrong with it.

use thiserror::Error;

/// A rule of GRANDPA that a header, its justification or its authorities break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// A set without authorities.
    #[error("the authority set is empty")]
    EmptySet,
    /// An authority whose vote counts for nothing.
    #[error("authority {index} has no weight")]
    ZeroWeight {
        /// Which authority.
        index: u32,
    },
    /// An authority twice in one set.
    #[error("authority {index} is there twice")]
    DuplicateAuthority {
        /// Index of the one whose key was there already.
        index: u32,
    },
    /// The sum of the weights does not fit 64 bits.
    #[error("the weights of the authorities overflow")]
    WeightOverflow,
    /// The authorities are not those the trusted state names.
    #[error("the authorities don't hash to the trusted authorities_hash")]
    AuthoritiesHash,
    /// A vote of someone who is no authority of this set.
    #[error("vote {index} is of no authority of this set")]
    UnknownVoter {
        /// Which vote.
        index: u32,
    },
    /// A vote that is there twice.
    #[error("vote {index} is there twice")]
    DuplicateVote {
        /// Index of the second.
        index: u32,
    },
    /// An authority voted for two blocks in one round.
    #[error("vote {index} is its authority's second, for another block")]
    Equivocation {
        /// Index of the second.
        index: u32,
    },
    /// A vote for a block that is not shown to descend from the target.
    #[error("the block of vote {index} is not shown to descend from the target")]
    VoteAncestry {
        /// Which vote.
        index: u32,
    },
    /// A header twice among the vote ancestries.
    #[error("vote ancestry {index} is there twice")]
    DuplicateAncestry {
        /// Index of the second.
        index: u32,
    },
    /// Headers among the vote ancestries that no vote needs.
    #[error("{count} vote ancestries are needed by no vote")]
    UnusedAncestry {
        /// How many.
        count: u32,
    },
    /// A header whose parent is not the block before it.
    #[error("header {index} is no child of the one before it")]
    BrokenChain {
        /// Which header, counted from the one after the trusted block.
        index: u32,
    },
    /// A header whose number is not one more than its parent's.
    #[error("header {index} has number {got}, {want} expected")]
    BlockNumber {
        /// Which header, counted from the one after the trusted block.
        index: u32,
        /// Its number.
        got: u32,
        /// One more than its parent's.
        want: u32,
    },
    /// The last header is not the block the justification finalizes.
    #[error("the justification finalizes another block than the last header")]
    OtherTarget,
    /// A change of authorities that the chain made without their finality: only its operators can tell what is true.
    #[error("block {number} forces a change of authorities")]
    ForcedChange {
        /// Number of the block.
        number: u32,
    },
    /// A change announced while another is still to come, or two in one block.
    #[error("block {number} announces a change of authorities while another is pending")]
    OverlappingChange {
        /// Number of the block.
        number: u32,
    },
    /// Blocks beyond a change of authorities: the last one before it has to be verified first.
    #[error("the authorities change after block {effective}, which has to be verified first")]
    SkippedChange {
        /// Last block of the old authorities.
        effective: u32,
    },
    /// A number that does not fit: a set id or block number after the last one.
    #[error("a block number or set id overflows")]
    NumberOverflow,
}

impl Fault {
    /// Short stable name, for metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::EmptySet => "empty_authority_set",
            Self::ZeroWeight { .. } => "zero_weight",
            Self::DuplicateAuthority { .. } => "duplicate_authority",
            Self::WeightOverflow => "weight_overflow",
            Self::AuthoritiesHash => "authorities_hash",
            Self::UnknownVoter { .. } => "unknown_voter",
            Self::DuplicateVote { .. } => "duplicate_vote",
            Self::Equivocation { .. } => "equivocation",
            Self::VoteAncestry { .. } => "vote_ancestry",
            Self::DuplicateAncestry { .. } => "duplicate_ancestry",
            Self::UnusedAncestry { .. } => "unused_ancestry",
            Self::BrokenChain { .. } => "broken_chain",
            Self::BlockNumber { .. } => "block_number",
            Self::OtherTarget => "other_target",
            Self::ForcedChange { .. } => "forced_change",
            Self::OverlappingChange { .. } => "overlapping_change",
            Self::SkippedChange { .. } => "skipped_change",
            Self::NumberOverflow => "number_overflow",
        }
    }
}
