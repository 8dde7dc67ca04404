//! A node's answers as types or as [`ChainError`]s: the one place where CometBFT's and the SDK's words become codes.
//!
//! Heights that are pruned are asked of the archive endpoints before the answer is "pruned". Bounds: [`super::limits`].

use std::sync::Arc;

use prost::Message;
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::id::{ChainId, Height};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::limits::{QUARANTINE, QUARANTINE_CATCHING_UP, VALUE_BYTES};
use super::wire::{self, AbciQueryAnswer};
use crate::rpc::{Answer, Call, EndpointId, Route, RpcClient, RpcError, RpcErrorKind, is_pruned};

/// The chain's nodes.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    rpc: RpcClient,
    chain: ChainId,
}

/// What an endpoint said.
#[derive(Debug, Clone)]
pub(crate) struct Said<T> {
    pub(crate) value: T,
    pub(crate) endpoint: EndpointId,
}

/// One `abci_query`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AbciQuery {
    pub(crate) path: String,
    /// Hex.
    pub(crate) data: String,
    /// Decimal; 0 for the newest.
    pub(crate) height: String,
    pub(crate) prove: bool,
    /// Whose packets it is about, for limits; nothing the node is told.
    #[serde(skip)]
    pub(crate) channel: Option<Arc<str>>,
}

impl AbciQuery {
    pub(crate) fn new(path: &str, data: &[u8], height: u64, prove: bool) -> Self {
        Self { path: path.to_owned(), data: hex::encode(data), height: height.to_string(), prove, channel: None }
    }

    fn call(&self) -> Result<Call, RpcError> {
        Ok(Call::read("abci_query", self)?.channel(self.channel.clone()))
    }
}

/// What the application answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AbciAnswer {
    /// The key it answers for; gRPC queries leave it empty.
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// The height it answers for.
    pub(crate) height: u64,
    /// Type and bytes of each proof operation, lowest tree first.
    pub(crate) proof: Vec<(String, Vec<u8>)>,
}

impl Node {
    pub(crate) fn new(rpc: RpcClient, chain: ChainId) -> Self {
        Self { rpc, chain }
    }
    pub(crate) fn rpc(&self) -> &RpcClient {
        &self.rpc
    }
    /// The same chain, asked at one endpoint only.
    pub(crate) fn only(&self, endpoint: &EndpointId) -> Self {
        Self { rpc: self.rpc.with_route(Route::Only(endpoint.clone())), chain: self.chain.clone() }
    }
    pub(crate) fn chain(&self) -> &ChainId {
        &self.chain
    }
    pub(crate) fn height(&self, number: u64) -> Height {
        Height::new(self.chain.revision(), number)
    }
    pub(crate) fn error(&self, kind: ChainErrorKind, detail: impl AsRef<str>) -> ChainError {
        ChainError::new(&self.chain, kind, detail)
    }

    /// The endpoint contradicts itself or verified data: it rests, and the call fails.
    pub(crate) fn lying(&self, endpoint: &EndpointId, label: &'static str, detail: impl AsRef<str>) -> ChainError {
        self.rpc.quarantine(endpoint, label, QUARANTINE);
        self.error(ChainErrorKind::Lying(label), detail)
    }
    /// The endpoint's answer has another shape than the protocol says: others are asked for a while.
    pub(crate) fn malformed(&self, endpoint: &EndpointId, what: &'static str) -> ChainError {
        self.rpc.quarantine(endpoint, "malformed", QUARANTINE_CATCHING_UP);
        self.error(ChainErrorKind::Malformed, format!("{what} from {endpoint}"))
    }

