//! The contract as ibc-go calls it: its JSON, its store, its host's signatures and clock.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::arithmetic_side_effects)]
#![allow(clippy::indexing_slicing)]

#[allow(dead_code)]
#[path = "../../tests/generate"]
mod generate {
    pub(crate) mod grandpa;
    pub(crate) mod grandpa_client;
    pub(crate) mod grandpa_trie;
}

use cosmwasm_std::testing::{MockApi, MockQuerier, MockStorage, message_info, mock_dependencies, mock_env};
use cosmwasm_std::{Addr, Binary, Env, OwnedDeps, Storage, Timestamp, from_json};
use generate::grandpa::{Voter, announce, justify, scheduled, voters};
use generate::grandpa_client::{Block, blocks, client, header};
use grandpa_contract::msg::{InstantiateMsg, MigrateMsg, QueryMsg, SudoMsg};
use grandpa_contract::{ContractError, instantiate, migrate, query, sudo};
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::lightclients::wasm::v1::{ClientMessage, ClientState, ConsensusState};
use light_clients::grandpa::{Fault, schema};
use light_clients::{Height, Reason};
use parity_scale_codec::Encode;
use prost::Message;

const SET: u64 = 4;
const KEY: &[u8] = b"ibc/commitments/ports/transfer/channels/channel-0/sequences/1";

struct Chain {
    deps: OwnedDeps<MockStorage, MockApi, MockQuerier>,
    env: Env,
    voters: Vec<Voter>,
    trusted: Block,
    blocks: Vec<Block>,
}

fn client_data(client: &Any) -> (Binary, Binary) {
    let wrapper = ClientState::decode(client.value.as_slice()).unwrap();
    (wrapper.data.into(), wrapper.checksum.into())
}

fn consensus_data(state: &Any) -> Binary {
    ConsensusState::decode(state.value.as_slice()).unwrap().data.into()
}

fn message_data(message: Any) -> String {
    Binary::from(ClientMessage::decode(message.value.as_slice()).unwrap().data).to_base64()
}

