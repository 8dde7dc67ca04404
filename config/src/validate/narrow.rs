//! Limits of some calls, and where more rules come from.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use relayer_core::id::ChannelId;
use serde_spanned::Spanned;

use super::Check;
use crate::error::Kind;
use crate::limits;
use crate::settings::{
    CallRate, ChannelLimit, EndpointLimit, MethodLimit, NarrowLimits, RedisKind, RequestLimits, RuleSource,
    SharedLimits,
};
use crate::source::quoted;
use crate::values::{Endpoint, Expected, Variable, expected};
use crate::written::{self, Number, Sub};

/// What a chain's table of limits has in common with the one of all chains.
pub(super) fn common(chain: &written::ChainLimits) -> written::Limits {
    written::Limits {
        requests_per_second: chain.requests_per_second.clone(),
        burst: chain.burst.clone(),
        in_flight: chain.in_flight.clone(),
        request_timeout_ms: chain.request_timeout_ms.clone(),
        max_response_bytes: chain.max_response_bytes.clone(),
        retry_attempts: chain.retry_attempts.clone(),
        ..written::Limits::default()
    }
}

/// A chain's narrower limits; `methods` are those of all chains.
pub(super) fn all(
    check: &mut Check<'_>,
    chain: &written::ChainLimits,
    addresses: &[Endpoint],
    limits: &RequestLimits,
    of_all: &[MethodLimit],
) -> NarrowLimits {
    let mut methods = self::methods(check, &["chains", "limits", "methods"], &chain.methods);
    for (limit, entry) in methods.iter().zip(&chain.methods) {
        if limit.weight > limits.burst {
            let message =
                format!("`weight` is more than the chain's `burst` ({}): such a call could never leave", limits.burst);
            let at = entry.get_ref().weight.as_ref().map_or(entry.span(), Spanned::span);
            check.fail(Kind::Invalid, &at, message, "raise the burst or lower the weight");
        }
    }
    let own: Vec<_> = methods.iter().map(|limit| limit.method.clone()).collect();
    methods.extend(of_all.iter().filter(|limit| !own.contains(&limit.method)).cloned());
    NarrowLimits {
        methods,
        endpoints: endpoints(check, &chain.endpoints, addresses, limits),
        channels: channels(check, &chain.channels),
    }
}

fn method(text: &str) -> Result<String, Expected> {
    let name = text.strip_suffix('*').unwrap_or(text);
    let good = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
    if good && !text.is_empty() && text.len() <= limits::RULE_NAME_BYTES {
        return Ok(text.to_owned());
    }
    expected("an RPC method like \"block_results\", or the beginning of some like \"block*\"")
}

pub(super) fn methods(
    check: &mut Check<'_>,
    keys: &[&str],
    written: &[Spanned<written::MethodLimit>],
) -> Vec<MethodLimit> {
    check.at_most("methods", written, limits::NARROW_LIMITS);
    let at = |key: &'static str| keys.iter().copied().chain([key]).collect::<Vec<_>>();
    let mut seen = HashMap::new();
    let mut all = Vec::new();
    for entry in written {
        let limit = entry.get_ref();
        let name = check.required(&at("method"), &limit.method, &entry.span(), method);
        if let Some(name) = &limit.method {
            check.unique("method", &mut seen, name.get_ref(), &name.span());
        }
        let weight = check.small(&at("weight"), &limit.weight, &limits::METHOD_WEIGHT, 1);
        let rate = rate(check, keys, &limit.requests_per_second, &limit.burst);
        if rate.is_none() && limit.weight.is_none() {
            let help = "give requests_per_second, or weight, or remove the entry";
            check.fail(Kind::Missing, &entry.span(), "this entry of `methods` limits nothing", help);
        }
        if let (None, Some(burst)) = (rate, &limit.burst) {
            let help = "add requests_per_second, or remove burst";
            check.fail(Kind::Missing, &burst.span(), "`burst` means nothing without `requests_per_second`", help);
        }
        if let Some(method) = name {
            all.push(MethodLimit { method, rate, weight });
        }
    }
    all
}

/// A rate; the burst is a second's worth unless it is written.
fn rate(check: &mut Check<'_>, keys: &[&str], per_second: &Number, burst: &Number) -> Option<CallRate> {
    let at = |key: &'static str| keys.iter().copied().chain([key]).collect::<Vec<_>>();
    per_second.as_ref()?;
    let requests_per_second = check.small(&at("requests_per_second"), per_second, &limits::REQUESTS_PER_SECOND, 1);
    let burst = check.small(&at("burst"), burst, &limits::BURST, requests_per_second);
    Some(CallRate { requests_per_second, burst })
}

