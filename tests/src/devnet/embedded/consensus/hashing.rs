//! The hashes of a block's parts, as CometBFT 0.38 computes them.

use prost::Message;
use sha2::{Digest, Sha256};
use tendermint::block::{Commit, Header, Id, parts};
use tendermint::merkle::simple_hash_from_byte_vectors;
use tendermint::{Error, Hash};
use tendermint_proto::v0_38::types as raw;

use crate::devnet::embedded::TxResult;
use crate::limits;

/// Bytes of a part of a block on its way between nodes: a constant of CometBFT, here only for the hash.
const PART_BYTES: usize = 65_536;

fn merkle(leaves: &[impl AsRef<[u8]>]) -> Hash {
    Hash::Sha256(simple_hash_from_byte_vectors::<Sha256>(leaves))
}

/// Of no items.
pub(super) fn nothing() -> Hash {
    merkle(&[] as &[&[u8]])
}

/// Of the transactions: over their hashes.
pub(super) fn data(txs: &[Vec<u8>]) -> Hash {
    merkle(&txs.iter().map(Sha256::digest).collect::<Vec<_>>())
}

/// Of the commit of the block before.
pub(super) fn commit(commit: &Commit) -> Hash {
    let leaves = commit.signatures.iter().map(|vote| raw::CommitSig::from(vote.clone()).encode_to_vec());
    merkle(&leaves.collect::<Vec<_>>())
}

/// The part of a transaction's result that consensus agrees on.
#[derive(Clone, PartialEq, Message)]
struct AgreedResult {
    #[prost(uint32, tag = "1")]
    code: u32,
    #[prost(bytes = "vec", tag = "2")]
    data: Vec<u8>,
    #[prost(int64, tag = "5")]
    gas_wanted: i64,
    #[prost(int64, tag = "6")]
    gas_used: i64,
}

/// Of the results of the block before.
pub(super) fn results(results: &[TxResult]) -> Hash {
    let agreed = results.iter().map(|result| {
        let [gas_wanted, gas_used] = [result.gas_wanted, result.gas_used].map(u64::cast_signed);
        AgreedResult { code: result.code, data: result.data.clone(), gas_wanted, gas_used }.encode_to_vec()
    });
    merkle(&agreed.collect::<Vec<_>>())
}

/// The part of the consensus parameters that is in the header.
#[derive(Clone, PartialEq, Message)]
struct HashedParameters {
    #[prost(int64, tag = "1")]
    block_max_bytes: i64,
    #[prost(int64, tag = "2")]
    block_max_gas: i64,
}

/// Of the consensus parameters.
pub(super) fn parameters(block_gas: u64) -> Hash {
    let block_max_bytes = limits::BLOCK_BYTES as i64;
    let parameters = HashedParameters { block_max_bytes, block_max_gas: block_gas.cast_signed() };
    Hash::Sha256(Sha256::digest(parameters.encode_to_vec()).into())
}

/// A block's id, and its size in bytes.
pub(super) fn block(header: &Header, txs: &[Vec<u8>], last_commit: Option<&Commit>) -> Result<(Id, usize), Error> {
    let block = raw::Block {
        header: Some(header.clone().into()),
        data: Some(raw::Data { txs: txs.to_vec() }),
        evidence: Some(raw::EvidenceList::default()),
        last_commit: Some(last_commit.cloned().map_or_else(raw::Commit::default, Into::into)),
    };
    let bytes = block.encode_to_vec();
    let chunks: Vec<&[u8]> = bytes.chunks(PART_BYTES).collect();
    let total = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
    let part_set_header = parts::Header::new(total, merkle(&chunks))?;
    Ok((Id { hash: header.hash_with::<tendermint::crypto::default::Sha256>(), part_set_header }, bytes.len()))
}
