//! Attack matrix, rows 14 to 21: forged Merkle proofs beside the valid one each is made from.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generate;

use generate::chain::{Block, client, validators};
use generate::store::{MultiStore, Store, alone, deep, exist, inner_op, nonexist, sha256};
use ibc_proto::ibc::core::commitment::v1::MerkleProof;
use ics23::commitment_proof::Proof;
use ics23::{
    CommitmentProof, ExistenceProof, HostFunctionsManager, NonExistenceProof, calculate_existence_root, iavl_spec,
};
use light_clients::commitment::batch::{unfold, verify_batch};
use light_clients::commitment::ics23::{COSMOS_TREES, Tree, verify_absence, verify_membership};
use light_clients::limits::{MAX_BATCH_ENTRIES, MAX_PROOF_BYTES, MAX_PROOF_DEPTH};
use light_clients::{MerklePath, Part, Reason, TendermintClient, Verifier};
use prost::Message;

/// A chain with an `ibc` store of seven commitments and other stores around it.
fn chain() -> MultiStore {
    let ibc = [
        ("a/1", "one"),
        ("a/2", "two"),
        ("a/3", "three"),
        ("b/1", "four"),
        ("b/3", "five"),
        ("c/1", "six"),
        ("c/9", "seven"),
    ];
    let mut stores = MultiStore::default();
    for (name, entries) in
        [("bank", vec![("x", "1")]), ("ibc", ibc.to_vec()), ("staking", vec![("y", "2"), ("z", "3")])]
    {
        stores.stores.insert(name.into(), Store::new(5, entries));
    }
    stores
}

fn path(key: &[u8]) -> MerklePath {
    MerklePath::new("ibc", key)
}

/// Whether the whole verifier takes the proof, from bytes, at the given root.
fn check(root: &[u8], proof: &MerkleProof, path: &MerklePath, value: Option<&[u8]>) -> Result<(), Reason> {
    let block = Block::new(10, &validators(0..4, 10)).with(|block| block.app_hash = root.to_vec());
    let state = block.consensus_state().encode();
    TendermintClient.membership(&client(&block), &state, &proof.encode_to_vec(), path, value)
}

/// The same lowest proof in a chain of that one store: its subroot is whatever the proof leads to.
fn in_own_chain(lowest: CommitmentProof, leaf: &ExistenceProof) -> (MerkleProof, Vec<u8>) {
    alone("ibc", lowest, calculate_existence_root::<HostFunctionsManager>(leaf).unwrap())
}

fn absent(key: &[u8], left: Option<ExistenceProof>, right: Option<ExistenceProof>) -> CommitmentProof {
    nonexist(NonExistenceProof { key: key.to_vec(), left, right })
}

#[test]
fn every_key_is_proven_and_every_gap_is_absent() {
    let chain = chain();
    let root = chain.app_hash();
    for (key, value) in &chain.stores["ibc"].entries {
        assert_eq!(check(&root, &chain.prove("ibc", key), &path(key), Some(value)), Ok(()));
    }
    for key in [b"a/0".as_slice(), b"a/11", b"b/2", b"c/99", b"0", b"z"] {
        assert_eq!(check(&root, &chain.prove("ibc", key), &path(key), None), Ok(()), "{key:?}");
    }
    let bank = MerklePath::new("bank", "x");
    assert_eq!(check(&root, &chain.prove("bank", b"x"), &bank, Some(b"1")), Ok(()));
    // A single leaf is both ends of its tree.
    assert_eq!(check(&root, &chain.prove("bank", b"w"), &MerklePath::new("bank", "w"), None), Ok(()));
}

