//! The rules: from both views to the actions that are possible now.

use super::{
    Action, ChannelEnd, ClientProblem, ConnectionEnd, EndState, HandshakeError, Known, Observed, Phase, Step, Thing,
    Wanted, WantedChannel, What, limits,
};
use crate::error::Detail;
use crate::packet::{Order, Side};

/// What to do next, given what both chains say.
///
/// The same arguments give the same answer; after its actions are done, or some of them, or another party's, ask again.
pub fn next(wanted: &Wanted, seen: &Observed) -> Result<Step, HandshakeError> {
    if wanted.channels.len() > limits::CHANNELS {
        return Err(HandshakeError::TooManyChannels(wanted.channels.len()));
    }
    let learnt = learn(wanted, seen)?;
    if !learnt.is_empty() {
        return Ok(Step::Learn(learnt));
    }
    let mut actions = clients(wanted, seen)?;
    if !actions.is_empty() {
        return Ok(Step::Act(actions));
    }
    let connection = connection(wanted, seen)?;
    actions.extend(connection);
    // A channel step works on an open connection, also on one that opens earlier in the same transaction.
    let ready = |side: Side| {
        let open = seen.at(side).connection.as_ref().is_some_and(|c| c.state == EndState::Open);
        let opens = |a: Action| a.on == side && matches!(a.what, What::Connection(Phase::Ack | Phase::Confirm));
        open || connection.is_some_and(opens)
    };
    for (index, channel) in wanted.channels.iter().enumerate() {
        if let Some((on, phase)) = channel_step(wanted, seen, index, channel)?
            && ready(on)
        {
            actions.push(Action { on, what: What::Channel(index, phase) });
        }
    }
    Ok(if actions.is_empty() { Step::Done } else { Step::Act(actions) })
}

/// Ids that ends name, after checking that the ends are as wanted and that the ids they name agree with those known.
fn learn(wanted: &Wanted, seen: &Observed) -> Result<Vec<Known>, HandshakeError> {
    let mut learnt = Vec::new();
    for side in Side::BOTH {
        let (other, view) = (side.other(), seen.at(side));
        for (index, end) in view.channels.iter().enumerate() {
            let (Some(end), Some(channel)) = (end, wanted.channels.get(index)) else {
                continue;
            };
            let Some(at) = channel.end(side) else { continue };
            let thing = Thing::Channel(at);
            check_channel(wanted, side, channel, &thing, end)?;
            match wanted.connections.at(side) {
                None => push(&mut learnt, Known::Connection(side, end.connection.clone())),
                Some(id) if *id == end.connection => {}
                Some(id) => return Err(differs(wanted, side, thing, "connection", &end.connection, id)),
            }
            match (end.counterparty.as_ref(), channel.end(other)) {
                (Some(id), None) => push(&mut learnt, Known::Channel(other, index, id.clone())),
                (Some(id), Some(expected)) if *id != expected.channel => {
                    let port = expected.port.clone();
                    let names = Thing::Channel(crate::packet::PortChannel { port, channel: id.clone() });
                    return Err(other_end(wanted, side, thing, names, Thing::Channel(expected)));
                }
                _ => {}
            }
        }
        let (Some(end), Some(id)) = (&view.connection, wanted.connections.at(side)) else {
            continue;
        };
        let thing = Thing::Connection(id.clone());
        check_connection(wanted, side, &thing, end)?;
        for (of, named) in [(side, &end.client), (other, &end.counterparty_client)] {
            let field = if of == side { "client" } else { "counterparty client" };
            match wanted.clients.at(of) {
                None => push(&mut learnt, Known::Client(of, named.clone())),
                Some(known) if known == named => {}
                Some(known) => return Err(differs(wanted, side, thing, field, named, known)),
            }
        }
        match (end.counterparty.as_ref(), wanted.connections.at(other)) {
            (Some(named), None) => push(&mut learnt, Known::Connection(other, named.clone())),
            (Some(named), Some(known)) if named != known => {
                let (names, expected) = (Thing::Connection(named.clone()), Thing::Connection(known.clone()));
                return Err(other_end(wanted, side, thing, names, expected));
            }
            _ => {}
        }
    }
    Ok(learnt)
}

