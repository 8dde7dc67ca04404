//! Transactions in SIGN_MODE_DIRECT: decoded, checked as the SDK's ante handler does, and their messages executed.
//!
//! **Spec**: Cosmos SDK 0.53, `x/auth/ante`; codes in [`Failure`]. A failed message undoes all messages; sequence and fee stay.
//!
//! **Gas** is counted, not measured: by message and byte, near what ibc-go v10 was measured to take.
//!
//! **Bounds.** [`limits`](crate::limits)' bytes of a transaction, checked by the mempool; 256 characters of memo.

use ibc_proto::cosmos::bank::v1beta1::MsgSend;
use ibc_proto::cosmos::base::v1beta1::Coin;
use ibc_proto::cosmos::crypto::secp256k1::PubKey;
use ibc_proto::cosmos::tx::v1beta1::{AuthInfo, Fee, SignDoc, TxBody, TxRaw};
use ibc_proto::google::protobuf::Any;
use k256::ecdsa::signature::Verifier as _;
use k256::ecdsa::{Signature, VerifyingKey};
use prost::Message as _;
use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

use super::Chain;
use super::failure::Failure;
use super::ibc::{self, PacketMessage, Work};
use super::state::{self, Address};
use crate::devnet::embedded::{Event, TxResult};

/// Characters of a memo: the SDK's default.
const MEMO: usize = 256;
/// Signature, fee, sequence.
const BASE_GAS: u64 = 60_000;
const BYTE_GAS: u64 = 10;
const SEND: &str = "/cosmos.bank.v1beta1.MsgSend";

/// Why a transaction is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// CheckTx: messages are not executed, redundant packets and low fees refused.
    Check,
    Simulate,
    Deliver,
}

/// A decoded transaction.
struct Tx {
    raw: TxRaw,
    body: TxBody,
    fee: Fee,
    key: Option<Vec<u8>>,
    sequence: u64,
    bytes: usize,
}

/// Gas without its bytes.
fn message_gas(type_url: &str) -> u64 {
    match type_url.rsplit('.').next().unwrap_or_default() {
        "MsgTransfer" => 50_000,
        "MsgRecvPacket" => 60_000,
        "MsgAcknowledgement" => 12_000,
        "MsgTimeout" | "MsgTimeoutOnClose" => 20_000,
        "MsgUpdateClient" => 55_000,
        "MsgSend" => 30_000,
        _ => 80_000,
    }
}

/// Counts gas up to a limit; no limit while simulating.
struct Meter {
    limit: Option<u64>,
    used: u64,
}

impl Meter {
    fn take(&mut self, gas: u64, location: &str) -> Result<(), Failure> {
        self.used = self.used.saturating_add(gas);
        match self.limit {
            Some(limit) if self.used > limit => Err(Failure::out_of_gas(location, limit, self.used)),
            _ => Ok(()),
        }
    }
}

fn decode(bytes: &[u8]) -> Result<Tx, Failure> {
    let raw = TxRaw::decode(bytes).map_err(|e| Failure::undecodable("transaction", e))?;
    let body = TxBody::decode(raw.body_bytes.as_slice()).map_err(|e| Failure::undecodable("body", e))?;
    let auth = AuthInfo::decode(raw.auth_info_bytes.as_slice()).map_err(|e| Failure::undecodable("auth info", e))?;
    let [signer] = auth.signer_infos.as_slice() else {
        return Err(Failure::unauthorized("a transaction here has one signer"));
    };
    let key = signer.public_key.as_ref().map(|any| PubKey::decode(any.value.as_slice()));
    let key = key.transpose().map_err(|e| Failure::undecodable("public key", e))?.map(|key| key.key);
    let sequence = signer.sequence;
    let fee = auth.fee.unwrap_or_default();
    Ok(Tx { raw, body, fee, key, sequence, bytes: bytes.len() })
}

