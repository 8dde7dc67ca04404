//! A Substrate chain made up by the generators of the light clients' tests: blocks with states, authorities who sign.
//!
//! Nobody but this module has the authorities' keys, so whatever verifies besides these blocks is a defect.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use ibc_proto::google::protobuf::Any;
use light_clients::grandpa::{AuthoritySet, SubstrateHeader};
use light_clients::{Height, Timestamp};

#[path = "."]
mod generate {
    #![allow(
        dead_code,
        unreachable_pub,
        clippy::unwrap_used,
        reason = "made for the light clients' tests, which use all of it"
    )]
    #[path = "../../../light-clients/tests/generate/grandpa.rs"]
    pub(crate) mod grandpa;
    #[path = "../../../light-clients/tests/generate/grandpa_client.rs"]
    pub(crate) mod grandpa_client;
    #[path = "../../../light-clients/tests/generate/grandpa_trie.rs"]
    pub(crate) mod grandpa_trie;
}
#[allow(clippy::unwrap_used, reason = "as above")]
#[path = "../../../relayer/chains/src/substrate/tests/metadata.rs"]
mod metadata;

use generate::grandpa::{Voter, authorities, voters};
use generate::grandpa_client::{Block, blocks, client, header};
use parity_scale_codec::Encode;

pub use light_clients::grandpa::schema;

/// What the proofs of the seeds show.
pub const KEY: &[u8] = b"ibc/clients/07-tendermint-0/clientState";
/// What stands there.
pub const VALUE: &[u8] = &[7; 50];
const SET: u64 = 4;

/// The chain: a trusted block, and some after it.
pub struct Made {
    trusted: Block,
    blocks: Vec<Block>,
    voters: Vec<Voter>,
}

impl Made {
    /// The trusted block's header.
    pub fn header(&self) -> &SubstrateHeader {
        &self.trusted.header
    }
    /// The headers after it.
    pub fn headers(&self) -> impl Iterator<Item = &SubstrateHeader> {
        self.blocks.iter().map(|block| &block.header)
    }
    /// The trusted block's time.
    pub fn time(&self) -> Timestamp {
        self.trusted.seconds_later(0)
    }
    /// Its state.
    pub fn entries(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.trusted.state.entries
    }
    /// Nodes of its state on the way to a key.
    pub fn prove(&self, key: &[u8]) -> Vec<Vec<u8>> {
        self.trusted.state.prove(&[key]).1
    }
    /// A client that trusts it: its state and consensus state.
    pub fn client(&self) -> (Any, Any) {
        (client(&self.trusted), self.trusted.consensus(SET, &self.voters).encode())
    }
    /// Those who finalize all of these blocks.
    pub fn set(&self) -> AuthoritySet {
        AuthoritySet::new(SET, &authorities(&self.voters)).expect("a set")
    }
    /// What a client trusts after the block of a height, if it is one of those after the trusted one.
    pub fn consensus(&self, height: Height) -> Option<Any> {
        let block = self.blocks.iter().find(|block| block.height() == height)?;
        Some(block.consensus(SET, &self.voters).encode())
    }
    /// The header message that leads so many blocks on.
    pub fn update(&self, blocks: usize) -> schema::Header {
        header(&self.trusted, &self.blocks[..blocks], &self.voters, SET)
    }
    /// A second after the last block.
    pub fn now(&self) -> Timestamp {
        self.blocks[self.blocks.len() - 1].seconds_later(1)
    }
}

/// It.
pub fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let trusted = Block::first(&[(KEY, VALUE), (b"ibc/other", &[2; 50]), (b"system", b"x")]);
        let blocks = blocks(&trusted, 3, 0);
        Made { trusted, blocks, voters: voters(0, &[1; 4]) }
    })
}

/// The metadata of a runtime with the modules that are read.
pub fn metadata() -> Vec<u8> {
    metadata::metadata()
}

/// Events of a block of such a runtime: of the first extrinsic a packet, two results and its end.
pub fn events() -> Vec<u8> {
    use metadata::{DeliverError, IbcEvent, Kind, RuntimeEvent, SystemEvent, emitted, events, info, record};
    let packet = [
        ("packet_data_hex", "7b7d"),
        ("packet_timeout_height", "1-700"),
        ("packet_timeout_timestamp", "0"),
        ("packet_sequence", "4"),
        ("packet_src_port", "transfer"),
        ("packet_src_channel", "channel-0"),
        ("packet_dst_port", "transfer"),
        ("packet_dst_channel", "channel-7"),
    ];
    let update = [("client_id", "07-tendermint-0"), ("consensus_heights", "0-7"), ("client_type", "07-tendermint")];
    let delivered = |index, result| RuntimeEvent::Ibc(IbcEvent::Delivered { index, result });
    let failed = Err(DeliverError { kind: Kind::Handler, text: b"no".to_vec() });
    events(&[
        record(0, emitted("send_packet", &packet)),
        record(0, emitted("update_client", &update)),
        record(0, delivered(0, Ok(()))),
        record(0, delivered(1, failed)),
        record(0, RuntimeEvent::System(SystemEvent::ExtrinsicSuccess { dispatch_info: info(9) })),
    ])
}

/// An unsigned extrinsic that delivers these messages, as such a runtime reads it.
pub fn extrinsic(messages: &[Any]) -> Vec<u8> {
    let messages: Vec<(&str, &[u8])> = messages.iter().map(|m| (m.type_url.as_str(), m.value.as_slice())).collect();
    // Version 4 without a signature, module 7, call 0.
    [&[4, 7, 0][..], &messages.encode()].concat().encode()
}
