//! The whole client, from bytes: attacks on updates, membership and misbehaviour beside the valid messages they are made
//! from (attack matrix, rows 22 to 32).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generate;

use generate::grandpa::{Voter, announce, authorities, justify, relink, scheduled, voters};
use generate::grandpa_client::{Block, blocks, client, header, parameters};
use ibc_proto::google::protobuf::Any;
use light_clients::commitment::trie::{CHILD_TRIE_PREFIX, TIMESTAMP_NOW};
use light_clients::grandpa::{ClientState, ConsensusState, Fault, Header, Misbehaviour, schema};
use light_clients::limits::{MAX_HEADER_BYTES, MAX_PROOF_BYTES};
use light_clients::{GrandpaClient, Height, MerklePath, Part, Reason, Timestamp, Verdict, Verifier};
use parity_scale_codec::Encode;
use proptest::prelude::{any as any_value, *};
use std::sync::LazyLock;

const SET: u64 = 4;
const KEY: &[u8] = b"ibc/commitments/ports/transfer/channels/channel-0/sequences/1";

struct Scene {
    voters: Vec<Voter>,
    trusted: Block,
    blocks: Vec<Block>,
    client: Any,
    state: Any,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let trusted = Block::first(&[(KEY, &[1; 32]), (b"ibc/other", &[2; 50]), (b"system", b"x")]);
    let (voters, blocks) = (voters(0, &[1; 4]), blocks(&trusted, 5, 0));
    let (client, state) = (client(&trusted), trusted.consensus(SET, &voters).encode());
    Scene { voters, trusted, blocks, client, state }
});

impl Scene {
    fn last(&self) -> &Block {
        self.blocks.last().unwrap()
    }

    fn now(&self) -> Timestamp {
        self.last().seconds_later(1)
    }

    fn header(&self) -> schema::Header {
        header(&self.trusted, &self.blocks, &self.voters, SET)
    }

    fn update(&self, header: schema::Header) -> Result<ConsensusState, Reason> {
        self.update_at(header, self.now())
    }

    fn update_at(&self, header: schema::Header, now: Timestamp) -> Result<ConsensusState, Reason> {
        match GrandpaClient.update(&self.client, &self.state, &header.into_any(), now) {
            Verdict::Trusted(updated) => Ok(ConsensusState::decode(&updated.consensus_state, updated.height).unwrap()),
            Verdict::Invalid(reason) => Err(reason),
            Verdict::NotEnoughTrust { .. } => unreachable!("GRANDPA skips nothing"),
        }
    }

    /// An update whose header was changed.
    fn with(&self, spoil: impl FnOnce(&mut schema::Header)) -> Result<ConsensusState, Reason> {
        let mut header = self.header();
        spoil(&mut header);
        self.update(header)
    }

    fn misbehave(&self, first: schema::Header, second: schema::Header) -> Verdict<()> {
        self.misbehave_from((&self.state, first), (&self.state, second))
    }

    fn misbehave_from(&self, first: (&Any, schema::Header), second: (&Any, schema::Header)) -> Verdict<()> {
        let message = schema::Misbehaviour { header_1: Some(first.1), header_2: Some(second.1) }.into_any();
        GrandpaClient.misbehaviour(&self.client, first.0, second.0, &message, self.now())
    }
}

fn refused<T>(fault: Fault) -> Result<T, Reason> {
    Err(Reason::Grandpa(fault))
}

#[test]
fn a_final_block_is_trusted_with_its_time_state_and_authorities() {
    let scene = &*SCENE;
    let new = scene.update(scene.header()).unwrap();
    assert_eq!(new, scene.last().consensus(SET, &scene.voters));
    assert_eq!(new.root(), &scene.last().state.root());
    assert_eq!(new.timestamp(), scene.last().seconds_later(0));
    // From there it goes on.
    let on = blocks(scene.last(), 2, 0);
    let next = header(scene.last(), &on, &scene.voters, SET).into_any();
    let now = on[1].seconds_later(1);
    assert!(GrandpaClient.update(&scene.client, &new.encode(), &next, now).is_trusted());
    // With a change of authorities pending, what is encoded comes back, too.
    let mut changing = scene.blocks.clone();
    announce(&mut changing[3].header, scheduled(&voters(9, &[3; 5]), 20));
    let mut headers: Vec<_> = changing.iter().map(|block| block.header.clone()).collect();
    relink(&scene.trusted.header, &mut headers);
    changing.iter_mut().zip(headers).for_each(|(block, header)| block.header = header);
    let pending = scene.update(header(&scene.trusted, &changing, &scene.voters, SET)).unwrap();
    assert_eq!(pending.finality().change.map(|change| change.effective), Some(changing[3].header.number + 20));
    assert_eq!(GrandpaClient.update_cost(&scene.header().into_any()), 9, "of 4: small sets are mostly header");
}

