//! Ids that our own transactions made, read from their facts.

use serde::{Deserialize, Serialize};

use super::{Known, Phase, Wanted, What};
use crate::fact::{Fact, Opened};
use crate::id::{Height, TxHash};
use crate::packet::Side;

/// A transaction of a handshake, written down before it is broadcast, so that a later run learns its ids instead of opening a second
/// client, connection or channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Where it was sent.
    pub on: Side,
    /// Its hash.
    pub hash: TxHash,
    /// It can't be included above this height.
    pub timeout_height: Height,
    /// What its messages do, in order.
    pub does: Vec<What>,
}

impl Attempt {
    /// How many ids it makes.
    pub fn makes(&self) -> usize {
        self.does.iter().filter(|w| makes(**w)).count()
    }
}

const fn makes(what: What) -> bool {
    match what {
        What::CreateClient => true,
        What::Connection(phase) | What::Channel(_, phase) => matches!(phase, Phase::Init | Phase::Try),
    }
}

/// The ids that a committed attempt made, from the facts of its block; `None` when the facts don't fit what it does.
pub fn learned(attempt: &Attempt, wanted: &Wanted, facts: &[Fact]) -> Option<Vec<Known>> {
    let mut opened = facts.iter().filter_map(|fact| match fact {
        Fact::Opened { tx, what } if *tx == attempt.hash => Some(what),
        _ => None,
    });
    let on = attempt.on;
    let mut ids = Vec::new();
    for what in attempt.does.iter().filter(|w| makes(**w)) {
        ids.push(match (what, opened.next()?) {
            (What::CreateClient, Opened::Client { client }) => Known::Client(on, client.clone()),
            (What::Connection(phase), Opened::Connection { connection, client, counterparty }) => {
                let ours = wanted.clients.at(on).as_ref().is_none_or(|c| c == client);
                if !ours || counterparty.is_some() != (*phase == Phase::Try) {
                    return None;
                }
                Known::Connection(on, connection.clone())
            }
            (What::Channel(index, phase), Opened::Channel { end, connection, counterparty_port, counterparty }) => {
                let asked = wanted.channels.get(*index)?;
                let ports = end.port == *asked.ports.at(on) && counterparty_port == asked.ports.at(on.other());
                let hop = wanted.connections.at(on).as_ref().is_none_or(|c| c == connection);
                if !ports || !hop || counterparty.is_some() != (*phase == Phase::Try) {
                    return None;
                }
                Known::Channel(on, *index, end.channel.clone())
            }
            _ => return None,
        });
    }
    Some(ids)
}
