//! Laws that hold for every input: nothing panics, and no change to valid bytes proves anything else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generate;

use generate::any;
use generate::chain::{Block, client, misbehaviour, validators};
use generate::store::{MultiStore, Store, exist, inner_op, leaf_op, varint};
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::commitment::v1::MerkleProof;
use ics23::{ExistenceProof, HostFunctionsManager, InnerOp};
use light_clients::commitment::ics23::{Tree, decode_proof, verify_membership};
use light_clients::tendermint::{ClientState, ConsensusState, Header, Misbehaviour};
use light_clients::{MerklePath, Reason, TendermintClient, Timestamp, Verdict, Verifier};
use proptest::prelude::{any as any_value, *};
use prost::Message;
use std::sync::LazyLock;

struct Scene {
    client: Any,
    trusted: Any,
    header: Any,
    misbehaviour: Any,
    now: Timestamp,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let validators = validators(0..4, 10);
    let (trusted, block) = (Block::new(10, &validators), Block::new(15, &validators));
    let twin = block.clone().with(|block| block.data = 2);
    Scene {
        client: client(&trusted),
        trusted: trusted.consensus_state().encode(),
        header: any(&block.update_from(&trusted)),
        misbehaviour: misbehaviour(block.update_from(&trusted), twin.update_from(&trusted)),
        now: block.seconds_later(1),
    }
});

static STORES: LazyLock<MultiStore> = LazyLock::new(|| {
    let entries = [("a", "1"), ("b", "2"), ("d", "4"), ("e", "5"), ("f", "6")];
    let mut stores = MultiStore::default();
    stores.stores.insert("ibc".into(), Store::new(3, entries));
    stores.stores.insert("bank".into(), Store::new(3, [("x", "1")]));
    stores
});

/// Flips, removes, repeats or replaces a few bytes.
#[derive(Debug, Clone)]
enum Change {
    Flip(usize, u8),
    Cut(usize, usize),
    Repeat(usize, usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        4 => (any_value::<usize>(), 1_u8..).prop_map(|(at, bits)| Change::Flip(at, bits)),
        1 => (any_value::<usize>(), 1_usize..40).prop_map(|(at, length)| Change::Cut(at, length)),
        1 => (any_value::<usize>(), 1_usize..40).prop_map(|(at, length)| Change::Repeat(at, length)),
    ];
    proptest::collection::vec(change, 1..4)
}

fn apply(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let range = |at: usize, length: usize| {
            let start = at % bytes.len();
            start..(start + length).min(bytes.len())
        };
        match *change {
            Change::Flip(at, bits) => {
                let at = at % bytes.len();
                bytes[at] ^= bits;
            }
            Change::Cut(at, length) => drop(bytes.drain(range(at, length))),
            Change::Repeat(at, length) => {
                let range = range(at, length);
                let (end, piece) = (range.end, bytes[range].to_vec());
                bytes.splice(end..end, piece);
            }
        }
    }
    bytes
}

fn changed(any: &Any, changes: &[Change]) -> Any {
    Any { type_url: any.type_url.clone(), value: apply(&any.value, changes) }
}

/// An inner node as a tree might have it: mostly of the right shape, with numbers of any length.
#[derive(Debug, Clone)]
struct Inner {
    above: u64,
    size: u64,
    version: u64,
    sibling: [u8; 32],
    left: bool,
    oddity: u8,
}

impl Inner {
    fn of(&self, tree: Tree, level: u64) -> InnerOp {
        let Self { above, size, version, sibling, left, oddity } = self;
        let header = match tree {
            Tree::Iavl => [varint(level + above), varint(*size), varint(*version), vec![32]].concat(),
            Tree::Simple => vec![1],
        };
        let (mut before, mut after) = (header.clone(), Vec::new());
        match (tree, left) {
            (Tree::Iavl, true) => {
                before.extend(sibling);
                before.push(32);
            }
            (Tree::Iavl, false) => after = [&[32], sibling.as_slice()].concat(),
            (Tree::Simple, true) => before.extend(sibling),
            (Tree::Simple, false) => after = sibling.to_vec(),
        }
        match oddity {
            0 => after.extend(sibling),
            1 => after.truncate(20),
            2 => before.insert(0, 0),
            3 => drop(before.pop()),
            _ => {}
        }
        inner_op(before, after)
    }
}

fn inner_node() -> impl Strategy<Value = Inner> {
    let number = || prop_oneof![0_u64..300, any_value::<u64>().prop_map(|n| n >> 2)];
    let above = prop_oneof![9 => 0_u64..4, 1 => number()];
    (above, number(), number(), any_value::<[u8; 32]>(), any_value::<bool>(), 0_u8..60)
        .prop_map(|(above, size, version, sibling, left, oddity)| Inner { above, size, version, sibling, left, oddity })
}

