//! Histories of writes, checked against a plain map and the verifier that every Cosmos chain uses.

use std::collections::BTreeMap;

use ics23::{
    CommitmentProof, HostFunctionsManager, iavl_spec, tendermint_spec, verify_membership, verify_non_membership,
};
use prost::Message as _;

use super::Store;
use crate::devnet::embedded::ProofOp;
use crate::sim::rng::Rng;

type Plain = BTreeMap<Vec<u8>, Vec<u8>>;

/// Whether the proof shows this value, or with none the absence, under an application hash.
fn shows(app_hash: [u8; 32], store: &str, key: &[u8], value: Option<&[u8]>, ops: &[ProofOp]) -> bool {
    let [inner, outer] = ops else { panic!("two steps, not {}", ops.len()) };
    assert_eq!((inner.kind.as_str(), outer.kind.as_str()), ("ics23:iavl", "ics23:simple"));
    assert_eq!((inner.key.as_slice(), outer.key.as_slice()), (key, store.as_bytes()));
    let inner = CommitmentProof::decode(inner.data.as_slice()).unwrap();
    let outer = CommitmentProof::decode(outer.data.as_slice()).unwrap();
    let Some(ics23::commitment_proof::Proof::Exist(above)) = &outer.proof else {
        panic!("a store that does not exist")
    };
    let root = above.value.clone();
    let below = match value {
        Some(value) => verify_membership::<HostFunctionsManager>(&inner, &iavl_spec(), &root, key, value),
        None => verify_non_membership::<HostFunctionsManager>(&inner, &iavl_spec(), &root, key),
    };
    let app_hash = app_hash.to_vec();
    below && verify_membership::<HostFunctionsManager>(&outer, &tendermint_spec(), &app_hash, store.as_bytes(), &root)
}

fn genesis() -> Store {
    let mut store = Store::default();
    for name in ["acc", "bank", "ibc", "transfer", "upgrade"] {
        store.set(name, b"marker".to_vec(), vec![1]);
    }
    store
}

fn key(rng: &mut Rng) -> Vec<u8> {
    format!("k{}", rng.within(0, 400)).into_bytes()
}

#[test]
fn every_key_and_every_absence_is_proven_at_its_own_height() {
    for seed in 0..6 {
        let mut rng = Rng::new(seed);
        let (mut store, mut plain) = (genesis(), Plain::from([(b"marker".to_vec(), vec![1])]));
        let mut heights: Vec<(Store, Plain, [u8; 32])> = Vec::new();
        for _ in 0..12 {
            for _ in 0..rng.within(0, 60) {
                let key = key(&mut rng);
                if rng.chance(400) {
                    assert_eq!(store.delete("ibc", &key), plain.remove(&key).is_some());
                } else {
                    let value = rng.bits().to_be_bytes().to_vec();
                    store.set("ibc", key.clone(), value.clone());
                    plain.insert(key, value);
                }
            }
            let app_hash = store.commit();
            heights.push((store.clone(), plain.clone(), app_hash));
        }
        for (store, plain, app_hash) in heights {
            let keys = plain.keys().cloned().chain((0..25).map(|_| key(&mut rng))).chain([vec![0], vec![255]]);
            for key in keys {
                let (value, ops) = store.prove("ibc", &key);
                assert_eq!(value.as_ref(), plain.get(&key));
                assert_eq!(store.get("ibc", &key), value.as_deref());
                assert!(shows(app_hash, "ibc", &key, value.as_deref(), &ops), "seed {seed}, key {key:?}");
            }
        }
    }
}

#[test]
fn a_proof_shows_neither_another_value_nor_another_height() {
    let mut store = genesis();
    store.set("ibc", b"a".to_vec(), b"1".to_vec());
    let first = store.commit();
    store.set("ibc", b"b".to_vec(), b"2".to_vec());
    let second = store.commit();
    let (_, ops) = store.prove("ibc", b"a");
    assert!(shows(second, "ibc", b"a", Some(b"1"), &ops));
    assert!(!shows(second, "ibc", b"a", Some(b"2"), &ops));
    assert!(!shows(first, "ibc", b"a", Some(b"1"), &ops));
    assert!(!shows(second, "ibc", b"a", None, &ops));
    let (_, absent) = store.prove("ibc", b"c");
    assert!(shows(second, "ibc", b"c", None, &absent));
    assert!(!shows(first, "ibc", b"c", None, &absent));
}

