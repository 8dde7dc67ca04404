//! Validators that sign two blocks of one height: somebody gives the second one to a client, and the relayer that sees it proves it.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::client::v1::{
    MsgUpdateClient, QueryClientStatusRequest, QueryClientStatusResponse, QueryConsensusStateHeightsRequest,
    QueryConsensusStateHeightsResponse,
};
use prost::Message;
use relayer_tests::devnet::embedded::EmbeddedNet;
use relayer_tests::devnet::{ConfigOptions, Node};
use relayer_tests::relay::{Line, until};

const WAIT: Duration = Duration::from_secs(60);

async fn status(node: &Node, client: &str) -> String {
    let request = QueryClientStatusRequest { client_id: client.to_owned() };
    let answer: QueryClientStatusResponse =
        node.query("/ibc.core.client.v1.Query/ClientStatus", &request).await.unwrap();
    answer.status
}

async fn newest(node: &Node, client: &str) -> u64 {
    let request = QueryConsensusStateHeightsRequest { client_id: client.to_owned(), pagination: None };
    let path = "/ibc.core.client.v1.Query/ConsensusStateHeights";
    let answer: QueryConsensusStateHeightsResponse = node.query(path, &request).await.unwrap();
    answer.consensus_state_heights.iter().map(|height| height.revision_height).max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_given_a_block_its_chain_never_had_is_frozen() {
    let net = EmbeddedNet::two_chains().await.unwrap();
    let mut line = Line::open(net, &ConfigOptions::default()).await.unwrap();
    line.relayer.start().await.unwrap();
    let (chain, host) = (&line.net.a, &line.net.b);
    let client = line.ids.clients.1.clone();
    assert_eq!(status(host.node(), &client).await, "Active");

    let trusted = newest(host.node(), &client).await;
    let height = chain.wait_blocks(2).await.unwrap();
    let header = chain.equivocate(height, trusted).unwrap();
    let mallory = host.user(&line.net.wallets.user_b);
    let update = MsgUpdateClient {
        client_id: client.clone(),
        client_message: Some(header),
        signer: mallory.address().to_owned(),
    };
    let update = Any { type_url: "/ibc.core.client.v1.MsgUpdateClient".to_owned(), value: update.encode_to_vec() };
    mallory.execute(vec![update]).await.unwrap();

    let frozen = async || Ok((status(host.node(), &client).await == "Frozen").then_some(()));
    until("a frozen client", WAIT, frozen).await.unwrap();
    let labels = [("chain", chain.id()), ("reason", "misbehaviour")];
    let proven = line.relayer.admin.metrics().await.unwrap().sum("relay_verification_failures_total", &labels);
    assert_eq!(proven, 1.0);
    assert!(line.relayer.log().contains("MISBEHAVIOUR"), "{}", line.relayer.log());
    // The other client saw nothing wrong.
    assert_eq!(status(chain.node(), &line.ids.clients.0).await, "Active");
    line.relayer.stop().await.unwrap();
}
