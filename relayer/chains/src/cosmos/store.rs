//! The IBC store: values at ICS-24 paths, with ICS-23 proofs.
//!
//! A value of the state after block `h` is proven by the app hash in the header of `h + 1`. Proofs are not verified here: the shell
//! does that on its verification threads against a header of our own light client. What is checked here: the height, the key, and
//! that there is a proof of both trees. Bounds: number of paths, bytes of a value, operations of a proof ([`super::limits`]).

use ibc_proto::ibc::core::commitment::v1::MerkleProof;
use ibc_proto::ics23::CommitmentProof;
use prost::Message;
use relayer_core::chain::{Path, Proven};
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::id::{ChannelId, Height};

use super::limits::{PATHS_PER_QUERY, QUARANTINE};
use super::node::{AbciAnswer, AbciQuery, Node, Said};

/// Values at the paths in the state after block `at` (the newest if `None`), in order.
pub(crate) async fn query(
    node: &Node,
    prefix: &[u8],
    paths: &[Path],
    at: Option<Height>,
    prove: bool,
    newest: Option<u64>,
) -> Result<Vec<Proven>, ChainError> {
    if paths.len() > PATHS_PER_QUERY {
        return Err(node.error(ChainErrorKind::TooLarge, format!("{} paths in one query", paths.len())));
    }
    if at.is_some_and(|at| at.revision != node.chain().revision()) {
        return Err(node.error(ChainErrorKind::Setup("a height of another revision was asked"), ""));
    }
    let height = at.map_or(0, |at| at.number);
    let store = format!("store/{}/key", String::from_utf8_lossy(prefix));
    let keys: Vec<String> = paths.iter().map(Path::to_string).collect();
    let queries = keys.iter().zip(paths).map(|(key, path)| AbciQuery {
        channel: channel(path).map(|channel| channel.as_str().into()),
        ..AbciQuery::new(&store, key.as_bytes(), height, prove)
    });
    let queries: Vec<_> = queries.collect();
    let answers = node.abci(&queries).await?;
    let mut proven = Vec::with_capacity(keys.len());
    for (key, answer) in keys.iter().zip(answers) {
        let said = answer.map_err(|error| not_yet(error, node, height, newest))?;
        proven.push(one(node, key, prove, said)?);
    }
    Ok(proven)
}

/// Whose packets a path is about.
fn channel(path: &Path) -> Option<&ChannelId> {
    match path {
        Path::Commitment(end, _) | Path::Receipt(end, _) | Path::Ack(end, _) | Path::NextSequenceRecv(end) => {
            Some(&end.channel)
        }
        Path::ClientState(_) | Path::ConsensusState(..) | Path::Connection(_) | Path::Channel(..) => None,
    }
}

/// The store calls a height of the future "pruned", too.
fn not_yet(error: ChainError, node: &Node, height: u64, newest: Option<u64>) -> ChainError {
    match error.kind {
        ChainErrorKind::Pruned(_) if height != 0 && newest.is_none_or(|newest| newest <= height) => {
            ChainError { kind: ChainErrorKind::NotYet(node.height(height)), ..error }
        }
        _ => error,
    }
}

pub(super) fn one(node: &Node, key: &str, prove: bool, said: Said<AbciAnswer>) -> Result<Proven, ChainError> {
    let Said { value: answer, endpoint } = said;
    if !answer.key.is_empty() && answer.key != key.as_bytes() {
        return Err(node.lying(&endpoint, "wrong_key", key));
    }
    if prove && answer.height == 0 {
        return Err(node.lying(&endpoint, "wrong_height", "a proof at height 0"));
    }
    let proof = if prove { merkle_proof(node, &answer.proof, &endpoint)? } else { Vec::new() };
    Ok(Proven {
        value: (!answer.value.is_empty()).then_some(answer.value),
        proof,
        proof_height: node.height(answer.height).next(),
        endpoint: endpoint.label().clone(),
    })
}

/// ABCI's proof operations (the IAVL tree of the module, then the simple tree of all stores) as ICS-23's `MerkleProof`.
fn merkle_proof(
    node: &Node,
    ops: &[(String, Vec<u8>)],
    endpoint: &crate::rpc::EndpointId,
) -> Result<Vec<u8>, ChainError> {
    if ops.is_empty() {
        return Err(node.lying(endpoint, "proof_missing", ""));
    }
    let mut proofs = Vec::with_capacity(ops.len());
    for (kind, bytes) in ops {
        if !kind.starts_with("ics23:") {
            return Err(node.malformed(endpoint, "proof operation that is not ICS-23"));
        }
        proofs.push(CommitmentProof::decode(bytes.as_slice()).map_err(|_| node.malformed(endpoint, "ICS-23 proof"))?);
    }
    Ok(MerkleProof { proofs }.encode_to_vec())
}

