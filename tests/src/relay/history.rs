//! Every packet message in a chain's blocks, with who sent it and whether its transaction succeeded.
//!
//! ibc-go counts a packet that was delivered before as a success without effect, as long as another message of the
//! transaction has one. So two numbers matter: messages in successful transactions, and events, one for each effect.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ibc_proto::cosmos::tx::v1beta1::{AuthInfo, TxBody, TxRaw};
use ibc_proto::ibc::core::channel::v1::{MsgAcknowledgement, MsgRecvPacket, MsgTimeout, Packet};
use prost::Message;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::devnet::Node;
use crate::{DevnetError, limits};

/// What a message does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// MsgRecvPacket.
    Receive,
    /// MsgAcknowledgement.
    Acknowledge,
    /// MsgTimeout.
    TimeOut,
}

/// One packet message in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The block.
    pub height: u64,
    /// The transaction's hash, upper-case hex.
    pub tx: String,
    /// The transaction had code 0.
    pub succeeded: bool,
    /// Whose wallet paid.
    pub signer: String,
    /// What for.
    pub action: Action,
    /// The packet's source channel.
    pub channel: String,
    /// The packet's destination channel: with the source it tells apart the packets of several counterparties.
    pub to: String,
    /// The packet's sequence.
    pub sequence: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// All packet messages, in order.
    pub deliveries: Vec<Delivery>,
    /// How often each packet event (`recv_packet`, `acknowledge_packet`, `timeout_packet`) was emitted by a
    /// successful transaction, by source channel and sequence.
    pub events: BTreeMap<(Action, String, u64), usize>,
    /// Fees of all transactions of a signer, successful or not, by denomination.
    pub fees: BTreeMap<(String, String), u128>,
}

impl History {
    /// Reads all blocks of a chain.
    ///
    /// # Errors
    /// As [`Node::call`], and [`DevnetError::Decode`].
    pub async fn read(node: &Node) -> Result<Self, DevnetError> {
        let head = node.height().await?;
        let heights: Vec<u64> = (1..=head).collect();
        let mut history = Self::default();
        // A block and its results are two calls of a batch.
        for part in heights.chunks(limits::BATCH_CALLS / 2) {
            let calls = part.iter().flat_map(|h| {
                let params = json!({ "height": h.to_string() });
                [("block", params.clone()), ("block_results", params)]
            });
            let calls: Vec<_> = calls.collect();
            let answers = node.batch(&calls).await?;
            let answers = answers.as_array().ok_or_else(|| DevnetError::decode("a batch", &answers))?;
            let mut by_id: BTreeMap<u64, &Value> = BTreeMap::new();
            for answer in answers {
                by_id.insert(answer["id"].as_u64().unwrap_or(u64::MAX), &answer["result"]);
            }
            for (n, height) in (0u64..).zip(part) {
                let (Some(block), Some(results)) = (by_id.get(&(2 * n)), by_id.get(&(2 * n + 1))) else {
                    return Err(DevnetError::decode("a batch", format!("no answer for height {height}")));
                };
                history.block(*height, block, results)?;
            }
        }
        Ok(history)
    }

    fn block(&mut self, height: u64, block: &Value, results: &Value) -> Result<(), DevnetError> {
        let none = Vec::new();
        let txs = block["block"]["data"]["txs"].as_array().unwrap_or(&none);
        let results = results["txs_results"].as_array().unwrap_or(&none);
        if txs.len() != results.len() {
            let reason = format!("{} transactions and {} results", txs.len(), results.len());
            return Err(DevnetError::decode(format!("block {height}"), reason));
        }
        for (tx, result) in txs.iter().zip(results) {
            let bytes = BASE64.decode(tx.as_str().unwrap_or_default());
            let bytes = bytes.map_err(|e| DevnetError::decode("a transaction", e))?;
            let succeeded = result["code"].as_u64().unwrap_or(0) == 0;
            self.transaction(height, &bytes, succeeded)?;
            if succeeded {
                self.effects(result);
            }
        }
        Ok(())
    }

