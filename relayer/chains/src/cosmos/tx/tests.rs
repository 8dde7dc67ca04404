//! A wallet against a scripted node: what it asks, and what it makes of the answers.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ibc_proto::cosmos::auth::v1beta1::{BaseAccount, QueryAccountResponse};
use ibc_proto::cosmos::base::abci::v1beta1::GasInfo;
use ibc_proto::cosmos::tx::v1beta1::{AuthInfo, SimulateRequest, SimulateResponse, TxBody, TxRaw};
use ibc_proto::google::protobuf::Any;
use k256::ecdsa::signature::Verifier;
use k256::ecdsa::{Signature, VerifyingKey};
use prost::{Message as _, Name};
use relayer_core::chain::{Draft, Outcome, Signed};
use relayer_core::error::{ChainErrorKind, TxFailure};
use relayer_core::fact::TxReport;
use relayer_core::id::{AccountSequence, ChainId, Height, TxHash};
use relayer_core::message::Message;
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Key, Price, PriceSource, Wallet, WalletSettings};
use crate::rpc::{EndpointSettings, RpcClient, RpcSettings};

const JUNK: &str = "test test test test test test test test test test test junk";

/// A node whose CheckTx state is one account sequence.
#[derive(Debug, Default)]
struct Script {
    address: String,
    sequence: u64,
    /// What a simulation says.
    gas: u64,
    /// CheckTx refuses with this code in place of the sequence check.
    refuse: Option<(u32, &'static str, &'static str)>,
    /// A result that is none.
    garbled: bool,
    cache: Vec<Vec<u8>>,
    simulated: Vec<u64>,
    requests: Vec<usize>,
}

fn sequence_of(tx: &[u8]) -> u64 {
    let raw = TxRaw::decode(tx).unwrap();
    AuthInfo::decode(raw.auth_info_bytes.as_slice()).unwrap().signer_infos[0].sequence
}

impl Script {
    fn mismatch(&self, got: u64) -> String {
        format!("account sequence mismatch, expected {}, got {got}: incorrect account sequence", self.sequence)
    }

    fn query(&mut self, path: &str, data: &[u8]) -> Value {
        let value = match path {
            "/cosmos.auth.v1beta1.Query/Account" => {
                let account = BaseAccount {
                    address: self.address.clone(),
                    account_number: 7,
                    sequence: self.sequence,
                    pub_key: None,
                };
                let account = Any { type_url: BaseAccount::type_url(), value: account.encode_to_vec() };
                QueryAccountResponse { account: Some(account) }.encode_to_vec()
            }
            _ => {
                let got = sequence_of(&SimulateRequest::decode(data).unwrap().tx_bytes);
                self.simulated.push(got);
                if got != self.sequence {
                    let log = format!(
                        "rpc error: code = Unknown desc = {} [x.go:1] with gas used: '44502': unknown request",
                        self.mismatch(got)
                    );
                    return json!({"response": {"code": 6, "codespace": "sdk", "log": log, "value": null, "height": "90"}});
                }
                let gas_info = Some(GasInfo { gas_wanted: 0, gas_used: self.gas });
                SimulateResponse { gas_info, result: None }.encode_to_vec()
            }
        };
        json!({"response": {"code": 0, "log": "", "value": STANDARD.encode(value), "height": "90"}})
    }