    /// One read, decoded. A pruned height is asked of the archives.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize,
    ) -> Result<Said<T>, ChainError> {
        let call = Call::read(method, params).map_err(|e| chain_error(&self.chain, e))?;
        let answers = self.batch(vec![call]).await?;
        let answer =
            answers.into_iter().next().unwrap_or_else(|| Err(self.error(ChainErrorKind::Malformed, method)))?;
        self.decode(&answer, method)
    }

    /// Decodes what is not borrowed from the answer.
    pub(crate) fn decode<T: DeserializeOwned>(
        &self,
        answer: &Answer,
        method: &'static str,
    ) -> Result<Said<T>, ChainError> {
        let value = answer.decode(method).map_err(|e| {
            self.rpc.quarantine(&answer.endpoint, "malformed", QUARANTINE_CATCHING_UP);
            chain_error(&self.chain, e)
        })?;
        Ok(Said { value, endpoint: answer.endpoint.clone() })
    }

    /// Many reads in few requests, in order. Calls whose height is pruned are asked of the archives, once, together.
    pub(crate) async fn batch(&self, calls: Vec<Call>) -> Result<Vec<Result<Answer, ChainError>>, ChainError> {
        self.rpc.batch_with_archives(calls, |error| chain_error(&self.chain, error)).await
    }

    /// Queries of the application, in few requests, in order. Each is checked to be for the height that was asked.
    pub(crate) async fn abci(
        &self,
        queries: &[AbciQuery],
    ) -> Result<Vec<Result<Said<AbciAnswer>, ChainError>>, ChainError> {
        let calls = queries.iter().map(AbciQuery::call).collect::<Result<Vec<_>, _>>();
        let first = self.batch(calls.map_err(|e| chain_error(&self.chain, e))?).await?;
        let mut answers: Vec<_> =
            queries.iter().zip(first).map(|(query, answer)| answer.and_then(|a| self.abci_answer(query, &a))).collect();
        // The SDK says "pruned" inside its answer, which the calls above don't see.
        let pruned: Vec<usize> = answers.iter().enumerate().filter(|(_, a)| is_pruned(a)).map(|(i, _)| i).collect();
        if pruned.is_empty() {
            return Ok(answers);
        }
        let again: Vec<&AbciQuery> = pruned.iter().filter_map(|i| queries.get(*i)).collect();
        let calls = again.iter().map(|query| query.call()).collect::<Result<Vec<_>, _>>();
        let calls = calls.map_err(|e| chain_error(&self.chain, e))?;
        if let Ok(found) = self.rpc.with_route(Route::Archive).batch(calls).await {
            for ((slot, query), answer) in pruned.into_iter().zip(again).zip(found) {
                if let (Some(place), Ok(answer)) = (answers.get_mut(slot), answer) {
                    *place = self.abci_answer(query, &answer);
                }
            }
        }
        Ok(answers)
    }

    pub(crate) fn abci_answer(&self, query: &AbciQuery, answer: &Answer) -> Result<Said<AbciAnswer>, ChainError> {
        let endpoint = answer.endpoint.clone();
        let decoded: AbciQueryAnswer<'_> =
            serde_json::from_str(answer.result.get()).map_err(|_| self.malformed(&endpoint, "abci_query"))?;
        let response = decoded.response;
        if response.code.0 != 0 {
            return Err(application_error(&self.chain, response.code.0, &response.log.0, &query.height));
        }
        // An oversized value is refused before it is decoded; base64 takes 4 characters for 3 bytes. Only the store is meant:
        // pages of state are bounded by their page size and by the body.
        if query.path.starts_with("store/") && response.value.0.len() / 4 * 3 > VALUE_BYTES {
            return Err(self.error(ChainErrorKind::TooLarge, format!("a value of the store, from {endpoint}")));
        }
        let bytes = |text: &str| base64(text).ok_or_else(|| self.malformed(&endpoint, "base64 in abci_query"));
        let ops = response.proof_ops.and_then(|ops| ops.ops).unwrap_or_default();
        if ops.len() > super::limits::PROOF_OPS {
            return Err(self.malformed(&endpoint, "too many proof operations"));
        }
        let mut proof = Vec::with_capacity(ops.len());
        for op in ops {
            proof.push((op.kind.0.into_owned(), bytes(&op.data.0)?));
        }
        let height = response.height.0;
        if query.height != "0" && query.height != height.to_string() {
            let detail = format!("asked for {}, {endpoint} answered for {height}", query.height);
            return Err(self.lying(&endpoint, "wrong_height", detail));
        }
        let value = AbciAnswer { key: bytes(&response.key.0)?, value: bytes(&response.value.0)?, height, proof };
        Ok(Said { value, endpoint })
    }

    /// One gRPC query through the application, at a height or at the newest.
    pub(crate) async fn grpc<R: Message + Default>(
        &self,
        path: &str,
        request: &impl Message,
        height: Option<u64>,
    ) -> Result<(R, u64), ChainError> {
        let mut answers = self.grpc_batch(path, &[request.encode_to_vec()], height).await?;
        answers.pop().ok_or_else(|| self.error(ChainErrorKind::Malformed, path))
    }

    /// The same query for many requests, in few calls, in order.
    pub(crate) async fn grpc_batch<R: Message + Default>(
        &self,
        path: &str,
        requests: &[Vec<u8>],
        height: Option<u64>,
    ) -> Result<Vec<(R, u64)>, ChainError> {
        let queries: Vec<_> =
            requests.iter().map(|r| AbciQuery::new(path, r, height.unwrap_or_default(), false)).collect();
        let mut decoded = Vec::with_capacity(queries.len());
        for answer in self.abci(&queries).await? {
            let said = answer?;
            let value = R::decode(said.value.value.as_slice())
                .map_err(|_| self.malformed(&said.endpoint, "protobuf in abci_query"))?;
            decoded.push((value, said.value.height));
        }
        Ok(decoded)
    }

    /// `/status`, checked: the endpoint is of our chain and has caught up. Otherwise it rests.
    pub(crate) fn check_status(&self, said: &Said<wire::Status>) -> Result<(), ChainError> {
        let network = &said.value.node_info.network;
        if network != self.chain.as_str() {
            self.rpc.quarantine(&said.endpoint, "wrong_chain", QUARANTINE);
            let kind = ChainErrorKind::WrongChain(relayer_core::error::Detail::new(network));
            return Err(self.error(kind, said.endpoint.label().as_ref()));
        }
        if said.value.sync_info.catching_up {
            self.rpc.quarantine(&said.endpoint, "catching_up", QUARANTINE_CATCHING_UP);
            return Err(self.error(ChainErrorKind::Unavailable, format!("{} is catching up", said.endpoint)));
        }
        Ok(())
    }
}

