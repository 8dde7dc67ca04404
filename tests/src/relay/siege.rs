//! A line under attack: a proxy before each chain, so that a test makes a node lie and sees that nothing was paid.
//!
//! The chains ask fees, so a broadcast that should not have been shows in three ways: at the proxy, in the wallet's
//! account sequence and in its balance.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ibc_proto::ibc::core::channel::v1::{MsgAcknowledgement, MsgRecvPacket, MsgTimeout, Packet};
use prost::Message;

use super::{Action, Line, Link, Metrics, until};
use crate::DevnetError;
use crate::devnet::{ConfigOptions, Devnet, End, STAKE, SimdChain, Transfer};
use crate::proxy::{Broadcast, Proxy};

/// See the module.
#[derive(Debug)]
pub struct Siege {
    /// The chains and the relayer, which knows the chains by the proxies only.
    pub line: Line,
    /// Before the first chain.
    pub a: Proxy,
    /// Before the second chain.
    pub b: Proxy,
    /// Another node of the second chain, honest, if there is one.
    pub spare: Option<Proxy>,
    /// What had been refused when the counting began.
    counted: Mutex<Option<Metrics>>,
}

/// What the relayer has paid so far, on both chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paid {
    /// Messages handed to the nodes since the records were reset.
    pub messages: Vec<String>,
    /// Account sequences: transactions in blocks.
    pub sequences: [u64; 2],
    /// Balances of the fee's denomination.
    pub balances: [u128; 2],
}

/// A packet in a transaction that was handed to a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Relayed {
    /// Which message.
    pub action: Action,
    /// Its packet.
    pub packet: Packet,
    /// The acknowledgement, if it is one.
    pub ack: Vec<u8>,
}

impl Relayed {
    /// Whether it is about a packet that this end sent.
    #[must_use]
    pub fn of(&self, channel: &str) -> bool {
        self.packet.source_channel == channel
    }
}

impl Siege {
    /// Two chains that ask fees and make four blocks a second, with a path of two channels.
    ///
    /// # Errors
    /// As [`Devnet::with`], [`Proxy::start`], [`Line::open`].
    pub async fn open() -> Result<Self, DevnetError> {
        Self::with(false, |_| ()).await
    }

    /// The same with other settings and, if wanted, a second endpoint of the second chain after the first.
    ///
    /// # Errors
    /// As [`Siege::open`].
    pub async fn with(spare: bool, change: impl FnOnce(&mut ConfigOptions)) -> Result<Self, DevnetError> {
        let net = Devnet::with(|spec| spec.min_gas_prices("0.01stake").timeout_commit_ms(200)).await?;
        let (a, b) = (Proxy::start(net.a.rpc_url()).await?, Proxy::start(net.b.rpc_url()).await?);
        let spare = if spare { Some(Proxy::start(net.b.rpc_url()).await?) } else { None };
        let end = |rpc: Vec<String>| End { rpc: Some(rpc), ..End::default() };
        let on_b = [Some(b.rpc_url()), spare.as_ref().map(Proxy::rpc_url)].into_iter().flatten().collect();
        let mut options =
            ConfigOptions { a: end(vec![a.rpc_url()]), b: end(on_b), channels: 2, ..ConfigOptions::default() };
        change(&mut options);
        Ok(Self { line: Line::open(net, &options).await?, a, b, spare, counted: Mutex::default() })
    }

    /// The channel that is attacked.
    ///
    /// # Errors
    /// As [`Line::link`].
    pub fn target(&self) -> Result<Link, DevnetError> {
        self.line.link(0)
    }

    /// The path's other channel.
    ///
    /// # Errors
    /// As [`Line::link`].
    pub fn other(&self) -> Result<Link, DevnetError> {
        self.line.link(1)
    }

    /// What the relayer has paid; ask for it while nothing is under way.
    ///
    /// # Errors
    /// As [`crate::devnet::Node::query`].
    pub async fn paid(&self) -> Result<Paid, DevnetError> {
        let address = self.line.net.wallets.relayer.address();
        let net = &self.line.net;
        let mut messages = self.a.broadcast_messages();
        messages.extend(self.b.broadcast_messages());
        messages.extend(self.spare.iter().flat_map(Proxy::broadcast_messages));
        Ok(Paid {
            messages,
            sequences: [net.a.node().account(address).await?.1, net.b.node().account(address).await?.1],
            balances: [net.a.balance(address, STAKE).await?, net.b.balance(address, STAKE).await?],
        })
    }

    /// Forgets what was broadcast and refused; what has been paid so far.
    ///
    /// # Errors
    /// As [`Siege::paid`].
    pub async fn start_counting(&self) -> Result<Paid, DevnetError> {
        self.a.reset_record();
        self.b.reset_record();
        if let Some(spare) = &self.spare {
            spare.reset_record();
        }
        // A relayer that doesn't run yet starts from nothing.
        let metrics = self.line.relayer.admin.metrics().await.ok();
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = metrics;
        self.paid().await
    }

