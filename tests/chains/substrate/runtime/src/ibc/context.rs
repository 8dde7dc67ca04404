//! What ibc-rs' handlers see of this chain: state under `ibc/` and ICS-24's paths, as raw keys of the main trie, so that a storage proof of
//! one key shows one value. Values are as ibc-go stores them.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Debug;
use core::marker::PhantomData;
use core::time::Duration;

use frame_support::storage::unhashed;
use ibc_core::channel::types::channel::ChannelEnd;
use ibc_core::channel::types::commitment::{AcknowledgementCommitment, PacketCommitment};
use ibc_core::channel::types::packet::Receipt;
use ibc_core::client::context::{ClientExecutionContext, ClientValidationContext, ExtClientValidationContext};
use ibc_core::client::types::Height;
use ibc_core::commitment_types::commitment::CommitmentPrefix;
use ibc_core::connection::types::ConnectionEnd;
use ibc_core::handler::types::events::IbcEvent;
use ibc_core::host::types::error::HostError;
use ibc_core::host::types::identifiers::{ClientId, ConnectionId, Sequence};
use ibc_core::host::types::path::{
    AckPath, ChannelEndPath, ClientConnectionPath, ClientConsensusStatePath, ClientStatePath, CommitmentPath,
    ConnectionPath, NextChannelSequencePath, NextClientSequencePath, NextConnectionSequencePath, ReceiptPath,
    SeqAckPath, SeqRecvPath, SeqSendPath,
};
use ibc_core::host::{ExecutionContext, ValidationContext};
use ibc_core::primitives::proto::{Any, Protobuf};
use ibc_core::primitives::{Signer, Timestamp};
use prost::Message as _;
use sp_runtime::{AccountId32, SaturatedConversion};

use super::own::{self, OwnClient, OwnConsensus};
use super::tendermint::{AnyClientState, AnyConsensusState};
use super::{Config, Pallet, STORE_PREFIX, UpdateMeta, address};

/// The host while it works on one message.
pub struct Context<T> {
    /// Place of the message in its call.
    index: u32,
    /// Who signed the extrinsic.
    signer: AccountId32,
    /// Our own header, for a message that shows our consensus state.
    own_header: Option<Vec<u8>>,
    marker: PhantomData<T>,
}

impl<T> Context<T> {
    /// For the message at this place.
    pub(super) fn new(index: u32, signer: AccountId32, own_header: Option<Vec<u8>>) -> Self {
        Self { index, signer, own_header, marker: PhantomData }
    }
}

fn key(path: &impl ToString) -> Vec<u8> {
    [STORE_PREFIX, path.to_string().as_bytes()].concat()
}

fn get(path: &impl ToString) -> Option<Vec<u8>> {
    unhashed::get_raw(&key(path))
}

fn put(path: &impl ToString, value: &[u8]) {
    unhashed::put_raw(&key(path), value);
}

fn remove(path: &impl ToString) {
    unhashed::kill(&key(path));
}

fn found(path: &impl ToString) -> Result<Vec<u8>, HostError> {
    get(path).ok_or_else(|| HostError::missing_state(path.to_string()))
}

pub(super) fn invalid(why: impl Debug) -> HostError {
    HostError::invalid_state(format!("{why:?}"))
}

fn any(path: &impl ToString) -> Result<Any, HostError> {
    Any::decode(found(path)?.as_slice()).map_err(invalid)
}

fn sequence(path: &impl ToString) -> Result<Sequence, HostError> {
    let bytes: [u8; 8] = found(path)?.try_into().map_err(invalid)?;
    Ok(u64::from_be_bytes(bytes).into())
}

fn counter(path: &impl ToString) -> u64 {
    get(path).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}

fn count(path: &impl ToString) {
    put(path, &counter(path).saturating_add(1).to_be_bytes());
}

fn meta_key(id: &ClientId) -> Vec<u8> {
    id.as_str().as_bytes().to_vec()
}

fn height_key(height: &Height) -> (u64, u64) {
    (height.revision_number(), height.revision_height())
}

impl<T: Config> Context<T> {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanoseconds(pallet_timestamp::Now::<T>::get().saturating_mul(1_000_000))
    }

    fn height(&self) -> Result<Height, HostError> {
        Height::new(0, frame_system::Pallet::<T>::block_number().saturated_into()).map_err(invalid)
    }

    fn heights(&self, id: &ClientId) -> Vec<Height> {
        let known = UpdateMeta::<T>::iter_key_prefix(meta_key(id));
        let mut known: Vec<Height> =
            known.filter_map(|(revision, number)| Height::new(revision, number).ok()).collect();
        known.sort();
        known
    }

    fn consensus_at(&self, id: &ClientId, height: &Height) -> Result<AnyConsensusState, HostError> {
        let (revision, number) = height_key(height);
        self.consensus_state(&ClientConsensusStatePath::new(id.clone(), revision, number))
    }
}

