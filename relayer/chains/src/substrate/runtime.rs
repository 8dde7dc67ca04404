//! The chain's runtime as its metadata tells it: names of modules, events and calls, types of what they hold.
//!
//! A runtime can be upgraded, so what is known is kept by its version, and a block that announces new code makes us ask again. The
//! metadata is a node's word: where there are several nodes, two have to tell the same, and nothing that is decoded with it is believed more than
//! they are. Bounds: [`super::limits`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use frame_metadata::{META_RESERVED, RuntimeMetadata, RuntimeMetadataPrefixed};
use light_clients::grandpa::Hash;
use parity_scale_codec::{Decode, Encode};
use relayer_core::error::{ChainError, ChainErrorKind};
use subxt::client::{ClientAtBlock, OfflineClient, OfflineClientAtBlockImpl};
use subxt::config::substrate::{SpecVersionForRange, SubstrateConfig};
use subxt::metadata::{ArcMetadata, Metadata};
use subxt::utils::H256;

use super::limits::{METADATA_BYTES, METADATA_TOLD, METADATA_WAIT, RUNTIMES};
use super::node::{Node, Said};
use super::wire::{self, RuntimeVersion};
use super::xcm::XcmTypes;

/// The module that keeps IBC, as the runtime names it.
pub(crate) const IBC: &str = "Ibc";
/// The newest form of metadata that is read.
const METADATA_VERSION: u32 = 15;

pub(crate) type Offline = ClientAtBlock<SubstrateConfig, OfflineClientAtBlockImpl<SubstrateConfig>>;

/// One version of a runtime.
pub(crate) struct Runtime {
    pub(crate) version: RuntimeVersion,
    pub(crate) metadata: ArcMetadata,
    /// Builds extrinsics.
    pub(crate) offline: Offline,
    /// What holds XCM messages.
    pub(crate) xcm: XcmTypes,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Runtime {
    /// Of metadata in SCALE.
    pub(crate) fn new(version: RuntimeVersion, genesis: Hash, metadata: &[u8]) -> Result<Self, &'static str> {
        if metadata.len() > METADATA_BYTES {
            return Err("metadata larger than the limit");
        }
        let metadata = decode(metadata)?.arc();
        let (spec_version, transaction_version) = (version.spec_version, version.transaction_version);
        let always = SpecVersionForRange { block_range: 0..u64::MAX, spec_version, transaction_version };
        let config = SubstrateConfig::builder()
            .set_genesis_hash(H256(genesis))
            .set_spec_version_for_block_ranges([always])
            .set_metadata_for_spec_versions([(spec_version, metadata.clone())])
            .build();
        let offline = OfflineClient::new_with_config(config).at_block(0u64).map_err(|_| "metadata")?;
        let xcm = XcmTypes::of(metadata.types());
        Ok(Self { version, metadata, offline, xcm })
    }
}

/// Metadata as nodes tell it. subxt's own decoder also looks for metadata wrapped in a list, and never ends where the first bytes are the length of
/// all.
fn decode(bytes: &[u8]) -> Result<Metadata, &'static str> {
    let prefixed = RuntimeMetadataPrefixed::decode(&mut { bytes }).map_err(|_| "metadata")?;
    if prefixed.0 != META_RESERVED {
        return Err("metadata");
    }
    let metadata = match prefixed.1 {
        RuntimeMetadata::V14(metadata) => Metadata::from_v14(metadata),
        RuntimeMetadata::V15(metadata) => Metadata::from_v15(metadata),
        RuntimeMetadata::V16(metadata) => Metadata::from_v16(metadata),
        _ => return Err("metadata of a version that is not read"),
    };
    metadata.map_err(|_| "metadata")
}

#[derive(Debug, Default)]
struct Known {
    runtimes: BTreeMap<u32, Arc<Runtime>>,
    /// The version of the newest block seen.
    current: Option<u32>,
    genesis: Option<Hash>,
}

/// The runtimes of a chain.
#[derive(Debug)]
pub(crate) struct Runtimes {
    node: Node,
    known: Mutex<Known>,
    /// One is asked for at a time: others wait and find it.
    asking: tokio::sync::Mutex<()>,
}

