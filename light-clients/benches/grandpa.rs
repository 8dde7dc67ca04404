//! Justifications and storage proofs beside what they can't do without: the signatures, the hashes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/generate/mod.rs"]
mod generate;

use criterion::{Criterion, criterion_group, criterion_main};
use generate::grandpa::{authorities, justify, set, voters};
use generate::grandpa_client::{Block, blocks, client, header};
use generate::grandpa_trie::State;
use light_clients::commitment::trie::TrieProof;
use light_clients::grandpa::{Authority, AuthoritySet, Justification, blake2_256, signed_bytes};
use light_clients::{GrandpaClient, Verifier};
use parity_scale_codec::Encode;
use std::hint::black_box;

const SET: u64 = 9;

/// Just above two thirds of so many authorities, from bytes and decoded, beside those signatures alone; and a whole update.
fn justifications(criterion: &mut Criterion) {
    for count in [4, 300, 1_000] {
        let mut group = criterion.benchmark_group(format!("grandpa_{count}"));
        let all = voters(0, &vec![1; count]);
        let needed = usize::try_from(set(SET, &all).threshold()).unwrap();
        let trusted = Block::first(&[]);
        let chain = blocks(&trusted, 10, 0);
        let last = chain.last().unwrap();
        let (justification, list) = (justify(&last.header, &all[..needed], SET), authorities(&all).encode());
        let bytes = justification.encode();
        let (set, verify) = (AuthoritySet::decode(SET, &list).unwrap(), Justification::verify);
        assert_eq!(verify(&justification, &set), Ok(()));
        group.bench_function("justification_from_bytes", |bencher| {
            bencher.iter(|| {
                let set = AuthoritySet::decode(SET, black_box(&list)).unwrap();
                verify(&Justification::decode_bytes(black_box(&bytes)).unwrap(), &set)
            });
        });
        group.bench_function("justification_decoded", |bencher| {
            bencher.iter(|| verify(black_box(&justification), &set));
        });
        let mut update = header(&trusted, &chain, &all, SET);
        update.justification = bytes.clone();
        let (client, state, update) = (client(&trusted), trusted.consensus(SET, &all).encode(), update.into_any());
        let now = last.seconds_later(1);
        assert!(GrandpaClient.update(&client, &state, &update, now).is_trusted());
        group.bench_function("update_of_10_blocks", |bencher| {
            bencher.iter(|| GrandpaClient.update(&client, &state, black_box(&update), now));
        });
        alone(&mut group, &justification, SET);
        group.finish();
    }
}

/// Polkadot's justification of block 4,635,975.
fn polkadot(criterion: &mut Criterion) {
    const SET: u64 = 450;
    let mut group = criterion.benchmark_group("polkadot_4635975");
    let bytes = include_bytes!("../tests/vectors/polkadot-4635975-justification.bin");
    let justification = Justification::decode_bytes(bytes).unwrap();
    let mut list: Vec<_> =
        justification.commit.precommits.iter().map(|vote| Authority { key: vote.id, weight: 1 }).collect();
    list.extend(authorities(&voters(0, &[1; 99])));
    let set = AuthoritySet::new(SET, &list).unwrap();
    group.bench_function("justification_from_bytes", |bencher| {
        bencher.iter(|| Justification::decode_bytes(black_box(bytes)).unwrap().verify(&set));
    });
    alone(&mut group, &justification, SET);
    group.finish();
}

fn alone(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    justification: &Justification,
    set_id: u64,
) {
    let votes: Vec<_> = (justification.commit.precommits.iter())
        .map(|vote| {
            let key = ed25519_consensus::VerificationKey::try_from(vote.id).unwrap();
            let signature = ed25519_consensus::Signature::from(vote.signature);
            (key, signed_bytes(&vote.precommit, justification.round, set_id), signature)
        })
        .collect();
    // A key is decompressed once a vote here, too: a verifier meets it as bytes.
    group.bench_function(format!("signatures_{}", votes.len()), |bencher| {
        bencher.iter(|| {
            votes.iter().all(|(key, message, signature)| {
                let key = ed25519_consensus::VerificationKey::try_from(black_box(key.to_bytes())).unwrap();
                key.verify(signature, message).is_ok()
            })
        });
    });
}

/// A value among 100,000, beside the hashes of the nodes on the way.
fn tries(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("trie_100000");
    let key = |index: u32| blake2_256(&index.to_be_bytes());
    let entries = (0..100_000).map(|index| (key(index).to_vec(), vec![1; 32])).collect();
    let state = State { entries, hashed: true };
    let (root, nodes) = state.prove(&[&key(77)]);
    let read = |nodes: &[Vec<u8>]| TrieProof::new(nodes).unwrap().read(&root, &key(77)).unwrap().map(<[u8]>::len);
    assert_eq!(read(&nodes), Some(32));
    let wanted = key(77);
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            let proof = TrieProof::new(black_box(&nodes)).unwrap();
            proof.read(&root, black_box(&wanted)).map(|value| value.map(<[u8]>::len))
        });
    });
    group.bench_function("hashes", |bencher| {
        bencher.iter(|| nodes.iter().fold(0_u8, |sum, node| sum ^ blake2_256(black_box(node))[0]));
    });
    group.finish();
}

/// Justifications of 300 authorities, all on one thread or half of them on each of two.
fn threads(criterion: &mut Criterion) {
    const EACH: usize = 4;
    let mut group = criterion.benchmark_group("threads");
    let all = voters(0, &[1; 300]);
    let set = set(SET, &all);
    let needed = usize::try_from(set.threshold()).unwrap();
    let block = blocks(&Block::first(&[]), 1, 0);
    let justification = justify(&block.last().unwrap().header, &all[..needed], SET);
    let verify = |times: usize| (0..times).all(|_| black_box(&justification).verify(&set).is_ok());
    assert!(verify(1));
    group.bench_function("one", |bencher| bencher.iter(|| verify(2 * EACH)));
    group.bench_function("two", |bencher| {
        bencher.iter(|| {
            std::thread::scope(|scope| {
                let other = scope.spawn(|| verify(EACH));
                verify(EACH) && other.join().unwrap()
            })
        });
    });
    group.finish();
}

criterion_group!(benches, justifications, polkadot, tries, threads);
criterion_main!(benches);
