//! The wallet's account and balance, as the SDK's auth and bank modules answer them.

use ibc_proto::cosmos::auth::v1beta1::{BaseAccount, ModuleAccount, QueryAccountRequest, QueryAccountResponse};
use ibc_proto::cosmos::bank::v1beta1::{QueryBalanceRequest, QueryBalanceResponse};
use ibc_proto::cosmos::vesting::v1beta1::{
    BaseVestingAccount, ContinuousVestingAccount, DelayedVestingAccount, PeriodicVestingAccount, PermanentLockedAccount,
};
use ibc_proto::google::protobuf::Any;
use prost::{DecodeError, Message};
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::id::AccountSequence;

use super::failure;
use crate::cosmos::node::Node;

/// What the chain says of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) number: u64,
    pub(crate) sequence: AccountSequence,
}

/// The account of an address, from committed state.
pub(crate) async fn query(node: &Node, address: &str) -> Result<Account, ChainError> {
    let request = QueryAccountRequest { address: address.to_owned() };
    let answer = node.grpc("/cosmos.auth.v1beta1.Query/Account", &request, None).await;
    let (answer, _): (QueryAccountResponse, _) = answer.map_err(|e| failure::account(node.chain(), e))?;
    let malformed = |what| node.error(ChainErrorKind::Malformed, what);
    let any = answer.account.ok_or_else(|| malformed("an account query without an account"))?;
    let account = base_account(&any).map_err(|_| malformed("an account"))?.ok_or_else(|| {
        let kind = ChainErrorKind::Setup("the wallet's account is of a type that can't sign; use another key");
        node.error(kind, &any.type_url)
    })?;
    if account.address != address {
        return Err(malformed("an account of another address"));
    }
    Ok(Account { number: account.account_number, sequence: AccountSequence(account.sequence) })
}

/// What an address has of a coin.
pub(crate) async fn balance(node: &Node, address: &str, denom: &str) -> Result<(u128, String), ChainError> {
    let request = QueryBalanceRequest { address: address.to_owned(), denom: denom.to_owned() };
    let answer = node.grpc("/cosmos.bank.v1beta1.Query/Balance", &request, None).await;
    let (answer, _): (QueryBalanceResponse, _) = answer.map_err(|e| failure::account(node.chain(), e))?;
    let malformed = |what| node.error(ChainErrorKind::Malformed, what);
    let amount = match answer.balance {
        Some(coin) if coin.denom == denom => coin.amount.parse().map_err(|_| malformed("amount of a balance"))?,
        Some(_) => return Err(malformed("a balance of another coin")),
        None => 0,
    };
    Ok((amount, denom.to_owned()))
}

/// The base account inside; `None` for a type that is not known or holds none.
pub(super) fn base_account(account: &Any) -> Result<Option<BaseAccount>, DecodeError> {
    let bytes = account.value.as_slice();
    let vesting = |v: Option<BaseVestingAccount>| v.and_then(|v| v.base_account);
    Ok(match account.type_url.trim_start_matches('/') {
        "cosmos.auth.v1beta1.BaseAccount" => Some(BaseAccount::decode(bytes)?),
        "cosmos.auth.v1beta1.ModuleAccount" => ModuleAccount::decode(bytes)?.base_account,
        "cosmos.vesting.v1beta1.BaseVestingAccount" => vesting(Some(BaseVestingAccount::decode(bytes)?)),
        "cosmos.vesting.v1beta1.ContinuousVestingAccount" => {
            vesting(ContinuousVestingAccount::decode(bytes)?.base_vesting_account)
        }
        "cosmos.vesting.v1beta1.DelayedVestingAccount" => {
            vesting(DelayedVestingAccount::decode(bytes)?.base_vesting_account)
        }
        "cosmos.vesting.v1beta1.PeriodicVestingAccount" => {
            vesting(PeriodicVestingAccount::decode(bytes)?.base_vesting_account)
        }
        "cosmos.vesting.v1beta1.PermanentLockedAccount" => {
            vesting(PermanentLockedAccount::decode(bytes)?.base_vesting_account)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use prost::Name;

    use super::*;

    fn any<M: Name>(message: &M) -> Any {
        Any { type_url: M::type_url(), value: message.encode_to_vec() }
    }

    #[test]
    fn the_base_account_is_found_in_every_known_type() {
        let base = BaseAccount { address: "cosmos1x".into(), account_number: 7, sequence: 9, ..Default::default() };
        let vesting = Some(BaseVestingAccount { base_account: Some(base.clone()), ..Default::default() });
        for account in [
            any(&base),
            any(&ModuleAccount { base_account: Some(base.clone()), ..Default::default() }),
            any(&vesting.clone().unwrap()),
            any(&ContinuousVestingAccount { base_vesting_account: vesting.clone(), ..Default::default() }),
            any(&DelayedVestingAccount { base_vesting_account: vesting.clone() }),
            any(&PeriodicVestingAccount { base_vesting_account: vesting.clone(), ..Default::default() }),
            any(&PermanentLockedAccount { base_vesting_account: vesting }),
        ] {
            assert_eq!(base_account(&account).unwrap(), Some(base.clone()), "{}", account.type_url);
        }
        assert_eq!(base_account(&Any { type_url: "/x.Account".into(), value: vec![] }).unwrap(), None);
        let broken = Any { type_url: "/cosmos.auth.v1beta1.BaseAccount".into(), value: vec![0xff] };
        assert!(base_account(&broken).is_err());
    }
}
