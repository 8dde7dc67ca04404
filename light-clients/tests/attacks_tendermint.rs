//! Attack matrix, rows 1 to 13: forged headers beside the valid one each is made from.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generate;

use generate::any;
use generate::chain::{
    Ballot, Block, CLOCK_DRIFT, TRUSTING_PERIOD, Validator, client, misbehaviour, ordered, parameters, set, validators,
};
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::lightclients::tendermint::v1::Header as RawHeader;
use light_clients::limits::{MAX_HEADER_BYTES, MAX_TOTAL_VOTING_POWER, MAX_VALIDATORS};
use light_clients::tendermint::{ClientState, Conflict, Header, Misbehaviour, check_against_stored, detect_conflict};
use light_clients::{Height, Parameter, Part, Reason, Remedy, TendermintClient, Timestamp, Updated, Verdict, Verifier};
use std::time::Duration;
use tendermint_proto::v0_38::types::{BlockIdFlag, Validator as RawValidator};

/// A raw header against the block it names as trusted, a minute after the header's block.
fn verify(trusted: &Block, block: &Block, header: &RawHeader) -> Verdict<Updated> {
    verify_at(trusted, header, block.seconds_later(60))
}

fn verify_at(trusted: &Block, header: &RawHeader, now: Timestamp) -> Verdict<Updated> {
    TendermintClient.update(&client(trusted), &trusted.consensus_state().encode(), &any(header), now)
}

fn update(trusted: &Block, block: &Block) -> Verdict<Updated> {
    verify(trusted, block, &block.update_from(trusted))
}

/// The verdict is trust in exactly this block.
fn assert_trusts(verdict: Verdict<Updated>, block: &Block) {
    let want = Updated { height: block.ics_height(), consensus_state: block.consensus_state().encode() };
    assert_eq!(verdict, Verdict::Trusted(want));
}

fn refused<T>(reason: Reason) -> Verdict<T> {
    Verdict::Invalid(reason)
}

/// A block trusted at height 10, and the next one, of the same four validators.
fn adjacent() -> (Block, Block) {
    let validators = validators(0..4, 10);
    (Block::new(10, &validators), Block::new(11, &validators))
}

fn votes(header: &mut RawHeader) -> &mut Vec<tendermint_proto::v0_38::types::CommitSig> {
    &mut header.signed_header.as_mut().unwrap().commit.as_mut().unwrap().signatures
}

fn raw_validators(header: &mut RawHeader) -> &mut Vec<RawValidator> {
    &mut header.validator_set.as_mut().unwrap().validators
}

#[test]
fn attack_01_at_most_two_thirds_signed() {
    use Ballot::{Absent, Commit};
    let three = validators(0..3, 10);
    let trusted = Block::new(10, &three);
    for height in [11, 15] {
        let block = Block::new(height, &three);
        assert_trusts(update(&trusted, &block), &block);
        let exactly = block.with(|block| block.ballots = vec![Commit, Commit, Absent]);
        assert_eq!(update(&trusted, &exactly), refused(Reason::TooFewSigned { tallied: 20, total: 30 }));
    }
    // By weight, not by heads: two of three signed, and hold a third.
    let mut weighted = three;
    weighted[0].power = 40;
    let weighted = ordered(weighted);
    let trusted = Block::new(10, &weighted);
    let many = Block::new(11, &weighted).with(|block| block.ballots = vec![Absent, Commit, Commit]);
    assert_eq!(update(&trusted, &many), refused(Reason::TooFewSigned { tallied: 20, total: 60 }));
    let heavy = Block::new(11, &weighted).with(|block| block.ballots = vec![Commit, Commit, Absent]);
    assert_trusts(update(&trusted, &heavy), &heavy);
}

#[test]
fn attack_02_nil_or_absent_votes_counted() {
    use Ballot::{Absent, Commit, Nil};
    let (trusted, block) = adjacent();
    for others in [[Nil, Nil], [Absent, Absent], [Nil, Absent]] {
        let ballots = [&[Commit, Commit], others.as_slice()].concat();
        let forged = block.clone().with(|block| block.ballots = ballots);
        assert_eq!(update(&trusted, &forged), refused(Reason::TooFewSigned { tallied: 20, total: 40 }));
    }
    let nobody = block.clone().with(|block| block.ballots = vec![Absent; 4]);
    assert_eq!(update(&trusted, &nobody), refused(Reason::NoVotes));
    for other in [Nil, Absent] {
        let honest = block.clone().with(|block| block.ballots = vec![Commit, other, Commit, Commit]);
        assert_trusts(update(&trusted, &honest), &honest);
    }
    // A vote for nil relabelled as a vote for the block: signed, but not for this.
    let mut relabelled =
        block.clone().with(|block| block.ballots = vec![Commit, Commit, Nil, Absent]).update_from(&trusted);
    votes(&mut relabelled)[2].block_id_flag = BlockIdFlag::Commit as i32;
    assert_eq!(verify(&trusted, &block, &relabelled), refused(Reason::Signature));
}

