//! Wake-ups by WebSocket: a node tells that a block is there, the caller pulls it over HTTP. Truth never comes from here.
//!
//! CometBFT's `subscribe` over JSON-RPC at `/websocket`: the acknowledgement has an empty result, each event the id of the
//! subscription. Or the subscriptions of JSON-RPC servers like Substrate's: the acknowledgement is a name, events are notifications. The stream reconnects for ever with growing pauses; while the socket never works the caller polls. A socket
//! that is open and says nothing for `silence` is as good as none (pongs prove a proxy, not a node): it is closed, the caller
//! told by [`Wake::Suspect`].
//!
//! Bounds: message size before it is decoded, a bounded queue whose overflow is dropped (a reader that lags has wakes enough).

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{SinkExt, StreamExt};
use relayer_core::error::Detail;
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};
use tokio_util::sync::CancellationToken;

use super::classify;
use super::client::RpcClient;
use super::endpoint_url::EndpointUrl;
use super::error::{RpcErrorKind, SetupError, Unavailable};
use super::limits::{CONNECT_TIMEOUT, WAKES, WS_MESSAGE_BYTES, WS_PING, WS_RETRY_MAX, WS_RETRY_MIN};
use super::tls;
use super::transport::retry_after;

/// What the stream says.
#[derive(Debug, Clone)]
pub enum Wake {
    /// An event; its `result`, undecoded and unverified.
    Block(Box<RawValue>),
    /// The subscription stands (the first time, too): what came before it must be pulled.
    Reconnected,
    /// No subscription, or a silent one: poll until [`Wake::Reconnected`] or a block. Told again after each failed connection, with a label
    /// that says why: `silent`, `closed`, `broken`, ...
    Suspect(&'static str),
}

/// What to subscribe to, where.
#[derive(Debug, Clone)]
pub struct WakeSettings {
    /// ws(s) address, or http(s) for `/websocket` below it.
    pub url: EndpointUrl,
    /// The subscription's method.
    pub method: &'static str,
    /// Its parameters.
    pub params: serde_json::Value,
    /// A subscription silent for so long is dead: several block times.
    pub silence: Duration,
    /// Largest message, bytes.
    pub message_bytes: usize,
    /// Whose limits each handshake waits for, if the address is one of its endpoints'.
    pub paced_by: Option<RpcClient>,
}

impl WakeSettings {
    /// GRANDPA's justifications: one for each round that finalizes something.
    pub fn justifications(url: EndpointUrl, silence: Duration, message_bytes: usize) -> Self {
        let (method, params) = ("grandpa_subscribeJustifications", serde_json::json!([]));
        Self { url, method, params, silence, message_bytes, paced_by: None }
    }
    /// CometBFT's new-block headers: small, one a block.
    pub fn new_block_headers(url: EndpointUrl, silence: Duration) -> Self {
        let params = serde_json::json!({ "query": "tm.event='NewBlockHeader'" });
        Self { url, method: "subscribe", params, silence, message_bytes: WS_MESSAGE_BYTES, paced_by: None }
    }
}

/// Why a connection ended.
#[derive(Debug, Error)]
enum Ended {
    #[error("no connection: {0}")]
    Connect(RpcErrorKind),
    #[error("the connection broke ({0})")]
    Broken(Detail),
    #[error("closed by the node")]
    Closed,
    #[error("a message that is no JSON-RPC")]
    Malformed,
    #[error("the subscription was refused with code {0}")]
    Refused(i64),
    #[error("silent for {} ms", .0.as_millis())]
    Silent(Duration),
    #[error("the reader is gone")]
    NoReader,
}

impl Ended {
    fn label(&self) -> &'static str {
        match self {
            Self::Connect(RpcErrorKind::Throttled { .. }) => "throttled",
            Self::Connect(RpcErrorKind::Timeout { .. }) => "connect_timeout",
            Self::Connect(_) => "connect",
            Self::Broken(_) => "broken",
            Self::Closed => "closed",
            Self::Malformed => "malformed",
            Self::Refused(_) => "refused_by_node",
            Self::Silent(_) => "silent",
            Self::NoReader => "no_reader",
        }
    }
}

