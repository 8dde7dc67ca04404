//! `[[chains]]`: addresses, wallet, gas, trust.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use relayer_core::id::ChainId;
use serde_spanned::Spanned;

use super::{Check, narrow, table};
use crate::error::Kind;
use crate::limits;
use crate::settings::{
    Chain, Client, Cosmos, Family, Gas, Key, KeySource, MethodLimit, RequestLimits, Substrate, Trusted,
};
use crate::values::{
    AccountPrefix, Coin, Endpoint, Expected, Fraction, GasMultiplier, GasPrice, KeyName, StorePrefix, Variable,
    address, expected,
};
use crate::written::{self, Text};

/// The words of `type`.
#[derive(Clone, Copy, PartialEq)]
enum Type {
    Cosmos,
    Substrate,
}

/// Every chain that is right.
pub(super) fn all(
    check: &mut Check<'_>,
    chains: &[Spanned<written::Chain>],
    limits: &RequestLimits,
    methods: &[MethodLimit],
) -> Vec<Chain> {
    check.at_most("chains", chains, limits::CHAINS);
    let mut seen = HashMap::new();
    chains
        .iter()
        .filter_map(|chain| {
            if let Some(id) = &chain.get_ref().id {
                check.unique("chain", &mut seen, id.get_ref(), &id.span());
            }
            one(check, chain.get_ref(), &chain.span(), limits, methods)
        })
        .collect()
}

/// Narrower than ICS-24: ids become labels, and file names in the journal's folder.
pub(super) fn chain_id(text: &str) -> Result<ChainId, Expected> {
    let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let holds = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    match ChainId::new(text) {
        Ok(id) if starts && holds => Ok(id),
        _ => expected("1 to 50 letters, digits, `.`, `_` or `-`, the first a letter or digit"),
    }
}

