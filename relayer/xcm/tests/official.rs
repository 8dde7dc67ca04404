//! Messages as the official crate encodes and reads them (`vectors/README.md`): what it accepts is read here to the same values, what it
//! refuses is refused.
#![allow(clippy::unwrap_used, clippy::panic)]

use relayer_xcm::{Name, Version, VersionedXcm};

/// A vector: the encoded message, and what the official crate shows for it, if it is good.
struct Vector {
    name: String,
    bytes: Vec<u8>,
    shown: Option<String>,
}

fn vectors(json: &str) -> Vec<Vector> {
    let rows: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().map(str::to_owned);
    let row = |row| Vector {
        name: text(row, "name").or(text(row, "hex")).unwrap(),
        bytes: hex::decode(text(row, "hex").unwrap()).unwrap(),
        shown: text(row, "debug"),
    };
    rows.iter().map(row).collect()
}

fn messages() -> Vec<Vector> {
    vectors(include_str!("vectors/messages.json"))
}

/// Types that are wrapped around values in one model and not in the other.
const WRAPPERS: [&str; 25] = [
    "V3",
    "V4",
    "V5",
    "VersionedXcm",
    "Xcm",
    "MultiAssets",
    "Assets",
    "MultiAsset",
    "Asset",
    "AssetId",
    "Concrete",
    "BoundedVec",
    "MultiLocation",
    "Location",
    "Interior",
    "Here",
    "X1",
    "X2",
    "X3",
    "X4",
    "X5",
    "X6",
    "X7",
    "X8",
    "Some",
];

/// The names of variants and the numbers in a value as `Debug` shows it, in their order: what both models must agree in.
fn values(shown: &str) -> Vec<&str> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = shown;
    while let Some(start) = rest.find(word) {
        rest = &rest[start..];
        let (token, after) = rest.split_at(rest.find(|c| !word(c)).unwrap_or(rest.len()));
        rest = after;
        if !after.starts_with(':') && !WRAPPERS.contains(&token) {
            found.push(token);
        }
    }
    found
}

/// The official crate shows all of a call, we show its length and front; it shows the bound of a list after it, we don't.
fn as_we_show(shown: &str) -> String {
    let mut out = String::new();
    let mut rest = shown;
    while let Some((before, call)) = rest.split_once("call: \"0x") {
        let (digits, after) = call.split_once('"').unwrap();
        out.push_str(&format!("{before}call: Call {} bytes 0x{}", digits.len() / 2, &digits[..digits.len().min(16)]));
        rest = after;
    }
    out.push_str(rest);
    for bound in [1, 6, 48, 64, 128] {
        out = out.replace(&format!("], {bound})"), "])");
    }
    out
}

fn assert_agrees(vector: &Vector) {
    let ours = VersionedXcm::decode(&vector.bytes);
    match (&vector.shown, ours) {
        (Some(shown), Ok(ours)) => {
            assert!(shown.starts_with(&format!("{:?}(", ours.version)), "{}: {shown}", vector.name);
            assert_eq!(values(&format!("{:?}", ours.xcm)), values(&as_we_show(shown)), "{}: {ours:?}", vector.name);
        }
        (None, Err(error)) => assert!(error.offset <= vector.bytes.len(), "{}: {error}", vector.name),
        (shown, ours) => panic!("{}: the official crate has {shown:?}, we have {ours:?}", vector.name),
    }
}

#[test]
fn what_the_official_crate_encodes_is_read_to_the_same_values() {
    for vector in messages() {
        assert!(vector.shown.is_some());
        assert_agrees(&vector);
    }
}

#[test]
fn damaged_messages_are_judged_as_the_official_crate_judges_them() {
    let damaged = vectors(include_str!("vectors/damaged.json"));
    assert!(damaged.iter().filter(|vector| vector.shown.is_some()).count() >= 100);
    assert!(damaged.iter().filter(|vector| vector.shown.is_none()).count() >= 100);
    damaged.iter().for_each(assert_agrees);
}

#[test]
fn every_instruction_of_every_version_has_a_vector_of_its_name_and_index() {
    for (version, byte, count) in [(Version::V3, 3, 48), (Version::V4, 4, 48), (Version::V5, 5, 52)] {
        let seen: Vec<(u8, Name)> = messages()
            .iter()
            .filter(|vector| vector.bytes.first() == Some(&byte))
            .filter_map(|vector| {
                let message = VersionedXcm::decode(&vector.bytes).unwrap();
                let [only] = message.xcm.instructions() else { return None };
                Some((vector.bytes[2], only.name()))
            })
            .collect();
        for (index, name) in Name::all().enumerate().take(count) {
            let entry = (u8::try_from(index).unwrap(), name);
            assert!(seen.contains(&entry), "{version}: {entry:?}");
        }
        assert_eq!(seen.iter().map(|(index, _)| usize::from(*index)).max(), Some(count - 1));
    }
}

#[test]
fn a_message_cut_anywhere_is_refused_at_an_offset_within_it() {
    for vector in messages() {
        for length in 0..vector.bytes.len() {
            let error = VersionedXcm::decode(&vector.bytes[..length]).unwrap_err();
            assert!(error.offset <= length, "{} cut to {length}: {error}", vector.name);
            assert_eq!(error.problem.label(), "ended", "{} cut to {length}: {error}", vector.name);
        }
    }
}

#[test]
fn a_byte_after_the_end_is_refused_where_it_stands() {
    for vector in messages() {
        let error = VersionedXcm::decode(&[vector.bytes.as_slice(), &[0]].concat()).unwrap_err();
        assert_eq!((error.offset, error.problem.label()), (vector.bytes.len(), "trailing_bytes"), "{}", vector.name);
    }
}

#[test]
fn summaries_are_one_printable_line_that_names_the_first_instruction() {
    for vector in messages() {
        let message = VersionedXcm::decode(&vector.bytes).unwrap();
        let line = message.summary();
        assert!(line.len() <= relayer_xcm::limits::SUMMARY_BYTES, "{line}");
        assert!(!line.chars().any(char::is_control), "{line}");
        let first = message.xcm.instructions().first().map(ToString::to_string).unwrap_or_default();
        assert!(line.starts_with(&format!("{} ", message.version)) && line.contains(&first), "{line}");
    }
}
