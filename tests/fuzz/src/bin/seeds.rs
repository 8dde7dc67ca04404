//! Writes the first inputs of every target to `corpus/`, from what real chains answered: run it from this folder.
//!
//! Names are those of the recorded things; inputs that the fuzzer found lie beside them and stay. It is built as the targets are, so
//! that one build serves all: the fuzzer's set-up does the work (`-runs=0` ends it).
#![no_main]

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ibc_proto::cosmos::auth::v1beta1::BaseAccount;
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::channel::v1::{Channel, Counterparty as ChannelCounterparty};
use ibc_proto::ibc::core::commitment::v1::MerklePrefix;
use ibc_proto::ibc::core::connection::v1::{ConnectionEnd, Counterparty, Version};
use ibc_proto::ibc::lightclients::tendermint::v1::Misbehaviour;
use ibc_proto::ibc::lightclients::wasm::v1::ClientMessage as Wrapper;
use ibc_proto::ics23::{BatchEntry, BatchProof, CommitmentProof, batch_entry, commitment_proof::Proof};
use libfuzzer_sys::fuzz_target;
use light_clients::commitment::trie::{TIMESTAMP_NOW, encode_nodes};
use parity_scale_codec::Encode;
use prost::{Message, Name};
use relayer_fuzz::made::{KEY as STORED, events, extrinsic, made, metadata, schema};
use relayer_fuzz::recorded;
use serde_json::{Value, json};

/// The key that the target `abci_query` asks for.
const KEY: &str = "clients/07-tendermint-0/clientState";

type Done = Result<(), Box<dyn std::error::Error>>;

fuzz_target!(
    init: {
        if let Err(error) = write() {
            panic!("{error}");
        }
    },
    |_input: &[u8]| {}
);

fn write() -> Done {
    protobuf()?;
    for name in ["send", "recv", "ack", "timeout"] {
        let text = fs::read_to_string(format!("../../relayer/chains/tests/data/{name}.json"))?;
        block(name, &serde_json::from_str(&text)?)?;
    }
    answers()?;
    messages()?;
    substrate()?;
    texts()
}

fn seed(target: &str, name: &str, parts: &[&[u8]]) -> Done {
    let folder = Path::new("corpus").join(target);
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(name), parts.concat())?)
}

/// Headers, states and proofs.
fn protobuf() -> Done {
    let (blocks, proofs) = recorded();
    let (first, last) = (&blocks[0], &blocks[blocks.len() - 1]);
    let header = last.update_from(first);
    seed("light_client", "client_state", &[&[0], &first.client().encode().value])?;
    seed("light_client", "consensus_state", &[&[1], &first.consensus_state().encode().value])?;
    seed("light_client", "header", &[&[2], &header.encode_to_vec()])?;
    #[allow(deprecated)]
    let evidence =
        Misbehaviour { client_id: String::new(), header_1: Some(header.clone()), header_2: Some(header.clone()) };
    seed("light_client", "misbehaviour", &[&[3], &evidence.encode_to_vec()])?;
    let kept = ibc_proto::ibc::lightclients::tendermint::v1::Header { trusted_height: None, ..header };
    seed("light_block", "block", &[&kept.encode_to_vec()])?;
    for (index, proof) in (0u8..).zip(proofs) {
        let kind = if proof.value.is_some() { "present" } else { "absent" };
        seed("ics23_proof", &format!("{kind}{index}"), &[&[index, 9], &proof.proof.encode_to_vec()])?;
    }
    let leaves = proofs.iter().filter_map(|proof| match proof.proof.proofs.first()?.proof.clone()? {
        Proof::Exist(leaf) => Some(batch_entry::Proof::Exist(leaf)),
        Proof::Nonexist(absence) => Some(batch_entry::Proof::Nonexist(absence)),
        _ => None,
    });
    let entries = leaves.take(2).map(|proof| BatchEntry { proof: Some(proof) }).collect();
    let batch = CommitmentProof { proof: Some(Proof::Batch(BatchProof { entries })) };
    seed("ics23_batch", "batch", &[&batch.encode_to_vec()])?;
    if let Some(small) = ics23_compressed(&batch) {
        seed("ics23_batch", "compressed", &[&small.encode_to_vec()])?;
    }

    let version = Version { identifier: "1".into(), features: vec!["ORDER_ORDERED".into(), "ORDER_UNORDERED".into()] };
    let connection = ConnectionEnd {
        client_id: "07-tendermint-0".into(),
        versions: vec![version],
        state: 3,
        counterparty: Some(Counterparty {
            client_id: "07-tendermint-0".into(),
            connection_id: "connection-0".into(),
            prefix: Some(MerklePrefix { key_prefix: b"ibc".to_vec() }),
        }),
        delay_period: 0,
    };
    seed("handshake_ends", "connection", &[&connection.encode_to_vec()])?;
    let counterparty = ChannelCounterparty { port_id: "transfer".into(), channel_id: "channel-0".into() };
    let channel = Channel {
        state: 3,
        ordering: 1,
        counterparty: Some(counterparty),
        connection_hops: vec!["connection-0".into()],
        version: "ics20-1".into(),
        upgrade_sequence: 0,
    };
    seed("handshake_ends", "channel", &[&channel.encode_to_vec()])?;
    let account = BaseAccount { address: "cosmos1x".into(), pub_key: None, account_number: 7, sequence: 9 };
    let account = Any { type_url: BaseAccount::type_url(), value: account.encode_to_vec() };
    seed("transaction", "account", &[&account.encode_to_vec()])
}

