//! One wallet on one Substrate chain: asks what it has, prepares, submits and looks up extrinsics.
//!
//! Nonces come from the lane as arguments. An era starts at the newest block that is shown to be final, so no fork takes its start
//! away. What an extrinsic costs is asked of the runtime before it leaves; the tip is the operator's.

use std::sync::Arc;

use ibc_proto::google::protobuf::Any;
use light_clients::grandpa::blake2_256;
use parity_scale_codec::{Compact, Decode, Encode};
use relayer_core::chain::{Draft, Outcome, Signed};
use relayer_core::error::{ChainError, ChainErrorKind, TxFailure};
use relayer_core::id::{AccountSequence, Gas, Height, TxHash};
use relayer_core::message::Message;
use sp_crypto_hashing::blake2_128;

use super::encode::{self, Era};
use super::key::{Key, KeyError};
use super::limits::OUTCOME_LEAST;
use super::submit;
use crate::ibc::message;
use crate::substrate::block::{Reader, gas};
use crate::substrate::heads::Heads;
use crate::substrate::keys;
use crate::substrate::node::Said;

/// What an extrinsic costs.
const QUERY_INFO: &str = "TransactionPaymentApi_query_info";

/// How a wallet pays.
#[derive(Debug, Clone)]
pub struct WalletSettings {
    /// Name of the coin that fees are paid in, for accounting.
    pub denom: String,
    /// What each extrinsic offers its block's author beside the fee.
    pub tip: u128,
    /// Most that one extrinsic pays, tip included.
    pub max_fee: Option<u128>,
    /// Blocks after which an extrinsic can't be included any more; the next power of two counts.
    pub timeout_blocks: u64,
    /// Largest extrinsic, bytes.
    pub max_tx_bytes: usize,
}

impl WalletSettings {
    /// The usual ones, with fees in this coin.
    pub fn new(denom: impl Into<String>) -> Self {
        Self { denom: denom.into(), tip: 0, max_fee: None, timeout_blocks: 64, max_tx_bytes: 1_000_000 }
    }
}

/// The paying half of a chain.
#[derive(Debug)]
pub(crate) struct Wallet {
    reader: Arc<Reader>,
    heads: Arc<Heads>,
    key: Key,
    address: String,
    settings: WalletSettings,
}

impl Wallet {
    /// Nothing is called yet.
    pub(crate) fn new(
        reader: Arc<Reader>,
        heads: Arc<Heads>,
        network: u16,
        key: Key,
        settings: WalletSettings,
    ) -> Result<Self, KeyError> {
        let address = key.address(network)?;
        Ok(Self { reader, heads, key, address, settings })
    }

