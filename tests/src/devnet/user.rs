//! Someone who uses a chain: sends coins, transfers them to another chain, sends any message.
//!
//! Gas and fee are fixed by the messages' count and size rather than simulated, so that a burst of transactions can be
//! handed over without waiting for a block.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ibc_proto::cosmos::bank::v1beta1::MsgSend;
use ibc_proto::cosmos::base::v1beta1::Coin;
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::applications::transfer::v1::MsgTransfer;
use ibc_proto::ibc::core::client::v1::Height;
use prost::Message;
use tokio::sync::Mutex;

use super::Wallet;
use super::node::{CommittedTx, Node};
use super::tx::{Signing, any, sign};
use crate::{DevnetError, limits};

/// An account that acts on one chain through one node.
#[derive(Debug)]
pub struct User {
    node: Node,
    chain_id: String,
    wallet: Wallet,
    gas_price: GasPrice,
    /// Account number and next sequence, while no transaction has failed.
    account: Mutex<Option<(u64, u64)>>,
}

/// Millionths of a denomination's unit for one gas.
#[derive(Debug)]
struct GasPrice {
    millionths: u128,
    denom: String,
}

/// An ICS-20 transfer as a user writes it.
///
/// By default it times out ten minutes from now.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// The sending chain's channel.
    pub channel: String,
    /// The sending chain's denomination.
    pub denom: String,
    /// How much.
    pub amount: u128,
    /// The receiving chain's account, or what a careless user takes for one.
    pub receiver: String,
    /// The receiving chain's height from which on it must not be received: revision and height.
    pub timeout_height: Option<(u64, u64)>,
    /// The receiving chain's time from which on it must not be received, ns since 1970; 0 for never.
    pub timeout_timestamp_ns: u64,
    /// Free text.
    pub memo: String,
}

impl Transfer {
    /// A transfer that times out in ten minutes.
    #[must_use]
    pub fn new(channel: &str, amount: u128, denom: &str, receiver: &str) -> Self {
        Self {
            channel: channel.to_owned(),
            denom: denom.to_owned(),
            amount,
            receiver: receiver.to_owned(),
            timeout_height: None,
            timeout_timestamp_ns: from_now_ns(Duration::from_secs(600)),
            memo: String::new(),
        }
    }

    /// Times out at this height of the receiving chain, and at no time.
    #[must_use]
    pub fn timeout_height(mut self, revision: u64, height: u64) -> Self {
        self.timeout_height = Some((revision, height));
        self.timeout_timestamp_ns = 0;
        self
    }

    /// Times out when this has passed from now.
    #[must_use]
    pub fn timeout_in(mut self, duration: Duration) -> Self {
        self.timeout_timestamp_ns = from_now_ns(duration);
        self
    }

    /// With this memo.
    #[must_use]
    pub fn memo(mut self, memo: &str) -> Self {
        memo.clone_into(&mut self.memo);
        self
    }

    /// The message of this account.
    pub(crate) fn message(&self, sender: &str) -> Any {
        let (revision_number, revision_height) = self.timeout_height.unwrap_or((0, 0));
        let message = MsgTransfer {
            source_port: "transfer".to_owned(),
            source_channel: self.channel.clone(),
            token: Some(Coin { denom: self.denom.clone(), amount: self.amount.to_string() }),
            sender: sender.to_owned(),
            receiver: self.receiver.clone(),
            timeout_height: Some(Height { revision_number, revision_height }),
            timeout_timestamp: self.timeout_timestamp_ns,
            memo: self.memo.clone(),
        };
        any("/ibc.applications.transfer.v1.MsgTransfer", &message)
    }
}

impl User {
    /// Gas of a transaction before its messages: signature check and fee.
    const BASE_GAS: u64 = 120_000;
    /// Gas of one message: a transfer needs 53,000 in a large transaction and 80,000 alone.
    const MESSAGE_GAS: u64 = 90_000;
    /// Gas of a byte: the SDK takes 10.
    const BYTE_GAS: u64 = 12;

    /// An account on a chain. `gas_price` as in a node's settings: `0.01stake`; unreadable means free of charge.
    #[must_use]
    pub fn new(node: Node, chain_id: &str, wallet: Wallet, gas_price: &str) -> Self {
        let gas_price = GasPrice::parse(gas_price);
        Self { node, chain_id: chain_id.to_owned(), wallet, gas_price, account: Mutex::new(None) }
    }

    /// The account's address.
    #[must_use]
    pub fn address(&self) -> &str {
        self.wallet.address()
    }