#[test]
fn attack_14_forged_exclusion_proof() {
    let chain = chain();
    let (root, store) = (chain.app_hash(), &chain.stores["ibc"]);
    let above = exist(chain.store_proof("ibc"));
    let forge = |lowest: CommitmentProof| {
        check(&root, &MerkleProof { proofs: vec![lowest, above.clone()] }, &path(b"b/1"), None)
    };
    let leaf = |key: &[u8]| Some(store.existence(key));
    let no_neighbours = Err(Reason::ProofNeighbours { tree: 0 });
    // `b/1` is there: each of these hides it.
    assert_eq!(forge(absent(b"b/1", leaf(b"a/3"), leaf(b"b/3"))), no_neighbours, "neighbours of the hidden key");
    assert_eq!(forge(absent(b"b/1", leaf(b"a/1"), leaf(b"c/9"))), no_neighbours, "far apart");
    assert_eq!(forge(absent(b"b/1", leaf(b"a/3"), None)), no_neighbours, "not the last leaf");
    assert_eq!(forge(absent(b"b/1", None, leaf(b"b/3"))), no_neighbours, "not the first leaf");
    assert_eq!(forge(absent(b"b/1", leaf(b"b/3"), leaf(b"a/3"))), no_neighbours, "the wrong way round");
    assert_eq!(forge(absent(b"b/1", leaf(b"b/1"), leaf(b"b/3"))), no_neighbours, "beside itself");
    assert_eq!(forge(absent(b"b/1", None, None)), no_neighbours, "of nothing");
    // Paths that never part: the same leaf twice, and one without a path.
    let renamed = store.existence(b"b/3");
    assert_eq!(
        forge(absent(b"b/1", Some(ExistenceProof { key: b"a/9".to_vec(), ..renamed.clone() }), Some(renamed))),
        no_neighbours
    );
    let bare = ExistenceProof { path: Vec::new(), ..store.existence(b"a/3") };
    assert_eq!(forge(absent(b"b/1", Some(bare), leaf(b"b/3"))), no_neighbours);
    // Dragonberry: the sibling on the right moves into the prefix, so that the leaf seems to be the last one.
    let mut last = store.existence(b"a/3");
    for inner in &mut last.path {
        inner.prefix.extend(std::mem::take(&mut inner.suffix));
    }
    let malformed = forge(absent(b"b/1", Some(last), None));
    assert!(matches!(malformed, Err(Reason::ProofInner { tree: 0, .. })), "{malformed:?}");

    // The same kinds of proof where nothing is hidden.
    assert_eq!(check(&root, &chain.prove("ibc", b"b/2"), &path(b"b/2"), None), Ok(()));
    assert_eq!(check(&root, &chain.prove("ibc", b"d"), &path(b"d"), None), Ok(()));
}

#[test]
fn attack_15_leaf_and_inner_prefix_confusion() {
    // In an IAVL tree an inner node is header, 32, left, 32, right, and a leaf header, 32, key, 32, hash of value, if the
    // key has 32 bytes. So the root can be shown as a leaf: key its left hash, value what hashes to its right.
    let chain = chain();
    let (root, store) = (chain.app_hash(), &chain.stores["ibc"]);
    let (image, left, right) = store.root_images();
    let key = sha256(&left);
    let mut fake = store.existence(b"a/1");
    let header = image[..image.len() - 66].to_vec();
    fake.leaf.as_mut().unwrap().prefix = header;
    let fake = ExistenceProof { key: key.clone(), value: right.clone(), path: Vec::new(), ..fake };
    assert_eq!(calculate_existence_root::<HostFunctionsManager>(&fake).unwrap(), store.root(), "the hashes agree");
    let proof = MerkleProof { proofs: vec![exist(fake), exist(chain.store_proof("ibc"))] };
    assert_eq!(check(&root, &proof, &path(&key), Some(&right)), Err(Reason::ProofLeaf { tree: 0 }));

    // A leaf shown as an inner node, and leaves with something hidden in their prefix.
    let honest = store.existence(b"b/1");
    let forge = |change: &dyn Fn(&mut ExistenceProof)| {
        let mut proof = honest.clone();
        change(&mut proof);
        let (proof, root) = in_own_chain(exist(proof.clone()), &proof);
        check(&root, &proof, &path(b"b/1"), Some(b"four"))
    };
    assert_eq!(forge(&|_| ()), Ok(()));
    let leaf_prefix = honest.leaf.as_ref().unwrap().prefix.clone();
    let inner = forge(&|proof| proof.path[0].prefix = [leaf_prefix.clone(), vec![32]].concat());
    assert_eq!(inner, Err(Reason::ProofInner { tree: 0, index: 0 }));
    for prefix in [&[0, 2, 10, 32][..], &[0, 2][..], &[], &[2, 2, 10], &[0, 4, 10]] {
        let leaf = forge(&|proof| proof.leaf.as_mut().unwrap().prefix = prefix.to_vec());
        assert_eq!(leaf, Err(Reason::ProofLeaf { tree: 0 }), "{prefix:?}");
    }
    let unhashed = forge(&|proof| proof.leaf.as_mut().unwrap().prehash_value = 0);
    assert_eq!(unhashed, Err(Reason::ProofLeaf { tree: 0 }));
}

