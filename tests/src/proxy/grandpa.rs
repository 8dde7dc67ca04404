//! Hooks that change what a Substrate node says of finality and of its state.
//!
//! Justifications occur in three places: in the stream's notifications `grandpa_justifications`, in the answers of `grandpa_proveFinality`
//! and with the blocks of `chain_getBlock`. [`lie`] changes them in all three, so that no honest one is left to be found. Hooks for
//! other methods do nothing.

use ed25519_consensus::SigningKey;
use light_clients::grandpa::{Hash, Justification, SubstrateHeader, signed_bytes};
use parity_scale_codec::{Decode, DecodeAll, Encode};
use serde_json::{Value, json};

use super::tamper::hook;
use super::{Hook, Proxy, When};

/// Changes a justification, and tells whether it did.
pub trait Change: Fn(&mut Justification) -> bool + Clone + Send + Sync + 'static {}
impl<F: Fn(&mut Justification) -> bool + Clone + Send + Sync + 'static> Change for F {}

/// Changes the justifications in all that a node says from now on.
pub fn lie(proxy: &Proxy, change: impl Change) {
    for method in ["grandpa_justifications", "grandpa_proveFinality", "chain_getBlock"] {
        proxy.tamper(When::method(method), justification(change.clone()));
    }
}

/// Changes the justifications in a result of one of the three methods.
#[must_use]
pub fn justification(change: impl Change) -> Hook {
    hook(move |call, result| match call.method.as_str() {
        "grandpa_justifications" => in_hex(result, |bytes| changed(bytes, &change)),
        "grandpa_proveFinality" => in_hex(result, |bytes| {
            let input = &mut { bytes };
            let block = Hash::decode(input).ok()?;
            let votes = changed(&Vec::<u8>::decode(input).ok()?, &change)?;
            Some((block, votes, Vec::<SubstrateHeader>::decode(input).ok()?).encode())
        }),
        "chain_getBlock" => {
            let all = result.get_mut("justifications").and_then(Value::as_array_mut).into_iter().flatten();
            let votes = all.filter_map(|one| one.get_mut(1));
            votes.map(|votes| in_numbers(votes, &change)).filter(|changed| *changed).count() > 0
        }
        _ => false,
    })
}

/// One bit of each vote's signature is wrong: whichever of them are looked at.
pub fn flip_signatures(votes: &mut Justification) -> bool {
    let all = &mut votes.commit.precommits;
    all.iter_mut().for_each(|vote| vote.signature[20] ^= 1);
    !all.is_empty()
}

/// Only so many votes are left.
pub fn keep_votes(count: usize) -> impl Change {
    move |votes: &mut Justification| {
        let before = votes.commit.precommits.len();
        votes.commit.precommits.truncate(count);
        before > count
    }
}

/// The voters' true signatures, but for the set of this number: what another set of the same voters signed is shown again.
pub fn sign_for_set(voters: Vec<SigningKey>, set_id: u64) -> impl Change {
    move |votes: &mut Justification| {
        let mut signed = false;
        for vote in &mut votes.commit.precommits {
            if let Some(key) = voters.iter().find(|key| key.verification_key().to_bytes() == vote.id) {
                vote.signature = key.sign(&signed_bytes(&vote.precommit, votes.round, set_id)).to_bytes();
                signed = true;
            }
        }
        signed
    }
}

/// One bit in the middle of the last node of each read proof is wrong.
#[must_use]
pub fn flip_read_proof() -> Hook {
    hook(|call, result| {
        let nodes = result.get_mut("proof").and_then(Value::as_array_mut);
        let last = nodes.and_then(|nodes| nodes.last_mut()).filter(|_| call.method == "state_getReadProof");
        last.is_some_and(|node| in_hex(node, flip))
    })
}

/// A read proof is true, for the block with another hash than was asked.
#[must_use]
pub fn read_proof_of_another_block() -> Hook {
    hook(|_, result| result.get_mut("at").is_some_and(|at| in_hex(at, flip)))
}

/// The value of the state under a key is another one, wherever values are told without a proof.
#[must_use]
pub fn value(key: &[u8], value: &[u8]) -> Hook {
    let (key, value) = (to_hex(key), to_hex(value));
    hook(move |call, result| {
        let asked = call.method == "state_getStorage" && call.argument(0).is_some_and(|asked| *asked == key);
        asked && result.as_str().is_some_and(|told| told != value) && {
            *result = json!(value);
            true
        }
    })
}

fn flip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle)? ^= 1;
    Some(bytes)
}

fn changed(bytes: &[u8], change: &impl Change) -> Option<Vec<u8>> {
    let mut votes = Justification::decode_all(&mut { bytes }).ok()?;
    change(&mut votes).then(|| votes.encode())
}

