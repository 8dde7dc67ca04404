//! One end of a path as its chain shows it: client, connection, channels, and what is wrong with them.
//!
//! Spec: ICS-02, ICS-03, ICS-04. Read, not proven: what is decided on goes through the light client. Bounds: sizes of clients and
//! ends, as in the handshake.

use ibc_proto::google::protobuf::Any;
use prost::Message as _;
use relayer_config::settings::{self, Order};
use relayer_core::chain::{Chain, ClientInfo, Path as StorePath};
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::fact::Head;
use relayer_core::handshake::{ChannelEnd, ConnectionEnd, EndState};
use relayer_core::id::{ClientId, Timestamp};
use relayer_core::packet::{self, Side};
use serde::Serialize;

use super::error::CliError;
use crate::handshake::limits::STATE_BYTES;
use crate::remedy::chain_remedy;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Works, but look at it.
    Warning,
    /// Does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// How bad.
    pub(super) level: Level,
    /// Chain or path, and what of it.
    pub(super) about: String,
    /// What was found.
    pub(super) found: String,
    /// What to do.
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(about: impl Into<String>, found: impl Into<String>) -> Self {
        Self { level: Level::Ok, about: about.into(), found: found.into(), remedy: None }
    }
    pub(super) fn warning(about: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Warning, about: about.into(), found: found.into(), remedy: Some(remedy.into()) }
    }
    pub(super) fn problem(about: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Problem, about: about.into(), found: found.into(), remedy: Some(remedy.into()) }
    }
    pub(super) fn chain(about: impl Into<String>, error: &ChainError) -> Self {
        let remedy = chain_remedy(error);
        Self { level: Level::Problem, about: about.into(), found: error.to_string(), remedy }
    }
}

/// A client on a chain, decoded by the chain it tracks.
#[derive(Debug, Clone)]
pub(super) struct ClientSeen {
    pub(super) info: ClientInfo,
    /// As stored.
    pub(super) state: Any,
    /// Its newest consensus state; ibc-go prunes expired ones.
    pub(super) newest: Option<Any>,
    /// The time of that.
    pub(super) time: Option<Timestamp>,
}

impl ClientSeen {
    /// Until it expires without an update, ns, by its host's clock; 0 when it has.
    pub(super) fn expires_in_ns(&self, now: Timestamp) -> u64 {
        self.time.map_or(0, |time| time.plus(self.info.trusting_period_ns).since(now))
    }

    /// `active`, `frozen` or `expired`.
    pub(super) fn status(&self, now: Timestamp) -> &'static str {
        match (self.info.frozen, self.expires_in_ns(now)) {
            (true, _) => "frozen",
            (false, 0) => "expired",
            (false, _) => "active",
        }
    }
}

/// One end of a path; `None` where there is no id, or the chain holds nothing there.
#[derive(Debug, Clone)]
pub(super) struct EndSeen {
    pub(super) head: Head,
    pub(super) client: Option<ClientSeen>,
    pub(super) connection: Option<Result<ConnectionEnd, &'static str>>,
    pub(super) channels: Vec<Option<Result<ChannelEnd, &'static str>>>,
}

/// One end of a configured path.
pub(super) fn end(path: &settings::Path, side: Side) -> &settings::End {
    match side {
        Side::A => &path.a,
        Side::B => &path.b,
    }
}

/// One end of a configured channel.
pub(super) fn channel_end(channel: &settings::Channel, side: Side) -> &settings::ChannelEnd {
    match side {
        Side::A => &channel.a,
        Side::B => &channel.b,
    }
}

/// An `Any` of a chain's store, size first.
pub(super) fn any(chain: &dyn Chain, bytes: &[u8], what: &'static str) -> Result<Any, ChainError> {
    let bad = || ChainError::new(chain.id(), ChainErrorKind::Malformed, what);
    if bytes.len() > STATE_BYTES { Err(bad()) } else { Any::decode(bytes).map_err(|_| bad()) }
}

/// A client on `host` that should track `tracked`.
pub(super) async fn client(
    host: &dyn Chain,
    tracked: &dyn Chain,
    id: &ClientId,
) -> Result<Option<ClientSeen>, ChainError> {
    let stored = host.query(&[StorePath::ClientState(id.clone())], None, false).await?.pop().and_then(|p| p.value);
    let Some(stored) = stored else { return Ok(None) };
    let state = any(host, &stored, "client state")?;
    let path = |latest| StorePath::ConsensusState(id.clone(), latest);
    let info = tracked.client_info(&state)?;
    let newest = newest(host, path(info.latest)).await?;
    let time = newest.as_ref().map(|state| tracked.consensus_time(state)).transpose()?;
    Ok(Some(ClientSeen { info, state, newest, time }))
}

