//! Hooks that change a node's results: what a lying node says.
//!
//! A hook gets the call and the `result` of its answer, and tells whether it changed it. The ones here cover the usual
//! lies; [`hook`] makes one of any function.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::Call;

/// Changes a call's result, and tells whether it did.
type Change = dyn Fn(&Call, &mut Value) -> bool + Send + Sync;

/// A change to a call's result.
#[derive(Clone)]
pub struct Hook(Arc<Change>);

impl Hook {
    pub(super) fn apply(&self, call: &Call, result: &mut Value) -> bool {
        (self.0)(call, result)
    }
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

/// Any change; the function tells whether it made one.
pub fn hook(change: impl Fn(&Call, &mut Value) -> bool + Send + Sync + 'static) -> Hook {
    Hook(Arc::new(change))
}

/// Sets what stands at a JSON pointer of the result, if something does.
#[must_use]
pub fn set(pointer: &str, value: Value) -> Hook {
    let pointer = pointer.to_owned();
    hook(move |_, result| replace(result.pointer_mut(&pointer), value.clone()))
}

/// `status` claims this height.
#[must_use]
pub fn status_height(height: u64) -> Hook {
    set("/sync_info/latest_block_height", json!(height.to_string()))
}

/// `status` claims a height so far above (or below) the true one.
#[must_use]
pub fn status_height_off_by(blocks: i64) -> Hook {
    hook(move |_, result| {
        let height = result.pointer_mut("/sync_info/latest_block_height");
        let moved = height.as_ref().and_then(|h| h.as_str()?.parse::<i64>().ok()).map(|h| (h + blocks).max(1));
        moved.is_some_and(|moved| replace(height, json!(moved.to_string())))
    })
}

/// `status` says the node is still catching up.
#[must_use]
pub fn catching_up() -> Hook {
    set("/sync_info/catching_up", json!(true))
}

/// `status` claims another chain id.
#[must_use]
pub fn network(chain_id: &str) -> Hook {
    set("/node_info/network", json!(chain_id))
}

/// One bit of a query's first proof is wrong.
#[must_use]
pub fn flip_proof_byte() -> Hook {
    hook(|_, result| flip(result.pointer_mut("/response/proofOps/ops/0/data"), Encoding::Base64))
}

/// One bit of a query's value is wrong.
#[must_use]
pub fn flip_value_byte() -> Hook {
    hook(|_, result| flip(result.pointer_mut("/response/value"), Encoding::Base64))
}

/// A query's value is missing though its proof is there: membership shown as absence.
#[must_use]
pub fn drop_value() -> Hook {
    set("/response/value", Value::Null)
}

/// The query is answered as of another height, with a proof that is true for that one.
#[must_use]
pub fn response_height_off_by(blocks: i64) -> Hook {
    hook(move |_, result| {
        let height = result.pointer_mut("/response/height");
        let moved = height.as_ref().and_then(|h| h.as_str()?.parse::<i64>().ok()).map(|h| h + blocks);
        moved.is_some_and(|moved| replace(height, json!(moved.to_string())))
    })
}

/// One bit of the first signature of a commit is wrong.
#[must_use]
pub fn flip_signature() -> Hook {
    hook(|_, result| {
        let signatures = result.pointer_mut("/signed_header/commit/signatures").and_then(Value::as_array_mut);
        let signed = signatures.and_then(|all| all.iter_mut().find(|s| !s["signature"].is_null()));
        flip(signed.and_then(|s| s.get_mut("signature")), Encoding::Base64)
    })
}

/// One bit of a header's hash field (`app_hash`, `next_validators_hash`, …) in a commit is wrong.
#[must_use]
pub fn flip_header(field: &str) -> Hook {
    let pointer = format!("/signed_header/header/{field}");
    hook(move |_, result| flip(result.pointer_mut(&pointer), Encoding::Hex))
}

/// A header's field in a commit has another value, for instance `chain_id` or `time`.
#[must_use]
pub fn set_header(field: &str, value: Value) -> Hook {
    set(&format!("/signed_header/header/{field}"), value)
}

/// The first validator claims another voting power.
#[must_use]
pub fn validator_power(power: &str) -> Hook {
    set("/validators/0/voting_power", json!(power))
}

/// An attribute of every event of this type in a block's results has another value.
pub fn event_attribute(kind: &str, key: &str, change: impl Fn(&str) -> String + Send + Sync + 'static) -> Hook {
    let (kind, key) = (kind.to_owned(), key.to_owned());
    hook(move |_, result| {
        let mut changed = false;
        for_events(result, &mut |event| {
            if event["type"].as_str() != Some(kind.as_str()) {
                return;
            }
            for attribute in event["attributes"].as_array_mut().into_iter().flatten() {
                if attribute["key"].as_str() == Some(key.as_str()) {
                    let value = change(attribute["value"].as_str().unwrap_or_default());
                    attribute["value"] = json!(value);
                    changed = true;
                }
            }
        });
        changed
    })
}

/// A packet that nobody sent, claimed by an event.
#[derive(Clone, Debug)]
pub struct PhantomPacket {
    /// The claimed sequence.
    pub sequence: u64,
    /// Sending port and channel.
    pub source: (String, String),
    /// Receiving port and channel.
    pub destination: (String, String),
    /// The sending end's connection.
    pub connection: String,
    /// The packet's data.
    pub data: Vec<u8>,
    /// Revision and height.
    pub timeout_height: (u64, u64),
    /// ns since 1970.
    pub timeout_timestamp_ns: u64,
}

impl PhantomPacket {
    /// The event, as ibc-go writes it.
    #[must_use]
    pub fn event(&self) -> Value {
        let attributes = [
            ("packet_data_hex", hex::encode(&self.data)),
            ("packet_timeout_height", format!("{}-{}", self.timeout_height.0, self.timeout_height.1)),
            ("packet_timeout_timestamp", self.timeout_timestamp_ns.to_string()),
            ("packet_sequence", self.sequence.to_string()),
            ("packet_src_port", self.source.0.clone()),
            ("packet_src_channel", self.source.1.clone()),
            ("packet_dst_port", self.destination.0.clone()),
            ("packet_dst_channel", self.destination.1.clone()),
            ("packet_channel_ordering", "ORDER_UNORDERED".to_owned()),
            ("packet_connection", self.connection.clone()),
            ("connection_id", self.connection.clone()),
            ("msg_index", "0".to_owned()),
        ];
        let attributes: Vec<Value> =
            attributes.iter().map(|(key, value)| json!({ "key": key, "value": value, "index": true })).collect();
        json!({ "type": "send_packet", "attributes": attributes })
    }
}

/// Every block's results claim an event in a successful transaction.
#[must_use]
pub fn phantom_event(event: Value) -> Hook {
    hook(move |_, result| {
        let Some(results) = result.as_object_mut().filter(|r| r.contains_key("txs_results")) else {
            return false;
        };
        let claimed = json!({
            "code": 0, "data": null, "log": "", "info": "", "gas_wanted": "100000", "gas_used": "90000",
            "events": [event.clone()], "codespace": "",
        });
        match results.get_mut("txs_results") {
            Some(Value::Array(txs)) => txs.push(claimed),
            Some(none) => *none = json!([claimed]),
            None => return false,
        }
        true
    })
}

/// Every event of this type is handed to `change`, which tells whether it changed it.
pub fn event(kind: &str, change: impl Fn(&mut Value) -> bool + Send + Sync + 'static) -> Hook {
    let kind = kind.to_owned();
    hook(move |_, result| {
        let mut changed = false;
        for_events(result, &mut |event| changed |= event["type"].as_str() == Some(kind.as_str()) && change(event));
        changed
    })
}

/// An attribute's value in an event.
#[must_use]
pub fn attribute<'e>(event: &'e Value, key: &str) -> &'e str {
    let mut all = event["attributes"].as_array().into_iter().flatten();
    all.find(|a| a["key"] == key).and_then(|a| a["value"].as_str()).unwrap_or_default()
}

