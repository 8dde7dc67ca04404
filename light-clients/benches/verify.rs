//! Headers and proofs beside what they can't do without: the signatures, the hashes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/generate/mod.rs"]
mod generate;

use criterion::{Criterion, criterion_group, criterion_main};
use generate::any;
use generate::chain::{Block, client, parameters, validators};
use generate::store::{alone, deep, exist, sha256};
use light_clients::commitment::ics23::{COSMOS_TREES, verify_membership};
use light_clients::tendermint::{ClientState, Header, verify_header};
use light_clients::{MerklePath, TendermintClient, Verifier};
use std::hint::black_box;
use tendermint::crypto::{default::signature::Verifier as Rule, signature::Verifier as _};

/// A header of so many validators, adjacent and skipping, beside its signatures alone: just above two thirds of them.
fn headers(criterion: &mut Criterion) {
    for count in [100, 150] {
        let mut group = criterion.benchmark_group(format!("header_{count}"));
        let validators = validators(0..count, 10);
        let trusted = Block::new(10, &validators);
        let (client, state) = (client(&trusted), trusted.consensus_state().encode());
        let typed = ClientState::new(parameters(&trusted)).unwrap();
        for (name, height) in [("adjacent", 11), ("skipping", 20)] {
            let block = Block::new(height, &validators);
            let (header, now) = (any(&block.update_from(&trusted)), block.seconds_later(1));
            let decoded = Header::decode(&header).unwrap();
            let consensus = trusted.consensus_state();
            assert!(TendermintClient.update(&client, &state, &header, now).is_trusted());
            group.bench_function(format!("{name}_from_bytes"), |bencher| {
                bencher.iter(|| TendermintClient.update(&client, &state, black_box(&header), now));
            });
            group.bench_function(format!("{name}_decoded"), |bencher| {
                bencher.iter(|| verify_header(&typed, &consensus, black_box(&decoded), now));
            });
        }
        let needed = usize::from(count) * 2 / 3 + 1;
        let message = [5; 120];
        let signed: Vec<_> = validators
            .iter()
            .take(needed)
            .map(|validator| {
                let signature = validator.key.sign(&message).to_bytes();
                (validator.info().pub_key, tendermint::Signature::try_from(signature.as_slice()).unwrap())
            })
            .collect();
        group.bench_function(format!("signatures_{needed}"), |bencher| {
            bencher.iter(|| signed.iter().all(|(key, signature)| Rule::verify(*key, &message, signature).is_ok()));
        });
        group.finish();
    }
}

/// Membership at depth 20 under a multi-store of depth 5, beside its 26 hashes of inner nodes and leaves.
fn proofs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ics23_depth_20");
    let (lowest, subroot) = deep(20);
    let (key, value) = (lowest.key.clone(), lowest.value.clone());
    let images: Vec<Vec<u8>> =
        lowest.path.iter().map(|inner| [&inner.prefix[..], &[0; 32], &inner.suffix].concat()).collect();
    let (proof, root) = alone("ibc", exist(lowest), subroot);
    let path = MerklePath::new("ibc", key);
    assert_eq!(verify_membership(&COSMOS_TREES, &root, &proof, &path, &value), Ok(()));
    group.bench_function("membership", |bencher| {
        bencher.iter(|| verify_membership(&COSMOS_TREES, black_box(&root), &proof, &path, &value));
    });
    group.bench_function("hashes", |bencher| {
        bencher.iter(|| {
            for image in &images {
                black_box(sha256(black_box(image)));
            }
            for _ in 0..9 {
                black_box(sha256(black_box(&[1; 65])));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, headers, proofs);
criterion_main!(benches);