    fn broadcast(&mut self, tx: Vec<u8>) -> Result<Value, &'static str> {
        if self.cache.contains(&tx) {
            return Err("tx already exists in cache");
        }
        let got = sequence_of(&tx);
        let (code, codespace, log) = match self.refuse {
            Some((code, codespace, log)) => (code, codespace, log.to_owned()),
            None if got != self.sequence => (32, "sdk", self.mismatch(got)),
            None => {
                self.sequence += 1;
                self.cache.push(tx);
                (0, "", String::new())
            }
        };
        if self.garbled {
            return Ok(json!(["nonsense"]));
        }
        Ok(json!({"code": code, "data": "", "log": log, "codespace": codespace, "hash": ""}))
    }

    fn answer(&mut self, call: &Value) -> Value {
        let params = &call["params"];
        let result = match call["method"].as_str().unwrap() {
            "status" => Ok(json!({
                "node_info": {"network": "sim-a-1", "version": "0.38.17"},
                "sync_info": {"latest_block_height": "90", "latest_block_time": "2026-01-01T00:00:00Z", "catching_up": false},
            })),
            "abci_query" => {
                let data = hex::decode(params["data"].as_str().unwrap()).unwrap();
                Ok(self.query(params["path"].as_str().unwrap(), &data))
            }
            "broadcast_tx_sync" => self.broadcast(STANDARD.decode(params["tx"].as_str().unwrap()).unwrap()),
            _ => Err("tx (00) not found"),
        };
        match result {
            Ok(result) => json!({"jsonrpc": "2.0", "id": call["id"], "result": result}),
            Err(data) => {
                json!({"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32603, "message": "Internal error", "data": data}})
            }
        }
    }
}

type Shared = Arc<Mutex<Script>>;

async fn node(State(script): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    let mut script = script.lock().unwrap();
    Json(match body.as_array() {
        Some(calls) => {
            script.requests.push(calls.len());
            calls.iter().map(|call| script.answer(call)).collect()
        }
        None => {
            script.requests.push(1);
            script.answer(&body)
        }
    })
}

async fn wallet(change: impl FnOnce(&mut WalletSettings)) -> (Wallet, Shared) {
    let key = Key::from_secret(&SecretString::from(JUNK), 118, 0).unwrap();
    let price = Price { numerator: 25, denominator: 1_000, denom: "stake".into() };
    let mut settings = WalletSettings::new("cosmos", PriceSource::Static(price));
    settings.gas_multiplier = 1_100;
    change(&mut settings);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let address = key.address("cosmos").unwrap();
    let script = Arc::new(Mutex::new(Script { address, sequence: 5, gas: 200_000, ..Script::default() }));
    let app = Router::new().route("/", post(node)).with_state(script.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let rpc = RpcClient::new(RpcSettings::new("sim-a-1", vec![EndpointSettings::new(url.parse().unwrap())])).unwrap();
    (Wallet::new(rpc, ChainId::new("sim-a-1").unwrap(), key, settings).unwrap(), script)
}

fn draft(messages: usize) -> Draft {
    let any = |n: usize| Message::Other(Any { type_url: "/x.MsgX".into(), value: vec![n as u8; 100] });
    Draft { messages: (0..messages).map(any).collect(), simulate: false }
}

async fn prepared(wallet: &Wallet, messages: usize, sequence: u64) -> Signed {
    wallet.prepare(&draft(messages), AccountSequence(sequence)).await.unwrap()
}

fn report(hash: TxHash, gas_used: u64, failure: Option<TxFailure>) -> TxReport {
    TxReport { hash, failure, gas_used, gas_wanted: gas_used }
}

#[tokio::test]
async fn a_transaction_is_what_the_chain_will_check() {
    let (wallet, _script) = wallet(|s| s.memo_prefix = "relayed".into()).await;
    let tx = prepared(&wallet, 2, 5).await;
    assert_eq!(tx.hash, TxHash(Sha256::digest(&tx.bytes).into()));
    assert_eq!((tx.gas.0, tx.fee.clone(), tx.timeout_height), (220_000, (5_500, "stake".into()), Height::new(1, 150)));
    let raw = TxRaw::decode(&*tx.bytes).unwrap();
    let body = TxBody::decode(raw.body_bytes.as_slice()).unwrap();
    assert_eq!((body.messages.len(), body.memo.as_str(), body.timeout_height), (2, "relayed", 150));
    let auth = AuthInfo::decode(raw.auth_info_bytes.as_slice()).unwrap();
    let fee = auth.fee.unwrap();
    assert_eq!(
        (fee.gas_limit, fee.amount[0].amount.as_str(), fee.amount[0].denom.as_str()),
        (220_000, "5500", "stake")
    );
    let doc = ibc_proto::cosmos::tx::v1beta1::SignDoc {
        body_bytes: raw.body_bytes,
        auth_info_bytes: raw.auth_info_bytes,
        chain_id: "sim-a-1".into(),
        account_number: 7,
    };
    let key = hex::decode("0223aa679d6d5344e201e0df9f02ab15a84726eee0dfb4e953c46a9e2cb52349dc").unwrap();
    let signature = Signature::from_slice(&raw.signatures[0]).unwrap();
    VerifyingKey::from_sec1_bytes(&key).unwrap().verify(&doc.encode_to_vec(), &signature).unwrap();
}

#[tokio::test]
async fn a_pipeline_is_simulated_ahead_of_the_node_and_broadcast_in_order() {
    let (wallet, script) = wallet(|_| {}).await;
    let mut signed = Vec::new();
    for n in 0..13 {
        signed.push(prepared(&wallet, 1 << (n % 4), 5 + n).await);
    }
    assert!(script.lock().unwrap().simulated.starts_with(&[5, 6, 5, 7, 5]), "ahead, so with what the node expects");
    script.lock().unwrap().requests.clear();
    assert_eq!(wallet.submit(&signed).await, vec![Ok(()); 13]);
    let cache: Vec<u64> = script.lock().unwrap().cache.iter().map(|tx| sequence_of(tx)).collect();
    assert_eq!(cache, (5..18).collect::<Vec<_>>());
    assert_eq!(script.lock().unwrap().requests, [10, 3]);
    // The node has them: handed over again they are accepted, and nothing is charged twice.
    assert_eq!(wallet.submit(&signed).await, vec![Ok(()); 13]);
    assert_eq!(script.lock().unwrap().sequence, 18);
}

#[tokio::test]
async fn attack_46_a_shared_wallet_is_noticed_before_anything_is_signed() {
    let (wallet, script) = wallet(|_| {}).await;
    script.lock().unwrap().sequence = 9;
    let failure = wallet.prepare(&draft(1), AccountSequence(5)).await.unwrap_err();
    assert_eq!(failure, TxFailure::SequenceMismatch { expected: Some(AccountSequence(9)) });
    let tx = prepared(&wallet, 1, 9).await;
    script.lock().unwrap().sequence = 11;
    let refused = wallet.submit(&[tx]).await;
    assert_eq!(refused, [Err(TxFailure::SequenceMismatch { expected: Some(AccountSequence(11)) })]);
}

#[tokio::test]
async fn gas_is_learned_from_blocks_and_then_not_simulated() {
    let (wallet, script) = wallet(|_| {}).await;
    let tx = prepared(&wallet, 3, 5).await;
    wallet.learn(&draft(3), &report(tx.hash, 190_000, None));
    let known = script.lock().unwrap().simulated.len();
    let next = prepared(&wallet, 3, 5).await;
    assert_eq!(script.lock().unwrap().simulated.len(), known);
    assert!((209_000..209_500).contains(&next.gas.0), "{:?}", next.gas);
    let again = wallet.prepare(&Draft { simulate: true, ..draft(3) }, AccountSequence(5)).await.unwrap();
    assert_eq!((again.gas.0, script.lock().unwrap().simulated.len()), (220_000, known + 1));
}

#[tokio::test]
async fn attack_45_a_simulation_that_lies_too_low_is_overruled_after_one_out_of_gas() {
    let (wallet, script) = wallet(|_| {}).await;
    script.lock().unwrap().gas = 1_000;
    let tx = prepared(&wallet, 3, 5).await;
    script.lock().unwrap().refuse =
        Some((11, "sdk", "out of gas in location: x; gasWanted: 1100, gasUsed: 1200: out of gas"));
    let refused = wallet.submit(std::slice::from_ref(&tx)).await;
    assert_eq!(refused, [Err(TxFailure::OutOfGas { wanted: 1_100, used: 1_200 })]);
    let second = prepared(&wallet, 3, 5).await;
    assert!(second.gas > tx.gas, "{:?} {:?}", second.gas, tx.gas);
    let block = TxFailure::OutOfGas { wanted: second.gas.0, used: second.gas.0 };
    wallet.learn(&draft(3), &report(second.hash, second.gas.0, Some(block)));
    let third = prepared(&wallet, 3, 5).await;
    assert!(third.gas.0 > second.gas.0 + second.gas.0 / 4, "{:?} {:?}", third.gas, second.gas);
}

#[tokio::test]
async fn attack_45_a_simulation_that_lies_too_high_costs_no_more_than_the_caps() {
    let (wallet, script) = wallet(|s| {
        s.max_gas = 500_000;
        s.max_fee = Some(10_000);
    })
    .await;
    script.lock().unwrap().gas = u64::MAX;
    assert_eq!(wallet.prepare(&draft(3), AccountSequence(5)).await.unwrap_err(), TxFailure::TooLarge);
    let (wallet, script) = self::wallet(|s| s.max_fee = Some(10_000)).await;
    script.lock().unwrap().gas = 400_000;
    assert_eq!(wallet.prepare(&draft(3), AccountSequence(5)).await.unwrap_err(), TxFailure::TooLarge);
    let alone = wallet.prepare(&draft(1), AccountSequence(5)).await.unwrap_err();
    assert!(
        matches!(alone, TxFailure::Chain(e) if matches!(e.kind, ChainErrorKind::Setup(_))),
        "one message can't be halved"
    );
}

#[tokio::test]
async fn an_answer_that_is_none_leaves_the_broadcast_in_doubt_and_stops_what_follows() {
    let (wallet, script) = wallet(|_| {}).await;
    let mut signed = Vec::new();
    for n in 0..12 {
        signed.push(prepared(&wallet, 1, 5 + n).await);
    }
    script.lock().unwrap().garbled = true;
    let labels: Vec<_> = wallet.submit(&signed).await.into_iter().map(|r| r.unwrap_err().label()).collect();
    assert_eq!(labels, [vec!["timeout"; 10], vec!["unavailable"; 2]].concat());
    assert_eq!(script.lock().unwrap().sequence, 15, "the last two were not sent");
}

#[tokio::test]
async fn a_transaction_beyond_the_size_limit_is_not_signed() {
    let (wallet, script) = wallet(|s| s.max_tx_bytes = 1_000).await;
    assert_eq!(wallet.prepare(&draft(20), AccountSequence(5)).await.unwrap_err(), TxFailure::TooLarge);
    assert!(script.lock().unwrap().simulated.is_empty());
}

#[tokio::test]
async fn a_transaction_that_the_node_does_not_know_is_unknown() {
    let (wallet, _script) = wallet(|_| {}).await;
    assert_eq!(wallet.outcome(TxHash([3; 32])).await, Ok(Outcome::Unknown));
}

#[tokio::test]
async fn attack_48_a_wallet_prints_no_secret() {
    let (wallet, _script) = wallet(|_| {}).await;
    let text = format!("{wallet:?}");
    assert!(text.contains("redacted") && !text.contains("junk"), "{text}");
}