impl<T: Config> ClientValidationContext for Context<T> {
    type ClientStateRef = AnyClientState;
    type ConsensusStateRef = AnyConsensusState;

    fn client_state(&self, id: &ClientId) -> Result<AnyClientState, HostError> {
        any(&ClientStatePath::new(id.clone()))?.try_into().map_err(invalid)
    }
    fn consensus_state(&self, path: &ClientConsensusStatePath) -> Result<AnyConsensusState, HostError> {
        any(path)?.try_into().map_err(invalid)
    }
    fn client_update_meta(&self, id: &ClientId, height: &Height) -> Result<(Timestamp, Height), HostError> {
        let meta = UpdateMeta::<T>::get(meta_key(id), height_key(height));
        let (time, revision, number) = meta.ok_or_else(|| HostError::missing_state("when the client was updated"))?;
        Ok((Timestamp::from_nanoseconds(time), Height::new(revision, number).map_err(invalid)?))
    }
}

impl<T: Config> ClientExecutionContext for Context<T> {
    type ClientStateMut = AnyClientState;

    fn store_client_state(&mut self, path: ClientStatePath, state: AnyClientState) -> Result<(), HostError> {
        put(&path, &Any::from(state).encode_to_vec());
        Ok(())
    }
    fn store_consensus_state(
        &mut self,
        path: ClientConsensusStatePath,
        state: AnyConsensusState,
    ) -> Result<(), HostError> {
        put(&path, &Any::from(state).encode_to_vec());
        Ok(())
    }
    fn delete_consensus_state(&mut self, path: ClientConsensusStatePath) -> Result<(), HostError> {
        remove(&path);
        Ok(())
    }
    fn store_update_meta(
        &mut self,
        id: ClientId,
        height: Height,
        time: Timestamp,
        host: Height,
    ) -> Result<(), HostError> {
        let (revision, number) = height_key(&host);
        UpdateMeta::<T>::insert(meta_key(&id), height_key(&height), (time.nanoseconds(), revision, number));
        Ok(())
    }
    fn delete_update_meta(&mut self, id: ClientId, height: Height) -> Result<(), HostError> {
        UpdateMeta::<T>::remove(meta_key(&id), height_key(&height));
        Ok(())
    }
}

impl<T: Config> ExtClientValidationContext for Context<T> {
    fn host_timestamp(&self) -> Result<Timestamp, HostError> {
        Ok(self.now())
    }
    fn host_height(&self) -> Result<Height, HostError> {
        self.height()
    }
    fn consensus_state_heights(&self, id: &ClientId) -> Result<Vec<Height>, HostError> {
        Ok(self.heights(id))
    }
    fn next_consensus_state(&self, id: &ClientId, than: &Height) -> Result<Option<AnyConsensusState>, HostError> {
        self.heights(id).iter().find(|height| *height > than).map(|height| self.consensus_at(id, height)).transpose()
    }
    fn prev_consensus_state(&self, id: &ClientId, than: &Height) -> Result<Option<AnyConsensusState>, HostError> {
        let known = self.heights(id);
        known.iter().rev().find(|height| *height < than).map(|height| self.consensus_at(id, height)).transpose()
    }
}

impl<T: Config> ValidationContext for Context<T> {
    type V = Self;
    type HostClientState = OwnClient;
    type HostConsensusState = OwnConsensus;

