//! The HTTP side of the admin port.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use relayer_core::error::Detail;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::limit::Limits;
use super::snapshot::{Health, Snapshot};
use crate::limits;

/// Why the admin port is not open.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ServeError {
    /// Open to the network without a token.
    #[error(
        "the admin port would listen on {address} for the whole network: set `admin_token_env` in [global], or listen on 127.0.0.1"
    )]
    Unprotected {
        /// The address.
        address: SocketAddr,
    },
    /// A token anybody could guess.
    #[error("the admin token has {length} characters: use at least 16, for example of `openssl rand -hex 16`")]
    WeakToken {
        /// Its length.
        length: usize,
    },
    /// The port is taken or forbidden.
    #[error("can't listen on {address} ({detail}): set `admin` in [global] to a free port of 127.0.0.1")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        detail: Detail,
    },
}

/// What the port serves.
pub struct Sources {
    /// The newest snapshot; the sender replaces it as often as it likes.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Makes the metrics' text; called for each scrape.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

struct Admin {
    sources: Sources,
    token: Option<SecretString>,
    address: SocketAddr,
}

/// The open admin port.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl AdminServer {
    /// Listens on `address`. Beyond loopback only with a token, which every request must then bear.
    pub async fn start(address: SocketAddr, token: Option<SecretString>, sources: Sources) -> Result<Self, ServeError> {
        if token.is_none() && !address.ip().is_loopback() {
            return Err(ServeError::Unprotected { address });
        }
        if let Some(length) = token.as_ref().map(|t| t.expose_secret().len()).filter(|n| *n < 16) {
            return Err(ServeError::WeakToken { length });
        }
        let error = |e: std::io::Error| ServeError::Listen { address, detail: Detail::new(e.to_string()) };
        let listener = TcpListener::bind(address).await.map_err(error)?;
        let address = listener.local_addr().map_err(error)?;
        let stop = CancellationToken::new();
        let app = router(Arc::new(Admin { sources, token, address }));
        let task = tokio::spawn(accept(listener, app, stop.clone()));
        Ok(Self { address, stop, task })
    }

    /// Where it listens (with the real port if 0 was asked for).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets requests under way finish for a moment, then closes.
    pub async fn close(self) {
        self.stop.cancel();
        self.task.await.ok();
    }
}

fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/status", get(status))
        .route("/limits", get(limits_now))
        .route("/metrics", get(metrics))
        .layer(from_fn_with_state(admin.clone(), guard))
        .with_state(admin)
}

async fn health(State(admin): State<Arc<Admin>>) -> Response {
    let snapshot = admin.sources.snapshot.borrow().clone();
    let health = Health { live: true, ready: snapshot.ready, reasons: snapshot.reasons.clone() };
    let code = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(health)).into_response()
}

async fn limits_now(State(admin): State<Arc<Admin>>) -> Response {
    let snapshot = admin.sources.snapshot.borrow().clone();
    let (chains, rules) = (snapshot.limits.clone(), snapshot.rules.clone());
    Json(Limits { at_unix_ms: snapshot.at_unix_ms, chains, rules }).into_response()
}

async fn status(State(admin): State<Arc<Admin>>) -> Response {
    let snapshot = admin.sources.snapshot.borrow().clone();
    Json(snapshot.as_ref()).into_response()
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (admin.sources.metrics)()).into_response()
}

/// Every request: the right name for this host (a web page that rebinds its own name to 127.0.0.1 has another one), and the
/// token where one is set.
async fn guard(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    if !host_allowed(request.headers(), &admin) {
        let text = "unknown Host; call this port by its IP address or as localhost\n";
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    if let Some(token) = &admin.token
        && !bears(request.headers(), token)
    {
        let text = "a token is needed: send the header `Authorization: Bearer <token>`\n";
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], text).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}

fn host_allowed(headers: &HeaderMap, admin: &Admin) -> bool {
    // Beyond loopback the token protects, and the name is the operator's.
    if admin.token.is_some() && !admin.address.ip().is_loopback() {
        return true;
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(host) = host.to_str() else { return false };
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let name = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(bare) => bare,
        None => {
            host.rsplit_once(':').map_or(host, |(name, port)| if port.parse::<u16>().is_ok() { name } else { host })
        }
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn bears(headers: &HeaderMap, token: &SecretString) -> bool {
    let given =
        headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    // Hashes are compared, so that the time tells nothing about the token.
    given.is_some_and(|g| Sha256::digest(g.trim()) == Sha256::digest(token.expose_secret()))
}

async fn accept(listener: TcpListener, app: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(e) => {
                // Out of file descriptors, most likely: others need the processor to give some back.
                warn!(error = %e, "the admin port can't take a connection");
                sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        // One too many is closed at once: a waiting one would be answered late, and by then nobody listens.
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let service = TowerToHyperService::new(app.clone());
        let stop = stop.clone();
        tasks.spawn(async move {
            let _place = place;
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits::ADMIN_HEADER_TIMEOUT)
                .max_buf_size(64 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = sleep(limits::ADMIN_CONNECTION_TIME) => return,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(e) = ended {
                debug!(error = %e, "an admin connection ended");
            }
        });
    }
    drop(listener);
    tasks.close();
    timeout(limits::ADMIN_DRAIN, tasks.wait()).await.ok();
}
