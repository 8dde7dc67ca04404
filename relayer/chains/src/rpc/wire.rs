//! JSON-RPC 2.0 as bytes: requests with ids of our own, answers matched to them in whatever order they come.
//!
//! Bounds: the body is already capped; an array is read only as far as calls were made, so a million `{}` cost nothing.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::{Malformed, Rejected};
use super::limits::{ERROR_TEXT_BYTES, IN_PLACE_BYTES};

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

/// Reads the answer to the calls `first_id .. first_id + calls`. A large result stays where it is: the body becomes that result.
pub(crate) fn replies(mut body: Vec<u8>, first_id: u64, calls: usize) -> Result<Replies, Malformed> {
    let (mut slots, large) = match read(&body, first_id, calls)? {
        Read::Whole(rejected) => return Ok(Replies::Whole(rejected)),
        Read::Each(slots, large) => (slots, large),
    };
    if let Some((slot, at)) = large {
        body.truncate(at.end);
        body.drain(..at.start);
        let text = String::from_utf8(body).map_err(|_| Malformed::NotJson { line: 1, column: at.start })?;
        let result = RawValue::from_string(text).map_err(malformed)?;
        if let Some(slot) = slots.get_mut(slot) {
            *slot = Some(Ok(result));
        }
    }
    let missing = slots.iter().filter(|slot| slot.is_none()).count();
    if missing > 0 {
        return Err(Malformed::MissingAnswers(missing));
    }
    Ok(Replies::Each(slots.into_iter().flatten().collect()))
}

/// What was read: the answers, and where in the body the one lies that is not copied, with its slot.
enum Read {
    Whole(Rejected),
    Each(Vec<Option<Reply>>, Option<(usize, Range<usize>)>),
}

fn read(body: &[u8], first_id: u64, calls: usize) -> Result<Read, Malformed> {
    let array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let envelopes = if array {
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = AtMost(calls).deserialize(&mut json).map_err(malformed)?;
        json.end().map_err(malformed)?;
        read
    } else {
        vec![serde_json::from_slice(body).map_err(malformed)?]
    };
    let size = |envelope: &Envelope<'_>| envelope.result.map_or(0, |result| result.get().len());
    let largest = envelopes.iter().map(size).max().filter(|bytes| *bytes >= IN_PLACE_BYTES);
    let mut large = None;
    let mut slots: Vec<Option<Reply>> = (0..calls).map(|_| None).collect();
    for envelope in envelopes {
        let id = envelope.id.and_then(|id| id.get().parse::<u64>().ok());
        let index = id.and_then(|id| usize::try_from(id.checked_sub(first_id)?).ok());
        let in_place = large.is_none() && envelope.error.is_none() && largest == Some(size(&envelope));
        let reply = match envelope.result {
            Some(result) if in_place => {
                // Both are addresses within one slice.
                let start = (result.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
                let end = start.saturating_add(result.get().len());
                large = index.map(|index| (index, start..end));
                Ok(RawValue::NULL.to_owned())
            }
            result => reply(result, envelope.error)?,
        };
        match (index.and_then(|index| slots.get_mut(index)), reply) {
            (Some(slot @ None), reply) => *slot = Some(reply),
            (Some(Some(_)), _) => return Err(Malformed::DuplicateId),
            // No id, null or CometBFT's -1: the request as a whole was refused.
            (None, Err(rejected)) if id.is_none() => return Ok(Read::Whole(rejected)),
            (None, _) => return Err(Malformed::UnknownId),
        }
    }
    Ok(Read::Each(slots, large))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_result_is_the_same_in_its_place_as_a_small_one_that_is_copied() {
        let large = format!("{{ \"events\": [\"{}ü\"] }}", "x".repeat(IN_PLACE_BYTES));
        let larger = format!("[\"{}\"]", "y".repeat(2 * IN_PLACE_BYTES));
        let body = |results: [&str; 3]| {
            let answers = results
                .iter()
                .zip([9, 7, 8])
                .map(|(result, id)| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\": {result} }}"));
            format!(" [ {} ]\n", answers.collect::<Vec<_>>().join(" ,\n ")).into_bytes()
        };
        for results in [["1", &large, "null"], [&large, "{}", &larger], [&larger, &larger, "2"], ["1", "2", "3"]] {
            let Ok(Replies::Each(read)) = replies(body(results), 7, 3) else { panic!("not read") };
            let read: Vec<_> = read.into_iter().map(|reply| reply.unwrap().get().to_owned()).collect();
            assert!(read == [results[1], results[2], results[0]], "{} bytes", results.concat().len());
        }
        let single = format!("{{\"result\":{large},\"id\":4}}");
        assert!(matches!(replies(single.clone().into_bytes(), 4, 1), Ok(Replies::Each(one)) if one.len() == 1));
        assert!(matches!(replies(single.clone().into_bytes(), 5, 1), Err(Malformed::UnknownId)));
        assert!(matches!(replies(single.into_bytes(), 4, 2), Err(Malformed::MissingAnswers(1))));
        let both = format!("{{\"id\":4,\"result\":{large},\"error\":{{\"code\":1}}}}");
        assert!(matches!(replies(both.into_bytes(), 4, 1), Err(Malformed::ResultOrError)));
    }
}
