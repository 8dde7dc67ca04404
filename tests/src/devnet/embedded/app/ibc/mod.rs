//! IBC of the embedded chain: the state that ibc-rs' handlers work on (ICS-02, 03, 04, 20, 24, 26).
//!
//! Handlers and their callbacks share one state, so that it stands behind a cell during a message; see [`deliver`].
//!
//! **Shapes.** Store `ibc`: ICS-24 paths to what ibc-go writes there; store `transfer`: hashes of denominations to their paths.

mod client;
mod event;
mod host;
mod redundant;
mod transfer;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ibc_client_tendermint::consensus_state::ConsensusState;
use ibc_core::handler::types::msgs::MsgEnvelope;
use ibc_proto::google::protobuf::Any;
use tendermint::Time;

pub(super) use self::client::{height_of, heights_prefix};
pub(super) use self::event::event;
pub(super) use self::redundant::{PacketMessage, is_redundant, mark};
use super::failure::Failure;
use crate::devnet::embedded::Event;
use crate::devnet::embedded::store::Store;

pub(super) const IBC: &str = "ibc";
pub(super) const TRANSFER: &str = "transfer";
/// Of the keys that hold denominations in the store `transfer`.
pub(super) const DENOMS: &[u8] = b"denom/";
const MSG_TRANSFER: &str = "/ibc.applications.transfer.v1.MsgTransfer";

/// What the handlers know of the block and of their chain.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) chain_id: String,
    pub(super) revision: u64,
    pub(super) account_prefix: String,
    pub(super) unbonding: Duration,
    /// Of the block in work, or of the last one.
    pub(super) height: u64,
    pub(super) time: Time,
    /// What light clients of this chain hold of its heights.
    pub(super) own: BTreeMap<u64, ConsensusState>,
}

/// What a message changes.
#[derive(Clone, Default)]
pub(super) struct Work {
    pub(super) store: Store,
    pub(super) events: Vec<Event>,
}

/// The context of ibc-rs' handlers.
struct Context<'a> {
    host: &'a Host,
    work: Rc<RefCell<Work>>,
}

/// Executes an IBC message on a state; on failure the state is of no use.
pub(super) fn deliver(host: &Host, work: Work, message: Any) -> Result<Work, Failure> {
    if let Some(packet) = PacketMessage::read(&message)?
        && is_redundant(&work.store, &packet)
    {
        return Ok(work);
    }
    let cell = Rc::new(RefCell::new(work));
    let mut context = Context { host, work: cell.clone() };
    let mut module = transfer::Transfer { host, work: cell.clone() };
    let receives = message.type_url.ends_with(".MsgRecvPacket");
    match message.type_url.as_str() {
        MSG_TRANSFER => transfer::send(&mut context, &mut module, &message.value)?,
        _ => {
            let undecodable = |e| Failure::invalid_request(format!("{}: {e}", message.type_url));
            let envelope = MsgEnvelope::try_from(message.clone()).map_err(undecodable)?;
            let mut router = transfer::Routes(module);
            ibc_core::entrypoint::dispatch(&mut context, &mut router, envelope).map_err(|e| Failure::ibc(&e))?;
        }
    }
    let mut work = cell.take();
    if receives {
        event::acknowledgement_last(&mut work.events);
    }
    Ok(work)
}