/// Gives an attribute of an event another value; false if it has that already, or lacks the attribute.
pub fn set_attribute(event: &mut Value, key: &str, value: &str) -> bool {
    let mut all = event["attributes"].as_array_mut().into_iter().flatten();
    replace(all.find(|a| a["key"] == key).and_then(|a| a.get_mut("value")), json!(value))
}

/// Every block's results claim these events beside those of its transactions, as a module does that acts at a block's end.
#[must_use]
pub fn block_events(events: Vec<Value>) -> Hook {
    hook(move |_, result| {
        match result.get_mut("finalize_block_events") {
            Some(Value::Array(all)) => all.extend(events.iter().cloned()),
            Some(none) => *none = json!(events),
            None => return false,
        }
        true
    })
}

/// Visits the events of a block's results, of its transactions and of the block itself.
fn for_events(result: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
    if let Some(txs) = result.get_mut("txs_results").and_then(Value::as_array_mut) {
        for tx in txs {
            tx["events"].as_array_mut().into_iter().flatten().for_each(&mut *visit);
        }
    }
    if let Some(events) = result.get_mut("finalize_block_events").and_then(Value::as_array_mut) {
        events.iter_mut().for_each(visit);
    }
}

#[derive(Clone, Copy)]
enum Encoding {
    Base64,
    Hex,
}

