//! Attack matrix, rows 22 to 32, without the client around them: forged justifications and header chains beside the valid
//! ones each is made from.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generate;

use generate::grandpa::{
    Voter, announce, authorities, chain, child, decoded, finality, genesis, justify, precommit, relink, scheduled, set,
    vote, voters,
};
use light_clients::grandpa::{
    Authority, AuthoritySet, ConsensusLog, Digest, DigestItem, Fault, Finality, HeaderChain, Justification,
    NextAuthorities, SubstrateHeader, authorities_hash,
};
use light_clients::limits::{MAX_AUTHORITIES, MAX_DIGEST_ITEMS, MAX_HEADER_CHAIN, MAX_VOTE_ANCESTRIES};
use light_clients::{Part, Reason};
use parity_scale_codec::{Compact, Encode};

const SET: u64 = 4;

/// Whether the bytes of this justification are taken.
fn check(justification: &Justification, voters: &[Voter]) -> Result<(), Reason> {
    Justification::decode_bytes(&justification.encode())?.verify(&set(SET, voters))
}

fn target() -> SubstrateHeader {
    chain(&genesis(), 5, 0).pop().unwrap()
}

/// A justification of the target by votes for blocks above it, with the headers between.
fn ahead(target: &SubstrateHeader, above: &[SubstrateHeader], votes: &[(&Voter, &SubstrateHeader)]) -> Justification {
    let mut justification = justify(target, &[], SET);
    justification.commit.precommits =
        votes.iter().map(|(voter, block)| vote(voter, precommit(block), justification.round, SET)).collect();
    justification.votes_ancestries = above.to_vec();
    justification
}

#[test]
fn attack_22_less_than_two_thirds_of_the_weight() {
    let target = target();
    let equal = voters(0, &[1; 4]);
    assert_eq!(check(&justify(&target, &equal, SET), &equal), Ok(()));
    assert_eq!(check(&justify(&target, &equal[..3], SET), &equal), Ok(()));
    let few = check(&justify(&target, &equal[..2], SET), &equal);
    assert_eq!(few, Err(Reason::TooFewSigned { tallied: 2, total: 4 }));
    // Exactly two thirds are not more than two thirds.
    let three = voters(0, &[1; 3]);
    let exactly = check(&justify(&target, &three[..2], SET), &three);
    assert_eq!(exactly, Err(Reason::TooFewSigned { tallied: 2, total: 3 }));
    // Heads don't count: eight of nine with little weight, and one of nine with much.
    let weighed = voters(0, &[100, 1, 1, 1, 1, 1, 1, 1, 1]);
    let heads = check(&justify(&target, &weighed[1..], SET), &weighed);
    assert_eq!(heads, Err(Reason::TooFewSigned { tallied: 8, total: 108 }));
    assert_eq!(check(&justify(&target, &weighed[..1], SET), &weighed), Ok(()));
    assert_eq!(check(&justify(&target, &[], SET), &equal), Err(Reason::TooFewSigned { tallied: 0, total: 4 }));
}

#[test]
fn attack_23_duplicate_unknown_or_equivocating_voters() {
    let (target, voters, strangers) = (target(), voters(0, &[1; 4]), voters(50, &[1; 4]));
    let valid = justify(&target, &voters[..3], SET);
    assert_eq!(check(&valid, &voters), Ok(()));
    let with = |votes: &[_]| {
        let mut forged = justify(&target, &voters[..2], SET);
        forged.commit.precommits.extend_from_slice(votes);
        check(&forged, &voters)
    };
    let refused = |fault: Fault| Err(Reason::Grandpa(fault));
    assert_eq!(with(&[valid.commit.precommits[1]]), refused(Fault::DuplicateVote { index: 2 }));
    let stranger = vote(&strangers[0], precommit(&target), valid.round, SET);
    assert_eq!(with(&[stranger]), refused(Fault::UnknownVoter { index: 2 }));
    let other = vote(&voters[1], precommit(&child(&target, 1)), valid.round, SET);
    assert_eq!(with(&[other]), refused(Fault::Equivocation { index: 2 }));
    // The same vote signed twice in different ways is one vote.
    let mut resigned = valid.commit.precommits[1];
    resigned.signature[0] ^= 1;
    assert_eq!(with(&[resigned]), refused(Fault::DuplicateVote { index: 2 }));
    // A known voter's name over a stranger's signature.
    let mut named = stranger;
    named.id = valid.commit.precommits[2].id;
    assert_eq!(with(&[named]), Err(Reason::Signature));
    // More votes than there are authorities are not even looked at.
    let mut crowd = valid;
    crowd.commit.precommits.extend(justify(&target, &strangers, SET).commit.precommits);
    assert_eq!(check(&crowd, &voters), Err(Reason::TooLarge { part: Part::Precommits, size: 7, max: 4 }));
    // Left out, what is refused does no harm to what is valid.
    assert_eq!(check(&crowd.trim(&set(SET, &voters)), &voters), Ok(()));
}