    fn transaction(&mut self, height: u64, bytes: &[u8], succeeded: bool) -> Result<(), DevnetError> {
        let wrong = |e: prost::DecodeError| DevnetError::decode(format!("a transaction of block {height}"), e);
        let hash = hex::encode_upper(Sha256::digest(bytes));
        let raw = TxRaw::decode(bytes).map_err(wrong)?;
        let body = TxBody::decode(raw.body_bytes.as_slice()).map_err(wrong)?;
        let auth = AuthInfo::decode(raw.auth_info_bytes.as_slice()).map_err(wrong)?;
        let mut payer = None;
        for message in &body.messages {
            let value = message.value.as_slice();
            let (action, packet, signer) = match message.type_url.as_str() {
                "/ibc.core.channel.v1.MsgRecvPacket" => {
                    let m = MsgRecvPacket::decode(value).map_err(wrong)?;
                    (Action::Receive, m.packet, m.signer)
                }
                "/ibc.core.channel.v1.MsgAcknowledgement" => {
                    let m = MsgAcknowledgement::decode(value).map_err(wrong)?;
                    (Action::Acknowledge, m.packet, m.signer)
                }
                "/ibc.core.channel.v1.MsgTimeout" => {
                    let m = MsgTimeout::decode(value).map_err(wrong)?;
                    (Action::TimeOut, m.packet, m.signer)
                }
                _ => continue,
            };
            payer = Some(signer.clone());
            let Packet { source_channel: channel, destination_channel: to, sequence, .. } = packet.unwrap_or_default();
            let tx = hash.clone();
            self.deliveries.push(Delivery { height, tx, succeeded, signer, action, channel, to, sequence });
        }
        for coin in auth.fee.map(|f| f.amount).unwrap_or_default() {
            let payer = payer.clone().unwrap_or_default();
            *self.fees.entry((payer, coin.denom)).or_default() += coin.amount.parse::<u128>().unwrap_or(0);
        }
        Ok(())
    }

    fn effects(&mut self, result: &Value) {
        for event in result["events"].as_array().into_iter().flatten() {
            let action = match event["type"].as_str() {
                Some("recv_packet") => Action::Receive,
                Some("acknowledge_packet") => Action::Acknowledge,
                Some("timeout_packet") => Action::TimeOut,
                _ => continue,
            };
            let attribute = |key: &str| {
                let mut all = event["attributes"].as_array().into_iter().flatten();
                all.find(|a| a["key"] == key).and_then(|a| a["value"].as_str()).unwrap_or_default()
            };
            let key =
                (action, attribute("packet_src_channel").to_owned(), attribute("packet_sequence").parse().unwrap_or(0));
            *self.events.entry(key).or_default() += 1;
        }
    }

    /// How many packets of a source channel had this effect, if none of them had it twice.
    ///
    /// # Errors
    /// [`DevnetError::Decode`] naming a packet with two effects, which a chain never allows.
    pub fn effects_of(&self, action: Action, channel: &str) -> Result<usize, DevnetError> {
        let mut count = 0;
        for ((_, _, sequence), times) in self.events.iter().filter(|((a, c, _), _)| *a == action && c == channel) {
            if *times != 1 {
                return Err(DevnetError::decode("events", format!("{channel}/{sequence}: {action:?} {times} times")));
            }
            count += 1;
        }
        Ok(count)
    }

    /// Packets that one signer delivered in more than one successful transaction: action, channel, sequence, times.
    #[must_use]
    pub fn repeated_by(&self, signer: &str) -> Vec<(Action, String, u64, usize)> {
        let mut times: BTreeMap<(Action, &str, &str, u64), usize> = BTreeMap::new();
        for d in self.deliveries.iter().filter(|d| d.succeeded && d.signer == signer) {
            *times.entry((d.action, d.channel.as_str(), d.to.as_str(), d.sequence)).or_default() += 1;
        }
        let twice = times.into_iter().filter(|(_, n)| *n > 1);
        twice.map(|((action, channel, _, sequence), n)| (action, channel.to_owned(), sequence, n)).collect()
    }

    /// Transactions with packet messages of one signer that failed in a block: each cost a fee for nothing.
    #[must_use]
    pub fn failed_of(&self, signer: &str) -> usize {
        let failed = self.deliveries.iter().filter(|d| !d.succeeded && d.signer == signer);
        failed.map(|d| d.tx.as_str()).collect::<std::collections::BTreeSet<_>>().len()
    }
}
