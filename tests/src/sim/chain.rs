//! A model chain: ICS-04 packets of unordered channels, an ICS-07-like client, accounts, a mempool, blocks.
//!
//! What it keeps of the real ones (ibc-go v10, SDK 0.53, CometBFT 0.38): a receive is refused at or past its timeout, judged by the executing block;
//! a message that was already relayed succeeds and does nothing; proofs are of the state after block `h` under the header of `h + 1` and
//! need a consensus state at exactly that height; CheckTx runs messages on the state that the mempool will make, refuses account sequences
//! other than the next, and transactions whose packets were all relayed; a failed transaction changes nothing but its account sequence; what
//! a re-check after a block refuses leaves the mempool.
//!
//! Proofs are exact: their bytes name side, path and height, and the executing chain looks the state up in the other one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ibc_proto::google::protobuf::Any;
use relayer_core::chain::Path;
use relayer_core::error::TxFailure;
use relayer_core::fact::{BlockFacts, Fact, TxReport};
use relayer_core::id::{AccountSequence, ChannelId, ClientId, Height, Sequence, Timestamp, TxHash};
use relayer_core::message::{Message, Proof};
use relayer_core::packet::{At, Packet, PortChannel, Side, ack_commitment};

use super::rng::Rng;

/// Who signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// The relayer under test.
    Ours,
    /// Another relayer.
    Rival,
}

/// A transaction.
#[derive(Debug, Clone)]
pub struct Tx {
    /// Its hash.
    pub hash: TxHash,
    /// Its account.
    pub signer: Signer,
    /// Its account sequence.
    pub sequence: u64,
    /// The last block that may hold it.
    pub timeout_height: u64,
    /// Its messages.
    pub messages: Vec<Message>,
}

/// A packet on its source.
#[derive(Debug, Clone)]
pub struct Sent {
    /// As committed to.
    pub packet: Packet,
    /// Block of the send.
    pub at: u64,
    /// Block in which its commitment went, and whether by an acknowledgement.
    pub gone: Option<(u64, bool)>,
}

/// A packet on its destination.
#[derive(Debug, Clone)]
pub struct Received {
    /// As received.
    pub packet: Packet,
    /// Block of the receive and of the acknowledgement.
    pub at: u64,
    /// The acknowledgement.
    pub ack: Arc<[u8]>,
}

/// One channel end.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Here.
    pub end: PortChannel,
    /// There.
    pub other: PortChannel,
    /// Sends, sequence 1 first.
    pub sent: Vec<Sent>,
    /// Receipts and acknowledgements by sequence.
    pub received: BTreeMap<u64, Received>,
}

/// What executing messages has changed but not yet written: of one transaction, or of the mempool.
#[derive(Debug, Default)]
struct Delta {
    received: BTreeSet<(usize, u64)>,
    gone: BTreeMap<(usize, u64), bool>,
    heights: BTreeSet<u64>,
}

/// What a transaction did.
#[derive(Debug, Default)]
pub struct Ran {
    delta: Delta,
    facts: Vec<Fact>,
    /// Packet messages.
    pub packets: usize,
    /// Those that did nothing, by position.
    pub idle: Vec<usize>,
}

/// What a block did with a transaction.
#[derive(Debug)]
pub struct Included {
    /// Which.
    pub hash: TxHash,
    /// Whose.
    pub signer: Signer,
    /// Successful.
    pub ok: bool,
    /// Paid messages that did nothing, by position in the transaction.
    pub idle: Vec<usize>,
}