    /// Signs messages into one transaction and hands it to the mempool; its hash.
    ///
    /// # Errors
    /// [`DevnetError::Tx`] if the mempool refuses it.
    pub async fn submit(&self, messages: Vec<Any>) -> Result<String, DevnetError> {
        let size: usize = messages.iter().map(Message::encoded_len).sum();
        let count = u64::try_from(messages.len()).unwrap_or(u64::MAX);
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        self.submit_with_gas(messages, Self::BASE_GAS + Self::MESSAGE_GAS * count + Self::BYTE_GAS * size).await
    }

    async fn submit_with_gas(&self, messages: Vec<Any>, gas: u64) -> Result<String, DevnetError> {
        let mut account = self.account.lock().await;
        let (account_number, sequence) = match *account {
            Some(known) => known,
            None => self.node.account(self.address()).await?,
        };
        let chain_id = &self.chain_id;
        let signing = Signing { chain_id, account_number, sequence, gas, fee: self.gas_price.fee(gas) };
        let tx = sign(&self.wallet, messages, signing);
        let outcome = self.node.broadcast(&tx.encode_to_vec()).await;
        // After a refusal the sequence is read from the chain again.
        *account = outcome.is_ok().then_some((account_number, sequence + 1));
        outcome
    }

    /// Sends messages in one transaction and waits for its block.
    ///
    /// # Errors
    /// [`DevnetError::Tx`] if it is refused or fails.
    pub async fn execute(&self, messages: Vec<Any>) -> Result<CommittedTx, DevnetError> {
        let hash = self.submit(messages).await?;
        self.node.committed(&hash).await
    }

    /// Sends messages that need more gas than a user's usual ones, in one transaction, and waits for its block.
    ///
    /// # Errors
    /// As [`User::execute`].
    pub async fn execute_with_gas(&self, messages: Vec<Any>, gas: u64) -> Result<CommittedTx, DevnetError> {
        let hash = self.submit_with_gas(messages, gas).await?;
        self.node.committed(&hash).await
    }

    /// Sends coins to an account of the same chain.
    ///
    /// # Errors
    /// As [`User::execute`].
    pub async fn send(&self, to: &str, amount: u128, denom: &str) -> Result<CommittedTx, DevnetError> {
        let message = MsgSend {
            from_address: self.address().to_owned(),
            to_address: to.to_owned(),
            amount: vec![Coin { denom: denom.to_owned(), amount: amount.to_string() }],
        };
        self.execute(vec![any("/cosmos.bank.v1beta1.MsgSend", &message)]).await
    }

    /// Makes one transfer and waits for its block.
    ///
    /// # Errors
    /// As [`User::execute`].
    pub async fn transfer(&self, transfer: &Transfer) -> Result<CommittedTx, DevnetError> {
        self.execute(vec![transfer.message(self.address())]).await
    }

    /// Makes many transfers in transactions of up to 100, all handed over before the first is in a block.
    ///
    /// # Errors
    /// As [`User::execute`].
    pub async fn burst(&self, transfers: &[Transfer]) -> Result<Vec<CommittedTx>, DevnetError> {
        let mut hashes = Vec::new();
        for batch in transfers.chunks(limits::MESSAGES_PER_TX) {
            hashes.push(self.submit(batch.iter().map(|t| t.message(self.address())).collect()).await?);
        }
        let mut committed = Vec::new();
        for hash in hashes {
            committed.push(self.node.committed(&hash).await?);
        }
        Ok(committed)
    }
}

impl GasPrice {
    fn parse(text: &str) -> Self {
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, denom) = text.split_at(split);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let millionths = format!("{whole}{fraction:0<6.6}").parse().unwrap_or(0);
        Self { millionths, denom: denom.to_owned() }
    }

    fn fee(&self, gas: u64) -> Option<Coin> {
        let amount = (u128::from(gas) * self.millionths).div_ceil(1_000_000);
        (amount > 0).then(|| Coin { denom: self.denom.clone(), amount: amount.to_string() })
    }
}

fn from_now_ns(duration: Duration) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from((now + duration).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_round_up_and_nothing_is_free_only_at_price_zero() {
        let fee = |price: &str, gas| GasPrice::parse(price).fee(gas).map(|c| c.amount + &c.denom);
        assert_eq!(fee("0stake", 200_000), None);
        assert_eq!(fee("0.01stake", 200_000).unwrap(), "2000stake");
        assert_eq!(fee("0.000001stake", 1).unwrap(), "1stake");
        assert_eq!(fee("2.5atoken", 3).unwrap(), "8atoken");
    }
}
