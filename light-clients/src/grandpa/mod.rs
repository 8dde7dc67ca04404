//! The GRANDPA light client, for Substrate chains that finalize by themselves.
//!
//! Blocks are authored by one protocol and finalized by another: authorities vote for chains, and what more than two
//! thirds of their weight stands behind is final. A *justification* shows those votes for one block; every ancestor of
//! it is final with it. So trust moves from one final block to the next along the headers between them, and the
//! authorities change where those headers announce it.
//!
//! **Spec**: ICS-10; GRANDPA (Stewart, Kokoris-Kogia 2020); the encodings of Substrate (SCALE, BLAKE2b-256, block numbers
//! of 32 bits).
//!
//! **Shapes.** Client and consensus state, headers and misbehaviour travel as the `data` of `ibc.lightclients.wasm.v1`, the
//! form of ibc-go's 08-wasm module; [`schema`] is what they hold. [`ClientState`], [`ConsensusState`] and [`AuthoritySet`]
//! are checked when they are built, [`Header`] and [`Misbehaviour`] bounded when they are decoded; [`verify_header`] and
//! [`verify_misbehaviour`] take only such values. Values are proven byte for byte as they stand in the state, under the
//! keys of the path put together. Block numbers have 32 bits; the revision is the client's.
//!
//! **Bounds.** Sizes come before decoding, links and votes before signatures. See [`limits`](crate::limits).
//!
//! **Errors.** [`Fault`] holds what only GRANDPA can have wrong, as [`Reason::Grandpa`].

mod authorities;
mod client_state;
mod consensus_state;
mod fault;
mod finality;
mod header;
mod justification;
mod message;
pub mod schema;
mod update;

pub use authorities::{Authority, AuthoritySet, authorities_hash};
pub use client_state::{ClientParameters, ClientState};
pub use consensus_state::ConsensusState;
pub use fault::Fault;
pub use finality::{Finality, HeaderChain};
pub use header::{ConsensusLog, Digest, DigestItem, NextAuthorities, PendingChange, SubstrateHeader};
pub use justification::{Commit, Justification, Precommit, SignedPrecommit, VerifySignature, signed_bytes};
pub use message::{ClientMessage, Header, Misbehaviour};
pub use update::{
    Conflict, new_state, verify_header, verify_header_with, verify_misbehaviour, verify_misbehaviour_with,
};

use crate::commitment::trie::{self, TrieProof};
use crate::{MerklePath, Protocols, Reason, Timestamp, Updated, Verdict, Verifier};
use blake2::Digest as _;
use ibc_proto::google::protobuf::Any;

/// A BLAKE2b-256 hash.
pub type Hash = [u8; 32];

/// Hashes as Substrate does.
pub fn blake2_256(bytes: &[u8]) -> Hash {
    blake2::Blake2b::<blake2::digest::consts::U32>::digest(bytes).into()
}

/// The [`Verifier`] of chains that GRANDPA finalizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GrandpaClient;

impl Verifier for GrandpaClient {
    fn update(&self, client_state: &Any, trusted: &Any, header: &Any, now: Timestamp) -> Verdict<Updated> {
        let verify = || {
            let (client, header) = (ClientState::decode(client_state)?, Header::decode(header)?);
            let trusted = ConsensusState::decode(trusted, header.trusted_height())?;
            let state = verify_header(&client, &trusted, &header, now)?;
            Ok(Updated { height: header.height(), consensus_state: state.encode() })
        };
        verify().map_or_else(Verdict::Invalid, Verdict::Trusted)
    }

    /// `proof` is the SCALE list of a storage proof's nodes; the key in the trie is all keys of `path` put together.
    fn membership(
        &self,
        client_state: &Any,
        consensus_state: &Any,
        proof: &[u8],
        path: &MerklePath,
        value: Option<&[u8]>,
    ) -> Result<(), Reason> {
        let client = ClientState::decode(client_state)?;
        client.ensure_active()?;
        let root = ConsensusState::decode_root(consensus_state)?;
        let nodes = trie::decode_nodes(proof)?;
        verify_storage(&client, &root, &TrieProof::new(&nodes)?, path, value)
    }

    fn misbehaviour(
        &self,
        client_state: &Any,
        trusted_1: &Any,
        trusted_2: &Any,
        misbehaviour: &Any,
        now: Timestamp,
    ) -> Verdict<()> {
        let verify = || {
            let (client, misbehaviour) = (ClientState::decode(client_state)?, Misbehaviour::decode(misbehaviour)?);
            let (first, second) = misbehaviour.headers();
            let first = ConsensusState::decode(trusted_1, first.trusted_height())?;
            let second = ConsensusState::decode(trusted_2, second.trusted_height())?;
            verify_misbehaviour(&client, &first, &second, &misbehaviour, now).map(drop)
        };
        verify().map_or_else(Verdict::Invalid, Verdict::Trusted)
    }

    fn protocols(&self) -> Protocols {
        Protocols { headers: "grandpa", proofs: "trie" }
    }

    fn update_cost(&self, header: &Any) -> u64 {
        /// An authority takes 40 bytes of the list and, as two thirds of them vote, 88 of the votes.
        const BYTES_PER_SIGNATURE: u64 = 192;
        u64::try_from(header.value.len()).unwrap_or(u64::MAX) / BYTES_PER_SIGNATURE
    }
}

/// Whether the path holds the value under this state root, or, with `None`, nothing.
pub fn verify_storage(
    client: &ClientState,
    root: &Hash,
    proof: &TrieProof<'_>,
    path: &MerklePath,
    value: Option<&[u8]>,
) -> Result<(), Reason> {
    let key = path.keys().concat();
    let held = match client.parameters().child_trie.as_slice() {
        [] => proof.read(root, &key)?,
        name => proof.read_child(root, name, &key)?,
    };
    match (held, value) {
        (Some(held), Some(value)) if held == value => Ok(()),
        (Some(_), Some(_)) => Err(Reason::ProofValue { tree: 0 }),
        (None, None) => Ok(()),
        (Some(_), None) | (None, Some(_)) => Err(Reason::ProofKind { tree: 0 }),
    }
}
