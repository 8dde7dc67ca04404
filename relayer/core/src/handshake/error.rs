//! Why a handshake can't go on, and what to change.

use std::fmt;

use thiserror::Error;

use super::EndState;
use crate::error::{Detail, Remedy};
use crate::id::{ChainId, ClientId, ConnectionId};
use crate::packet::PortChannel;

/// A connection or channel end, by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// A connection end.
    Connection(ConnectionId),
    /// A channel end.
    Channel(PortChannel),
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(id) => write!(f, "connection `{id}`"),
            Self::Channel(end) => write!(f, "channel `{}` of port `{}`", end.channel, end.port),
        }
    }
}

/// Why a client can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientProblem {
    /// It does not exist.
    #[error("does not exist; correct the id, or remove it from the path and a new client is created")]
    Missing,
    /// It tracks another chain.
    #[error(
        "tracks chain `{tracks}`, not `{wanted}`; correct the id, or remove it from the path and a new client is created"
    )]
    OtherChain {
        /// The one it tracks.
        tracks: ChainId,
        /// The one of the path.
        wanted: ChainId,
    },
    /// Frozen after misbehaviour.
    #[error(
        "is frozen after misbehaviour; governance can recover it, or remove it and what is built on it from the path"
    )]
    Frozen,
    /// Its newest consensus state is older than the trusting period.
    #[error(
        "expired: its newest state is {age_s} s old, its trusting period is {trusting_s} s; governance can recover it, or remove it and what is built on it from the path"
    )]
    Expired {
        /// Age on its host's clock, seconds.
        age_s: u64,
        /// Trusting period, seconds.
        trusting_s: u64,
    },
}

/// Why a handshake can't go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// A client can't be used.
    #[error("client `{client}` on {chain} {problem}")]
    Client {
        /// Its host.
        chain: ChainId,
        /// Its id.
        client: ClientId,
        /// Why.
        problem: ClientProblem,
    },
    /// A known id holds nothing.
    #[error("{thing} on {chain} does not exist; correct the id, or remove it from the path and it is opened anew")]
    Missing {
        /// Where.
        chain: ChainId,
        /// What.
        thing: Thing,
    },
    /// Both ends were begun on their own and can't be joined (ibc-go refuses crossing hellos).
    #[error(
        "{a} on {chain_a} and {b} on {chain_b} are both {state}: two handshakes that can't be joined; remove one of the two ids from the path and the other one is finished"
    )]
    Crossing {
        /// `a`'s chain.
        chain_a: ChainId,
        /// `a`'s end.
        a: Thing,
        /// `b`'s chain.
        chain_b: ChainId,
        /// `b`'s end.
        b: Thing,
        /// The state of both.
        state: EndState,
    },
    /// An end names another counterparty than the path.
    #[error(
        "{thing} on {chain} is tied to {names}, not to {expected} as in the path; correct one of the ids, or remove the second one from the path"
    )]
    OtherEnd {
        /// Where.
        chain: ChainId,
        /// Which end.
        thing: Thing,
        /// What it names.
        names: Thing,
        /// What the path says.
        expected: Thing,
    },
    /// An end has another property than wanted.
    #[error(
        "{thing} on {chain} has {field} `{found}`, wanted is `{wanted}`; correct the path, or remove the id and another one is opened"
    )]
    Differs {
        /// Where.
        chain: ChainId,
        /// Which end.
        thing: Thing,
        /// Property.
        field: &'static str,
        /// As found; foreign text, made safe.
        found: Detail,
        /// As wanted.
        wanted: Detail,
    },
    /// The channel is closed for good.
    #[error(
        "{thing} on {chain} is CLOSED and can't be opened again; remove its id and the other end's from the path and a new channel is opened"
    )]
    Closed {
        /// Where.
        chain: ChainId,
        /// Which end.
        thing: Thing,
    },
    /// The stored end is not what ICS-03/04 and this program know.
    #[error("{thing} on {chain}: {why}; remove its id from the path to open another one")]
    Malformed {
        /// Where.
        chain: ChainId,
        /// Which end.
        thing: Thing,
        /// What is wrong.
        why: &'static str,
    },
    /// The two chains' answers don't fit together: one of them is old.
    #[error("{thing} on {chain} is {found} while the other end is further: the node's answer is old")]
    Stale {
        /// Where.
        chain: ChainId,
        /// Which end.
        thing: Thing,
        /// State seen.
        found: EndState,
    },
    /// More channels than the limit.
    #[error("{0} channels in one path; at most {max} are opened by one run", max = super::limits::CHANNELS)]
    TooManyChannels(usize),
    /// An action was asked for whose ids or proof are missing: [`super::next`] did not name it.
    #[error("internal: an action without what it needs ({0})")]
    Incomplete(&'static str),
}

impl HandshakeError {
    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Stale { .. } | Self::Missing { .. } => Remedy::Refresh,
            Self::Client { problem: ClientProblem::Missing, .. } => Remedy::Refresh,
            _ => Remedy::Halt,
        }
    }

    /// A stable short word for metrics and `--json`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Client { problem, .. } => match problem {
                ClientProblem::Missing => "client_missing",
                ClientProblem::OtherChain { .. } => "client_other_chain",
                ClientProblem::Frozen => "client_frozen",
                ClientProblem::Expired { .. } => "client_expired",
            },
            Self::Missing { .. } => "end_missing",
            Self::Crossing { .. } => "crossing_hellos",
            Self::OtherEnd { .. } => "other_end",
            Self::Differs { .. } => "end_differs",
            Self::Closed { .. } => "channel_closed",
            Self::Malformed { .. } => "end_malformed",
            Self::Stale { .. } => "stale_answer",
            Self::TooManyChannels(_) => "too_many_channels",
            Self::Incomplete(_) => "internal",
        }
    }
}