    /// Largest extrinsic it signs, bytes.
    pub(crate) fn max_tx_bytes(&self) -> usize {
        self.settings.max_tx_bytes
    }
    /// The address.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The next nonce, in the state after the best block: what is in a block is spent, though it may not be final yet.
    pub(crate) async fn account_sequence(&self) -> Result<AccountSequence, ChainError> {
        let node = &self.reader.node;
        let Said { value, endpoint } =
            node.runtime("AccountNonceApi_account_nonce", &self.key.public_key(), None).await?;
        let nonce = match *value.as_slice() {
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]).into(),
            [a, b, c, d, e, f, g, h] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => return Err(node.malformed(&endpoint, "AccountNonceApi_account_nonce")),
        };
        // Chains count extrinsics in 32 bits; a larger number could only be meant for what stands beside it in an extrinsic.
        match u32::try_from(nonce) {
            Ok(nonce) => Ok(AccountSequence(nonce.into())),
            Err(_) => Err(node.lying(&endpoint, "nonce", nonce.to_string())),
        }
    }

    /// The free balance.
    pub(crate) async fn balance(&self) -> Result<(u128, String), ChainError> {
        let node = &self.reader.node;
        let id = self.key.public_key();
        let mut key = keys::value("System", "Account");
        key.extend(blake2_128(&id));
        key.extend(id);
        let best: Said<String> = node.must("chain_getBlockHash", ()).await?;
        let best = crate::substrate::wire::hash(&best.value)
            .ok_or_else(|| node.malformed(&best.endpoint, "chain_getBlockHash"))?;
        let Said { value, endpoint } = node.storage(&key, &best).await?;
        let Some(value) = value else { return Ok((0, self.settings.denom.clone())) };
        // Nonce and three counters, then what is free.
        let free = <([u32; 4], u128)>::decode(&mut value.as_slice());
        let (_, free) = free.map_err(|_| node.malformed(&endpoint, "account"))?;
        Ok((free, self.settings.denom.clone()))
    }

    /// Era, signature and fee.
    pub(crate) async fn prepare(&self, draft: &Draft, sequence: AccountSequence) -> Result<Signed, TxFailure> {
        let node = &self.reader.node;
        let era = self.era().await?;
        let runtime = self.reader.runtimes.current(&era.hash).await?;
        let messages = self.messages(draft).await?;
        let tip = self.settings.tip;
        let bytes = encode::signed(&runtime.offline, &self.key, messages, sequence.0, &era, tip).map_err(|error| {
            self.reader.runtimes.forget(&runtime);
            node.error(ChainErrorKind::Setup("the chain's runtime takes no IBC messages"), error)
        })?;
        if bytes.len() > self.settings.max_tx_bytes {
            return Err(TxFailure::TooLarge);
        }
        let (ref_time, fee) = self.cost(&bytes).await?;
        let fee = fee.saturating_add(tip);
        if self.settings.max_fee.is_some_and(|most| fee > most) {
            return Err(match draft.messages.len() {
                0..=2 => {
                    let what = "the fee is above `gas.max_fee`; raise it or lower `gas.tip`";
                    node.error(ChainErrorKind::Setup(what), fee.to_string()).into()
                }
                // Fewer messages cost less.
                _ => TxFailure::TooLarge,
            });
        }
        Ok(Signed {
            hash: TxHash(blake2_256(&bytes)),
            bytes: bytes.into(),
            account_sequence: sequence,
            gas: Gas(gas(ref_time)),
            fee: (fee, self.settings.denom.clone()),
            timeout_height: node.height(era.last()),
        })
    }

    /// From the newest final block on.
    async fn era(&self) -> Result<Era, ChainError> {
        let newest = match self.heads.newest() {
            Some(newest) => newest,
            None => self.heads.head().await?.height.number,
        };
        let node = &self.reader.node;
        let number = node.number(node.height(newest))?;
        let hash = match self.reader.light.trusts() {
            true => self.reader.light.block(number).await?.hash(),
            false => node.hash(number).await?.value,
        };
        Ok(Era::new(number, hash, self.settings.timeout_blocks))
    }

    /// The messages as the chain takes them. It checks what the other end's client holds of it by its own header.
    async fn messages(&self, draft: &Draft) -> Result<Vec<Any>, ChainError> {
        let mut all = Vec::with_capacity(draft.messages.len());
        for m in &draft.messages {
            let encoded = message::message(m, &self.address);
            all.push(match m {
                Message::ConnOpenTry { tracked_by, .. } | Message::ConnOpenAck { tracked_by, .. } => {
                    let number = self.reader.node.number(tracked_by.consensus_height)?;
                    let block = self.reader.light.block(number).await?;
                    message::with_host_state(encoded, &block.bytes)
                }
                _ => encoded,
            });
        }
        Ok(all)
    }

    /// Reference time and fee by the runtime's own reckoning; a runtime that asks no fee says none.
    async fn cost(&self, extrinsic: &[u8]) -> Result<(u64, u128), TxFailure> {
        let node = &self.reader.node;
        let length = u32::try_from(extrinsic.len()).map_err(|_| TxFailure::TooLarge)?;
        let argument = [extrinsic, &length.encode()].concat();
        let mut asked = node.runtime(QUERY_INFO, &argument, None).await;
        let refused = |asked: &Result<_, ChainError>| {
            matches!(asked, Err(ChainError { kind: ChainErrorKind::Refused { .. }, .. }))
        };
        if refused(&asked) && self.settings.max_fee.is_some() {
            // The bound holds, whatever one node refuses.
            for other in node.rpc().endpoints() {
                asked = node.only(&other).runtime(QUERY_INFO, &argument, None).await;
                if asked.is_ok() {
                    break;
                }
            }
        }
        let Said { value, endpoint } = match asked {
            asked if !refused(&asked) => asked?,
            _ if self.settings.max_fee.is_none() => return Ok((0, 0)),
            _ => {
                let what =
                    "no node says what extrinsics cost, and `gas.max_fee` bounds it; remove it on a chain without fees";
                return Err(node.error(ChainErrorKind::Setup(what), "").into());
            }
        };
        let info = <(Compact<u64>, Compact<u64>, u8, u128)>::decode(&mut value.as_slice());
        let (Compact(ref_time), _, _, fee) = info.map_err(|_| node.malformed(&endpoint, "query_info"))?;
        Ok((ref_time, fee))
    }

    /// Hands extrinsics to the node, in order.
    pub(crate) async fn submit(&self, signed: &[Signed]) -> Vec<Result<(), TxFailure>> {
        let results = submit::submit(&self.reader.node, signed).await;
        if results.iter().any(|result| matches!(result, Err(TxFailure::Expired))) {
            // The runtime may have been upgraded since, or what was told of it was wrong.
            self.reader.runtimes.doubt();
        }
        results
    }

    /// What became of an extrinsic, searched in the blocks that it can be in: those of an era that ends with `last`. Finality may have moved on by
    /// far more since.
    pub(crate) async fn outcome(&self, hash: TxHash, last: Height) -> Result<Outcome, ChainError> {
        let now = self.era().await?;
        let last = u32::try_from(last.number).unwrap_or(u32::MAX).min(now.number);
        submit::outcome(&self.reader, hash, last, now.blocks.max(OUTCOME_LEAST)).await
    }
}