/// The same entries, sharing their inner nodes.
fn ics23_compressed(batch: &CommitmentProof) -> Option<CommitmentProof> {
    use ibc_proto::ics23::{
        CompressedBatchEntry, CompressedBatchProof, CompressedExistenceProof, compressed_batch_entry,
    };
    let Some(Proof::Batch(batch)) = &batch.proof else { return None };
    let mut lookup_inners = Vec::new();
    let entries = batch.entries.iter().filter_map(|entry| match entry.proof.as_ref()? {
        batch_entry::Proof::Exist(leaf) => {
            let first = i32::try_from(lookup_inners.len()).ok()?;
            lookup_inners.extend(leaf.path.clone());
            let path = (first..).take(leaf.path.len()).collect();
            let leaf = CompressedExistenceProof {
                key: leaf.key.clone(),
                value: leaf.value.clone(),
                leaf: leaf.leaf.clone(),
                path,
            };
            Some(CompressedBatchEntry { proof: Some(compressed_batch_entry::Proof::Exist(leaf)) })
        }
        batch_entry::Proof::Nonexist(_) => None,
    });
    let entries: Vec<_> = entries.collect();
    Some(CommitmentProof { proof: Some(Proof::Compressed(CompressedBatchProof { entries, lookup_inners })) })
}

/// A recorded block: whole, its events, its transaction.
fn block(name: &str, recorded: &Value) -> Done {
    let text = |part: &str| recorded[part].to_string().replace("sim-b-1", "sim-a-1");
    let height = recorded["height"].as_u64().unwrap_or_default().to_le_bytes();
    seed("block_facts", name, &[&height, text("block").as_bytes(), &[0xff], text("block_results").as_bytes()])?;
    for result in recorded["block_results"]["txs_results"].as_array().into_iter().flatten() {
        for event in result["events"].as_array().into_iter().flatten() {
            let kind = event["type"].as_str().unwrap_or_default();
            if kind.contains("packet") || kind == "update_client" || kind == "write_acknowledgement" {
                seed("event", &format!("{name}_{kind}"), &[event.to_string().as_bytes()])?;
            }
        }
    }
    if let Some(tx) = recorded["block"]["block"]["data"]["txs"][0].as_str() {
        seed("transaction", name, &[&STANDARD.decode(tx)?])?;
    }
    Ok(())
}

