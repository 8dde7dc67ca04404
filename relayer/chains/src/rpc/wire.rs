//! JSON-RPC 2.0 as bytes: requests with ids of our own, answers matched to them in whatever order they come.
//!
//! Bounds: the body is already capped; an array is read only as far as calls were made, so a million `{}` cost nothing.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::{Malformed, Rejected};
use super::limits::ERROR_TEXT_BYTES;

/// One call as written.
#[derive(Serialize)]
pub(crate) struct Request<'a> {
    pub(crate) jsonrpc: &'static str,
    pub(crate) id: u64,
    pub(crate) method: &'a str,
    pub(crate) params: &'a RawValue,
}

/// A result, or the node's error.
pub(crate) type Reply = Result<Box<RawValue>, Rejected>;

/// An answer to `n` calls.
pub(crate) enum Replies {
    /// One error for all of it, without an id of ours.
    Whole(Rejected),
    /// One for each call, in the order of the calls.
    Each(Vec<Reply>),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<ErrorObject<'a>>,
}

#[derive(Deserialize)]
struct ErrorObject<'a> {
    code: i64,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Keeps `"result": null` apart from no `result`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads the answer to the calls `first_id .. first_id + calls`.
pub(crate) fn replies(body: &[u8], first_id: u64, calls: usize) -> Result<Replies, Malformed> {
    let array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let envelopes = if array {
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = AtMost(calls).deserialize(&mut json).map_err(malformed)?;
        json.end().map_err(malformed)?;
        read
    } else {
        vec![serde_json::from_slice(body).map_err(malformed)?]
    };
    let mut slots: Vec<Option<Reply>> = (0..calls).map(|_| None).collect();
    for envelope in envelopes {
        let id = envelope.id.and_then(|id| id.get().parse::<u64>().ok());
        let reply = reply(envelope.result, envelope.error)?;
        let slot = id.and_then(|id| usize::try_from(id.checked_sub(first_id)?).ok()).and_then(|i| slots.get_mut(i));
        match (slot, reply) {
            (Some(slot @ None), reply) => *slot = Some(reply),
            (Some(Some(_)), _) => return Err(Malformed::DuplicateId),
            // No id, null or CometBFT's -1: the request as a whole was refused.
            (None, Err(rejected)) if id.is_none() => return Ok(Replies::Whole(rejected)),
            (None, _) => return Err(Malformed::UnknownId),
        }
    }
    let missing = slots.iter().filter(|slot| slot.is_none()).count();
    if missing > 0 {
        return Err(Malformed::MissingAnswers(missing));
    }
    Ok(Replies::Each(slots.into_iter().flatten().collect()))
}

fn reply(result: Option<&RawValue>, error: Option<ErrorObject<'_>>) -> Result<Reply, Malformed> {
    match (result, error) {
        (Some(result), None) => Ok(Ok(result.to_owned())),
        // `"result": null` beside an error is what JSON-RPC 1 servers write.
        (None, Some(error)) => Ok(Err(rejected(error))),
        (Some(result), Some(error)) if result.get() == "null" => Ok(Err(rejected(error))),
        _ => Err(Malformed::ResultOrError),
    }
}

fn rejected(error: ErrorObject<'_>) -> Rejected {
    let data = error.data.map_or(Cow::Borrowed(""), |data| {
        serde_json::from_str::<Cow<'_, str>>(data.get()).unwrap_or(Cow::Borrowed(data.get()))
    });
    let data = if data == "null" { "" } else { &data };
    Rejected { code: error.code, message: bounded(&error.message), data: bounded(data) }
}

fn bounded(text: &str) -> String {
    text.get(..text.floor_char_boundary(ERROR_TEXT_BYTES)).unwrap_or_default().to_owned()
}

fn malformed(error: serde_json::Error) -> Malformed {
    let (line, column) = (error.line(), error.column());
    if error.is_data() { Malformed::Shape { line, column } } else { Malformed::NotJson { line, column } }
}

/// Reads an array of at most so many envelopes; a longer one is an error as soon as it shows.
struct AtMost(usize);

impl<'de> DeserializeSeed<'de> for AtMost {
    type Value = Vec<Envelope<'de>>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}
impl<'de> Visitor<'de> for AtMost {
    type Value = Vec<Envelope<'de>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of at most {} answers", self.0)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut read = Vec::new();
        while let Some(envelope) = seq.next_element()? {
            if read.len() == self.0 {
                return Err(A::Error::invalid_length(read.len().saturating_add(1), &self));
            }
            read.push(envelope);
        }
        Ok(read)
    }
}