fn leaf_header() -> impl Strategy<Value = Vec<u8>> {
    let usual = any_value::<u64>().prop_map(|version| [varint(0), varint(1), varint(version >> 2)].concat());
    let longer = Just([&[0x80, 0], varint(1).as_slice(), &varint(9)].concat());
    prop_oneof![8 => usual, 1 => longer, 1 => (0_u64..3, 0_u64..3).prop_map(|(a, b)| [varint(a), varint(b), varint(1)].concat())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_changed_header_proves_nothing_else(changes in changes()) {
        let scene = &*SCENE;
        let update = |header: &Any| TendermintClient.update(&scene.client, &scene.trusted, header, scene.now);
        let honest = update(&scene.header);
        prop_assert!(honest.is_trusted());
        // Bytes that no signature covers (an unneeded vote, a proposer's priority) may differ; what is trusted may not.
        if let Verdict::Trusted(updated) = update(&changed(&scene.header, &changes)) {
            prop_assert_eq!(Verdict::Trusted(updated), honest);
        }
    }

    #[test]
    fn a_changed_proof_proves_no_falsehood(changes in changes(), key in "[a-g]") {
        let (stores, scene) = (&*STORES, &*SCENE);
        let root = stores.app_hash();
        let state = ConsensusState::decode(&scene.trusted).unwrap();
        let state = ConsensusState::new(state.time(), root, state.next_validators_hash()).unwrap().encode();
        let key = key.as_bytes();
        let bytes = stores.prove("ibc", key).encode_to_vec();
        let check = |bytes: &[u8], path: &MerklePath, value: Option<&[u8]>| {
            TendermintClient.membership(&scene.client, &state, bytes, path, value)
        };
        let value = stores.stores["ibc"].entries.get(key).map(Vec::as_slice);
        let path = MerklePath::new("ibc", key);
        prop_assert_eq!(check(&bytes, &path, value), Ok(()));
        let forged = apply(&bytes, &changes);
        for falsehood in [None, Some(b"0".as_slice()), Some(b"1"), Some(b"2"), Some(b"4")] {
            if falsehood != value {
                prop_assert!(check(&forged, &path, falsehood).is_err());
            }
        }
        prop_assert!(check(&forged, &MerklePath::new("bank", key), value).is_err());
    }

    #[test]
    fn presence_is_what_the_ics23_crate_takes_for_it(
        (leaf, path) in (leaf_header(), proptest::collection::vec(inner_node(), 0..12)),
        (key, value) in ("[a-z]{0,200}", "[a-z]{0,3}"),
        simple in any_value::<bool>(),
    ) {
        let tree = if simple { Tree::Simple } else { Tree::Iavl };
        let path = (1_u64..).zip(path).map(|(level, node)| node.of(tree, level)).collect();
        let leaf = leaf_op(if simple { vec![0] } else { leaf });
        let (key, value) = (key.into_bytes(), value.into_bytes());
        let proof = ExistenceProof { key: key.clone(), value: value.clone(), leaf: Some(leaf), path };
        let root = ics23::calculate_existence_root::<HostFunctionsManager>(&proof).unwrap_or(vec![1; 32]);
        let proof = exist(proof);
        let theirs = ics23::verify_membership::<HostFunctionsManager>(&proof, &tree.spec(), &root, &key, &value);
        let path = MerklePath::from_keys(vec![key]);
        let proof = MerkleProof { proofs: vec![proof] };
        let ours = verify_membership(&[tree], &root, &proof, &path, &value);
        prop_assert!(ours.is_err() || theirs, "only we accept");
        // They let pass an inner node of one leaf, and a leaf of another height or size.
        let stricter = matches!(ours, Err(Reason::ProofInner { .. } | Reason::ProofLeaf { .. }));
        prop_assert!(ours.is_ok() || !theirs || stricter, "{ours:?}");
        let mut other = root;
        other[0] ^= 1;
        prop_assert!(verify_membership(&[tree], &other, &proof, &path, &value).is_err());
    }

    #[test]
    fn changed_evidence_freezes_only_on_a_conflict(changes in changes()) {
        let scene = &*SCENE;
        let evidence = changed(&scene.misbehaviour, &changes);
        let verdict =
            TendermintClient.misbehaviour(&scene.client, &scene.trusted, &scene.trusted, &evidence, scene.now);
        if verdict.is_trusted() {
            let decoded = Misbehaviour::decode(&evidence).unwrap();
            let (first, second) = decoded.headers();
            prop_assert!(light_clients::tendermint::detect_conflict(first, second).is_some());
        }
    }

    #[test]
    fn a_changed_state_keeps_its_rules(changes in changes()) {
        let scene = &*SCENE;
        if let Ok(client) = ClientState::decode(&changed(&scene.client, &changes)) {
            prop_assert_eq!(ClientState::decode(&client.encode()), Ok(client));
        }
        if let Ok(state) = ConsensusState::decode(&changed(&scene.trusted, &changes)) {
            prop_assert_eq!(ConsensusState::decode(&state.encode()), Ok(state));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any_value::<u8>(), 0..600), now in any_value::<u64>()) {
        let scene = &*SCENE;
        let now = Timestamp::from_nanos(now);
        let with = |like: &Any| Any { type_url: like.type_url.clone(), value: bytes.clone() };
        let header = with(&scene.header);
        prop_assert!(Header::decode(&header).is_err());
        prop_assert!(!TendermintClient.update(&scene.client, &scene.trusted, &header, now).is_trusted());
        prop_assert!(!TendermintClient.update(&with(&scene.client), &scene.trusted, &scene.header, now).is_trusted());
        prop_assert!(!TendermintClient.update(&scene.client, &with(&scene.trusted), &scene.header, now).is_trusted());
        let path = MerklePath::new("ibc", "a");
        for value in [None, Some(b"1".as_slice())] {
            prop_assert!(TendermintClient.membership(&scene.client, &scene.trusted, &bytes, &path, value).is_err());
        }
        if let Ok(proof) = decode_proof(&bytes) {
            prop_assert!(proof.encoded_len() <= bytes.len() + 64);
        }
        let evidence = with(&scene.misbehaviour);
        prop_assert!(Misbehaviour::decode(&evidence).is_err());
        let cost = TendermintClient.update_cost(&header);
        prop_assert!((1..10).contains(&cost));
    }
}
