//! `[[paths]]`: ends, channels, batches, filters.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use relayer_core::filter::XcmFilter;
use relayer_core::id::{ChainId, ChannelId, ClientId, ConnectionId, IdError, PortId};
use relayer_xcm::{Name, NoSuchName};
use serde_spanned::Spanned;

use super::{Check, chain::chain_id, table};
use crate::error::Kind;
use crate::limits;
use crate::settings::{
    Batch, Chain, Channel, ChannelEnd, Clear, End, Filter, Order, Path, PathName, Pattern, PerDirection,
};
use crate::source::quoted;
use crate::structure::nearest;
use crate::values::{Expected, expected};
use crate::written::{self, Sub, Text, Texts};

/// Which channel ends stand in the file, over all paths: relaying one twice pays twice.
type Seen = HashMap<String, Range<usize>>;

pub(super) fn all(check: &mut Check<'_>, file: &written::File, chains: &[Chain]) -> Vec<Path> {
    check.at_most("paths", &file.paths, limits::PATHS);
    let ids: Vec<&str> =
        file.chains.iter().filter_map(|c| c.get_ref().id.as_ref()).map(|id| id.get_ref().as_str()).collect();
    let (mut names, mut ends) = (HashMap::new(), HashMap::new());
    file.paths
        .iter()
        .filter_map(|path| {
            if let Some(name) = &path.get_ref().name {
                check.unique("path", &mut names, name.get_ref(), &name.span());
            }
            one(check, path.get_ref(), &path.span(), &ids, chains, &mut ends)
        })
        .collect()
}

fn one(
    check: &mut Check<'_>,
    path: &written::Path,
    range: &Range<usize>,
    ids: &[&str],
    chains: &[Chain],
    seen: &mut Seen,
) -> Option<Path> {
    let name = check.required(&["paths", "name"], &path.name, range, PathName::new);
    let a = end(check, "a", &path.a, range, ids);
    let b = end(check, "b", &path.b, range, ids);
    if let (Some(a), Some(b), Some(place)) = (&a, &b, path.b.as_ref().and_then(|b| b.get_ref().chain.as_ref()))
        && a.chain == b.chain
    {
        let message = format!("both ends of this path are on {}", quoted(a.chain.as_str()));
        let others: Vec<_> = ids.iter().filter(|id| **id != a.chain.as_str()).copied().collect();
        let help = match others.as_slice() {
            [] => "a path needs two chains: add another [[chains]]".to_owned(),
            others => format!("write another chain at one end: {}", others.join(", ")),
        };
        check.fail(Kind::Invalid, &place.span(), message, help);
    }
    check.at_most("channels of one path", &path.channels, limits::CHANNELS);
    let channels = path.channels.iter().filter_map(|c| channel(check, c, a.as_ref(), b.as_ref(), seen)).collect();
    let batch = batch(check, &table(&path.batch), chains, a.as_ref(), b.as_ref());
    let clear = table(&path.clear);
    let keys = ["paths", "clear", "interval_s"];
    let interval = check.number(&keys, &clear.interval_s, &limits::CLEAR_INTERVAL_S);
    let rules = table(&path.filter);
    let xcm = XcmFilter {
        denied: instructions(check, &rules.deny_xcm),
        deny_undecodable: rules.deny_undecodable_xcm.as_ref().is_some_and(|deny| *deny.get_ref()),
    };
    let filter = filter(check, &rules);
    let max_memo_bytes = check.size(&["paths", "max_memo_bytes"], &path.max_memo_bytes, &limits::MAX_MEMO_BYTES);
    let max_receiver_bytes =
        check.size(&["paths", "max_receiver_bytes"], &path.max_receiver_bytes, &limits::MAX_RECEIVER_BYTES);
    Some(Path {
        name: name?,
        enabled: path.enabled.as_ref().is_none_or(|enabled| *enabled.get_ref()),
        a: a?,
        b: b?,
        channels,
        batch,
        clear: Clear {
            on_start: clear.on_start.as_ref().is_none_or(|on| *on.get_ref()),
            interval: (interval > 0).then(|| Duration::from_secs(interval)),
        },
        filter,
        xcm,
        max_memo_bytes,
        max_receiver_bytes,
    })
}