/// A client of whatever chain, its state being known.
pub(super) async fn any_newest(host: &dyn Chain, id: &ClientId, state: Any) -> Result<ClientSeen, ChainError> {
    let info = relayer_chains::client_info(host.id(), &state)?;
    let newest = newest(host, StorePath::ConsensusState(id.clone(), info.latest)).await?;
    let time = newest.as_ref().map(|state| relayer_chains::consensus_time(host.id(), state)).transpose()?;
    Ok(ClientSeen { info, state, newest, time })
}

async fn newest(host: &dyn Chain, path: StorePath) -> Result<Option<Any>, ChainError> {
    let newest = host.query(&[path], None, false).await?.pop().and_then(|p| p.value);
    newest.map(|bytes| any(host, &bytes, "consensus state")).transpose()
}

/// Reads one end of a path.
pub(super) async fn read(
    path: &settings::Path,
    side: Side,
    host: &dyn Chain,
    tracked: &dyn Chain,
) -> Result<EndSeen, ChainError> {
    let ids = end(path, side);
    let head = host.head().await?;
    let client = match &ids.client {
        Some(id) => client(host, tracked, id).await?,
        None => None,
    };
    let mut paths: Vec<StorePath> = ids.connection.iter().cloned().map(StorePath::Connection).collect();
    let ends: Vec<_> = path.channels.iter().map(|c| channel_end(c, side)).collect();
    for end in &ends {
        paths.extend(end.channel.iter().map(|channel| StorePath::Channel(end.port.clone(), channel.clone())));
    }
    let values = if paths.is_empty() { Vec::new() } else { host.query(&paths, None, false).await? };
    let mut values = values.into_iter().map(|p| p.value);
    let connection = ids.connection.as_ref().and_then(|_| values.next().flatten());
    let mut channels = Vec::new();
    for end in &ends {
        let value = end.channel.as_ref().and_then(|_| values.next().flatten());
        channels.push(value.map(|bytes| ChannelEnd::decode(&bytes)));
    }
    let connection = connection.map(|bytes| ConnectionEnd::decode(&bytes));
    Ok(EndSeen { head, client, connection, channels })
}

/// What is wrong with one end of a path, and what is right.
pub(super) fn judge(path: &settings::Path, side: Side, seen: &EndSeen) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (ours, theirs) = (end(path, side), end(path, side.other()));
    let create = format!("run `relayer path create {}`", path.name);
    let about = |what: &str| format!("path {} on {}: {what}", path.name, ours.chain);
    let gone = format!("correct the id, or remove it from the file and {create}");
    match (&ours.client, &seen.client) {
        (None, _) => findings.push(Finding::problem(about("client"), "not created yet", create.clone())),
        (Some(id), None) => {
            findings.push(Finding::problem(about("client"), format!("`{id}` does not exist"), gone.clone()))
        }
        (Some(id), Some(client)) => findings.push(judge_client(path, &about("client"), id, theirs, client, seen.head)),
    }
    match (&ours.connection, &seen.connection) {
        (None, _) => findings.push(Finding::problem(about("connection"), "not opened yet", create.clone())),
        (Some(id), None) => {
            findings.push(Finding::problem(about("connection"), format!("`{id}` does not exist"), gone.clone()));
        }
        (Some(id), Some(Err(why))) => {
            findings.push(Finding::problem(about("connection"), format!("`{id}`: {why}"), gone.clone()));
        }
        (Some(id), Some(Ok(end))) => findings.push(match connection_fault(end, ours, theirs) {
            None => Finding::ok(about("connection"), format!("`{id}` is OPEN")),
            Some(why) if end.state == EndState::Open => Finding::problem(
                about("connection"),
                format!("`{id}` {why}"),
                "correct the ids of both ends".to_owned(),
            ),
            Some(why) => Finding::problem(about("connection"), format!("`{id}` {why}"), create.clone()),
        }),
    }
    for (number, (channel, found)) in path.channels.iter().zip(&seen.channels).enumerate() {
        let end = channel_end(channel, side);
        let about = about(&format!("channel {} ({})", number + 1, end.port));
        let Some(id) = &end.channel else {
            findings.push(Finding::problem(about, "not opened yet", create.clone()));
            continue;
        };
        findings.push(match found {
            None => Finding::problem(about, format!("`{id}` does not exist"), gone.clone()),
            Some(Err(why)) => Finding::problem(about, format!("`{id}`: {why}"), gone.clone()),
            Some(Ok(end)) => match channel_fault(end, channel, side, ours) {
                None => Finding::ok(about, format!("`{id}` is OPEN")),
                Some(why) => {
                    let finish = matches!(end.state, EndState::Init | EndState::TryOpen);
                    let remedy = if finish { create.clone() } else { gone.clone() };
                    Finding::problem(about, format!("`{id}` {why}"), remedy)
                }
            },
        });
    }
    findings
}

