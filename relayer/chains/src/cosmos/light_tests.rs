//! The light client and the clients' updates against a node that serves a made chain, honest or not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::routing::post;
use ed25519_consensus::SigningKey;
use light_clients::{TendermintClient, Verdict, Verifier};
use relayer_core::chain::Chain;
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::id::{ChainId, Height};
use serde_json::{Value, json};
use tendermint::block::signed_header::SignedHeader;
use tendermint::block::{Commit, CommitSig, Header, Id, header::Version, parts};
use tendermint::validator::{Info, Set};
use tendermint::vote::{Type, ValidatorIndex, Vote};
use tendermint::{Hash, PublicKey, Signature, Time};
use tendermint_light_client::verifier::types::LightBlock;

use super::header::{consensus_state, ics07_header, peer};
use super::{CosmosChain, CosmosConfig};
use crate::rpc::{EndpointSettings, RpcSettings};
use crate::{Cpu, Trust};

const CHAIN: &str = "made-1";
const TOP: u64 = 60;

fn key(n: u64) -> SigningKey {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&n.to_be_bytes());
    SigningKey::from(seed)
}

/// Four validators of equal power; every five blocks one leaves and another comes.
fn keys(height: u64) -> Vec<SigningKey> {
    (height / 5..height / 5 + 4).map(key).collect()
}

fn info(key: &SigningKey) -> Info {
    let public = PublicKey::from_raw_ed25519(key.verification_key().as_bytes()).unwrap();
    Info::new(public, 10u32.into())
}

fn set(keys: &[SigningKey]) -> Set {
    let infos: Vec<Info> = keys.iter().map(info).collect();
    let proposer = infos.iter().max_by_key(|info| info.address).map(|info| info.address).unwrap();
    Set::with_proposer(infos, proposer).unwrap()
}

/// A block with this state, signed by these validators.
fn block(
    height: u64,
    app: u8,
    signers: &[SigningKey],
    next: &[SigningKey],
    last: Option<Id>,
    time: Time,
) -> LightBlock {
    let (validators, next) = (set(signers), set(next));
    let header = Header {
        version: Version { block: 11, app: 0 },
        chain_id: CHAIN.parse().unwrap(),
        height: height.try_into().unwrap(),
        time,
        last_block_id: last,
        last_commit_hash: Some(Hash::Sha256([1; 32])),
        data_hash: Some(Hash::Sha256([2; 32])),
        validators_hash: validators.hash(),
        next_validators_hash: next.hash(),
        consensus_hash: Hash::Sha256([3; 32]),
        app_hash: vec![app; 32].try_into().unwrap(),
        last_results_hash: Some(Hash::Sha256([4; 32])),
        evidence_hash: Some(Hash::Sha256([5; 32])),
        proposer_address: validators.proposer().as_ref().unwrap().address,
    };
    let id = Id { hash: header.hash(), part_set_header: parts::Header::new(1, Hash::Sha256([6; 32])).unwrap() };
    let sign = |(index, validator): (usize, &Info)| {
        let vote = Vote {
            vote_type: Type::Precommit,
            height: header.height,
            round: 0u16.into(),
            block_id: Some(id),
            timestamp: Some(time),
            validator_address: validator.address,
            validator_index: ValidatorIndex::try_from(index).unwrap(),
            signature: None,
            extension: Vec::new(),
            extension_signature: None,
        };
        let key = signers.iter().find(|key| info(key).address == validator.address).unwrap();
        let bytes = vote.into_signable_vec(header.chain_id.clone());
        let signature = Signature::try_from(key.sign(&bytes).to_bytes().as_slice()).unwrap();
        CommitSig::BlockIdFlagCommit {
            validator_address: validator.address,
            timestamp: time,
            signature: Some(signature),
        }
    };
    let signatures = validators.validators().iter().enumerate().map(sign).collect();
    let commit = Commit { height: header.height, round: 0u16.into(), block_id: id, signatures };
    LightBlock::new(SignedHeader::new(header, commit).unwrap(), validators, next, peer())
}

