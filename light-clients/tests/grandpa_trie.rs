//! Storage proofs: those recorded from `sp-state-machine`, and forged ones beside the valid ones they are made from.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generate;

use generate::grandpa_trie::{State, length};
use light_clients::commitment::trie::{CHILD_TRIE_PREFIX, TIMESTAMP_NOW, TrieProof, decode_nodes, encode_nodes};
use light_clients::grandpa::{Hash, blake2_256};
use light_clients::limits::{MAX_PROOF_BYTES, MAX_TRIE_NODES};
use light_clients::{Part, Reason, Timestamp};
use proptest::prelude::{any as any_value, *};
use serde_json::Value;

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn nodes(read: &Value) -> Vec<Vec<u8>> {
    read["proof"].as_array().unwrap().iter().map(bytes).collect()
}

fn recorded() -> Value {
    serde_json::from_str(include_str!("vectors/substrate-tries.json")).unwrap()
}

fn read<'a>(root: &Hash, nodes: &'a [Vec<u8>], key: &[u8]) -> Result<Option<&'a [u8]>, Reason> {
    TrieProof::new(nodes)?.read(root, key)
}

/// A state with the timestamp, some commitments and long values.
fn state() -> State {
    State::new(
        true,
        &[
            (&TIMESTAMP_NOW, &1_700_000_000_123_u64.to_le_bytes()),
            (b"ibc/commitments/ports/transfer/channels/channel-0/sequences/1", &[1; 32]),
            (b"ibc/commitments/ports/transfer/channels/channel-0/sequences/2", &[2; 32]),
            (b"ibc/receipts/ports/transfer/channels/channel-0/sequences/1", &[]),
            (b"ibc/clients/07-tendermint-0/clientState", &[7; 300]),
            (b"other", b"value"),
        ],
    )
}

const FIRST: &[u8] = b"ibc/commitments/ports/transfer/channels/channel-0/sequences/1";

#[test]
fn recorded_proofs_show_what_the_state_holds() {
    let (recorded, mut reads) = (recorded(), 0);
    assert_eq!(bytes(&recorded["timestamp_key"]), TIMESTAMP_NOW);
    for case in recorded["cases"].as_array().unwrap() {
        let root: Hash = bytes(&case["root"]).try_into().unwrap();
        for shown in case["reads"].as_array().unwrap() {
            let (nodes, key) = (nodes(shown), bytes(&shown["key"]));
            let want = (!shown["value"].is_null()).then(|| bytes(&shown["value"]));
            assert_eq!(read(&root, &nodes, &key), Ok(want.as_deref()), "{}: {}", case["name"], shown["key"]);
            reads += 1;
        }
        for shown in case["child_reads"].as_array().unwrap() {
            let (nodes, key, name) = (nodes(shown), bytes(&shown["key"]), bytes(&case["child"]["name"]));
            let want = (!shown["value"].is_null()).then(|| bytes(&shown["value"]));
            // The recorded proofs of a child's keys begin at the child's root, which the state holds under its name.
            let proof = TrieProof::new(&nodes).unwrap();
            assert_eq!(proof.read_child(&root, &name, &key), Ok(want.as_deref()), "{}", shown["key"]);
            reads += 1;
        }
    }
    assert!(reads > 150, "{reads}");
}