#[test]
fn attack_24_wrong_round_or_set_id() {
    let (target, voters) = (target(), voters(0, &[1; 4]));
    let valid = justify(&target, &voters[..3], SET);
    assert_eq!(check(&valid, &voters), Ok(()));
    let mut round = valid.clone();
    round.round += 1;
    assert_eq!(check(&round, &voters), Err(Reason::Signature));
    // The same authorities may stay for the next set: a vote of the last set is none of this.
    assert_eq!(valid.verify(&set(SET + 1, &voters)), Err(Reason::Signature));
    // Votes for one block shown as votes for another.
    let mut moved = valid;
    let other = child(&target, 3);
    (moved.commit.target_hash, moved.commit.target_number) = (other.hash(), other.number);
    for vote in &mut moved.commit.precommits {
        vote.precommit = precommit(&other);
    }
    assert_eq!(check(&moved, &voters), Err(Reason::Signature));
}

#[test]
fn attack_25_bad_duplicate_or_unused_vote_ancestries() {
    let (target, voters) = (target(), voters(0, &[1; 4]));
    let above = chain(&target, 3, 0);
    let votes = [(&voters[0], &above[2]), (&voters[1], &above[1]), (&voters[2], &target)];
    let valid = ahead(&target, &above, &votes);
    assert_eq!(check(&valid, &voters), Ok(()), "votes ahead of the target count for it");

    let forge = |spoil: &dyn Fn(&mut Justification)| {
        let mut forged = valid.clone();
        spoil(&mut forged);
        check(&forged, &voters)
    };
    let refused = |fault: Fault| Err(Reason::Grandpa(fault));
    for missing in 0..3 {
        let gap = forge(&|forged| drop(forged.votes_ancestries.remove(missing)));
        assert!(matches!(gap, Err(Reason::Grandpa(Fault::VoteAncestry { .. }))), "{missing}: {gap:?}");
    }
    let twice = forge(&|forged| forged.votes_ancestries.push(above[0].clone()));
    assert_eq!(twice, refused(Fault::DuplicateAncestry { index: 3 }));
    let unused = forge(&|forged| forged.votes_ancestries.push(child(&above[2], 0)));
    assert_eq!(unused, refused(Fault::UnusedAncestry { count: 1 }));
    let with_target = forge(&|forged| forged.votes_ancestries.push(target.clone()));
    assert_eq!(with_target, refused(Fault::UnusedAncestry { count: 1 }));
    // A vote on a fork beside the target, with its headers back to a common ancestor.
    let fork = chain(&chain(&genesis(), 4, 0)[3], 2, 9);
    let forked = ahead(&target, &fork, &[(&voters[0], &fork[1]), votes[1], votes[2]]);
    assert_eq!(check(&forked, &voters), refused(Fault::VoteAncestry { index: 0 }));
    // A vote for the target under another number, or for a block below it.
    let mut renumbered = justify(&target, &voters[..3], SET);
    renumbered.commit.precommits[1].precommit.target_number += 1;
    assert_eq!(check(&renumbered, &voters), refused(Fault::VoteAncestry { index: 1 }));
    let below = ahead(&above[0], &[], &[votes[2], (&voters[0], &above[0]), (&voters[1], &above[0])]);
    assert_eq!(check(&below, &voters), refused(Fault::VoteAncestry { index: 0 }));
    // A header that claims to be one further than its parent is.
    let mut jump = above.clone();
    jump[2].number += 1;
    let jumped = ahead(&target, &jump, &[(&voters[0], &jump[2]), votes[1], votes[2]]);
    assert_eq!(check(&jumped, &voters), refused(Fault::VoteAncestry { index: 0 }));
    // Too many to look at.
    let long = chain(&target, MAX_VOTE_ANCESTRIES + 1, 0);
    let many = ahead(&target, &long, &[(&voters[0], &long[MAX_VOTE_ANCESTRIES]), votes[2], (&voters[1], &target)]);
    assert!(matches!(check(&many, &voters), Err(Reason::TooLarge { part: Part::VoteAncestries, .. })));

    // Trimmed, the votes that lead to the target finalize it.
    let mut messy = ahead(&target, &above, &[votes[0], (&voters[0], &above[1]), votes[1], votes[2]]);
    messy.votes_ancestries.extend(fork);
    assert_eq!(check(&messy, &voters), refused(Fault::Equivocation { index: 1 }));
    let trimmed = messy.trim(&set(SET, &voters));
    assert_eq!((trimmed.commit.precommits.len(), trimmed.votes_ancestries.len()), (3, 3));
    assert_eq!(check(&trimmed, &voters), Ok(()));
}