/// Standard base64; `None` when it is not.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// The RPC stack's error as the port's. CometBFT's texts for heights become codes here.
pub(crate) fn chain_error(chain: &ChainId, error: RpcError) -> ChainError {
    use ChainErrorKind as To;
    let ms = error.retry_after().map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
    let kind = match &error.kind {
        RpcErrorKind::Throttled { .. } => To::Throttled { after_ms: ms.unwrap_or(1_000) },
        // An open breaker says that the node did not answer before, nothing about our own rate.
        RpcErrorKind::Unavailable { .. } => To::Unavailable,
        RpcErrorKind::Timeout { .. } => To::Timeout,
        RpcErrorKind::TooLarge { .. } => To::TooLarge,
        RpcErrorKind::Malformed(_) => To::Malformed,
        RpcErrorKind::Rejected(no) => height_kind(chain, &no.data)
            .or_else(|| height_kind(chain, &no.message))
            .unwrap_or(To::Refused { code: no.code }),
        RpcErrorKind::MempoolFull | RpcErrorKind::BatchTooLarge { .. } => To::Throttled { after_ms: 1_000 },
        RpcErrorKind::Invalid(_) => To::Setup("a call that the limits never admit"),
    };
    ChainError::new(chain, kind, error.to_string())
}

/// CometBFT's words about heights.
fn height_kind(chain: &ChainId, text: &str) -> Option<ChainErrorKind> {
    let height = || Height::new(chain.revision(), first_number(text).unwrap_or_default());
    if text.contains("must be less than or equal to") || text.contains("could not find results for height") {
        Some(ChainErrorKind::NotYet(height()))
    } else if text.contains("lowest height is") || text.contains("is not persisting") {
        Some(ChainErrorKind::Pruned(height()))
    } else {
        None
    }
}

fn first_number(text: &str) -> Option<u64> {
    let digits = text.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?;
    digits.parse().ok()
}

/// The SDK's answer to a query that it refuses.
fn application_error(chain: &ChainId, code: u64, log: &str, height: &str) -> ChainError {
    let asked = Height::new(chain.revision(), height.parse().unwrap_or_default());
    let kind = if log.contains("height in the future") || log.contains("must be less than or equal to") {
        ChainErrorKind::NotYet(asked)
    } else if log.contains("pruned") || log.contains("version does not exist") || log.contains("failed to load state") {
        ChainErrorKind::Pruned(asked)
    } else if log.contains("not found") || log.contains("NotFound") {
        ChainErrorKind::NotFound
    } else {
        ChainErrorKind::Refused { code: i64::try_from(code).unwrap_or(i64::MAX) }
    };
    ChainError::new(chain, kind, log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_say_about_heights_becomes_codes() {
        let chain = ChainId::new("sim-a-1").unwrap();
        let cases = [
            (
                "height 300 must be less than or equal to the current blockchain height 40",
                Some(ChainErrorKind::NotYet(Height::new(1, 300))),
            ),
            ("could not find results for height #7", Some(ChainErrorKind::NotYet(Height::new(1, 7)))),
            ("height 5 is not available, lowest height is 10", Some(ChainErrorKind::Pruned(Height::new(1, 5)))),
            ("tx not found", None),
        ];
        for (text, want) in cases {
            assert_eq!(height_kind(&chain, text), want, "{text}");
        }
    }

    #[test]
    fn what_the_application_says_becomes_codes() {
        let chain = ChainId::new("sim-a-1").unwrap();
        let kind = |log| application_error(&chain, 18, log, "9").kind;
        assert_eq!(
            kind("proof is unexpectedly empty; ensure height has not been pruned: invalid request"),
            ChainErrorKind::Pruned(Height::new(1, 9))
        );
        assert_eq!(
            kind("cannot query with height in the future; please provide a valid height"),
            ChainErrorKind::NotYet(Height::new(1, 9))
        );
        assert_eq!(kind("channel-id: channel not found"), ChainErrorKind::NotFound);
        assert_eq!(kind("boom"), ChainErrorKind::Refused { code: 18 });
    }
}
