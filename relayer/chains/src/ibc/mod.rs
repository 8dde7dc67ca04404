//! What the families of chains share of IBC: events and messages as ibc-go and ibc-rs have them.

pub(crate) mod event;
pub mod limits;
pub mod message;