fn one(
    check: &mut Check<'_>,
    chain: &written::Chain,
    range: &Range<usize>,
    defaults: &RequestLimits,
    methods: &[MethodLimit],
) -> Option<Chain> {
    let families = [("cosmos", Type::Cosmos), ("substrate", Type::Substrate)];
    let family = check.choice(&["chains", "type"], &chain.r#type, &families);
    only(check, chain, family.unwrap_or(Type::Cosmos));
    let id = check.required(&["chains", "id"], &chain.id, range, chain_id);
    let rpc = rpc(check, chain, range);
    let ws = check.endpoint(&["chains", "ws"], &chain.ws, Endpoint::ws);
    let archive_rpc = check.endpoint(&["chains", "archive_rpc"], &chain.archive_rpc, Endpoint::http);
    let store_prefix = match (&chain.store_prefix, family) {
        (None, Some(Type::Substrate)) => StorePrefix::new("ibc/").ok(),
        (None, _) => StorePrefix::new("ibc").ok(),
        (text, _) => check.text(&["chains", "store_prefix"], text, StorePrefix::new),
    };
    let block_time = check.millis(&["chains", "block_time_ms"], &chain.block_time_ms, &limits::BLOCK_TIME_MS);
    let timeout = check.number(&["chains", "tx_timeout_blocks"], &chain.tx_timeout_blocks, &limits::TX_TIMEOUT_BLOCKS);
    let max_tx_bytes = check.size(&["chains", "max_tx_bytes"], &chain.max_tx_bytes, &limits::MAX_TX_BYTES);
    let key = key(check, &table(&chain.key), chain.key.as_ref().map_or(range.clone(), Spanned::span));
    let family = match family {
        Some(Type::Substrate) => substrate(check, chain, range).map(Family::Substrate),
        _ => cosmos(check, chain, range).map(Family::Cosmos),
    };
    let trusted = trusted(check, chain);
    let client = client(check, &table(&chain.client));
    let written = table(&chain.limits);
    let limits = check.limits(&["chains", "limits"], &narrow::common(&written), defaults);
    let addresses = rpc.iter().chain(&archive_rpc).cloned().collect::<Vec<_>>();
    let narrow = narrow::all(check, &written, &addresses, &limits, methods);
    let ws = match (ws, &chain.ws) {
        (Some(ws), _) => Some(ws),
        (None, None) => match &family {
            Some(Family::Substrate(_)) => rpc.first().and_then(Endpoint::websocket_here),
            _ => rpc.first().and_then(Endpoint::websocket),
        },
        (None, Some(_)) => None,
    };
    Some(Chain {
        id: id?,
        ws: ws?,
        rpc,
        archive_rpc,
        family: family?,
        store_prefix: store_prefix?,
        block_time,
        tx_timeout_blocks: timeout,
        max_tx_bytes,
        key: key?,
        trusted,
        client: client?,
        limits,
        narrow,
    })
}

/// Keys that mean something for chains of the other type only.
fn only(check: &mut Check<'_>, chain: &written::Chain, family: Type) {
    let (gas, client) = (table(&chain.gas), table(&chain.client));
    fn at<T>(value: &Option<Spanned<T>>) -> Option<Range<usize>> {
        value.as_ref().map(Spanned::span)
    }
    let cosmos = [
        ("account_prefix", at(&chain.account_prefix)),
        ("coin_type", at(&chain.coin_type)),
        ("price", at(&gas.price)),
        ("multiplier", at(&gas.multiplier)),
        ("max_per_tx", at(&gas.max_per_tx)),
        ("default_per_message", at(&gas.default_per_message)),
        ("fee_granter", at(&gas.fee_granter)),
        ("memo_prefix", at(&gas.memo_prefix)),
        ("trust_threshold", at(&client.trust_threshold)),
    ];
    let substrate =
        [("ss58_prefix", at(&chain.ss58_prefix)), ("tip", at(&gas.tip)), ("checksum", at(&client.checksum))];
    let (foreign, kind): (&[_], _) = match family {
        Type::Cosmos => (&substrate, "substrate"),
        Type::Substrate => (&cosmos, "cosmos"),
    };
    for (name, place) in foreign {
        if let Some(place) = place {
            let message = format!("`{name}` means nothing for this chain: it belongs to type = \"{kind}\"");
            check.fail(Kind::Invalid, place, message, format!("remove it, or write type = \"{kind}\""));
        }
    }
}

fn cosmos(check: &mut Check<'_>, chain: &written::Chain, range: &Range<usize>) -> Option<Cosmos> {
    let keys = ["chains", "account_prefix"];
    let account_prefix = check.required(&keys, &chain.account_prefix, range, AccountPrefix::new);
    let coin_type = check.number(&["chains", "coin_type"], &chain.coin_type, &limits::COIN_TYPE);
    let gas_range = chain.gas.as_ref().map_or(range.clone(), Spanned::span);
    let gas = gas(check, &table(&chain.gas), &gas_range, account_prefix.as_ref());
    let trust_threshold = trust_threshold(check, &table(&chain.client));
    Some(Cosmos {
        account_prefix: account_prefix?,
        coin_type: u32::try_from(coin_type).unwrap_or(u32::MAX),
        gas: gas?,
        trust_threshold: trust_threshold?,
    })
}

fn substrate(check: &mut Check<'_>, chain: &written::Chain, range: &Range<usize>) -> Option<Substrate> {
    let ss58_prefix = check.number(&["chains", "ss58_prefix"], &chain.ss58_prefix, &limits::SS58_PREFIX);
    let gas = table(&chain.gas);
    let gas_range = chain.gas.as_ref().map_or(range.clone(), Spanned::span);
    let tip = check.required(&["chains", "gas", "tip"], &gas.tip, &gas_range, |text| text.parse::<Coin>());
    let max_fee = check.text(&["chains", "gas", "max_fee"], &gas.max_fee, |text| text.parse::<Coin>());
    if let (Some(fee), Some(tip), Some(text)) = (&max_fee, &tip, &gas.max_fee)
        && fee.denom != tip.denom
    {
        let message = format!("`max_fee` is in {}, but `tip` is in {}", fee.denom, tip.denom);
        let help = format!("write for example: max_fee = \"{}{}\"", fee.amount, tip.denom);
        check.fail(Kind::Invalid, &text.span(), message, help);
    }
    let read = |text: &str| {
        let mut checksum = [0; 32];
        match hex::decode_to_slice(text, &mut checksum) {
            Ok(()) => Ok(checksum),
            Err(_) => expected("the SHA-256 of the light client's code: 64 hexadecimal digits"),
        }
    };
    let client = table(&chain.client);
    let checksum = match &client.checksum {
        None => Some(None),
        text => check.text(&["chains", "client", "checksum"], text, read).map(Some),
    };
    Some(Substrate {
        ss58_prefix: u16::try_from(ss58_prefix).unwrap_or(u16::MAX),
        tip: tip?,
        max_fee,
        checksum: checksum?,
    })
}

fn rpc(check: &mut Check<'_>, chain: &written::Chain, range: &Range<usize>) -> Vec<Endpoint> {
    let keys = ["chains", "rpc"];
    let Some(list) = chain.rpc.as_ref().filter(|list| !list.get_ref().0.is_empty()) else {
        check.missing(&keys, &chain.rpc.as_ref().map_or(range.clone(), Spanned::span));
        return Vec::new();
    };
    if list.get_ref().0.len() > limits::RPC_ADDRESSES {
        let message = format!("more than {} addresses", limits::RPC_ADDRESSES);
        check.fail(Kind::Invalid, &list.span(), message, "keep the best ones");
        return Vec::new();
    }
    let mut seen = HashMap::new();
    let mut all = Vec::new();
    for (at, text) in &list.get_ref().0 {
        let at = at.clone().unwrap_or_else(|| list.span());
        if let Some(endpoint) = check.address(&keys, &at, text, Endpoint::http) {
            check.unique("address", &mut seen, endpoint.url().as_str(), &at);
            all.push(endpoint);
        }
    }
    all
}

fn key(check: &mut Check<'_>, key: &written::Key, range: Range<usize>) -> Option<Key> {
    #[derive(Clone, Copy, PartialEq)]
    enum Kept {
        Keystore,
        Env,
        Keyring,
    }
    let at = |key: &'static str| ["chains", "key", key];
    let name = match &key.name {
        None => KeyName::new("relayer").ok(),
        text => check.text(&at("name"), text, KeyName::new),
    };
    let kept = [("keystore", Kept::Keystore), ("env", Kept::Env), ("keyring", Kept::Keyring)];
    let kept = check.choice(&at("source"), &key.source, &kept)?;
    let passphrase_env = check.text(&at("passphrase_env"), &key.passphrase_env, Variable::new);
    let mut only = |text: &Text, name: &str, source: &str, wanted: Kept| {
        if let Some(text) = text.as_ref().filter(|_| kept != wanted) {
            let message = format!("`{name}` means nothing for this key: it belongs to source = \"{source}\"");
            check.fail(Kind::Invalid, &text.span(), message, format!("remove it, or write source = \"{source}\""));
        }
    };
    only(&key.env, "env", "env", Kept::Env);
    only(&key.passphrase_env, "passphrase_env", "keystore", Kept::Keystore);
    let source = match kept {
        Kept::Keystore => KeySource::Keystore { passphrase_env },
        Kept::Env => KeySource::Env { variable: check.required(&at("env"), &key.env, &range, Variable::new)? },
        Kept::Keyring => KeySource::Keyring,
    };
    Some(Key { name: name?, source })
}

fn gas(check: &mut Check<'_>, gas: &written::Gas, range: &Range<usize>, prefix: Option<&AccountPrefix>) -> Option<Gas> {
    let at = |key: &'static str| ["chains", "gas", key];
    let price = check.required(&at("price"), &gas.price, range, |text| text.parse::<GasPrice>());
    let multiplier = check.decimal(&at("multiplier"), &gas.multiplier, 1.3, GasMultiplier::new);
    let max_per_tx = check.number(&at("max_per_tx"), &gas.max_per_tx, &limits::GAS_MAX_PER_TX);
    let per_message =
        check.number(&at("default_per_message"), &gas.default_per_message, &limits::GAS_DEFAULT_PER_MESSAGE);
    if per_message > max_per_tx {
        let message = format!(
            "`default_per_message` is more than `max_per_tx` ({max_per_tx}): no message would fit a transaction"
        );
        let place = gas.default_per_message.as_ref().or(gas.max_per_tx.as_ref()).map_or(range.clone(), Spanned::span);
        check.fail(Kind::Invalid, &place, message, "raise max_per_tx or lower default_per_message");
    }
    let max_fee = check.text(&at("max_fee"), &gas.max_fee, |text| text.parse::<Coin>());
    if let (Some(fee), Some(price), Some(text)) = (&max_fee, &price, &gas.max_fee)
        && fee.denom != price.denom
    {
        let message = format!("`max_fee` is in {}, but `price` is in {}", fee.denom, price.denom);
        check.fail(
            Kind::Invalid,
            &text.span(),
            message,
            format!("write for example: max_fee = \"{}{}\"", fee.amount, price.denom),
        );
    }
    let granter = prefix.and_then(|prefix| {
        check.text(&at("fee_granter"), &gas.fee_granter, |text| address(text, prefix).map(|()| text.to_owned()))
    });
    let memo = |text: &str| {
        let fits = text.len() <= limits::MEMO_PREFIX_BYTES && !text.chars().any(char::is_control);
        if fits { Ok(text.to_owned()) } else { expected("at most 128 bytes without control characters") }
    };
    let memo_prefix = match &gas.memo_prefix {
        None => Some(String::new()),
        text => check.text(&at("memo_prefix"), text, memo),
    };
    Some(Gas {
        price: price?,
        multiplier: multiplier?,
        max_per_tx,
        default_per_message: per_message,
        max_fee,
        fee_granter: granter,
        memo_prefix: memo_prefix?,
    })
}

fn trusted(check: &mut Check<'_>, chain: &written::Chain) -> Option<Trusted> {
    let trusted = chain.trusted.as_ref()?;
    if trusted.get_ref().height.is_none() {
        check.missing(&["chains", "trusted", "height"], &trusted.span());
    }
    let height = check.number(&["chains", "trusted", "height"], &trusted.get_ref().height, &limits::TRUSTED_HEIGHT);
    let read = |text: &str| {
        let mut hash = [0; 32];
        match hex::decode_to_slice(text, &mut hash) {
            Ok(()) => Ok(hash),
            Err(_) => expected("the header's hash: 64 hexadecimal digits"),
        }
    };
    let hash = check.required(&["chains", "trusted", "hash"], &trusted.get_ref().hash, &trusted.span(), read)?;
    Some(Trusted { height, hash })
}

fn trust_threshold(check: &mut Check<'_>, client: &written::Client) -> Option<Fraction> {
    use std::cmp::Ordering::{Greater, Less};
    let threshold = |text: &str| match text.parse::<Fraction>()? {
        f if f.cmp_to(1, 3) == Less || f.cmp_to(1, 1) == Greater => {
            expected("from 1/3 to 1/1: with less, a third of the validators could forge headers")
        }
        f => Ok(f),
    };
    match &client.trust_threshold {
        None => Some(THIRD),
        text => check.text(&["chains", "client", "trust_threshold"], text, threshold),
    }
}

const THIRD: Fraction = Fraction { numerator: 1, denominator: 3 };

fn client(check: &mut Check<'_>, client: &written::Client) -> Option<Client> {
    use std::cmp::Ordering::Less;
    let at = |key: &'static str| ["chains", "client", key];
    let refresh = |text: &str| match text.parse::<Fraction>()? {
        f if f.numerator == 0 || f.cmp_to(1, 1) != Less => {
            expected("above 0 and below 1: at 1 the client has expired before it is refreshed")
        }
        f => Ok(f),
    };
    let refresh_fraction = match &client.refresh_fraction {
        None => Some(THIRD),
        text => check.text(&at("refresh_fraction"), text, refresh),
    };
    let period = check.number(&at("trusting_period_s"), &client.trusting_period_s, &limits::TRUSTING_PERIOD_S);
    let drift = check.millis(&at("max_clock_drift_ms"), &client.max_clock_drift_ms, &limits::MAX_CLOCK_DRIFT_MS);
    Some(Client {
        trusting_period: client.trusting_period_s.as_ref().map(|_| Duration::from_secs(period)),
        max_clock_drift: drift,
        refresh_fraction: refresh_fraction?,
    })
}
