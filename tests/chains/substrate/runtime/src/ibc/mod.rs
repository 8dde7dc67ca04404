//! IBC on this chain: ibc-rs' handlers behind one call that says what became of each message.
//!
//! [`Call::deliver`] takes protobuf messages as ibc-go does. Each runs in a storage layer of its own: what fails is undone alone, and
//! [`Event::Delivered`] says for each message whether it was done. Only when an update of a client fails are the messages after it
//! left out, since they rest on it. Events of ibc-rs come out as [`Event::Emitted`] with CometBFT's names.
//!
//! ICS-24 values stand under `ibc/` and their path as raw keys of the main trie, encoded as ibc-go does: `state_getReadProof` shows them.
//! Besides, and not to be proven, [`PacketBlocks`] tells in which block a packet was sent or acknowledged.
//!
//! Bounds: [`MESSAGES`] a call, [`MESSAGE_BYTES`] a message; [`OWN_BLOCKS`] own states; [`TEXT_BYTES`] of a reason.

mod context;
mod crypto;
mod deliver;
mod own;
mod tendermint;
#[cfg(test)]
mod tests;
mod transfer;

use alloc::vec::Vec;

use codec::{Decode, DecodeWithMemTracking, Encode};
use frame_support::weights::Weight;
use frame_support::weights::constants::WEIGHT_REF_TIME_PER_MILLIS;
use ibc_core::handler::types::events::IbcEvent;
use ibc_core::host::types::error::HostError;
use scale_info::TypeInfo;
use sp_core::crypto::Ss58Codec;
use sp_runtime::AccountId32;

pub use context::Context;
pub use deliver::{Failure, Refused};
pub use own::{OwnAuthorities, OwnChange, OwnState};
pub use pallet::*;

/// What ICS-24's paths begin with; the commitment prefix.
pub const STORE_PREFIX: &[u8] = b"ibc/";
/// The native token's denomination.
pub const NATIVE: &[u8] = b"unit";
/// Messages of one call.
pub const MESSAGES: usize = 200;
/// Bytes of one message: a header of 200 validators with room.
pub const MESSAGE_BYTES: usize = 1 << 18;
/// Blocks whose consensus state can be shown: as many as the system pallet knows the hashes of.
pub const OWN_BLOCKS: u32 = 2_400;
/// Bytes of a reason.
pub const TEXT_BYTES: usize = 256;

/// A protobuf `Any`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Message {
    /// Which message.
    pub type_url: Vec<u8>,
    /// Its fields.
    pub value: Vec<u8>,
}

/// What of a packet happened in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum PacketEvent {
    /// It was sent.
    Sent,
    /// It was received and its acknowledgement written.
    AckWritten,
}

/// An account, written in SS58 or as `0x` and its public key's digits.
pub(crate) fn address(text: &str) -> Result<AccountId32, HostError> {
    let bad = || HostError::invalid_state("no account: neither SS58 nor 0x and 64 digits");
    if text.starts_with("0x") {
        let bytes: [u8; 32] = sp_core::bytes::from_hex(text).ok().and_then(|b| b.try_into().ok()).ok_or_else(bad)?;
        return Ok(AccountId32::new(bytes));
    }
    AccountId32::from_ss58check(text).map_err(|_| bad())
}

/// What messages may take: an update checks signatures, the rest a proof.
fn weight_of(messages: &[Message]) -> Weight {
    let one = |message: &Message| match message.type_url.ends_with(b"MsgUpdateClient") {
        true => 20 * WEIGHT_REF_TIME_PER_MILLIS,
        false => 4 * WEIGHT_REF_TIME_PER_MILLIS,
    };
    Weight::from_parts(messages.iter().map(one).fold(WEIGHT_REF_TIME_PER_MILLIS, u64::saturating_add), 0)
}

#[frame_support::pallet]
pub mod pallet {
    use core::time::Duration;

    use frame_support::pallet_prelude::*;
    use frame_support::traits::fungible::Mutate;
    use frame_system::pallet_prelude::*;
    use sp_consensus_grandpa::AuthorityList;
    use sp_core::H256;
    use sp_io::hashing::blake2_256;

    use super::*;

    #[pallet::pallet]
    #[pallet::without_storage_info]
    pub struct Pallet<T>(_);

    /// What the pallet needs of its runtime.
    #[pallet::config]
    pub trait Config:
        frame_system::Config<RuntimeEvent: From<Event<Self>>, AccountId = AccountId32, Hash = H256>
        + pallet_timestamp::Config<Moment = u64>
        + pallet_grandpa::Config
    {
        /// The native token.
        type Currency: Mutate<AccountId32, Balance = u128>;
        /// The chain's name, as clients of it hold it.
        const CHAIN_ID: &'static [u8];
        /// From one block to the next, at least.
        const BLOCK_TIME: Duration;
    }

    /// Client, (revision, number) -> (our time ns, our revision, our number) of the update.
    #[pallet::storage]
    pub type UpdateMeta<T: Config> =
        StorageDoubleMap<_, Twox64Concat, Vec<u8>, Twox64Concat, (u64, u64), (u64, u64, u64)>;

    /// Denomination with its trace, account -> amount.
    #[pallet::storage]
    pub type Vouchers<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, Vec<u8>, Blake2_128Concat, AccountId32, u128, ValueQuery>;

    /// Who finalizes the next block.
    #[pallet::storage]
    pub type OwnSet<T: Config> = StorageValue<_, OwnAuthorities>;

