//! Why a light client refuses: data, with a short stable label for metrics and a remedy for the caller.

use crate::grandpa::Fault;
use crate::{Height, Timestamp};
use thiserror::Error;

/// The message, or piece of one, a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Client state.
    ClientState,
    /// Consensus state.
    ConsensusState,
    /// ICS-07 header (signed header, validators, trusted height, trusted validators).
    Header,
    /// Block header and commit.
    SignedHeader,
    /// Commit of a header.
    Commit,
    /// Validators of the header.
    Validators,
    /// Validators after the trusted height.
    TrustedValidators,
    /// Trusted height of a header.
    TrustedHeight,
    /// Misbehaviour (two headers).
    Misbehaviour,
    /// Merkle proof over all trees.
    MerkleProof,
    /// Batch proof.
    BatchProof,
    /// Key of one tree in a path.
    Key,
    /// Inner nodes of one tree.
    InnerNodes,
    /// GRANDPA's authorities.
    Authorities,
    /// Header of a Substrate chain.
    SubstrateHeader,
    /// Headers from a trusted block to a final one.
    HeaderChain,
    /// Justification of a final block.
    Justification,
    /// Votes of a justification.
    Precommits,
    /// Headers between a justification's votes and its target.
    VoteAncestries,
    /// Nodes and values of a storage proof.
    TrieProof,
    /// Node of a trie.
    TrieNode,
    /// Time of a block in its state.
    Timestamp,
}

impl Part {
    /// The part in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientState => "client state",
            Self::ConsensusState => "consensus state",
            Self::Header => "header",
            Self::SignedHeader => "signed header",
            Self::Commit => "commit",
            Self::Validators => "validator set",
            Self::TrustedValidators => "trusted validator set",
            Self::TrustedHeight => "trusted height",
            Self::Misbehaviour => "misbehaviour",
            Self::MerkleProof => "Merkle proof",
            Self::BatchProof => "batch proof",
            Self::Key => "key",
            Self::InnerNodes => "path of inner nodes",
            Self::Authorities => "authority list",
            Self::SubstrateHeader => "Substrate header",
            Self::HeaderChain => "chain of headers",
            Self::Justification => "justification",
            Self::Precommits => "list of precommits",
            Self::VoteAncestries => "list of vote ancestries",
            Self::TrieProof => "storage proof",
            Self::TrieNode => "trie node",
            Self::Timestamp => "timestamp in the state",
        }
    }
}

impl core::fmt::Display for Part {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// The parameter of a client or consensus state that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parameter {
    /// Chain id: 1 to 50 letters, digits, `-`, `_`, `.`, and a revision that fits 64 bits.
    ChainId,
    /// Trust level: between 1/3 and 1.
    TrustLevel,
    /// Trusting period: above zero, below the unbonding period.
    TrustingPeriod,
    /// Unbonding period: above zero.
    UnbondingPeriod,
    /// Clock drift: above zero.
    MaxClockDrift,
    /// Latest height: above zero, in the revision its chain id ends with.
    LatestHeight,
    /// Proof specs: exactly ICS-23's IAVL, then its simple Merkle tree.
    ProofSpecs,
    /// Upgrade path: few keys, none empty.
    UpgradePath,
    /// Timestamp: after 1970, before the year 10000.
    Timestamp,
    /// Root: not empty, of bounded length.
    Root,
    /// Hash of the next validators: 32 bytes.
    NextValidatorsHash,
    /// Name of the child trie with a chain's IBC state: short.
    ChildTrie,
    /// SHA-256 of a contract's code: 32 bytes.
    Checksum,
}

