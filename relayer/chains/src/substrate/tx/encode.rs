//! A batch of messages as a signed extrinsic.
//!
//! `Ibc::deliver(messages)`, the protobuf of each message beside its type; nonce, era and tip as the runtime's metadata wants them. An
//! era starts at a block and lasts a power of two of blocks: the extrinsic can't be in a block after that. The metadata is a node's word, and what is
//! signed follows it: the call's arguments have to be the messages and nothing else, whatever types it gives them, and era, nonce and tip have to
//! follow each other, or one could be taken for another.

use ibc_proto::google::protobuf::Any;
use light_clients::grandpa::Hash;
use parity_scale_codec::{Compact, Encode};
use subxt::config::DefaultExtrinsicParamsBuilder;
use subxt::config::substrate::SubstrateConfig;
use subxt::transactions::StaticPayload;
use subxt::utils::H256;

use super::key::Key;
use super::limits::{ERA_LEAST, ERA_MOST};
use crate::substrate::extrinsic::DELIVER;
use crate::substrate::runtime::{IBC, Offline};

/// How long an extrinsic may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Era {
    /// The block it starts at.
    pub(crate) number: u32,
    /// That block's hash.
    pub(crate) hash: Hash,
    /// Blocks it lasts: a power of two.
    pub(crate) blocks: u64,
}

impl Era {
    /// From a block on, for about so many.
    pub(crate) fn new(number: u32, hash: Hash, blocks: u64) -> Self {
        Self { number, hash, blocks: blocks.clamp(ERA_LEAST, ERA_MOST).next_power_of_two() }
    }
    /// In SCALE: a mortal era is its length's logarithm, and the place of its first block among as many.
    fn encode(&self) -> [u8; 2] {
        let length = u16::try_from(self.blocks.trailing_zeros()).unwrap_or(u16::MAX).saturating_sub(1).clamp(1, 15);
        // Lengths up to 4,096 are told exactly.
        let place = u64::from(self.number) & self.blocks.saturating_sub(1);
        (length | u16::try_from(place).unwrap_or_default() << 4).to_le_bytes()
    }
    /// The last block it can be in.
    pub(crate) fn last(&self) -> u64 {
        u64::from(self.number).saturating_add(self.blocks).saturating_sub(1)
    }
}

/// The extrinsic in SCALE; an error says what the runtime does not have.
pub(crate) fn signed(
    runtime: &Offline,
    key: &Key,
    messages: Vec<Any>,
    nonce: u64,
    era: &Era,
    tip: u128,
) -> Result<Vec<u8>, String> {
    let messages: Vec<(Vec<u8>, Vec<u8>)> =
        messages.into_iter().map(|message| (message.type_url.into_bytes(), message.value)).collect();
    let arguments = messages.encode();
    let call = StaticPayload::new(IBC, DELIVER, (messages,));
    let told = runtime.transactions().call_data(&call).map_err(|error| error.to_string())?;
    // Module and call, a byte each.
    if told.get(2..) != Some(arguments.as_slice()) {
        return Err("`Ibc::deliver` does not take a list of messages, each two byte strings".to_owned());
    }
    let params = DefaultExtrinsicParamsBuilder::<SubstrateConfig>::new()
        .nonce(nonce)
        .tip(tip)
        .mortal_from_unchecked(era.blocks, era.number.into(), H256(era.hash))
        .build();
    let mut extrinsic =
        runtime.transactions().create_signable_offline(&call, params).map_err(|error| error.to_string())?;
    let bytes = extrinsic.sign(key).map(|signed| signed.into_encoded()).map_err(|error| error.to_string())?;
    let wanted = [&era.encode()[..], &Compact(nonce).encode(), &Compact(tip).encode()].concat();
    let before = bytes.len().saturating_sub(told.len());
    if !bytes.get(..before).unwrap_or_default().windows(wanted.len()).any(|part| part == wanted) {
        return Err("an extrinsic's era, nonce and tip do not follow each other".to_owned());
    }
    Ok(bytes)
}