#[test]
fn attack_26_target_is_not_the_last_header() {
    let (start, voters) = (genesis(), voters(0, &[1; 4]));
    let headers = chain(&start, 6, 0);
    let trusted = finality(&start, SET, &voters);
    let advance = |headers: &[SubstrateHeader], target: &SubstrateHeader| {
        trusted.advance(&decoded(headers))?.ensure_target_of(&justify(target, &voters, SET))
    };
    assert_eq!(advance(&headers, &headers[5]), Ok(()));
    let other = Err(Reason::Grandpa(Fault::OtherTarget));
    assert_eq!(advance(&headers, &headers[4]), other, "a header on top of what is final");
    assert_eq!(advance(&headers[..5], &headers[5]), other, "a header is missing at the end");
    assert_eq!(advance(&headers, &chain(&start, 6, 1)[5]), other, "of a fork");
    let mut renumbered = justify(&headers[5], &voters, SET);
    renumbered.commit.target_number = 7;
    let moved = trusted.advance(&decoded(&headers)).unwrap().ensure_target_of(&renumbered);
    assert_eq!(moved, other);
}

#[test]
fn attack_28_trusted_header_among_the_new_ones_and_broken_chains() {
    let (start, voters) = (genesis(), voters(0, &[1; 4]));
    let headers = chain(&start, 6, 0);
    let trusted = finality(&start, SET, &voters);
    let last = trusted.advance(&decoded(&headers)).unwrap();
    assert_eq!((last.number, last.hash), (6, headers[5].hash()));
    let broken = |headers: &[SubstrateHeader]| trusted.advance(&decoded(headers));
    let refused = |index| Err(Reason::Grandpa(Fault::BrokenChain { index }));
    // The trusted header itself, first or later: a map keyed by hash would loop or panic on it.
    let with_trusted: Vec<_> = [vec![start.clone()], headers.clone()].concat();
    assert_eq!(broken(&with_trusted), refused(0));
    assert_eq!(broken(&[vec![headers[0].clone(), start.clone()], headers[1..].to_vec()].concat()), refused(1));
    assert_eq!(broken(&headers[1..]), refused(0), "not from the trusted block");
    assert_eq!(broken(&[&headers[..2], &headers[3..]].concat()), refused(2), "a gap");
    assert_eq!(broken(&[&headers[..2], &headers[1..]].concat()), refused(2), "a header twice");
    assert_eq!(broken(&headers.iter().rev().cloned().collect::<Vec<_>>()), refused(0), "the wrong way round");
    // A fork on top.
    assert_eq!(broken(&[headers.clone(), chain(&headers[3], 2, 7)].concat()), refused(6));
    let mut renumbered = headers.clone();
    renumbered[3].number = 9;
    relink(&start, &mut renumbered);
    assert_eq!(broken(&renumbered), Err(Fault::BlockNumber { index: 3, got: 9, want: 4 }.into()));
    let none: [Vec<u8>; 0] = [];
    assert_eq!(HeaderChain::decode(&none), Err(Reason::Missing { part: Part::HeaderChain }));
    let long = vec![headers[0].encode(); MAX_HEADER_CHAIN + 1];
    assert!(matches!(HeaderChain::decode(&long), Err(Reason::TooLarge { part: Part::HeaderChain, .. })));
    let end = Finality { number: u32::MAX, hash: start.hash(), ..trusted };
    assert_eq!(end.advance(&decoded(&headers)), Err(Fault::NumberOverflow.into()));
}