/// Answers of a node that are not blocks.
fn answers() -> Done {
    let (blocks, proofs) = recorded();
    let last = &blocks[blocks.len() - 1];
    let answer = |name: &str, json: Value| seed("node_answers", name, &[json.to_string().as_bytes()]);
    let (height, time) = (last.height().number.to_string(), "2026-11-22T19:20:45.80390306Z");
    answer("commit", json!({ "signed_header": last.signed, "canonical": true }))?;
    let validators = last.validators.validators();
    answer("validators", json!({ "block_height": height, "validators": validators, "count": "1", "total": "1" }))?;
    answer("blockchain", json!({ "last_height": height, "block_metas": [{ "header": last.signed.header }] }))?;
    answer(
        "status",
        json!({ "node_info": { "network": "sim-a-1", "version": "0.38.17" }, "sync_info": {
        "latest_block_height": height, "latest_block_time": time, "earliest_block_height": "1", "catching_up": false } }),
    )?;
    answer("abci_info", json!({ "response": { "data": "simapp", "last_block_height": height } }))?;
    answer("tx_search", json!({ "txs": [{ "height": height }], "total_count": "1" }))?;
    answer("block_search", json!({ "blocks": [{ "block": { "header": { "height": height } } }] }))?;
    let refused = "account sequence mismatch, expected 2, got 3: incorrect account sequence";
    answer("broadcast", json!({ "code": 32, "data": "", "log": refused, "codespace": "sdk", "hash": "AB" }))?;
    let result = json!({ "code": 0, "log": "", "gas_wanted": "100", "gas_used": "90", "codespace": "" });
    answer("tx", json!({ "hash": "AB".repeat(32), "height": height, "tx_result": result }))?;
    let gas = ibc_proto::cosmos::tx::v1beta1::SimulateResponse {
        gas_info: Some(ibc_proto::cosmos::base::abci::v1beta1::GasInfo { gas_wanted: 0, gas_used: 80_000 }),
        result: None,
    };
    answer("simulate", json!({ "response": { "code": 0, "value": STANDARD.encode(gas.encode_to_vec()) } }))?;

    // What once ended the process: padding where tendermint's base64 decoder does not expect it.
    let key = json!({ "type": "tendermint/PubKeyEd25519", "value": "2UGsLLxgUghpZyBRa/WydfNJPi/DQbkckvsmRn776+18=" });
    let mut misplaced = json!({ "block_height": height, "validators": validators, "total": "1" });
    misplaced["validators"][0]["pub_key"] = key;
    answer("misplaced_padding", misplaced)?;

    let stored = proofs.iter().find(|proof| proof.value.is_some()).ok_or("no proof")?;
    let ops = stored.proof.proofs.iter().zip(["ics23:iavl", "ics23:simple"]);
    let ops: Vec<Value> =
        ops.map(|(op, kind)| json!({ "type": kind, "key": "", "data": STANDARD.encode(op.encode_to_vec()) })).collect();
    let key = STANDARD.encode(KEY);
    let json = json!({ "response": { "code": 0, "log": "", "key": key, "value": "AQI=", "height": "5",
        "proofOps": { "ops": ops } } });
    seed("abci_query", "present", &[json.to_string().as_bytes()])?;
    let pruned =
        json!({ "response": { "code": 26, "log": "version does not exist", "height": "5", "codespace": "sdk" } });
    seed("abci_query", "pruned", &[pruned.to_string().as_bytes()])
}

