//! Two simulated chains behind the [`Chain`] port, in virtual time: a block every 550 ms, proofs of past states, account sequences, gas-free
//! transactions that succeed whole or not at all, and faults on demand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use ibc_proto::google::protobuf::Any;
use light_clients::{MerklePath, Part, Protocols, Reason, Timestamp as ClientTime, Updated, Verdict, Verifier};
use prost::Message as _;
use tokio::time::Instant;

use super::model::{Host, World, chain};
use relayer_core::chain::{
    Chain, ClientInfo, ClientUpdate, Draft, History, NewClient, Outcome, PastFact, Path, Pending, Proven, Signed,
    UpdateHeader, Verified,
};
use relayer_core::error::{ChainError, ChainErrorKind, Detail, TxFailure};
use relayer_core::fact::{BlockFacts, Head, TxReport};
use relayer_core::handshake::Pair;
use relayer_core::id::{AccountSequence, ChainId, ClientId, Gas, Height, Sequence, Timestamp, TxHash};
use relayer_core::message::Message;
use relayer_core::packet::{At, Side};

const BLOCK: Duration = Duration::from_millis(550);
const TRUSTING_NS: u64 = 1_000_000_000_000;

/// What goes wrong with one broadcast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// Accepted, but the answer is lost.
    AnswerLost,
    /// Refused for its account sequence; the node says which it expects, or does not.
    WrongSequence(bool),
    /// The node does not answer and has not seen it.
    Unreachable,
    /// Accepted and then never included.
    NeverIncluded,
}

#[derive(Default)]
struct Ledger {
    states: Vec<Host>,
    blocks: Vec<BlockFacts>,
    mempool: VecDeque<(TxHash, AccountSequence)>,
    prepared: BTreeMap<TxHash, (AccountSequence, Vec<Message>)>,
    sequence: u64,
    /// Consensus heights of each client.
    clients: BTreeMap<String, BTreeSet<u64>>,
    faults: VecDeque<Fault>,
    bad_proofs: u32,
    refused_port: Option<String>,
    quarantined: u32,
    submitted: u32,
}

/// Which header proves a state, and which blocks are shown to be final.
#[derive(Debug, Clone, Copy)]
struct Finality {
    lag: u64,
    every: u64,
}

impl Finality {
    /// The newest block shown to be final, of so many.
    fn newest(self, blocks: usize) -> usize {
        blocks - blocks % usize::try_from(self.every).unwrap()
    }
}

pub(super) struct Sim {
    pub(super) world: World,
    ledgers: Pair<Ledger>,
    finality: Pair<Finality>,
    start: Instant,
}

impl Sim {
    pub(super) fn new() -> Arc<Mutex<Self>> {
        let ledgers = Pair::new(Ledger::default(), Ledger::default());
        let finality = Finality { lag: 1, every: 1 };
        let finality = Pair::new(finality, finality);
        Arc::new(Mutex::new(Self { world: World::new(), ledgers, finality, start: Instant::now() }))
    }
    /// The headers of this chain hold the root of the state after their own block, and every so many blocks are shown to be final.
    pub(super) fn final_every(&mut self, side: Side, every: u64) {
        *self.finality.at_mut(side) = Finality { lag: 0, every };
    }
    pub(super) fn faults(&mut self, side: Side, faults: impl IntoIterator<Item = Fault>) {
        self.ledgers.at_mut(side).faults.extend(faults);
    }
    pub(super) fn bad_proofs(&mut self, side: Side, count: u32) {
        self.ledgers.at_mut(side).bad_proofs = count;
    }
    pub(super) fn refuse_port(&mut self, side: Side, port: &str) {
        self.ledgers.at_mut(side).refused_port = Some(port.to_owned());
    }
    pub(super) fn quarantined(&self, side: Side) -> u32 {
        self.ledgers.at(side).quarantined
    }
    pub(super) fn submitted(&self) -> u32 {
        self.ledgers.a.submitted + self.ledgers.b.submitted
    }
    pub(super) fn height(&self, side: Side) -> usize {
        self.ledgers.at(side).blocks.len()
    }

