//! A chain made up behind a node's JSON-RPC: blocks with states and times, votes with real keys, changes of authorities.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Json;
use axum::routing::post;
use light_clients::grandpa::{Commit, ConsensusLog, Hash, SubstrateHeader};
use parity_scale_codec::{Compact, Encode};
use relayer_core::id::ChainId;
use serde_json::{Value, json};

use super::generate::grandpa::{Voter, announce, authorities, justify, scheduled, voters};
use super::generate::grandpa_client::Block;
use super::generate::grandpa_trie::State;
use super::runtime::{self, VERSION};
use crate::Cpu;
use crate::rpc::{EndpointSettings, RpcSettings};
use crate::substrate::{SubstrateChain, SubstrateConfig, keys, wire};

/// Milliseconds of a block.
const BLOCK: u64 = 1_000;

/// The chain's ledger.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) blocks: Vec<Block>,
    /// The authorities of each block: who finalizes it, and their set.
    sets: Vec<(u64, Vec<Voter>)>,
    change: Option<(u32, Vec<Voter>)>,
    /// Blocks whose justification the node proves.
    pub(super) proven: BTreeSet<u32>,
    /// Blocks with which it keeps one.
    pub(super) kept: BTreeSet<u32>,
    pub(super) extrinsics: BTreeMap<u32, Vec<Vec<u8>>>,
    pub(super) submitted: Vec<Vec<u8>>,
    /// How often each method was called.
    pub(super) calls: BTreeMap<String, usize>,
    /// Blocks whose state is gone.
    pub(super) pruned_below: u32,
    /// Votes with other keys than its own.
    pub(super) forges: bool,
    /// Proofs of finality name another block's hash.
    pub(super) misnames: bool,
    /// Proofs of finality are of a block that is not there.
    pub(super) boasts: bool,
    /// Junk beside the nodes of each read proof.
    pub(super) padding: usize,
    /// Whether the state counts its sets, as sessions do.
    pub(super) counts: bool,
    /// Events in place of the state's own, with a proof of a state that holds them.
    pub(super) made_up_events: Option<Vec<u8>>,
    /// Whether values without a proof are others than the state's.
    pub(super) misvalues: bool,
    /// Extrinsics in place of the newest block's own.
    pub(super) made_up_extrinsics: Option<Vec<Vec<u8>>>,
    /// Whether the node tells other metadata than the chain's.
    pub(super) misshapes: bool,
    /// Whether the node refuses to say what an extrinsic costs.
    pub(super) hides_fees: bool,
}

#[derive(Clone)]
pub(super) struct Chain(Arc<Mutex<Made>>);