/// An ICS-24 identifier.
fn identifier<T: FromStr<Err = IdError>>(text: &str) -> Result<T, Expected> {
    text.parse().map_err(|e| Expected(format!("an ICS-24 identifier ({e})")))
}

fn end(check: &mut Check<'_>, side: &str, end: &Sub<written::End>, range: &Range<usize>, ids: &[&str]) -> Option<End> {
    let at = |key: &'static str| ["paths", side, key];
    let Some(end) = end else {
        check.missing(&["paths", side], range);
        return None;
    };
    let (range, end) = (end.span(), end.get_ref());
    let chain =
        check.required(&at("chain"), &end.chain, &range, chain_id).filter(|id| known(check, id, &end.chain, ids));
    let client = check.text(&at("client"), &end.client, identifier::<ClientId>);
    let connection = check.text(&at("connection"), &end.connection, identifier::<ConnectionId>);
    if let (Some(text), None) = (&end.connection, &end.client) {
        let message = "a connection stands on a client, and this end has none";
        check.fail(
            Kind::Missing,
            &text.span(),
            message,
            "add its client = \"07-tendermint-...\", or remove the connection",
        );
    }
    Some(End { chain: chain?, client, connection })
}

fn known(check: &mut Check<'_>, id: &ChainId, text: &Text, ids: &[&str]) -> bool {
    if ids.contains(&id.as_str()) {
        return true;
    }
    let help = match nearest(id.as_str(), ids.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if ids.is_empty() => "add a [[chains]] entry with this id".to_owned(),
        None => format!("the chains are: {}", ids.join(", ")),
    };
    let range = text.as_ref().map_or(0..0, Spanned::span);
    check.fail(Kind::Unresolved, &range, format!("there is no chain {}", quoted(id.as_str())), help);
    false
}