fn endpoints(
    check: &mut Check<'_>,
    written: &[Spanned<written::EndpointLimit>],
    addresses: &[Endpoint],
    limits: &RequestLimits,
) -> Vec<EndpointLimit> {
    let at = |key: &'static str| ["chains", "limits", "endpoints", key];
    check.at_most("endpoints", written, limits::NARROW_LIMITS);
    let mut seen = HashMap::new();
    let mut all = Vec::new();
    for entry in written {
        let limit = entry.get_ref();
        if limit.rpc.is_none() {
            check.missing(&at("rpc"), &entry.span());
        }
        let small = |check: &mut Check<'_>, key, number, bound, default| check.small(&at(key), number, bound, default);
        let rate = CallRate {
            requests_per_second: small(
                check,
                "requests_per_second",
                &limit.requests_per_second,
                &limits::REQUESTS_PER_SECOND,
                limits.requests_per_second,
            ),
            burst: small(check, "burst", &limit.burst, &limits::BURST, limits.burst),
        };
        let in_flight = small(check, "in_flight", &limit.in_flight, &limits::IN_FLIGHT, limits.in_flight);
        let Some(rpc) = check.endpoint(&at("rpc"), &limit.rpc, Endpoint::http) else { continue };
        let range = limit.rpc.as_ref().map_or(entry.span(), Spanned::span);
        check.unique("address", &mut seen, rpc.url().as_str(), &range);
        if !addresses.contains(&rpc) {
            let known: Vec<_> = addresses.iter().map(Endpoint::to_string).collect();
            let message = format!("{rpc} is no address of this chain");
            check.fail(Kind::Unresolved, &range, message, format!("its addresses are: {}", known.join(", ")));
        }
        all.push(EndpointLimit { rpc, rate, in_flight });
    }
    all
}

fn channels(check: &mut Check<'_>, written: &[Spanned<written::ChannelLimit>]) -> Vec<ChannelLimit> {
    let keys = ["chains", "limits", "channels"];
    check.at_most("channels", written, limits::NARROW_LIMITS);
    let mut seen = HashMap::new();
    let mut all = Vec::new();
    for entry in written {
        let limit = entry.get_ref();
        let read = |text: &str| ChannelId::new(text).or_else(|_| expected("a channel id like \"channel-0\""));
        let channel = check.required(&["chains", "limits", "channels", "channel"], &limit.channel, &entry.span(), read);
        if let Some(name) = &limit.channel {
            check.unique("channel", &mut seen, name.get_ref(), &name.span());
        }
        if limit.requests_per_second.is_none() {
            check.missing(&["chains", "limits", "channels", "requests_per_second"], &entry.span());
        }
        let rate = rate(check, &keys, &limit.requests_per_second, &limit.burst);
        if let (Some(channel), Some(rate)) = (channel, rate) {
            all.push(ChannelLimit { channel, rate });
        }
    }
    all
}

/// `[limits.rules]`: one source.
pub(super) fn rules(check: &mut Check<'_>, written: &Sub<written::Rules>) -> Option<RuleSource> {
    let table = written.as_ref()?;
    let (rules, range) = (table.get_ref(), table.span());
    let at = |key: &'static str| ["limits", "rules", key];
    let sources = [&rules.file, &rules.http, &rules.etcd].into_iter().flatten().collect::<Vec<_>>();
    if sources.len() != 1 {
        let place = sources.get(1).map_or(range, |second| second.span());
        let message = format!("`limits.rules` names {} sources, must be one", sources.len());
        check.fail(Kind::Invalid, &place, message, "write one of file, http and etcd");
        return None;
    }
    let mut only = |key: &Option<Range>, name: &str, of: &str| {
        if let Some(place) = key {
            let message = format!("`{name}` means nothing for this source: it belongs to {of}");
            check.fail(Kind::Invalid, place, message, format!("remove `{name}`"));
        }
    };
    if rules.etcd.is_none() {
        only(&rules.key.as_ref().map(Spanned::span), "key", "`etcd`");
    } else {
        only(
            &rules.interval_ms.as_ref().map(Spanned::span),
            "interval_ms",
            "`file` and `http`: etcd tells of changes by itself",
        );
    }
    if rules.file.is_some() {
        let interval = check.millis(&at("interval_ms"), &rules.interval_ms, &limits::RULES_FILE_MS);
        return Some(RuleSource::File { path: check.text(&at("file"), &rules.file, file_name)?, interval });
    }
    if rules.http.is_some() {
        let interval: Duration = check.millis(&at("interval_ms"), &rules.interval_ms, &limits::RULES_HTTP_MS);
        return Some(RuleSource::Http { url: check.endpoint(&at("http"), &rules.http, Endpoint::http)?, interval });
    }
    let key = |text: &str| {
        let fits = (1..=limits::RULE_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits { Ok(text.to_owned()) } else { expected(format!("a key, {}", quoted("relayer/rules"))) }
    };
    let url = check.endpoint(&at("etcd"), &rules.etcd, Endpoint::http);
    let key = check.required(&at("key"), &rules.key, &range, key);
    Some(RuleSource::Etcd { url: url?, key: key? })
}

fn file_name(text: &str) -> Result<PathBuf, &'static str> {
    match text {
        "" => Err("the name of a file"),
        text if text.chars().any(char::is_control) => Err("a file's name without control characters"),
        text => Ok(PathBuf::from(text)),
    }
}

