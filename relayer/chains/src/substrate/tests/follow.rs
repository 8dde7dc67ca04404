//! Heads, trust, catching up, clients elsewhere.

use std::sync::Arc;

use ibc_proto::google::protobuf::Any;
use light_clients::grandpa::{ClientState, Header};
use light_clients::{GrandpaClient, Timestamp as ClientTime, Verdict, Verifier};
use relayer_core::chain::{Chain as _, ClientUpdate, Path};
use relayer_core::error::ChainErrorKind;
use relayer_core::id::{ClientId, Height};

use super::chain::Chain;
use crate::Trust;
use crate::substrate::SubstrateChain;

fn at(number: u64) -> Height {
    Height::new(0, number)
}

/// Plays an update on a client as the chain that holds it would; its consensus states after that.
fn apply(client: &Any, trusted: Any, update: &ClientUpdate) -> Any {
    let far = ClientTime::from_nanos(u64::MAX / 4 * 3);
    let state = ClientState::decode(client).unwrap();
    let mut parameters = state.parameters().clone();
    parameters.trusting_period = std::time::Duration::from_secs(u64::from(u32::MAX));
    let client = ClientState::new(parameters).unwrap().encode();
    let now = crate::substrate::node::now();
    assert!(now < far);
    update.headers.iter().fold(trusted, |trusted, header| {
        match GrandpaClient.update(&client, &trusted, &header.message, now) {
            Verdict::Trusted(updated) => {
                assert_eq!(updated.height.number, header.height.number);
                updated.consensus_state
            }
            other => panic!("{other:?}"),
        }
    })
}

#[tokio::test]
async fn the_head_is_the_newest_block_with_a_justification_and_comes_when_there_is_one() {
    let made = Chain::new();
    made.grow(3);
    let first = made.finalize();
    made.grow(2);
    let chain = made.open(|_| {}).await;
    assert_eq!(chain.head().await.unwrap().height, at(first.into()));
    let waiting = chain.next_head(at(first.into()));
    let growing = async {
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        made.finalize()
    };
    let (head, newest) = tokio::join!(waiting, growing);
    assert_eq!(head.unwrap().height, at(newest.into()));
    assert_eq!(chain.updatable(at(u64::from(first) + 1)).await.unwrap(), at(newest.into()));
    assert_eq!(chain.provable(at(2)).await.unwrap().state, at(first.into()));
}

#[tokio::test]
async fn blocks_between_justified_ones_are_verified_with_their_proven_times() {
    let made = Chain::new();
    made.grow(5);
    made.finalize();
    let chain = made.open(|_| {}).await;
    chain.head().await.unwrap();
    assert!(!chain.trusts().await);
    let newest = chain.verified(at(7)).await.unwrap();
    made.grow(10);
    made.finalize();
    let between = chain.verified(at(12)).await.unwrap();
    assert_eq!(between.at.time.since(newest.at.time), 5_000_000_000);
    assert!(chain.trusts().await);
    // Backward, too.
    let earlier = chain.verified(at(3)).await.unwrap();
    assert_eq!(newest.at.time.since(earlier.at.time), 4_000_000_000);
}

#[tokio::test]
async fn a_client_is_created_and_brought_over_missed_changes_of_authorities_with_one_header_each() {
    let made = Chain::new();
    made.grow(2);
    made.finalize();
    let chain = made.open(|_| {}).await;
    let new = chain.new_client().await.unwrap();
    let info = chain.client_info(&new.client_state).unwrap();
    assert_eq!((info.latest, info.frozen, info.chain.as_str()), (new.height, false, "made"));
    made.grow(3);
    made.change(10, 2);
    made.grow(4);
    made.change(20, 0);
    made.grow(3);
    let newest = made.finalize();
    let head = chain.next_head(new.height).await.unwrap();
    let update = chain.client_message(&new.client_state, new.height, head.height).await.unwrap();
    // Announced in 8 for 10, in 13 for 13, and what follows.
    let heights: Vec<u64> = update.headers.iter().map(|header| header.height.number).collect();
    assert_eq!(heights, [10, 13, u64::from(newest)].map(u64::from));
    let last = apply(&new.client_state, new.consensus_state, &update);
    assert_eq!(last, update.target.consensus_state);
    // Twice the same is the same, out of what is kept.
    let before = made.lock().calls.clone();
    assert_eq!(chain.client_message(&new.client_state, new.height, head.height).await.unwrap(), update);
    assert_eq!(made.lock().calls.get("chain_getHeader"), before.get("chain_getHeader"));
}