/// Keeps the first of several ids for one slot: the next look finds the contradiction.
fn push(learnt: &mut Vec<Known>, new: Known) {
    let same = |old: &Known| match (old, &new) {
        (Known::Client(a, _), Known::Client(b, _)) | (Known::Connection(a, _), Known::Connection(b, _)) => a == b,
        (Known::Channel(a, i, _), Known::Channel(b, j, _)) => a == b && i == j,
        _ => false,
    };
    if !learnt.iter().any(same) {
        learnt.push(new);
    }
}

fn clients(wanted: &Wanted, seen: &Observed) -> Result<Vec<Action>, HandshakeError> {
    let mut missing = Vec::new();
    for side in Side::BOTH {
        let Some(id) = wanted.clients.at(side) else {
            missing.push(Action { on: side, what: What::CreateClient });
            continue;
        };
        let host = seen.at(side);
        let problem = match &host.client {
            None => Some(ClientProblem::Missing),
            Some(c) if c.info.chain != *wanted.chains.at(side.other()) => Some(ClientProblem::OtherChain {
                tracks: c.info.chain.clone(),
                wanted: wanted.chains.at(side.other()).clone(),
            }),
            Some(c) if c.info.frozen => Some(ClientProblem::Frozen),
            Some(c) => {
                let age = host.now.since(c.newest);
                let seconds = |ns: u64| ns.checked_div(1_000_000_000).unwrap_or_default();
                (age >= c.info.trusting_period_ns).then(|| ClientProblem::Expired {
                    age_s: seconds(age),
                    trusting_s: seconds(c.info.trusting_period_ns),
                })
            }
        };
        if let Some(problem) = problem {
            let chain = wanted.chains.at(side).clone();
            return Err(HandshakeError::Client { chain, client: id.clone(), problem });
        }
    }
    Ok(missing)
}

fn connection(wanted: &Wanted, seen: &Observed) -> Result<Option<Action>, HandshakeError> {
    let mut states = [None, None];
    for (side, state) in Side::BOTH.into_iter().zip(&mut states) {
        let Some(id) = wanted.connections.at(side) else {
            continue;
        };
        let thing = Thing::Connection(id.clone());
        let Some(end) = &seen.at(side).connection else {
            return Err(HandshakeError::Missing { chain: wanted.chains.at(side).clone(), thing });
        };
        *state = Some((thing, end.state));
    }
    let [a, b] = states;
    let both = |side: Side| seen.at(side).connection.as_ref().map(|c| c.delay_ns);
    if let (Some(da), Some(db), Some((thing, _))) = (both(Side::A), both(Side::B), &b)
        && da != db
    {
        return Err(differs(wanted, Side::B, thing.clone(), "delay period (ns)", &db, &da));
    }
    let step = phase(wanted, a, b)?;
    Ok(step.map(|(on, phase)| Action { on, what: What::Connection(phase) }))
}

fn check_connection(wanted: &Wanted, side: Side, thing: &Thing, end: &ConnectionEnd) -> Result<(), HandshakeError> {
    let prefix = wanted.prefixes.at(side.other());
    if end.counterparty_prefix != *prefix {
        let text = |p: &[u8]| String::from_utf8_lossy(p).into_owned();
        let (found, want) = (text(&end.counterparty_prefix), text(prefix));
        return Err(differs(wanted, side, thing.clone(), "counterparty store prefix", &found, &want));
    }
    let lacks = |c: &&WantedChannel| !end.versions.iter().any(|v| v.features.iter().any(|f| f == feature(c.order)));
    if let Some(channel) = wanted.channels.iter().find(lacks) {
        let found = end.versions.iter().flat_map(|v| &v.features).map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(differs(wanted, side, thing.clone(), "channel orderings", &found, &feature(channel.order)));
    }
    Ok(())
}

