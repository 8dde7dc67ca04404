//! The GRANDPA client as a contract on a real chain: stored by governance, updated, forged against, frozen, migrated.
//!
//! The chain it follows is generated: real votes of made-up authorities, real storage proofs.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

#[allow(dead_code)]
#[path = "../../light-clients/tests/generate"]
mod generate {
    pub(crate) mod grandpa;
    pub(crate) mod grandpa_client;
    pub(crate) mod grandpa_trie;
}

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use generate::grandpa::{Voter, announce, justify, relink, scheduled, voters};
use generate::grandpa_client::{Block, blocks, header, parameters};
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::client::v1::Height as RawHeight;
use ibc_proto::ibc::core::commitment::v1::MerklePrefix;
use ibc_proto::ibc::core::connection::v1::{
    ConnectionEnd, Counterparty, MsgConnectionOpenAck, MsgConnectionOpenInit, QueryConnectionRequest,
    QueryConnectionResponse, State, Version,
};
use ibc_proto::ibc::lightclients::wasm::v1::{ClientState as WasmClient, ConsensusState as WasmConsensus};
use light_clients::grandpa::{ClientParameters, ClientState, schema};
use parity_scale_codec::Encode;
use prost::Message;
use relayer_tests::DevnetError;
use relayer_tests::devnet::{ChainSpec, Contract, Proof, STAKE, SimdChain, User, Wallet};
use serde_json::{Value, json};

const SET: u64 = 4;
const CONNECTION: &[u8] = b"ibc/connections/connection-7";
const TIME: &[u8] = b"ibc/time";

/// A chain that knows the contract, and someone who uses it.
struct Host {
    chain: SimdChain,
    user: User,
    contract: Contract,
}

impl Host {
    async fn start(change: impl Fn(ChainSpec) -> ChainSpec) -> Self {
        let contract = tokio::task::spawn_blocking(Contract::build_or_find).await.unwrap().unwrap();
        let wallet = Wallet::named("user-a").unwrap();
        let spec = ChainSpec::new("sim-a-1").wallet(wallet.clone(), &[(STAKE, 1_000_000_000)]);
        let chain = SimdChain::start(change(spec.voting_seconds(2).timeout_commit_ms(200))).await.unwrap();
        let user = chain.user(&wallet);
        chain.store_code(&contract).await.unwrap();
        Self { chain, user, contract }
    }

    /// A client of this code that trusts the block.
    async fn create(&self, checksum: [u8; 32], at: &Substrate) -> Result<String, DevnetError> {
        self.user.create_client(client_state(&at.trusted, checksum), at.consensus()).await
    }

    async fn heights(&self, client: &str) -> Vec<u64> {
        let heights = self.chain.node().consensus_heights(client).await.unwrap();
        heights.into_iter().map(|(_, number)| number).collect()
    }

    async fn status(&self, client: &str) -> String {
        self.chain.node().client_status(client).await.unwrap()
    }

    /// The chain refuses this message for this reason.
    async fn refuses(&self, client: &str, message: Any, reason: &str) {
        let refused = self.user.update_client(client, message).await.unwrap_err();
        assert!(matches!(refused, DevnetError::Tx { .. }) && refused.to_string().contains(reason), "{refused}");
    }
}

/// A generated chain: a trusted block, and those after it.
struct Substrate {
    trusted: Block,
    blocks: Vec<Block>,
    voters: Vec<Voter>,
}

impl Substrate {
    /// So many authorities and blocks, a minute old at its first.
    fn new(authorities: usize, count: usize) -> Self {
        let connection = try_open().encode_to_vec();
        let mut trusted = Block::first(&[(CONNECTION, &connection), (TIME, b"now")]);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        trusted.at(u64::try_from(now).unwrap() - 60_000);
        let blocks = blocks(&trusted, count, 0);
        Self { trusted, blocks, voters: voters(0, &vec![1; authorities]) }
    }

    fn consensus(&self) -> Any {
        self.trusted.consensus(SET, &self.voters).encode()
    }

    /// All blocks, the last with these votes.
    fn header_with(&self, set: u64, signers: &[Voter]) -> schema::Header {
        let last = &self.blocks.last().unwrap().header;
        schema::Header {
            justification: justify(last, signers, set).encode(),
            ..header(&self.trusted, &self.blocks, &self.voters, SET)
        }
    }