#[test]
fn every_store_is_proven_however_many_there_are() {
    let mut store = Store::default();
    for n in 0..9 {
        store.set(&format!("store{n}"), b"marker".to_vec(), vec![n + 1]);
        let app_hash = store.commit();
        for m in 0..=n {
            let name = format!("store{m}");
            let (value, ops) = store.prove(&name, b"marker");
            assert_eq!(value, Some(vec![m + 1]));
            assert!(shows(app_hash, &name, b"marker", Some(&[m + 1]), &ops));
        }
    }
}

#[test]
fn the_application_hash_depends_on_every_store_and_on_the_version() {
    let mut base = genesis();
    let quiet = base.commit();
    assert_eq!(base.commit(), quiet, "nothing was written");
    let written = |store: &str| {
        let mut copy = base.clone();
        copy.set(store, b"marker".to_vec(), vec![2]);
        copy.commit()
    };
    assert_ne!(written("acc"), quiet);
    assert_ne!(written("upgrade"), written("acc"));
    let mut again = base.clone();
    again.set("acc", b"marker".to_vec(), vec![1]);
    assert_ne!(again.commit(), quiet, "a rewrite of the same value is a node of a newer version, as in IAVL");
    assert_eq!(base.commit(), quiet, "copies don't touch their origin");
}

#[test]
fn keys_come_in_order_and_only_those_of_the_prefix() {
    let (mut store, mut plain, mut rng) = (genesis(), Plain::new(), Rng::new(7));
    for _ in 0..500 {
        let key = key(&mut rng);
        store.set("bank", key.clone(), b"v".to_vec());
        plain.insert(key, b"v".to_vec());
    }
    for (prefix, from) in
        [("k", None), ("k1", None), ("k1", Some("k15")), ("k1", Some("a")), ("k1", Some("k2")), ("x", None)]
    {
        let found: Vec<_> =
            store.prefix("bank", prefix.as_bytes(), from.map(str::as_bytes)).map(|(k, _)| k.to_vec()).collect();
        let wanted = plain.keys().filter(|key| {
            key.starts_with(prefix.as_bytes()) && from.is_none_or(|from| key.as_slice() >= from.as_bytes())
        });
        assert_eq!(found, wanted.cloned().collect::<Vec<_>>(), "prefix {prefix}, from {from:?}");
    }
    assert_eq!(store.prefix("nowhere", b"", None).count(), 0);
}

#[test]
fn a_store_emptied_and_filled_again_works() {
    let mut store = genesis();
    assert!(store.delete("acc", b"marker"));
    assert!(!store.delete("acc", b"marker"));
    assert!(!store.delete("nowhere", b"marker"));
    let app_hash = store.commit();
    assert_eq!(store.prove("acc", b"marker"), (None, Vec::new()));
    let (_, ops) = store.prove("ibc", b"marker");
    assert!(shows(app_hash, "ibc", b"marker", Some(&[1]), &ops), "its neighbours are still proven");
    store.set("acc", b"k".to_vec(), b"v".to_vec());
    let app_hash = store.commit();
    let (_, ops) = store.prove("acc", b"k");
    assert!(shows(app_hash, "acc", b"k", Some(b"v"), &ops));
}

#[test]
fn ordered_writes_keep_the_tree_low() {
    let mut store = genesis();
    for n in 0..2_000_u32 {
        store.set("ibc", n.to_be_bytes().to_vec(), b"v".to_vec());
    }
    store.commit();
    let (_, ops) = store.prove("ibc", &7_u32.to_be_bytes());
    let proof = CommitmentProof::decode(ops[0].data.as_slice()).unwrap();
    let Some(ics23::commitment_proof::Proof::Exist(proof)) = proof.proof else {
        panic!("no proof of a key that is there")
    };
    assert!((10..=16).contains(&proof.path.len()), "{} steps for 2,001 keys", proof.path.len());
}