/// Who has to sign a message: `signer`, or what stands for it.
fn signer(message: &Any) -> Result<String, Failure> {
    use ibc_proto::ibc::applications::transfer::v1::MsgTransfer;
    use ibc_proto::ibc::core::{channel::v1 as channel, client::v1 as client, connection::v1 as connection};
    macro_rules! field {
        ($($name:literal => $kind:ty, $field:ident;)*) => {
            match message.type_url.as_str() {
                $($name => <$kind>::decode(message.value.as_slice()).map(|m| m.$field),)*
                other => return Err(Failure::unknown_request(format!("no message handler found for {other:?}"))),
            }
        };
    }
    let found = field! {
        "/cosmos.bank.v1beta1.MsgSend" => MsgSend, from_address;
        "/ibc.applications.transfer.v1.MsgTransfer" => MsgTransfer, sender;
        "/ibc.core.client.v1.MsgCreateClient" => client::MsgCreateClient, signer;
        "/ibc.core.client.v1.MsgUpdateClient" => client::MsgUpdateClient, signer;
        "/ibc.core.client.v1.MsgSubmitMisbehaviour" => client::MsgSubmitMisbehaviour, signer;
        "/ibc.core.connection.v1.MsgConnectionOpenInit" => connection::MsgConnectionOpenInit, signer;
        "/ibc.core.connection.v1.MsgConnectionOpenTry" => connection::MsgConnectionOpenTry, signer;
        "/ibc.core.connection.v1.MsgConnectionOpenAck" => connection::MsgConnectionOpenAck, signer;
        "/ibc.core.connection.v1.MsgConnectionOpenConfirm" => connection::MsgConnectionOpenConfirm, signer;
        "/ibc.core.channel.v1.MsgChannelOpenInit" => channel::MsgChannelOpenInit, signer;
        "/ibc.core.channel.v1.MsgChannelOpenTry" => channel::MsgChannelOpenTry, signer;
        "/ibc.core.channel.v1.MsgChannelOpenAck" => channel::MsgChannelOpenAck, signer;
        "/ibc.core.channel.v1.MsgChannelOpenConfirm" => channel::MsgChannelOpenConfirm, signer;
        "/ibc.core.channel.v1.MsgChannelCloseInit" => channel::MsgChannelCloseInit, signer;
        "/ibc.core.channel.v1.MsgChannelCloseConfirm" => channel::MsgChannelCloseConfirm, signer;
        "/ibc.core.channel.v1.MsgRecvPacket" => channel::MsgRecvPacket, signer;
        "/ibc.core.channel.v1.MsgAcknowledgement" => channel::MsgAcknowledgement, signer;
        "/ibc.core.channel.v1.MsgTimeout" => channel::MsgTimeout, signer;
        "/ibc.core.channel.v1.MsgTimeoutOnClose" => channel::MsgTimeoutOnClose, signer;
    };
    found.map_err(|e| Failure::undecodable(&message.type_url, e))
}

/// Runs a transaction on a state and leaves there what stays of it.
pub(super) fn run(chain: &Chain, work: &mut Work, bytes: &[u8], mode: Mode) -> TxResult {
    let tx = match decode(bytes) {
        Ok(tx) => tx,
        Err(failure) => return failure.tx(),
    };
    let limit = (mode != Mode::Simulate).then_some(tx.fee.gas_limit);
    let mut meter = Meter { limit, used: 0 };
    let gas_wanted = tx.fee.gas_limit;
    let mut paid = Work { store: work.store.clone(), events: Vec::new() };
    let answer =
        |failure: Failure, meter: &Meter, events| TxResult { gas_wanted, gas_used: meter.used, events, ..failure.tx() };
    if let Err(failure) = ante(chain, &mut paid, &tx, &mut meter, mode) {
        return answer(failure, &meter, Vec::new());
    }
    *work = paid.clone();
    if mode == Mode::Check {
        return match redundancy(work, &tx) {
            Ok(()) => TxResult { gas_wanted, gas_used: meter.used, events: paid.events, ..TxResult::default() },
            Err(failure) => answer(failure, &meter, Vec::new()),
        };
    }
    match messages(chain, paid, &tx, &mut meter) {
        Ok(done) => {
            *work = done;
            let events = std::mem::take(&mut work.events);
            TxResult { gas_wanted, gas_used: meter.used, events, ..TxResult::default() }
        }
        Err(failure) => answer(failure, &meter, std::mem::take(&mut work.events)),
    }
}