#[test]
fn attack_16_iavl_node_with_left_and_right() {
    let chain = chain();
    let honest = chain.stores["ibc"].existence(b"b/1");
    let (proof, root) = in_own_chain(exist(honest.clone()), &honest);
    assert_eq!(check(&root, &proof, &path(b"b/1"), Some(b"four")), Ok(()));
    let index = honest.path.iter().position(|inner| inner.suffix.is_empty()).unwrap();
    let sibling = [vec![32], sha256(b"a third child")].concat();
    for suffix in [sibling.clone(), [sibling.clone(), sibling].concat()] {
        let mut both = honest.clone();
        both.path[index].suffix = suffix;
        let (proof, root) = in_own_chain(exist(both.clone()), &both);
        // What the specs of ICS-23 leave open:
        let subroot = calculate_existence_root::<HostFunctionsManager>(&both).unwrap();
        assert!(ics23::verify_membership::<HostFunctionsManager>(
            &exist(both),
            &iavl_spec(),
            &subroot,
            b"b/1",
            b"four"
        ));
        let index = u32::try_from(index).unwrap();
        assert_eq!(check(&root, &proof, &path(b"b/1"), Some(b"four")), Err(Reason::ProofInner { tree: 0, index }));
    }
    // Neither left nor right; and a sibling whose length byte lies.
    for (prefix, suffix) in [(vec![2, 4, 10, 32], vec![]), (vec![2, 4, 10, 32], vec![31; 33])] {
        let mut spoiled = honest.clone();
        spoiled.path[0] = inner_op(prefix, suffix);
        let (proof, root) = in_own_chain(exist(spoiled.clone()), &spoiled);
        assert_eq!(check(&root, &proof, &path(b"b/1"), Some(b"four")), Err(Reason::ProofInner { tree: 0, index: 0 }));
    }
    // The same in the simple tree above.
    let mut proof = chain.prove("ibc", b"b/1");
    let Some(Proof::Exist(above)) = &mut proof.proofs[1].proof else { panic!("an existence proof") };
    let right = above.path.iter().position(|inner| inner.prefix.len() == 33).unwrap();
    above.path[right].suffix = vec![1; 32];
    let root = calculate_existence_root::<HostFunctionsManager>(above).unwrap();
    let index = u32::try_from(right).unwrap();
    assert_eq!(check(&root, &proof, &path(b"b/1"), Some(b"four")), Err(Reason::ProofInner { tree: 1, index }));
}

#[test]
fn attack_17_depth_129_with_max_depth_0() {
    assert_eq!((iavl_spec().max_depth, iavl_spec().min_depth), (0, 0), "the specs set no limit");
    for depth in [1, 20, MAX_PROOF_DEPTH] {
        let (lowest, subroot) = deep(depth);
        let (key, value) = (lowest.key.clone(), lowest.value.clone());
        let (proof, root) = alone("ibc", exist(lowest), subroot);
        assert_eq!(check(&root, &proof, &path(&key), Some(&value)), Ok(()), "{depth}");
    }
    let (lowest, subroot) = deep(129);
    let (key, value) = (lowest.key.clone(), lowest.value.clone());
    assert!(ics23::verify_membership::<HostFunctionsManager>(
        &exist(lowest.clone()),
        &iavl_spec(),
        &subroot,
        &key,
        &value
    ));
    let (proof, root) = alone("ibc", exist(lowest.clone()), subroot.clone());
    let too_deep = Err(Reason::ProofDepth { tree: 0, depth: 129, max: 128 });
    assert_eq!(check(&root, &proof, &path(&key), Some(&value)), too_deep);
    let after = [key.as_slice(), b"0"].concat();
    let (proof, root) = alone("ibc", absent(&after, Some(lowest), None), subroot);
    assert_eq!(check(&root, &proof, &path(&after), None), too_deep);
}