fn judge_client(
    path: &settings::Path,
    about: &str,
    id: &ClientId,
    theirs: &settings::End,
    client: &ClientSeen,
    head: Head,
) -> Finding {
    let anew =
        format!("remove its id (and what is built on it) from the file and run `relayer path create {}`", path.name);
    if client.info.chain != theirs.chain {
        return Finding::problem(
            about,
            format!("`{id}` tracks chain `{}`, not `{}`", client.info.chain, theirs.chain),
            format!("correct the id, or {anew}"),
        );
    }
    if client.info.frozen {
        return Finding::problem(
            about,
            format!("`{id}` is frozen after misbehaviour"),
            format!("governance can recover it; or {anew}"),
        );
    }
    let left = client.expires_in_ns(head.time);
    if left == 0 {
        return Finding::problem(about, format!("`{id}` has expired"), format!("governance can recover it; or {anew}"));
    }
    let says = format!(
        "`{id}` follows {} to height {}, expires in {}",
        client.info.chain,
        client.info.latest,
        super::table::nanos(left)
    );
    if left < client.info.trusting_period_ns / 3 {
        let remedy = format!("run `relayer start`, or `relayer client update {}`, before it expires", path.name);
        return Finding::warning(about, says, remedy);
    }
    Finding::ok(about, says)
}

fn connection_fault(end: &ConnectionEnd, ours: &settings::End, theirs: &settings::End) -> Option<String> {
    if Some(&end.client) != ours.client.as_ref() {
        return Some(format!("runs over client `{}`", end.client));
    }
    if end.state != EndState::Open {
        return Some(format!("is {}, not OPEN", end.state));
    }
    if theirs.client.as_ref().is_some_and(|c| *c != end.counterparty_client) {
        return Some(format!("is tied to client `{}` at the other end", end.counterparty_client));
    }
    match (&end.counterparty, &theirs.connection) {
        (Some(names), Some(expected)) if names != expected => Some(format!("leads to `{names}`, not to `{expected}`")),
        _ => None,
    }
}

fn channel_fault(end: &ChannelEnd, channel: &settings::Channel, side: Side, ours: &settings::End) -> Option<String> {
    let theirs = channel_end(channel, side.other());
    if end.state != EndState::Open {
        return Some(format!("is {}, not OPEN", end.state));
    }
    if Some(&end.connection) != ours.connection.as_ref() {
        return Some(format!("runs over `{}`", end.connection));
    }
    if end.counterparty_port != theirs.port {
        return Some(format!("leads to port `{}`, not to `{}`", end.counterparty_port, theirs.port));
    }
    if let (Some(names), Some(expected)) = (&end.counterparty, &theirs.channel)
        && names != expected
    {
        return Some(format!("leads to `{names}`, not to `{expected}`"));
    }
    let order = order(channel.order);
    (end.order != order).then(|| format!("is {:?}, the file says {order:?}", end.order).to_lowercase())
}

/// The configuration's order as the core names it.
pub(super) const fn order(order: Order) -> packet::Order {
    match order {
        Order::Unordered => packet::Order::Unordered,
        Order::Ordered => packet::Order::Ordered,
    }
}

/// A chain by a text of the command line.
pub(super) fn find_chain<'a>(
    settings: &'a settings::Settings,
    file: &std::path::Path,
    id: &str,
) -> Result<&'a settings::Chain, CliError> {
    settings.chains.iter().find(|c| c.id.as_str() == id).ok_or_else(|| CliError::NoChain {
        id: id.to_owned(),
        file: file.to_owned(),
        known: settings.chains.iter().map(|c| c.id.to_string()).collect(),
    })
}