/// Faults of the block to make.
#[derive(Debug, Clone, Copy)]
pub struct BlockFaults {
    /// A transaction is forgotten, in thousandths.
    pub forgotten: u64,
    /// Only a part of the mempool is taken.
    pub partial: u64,
    /// A transaction runs out of gas.
    pub out_of_gas: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Chain {
    /// Which.
    pub side: Side,
    /// Newest block.
    pub height: u64,
    /// Block times by height, ns.
    pub times: Vec<u64>,
    /// Channel ends.
    pub channels: Vec<Channel>,
    /// Heights of the other chain for which the client here holds a consensus state.
    pub client: BTreeSet<u64>,
    /// Its trusting period, ns.
    pub trusting_ns: u64,
    /// Account sequences in committed state: ours, the rival's.
    pub accounts: [u64; 2],
    /// Blocks by height, 0 unused.
    pub blocks: Vec<Arc<BlockFacts>>,
    /// The chain tells which message failed.
    pub names_fault: bool,
    mempool: VecDeque<Tx>,
    check: Delta,
    check_accounts: [u64; 2],
}

/// What makes a packet's receive fail for good.
pub const POISON: &[u8] = b"poison";

fn failed(index: usize, names: bool) -> TxFailure {
    let index = names.then_some(index);
    TxFailure::Message { index, others: Vec::new(), code: 1, codespace: Default::default(), detail: Default::default() }
}

/// The proof of a path in a side's state, under the header of a height.
pub fn proof(side: Side, path: &Path, height: Height) -> Proof {
    Proof { bytes: Arc::from(format!("{side} {path} {height}").as_bytes()), height }
}

/// A client update as a message.
pub fn update(client: &ClientId, trusted: u64, target: u64) -> Message {
    let mut value = trusted.to_be_bytes().to_vec();
    value.extend(target.to_be_bytes());
    Message::UpdateClient { client: client.clone(), message: Any { type_url: "/model.Header".into(), value } }
}

/// The client's id, the same on both.
pub fn client_id() -> Option<ClientId> {
    ClientId::new("07-tendermint-0").ok()
}

fn channel_id(side: Side, n: usize) -> Option<ChannelId> {
    ChannelId::new(format!("channel-{}", n + 10 * side.index())).ok()
}

/// A channel end's name.
pub fn end(side: Side, n: usize) -> Option<PortChannel> {
    Some(PortChannel { port: relayer_core::id::PortId::new("transfer").ok()?, channel: channel_id(side, n)? })
}

impl Chain {
    /// A chain with one block, whose client knows the other's first.
    pub fn new(side: Side, channels: usize, time: u64, trusting_ns: u64, names_fault: bool) -> Self {
        let channels = (0..channels)
            .filter_map(|n| {
                let (end, other) = (end(side, n)?, end(side.other(), n)?);
                Some(Channel { end, other, sent: Vec::new(), received: BTreeMap::new() })
            })
            .collect();
        let genesis =
            |n: u64| Arc::new(BlockFacts { at: at(n, time), facts: Vec::new(), txs: Vec::new(), xcm: Vec::new() });
        Self {
            side,
            height: 1,
            times: vec![time, time],
            channels,
            client: BTreeSet::from([1]),
            trusting_ns,
            accounts: [0, 0],
            blocks: vec![genesis(0), genesis(1)],
            names_fault,
            mempool: VecDeque::new(),
            check: Delta::default(),
            check_accounts: [0, 0],
        }
    }

    /// Height and time of a block.
    pub fn at(&self, height: u64) -> At {
        at(height, self.time(height))
    }

    fn time(&self, height: u64) -> u64 {
        self.times.get(height as usize).copied().unwrap_or_default()
    }

    /// Whether the client here is usable at a time of this chain.
    pub fn active(&self, other: &Self, now: u64) -> bool {
        self.client.last().is_some_and(|h| other.time(*h).saturating_add(self.trusting_ns) > now)
    }

    /// Adds a packet; the block that is being made holds it.
    pub fn send(&mut self, channel: usize, data: Arc<[u8]>, timeout: (u64, u64)) -> Option<Packet> {
        let at = self.height + 1;
        let c = self.channels.get_mut(channel)?;
        let packet = Packet {
            sequence: Sequence(c.sent.len() as u64 + 1),
            source: c.end.clone(),
            destination: c.other.clone(),
            data,
            timeout_height: if timeout.0 == 0 { Height::default() } else { Height::new(1, timeout.0) },
            timeout_timestamp: Timestamp(timeout.1),
        };
        c.sent.push(Sent { packet: packet.clone(), at, gone: None });
        Some(packet)
    }

