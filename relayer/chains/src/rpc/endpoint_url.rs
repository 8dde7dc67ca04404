//! A node's address, whose secrets (user, password, path, query) never show, and the label that stands for it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;
use url::Url;

/// Why an address can't be used. Holds nothing of the address: it may contain a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadUrl {
    /// Not a URL at all.
    #[error("not a URL; write for example `http://127.0.0.1:26657`")]
    Syntax,
    /// Another scheme.
    #[error("scheme must be http, https, ws or wss")]
    Scheme,
    /// No host.
    #[error("the URL names no host")]
    Host,
}

/// A checked http(s) or ws(s) address. `Debug` and `Display` show scheme, host and port only.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointUrl(Url);

impl EndpointUrl {
    /// Scheme, host and port: safe for logs, metrics and errors.
    pub fn label(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{}://{host}:{port}", self.0.scheme()),
            None => format!("{}://{host}", self.0.scheme()),
        }
    }

    /// The WebSocket address of the same node: ws for http, wss for https, `/websocket` below the same path.
    pub fn websocket(&self) -> Self {
        let Self(mut url) = self.websocket_here();
        if self.is_http() {
            let path = format!("{}/websocket", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        Self(url)
    }

    /// The same with the path as it is: nodes that answer both at one address.
    pub fn websocket_here(&self) -> Self {
        let mut url = self.0.clone();
        let scheme = match url.scheme() {
            "http" => "ws",
            "https" => "wss",
            _ => return self.clone(),
        };
        // http and ws are both "special" schemes, between which set_scheme always works.
        if url.set_scheme(scheme).is_err() {
            return self.clone();
        }
        Self(url)
    }

    pub(crate) fn same_host(&self, other: &Self) -> bool {
        let place = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
        place(&self.0) == place(&other.0)
    }
    pub(crate) fn secret(&self) -> &Url {
        &self.0
    }
    pub(crate) fn is_http(&self) -> bool {
        matches!(self.0.scheme(), "http" | "https")
    }
}

impl FromStr for EndpointUrl {
    type Err = BadUrl;
    fn from_str(text: &str) -> Result<Self, BadUrl> {
        Self::try_from(Url::parse(text).map_err(|_| BadUrl::Syntax)?)
    }
}
impl TryFrom<Url> for EndpointUrl {
    type Error = BadUrl;
    fn try_from(url: Url) -> Result<Self, BadUrl> {
        if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") {
            return Err(BadUrl::Scheme);
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(BadUrl::Host);
        }
        Ok(Self(url))
    }
}
impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}
impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointUrl({})", self.label())
    }
}

/// Which endpoint of a chain: its place in the configured order and a label without secrets.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId {
    index: usize,
    label: Arc<str>,
}

impl EndpointId {
    pub(crate) fn new(index: usize, label: String) -> Self {
        Self { index, label: label.into() }
    }
    pub(crate) fn index(&self) -> usize {
        self.index
    }
    /// Scheme, host, port; unique within the chain.
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }
}
impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}
impl fmt::Debug for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointId({}, {})", self.index, self.label)
    }
}