    /// Waits until something of this chain was refused for this reason since the counting began; how often.
    ///
    /// # Errors
    /// [`DevnetError::Timeout`] with all reasons that were counted.
    pub async fn refused(&self, chain: &SimdChain, reason: &str, within: Duration) -> Result<f64, DevnetError> {
        let what = format!("a refusal of {} for {reason}", chain.id());
        until(&what, within, async || {
            let metrics = self.line.relayer.admin.metrics().await?;
            let labels = [("chain", chain.id()), ("reason", reason)];
            let sum = |metrics: &Metrics| metrics.sum("relay_verification_failures_total", &labels);
            let before = self.counted.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0.0, sum);
            let now = sum(&metrics);
            let count = if now < before { now } else { now - before };
            if count > 0.0 {
                return Ok(Some(count));
            }
            Err(DevnetError::decode("refusals", metrics.lines_of("relay_verification_failures_total")))
        })
        .await
    }

    /// Waits until a node of this chain rests; the status of its endpoints.
    ///
    /// # Errors
    /// [`DevnetError::Timeout`].
    pub async fn quarantined(&self, chain: &SimdChain, reason: &str, within: Duration) -> Result<String, DevnetError> {
        until(&format!("an endpoint of {} in quarantine for {reason}", chain.id()), within, async || {
            let status = self.line.relayer.admin.status().await?;
            let chains = status["chains"].as_array().into_iter().flatten();
            let endpoints: String =
                chains.filter(|c| c["id"] == chain.id()).map(|c| c["endpoints"].to_string()).collect();
            if endpoints.contains("quarantined") && endpoints.contains(reason) {
                return Ok(Some(endpoints));
            }
            Err(DevnetError::decode("endpoints", endpoints))
        })
        .await
    }

    /// Sends over a channel both ways and waits until it is received and acknowledged.
    ///
    /// # Errors
    /// [`DevnetError::Timeout`] if it isn't.
    pub async fn flows(&self, link: &Link, within: Duration) -> Result<(), DevnetError> {
        let (net, wallets) = (&self.line.net, &self.line.net.wallets);
        let (alice, bob) = (net.a.user(&wallets.user_a), net.b.user(&wallets.user_b));
        let received = (link.a.received().await?.len(), link.b.received().await?.len());
        alice.transfer(&Transfer::new(&link.a.channel, 1, STAKE, bob.address())).await?;
        bob.transfer(&Transfer::new(&link.b.channel, 1, STAKE, alice.address())).await?;
        link.b.has_received(received.1 + 1, within).await?;
        link.a.has_received(received.0 + 1, within).await?;
        link.settled(within).await
    }

    /// What is wrong with the relayer itself: that it ended, or that something in it panicked.
    ///
    /// # Errors
    /// As [`super::Admin::metrics`].
    pub async fn damage(&mut self) -> Result<Vec<String>, DevnetError> {
        let mut damage = Vec::new();
        if !self.line.relayer.runs() {
            damage.push("it has ended".to_owned());
        }
        if self.line.relayer.log().contains("panicked") {
            damage.push("a panic in its log".to_owned());
        }
        let metrics = self.line.relayer.admin.metrics().await?;
        if metrics.sum("relay_verifier_panics_total", &[]) > 0.0 {
            damage.push("a verification panicked".to_owned());
        }
        Ok(damage)
    }
}

/// The packets in all transactions handed to a node, in order.
///
/// # Errors
/// [`DevnetError::Decode`] if a message can't be read.
pub fn relayed(proxy: &Proxy) -> Result<Vec<Relayed>, DevnetError> {
    let wrong = |e: prost::DecodeError| DevnetError::decode("a broadcast message", e);
    let mut all = Vec::new();
    for message in proxy.broadcasts().iter().flat_map(Broadcast::messages) {
        let value = message.value.as_slice();
        let (action, packet, ack) = match message.type_url.as_str() {
            "/ibc.core.channel.v1.MsgRecvPacket" => {
                (Action::Receive, MsgRecvPacket::decode(value).map_err(wrong)?.packet, Vec::new())
            }
            "/ibc.core.channel.v1.MsgAcknowledgement" => {
                let m = MsgAcknowledgement::decode(value).map_err(wrong)?;
                (Action::Acknowledge, m.packet, m.acknowledgement)
            }
            "/ibc.core.channel.v1.MsgTimeout" => {
                (Action::TimeOut, MsgTimeout::decode(value).map_err(wrong)?.packet, Vec::new())
            }
            _ => continue,
        };
        all.push(Relayed { action, packet: packet.unwrap_or_default(), ack });
    }
    Ok(all)
}