/// Everything before the messages.
fn ante(chain: &Chain, work: &mut Work, tx: &Tx, meter: &mut Meter, mode: Mode) -> Result<(), Failure> {
    if mode != Mode::Simulate && tx.fee.gas_limit > chain.block_gas {
        return Err(Failure::gas_limit(tx.fee.gas_limit, chain.block_gas));
    }
    if tx.body.messages.is_empty() {
        return Err(Failure::invalid_request("must contain at least one message"));
    }
    let (height, timeout) = (chain.host.height, tx.body.timeout_height);
    if timeout > 0 && height > timeout {
        return Err(Failure::expired(height, timeout));
    }
    if tx.body.memo.len() > MEMO {
        return Err(Failure::long_memo(MEMO, tx.body.memo.len()));
    }
    meter.take(BYTE_GAS.saturating_mul(tx.bytes as u64), "txSize")?;
    let prefix = &chain.host.account_prefix;
    let mut signers = tx.body.messages.iter().map(signer).collect::<Result<Vec<_>, _>>()?;
    signers.dedup();
    let [payer] = signers.as_slice() else {
        return Err(Failure::unauthorized(format!("wrong number of signers; expected {}, got 1", signers.len())));
    };
    let address = state::address(prefix, payer)?;
    fee(chain, work, tx, (&address, payer), mode)?;
    meter.take(BASE_GAS, "ante verify: secp256k1")?;
    signature(chain, work, tx, (&address, payer), mode)?;
    let payer_sequence = format!("{payer}/{}", tx.sequence);
    work.events.push(ibc::event("tx", &[("acc_seq", payer_sequence)]));
    if let Some(signature) = tx.raw.signatures.first() {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(signature);
        work.events.push(ibc::event("tx", &[("signature", text)]));
    }
    Ok(())
}

fn fee(chain: &Chain, work: &mut Work, tx: &Tx, (address, payer): (&Address, &str), mode: Mode) -> Result<(), Failure> {
    let prefix = &chain.host.account_prefix;
    let text = |coins: &[Coin]| coins.iter().map(|c| format!("{}{}", c.amount, c.denom)).collect::<Vec<_>>().join(",");
    let got = text(&tx.fee.amount);
    let offered = tx.fee.amount.iter().filter(|coin| coin.denom == chain.fee_denom);
    let offered: u128 = offered.filter_map(|coin| coin.amount.parse::<u128>().ok()).fold(0, u128::saturating_add);
    let required = u128::from(tx.fee.gas_limit).saturating_mul(chain.min_gas_price_millionths).div_ceil(1_000_000);
    if mode == Mode::Check && offered < required {
        return Err(Failure::insufficient_fee(&got, &format!("{required}{}", chain.fee_denom)));
    }
    if state::account(&work.store, address).is_none() {
        return Err(Failure::unknown_address(format!("fee payer address: {payer} does not exist")));
    }
    let collector = state::module_address(b"fee_collector");
    for coin in &tx.fee.amount {
        let amount: u128 = coin.amount.parse().map_err(|_| Failure::invalid_request("an invalid fee"))?;
        state::transfer(&mut work.store, prefix, (address, &collector), amount, &coin.denom)
            .map_err(|e| Failure::insufficient_funds(e.log))?;
        spent(&mut work.events, prefix, (payer, &collector), &format!("{amount}{}", coin.denom));
    }
    work.events.push(ibc::event("tx", &[("fee", got), ("fee_payer", payer.to_owned())]));
    Ok(())
}

/// The bank's events of coins that moved.
fn spent(events: &mut Vec<Event>, prefix: &str, (from, to): (&str, &[u8]), coins: &str) {
    let (from, to, coins) = (from.to_owned(), state::bech32_text(prefix, to), coins.to_owned());
    events.push(ibc::event("coin_spent", &[("spender", from.clone()), ("amount", coins.clone())]));
    events.push(ibc::event("coin_received", &[("receiver", to.clone()), ("amount", coins.clone())]));
    events.push(ibc::event("transfer", &[("recipient", to), ("sender", from.clone()), ("amount", coins)]));
    events.push(ibc::event("message", &[("sender", from)]));
}

