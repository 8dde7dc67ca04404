//! Every bound of this crate, with its reason.

/// Longest protobuf of a client state. ibc-go's are about 250 bytes; proof specs and an upgrade path leave room.
pub const MAX_CLIENT_STATE_BYTES: usize = 16 * 1024;

/// Longest protobuf of a consensus state. A Tendermint one is about 90 bytes.
pub const MAX_CONSENSUS_STATE_BYTES: usize = 4 * 1024;

/// Longest protobuf of a header: [`MAX_VALIDATORS`] signatures (about 110 bytes each) and two sets of them (about 85
/// bytes a validator) are 560 kB.
pub const MAX_HEADER_BYTES: usize = 1024 * 1024;

/// Longest protobuf of a misbehaviour: two headers and an identifier.
pub const MAX_MISBEHAVIOUR_BYTES: usize = 2 * MAX_HEADER_BYTES + 1024;

/// Largest validator set. Live chains have at most a few hundred; CometBFT itself stops at 10,000. At 40 us a signature
/// this bounds one header to about 55 ms.
pub const MAX_VALIDATORS: usize = 2_000;

/// Largest total voting power, as in CometBFT (`MaxTotalVotingPower`): sums and small multiples never overflow.
pub const MAX_TOTAL_VOTING_POWER: u64 = tendermint::validator::Set::MAX_TOTAL_VOTING_POWER;

/// Largest denominator of a trust level. Percentages and per mille fit; larger ones serve only to overflow.
pub const MAX_TRUST_LEVEL_DENOMINATOR: u64 = 1_000;

/// Largest block height: CometBFT's heights are signed 64-bit numbers, and one more must still fit.
pub const MAX_BLOCK_HEIGHT: u64 = i64::MAX as u64 - 1;

/// Longest app hash taken as a commitment root. The Cosmos SDK's has 32 bytes.
pub const MAX_ROOT_BYTES: usize = 64;

/// Most keys of an upgrade path (`["upgrade", "upgradedIBCState"]` in the Cosmos SDK).
pub const MAX_UPGRADE_PATH_KEYS: usize = 16;

/// Longest protobuf of a Merkle proof. An existence proof of depth 128 has 10 kB and an absence proof 20 kB, plus the
/// values of the leaves, of which client states of other chains are the largest.
pub const MAX_PROOF_BYTES: usize = 512 * 1024;

/// Longest path inside one tree, as in ics23 for Go (which reads a spec's `max_depth` 0 as 128). A balanced tree of this
/// depth can't be filled.
pub const MAX_PROOF_DEPTH: usize = 128;

/// Longest key of one tree. ICS-24 paths are below 200 bytes.
pub const MAX_KEY_BYTES: usize = 4 * 1024;

/// Most entries of a batch proof: one proof is at most a block's worth of packets of one relayed transaction.
pub const MAX_BATCH_ENTRIES: usize = 256;

/// Most bytes beside the child in an inner node of a compressed batch: an IAVL node has at most 64 (three varints, a
/// sibling's hash with its length, one more length), and each may be repeated.
pub const MAX_INNER_NODE_BYTES: usize = 96;

/// Most inner nodes a compressed batch may unfold to (about 5 MB). Compression repeats an inner node for a byte or two,
/// so the size of the message bounds too little.
pub const MAX_BATCH_INNER_NODES: usize = 32 * 1024;

/// Largest GRANDPA authority set. Live chains have 1,000 at most. At 40 us a signature this bounds one justification to
/// about 80 ms.
pub const MAX_AUTHORITIES: usize = 2_000;

/// Longest SCALE list of authorities: 40 bytes each, and its length.
pub const MAX_AUTHORITIES_BYTES: usize = 40 * MAX_AUTHORITIES + 8;

/// Longest SCALE header of a Substrate chain: a change of authorities announces all of them; other digests take a few
/// hundred bytes.
pub const MAX_SUBSTRATE_HEADER_BYTES: usize = MAX_AUTHORITIES_BYTES + 8 * 1024;

/// Most items of a header's digest: a block has a handful (its author's slot and seal, its consensus engines' news).
pub const MAX_DIGEST_ITEMS: usize = 64;

/// Most headers between a trusted block and the next final one. A chain of 250-byte headers reaches [`MAX_HEADER_BYTES`]
/// at about this length; whoever is further behind takes a justification in between.
pub const MAX_HEADER_CHAIN: usize = 4_096;

/// Longest SCALE justification: 132 bytes a vote and the headers from the votes back to the target.
pub const MAX_JUSTIFICATION_BYTES: usize = 512 * 1024;

/// Most headers among a justification's vote ancestries: votes run a few blocks ahead of what is final, and hundreds when
/// finality stalled.
pub const MAX_VOTE_ANCESTRIES: usize = 1_024;

/// Most nodes and values of a storage proof. A key of 100 bytes in a trie of millions of keys is below ten nodes; one
/// proof serves a relayed transaction's worth of keys at most.
pub const MAX_TRIE_NODES: usize = 4_096;

/// Longest name of a child trie: a pallet's name or an account's id.
pub const MAX_CHILD_TRIE_BYTES: usize = 128;