    /// Makes the blocks that are due. Chain `b` is half a block behind `a`.
    fn catch_up(&mut self) {
        let elapsed = self.start.elapsed() + 4 * BLOCK;
        loop {
            let due = |side: Side, made: usize| {
                let offset = if side == Side::A { Duration::ZERO } else { BLOCK / 2 };
                BLOCK * u32::try_from(made).unwrap() + offset
            };
            let next = Side::BOTH
                .into_iter()
                .map(|side| (due(side, self.height(side)), side))
                .min()
                .filter(|(at, _)| *at <= elapsed);
            let Some((at, side)) = next else { return };
            self.block(side, at);
        }
    }

    fn block(&mut self, side: Side, at: Duration) {
        let mut txs = Vec::new();
        let mut facts = Vec::new();
        let mempool = std::mem::take(&mut self.ledgers.at_mut(side).mempool);
        for (hash, sequence) in mempool {
            let ledger = self.ledgers.at_mut(side);
            if sequence.0 != ledger.sequence {
                continue;
            }
            ledger.sequence += 1;
            let messages = ledger.prepared[&hash].1.clone();
            let failure = self.execute(side, hash, &messages).err();
            if failure.is_none() {
                facts.extend(self.world.hosts.at(side).facts.get(&hash).cloned().unwrap_or_default());
            }
            txs.push(TxReport { hash, failure, gas_used: 1, gas_wanted: 2 });
        }
        let time = Timestamp(1_000_000 + u64::try_from(at.as_nanos()).unwrap());
        self.world.now = time.0;
        let host = self.world.hosts.at(side).clone();
        let ledger = self.ledgers.at_mut(side);
        let height = Height::new(1, 1 + u64::try_from(ledger.blocks.len()).unwrap());
        ledger.states.push(host);
        ledger.blocks.push(BlockFacts { at: At { height, time }, facts, txs, xcm: Vec::new() });
    }

    /// Client updates here, the rest by the model; all or nothing.
    fn execute(&mut self, side: Side, hash: TxHash, messages: &[Message]) -> Result<(), TxFailure> {
        let refuse = |index: usize, why: &str| TxFailure::Message {
            index: Some(index),
            others: Vec::new(),
            code: 1,
            codespace: Detail::new("sim"),
            detail: Detail::new(why),
        };
        let there = self.height(side.other());
        let mut clients = self.ledgers.at(side).clients.clone();
        for (index, message) in messages.iter().enumerate() {
            let proof = match message {
                Message::UpdateClient { client, message } => {
                    let height = u64::from_be_bytes(message.value.as_slice().try_into().unwrap());
                    if height > u64::try_from(there).unwrap() {
                        return Err(refuse(index, "a header from the future"));
                    }
                    clients.get_mut(client.as_str()).unwrap().insert(height);
                    continue;
                }
                Message::ChanOpenInit { port, .. } | Message::ChanOpenTry { port, .. }
                    if self.ledgers.at(side).refused_port.as_deref() == Some(port.as_str()) =>
                {
                    return Err(refuse(index, "no module is bound to the port"));
                }
                Message::ConnOpenTry { proof, .. }
                | Message::ConnOpenAck { proof, .. }
                | Message::ConnOpenConfirm { proof, .. }
                | Message::ChanOpenTry { proof, .. }
                | Message::ChanOpenAck { proof, .. }
                | Message::ChanOpenConfirm { proof, .. } => proof,
                _ => continue,
            };
            if !clients.values().any(|heights| heights.contains(&proof.height.number)) {
                return Err(refuse(index, "no consensus state at the proof's height"));
            }
        }
        let rest: Vec<Message> =
            messages.iter().filter(|m| !matches!(m, Message::UpdateClient { .. })).cloned().collect();
        let before = self.world.hosts.at(side).clients.len();
        self.world.apply(side, hash, &rest).map_err(|why| refuse(0, &why))?;
        for (id, message) in self.world.hosts.at(side).clients[before..].iter().zip(&rest) {
            let Message::CreateClient { consensus_state, .. } = message else { continue };
            let height = u64::from_be_bytes(consensus_state.value.as_slice().try_into().unwrap());
            clients.insert(id.clone(), BTreeSet::from([height]));
        }
        self.ledgers.at_mut(side).clients = clients;
        Ok(())
    }
}

