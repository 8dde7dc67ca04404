//! Proofs of a Substrate chain's state: against a real root, whatever the nodes are, only what the state holds is read, and never that it
//! holds nothing where it does.
#![no_main]

use libfuzzer_sys::fuzz_target;
use light_clients::commitment::trie::{TrieProof, decode_nodes, encode_nodes};
use light_clients::{GrandpaClient, MerklePath, Verifier};
use relayer_fuzz::made::{KEY, VALUE, made};

fuzz_target!(|data: &[u8]| {
    let Ok(nodes) = decode_nodes(data) else { return };
    assert_eq!(decode_nodes(&encode_nodes(&nodes)).as_ref(), Ok(&nodes));
    let Ok(trie) = TrieProof::new(&nodes) else { return };
    let root = &made().header().state_root;
    let entries = made().entries();
    let others = [b"ibc/clients/07-tendermint-1/clientState".to_vec(), b"ibc".to_vec(), Vec::new()];
    for key in entries.keys().chain(&others) {
        if let Ok(read) = trie.read(root, key) {
            assert_eq!(read, entries.get(key).map(Vec::as_slice), "another value was read");
        }
        assert!(trie.read_child(root, b"ibc", key).is_err() || trie.read_child(root, b"ibc", key) == Ok(None));
    }
    if let Ok(time) = trie.timestamp(root) {
        assert_eq!(time, made().time());
    }
    // Roots that the input itself holds: nothing is known of them but that a walk ends.
    for node in &nodes {
        let own = light_clients::grandpa::blake2_256(node);
        trie.read(&own, KEY).ok();
        trie.read_child(&own, b"ibc", KEY).ok();
    }
    let (client, state) = made().client();
    let path = MerklePath::from_keys(vec![b"ibc/".to_vec(), KEY[4..].to_vec()]);
    for value in [VALUE, b"forged"] {
        let verified = GrandpaClient.membership(&client, &state, data, &path, Some(value));
        assert!(verified.is_err() || value == VALUE, "another value verified");
    }
    assert!(
        GrandpaClient.membership(&client, &state, data, &path, None).is_err(),
        "a key that is there was proven absent"
    );
});