    /// The value at a path in the state after a block, as far as packets need it.
    pub fn value(&self, path: &Path, after: u64) -> Option<[u8; 32]> {
        match path {
            Path::Commitment(end, s) => {
                let sent = self.sent(end, s.0)?;
                let there = sent.at <= after && sent.gone.is_none_or(|(at, _)| at > after);
                there.then(|| sent.packet.commitment())
            }
            Path::Receipt(end, s) => self.receipt(end, s.0).filter(|r| r.at <= after).map(|_| [1; 32]),
            Path::Ack(end, s) => self.receipt(end, s.0).filter(|r| r.at <= after).map(|r| ack_commitment(&r.ack)),
            _ => None,
        }
    }

    /// A packet sent from here.
    pub fn sent(&self, end: &PortChannel, sequence: u64) -> Option<&Sent> {
        let c = self.channels.iter().find(|c| c.end == *end)?;
        c.sent.get((sequence as usize).checked_sub(1)?)
    }

    /// A packet received here.
    pub fn receipt(&self, end: &PortChannel, sequence: u64) -> Option<&Received> {
        self.channels.iter().find(|c| c.end == *end)?.received.get(&sequence)
    }

    fn channel(&self, end: &PortChannel) -> Option<usize> {
        self.channels.iter().position(|c| c.end == *end)
    }

    fn is_received(&self, layers: &[&Delta], channel: usize, s: u64) -> bool {
        self.channels.get(channel).is_some_and(|c| c.received.contains_key(&s))
            || layers.iter().any(|d| d.received.contains(&(channel, s)))
    }

    fn is_open(&self, layers: &[&Delta], channel: usize, s: u64) -> bool {
        let sent = self.channels.get(channel).and_then(|c| c.sent.get((s as usize).saturating_sub(1)));
        sent.is_some_and(|s| s.gone.is_none()) && !layers.iter().any(|d| d.gone.contains_key(&(channel, s)))
    }

    fn holds(&self, layers: &[&Delta], height: u64) -> bool {
        self.client.contains(&height) || layers.iter().any(|d| d.heights.contains(&height))
    }

