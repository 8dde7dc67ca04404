//! Connections, channels and packets where ibc-go keeps them (ICS-24).

use std::time::Duration;

use ibc_client_tendermint::client_state::ClientState;
use ibc_client_tendermint::consensus_state::ConsensusState;
use ibc_core::channel::types::channel::ChannelEnd;
use ibc_core::channel::types::commitment::{AcknowledgementCommitment, PacketCommitment};
use ibc_core::channel::types::packet::Receipt;
use ibc_core::client::types::Height;
use ibc_core::commitment_types::commitment::CommitmentPrefix;
use ibc_core::commitment_types::specs::ProofSpecs;
use ibc_core::connection::types::ConnectionEnd;
use ibc_core::handler::types::events::IbcEvent;
use ibc_core::host::types::error::HostError;
use ibc_core::host::types::identifiers::{ConnectionId, Sequence};
use ibc_core::host::types::path::{
    AckPath, ChannelEndPath, ClientConnectionPath, CommitmentPath, ConnectionPath, NextChannelSequencePath,
    NextClientSequencePath, NextConnectionSequencePath, ReceiptPath, SeqAckPath, SeqRecvPath, SeqSendPath,
};
use ibc_core::host::{ExecutionContext, ValidationContext};
use ibc_core::primitives::proto::Protobuf;
use ibc_core::primitives::{Signer, Timestamp};

use super::{Context, IBC, event};

impl Context<'_> {
    pub(super) fn read(&self, path: &impl ToString) -> Option<Vec<u8>> {
        self.work.borrow().store.get(IBC, path.to_string().as_bytes()).map(<[u8]>::to_vec)
    }

    pub(super) fn need(&self, path: &impl ToString) -> Result<Vec<u8>, HostError> {
        self.read(path).ok_or_else(|| HostError::missing_state(format!("{} not found", path.to_string())))
    }

    pub(super) fn write(&self, path: &impl ToString, value: Vec<u8>) {
        self.work.borrow_mut().store.set(IBC, path.to_string().into_bytes(), value);
    }

    pub(super) fn remove(&self, path: &impl ToString) {
        self.work.borrow_mut().store.delete(IBC, path.to_string().as_bytes());
    }

    fn number(&self, path: &impl ToString) -> Result<Option<u64>, HostError> {
        let Some(value) = self.read(path) else { return Ok(None) };
        let bytes = value.try_into().map_err(|_| HostError::invalid_state(path.to_string()))?;
        Ok(Some(u64::from_be_bytes(bytes)))
    }

    fn sequence(&self, path: &impl ToString) -> Result<Sequence, HostError> {
        let number = self.number(path)?;
        number.map(Sequence::from).ok_or_else(|| HostError::missing_state(format!("{} not found", path.to_string())))
    }

    fn increase(&self, path: &impl ToString) -> Result<(), HostError> {
        let number = self.number(path)?.unwrap_or(0);
        self.write(path, (number + 1).to_be_bytes().to_vec());
        Ok(())
    }

    pub(super) fn height(&self) -> Result<Height, HostError> {
        Height::new(self.host.revision, self.host.height).map_err(HostError::invalid_state)
    }

    pub(super) fn time(&self) -> Result<Timestamp, HostError> {
        let nanos = u64::try_from(self.host.time.unix_timestamp_nanos()).map_err(HostError::invalid_state)?;
        Ok(Timestamp::from_nanoseconds(nanos))
    }
}