fn channel(
    check: &mut Check<'_>,
    channel: &Spanned<written::Channel>,
    a: Option<&End>,
    b: Option<&End>,
    seen: &mut Seen,
) -> Option<Channel> {
    let (range, channel) = (channel.span(), channel.get_ref());
    let ends = [("a", &channel.a, a), ("b", &channel.b, b)].map(|(side, end, on)| {
        let at = |key: &'static str| ["paths", "channels", side, key];
        let end = table(end);
        let port = match &end.port {
            None => PortId::new("transfer").ok(),
            text => check.text(&at("port"), text, identifier::<PortId>),
        };
        let id = check.text(&at("channel"), &end.channel, identifier::<ChannelId>);
        if let (Some(text), Some(on)) = (&end.channel, on) {
            if on.connection.is_none() {
                let message = format!("a channel stands on a connection, and end `{side}` of this path has none");
                check.fail(
                    Kind::Missing,
                    &text.span(),
                    message,
                    "add the end's client and connection, or remove the channel id",
                );
            }
            // A connection id is unique on its chain only, and so is a channel id.
            check.unique("channel", seen, &format!("{} on {}", text.get_ref(), on.chain), &text.span());
        }
        port.map(|port| ChannelEnd { port, channel: id })
    });
    let [Some(a), Some(b)] = ends else { return None };
    let orders = [("unordered", Order::Unordered), ("ordered", Order::Ordered)];
    let order = check.choice(&["paths", "channels", "order"], &channel.order, &orders);
    let keys = ["paths", "channels", "version"];
    let version = match &channel.version {
        None if a.port.as_str() == "transfer" && b.port.as_str() == "transfer" => Some("ics20-1".to_owned()),
        text => check.required(&keys, text, &range, |text| {
            let fits = (1..=limits::VERSION_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
            if fits { Ok(text.to_owned()) } else { expected("1 to 4096 bytes without control characters") }
        }),
    };
    let excluded = table(&channel.excluded_sequences);
    let excluded = PerDirection {
        a_to_b: sequences(check, "a_to_b", &excluded.a_to_b),
        b_to_a: sequences(check, "b_to_a", &excluded.b_to_a),
    };
    Some(Channel { a, b, order: order?, version: version?, excluded })
}

fn sequences(check: &mut Check<'_>, direction: &str, list: &[Spanned<i64>]) -> BTreeSet<u64> {
    check.at_most("excluded sequences", list, limits::EXCLUDED_SEQUENCES);
    let keys = ["paths", "channels", "excluded_sequences", direction];
    list.iter().map(|sequence| check.number(&keys, &Some(sequence.clone()), &limits::SEQUENCE)).collect()
}

fn batch(check: &mut Check<'_>, batch: &written::Batch, chains: &[Chain], a: Option<&End>, b: Option<&End>) -> Batch {
    let at = |key: &'static str| ["paths", "batch", key];
    let on = |end: Option<&End>| end.and_then(|end| chains.iter().find(|chain| chain.id == end.chain));
    let smaller = [on(a), on(b)].into_iter().flatten().min_by_key(|chain| chain.max_tx_bytes);
    let default = smaller.map_or(limits::BATCH_BYTES.default, |chain| chain.max_tx_bytes as u64 / 10 * 9);
    let bytes = check.number_or(&at("bytes"), &batch.bytes, &limits::BATCH_BYTES, default);
    if let (Some(chain), Some(place)) = (smaller, &batch.bytes)
        && bytes > chain.max_tx_bytes as u64
    {
        let (id, most) = (&chain.id, chain.max_tx_bytes);
        let message = format!("`bytes` is more than a transaction may have on {id} (max_tx_bytes = {most})");
        check.fail(Kind::Invalid, &place.span(), message, format!("write for example: bytes = {default}"));
    }
    Batch {
        messages: check.size(&at("messages"), &batch.messages, &limits::BATCH_MESSAGES),
        bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        linger: check.millis(&at("linger_ms"), &batch.linger_ms, &limits::BATCH_LINGER_MS),
    }
}

fn filter(check: &mut Check<'_>, filter: &written::Filter) -> PerDirection<Filter> {
    let both = Filter {
        allow: patterns(check, &["paths", "filter", "allow"], &filter.allow),
        deny: patterns(check, &["paths", "filter", "deny"], &filter.deny),
    };
    let [a_to_b, b_to_a] = [("a_to_b", &filter.a_to_b), ("b_to_a", &filter.b_to_a)].map(|(direction, lists)| {
        let lists = table(lists);
        let mut one = both.clone();
        one.allow.extend(patterns(check, &["paths", "filter", direction, "allow"], &lists.allow));
        one.deny.extend(patterns(check, &["paths", "filter", direction, "deny"], &lists.deny));
        one
    });
    PerDirection { a_to_b, b_to_a }
}

fn patterns(check: &mut Check<'_>, keys: &[&str], list: &Option<Spanned<Texts>>) -> Vec<Pattern> {
    let Some(list) = list else { return Vec::new() };
    if list.get_ref().0.len() > limits::PATTERNS {
        let message = format!("more than {} patterns: each packet is held against all of them", limits::PATTERNS);
        check.fail(Kind::Invalid, &list.span(), message, "use wildcards, like \"transfer/channel-*\"");
        return Vec::new();
    }
    let each = list.get_ref().0.iter();
    each.filter_map(|(at, text)| check.read(keys, &at.clone().unwrap_or_else(|| list.span()), text, Pattern::new))
        .collect()
}

fn instructions(check: &mut Check<'_>, list: &Option<Spanned<Texts>>) -> BTreeSet<Name> {
    let Some(list) = list else { return BTreeSet::new() };
    let keys = ["paths", "filter", "deny_xcm"];
    let each = list.get_ref().0.iter();
    each.filter_map(|(at, text)| check.read(&keys, &at.clone().unwrap_or_else(|| list.span()), text, instruction))
        .collect()
}

fn instruction(text: &str) -> Result<Name, Expected> {
    text.parse().map_err(|NoSuchName| {
        let near = nearest(text, Name::all().map(Name::as_str)).unwrap_or("Transact");
        Expected(format!("the name of an XCM instruction, like \"{near}\""))
    })
}