    /// Runs messages in a block at `here`, on top of committed state and `base`.
    fn run(&self, other: &Self, base: &Delta, messages: &[Message], here: At) -> Result<Ran, TxFailure> {
        let mut ran = Ran::default();
        if !self.active(other, here.time.0) {
            return Err(failed(0, self.names_fault));
        }
        for (n, message) in messages.iter().enumerate() {
            let no = || failed(n, self.names_fault);
            let layers = [base, &ran.delta];
            match message {
                Message::UpdateClient { client, message } => {
                    let number = |from: usize| {
                        let bytes = message.value.get(from..from + 8)?;
                        Some(u64::from_be_bytes(bytes.try_into().ok()?))
                    };
                    let (Some(trusted), Some(target)) = (number(0), number(8)) else { return Err(no()) };
                    let fresh = other.time(trusted).saturating_add(self.trusting_ns) > here.time.0;
                    if !self.holds(&layers, trusted) || trusted >= target || target > other.height || !fresh {
                        return Err(no());
                    }
                    ran.delta.heights.insert(target);
                    let heights = vec![Height::new(1, target)];
                    ran.facts.push(Fact::ClientUpdated { client: client.clone(), heights, header: None });
                }
                Message::RecvPacket { packet, proof } => {
                    ran.packets += 1;
                    let channel = self.channel(&packet.destination).ok_or_else(no)?;
                    if packet.timed_out_at(here.height, here.time) {
                        return Err(no());
                    }
                    let path = Path::Commitment(packet.source.clone(), packet.sequence);
                    self.proven(other, &layers, proof, &path, Some(packet.commitment()), no)?;
                    if self.is_received(&layers, channel, packet.sequence.0) {
                        ran.idle.push(n);
                        continue;
                    }
                    if packet.data.starts_with(POISON) && base.is_delivery() {
                        return Err(no());
                    }
                    ran.delta.received.insert((channel, packet.sequence.0));
                    ran.facts.push(Fact::Received(packet.clone()));
                    ran.facts.push(Fact::AckWritten(packet.clone(), ack_of(packet)));
                }
                Message::Acknowledge { packet, ack, proof } => {
                    ran.packets += 1;
                    let channel = self.channel(&packet.source).ok_or_else(no)?;
                    if !self.is_open(&layers, channel, packet.sequence.0) {
                        ran.idle.push(n);
                        continue;
                    }
                    let path = Path::Ack(packet.destination.clone(), packet.sequence);
                    self.proven(other, &layers, proof, &path, Some(ack_commitment(ack)), no)?;
                    ran.delta.gone.insert((channel, packet.sequence.0), true);
                    ran.facts.push(Fact::Acked { source: packet.source.clone(), sequence: packet.sequence });
                }
                Message::Timeout { packet, proof, .. } => {
                    ran.packets += 1;
                    let channel = self.channel(&packet.source).ok_or_else(no)?;
                    if !self.is_open(&layers, channel, packet.sequence.0) {
                        ran.idle.push(n);
                        continue;
                    }
                    let there = Timestamp(other.time(proof.height.number));
                    if !packet.timed_out_at(proof.height, there) {
                        return Err(no());
                    }
                    let path = Path::Receipt(packet.destination.clone(), packet.sequence);
                    self.proven(other, &layers, proof, &path, None, no)?;
                    ran.delta.gone.insert((channel, packet.sequence.0), false);
                    ran.facts.push(Fact::TimedOut { source: packet.source.clone(), sequence: packet.sequence });
                }
                _ => return Err(no()),
            }
        }
        Ok(ran)
    }

    fn proven(
        &self,
        other: &Self,
        layers: &[&Delta],
        given: &Proof,
        path: &Path,
        expect: Option<[u8; 32]>,
        no: impl Fn() -> TxFailure,
    ) -> Result<(), TxFailure> {
        let height = given.height.number;
        let newest = layers.iter().filter_map(|d| d.heights.last()).chain(self.client.last()).max();
        if newest.is_none_or(|n| *n < height) {
            return Err(TxFailure::ClientBehind);
        }
        let right = proof(other.side, path, given.height);
        if !self.holds(layers, height) || *given != right || other.value(path, height - 1) != expect {
            return Err(no());
        }
        Ok(())
    }

    /// CheckTx; accepted transactions are in the mempool afterwards.
    pub fn broadcast(&mut self, other: &Self, tx: Tx) -> Result<(), TxFailure> {
        if self.mempool.iter().any(|t| t.hash == tx.hash) {
            return Err(TxFailure::AlreadyKnown);
        }
        self.check_tx(other, &tx)?;
        self.mempool.push_back(tx);
        Ok(())
    }

    fn check_tx(&mut self, other: &Self, tx: &Tx) -> Result<(), TxFailure> {
        let expected = self.check_accounts.get(who(tx.signer)).copied().unwrap_or_default();
        if tx.sequence != expected {
            return Err(TxFailure::SequenceMismatch { expected: Some(AccountSequence(expected)) });
        }
        if tx.timeout_height <= self.height {
            return Err(TxFailure::Expired);
        }
        let ran = self.run(other, &self.check, &tx.messages, self.at(self.height))?;
        if ran.packets > 0 && ran.idle.len() == ran.packets {
            return Err(TxFailure::Redundant);
        }
        self.check.received.extend(ran.delta.received);
        self.check.gone.extend(ran.delta.gone);
        self.check.heights.extend(ran.delta.heights);
        if let Some(n) = self.check_accounts.get_mut(who(tx.signer)) {
            *n += 1;
        }
        Ok(())
    }