impl ValidationContext for Context<'_> {
    type V = Self;
    type HostClientState = ClientState;
    type HostConsensusState = ConsensusState;

    fn get_client_validation_context(&self) -> &Self {
        self
    }
    fn host_height(&self) -> Result<Height, HostError> {
        self.height()
    }
    fn host_timestamp(&self) -> Result<Timestamp, HostError> {
        self.time()
    }
    fn host_consensus_state(&self, height: &Height) -> Result<ConsensusState, HostError> {
        let own = self.host.own.get(&height.revision_height());
        let own = own.filter(|_| height.revision_number() == self.host.revision);
        own.cloned().ok_or_else(|| HostError::missing_state(format!("own consensus state of {height} not found")))
    }
    fn client_counter(&self) -> Result<u64, HostError> {
        Ok(self.number(&NextClientSequencePath)?.unwrap_or(0))
    }
    fn connection_end(&self, id: &ConnectionId) -> Result<ConnectionEnd, HostError> {
        ConnectionEnd::decode_vec(&self.need(&ConnectionPath::new(id))?).map_err(HostError::invalid_state)
    }
    /// As ibc-go's `ValidateSelfClient` before v8.
    fn validate_self_client(&self, client: ClientState) -> Result<(), HostError> {
        let client = client.inner();
        let refused = |what: &str| Err(HostError::invalid_state(format!("client of this chain: {what}")));
        if client.frozen_height.is_some() {
            return refused("is frozen");
        }
        if client.chain_id.as_str() != self.host.chain_id {
            return refused("is of another chain id");
        }
        let latest = client.latest_height;
        if latest.revision_number() != self.host.revision || latest.revision_height() >= self.host.height {
            return refused("is not behind this chain");
        }
        if client.proof_specs != ProofSpecs::cosmos() {
            return refused("has other proof specs");
        }
        if client.unbonding_period != self.host.unbonding || client.trusting_period > client.unbonding_period {
            return refused("has other periods");
        }
        Ok(())
    }
    fn commitment_prefix(&self) -> CommitmentPrefix {
        IBC.as_bytes().to_vec().into()
    }
    fn connection_counter(&self) -> Result<u64, HostError> {
        Ok(self.number(&NextConnectionSequencePath)?.unwrap_or(0))
    }
    fn channel_end(&self, path: &ChannelEndPath) -> Result<ChannelEnd, HostError> {
        ChannelEnd::decode_vec(&self.need(path)?).map_err(HostError::invalid_state)
    }
    fn get_next_sequence_send(&self, path: &SeqSendPath) -> Result<Sequence, HostError> {
        self.sequence(path)
    }
    fn get_next_sequence_recv(&self, path: &SeqRecvPath) -> Result<Sequence, HostError> {
        self.sequence(path)
    }
    fn get_next_sequence_ack(&self, path: &SeqAckPath) -> Result<Sequence, HostError> {
        self.sequence(path)
    }
    fn get_packet_commitment(&self, path: &CommitmentPath) -> Result<PacketCommitment, HostError> {
        Ok(self.need(path)?.into())
    }
    fn get_packet_receipt(&self, path: &ReceiptPath) -> Result<Receipt, HostError> {
        Ok(if self.read(path).is_some() { Receipt::Ok } else { Receipt::None })
    }
    fn get_packet_acknowledgement(&self, path: &AckPath) -> Result<AcknowledgementCommitment, HostError> {
        Ok(self.need(path)?.into())
    }
    fn channel_counter(&self) -> Result<u64, HostError> {
        Ok(self.number(&NextChannelSequencePath)?.unwrap_or(0))
    }
    fn max_expected_time_per_block(&self) -> Duration {
        Duration::from_secs(30)
    }
    /// Checked with the transaction's signature.
    fn validate_message_signer(&self, _: &Signer) -> Result<(), HostError> {
        Ok(())
    }
}

impl ExecutionContext for Context<'_> {
    type E = Self;

    fn get_client_execution_context(&mut self) -> &mut Self {
        self
    }
    fn increase_client_counter(&mut self) -> Result<(), HostError> {
        self.increase(&NextClientSequencePath)
    }
    fn store_connection(&mut self, path: &ConnectionPath, end: ConnectionEnd) -> Result<(), HostError> {
        self.write(path, end.encode_vec());
        Ok(())
    }
    fn store_connection_to_client(&mut self, path: &ClientConnectionPath, id: ConnectionId) -> Result<(), HostError> {
        self.write(path, id.as_str().as_bytes().to_vec());
        Ok(())
    }
    fn increase_connection_counter(&mut self) -> Result<(), HostError> {
        self.increase(&NextConnectionSequencePath)
    }
    fn store_packet_commitment(&mut self, path: &CommitmentPath, value: PacketCommitment) -> Result<(), HostError> {
        self.write(path, value.into_vec());
        Ok(())
    }
    fn delete_packet_commitment(&mut self, path: &CommitmentPath) -> Result<(), HostError> {
        self.remove(path);
        Ok(())
    }
    fn store_packet_receipt(&mut self, path: &ReceiptPath, _: Receipt) -> Result<(), HostError> {
        self.write(path, vec![1]);
        Ok(())
    }
    fn store_packet_acknowledgement(
        &mut self,
        path: &AckPath,
        value: AcknowledgementCommitment,
    ) -> Result<(), HostError> {
        self.write(path, value.into_vec());
        Ok(())
    }
    fn delete_packet_acknowledgement(&mut self, path: &AckPath) -> Result<(), HostError> {
        self.remove(path);
        Ok(())
    }
    fn store_channel(&mut self, path: &ChannelEndPath, end: ChannelEnd) -> Result<(), HostError> {
        self.write(path, end.encode_vec());
        Ok(())
    }
    fn store_next_sequence_send(&mut self, path: &SeqSendPath, seq: Sequence) -> Result<(), HostError> {
        self.write(path, seq.value().to_be_bytes().to_vec());
        Ok(())
    }
    fn store_next_sequence_recv(&mut self, path: &SeqRecvPath, seq: Sequence) -> Result<(), HostError> {
        self.write(path, seq.value().to_be_bytes().to_vec());
        Ok(())
    }
    fn store_next_sequence_ack(&mut self, path: &SeqAckPath, seq: Sequence) -> Result<(), HostError> {
        self.write(path, seq.value().to_be_bytes().to_vec());
        Ok(())
    }
    fn increase_channel_counter(&mut self) -> Result<(), HostError> {
        self.increase(&NextChannelSequencePath)
    }
    fn emit_ibc_event(&mut self, event: IbcEvent) -> Result<(), HostError> {
        let events = event::events(self, event)?;
        self.work.borrow_mut().events.extend(events);
        Ok(())
    }
    fn log_message(&mut self, _: String) -> Result<(), HostError> {
        Ok(())
    }
}