#[tokio::test]
async fn trust_is_taken_from_the_operator_from_an_earlier_run_or_from_a_client() {
    let made = Chain::new();
    made.grow(8);
    made.change(10, 3);
    made.grow(1);
    made.finalize();
    let (hash, later) = (made.hash(4), None);
    let chain = made.open(|c| c.trust = Trust::Configured { height: 4, hash, later }).await;
    assert!(chain.trusts().await);
    // In the middle of a change that is announced.
    let told = chain.verified(at(11)).await.unwrap();
    let stored = chain.export_trust().unwrap();
    made.grow(8);
    made.finalize();
    let next = made.open(|c| c.trust = Trust::Stored(stored)).await;
    assert!(next.trusts().await);
    assert_eq!(next.verified(at(11)).await.unwrap(), told);
    let tip = next.verified(at(19)).await.unwrap();
    let third = made.open(|_| {}).await;
    third.anchor(at(11), &told.consensus_state).await.unwrap();
    assert!(third.trusts().await);
    assert_eq!(third.verified(at(19)).await.unwrap(), tip);
    // A second client, of an earlier block.
    let early = chain.verified(at(5)).await.unwrap();
    third.anchor(at(5), &early.consensus_state).await.unwrap();
    let client = chain.new_client().await.unwrap().client_state;
    let update = third.client_message(&client, at(5), at(20)).await.unwrap();
    assert_eq!(apply(&client, early.consensus_state.clone(), &update), update.target.consensus_state);
    // One of another chain.
    let error = third.anchor(at(6), &early.consensus_state).await.unwrap_err();
    assert!(matches!(error.kind, ChainErrorKind::Setup(_)), "{error}");
    let wrong = made.open(|c| c.trust = Trust::Configured { height: 5, hash, later: None }).await;
    assert!(!wrong.trusts().await);
}

#[tokio::test]
async fn a_chain_whose_state_does_not_count_its_sets_is_followed_by_what_its_votes_say() {
    let made = Chain::new();
    made.lock().counts = false;
    made.change(10, 1);
    made.grow(4);
    made.change(20, 0);
    made.grow(3);
    made.finalize();
    let chain = made.open(|_| {}).await;
    let told = chain.verified(at(9)).await.unwrap();
    // Back before both changes, and forward again from there: the set numbers are the same.
    let early = chain.verified(at(3)).await.unwrap();
    let client = chain.new_client().await.unwrap().client_state;
    let update = chain.client_message(&client, at(3), at(11)).await.unwrap();
    assert_eq!(update.headers.len(), 3);
    assert_eq!(apply(&client, early.consensus_state, &update), update.target.consensus_state);
    let (hash, later) = (made.hash(9), None);
    let other = made.open(|c| c.trust = Trust::Configured { height: 9, hash, later }).await;
    assert_eq!(other.verified(at(9)).await.unwrap(), told);
}

#[tokio::test]
async fn attack_22_votes_of_another_set_are_refused_and_their_teller_rests() {
    let made = Chain::new();
    made.grow(4);
    made.finalize();
    made.lock().forges = true;
    let chain = made.open(|_| {}).await;
    let error = chain.verified(at(6)).await.unwrap_err();
    assert_eq!(error.label(), "signature");
    assert!(chain.rpc().health()[0].quarantine.is_some());
}

#[tokio::test]
async fn attack_26_votes_under_the_number_of_another_block_are_disproved_and_their_teller_rests() {
    let made = Chain::new();
    made.grow(4);
    made.finalize();
    let (hash, later) = (made.hash(2), None);
    let chain = made.open(|c| c.trust = Trust::Configured { height: 2, hash, later }).await;
    assert!(chain.trusts().await);
    made.grow(3);
    let newest = made.finalize();
    made.lock().misnames = true;
    let error = chain.verified(at(newest.into())).await.unwrap_err();
    assert!(matches!(error.kind, ChainErrorKind::Lying(_)), "{error}");
    assert!(chain.rpc().health()[0].quarantine.is_some());
    made.lock().misnames = false;
    chain.verified(at(newest.into())).await.unwrap();
}

#[tokio::test]
async fn votes_for_a_block_that_nobody_has_hide_no_later_head() {
    let made = Chain::new();
    made.grow(4);
    let newest = made.finalize();
    made.lock().boasts = true;
    let chain = made.open(|_| {}).await;
    let error = chain.head().await.unwrap_err();
    assert_eq!(error.kind, ChainErrorKind::Lying("unknown_block"), "{error}");
    made.lock().boasts = false;
    let head = tokio::time::timeout(std::time::Duration::from_secs(30), chain.head()).await.unwrap();
    assert_eq!(head.unwrap().height, at(newest.into()));
}

