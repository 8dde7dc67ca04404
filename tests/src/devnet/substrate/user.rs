//! Someone who uses the chain: transfers coins, delivers messages of IBC, and as root hands finality over to other authorities.
//!
//! Extrinsics are made with the runtime's own metadata, are immortal, and count as done when they are in a finalized block.

use std::str::FromStr;
use std::time::Instant;

use ibc_proto::google::protobuf::Any;
use parity_scale_codec::Decode;
use serde_json::json;
use subxt::client::{ClientAtBlock, OfflineClient, OfflineClientAtBlockImpl};
use subxt::config::DefaultExtrinsicParamsBuilder;
use subxt::config::substrate::{SpecVersionForRange, SubstrateConfig};
use subxt::dynamic::Value;
use subxt::metadata::Metadata;
use subxt::transactions::Payload;
use subxt::utils::{AccountId32, H256, MultiSignature};
use subxt_signer::SecretUri;
use subxt_signer::sr25519::Keypair;
use tokio::sync::{Mutex, OnceCell};

use super::SubstrateNode;
use crate::devnet::Transfer;
use crate::{DevnetError, limits};

/// The form of metadata that is asked for.
const METADATA_VERSION: u32 = 15;

type Offline = ClientAtBlock<SubstrateConfig, OfflineClientAtBlockImpl<SubstrateConfig>>;

/// An account that acts through one node.
pub struct SubstrateUser {
    node: SubstrateNode,
    key: Keypair,
    address: String,
    runtime: OnceCell<Offline>,
    /// One extrinsic after the other, so that none takes another's nonce.
    turn: Mutex<()>,
}

/// A key that signs for subxt, whose own signers want its RPC.
struct Signing<'a>(&'a Keypair);

impl subxt::transactions::Signer<SubstrateConfig> for Signing<'_> {
    fn account_id(&self) -> AccountId32 {
        AccountId32(self.0.public_key().0)
    }
    fn sign(&self, payload: &[u8]) -> MultiSignature {
        MultiSignature::Sr25519(self.0.sign(payload).0)
    }
}

impl std::fmt::Debug for SubstrateUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubstrateUser").field("address", &self.address).finish_non_exhaustive()
    }
}

impl SubstrateUser {
    /// The account of a secret URI, for instance `//Bob`.
    ///
    /// # Errors
    /// [`DevnetError::Wallet`] if it is no secret URI.
    pub fn new(node: SubstrateNode, uri: &str) -> Result<Self, DevnetError> {
        let wrong = |reason: String| DevnetError::Wallet { name: uri.to_owned(), reason };
        let secret = SecretUri::from_str(uri).map_err(|e| wrong(e.to_string()))?;
        let key = Keypair::from_uri(&secret).map_err(|e| wrong(e.to_string()))?;
        let address = AccountId32(key.public_key().0).to_string();
        Ok(Self { node, key, address, runtime: OnceCell::new(), turn: Mutex::new(()) })
    }

    /// The account's address, with Substrate's generic prefix.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The account's id: its public key.
    #[must_use]
    pub fn account(&self) -> [u8; 32] {
        self.key.public_key().0
    }

    /// Makes one ICS-20 transfer and waits until its block is final.
    ///
    /// # Errors
    /// As [`SubstrateUser::deliver`].
    pub async fn transfer(&self, transfer: &Transfer) -> Result<(), DevnetError> {
        self.deliver(vec![transfer.message(&self.address)]).await
    }

    /// Makes transfers in one extrinsic and waits until its block is final.
    ///
    /// # Errors
    /// As [`SubstrateUser::deliver`].
    pub async fn burst(&self, transfers: &[Transfer]) -> Result<(), DevnetError> {
        self.deliver(transfers.iter().map(|transfer| transfer.message(&self.address)).collect()).await
    }

    /// Delivers messages in one extrinsic and waits until its block is final. Whether each of them succeeded stands in the block's events.
    ///
    /// # Errors
    /// [`DevnetError::Rpc`] if the node refuses it, [`DevnetError::Timeout`] if it is not in a block, [`DevnetError::Decode`] if the runtime
    /// has no such call.
    pub async fn deliver(&self, messages: Vec<Any>) -> Result<(), DevnetError> {
        let messages = messages.into_iter().map(|message| {
            Value::unnamed_composite([Value::from_bytes(message.type_url), Value::from_bytes(message.value)])
        });
        let messages = Value::unnamed_composite(messages);
        self.execute(&subxt::dynamic::tx("Ibc", "deliver", vec![messages])).await
    }