#[test]
fn attack_03_duplicate_or_spoofed_votes() {
    use Ballot::{Absent, Commit};
    let (trusted, block) = adjacent();
    assert_trusts(update(&trusted, &block), &block);
    let two = block.clone().with(|block| block.ballots = vec![Commit, Commit, Absent, Absent]);

    let mut repeated = two.update_from(&trusted);
    votes(&mut repeated)[2] = votes(&mut repeated)[0].clone();
    assert_eq!(verify(&trusted, &block, &repeated), refused(Reason::DuplicateVote { index: 2 }));

    // Somebody else's signature under a victim's address.
    let mut spoofed = two.update_from(&trusted);
    let address = raw_validators(&mut spoofed)[2].address.clone();
    votes(&mut spoofed)[2] = votes(&mut spoofed)[0].clone();
    votes(&mut spoofed)[2].validator_address = address;
    assert_eq!(verify(&trusted, &block, &spoofed), refused(Reason::Signature));

    let mut swapped = block.update_from(&trusted);
    votes(&mut swapped).swap(0, 1);
    assert_eq!(verify(&trusted, &block, &swapped), refused(Reason::MisplacedVote { index: 0 }));

    let mut fewer = block.update_from(&trusted);
    votes(&mut fewer).pop();
    assert_eq!(verify(&trusted, &block, &fewer), refused(Reason::VoteCount { votes: 3, validators: 4 }));

    // A set in which one validator stands twice, and a header that names this very set.
    let one = Validator::new(0, 10);
    let twice = [one.clone(), one.clone(), one, Validator::new(1, 10)];
    let forged = Block::new(11, &ordered(twice.into()));
    for trusted in [trusted, Block::new(10, &forged.validators)] {
        let reason = update(&trusted, &forged).reason().copied().unwrap();
        assert!(matches!(reason, Reason::DuplicateValidator { part: Part::Validators, .. }), "{reason:?}");
    }
}

#[test]
fn attack_04_negative_or_overflowing_voting_power() {
    let (trusted, block) = adjacent();
    let with_power = |index: usize, power: i64| {
        let mut header = block.update_from(&trusted);
        raw_validators(&mut header)[index].voting_power = power;
        verify(&trusted, &block, &header)
    };
    assert_trusts(with_power(0, 10), &block);
    let part = Part::Validators;
    assert_eq!(with_power(1, -1), refused(Reason::NegativeVotingPower { part, index: 1 }));
    assert_eq!(with_power(0, i64::MIN), refused(Reason::NegativeVotingPower { part, index: 0 }));
    assert_eq!(with_power(0, i64::MAX), refused(Reason::VotingPowerOverflow { part }));
    assert_eq!(with_power(0, MAX_TOTAL_VOTING_POWER as i64), refused(Reason::VotingPowerOverflow { part }));
    let mut header = block.update_from(&trusted);
    header.trusted_validators.as_mut().unwrap().validators[3].voting_power = -10;
    let part = Part::TrustedValidators;
    assert_eq!(verify(&trusted, &block, &header), refused(Reason::NegativeVotingPower { part, index: 3 }));

    // The largest sum that is allowed is counted right ...
    let mut huge = validators(0..2, 10);
    huge[0].power = MAX_TOTAL_VOTING_POWER - 10;
    let (trusted, block) = (Block::new(10, &huge), Block::new(15, &huge));
    assert_trusts(update(&trusted, &block), &block);
    // ... and refused where it times the trust level overflows.
    let mut parameters = parameters(&trusted);
    parameters.trust_level = (500, 1_000);
    let client = ClientState::new(parameters).unwrap().encode();
    let (state, header) = (trusted.consensus_state().encode(), any(&block.update_from(&trusted)));
    let verdict = TendermintClient.update(&client, &state, &header, block.seconds_later(1));
    assert_eq!(verdict, refused(Reason::VotingPowerOverflow { part }));

    // A total from outside is worth nothing: neither believed nor a reason to refuse a header that proves misbehaviour.
    let (trusted, block) = adjacent();
    let mut boasting = block.update_from(&trusted);
    boasting.validator_set.as_mut().unwrap().total_voting_power = 1;
    assert_trusts(verify(&trusted, &block, &boasting), &block);
}