#[test]
fn attack_18_wrong_spec_key_prefix_or_root_height() {
    let chain = chain();
    let (root, key) = (chain.app_hash(), b"b/1".as_slice());
    let proof = chain.prove("ibc", key);
    let verify = |root: &[u8], path: MerklePath, value: &[u8]| check(root, &proof, &path, Some(value));
    assert_eq!(verify(&root, path(key), b"four"), Ok(()));
    // The block after: a proof of height h against the root of h + 1.
    let mut next = chain.clone();
    next.stores.get_mut("ibc").unwrap().entries.insert(b"a/4".to_vec(), b"new".to_vec());
    assert_eq!(verify(&next.app_hash(), path(key), b"four"), Err(Reason::ProofRoot { tree: 1 }));
    assert_eq!(
        check(&next.app_hash(), &chain.prove("ibc", b"a/4"), &path(b"a/4"), None),
        Err(Reason::ProofRoot { tree: 1 })
    );
    assert_eq!(verify(&root, path(b"b/3"), b"four"), Err(Reason::ProofKey { tree: 0 }));
    assert_eq!(verify(&root, MerklePath::new("bank", key), b"four"), Err(Reason::ProofKey { tree: 1 }));
    assert_eq!(verify(&root, path(key), b"five"), Err(Reason::ProofValue { tree: 0 }));
    assert_eq!(verify(&root, path(key), b""), Err(Reason::EmptyValue));
    assert_eq!(
        verify(&root, MerklePath::from_keys(vec![key.to_vec()]), b"four"),
        Err(Reason::TreeCount { got: 1, want: 2 })
    );
    assert_eq!(verify(&root, path(b""), b"four"), Err(Reason::Missing { part: Part::Key }));
    // Specs in the wrong order, or too few.
    let typed = |trees: &[Tree]| verify_membership(trees, &root, &proof, &path(key), b"four");
    assert_eq!(typed(&COSMOS_TREES), Ok(()));
    assert_eq!(typed(&[Tree::Simple, Tree::Iavl]), Err(Reason::ProofLeaf { tree: 0 }));
    assert_eq!(typed(&[Tree::Iavl, Tree::Iavl]), Err(Reason::ProofLeaf { tree: 1 }));
    assert_eq!(typed(&[Tree::Iavl]), Err(Reason::TreeCount { got: 2, want: 1 }));
    // A store's proof under another store's root.
    let mixed = MerkleProof { proofs: vec![proof.proofs[0].clone(), exist(chain.store_proof("bank"))] };
    assert_eq!(check(&root, &mixed, &MerklePath::new("bank", key), Some(b"four")), Err(Reason::ProofRoot { tree: 0 }));
}

#[test]
fn attack_19_membership_presented_as_absence_and_the_reverse() {
    let chain = chain();
    let root = chain.app_hash();
    let (there, gone) = (b"b/1".as_slice(), b"b/2".as_slice());
    let (present, absence) = (chain.prove("ibc", there), chain.prove("ibc", gone));
    assert_eq!(check(&root, &present, &path(there), Some(b"four")), Ok(()));
    assert_eq!(check(&root, &absence, &path(gone), None), Ok(()));
    let kind = |tree| Err(Reason::ProofKind { tree });
    assert_eq!(check(&root, &present, &path(there), None), kind(0));
    assert_eq!(check(&root, &absence, &path(gone), Some(b"four")), kind(0));
    // An absence proof of one key for another; a store that is said to be absent.
    assert_eq!(check(&root, &absence, &path(there), None), Err(Reason::ProofKey { tree: 0 }));
    let store_gone = MerkleProof { proofs: vec![present.proofs[0].clone(), absence.proofs[0].clone()] };
    assert_eq!(check(&root, &store_gone, &path(there), Some(b"four")), kind(1));
    let nothing = MerkleProof { proofs: vec![CommitmentProof { proof: None }, present.proofs[1].clone()] };
    assert_eq!(check(&root, &nothing, &path(there), None), kind(0));
    assert_eq!(check(&root, &nothing, &path(there), Some(b"four")), kind(0));
}

