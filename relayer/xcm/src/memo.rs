//! Messages in memos of ICS-20 transfers.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use crate::error::{Error, Problem};
use crate::limits::{MEMO_BYTES, MESSAGE_BYTES};
use crate::message::VersionedXcm;

/// The message that a memo carries, if it carries one. Two forms are known:
///
/// - the whole memo is `0x` and hex digits. Accounts and hashes are written so, too: such a memo is a message, good or bad, when its first
///   byte is a version that is known, unless it has just the 20 or 32 bytes of an account or a hash and is no good message;
/// - the memo is a JSON object with a text under `xcm` at its top: `{"xcm": "0x…"}`. Whatever text stands there is a message, good or bad,
///   and so is a second one.
///
/// All other memos are `None`: most are told apart by a look at their first byte or a search for a word.
///
/// ```
/// use relayer_xcm::in_memo;
///
/// assert!(in_memo("for lunch").is_none());
/// assert!(in_memo(r#"{"forward": {"receiver": "x"}}"#).is_none());
/// // version 4, one instruction: ClearOrigin
/// let found = in_memo(r#"{"xcm": "0x04040a"}"#);
/// assert_eq!(found.unwrap().unwrap().summary(), "v4 1 [ClearOrigin]");
/// assert_eq!(in_memo("0x0404ff").unwrap().unwrap_err().to_string(), "byte 2: 255 is no kind of instruction");
/// ```
pub fn in_memo(memo: &str) -> Option<Result<VersionedXcm, Error>> {
    if memo.len() > MEMO_BYTES {
        return None;
    }
    let memo = memo.trim();
    if memo.starts_with("0x") {
        return bare(memo);
    }
    // A name can be spelt with escapes; a memo with any is read.
    if !memo.starts_with('{') || !(memo.contains("xcm") || memo.contains('\\')) {
        return None;
    }
    let mut json = serde_json::Deserializer::from_str(memo);
    let found = json.deserialize_map(Top).ok()?;
    json.end().ok()?;
    match found {
        Found::Nothing => None,
        Found::One(text) => Some(of_hex(&text)),
        Found::More => Some(Err(Problem::Ambiguous.at(0))),
    }
}

fn bare(memo: &str) -> Option<Result<VersionedXcm, Error>> {
    let known = ["0x03", "0x04", "0x05"].iter().any(|front| memo.starts_with(front));
    let digits = memo.get(2..)?;
    if !known || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let found = of_hex(memo);
    (found.is_ok() || ![40, 64].contains(&digits.len())).then_some(found)
}

fn of_hex(text: &str) -> Result<VersionedXcm, Error> {
    let digits = text.strip_prefix("0x").ok_or(Problem::Hex.at(0))?;
    let bytes = digits.len().div_ceil(2);
    if bytes > MESSAGE_BYTES {
        return Err(Problem::TooLong { bytes, most: MESSAGE_BYTES }.at(MESSAGE_BYTES));
    }
    let bytes = hex::decode(digits).map_err(|error| match error {
        hex::FromHexError::InvalidHexCharacter { index, .. } => Problem::Hex.at(index / 2),
        _ => Problem::Hex.at(digits.len() / 2),
    })?;
    VersionedXcm::decode(&bytes)
}

/// Texts under `xcm` at the top of an object.
enum Found {
    Nothing,
    One(String),
    More,
}

struct Top;

impl<'de> Visitor<'de> for Top {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = Found::Nothing;
        while let Some(Key(key)) = map.next_key()? {
            if key != "xcm" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if let serde_json::Value::String(text) = map.next_value()? {
                found = if matches!(found, Found::Nothing) { Found::One(text) } else { Found::More };
            }
        }
        Ok(found)
    }
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