/// Flips one bit in the middle of encoded bytes. False if there are none.
fn flip(text: Option<&mut Value>, encoding: Encoding) -> bool {
    let Some(value) = text else { return false };
    let encoded = value.as_str().unwrap_or_default();
    let bytes = match encoding {
        Encoding::Base64 => BASE64.decode(encoded).ok(),
        Encoding::Hex => hex::decode(encoded).ok(),
    };
    let mut bytes = bytes.unwrap_or_default();
    let middle = bytes.len() / 2;
    let Some(byte) = bytes.get_mut(middle) else {
        return false;
    };
    *byte ^= 1;
    *value = match encoding {
        Encoding::Base64 => json!(BASE64.encode(bytes)),
        Encoding::Hex => json!(hex::encode_upper(bytes)),
    };
    true
}

fn replace(place: Option<&mut Value>, value: Value) -> bool {
    place.is_some_and(|place| std::mem::replace(place, value.clone()) != value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call { method: "any".to_owned(), params: json!({}), id: json!(1) }
    }

    #[test]
    fn a_flip_changes_one_bit_and_tells() {
        let mut result = json!({ "response": { "value": BASE64.encode([1, 2, 3]) } });
        assert!(flip_value_byte().apply(&call(), &mut result));
        assert_eq!(result["response"]["value"], BASE64.encode([1, 3, 3]));
        let mut empty = json!({ "response": { "value": null } });
        assert!(!flip_value_byte().apply(&call(), &mut empty));
    }

    #[test]
    fn an_unchanged_result_is_not_counted() {
        let mut result = json!({ "sync_info": { "catching_up": true } });
        assert!(!catching_up().apply(&call(), &mut result));
        assert!(!status_height(5).apply(&call(), &mut result));
    }

    #[test]
    fn a_phantom_event_is_added_to_a_block_with_and_without_transactions() {
        for txs in [json!(null), json!([{ "code": 0, "events": [] }])] {
            let mut result = json!({ "height": "5", "txs_results": txs });
            let before = txs.as_array().map_or(0, Vec::len);
            assert!(phantom_event(json!({ "type": "send_packet" })).apply(&call(), &mut result));
            assert_eq!(result["txs_results"].as_array().unwrap().len(), before + 1);
            assert_eq!(result["txs_results"][before]["events"][0]["type"], "send_packet");
        }
    }

    #[test]
    fn an_event_attribute_is_changed_in_transactions_and_in_the_block() {
        let event = json!({ "type": "send_packet", "attributes": [{ "key": "packet_sequence", "value": "1" }] });
        let mut result = json!({ "txs_results": [{ "events": [event] }], "finalize_block_events": [event] });
        assert!(event_attribute("send_packet", "packet_sequence", |_| "9".to_owned()).apply(&call(), &mut result));
        assert_eq!(result["txs_results"][0]["events"][0]["attributes"][0]["value"], "9");
        assert_eq!(result["finalize_block_events"][0]["attributes"][0]["value"], "9");
    }
}
