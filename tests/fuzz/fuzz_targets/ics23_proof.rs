//! ICS-23 proofs: against a real root and key, whatever the proof says, only the chain's own value verifies; a mutated one never does.
#![no_main]

use ibc_proto::ics23::commitment_proof::Proof as Kind;
use libfuzzer_sys::fuzz_target;
use light_clients::commitment::ics23::{COSMOS_TREES, decode_proof, verify_absence, verify_membership};
use light_clients::{MerklePath, TendermintClient, Verifier};
use relayer_fuzz::{Input, recorded};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let (blocks, proofs) = recorded();
    let asked = &proofs[usize::from(input.byte()) % proofs.len()];
    let flip = usize::from(input.byte());
    let path = MerklePath::new("ibc", asked.key.as_str());
    let block = &blocks[blocks.len() - 1];
    let state = block.consensus_state();
    let truth = asked.value.as_deref();
    let Ok(proof) = decode_proof(input.0) else { return };

    let absent = verify_absence(&COSMOS_TREES, state.root(), &proof, &path);
    assert!(absent.is_err() || truth.is_none(), "a key that is there was proven absent");
    let mut claimed = vec![truth.unwrap_or(b"forged").to_vec()];
    let mut mutated = claimed[0].clone();
    let at = flip % mutated.len();
    mutated[at] ^= 1 << (flip % 8);
    claimed.push(mutated);
    for one in &proof.proofs {
        match &one.proof {
            Some(Kind::Exist(leaf)) => claimed.push(leaf.value.clone()),
            Some(Kind::Nonexist(absence)) => {
                claimed.extend([&absence.left, &absence.right].into_iter().flatten().map(|leaf| leaf.value.clone()));
            }
            _ => {}
        }
    }
    for value in claimed {
        let verified = verify_membership(&COSMOS_TREES, state.root(), &proof, &path, &value);
        assert!(verified.is_err() || truth == Some(value.as_slice()), "another value verified");
        // The same through the port, and under a root that nobody committed to.
        let client = block.client().encode();
        let by_port = TendermintClient.membership(&client, &state.encode(), input.0, &path, Some(&value));
        assert_eq!(by_port, verified);
        assert!(verify_membership(&COSMOS_TREES, &[7; 32], &proof, &path, &value).is_err());
    }
});
