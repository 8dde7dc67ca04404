//! What must be true before a path relays: both chains answer, the clients track each other and are usable, the connection and
//! channels are open and belong together. The chains' trusted headers are anchored in what the clients hold.

use ibc_proto::ibc::core::channel::v1::Channel;
use ibc_proto::ibc::core::connection::v1::ConnectionEnd;
use prost::Message as _;
use relayer_core::chain::Path as StorePath;
use relayer_core::engine::ClientRead;
use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::fact::Head;
use relayer_core::id::ChainId;
use relayer_core::packet::Side;
use thiserror::Error;

use super::{Path, client};

/// ICS-03/04 state OPEN (same number in both protocols).
const OPEN: i32 = 3;
/// Largest connection or channel end taken from a node, bytes.
const END_BYTES: usize = 64 * 1024;

/// Why a path can't start.
#[derive(Debug, Error)]
pub(super) enum Problem {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("chain {chain}: {what} `{id}` does not exist; run `relayer path create {path}` or correct the id")]
    Missing { chain: String, what: &'static str, id: String, path: String },
    #[error("chain {chain}: client `{client}` tracks chain `{tracks}`, not `{wanted}`")]
    WrongClient { chain: String, client: String, tracks: String, wanted: String },
    #[error("chain {chain}: client `{client}` is frozen by misbehaviour; only governance can recover it")]
    Frozen { chain: String, client: String },
    #[error(
        "chain {chain}: client `{client}` has expired (no update for its trusting period); only governance can recover it"
    )]
    Expired { chain: String, client: String },
    #[error("chain {chain}: {what} `{id}` {wrong}")]
    WrongEnd { chain: String, what: &'static str, id: String, wrong: String },
}

impl Problem {
    /// Which chain's node lied, and how.
    pub(super) fn lie(&self) -> Option<(&ChainId, &'static str)> {
        match self {
            Self::Chain(ChainError { chain, kind: ChainErrorKind::Lying(reason), .. }) => Some((chain, reason)),
            _ => None,
        }
    }

    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Chain(e) => e.label(),
            Self::Missing { .. } => "missing",
            Self::WrongClient { .. } => "wrong_client",
            Self::Frozen { .. } => "client_frozen",
            Self::Expired { .. } => "client_expired",
            Self::WrongEnd { .. } => "wrong_end",
        }
    }
}

/// Where a path begins.
pub(super) struct Start {
    pub(super) heads: [Head; 2],
    pub(super) clients: [ClientRead; 2],
}

impl Path {
    pub(super) async fn set_up(&self) -> Result<Start, Problem> {
        let (a, b) = tokio::try_join!(self.chain(Side::A).head(), self.chain(Side::B).head())?;
        let mut heads = [a, b];
        // Both to their end: what one side's state is missing may be the lie of a node that the other side's client unmasks.
        let clients = tokio::join!(self.end_is_right(Side::A, heads), self.end_is_right(Side::B, heads));
        let (a, b) = match clients {
            (Ok(a), Ok(b)) => (a, b),
            (Err(lie), _) | (_, Err(lie)) if lie.lie().is_some() => return Err(lie),
            (Err(problem), _) | (_, Err(problem)) => return Err(problem),
        };
        for side in Side::BOTH {
            let (chain, head) = (self.chain(side), &mut heads[side.index()]);
            match chain.verified(head.height).await {
                Ok(verified) => head.time = verified.at.time,
                Err(error) => {
                    if matches!(error.kind, ChainErrorKind::NotYet(_)) {
                        chain.refute(head.height);
                    }
                    return Err(error.into());
                }
            }
        }
        Ok(Start { heads, clients: [a, b] })
    }

    async fn read(&self, side: Side, path: StorePath) -> Result<Option<Vec<u8>>, ChainError> {
        Ok(self.chain(side).query(&[path], None, false).await?.into_iter().next().and_then(|p| p.value))
    }