/// Two headers against one trusted block, a minute after the later one.
fn judge(trusted: &Block, later: &Block, earlier: &Block) -> (Verdict<()>, Option<Conflict>) {
    let state = trusted.consensus_state().encode();
    let (header_1, header_2) = (later.update_from(trusted), earlier.update_from(trusted));
    let conflict = detect_conflict(&decode(&header_1), &decode(&header_2));
    let both = misbehaviour(header_1, header_2);
    let now = later.seconds_later(60);
    (TendermintClient.misbehaviour(&client(trusted), &state, &state, &both, now), conflict)
}

fn decode(header: &RawHeader) -> Header {
    Header::decode(&any(header)).unwrap()
}

#[test]
fn attack_05_lunatic_is_proven() {
    let (trusted, honest) = adjacent();
    let lunatic = honest.clone().with(|block| block.app_hash = vec![0xee; 32]);
    assert_eq!(judge(&trusted, &honest, &lunatic), (Verdict::Trusted(()), Some(Conflict::Lunatic)));
    assert_eq!(judge(&trusted, &honest, &honest), (refused(Reason::NoConflict), None));
    // A made-up block that too few trusted validators signed proves nothing.
    let strangers = validators(50..54, 10);
    let foreign = Block::new(11, &strangers);
    let (verdict, _) = judge(&trusted, &honest, &foreign);
    assert_eq!(verdict, Verdict::NotEnoughTrust { tallied: 0, needed: 14 });
}

#[test]
fn attack_06_equivocation_is_proven() {
    let (trusted, honest) = adjacent();
    let double = honest.clone().with(|block| block.data = 2);
    assert_eq!(judge(&trusted, &honest, &double), (Verdict::Trusted(()), Some(Conflict::Equivocation)));
    let stored = honest.consensus_state();
    let other = honest.clone().with(|block| block.time = Block::new(12, &[Validator::new(0, 1)]).time);
    let header = decode(&other.update_from(&trusted));
    assert_eq!(check_against_stored(&header, Some(&stored), None, None), Some(Conflict::Equivocation));
    let header = decode(&honest.update_from(&trusted));
    assert_eq!(check_against_stored(&header, Some(&stored), None, None), None);

    // Unsigned, it freezes nothing; nor does a frozen client freeze again.
    let unsigned = double.with(|block| block.ballots = vec![Ballot::Commit, Ballot::Absent, Ballot::Nil, Ballot::Nil]);
    let (verdict, _) = judge(&trusted, &honest, &unsigned);
    assert!(matches!(verdict, Verdict::NotEnoughTrust { tallied: 10, needed: 14 }), "{verdict:?}");
    let mut frozen = parameters(&trusted);
    frozen.frozen_height = Some(Height::new(0, 1));
    let frozen = ClientState::new(frozen).unwrap().encode();
    let header = any(&honest.update_from(&trusted));
    let verdict =
        TendermintClient.update(&frozen, &trusted.consensus_state().encode(), &header, honest.seconds_later(1));
    assert_eq!(verdict, refused(Reason::ClientFrozen { height: Height::new(0, 1) }));
    assert_eq!(verdict.reason().unwrap().remedy(), Remedy::Halt);
}

#[test]
fn attack_07_amnesia_is_proven() {
    let (trusted, honest) = adjacent();
    let forgetful = honest.clone().with(|block| (block.data, block.round) = (2, 1));
    assert_eq!(judge(&trusted, &honest, &forgetful), (Verdict::Trusted(()), Some(Conflict::Amnesia)));
}

