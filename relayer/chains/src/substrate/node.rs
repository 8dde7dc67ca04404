//! A node's answers as types or as [`ChainError`]s: the one place where Substrate's words become codes.
//!
//! `null` stands for what a node has not got: `None` here, and the caller knows what that means. State that is pruned is asked of the
//! archive endpoints before the answer is "pruned". Bounds: [`super::limits`].

use std::future::Future;

use light_clients::Timestamp as ClientTime;
use light_clients::grandpa::Hash;
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::id::{ChainId, Height, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::limits::{NOT_YET_TRIES, NOT_YET_WAIT, QUARANTINE, QUARANTINE_CATCHING_UP};
use super::{keys, wire};
use crate::rpc::{Answer, Call, EndpointId, Route, RpcClient, RpcError, RpcErrorKind};

/// Heights of these chains have no revisions: their clients count blocks under 0.
pub(crate) const REVISION: u64 = 0;

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

impl Node {
    pub(crate) fn new(rpc: RpcClient, chain: ChainId) -> Self {
        Self { rpc, chain }
    }
    pub(crate) fn rpc(&self) -> &RpcClient {
        &self.rpc
    }
    pub(crate) fn chain(&self) -> &ChainId {
        &self.chain
    }
    /// The same chain, asked at one endpoint only.
    pub(crate) fn only(&self, endpoint: &EndpointId) -> Self {
        Self { rpc: self.rpc.with_route(Route::Only(endpoint.clone())), chain: self.chain.clone() }
    }
    pub(crate) fn height(&self, number: impl Into<u64>) -> Height {
        Height::new(REVISION, number.into())
    }
    pub(crate) fn error(&self, kind: ChainErrorKind, detail: impl AsRef<str>) -> ChainError {
        ChainError::new(&self.chain, kind, detail)
    }
    /// The block number of a height.
    pub(crate) fn number(&self, height: Height) -> Result<u32, ChainError> {
        let number = u32::try_from(height.number).ok().filter(|_| height.revision == REVISION);
        number.ok_or_else(|| {
            let kind = ChainErrorKind::Setup("a height that no block of this chain can have");
            self.error(kind, height.to_string())
        })
    }

    /// The endpoint contradicts itself or verified data: it rests, and the call fails.
    pub(crate) fn lying(&self, endpoint: &EndpointId, label: &'static str, detail: impl AsRef<str>) -> ChainError {
        self.rpc.quarantine(endpoint, label, QUARANTINE);
        self.error(ChainErrorKind::Lying(label), detail)
    }
    /// The endpoint's answer has another shape than its RPC says: others are asked for a while.
    pub(crate) fn malformed(&self, endpoint: &EndpointId, what: &'static str) -> ChainError {
        self.rpc.quarantine(endpoint, "malformed", QUARANTINE_CATCHING_UP);
        self.error(ChainErrorKind::Malformed, format!("{what} from {endpoint}"))
    }

    pub(crate) fn call_of(&self, method: &'static str, params: impl Serialize) -> Result<Call, ChainError> {
        Call::read(method, params).map_err(|error| self.rpc_error(error))
    }

    /// One read; `None` for `null`.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize,
    ) -> Result<Said<Option<T>>, ChainError> {
        let answers = self.batch(vec![self.call_of(method, params)?]).await?;
        let answer = answers.into_iter().next().unwrap_or_else(|| Err(self.error(ChainErrorKind::Malformed, method)));
        self.decode(&answer?, method)
    }

    /// One read of what every node has.
    pub(crate) async fn must<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize,
    ) -> Result<Said<T>, ChainError> {
        let Said { value, endpoint } = self.call(method, params).await?;
        let value = value.ok_or_else(|| self.malformed(&endpoint, method))?;
        Ok(Said { value, endpoint })
    }

    pub(crate) fn decode<T: DeserializeOwned>(
        &self,
        answer: &Answer,
        method: &'static str,
    ) -> Result<Said<T>, ChainError> {
        let value = answer.decode(method).map_err(|error| {
            self.rpc.quarantine(&answer.endpoint, "malformed", QUARANTINE_CATCHING_UP);
            self.rpc_error(error)
        })?;
        Ok(Said { value, endpoint: answer.endpoint.clone() })
    }

    /// Many reads in few requests, in order. Those of pruned state are asked of the archives, once, together.
    pub(crate) async fn batch(&self, calls: Vec<Call>) -> Result<Vec<Result<Answer, ChainError>>, ChainError> {
        self.rpc.batch_with_archives(calls, |error| self.rpc_error(error)).await
    }

    /// Hashes of these blocks on the node's chain, in their order.
    pub(crate) async fn hashes(&self, numbers: &[u32]) -> Result<Said<Vec<Hash>>, ChainError> {
        let Said { value, endpoint } = self.must::<Vec<Option<String>>>("chain_getBlockHash", (numbers,)).await?;
        if value.len() != numbers.len() {
            return Err(self.malformed(&endpoint, "chain_getBlockHash"));
        }
        let mut hashes = Vec::with_capacity(numbers.len());
        for (hash, number) in value.into_iter().zip(numbers) {
            let not_yet = || self.error(ChainErrorKind::NotYet(self.height(*number)), endpoint.label().as_ref());
            let hash = hash.ok_or_else(not_yet)?;
            hashes.push(wire::hash(&hash).ok_or_else(|| self.malformed(&endpoint, "chain_getBlockHash"))?);
        }
        Ok(Said { value: hashes, endpoint })
    }

    /// The hash of one block.
    pub(crate) async fn hash(&self, number: u32) -> Result<Said<Hash>, ChainError> {
        let Said { value, endpoint } = self.hashes(&[number]).await?;
        let value = value.first().copied().ok_or_else(|| self.malformed(&endpoint, "chain_getBlockHash"))?;
        Ok(Said { value, endpoint })
    }

    /// A value of the state after a block, unproven; `None` if there is none.
    pub(crate) async fn storage(&self, key: &[u8], at: &Hash) -> Result<Said<Option<Vec<u8>>>, ChainError> {
        let params = (wire::hex(key), wire::hex(at));
        let Said { value, endpoint } = self.call::<String>("state_getStorage", params).await?;
        let decode = |text: String| wire::bytes(&text).ok_or_else(|| self.malformed(&endpoint, "state_getStorage"));
        let value = value.map(decode).transpose()?;
        Ok(Said { value, endpoint })
    }

    /// The time that the state after a block says, unproven.
    pub(crate) async fn time(&self, at: &Hash) -> Result<Said<Timestamp>, ChainError> {
        let Said { value, endpoint } = self.storage(&TIME, at).await?;
        let millis = value.and_then(|value| <[u8; 8]>::try_from(value).ok());
        let millis = millis.ok_or_else(|| self.malformed(&endpoint, "time of a block"))?;
        Ok(Said { value: Timestamp::from_millis(u64::from_le_bytes(millis)), endpoint })
    }

    /// What a function of the runtime gives, in SCALE.
    pub(crate) async fn runtime(
        &self,
        function: &str,
        argument: &[u8],
        at: Option<&Hash>,
    ) -> Result<Said<Vec<u8>>, ChainError> {
        let said = match at {
            Some(at) => self.must::<String>("state_call", (function, wire::hex(argument), wire::hex(at))).await?,
            None => self.must::<String>("state_call", (function, wire::hex(argument))).await?,
        };
        let value = wire::bytes(&said.value).ok_or_else(|| self.malformed(&said.endpoint, "state_call"))?;
        Ok(Said { value, endpoint: said.endpoint })
    }

    /// Tries again while a block that is known elsewhere is not there yet.
    pub(crate) async fn patient<T, F: Future<Output = Result<T, ChainError>>>(
        &self,
        mut work: impl FnMut() -> F,
    ) -> Result<T, ChainError> {
        let mut tries = 0;
        loop {
            match work().await {
                Err(ChainError { kind: ChainErrorKind::NotYet(_), .. }) if tries < NOT_YET_TRIES => {
                    tries += 1;
                    tokio::time::sleep(NOT_YET_WAIT).await;
                }
                other => return other,
            }
        }
    }

    /// The RPC stack's error as the port's.
    pub(crate) fn rpc_error(&self, error: RpcError) -> ChainError {
        use ChainErrorKind as To;
        let ms = error.retry_after().map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        let kind = match &error.kind {
            RpcErrorKind::Throttled { .. } => To::Throttled { after_ms: ms.unwrap_or(1_000) },
            RpcErrorKind::Unavailable { .. } => To::Unavailable,
            RpcErrorKind::Timeout { .. } => To::Timeout,
            RpcErrorKind::TooLarge { .. } => To::TooLarge,
            RpcErrorKind::Malformed(_) => To::Malformed,
            RpcErrorKind::Rejected(no) => block_kind(self, &no.data)
                .or_else(|| block_kind(self, &no.message))
                .unwrap_or(To::Refused { code: no.code }),
            RpcErrorKind::MempoolFull | RpcErrorKind::BatchTooLarge { .. } => To::Throttled { after_ms: 1_000 },
            RpcErrorKind::Invalid(_) => To::Setup("a call that the limits never admit"),
        };
        self.error(kind, error.to_string())
    }
}