#[test]
fn sets_of_4_300_and_1000_authorities_finalize_with_two_thirds_of_their_weight() {
    for (count, needed) in [(4, 3), (300, 201), (1_000, 667)] {
        let voters = voters(0, &vec![2; count]);
        let trusted = &SCENE.trusted;
        let state = trusted.consensus(SET, &voters).encode();
        let by = |count: usize| {
            let mut header = header(trusted, &SCENE.blocks, &voters, SET);
            header.justification = justify(&SCENE.last().header, &voters[..count], SET).encode();
            let header = header.into_any();
            let cost = GrandpaClient.update_cost(&header);
            (GrandpaClient.update(&SCENE.client, &state, &header, SCENE.now()), cost)
        };
        let (verdict, cost) = by(needed);
        assert!(verdict.is_trusted(), "{count}: {verdict:?}");
        // The estimate is for large sets: within a tenth, and a few for the headers.
        assert!(cost.abs_diff(needed as u64) <= needed as u64 / 10 + 6, "{cost} for {needed}");
        let (tallied, total) = (2 * (needed as u64 - 1), 2 * count as u64);
        assert_eq!(by(needed - 1).0.reason(), Some(&Reason::TooFewSigned { tallied, total }));
    }
}

#[test]
fn sets_change_hands_in_order_and_behind_the_back_of_none() {
    let scene = &*SCENE;
    let next = voters(30, &[7; 3]);
    let mut changing = blocks(&scene.trusted, 6, 0);
    announce(&mut changing[2].header, scheduled(&next, 0));
    for at in 3..6 {
        changing[at].header.parent_hash = changing[at - 1].header.hash();
    }
    let to_change = scene.update(header(&scene.trusted, &changing[..3], &scene.voters, SET)).unwrap();
    assert_eq!(to_change, changing[2].consensus(SET + 1, &next));
    let state = to_change.encode();
    let update = |header: schema::Header| {
        GrandpaClient.update(&scene.client, &state, &header.into_any(), changing[5].seconds_later(1))
    };
    assert!(update(header(&changing[2], &changing[3..], &next, SET + 1)).is_trusted());
    // The old set, its id or the new set under the old id don't finalize what comes after.
    let old = update(header(&changing[2], &changing[3..], &scene.voters, SET));
    assert_eq!(old.reason(), Some(&Fault::AuthoritiesHash.into()));
    let stale = update(header(&changing[2], &changing[3..], &next, SET));
    assert_eq!(stale.reason(), Some(&Reason::Signature));
    let mut mixed = header(&changing[2], &changing[3..], &next, SET + 1);
    mixed.justification = justify(&changing[5].header, &scene.voters, SET).encode();
    assert!(matches!(
        update(mixed).reason(),
        Some(Reason::Grandpa(Fault::UnknownVoter { .. }) | Reason::TooLarge { .. })
    ));
    // Nor does anybody in one step from before the change.
    for (voters, id) in [(&scene.voters, SET), (&next, SET + 1)] {
        let skipped = scene.update(header(&scene.trusted, &changing, voters, id));
        assert_eq!(skipped, refused(Fault::SkippedChange { effective: 4 }));
    }
}

#[test]
fn attack_22_an_update_by_two_thirds_of_the_weight_is_refused() {
    let scene = &*SCENE;
    let by = |count: usize| {
        let votes = justify(&scene.last().header, &scene.voters[..count], SET).encode();
        scene.with(|header| header.justification = votes).map(drop)
    };
    assert_eq!(by(3), Ok(()));
    assert_eq!(by(2), Err(Reason::TooFewSigned { tallied: 2, total: 4 }));
    // Authorities of one's own choice, however many of them vote.
    let own = voters(70, &[1; 4]);
    let chosen = scene.update(header(&scene.trusted, &scene.blocks, &own, SET));
    assert_eq!(chosen, refused(Fault::AuthoritiesHash));
    let heavier = scene.with(|header| {
        let mut list = authorities(&scene.voters);
        list[0].weight = 100;
        header.authorities = list.encode();
    });
    assert_eq!(heavier, refused(Fault::AuthoritiesHash));
    let reordered = scene.with(|header| {
        let mut list = authorities(&scene.voters);
        list.reverse();
        header.authorities = list.encode();
    });
    assert_eq!(reordered, refused(Fault::AuthoritiesHash));
}

