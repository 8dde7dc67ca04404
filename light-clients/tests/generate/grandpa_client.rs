//! Blocks with states and times, and the messages that update a client with them.

use super::grandpa::{Voter, authorities, child, finality, justify};
use super::grandpa_trie::State;
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::client::v1::Height as RawHeight;
use light_clients::commitment::trie::{TIMESTAMP_NOW, encode_nodes};
use light_clients::grandpa::{ClientParameters, ClientState, ConsensusState, SubstrateHeader, schema};
use light_clients::{Height, Timestamp};
use parity_scale_codec::Encode;
use std::time::Duration;

/// Milliseconds since 1970 at which generated chains begin, unless their first block is given another time.
const GENESIS_MILLIS: u64 = 1_700_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// A block's header with the state after it.
#[derive(Clone)]
pub(crate) struct Block {
    pub(crate) header: SubstrateHeader,
    pub(crate) state: State,
}

impl Block {
    /// The next block, a second later; `salt` tells forks apart.
    pub(crate) fn next(&self, salt: u8) -> Self {
        let mut block = Self { header: child(&self.header, salt), state: self.state.clone() };
        block.at(self.millis() + 1_000);
        block
    }

    /// The first block of a chain with these entries in its state.
    pub(crate) fn first(entries: &[(&[u8], &[u8])]) -> Self {
        let mut block = Self { header: super::grandpa::genesis(), state: State::new(true, entries) };
        block.header.number = 1;
        block.at(GENESIS_MILLIS);
        block
    }

    /// With another time.
    pub(crate) fn at(&mut self, millis: u64) {
        self.state.entries.insert(TIMESTAMP_NOW.to_vec(), millis.to_le_bytes().to_vec());
        self.header.state_root = self.state.root();
    }

    pub(crate) fn millis(&self) -> u64 {
        u64::from_le_bytes(self.state.entries[TIMESTAMP_NOW.as_slice()].as_slice().try_into().unwrap())
    }

    /// So many seconds after the block's time.
    pub(crate) fn seconds_later(&self, seconds: u64) -> Timestamp {
        Timestamp::from_nanos(self.millis() * 1_000_000 + seconds * SECOND)
    }

    pub(crate) fn height(&self) -> Height {
        Height::new(0, self.header.number.into())
    }

    /// Trusted, with these authorities for the next block.
    pub(crate) fn consensus(&self, set_id: u64, voters: &[Voter]) -> ConsensusState {
        ConsensusState::new(self.seconds_later(0), self.state.root(), finality(&self.header, set_id, voters)).unwrap()
    }

    /// A storage proof of a key, as bytes.
    pub(crate) fn prove(&self, key: &[u8]) -> Vec<u8> {
        encode_nodes(&self.state.prove(&[key]).1)
    }
}

/// So many blocks on top of another, which is not among them.
pub(crate) fn blocks(on: &Block, count: usize, salt: u8) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for _ in 0..count {
        let next = blocks.last().unwrap_or(on).next(salt);
        blocks.push(next);
    }
    blocks
}

/// A header message: all of the blocks, the last justified by all voters.
pub(crate) fn header(trusted: &Block, blocks: &[Block], voters: &[Voter], set_id: u64) -> schema::Header {
    let last = blocks.last().unwrap();
    schema::Header {
        trusted_height: Some(RawHeight::from(trusted.height())),
        headers: blocks.iter().map(|block| block.header.encode()).collect(),
        justification: justify(&last.header, voters, set_id).encode(),
        authorities: authorities(voters).encode(),
        timestamp_proof: last.state.prove(&[&TIMESTAMP_NOW]).1,
    }
}

pub(crate) fn parameters(latest: &Block) -> ClientParameters {
    ClientParameters {
        chain_id: "substrate-dev".into(),
        trusting_period: Duration::from_secs(3_600),
        max_clock_drift: Duration::from_secs(10),
        frozen_height: None,
        latest_height: latest.height(),
        child_trie: Vec::new(),
        checksum: [3; 32],
    }
}

pub(crate) fn client(latest: &Block) -> Any {
    ClientState::new(parameters(latest)).unwrap().encode()
}
