//! JSON as a Substrate node writes it: the fields we read, and nothing else.
//!
//! Bytes are hex with `0x`, block numbers are hex without leading zeros; a thing that is not there is `null`. A header travels as its
//! parts: its hash shows whether they were put together as the chain did. Bounds: the body is capped by the RPC stack.

use light_clients::grandpa::{Hash, SubstrateHeader, blake2_256};
use parity_scale_codec::{Compact, Encode};
use serde::Deserialize;

/// Bytes of `0x…`.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x")?).ok()
}

/// A hash of `0x…`.
pub(crate) fn hash(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text.strip_prefix("0x")?, &mut hash).ok()?;
    Some(hash)
}

/// `0x…` of bytes.
pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// `chain_getHeader`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Header {
    parent_hash: String,
    number: String,
    state_root: String,
    extrinsics_root: String,
    digest: Digest,
}
#[derive(Debug, Clone, Deserialize)]
struct Digest {
    logs: Vec<String>,
}

impl Header {
    pub(crate) fn number(&self) -> Option<u32> {
        u32::from_str_radix(self.number.strip_prefix("0x")?, 16).ok()
    }

    /// The header in SCALE, as the chain hashes it.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let mut out = hash(&self.parent_hash)?.to_vec();
        Compact(self.number()?).encode_to(&mut out);
        out.extend(hash(&self.state_root)?);
        out.extend(hash(&self.extrinsics_root)?);
        Compact(u32::try_from(self.digest.logs.len()).ok()?).encode_to(&mut out);
        for log in &self.digest.logs {
            out.extend(bytes(log)?);
        }
        Some(out)
    }

    /// Its bytes and its parts, if they are those of the block with this hash.
    pub(crate) fn checked(&self, want: &Hash) -> Option<(Vec<u8>, SubstrateHeader)> {
        let bytes = self.encode().filter(|bytes| blake2_256(bytes) == *want)?;
        let header = SubstrateHeader::decode_bytes(&bytes).ok()?;
        Some((bytes, header))
    }
}

/// `chain_getBlock`.
#[derive(Debug, Deserialize)]
pub(crate) struct SignedBlock {
    pub(crate) block: Block,
    #[serde(default)]
    justifications: Option<Vec<([u8; 4], Vec<u8>)>>,
}
#[derive(Debug, Deserialize)]
pub(crate) struct Block {
    pub(crate) header: Header,
    #[serde(default)]
    pub(crate) extrinsics: Vec<String>,
}

impl SignedBlock {
    /// GRANDPA's justification, if the node keeps one with the block.
    pub(crate) fn justification(self) -> Option<Vec<u8>> {
        let all = self.justifications.unwrap_or_default();
        all.into_iter().find(|(engine, _)| engine == b"FRNK").map(|(_, bytes)| bytes)
    }
}

/// `state_getReadProof`.
#[derive(Debug, Deserialize)]
pub(crate) struct ReadProof {
    pub(crate) at: String,
    pub(crate) proof: Vec<String>,
}

/// `state_getRuntimeVersion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RuntimeVersion {
    pub(crate) spec_version: u32,
    #[serde(default)]
    pub(crate) transaction_version: u32,
}

/// `system_health`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Health {
    #[serde(default)]
    pub(crate) is_syncing: bool,
}

/// One block's changes of `state_queryStorageAt`: keys and values, `None` where there is none.
#[derive(Debug, Deserialize)]
pub(crate) struct StorageChanges {
    pub(crate) changes: Vec<(String, Option<String>)>,
}