    /// As root: hands finality over to these authorities, with their weights, so many blocks after this one.
    ///
    /// # Errors
    /// As [`SubstrateUser::deliver`].
    pub async fn schedule_authorities(&self, authorities: &[([u8; 32], u64)], delay: u32) -> Result<(), DevnetError> {
        let one = |(key, weight): &([u8; 32], u64)| {
            Value::unnamed_composite([Value::from_bytes(key), Value::u128(u128::from(*weight))])
        };
        let call = Value::named_variant(
            "schedule_authorities",
            [
                ("authorities", Value::unnamed_composite(authorities.iter().map(one))),
                ("delay", Value::u128(delay.into())),
                ("forced", Value::unnamed_variant("None", [])),
            ],
        );
        self.execute(&subxt::dynamic::tx("Sudo", "sudo", vec![Value::unnamed_variant("Ibc", [call])])).await
    }

    async fn execute(&self, call: &impl Payload) -> Result<(), DevnetError> {
        let _turn = self.turn.lock().await;
        let wrong = |reason: String| DevnetError::decode("the runtime's metadata", reason);
        let runtime = self.runtime.get_or_try_init(|| self.read_runtime()).await?;
        let nonce = self.node.call("system_accountNextIndex", json!([self.address])).await?;
        let nonce = nonce.as_u64().ok_or_else(|| DevnetError::decode("system_accountNextIndex", nonce))?;
        let params = DefaultExtrinsicParamsBuilder::<SubstrateConfig>::new().immortal().nonce(nonce).build();
        let extrinsic = runtime.transactions().create_signable_offline(call, params);
        let signed = extrinsic
            .and_then(|mut extrinsic| extrinsic.sign(&Signing(&self.key)))
            .map_err(|e| wrong(e.to_string()))?;
        let bytes = format!("0x{}", hex::encode(signed.into_encoded()));
        self.node.call("author_submitExtrinsic", json!([bytes])).await?;
        self.wait_for_nonce(nonce + 1).await
    }

    async fn wait_for_nonce(&self, nonce: u64) -> Result<(), DevnetError> {
        let since = Instant::now();
        while self.node.nonce(&self.account()).await? < nonce {
            if since.elapsed() > limits::FINALITY_TIMEOUT {
                let what = format!("extrinsic {nonce} of {} in a finalized block", self.address);
                return Err(DevnetError::Timeout { what, after_ms: limits::FINALITY_TIMEOUT.as_millis() });
            }
            tokio::time::sleep(limits::LOOK_INTERVAL).await;
        }
        Ok(())
    }

    async fn read_runtime(&self) -> Result<Offline, DevnetError> {
        let wrong = |reason: String| DevnetError::decode("the runtime's metadata", reason);
        let argument = format!("0x{}", hex::encode(METADATA_VERSION.to_le_bytes()));
        let metadata = self.node.call("state_call", json!(["Metadata_metadata_at_version", argument])).await?;
        let metadata = super::node::bytes(&metadata, "metadata")?;
        let metadata = Option::<Vec<u8>>::decode(&mut metadata.as_slice()).map_err(|e| wrong(e.to_string()))?;
        let metadata = metadata.ok_or_else(|| wrong(format!("none of version {METADATA_VERSION}")))?;
        let metadata = Metadata::decode_from(&metadata).map_err(|e| wrong(e.to_string()))?.arc();
        let genesis = super::node::bytes(&self.node.block_hash(0).await?.into(), "the first block's hash")?;
        let genesis = <[u8; 32]>::try_from(genesis).map_err(|_| wrong("the first block's hash".to_owned()))?;
        let version = self.node.call("state_getRuntimeVersion", json!([])).await?;
        let number = |name: &str| {
            let number = version[name].as_u64().and_then(|number| u32::try_from(number).ok());
            number.ok_or_else(|| DevnetError::decode(name, &version))
        };
        let (spec_version, transaction_version) = (number("specVersion")?, number("transactionVersion")?);
        let always = SpecVersionForRange { block_range: 0..u64::MAX, spec_version, transaction_version };
        let config = SubstrateConfig::builder()
            .set_genesis_hash(H256(genesis))
            .set_spec_version_for_block_ranges([always])
            .set_metadata_for_spec_versions([(spec_version, metadata)])
            .build();
        OfflineClient::new_with_config(config).at_block(0_u64).map_err(|e| wrong(e.to_string()))
    }
}
