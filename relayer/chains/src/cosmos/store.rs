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
use relayer_core::id::Height;

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
    let queries: Vec<_> = keys.iter().map(|key| AbciQuery::new(&store, key.as_bytes(), height, prove)).collect();
    let answers = node.abci(&queries).await?;
    let mut proven = Vec::with_capacity(keys.len());
    for (key, answer) in keys.iter().zip(answers) {
        let said = answer.map_err(|error| not_yet(error, node, height, newest))?;
        proven.push(one(node, key, prove, said)?);
    }
    Ok(proven)
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

fn one(node: &Node, key: &str, prove: bool, said: Said<AbciAnswer>) -> Result<Proven, ChainError> {
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