#[test]
fn attack_29_forced_skipped_or_delayed_changes() {
    let (start, old, new) = (genesis(), voters(0, &[1; 4]), voters(10, &[2; 3]));
    let trusted = finality(&start, SET, &old);
    let announced = |at: usize, logs: &[ConsensusLog]| {
        let mut headers = chain(&start, 8, 0);
        for log in logs {
            announce(&mut headers[at], log.clone());
        }
        relink(&start, &mut headers);
        headers
    };
    let advance = |headers: &[SubstrateHeader]| trusted.advance(&decoded(headers));
    let refused = |fault: Fault| Err(Reason::Grandpa(fault));
    let next = authorities_hash(&authorities(&new));

    // Announced in block 4, effective after block 6: until then the old set finalizes, from then on the new one.
    let headers = announced(3, &[scheduled(&new, 2)]);
    let before = advance(&headers[..3]).unwrap();
    assert_eq!((before.set_id, before.change), (SET, None));
    let pending = advance(&headers[..5]).unwrap();
    assert_eq!((pending.set_id, pending.authorities_hash), (SET, trusted.authorities_hash));
    assert_eq!(pending.change.map(|change| (change.effective, change.authorities_hash)), Some((6, next)));
    let after = advance(&headers[..6]).unwrap();
    assert_eq!((after.set_id, after.authorities_hash, after.change), (SET + 1, next, None));
    // By way of the pending state it is the same.
    assert_eq!(pending.advance(&decoded(&headers[5..6])), Ok(after));
    assert_eq!(after.advance(&decoded(&headers[6..])).map(|last| (last.number, last.set_id)), Ok((8, SET + 1)));

    // Past the change in one step, from before it or with it pending.
    assert_eq!(advance(&headers), refused(Fault::SkippedChange { effective: 6 }));
    assert_eq!(advance(&headers[..7]), refused(Fault::SkippedChange { effective: 6 }));
    assert_eq!(pending.advance(&decoded(&headers[5..])), refused(Fault::SkippedChange { effective: 6 }));
    // Without delay the announcing block is the last of the old set.
    let at_once = announced(3, &[scheduled(&new, 0)]);
    assert_eq!(advance(&at_once[..4]).map(|new| (new.set_id, new.authorities_hash)), Ok((SET + 1, next)));
    assert_eq!(advance(&at_once[..5]), refused(Fault::SkippedChange { effective: 4 }));

    // A forced change, alone and beside a scheduled one.
    let list = authorities(&new);
    let forced = ConsensusLog::ForcedChange(2, NextAuthorities { authorities: list.clone(), delay: 0 });
    assert_eq!(advance(&announced(3, std::slice::from_ref(&forced))), refused(Fault::ForcedChange { number: 4 }));
    let both = announced(3, &[scheduled(&new, 0), forced]);
    assert_eq!(advance(&both[..4]), refused(Fault::ForcedChange { number: 4 }));
    // Two at once, and one while another is pending.
    let overlapping = refused(Fault::OverlappingChange { number: 4 });
    assert_eq!(advance(&announced(3, &[scheduled(&new, 0), scheduled(&old, 0)])[..4]), overlapping);
    let mut second = announced(1, &[scheduled(&new, 6)]);
    announce(&mut second[3], scheduled(&old, 0));
    relink(&start, &mut second);
    assert_eq!(advance(&second[..4]), overlapping);
    // A delay beyond the last block.
    assert_eq!(advance(&announced(3, &[scheduled(&new, u32::MAX)])), refused(Fault::NumberOverflow));
    let last = Finality { set_id: u64::MAX, ..trusted };
    assert_eq!(last.advance(&decoded(&at_once[..4])), refused(Fault::NumberOverflow));

    // Pauses and disabled authorities change nothing; what can't be read may.
    let quiet = [ConsensusLog::Pause(3), ConsensusLog::Resume(4), ConsensusLog::OnDisabled(1)];
    assert_eq!(advance(&announced(3, &quiet)).map(|new| new.set_id), Ok(SET));
    let mut garbled = announced(3, &[]);
    garbled[3].digest.0.push(DigestItem::Consensus(*b"FRNK", vec![9, 9]));
    relink(&start, &mut garbled);
    assert_eq!(advance(&garbled), Err(Reason::Undecodable { part: Part::SubstrateHeader }));
    // Another engine's news are not GRANDPA's.
    let mut foreign = announced(3, &[]);
    foreign[3].digest.0.push(DigestItem::Consensus(*b"BEEF", scheduled(&new, 0).encode()));
    relink(&start, &mut foreign);
    assert_eq!(advance(&foreign).map(|new| new.set_id), Ok(SET));
}