#[test]
fn attack_24_replayed_headers_are_refused() {
    let scene = &*SCENE;
    let new = scene.update(scene.header()).unwrap().encode();
    let replay = |spoil: &dyn Fn(&mut schema::Header)| {
        let mut header = scene.header();
        spoil(&mut header);
        let verdict = GrandpaClient.update(&scene.client, &new, &header.into_any(), scene.now());
        *verdict.reason().unwrap()
    };
    let height = scene.last().height();
    // Verified against its own height, it is not above it; against the old one, it is no child of what is trusted now.
    let same = replay(&|header| header.trusted_height = Some(height.into()));
    assert_eq!(same, Reason::HeightNotAbove { header: height, trusted: height });
    assert_eq!(replay(&|_| ()), Fault::BrokenChain { index: 0 }.into());
    let revision = scene.with(|header| header.trusted_height = Some(Height::new(1, 1).into()));
    assert_eq!(revision, Err(Reason::Revision { got: 1, want: 0 }));
    let beyond = scene.with(|header| header.trusted_height = Some(Height::new(0, 1 << 32).into()));
    assert_eq!(beyond, Err(Reason::Undecodable { part: Part::TrustedHeight }));
    // The claimed trusted height has to be that of the trusted block.
    let lower = scene.with(|header| header.trusted_height = Some(Height::new(0, 0).into()));
    assert_eq!(lower, refused(Fault::BlockNumber { index: 0, got: 2, want: 1 }));
}

#[test]
fn attack_26_an_update_to_another_block_than_the_justified_is_refused() {
    let scene = &*SCENE;
    let [.., before, last] = scene.blocks.as_slice() else { panic!() };
    let justified = |block: &Block| {
        let votes = justify(&block.header, &scene.voters, SET).encode();
        scene.with(|header| header.justification = votes).map(drop)
    };
    assert_eq!(justified(last), Ok(()));
    assert_eq!(justified(before), refused(Fault::OtherTarget));
    assert_eq!(justified(&last.next(0)), refused(Fault::OtherTarget));
}

#[test]
fn attack_27_fork_header_appended_so_that_the_client_freezes() {
    let scene = &*SCENE;
    let honest = scene.header();
    let fork = blocks(&scene.trusted, 5, 6);
    // Two final blocks of one height: whoever voted for both is guilty.
    let forked = header(&scene.trusted, &fork, &scene.voters, SET);
    assert!(scene.misbehave(honest.clone(), forked.clone()).is_trusted());
    assert!(scene.misbehave(forked.clone(), honest.clone()).is_trusted());
    // Of different heights, if one height is common to both.
    let shorter = header(&scene.trusted, &fork[..3], &scene.voters, SET);
    assert!(scene.misbehave(honest.clone(), shorter).is_trusted());
    // Against a block that is trusted already.
    let later = blocks(scene.last(), 1, 0);
    let from_last = scene.last().consensus(SET, &scene.voters).encode();
    let on_top = header(scene.last(), &later, &scene.voters, SET);
    assert!(scene.misbehave_from((&scene.state, forked.clone()), (&from_last, on_top.clone())).is_trusted());

    // No conflict: the same header twice, and two of one chain.
    let none = |verdict: Verdict<()>| assert_eq!(verdict.reason(), Some(&Reason::NoConflict));
    none(scene.misbehave(honest.clone(), honest.clone()));
    none(scene.misbehave(honest.clone(), header(&scene.trusted, &scene.blocks[..2], &scene.voters, SET)));
    none(scene.misbehave_from((&scene.state, honest.clone()), (&from_last, on_top)));

    // A header of a fork that nobody finalized, put after, before or among the proven ones.
    let append = |at: usize, block: &Block| {
        let mut header = honest.clone();
        header.headers.insert(at, block.header.encode());
        *scene.misbehave(honest.clone(), header).reason().unwrap()
    };
    assert_eq!(append(5, &scene.last().next(6)), Fault::OtherTarget.into());
    assert_eq!(append(5, &fork[4]), Fault::BrokenChain { index: 5 }.into());
    assert_eq!(append(0, &fork[0]), Fault::BrokenChain { index: 1 }.into());
    assert_eq!(append(4, &fork[3]), Fault::BrokenChain { index: 4 }.into());
    // A fork that too few, or others, voted for.
    let by = |votes: Vec<u8>| {
        let mut header = forked.clone();
        header.justification = votes;
        *scene.misbehave(honest.clone(), header).reason().unwrap()
    };
    let few = by(justify(&fork[4].header, &scene.voters[..2], SET).encode());
    assert_eq!(few, Reason::TooFewSigned { tallied: 2, total: 4 });
    assert_eq!(by(justify(&fork[4].header, &scene.voters, SET + 1).encode()), Reason::Signature);
    assert_eq!(
        by(justify(&fork[4].header, &voters(40, &[1; 4]), SET).encode()),
        Fault::UnknownVoter { index: 0 }.into()
    );
}

