//! GRANDPA client states, consensus states, headers, misbehaviour and justifications: what decodes encodes to the same, and nobody who
//! lacks the authorities' keys gets a header, a justification or an evidence trusted.
#![no_main]

use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::lightclients::wasm::v1::ClientMessage as Wrapper;
use libfuzzer_sys::fuzz_target;
use light_clients::grandpa::{ClientState, ConsensusState, Justification, SubstrateHeader, blake2_256};
use light_clients::{GrandpaClient, Height, Verdict, Verifier};
use parity_scale_codec::Encode;
use prost::{Message, Name};
use relayer_fuzz::Input;
use relayer_fuzz::made::made;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let kind = input.byte() % 5;
    let made = made();
    let (client, state) = made.client();
    let value = input.0.to_vec();
    match kind {
        0 => {
            if let Ok(state) = ClientState::decode(&Any { value, ..client }) {
                assert_eq!(ClientState::decode(&state.encode()).as_ref(), Ok(&state));
            }
        }
        1 => {
            let height = Height::new(0, 7);
            if let Ok(state) = ConsensusState::decode(&Any { value, ..state }, height) {
                assert_eq!(ConsensusState::decode(&state.encode(), height).as_ref(), Ok(&state));
            }
        }
        2 => {
            let message = Any { type_url: Wrapper::type_url(), value: Wrapper { data: value }.encode_to_vec() };
            if let Verdict::Trusted(updated) = GrandpaClient.update(&client, &state, &message, made.now()) {
                let own = made.consensus(updated.height);
                let own = own.expect("a trusted header of a height that was never finalized");
                assert_eq!(updated.consensus_state, own);
            }
            let evidence = GrandpaClient.misbehaviour(&client, &state, &state, &message, made.now());
            assert!(!matches!(evidence, Verdict::Trusted(())), "evidence against authorities that voted once");
        }
        3 => justification(input.0),
        _ => {
            if let Ok(header) = SubstrateHeader::decode_bytes(input.0) {
                assert_eq!(header.encode(), input.0);
                assert_eq!(header.hash(), blake2_256(input.0));
            }
        }
    }
});

fn justification(bytes: &[u8]) {
    let Ok(votes) = Justification::decode_bytes(bytes) else { return };
    assert_eq!(votes.encode(), bytes);
    let (made, set) = (made(), made().set());
    let verified = votes.verify(&set);
    let trimmed = votes.clone().trim(&set);
    if verified.is_ok() {
        let commit = &votes.commit;
        assert!(made.headers().any(|header| header.hash() == commit.target_hash));
        assert_eq!(trimmed.verify(&set), Ok(()));
    }
    assert!(trimmed.commit.precommits.len() <= set.len());
    assert_eq!(trimmed.clone().trim(&set), trimmed);
}
