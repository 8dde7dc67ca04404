//! ICS-07 client states, consensus states, headers and misbehaviour: what decodes encodes to the same, and nobody who lacks the
//! validators' keys gets a header or an evidence trusted.
#![no_main]

use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::lightclients::tendermint::v1 as raw;
use libfuzzer_sys::fuzz_target;
use light_clients::tendermint::{ClientState, ConsensusState, Header, Misbehaviour, detect_conflict};
use light_clients::{TendermintClient, Verdict, Verifier};
use prost::Name;
use relayer_fuzz::{Input, recorded};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let kind = input.byte() % 4;
    let type_url = match kind {
        0 => raw::ClientState::type_url(),
        1 => raw::ConsensusState::type_url(),
        2 => raw::Header::type_url(),
        _ => raw::Misbehaviour::type_url(),
    };
    let any = Any { type_url, value: input.0.to_vec() };
    let (blocks, _) = recorded();
    let trusted = &blocks[0];
    let (client, state) = (trusted.client().encode(), trusted.consensus_state().encode());
    let now = blocks[blocks.len() - 1].consensus_state().timestamp();
    match kind {
        0 => {
            if let Ok(state) = ClientState::decode(&any) {
                assert_eq!(ClientState::decode(&state.encode()).as_ref(), Ok(&state));
            }
        }
        1 => {
            if let Ok(state) = ConsensusState::decode(&any) {
                assert_eq!(ConsensusState::decode(&state.encode()).as_ref(), Ok(&state));
            }
        }
        2 => {
            let verdict = TendermintClient.update(&client, &state, &any, now);
            if let Ok(header) = Header::decode(&any) {
                assert_eq!(detect_conflict(&header, &header), None);
                if let Verdict::Trusted(updated) = verdict {
                    let real = blocks.iter().find(|block| block.height() == updated.height);
                    let real = real.expect("a trusted header of a height that was never signed");
                    assert_eq!(real.signed.header.hash(), header.signed().header.hash());
                    assert_eq!(updated.consensus_state, real.consensus_state().encode());
                }
            } else {
                assert!(matches!(verdict, Verdict::Invalid(_)));
            }
        }
        _ => {
            let verdict = TendermintClient.misbehaviour(&client, &state, &state, &any, now);
            assert!(!matches!(verdict, Verdict::Trusted(())), "evidence against validators that signed once");
            if let Ok(evidence) = Misbehaviour::decode(&any) {
                let (first, second) = evidence.headers();
                assert!(first.height() >= second.height());
            }
        }
    }
});
