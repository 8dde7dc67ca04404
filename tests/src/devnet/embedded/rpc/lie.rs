//! Results changed so that they look right: what a lying node would say.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tendermint::AppHash;
use tendermint::block::Header;

use super::{Fault, Shared, render};

/// Changes a result as the lies in force want it.
pub(super) fn tell(shared: &Shared, method: &str, params: &Value, result: &mut Value) {
    for lie in shared.faults.lies() {
        let told = match (lie, method) {
            (Fault::ForgedHeader, "commit") => forge_header(result, true),
            (Fault::ForgedAppHash, "commit") => forge_header(result, false),
            (Fault::ForgedProof, "abci_query") => forge_proof(result),
            (Fault::ForgedEvents, "block_results") => forge_events(result),
            (Fault::WrongHeight(blocks), "status") => {
                move_height(result.pointer_mut("/sync_info/latest_block_height"), blocks)
            }
            (Fault::WrongHeight(blocks), "abci_info") => {
                move_height(result.pointer_mut("/response/last_block_height"), blocks)
            }
            (Fault::WrongHeight(blocks), "commit" | "block") if params["height"].is_null() => {
                let at = if method == "commit" { "/signed_header/header/height" } else { "/block/header/height" };
                move_height(result.pointer_mut(at), blocks)
            }
            (Fault::CatchingUp, "status") => {
                result["sync_info"]["catching_up"] = json!(true);
                true
            }
            _ => false,
        };
        if told {
            shared.faults.note(lie.name(), method);
        }
    }
}

/// Another application hash; if wanted, with a commit that names the forged header and bears the old signatures.
fn forge_header(result: &mut Value, named: bool) -> bool {
    let signed = &mut result["signed_header"];
    let Ok(header) = serde_json::from_value::<Header>(signed["header"].clone()) else { return false };
    let other: Vec<u8> = header.app_hash.as_bytes().iter().map(|byte| !byte).collect();
    let Ok(app_hash) = AppHash::try_from(other) else { return false };
    let header = Header { app_hash, ..header };
    signed["header"] = render::header(&header);
    if named {
        signed["commit"]["block_id"]["hash"] = render::of(&header.hash_with::<tendermint::crypto::default::Sha256>());
    }
    true
}

/// Turns one bit in the middle of the lowest proof.
fn forge_proof(result: &mut Value) -> bool {
    let Some(data) = result.pointer_mut("/response/proofOps/ops/0/data") else { return false };
    let Some(mut bytes) = data.as_str().and_then(|text| BASE64.decode(text).ok()) else { return false };
    let middle = bytes.len() / 2;
    let Some(byte) = bytes.get_mut(middle) else { return false };
    *byte ^= 1;
    *data = Value::from(BASE64.encode(bytes));
    true
}

/// Lets the senders of packets send something else.
fn forge_events(result: &mut Value) -> bool {
    let results = result["txs_results"].as_array_mut().into_iter().flatten();
    let events = results.filter_map(|result| result["events"].as_array_mut()).flatten();
    let mut forged = false;
    for event in events.filter(|event| event["type"] == "send_packet") {
        for attribute in event["attributes"].as_array_mut().into_iter().flatten() {
            let text = attribute["value"].as_str().unwrap_or_default().to_owned();
            let other = if attribute["key"] == "packet_data" {
                text.replacen("\"amount\":\"", "\"amount\":\"9", 1)
            } else if attribute["key"] == "packet_data_hex" {
                text.replacen(&hex::encode("\"amount\":\""), &hex::encode("\"amount\":\"9"), 1)
            } else {
                continue;
            };
            forged |= other != text;
            attribute["value"] = Value::from(other);
        }
    }
    forged
}

fn move_height(height: Option<&mut Value>, blocks: i64) -> bool {
    let Some(height) = height else { return false };
    let Some(true_height) = height.as_str().and_then(|text| text.parse::<i64>().ok()) else { return false };
    *height = Value::from(true_height.saturating_add(blocks).max(1).to_string());
    true
}