#[test]
fn attack_28_an_update_that_begins_with_the_trusted_header_is_refused() {
    let scene = &*SCENE;
    let trusted = scene.with(|header| header.headers.insert(0, scene.trusted.header.encode()));
    assert_eq!(trusted, refused(Fault::BrokenChain { index: 0 }));
    let alone = scene.with(|header| {
        header.headers = vec![scene.trusted.header.encode()];
        header.justification = justify(&scene.trusted.header, &scene.voters, SET).encode();
    });
    let height = scene.trusted.height();
    assert_eq!(alone, Err(Reason::HeightNotAbove { header: height, trusted: height }));
    assert_eq!(scene.with(|header| header.headers.clear()), Err(Reason::Missing { part: Part::HeaderChain }));
}

#[test]
fn attack_30_membership_of_another_key_value_or_block_is_refused() {
    let scene = &*SCENE;
    let check = |block: &Block, proof: &[u8], keys: [&[u8]; 2], value: Option<&[u8]>| {
        let state = block.consensus(SET, &scene.voters).encode();
        GrandpaClient.membership(&scene.client, &state, proof, &MerklePath::new(keys[0], keys[1]), value)
    };
    let (last, rest) = (scene.last(), KEY.strip_prefix(b"ibc/").unwrap());
    let (path, proof, value) = ([&b"ibc/"[..], rest], last.prove(KEY), &[1; 32][..]);
    assert_eq!(check(last, &proof, path, Some(value)), Ok(()));
    assert_eq!(check(last, &proof, path, Some(&[9; 32])), Err(Reason::ProofValue { tree: 0 }));
    assert_eq!(check(last, &proof, path, Some(&[1; 31])), Err(Reason::ProofValue { tree: 0 }), "cut");
    assert_eq!(check(last, &proof, path, Some(&[])), Err(Reason::ProofValue { tree: 0 }));
    assert_eq!(check(last, &proof, path, None), Err(Reason::ProofKind { tree: 0 }), "there, shown as absent");
    let gap = [&b"ibc/"[..], b"none"];
    assert_eq!(check(last, &last.prove(b"ibc/none"), gap, None), Ok(()));
    assert_eq!(check(last, &last.prove(b"ibc/none"), gap, Some(value)), Err(Reason::ProofKind { tree: 0 }));
    assert_eq!(check(last, &proof, [b"ibc/", b"other"], Some(&[2; 50])), Err(Reason::TrieNode), "another key's proof");
    // Every block has its own time and so its own root: a proof of an older block is stale.
    let stale = scene.blocks[3].prove(KEY);
    assert_eq!(check(last, &stale, path, Some(value)), Err(Reason::ProofRoot { tree: 0 }));
    assert_eq!(check(&scene.blocks[3], &stale, path, Some(value)), Ok(()));
    let cut = check(last, &proof[..proof.len() - 1], path, Some(value));
    assert_eq!(cut, Err(Reason::Undecodable { part: Part::TrieProof }));
    let huge = check(last, &vec![0; MAX_PROOF_BYTES + 1], path, Some(value));
    assert!(matches!(huge, Err(Reason::TooLarge { part: Part::TrieProof, .. })));
    // A frozen client proves nothing.
    let mut frozen = parameters(&scene.trusted);
    frozen.frozen_height = Some(Height::new(0, 1));
    let frozen = ClientState::new(frozen).unwrap().encode();
    let state = last.consensus(SET, &scene.voters).encode();
    let answer = GrandpaClient.membership(&frozen, &state, &proof, &MerklePath::new(path[0], path[1]), Some(value));
    assert_eq!(answer, Err(Reason::ClientFrozen { height: Height::new(0, 1) }));
}