fn time_of(height: u64) -> Time {
    (Time::now() - Duration::from_secs((TOP + 10 - height) * 10)).unwrap()
}

fn made_chain() -> BTreeMap<u64, LightBlock> {
    let mut blocks = BTreeMap::new();
    let mut last = None;
    for height in 1..=TOP {
        let made = block(height, height as u8, &keys(height), &keys(height + 1), last, time_of(height));
        last = Some(made.signed_header.commit.block_id);
        blocks.insert(height, made);
    }
    blocks
}

/// What the node has, and how many headers it was asked for.
#[derive(Default)]
struct Served {
    blocks: BTreeMap<u64, LightBlock>,
    commits: usize,
}
type Shared = Arc<Mutex<Served>>;

fn number(params: &Value, name: &str) -> u64 {
    params[name].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn answer(served: &mut Served, call: &Value) -> Value {
    let (params, id) = (&call["params"], &call["id"]);
    let error = |data: &str| json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": "Internal error", "data": data}});
    let lowest = served.blocks.keys().next().copied().unwrap();
    let top = served.blocks.keys().next_back().copied().unwrap();
    let asked = number(params, "height");
    if asked > 0 && asked < lowest {
        return error(&format!("height {asked} is not available, lowest height is {lowest}"));
    }
    let result = match call["method"].as_str().unwrap() {
        "status" => json!({
            "node_info": {"network": CHAIN},
            "sync_info": {"latest_block_height": top.to_string(), "latest_block_time": "2026-01-01T00:00:00Z"},
        }),
        "abci_info" => json!({"response": {"last_block_height": top.to_string()}}),
        "commit" => {
            served.commits += 1;
            match served.blocks.get(&number(params, "height")) {
                Some(block) => json!({"signed_header": block.signed_header, "canonical": true}),
                None => return error("height 99 must be less than or equal to the current blockchain height 60"),
            }
        }
        "validators" => {
            let height = number(params, "height");
            let known = served.blocks.get(&height).map(|block| &block.validators);
            let set = known.or_else(|| served.blocks.get(&(height - 1)).map(|block| &block.next_validators)).unwrap();
            json!({"block_height": height.to_string(), "validators": set.validators(), "total": set.validators().len().to_string()})
        }
        "blockchain" => {
            let heights = number(params, "minHeight")..=number(params, "maxHeight");
            let metas =
                served.blocks.range(heights).rev().map(|(_, block)| json!({"header": block.signed_header.header}));
            json!({"last_height": top.to_string(), "block_metas": metas.collect::<Vec<_>>()})
        }
        _ => return error("not served"),
    };
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// Serves the blocks and gives a chain that reads them.
async fn chain_of(blocks: BTreeMap<u64, LightBlock>, trusted: u64) -> (CosmosChain, Shared) {
    let hash = made_chain_hash(&blocks, trusted);
    chain_trusting(blocks, Trust::Configured { height: trusted, hash, later: None }).await
}

async fn chain_trusting(blocks: BTreeMap<u64, LightBlock>, trust: Trust) -> (CosmosChain, Shared) {
    let served: Shared = Arc::new(Mutex::new(Served { blocks, commits: 0 }));
    let state = served.clone();
    let handler = move |Json(request): Json<Value>| {
        let state = state.clone();
        async move {
            let mut served = state.lock().unwrap();
            Json(match &request {
                Value::Array(calls) => {
                    Value::from(calls.iter().map(|call| answer(&mut served, call)).collect::<Vec<_>>())
                }
                call => answer(&mut served, call),
            })
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/", post(handler))).await.unwrap() });
    let endpoint = EndpointSettings::new(format!("http://{address}").parse().unwrap());
    let mut config = CosmosConfig::new(ChainId::new(CHAIN).unwrap(), "made", RpcSettings::new(CHAIN, vec![endpoint]));
    config.trust = trust;
    config.trusting_period = Some(Duration::from_secs(86_400));
    config.websocket = false;
    (CosmosChain::new(config, None, Cpu::inline()).unwrap(), served)
}

fn made_chain_hash(blocks: &BTreeMap<u64, LightBlock>, height: u64) -> [u8; 32] {
    blocks[&height].signed_header.header.hash().as_bytes().try_into().unwrap()
}

fn at(number: u64) -> Height {
    Height::new(1, number)
}

fn label<T: std::fmt::Debug>(result: Result<T, ChainError>) -> &'static str {
    result.expect_err("believed").label()
}

#[tokio::test]
async fn changed_validators_are_bridged_by_headers_in_between() {
    let blocks = made_chain();
    let (chain, served) = chain_of(blocks.clone(), 1).await;
    let verified = chain.verified(at(TOP)).await.unwrap();
    assert_eq!(verified.consensus_state, consensus_state(&blocks[&TOP]).unwrap().encode());
    let fetched = served.lock().unwrap().commits;
    assert!((3..30).contains(&fetched), "{fetched} headers for {TOP} blocks");
}

#[tokio::test]
async fn a_header_verified_once_is_not_fetched_again_and_waiters_share_one_flight() {
    let (chain, served) = chain_of(made_chain(), 1).await;
    let (a, b) = tokio::join!(chain.verified(at(2)), chain.verified(at(2)));
    assert_eq!(a.unwrap(), b.unwrap());
    chain.verified(at(2)).await.unwrap();
    assert_eq!(served.lock().unwrap().commits, 2);
}

#[tokio::test]
async fn attack_41_headers_of_a_forked_node_are_refused() {
    let strangers: Vec<_> = (1_000..1_004).map(key).collect();
    // Adjacent to a trusted header (12 after 11) the validators are known; further on (13) a header in between settles it.
    for forked in [12, 13] {
        let mut blocks = made_chain();
        blocks.insert(forked, block(forked, 20, &strangers, &strangers, None, time_of(forked)));
        let (chain, _) = chain_of(blocks, 11).await;
        assert_eq!(label(chain.verified(at(forked)).await), "next_validators_hash");
        assert!(chain.rpc().health()[0].quarantine.is_some());
        assert!(chain.verified(at(11)).await.is_ok());
    }
}

#[tokio::test]
async fn changed_headers_signatures_and_validators_are_refused() {
    let honest = made_chain();
    let mut changed = honest.clone();
    changed.get_mut(&10).unwrap().signed_header.header.app_hash = vec![9; 32].try_into().unwrap();
    assert_eq!(label(chain_of(changed, 9).await.0.verified(at(10)).await), "commit_hash");

    let mut changed = honest.clone();
    changed.get_mut(&11).unwrap().signed_header.commit.signatures = honest[&12].signed_header.commit.signatures.clone();
    assert_eq!(label(chain_of(changed, 10).await.0.verified(at(11)).await), "signature");

    let mut changed = honest.clone();
    changed.get_mut(&10).unwrap().validators = set(&keys(30));
    assert_eq!(label(chain_of(changed, 9).await.0.verified(at(10)).await), "validators_of_another_block");

    let mut changed = honest.clone();
    changed.insert(10, honest[&12].clone());
    assert_eq!(label(chain_of(changed, 9).await.0.verified(at(10)).await), "wrong_height");
    assert!(chain_of(honest, 9).await.0.verified(at(10)).await.is_ok());
}

#[tokio::test]
async fn older_headers_are_reached_by_hashes_and_a_broken_chain_of_them_is_a_lie() {
    let blocks = made_chain();
    let (chain, _) = chain_of(blocks.clone(), 50).await;
    let verified = chain.verified(at(3)).await.unwrap();
    assert_eq!(verified.consensus_state, consensus_state(&blocks[&3]).unwrap().encode());

    for forged in [3, 20] {
        let mut changed = blocks.clone();
        changed.insert(forged, block(forged, 99, &keys(forged), &keys(forged + 1), None, time_of(forged)));
        assert_eq!(label(chain_of(changed, 50).await.0.verified(at(3)).await), "hash_chain", "{forged}");
    }
}

#[tokio::test]
async fn attack_39_a_client_of_a_fork_is_named_as_such() {
    let blocks = made_chain();
    let state = |height: u64| consensus_state(&blocks[&height]).unwrap().encode();
    let (chain, _) = chain_of(blocks.clone(), 10).await;
    for height in [5, 10, 30] {
        chain.anchor(at(height), &state(height)).await.unwrap();
        let fork = block(height, 77, &keys(height), &keys(height + 1), None, time_of(height));
        let refused = chain.anchor(at(height), &consensus_state(&fork).unwrap().encode()).await.unwrap_err();
        assert!(matches!(refused.kind, ChainErrorKind::Setup(_)), "{refused}");
    }
}

#[tokio::test]
async fn updates_of_a_client_bridge_changed_validators_and_each_header_verifies() {
    let blocks = made_chain();
    let (chain, _) = chain_of(blocks.clone(), 1).await;
    let client = chain.new_client().await.unwrap().client_state;
    let update = chain.client_message(&client, at(2), at(40)).await.unwrap();
    assert!(update.headers.len() > 1);
    let mut held = at(2);
    for header in &update.headers {
        assert_eq!(header.trusted, held);
        let trusted = consensus_state(&blocks[&held.number]).unwrap().encode();
        let verdict = TendermintClient.update(&client, &trusted, &header.message, super::verify::now());
        let Verdict::Trusted(updated) = verdict else { panic!("{verdict:?}") };
        assert_eq!(updated.height.number, header.height.number);
        held = header.height;
    }
    assert_eq!((held, update.target.at.height), (at(40), at(40)));
    assert!(chain.client_message(&client, at(40), at(40)).await.unwrap().headers.is_empty());
    assert!(chain.client_message(&client, at(40), at(39)).await.is_err());
}

#[tokio::test]
async fn a_conflicting_header_becomes_evidence_and_an_honest_one_does_not() {
    let blocks = made_chain();
    let (chain, _) = chain_of(blocks.clone(), 1).await;
    let client = chain.new_client().await.unwrap().client_state;
    let id = relayer_core::id::ClientId::new("07-tendermint-5").unwrap();
    let submit = |block: &LightBlock, trusted: u64| {
        let height = ibc_relayer_types::Height::new(1, trusted).unwrap();
        ics07_header(block, height, &blocks[&trusted].next_validators)
    };
    assert_eq!(chain.check_header(&id, &client, &submit(&blocks[&11], 8)).await.unwrap(), None);

    let fork = block(11, 66, &keys(11), &keys(12), None, time_of(11));
    let evidence = chain.check_header(&id, &client, &submit(&fork, 8)).await.unwrap().expect("no evidence");
    let base = consensus_state(&blocks[&8]).unwrap().encode();
    let verdict = TendermintClient.misbehaviour(&client, &base, &base, &evidence, super::verify::now());
    assert!(verdict.is_trusted(), "{verdict:?}");

    // Time must rise with the height: a header above the head that is older than ours is a conflict, a later one is not yet judged.
    let early = block(TOP + 5, 1, &keys(TOP - 1), &keys(TOP), None, time_of(TOP - 1));
    assert!(chain.check_header(&id, &client, &submit(&early, TOP - 2)).await.unwrap().is_some());
    let later = block(TOP + 5, 1, &keys(TOP - 1), &keys(TOP), None, time_of(TOP + 5));
    assert_eq!(label(chain.check_header(&id, &client, &submit(&later, TOP - 2)).await), "not_yet");
    let strangers: Vec<_> = (1_000..1_004).map(key).collect();
    let stranger = block(11, 66, &strangers, &strangers, None, time_of(11));
    assert_eq!(chain.check_header(&id, &client, &submit(&stranger, 8)).await.unwrap(), None);
}

#[tokio::test]
async fn exported_trust_is_taken_up_again_and_damaged_trust_is_not() {
    let blocks = made_chain();
    let (chain, _) = chain_of(blocks.clone(), 1).await;
    assert_eq!(chain.export_trust(), None);
    chain.verified(at(7)).await.unwrap();
    let bytes = chain.export_trust().unwrap();
    let restored = super::header::from_bytes(&bytes, CHAIN).unwrap();
    assert_eq!(restored.signed_header, blocks[&7].signed_header);
    assert_eq!(restored.next_validators.hash(), blocks[&7].next_validators.hash());
    assert!(super::header::from_bytes(&bytes, "other-1").is_none());
    for at in [10, bytes.len() / 2, bytes.len() - 3] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let read = super::header::from_bytes(&damaged, CHAIN);
        // A flipped bit in a signature or a proposer is found when something is verified from it; the hashes cover the rest.
        assert!(read.is_none_or(|block| block.signed_header.header == blocks[&7].signed_header.header));
    }
}

#[tokio::test]
async fn a_named_header_that_nodes_have_pruned_is_followed_by_what_an_earlier_run_verified() {
    let mut blocks = made_chain();
    let hash = made_chain_hash(&blocks, 1);
    let (chain, _) = chain_of(blocks.clone(), 1).await;
    chain.verified(at(7)).await.unwrap();
    let later = chain.export_trust();
    blocks.remove(&1);
    let (lost, _) = chain_trusting(blocks.clone(), Trust::Configured { height: 1, hash, later: None }).await;
    assert_eq!(label(lost.verified(at(TOP)).await), "pruned");
    let (chain, _) = chain_trusting(blocks.clone(), Trust::Configured { height: 1, hash, later: later.clone() }).await;
    let verified = chain.verified(at(TOP)).await.unwrap();
    assert_eq!(verified.consensus_state, consensus_state(&blocks[&TOP]).unwrap().encode());
    // A header that is there and another one than named is not made good by it.
    let (wrong, _) = chain_trusting(blocks, Trust::Configured { height: 2, hash, later }).await;
    assert_eq!(label(wrong.verified(at(TOP)).await), "setup");
}

/// What a run that verified `height` of these blocks leaves to the next.
async fn exported(blocks: &BTreeMap<u64, LightBlock>, height: u64) -> Vec<u8> {
    let (chain, _) = chain_of(blocks.clone(), height - 1).await;
    chain.verified(at(height)).await.unwrap();
    chain.export_trust().unwrap()
}

#[tokio::test]
async fn attack_41_a_fork_that_the_same_validators_signed_is_told_by_the_trusted_header() {
    let honest = made_chain();
    let stored = exported(&honest, 50).await;
    let mut fork = honest.clone();
    let mut last = Some(honest[&44].signed_header.commit.block_id);
    for height in 45..=TOP {
        let made = block(height, 200, &keys(height), &keys(height + 1), last, time_of(height));
        last = Some(made.signed_header.commit.block_id);
        fork.insert(height, made);
    }
    let (chain, served) = chain_trusting(fork, Trust::Stored(stored.clone())).await;
    for height in [52, TOP] {
        assert_eq!(label(chain.verified(at(height)).await), "fork");
    }
    assert_eq!(chain.rpc().health()[0].quarantine.unwrap().0, "fork");
    // The only endpoint serves on; once it is of the chain, it is believed.
    served.lock().unwrap().blocks = honest;
    chain.verified(at(TOP)).await.unwrap();
}

#[tokio::test]
async fn a_node_far_below_what_was_verified_is_behind_and_believed_once_it_has_caught_up() {
    let honest = made_chain();
    let stored = exported(&honest, 50).await;
    let behind = honest.clone().into_iter().take_while(|(height, _)| *height <= 40).collect();
    let (chain, served) = chain_trusting(behind, Trust::Stored(stored)).await;
    assert_eq!(label(chain.verified(at(40)).await), "behind");
    assert_eq!(chain.rpc().health()[0].quarantine.unwrap().0, "behind");
    served.lock().unwrap().blocks = honest;
    chain.verified(at(40)).await.unwrap();
    chain.verified(at(TOP)).await.unwrap();
}