const TIME: [u8; 32] = keys::TIMESTAMP_NOW;

/// What nodes say about blocks whose state they have dropped or don't know yet.
fn block_kind(node: &Node, text: &str) -> Option<ChainErrorKind> {
    if text.contains("State already discarded") {
        Some(ChainErrorKind::Pruned(node.height(0u32)))
    } else if text.contains("UnknownBlock") || text.contains("unknown Block") || text.contains("Header was not found") {
        Some(ChainErrorKind::NotYet(node.height(0u32)))
    } else {
        None
    }
}

/// Our time, for judgements about trust.
pub(crate) fn now() -> ClientTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    ClientTime::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rpc::{EndpointSettings, RpcSettings};

    /// A chain that is never called.
    pub(crate) fn uncalled() -> Node {
        let endpoint = EndpointSettings::new("http://127.0.0.1:1".parse().unwrap());
        let rpc = RpcClient::new(RpcSettings::new("made", vec![endpoint])).unwrap();
        Node::new(rpc, ChainId::new("made").unwrap())
    }

    #[test]
    fn what_nodes_say_about_blocks_becomes_codes() {
        let node = uncalled();
        let label = |text| block_kind(&node, text).map(|kind| node.error(kind, "").label());
        let api = "Client error: Api called for an unknown Block: State already discarded for 0xfc41b9bd";
        assert_eq!(label(api), Some("pruned"));
        assert_eq!(label("Client error: UnknownBlock: Header was not found in the database: 0x11"), Some("not_yet"));
        assert_eq!(label("Block not covered by authority set changes."), None);
    }

    #[test]
    fn a_height_is_a_block_number_without_a_revision() {
        let node = uncalled();
        assert_eq!(node.number(Height::new(0, 7)).unwrap(), 7);
        assert!(node.number(Height::new(1, 7)).is_err());
        assert!(node.number(Height::new(0, 1 << 32)).is_err());
    }
}