fn height(block: &Block) -> String {
    format!(r#"{{"revision_number":0,"revision_height":{}}}"#, block.header.number)
}

impl Chain {
    /// A client of a chain of six blocks, created at the first, a second after the last.
    fn new() -> Self {
        let trusted = Block::first(&[(KEY, &[1; 32]), (b"ibc/other", &[2; 50])]);
        let (voters, blocks) = (voters(0, &[1; 4]), blocks(&trusted, 5, 0));
        let (mut deps, mut env) = (mock_dependencies(), mock_env());
        env.block.time = Timestamp::from_nanos(blocks[4].seconds_later(1).as_nanos());
        let (client_state, checksum) = client_data(&client(&trusted));
        let consensus_state = consensus_data(&trusted.consensus(SET, &voters).encode());
        let msg = InstantiateMsg { client_state, consensus_state, checksum };
        let response =
            instantiate(deps.as_mut(), env.clone(), message_info(&Addr::unchecked("host"), &[]), msg).unwrap();
        // ibc-go refuses a contract that answers with more than data.
        assert!(response.messages.is_empty() && response.attributes.is_empty() && response.events.is_empty());
        Self { deps, env, voters, trusted, blocks }
    }

    fn header(&self) -> schema::Header {
        header(&self.trusted, &self.blocks, &self.voters, SET)
    }

    fn query(&self, json: &str) -> Result<String, ContractError> {
        let msg: QueryMsg = from_json(json).unwrap();
        query(self.deps.as_ref(), self.env.clone(), msg).map(|answer| String::from_utf8(answer.to_vec()).unwrap())
    }

    fn sudo(&mut self, json: &str) -> Result<String, ContractError> {
        let msg: SudoMsg = from_json(json).unwrap();
        let response = sudo(self.deps.as_mut(), self.env.clone(), msg)?;
        assert!(response.messages.is_empty() && response.attributes.is_empty() && response.events.is_empty());
        Ok(String::from_utf8(response.data.unwrap().to_vec()).unwrap())
    }

    fn ask(&self, question: &str, message: Any) -> Result<String, ContractError> {
        self.query(&format!(r#"{{"{question}":{{"client_message":"{}"}}}}"#, message_data(message)))
    }

    fn tell(&mut self, order: &str, message: Any) -> Result<String, ContractError> {
        self.sudo(&format!(r#"{{"{order}":{{"client_message":"{}"}}}}"#, message_data(message)))
    }

    /// What ibc-go does with a MsgUpdateClient.
    fn update(&mut self, message: Any) -> Result<String, ContractError> {
        self.ask("verify_client_message", message.clone())?;
        match self.ask("check_for_misbehaviour", message.clone())?.as_str() {
            r#"{"found_misbehaviour":false}"# => self.tell("update_state", message),
            r#"{"found_misbehaviour":true}"# => self.tell("update_state_on_misbehaviour", message),
            other => panic!("{other}"),
        }
    }

    fn status(&self) -> String {
        self.query(r#"{"status":{}}"#).unwrap()
    }

    /// Membership of a value, or absence.
    fn verify(&mut self, block: &Block, key: &[u8], value: Option<&[u8]>) -> Result<String, ContractError> {
        let proof = Binary::from(block.prove(key)).to_base64();
        let (prefix, rest) = key.split_at(4);
        let keys = [prefix, rest].map(|key| format!("\"{}\"", Binary::from(key).to_base64())).join(",");
        let (order, value) = match value {
            Some(value) => ("verify_membership", format!(r#","value":"{}""#, Binary::from(value).to_base64())),
            None => ("verify_non_membership", String::new()),
        };
        self.sudo(&format!(
            r#"{{"{order}":{{"height":{},"delay_time_period":0,"delay_block_period":0,"proof":"{proof}","merkle_path":{{"key_path":[{keys}]}}{value}}}}}"#,
            height(block)
        ))
    }
}

fn refused<T>(reason: impl Into<Reason>) -> Result<T, ContractError> {
    Err(ContractError::Refused(reason.into()))
}

#[test]
fn instantiation_writes_states_where_the_module_looks_for_them() {
    let chain = Chain::new();
    let stored = |key: &str| Any::decode(chain.deps.storage.get(key.as_bytes()).unwrap().as_slice()).unwrap();
    assert_eq!(stored("clientState"), client(&chain.trusted));
    assert_eq!(stored("consensusStates/0-1"), chain.trusted.consensus(SET, &chain.voters).encode());
    assert_eq!(chain.status(), r#"{"status":"Active"}"#);
}

#[test]
fn an_update_is_verified_by_the_host_and_stored_once() {
    let mut chain = Chain::new();
    let message = chain.header().into_any();
    let heights = r#"{"heights":[{"revision_number":0,"revision_height":6}]}"#;
    assert_eq!(chain.update(message.clone()).unwrap(), heights);
    let time = chain.blocks[4].seconds_later(0).as_nanos();
    let at_height = format!(r#"{{"timestamp_at_height":{{"height":{}}}}}"#, height(&chain.blocks[4]));
    assert_eq!(chain.query(&at_height).unwrap(), format!(r#"{{"timestamp":{time}}}"#));
    let stored = ClientState::decode(
        Any::decode(chain.deps.storage.get(b"clientState").unwrap().as_slice()).unwrap().value.as_slice(),
    );
    assert_eq!(stored.unwrap().latest_height.map(Height::from), Some(Height::new(0, 6)));
    // A rival relayer's same header changes nothing; one for a height between fills it in and keeps the latest.
    assert_eq!(chain.update(message).unwrap(), heights);
    let between = header(&chain.trusted, &chain.blocks[..2], &chain.voters, SET).into_any();
    assert_eq!(chain.update(between).unwrap(), r#"{"heights":[{"revision_number":0,"revision_height":3}]}"#);
    let proven = chain.blocks[1].clone();
    assert_eq!(chain.verify(&proven, KEY, Some(&[1; 32])).unwrap(), "{}");
    assert_eq!(chain.status(), r#"{"status":"Active"}"#);
}

#[test]
fn forged_updates_are_refused_and_store_nothing() {
    let mut chain = Chain::new();
    let target = chain.blocks[4].header.clone();
    let forge = |chain: &mut Chain, spoil: &dyn Fn(&mut schema::Header)| {
        let mut header = chain.header();
        spoil(&mut header);
        chain.update(header.into_any())
    };
    let few = justify(&target, &chain.voters[..2], SET).encode();
    let too_few = Reason::TooFewSigned { tallied: 2, total: 4 };
    assert_eq!(forge(&mut chain, &|header| header.justification = few.clone()), refused(too_few));
    let other_set = justify(&target, &chain.voters, SET + 1).encode();
    assert_eq!(forge(&mut chain, &|header| header.justification = other_set.clone()), refused(Reason::Signature));
    assert_eq!(forge(&mut chain, &|header| drop(header.headers.remove(0))), refused(Fault::BrokenChain { index: 0 }));
    let nowhere = forge(&mut chain, &|header| header.trusted_height = Some(Height::new(0, 3).into()));
    assert_eq!(nowhere, Err(ContractError::NoConsensus { height: Height::new(0, 3) }));
    assert!(chain.deps.storage.get(b"consensusStates/0-6").is_none());
    let garbage = chain.query(r#"{"verify_client_message":{"client_message":"AAAA"}}"#);
    assert!(matches!(garbage, Err(ContractError::Refused(_))), "{garbage:?}");
}

#[test]
fn authority_sets_change_hands_in_the_store() {
    let mut chain = Chain::new();
    let next = voters(30, &[7; 3]);
    announce(&mut chain.blocks[2].header, scheduled(&next, 0));
    for at in 3..5 {
        chain.blocks[at].header.parent_hash = chain.blocks[at - 1].header.hash();
    }
    let skipping = chain.header().into_any();
    assert_eq!(chain.update(skipping), refused(Fault::SkippedChange { effective: 4 }));
    let to_change = header(&chain.trusted, &chain.blocks[..3], &chain.voters, SET).into_any();
    chain.update(to_change).unwrap();
    let stale = header(&chain.blocks[2], &chain.blocks[3..], &chain.voters, SET).into_any();
    assert_eq!(chain.update(stale), refused(Fault::AuthoritiesHash));
    let beyond = header(&chain.blocks[2], &chain.blocks[3..], &next, SET + 1).into_any();
    chain.update(beyond).unwrap();
}

#[test]
fn membership_and_absence_are_proven_by_storage_proofs() {
    let mut chain = Chain::new();
    let message = chain.header().into_any();
    chain.update(message).unwrap();
    let (last, older) = (chain.blocks[4].clone(), chain.blocks[3].clone());
    assert_eq!(chain.verify(&last, KEY, Some(&[1; 32])).unwrap(), "{}");
    assert_eq!(chain.verify(&last, b"ibc/none", None).unwrap(), "{}");
    assert_eq!(chain.verify(&last, KEY, Some(&[2; 32])), refused(Reason::ProofValue { tree: 0 }));
    assert_eq!(chain.verify(&last, KEY, None), refused(Reason::ProofKind { tree: 0 }));
    assert_eq!(chain.verify(&last, b"ibc/none", Some(&[1])), refused(Reason::ProofKind { tree: 0 }));
    let unknown = chain.verify(&older, KEY, Some(&[1; 32]));
    assert_eq!(unknown, Err(ContractError::NoConsensus { height: older.height() }));
    let delayed = chain.sudo(
        r#"{"verify_non_membership":{"height":{"revision_height":6},"delay_time_period":1,"delay_block_period":0,"proof":"","merkle_path":{}}}"#,
    );
    assert_eq!(delayed, Err(ContractError::Delay));
}

#[test]
fn misbehaviour_freezes_the_client() {
    let mut chain = Chain::new();
    let fork = blocks(&chain.trusted, 5, 6);
    let forked = header(&chain.trusted, &fork, &chain.voters, SET);
    let of = |first: schema::Header, second: schema::Header| {
        schema::Misbehaviour { header_1: Some(first), header_2: Some(second) }.into_any()
    };
    let none = of(chain.header(), chain.header());
    assert_eq!(chain.update(none), refused(Reason::NoConflict));
    assert_eq!(chain.status(), r#"{"status":"Active"}"#);
    let both = of(chain.header(), forked.clone());
    // As the mempool of ibc-go does.
    assert_eq!(chain.tell("update_state", both.clone()).unwrap(), r#"{"heights":[]}"#);
    assert_eq!(chain.status(), r#"{"status":"Active"}"#);
    assert!(chain.deps.storage.get(b"consensusStates/0-6").is_none());
    assert_eq!(chain.update(both).unwrap(), "{}");
    assert_eq!(chain.status(), r#"{"status":"Frozen"}"#);
    let frozen = refused(Reason::ClientFrozen { height: Height::new(0, 1) });
    let message = chain.header().into_any();
    assert_eq!(chain.update(message), frozen);
    let trusted = chain.trusted.clone();
    assert_eq!(chain.verify(&trusted, KEY, Some(&[1; 32])), frozen);

    // A single header of a fork whose height is known already does so, too.
    let mut chain = Chain::new();
    let message = chain.header().into_any();
    chain.update(message).unwrap();
    assert_eq!(chain.update(forked.into_any()).unwrap(), "{}");
    assert_eq!(chain.status(), r#"{"status":"Frozen"}"#);
}

#[test]
fn trust_expires_with_the_hosts_clock() {
    let mut chain = Chain::new();
    let at = |seconds| Timestamp::from_nanos(Chain::new().trusted.seconds_later(seconds).as_nanos());
    chain.env.block.time = at(3_599);
    assert_eq!(chain.status(), r#"{"status":"Active"}"#);
    chain.env.block.time = at(3_600);
    assert_eq!(chain.status(), r#"{"status":"Expired"}"#);
    let message = chain.header().into_any();
    assert!(matches!(chain.update(message), Err(ContractError::Refused(Reason::TrustExpired { .. }))));
}

#[test]
fn recovery_takes_over_the_states_of_an_active_client_of_the_same_chain() {
    let recovered = |change: &dyn Fn(&mut Chain)| {
        // The module shows both stores under prefixes.
        let (mut subject, mut substitute) = (Chain::new(), Chain::new());
        let both = schema::Misbehaviour {
            header_1: Some(subject.header()),
            header_2: Some(header(&subject.trusted, &blocks(&subject.trusted, 5, 6), &subject.voters, SET)),
        };
        subject.update(both.into_any()).unwrap();
        let message = substitute.header().into_any();
        substitute.update(message).unwrap();
        change(&mut substitute);
        let mut chain = Chain::new();
        for (prefix, from) in [("subject/", &subject), ("substitute/", &substitute)] {
            for key in ["clientState", "consensusStates/0-1", "consensusStates/0-6"] {
                if let Some(value) = from.deps.storage.get(key.as_bytes()) {
                    chain.deps.storage.set(&[prefix, key].concat().into_bytes(), &value);
                }
            }
        }
        chain.env.block.time = substitute.env.block.time;
        let answer = chain.sudo(r#"{"migrate_client_store":{}}"#);
        (answer, chain)
    };
    let (answer, chain) = recovered(&|_| ());
    assert_eq!(answer.unwrap(), "{}");
    for key in ["clientState", "consensusStates/0-6"] {
        let at = |prefix: &str| chain.deps.storage.get(&[prefix, key].concat().into_bytes());
        assert!(at("subject/").is_some() && at("subject/") == at("substitute/"), "{key}");
    }
    let expired = |substitute: &mut Chain| substitute.env.block.time = substitute.env.block.time.plus_seconds(7_200);
    assert_eq!(recovered(&expired).0, Err(ContractError::Substitute));
    let other_chain = |substitute: &mut Chain| {
        let mut parameters = generate::grandpa_client::parameters(&substitute.blocks[4]);
        parameters.chain_id = "another".into();
        let other = light_clients::grandpa::ClientState::new(parameters).unwrap().encode();
        substitute.deps.storage.set(b"clientState", &other.encode_to_vec());
    };
    assert_eq!(recovered(&other_chain).0, Err(ContractError::Substitute));
}

#[test]
fn migration_first_reads_what_it_will_need() {
    let run = |change: &dyn Fn(&mut MockStorage)| {
        let mut chain = Chain::new();
        change(&mut chain.deps.storage);
        let msg: MigrateMsg = from_json("{}").unwrap();
        let outcome = migrate(chain.deps.as_mut(), chain.env.clone(), msg);
        (outcome.map(drop), chain)
    };
    let (outcome, chain) = run(&|_| ());
    assert_eq!(outcome, Ok(()));
    assert_eq!(chain.status(), r#"{"status":"Active"}"#);
    let without = |key: &'static str| run(&|storage| storage.remove(key.as_bytes())).0;
    assert_eq!(without("grandpaVersion"), Err(ContractError::Version { found: 0, known: 1 }));
    assert_eq!(without("clientState"), Err(ContractError::NoClient));
    assert_eq!(without("consensusStates/0-1"), Err(ContractError::NoConsensus { height: Height::new(0, 1) }));
    let newer = run(&|storage| storage.set(b"grandpaVersion", &2_u64.to_be_bytes())).0;
    assert_eq!(newer, Err(ContractError::Version { found: 2, known: 1 }));
    assert_eq!(run(&|storage| storage.set(b"clientState", &[255; 9])).0, Err(ContractError::Store));
}

#[test]
fn what_is_not_supported_says_so() {
    let upgrade = r#"{"verify_upgrade_and_update_state":{"upgrade_client_state":"","upgrade_consensus_state":"","proof_upgrade_client":"","proof_upgrade_consensus_state":""}}"#;
    assert_eq!(Chain::new().sudo(upgrade), Err(ContractError::Upgrade));
}