/// A Substrate chain's blocks, states and finality.
fn substrate() -> Done {
    let made = made();
    let (client, state) = made.client();
    seed("grandpa_client", "client_state", &[&[0], &client.value])?;
    seed("grandpa_client", "consensus_state", &[&[1], &state.value])?;
    let update = made.update(2);
    let wrapped = Wrapper::decode(update.clone().into_any().value.as_slice())?;
    seed("grandpa_client", "header", &[&[2], &wrapped.data])?;
    let evidence = schema::Misbehaviour { header_1: Some(update.clone()), header_2: Some(made.update(3)) };
    let wrapped = Wrapper::decode(evidence.into_any().value.as_slice())?;
    seed("grandpa_client", "misbehaviour", &[&[2], &wrapped.data])?;
    seed("grandpa_client", "justification", &[&[3], &update.justification])?;
    let polkadot = fs::read("../../light-clients/tests/vectors/polkadot-4635975-justification.bin")?;
    seed("grandpa_client", "polkadot_4635975", &[&[3], &polkadot])?;
    let header = made.header();
    seed("grandpa_client", "substrate_header", &[&[4], &header.encode()])?;
    for (name, key) in
        [("present", STORED), ("absent", b"ibc/clients/07-tendermint-1/clientState"), ("time", &TIMESTAMP_NOW)]
    {
        seed("trie_proof", name, &[&encode_nodes(&made.prove(key))])?;
    }

    let answer = |name: &str, json: Value| seed("substrate_answers", name, &[json.to_string().as_bytes()]);
    let text = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    answer(
        "header",
        json!({ "parentHash": text(&header.parent_hash), "number": format!("{:#x}", header.number),
        "stateRoot": text(&header.state_root), "extrinsicsRoot": text(&header.extrinsics_root), "digest": { "logs": [] } }),
    )?;
    answer("justification", json!(text(&update.justification)))?;
    let target = made.headers().nth(1).ok_or("no block")?.hash();
    answer("finality_proof", json!(text(&(target, &update.justification, Vec::<u8>::new()).encode())))?;
    let nodes: Vec<String> = made.prove(STORED).iter().map(|node| text(node)).collect();
    answer("read_proof", json!({ "at": text(&header.hash()), "proof": nodes }))?;
    answer("hash", json!(text(&[7; 32])))?;

    let part = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap_or_default().to_le_bytes()[..], bytes].concat();
    let message = Any { type_url: "/ibc.core.client.v1.MsgUpdateClient".into(), value: vec![1; 20] };
    let (events, extrinsic) = (events(), extrinsic(&[message.clone(), message]));
    seed("substrate_block", "known", &[&[0], &part(&events), &part(&extrinsic), &extrinsic])?;
    // What once took all of the stack: subxt's decoder of wrapped metadata.
    seed("substrate_block", "own_length", &[&[1], &part(&[0x10, 0, 0, 0])])?;
    seed("substrate_block", "told", &[&[1], &part(&metadata()), &part(&events), &part(&extrinsic), &extrinsic])
}

/// XCM: the programs among the vectors.
fn messages() -> Done {
    let rows: Vec<Value> = serde_json::from_str(&fs::read_to_string("../../relayer/xcm/tests/vectors/messages.json")?)?;
    for row in &rows {
        let (name, digits) = (row["name"].as_str().unwrap_or_default(), row["hex"].as_str().unwrap_or_default());
        if name.contains("-program-") {
            seed("xcm", name, &[&hex::decode(digits)?])?;
        }
    }
    Ok(())
}