/// `[limits.redis]`.
pub(super) fn redis(check: &mut Check<'_>, written: &Sub<written::Redis>) -> Option<SharedLimits> {
    #[derive(Clone, Copy, PartialEq)]
    enum Word {
        Standalone,
        Cluster,
        Sentinel,
    }
    let table = written.as_ref()?;
    let (redis, range) = (table.get_ref(), table.span());
    let at = |key: &'static str| ["limits", "redis", key];
    let name = |text: &str| {
        let fits = (1..=limits::NAME_BYTES).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
            return Ok(text.to_owned());
        }
        expected(format!("1 to {} letters, digits, `.`, `_` or `-`", limits::NAME_BYTES))
    };
    let mut addresses = Vec::new();
    if let Some(list) = &redis.url {
        for (place, text) in list.get_ref().0.iter().take(limits::RPC_ADDRESSES) {
            let place = place.clone().unwrap_or_else(|| list.span());
            addresses.extend(check.address(&at("url"), &place, text, Endpoint::redis));
        }
    }
    if redis.url.as_ref().is_none_or(|list| list.get_ref().0.is_empty()) {
        check.missing(&at("url"), &redis.url.as_ref().map_or(range.clone(), Spanned::span));
    }
    let kinds = [("standalone", Word::Standalone), ("cluster", Word::Cluster), ("sentinel", Word::Sentinel)];
    let word = check.choice(&at("kind"), &redis.kind, &kinds)?;
    if let (Word::Standalone, Some(list), true) = (word, &redis.url, addresses.len() > 1) {
        let help = "keep one, or write kind = \"cluster\" or kind = \"sentinel\"";
        check.fail(Kind::Invalid, &list.span(), "a standalone Redis has one address", help);
    }
    let kind = match (word, &redis.service) {
        (Word::Sentinel, service) => RedisKind::Sentinel {
            service: check.required(&at("service"), service, &range, name)?,
            login_env: check.text(&at("login_env"), &redis.login_env, Variable::new),
        },
        (_, Some(service)) => {
            let help = "remove it, or write kind = \"sentinel\"";
            check.fail(
                Kind::Invalid,
                &service.span(),
                "`service` means nothing here: Sentinels know servers by it",
                help,
            );
            return None;
        }
        (Word::Cluster, None) => RedisKind::Cluster,
        (Word::Standalone, None) => RedisKind::Standalone,
    };
    if let (Some(login), false) = (&redis.login_env, word == Word::Sentinel) {
        let help = "remove it: give the whole address with its password in RELAYER__LIMITS__REDIS__URL";
        check.fail(
            Kind::Invalid,
            &login.span(),
            "`login_env` means nothing here: it is for servers that Sentinels name",
            help,
        );
        return None;
    }
    let domain = match &redis.domain {
        None => Some("relayers".to_owned()),
        domain => check.text(&at("domain"), domain, name),
    };
    let member = check.text(&at("member"), &redis.member, name);
    let leased = check.choice(&at("mode"), &redis.mode, &[("leased", true), ("strong", false)])?;
    let redis_cell = check.choice(&at("redis_cell"), &redis.redis_cell, &[("auto", true), ("never", false)])?;
    if let (Some(ca), Some(plain)) = (&redis.ca, addresses.iter().find(|address| address.url().scheme() == "redis")) {
        let problem = format!("`ca` means nothing to {}, which is not asked over TLS", plain.url());
        check.fail(Kind::Invalid, &ca.span(), &problem, "remove it, or write rediss:// addresses");
        return None;
    }
    let ca = check.text(&at("ca"), &redis.ca, file_name);
    Some(SharedLimits { addresses, kind, domain: domain?, member, leased, redis_cell, ca })
}

type Range = std::ops::Range<usize>;
