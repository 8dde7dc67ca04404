//! Which memos carry a message.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use relayer_xcm::limits::{MEMO_BYTES, MESSAGE_BYTES};
use relayer_xcm::{Problem, VersionedXcm, in_memo};

/// Version 4: ClearOrigin, ClearTopic.
const GOOD: &str = "0x04080a2d";

fn good(memo: &str) -> VersionedXcm {
    in_memo(memo).unwrap_or_else(|| panic!("{memo}: no message")).unwrap()
}

fn refused(memo: &str) -> (usize, Problem) {
    let error = in_memo(memo).unwrap_or_else(|| panic!("{memo}: no message")).unwrap_err();
    (error.offset, error.problem)
}

#[test]
fn a_message_as_hex_or_under_its_key_is_found() {
    let message = VersionedXcm::decode(&[4, 8, 10, 45]).unwrap();
    for memo in [
        GOOD,
        " 0x04080A2D\n",
        r#"{"xcm":"0x04080a2d"}"#,
        r#" {"forward": {"xcm": "0xff"}, "xcm" : "0x04080a2d", "n": 1.5e3} "#,
        r#"{"\u0078cm": "0x0408\u0030a2d"}"#,
    ] {
        assert_eq!(good(memo), message, "{memo}");
    }
}

#[test]
fn ordinary_memos_carry_none() {
    let address = "0x52908400098527886E0F7030069857D2E4169EE7";
    let hash = format!("0x05{}", "ab".repeat(31));
    let like_a_version = format!("0x04{}", "ab".repeat(19));
    for memo in [
        "",
        "103948576",
        "thanks for the xcm",
        "0x",
        "0x0",
        "0xzz",
        "0x04 not hex",
        address,
        &hash,
        &like_a_version,
        "{",
        "[1]",
        r#"{"wasm":{"contract":"cosmos1","msg":{"xcm":"0x04080a2d"}}}"#,
        r#"{"xcm":{"other":"application"}}"#,
        r#"{"xcm": 4}"#,
        r#"{"note": "xcm"}"#,
        r#"{"xcm": "0x04080a2d", }"#,
        r#"{"xcm": "0x04080a2d"} and more"#,
    ] {
        assert!(in_memo(memo).is_none(), "{memo}: {:?}", in_memo(memo));
    }
}

#[test]
fn a_bad_message_is_refused_at_its_offset() {
    let ends = |what| Problem::Ended(what);
    assert_eq!(refused("0x0408"), (2, ends("instruction")));
    assert_eq!(refused("0x04080a2d00"), (4, Problem::Trailing(1)));
    assert_eq!(refused(r#"{"xcm": "0x0408ff00"}"#), (2, Problem::Variant { what: "instruction", index: 255 }));
    // under the key there is no doubt what is meant
    assert_eq!(refused(r#"{"xcm": "0x02"}"#), (0, Problem::Version(2)));
    assert_eq!(refused(r#"{"xcm": ""}"#), (0, Problem::Hex));
    assert_eq!(refused(r#"{"xcm": "04080a2d"}"#), (0, Problem::Hex));
    assert_eq!(refused(r#"{"xcm": "0x04080z2d"}"#), (2, Problem::Hex));
    assert_eq!(refused(r#"{"xcm": "0x04080"}"#), (2, Problem::Hex));
    let twenty = format!(r#"{{"xcm": "0x04{}"}}"#, "ab".repeat(19));
    assert_eq!(refused(&twenty).1.label(), "ended");
}

#[test]
fn a_second_message_is_not_passed_over() {
    assert_eq!(refused(r#"{"xcm": "0x0400", "xcm": "0x04080a2d"}"#), (0, Problem::Ambiguous));
    assert_eq!(refused(r#"{"xcm": "0x0400", "\u0078cm": "0x04080a2d"}"#), (0, Problem::Ambiguous));
}

#[test]
fn large_memos_are_judged_by_their_size() {
    let bytes = |count: usize| format!("0x04{}", "00".repeat(count - 1));
    assert_eq!(refused(&bytes(MESSAGE_BYTES)), (2, Problem::Trailing(MESSAGE_BYTES - 2)));
    let problem = Problem::TooLong { bytes: MESSAGE_BYTES + 1, most: MESSAGE_BYTES };
    assert_eq!(refused(&bytes(MESSAGE_BYTES + 1)), (MESSAGE_BYTES, problem));
    assert!(in_memo(&bytes(MEMO_BYTES)).is_none());
}

#[test]
fn json_in_json_without_end_is_no_message() {
    assert!(in_memo(&format!(r#"{{"xcm": {}"#, "[".repeat(50_000))).is_none());
}

proptest! {
    #[test]
    fn any_text_is_judged(memo in any::<String>(), digits in "[0-9a-fx]{0,80}") {
        for memo in [memo, format!("0x{digits}"), format!(r#"{{"xcm":"0x{digits}"}}"#)] {
            if let Some(Err(error)) = in_memo(&memo) {
                prop_assert!(error.offset <= memo.len(), "{memo}: {error}");
            }
        }
    }
}
