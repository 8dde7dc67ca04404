//! Transactions in SIGN_MODE_DIRECT, with nothing shared with the relayer's own signer.

use ibc_proto::cosmos::base::v1beta1::Coin;
use ibc_proto::cosmos::crypto::secp256k1::PubKey;
use ibc_proto::cosmos::tx::signing::v1beta1::SignMode;
use ibc_proto::cosmos::tx::v1beta1::mode_info::{Single, Sum};
use ibc_proto::cosmos::tx::v1beta1::{AuthInfo, Fee, ModeInfo, SignDoc, SignerInfo, TxBody, TxRaw};
use ibc_proto::google::protobuf::Any;
use prost::Message;

use super::Wallet;

/// What a signature binds besides the messages.
pub(super) struct Signing<'a> {
    pub(super) chain_id: &'a str,
    pub(super) account_number: u64,
    pub(super) sequence: u64,
    pub(super) gas: u64,
    pub(super) fee: Option<Coin>,
}

pub(super) fn any<M: Message>(type_url: &str, message: &M) -> Any {
    Any { type_url: type_url.to_owned(), value: message.encode_to_vec() }
}

/// Signs and encodes a transaction.
pub(super) fn sign(wallet: &Wallet, messages: Vec<Any>, signing: Signing<'_>) -> TxRaw {
    let body = TxBody { messages, ..TxBody::default() };
    let public_key = any("/cosmos.crypto.secp256k1.PubKey", &PubKey { key: wallet.public_key() });
    let mode = ModeInfo { sum: Some(Sum::Single(Single { mode: SignMode::Direct.into() })) };
    let signer = SignerInfo { public_key: Some(public_key), mode_info: Some(mode), sequence: signing.sequence };
    let fee = Fee {
        amount: signing.fee.into_iter().collect(),
        gas_limit: signing.gas,
        payer: String::new(),
        granter: String::new(),
    };
    let auth = AuthInfo { signer_infos: vec![signer], fee: Some(fee), ..AuthInfo::default() };
    let doc = SignDoc {
        body_bytes: body.encode_to_vec(),
        auth_info_bytes: auth.encode_to_vec(),
        chain_id: signing.chain_id.to_owned(),
        account_number: signing.account_number,
    };
    let signature = wallet.sign(&doc.encode_to_vec());
    TxRaw { body_bytes: doc.body_bytes, auth_info_bytes: doc.auth_info_bytes, signatures: vec![signature] }
}
