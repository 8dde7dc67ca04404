//! The genesis document of a test chain, made from the default one without running the chain's slow command line.
//!
//! One validator holds all the power. Its consensus key follows from the chain id, so that a test can sign headers in
//! its name (forged, but with a true signature).

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_consensus::SigningKey;
use ibc_proto::cosmos::base::v1beta1::Coin;
use ibc_proto::cosmos::staking::v1beta1::{CommissionRates, Description, MsgCreateValidator};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::spec::{ChainSpec, STAKE};
use super::tx::{Signing, any, sign};
use super::{Wallet, wallet::ACCOUNT_PREFIX};
use crate::DevnetError;

/// The validator's wallet.
pub(super) const VALIDATOR: &str = "validator";

/// What the validator bonds; it owns twice that.
const BONDED: u128 = 500_000_000_000;

/// The key with which the single validator of this chain signs its votes.
#[must_use]
pub fn consensus_key(chain_id: &str) -> SigningKey {
    let seed: [u8; 32] = Sha256::digest(format!("relayer-tests validator of {chain_id}")).into();
    SigningKey::from(seed)
}

/// The validator's key file as CometBFT reads it.
pub(super) fn validator_key_file(chain_id: &str) -> Value {
    let key = consensus_key(chain_id);
    let public = key.verification_key().to_bytes();
    let private = [key.to_bytes(), public].concat();
    json!({
        "address": hex::encode_upper(&Sha256::digest(public)[..20]),
        "pub_key": { "type": "tendermint/PubKeyEd25519", "value": BASE64.encode(public) },
        "priv_key": { "type": "tendermint/PrivKeyEd25519", "value": BASE64.encode(private) },
    })
}

/// The default genesis with the chain's id, time, accounts, validator and the spec's own changes.
pub(super) fn genesis(template: &Path, spec: &ChainSpec) -> Result<Value, DevnetError> {
    let wrong = |reason: String| DevnetError::Template { file: template.to_owned(), reason };
    let text = std::fs::read(template).map_err(DevnetError::io(template.display().to_string()))?;
    let mut doc: Value = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;

    let validator = Wallet::named(VALIDATOR)?;
    let now = OffsetDateTime::now_utc().format(&Rfc3339).map_err(|e| wrong(e.to_string()))?;
    let mut accounts = vec![account(&validator)];
    let mut balances = vec![json!({ "address": validator.address(), "coins": [coin(STAKE, 2 * BONDED)] })];
    for (wallet, coins) in &spec.wallets {
        accounts.push(account(wallet));
        // The bank module wants denominations in order.
        let mut coins = coins.clone();
        coins.sort_by(|a, b| a.0.cmp(&b.0));
        let coins: Vec<Value> = coins.iter().map(|(denom, amount)| coin(denom, *amount)).collect();
        balances.push(json!({ "address": wallet.address(), "coins": coins }));
    }
    let changes = [
        ("/chain_id", json!(spec.id)),
        ("/genesis_time", json!(now)),
        ("/app_state/auth/accounts", json!(accounts)),
        ("/app_state/bank/balances", json!(balances)),
        ("/app_state/genutil/gen_txs", json!([create_validator(&spec.id, &validator)?])),
    ];
    let own = spec.genesis.iter().map(|(pointer, value)| (pointer.as_str(), value.clone()));
    for (pointer, value) in changes.into_iter().chain(own) {
        *doc.pointer_mut(pointer).ok_or_else(|| wrong(format!("nothing at {pointer}")))? = value;
    }
    Ok(doc)
}

fn account(wallet: &Wallet) -> Value {
    json!({
        "@type": "/cosmos.auth.v1beta1.BaseAccount",
        "address": wallet.address(), "pub_key": null, "account_number": "0", "sequence": "0",
    })
}

fn coin(denom: &str, amount: u128) -> Value {
    json!({ "denom": denom, "amount": amount.to_string() })
}

/// The genesis transaction, in the JSON form the genesis document holds. The chain encodes it again before it checks
/// the signature, so the JSON and the signed bytes must say the same.
fn create_validator(chain_id: &str, validator: &Wallet) -> Result<Value, DevnetError> {
    const GAS: u64 = 200_000;
    let operator = validator.address_with_prefix(&format!("{ACCOUNT_PREFIX}valoper"))?;
    let consensus = consensus_key(chain_id).verification_key().to_bytes();
    // Decimals are whole numbers of 10^-18 in protobuf and fractions in JSON.
    let percent = |p: u64| (format!("{p}0000000000000000"), format!("0.{p:02}0000000000000000"));
    let (rate, max_rate, change) = (percent(10), percent(20), percent(1));
    #[allow(deprecated)]
    let message = MsgCreateValidator {
        description: Some(Description { moniker: "validator".to_owned(), ..Description::default() }),
        commission: Some(CommissionRates { rate: rate.0, max_rate: max_rate.0, max_change_rate: change.0 }),
        min_self_delegation: "1".to_owned(),
        delegator_address: String::new(),
        validator_address: operator.clone(),
        pubkey: Some(any(
            "/cosmos.crypto.ed25519.PubKey",
            &ibc_proto::cosmos::crypto::ed25519::PubKey { key: consensus.to_vec() },
        )),
        value: Some(Coin { denom: STAKE.to_owned(), amount: BONDED.to_string() }),
    };
    let signing = Signing { chain_id, account_number: 0, sequence: 0, gas: GAS, fee: None };
    let message_any = any("/cosmos.staking.v1beta1.MsgCreateValidator", &message);
    let signed = sign(validator, vec![message_any], signing);
    Ok(json!({
        "body": {
            "messages": [{
                "@type": "/cosmos.staking.v1beta1.MsgCreateValidator",
                "description": {
                    "moniker": "validator", "identity": "", "website": "", "security_contact": "", "details": "",
                },
                "commission": { "rate": rate.1, "max_rate": max_rate.1, "max_change_rate": change.1 },
                "min_self_delegation": "1",
                "delegator_address": "",
                "validator_address": operator,
                "pubkey": { "@type": "/cosmos.crypto.ed25519.PubKey", "key": BASE64.encode(consensus) },
                "value": coin(STAKE, BONDED),
            }],
            "memo": "", "timeout_height": "0", "extension_options": [], "non_critical_extension_options": [],
        },
        "auth_info": {
            "signer_infos": [{
                "public_key": {
                    "@type": "/cosmos.crypto.secp256k1.PubKey", "key": BASE64.encode(validator.public_key()),
                },
                "mode_info": { "single": { "mode": "SIGN_MODE_DIRECT" } },
                "sequence": "0",
            }],
            "fee": { "amount": [], "gas_limit": GAS.to_string(), "payer": "", "granter": "" },
            "tip": null,
        },
        "signatures": signed.signatures.iter().map(|s| BASE64.encode(s)).collect::<Vec<_>>(),
    }))
}