#[test]
fn attack_20_undecodable_proof_is_never_absence() {
    let chain = chain();
    let block = Block::new(10, &validators(0..4, 10)).with(|block| block.app_hash = chain.app_hash());
    let (client, state) = (client(&block), block.consensus_state().encode());
    let check = |bytes: &[u8], value: Option<&[u8]>| {
        TendermintClient.membership(&client, &state, bytes, &path(if value.is_some() { b"b/1" } else { b"b/2" }), value)
    };
    let (present, absence) = (chain.prove("ibc", b"b/1").encode_to_vec(), chain.prove("ibc", b"b/2").encode_to_vec());
    assert_eq!(check(&present, Some(b"four")), Ok(()));
    assert_eq!(check(&absence, None), Ok(()));
    for length in 0..absence.len() {
        assert!(check(&absence[..length], None).is_err(), "cut to {length}");
    }
    for length in 0..present.len() {
        assert!(check(&present[..length], Some(b"four")).is_err(), "cut to {length}");
        assert!(check(&present[..length], None).is_err(), "cut to {length}, as absence");
    }
    let part = Part::MerkleProof;
    assert_eq!(check(&[0xff; 40], None), Err(Reason::Undecodable { part }));
    assert_eq!(check(&[], None), Err(Reason::TreeCount { got: 0, want: 2 }));
    let max = MAX_PROOF_BYTES as u64;
    assert_eq!(check(&vec![0; MAX_PROOF_BYTES + 1], None), Err(Reason::TooLarge { part, size: max + 1, max }));
}

#[test]
fn attack_21_wrong_store_prefix() {
    // A store whose keys look like another's: its proofs must not pass for the other's.
    let mut chain = chain();
    let twin = Store::new(5, [("b/1", "forged"), ("b/4", "x")]);
    chain.stores.insert("ibc2".into(), twin);
    let root = chain.app_hash();
    let forged = chain.prove("ibc2", b"b/1");
    assert_eq!(check(&root, &forged, &MerklePath::new("ibc2", "b/1"), Some(b"forged")), Ok(()));
    assert_eq!(check(&root, &forged, &path(b"b/1"), Some(b"forged")), Err(Reason::ProofKey { tree: 1 }));
    let absence = chain.prove("ibc2", b"b/2");
    assert_eq!(check(&root, &absence, &MerklePath::new("ibc2", "b/2"), None), Ok(()));
    assert_eq!(check(&root, &absence, &path(b"b/2"), None), Err(Reason::ProofKey { tree: 1 }));
    for prefix in ["", "ib", "ibc/", "IBC"] {
        assert!(check(&root, &chain.prove("ibc", b"b/1"), &MerklePath::new(prefix, "b/1"), Some(b"four")).is_err());
    }
    // The prefix inside the key instead of before it.
    let joined = MerklePath::from_keys(vec![b"ibc/b/1".to_vec()]);
    assert_eq!(
        check(&root, &chain.prove("ibc", b"b/1"), &joined, Some(b"four")),
        Err(Reason::TreeCount { got: 1, want: 2 })
    );
}

