//! What is refused, and at which byte.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::collection::vec;
use proptest::prelude::*;
use relayer_xcm::limits::{INSTRUCTIONS, MESSAGE_BYTES, NESTING, SUMMARY_BYTES};
use relayer_xcm::{Error, Instruction, Problem, VersionedXcm};

const CLEAR_ORIGIN: u8 = 10;
const SET_APPENDIX: u8 = 22;

/// A number below 16,384 in its compact form.
fn compact(number: usize) -> Vec<u8> {
    let number = u16::try_from(number).unwrap();
    if number < 64 { vec![u8::try_from(number << 2).unwrap()] } else { (number << 2 | 1).to_le_bytes().to_vec() }
}

fn refused(bytes: &[u8]) -> Error {
    VersionedXcm::decode(bytes).unwrap_err()
}

fn wrong(offset: usize, problem: Problem) -> Error {
    Error { offset, problem }
}

/// So many programs in one another, the innermost empty.
fn nested(version: u8, programs: usize) -> Vec<u8> {
    [vec![version], [4, SET_APPENDIX].repeat(programs - 1), vec![0]].concat()
}

#[test]
fn programs_nest_as_deep_as_chains_decode_and_no_deeper() {
    for version in 3..=5 {
        let deepest = VersionedXcm::decode(&nested(version, NESTING)).unwrap();
        assert_eq!(deepest.xcm.instructions_deep().count(), NESTING - 1);
        let offset = 1 + 2 * NESTING;
        assert_eq!(refused(&nested(version, NESTING + 1)), wrong(offset, Problem::TooDeep(NESTING)));
        assert_eq!(refused(&nested(version, 20_000)), wrong(offset, Problem::TooDeep(NESTING)));
    }
}

#[test]
fn programs_beside_one_another_do_not_add_to_the_depth() {
    let bytes = [vec![5], compact(40), [SET_APPENDIX, 4, CLEAR_ORIGIN].repeat(40)].concat();
    let message = VersionedXcm::decode(&bytes).unwrap();
    assert_eq!(message.xcm.instructions().len(), 40);
    assert_eq!(message.xcm.instructions_deep().count(), 80);
}

#[test]
fn instructions_are_counted_over_all_programs_of_a_message() {
    let flat = |count| [vec![4], compact(count), vec![CLEAR_ORIGIN; count]].concat();
    assert_eq!(VersionedXcm::decode(&flat(INSTRUCTIONS)).unwrap().xcm.instructions().len(), INSTRUCTIONS);
    let too_many = |count| Problem::TooMany { what: "instructions", count, most: INSTRUCTIONS };
    for count in [INSTRUCTIONS + 1, 256, 300] {
        assert_eq!(refused(&flat(count)), wrong(1, too_many(count)));
    }
    // two, of which the first has fifty and the second the rest
    let front = [vec![4, 8, SET_APPENDIX], compact(50), vec![CLEAR_ORIGIN; 50], vec![SET_APPENDIX]].concat();
    let split = |rest| [front.clone(), compact(rest), vec![CLEAR_ORIGIN; rest]].concat();
    assert_eq!(VersionedXcm::decode(&split(48)).unwrap().xcm.instructions_deep().count(), INSTRUCTIONS);
    assert_eq!(refused(&split(49)), wrong(front.len(), too_many(101)));
}

#[test]
fn instructions_are_met_in_the_order_in_which_they_are_written() {
    // RefundSurplus, SetAppendix [ClearOrigin, SetErrorHandler [ClearError], ClearTopic], UnsubscribeVersion
    let message = VersionedXcm::decode(&[5, 12, 20, 22, 12, 10, 21, 4, 23, 45, 27]).unwrap();
    let names: Vec<String> = message.xcm.instructions_deep().map(ToString::to_string).collect();
    assert_eq!(
        names.join(" "),
        "RefundSurplus SetAppendix ClearOrigin SetErrorHandler ClearError ClearTopic UnsubscribeVersion"
    );
    let nested: Vec<&Instruction> =
        message.xcm.instructions().iter().filter(|found| found.nested().is_some()).collect();
    assert_eq!(nested.len(), 1);
}