#[test]
fn attack_08_forward_lunatic() {
    // Validators sign a block of a height the chain has not reached, in the future, to be used once time catches up.
    let (trusted, honest) = adjacent();
    let now = honest.seconds_later(1);
    let forward = Block::new(100_000, &trusted.validators);
    let verdict = verify_at(&trusted, &forward.update_from(&trusted), now);
    assert_eq!(verdict, refused(Reason::HeaderFromFuture { now }));
    assert_trusts(verify_at(&trusted, &honest.update_from(&trusted), now), &honest);

    // As evidence it counts at once: a real block that is not earlier than the forward one contradicts it.
    let forward = forward.with(|block| block.time = honest.time);
    let state = trusted.consensus_state().encode();
    let prove = |later: &Block| {
        let both = misbehaviour(later.update_from(&trusted), honest.update_from(&trusted));
        TendermintClient.misbehaviour(&client(&trusted), &state, &state, &both, now)
    };
    assert_eq!(prove(&forward), Verdict::Trusted(()));
    let real = Block::new(12, &trusted.validators);
    assert_eq!(prove(&real), refused(Reason::NoConflict));
    // Of one height, one of them far in the future: no drift check stands in the way.
    let twin = honest.clone().with(|block| block.time = Block::new(100_000, &[Validator::new(0, 1)]).time);
    assert_eq!(prove(&twin), Verdict::Trusted(()));
}

#[test]
fn bft_time_violation_is_proven() {
    let (trusted, earlier) = adjacent();
    let later = Block::new(12, &trusted.validators).with(|block| block.time = earlier.time);
    assert_eq!(judge(&trusted, &later, &earlier), (Verdict::Trusted(()), Some(Conflict::BftTime)));
    let honest = Block::new(12, &trusted.validators);
    assert_eq!(judge(&trusted, &honest, &earlier), (refused(Reason::NoConflict), None));
    let wrong_order = misbehaviour(earlier.update_from(&trusted), later.update_from(&trusted));
    assert_eq!(Misbehaviour::decode(&wrong_order), Err(Reason::MisbehaviourOrder));

    let header = decode(&later.update_from(&trusted));
    let (before, after) = (earlier.consensus_state(), Block::new(13, &trusted.validators).consensus_state());
    assert_eq!(check_against_stored(&header, None, Some(&before), Some(&after)), Some(Conflict::BftTime));
    let header = decode(&honest.update_from(&trusted));
    assert_eq!(check_against_stored(&header, None, Some(&before), Some(&after)), None);
}

#[test]
fn attack_09_expired_trust_and_long_range() {
    // Validators who have long unbonded sign another history: their signatures are right, trust in them is over.
    let (trusted, block) = adjacent();
    let header = block.update_from(&trusted);
    let end = trusted.seconds_later(TRUSTING_PERIOD.as_secs());
    for late in [0, 1, 1_000_000_000_000] {
        let now = Timestamp::from_nanos(end.as_nanos() + late);
        let verdict = verify_at(&trusted, &header, now);
        assert_eq!(verdict, refused(Reason::TrustExpired { now }));
        assert_eq!(verdict.reason().unwrap().remedy(), Remedy::Halt);
        let state = trusted.consensus_state().encode();
        let twin = block.clone().with(|block| block.data = 2).update_from(&trusted);
        let both = misbehaviour(header.clone(), twin);
        let verdict = TendermintClient.misbehaviour(&client(&trusted), &state, &state, &both, now);
        assert_eq!(verdict, refused(Reason::TrustExpired { now }));
    }
    assert_trusts(verify_at(&trusted, &header, Timestamp::from_nanos(end.as_nanos() - 1)), &block);
}

#[test]
fn attack_10_header_from_the_future() {
    let (trusted, block) = adjacent();
    let header = block.update_from(&trusted);
    let drift = u64::try_from(CLOCK_DRIFT.as_nanos()).unwrap();
    let edge = block.seconds_later(0).as_nanos() - drift;
    for early in [0, 1, 5_000_000_000] {
        let now = Timestamp::from_nanos(edge - early);
        let verdict = verify_at(&trusted, &header, now);
        assert_eq!(verdict, refused(Reason::HeaderFromFuture { now }));
        assert_eq!(verdict.reason().unwrap().remedy(), Remedy::Wait);
    }
    assert_trusts(verify_at(&trusted, &header, Timestamp::from_nanos(edge + 1)), &block);
    // Nor may time stand still.
    let still = block.with(|block| block.time = trusted.time);
    assert_eq!(update(&trusted, &still), refused(Reason::TimeNotAfter));
}

