//! One message after the other, each in a storage layer of its own.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use codec::{Decode, DecodeWithMemTracking, Encode};
use frame_support::storage::with_transaction;
use ibc_app_transfer::types::msgs::transfer::MsgTransfer;
use ibc_core::handler::types::error::HandlerError;
use ibc_core::handler::types::msgs::MsgEnvelope;
use ibc_core::primitives::proto::{Any, Protobuf};
use scale_info::TypeInfo;
use sp_runtime::{AccountId32, DispatchError, TransactionOutcome};

use super::context::Context;
use super::transfer::{Applications, Transfer};
use super::{Config, Message, TEXT_BYTES, address};

/// ICS-20's message, which is no message of the core handlers.
const TRANSFER: &str = "/ibc.applications.transfer.v1.MsgTransfer";
const UPDATE: &str = "/ibc.core.client.v1.MsgUpdateClient";
const CONNECTION_TRY: &str = "/ibc.core.connection.v1.MsgConnectionOpenTry";
const CONNECTION_ACK: &str = "/ibc.core.connection.v1.MsgConnectionOpenAck";

/// What kind of failure it was; the numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Failure {
    /// Not a message that this chain knows, or not well-formed.
    #[codec(index = 0)]
    Undecodable,
    /// It names another signer than the extrinsic has.
    #[codec(index = 1)]
    Unauthorized,
    /// ICS-02.
    #[codec(index = 2)]
    Client,
    /// ICS-03.
    #[codec(index = 3)]
    Connection,
    /// ICS-04: channels and packets.
    #[codec(index = 4)]
    Channel,
    /// ICS-20.
    #[codec(index = 5)]
    Transfer,
    /// No application at that port.
    #[codec(index = 6)]
    Port,
    /// An update of a client before it failed: it was not tried.
    #[codec(index = 7)]
    Skipped,
}

/// Why nothing of a message was done.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Refused {
    /// The kind.
    pub failure: Failure,
    /// The handler's words, cut to [`TEXT_BYTES`].
    pub text: Vec<u8>,
}

impl Refused {
    fn new(failure: Failure, why: impl ToString) -> Self {
        let mut text = why.to_string().into_bytes();
        text.truncate(TEXT_BYTES);
        log::debug!(target: "ibc", "{failure:?}: {}", String::from_utf8_lossy(&text));
        Self { failure, text }
    }
}

impl From<HandlerError> for Refused {
    fn from(error: HandlerError) -> Self {
        let failure = match &error {
            HandlerError::Client(_) => Failure::Client,
            HandlerError::Connection(_) => Failure::Connection,
            HandlerError::Channel(_) => Failure::Channel,
            HandlerError::Router(_) => Failure::Port,
        };
        Self::new(failure, error)
    }
}

/// The result of each.
pub(super) fn all<T: Config>(signer: &AccountId32, messages: Vec<Message>) -> Vec<Result<(), Refused>> {
    let mut outdated = false;
    let mut results = Vec::with_capacity(messages.len());
    for (index, message) in (0..).zip(messages) {
        if outdated {
            results.push(Err(Refused::new(Failure::Skipped, "an update of a client before it failed")));
            continue;
        }
        let update = message.type_url == UPDATE.as_bytes();
        let result = alone::<T>(index, signer, message);
        outdated = update && result.is_err();
        results.push(result);
    }
    results
}

/// Done as a whole or not at all.
fn alone<T: Config>(index: u32, signer: &AccountId32, message: Message) -> Result<(), Refused> {
    let done = with_transaction(|| match one::<T>(index, signer, message) {
        Ok(()) => TransactionOutcome::Commit(Ok::<_, DispatchError>(Ok(()))),
        Err(why) => TransactionOutcome::Rollback(Ok(Err(why))),
    });
    // The only error is too many layers, which no call has.
    done.unwrap_or_else(|error| Err(Refused::new(Failure::Undecodable, <&'static str>::from(error))))
}

fn one<T: Config>(index: u32, signer: &AccountId32, message: Message) -> Result<(), Refused> {
    let undecodable = |why: &dyn ToString| Refused::new(Failure::Undecodable, why.to_string());
    let type_url = String::from_utf8(message.type_url).map_err(|e| undecodable(&e))?;
    let any = Any { type_url, value: message.value };
    let mut host = Context::<T>::new(index, signer.clone(), own_header(&any));
    let mut applications = Applications(Transfer::<T>::default());
    if any.type_url == TRANSFER {
        let message = MsgTransfer::decode_vec(&any.value).map_err(|e| undecodable(&e))?;
        let sender = address(message.packet_data.sender.as_ref()).map_err(|e| undecodable(&e))?;
        if sender != *signer {
            return Err(Refused::new(Failure::Unauthorized, "the sender is not who signed"));
        }
        return ibc_app_transfer::handler::send_transfer(&mut host, &mut applications.0, message)
            .map_err(|e| Refused::new(Failure::Transfer, e));
    }
    let message = MsgEnvelope::try_from(any).map_err(|e| undecodable(&e))?;
    Ok(ibc_core::entrypoint::dispatch(&mut host, &mut applications, message)?)
}

/// Our own header, where a message brings one: `host_consensus_state_proof`.
fn own_header(any: &Any) -> Option<Vec<u8>> {
    use ibc_core::connection::types::proto::v1::{MsgConnectionOpenAck, MsgConnectionOpenTry};
    use prost::Message;
    let header = match any.type_url.as_str() {
        CONNECTION_TRY => MsgConnectionOpenTry::decode(any.value.as_slice()).ok()?.host_consensus_state_proof,
        CONNECTION_ACK => MsgConnectionOpenAck::decode(any.value.as_slice()).ok()?.host_consensus_state_proof,
        _ => return None,
    };
    (!header.is_empty()).then_some(header)
}