/// Puts the endpoint with this label into quarantine.
pub(crate) fn quarantine(node: &Node, endpoint: &str, reason: &'static str) {
    match node.rpc().endpoints().into_iter().find(|id| **id.label() == *endpoint) {
        Some(id) => {
            node.rpc().quarantine(&id, reason, QUARANTINE);
        }
        None => tracing::debug!(chain = %node.chain(), endpoint, reason, "no such endpoint to quarantine"),
    }
}

#[cfg(test)]
mod tests {
    use relayer_core::id::ChainId;
    use serde_json::{json, value::to_raw_value};

    use super::*;
    use crate::rpc::{Answer, EndpointSettings, RpcClient, RpcSettings};

    const KEY: &str = "clients/07-tendermint-0/clientState";

    fn node() -> Node {
        let endpoint = EndpointSettings::new("http://127.0.0.1:1".parse().unwrap());
        let rpc = RpcClient::new(RpcSettings::new("sim-a-1", vec![endpoint])).unwrap();
        Node::new(rpc, ChainId::new("sim-a-1").unwrap())
    }

    /// What comes of an answer to a proven query of `KEY` at height 5.
    fn read(response: serde_json::Value) -> Result<Proven, ChainError> {
        let node = node();
        let endpoint = node.rpc().endpoints().remove(0);
        let answer = Answer { result: to_raw_value(&json!({ "response": response })).unwrap(), endpoint };
        let query = AbciQuery::new("store/ibc/key", KEY.as_bytes(), 5, true);
        node.abci_answer(&query, &answer).and_then(|said| one(&node, KEY, true, said))
    }

    fn key() -> String {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(KEY)
    }

    fn ops() -> serde_json::Value {
        let op = |kind: &str| json!({"type": kind, "key": "", "data": ""});
        json!({"ops": [op("ics23:iavl"), op("ics23:simple")]})
    }

    fn label(response: serde_json::Value) -> &'static str {
        read(response).expect_err("believed").label()
    }

    #[test]
    fn a_value_is_proven_by_the_next_header_and_an_empty_one_is_absent() {
        let here = read(json!({"code": 0, "key": key(), "value": "AQI=", "height": "5", "proofOps": ops()})).unwrap();
        assert_eq!((here.value.as_deref(), here.proof_height), (Some(&[1, 2][..]), Height::new(1, 6)));
        assert_eq!(MerkleProof::decode(here.proof.as_slice()).unwrap().proofs.len(), 2);
        let absent = read(json!({"key": key(), "value": null, "height": 5, "proof_ops": ops()})).unwrap();
        assert_eq!(absent.value, None);
        assert!(!absent.proof.is_empty());
    }

    #[test]
    fn attack_41_answers_for_another_height_or_key_or_without_proof_are_lies() {
        let answer = |key: &str, height: u64, ops: serde_json::Value| json!({"key": key, "value": "AQ==", "height": height.to_string(), "proofOps": ops});
        assert!(read(answer(&key(), 5, ops())).is_ok());
        assert_eq!(label(answer(&key(), 4, ops())), "wrong_height");
        assert_eq!(label(answer("AQ==", 5, ops())), "wrong_key");
        assert_eq!(label(answer(&key(), 5, json!(null))), "proof_missing");
        let mut foreign = ops();
        foreign["ops"][0]["type"] = json!("iavl:v");
        assert_eq!(label(answer(&key(), 5, foreign)), "malformed");
    }

    #[test]
    fn attack_42_values_and_proofs_beyond_the_limits_are_not_decoded() {
        let value = "A".repeat(super::super::limits::VALUE_BYTES / 3 * 4 + 8);
        assert_eq!(label(json!({"key": key(), "value": value, "height": "5", "proofOps": ops()})), "too_large");
        let many = json!({"ops": vec![ops()["ops"][0].clone(); 5]});
        assert_eq!(label(json!({"key": key(), "value": "AQ==", "height": "5", "proofOps": many})), "malformed");
        assert_eq!(label(json!({"key": key(), "value": "AQ==", "height": "-5"})), "malformed");
    }

    #[test]
    fn a_height_of_the_future_is_not_taken_for_a_pruned_one() {
        let node = node();
        let pruned = || node.error(ChainErrorKind::Pruned(Height::new(1, 9)), "");
        assert_eq!(not_yet(pruned(), &node, 9, Some(8)).label(), "not_yet");
        assert_eq!(not_yet(pruned(), &node, 9, Some(100)).label(), "pruned");
        assert_eq!(not_yet(pruned(), &node, 0, Some(100)).label(), "pruned");
    }

    #[test]
    fn quarantine_goes_by_the_label_of_the_endpoint() {
        let node = node();
        quarantine(&node, "http://127.0.0.1:1", "bad_proof");
        quarantine(&node, "http://elsewhere", "bad_proof");
        assert_eq!(node.rpc().health()[0].quarantine.map(|(reason, _)| reason), Some("bad_proof"));
    }
}