impl Chain {
    /// Two blocks, voters of these weights in set 3.
    pub(super) fn new() -> Self {
        let voters = voters(0, &[1; 4]);
        let (list, set) = (authorities(&voters).encode(), 3u64.encode());
        let (authorities_key, set_key) =
            (keys::value("Grandpa", "Authorities"), keys::value("Grandpa", "CurrentSetId"));
        let mut first = Block::first(&[(&authorities_key, &list), (&set_key, &set)]);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        // Old enough that a thousand blocks more are no future.
        first.at(u64::try_from(now.as_millis()).unwrap() - 1_000 * BLOCK);
        let made = Made {
            blocks: vec![first],
            sets: vec![(3, voters.clone()), (3, voters)],
            change: None,
            proven: BTreeSet::new(),
            kept: BTreeSet::new(),
            extrinsics: BTreeMap::new(),
            submitted: Vec::new(),
            calls: BTreeMap::new(),
            pruned_below: 0,
            forges: false,
            misnames: false,
            boasts: false,
            padding: 0,
            counts: true,
            made_up_events: None,
            misvalues: false,
            made_up_extrinsics: None,
            misshapes: false,
            hides_fees: false,
        };
        let chain = Self(Arc::new(Mutex::new(made)));
        chain.grow(1);
        chain
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Made> {
        self.0.lock().unwrap()
    }

    /// So many blocks more.
    pub(super) fn grow(&self, count: usize) {
        (0..count).for_each(|_| self.lock().next(|_| {}));
    }

    /// A block with these entries in its state from now on.
    pub(super) fn store(&self, entries: &[(&str, &[u8])]) {
        self.lock().next(|block| {
            for (key, value) in entries {
                block.state.entries.insert([b"ibc/", key.as_bytes()].concat(), value.to_vec());
            }
        });
    }

    /// A block with these events and extrinsics.
    pub(super) fn happens(&self, events: Vec<u8>, extrinsics: Vec<Vec<u8>>) -> u32 {
        let mut made = self.lock();
        made.next(|block| {
            block.state.entries.insert(keys::value("System", "Events"), events);
            block.header.extrinsics_root = extrinsics_root(&extrinsics);
        });
        let number = made.newest();
        made.extrinsics.insert(number, extrinsics);
        number
    }

    /// A block that announces other authorities, to vote `delay` blocks later.
    pub(super) fn change(&self, seed: u16, delay: u32) {
        let next = voters(seed, &[1, 2, 1]);
        let mut made = self.lock();
        made.change = Some((made.newest() + 1 + delay, next.clone()));
        let log = scheduled(&next, delay);
        made.announce(log, &next, delay);
    }

    /// The newest block is finalized and the node has the proof.
    pub(super) fn finalize(&self) -> u32 {
        let mut made = self.lock();
        let newest = made.newest();
        made.proven.insert(newest);
        newest
    }

    pub(super) fn hash(&self, number: u32) -> Hash {
        self.lock().block(number).unwrap().header.hash()
    }

    /// The adapter of it.
    pub(super) async fn open(&self, set: impl FnOnce(&mut SubstrateConfig)) -> SubstrateChain {
        self.open_with(set, None).await
    }

    pub(super) async fn open_with(
        &self,
        set: impl FnOnce(&mut SubstrateConfig),
        wallet: Option<(crate::substrate::tx::Key, crate::substrate::tx::WalletSettings)>,
    ) -> SubstrateChain {
        let mut rpc = RpcSettings::new("made", vec![self.serve().await]);
        rpc.endpoints[0].limiter.rate_per_second = 100_000;
        rpc.endpoints[0].limiter.burst = 100_000;
        let mut config = SubstrateConfig::new(ChainId::new("made").unwrap(), 42, rpc);
        config.websocket = false;
        config.poll = Duration::from_millis(20);
        config.checksum = Some([3; 32]);
        set(&mut config);
        SubstrateChain::new(config, wallet, Cpu::inline()).unwrap()
    }

    /// Another node of the same chain.
    pub(super) fn twin(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// A node of it.
    pub(super) async fn serve(&self) -> EndpointSettings {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let chain = self.clone();
        let handler = move |Json(request): Json<Value>| async move {
            Json(match &request {
                Value::Array(calls) => calls.iter().map(|call| chain.answer(call)).collect(),
                call => chain.answer(call),
            })
        };
        let app = axum::Router::new().route("/", post(handler));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        EndpointSettings::new(url)
    }

    fn answer(&self, call: &Value) -> Value {
        let mut made = self.lock();
        let method = call["method"].as_str().unwrap();
        *made.calls.entry(method.to_owned()).or_default() += 1;
        match made.call(method, &call["params"]) {
            Ok(result) => json!({"jsonrpc": "2.0", "id": call["id"], "result": result}),
            Err((code, message)) => {
                json!({"jsonrpc": "2.0", "id": call["id"], "error": {"code": code, "message": message}})
            }
        }
    }
}

type Answer = Result<Value, (i64, String)>;

impl Made {
    fn newest(&self) -> u32 {
        self.blocks.last().unwrap().header.number
    }
    fn block(&self, number: u32) -> Option<&Block> {
        self.blocks.iter().find(|block| block.header.number == number)
    }

    fn next(&mut self, change: impl FnOnce(&mut Block)) {
        let last = self.blocks.last().unwrap();
        let mut block = last.next(0);
        let millis = last.millis() + BLOCK;
        block.state.entries.remove(&keys::value("System", "Events"));
        block.header.extrinsics_root = extrinsics_root(&[]);
        change(&mut block);
        block.at(millis);
        self.push(block);
    }

    fn announce(&mut self, log: ConsensusLog, next: &[Voter], delay: u32) {
        let number = self.newest() + 1;
        let pending = (number, delay, authorities(next), None::<u32>).encode();
        let (set, counts) = (self.sets.last().unwrap().0, self.counts);
        self.next(|block| {
            announce(&mut block.header, log);
            block.state.entries.insert(keys::value("Grandpa", "PendingChange"), pending);
            if counts {
                block.state.entries.insert(keys::value("Grandpa", "CurrentSetId"), (set + 1).encode());
            }
        });
    }

    fn push(&mut self, mut block: Block) {
        let number = block.header.number;
        let (mut set, mut voters) = self.sets.last().unwrap().clone();
        if let Some((effective, next)) = self.change.clone()
            && effective == number
        {
            block.state.entries.remove(&keys::value("Grandpa", "PendingChange"));
            block.state.entries.insert(keys::value("Grandpa", "Authorities"), authorities(&next).encode());
            let millis = block.millis();
            block.at(millis);
            (set, voters) = (set + 1, next);
            self.change = None;
            self.kept.insert(number);
        }
        self.blocks.push(block);
        // Who finalizes the block after this one.
        self.sets.push((set, voters));
    }

    fn votes(&self, number: u32) -> Vec<u8> {
        self.votes_for(number, |_| {})
    }

    /// The votes for a block, with another target.
    fn votes_for(&self, number: u32, change: impl FnOnce(&mut Commit)) -> Vec<u8> {
        let (set, voters) = &self.sets[usize::try_from(number).unwrap() - 1];
        let forged = voters_of(90, voters.len());
        let voters = if self.forges { &forged } else { voters };
        let mut votes = justify(&self.block(number).unwrap().header, voters, *set);
        for (vote, real) in votes.commit.precommits.iter_mut().zip(&self.sets[usize::try_from(number).unwrap() - 1].1) {
            vote.id = *real.key.verification_key().as_bytes();
        }
        change(&mut votes.commit);
        votes.encode()
    }

    fn by_hash(&self, param: &Value) -> Option<&Block> {
        let hash = wire::hash(param.as_str()?)?;
        self.blocks.iter().find(|block| block.header.hash() == hash)
    }

    fn state(&self, param: &Value) -> Result<&Block, (i64, String)> {
        let block =
            self.by_hash(param).ok_or_else(|| (4003, "Client error: UnknownBlock: Header was not found".to_owned()))?;
        if block.header.number < self.pruned_below {
            return Err((4003, format!("Client error: UnknownBlock: State already discarded for {param}")));
        }
        Ok(block)
    }

    fn call(&mut self, method: &str, params: &Value) -> Answer {
        let entry = |block: &Block, key: &str| block.state.entries.get(&wire::bytes(key).unwrap()).map(wire::hex);
        Ok(match method {
            "system_health" => json!({"peers": 0, "isSyncing": false, "shouldHavePeers": false}),
            "chain_getFinalizedHead" => {
                let newest = self.proven.last().copied().unwrap_or(1);
                json!(wire::hex(self.block(newest).unwrap().header.hash()))
            }
            "chain_getBlockHash" => match &params[0] {
                Value::Array(numbers) => {
                    let number = |n: &Value| u32::try_from(n.as_u64().unwrap()).unwrap();
                    numbers
                        .iter()
                        .map(|n| {
                            self.block(number(n))
                                .map(|b| wire::hex(b.header.hash()))
                                .map_or(if n == 0 { json!(wire::hex([7; 32])) } else { Value::Null }, Value::from)
                        })
                        .collect()
                }
                _ => json!(wire::hex(self.blocks.last().unwrap().header.hash())),
            },
            "chain_getHeader" => self.by_hash(&params[0]).map_or(Value::Null, |block| header(&block.header)),
            "chain_getBlock" => match self.by_hash(&params[0]) {
                None => Value::Null,
                Some(block) => {
                    let number = block.header.number;
                    let own = self.extrinsics.get(&number).cloned().unwrap_or_default();
                    let held = self.made_up_extrinsics.clone().unwrap_or(own);
                    let held: Vec<String> = held.iter().map(wire::hex).collect();
                    let justifications = self.kept.contains(&number).then(|| json!([[b"FRNK", self.votes(number)]]));
                    json!({"block": {"header": header(&block.header), "extrinsics": held}, "justifications": justifications})
                }
            },
            "grandpa_proveFinality" => {
                let asked = u32::try_from(params[0].as_u64().unwrap()).unwrap();
                if self.boasts {
                    let votes = self
                        .votes_for(asked, |commit| (commit.target_number, commit.target_hash) = (u32::MAX, [9; 32]));
                    return Ok(json!(wire::hex(([9u8; 32], votes, Vec::<u8>::new()).encode())));
                }
                if self.misnames {
                    let other = self.block(asked - 1).unwrap().header.hash();
                    let votes = self.votes_for(asked, |commit| commit.target_hash = other);
                    return Ok(json!(wire::hex((other, votes, Vec::<u8>::new()).encode())));
                }
                match self.proven.range(asked..).next() {
                    Some(number) => {
                        let hash = self.block(*number).unwrap().header.hash();
                        json!(wire::hex((hash, self.votes(*number), Vec::<u8>::new()).encode()))
                    }
                    None => return Err((1, "Block not covered by authority set changes.".to_owned())),
                }
            }
            "state_getStorage" => {
                json!(entry(self.state(&params[1])?, params[0].as_str().unwrap()))
            }
            "state_queryStorageAt" if self.misvalues => {
                let lies: Vec<_> = params[0].as_array().unwrap().iter().map(|key| json!([key, "0x66"])).collect();
                json!([{"block": params[1], "changes": lies}])
            }
            "state_queryStorageAt" => {
                let block = self.state(&params[1])?;
                let changes: Vec<_> = params[0]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|key| json!([key, entry(block, key.as_str().unwrap())]))
                    .collect();
                json!([{"block": params[1], "changes": changes}])
            }
            "state_getKeysPaged" => {
                let block = self.state(&params[3])?;
                let (prefix, count) = (wire::bytes(params[0].as_str().unwrap()).unwrap(), params[1].as_u64().unwrap());
                let after = params[2].as_str().map(|text| wire::bytes(text).unwrap()).unwrap_or_default();
                let keys = block.state.entries.keys().filter(|key| key.starts_with(&prefix) && **key > after);
                keys.take(usize::try_from(count).unwrap()).map(wire::hex).map(Value::from).collect()
            }
            "state_getReadProof" => {
                let block = self.state(&params[1])?;
                let keys: Vec<Vec<u8>> =
                    params[0].as_array().unwrap().iter().map(|k| wire::bytes(k.as_str().unwrap()).unwrap()).collect();
                let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                let mut state = block.state.clone();
                if let Some(events) = self.made_up_events.clone().filter(|_| keys == [keys::value("System", "Events")])
                {
                    state.entries.insert(keys::value("System", "Events"), events);
                }
                let mut nodes: Vec<String> = state.prove(&keys).1.iter().map(wire::hex).collect();
                nodes.extend((0..self.padding).map(|n| wire::hex(n.to_le_bytes())));
                json!({"at": params[1], "proof": nodes})
            }
            "state_getRuntimeVersion" => {
                json!({"specVersion": VERSION.spec_version, "transactionVersion": VERSION.transaction_version})
            }
            "state_call" => match params[0].as_str().unwrap() {
                "Metadata_metadata_at_version" if self.misshapes => {
                    json!(wire::hex(Some(runtime::misshapen()).encode()))
                }
                "Metadata_metadata_at_version" => json!(wire::hex(Some(runtime::metadata()).encode())),
                "AccountNonceApi_account_nonce" => json!(wire::hex(5u32.encode())),
                "TransactionPaymentApi_query_info" if !self.hides_fees => {
                    json!(wire::hex((Compact(2_000_000u64), Compact(0u64), 0u8, 1_234u128).encode()))
                }
                other => return Err((-32000, format!("no {other}"))),
            },
            "author_submitExtrinsic" => {
                let bytes = wire::bytes(params[0].as_str().unwrap()).unwrap();
                if self.submitted.contains(&bytes) {
                    return Err((1013, "Transaction is already imported".to_owned()));
                }
                let hash = light_clients::grandpa::blake2_256(&bytes);
                self.submitted.push(bytes);
                json!(wire::hex(hash))
            }
            other => return Err((-32601, format!("Method not found: {other}"))),
        })
    }
}

fn extrinsics_root(extrinsics: &[Vec<u8>]) -> Hash {
    let keys: Vec<_> = (0u32..).zip(extrinsics).map(|(index, _)| Compact(index).encode()).collect();
    let entries: Vec<_> = keys.iter().zip(extrinsics).map(|(key, bytes)| (key.as_slice(), bytes.as_slice())).collect();
    State::new(false, &entries).root()
}

fn voters_of(seed: u16, count: usize) -> Vec<Voter> {
    voters(seed, &vec![1; count])
}

fn header(header: &SubstrateHeader) -> Value {
    let logs: Vec<String> = header.digest.0.iter().map(|log| wire::hex(log.encode())).collect();
    json!({
        "parentHash": wire::hex(header.parent_hash),
        "number": format!("{:#x}", header.number),
        "stateRoot": wire::hex(header.state_root),
        "extrinsicsRoot": wire::hex(header.extrinsics_root),
        "digest": {"logs": logs},
    })
}