#[test]
fn generated_states_are_those_of_the_recorded_tries() {
    let mut compared = 0;
    for case in recorded()["cases"].as_array().unwrap().iter().filter(|case| case["child"].is_null()) {
        let entries = case["entries"].as_array().unwrap().iter().map(|entry| (bytes(&entry[0]), bytes(&entry[1])));
        let state = State { entries: entries.collect(), hashed: case["version"] == 1 };
        assert_eq!(state.root().to_vec(), bytes(&case["root"]), "{}", case["name"]);
        for shown in case["reads"].as_array().unwrap() {
            let (_, mut ours) = state.prove(&[&bytes(&shown["key"])]);
            let mut theirs = nodes(shown);
            ours.sort();
            theirs.sort();
            assert_eq!(ours, theirs, "{}: {}", case["name"], shown["key"]);
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}

#[test]
fn attack_20_cut_or_undecodable_trie_value_is_never_absence() {
    let state = state();
    for key in [FIRST, b"ibc/clients/07-tendermint-0/clientState", b"ibc/absent", &TIMESTAMP_NOW] {
        let (root, nodes) = state.prove(&[key]);
        let held = state.entries.get(key).map(Vec::as_slice);
        assert_eq!(read(&root, &nodes, key), Ok(held));
        for missing in 0..nodes.len() {
            let mut fewer = nodes.clone();
            fewer.remove(missing);
            let refused = read(&root, &fewer, key);
            assert!(matches!(refused, Err(Reason::TrieNode | Reason::ProofRoot { .. })), "{refused:?}");
        }
        for (at, node) in nodes.iter().enumerate() {
            for end in 0..node.len() {
                let mut cut = nodes.clone();
                cut[at].truncate(end);
                assert!(read(&root, &cut, key).is_err());
            }
        }
    }
    // Nodes that hash to the root and are none: each would be the way to "nothing there".
    let malformed: [&[u8]; 9] = [
        &[],
        &[0, 0],
        &[1],
        &[0x0f],
        &[0x41, 0x16, 0],
        &[0x42, 0x61, 8, 1],
        &[0x80, 0, 0],
        &[0x80, 1, 0, 4],
        &[0x7f, 255, 255],
    ];
    for node in malformed {
        let nodes = [node.to_vec()];
        let refused = read(&blake2_256(node), &nodes, b"a");
        assert_eq!(refused, Err(Reason::Undecodable { part: Part::TrieNode }), "{node:?}");
    }
    // A leaf with something after its value.
    let leaf = [&[0x42, 0x61][..], &length(1), &[5]].concat();
    assert_eq!(read(&blake2_256(&leaf), std::slice::from_ref(&leaf), b"a"), Ok(Some(&[5][..])));
    let longer = [leaf, vec![0]].concat();
    let refused = read(&blake2_256(&longer), std::slice::from_ref(&longer), b"a");
    assert_eq!(refused, Err(Reason::Undecodable { part: Part::TrieNode }));
    // A child in place that is no node is met only on the way through it.
    let branch = [&[0x80, 0b11, 0][..], &length(2), &[1, 1], &length(3), &[0x41, 0x02, 0]].concat();
    let (root, branch) = (blake2_256(&branch), [branch]);
    assert_eq!(read(&root, &branch, &[0x00]), Err(Reason::Undecodable { part: Part::TrieNode }));
    assert_eq!(read(&root, &branch, &[0x12]), Ok(Some(&[][..])));
}

#[test]
fn attack_21_wrong_child_trie_prefix() {
    let child = State::new(true, &[(FIRST, &[1; 32]), (b"more", &[3; 40])]);
    let key = |name: &[u8]| [CHILD_TRIE_PREFIX, name].concat();
    let top = State::new(
        true,
        &[(&key(b"ibc"), &child.root()), (&key(b"bad"), b"no root"), (b"ibc", &child.root()), (FIRST, &[9; 32])],
    );
    let proof = |name: &[u8], key_in_child: &[u8]| {
        let (root, mut nodes) = top.prove(&[&key(name)]);
        nodes.extend(child.prove(&[key_in_child]).1);
        (root, nodes)
    };
    let (root, nodes) = proof(b"ibc", FIRST);
    let shown = TrieProof::new(&nodes).unwrap();
    assert_eq!(shown.read_child(&root, b"ibc", FIRST), Ok(Some(&[1; 32][..])));
    let (_, absent) = proof(b"ibc", b"none");
    assert_eq!(TrieProof::new(&absent).unwrap().read_child(&root, b"ibc", b"none"), Ok(None));
    // The same nodes for another name, for the main trie, or for a name whose value is no root.
    assert_eq!(shown.read_child(&root, b"ibc2", FIRST), Ok(None));
    assert!(shown.read(&root, FIRST).is_err());
    let (_, bad) = proof(b"bad", FIRST);
    let refused = TrieProof::new(&bad).unwrap().read_child(&root, b"bad", FIRST);
    assert_eq!(refused, Err(Reason::Undecodable { part: Part::TrieProof }));
    // Without the way to the child's root nothing says whose nodes these are.
    let (_, alone) = child.prove(&[FIRST]);
    assert_eq!(TrieProof::new(&alone).unwrap().read_child(&root, b"ibc", FIRST), Err(Reason::ProofRoot { tree: 0 }));
}

#[test]
fn attack_30_storage_proof_of_another_key_or_a_stale_state() {
    let state = state();
    let mut later = state.clone();
    later.entries.remove(FIRST);
    let (old, shown) = state.prove(&[FIRST]);
    let (new, gone) = later.prove(&[FIRST]);
    assert_eq!(read(&old, &shown, FIRST), Ok(Some(&[1; 32][..])));
    assert_eq!(read(&new, &gone, FIRST), Ok(None));
    assert_eq!(read(&new, &shown, FIRST), Err(Reason::ProofRoot { tree: 0 }), "a stale proof at the new root");
    assert_eq!(read(&old, &gone, FIRST), Err(Reason::ProofRoot { tree: 0 }), "a proof of absence at the old root");
    // Both proofs together show what each root shows.
    let both = [shown.clone(), gone].concat();
    assert_eq!(read(&old, &both, FIRST), Ok(Some(&[1; 32][..])));
    assert_eq!(read(&new, &both, FIRST), Ok(None));
    // Another key's nodes say nothing of this one, be it present or absent.
    let second = b"ibc/commitments/ports/transfer/channels/channel-0/sequences/2";
    let third = b"ibc/commitments/ports/transfer/channels/channel-0/sequences/3";
    assert_eq!(read(&old, &shown, second), Err(Reason::TrieNode));
    assert_eq!(read(&old, &shown, third), Ok(None), "the same branch shows this gap");
    assert_eq!(read(&old, &shown, b"ibc/clients/07-tendermint-0/clientState"), Err(Reason::TrieNode));
    // A longer key than a leaf's, and a shorter one than a branch's.
    assert_eq!(read(&old, &shown, &[FIRST, b"1"].concat()), Ok(None));
    assert_eq!(read(&old, &shown, b"ibc/"), Ok(None));
}

#[test]
fn attack_31_forged_timestamp() {
    let state = state();
    let time = |state: &State| {
        let (root, nodes) = state.prove(&[&TIMESTAMP_NOW]);
        TrieProof::new(&nodes).unwrap().timestamp(&root)
    };
    assert_eq!(time(&state), Ok(Timestamp::from_nanos(1_700_000_000_123_000_000)));
    let with = |value: &[u8]| {
        let mut other = state.clone();
        other.entries.insert(TIMESTAMP_NOW.to_vec(), value.to_vec());
        time(&other)
    };
    let undecodable = Err(Reason::Undecodable { part: Part::Timestamp });
    for value in [&[][..], &[1; 7], &[1; 9], &[1; 40]] {
        assert_eq!(with(value), undecodable, "{value:?}");
    }
    assert_eq!(with(&[255; 8]), Err(Reason::TimeOutOfRange));
    let mut none = state.clone();
    none.entries.remove(TIMESTAMP_NOW.as_slice());
    assert_eq!(time(&none), Err(Reason::Missing { part: Part::Timestamp }));
    // Another state's time.
    let mut later = state.clone();
    later.entries.insert(TIMESTAMP_NOW.to_vec(), 1_800_000_000_000_u64.to_le_bytes().to_vec());
    let (_, nodes) = later.prove(&[&TIMESTAMP_NOW]);
    assert_eq!(TrieProof::new(&nodes).unwrap().timestamp(&state.root()), Err(Reason::ProofRoot { tree: 0 }));
}

#[test]
fn proofs_are_bounded_before_they_are_hashed() {
    let many = vec![vec![0]; MAX_TRIE_NODES + 1];
    assert!(matches!(TrieProof::new(&many), Err(Reason::TooLarge { part: Part::TrieProof, .. })));
    let large = vec![vec![0; MAX_PROOF_BYTES / 2]; 3];
    assert!(matches!(TrieProof::new(&large), Err(Reason::TooLarge { part: Part::TrieProof, .. })));
    assert!(matches!(decode_nodes(&vec![0; MAX_PROOF_BYTES + 1]), Err(Reason::TooLarge { .. })));
    let nodes = vec![vec![1, 2], vec![], vec![3]];
    assert_eq!(decode_nodes(&encode_nodes(&nodes)), Ok(nodes));
    assert_eq!(decode_nodes(&[255, 255, 255, 255]), Err(Reason::Undecodable { part: Part::TrieProof }));
    let (root, shown) = state().prove(&[FIRST]);
    assert!(matches!(read(&root, &shown, &[0; 5_000]), Err(Reason::TooLarge { part: Part::Key, .. })));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(node in proptest::collection::vec(any_value::<u8>(), 0..80), key in proptest::collection::vec(any_value::<u8>(), 0..6)) {
        // Whatever it says, it is an answer.
        let answer = read(&blake2_256(&node), std::slice::from_ref(&node), &key);
        let missing_root = matches!(answer, Err(Reason::ProofRoot { .. }));
        prop_assert!(!missing_root);
        if let Ok(nodes) = decode_nodes(&node) {
            prop_assert_eq!(encode_nodes(&nodes), node);
        }
    }

    #[test]
    fn every_state_shows_its_keys_and_its_gaps(
        entries in proptest::collection::btree_map(proptest::collection::vec(0_u8..40, 0..4), proptest::collection::vec(any_value::<u8>(), 0..40), 0..30),
        hashed: bool,
        probe in proptest::collection::vec(0_u8..40, 0..4),
    ) {
        let state = State { entries, hashed };
        for key in state.entries.keys().chain([&probe]) {
            let (root, nodes) = state.prove(&[key]);
            prop_assert_eq!(read(&root, &nodes, key), Ok(state.entries.get(key).map(Vec::as_slice)));
        }
    }
}
