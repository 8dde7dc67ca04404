//! A proxy in front of a real node that injects faults: a node that lies, stalls, refuses or floods.
//!
//! It forwards JSON-RPC over HTTP, single calls and batches, and WebSockets: CometBFT's nodes and Substrate's. While it runs a test switches
//! [`Fault`]s on and off, changes results with [`tamper`] hooks, stalls the WebSocket, and reads what was asked and
//! what was broadcast, so that it can prove that *nothing* was.
//!
//! A stopped node shows as status 502 here. Bounds: [`crate::limits`]. Errors: [`crate::DevnetError`].
//!
//! ```no_run
//! # async fn run(chain: relayer_tests::devnet::SimdChain) -> Result<(), relayer_tests::DevnetError> {
//! use relayer_tests::proxy::{Fault, Proxy, When, tamper};
//! let proxy = Proxy::start(chain.rpc_url()).await?;
//! // A relayer uses proxy.rpc_url() and proxy.ws_url() ...
//! proxy.tamper(When::query("store/ibc/key"), tamper::flip_proof_byte());
//! proxy.fault_times(When::method("status"), Fault::status(429).retry_after(2), 3);
//! // ... and afterwards
//! assert!(proxy.tampered() > 0);
//! assert_eq!(proxy.broadcasts().len(), 0);
//! # Ok(())
//! # }
//! ```

mod call;
mod fault;
pub mod grandpa;
mod http;
mod record;
pub mod tamper;
mod websocket;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use call::{Call, When};
pub use fault::{Fault, FaultId};
pub use record::Broadcast;
pub use tamper::Hook;
pub use websocket::WebSocketMode;

use crate::{DevnetError, limits};
use fault::Faults;
use record::Record;
use websocket::Control;

/// A running proxy. Ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    state: Arc<State>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

/// What all connections share.
#[derive(Debug)]
struct State {
    /// `http://host:port` of the real node.
    upstream: String,
    http: reqwest::Client,
    inner: Mutex<Inner>,
    control: watch::Sender<Control>,
}

#[derive(Debug, Default)]
struct Inner {
    faults: Faults,
    hooks: Vec<(When, Hook)>,
    tampered: u64,
    record: Record,
}

impl State {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hooks for this call; they run outside the lock.
    fn hooks_for(&self, call: &Call) -> Vec<Hook> {
        self.inner().hooks.iter().filter(|(when, _)| when.matches(call)).map(|(_, hook)| hook.clone()).collect()
    }

    /// Runs the hooks on a call's result. True if one changed it.
    fn tamper(&self, call: &Call, result: &mut serde_json::Value) -> bool {
        let changed = self.hooks_for(call).iter().filter(|hook| hook.apply(call, result)).count();
        self.inner().tampered += u64::try_from(changed).unwrap_or(u64::MAX);
        changed > 0
    }
}

impl Proxy {
    /// Starts a proxy on a free loopback port in front of this `http://` address.
    ///
    /// # Errors
    /// [`DevnetError::Io`] if it can't listen.
    pub async fn start(upstream: &str) -> Result<Self, DevnetError> {
        let what = "listening on loopback";
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(DevnetError::io(what))?;
        let address = listener.local_addr().map_err(DevnetError::io(what))?;
        let state = Arc::new(State {
            upstream: upstream.trim_end_matches('/').to_owned(),
            http: crate::devnet::http_client(upstream)?,
            inner: Mutex::default(),
            control: watch::Sender::new(Control::default()),
        });
        let app = axum::Router::new().fallback(http::handle).with_state(Arc::clone(&state));
        let app = app.layer(axum::extract::DefaultBodyLimit::max(limits::MAX_BODY_BYTES));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                eprintln!("proxy ended: {error}");
            }
        });
        Ok(Self { state, address, server })
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn rpc_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `ws://127.0.0.1:<port>/websocket`; a Substrate node's is at `/`.
    #[must_use]
    pub fn ws_url(&self) -> String {
        format!("ws://{}/websocket", self.address)
    }

    /// Injects a fault into every matching request from now on.
    pub fn fault(&self, when: When, fault: Fault) -> FaultId {
        self.state.inner().faults.add(when, fault, None)
    }

    /// Injects a fault into the next `times` matching requests.
    pub fn fault_times(&self, when: When, fault: Fault, times: u32) -> FaultId {
        self.state.inner().faults.add(when, fault, Some(times))
    }

    /// Ends one fault.
    pub fn lift(&self, id: FaultId) {
        self.state.inner().faults.remove(id);
    }

    /// How often faults were injected.
    #[must_use]
    pub fn faults_injected(&self) -> u64 {
        self.state.inner().faults.injected()
    }

    /// Changes the results of matching calls from now on, and the events of a matching `subscribe` or of notifications of this method.
    pub fn tamper(&self, when: When, hook: Hook) {
        self.state.inner().hooks.push((when, hook));
    }

    /// How many results a hook has changed: without this a test of tampering could pass because nothing was asked.
    #[must_use]
    pub fn tampered(&self) -> u64 {
        self.state.inner().tampered
    }

    /// Ends all faults and hooks and lets the WebSocket work again.
    pub fn heal(&self) {
        let mut inner = self.state.inner();
        inner.faults.clear();
        inner.hooks.clear();
        drop(inner);
        self.websocket(WebSocketMode::Forward);
    }

    /// How WebSocket connections behave from now on, open ones too.
    pub fn websocket(&self, mode: WebSocketMode) {
        self.state.control.send_modify(|control| control.mode = mode);
    }

    /// Closes the WebSocket connections that are open now.
    pub fn cut_websockets(&self) {
        self.state.control.send_modify(|control| control.generation += 1);
    }

    /// HTTP requests seen; a batch is one.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.state.inner().record.requests()
    }

    /// Calls of this method seen, in batches and over the WebSocket, too.
    #[must_use]
    pub fn calls(&self, method: &str) -> u64 {
        self.state.inner().record.calls().get(method).copied().unwrap_or(0)
    }

    /// Calls seen of each method.
    #[must_use]
    pub fn all_calls(&self) -> BTreeMap<String, u64> {
        self.state.inner().record.calls().clone()
    }

    /// WebSocket connections seen.
    #[must_use]
    pub fn websocket_connections(&self) -> u64 {
        self.state.inner().record.websockets()
    }

    /// Every transaction handed over so far.
    #[must_use]
    pub fn broadcasts(&self) -> Vec<Broadcast> {
        self.state.inner().record.broadcasts().to_vec()
    }

    /// The type URLs of all messages handed over so far, in order.
    #[must_use]
    pub fn broadcast_messages(&self) -> Vec<String> {
        self.state.inner().record.broadcasts().iter().flat_map(Broadcast::message_types).collect()
    }

    /// Starts counting anew.
    pub fn reset_record(&self) {
        let mut inner = self.state.inner();
        inner.record = Record::default();
        inner.tampered = 0;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
        self.cut_websockets();
    }
}