    /// What the last blocks know of themselves.
    #[pallet::storage]
    pub type OwnBlocks<T: Config> = StorageMap<_, Twox64Concat, u32, OwnState>;

    /// Port, channel, what, sequence -> the block in which it happened.
    #[pallet::storage]
    pub type PacketBlocks<T: Config> = StorageMap<_, Blake2_128Concat, (Vec<u8>, Vec<u8>, PacketEvent, u64), u32>;

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// An IBC event of the message at this place of the call, named as CometBFT chains name it.
        Emitted {
            /// The message's place.
            index: u32,
            /// `send_packet`, `update_client`, ...
            kind: Vec<u8>,
            /// Keys and values.
            attributes: Vec<(Vec<u8>, Vec<u8>)>,
        },
        /// What became of the message at this place of the call.
        Delivered {
            /// The message's place.
            index: u32,
            /// Done, or why not: then nothing of it was done.
            result: Result<(), Refused>,
        },
        /// Another set of authorities comes.
        AuthoritiesScheduled {
            /// Its number, unless it is forced on the chain.
            set_id: u64,
            /// Last block of the present ones.
            effective: u32,
        },
    }

    /// Why a call was refused as a whole.
    #[pallet::error]
    pub enum Error<T> {
        /// No message, too many or one too large.
        Messages,
        /// No authority, or one without weight.
        Authorities,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T>
    where
        BlockNumberFor<T>: Into<u32>,
    {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            if OwnSet::<T>::get().is_none() {
                let list: AuthorityList = pallet_grandpa::Pallet::<T>::grandpa_authorities();
                let authorities_hash = blake2_256(&list.encode());
                OwnSet::<T>::put(OwnAuthorities { set_id: 0, authorities_hash, change: None });
            }
            T::DbWeight::get().reads_writes(2, 3)
        }

        fn on_finalize(number: BlockNumberFor<T>) {
            own::keep::<T>(number.into());
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T>
    where
        BlockNumberFor<T>: From<u32> + Into<u32>,
    {
        /// Delivers messages of IBC in their order. See the module.
        #[pallet::call_index(0)]
        #[pallet::weight(weight_of(messages))]
        pub fn deliver(origin: OriginFor<T>, messages: Vec<Message>) -> DispatchResult {
            let signer = ensure_signed(origin)?;
            let fits = |message: &Message| message.value.len() <= MESSAGE_BYTES && message.type_url.len() <= TEXT_BYTES;
            ensure!((1..=MESSAGES).contains(&messages.len()) && messages.iter().all(fits), Error::<T>::Messages);
            for (index, result) in (0..).zip(deliver::all::<T>(&signer, messages)) {
                Self::deposit_event(Event::Delivered { index, result });
            }
            Ok(())
        }

        /// Hands finality over to other authorities after so many blocks. With `forced`, as if the present ones had
        /// stopped: the median of their last finalized blocks.
        #[pallet::call_index(1)]
        #[pallet::weight(Weight::from_parts(WEIGHT_REF_TIME_PER_MILLIS, 0))]
        pub fn schedule_authorities(
            origin: OriginFor<T>,
            authorities: AuthorityList,
            delay: u32,
            forced: Option<u32>,
        ) -> DispatchResult {
            ensure_root(origin)?;
            ensure!(
                !authorities.is_empty() && authorities.iter().all(|(_, weight)| *weight > 0),
                Error::<T>::Authorities
            );
            let authorities_hash = blake2_256(&authorities.encode());
            pallet_grandpa::Pallet::<T>::schedule_change(authorities, delay.into(), forced.map(Into::into))?;
            let now: u32 = frame_system::Pallet::<T>::block_number().into();
            let effective = now.saturating_add(delay);
            let Some(set) = OwnSet::<T>::get() else { return Ok(()) };
            if forced.is_none() {
                OwnSet::<T>::put(OwnAuthorities { change: Some(OwnChange { effective, authorities_hash }), ..set });
            }
            Self::deposit_event(Event::AuthoritiesScheduled { set_id: set.set_id.saturating_add(1), effective });
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// An event of ibc-rs, and where to find a packet's block later.
        pub(super) fn emit(index: u32, event: IbcEvent) -> Result<(), HostError> {
            let packet = match &event {
                IbcEvent::SendPacket(sent) => {
                    Some((sent.port_id_on_a(), sent.chan_id_on_a(), PacketEvent::Sent, sent.seq_on_a()))
                }
                IbcEvent::WriteAcknowledgement(written) => {
                    Some((written.port_id_on_b(), written.chan_id_on_b(), PacketEvent::AckWritten, written.seq_on_a()))
                }
                _ => None,
            };
            if let Some((port, channel, what, sequence)) = packet {
                let bytes = |text: &str| text.as_bytes().to_vec();
                let key = (bytes(port.as_str()), bytes(channel.as_str()), what, sequence.value());
                let number = frame_system::Pallet::<T>::block_number();
                PacketBlocks::<T>::insert(key, sp_runtime::SaturatedConversion::saturated_into::<u32>(number));
            }
            let event = ::tendermint::abci::Event::try_from(event).map_err(context::invalid)?;
            let attributes = event.attributes.iter().map(|a| (a.key_bytes().to_vec(), a.value_bytes().to_vec()));
            let attributes = attributes.collect();
            Self::deposit_event(Event::Emitted { index, kind: event.kind.into_bytes(), attributes });
            Ok(())
        }
    }
}
