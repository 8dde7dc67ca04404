//! From a path's settings to what the path needs to run: ids, channels, policy, filters.

use relayer_config::settings::{Channel, ChannelEnd, End, Filter as EndFilter, Fraction, Order, Path, Settings};
use relayer_core::engine::{ChannelPair, Policy};
use relayer_core::filter::Filter;
use relayer_core::id::Sequence;
use relayer_core::packet::{PortChannel, Side};
use thiserror::Error;

use crate::path::{EndIds, PathSpec};

/// Why a path can't be relayed yet.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpecError {
    /// Ids are missing.
    #[error("path `{path}` has no {what} on `{place}` yet; run `relayer path create {path}`")]
    Unfinished {
        /// Its name.
        path: String,
        /// Client, connection or channel.
        what: &'static str,
        /// Chain or port.
        place: String,
    },
    /// No channel at all.
    #[error("path `{path}` has no channel; add a [[paths.channels]] entry")]
    NoChannel {
        /// Its name.
        path: String,
    },
    /// Not relayed by this version.
    #[error("path `{path}`: ordered channels are not relayed by this version")]
    Ordered {
        /// Its name.
        path: String,
    },
}

/// A path's ids, channels and policy.
pub fn of(settings: &Settings, path: &Path) -> Result<PathSpec, SpecError> {
    let ends = [end(path, &path.a)?, end(path, &path.b)?];
    let channels = path.channels.iter().map(|c| pair(path, c)).collect::<Result<Vec<_>, _>>()?;
    if channels.is_empty() {
        return Err(SpecError::NoChannel { path: path.name.to_string() });
    }
    let filters = [
        filter(path, &channels, Side::A, &path.filter.a_to_b, |c| &c.excluded.a_to_b),
        filter(path, &channels, Side::B, &path.filter.b_to_a, |c| &c.excluded.b_to_a),
    ];
    let policy = Policy {
        batch_messages: path.batch.messages,
        batch_bytes: path.batch.bytes,
        linger_ns: u64::try_from(path.batch.linger.as_nanos()).unwrap_or(u64::MAX),
        refresh: refresh(settings, path),
        filters,
        ..Policy::default()
    };
    Ok(PathSpec {
        name: path.name.as_str().into(),
        ends,
        channels,
        policy,
        clear_on_start: path.clear.on_start,
        clear_interval: path.clear.interval,
    })
}

fn unfinished(path: &Path, what: &'static str, place: impl ToString) -> SpecError {
    SpecError::Unfinished { path: path.name.to_string(), what, place: place.to_string() }
}

fn end(path: &Path, end: &End) -> Result<EndIds, SpecError> {
    let client = end.client.clone().ok_or_else(|| unfinished(path, "client", &end.chain))?;
    let connection = end.connection.clone().ok_or_else(|| unfinished(path, "connection", &end.chain))?;
    Ok(EndIds { client, connection })
}

fn pair(path: &Path, channel: &Channel) -> Result<ChannelPair, SpecError> {
    if channel.order == Order::Ordered {
        return Err(SpecError::Ordered { path: path.name.to_string() });
    }
    let end = |end: &ChannelEnd| {
        let channel = end.channel.clone().ok_or_else(|| unfinished(path, "channel", &end.port))?;
        Ok(PortChannel { port: end.port.clone(), channel })
    };
    Ok(ChannelPair { a: end(&channel.a)?, b: end(&channel.b)? })
}

fn filter(
    path: &Path,
    pairs: &[ChannelPair],
    from: Side,
    rule: &EndFilter,
    excluded: impl Fn(&Channel) -> &std::collections::BTreeSet<u64>,
) -> Filter {
    let ends = || pairs.iter().map(|p| p.end(from));
    let listed =
        ends().zip(&path.channels).flat_map(|(end, c)| excluded(c).iter().map(move |s| (end.clone(), Sequence(*s))));
    Filter {
        denied: ends().filter(|e| !rule.passes(&e.port, &e.channel)).cloned().collect(),
        max_memo_bytes: path.max_memo_bytes,
        max_receiver_bytes: path.max_receiver_bytes,
        excluded: listed.collect(),
        xcm: path.xcm.clone(),
    }
}

/// The share of a trusting period belongs to the tracked chain; the stricter of the two serves both clients.
fn refresh(settings: &Settings, path: &Path) -> (u64, u64) {
    let of = |end: &End| settings.chain(&end.chain).map(|c| c.client.refresh_fraction);
    let stricter = |a: Fraction, b: Fraction| if a.cmp_to(b.numerator, b.denominator).is_le() { a } else { b };
    let share = match (of(&path.a), of(&path.b)) {
        (Some(a), Some(b)) => Some(stricter(a, b)),
        (a, b) => a.or(b),
    };
    share.map_or((1, 3), |f| (f.numerator, f.denominator))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[[chains]]
id = "a-1"
type = "cosmos"
rpc = ["http://127.0.0.1:1"]
account_prefix = "cosmos"
key = { name = "k", source = "keyring" }
gas = { price = "0.1stake" }
client = { refresh_fraction = "1/2" }
[[chains]]
id = "b-1"
type = "cosmos"
rpc = ["http://127.0.0.1:2"]
account_prefix = "cosmos"
key = { name = "k", source = "keyring" }
gas = { price = "0.1stake" }
client = { refresh_fraction = "1/4" }
[[paths]]
name = "p"
a = { chain = "a-1", client = "07-tendermint-0", connection = "connection-0" }
b = { chain = "b-1", client = "07-tendermint-1", connection = "connection-1" }
filter = { deny = ["transfer/channel-7"] }
[[paths.channels]]
a = { port = "transfer", channel = "channel-3" }
b = { port = "transfer", channel = "channel-7" }
excluded_sequences = { a_to_b = [4] }
"#;

    fn settings(text: &str) -> Settings {
        relayer_config::parse(text, "test.toml").unwrap()
    }

    #[test]
    fn a_path_with_all_ids_is_ready_and_filters_name_its_own_ends() {
        let s = settings(TEXT);
        let spec = of(&s, &s.paths[0]).unwrap();
        assert_eq!(spec.policy.refresh, (1, 4));
        let [from_a, from_b] = &spec.policy.filters;
        assert!(from_a.denied.is_empty());
        assert_eq!(from_a.excluded.len(), 1);
        assert_eq!(from_b.denied.iter().next().unwrap().to_string(), "transfer/channel-7");
    }

    #[test]
    fn what_is_missing_is_named() {
        let (connection, channel) = (", connection = \"connection-1\"", ", channel = \"channel-7\"");
        for (cuts, want) in
            [(&[connection, channel][..], "no connection on `b-1`"), (&[channel][..], "no channel on `transfer`")]
        {
            let s = settings(&cuts.iter().fold(TEXT.to_owned(), |text, cut| text.replace(cut, "")));
            let error = of(&s, &s.paths[0]).err().unwrap().to_string();
            assert!(error.contains(want), "{error}");
            assert!(error.contains("relayer path create p"), "{error}");
        }
    }
}