#[test]
fn attack_11_wrong_chain_id_or_revision() {
    let (trusted, block) = adjacent();
    assert_trusts(update(&trusted, &block), &block);
    for chain_id in ["ibc-2", "ibc-10", "other-1", "ibc"] {
        let foreign = block.clone().with(|block| block.chain_id = chain_id.into());
        assert_eq!(update(&trusted, &foreign), refused(Reason::ChainId), "{chain_id}");
    }
    // Signed for another chain, then relabelled.
    let mut relabelled = block.clone().with(|block| block.chain_id = "ibc-2".into()).update_from(&trusted);
    let inner = relabelled.signed_header.as_mut().unwrap().header.as_mut().unwrap();
    inner.chain_id = "ibc-1".into();
    assert_eq!(verify(&trusted, &block, &relabelled), refused(Reason::CommitHash));

    let mut other_revision = block.update_from(&trusted);
    other_revision.trusted_height.as_mut().unwrap().revision_number = 0;
    assert_eq!(verify(&trusted, &block, &other_revision), refused(Reason::Revision { got: 0, want: 1 }));
    let mut parameters = parameters(&trusted);
    parameters.latest_height.revision = 2;
    assert_eq!(ClientState::new(parameters), Err(Reason::Parameter { parameter: Parameter::LatestHeight }));
    let mut other_protocol = block.update_from(&trusted);
    let inner = other_protocol.signed_header.as_mut().unwrap().header.as_mut().unwrap();
    inner.version.as_mut().unwrap().block = 12;
    assert_eq!(verify(&trusted, &block, &other_protocol), refused(Reason::BlockProtocol { got: 12 }));

    // Not above the trusted height, whose successor must not be computed blindly.
    for number in [11, 12, i64::MAX as u64, u64::MAX] {
        let mut high = block.update_from(&trusted);
        high.trusted_height.as_mut().unwrap().revision_height = number;
        assert!(verify(&trusted, &block, &high).reason().is_some(), "{number}");
    }
}

#[test]
fn attack_12_skipping_with_too_little_overlap() {
    // Nine validators; by height 30 six have been replaced, by height 20 three.
    let old = validators(0..9, 10);
    let middle = ordered([validators(0..6, 10), validators(20..23, 10)].concat());
    let new = ordered([validators(0..3, 10), validators(20..23, 10), validators(30..33, 10)].concat());
    let (trusted, far) = (Block::new(10, &old), Block::new(30, &new));
    // A third of the trusted power signed; more than a third is needed.
    assert_eq!(update(&trusted, &far), Verdict::NotEnoughTrust { tallied: 30, needed: 31 });
    let half_way = Block::new(20, &middle);
    assert_trusts(update(&trusted, &half_way), &half_way);
    assert_trusts(update(&half_way, &far), &far);

    let strangers = Block::new(30, &validators(40..49, 10));
    assert_eq!(update(&trusted, &strangers), Verdict::NotEnoughTrust { tallied: 0, needed: 31 });
    // A stricter trust level needs more.
    let mut strict = parameters(&trusted);
    strict.trust_level = (2, 3);
    let strict = ClientState::new(strict).unwrap().encode();
    let header = any(&half_way.update_from(&trusted));
    let now = half_way.seconds_later(1);
    let verdict = TendermintClient.update(&strict, &trusted.consensus_state().encode(), &header, now);
    assert_eq!(verdict, Verdict::NotEnoughTrust { tallied: 60, needed: 61 });
}

#[test]
fn attack_13_next_validators_hash_mismatch() {
    let (old, new) = (validators(0..4, 10), validators(2..6, 10));
    let trusted = Block::new(10, &old).with(|block| block.next_validators = new.clone());
    let honest = Block::new(11, &new);
    assert_trusts(update(&trusted, &honest), &honest);
    // The next block by the validators of before.
    let stale = Block::new(11, &old);
    assert_eq!(update(&trusted, &stale), refused(Reason::NextValidatorsHash));
    // Trusted validators that the trusted state does not vouch for: they would pass any header of theirs.
    let strangers = validators(40..44, 10);
    let mut forged = Block::new(20, &strangers).update_from(&trusted);
    forged.trusted_validators = Some(set(&strangers).into());
    assert_eq!(verify(&trusted, &Block::new(20, &strangers), &forged), refused(Reason::TrustedValidatorsHash));
    // Validators that the header does not name, though they come with it.
    let mut other_set = Block::new(20, &new).update_from(&trusted);
    other_set.validator_set = Some(set(&old).into());
    let reason = verify(&trusted, &Block::new(20, &new), &other_set).reason().copied().unwrap();
    assert!(matches!(reason, Reason::MisplacedVote { .. }), "{reason:?}");
    let mut weightier = honest.update_from(&trusted);
    raw_validators(&mut weightier).iter_mut().for_each(|validator| validator.voting_power = 11);
    assert_eq!(verify(&trusted, &honest, &weightier), refused(Reason::ValidatorsHash));
}