/// Sequence, key and signature; the sequence is taken.
fn signature(
    chain: &Chain,
    work: &mut Work,
    tx: &Tx,
    (address, payer): (&Address, &str),
    mode: Mode,
) -> Result<(), Failure> {
    let account = state::account(&work.store, address);
    let mut account = account.ok_or_else(|| Failure::unknown_address(format!("account {payer} does not exist")))?;
    if account.sequence != tx.sequence {
        return Err(Failure::sequence(account.sequence, tx.sequence));
    }
    if mode != Mode::Simulate {
        let key = tx.key.as_deref().unwrap_or_default();
        let owner: Address = Ripemd160::digest(Sha256::digest(key)).to_vec();
        if owner != *address {
            return Err(Failure::invalid_pubkey(format!(
                "pubKey does not match signer address {payer} with signer index: 0"
            )));
        }
        let doc = SignDoc {
            body_bytes: tx.raw.body_bytes.clone(),
            auth_info_bytes: tx.raw.auth_info_bytes.clone(),
            chain_id: chain.host.chain_id.clone(),
            account_number: account.account_number,
        };
        let signature = tx.raw.signatures.first().and_then(|bytes| Signature::from_slice(bytes).ok());
        let verified = VerifyingKey::from_sec1_bytes(key).ok().zip(signature);
        let verified = verified.is_some_and(|(key, signature)| {
            // As the SDK: the upper half of the curve's order would be a second signature of the same.
            signature.normalize_s().is_none() && key.verify(&doc.encode_to_vec(), &signature).is_ok()
        });
        if !verified {
            return Err(Failure::unauthorized(format!(
                "signature verification failed; please verify account number ({}) and chain-id ({}): (unable to verify \
                 single signer signature)",
                account.account_number, chain.host.chain_id
            )));
        }
    }
    account.sequence += 1;
    state::set_account(&mut work.store, address, &account);
    Ok(())
}

/// ibc-go's RedundantRelayDecorator.
fn redundancy(work: &mut Work, tx: &Tx) -> Result<(), Failure> {
    let only = |m: &&Any| m.type_url.ends_with(".MsgUpdateClient");
    let packets = tx.body.messages.iter().filter(|m| !only(m)).map(PacketMessage::read);
    let Some(packets) = packets.collect::<Result<Option<Vec<_>>, _>>()? else { return Ok(()) };
    let redundant = packets.iter().filter(|packet| ibc::is_redundant(&work.store, packet)).count();
    if !packets.is_empty() && redundant == packets.len() {
        return Err(Failure::redundant());
    }
    packets.iter().for_each(|packet| ibc::mark(&mut work.store, packet));
    Ok(())
}

fn messages(chain: &Chain, mut work: Work, tx: &Tx, meter: &mut Meter) -> Result<Work, Failure> {
    for (index, message) in tx.body.messages.iter().enumerate() {
        // The SDK's meter panics, and so an out-of-gas is not wrapped as a message's.
        meter.take(message_gas(&message.type_url), "WritePerByte")?;
        let before = work.events.len();
        let sender = signer(message)?;
        let module = message.type_url.split('.').rev().nth(2).unwrap_or_default();
        let module = match message.type_url.split('.').nth(1) {
            Some("core") => format!("ibc_{module}"),
            _ => module.to_owned(),
        };
        let action = message.type_url.clone();
        work.events.push(ibc::event("message", &[("action", action), ("sender", sender), ("module", module)]));
        work = match message.type_url.as_str() {
            SEND => send(chain, work, message),
            _ => ibc::deliver(&chain.host, work, message.clone()),
        }
        .map_err(|failure| failure.of_message(index))?;
        for event in work.events.iter_mut().skip(before) {
            event.attributes.push(("msg_index".to_owned(), index.to_string()));
        }
    }
    Ok(work)
}

fn send(chain: &Chain, mut work: Work, message: &Any) -> Result<Work, Failure> {
    let message = MsgSend::decode(message.value.as_slice()).map_err(|e| Failure::undecodable(SEND, e))?;
    let prefix = &chain.host.account_prefix;
    let (from, to) = (state::address(prefix, &message.from_address)?, state::address(prefix, &message.to_address)?);
    for coin in &message.amount {
        let amount: u128 = coin.amount.parse().map_err(|_| Failure::invalid_request("an invalid amount"))?;
        state::transfer(&mut work.store, prefix, (&from, &to), amount, &coin.denom)?;
        spent(&mut work.events, prefix, (&message.from_address, &to), &format!("{amount}{}", coin.denom));
    }
    Ok(work)
}
