//! Accounts and coins, as the SDK's auth and bank modules keep them.
//!
//! **Shapes.** Store `acc`: address bytes to a protobuf `BaseAccount`; store `bank`: address and denomination to an amount in digits.
//! An account exists from the first coin it receives.

use bech32::{Bech32, Hrp};
use ibc_proto::cosmos::auth::v1beta1::BaseAccount;
use prost::Message as _;
use sha2::{Digest, Sha256};

use super::failure::Failure;
use crate::devnet::embedded::store::Store;

pub(super) const ACCOUNTS: &str = "acc";
pub(super) const BANK: &str = "bank";
const NEXT_ACCOUNT: &[u8] = b"globalAccountNumber";

/// The bytes of an account's address.
pub(super) type Address = Vec<u8>;

pub(super) fn address(prefix: &str, text: &str) -> Result<Address, Failure> {
    let refused = |reason: String| Failure::invalid_address(format!("decoding bech32 failed: {reason}"));
    let (hrp, bytes) = bech32::decode(text).map_err(|e| refused(e.to_string()))?;
    match hrp.as_str() {
        found if found == prefix && (bytes.len() == 20 || bytes.len() == 32) => Ok(bytes),
        found if found == prefix => Err(refused("unexpected address length".to_owned())),
        found => Err(refused(format!("hrp does not match bech32 prefix: expected '{prefix}' got '{found}'"))),
    }
}

pub(super) fn bech32_text(prefix: &str, address: &[u8]) -> String {
    // A prefix that is none makes no address; genesis has refused it.
    let hrp = Hrp::parse(prefix).ok();
    hrp.and_then(|hrp| bech32::encode::<Bech32>(hrp, address).ok()).unwrap_or_default()
}

/// The account of a module, or of a channel's escrow (ICS-20).
pub(super) fn module_address(name: &[u8]) -> Address {
    Sha256::digest(name).iter().copied().take(20).collect()
}

pub(super) fn escrow_address(port: &str, channel: &str) -> Address {
    module_address(&[b"ics20-1\0".as_slice(), port.as_bytes(), b"/", channel.as_bytes()].concat())
}

pub(super) fn account(store: &Store, address: &[u8]) -> Option<BaseAccount> {
    BaseAccount::decode(store.get(ACCOUNTS, address)?).ok()
}

pub(super) fn set_account(store: &mut Store, address: &[u8], account: &BaseAccount) {
    store.set(ACCOUNTS, address.to_vec(), account.encode_to_vec());
}

fn balance_key(address: &[u8], denom: &str) -> Vec<u8> {
    [balances_prefix(address).as_slice(), denom.as_bytes()].concat()
}

/// Of all balances of an address.
pub(super) fn balances_prefix(address: &[u8]) -> Vec<u8> {
    let length = u8::try_from(address.len()).unwrap_or(u8::MAX);
    [&[2, length], address].concat()
}

pub(super) fn amount(value: &[u8]) -> u128 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

pub(super) fn balance(store: &Store, address: &[u8], denom: &str) -> u128 {
    store.get(BANK, &balance_key(address, denom)).map_or(0, amount)
}

fn set_balance(store: &mut Store, address: &[u8], denom: &str, amount: u128) {
    let key = balance_key(address, denom);
    match amount {
        0 => drop(store.delete(BANK, &key)),
        some => store.set(BANK, key, some.to_string().into_bytes()),
    }
}

/// Takes coins from an account.
pub(super) fn burn(store: &mut Store, from: &[u8], amount: u128, denom: &str) -> Result<(), Failure> {
    let has = balance(store, from, denom);
    let rest = has.checked_sub(amount).ok_or_else(|| {
        Failure::insufficient_funds(format!("spendable balance {has}{denom} is smaller than {amount}{denom}"))
    })?;
    set_balance(store, from, denom, rest);
    Ok(())
}

/// Gives coins to an account, which exists from then on.
pub(super) fn mint(store: &mut Store, prefix: &str, to: &[u8], amount: u128, denom: &str) -> Result<(), Failure> {
    let sum = balance(store, to, denom).checked_add(amount);
    set_balance(store, to, denom, sum.ok_or_else(|| Failure::invalid_request("more coins than a balance holds"))?);
    if store.get(ACCOUNTS, to).is_none() {
        let number = store.get(ACCOUNTS, NEXT_ACCOUNT).and_then(|value| value.try_into().ok());
        let number = number.map_or(0, u64::from_be_bytes);
        store.set(ACCOUNTS, NEXT_ACCOUNT.to_vec(), (number + 1).to_be_bytes().to_vec());
        let address = bech32_text(prefix, to);
        set_account(store, to, &BaseAccount { address, pub_key: None, account_number: number, sequence: 0 });
    }
    Ok(())
}

pub(super) fn transfer(
    store: &mut Store,
    prefix: &str,
    (from, to): (&[u8], &[u8]),
    amount: u128,
    denom: &str,
) -> Result<(), Failure> {
    burn(store, from, amount, denom)?;
    mint(store, prefix, to, amount, denom)
}