impl Runtimes {
    pub(crate) fn new(node: Node) -> Self {
        Self { node, known: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runtime of the newest blocks.
    pub(crate) async fn current(&self, at: &Hash) -> Result<Arc<Runtime>, ChainError> {
        let known = {
            let known = self.known();
            known.current.and_then(|version| known.runtimes.get(&version).cloned())
        };
        match known {
            Some(runtime) => Ok(runtime),
            None => {
                let runtime = self.at(at).await?;
                self.known().current = Some(runtime.version.spec_version);
                Ok(runtime)
            }
        }
    }

    /// A block announces new code: the next one is of another version.
    pub(crate) fn upgraded(&self) {
        self.known().current = None;
    }

    /// What was signed by the current one is refused: it is asked for again.
    pub(crate) fn doubt(&self) {
        let mut known = self.known();
        if let Some(version) = known.current.take() {
            known.runtimes.remove(&version);
        }
    }

    /// This one turned out not to be the chain's: it is asked for again.
    pub(crate) fn forget(&self, runtime: &Runtime) {
        let mut known = self.known();
        known.current = None;
        known.runtimes.remove(&runtime.version.spec_version);
    }

    /// The runtime in the state after a block.
    pub(crate) async fn at(&self, at: &Hash) -> Result<Arc<Runtime>, ChainError> {
        let version: Said<RuntimeVersion> = self.node.must("state_getRuntimeVersion", (wire::hex(at),)).await?;
        let _one = self.asking.lock().await;
        if let Some(known) = self.known().runtimes.get(&version.value.spec_version) {
            return Ok(known.clone());
        }
        let genesis = self.genesis().await?;
        let metadata = self.agreed(at).await?;
        let runtime = Runtime::new(version.value, genesis, &metadata.value)
            .map_err(|what| self.node.malformed(&metadata.endpoint, what))?;
        let runtime = Arc::new(runtime);
        let (mut known, own) = (self.known(), version.value.spec_version);
        known.runtimes.insert(own, runtime.clone());
        while known.runtimes.len() > RUNTIMES {
            let Some(oldest) = known.runtimes.keys().copied().find(|version| *version != own) else { break };
            known.runtimes.remove(&oldest);
        }
        Ok(runtime)
    }

    async fn genesis(&self) -> Result<Hash, ChainError> {
        if let Some(genesis) = self.known().genesis {
            return Ok(genesis);
        }
        let genesis = self.node.hash(0).await?.value;
        self.known().genesis = Some(genesis);
        Ok(genesis)
    }

    /// The metadata that two endpoints tell, or the only one that answers. One that tells another rests.
    async fn agreed(&self, at: &Hash) -> Result<Said<Vec<u8>>, ChainError> {
        let first = metadata(&self.node, at).await?;
        let others: Vec<_> = self.node.rpc().endpoints().into_iter().filter(|id| *id != first.endpoint).collect();
        let mut told = vec![first];
        for other in others {
            if told.len() >= METADATA_TOLD {
                break;
            }
            let node = self.node.only(&other);
            let Ok(answer) = tokio::time::timeout(METADATA_WAIT, metadata(&node, at)).await else {
                tracing::debug!(endpoint = %other, "metadata not compared in time");
                continue;
            };
            let said = match answer {
                // What a node can't tell in this form is no other metadata.
                Ok(said) if told.iter().all(|known| known.value.get(..FORM) != said.value.get(..FORM)) => continue,
                Ok(said) => said,
                Err(error) => {
                    tracing::debug!(%error, endpoint = %other, "metadata not compared");
                    continue;
                }
            };
            if told.iter().any(|known| known.value == said.value) {
                for odd in told.iter().filter(|known| known.value != said.value) {
                    let error = self.node.lying(&odd.endpoint, "metadata", odd.endpoint.to_string());
                    tracing::warn!(%error, "other metadata than two endpoints tell");
                }
                return Ok(said);
            }
            told.push(said);
        }
        match (told.pop(), told.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(self.node.error(ChainErrorKind::Lying("metadata"), "each endpoint tells another")),
        }
    }
}

/// Bytes that say of which form metadata is: four letters, a version.
const FORM: usize = 5;

/// Version 15 where the runtime has it, else what every node gives.
async fn metadata(node: &Node, at: &Hash) -> Result<Said<Vec<u8>>, ChainError> {
    let asked = node.runtime("Metadata_metadata_at_version", &METADATA_VERSION.encode(), Some(at)).await;
    match asked {
        Ok(said) => {
            if let Ok(Some(value)) = Option::<Vec<u8>>::decode(&mut said.value.as_slice()) {
                return Ok(Said { value, endpoint: said.endpoint });
            }
        }
        Err(ChainError { kind: ChainErrorKind::Refused { .. }, .. }) => {}
        Err(error) => return Err(error),
    }
    let said: Said<String> = node.must("state_getMetadata", (wire::hex(at),)).await?;
    let value = wire::bytes(&said.value).ok_or_else(|| node.malformed(&said.endpoint, "state_getMetadata"))?;
    Ok(Said { value, endpoint: said.endpoint })
}