#[test]
fn batches_prove_many_keys_of_one_tree_and_none_of_a_path() {
    let chain = chain();
    let store = &chain.stores["ibc"];
    let entry = |proof| ics23::BatchEntry { proof: Some(proof) };
    let batch = CommitmentProof {
        proof: Some(Proof::Batch(ics23::BatchProof {
            entries: vec![
                entry(ics23::batch_entry::Proof::Exist(store.existence(b"a/2"))),
                entry(ics23::batch_entry::Proof::Exist(store.existence(b"b/1"))),
                entry(ics23::batch_entry::Proof::Nonexist(store.absence(b"b/2"))),
            ],
        })),
    };
    let compressed = ics23::compress(&batch).unwrap();
    assert!(ics23::is_compressed(&compressed));
    for proof in [&batch, &compressed] {
        let verify = |items: &[(&[u8], Option<&[u8]>)]| verify_batch(Tree::Iavl, &store.root(), proof, items);
        assert_eq!(verify(&[(b"a/2", Some(b"two")), (b"b/2", None), (b"b/1", Some(b"four"))]), Ok(()));
        assert_eq!(verify(&[(b"a/2", Some(b"two")), (b"b/1", None)]), Err(Reason::ProofKey { tree: 0 }));
        assert_eq!(verify(&[(b"a/2", Some(b"2"))]), Err(Reason::ProofValue { tree: 0 }));
        assert_eq!(verify(&[(b"a/2", Some(b""))]), Err(Reason::EmptyValue));
        assert_eq!(verify(&[(b"a/3", Some(b"three"))]), Err(Reason::ProofKey { tree: 0 }));
        let other_root = verify_batch(Tree::Iavl, &[1; 32], proof, &[(b"a/2", Some(b"two"))]);
        assert_eq!(other_root, Err(Reason::ProofRoot { tree: 0 }));
        // A chain takes no batch for one path, so neither do we.
        let single = MerkleProof { proofs: vec![proof.clone(), exist(chain.store_proof("ibc"))] };
        let root = chain.app_hash();
        assert_eq!(check(&root, &single, &path(b"a/2"), Some(b"two")), Err(Reason::BatchedProof { tree: 0 }));
        assert_eq!(verify_absence(&COSMOS_TREES, &root, &single, &path(b"b/2")), Err(Reason::BatchedProof { tree: 0 }));
    }
}

#[test]
fn compressed_batches_are_bounded_and_name_only_what_they_carry() {
    let leaf = chain().stores["ibc"].existence(b"a/2");
    let one = ics23::CompressedExistenceProof { key: leaf.key, value: leaf.value, leaf: leaf.leaf, path: vec![0] };
    let batch = |entry: ics23::CompressedExistenceProof, count: usize, lookup_inners: Vec<ics23::InnerOp>| {
        let entry = ics23::CompressedBatchEntry { proof: Some(ics23::compressed_batch_entry::Proof::Exist(entry)) };
        let batch = ics23::CompressedBatchProof { entries: vec![entry; count], lookup_inners };
        unfold(&CommitmentProof { proof: Some(Proof::Compressed(batch)) }).map(|proofs| proofs.len())
    };
    let with_path = |path: Vec<i32>| ics23::CompressedExistenceProof { path, ..one.clone() };
    let inner = inner_op(vec![2, 4, 10, 32], vec![32; 33]);
    assert_eq!(batch(with_path(vec![0, 0]), MAX_BATCH_ENTRIES, vec![inner.clone()]), Ok(MAX_BATCH_ENTRIES));
    for index in [1, -1, i32::MAX, i32::MIN] {
        assert_eq!(batch(with_path(vec![0, index]), 1, vec![inner.clone()]), Err(Reason::ProofLookup { index }));
    }
    let label = |result: Result<usize, Reason>| result.unwrap_err().label();
    assert_eq!(label(batch(one.clone(), MAX_BATCH_ENTRIES + 1, vec![inner.clone()])), "too_large");
    assert_eq!(label(batch(with_path(vec![0; 129]), 1, vec![inner.clone()])), "too_large");
    assert_eq!(batch(with_path(vec![0; 128]), MAX_BATCH_ENTRIES, vec![inner]), Ok(MAX_BATCH_ENTRIES));
    assert_eq!(label(batch(one.clone(), 1, vec![inner_op(vec![0; 100_000], vec![])])), "too_large");
}
