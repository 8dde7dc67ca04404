//! JSON-RPC and the event socket of one node, and what can go wrong with them.
//!
//! CometBFT 0.38's HTTP interface on one loopback port: calls by POST, alone or in batches, and as addresses (`/block?height=5`), and
//! subscriptions at `/websocket`. Answers have the fields and errors the words of that version. [`Faults`] spoil them.
//!
//! Bounds: [`crate::limits`] for bodies; pages as CometBFT caps them. Errors: JSON-RPC's, with CometBFT's words in `data`.

mod fault;
mod http;
mod lie;
mod method;
mod render;
mod search;
mod socket;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use fault::{Fault, Faults, Injected};

use super::node::Node;
use crate::{DevnetError, limits};

/// The RPC of a node; it ends when dropped.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// What all connections share.
struct Shared {
    node: Arc<Node>,
    faults: Faults,
    /// `http://host:port` of this node.
    address: SocketAddr,
}

impl Server {
    /// Serves a node at the port it was described with.
    pub(super) async fn start(node: Arc<Node>, faults: Faults, port: u16) -> Result<Self, DevnetError> {
        let what = "listening on loopback";
        let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(DevnetError::io(what))?;
        let address = listener.local_addr().map_err(DevnetError::io(what))?;
        let shared = Arc::new(Shared { node, faults, address });
        let app = axum::Router::new().fallback(http::handle).with_state(shared);
        let app = app.layer(axum::extract::DefaultBodyLimit::max(limits::MAX_BODY_BYTES));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                eprintln!("the RPC of an embedded chain ended: {error}");
            }
        });
        Ok(Self { address, task })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