fn channel_step(
    wanted: &Wanted,
    seen: &Observed,
    index: usize,
    channel: &WantedChannel,
) -> Result<Option<(Side, Phase)>, HandshakeError> {
    let mut states = [None, None];
    for (side, state) in Side::BOTH.into_iter().zip(&mut states) {
        let Some(at) = channel.end(side) else { continue };
        let thing = Thing::Channel(at);
        let Some(end) = seen.at(side).channels.get(index).and_then(Option::as_ref) else {
            return Err(HandshakeError::Missing { chain: wanted.chains.at(side).clone(), thing });
        };
        *state = Some((thing, end.state));
    }
    let [a, b] = states;
    phase(wanted, a, b)
}

fn check_channel(
    wanted: &Wanted,
    side: Side,
    channel: &WantedChannel,
    thing: &Thing,
    end: &ChannelEnd,
) -> Result<(), HandshakeError> {
    if end.state == EndState::Closed {
        return Err(HandshakeError::Closed { chain: wanted.chains.at(side).clone(), thing: thing.clone() });
    }
    let port = channel.ports.at(side.other());
    if end.counterparty_port != *port {
        return Err(differs(wanted, side, thing.clone(), "counterparty port", &end.counterparty_port, port));
    }
    if end.order != channel.order {
        let (found, want) = (feature(end.order), feature(channel.order));
        return Err(differs(wanted, side, thing.clone(), "ordering", &found, &want));
    }
    if !channel.version.is_empty() && end.version != channel.version {
        return Err(differs(wanted, side, thing.clone(), "version", &end.version, &channel.version));
    }
    Ok(())
}

/// The four-way handshake, the same for connections and channels: whose turn it is.
fn phase(
    wanted: &Wanted,
    a: Option<(Thing, EndState)>,
    b: Option<(Thing, EndState)>,
) -> Result<Option<(Side, Phase)>, HandshakeError> {
    use EndState::{Closed, Init, Open, TryOpen};
    let stale = |side: Side, thing: Thing, found: EndState| HandshakeError::Stale {
        chain: wanted.chains.at(side).clone(),
        thing,
        found,
    };
    Ok(Some(match (a, b) {
        (None, None) => (Side::A, Phase::Init),
        (Some((_, Init)), None) => (Side::B, Phase::Try),
        (None, Some((_, Init))) => (Side::A, Phase::Try),
        // An end past INIT names its counterparty, so its id was learned.
        (Some((thing, found)), None) => return Err(stale(Side::A, thing, found)),
        (None, Some((thing, found))) => return Err(stale(Side::B, thing, found)),
        (Some((a, sa)), Some((b, sb))) => match (sa, sb) {
            (Init, TryOpen) => (Side::A, Phase::Ack),
            (TryOpen, Init) => (Side::B, Phase::Ack),
            (TryOpen, Open) => (Side::A, Phase::Confirm),
            (Open, TryOpen) => (Side::B, Phase::Confirm),
            (Open, Open) => return Ok(None),
            (Init, Init) | (TryOpen, TryOpen) => {
                let (chain_a, chain_b) = (wanted.chains.a.clone(), wanted.chains.b.clone());
                return Err(HandshakeError::Crossing { chain_a, a, chain_b, b, state: sa });
            }
            (Init, Open | Closed) | (_, Closed) => return Err(stale(Side::A, a, sa)),
            (Open | Closed, Init) | (Closed, _) => return Err(stale(Side::B, b, sb)),
        },
    }))
}

/// ICS-03 feature of a channel ordering.
pub(super) const fn feature(order: Order) -> &'static str {
    match order {
        Order::Unordered => "ORDER_UNORDERED",
        Order::Ordered => "ORDER_ORDERED",
    }
}

fn differs(
    wanted: &Wanted,
    side: Side,
    thing: Thing,
    field: &'static str,
    found: &impl ToString,
    want: &impl ToString,
) -> HandshakeError {
    let (found, want) = (Detail::new(found.to_string()), Detail::new(want.to_string()));
    HandshakeError::Differs { chain: wanted.chains.at(side).clone(), thing, field, found, wanted: want }
}

fn other_end(wanted: &Wanted, side: Side, thing: Thing, names: Thing, expected: Thing) -> HandshakeError {
    HandshakeError::OtherEnd { chain: wanted.chains.at(side).clone(), thing, names, expected }
}