fn number(kind: &str, number: u64) -> Any {
    Any { type_url: kind.to_owned(), value: number.to_be_bytes().to_vec() }
}

fn read(any: &Any) -> u64 {
    u64::from_be_bytes(any.value.as_slice().try_into().unwrap())
}

/// One of the two chains.
pub(super) struct SimChain {
    sim: Arc<Mutex<Sim>>,
    side: Side,
    id: ChainId,
}

impl SimChain {
    pub(super) fn open(sim: &Arc<Mutex<Sim>>, side: Side) -> Arc<dyn Chain> {
        Arc::new(Self { sim: Arc::clone(sim), side, id: chain(side) })
    }
    fn now(&self) -> MutexGuard<'_, Sim> {
        let mut sim = self.sim.lock().unwrap();
        sim.catch_up();
        sim
    }
    fn accept(&self, signed: &[Signed]) -> Vec<Result<(), TxFailure>> {
        let mut sim = self.now();
        let ledger = sim.ledgers.at_mut(self.side);
        let mut answers = Vec::new();
        for tx in signed {
            let fault = ledger.faults.pop_front().unwrap_or(Fault::None);
            let waiting = u64::try_from(ledger.mempool.len()).unwrap();
            let expected = AccountSequence(ledger.sequence + waiting);
            answers.push(match fault {
                Fault::Unreachable => Err(TxFailure::Chain(self.error(ChainErrorKind::Timeout))),
                Fault::WrongSequence(says) => Err(TxFailure::SequenceMismatch { expected: says.then_some(expected) }),
                _ if ledger.mempool.iter().any(|(hash, _)| *hash == tx.hash) => Err(TxFailure::AlreadyKnown),
                _ if tx.account_sequence != expected => Err(TxFailure::SequenceMismatch { expected: Some(expected) }),
                Fault::NeverIncluded => Ok(()),
                Fault::None | Fault::AnswerLost => {
                    ledger.submitted += 1;
                    ledger.mempool.push_back((tx.hash, tx.account_sequence));
                    let lost = TxFailure::Chain(self.error(ChainErrorKind::Timeout));
                    if fault == Fault::AnswerLost { Err(lost) } else { Ok(()) }
                }
            });
        }
        answers
    }
    fn error(&self, kind: ChainErrorKind) -> ChainError {
        ChainError::new(&self.id, kind, "")
    }
    fn finality(&self) -> Finality {
        *self.now().finality.at(self.side)
    }
    async fn until(&self, height: Height) -> Timestamp {
        loop {
            let time = self.now().ledgers.at(self.side).blocks.get(height.number as usize - 1).map(|b| b.at.time);
            match time {
                Some(time) => return time,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
}

/// Every call takes a little time, so that interruptions hit everywhere.
async fn latency() {
    tokio::time::sleep(Duration::from_millis(3)).await;
}

#[async_trait]
impl Chain for SimChain {
    fn id(&self) -> &ChainId {
        &self.id
    }
    async fn head(&self) -> Result<Head, ChainError> {
        latency().await;
        let sim = self.now();
        let newest = sim.finality.at(self.side).newest(sim.height(self.side));
        let at = sim.ledgers.at(self.side).blocks[newest - 1].at;
        Ok(Head { height: at.height, time: at.time })
    }
    async fn next_head(&self, after: Height) -> Result<Head, ChainError> {
        self.until(self.updatable(after.next()).await?).await;
        self.head().await
    }
    fn proof_lag(&self) -> u64 {
        self.finality().lag
    }
    async fn updatable(&self, height: Height) -> Result<Height, ChainError> {
        let every = self.finality().every;
        let height = Height { number: height.number.next_multiple_of(every), ..height };
        if every > 1 {
            self.until(height).await;
        }
        Ok(height)
    }
    async fn facts(&self, height: Height) -> Result<BlockFacts, ChainError> {
        latency().await;
        let sim = self.now();
        let block = sim.ledgers.at(self.side).blocks.get(height.number as usize - 1).cloned();
        block.ok_or_else(|| self.error(ChainErrorKind::NotYet(height)))
    }
    async fn pending(&self, _: &Pending) -> Result<Vec<Sequence>, ChainError> {
        Ok(Vec::new())
    }
    async fn history(&self, _: &History) -> Result<Vec<PastFact>, ChainError> {
        Ok(Vec::new())
    }
    async fn query(&self, paths: &[Path], at: Option<Height>, prove: bool) -> Result<Vec<Proven>, ChainError> {
        latency().await;
        let at = at.unwrap();
        let mut sim = self.now();
        let Finality { lag, every } = *sim.finality.at(self.side);
        assert!(!prove || (at.number + lag).is_multiple_of(every), "the state after {at} can't be proven");
        let ledger = sim.ledgers.at_mut(self.side);
        let lies = prove && ledger.bad_proofs > 0;
        ledger.bad_proofs -= u32::from(lies);
        let Some(host) = ledger.states.get(at.number as usize - 1) else {
            return Err(self.error(ChainErrorKind::NotYet(at)));
        };
        let value = |path: &Path| match path {
            Path::Connection(id) => host.connection(id.as_str()).map(|c| c.encode_to_vec()),
            Path::Channel(port, id) => host.channel(port.as_str(), id.as_str()).map(|c| c.encode_to_vec()),
            Path::ClientState(id) => {
                let newest = ledger.clients.get(id.as_str())?.last().copied()?;
                Some(number("/client", newest).encode_to_vec())
            }
            Path::ConsensusState(id, height) => {
                let held = ledger.clients.get(id.as_str())?.contains(&height.number);
                held.then(|| number("/consensus", height.number).encode_to_vec())
            }
            _ => None,
        };
        let proven = paths.iter().map(|path| {
            let value = value(path);
            let mut proof = if prove { value.clone().unwrap_or_default() } else { Vec::new() };
            if lies {
                proof.push(0);
            }
            Proven { value, proof, proof_height: at.later(lag), endpoint: Arc::from("node-1") }
        });
        Ok(proven.collect())
    }
    async fn verified(&self, height: Height) -> Result<Verified, ChainError> {
        let time = self.until(height).await;
        Ok(Verified { at: At { height, time }, consensus_state: number("/consensus", height.number) })
    }
    async fn anchor(&self, height: Height, consensus_state: &Any) -> Result<(), ChainError> {
        assert_eq!(read(consensus_state), height.number);
        Ok(())
    }
    async fn client_message(
        &self,
        client_state: &Any,
        trusted: Height,
        target: Height,
    ) -> Result<ClientUpdate, ChainError> {
        assert!(read(client_state) >= trusted.number);
        assert!(target.number.is_multiple_of(self.finality().every), "{target} is not shown to be final");
        let target_state = self.verified(target).await?;
        let header = UpdateHeader { trusted, height: target, message: number("/header", target.number) };
        Ok(ClientUpdate { headers: vec![header], target: target_state })
    }
    async fn new_client(&self) -> Result<NewClient, ChainError> {
        let height = self.head().await?.height;
        let (client_state, consensus_state) = (number("/client", height.number), number("/consensus", height.number));
        Ok(NewClient { client_state, consensus_state, height })
    }
    fn client_info(&self, client_state: &Any) -> Result<ClientInfo, ChainError> {
        let latest = Height::new(1, read(client_state));
        Ok(ClientInfo { chain: self.id.clone(), latest, trusting_period_ns: TRUSTING_NS, frozen: false })
    }
    fn consensus_time(&self, consensus_state: &Any) -> Result<Timestamp, ChainError> {
        let sim = self.now();
        Ok(sim.ledgers.at(self.side).blocks[read(consensus_state) as usize - 1].at.time)
    }
    async fn check_header(&self, _: &ClientId, _: &Any, _: &Any) -> Result<Option<Any>, ChainError> {
        Ok(None)
    }
    fn quarantine(&self, endpoint: &str, _: &'static str) {
        assert_eq!(endpoint, "node-1");
        self.now().ledgers.at_mut(self.side).quarantined += 1;
    }
    fn signer(&self) -> &str {
        "sim1"
    }
    async fn account_sequence(&self) -> Result<AccountSequence, ChainError> {
        latency().await;
        Ok(AccountSequence(self.now().ledgers.at(self.side).sequence))
    }
    async fn balance(&self) -> Result<(u128, String), ChainError> {
        Ok((1, "stake".to_owned()))
    }
    async fn prepare(&self, draft: &Draft, sequence: AccountSequence) -> Result<Signed, TxFailure> {
        latency().await;
        let mut sim = self.now();
        let (world, clients) = (sim.world.clone(), sim.ledgers.at(self.side).clients.clone());
        let simulated = sim.execute(self.side, TxHash([255; 32]), &draft.messages);
        sim.world = world;
        sim.ledgers.at_mut(self.side).clients = clients;
        simulated?;
        let head = u64::try_from(sim.height(self.side)).unwrap();
        let ledger = sim.ledgers.at_mut(self.side);
        let mut hash = [0; 32];
        hash[0] = 1 + u8::try_from(ledger.prepared.len()).unwrap();
        hash[1] = u8::try_from(self.side.index()).unwrap();
        let hash = TxHash(hash);
        ledger.prepared.insert(hash, (sequence, draft.messages.clone()));
        Ok(Signed {
            hash,
            bytes: Arc::from(hash.0.as_slice()),
            account_sequence: sequence,
            gas: Gas(1),
            fee: (1, "stake".to_owned()),
            timeout_height: Height::new(1, head + 10),
        })
    }
    async fn submit(&self, signed: &[Signed]) -> Vec<Result<(), TxFailure>> {
        latency().await;
        let answers = self.accept(signed);
        latency().await;
        answers
    }
    async fn outcome(&self, hash: TxHash, _last: Height) -> Result<Outcome, ChainError> {
        latency().await;
        let sim = self.now();
        let found = sim.ledgers.at(self.side).blocks.iter().find_map(|block| {
            let report = block.txs.iter().find(|t| t.hash == hash)?.clone();
            Some(Outcome::Committed { height: block.at.height, report })
        });
        Ok(found.unwrap_or(Outcome::Unknown))
    }
    fn learn(&self, _: &Draft, _: &TxReport) {}
}

/// Why [`SimVerifier`] refuses.
pub(super) const BAD: Reason = Reason::Undecodable { part: Part::MerkleProof };

/// Takes a proof that equals the value, refuses any other.
pub(super) struct SimVerifier;

impl Verifier for SimVerifier {
    fn update(&self, _: &Any, _: &Any, _: &Any, _: ClientTime) -> Verdict<Updated> {
        unreachable!("the adapter verifies headers")
    }
    fn membership(
        &self,
        _: &Any,
        consensus_state: &Any,
        proof: &[u8],
        path: &MerklePath,
        value: Option<&[u8]>,
    ) -> Result<(), Reason> {
        assert_eq!(consensus_state.type_url, "/consensus");
        assert_eq!(path.keys().first().map(Vec::as_slice), Some(b"ibc".as_slice()));
        if proof == value.unwrap_or_default() { Ok(()) } else { Err(BAD) }
    }
    fn misbehaviour(&self, _: &Any, _: &Any, _: &Any, _: &Any, _: ClientTime) -> Verdict<()> {
        unreachable!("no misbehaviour here")
    }
    fn protocols(&self) -> Protocols {
        Protocols { headers: "sim", proofs: "sim" }
    }
    fn update_cost(&self, _: &Any) -> u64 {
        0
    }
}