#[test]
fn state_of_a_child_trie_is_read_under_its_name() {
    let scene = &*SCENE;
    let child = generate::grandpa_trie::State::new(true, &[(KEY, &[4; 32]), (b"more", &[5; 64])]);
    let mut block = scene.last().clone();
    block.state.entries.insert([CHILD_TRIE_PREFIX, b"bridge"].concat(), child.root().to_vec());
    block.header.state_root = block.state.root();
    let (_, mut nodes) = block.state.prove(&[&[CHILD_TRIE_PREFIX, b"bridge"].concat(), KEY]);
    nodes.extend(child.prove(&[KEY]).1);
    let (state, proof) = (block.consensus(SET, &scene.voters).encode(), nodes.encode());
    let check = |name: &[u8], value: &[u8]| {
        let mut parameters = parameters(&block);
        parameters.child_trie = name.into();
        let client = ClientState::new(parameters).unwrap().encode();
        GrandpaClient.membership(&client, &state, &proof, &MerklePath::new("", KEY), Some(value))
    };
    assert_eq!(check(b"bridge", &[4; 32]), Ok(()));
    assert_eq!(check(b"", &[1; 32]), Ok(()));
    assert_eq!(check(b"bridge", &[1; 32]), Err(Reason::ProofValue { tree: 0 }));
    assert_eq!(check(b"", &[4; 32]), Err(Reason::ProofValue { tree: 0 }));
    assert!(check(b"bridg", &[4; 32]).is_err());
}

#[test]
fn attack_31_forged_or_impossible_times_are_refused() {
    let scene = &*SCENE;
    let at = |millis: u64| {
        let mut blocks = scene.blocks.clone();
        blocks.last_mut().unwrap().at(millis);
        header(&scene.trusted, &blocks, &scene.voters, SET)
    };
    let (trusted, last) = (scene.trusted.millis(), scene.last().millis());
    assert!(scene.update(at(last + 1)).is_ok());
    // The time of another block, or none.
    let other = scene.blocks[3].state.prove(&[&TIMESTAMP_NOW]).1;
    assert_eq!(scene.with(|header| header.timestamp_proof = other), Err(Reason::ProofRoot { tree: 0 }));
    assert_eq!(scene.with(|header| header.timestamp_proof.clear()), Err(Reason::ProofRoot { tree: 0 }));
    let another_key = scene.last().state.prove(&[KEY]).1;
    assert!(scene.with(|header| header.timestamp_proof = another_key).is_err());
    // Final, and still impossible: not after the trusted time, or beyond our clock and its drift.
    assert_eq!(scene.update(at(trusted)), Err(Reason::TimeNotAfter));
    assert_eq!(scene.update(at(trusted - 1)), Err(Reason::TimeNotAfter));
    let now = scene.now();
    assert!(scene.update(at(last + 11_000)).is_ok());
    assert_eq!(scene.update(at(last + 11_001)), Err(Reason::HeaderFromFuture { now }));
    assert_eq!(scene.update(at(0)), Err(Reason::Parameter { parameter: light_clients::Parameter::Timestamp }));
    // Trust ends with the trusting period after the trusted time.
    assert!(scene.update_at(scene.header(), scene.trusted.seconds_later(3_599)).is_ok());
    let expired = scene.trusted.seconds_later(3_600);
    assert_eq!(scene.update_at(scene.header(), expired), Err(Reason::TrustExpired { now: expired }));
    // Two final blocks of which the higher is not later: misbehaviour, though they are of one chain.
    let low = header(&scene.trusted, &scene.blocks[..4], &scene.voters, SET);
    assert!(scene.misbehave(low.clone(), at(scene.blocks[3].millis())).is_trusted());
    assert!(scene.misbehave(at(trusted - 5), low.clone()).is_trusted());
    let later = scene.misbehave(low, at(scene.blocks[3].millis() + 1));
    assert_eq!(later.reason(), Some(&Reason::NoConflict));
}