    /// All blocks, the last with the votes of a bare majority of two thirds.
    fn header(&self) -> schema::Header {
        self.header_with(SET, &self.voters[..self.voters.len() * 2 / 3 + 1])
    }
}

fn client_state(latest: &Block, checksum: [u8; 32]) -> Any {
    ClientState::new(ClientParameters { checksum, ..parameters(latest) }).unwrap().encode()
}

fn version() -> Version {
    let features = ["ORDER_ORDERED", "ORDER_UNORDERED"].map(str::to_owned).to_vec();
    Version { identifier: "1".to_owned(), features }
}

fn prefix(bytes: &[u8]) -> Option<MerklePrefix> {
    Some(MerklePrefix { key_prefix: bytes.to_vec() })
}

/// What the followed chain says of its end of a connection with the first client's chain.
fn try_open() -> ConnectionEnd {
    let counterparty = Counterparty {
        client_id: "08-wasm-0".to_owned(),
        connection_id: "connection-0".to_owned(),
        prefix: prefix(b"ibc"),
    };
    ConnectionEnd {
        client_id: "07-tendermint-3".to_owned(),
        versions: vec![version()],
        state: State::Tryopen.into(),
        counterparty: Some(counterparty),
        delay_period: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_contract_follows_a_chain_and_refuses_forgeries() {
    let host = Host::start(|spec| spec).await;
    let checksum = host.contract.checksum();
    assert_eq!(host.chain.node().contract_checksums().await.unwrap(), [hex::encode(checksum)]);
    assert_eq!(host.chain.node().contract_code(checksum).await.unwrap(), host.contract.code());

    let substrate = Substrate::new(4, 5);
    let unknown = host.create([7; 32], &substrate).await.unwrap_err();
    assert!(unknown.to_string().contains("has not been previously stored"), "{unknown}");
    let client = host.create(checksum, &substrate).await.unwrap();
    assert_eq!((client.as_str(), host.status(&client).await.as_str()), ("08-wasm-0", "Active"));

    let mut flipped = justify(&substrate.blocks[4].header, &substrate.voters, SET);
    flipped.commit.precommits[0].signature[0] ^= 1;
    let flipped = schema::Header { justification: flipped.encode(), ..substrate.header() };
    host.refuses(&client, flipped.into_any(), "(signature)").await;
    host.refuses(&client, substrate.header_with(SET, &substrate.voters[..2]).into_any(), "(too_few_signed)").await;
    host.refuses(&client, substrate.header_with(SET - 1, &substrate.voters).into_any(), "(signature)").await;
    assert_eq!(host.heights(&client).await, [1]);

    host.user.update_client(&client, substrate.header().into_any()).await.unwrap();
    assert_eq!(host.heights(&client).await, [1, 6]);
    let latest = host.chain.node().wasm_client_state(&client).await.unwrap().latest_height.unwrap();
    assert_eq!((latest.revision_number, latest.revision_height), (0, 6));

    let last = &substrate.blocks[4];
    let proven = async |value: &[u8]| {
        let path = [b"ibc/".as_slice(), b"time"].map(<[u8]>::to_vec).to_vec();
        let proof =
            Proof { client_id: client.clone(), height: (0, 6), proof: last.prove(TIME), path, value: value.into() };
        host.chain.node().verify_membership(proof).await.unwrap()
    };
    assert_eq!((proven(b"now").await, proven(b"then").await), (true, false));
    connect(&host, &client, last).await;
}

/// Opens a connection whose other end stands in the block's state.
async fn connect(host: &Host, client: &str, block: &Block) {
    let signer = || host.user.address().to_owned();
    let step = |name: &str, value: Vec<u8>| vec![Any { type_url: format!("/ibc.core.connection.v1.{name}"), value }];
    let other = try_open();
    let init = MsgConnectionOpenInit {
        client_id: client.to_owned(),
        counterparty: Some(Counterparty {
            client_id: other.client_id,
            connection_id: String::new(),
            prefix: prefix(b"ibc/"),
        }),
        version: Some(version()),
        delay_period: 0,
        signer: signer(),
    };
    host.user.execute(step("MsgConnectionOpenInit", init.encode_to_vec())).await.unwrap();
    let ack = async |counterparty: &str| {
        let ack = MsgConnectionOpenAck {
            connection_id: "connection-0".to_owned(),
            counterparty_connection_id: counterparty.to_owned(),
            version: Some(version()),
            proof_height: Some(RawHeight::from(block.height())),
            proof_try: block.prove(CONNECTION),
            signer: signer(),
            ..MsgConnectionOpenAck::default()
        };
        host.user.execute_with_gas(step("MsgConnectionOpenAck", ack.encode_to_vec()), 1_000_000).await
    };
    let elsewhere = ack("connection-8").await.unwrap_err();
    assert!(elsewhere.to_string().contains("(proof_"), "{elsewhere}");
    ack("connection-7").await.unwrap();
    let request = QueryConnectionRequest { connection_id: "connection-0".to_owned() };
    let answer: QueryConnectionResponse =
        host.chain.node().query("/ibc.core.connection.v1.Query/Connection", &request).await.unwrap();
    assert_eq!(answer.connection.unwrap().state(), State::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_hand_over_misbehaviour_freezes_and_governance_recovers() {
    let host = Host::start(|spec| spec).await;
    let (mut substrate, next) = (Substrate::new(4, 3), voters(30, &[7; 3]));
    announce(&mut substrate.blocks[2].header, scheduled(&next, 0));
    let client = host.create(host.contract.checksum(), &substrate).await.unwrap();
    host.user.update_client(&client, substrate.header().into_any()).await.unwrap();
    assert_eq!(host.heights(&client).await, [1, 4]);

    let at_change = substrate.blocks[2].clone();
    let after = blocks(&at_change, 2, 0);
    let stale = header(&at_change, &after, &substrate.voters, SET);
    host.refuses(&client, stale.into_any(), "(authorities_hash)").await;
    // The new authorities in name, the old ones' votes.
    let claimed = header(&at_change, &after, &next, SET + 1);
    let votes = justify(&after[1].header, &substrate.voters[..3], SET).encode();
    let claimed = schema::Header { justification: votes, ..claimed };
    host.refuses(&client, claimed.into_any(), "(unknown_voter)").await;
    host.user.update_client(&client, header(&at_change, &after, &next, SET + 1).into_any()).await.unwrap();
    assert_eq!(host.heights(&client).await, [1, 4, 6]);

    let mut fork = blocks(&at_change, 2, 9);
    let mut headers: Vec<_> = fork.iter().map(|block| block.header.clone()).collect();
    relink(&at_change.header, &mut headers);
    for (block, header) in fork.iter_mut().zip(headers) {
        block.header = header;
    }
    let of = |blocks: &[Block]| Some(header(&at_change, blocks, &next, SET + 1));
    let none = schema::Misbehaviour { header_1: of(&after), header_2: of(&after) };
    host.refuses(&client, none.into_any(), "(no_conflict)").await;
    assert_eq!(host.status(&client).await, "Active");
    let both = schema::Misbehaviour { header_1: of(&after), header_2: of(&fork) };
    host.user.update_client(&client, both.into_any()).await.unwrap();
    assert_eq!(host.status(&client).await, "Frozen");
    let more = blocks(&after[1], 1, 0);
    let beyond = || header(&after[1], &more, &next, SET + 1).into_any();
    host.refuses(&client, beyond(), "Frozen").await;

    // Governance lets it go on with the states of one that follows the same chain.
    let state = after[1].consensus(SET + 1, &next).encode();
    let substitute = host.user.create_client(client_state(&after[1], host.contract.checksum()), state).await.unwrap();
    host.user.update_client(&substitute, beyond()).await.unwrap();
    host.chain.recover_client(&client, &substitute).await.unwrap();
    assert_eq!((host.status(&client).await.as_str(), host.heights(&client).await), ("Active", vec![1, 4, 6, 7]));
    let last = blocks(&more[0], 1, 0);
    host.user.update_client(&client, header(&more[0], &last, &next, SET + 1).into_any()).await.unwrap();
    assert_eq!(host.heights(&client).await, [1, 4, 6, 7, 8]);
}

/// Genesis with clients of code that is no longer there: one as the contract writes it, one without the version that the
/// contract looks for, one whose latest state is gone.
fn orphans(substrate: &Substrate) -> Vec<(&'static str, Value)> {
    let base64 = |bytes: &[u8]| json!(BASE64.encode(bytes));
    let wrapper = WasmClient::decode(client_state(&substrate.trusted, [9; 32]).value.as_slice()).unwrap();
    let height = json!({ "revision_number": "0", "revision_height": "1" });
    let client = json!({
        "@type": "/ibc.lightclients.wasm.v1.ClientState",
        "data": base64(&wrapper.data), "checksum": base64(&wrapper.checksum), "latest_height": height,
    });
    let state = WasmConsensus::decode(substrate.consensus().value.as_slice()).unwrap();
    let state = json!({ "@type": "/ibc.lightclients.wasm.v1.ConsensusState", "data": base64(&state.data) });
    let version = json!({ "key": base64(b"grandpaVersion"), "value": base64(&1_u64.to_be_bytes()) });
    let ids = ["08-wasm-0", "08-wasm-1", "08-wasm-2"];
    let consensus =
        |id: &str| json!({ "client_id": id, "consensus_states": [{ "height": height, "consensus_state": state }] });
    let metadata = |id: &str| json!({ "client_id": id, "client_metadata": [version] });
    vec![
        ("clients", json!(ids.map(|id| json!({ "client_id": id, "client_state": client })))),
        ("clients_consensus", json!([consensus(ids[0]), consensus(ids[1])])),
        ("clients_metadata", json!([metadata(ids[0]), metadata(ids[2])])),
        ("next_client_sequence", json!("3")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_given_other_code_only_if_that_can_read_its_states() {
    let substrate = Substrate::new(4, 3);
    let genesis = orphans(&substrate);
    let host = Host::start(|spec| {
        let at = |key: &str| format!("/app_state/ibc/client_genesis/{key}");
        genesis.iter().fold(spec, |spec, (key, value)| spec.genesis(&at(key), value.clone()))
    })
    .await;
    let checksum = host.contract.checksum();
    let code_of = async |client: &str| host.chain.node().wasm_client_state(client).await.unwrap().checksum;

    for (client, reason) in [("08-wasm-1", "version 0"), ("08-wasm-2", "no consensus state at height 0-1")] {
        let refused = host.chain.migrate_contract(client, checksum).await.unwrap_err();
        let failed = matches!(refused, DevnetError::Proposal { status: 5, .. });
        assert!(failed && refused.to_string().contains(reason), "{refused}");
        assert_eq!((code_of(client).await, host.status(client).await), (vec![9; 32], "Unauthorized".to_owned()));
    }
    assert_eq!(host.status("08-wasm-0").await, "Unauthorized");
    host.chain.migrate_contract("08-wasm-0", checksum).await.unwrap();
    assert_eq!((code_of("08-wasm-0").await, host.status("08-wasm-0").await), (checksum.to_vec(), "Active".to_owned()));
    host.user.update_client("08-wasm-0", substrate.header().into_any()).await.unwrap();
    assert_eq!(host.heights("08-wasm-0").await, [1, 4]);

    // Code that a chain does not have can't be switched to; once it is stored, the client goes on with it.
    let marked = host.contract.marked(1);
    let missing = host.chain.migrate_contract("08-wasm-0", marked.checksum()).await.unwrap_err();
    assert!(missing.to_string().contains("checksum not found"), "{missing}");
    host.chain.store_code(&marked).await.unwrap();
    host.chain.migrate_contract("08-wasm-0", marked.checksum()).await.unwrap();
    assert_eq!(code_of("08-wasm-0").await, marked.checksum());
    let last = &substrate.blocks[2];
    let more = blocks(last, 2, 0);
    host.user.update_client("08-wasm-0", header(last, &more, &substrate.voters, SET).into_any()).await.unwrap();
    assert_eq!((host.heights("08-wasm-0").await, host.status("08-wasm-0").await), (vec![1, 4, 6], "Active".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_ten_blocks_costs_little_gas() {
    const MOST: u64 = 500_000;
    let host = Host::start(|spec| spec).await;
    for authorities in [4, 300, 1_000] {
        let substrate = Substrate::new(authorities, 10);
        let client = host.create(host.contract.checksum(), &substrate).await.unwrap();
        let updated = host.user.update_client(&client, substrate.header().into_any()).await.unwrap();
        let (goal, met) = match authorities {
            4 => (json!(format!("< {MOST}")), json!(updated.gas_used < MOST)),
            _ => (Value::Null, Value::Null),
        };
        // On a line of its own: the test's name stands on the one before.
        println!(
            "\n{}",
            json!({
                "figure": format!("contract_update_gas_{authorities}"), "value": updated.gas_used, "unit": "gas", "goal": goal, "met": met,
            })
        );
        assert!(authorities != 4 || updated.gas_used < MOST, "{} gas", updated.gas_used);
    }
}
