//! Every bound of the paying half, each with its reason.

/// Longest secret text, bytes: 24 words of 8 letters with spaces have 215; paths and a password follow.
pub const SECRET_BYTES: usize = 512;
/// Least blocks of an extrinsic's era: the head it starts at is final, so some have passed already.
pub const ERA_LEAST: u64 = 16;
/// Most blocks of an era that starts at any block: longer ones start at multiples only.
pub const ERA_MOST: u64 = 4_096;
/// Extrinsics in one request even if the node takes more: one that is lost leaves few in doubt.
pub const SUBMIT_CALLS: usize = 32;
/// Blocks searched at least for what became of an extrinsic: eras may have been longer when it was signed.
pub const OUTCOME_LEAST: u64 = 256;
/// Blocks read in one request while searching: five megabytes each at most, mostly a few kilobytes.
pub const OUTCOME_BLOCKS: usize = 8;
