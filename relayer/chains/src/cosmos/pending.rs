//! What is still open on a channel, read from state: commitments, unreceived packets, written acknowledgements.
//!
//! gRPC queries through `abci_query`, paged or in chunks, several a request. A node that pages for ever is cut off
//! ([`super::limits::PAGES`]); what is beyond is found by the next clearing.

use std::collections::BTreeSet;

use ibc_proto::cosmos::base::query::v1beta1::PageRequest;
use ibc_proto::ibc::core::channel::v1::{
    QueryPacketAcknowledgementsRequest, QueryPacketAcknowledgementsResponse, QueryPacketCommitmentsRequest,
    QueryPacketCommitmentsResponse, QueryUnreceivedPacketsRequest, QueryUnreceivedPacketsResponse,
};
use prost::Message;
use relayer_core::chain::Pending;
use relayer_core::error::ChainError;
use relayer_core::id::Sequence;
use relayer_core::packet::PortChannel;

use super::limits::{PAGE, PAGES, SEQUENCES_PER_QUERY};
use super::node::Node;

const COMMITMENTS: &str = "/ibc.core.channel.v1.Query/PacketCommitments";
const UNRECEIVED: &str = "/ibc.core.channel.v1.Query/UnreceivedPackets";
const ACKNOWLEDGEMENTS: &str = "/ibc.core.channel.v1.Query/PacketAcknowledgements";

/// Open sequences, ascending.
pub(crate) async fn pending(node: &Node, what: &Pending) -> Result<Vec<Sequence>, ChainError> {
    match what {
        Pending::Commitments(end) => commitments(node, end).await,
        Pending::Unreceived(end, asked) => {
            let request = |sequences| QueryUnreceivedPacketsRequest {
                port_id: end.port.to_string(),
                channel_id: end.channel.to_string(),
                packet_commitment_sequences: sequences,
            };
            let found = |answer: QueryUnreceivedPacketsResponse| answer.sequences;
            chunked(node, UNRECEIVED, asked, request, found).await
        }
        Pending::Acknowledged(end, asked) => {
            let request = |sequences| QueryPacketAcknowledgementsRequest {
                port_id: end.port.to_string(),
                channel_id: end.channel.to_string(),
                pagination: None,
                packet_commitment_sequences: sequences,
            };
            let found = |answer: QueryPacketAcknowledgementsResponse| {
                answer.acknowledgements.into_iter().map(|state| state.sequence).collect()
            };
            chunked(node, ACKNOWLEDGEMENTS, asked, request, found).await
        }
    }
}

async fn commitments(node: &Node, end: &PortChannel) -> Result<Vec<Sequence>, ChainError> {
    let mut open = BTreeSet::new();
    let mut key = Vec::new();
    let mut height = None;
    for _ in 0..PAGES {
        let request = QueryPacketCommitmentsRequest {
            port_id: end.port.to_string(),
            channel_id: end.channel.to_string(),
            pagination: Some(PageRequest { key, limit: PAGE, ..PageRequest::default() }),
        };
        // All pages from the state in which the first one was read.
        let (answer, at): (QueryPacketCommitmentsResponse, u64) = node.grpc(COMMITMENTS, &request, height).await?;
        height = height.or(Some(at).filter(|at| *at != 0));
        open.extend(answer.commitments.into_iter().map(|state| Sequence(state.sequence)));
        key = answer.pagination.map(|page| page.next_key).unwrap_or_default();
        if key.is_empty() {
            return Ok(open.into_iter().collect());
        }
    }
    tracing::warn!(chain = %node.chain(), %end, found = open.len(), "more commitments than are read at once");
    Ok(open.into_iter().collect())
}

/// Asks about the sequences in chunks; answers that were not asked for are dropped.
async fn chunked<Q: Message, A: Message + Default>(
    node: &Node,
    path: &str,
    asked: &[Sequence],
    request: impl Fn(Vec<u64>) -> Q,
    found: impl Fn(A) -> Vec<u64>,
) -> Result<Vec<Sequence>, ChainError> {
    let requests: Vec<Vec<u8>> = asked
        .chunks(SEQUENCES_PER_QUERY)
        .map(|chunk| request(chunk.iter().map(|s| s.0).collect()).encode_to_vec())
        .collect();
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: BTreeSet<Sequence> = asked.iter().copied().collect();
    let answers = node.grpc_batch::<A>(path, &requests, None).await?;
    let named: BTreeSet<Sequence> = answers.into_iter().flat_map(|(answer, _)| found(answer)).map(Sequence).collect();
    Ok(named.intersection(&wanted).copied().collect())
}