    async fn end_is_right(&self, side: Side, heads: [Head; 2]) -> Result<ClientRead, Problem> {
        let ids = &self.spec.ends[side.index()];
        let (chain, tracked) = (self.chain(side), self.chain(side.other()));
        let name = || chain.id().to_string();
        let missing = |what, id: &dyn ToString| Problem::Missing {
            chain: name(),
            what,
            id: id.to_string(),
            path: self.spec.name.to_string(),
        };
        let malformed = |what| ChainError::new(chain.id(), ChainErrorKind::Malformed, what);

        let state = self.read(side, StorePath::ClientState(ids.client.clone())).await?;
        let state = state.ok_or_else(|| missing("client", &ids.client))?;
        let state = client::any(&state).ok_or_else(|| malformed("client state"))?;
        let info = tracked.client_info(&state)?;
        let client = ids.client.to_string();
        if info.chain != *tracked.id() {
            let (tracks, wanted) = (info.chain.to_string(), tracked.id().to_string());
            return Err(Problem::WrongClient { chain: name(), client, tracks, wanted });
        }
        if info.frozen {
            return Err(Problem::Frozen { chain: name(), client });
        }
        let prefix = self.connection_is_right(side).await?;
        for pair in &self.spec.channels {
            self.channel_is_right(side, pair).await?;
        }
        let consensus = self.read(side, StorePath::ConsensusState(ids.client.clone(), info.latest)).await?;
        let consensus = consensus.ok_or_else(|| missing("consensus state of client", &ids.client))?;
        let consensus = client::any(&consensus).ok_or_else(|| malformed("consensus state"))?;
        let latest_time = tracked.consensus_time(&consensus)?;
        let now = heads[side.other().index()].time;
        if now.since(latest_time) >= info.trusting_period_ns {
            return Err(Problem::Expired { chain: name(), client });
        }
        tracked.anchor(info.latest, &consensus).await?;
        self.clients[side.index()].set(ids.client.clone(), state, info.latest, consensus, prefix);
        Ok(ClientRead {
            id: ids.client.clone(),
            latest: info.latest,
            latest_time,
            trusting_period_ns: info.trusting_period_ns,
            frozen: false,
        })
    }

    /// Checks the connection end on a side; gives the prefix of the other chain's store.
    async fn connection_is_right(&self, side: Side) -> Result<Vec<u8>, Problem> {
        let chain = self.chain(side).id().to_string();
        let (ours, theirs) = (&self.spec.ends[side.index()], &self.spec.ends[side.other().index()]);
        let id = ours.connection.to_string();
        let value = self.read(side, StorePath::Connection(ours.connection.clone())).await?;
        let Some(value) = value.filter(|v| v.len() <= END_BYTES) else {
            let path = self.spec.name.to_string();
            return Err(Problem::Missing { chain, what: "connection", id, path });
        };
        let end = ConnectionEnd::decode(value.as_slice())
            .map_err(|e| ChainError::new(self.chain(side).id(), ChainErrorKind::Malformed, e.to_string()))?;
        let other = end.counterparty.unwrap_or_default();
        let wrong = if end.state != OPEN {
            format!("is not OPEN; run `relayer path create {}` to finish it", self.spec.name)
        } else if end.client_id != ours.client.as_str() {
            format!("runs over client `{}`, not `{}`", end.client_id, ours.client)
        } else if other.connection_id != theirs.connection.as_str() || other.client_id != theirs.client.as_str() {
            format!("leads to `{}` over `{}`, not to `{}`", other.connection_id, other.client_id, theirs.connection)
        } else {
            return Ok(other.prefix.map(|p| p.key_prefix).unwrap_or_default());
        };
        Err(Problem::WrongEnd { chain, what: "connection", id, wrong })
    }

    async fn channel_is_right(&self, side: Side, pair: &relayer_core::engine::ChannelPair) -> Result<(), Problem> {
        let chain = self.chain(side).id().to_string();
        let (ours, theirs) = (pair.end(side), pair.end(side.other()));
        let id = ours.to_string();
        let value = self.read(side, StorePath::Channel(ours.port.clone(), ours.channel.clone())).await?;
        let Some(value) = value.filter(|v| v.len() <= END_BYTES) else {
            let path = self.spec.name.to_string();
            return Err(Problem::Missing { chain, what: "channel", id, path });
        };
        let end = Channel::decode(value.as_slice())
            .map_err(|e| ChainError::new(self.chain(side).id(), ChainErrorKind::Malformed, e.to_string()))?;
        let other = end.counterparty.unwrap_or_default();
        let connection = self.spec.ends[side.index()].connection.as_str();
        let wrong = if end.state != OPEN {
            format!("is not OPEN; run `relayer path create {}` to finish it", self.spec.name)
        } else if end.connection_hops != [connection] {
            format!("does not run over connection `{connection}`")
        } else if other.port_id != theirs.port.as_str() || other.channel_id != theirs.channel.as_str() {
            format!("leads to `{}/{}`, not to `{theirs}`", other.port_id, other.channel_id)
        } else if end.ordering == ibc_proto::ibc::core::channel::v1::Order::Ordered as i32 {
            "is ordered; this version relays unordered channels".to_owned()
        } else {
            return Ok(());
        };
        Err(Problem::WrongEnd { chain, what: "channel", id, wrong })
    }
}