/// The stream's task, to be run by its owner until `stop` is cancelled or the receiver dropped, and its events.
pub fn wake_stream(
    settings: WakeSettings,
    stop: CancellationToken,
) -> Result<(impl Future<Output = ()> + Send + 'static, mpsc::Receiver<Wake>), SetupError> {
    let tls = Arc::new(tls::client_config()?);
    let settings = WakeSettings { url: settings.url.websocket(), ..settings };
    let (wakes, receiver) = mpsc::channel(WAKES);
    let task = async move {
        // `None`: stopped.
        stop.run_until_cancelled(connections(&settings, tls, &wakes)).await;
    };
    Ok((task, receiver))
}

async fn connections(settings: &WakeSettings, tls: Arc<rustls::ClientConfig>, wakes: &mpsc::Sender<Wake>) {
    let backoff = ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(WS_RETRY_MIN)
        .with_max_delay(WS_RETRY_MAX)
        .without_max_times();
    let mut pauses = backoff.build();
    loop {
        let mut events = 0u64;
        let ended = connection(settings, tls.clone(), wakes, &mut events).await;
        if matches!(ended, Ended::NoReader) || wakes.is_closed() {
            return;
        }
        if matches!(ended, Ended::Silent(_)) {
            tracing::warn!(endpoint = %settings.url, reason = %ended, "the event stream is open and silent: it is opened again, blocks are polled");
        } else {
            tracing::debug!(endpoint = %settings.url, reason = %ended, "wake-up stream lost");
        }
        tell(wakes, Wake::Suspect(ended.label()));
        // Only a subscription that worked resets the pause: one that is accepted and dropped at once must not spin.
        if events > 0 {
            pauses = backoff.build();
        }
        sleep(pauses.next().unwrap_or(WS_RETRY_MAX)).await;
    }
}

/// One connection from handshake to its end.
async fn connection(
    settings: &WakeSettings,
    tls: Arc<rustls::ClientConfig>,
    wakes: &mpsc::Sender<Wake>,
    events: &mut u64,
) -> Ended {
    let handshake = async {
        let late = RpcErrorKind::Timeout { after: CONNECT_TIMEOUT };
        timeout(CONNECT_TIMEOUT, connect(settings, tls)).await.unwrap_or(Err(late))
    };
    // On the heap: it is large, and its callers are moved about with it inside.
    let handshake = Box::pin(handshake);
    let connected = match &settings.paced_by {
        Some(rpc) => rpc.dial(&settings.url, handshake).await,
        None => handshake.await,
    };
    let mut socket = match connected {
        Ok(socket) => socket,
        Err(error) => return Ended::Connect(error),
    };
    let request =
        serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": settings.method, "params": settings.params });
    if let Err(ended) = send(&mut socket, Message::text(request.to_string())).await {
        return ended;
    }
    let mut dead = Instant::now() + settings.silence.max(CONNECT_TIMEOUT);
    let mut ping = interval_at(Instant::now() + WS_PING, WS_PING);
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            () = sleep_until(dead) => return Ended::Silent(settings.silence),
            () = wakes.closed() => return Ended::NoReader,
            _ = ping.tick() => {
                if let Err(ended) = send(&mut socket, Message::Ping(Vec::new().into())).await {
                    return ended;
                }
                continue;
            }
        };
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Binary(_))) => return Ended::Malformed,
            Some(Ok(Message::Close(_))) | None => return Ended::Closed,
            Some(Err(error)) => return Ended::Broken(describe(&error)),
        };
        match notice(&text) {
            Ok(Some(event)) => {
                *events = events.saturating_add(1);
                tell(wakes, Wake::Block(event));
            }
            Ok(None) => tell(wakes, Wake::Reconnected),
            Err(ended) => return ended,
        }
        dead = Instant::now() + settings.silence;
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(settings: &WakeSettings, tls: Arc<rustls::ClientConfig>) -> Result<Socket, RpcErrorKind> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(settings.message_bytes))
        .max_frame_size(Some(settings.message_bytes));
    let unavailable = |why| RpcErrorKind::Unavailable { why, retry_after: None };
    let request = request(&settings.url)
        .ok_or_else(|| unavailable(Unavailable::Connect(Detail::new("the address can't be used"))))?;
    match connect_async_tls_with_config(request, Some(config), true, Some(Connector::Rustls(tls))).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => {
            let (status, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
            Err(classify::throttled(status, retry_after).unwrap_or_else(|| unavailable(Unavailable::Status(status))))
        }
        Err(error) => Err(unavailable(Unavailable::Connect(describe(&error)))),
    }
}