/// Changes bytes that are written as `0x` and hex.
fn in_hex(text: &mut Value, change: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> bool {
    let bytes = text.as_str().and_then(|text| hex::decode(text.strip_prefix("0x")?).ok());
    let other = bytes.and_then(|bytes| change(&bytes));
    other.is_some_and(|other| {
        *text = json!(to_hex(&other));
        true
    })
}

/// Changes bytes that are written as a list of numbers.
fn in_numbers(list: &mut Value, change: &impl Change) -> bool {
    let bytes: Option<Vec<u8>> = serde_json::from_value(list.clone()).ok();
    let other = bytes.and_then(|bytes| changed(&bytes, change));
    other.is_some_and(|other| {
        *list = json!(other);
        true
    })
}

fn to_hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use light_clients::grandpa::{Authority, AuthoritySet, Commit, Precommit, SignedPrecommit};

    use super::*;
    use crate::proxy::Call;

    const SET: u64 = 4;

    fn keys() -> Vec<SigningKey> {
        (1..=4).map(|seed| SigningKey::from([seed; 32])).collect()
    }

    fn set() -> AuthoritySet {
        let one = |key: &SigningKey| Authority { key: key.verification_key().to_bytes(), weight: 1 };
        AuthoritySet::new(SET, &keys().iter().map(one).collect::<Vec<_>>()).unwrap()
    }

    fn votes() -> Justification {
        let precommit = Precommit { target_hash: [7; 32], target_number: 9 };
        let vote = |key: &SigningKey| SignedPrecommit {
            precommit,
            signature: key.sign(&signed_bytes(&precommit, 3, SET)).to_bytes(),
            id: key.verification_key().to_bytes(),
        };
        let precommits = keys().iter().map(vote).collect();
        let commit = Commit { target_hash: [7; 32], target_number: 9, precommits };
        Justification { round: 3, commit, votes_ancestries: Vec::new() }
    }

    fn call(method: &str, params: Value) -> Call {
        Call { method: method.to_owned(), params, id: json!(1) }
    }

    #[test]
    fn justifications_are_changed_wherever_they_occur() {
        let bytes = votes().encode();
        let proof = ([7u8; 32], &bytes, Vec::<SubstrateHeader>::new()).encode();
        let mut told = json!(to_hex(&bytes));
        let mut proven = json!(to_hex(&proof));
        let mut block = json!({ "block": {}, "justifications": [[[70, 82, 78, 75], bytes]] });
        let hook = justification(keep_votes(2));
        assert!(hook.apply(&call("grandpa_justifications", json!(null)), &mut told));
        assert!(hook.apply(&call("grandpa_proveFinality", json!([9])), &mut proven));
        assert!(hook.apply(&call("chain_getBlock", json!([])), &mut block));
        let mut two = votes();
        two.commit.precommits.truncate(2);
        let two = two.encode();
        assert_eq!(told, to_hex(&two));
        assert_eq!(proven, to_hex(&([7u8; 32], &two, Vec::<SubstrateHeader>::new()).encode()));
        assert_eq!(block["justifications"][0][1], json!(two));
        for mut none in [json!(null), json!({ "justifications": null }), json!("0x00")] {
            assert!(!hook.apply(&call("chain_getBlock", json!([])), &mut none));
            assert!(!hook.apply(&call("grandpa_proveFinality", json!([])), &mut none));
        }
    }

    #[test]
    fn each_lie_is_one_that_a_verifier_refuses_for_its_own_reason() {
        assert_eq!(votes().verify(&set()), Ok(()));
        let refusal = |change: &dyn Fn(&mut Justification) -> bool| {
            let mut lie = votes();
            assert!(change(&mut lie));
            lie.verify(&set()).unwrap_err().label()
        };
        assert_eq!(refusal(&flip_signatures), "signature");
        assert_eq!(refusal(&keep_votes(2)), "too_few_signed");
        assert_eq!(refusal(&sign_for_set(keys(), SET - 1)), "signature");
        let mut same = votes();
        assert!(sign_for_set(keys(), SET)(&mut same) && same == votes());
    }

    #[test]
    fn read_proofs_and_values_are_changed_for_what_was_asked_only() {
        let mut proof = json!({ "at": "0x0102", "proof": ["0x0001", "0x020304"] });
        assert!(flip_read_proof().apply(&call("state_getReadProof", json!([])), &mut proof));
        assert_eq!(proof, json!({ "at": "0x0102", "proof": ["0x0001", "0x020204"] }));
        assert!(!flip_read_proof().apply(&call("state_getReadProof", json!([])), &mut json!({ "proof": [] })));
        let hook = value(&[1], &[9, 9]);
        let mut told = json!("0x05");
        assert!(!hook.apply(&call("state_getStorage", json!(["0x02"])), &mut told));
        assert!(hook.apply(&call("state_getStorage", json!(["0x01", "0xaa"])), &mut told));
        assert_eq!(told, "0x0909");
    }
}