/// A path by a text of the command line.
pub(super) fn find_path<'a>(
    settings: &'a settings::Settings,
    file: &std::path::Path,
    name: &str,
) -> Result<&'a settings::Path, CliError> {
    settings.path(name).ok_or_else(|| CliError::NoPath {
        name: name.to_owned(),
        file: file.to_owned(),
        known: settings.paths.iter().map(|p| p.name.to_string()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use relayer_core::id::{ChainId, Height};

    use super::*;

    const FILE: &str = r#"
[[chains]]
id = "sim-a-1"
rpc = "http://127.0.0.1:27657"
account_prefix = "cosmos"
gas = { price = "0.025stake" }
[[chains]]
id = "sim-b-1"
rpc = "http://127.0.0.1:27757"
account_prefix = "cosmos"
gas = { price = "0.025stake" }
[[paths]]
name = "a-b"
a = { chain = "sim-a-1", client = "07-tendermint-0", connection = "connection-0" }
b = { chain = "sim-b-1", client = "07-tendermint-1", connection = "connection-1" }
[[paths.channels]]
a = { port = "transfer", channel = "channel-0" }
b = { port = "transfer", channel = "channel-1" }
"#;
    const HOUR: u64 = 3_600_000_000_000;

    fn path() -> settings::Path {
        relayer_config::parse(FILE, "relayer.toml").unwrap().paths.remove(0)
    }

    fn seen() -> EndSeen {
        let now = Timestamp(100 * HOUR);
        let info = ClientInfo {
            chain: ChainId::new("sim-b-1").unwrap(),
            latest: Height::new(1, 7),
            trusting_period_ns: 30 * HOUR,
            frozen: false,
        };
        EndSeen {
            head: Head { height: Height::new(1, 9), time: now },
            client: Some(ClientSeen { info, state: Any::default(), newest: None, time: Some(Timestamp(99 * HOUR)) }),
            connection: Some(Ok(ConnectionEnd {
                state: EndState::Open,
                client: "07-tendermint-0".parse().unwrap(),
                counterparty_client: "07-tendermint-1".parse().unwrap(),
                counterparty: Some("connection-1".parse().unwrap()),
                counterparty_prefix: b"ibc".to_vec(),
                versions: Vec::new(),
                delay_ns: 0,
            })),
            channels: vec![Some(Ok(ChannelEnd {
                state: EndState::Open,
                order: packet::Order::Unordered,
                counterparty_port: "transfer".parse().unwrap(),
                counterparty: Some("channel-1".parse().unwrap()),
                connection: "connection-0".parse().unwrap(),
                version: "ics20-1".to_owned(),
            }))],
        }
    }

    fn worst(seen: &EndSeen) -> Finding {
        let findings = judge(&path(), Side::A, seen);
        assert_eq!(findings.len(), 3);
        findings.into_iter().max_by_key(|f| f.level).unwrap()
    }

    #[test]
    fn an_open_path_has_no_problem() {
        assert_eq!(worst(&seen()).level, Level::Ok);
    }

    #[test]
    fn every_fault_of_an_end_is_found_with_a_remedy() {
        type Break = fn(&mut EndSeen);
        let breaks: [(Break, &str); 9] = [
            (|s| s.client = None, "does not exist"),
            (|s| s.client.as_mut().unwrap().info.chain = ChainId::new("other-1").unwrap(), "tracks chain `other-1`"),
            (|s| s.client.as_mut().unwrap().info.frozen = true, "frozen"),
            (|s| s.head.time = Timestamp(129 * HOUR), "expired"),
            (|s| s.connection.as_mut().unwrap().as_mut().unwrap().state = EndState::Init, "is INIT"),
            (
                |s| s.connection.as_mut().unwrap().as_mut().unwrap().client = "07-tendermint-9".parse().unwrap(),
                "runs over client",
            ),
            (|s| s.channels[0].as_mut().unwrap().as_mut().unwrap().state = EndState::Closed, "is CLOSED"),
            (
                |s| s.channels[0].as_mut().unwrap().as_mut().unwrap().counterparty = Some("channel-7".parse().unwrap()),
                "leads to `channel-7`",
            ),
            (|s| s.channels[0] = Some(Err("the channel end can't be decoded")), "decoded"),
        ];
        for (break_it, words) in breaks {
            let mut seen = seen();
            break_it(&mut seen);
            let worst = worst(&seen);
            assert_eq!(worst.level, Level::Problem, "{words}");
            assert!(worst.found.contains(words), "{} / {words}", worst.found);
            assert!(worst.remedy.is_some(), "{words}");
        }
    }

    #[test]
    fn a_client_that_soon_expires_is_a_warning() {
        let mut seen = seen();
        seen.head.time = Timestamp(125 * HOUR);
        assert_eq!(worst(&seen).level, Level::Warning);
    }
}