#[test]
fn what_is_wrong_is_named_with_its_offset() {
    assert_eq!(refused(&[]), wrong(0, Problem::Ended("a version")));
    assert_eq!(refused(&[2, 0]), wrong(0, Problem::Version(2)));
    assert_eq!(refused(&[6, 0]), wrong(0, Problem::Version(6)));
    assert_eq!(refused(&[5]), wrong(1, Problem::Ended("instructions")));
    assert_eq!(refused(&[5, 8, CLEAR_ORIGIN]), wrong(3, Problem::Ended("instruction")));
    assert_eq!(refused(&[5, 0, 7, 7]), wrong(2, Problem::Trailing(2)));
    let variant = |what, index| Problem::Variant { what, index };
    assert_eq!(refused(&[5, 4, 52]), wrong(2, variant("instruction", 52)));
    assert_eq!(refused(&[5, 4, SET_APPENDIX, 8, CLEAR_ORIGIN, 99]), wrong(5, variant("instruction", 99)));
    // UniversalOrigin(GlobalConsensus(..)), AliasOrigin(nine junctions), SetFeesMode
    assert_eq!(refused(&[5, 4, 37, 9, 11]), wrong(4, variant("network", 11)));
    assert_eq!(refused(&[4, 4, 46, 0, 9]), wrong(4, variant("junctions", 9)));
    assert_eq!(refused(&[4, 4, 43, 2]), wrong(3, variant("a mode of fees", 2)));
    // Trap with a number in two bytes that fits into one
    assert_eq!(refused(&[4, 4, 25, 1, 0]), wrong(3, Problem::Number("a trap's code")));
    // PayFees with an amount of 0; BurnAsset of the same asset twice
    assert_eq!(refused(&[5, 4, 48, 0, 0, 0, 0]), wrong(5, Problem::NoAmount));
    assert_eq!(refused(&[5, 4, 28, 8, 0, 0, 0, 4, 0, 0, 0, 8]), wrong(3, Problem::Order));
    assert_eq!(refused(&[5, 4, 28, 84]), wrong(3, Problem::TooMany { what: "assets", count: 21, most: 20 }));
    assert_eq!(refused(&[5, 4, 52]).to_string(), "byte 2: 52 is no kind of instruction", "as an operator reads it");
}

#[test]
fn what_a_version_lacks_is_refused_in_its_messages() {
    let pay_fees = |version| vec![version, 4, 48, 0, 0, 0, 4];
    assert!(VersionedXcm::decode(&pay_fees(5)).is_ok());
    for version in [3, 4] {
        assert_eq!(refused(&pay_fees(version)), wrong(2, Problem::Variant { what: "instruction", index: 48 }));
    }
    // UniversalOrigin(GlobalConsensus(Westend))
    assert!(VersionedXcm::decode(&[4, 4, 37, 9, 4]).is_ok());
    assert_eq!(refused(&[5, 4, 37, 9, 4]), wrong(4, Problem::Variant { what: "network", index: 4 }));
}

#[test]
fn length_is_judged_before_anything_is_read() {
    let mut bytes = [vec![5, 4, 6, 0, 0], vec![2, 0, 4, 0]].concat(); // Transact with 65,536 bytes
    bytes.resize(MESSAGE_BYTES, 0);
    assert_eq!(refused(&bytes).problem.label(), "ended");
    bytes.push(0);
    let problem = Problem::TooLong { bytes: MESSAGE_BYTES + 1, most: MESSAGE_BYTES };
    assert_eq!(refused(&bytes), wrong(MESSAGE_BYTES, problem));
}

#[test]
fn a_long_call_is_kept_whole_and_shown_by_its_front() {
    let bytes = [vec![5, 4, 6, 1, 0], compact(12_000), vec![0xab; 12_000]].concat();
    let message = VersionedXcm::decode(&bytes).unwrap();
    let [Instruction::Transact { call, .. }] = message.xcm.instructions() else { panic!("{message:?}") };
    assert_eq!(call.bytes(), vec![0xab; 12_000]);
    assert_eq!(call.to_string(), "12000 bytes 0xabababababababab…");
    assert_eq!(message.summary(), "v5 1 [Transact(12000 bytes 0xabababababababab… as SovereignAccount)]");
    assert!(format!("{message:?}").len() < 200);
}

#[test]
fn a_summary_is_cut_at_its_bound() {
    // SetTopic, a hundred times
    let bytes = [vec![4], compact(100), [vec![44], vec![0xff; 32]].concat().repeat(100)].concat();
    let line = VersionedXcm::decode(&bytes).unwrap().summary();
    assert!(line.starts_with("v4 100 [SetTopic(0xffff"), "{line}");
    assert!(line.ends_with('…') && line.len() == SUMMARY_BYTES, "{} {line}", line.len());
}

/// A total reading: no panic, an offset within the bytes, and what is read is shown within its bounds.
fn read(bytes: &[u8]) {
    match VersionedXcm::decode(bytes) {
        Ok(message) => {
            assert!(message.xcm.instructions_deep().count() <= INSTRUCTIONS);
            assert!(message.summary().len() <= SUMMARY_BYTES);
        }
        Err(error) => assert!(error.offset <= bytes.len(), "{error}"),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_within_them(bytes in vec(any::<u8>(), 0..300)) {
        read(&bytes);
    }

    #[test]
    fn bytes_that_look_like_a_message_are_too(version in 3u8..=5, bytes in vec(0u8..56, 0..300)) {
        read(&[vec![version], bytes].concat());
    }

    #[test]
    fn a_good_message_is_good_only_at_its_length(version in 3u8..=5, bytes in vec(0u8..56, 0..60)) {
        let bytes = [vec![version], bytes].concat();
        let good: Vec<usize> = (0..=bytes.len()).filter(|length| VersionedXcm::decode(&bytes[..*length]).is_ok()).collect();
        prop_assert!(good.len() <= 1, "{good:?}");
    }
}
