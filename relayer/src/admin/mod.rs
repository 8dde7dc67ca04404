//! The admin port: what a running relayer tells about itself, and the client that asks it.
//!
//! `GET /health` (200 ready, 503 not, with the reasons), `GET /status` (the [`Snapshot`] as JSON), `GET /limits` ([`Limits`], likewise),
//! `GET /metrics` (Prometheus text).
//! Nothing here acts yet. Spec: "Admin API and page" of the observability specification; attack 50.
//!
//! It listens on loopback. Anywhere else it wants a token, which every request must then bear. On loopback a request must name the
//! host as loopback, so that a web page can't read it by rebinding its own name.
//!
//! Bounds (`crate::limits`): connections, time of a request's head, life of a connection, size of an answer read.
//!
//! Errors: [`ServeError`], [`AdminError`].
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use relayer::admin::{AdminClient, AdminServer, Snapshot, Sources};
//! let (sender, snapshot) = tokio::sync::watch::channel(Arc::new(Snapshot::default()));
//! let sources = Sources { snapshot, metrics: Box::new(String::new) };
//! let server = AdminServer::start("127.0.0.1:0".parse().unwrap(), None, sources).await.unwrap();
//! sender.send_replace(Arc::new(Snapshot { ready: true, ..Snapshot::default() }));
//! let client = AdminClient::new(server.address(), None).unwrap();
//! assert!(client.health().await.unwrap().ready);
//! server.close().await;
//! # });
//! ```

mod client;
mod limit;
mod server;
mod snapshot;
#[cfg(test)]
mod tests;

pub use client::{AdminClient, AdminError};
pub use limit::{BreakerChange, BreakerStatus, ChainLimits, EndpointLimits, Limits, Out, PerSecond, RuleLimits};
pub use server::{AdminServer, ServeError, Sources};
pub use snapshot::{
    ChainStatus, ChannelStatus, ClientStatus, EndedPackets, EndpointStatus, Health, JournalHealth, Latency, PathStatus,
    Snapshot, VerifierStatus, XcmStatus,
};