#[tokio::test]
async fn values_are_proven_by_their_own_block_and_absence_is_too() {
    let made = Chain::new();
    made.store(&[("clients/07-tendermint-0/clientState", &[5; 80])]);
    made.grow(2);
    let newest = made.finalize();
    let chain = made.open(|_| {}).await;
    let state = Path::ClientState(ClientId::new("07-tendermint-0").unwrap());
    let absent = Path::ClientState(ClientId::new("07-tendermint-1").unwrap());
    let height = chain.head().await.unwrap().height;
    let plain = chain.query(&[absent.clone(), state.clone()], None, false).await.unwrap();
    assert_eq!((plain[0].value.clone(), plain[1].value.clone()), (None, Some(vec![5; 80])));
    // Once there is a verified block, single values are proven though nobody asked for a proof.
    chain.verified(height).await.unwrap();
    made.lock().misvalues = true;
    let plain = chain.query(&[absent.clone(), state.clone()], None, false).await.unwrap();
    assert_eq!((plain[0].value.clone(), plain[1].value.clone()), (None, Some(vec![5; 80])));
    let proven = chain.query(&[state.clone(), absent.clone()], Some(height), true).await.unwrap();
    assert_eq!((proven[0].proof_height, height), (at(newest.into()), at(newest.into())));
    let (client, consensus) =
        (chain.new_client().await.unwrap().client_state, chain.verified(height).await.unwrap().consensus_state);
    for (path, value) in [(state, &proven[0]), (absent, &proven[1])] {
        let path = light_clients::MerklePath::new(b"ibc/".to_vec(), path.to_string());
        let held = GrandpaClient.membership(&client, &consensus, &value.proof, &path, value.value.as_deref());
        held.unwrap();
    }
}

#[tokio::test]
async fn junk_beside_a_proof_is_not_paid_for() {
    let made = Chain::new();
    made.store(&[("clients/07-tendermint-0/clientState", &[5; 80])]);
    made.finalize();
    let chain = made.open(|_| {}).await;
    let state = [Path::ClientState(ClientId::new("07-tendermint-0").unwrap())];
    let height = chain.head().await.unwrap().height;
    let proof = async || chain.query(&state, Some(height), true).await.map(|mut proven| proven.remove(0).proof);
    let honest = proof().await.unwrap();
    made.lock().padding = 20;
    assert_eq!(proof().await.unwrap(), honest);
    made.lock().padding = 200;
    assert_eq!(proof().await.unwrap_err().kind, ChainErrorKind::Lying("proof_nodes"));
}

#[tokio::test]
async fn a_pruned_state_is_told_apart_from_one_to_come() {
    let made = Chain::new();
    made.grow(8);
    made.finalize();
    made.lock().pruned_below = 6;
    let chain = made.open(|_| {}).await;
    let path = [Path::ClientState(ClientId::new("07-tendermint-0").unwrap())];
    chain.head().await.unwrap();
    let error = chain.query(&path, Some(at(4)), false).await.unwrap_err();
    assert!(matches!(error.kind, ChainErrorKind::Pruned(_)), "{error}");
    let error = chain.query(&path, Some(at(4_000)), false).await.unwrap_err();
    assert!(matches!(error.kind, ChainErrorKind::NotYet(_)), "{error}");
}

#[tokio::test]
async fn attack_27_a_fork_that_was_submitted_to_a_client_becomes_evidence() {
    let made = Chain::new();
    made.grow(3);
    made.finalize();
    let chain = made.open(|_| {}).await;
    let new = chain.new_client().await.unwrap();
    made.grow(4);
    made.finalize();
    let head = chain.next_head(new.height).await.unwrap();
    let honest = chain.client_message(&new.client_state, new.height, head.height).await.unwrap();
    let client = ClientId::new("08-wasm-0").unwrap();
    let message = &honest.headers[0].message;
    assert_eq!(chain.check_header(&client, &new.client_state, message).await.unwrap(), None);
    let forged = forged(&made, &chain, new.height).await;
    assert!(Header::decode(&forged).is_ok());
    let evidence = chain.check_header(&client, &new.client_state, &forged).await.unwrap().unwrap();
    let verdict = GrandpaClient.misbehaviour(
        &new.client_state,
        &new.consensus_state,
        &new.consensus_state,
        &evidence,
        crate::substrate::node::now(),
    );
    assert!(verdict.is_trusted(), "{verdict:?}");
}

/// A header of a fork that all authorities signed.
async fn forged(made: &Chain, chain: &SubstrateChain, from: Height) -> Any {
    use super::generate::grandpa::voters;
    use super::generate::grandpa_client::{blocks, header};
    let trusted = made.lock().blocks.iter().find(|b| u64::from(b.header.number) == from.number).unwrap().clone();
    let mut fork = blocks(&trusted, 3, 9);
    let mut parent = trusted.header.hash();
    for (block, n) in fork.iter_mut().zip(1u64..) {
        block.at(trusted.millis() + 1_000 * n);
        block.header.parent_hash = parent;
        parent = block.header.hash();
    }
    chain.verified(from).await.unwrap();
    header(&trusted, &fork, &voters(0, &[1; 4]), 3).into_any()
}

#[tokio::test]
async fn many_waiters_share_one_way_forward() {
    let made = Chain::new();
    made.grow(200);
    made.finalize();
    let (hash, later) = (made.hash(2), None);
    let trust = Trust::Configured { height: 2, hash, later };
    let chain = Arc::new(made.open(|c| c.trust = trust).await);
    let asks = (0..20u64).map(|n| {
        let chain = chain.clone();
        tokio::spawn(async move { chain.verified(at(100 + n)).await })
    });
    for told in futures::future::join_all(asks).await {
        told.unwrap().unwrap();
    }
    // Each header once, and those of finalized heads.
    assert!(made.lock().calls["chain_getHeader"] < 300, "{:?}", made.lock().calls);
}