#[test]
fn sets_are_bounded_ordered_and_have_a_proposer() {
    let (trusted, block) = adjacent();
    let spoil = |change: fn(&mut RawHeader)| {
        let mut header = block.update_from(&trusted);
        change(&mut header);
        verify(&trusted, &block, &header).reason().copied()
    };
    let part = Part::Validators;
    assert_eq!(spoil(|_| ()), None);
    assert_eq!(spoil(|h| raw_validators(h).swap(1, 2)), Some(Reason::ValidatorOrder { part, index: 2 }));
    assert_eq!(spoil(|h| h.validator_set.as_mut().unwrap().proposer = None), Some(Reason::Proposer { part }));
    assert_eq!(spoil(|h| raw_validators(h).clear()), Some(Reason::Missing { part }));
    assert_eq!(spoil(|h| h.validator_set = None), Some(Reason::Missing { part }));
    let no_root = block.clone().with(|block| block.app_hash.clear());
    assert_eq!(
        verify(&trusted, &block, &no_root.update_from(&trusted)),
        refused(Reason::Undecodable { part: Part::SignedHeader })
    );
    assert_eq!(spoil(|h| h.signed_header = None), Some(Reason::Missing { part: Part::SignedHeader }));
    assert_eq!(spoil(|h| h.trusted_height = None), Some(Reason::Missing { part: Part::TrustedHeight }));
    let too_many = |h: &mut RawHeader| {
        let first = raw_validators(h)[0].clone();
        raw_validators(h).resize(MAX_VALIDATORS + 1, first);
    };
    let max = MAX_VALIDATORS as u64;
    assert_eq!(spoil(too_many), Some(Reason::TooLarge { part, size: max + 1, max }));
}

#[test]
fn size_and_type_are_checked_before_decoding() {
    let (trusted, block) = adjacent();
    let (client, state) = (client(&trusted), trusted.consensus_state().encode());
    let mut header = any(&block.update_from(&trusted));
    let update = |header: &Any| TendermintClient.update(&client, &state, header, block.seconds_later(1));
    assert_trusts(update(&header), &block);
    header.value.resize(MAX_HEADER_BYTES + 1, 0);
    let max = MAX_HEADER_BYTES as u64;
    assert_eq!(update(&header), refused(Reason::TooLarge { part: Part::Header, size: max + 1, max }));
    header.value.truncate(100);
    assert_eq!(update(&header), refused(Reason::Undecodable { part: Part::Header }));
    header.type_url = "/ibc.lightclients.tendermint.v1.Misbehaviour".into();
    assert_eq!(update(&header), refused(Reason::WrongType { part: Part::Header }));
}

#[test]
fn cost_estimate_follows_the_number_of_validators() {
    let cost = |count| {
        let validators = validators(0..count, 10);
        let header = Block::new(11, &validators).update_from(&Block::new(10, &validators));
        TendermintClient.update_cost(&any(&header))
    };
    for (count, signatures) in [(4, 3), (100, 67), (150, 101)] {
        let estimate = cost(count);
        assert!(estimate.abs_diff(signatures) <= signatures / 5 + 1, "{count}: {estimate} for {signatures}");
    }
}

#[test]
fn trusting_period_may_be_longer_than_the_calendar() {
    let (trusted, block) = adjacent();
    let mut parameters = parameters(&trusted);
    parameters.trusting_period = Duration::from_secs(u64::MAX / 4);
    parameters.unbonding_period = Duration::from_secs(u64::MAX / 2);
    let client = ClientState::new(parameters).unwrap();
    let verdict = light_clients::tendermint::verify_header(
        &client,
        &trusted.consensus_state(),
        &decode(&block.update_from(&trusted)),
        block.seconds_later(1),
    );
    assert_eq!(verdict, refused(Reason::TimeOutOfRange));
}

#[test]
fn votes_count_by_zip_215_as_on_chain() {
    // A key and a point of small order, and the scalar 0: valid for every message by ZIP-215, by no strict rule.
    use tendermint::crypto::{default::signature::Verifier as Rule, signature::Verifier as _};
    let mut identity = [0; 32];
    identity[0] = 1;
    let key = tendermint::PublicKey::from_raw_ed25519(&identity).unwrap();
    let signature = |scalar: u8| {
        let bytes = [identity, [scalar; 32]].concat();
        tendermint::Signature::try_from(bytes).unwrap()
    };
    assert!(Rule::verify(key, b"any vote", &signature(0)).is_ok());
    assert!(Rule::verify(key, b"any vote", &signature(1)).is_err());
}