    /// Makes the next block.
    pub fn make_block(
        &mut self,
        other: &Self,
        time: u64,
        sends: Vec<Packet>,
        rng: &mut Rng,
        faults: BlockFaults,
    ) -> Vec<Included> {
        let here = at(self.height + 1, time.max(self.time(self.height) + 1));
        let mut facts: Vec<Fact> = sends.into_iter().map(Fact::Sent).collect();
        let (mut txs, mut included) = (Vec::new(), Vec::new());
        let take = if rng.chance(faults.partial) { rng.place(self.mempool.len() + 1) } else { self.mempool.len() };
        let rest = self.mempool.split_off(take);
        let delivery = Delta::delivery();
        for tx in std::mem::take(&mut self.mempool) {
            let account = self.accounts.get_mut(who(tx.signer));
            let (Some(account), false) = (account, rng.chance(faults.forgotten)) else { continue };
            if *account != tx.sequence || tx.timeout_height < here.height.number {
                continue;
            }
            *account += 1;
            let result = if rng.chance(faults.out_of_gas) {
                Err(TxFailure::OutOfGas { wanted: 1, used: 2 })
            } else {
                self.run(other, &delivery, &tx.messages, here)
            };
            let (failure, idle) = match result {
                Ok(ran) => {
                    self.apply(ran.delta, &tx.messages, here.height.number);
                    facts.extend(ran.facts);
                    (None, ran.idle)
                }
                Err(failure) => (Some(failure), Vec::new()),
            };
            included.push(Included { hash: tx.hash, signer: tx.signer, ok: failure.is_none(), idle });
            txs.push(TxReport { hash: tx.hash, failure, gas_used: 1, gas_wanted: 1 });
        }
        self.height += 1;
        self.times.push(here.time.0);
        self.blocks.push(Arc::new(BlockFacts { at: here, facts, txs, xcm: Vec::new() }));
        self.check = Delta::default();
        self.check_accounts = self.accounts;
        for tx in rest {
            if self.check_tx(other, &tx).is_ok() {
                self.mempool.push_back(tx);
            }
        }
        included
    }

    fn apply(&mut self, delta: Delta, messages: &[Message], height: u64) {
        self.client.extend(delta.heights);
        for ((channel, s), acked) in delta.gone {
            let sent = self.channels.get_mut(channel).and_then(|c| c.sent.get_mut((s as usize).saturating_sub(1)));
            if let Some(sent) = sent {
                sent.gone = Some((height, acked));
            }
        }
        for message in messages {
            let Message::RecvPacket { packet, .. } = message else { continue };
            let Some(channel) = self.channel(&packet.destination) else { continue };
            if let Some(c) = self.channels.get_mut(channel)
                && delta.received.contains(&(channel, packet.sequence.0))
            {
                let received = Received { packet: packet.clone(), at: height, ack: ack_of(packet) };
                c.received.entry(packet.sequence.0).or_insert(received);
            }
        }
    }

    /// Our account's sequence in committed state, and the newest block.
    pub fn committed(&self) -> (u64, u64) {
        (self.accounts.first().copied().unwrap_or_default(), self.height)
    }

    /// The mempool's size.
    pub fn waiting(&self) -> usize {
        self.mempool.len()
    }

    /// The account sequence that CheckTx expects of a signer.
    pub fn expected(&self, signer: Signer) -> u64 {
        self.check_accounts.get(who(signer)).copied().unwrap_or_default()
    }
}

impl Delta {
    /// The empty state below a block's execution. Only there an application's fault shows: CheckTx does not run it.
    fn delivery() -> Self {
        Self { heights: BTreeSet::from([0]), ..Self::default() }
    }
    fn is_delivery(&self) -> bool {
        self.heights.contains(&0)
    }
}

fn who(signer: Signer) -> usize {
    match signer {
        Signer::Ours => 0,
        Signer::Rival => 1,
    }
}

fn at(height: u64, time: u64) -> At {
    At { height: Height::new(1, height), time: Timestamp(time) }
}

/// The acknowledgement that the application writes.
pub fn ack_of(packet: &Packet) -> Arc<[u8]> {
    Arc::from(format!("ack {}", packet.sequence).as_bytes())
}