impl Parameter {
    /// The parameter under its protobuf name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChainId => "chain_id",
            Self::TrustLevel => "trust_level",
            Self::TrustingPeriod => "trusting_period",
            Self::UnbondingPeriod => "unbonding_period",
            Self::MaxClockDrift => "max_clock_drift",
            Self::LatestHeight => "latest_height",
            Self::ProofSpecs => "proof_specs",
            Self::UpgradePath => "upgrade_path",
            Self::Timestamp => "timestamp",
            Self::Root => "root",
            Self::NextValidatorsHash => "next_validators_hash",
            Self::ChildTrie => "child_trie",
            Self::Checksum => "checksum",
        }
    }
}

impl core::fmt::Display for Parameter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// What the caller can do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Drop what was given and distrust its source.
    Drop,
    /// Fetch again, for another height or with other trusted validators.
    Refresh,
    /// Try again later: clocks differ.
    Wait,
    /// The client can't be used any more: its owner has to act (recover, replace).
    Halt,
}

/// Why a light client refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Reason {
    /// An `Any` of another type.
    #[error("the {part} has another type URL")]
    WrongType {
        /// What was expected.
        part: Part,
    },
    /// More bytes or entries than the limit.
    #[error("the {part} is too large: {size}, at most {max}")]
    TooLarge {
        /// What is too large.
        part: Part,
        /// Its size in bytes or entries.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// Bytes that are no such message, or values out of range.
    #[error("the {part} can't be decoded")]
    Undecodable {
        /// What can't be decoded.
        part: Part,
    },
    /// A field without which nothing can be verified.
    #[error("the {part} is missing or empty")]
    Missing {
        /// What is missing.
        part: Part,
    },
    /// A client or consensus state that breaks a rule of its specification.
    #[error("parameter {parameter} is out of range")]
    Parameter {
        /// Which parameter.
        parameter: Parameter,
    },
    /// The client was frozen by misbehaviour.
    #[error("the client is frozen at height {height}")]
    ClientFrozen {
        /// Its frozen height.
        height: Height,
    },
    /// The trusted state is older than the trusting period.
    #[error("trust expired: the trusting period ended before {now}")]
    TrustExpired {
        /// The time given.
        now: Timestamp,
    },
    /// The header's time is beyond the clock drift.
    #[error("the header is from the future of {now}")]
    HeaderFromFuture {
        /// The time given.
        now: Timestamp,
    },
    /// A time that can't be computed with.
    #[error("a time is out of range")]
    TimeOutOfRange,
    /// The header is of another chain.
    #[error("the header's chain id is not the client's")]
    ChainId,
    /// The header's trusted height is of another revision.
    #[error("the trusted height is in revision {got}, the client in {want}")]
    Revision {
        /// Revision of the trusted height.
        got: u64,
        /// Revision of the client's chain id.
        want: u64,
    },
    /// Not CometBFT's block protocol.
    #[error("block protocol {got} is unknown")]
    BlockProtocol {
        /// What the header says.
        got: u64,
    },
    /// The header does not come after the trusted height.
    #[error("the header's height {header} is not above the trusted {trusted}")]
    HeightNotAbove {
        /// The header's height.
        header: Height,
        /// The trusted height.
        trusted: Height,
    },
    /// The header's time does not come after the trusted one.
    #[error("the header's time is not after the trusted header's")]
    TimeNotAfter,
    /// Negative voting power.
    #[error("{part}: validator {index} has negative voting power")]
    NegativeVotingPower {
        /// Which set.
        part: Part,
        /// Which validator.
        index: u32,
    },
    /// The sum of voting powers, or its product with the trust level, overflows.
    #[error("{part}: voting power overflows")]
    VotingPowerOverflow {
        /// Which set.
        part: Part,
    },
    /// A validator twice in one set.
    #[error("{part}: validator {index} is there twice")]
    DuplicateValidator {
        /// Which set.
        part: Part,
        /// Index of the second.
        index: u32,
    },
    /// Validators not ordered by power, then address.
    #[error("{part}: validator {index} is out of order")]
    ValidatorOrder {
        /// Which set.
        part: Part,
        /// Which validator.
        index: u32,
    },
    /// No proposer, or one that is not in the set.
    #[error("{part}: the proposer is not in the set")]
    Proposer {
        /// Which set.
        part: Part,
    },
    /// The trusted validators are not those the trusted consensus state names.
    #[error("the trusted validators don't hash to the trusted next_validators_hash")]
    TrustedValidatorsHash,
    /// The validators are not those the header names.
    #[error("the validators don't hash to the header's validators_hash")]
    ValidatorsHash,
    /// The next block's validators are not those announced by the trusted one.
    #[error("the next header's validators_hash is not the trusted next_validators_hash")]
    NextValidatorsHash,
    /// The commit is for another header.
    #[error("the commit is for another header")]
    CommitHash,
    /// The commit has another number of votes than there are validators.
    #[error("the commit has {votes} votes for {validators} validators")]
    VoteCount {
        /// Votes.
        votes: u32,
        /// Validators.
        validators: u32,
    },
    /// Nobody voted.
    #[error("the commit holds no vote")]
    NoVotes,
    /// A validator voted twice.
    #[error("vote {index} repeats a validator")]
    DuplicateVote {
        /// Index of the second.
        index: u32,
    },
    /// A vote under the name of a validator who is not at its place.
    #[error("vote {index} is not of the validator at that place")]
    MisplacedVote {
        /// Which vote.
        index: u32,
    },
    /// A vote that carries a wrong signature.
    #[error("a signature is wrong")]
    Signature,
    /// At most 2/3 of the header's own validators signed.
    #[error("only {tallied} of {total} voting power signed, more than 2/3 is needed")]
    TooFewSigned {
        /// Voting power that signed.
        tallied: u64,
        /// All of it.
        total: u64,
    },
    /// Headers of a misbehaviour in the wrong order: the first must not be lower.
    #[error("the first header of a misbehaviour is lower than the second")]
    MisbehaviourOrder,
    /// A storage proof that does not show all nodes on the way.
    #[error("a node on the way to the key is missing from the storage proof")]
    TrieNode,
    /// A rule of GRANDPA is broken.
    #[error(transparent)]
    Grandpa(#[from] Fault),
    /// Both headers can be true at once.
    #[error("the two headers don't conflict")]
    NoConflict,
    /// Another number of trees than the proof specs.
    #[error("{got} trees or keys, {want} expected")]
    TreeCount {
        /// What was given.
        got: u32,
        /// How many the specs have.
        want: u32,
    },
    /// Membership of nothing.
    #[error("an empty value can't be a member")]
    EmptyValue,
    /// An absence proof for membership, or the reverse, or neither.
    #[error("tree {tree}: the proof is of another kind")]
    ProofKind {
        /// Which tree, lowest first.
        tree: u32,
    },
    /// Batch and compressed proofs are not what a chain accepts for one path.
    #[error("tree {tree}: a batch proof stands where one proof is expected")]
    BatchedProof {
        /// Which tree, lowest first.
        tree: u32,
    },
    /// The proof is for another key.
    #[error("tree {tree}: the proof is for another key")]
    ProofKey {
        /// Which tree, lowest first.
        tree: u32,
    },
    /// The proof is for another value.
    #[error("tree {tree}: the proof is for another value")]
    ProofValue {
        /// Which tree, lowest first.
        tree: u32,
    },
    /// Deeper than the limit.
    #[error("tree {tree}: {depth} inner nodes, at most {max}")]
    ProofDepth {
        /// Which tree, lowest first.
        tree: u32,
        /// Inner nodes on the path.
        depth: u64,
        /// The limit.
        max: u64,
    },
    /// A leaf that is no leaf of this kind of tree.
    #[error("tree {tree}: malformed leaf")]
    ProofLeaf {
        /// Which tree, lowest first.
        tree: u32,
    },
    /// An inner node that is none of this kind of tree: child on neither or both sides, wrong header.
    #[error("tree {tree}: malformed inner node {index}")]
    ProofInner {
        /// Which tree, lowest first.
        tree: u32,
        /// Which node, counted from the leaf.
        index: u32,
    },
    /// The two leaves of an absence proof are no neighbours, or don't enclose the key.
    #[error("tree {tree}: the leaves are no neighbours around the key")]
    ProofNeighbours {
        /// Which tree, lowest first.
        tree: u32,
    },
    /// The proof leads to another root.
    #[error("tree {tree}: the proof leads to another root")]
    ProofRoot {
        /// Which tree, lowest first.
        tree: u32,
    },
    /// A compressed proof that names an inner node it does not carry.
    #[error("a compressed proof names inner node {index}, which it lacks")]
    ProofLookup {
        /// Which inner node.
        index: i32,
    },
}

impl Reason {
    /// A short, stable word for metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::WrongType { .. } => "wrong_type",
            Self::TooLarge { .. } => "too_large",
            Self::Undecodable { .. } => "undecodable",
            Self::Missing { .. } => "missing",
            Self::Parameter { .. } => "parameter",
            Self::ClientFrozen { .. } => "client_frozen",
            Self::TrustExpired { .. } => "trust_expired",
            Self::HeaderFromFuture { .. } => "header_from_future",
            Self::TimeOutOfRange => "time_out_of_range",
            Self::ChainId => "chain_id",
            Self::Revision { .. } => "revision",
            Self::BlockProtocol { .. } => "block_protocol",
            Self::HeightNotAbove { .. } => "height_not_above",
            Self::TimeNotAfter => "time_not_after",
            Self::NegativeVotingPower { .. } => "negative_voting_power",
            Self::VotingPowerOverflow { .. } => "voting_power_overflow",
            Self::DuplicateValidator { .. } => "duplicate_validator",
            Self::ValidatorOrder { .. } => "validator_order",
            Self::Proposer { .. } => "proposer",
            Self::TrustedValidatorsHash => "trusted_validators_hash",
            Self::ValidatorsHash => "validators_hash",
            Self::NextValidatorsHash => "next_validators_hash",
            Self::CommitHash => "commit_hash",
            Self::VoteCount { .. } => "vote_count",
            Self::NoVotes => "no_votes",
            Self::DuplicateVote { .. } => "duplicate_vote",
            Self::MisplacedVote { .. } => "misplaced_vote",
            Self::Signature => "signature",
            Self::TooFewSigned { .. } => "too_few_signed",
            Self::MisbehaviourOrder => "misbehaviour_order",
            Self::TrieNode => "trie_node",
            Self::Grandpa(fault) => fault.label(),
            Self::NoConflict => "no_conflict",
            Self::TreeCount { .. } => "tree_count",
            Self::EmptyValue => "empty_value",
            Self::ProofKind { .. } => "proof_kind",
            Self::BatchedProof { .. } => "batched_proof",
            Self::ProofKey { .. } => "proof_key",
            Self::ProofValue { .. } => "proof_value",
            Self::ProofDepth { .. } => "proof_depth",
            Self::ProofLeaf { .. } => "proof_leaf",
            Self::ProofInner { .. } => "proof_inner",
            Self::ProofNeighbours { .. } => "proof_neighbours",
            Self::ProofRoot { .. } => "proof_root",
            Self::ProofLookup { .. } => "proof_lookup",
        }
    }

    /// What the caller can do.
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::ClientFrozen { .. } | Self::TrustExpired { .. } | Self::Grandpa(Fault::ForcedChange { .. }) => {
                Remedy::Halt
            }
            Self::HeaderFromFuture { .. } => Remedy::Wait,
            Self::HeightNotAbove { .. }
            | Self::TrustedValidatorsHash
            | Self::Grandpa(Fault::AuthoritiesHash | Fault::SkippedChange { .. })
            | Self::ProofRoot { .. }
            | Self::ProofValue { .. }
            | Self::ProofKind { .. } => Remedy::Refresh,
            _ => Remedy::Drop,
        }
    }
}
