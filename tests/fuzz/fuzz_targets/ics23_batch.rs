//! Batches of proofs: unfolding stays within its limits, however much a compressed batch repeats itself.
#![no_main]

use ibc_proto::ics23::CommitmentProof;
use ibc_proto::ics23::commitment_proof::Proof;
use libfuzzer_sys::fuzz_target;
use light_clients::commitment::batch::{unfold, verify_batch};
use light_clients::commitment::ics23::Tree;
use light_clients::limits::{MAX_BATCH_ENTRIES, MAX_BATCH_INNER_NODES, MAX_PROOF_BYTES};
use prost::Message as _;

fuzz_target!(|data: &[u8]| {
    if data.len() > MAX_PROOF_BYTES {
        return;
    }
    let Ok(proof) = CommitmentProof::decode(data) else { return };
    let Ok(single) = unfold(&proof) else { return };
    assert!(single.len() <= MAX_BATCH_ENTRIES);
    let mut inner = 0;
    let mut items: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
    for one in &single {
        match &one.proof {
            Some(Proof::Exist(leaf)) => {
                inner += leaf.path.len();
                items.push((leaf.key.clone(), Some(leaf.value.clone())));
            }
            Some(Proof::Nonexist(absence)) => {
                inner +=
                    [&absence.left, &absence.right].into_iter().flatten().map(|leaf| leaf.path.len()).sum::<usize>();
                items.push((absence.key.clone(), None));
            }
            other => panic!("a batch within a batch: {other:?}"),
        }
    }
    if matches!(proof.proof, Some(Proof::Compressed(_))) {
        assert!(inner <= MAX_BATCH_INNER_NODES, "{inner} inner nodes");
    }
    let items: Vec<_> = items.iter().map(|(key, value)| (key.as_slice(), value.as_deref())).collect();
    for tree in [Tree::Iavl, Tree::Simple] {
        // Nobody finds a tree with this root.
        assert!(items.is_empty() || verify_batch(tree, &[7; 32], &proof, &items).is_err());
    }
});
