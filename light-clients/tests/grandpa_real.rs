//! Real votes: Polkadot's justification of block #4,635,975 (round 6971, set id 450), as its nodes published it.
//!
//! Its 199 votes name their voters; the set they belong to is not part of it. It is rebuilt as 298 authorities of weight 1,
//! the largest set that 199 votes finalize, of which 99 did not vote: their keys are made up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generate;

use generate::grandpa::{authorities, set, voters};
use light_clients::Reason;
use light_clients::grandpa::{Authority, AuthoritySet, Justification};
use std::cell::Cell;

const BYTES: &[u8] = include_bytes!("vectors/polkadot-4635975-justification.bin");
const SET_ID: u64 = 450;

fn real() -> Justification {
    Justification::decode_bytes(BYTES).unwrap()
}

/// The 199 voters and so many others.
fn set_with(others: usize, id: u64) -> AuthoritySet {
    let voted = real().commit.precommits;
    let mut list: Vec<_> = voted.iter().map(|vote| Authority { key: vote.id, weight: 1 }).collect();
    list.extend(authorities(&voters(0, &vec![1; others])));
    AuthoritySet::new(id, &list).unwrap()
}

#[test]
fn polkadots_authorities_finalized_block_4635975() {
    let real = real();
    assert_eq!((real.round, real.commit.target_number), (6971, 4_635_975));
    assert_eq!((real.commit.precommits.len(), real.votes_ancestries.len()), (199, 0));
    let target = "2a82146e771968df054c8036040dea584339df52d8cbac6970d4c22ed59f7022";
    assert_eq!(hex::encode(real.commit.target_hash), target);
    assert_eq!(real.verify(&set_with(99, SET_ID)), Ok(()));
    let verified = Cell::new(0);
    let count = |_: &[u8; 32], _: &[u8], _: &[u8; 64]| {
        verified.set(verified.get() + 1);
        true
    };
    assert_eq!(real.verify_with(&set_with(99, SET_ID), &count), Ok(()));
    assert_eq!(verified.get(), 199, "every signature is verified");
}

#[test]
fn with_one_authority_more_or_another_set_id_they_did_not() {
    let few = Err(Reason::TooFewSigned { tallied: 199, total: 299 });
    assert_eq!(real().verify(&set_with(100, SET_ID)), few);
    assert_eq!(real().verify(&set_with(99, SET_ID + 1)), Err(Reason::Signature));
    let mut forged = real();
    forged.commit.precommits[198].signature[7] ^= 1;
    assert_eq!(forged.verify(&set_with(99, SET_ID)), Err(Reason::Signature));
    // Signatures come last: too few votes are refused without one.
    let none = |_: &[u8; 32], _: &[u8], _: &[u8; 64]| panic!("a signature was verified");
    assert!(real().verify_with(&set(SET_ID, &voters(0, &[1; 200])), &none).is_err());
}