/// User and password go into a header: they have no place in a request line.
fn request(url: &EndpointUrl) -> Option<Request> {
    let mut bare = url.secret().clone();
    bare.set_username("").ok()?;
    bare.set_password(None).ok()?;
    let mut request = bare.as_str().into_client_request().ok()?;
    let (user, password) = (url.secret().username(), url.secret().password().unwrap_or_default());
    if !user.is_empty() || !password.is_empty() {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        let mut value = HeaderValue::from_str(&format!("Basic {credentials}")).ok()?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Some(request)
}

async fn send(socket: &mut Socket, message: Message) -> Result<(), Ended> {
    match timeout(CONNECT_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Ended::Broken(describe(&error))),
        Err(_) => Err(Ended::Broken(Detail::new("the node does not read"))),
    }
}

/// An error's words without the URL that some of them hold.
fn describe(error: &tungstenite::Error) -> Detail {
    match error {
        tungstenite::Error::Url(_) => Detail::new("the address can't be used"),
        tungstenite::Error::Http(response) => Detail::new(format!("HTTP status {}", response.status().as_u16())),
        other => Detail::new(other.to_string()),
    }
}

/// An event, or `None` for the acknowledgement.
fn notice(text: &str) -> Result<Option<Box<RawValue>>, Ended> {
    #[derive(Deserialize)]
    struct Notice<'a> {
        #[serde(borrow, default)]
        result: Option<&'a RawValue>,
        #[serde(borrow, default)]
        params: Option<Params<'a>>,
        #[serde(default)]
        error: Option<Refusal>,
    }
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        result: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Refusal {
        code: i64,
    }
    let notice: Notice<'_> = serde_json::from_str(text).map_err(|_| Ended::Malformed)?;
    match (notice.result, notice.params, notice.error) {
        (_, _, Some(refusal)) => Err(Ended::Refused(refusal.code)),
        (None, Some(told), None) => Ok(Some(told.result.to_owned())),
        (Some(result), None, None) if is_empty_object(result.get()) || is_name(result.get()) => Ok(None),
        (Some(result), None, None) => Ok(Some(result.to_owned())),
        (Some(_), Some(_), None) | (None, None, None) => Err(Ended::Malformed),
    }
}

/// For [`super::fuzz`]: [`Ended`] is nobody else's business.
#[cfg(fuzzing)]
pub(super) fn event(text: &str) -> Option<Option<Box<RawValue>>> {
    notice(text).ok()
}

fn is_empty_object(json: &str) -> bool {
    json.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(|inside| inside.trim().is_empty())
}

/// The name of a subscription: a text or a number.
fn is_name(json: &str) -> bool {
    json.starts_with('"') || json.bytes().all(|byte| byte.is_ascii_digit())
}

fn tell(wakes: &mpsc::Sender<Wake>, wake: Wake) {
    if wakes.try_send(wake).is_err() {
        tracing::trace!("wake-up dropped: the reader has enough of them");
    }
}
