//! The only way to a node: JSON-RPC 2.0 over HTTP, paced, retried and traced, plus a WebSocket that wakes us.
//!
//! ```text
//! RpcClient ── batch: split, ids ──> Traced( Retry( Limited + Breaker( Timeout( Transport ))))
//!  client.rs   batch.rs  wire.rs    traced.rs retry.rs  limited.rs   timeout.rs transport.rs
//!                                          ruled.rs: rules by chain, channel, method, endpoint
//!  flight.rs: equal reads are one      hedged.rs: a late read is copied   view.rs: the limits as data
//!  ws.rs: the stream of wake-ups       dial.rs: its handshake, paced
//!                                             endpoints.rs: which node, quarantine, learned batch size
//! ```
//!
//! Clause: the project's limiter page (*Upstream-aware pacing*, *Endpoints*) and JSON-RPC 2.0. Rules kept here:
//!
//! - every request is charged to its endpoint's limiter, a batch by its number of calls, a retry again;
//! - a node's answer is hostile until decoded: bytes are counted *after* decompression while they stream in ([`limits`]);
//! - reads are retried (200–500 ms with jitter, then growing) and fail over to the next endpoint; a broadcast is repeated only
//!   when it certainly never left;
//! - an application's "no" is [`RpcErrorKind::Rejected`] and never an endpoint's fault;
//! - no error, log line or metric holds a URL: only the [`EndpointId`]'s label (scheme, host, port);
//! - dropping a call's future gives back what it held.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use relayer_chains::rpc::{Call, EndpointSettings, RpcClient, RpcSettings};
//! let node = EndpointSettings::new("http://127.0.0.1:26657".parse()?);
//! let rpc = RpcClient::new(RpcSettings::new("ibc-0", vec![node]))?;
//! let status = rpc.call("status", serde_json::json!({})).await?;
//! println!("{} says {}", status.endpoint, status.result.get());
//! for answer in rpc.batch(vec![Call::read("block", serde_json::json!({"height": "5"}))?]).await? {
//!     println!("{}", answer?.result.get());
//! }
//! # Ok(()) }
//! ```

mod batch;
mod classify;
mod client;
mod dial;
mod endpoint_url;
mod endpoints;
mod error;
mod flight;
#[cfg(fuzzing)]
pub mod fuzz;
mod hedged;
mod limited;
pub mod limits;
mod retry;
mod ruled;
mod settings;
#[cfg(feature = "redis")]
mod shared;
mod timeout;
mod tls;
mod traced;
mod transport;
mod urgency;
mod view;
mod wire;
mod ws;

#[cfg(test)]
mod tests;

pub(crate) use client::is_pruned;
pub use client::{Answer, Call, RpcClient};
pub use endpoint_url::{BadUrl, EndpointId, EndpointUrl};
pub use endpoints::{EndpointHealth, Route};
pub use error::{
    ErrorClass, InvalidCall, Malformed, Rejected, RpcError, RpcErrorKind, SetupError, ThrottledBy, Unavailable,
};
pub use ruled::RuleGate;
pub use settings::{EndpointSettings, Observer, RpcSettings};
#[cfg(feature = "redis")]
pub use shared::SharedRates;
pub use traced::CallReport;
pub use urgency::urgent;
pub use view::{BreakerState, LimitView};
pub use ws::{Wake, WakeSettings, wake_stream};