#[test]
fn attack_32_sets_out_of_order_malformed_or_too_large() {
    let start = genesis();
    let (first, second, third) = (voters(0, &[1; 4]), voters(10, &[1; 4]), voters(20, &[1; 4]));
    let mut headers = chain(&start, 6, 0);
    announce(&mut headers[1], scheduled(&second, 0));
    announce(&mut headers[3], scheduled(&third, 0));
    relink(&start, &mut headers);
    let trusted = finality(&start, SET, &first);
    let one = trusted.advance(&decoded(&headers[..2])).unwrap();
    let two = one.advance(&decoded(&headers[2..4])).unwrap();
    let of = |voters: &[Voter]| authorities_hash(&authorities(voters));
    assert_eq!((one.set_id, one.authorities_hash), (SET + 1, of(&second)));
    assert_eq!((two.set_id, two.authorities_hash), (SET + 2, of(&third)));
    // The second change can't be taken before the first, nor the first passed over.
    assert_eq!(trusted.advance(&decoded(&headers[..4])), Err(Fault::SkippedChange { effective: 2 }.into()));
    assert_eq!(trusted.advance(&decoded(&headers[2..4])), Err(Fault::BrokenChain { index: 0 }.into()));
    // The next set does not finalize the block that hands over to it.
    let early = justify(&headers[1], &second, SET + 1);
    assert_eq!(early.verify(&set(SET + 1, &second)), Ok(()));
    assert_eq!(early.verify(&set(SET, &first)), Err(Fault::UnknownVoter { index: 0 }.into()));

    let list = |list: &[Authority]| {
        let log = ConsensusLog::ScheduledChange(NextAuthorities { authorities: list.to_vec(), delay: 0 });
        let mut header = child(&start, 0);
        announce(&mut header, log);
        let in_header = HeaderChain::decode(&[header.encode()]).and_then(|chain| trusted.advance(&chain)).map(drop);
        let alone = AuthoritySet::decode(SET, &list.encode()).map(drop);
        (in_header, alone)
    };
    let same = |reason: Reason| (Err(reason), Err(reason));
    let known = authorities(&second);
    assert_eq!(list(&known), (Ok(()), Ok(())));
    assert_eq!(list(&[]), same(Fault::EmptySet.into()));
    assert_eq!(list(&[known[0], Authority { weight: 0, ..known[1] }]), same(Fault::ZeroWeight { index: 1 }.into()));
    assert_eq!(list(&[known[0], known[1], known[0]]), same(Fault::DuplicateAuthority { index: 2 }.into()));
    let heavy = Authority { weight: u64::MAX, ..known[1] };
    assert_eq!(list(&[known[0], heavy]), same(Fault::WeightOverflow.into()));
    let crowd = |count: usize| {
        let key = |index: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&index.to_be_bytes());
            Authority { key, weight: 1 }
        };
        (0..count).map(key).collect::<Vec<_>>()
    };
    assert_eq!(list(&crowd(MAX_AUTHORITIES)), (Ok(()), Ok(())));
    let (in_header, alone) = list(&crowd(MAX_AUTHORITIES + 1));
    assert!(matches!(in_header, Err(Reason::TooLarge { part: Part::Authorities, .. })), "{in_header:?}");
    assert!(matches!(alone, Err(Reason::TooLarge { part: Part::Authorities, .. })), "{alone:?}");
}

#[test]
fn bytes_that_are_no_header_or_justification_are_refused() {
    let (target, voters) = (target(), voters(0, &[1; 4]));
    let (header, justification) = (target.encode(), justify(&target, &voters, SET).encode());
    assert_eq!(SubstrateHeader::decode_bytes(&header), Ok(target.clone()));
    let header_of = |bytes: &[u8]| SubstrateHeader::decode_bytes(bytes).map(drop);
    let undecodable = |part| Err(Reason::Undecodable { part });
    for end in 0..header.len() {
        assert_eq!(header_of(&header[..end]), undecodable(Part::SubstrateHeader));
    }
    for end in 0..justification.len() {
        let cut = Justification::decode_bytes(&justification[..end]).map(drop);
        assert_eq!(cut, undecodable(Part::Justification));
    }
    assert_eq!(header_of(&[header, vec![0]].concat()), undecodable(Part::SubstrateHeader));
    // A digest that is a byte an item in SCALE.
    let mut crowded = target;
    crowded.digest = Digest(vec![DigestItem::RuntimeEnvironmentUpdated; MAX_DIGEST_ITEMS]);
    assert_eq!(header_of(&crowded.encode()), Ok(()));
    crowded.digest.0.push(DigestItem::RuntimeEnvironmentUpdated);
    assert_eq!(header_of(&crowded.encode()), undecodable(Part::SubstrateHeader));
    // A count of votes beyond the bytes that follow.
    let promised = [vec![0; 8 + 36], Compact(u32::MAX).encode()].concat();
    assert_eq!(Justification::decode_bytes(&promised).map(drop), undecodable(Part::Justification));
    let huge = vec![0; 600 * 1024];
    assert!(matches!(Justification::decode_bytes(&huge), Err(Reason::TooLarge { part: Part::Justification, .. })));
}
