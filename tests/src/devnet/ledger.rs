//! What a chain's state says about coins, channels and packets.

use ibc_proto::cosmos::auth::v1beta1::{BaseAccount, QueryAccountRequest, QueryAccountResponse};
use ibc_proto::cosmos::bank::v1beta1::{
    QueryAllBalancesRequest, QueryAllBalancesResponse, QueryBalanceRequest, QueryBalanceResponse,
};
use ibc_proto::cosmos::base::query::v1beta1::PageRequest;
use ibc_proto::ibc::core::channel::v1::{
    IdentifiedChannel, QueryChannelsRequest, QueryChannelsResponse, QueryPacketAcknowledgementsRequest,
    QueryPacketAcknowledgementsResponse, QueryPacketCommitmentsRequest, QueryPacketCommitmentsResponse,
    QueryUnreceivedPacketsRequest, QueryUnreceivedPacketsResponse,
};
use ibc_proto::ibc::core::client::v1::{QueryClientStatusRequest, QueryClientStatusResponse};
use prost::Message;

use super::node::Node;
use crate::{DevnetError, limits};

impl Node {
    /// An account's balance in one denomination.
    ///
    /// # Errors
    /// As [`Node::query`].
    pub async fn balance(&self, address: &str, denom: &str) -> Result<u128, DevnetError> {
        let request = QueryBalanceRequest { address: address.to_owned(), denom: denom.to_owned() };
        let answer: QueryBalanceResponse = self.query("/cosmos.bank.v1beta1.Query/Balance", &request).await?;
        answer.balance.map_or(Ok(0), |coin| amount(&coin.amount))
    }

    /// All an account owns: denomination (vouchers: `ibc/<hash>`) and amount.
    ///
    /// # Errors
    /// As [`Node::query`].
    pub async fn balances(&self, address: &str) -> Result<Vec<(String, u128)>, DevnetError> {
        let request = QueryAllBalancesRequest { address: address.to_owned(), pagination: page(), ..Default::default() };
        let answer: QueryAllBalancesResponse = self.query("/cosmos.bank.v1beta1.Query/AllBalances", &request).await?;
        answer.balances.into_iter().map(|coin| Ok((coin.denom, amount(&coin.amount)?))).collect()
    }

    /// An account's number and its next sequence.
    ///
    /// # Errors
    /// As [`Node::query`]; an account that never held a coin doesn't exist.
    pub async fn account(&self, address: &str) -> Result<(u64, u64), DevnetError> {
        let path = "/cosmos.auth.v1beta1.Query/Account";
        let request = QueryAccountRequest { address: address.to_owned() };
        let answer: QueryAccountResponse = self.query(path, &request).await?;
        let bytes = answer.account.map(|any| any.value).unwrap_or_default();
        let account = BaseAccount::decode(bytes.as_slice()).map_err(|e| DevnetError::decode(path, e))?;
        Ok((account.account_number, account.sequence))
    }

    /// All channels.
    ///
    /// # Errors
    /// As [`Node::query`].
    pub async fn channels(&self) -> Result<Vec<IdentifiedChannel>, DevnetError> {
        let request = QueryChannelsRequest { pagination: page() };
        let answer: QueryChannelsResponse = self.query("/ibc.core.channel.v1.Query/Channels", &request).await?;
        Ok(answer.channels)
    }

    /// The sequences of packets sent on this channel and neither acknowledged nor timed out.
    ///
    /// # Errors
    /// As [`Node::query`].
    pub async fn packet_commitments(&self, port: &str, channel: &str) -> Result<Vec<u64>, DevnetError> {
        let request = QueryPacketCommitmentsRequest {
            port_id: port.to_owned(),
            channel_id: channel.to_owned(),
            pagination: page(),
        };
        let path = "/ibc.core.channel.v1.Query/PacketCommitments";
        let answer: QueryPacketCommitmentsResponse = self.query(path, &request).await?;
        Ok(sorted(answer.commitments.iter().map(|c| c.sequence)))
    }

    /// The sequences of packets received on this channel whose acknowledgement is written.
    ///
    /// # Errors
    /// As [`Node::query`].
    pub async fn packet_acknowledgements(&self, port: &str, channel: &str) -> Result<Vec<u64>, DevnetError> {
        let request = QueryPacketAcknowledgementsRequest {
            port_id: port.to_owned(),
            channel_id: channel.to_owned(),
            pagination: page(),
            packet_commitment_sequences: Vec::new(),
        };
        let path = "/ibc.core.channel.v1.Query/PacketAcknowledgements";
        let answer: QueryPacketAcknowledgementsResponse = self.query(path, &request).await?;
        Ok(sorted(answer.acknowledgements.iter().map(|a| a.sequence)))
    }

    /// Which of these sequences, sent by the counterparty, this channel end has not received.
    ///
    /// # Errors
    /// As [`Node::query`].
    pub async fn unreceived(&self, port: &str, channel: &str, sequences: Vec<u64>) -> Result<Vec<u64>, DevnetError> {
        let request = QueryUnreceivedPacketsRequest {
            port_id: port.to_owned(),
            channel_id: channel.to_owned(),
            packet_commitment_sequences: sequences,
        };
        let path = "/ibc.core.channel.v1.Query/UnreceivedPackets";
        let answer: QueryUnreceivedPacketsResponse = self.query(path, &request).await?;
        Ok(answer.sequences)
    }

    /// A light client's status: `Active`, `Expired` or `Frozen`.
    ///
    /// # Errors
    /// As [`Node::query`].
    pub async fn client_status(&self, client_id: &str) -> Result<String, DevnetError> {
        let request = QueryClientStatusRequest { client_id: client_id.to_owned() };
        let answer: QueryClientStatusResponse = self.query("/ibc.core.client.v1.Query/ClientStatus", &request).await?;
        Ok(answer.status)
    }
}

fn page() -> Option<PageRequest> {
    Some(PageRequest { limit: limits::PAGE_ITEMS, ..PageRequest::default() })
}

fn sorted(sequences: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut sequences: Vec<u64> = sequences.collect();
    sequences.sort_unstable();
    sequences
}

fn amount(text: &str) -> Result<u128, DevnetError> {
    text.parse().map_err(|e| DevnetError::decode(format!("amount {text:?}"), e))
}