#[test]
fn attack_32_an_authority_list_that_is_malformed_is_refused() {
    let scene = &*SCENE;
    let list = authorities(&scene.voters).encode();
    let longer = scene.with(|header| header.authorities.push(0));
    assert_eq!(longer, refused(Fault::AuthoritiesHash));
    let huge = scene.with(|header| header.authorities = vec![0; 200_000]);
    assert!(matches!(huge, Err(Reason::TooLarge { part: Part::Authorities, .. })));
    // A state that vouches for a list no set can have.
    let twice = [list[..1].iter().map(|count| count + 4).collect(), list[1..].to_vec(), list[1..41].to_vec()].concat();
    let state = scene.trusted.consensus(SET, &scene.voters);
    let finality = light_clients::grandpa::Finality {
        authorities_hash: light_clients::grandpa::blake2_256(&twice),
        ..*state.finality()
    };
    let state = ConsensusState::new(state.timestamp(), *state.root(), finality).unwrap().encode();
    let mut header = scene.header();
    header.authorities = twice;
    let verdict = GrandpaClient.update(&scene.client, &state, &header.into_any(), scene.now());
    assert_eq!(verdict.reason(), Some(&Fault::DuplicateAuthority { index: 4 }.into()));
}

#[test]
fn messages_of_another_kind_size_or_client_are_refused() {
    let scene = &*SCENE;
    let header = scene.header().into_any();
    let both = schema::Misbehaviour { header_1: Some(scene.header()), header_2: Some(scene.header()) }.into_any();
    assert_eq!(Header::decode(&both), Err(Reason::WrongType { part: Part::Header }));
    assert_eq!(Misbehaviour::decode(&header), Err(Reason::WrongType { part: Part::Misbehaviour }));
    let half = schema::Misbehaviour { header_1: Some(scene.header()), header_2: None }.into_any();
    assert_eq!(Misbehaviour::decode(&half), Err(Reason::Missing { part: Part::Header }));
    let foreign = Any { type_url: "/ibc.lightclients.tendermint.v1.Header".into(), ..header.clone() };
    assert_eq!(Header::decode(&foreign), Err(Reason::WrongType { part: Part::Header }));
    let huge = Any { value: vec![0; MAX_HEADER_BYTES + 65], ..header };
    assert!(matches!(Header::decode(&huge), Err(Reason::TooLarge { part: Part::Header, .. })));
    let height = scene.with(|header| header.trusted_height = None);
    assert_eq!(height, Err(Reason::Missing { part: Part::TrustedHeight }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// One changed byte anywhere: whatever is still trusted is what was trusted before.
    #[test]
    fn no_changed_byte_proves_anything_else(at: usize, bits in 1_u8.., cut: bool) {
        let scene = &*SCENE;
        let mut header = scene.header().into_any();
        let at = at % header.value.len();
        if cut {
            header.value.truncate(at);
        } else {
            header.value[at] ^= bits;
        }
        if let Verdict::Trusted(updated) = GrandpaClient.update(&scene.client, &scene.state, &header, scene.now()) {
            prop_assert_eq!(updated.height, scene.last().height());
            prop_assert_eq!(updated.consensus_state, scene.last().consensus(SET, &scene.voters).encode());
        }
    }

    #[test]
    fn any_bytes_are_decoded_without_panic(bytes in proptest::collection::vec(any_value::<u8>(), 0..300)) {
        use light_clients::grandpa::{AuthoritySet, Justification, SubstrateHeader};
        let scene = &*SCENE;
        // Nothing so short names a state, let alone a header.
        let any = |like: &Any| Any { type_url: like.type_url.clone(), value: bytes.clone() };
        prop_assert!(!GrandpaClient.update(&any(&scene.client), &any(&scene.state), &any(&scene.header().into_any()), scene.now()).is_trusted());
        if let Ok(header) = SubstrateHeader::decode_bytes(&bytes) {
            prop_assert_eq!(header.encode(), bytes.clone());
        }
        if let Ok(justification) = Justification::decode_bytes(&bytes) {
            prop_assert_eq!(justification.encode(), bytes.clone());
        }
        if let Ok(set) = AuthoritySet::decode(0, &bytes) {
            prop_assert!(set.threshold() <= set.total());
        }
    }
}
