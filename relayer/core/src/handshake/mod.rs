//! Clients, connection and channels of a path, opened from whatever both chains' states already hold.
//!
//! A handshake is level-triggered: [`next`] looks at what both chains say ([`Observed`]) and at what is wanted ([`Wanted`], with the ids
//! known so far) and names the actions that are possible now. Nothing is remembered between two calls but ids, so a handshake
//! goes on from any half-finished state, also from one that somebody else began.
//!
//! Spec: ICS-02 (clients), ICS-03 (connections), ICS-04 (channels), in the form of ibc-go v10: no crossing hellos, the counterparty's id empty
//! at INIT, exactly one version once a connection is past INIT, one connection hop a channel.
//!
//! Shapes and units: connection and channel ends are protobuf bytes of the chains' stores, decoded by [`ConnectionEnd::decode`] and
//! [`ChannelEnd::decode`]; delays and times are nanoseconds.
//!
//! Bounds: the sizes of encoded ends, of their versions and the number of channels are in [`limits`].
//!
//! Errors: [`HandshakeError`] says which id of which chain is at fault and what to change.
//!
//! ```
//! use relayer_core::handshake::{next, Action, Observed, Pair, Phase, Step, Wanted, What};
//! use relayer_core::id::ChainId;
//! use relayer_core::packet::Side;
//!
//! let chains = Pair::new(ChainId::new("x-1").unwrap(), ChainId::new("y-1").unwrap());
//! let wanted = Wanted::new(chains, Pair::new(b"ibc".to_vec(), b"ibc".to_vec()));
//! // Nothing exists yet: both clients can be created at once.
//! let both = Side::BOTH.map(|on| Action { on, what: What::CreateClient });
//! assert_eq!(next(&wanted, &Observed::default()), Ok(Step::Act(both.to_vec())));
//! ```

mod end;
mod error;
mod learned;
pub mod limits;
mod message;
mod rules;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::chain::ClientInfo;
use crate::id::{ChainId, ChannelId, ClientId, ConnectionId, PortId, Timestamp};
use crate::packet::{Order, PortChannel, Side};

pub use end::{ChannelEnd, ConnectionEnd, EndState};
pub use error::{ClientProblem, HandshakeError, Thing};
pub use learned::{Attempt, learned};
pub use message::{NewState, ProvenEnd, connection_version, message, needs_client, proof_path};
pub use rules::next;

/// One of each: for the path's `a` and for its `b`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair<T> {
    /// `a`'s.
    pub a: T,
    /// `b`'s.
    pub b: T,
}

impl<T> Pair<T> {
    /// Both.
    pub const fn new(a: T, b: T) -> Self {
        Self { a, b }
    }
    /// One side's.
    pub const fn at(&self, side: Side) -> &T {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }
    /// One side's, to change.
    pub const fn at_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }
}

/// A channel that should be open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedChannel {
    /// Ports.
    pub ports: Pair<PortId>,
    /// Channel ids, where known.
    pub ids: Pair<Option<ChannelId>>,
    /// Ordering.
    pub order: Order,
    /// Version; empty leaves it to the applications.
    pub version: String,
}

impl WantedChannel {
    /// One side's end, once its id is known.
    pub fn end(&self, side: Side) -> Option<PortChannel> {
        let channel = self.ids.at(side).clone()?;
        Some(PortChannel { port: self.ports.at(side).clone(), channel })
    }
}

/// What should exist, with the ids that are known so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The two chains.
    pub chains: Pair<ChainId>,
    /// Prefix of each chain's IBC store in its commitments (`ibc` for ibc-go).
    pub prefixes: Pair<Vec<u8>>,
    /// The client that each chain holds of the other one.
    pub clients: Pair<Option<ClientId>>,
    /// Connection ends.
    pub connections: Pair<Option<ConnectionId>>,
    /// Delay period of a connection made here, ns; one found is taken as it is.
    pub delay_ns: u64,
    /// Channels over the connection.
    pub channels: Vec<WantedChannel>,
}

impl Wanted {
    /// A connection between two chains, nothing known yet, no channels.
    pub fn new(chains: Pair<ChainId>, prefixes: Pair<Vec<u8>>) -> Self {
        let (clients, connections) = (Pair::default(), Pair::default());
        Self { chains, prefixes, clients, connections, delay_ns: 0, channels: Vec::new() }
    }

    /// Takes up an id. Says whether it is new.
    pub fn adopt(&mut self, known: &Known) -> bool {
        fn set<T: Clone + PartialEq>(slot: &mut Option<T>, id: &T) -> bool {
            let new = slot.as_ref() != Some(id);
            *slot = Some(id.clone());
            new
        }
        match known {
            Known::Client(side, id) => set(self.clients.at_mut(*side), id),
            Known::Connection(side, id) => set(self.connections.at_mut(*side), id),
            Known::Channel(side, index, id) => {
                self.channels.get_mut(*index).is_some_and(|c| set(c.ids.at_mut(*side), id))
            }
        }
    }
}

/// An id that has become known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Known {
    /// The client on that side.
    Client(Side, ClientId),
    /// The connection end on that side.
    Connection(Side, ConnectionId),
    /// The end on that side of the channel with that index in [`Wanted::channels`].
    Channel(Side, usize, ChannelId),
}

/// A client as its host shows it, decoded by the adapter of the chain it tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientView {
    /// What its state says.
    pub info: ClientInfo,
    /// Time of its newest consensus state.
    pub newest: Timestamp,
}

/// What one chain's state holds at the known ids; `None` where the id is not known or holds nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// Time of the block whose state this is.
    pub now: Timestamp,
    /// The client of the other chain.
    pub client: Option<ClientView>,
    /// The connection end.
    pub connection: Option<ConnectionEnd>,
    /// Channel ends, in the order of [`Wanted::channels`].
    pub channels: Vec<Option<ChannelEnd>>,
}

/// Both chains' views.
pub type Observed = Pair<View>;

/// A step of the four-way handshakes of ICS-03 and ICS-04.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing -> INIT.
    Init,
    /// Nothing -> TRYOPEN, with proof of INIT.
    Try,
    /// INIT -> OPEN, with proof of TRYOPEN.
    Ack,
    /// TRYOPEN -> OPEN, with proof of OPEN.
    Confirm,
}

/// What can be done on one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Create the client of the other chain.
    CreateClient,
    /// A connection step.
    Connection(Phase),
    /// A step of the channel with this index.
    Channel(usize, Phase),
}

/// Something to do on one chain: one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Action {
    /// The chain that gets the message.
    pub on: Side,
    /// Which.
    pub what: What,
}

/// What [`next`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// These ids follow from what was seen: [`Wanted::adopt`] them and look again.
    Learn(Vec<Known>),
    /// All of these are possible now; those on one chain in this order, in one transaction if they fit.
    Act(Vec<Action>),
    /// Everything wanted is open.
    Done,
}
