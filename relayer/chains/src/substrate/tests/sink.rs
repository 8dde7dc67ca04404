//! Extrinsics: signed, reckoned, submitted, found again.

use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::connection::v1::MsgConnectionOpenAck;
use light_clients::grandpa::blake2_256;
use prost::Message as _;
use relayer_core::chain::{Chain as _, Draft, Outcome};
use relayer_core::error::TxFailure;
use relayer_core::id::{AccountSequence, ClientId, ConnectionId, Gas, Height};
use relayer_core::message::{Message, Proof, ProvenClient};
use secrecy::SecretString;

use super::chain::Chain;
use super::runtime::{RuntimeEvent, SystemEvent, events, info, record, runtime};
use crate::rpc::EndpointSettings;
use crate::substrate::extrinsic;
use crate::substrate::tx::{Key, WalletSettings};

fn wallet() -> (Key, WalletSettings) {
    let key = Key::from_secret(&SecretString::from("//Alice")).unwrap();
    (key, WalletSettings { tip: 7, ..WalletSettings::new("unit") })
}

fn draft(messages: usize) -> Draft {
    let message = |n: usize| Message::UpdateClient {
        client: ClientId::new("07-tendermint-0").unwrap(),
        message: Any { type_url: "/header".into(), value: vec![u8::try_from(n).unwrap(); 100] },
    };
    Draft { messages: (0..messages).map(message).collect(), simulate: false }
}

