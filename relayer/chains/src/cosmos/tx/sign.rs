//! A Cosmos SDK transaction: `TxBody`, `AuthInfo`, `SignDoc` in `SIGN_MODE_DIRECT`, and its hash.
//!
//! Spec: SDK ADR-020. The hash is sha256 of the broadcast bytes, so it is known before they leave.

use ibc_proto::cosmos::base::v1beta1::Coin;
use ibc_proto::cosmos::crypto::secp256k1::PubKey;
use ibc_proto::cosmos::tx::signing::v1beta1::SignMode;
use ibc_proto::cosmos::tx::v1beta1::{
    AuthInfo, Fee as RawFee, ModeInfo, SignDoc, SignerInfo, TxBody, TxRaw, mode_info,
};
use ibc_proto::google::protobuf::Any;
use prost::{Message, Name};
use relayer_core::id::{AccountSequence, ChainId, TxHash};
use sha2::{Digest, Sha256};

use super::key::Key;

/// What a transaction pays, and who.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fee<'a> {
    pub(crate) amount: u128,
    pub(crate) denom: &'a str,
    pub(crate) gas: u64,
    pub(crate) granter: &'a str,
}

pub(crate) fn body(messages: Vec<Any>, memo: &str, timeout_height: u64) -> Vec<u8> {
    TxBody { messages, memo: memo.to_owned(), timeout_height, ..Default::default() }.encode_to_vec()
}

pub(crate) fn auth_info(key: &Key, sequence: AccountSequence, fee: Fee<'_>) -> Vec<u8> {
    let public_key = PubKey { key: key.public_key().to_vec() };
    let single = mode_info::Single { mode: SignMode::Direct.into() };
    // The SDK refuses a coin of amount 0.
    let amount = (fee.amount > 0).then(|| Coin { denom: fee.denom.to_owned(), amount: fee.amount.to_string() });
    let info = AuthInfo {
        signer_infos: vec![SignerInfo {
            public_key: Some(Any { type_url: PubKey::type_url(), value: public_key.encode_to_vec() }),
            mode_info: Some(ModeInfo { sum: Some(mode_info::Sum::Single(single)) }),
            sequence: sequence.0,
        }],
        fee: Some(RawFee {
            amount: amount.into_iter().collect(),
            gas_limit: fee.gas,
            payer: String::new(),
            granter: fee.granter.to_owned(),
        }),
        ..Default::default()
    };
    info.encode_to_vec()
}

fn raw(body: Vec<u8>, auth_info: Vec<u8>, signature: &[u8; 64]) -> Vec<u8> {
    TxRaw { body_bytes: body, auth_info_bytes: auth_info, signatures: vec![signature.to_vec()] }.encode_to_vec()
}

/// As large as the real one, with a signature that nobody checks.
pub(crate) fn for_simulation(body: Vec<u8>, auth_info: Vec<u8>) -> Vec<u8> {
    raw(body, auth_info, &[0; 64])
}

pub(crate) fn signed(
    key: &Key,
    chain: &ChainId,
    account_number: u64,
    body: Vec<u8>,
    auth_info: Vec<u8>,
) -> (Vec<u8>, TxHash) {
    let doc =
        SignDoc { body_bytes: body, auth_info_bytes: auth_info, chain_id: chain.as_str().to_owned(), account_number };
    let signature = key.sign(&doc.encode_to_vec());
    let bytes = raw(doc.body_bytes, doc.auth_info_bytes, &signature);
    let hash = TxHash(Sha256::digest(&bytes).into());
    (bytes, hash)
}

#[cfg(test)]
mod tests {
    use ibc_proto::cosmos::bank::v1beta1::MsgSend;
    use secrecy::SecretString;

    use super::*;

    const ART: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                       abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art";

    #[test]
    fn bytes_and_hash_are_those_that_simd_signs_and_its_chain_included() {
        let key = Key::from_secret(&SecretString::from(ART), 118, 0).unwrap();
        let send = MsgSend {
            from_address: key.address("cosmos").unwrap(),
            to_address: "cosmos15yk64u7zc9g9k2yr2wmzeva5qgwxps6yxj00e7".into(),
            amount: vec![Coin { denom: "stake".into(), amount: "1".into() }],
        };
        let message = Any { type_url: MsgSend::type_url(), value: send.encode_to_vec() };
        let fee = Fee { amount: 200, denom: "stake", gas: 100_000, granter: "" };
        let chain = ChainId::new("pay-1").unwrap();
        let auth = auth_info(&key, AccountSequence(0), fee);
        let (bytes, hash) = signed(&key, &chain, 1, body(vec![message], "", 0), auth);
        assert_eq!(hash.to_string(), "F217D060BC3820353E413DC30332E32F36BFDDB67B9E896AA58958CC36DABC7D");
        assert_eq!(bytes.len(), 312);
    }

    #[test]
    fn a_fee_of_nothing_names_no_coin() {
        let key = Key::from_secret(&SecretString::from(ART), 118, 0).unwrap();
        let fee = Fee { amount: 0, denom: "stake", gas: 1, granter: "cosmos1granter" };
        let info = AuthInfo::decode(auth_info(&key, AccountSequence(3), fee).as_slice()).unwrap();
        let fee = info.fee.unwrap();
        assert!(fee.amount.is_empty());
        assert_eq!((fee.granter.as_str(), info.signer_infos[0].sequence), ("cosmos1granter", 3));
    }
}