    fn get_client_validation_context(&self) -> &Self {
        self
    }
    fn host_height(&self) -> Result<Height, HostError> {
        self.height()
    }
    fn host_timestamp(&self) -> Result<Timestamp, HostError> {
        Ok(self.now())
    }
    fn host_consensus_state(&self, height: &Height) -> Result<OwnConsensus, HostError> {
        own::consensus_state::<T>(height, self.own_header.as_deref())
    }
    fn client_counter(&self) -> Result<u64, HostError> {
        Ok(counter(&NextClientSequencePath))
    }
    fn connection_end(&self, id: &ConnectionId) -> Result<ConnectionEnd, HostError> {
        ConnectionEnd::decode_vec(&found(&ConnectionPath::new(id))?).map_err(invalid)
    }
    fn validate_self_client(&self, client: OwnClient) -> Result<(), HostError> {
        own::validate::<T>(&client, self.height()?)
    }
    fn commitment_prefix(&self) -> CommitmentPrefix {
        STORE_PREFIX.to_vec().into()
    }
    fn connection_counter(&self) -> Result<u64, HostError> {
        Ok(counter(&NextConnectionSequencePath))
    }
    fn channel_end(&self, path: &ChannelEndPath) -> Result<ChannelEnd, HostError> {
        ChannelEnd::decode_vec(&found(path)?).map_err(invalid)
    }
    fn get_next_sequence_send(&self, path: &SeqSendPath) -> Result<Sequence, HostError> {
        sequence(path)
    }
    fn get_next_sequence_recv(&self, path: &SeqRecvPath) -> Result<Sequence, HostError> {
        sequence(path)
    }
    fn get_next_sequence_ack(&self, path: &SeqAckPath) -> Result<Sequence, HostError> {
        sequence(path)
    }
    fn get_packet_commitment(&self, path: &CommitmentPath) -> Result<PacketCommitment, HostError> {
        found(path).map(PacketCommitment::from)
    }
    fn get_packet_receipt(&self, path: &ReceiptPath) -> Result<Receipt, HostError> {
        Ok(if get(path).is_some() { Receipt::Ok } else { Receipt::None })
    }
    fn get_packet_acknowledgement(&self, path: &AckPath) -> Result<AcknowledgementCommitment, HostError> {
        found(path).map(AcknowledgementCommitment::from)
    }
    fn channel_counter(&self) -> Result<u64, HostError> {
        Ok(counter(&NextChannelSequencePath))
    }
    fn max_expected_time_per_block(&self) -> Duration {
        T::BLOCK_TIME
    }
    fn validate_message_signer(&self, signer: &Signer) -> Result<(), HostError> {
        match address(signer.as_ref())? == self.signer {
            true => Ok(()),
            false => Err(HostError::invalid_state("the message names another signer than the extrinsic has")),
        }
    }
}

impl<T: Config> ExecutionContext for Context<T> {
    type E = Self;

    fn get_client_execution_context(&mut self) -> &mut Self {
        self
    }
    fn increase_client_counter(&mut self) -> Result<(), HostError> {
        count(&NextClientSequencePath);
        Ok(())
    }
    fn store_connection(&mut self, path: &ConnectionPath, end: ConnectionEnd) -> Result<(), HostError> {
        put(path, &end.encode_vec());
        Ok(())
    }
    fn store_connection_to_client(&mut self, path: &ClientConnectionPath, id: ConnectionId) -> Result<(), HostError> {
        put(path, id.as_str().as_bytes());
        Ok(())
    }
    fn increase_connection_counter(&mut self) -> Result<(), HostError> {
        count(&NextConnectionSequencePath);
        Ok(())
    }
    fn store_packet_commitment(
        &mut self,
        path: &CommitmentPath,
        commitment: PacketCommitment,
    ) -> Result<(), HostError> {
        put(path, &commitment.into_vec());
        Ok(())
    }
    fn delete_packet_commitment(&mut self, path: &CommitmentPath) -> Result<(), HostError> {
        remove(path);
        Ok(())
    }
    fn store_packet_receipt(&mut self, path: &ReceiptPath, _: Receipt) -> Result<(), HostError> {
        put(path, &[1]);
        Ok(())
    }
    fn store_packet_acknowledgement(
        &mut self,
        path: &AckPath,
        commitment: AcknowledgementCommitment,
    ) -> Result<(), HostError> {
        put(path, &commitment.into_vec());
        Ok(())
    }
    fn delete_packet_acknowledgement(&mut self, path: &AckPath) -> Result<(), HostError> {
        remove(path);
        Ok(())
    }
    fn store_channel(&mut self, path: &ChannelEndPath, end: ChannelEnd) -> Result<(), HostError> {
        put(path, &end.encode_vec());
        Ok(())
    }
    fn store_next_sequence_send(&mut self, path: &SeqSendPath, sequence: Sequence) -> Result<(), HostError> {
        put(path, &sequence.value().to_be_bytes());
        Ok(())
    }
    fn store_next_sequence_recv(&mut self, path: &SeqRecvPath, sequence: Sequence) -> Result<(), HostError> {
        put(path, &sequence.value().to_be_bytes());
        Ok(())
    }
    fn store_next_sequence_ack(&mut self, path: &SeqAckPath, sequence: Sequence) -> Result<(), HostError> {
        put(path, &sequence.value().to_be_bytes());
        Ok(())
    }
    fn increase_channel_counter(&mut self) -> Result<(), HostError> {
        count(&NextChannelSequencePath);
        Ok(())
    }
    fn emit_ibc_event(&mut self, event: IbcEvent) -> Result<(), HostError> {
        Pallet::<T>::emit(self.index, event)
    }
    fn log_message(&mut self, message: String) -> Result<(), HostError> {
        log::trace!(target: "ibc", "{message}");
        Ok(())
    }
}