#[tokio::test]
async fn an_extrinsic_is_signed_for_an_era_reckoned_submitted_and_found_again() {
    let made = Chain::new();
    made.grow(5);
    made.finalize();
    let chain = made.open_with(|_| {}, Some(wallet())).await;
    assert_eq!(chain.signer(), "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
    assert_eq!(chain.account_sequence().await.unwrap(), AccountSequence(5));
    let signed = chain.prepare(&draft(2), AccountSequence(5)).await.unwrap();
    assert_eq!(signed.hash.0, blake2_256(&signed.bytes));
    assert_eq!((signed.fee.clone(), signed.gas), ((1_241, "unit".to_owned()), Gas(2_000)));
    // Block 7 and 63 more.
    assert_eq!(signed.timeout_height, Height::new(0, 70));
    let messages = extrinsic::messages(&runtime().metadata, &signed.bytes).unwrap();
    assert_eq!(messages.len(), 2);
    assert_eq!(chain.submit(&[signed.clone(), signed.clone()]).await, [Ok(()), Ok(())]);
    assert_eq!(made.lock().submitted, [signed.bytes.to_vec()]);
    let last = signed.timeout_height;
    assert_eq!(chain.outcome(signed.hash, last).await.unwrap(), Outcome::Unknown);
    let done = RuntimeEvent::System(SystemEvent::ExtrinsicSuccess { dispatch_info: info(3_000) });
    let number = made.happens(events(&[record(0, done)]), vec![signed.bytes.to_vec()]);
    made.grow(20);
    made.finalize();
    chain.next_head(Height::new(0, 7)).await.unwrap();
    let Outcome::Committed { height, report } = chain.outcome(signed.hash, last).await.unwrap() else { panic!("lost") };
    assert_eq!((height, report.failure, report.gas_used), (Height::new(0, number.into()), None, 3));

    // A relayer that was down for longer than an era still finds it.
    made.grow(400);
    made.finalize();
    let later = made.open_with(|_| {}, Some(wallet())).await;
    let found = later.outcome(signed.hash, last).await.unwrap();
    assert!(matches!(found, Outcome::Committed { .. }), "{found:?}");
    assert_eq!(later.outcome(signed.hash, Height::new(0, 2_000)).await.unwrap(), Outcome::Unknown);
}

#[tokio::test]
async fn nothing_above_the_limits_leaves() {
    let made = Chain::new();
    made.finalize();
    let (key, settings) = wallet();
    let small = WalletSettings { max_tx_bytes: 300, ..settings.clone() };
    let chain = made.open_with(|_| {}, Some((key.clone(), small))).await;
    assert_eq!(chain.prepare(&draft(9), AccountSequence(0)).await.unwrap_err(), TxFailure::TooLarge);
    let poor = WalletSettings { max_fee: Some(1_240), ..settings };
    let chain = made.open_with(|_| {}, Some((key, poor))).await;
    assert_eq!(chain.prepare(&draft(9), AccountSequence(0)).await.unwrap_err(), TxFailure::TooLarge);
    assert_eq!(chain.prepare(&draft(1), AccountSequence(0)).await.unwrap_err().label(), "setup");
    made.lock().hides_fees = true;
    assert_eq!(chain.prepare(&draft(1), AccountSequence(0)).await.unwrap_err().label(), "setup");
    let trusting = made.open_with(|_| {}, Some(wallet())).await;
    assert_eq!(trusting.prepare(&draft(1), AccountSequence(0)).await.unwrap().fee.0, 7);
    let reader = made.open(|_| {}).await;
    assert_eq!(reader.prepare(&draft(1), AccountSequence(0)).await.unwrap_err().label(), "setup");
}

#[tokio::test]
async fn metadata_that_only_one_of_several_nodes_tells_is_not_signed_by() {
    let made = Chain::new();
    made.grow(5);
    made.finalize();
    let (liar, honest) = (made.twin(), made.twin());
    liar.lock().misshapes = true;
    // One lies and one does not: nothing is signed.
    let second = made.serve().await;
    let chain = liar.open_with(|config| config.rpc.endpoints.push(second.clone()), Some(wallet())).await;
    let error = chain.prepare(&draft(2), AccountSequence(5)).await.unwrap_err();
    assert_eq!(error.label(), "metadata", "{error}");
    // Two that agree settle it.
    let (third, gone) = (honest.serve().await, EndpointSettings::new("http://127.0.0.1:1".parse().unwrap()));
    let others = [gone.clone(), gone.clone(), second.clone(), third];
    let chain = liar.open_with(|config| config.rpc.endpoints.extend(others), Some(wallet())).await;
    chain.prepare(&draft(2), AccountSequence(5)).await.unwrap();
    let resting: Vec<_> = chain.rpc().health().into_iter().filter_map(|endpoint| endpoint.quarantine).collect();
    let liars = resting.iter().filter(|(why, _)| *why == "metadata").count();
    assert_eq!(liars, 1, "{resting:?}");
    // A node beside it that is gone changes nothing.
    let chain = made.open_with(|config| config.rpc.endpoints.push(gone), Some(wallet())).await;
    chain.prepare(&draft(2), AccountSequence(5)).await.unwrap();
}

#[tokio::test]
async fn a_handshake_shows_the_chain_its_own_header() {
    let made = Chain::new();
    made.grow(5);
    made.finalize();
    let chain = made.open_with(|_| {}, Some(wallet())).await;
    let tracked_by = ProvenClient {
        client_state: Any::default(),
        proof: std::sync::Arc::from([1].as_slice()),
        consensus_height: Height::new(0, 4),
        consensus_proof: std::sync::Arc::from([2].as_slice()),
    };
    let message = Message::ConnOpenAck {
        connection: ConnectionId::new("connection-0").unwrap(),
        counterparty: ConnectionId::new("connection-1").unwrap(),
        version: Default::default(),
        proof: Proof { bytes: std::sync::Arc::from([3].as_slice()), height: Height::new(1, 9) },
        tracked_by,
    };
    let draft = Draft { messages: vec![message], simulate: false };
    let signed = chain.prepare(&draft, AccountSequence(0)).await.unwrap();
    let messages = extrinsic::messages(&runtime().metadata, &signed.bytes).unwrap();
    let open = MsgConnectionOpenAck::decode(messages[0].value.as_slice()).unwrap();
    assert_eq!(blake2_256(&open.host_consensus_state_proof), made.hash(4));
    assert_eq!(open.proof_consensus, [2]);
}