/// JSON-RPC, WebSocket, configuration, identifiers, errors, keys, rows.
fn texts() -> Done {
    let one = br#"{"jsonrpc":"2.0","id":4,"result":{"height":"5"}}"#;
    seed("rpc_reply", "result", &[&[0, 0, 0, 4], one])?;
    let batch = br#"[{"jsonrpc":"2.0","id":5,"error":{"code":-32005,"message":"limit"}},{"jsonrpc":"2.0","id":4,"result":null}]"#;
    seed("rpc_reply", "batch", &[&[0, 0, 1, 4], batch])?;
    let full = br#"{"jsonrpc":"2.0","id":4,"error":{"code":-32603,"message":"Internal error","data":"mempool is full: number of txs 5000"}}"#;
    seed("rpc_reply", "mempool", &[&[4, 2, 0, 4], full])?;
    let whole = br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request","data":"batch request exceeds maximum (10) allowed"}}"#;
    seed("rpc_reply", "batch_maximum", &[&[0, 0, 11, 4], whole])?;
    seed("rpc_reply", "throttled", &[&[1, 3, 0, 4], b"<html>"])?;
    seed("http_headers", "seconds", &[b"7"])?;
    let dates: [&[u8]; 3] = [b"Sun, 06 Nov 1994 08:50:07 GMT", &[0xff], b"Sun, 06 Nov 1994 08:49:37 GMT"];
    seed("http_headers", "date", &dates)?;
    seed("websocket_message", "subscribed", &[br#"{"jsonrpc":"2.0","id":1,"result":{}}"#])?;
    let event =
        br#"{"jsonrpc":"2.0","id":1,"result":{"query":"tm.event='NewBlockHeader'","data":{"type":"x","value":{}}}}"#;
    seed("websocket_message", "event", &[event])?;
    seed("websocket_message", "refused", &[br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"no"}}"#])?;
    seed("endpoint_url", "secret", &[b"https://alice:hunter2@rpc.example:26657/v1/t0ken?key=t0ken"])?;
    seed("endpoint_url", "socket", &[b"ws://127.0.0.1:26657/websocket"])?;
    for name in ["minimal", "two-chains", "public-testnets"] {
        let text = fs::read(format!("../../config/examples/{name}.toml"))?;
        seed("config", name, &[&text, &[0xff], b"GLOBAL__LOG_LEVEL", &[0xff], b"debug"])?;
    }
    for id in ["channel-0", "07-tendermint-12", "sim-a-1", "cosmoshub-4", "1-1234", "1-+40", "x--4"] {
        seed("identifiers", id, &[id.as_bytes()])?;
    }
    let logs: [(u8, &str, &str); 5] = [
        (32, "sdk", "account sequence mismatch, expected 5, got 4: incorrect account sequence"),
        (11, "sdk", "out of gas in location: txSize; gasWanted: 1000, gasUsed: 1830: out of gas"),
        (9, "ibc", "failed to execute message; message index: 3: client state height < proof height"),
        (
            6,
            "simulation",
            "rpc error: code = Unknown desc = insufficient funds [x@v/y.go:1] with gas used: '7': unknown request",
        ),
        (22, "channel", "packet messages are redundant"),
    ];
    for (code, codespace, log) in logs {
        let name = format!("{codespace}{code}");
        seed("tx_failure", &name, &[&[code, 0], codespace.as_bytes(), &[0xff], log.as_bytes()])?;
    }
    let ends: &[u8] = b"transfer\xffchannel-0\xfftransfer\xffchannel-1\xff";
    let numbers = [&7u64.to_le_bytes()[..], &[1], &1_000u64.to_le_bytes(), &9u64.to_le_bytes()].concat();
    let (ack, data): (&[u8], &[u8]) = (b"{\"result\":\"AQ==\"}\xff", br#"{"amount":"1","denom":"stake","memo":""}"#);
    for dialect in 0..4u8 {
        seed("packet", &format!("dialect{dialect}"), &[&[dialect], &numbers, ends, ack, data])?;
    }
    let key = br#"[["recv",{"from":"a","source":{"port":"transfer","channel":"channel-0"},"sequence":1}]]"#;
    let n = 5u64.to_le_bytes();
    let attempt: [&[u8]; 13] =
        [&[7; 32], b"a-b", &[0xff], b"cosmos1x", &[0xff], &n, &n, &n, b"packets", &[0xff], key, &[0xff], &n];
    let packet: [&[u8]; 11] =
        [&[0], b"transfer", &[0xff], b"channel-0", &[0xff], &n, &[9; 16], b"VALIDATING\xff", &n, &n, b"reason"];
    seed("journal", "rows", &[attempt.concat().as_slice(), packet.concat().as_slice()])?;
    sealed()
}

/// A key file, made once: its salt is another each time.
fn sealed() -> Done {
    if Path::new("corpus/keystore/sealed").exists() {
        return Ok(());
    }
    let mut recipient = age::scrypt::Recipient::new("horse".to_owned().into());
    recipient.set_work_factor(2);
    seed("keystore", "sealed", &[&age::encrypt(&recipient, b"abandon ability able about above absent")?])
}
